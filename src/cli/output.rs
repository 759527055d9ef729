//! Where words go: results to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, Write};

use crate::stats::exit::Exit;
use crate::terminal::diagnostic::{Diagnostic, render_all};
use crate::terminal::output::{Color, progress_mode, stdout_columns};
use crate::terminal::progress::Mode;
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
        let color = match common.color {
            When::Auto => Color::Auto,
            When::Always => Color::Always,
            When::Never => Color::Never,
        };
        Output {
            color_out: color.on_stdout(),
            color_err: color.on_stderr(),
            width: stdout_columns(),
            quiet: common.quiet,
        }
    }

    /// How progress is shown.
    pub fn progress(&self) -> Mode {
        progress_mode(self.quiet)
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
            eprintln!("{text}");
        }
    }

    /// An error, and how the program ends for it.
    pub fn fail(&self, exit: Exit, message: impl Display) -> Exit {
        eprintln!(
            "{}: {message}",
            style::paint("error", style::BAD, self.color_err)
        );
        exit
    }

    /// Errors in a scenario.
    pub fn refuse(&self, diagnostics: &[Diagnostic]) -> Exit {
        eprint!("{}", render_all(diagnostics, self.color_err));
        Exit::Usage
    }
}
