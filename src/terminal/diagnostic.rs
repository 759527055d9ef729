//! An error or a warning with the place that it is about.
//!
//! ```text
//! error: unknown broker option `prefech`
//!    ╭─ scenarios/orders.yaml:7:14
//!  7 │   rabbitmq: {prefech: 200}
//!    │              ^^^^^^^ did you mean `prefetch`?
//!    ╰ options of rabbitmq: `mqbench drivers rabbitmq`
//! ```

use std::fmt;

use super::style::{self, paint};

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing can be done until it is put right.
    Error,
    /// It goes on, and the user should know.
    Warning,
}

/// The place in a text that a diagnostic is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// A file's name, or the flag whose value this is (`--set`).
    pub file: String,
    /// Counted from 1; `None` where the text has no lines (a flag).
    pub line: Option<u32>,
    /// In characters, counted from 1.
    pub column: u32,
    /// The whole line.
    pub text: String,
    /// In characters; at least one is marked.
    pub width: u32,
}

/// One thing to tell the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// One line: what is wrong.
    pub message: String,
    /// Where.
    pub excerpt: Option<Box<Excerpt>>,
    /// Stands under the excerpt, beside the marker.
    pub label: Option<String>,
    /// Further lines.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

/// The longest excerpt in columns; the rest of a longer line is cut around the marker.
const LONGEST: usize = 110;

impl Diagnostic {
    /// An error that has no place yet.
    pub fn error(message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            excerpt: None,
            label: None,
            notes: Vec::new(),
            help: None,
        }
    }

    /// A warning that has no place yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(message)
        }
    }

    /// With the place that it is about.
    pub fn at(mut self, excerpt: Excerpt) -> Self {
        self.excerpt = Some(Box::new(excerpt));
        self
    }

    /// With words beside the marker.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With one more line.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The lines to print, the last one ended.
    pub fn render(&self, color: bool) -> String {
        let (word, tone) = match self.severity {
            Severity::Error => ("error", style::BAD),
            Severity::Warning => ("warning", style::WARN),
        };
        let mut out = format!(
            "{} {}\n",
            paint(&format!("{word}:"), tone, color),
            paint(&printable(&self.message), style::STRONG, color)
        );
        match &self.excerpt {
            Some(excerpt) => self.render_excerpt(&mut out, excerpt, tone, color),
            None => {
                for line in self.label.iter().chain(&self.notes).chain(&self.help) {
                    out.push_str(&format!("   {}\n", printable(line)));
                }
            }
        }
        out
    }

    fn render_excerpt(
        &self,
        out: &mut String,
        excerpt: &Excerpt,
        tone: anstyle::Style,
        color: bool,
    ) {
        let number = excerpt.line.map(|n| n.to_string()).unwrap_or_default();
        let gutter = " ".repeat(number.len().max(1) + 2);
        let frame = |text: &str| paint(text, style::FRAME, color);
        let place = match excerpt.line {
            Some(line) => format!("{}:{line}:{}", excerpt.file, excerpt.column),
            None => excerpt.file.clone(),
        };
        out.push_str(&format!("{gutter}{} {}\n", frame("╭─"), printable(&place)));
        let (text, before, marked) = window(excerpt);
        let numbered = match excerpt.line {
            Some(_) => frame(&format!(" {number} │")),
            None => format!("{gutter}{}", frame("│")),
        };
        out.push_str(format!("{numbered} {text}").trim_end());
        out.push('\n');
        let label = self.label.as_deref().map(printable).unwrap_or_default();
        let marker = format!("{} {label}", "^".repeat(marked));
        out.push_str(&format!(
            "{gutter}{} {}{}\n",
            frame("│"),
            " ".repeat(before),
            paint(marker.trim_end(), tone, color)
        ));
        for note in &self.notes {
            out.push_str(&format!("{gutter}{} {}\n", frame("│"), printable(note)));
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("{gutter}{} {}\n", frame("╰"), printable(help)));
        } else {
            out.push_str(&format!("{gutter}{}\n", frame("╰")));
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Several diagnostics, a blank line between them.
pub fn render_all(diagnostics: &[Diagnostic], color: bool) -> String {
    let rendered: Vec<String> = diagnostics.iter().map(|d| d.render(color)).collect();
    rendered.join("\n")
}

/// One character as it is safe to print on one line of a terminal: a file must not be able to move
/// the cursor, nor to turn the reading order.
fn shown(c: char) -> String {
    match c {
        '\t' => "  ".to_owned(),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {
            "\u{fffd}".to_owned()
        }
        c if c.is_control() => "\u{fffd}".to_owned(),
        c => c.to_string(),
    }
}

/// Text from a file as it is safe to print within a line.
pub fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// The part of the line that is shown, the columns before the marker, and the columns marked.
fn window(excerpt: &Excerpt) -> (String, usize, usize) {
    let cells: Vec<String> = excerpt.text.chars().map(shown).collect();
    let first = (excerpt.column.max(1) as usize - 1).min(cells.len());
    let last = first
        .saturating_add(excerpt.width.max(1) as usize)
        .min(cells.len())
        .max(first);
    let columns = |cells: &[String]| cells.iter().map(|c| style::width(c)).sum::<usize>();
    let (mut start, mut end) = (0, cells.len());
    if columns(&cells) > LONGEST {
        // Keep the marker in sight, with what leads up to it.
        start = if columns(&cells[..last]) > LONGEST {
            first.saturating_sub(LONGEST / 3)
        } else {
            0
        };
        let mut room = LONGEST;
        end = start;
        for cell in &cells[start..] {
            let wide = style::width(cell);
            if wide > room {
                break;
            }
            room -= wide;
            end += 1;
        }
    }
    let ellipsis = |cut: bool| if cut { "…" } else { "" };
    let text = format!(
        "{}{}{}",
        ellipsis(start > 0),
        cells[start..end].concat(),
        ellipsis(end < cells.len())
    );
    let before = usize::from(start > 0) + columns(&cells[start..first]);
    let marked = columns(&cells[first..last.min(end).max(first)]).max(1);
    (text, before, marked)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excerpt(text: &str, column: u32, width: u32) -> Excerpt {
        Excerpt {
            file: "scenarios/orders.yaml".into(),
            line: Some(7),
            column,
            text: text.into(),
            width,
        }
    }

    #[test]
    fn an_error_shows_its_place_as_the_manual_draws_it() {
        let error = Diagnostic::error("unknown broker option `prefech`")
            .at(excerpt("  rabbitmq: {prefech: 200}", 14, 7))
            .label("did you mean `prefetch`?")
            .help("options of rabbitmq: `mqbench drivers rabbitmq`");
        assert_eq!(
            error.render(false),
            "error: unknown broker option `prefech`\n   \
             ╭─ scenarios/orders.yaml:7:14\n 7 │   rabbitmq: {prefech: 200}\n   \
             │              ^^^^^^^ did you mean `prefetch`?\n   \
             ╰ options of rabbitmq: `mqbench drivers rabbitmq`\n"
        );
    }

    #[test]
    fn an_error_without_a_place_lists_its_lines() {
        let error = Diagnostic::error("cannot start a private kafka: no Kafka was found")
            .note("looked for docker")
            .help("get one with    scripts/get kafka");
        assert_eq!(
            error.render(false),
            "error: cannot start a private kafka: no Kafka was found\n   \
             looked for docker\n   get one with    scripts/get kafka\n"
        );
    }

    #[test]
    fn the_marker_stands_under_wide_characters() {
        let rendered = Diagnostic::error("x")
            .at(excerpt("名: 値だ", 4, 2))
            .render(false);
        let lines: Vec<&str> = rendered.lines().collect();
        assert_eq!(lines[2], " 7 │ 名: 値だ");
        assert_eq!(lines[3], "   │     ^^^^");
    }

    #[test]
    fn a_number_of_several_digits_widens_the_gutter() {
        let mut place = excerpt("a: b", 4, 1);
        place.line = Some(1234);
        let rendered = Diagnostic::error("x").at(place).render(false);
        let bars: Vec<usize> = rendered
            .lines()
            .skip(1)
            .map(|line| line.chars().position(|c| "╭│╰".contains(c)).unwrap())
            .collect();
        assert_eq!(bars, [6, 6, 6, 6]);
    }

    #[test]
    fn a_long_line_is_cut_around_the_marker() {
        let text = format!("{}here{}", "a".repeat(400), "b".repeat(400));
        let rendered = Diagnostic::error("x")
            .at(excerpt(&text, 401, 4))
            .render(false);
        let lines: Vec<&str> = rendered.lines().collect();
        let at = lines[3].chars().position(|c| c == '^').unwrap();
        let under: String = lines[2].chars().skip(at).take(4).collect();
        assert_eq!(under, "here");
        assert!(lines[2].chars().count() < 130);
    }

    #[test]
    fn colour_adds_codes_and_changes_no_character() {
        let error = Diagnostic::warning("x").at(excerpt("a: b", 4, 1)).help("y");
        let plain = error.render(false);
        let colored = error.render(true);
        assert_ne!(plain, colored);
        let bare = style::without_codes(&colored);
        assert_eq!(bare, plain);
    }

    proptest! {
        #[test]
        fn no_excerpt_makes_it_panic_or_break_the_line(
            text in "\\PC{0,300}|.{0,40}", column in 0u32..400, width in 0u32..400,
        ) {
            let rendered = Diagnostic::error("x").at(excerpt(&text, column, width)).render(false);
            prop_assert_eq!(rendered.lines().count(), 5);
        }
    }
}
