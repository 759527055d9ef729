//! Lines at the foot of the terminal that are drawn over, and are gone in the end.
//!
//! Nothing here knows what the lines say. They are drawn by timer, four times a second, however often
//! they are set.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::stderr::say_line;
use super::style;

/// Redrawn so many times a second.
const TIMES_A_SECOND: u8 = 4;

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Lines that are drawn over: standard error is a terminal.
    Drawn,
    /// A line when something is done: standard error is a file or a pipe.
    Lines,
    /// Nothing.
    Quiet,
}

/// The foot of the terminal.
#[derive(Debug)]
pub struct Screen {
    mode: Mode,
    lines: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Screen {
    /// Nothing is drawn yet.
    pub fn new(mode: Mode) -> Screen {
        let target = match mode {
            Mode::Drawn => ProgressDrawTarget::stderr_with_hz(TIMES_A_SECOND),
            Mode::Lines | Mode::Quiet => ProgressDrawTarget::hidden(),
        };
        Screen {
            mode,
            lines: MultiProgress::with_draw_target(target),
            bars: Vec::new(),
        }
    }

    /// How it shows.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Replaces the lines; each is cut at the terminal's width.
    pub fn draw(&mut self, lines: &[String]) {
        if self.mode != Mode::Drawn {
            return;
        }
        while self.bars.len() < lines.len() {
            let bar = self.lines.add(ProgressBar::new_spinner());
            // The template is a constant; without it the default one would show the same text.
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            self.bars.push(bar);
        }
        let columns = stderr_columns();
        for (i, bar) in self.bars.iter().enumerate() {
            let line = lines.get(i).map_or("", String::as_str);
            bar.set_message(cut(line, columns.saturating_sub(1)));
        }
    }

    /// Prints a line that stays, above those that are drawn over.
    pub fn say(&self, line: &str) {
        match self.mode {
            Mode::Quiet => {}
            Mode::Lines => say_line(line),
            Mode::Drawn => self.lines.suspend(|| say_line(line)),
        }
    }

    /// Takes the lines away.
    pub fn clear(&mut self) {
        for bar in self.bars.drain(..) {
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
        // A terminal that is gone cannot be tidied, and need not be.
        let _ = self.lines.clear();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Columns of the terminal behind standard error.
fn stderr_columns() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(100, |(width, _)| width.0.into())
}

/// The start of a line that fits, with an ellipsis where something is missing.
pub fn cut(line: &str, columns: usize) -> String {
    if style::width(line) <= columns {
        return line.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let mut out = String::new();
    for c in line.chars() {
        let wide = style::char_width(c);
        if wide > room {
            break;
        }
        room -= wide;
        out.push(c);
    }
    out.push('…');
    out
}

/// A bar of `cells` characters of which the share `done` is filled: `███████░░░`.
pub fn bar(done: f64, cells: usize) -> String {
    let filled = (done.clamp(0.0, 1.0) * cells as f64).round() as usize;
    "█".repeat(filled) + &"░".repeat(cells - filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_from_the_left() {
        assert_eq!(bar(0.0, 4), "░░░░");
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(bar(7.0, 4), "████");
        assert_eq!(bar(f64::NAN, 4), "░░░░");
    }

    #[test]
    fn a_line_is_cut_where_it_does_not_fit() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("日本語です", 6), "日本…");
    }

    #[test]
    fn a_quiet_screen_takes_everything_and_shows_nothing() {
        let mut screen = Screen::new(Mode::Quiet);
        screen.draw(&["a".to_owned()]);
        screen.say("b");
        screen.clear();
    }
}
