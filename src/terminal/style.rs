//! The few colours that the terminal shows, and the width that text takes there.
//!
//! Nobody knows whether the ground is dark or light, so only hues are used that can be read on both:
//! yellow and cyan vanish on white, blue on black, and a bold hue may be shown as its bright kin.
//! What frames or follows is the terminal's own colour, dimmed.

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What is wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to watch.
pub const WARN: Style = AnsiColor::Magenta.on_default();
/// What is right.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What frames the rest: lines, numbers of lines.
pub const FRAME: Style = Style::new().dimmed();
/// What matters most.
pub const STRONG: Style = Style::new().bold();
/// What may be passed over.
pub const DIM: Style = Style::new().dimmed();

/// `text` in `style` where `color` is on, else as it is.
pub fn paint(text: &str, style: Style, color: bool) -> String {
    if color && !text.is_empty() {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// Columns that `text` takes on a terminal. It must hold no colour codes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Columns that one character takes; none for one that cannot be shown.
pub fn char_width(c: char) -> usize {
    UnicodeWidthChar::width(c).unwrap_or(0)
}

/// `text` followed by spaces up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Lines of at most `columns`, broken at spaces and at no other white space (a no-break space keeps
/// words together); a longer word stands alone.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text
        .split([' ', '\n', '\t'])
        .filter(|word| !word.is_empty())
    {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// What a terminal shows of a text, its colour taken away.
#[cfg(test)]
pub fn without_codes(text: &str) -> String {
    let mut bare = String::new();
    let mut inside = false;
    for c in text.chars() {
        match c {
            '\u{1b}' => inside = true,
            'm' if inside => inside = false,
            c if !inside => bare.push(c),
            _ => {}
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use anstyle::Color;

    use super::*;

    /// How different two colours look, by the rule for the web: from 1 to 21.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let light = |colour: [f64; 3]| {
            let linear = colour.map(|part| match part / 255.0 {
                part if part <= 0.03928 => part / 12.92,
                part => ((part + 0.055) / 1.055).powf(2.4),
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05
        };
        (light(a) / light(b)).max(light(b) / light(a))
    }

    /// As terminals show it that have never been set up otherwise; bold may brighten.
    fn shown(style: Style) -> Vec<[f64; 3]> {
        let Some(Color::Ansi(hue)) = style.get_fg_color() else {
            return Vec::new();
        };
        let (plain, bright) = match hue {
            AnsiColor::Red => ([170.0, 0.0, 0.0], [255.0, 0.0, 0.0]),
            AnsiColor::Green => ([0.0, 170.0, 0.0], [0.0, 255.0, 0.0]),
            AnsiColor::Magenta => ([170.0, 0.0, 170.0], [255.0, 0.0, 255.0]),
            other => panic!("{other:?} cannot be read on both grounds"),
        };
        match style.get_effects().contains(anstyle::Effects::BOLD) {
            true => vec![plain, bright],
            false => vec![plain],
        }
    }

    #[test]
    fn every_colour_can_be_read_on_a_dark_and_on_a_light_ground() {
        for style in [BAD, WARN, GOOD, FRAME, STRONG, DIM] {
            assert_eq!(style.get_bg_color(), None);
            for colour in shown(style) {
                for ground in [0.0, 255.0] {
                    let contrast = contrast(colour, [ground; 3]);
                    assert!(contrast >= 2.7, "{colour:?} on {ground}: {contrast}");
                }
            }
        }
    }
}
