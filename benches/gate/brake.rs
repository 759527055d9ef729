//! A program that gets less of the CPU than it could use.

use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

/// How often the program is stopped and let go: seldom enough that to begin again costs little beside it.
const PERIOD: Duration = Duration::from_millis(50);

/// Runs a program that stands still for a share of every period, above 0 and below 1; its exit code.
pub fn run(share: f64, command: &mut Command) -> i32 {
    let mut child = command.spawn().expect("the program starts");
    // Whoever asks the group to end asks the program, and this one has to let it go before it can.
    // SAFETY: to ignore a signal runs no code.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }.expect("a signal");
    let _ = nix::sys::prctl::set_timerslack(1);
    let pid = Pid::from_raw(child.id() as i32);
    loop {
        if let Some(ended) = child.try_wait().expect("a child") {
            return ended.code().unwrap_or(1);
        }
        // It is not reaped yet, so the number is its own.
        let _ = kill(pid, Signal::SIGSTOP);
        thread::sleep(PERIOD.mul_f64(share));
        let _ = kill(pid, Signal::SIGCONT);
        thread::sleep(PERIOD.mul_f64(1.0 - share));
    }
}
