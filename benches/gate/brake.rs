//! Takes a share of the CPU time away from a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often the process is stopped and let go.
const PERIOD: Duration = Duration::from_millis(10);

/// Until it is dropped, the process stands still for a share of every period.
pub struct Brake {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Brake {
    /// `share` is above 0 and below 1.
    pub fn on(pid: i32, share: f64) -> Brake {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let _ = nix::sys::prctl::set_timerslack(1);
            while !over.load(Ordering::Relaxed) {
                for (signal, share) in [(Signal::SIGSTOP, share), (Signal::SIGCONT, 1.0 - share)] {
                    kill(Pid::from_raw(pid), signal).expect("the process is there");
                    thread::sleep(PERIOD.mul_f64(share));
                }
            }
        });
        Brake {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It ends with the process let go.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
