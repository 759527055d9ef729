//! The texts that a scenario is made of, and places in them.

use serde::{Deserialize, Serialize};

use crate::terminal::diagnostic::{Diagnostic, Excerpt};

/// A stretch of one line of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// 0 is the scenario's file; the rest are flags, in the order given.
    pub source: u16,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// In characters.
    pub width: u32,
}

impl Place {
    /// The beginning of the file.
    pub const START: Place = Place {
        source: 0,
        line: 1,
        column: 1,
        width: 1,
    };
}

/// One text: the file, or the value of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    name: String,
    text: String,
    flag: bool,
}

/// Every text that took part, so that any place can be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    texts: Vec<Text>,
    masked: Vec<Place>,
}

impl Source {
    /// Begins with the scenario's file.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Source {
            texts: vec![Text {
                name: name.into(),
                text: text.into(),
                flag: false,
            }],
            masked: Vec::new(),
        }
    }

    /// Adds a flag's value; the number that its places carry.
    pub fn add_flag(&mut self, flag: &str, value: &str) -> u16 {
        self.texts.push(Text {
            name: flag.to_owned(),
            text: value.to_owned(),
            flag: true,
        });
        u16::try_from(self.texts.len() - 1).unwrap_or(u16::MAX)
    }

    /// The scenario's file: its name.
    pub fn name(&self) -> &str {
        self.texts.first().map_or("", |text| &text.name)
    }

    /// The scenario's file: its text.
    pub fn text(&self) -> &str {
        self.texts.first().map_or("", |text| &text.text)
    }

    /// Never show what stands here.
    pub fn mask(&mut self, place: Place) {
        self.masked.push(place);
    }

    /// An error about a place.
    pub fn error(&self, place: Place, message: impl Into<String>) -> Diagnostic {
        let error = Diagnostic::error(message);
        match self.excerpt(place) {
            Some(excerpt) => error.at(excerpt),
            None => error,
        }
    }

    /// The line at a place, with secrets hidden.
    pub fn excerpt(&self, place: Place) -> Option<Excerpt> {
        let text = self.texts.get(usize::from(place.source))?;
        let line = text
            .text
            .lines()
            .nth((place.line as usize).saturating_sub(1))
            .unwrap_or_default();
        let mut shown: Vec<char> = line.chars().collect();
        for mask in &self.masked {
            if (mask.source, mask.line) == (place.source, place.line) {
                let start = mask.column as usize - 1;
                for c in shown.iter_mut().skip(start).take(mask.width as usize) {
                    *c = '*';
                }
            }
        }
        // A span may reach over several lines; the marker ends with this one.
        let rest = (shown.len() + 1).saturating_sub(place.column as usize);
        Some(Excerpt {
            file: text.name.clone(),
            line: (!text.flag).then_some(place.line),
            column: place.column,
            text: shown.into_iter().collect(),
            width: place.width.min(u32::try_from(rest).unwrap_or(u32::MAX)),
        })
    }
}

/// Shields `${NAME}` from YAML, in which an unquoted brace would end the value.
///
/// Inside `{…}` the text `password: ${SECRET}` is not YAML. Before a text is read, the braces of each
/// variable are exchanged for two characters that it does not use, and put back afterwards: columns
/// stay as they are.
#[derive(Clone, Debug)]
pub struct Braces {
    open: char,
    close: char,
}

impl Braces {
    /// Two characters of the private use area that `text` does not contain.
    pub fn for_text(text: &str) -> Self {
        let mut free = ('\u{e000}'..='\u{f8ff}').filter(|c| !text.contains(*c));
        Braces {
            open: free.next().unwrap_or('\u{e000}'),
            close: free.next().unwrap_or('\u{e001}'),
        }
    }

    /// With the braces of variables exchanged.
    pub fn shield(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, variable) = rest.split_at(start);
            out.push_str(before);
            let name = variable[2..]
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .map(|end| &variable[2..2 + end]);
            match name {
                Some(name) if variable[2 + name.len()..].starts_with('}') => {
                    out.push('$');
                    out.push(self.open);
                    out.push_str(name);
                    out.push(self.close);
                    rest = &variable[3 + name.len()..];
                }
                _ => {
                    out.push_str("${");
                    rest = &variable[2..];
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// With the braces put back.
    pub fn restore(&self, text: &str) -> String {
        text.replace(self.open, "{").replace(self.close, "}")
    }
}
