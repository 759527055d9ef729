//! The whole terminal, redrawn by timer on a thread of its own, and given back as it was.
//!
//! Nothing here knows what is shown. It is drawn on standard error, on the terminal's other page, so that what
//! was there before is there again in the end: also after a panic, whose words would be lost otherwise. Keys are
//! read where standard input is the same terminal and this process may.

use std::io::{self, IsTerminal, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::_POSIX_VDISABLE;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::{getpgrp, tcgetpgrp};

/// Between two drawings.
const TICK: Duration = Duration::from_millis(250);
/// The other page, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
/// The cursor, and the page from before.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Where the terminal does not tell its size.
const USUAL: (usize, usize) = (80, 24);

/// How the terminal was, while it is ours.
static TAKEN: Mutex<Option<Before>> = Mutex::new(None);

/// How the terminal was.
struct Before {
    /// `None` where its mode was not changed.
    mode: Option<Termios>,
}

/// The terminal, until this is dropped.
#[derive(Debug)]
pub struct FullScreen {
    /// Its end wakes the thread.
    alive: Option<PipeWriter>,
    hand: Option<JoinHandle<()>>,
}

impl FullScreen {
    /// Takes the terminal behind standard error. `frame` gets columns and rows and gives at most so many
    /// lines, each narrower than the columns; `key` gets each byte that is typed.
    ///
    /// # Errors
    /// Where the thread cannot be started or the terminal not be written to.
    pub fn open(
        frame: impl Fn(usize, usize) -> Vec<String> + Send + 'static,
        key: impl Fn(u8) + Send + 'static,
    ) -> io::Result<FullScreen> {
        give_back_before_panics();
        let (ended, alive) = io::pipe()?;
        let mode = quiet_mode();
        let reads_keys = mode.is_some();
        // Before anything is changed: now whatever happens changes it back.
        *taken() = Some(Before { mode });
        let mut screen = FullScreen {
            alive: Some(alive),
            hand: None,
        };
        io::stderr().lock().write_all(ENTER.as_bytes())?;
        let hand = thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || keep_drawing(&ended, reads_keys, &frame, &key))?;
        screen.hand = Some(hand);
        Ok(screen)
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(hand) = self.hand.take() {
            // Its panic has been said when it happened.
            let _ = hand.join();
        }
        give_back();
    }
}

fn taken() -> std::sync::MutexGuard<'static, Option<Before>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the terminal what it was; once.
fn give_back() {
    let Some(before) = taken().take() else {
        return;
    };
    // A terminal that is gone cannot be tidied, and need not be.
    let _ = io::stderr().lock().write_all(LEAVE.as_bytes());
    if let Some(mode) = before.mode {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &mode);
    }
}

/// What a panic says belongs on the page that stays.
fn give_back_before_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            say(info);
        }));
    });
}

/// Has keys come one by one and unseen, and returns the mode from before; `None` where they cannot be read.
/// Ctrl-C stays the signal that it is. Neither stopping the output (Ctrl-S) nor the process (Ctrl-Z) makes
/// sense while something is measured.
fn quiet_mode() -> Option<Termios> {
    let stdin = io::stdin();
    // In the background, reading would stop the process.
    let is_ours = stdin.is_terminal() && tcgetpgrp(&stdin) == Ok(getpgrp());
    let before = is_ours.then(|| tcgetattr(&stdin).ok())??;
    let mut quiet = before.clone();
    quiet.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO);
    quiet.input_flags &= !InputFlags::IXON;
    quiet.control_chars[SpecialCharacterIndices::VSUSP as usize] = _POSIX_VDISABLE;
    tcsetattr(&stdin, SetArg::TCSANOW, &quiet).ok()?;
    Some(before)
}

/// Draws until the other end of the pipe is closed, or somebody else gave the terminal back.
fn keep_drawing(
    ended: &PipeReader,
    mut reads_keys: bool,
    frame: &dyn Fn(usize, usize) -> Vec<String>,
    key: &dyn Fn(u8),
) {
    let mut size = (0, 0);
    loop {
        let next = Instant::now() + TICK;
        let found = terminal_size::terminal_size_of(io::stderr());
        let now = found.map_or(USUAL, |(columns, rows)| (columns.0.into(), rows.0.into()));
        let lines = frame(now.0, now.1);
        let page = page(&lines, now.1, size != now);
        size = now;
        {
            let taken = taken();
            if taken.is_none() || io::stderr().lock().write_all(page.as_bytes()).is_err() {
                return;
            }
        }
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let stdin = io::stdin();
            let mut waits = vec![PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
            if reads_keys {
                waits.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
            }
            let left = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::ZERO);
            match poll(&mut waits, left) {
                Ok(0) => break,
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            }
            let ready = |wait: Option<&PollFd>| wait.is_some_and(|it| it.any().unwrap_or(true));
            if ready(waits.first()) {
                return;
            }
            if ready(waits.get(1)) {
                let mut typed = [0; 64];
                // Not by the buffer of the library: what it holds, no poll tells of.
                match nix::unistd::read(&stdin, &mut typed) {
                    Ok(count @ 1..) => {
                        typed[..count].iter().for_each(|byte| key(*byte));
                        // What was typed may show.
                        break;
                    }
                    // It is gone.
                    Ok(0) | Err(_) => reads_keys = false,
                }
            }
        }
    }
}

/// What draws the lines over the page: in one piece, so that none is seen half. A terminal of another size
/// than before is cleared first.
fn page(lines: &[String], rows: usize, clears: bool) -> String {
    let mut page = String::from(if clears { "\x1b[2J\x1b[H" } else { "\x1b[H" });
    for (i, line) in lines.iter().take(rows).enumerate() {
        if i > 0 {
            page.push_str("\r\n");
        }
        page.push_str(line);
        page.push_str("\x1b[K");
    }
    page.push_str("\x1b[J");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_drawn_over_the_one_before_and_never_scrolls() {
        let lines = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let drawn = page(&lines, 2, false);
        assert_eq!(drawn, "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
        assert!(page(&lines, 3, true).starts_with("\x1b[2J\x1b[Ha"));
    }
}
