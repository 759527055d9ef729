//! Waiting for the next due message, precisely, on a thread of its own or beside many others.
//!
//! A timer of the operating system wakes tens of microseconds late, and by how much depends on what
//! else the core does. So both ways sleep until shortly before the due instant and pass the rest
//! looking at the clock; the tasks of a runtime keep yielding meanwhile, so that sockets are served.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::outbox::{Next, Outbox};
use crate::measure::clock::{Clock, Monotonic};

/// How long before the due instant a thread stops sleeping (nanoseconds): what `clock_nanosleep` with
/// the least timer slack is late by.
const THREAD_LEAD: u64 = 60_000;
/// The same for a runtime, whose timer has to come through the poll of its sockets.
const TASK_LEAD: u64 = 80_000;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The outbox of a publisher that has a thread to itself.
#[derive(Debug)]
pub struct BlockingOutbox {
    outbox: Outbox,
    waker: Waker,
}

impl BlockingOutbox {
    /// For the thread that calls.
    pub fn new(outbox: Outbox) -> BlockingOutbox {
        // Without it the kernel may add 50 µs to every sleep to save power. Where it is refused, the
        // sleeps are late and `lateness` says so.
        let _ = set_timerslack(1);
        BlockingOutbox {
            outbox,
            waker: Waker::from(Arc::new(Unpark(thread::current()))),
        }
    }

    /// Waits until messages are due and says how many, at most `max`; 0 means that there will be no
    /// more.
    pub fn due(&mut self, max: usize) -> usize {
        loop {
            if let Some(count) = self.due_before(max, u64::MAX) {
                return count;
            }
        }
    }

    /// The same for at most so long, for a client that has something else to do by then; `None` where
    /// nothing was due.
    pub fn due_within(&mut self, max: usize, patience: Duration) -> Option<usize> {
        let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        self.due_before(max, Monotonic.now().saturating_add(patience))
    }

    fn due_before(&mut self, max: usize, limit: u64) -> Option<usize> {
        loop {
            match self.outbox.poll(max) {
                Next::Due(count) => return Some(count),
                Next::End => return Some(0),
                Next::At(due) => self.sleep_until(due.min(limit)),
                Next::Credit(until) => self.await_credit(until.min(limit)),
            }
            if limit < u64::MAX && Monotonic.now() >= limit {
                return None;
            }
        }
    }

    fn sleep_until(&self, due: u64) {
        let now = Monotonic.now();
        if due > now + THREAD_LEAD {
            // At most so long, so that an interrupted trial ends.
            let rest = (due - now - THREAD_LEAD).min(100_000_000);
            thread::sleep(Duration::from_nanos(rest));
        }
        while Monotonic.now() < due.min(now + 100_000_000) {
            std::hint::spin_loop();
        }
    }

    fn await_credit(&mut self, until: u64) {
        let book = Arc::clone(self.outbox.book());
        book.waker.register(&self.waker);
        book.waiting.store(true, Ordering::SeqCst);
        // Credit that came before the flag was up woke nobody: look once more.
        if matches!(self.outbox.poll(0), Next::Credit(_)) {
            thread::park_timeout(Duration::from_nanos(until.saturating_sub(Monotonic.now())));
        }
        book.waiting.store(false, Ordering::SeqCst);
    }
}

impl std::ops::Deref for BlockingOutbox {
    type Target = Outbox;
    fn deref(&self) -> &Outbox {
        &self.outbox
    }
}

impl std::ops::DerefMut for BlockingOutbox {
    fn deref_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }
}

/// The one precise timer of a runtime, and all who wait for it.
#[derive(Debug, Default)]
pub struct Timer {
    waiting: RefCell<BinaryHeap<Reverse<Sleeper>>>,
    /// The task that runs the timer, when it has nothing to wait for or may have something earlier.
    runner: RefCell<Option<Waker>>,
}

/// A timer's descriptor in the form that the runtime's poll asks for.
struct Precise(TimerFd);

impl AsRawFd for Precise {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[derive(Debug)]
struct Sleeper {
    due: u64,
    waker: Waker,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Sleeper) -> bool {
        self.due == other.due
    }
}
impl Eq for Sleeper {}
impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Sleeper) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sleeper {
    fn cmp(&self, other: &Sleeper) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl Timer {
    /// Wakes everybody in time; runs until it is dropped, beside the publishers of the same thread.
    ///
    /// # Errors
    /// Where the kernel gives no timer.
    pub async fn run(self: Rc<Timer>) -> io::Result<()> {
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        // SAFETY: the descriptor belongs to the `AsyncFd` from here until both are dropped together, and
        // always names the same open file.
        let timer = unsafe { AsyncFd::register_with_interest(Precise(timer), Interest::READABLE) }?;
        let mut armed = 0;
        loop {
            let now = Monotonic.now();
            self.wake_due(now);
            let Some(due) = self.first() else {
                self.until_asked().await;
                continue;
            };
            if due <= now + TASK_LEAD {
                // A yield goes through the poll of the sockets, so nothing is starved by it.
                tokio::task::yield_now().await;
                continue;
            }
            let wake = due - TASK_LEAD;
            if armed != wake {
                armed = wake;
                let at =
                    TimeSpec::new((wake / 1_000_000_000) as i64, (wake % 1_000_000_000) as i64);
                timer.get_ref().0.set(
                    Expiration::OneShot(at),
                    TimerSetTimeFlags::TFD_TIMER_ABSTIME,
                )?;
            }
            let rung = poll_fn(|cx| {
                *self.runner.borrow_mut() = Some(cx.waker().clone());
                if self.first() != Some(due) {
                    return Poll::Ready(Ok(false));
                }
                match timer.poll_read_ready(cx) {
                    Poll::Ready(Ok(mut guard)) => {
                        guard.clear_ready();
                        Poll::Ready(Ok(true))
                    }
                    Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await?;
            if rung {
                armed = 0;
                // Takes the expiration off the descriptor; that there is none is no harm.
                let _ = timer.get_ref().0.wait();
            }
        }
    }

    fn first(&self) -> Option<u64> {
        self.waiting.borrow().peek().map(|s| s.0.due)
    }

    fn wake_due(&self, now: u64) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.peek().is_some_and(|s| s.0.due <= now) {
            if let Some(sleeper) = waiting.pop() {
                sleeper.0.waker.wake();
            }
        }
    }

    async fn until_asked(&self) {
        poll_fn(|cx| {
            if self.first().is_some() {
                return Poll::Ready(());
            }
            *self.runner.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn ask(&self, due: u64, waker: &Waker) {
        let earlier = self.first().is_none_or(|first| due < first);
        self.waiting.borrow_mut().push(Reverse(Sleeper {
            due,
            waker: waker.clone(),
        }));
        if earlier && let Some(runner) = self.runner.borrow_mut().take() {
            runner.wake();
        }
    }
}

/// The outbox of a publisher that shares its thread with others.
#[derive(Debug)]
pub struct AsyncOutbox {
    outbox: Outbox,
    timer: Rc<Timer>,
    /// The earliest instant at which the timer will wake this task, and whom.
    asked: Option<(u64, Waker)>,
}

impl AsyncOutbox {
    /// For a task on the thread of this timer.
    pub fn new(outbox: Outbox, timer: Rc<Timer>) -> AsyncOutbox {
        AsyncOutbox {
            outbox,
            timer,
            asked: None,
        }
    }

    /// Waits until messages are due and says how many, at most `max`; 0 means that there will be no
    /// more. May be dropped while it waits and asked again: nothing is lost.
    pub async fn due(&mut self, max: usize) -> usize {
        poll_fn(|cx| self.poll_due(cx, max)).await
    }

    fn poll_due(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<usize> {
        self.outbox.book().waiting.store(false, Ordering::SeqCst);
        let mut next = self.outbox.poll(max);
        if !matches!(next, Next::Due(_) | Next::End) {
            // Whoever ends the trial wakes it by this, too.
            self.outbox.book().waker.register(cx.waker());
        }
        if let Next::Credit(_) = next {
            self.outbox.book().waiting.store(true, Ordering::SeqCst);
            // Credit that came before the flag was up woke nobody: look once more.
            next = self.outbox.poll(max);
        }
        match next {
            Next::Due(count) => Poll::Ready(count),
            Next::End => Poll::Ready(0),
            Next::At(at) | Next::Credit(at) => {
                // One wake-up in time is enough: a window that is often full would fill the timer
                // with more, and the timer looks at the clock before each.
                let now = Monotonic.now();
                let is_asked = self.asked.as_ref().is_some_and(|(asked, waker)| {
                    (now..=at).contains(asked) && waker.will_wake(cx.waker())
                });
                if !is_asked {
                    self.timer.ask(at, cx.waker());
                    self.asked = Some((at, cx.waker().clone()));
                }
                Poll::Pending
            }
        }
    }
}

impl std::ops::Deref for AsyncOutbox {
    type Target = Outbox;
    fn deref(&self) -> &Outbox {
        &self.outbox
    }
}

impl std::ops::DerefMut for AsyncOutbox {
    fn deref_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }
}
