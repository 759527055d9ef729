//! Where words go: results to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use crate::stats::exit::Exit;
use crate::terminal::diagnostic::{Diagnostic, render_all};
use crate::terminal::progress::Mode;
use crate::terminal::stderr::{say, say_line};
use crate::terminal::style;

use super::args::{Common, When};

/// How to speak.
pub struct Output {
    /// Whether standard output gets colour.
    pub color_out: bool,
    /// Whether standard error does.
    pub color_err: bool,
    /// Columns of the terminal; `None` where standard output is none.
    pub width: Option<usize>,
    quiet: bool,
}

impl Output {
    /// As asked, and as the terminal allows.
    pub fn new(common: &Common) -> Output {
        let wanted = |is_terminal: bool| match common.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                is_terminal && !refused && !is_dumb()
            }
        };
        Output {
            color_out: wanted(io::stdout().is_terminal()),
            color_err: wanted(io::stderr().is_terminal()),
            width: terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into()),
            quiet: common.quiet,
        }
    }

    /// How progress is shown.
    pub fn progress(&self) -> Mode {
        match (self.quiet, io::stderr().is_terminal() && !is_dumb()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Drawn,
            (false, false) => Mode::Lines,
        }
    }

    /// Prints a result. A reader that has closed the pipe has seen enough.
    pub fn print(&self, text: &str) -> Exit {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Exit::Done,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Err(error) => self.fail(
                Exit::Failed,
                format!("cannot write to standard output: {error}"),
            ),
        }
    }

    /// A remark, unless there are to be none.
    pub fn remark(&self, text: impl Display) {
        if !self.quiet {
            say_line(text);
        }
    }

    /// An error, and how the program ends for it.
    pub fn fail(&self, exit: Exit, message: impl Display) -> Exit {
        let error = style::paint("error", style::BAD, self.color_err);
        say_line(format_args!("{error}: {message}"));
        exit
    }

    /// Errors in a scenario.
    pub fn refuse(&self, diagnostics: &[Diagnostic]) -> Exit {
        say(render_all(diagnostics, self.color_err));
        Exit::Usage
    }
}

/// Whether the terminal can only print: no colour, no line drawn over.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
