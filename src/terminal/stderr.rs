//! Words for standard error. Nobody may be listening: a reader that closed the pipe, or a full disk, must
//! not end a run, as the standard macros would.

use std::fmt::Display;
use std::io::{self, Write};

/// Says it, in one piece, so that several processes do not mix within a line.
pub fn say(text: impl Display) {
    let _ = io::stderr().lock().write_all(text.to_string().as_bytes());
}

/// Says a line.
pub fn say_line(line: impl Display) {
    say(format_args!("{line}\n"));
}
