//! What the bare loops are given to do, and what is seen of it.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use mqbench::measure::clock::{Clock, Monotonic};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::{Interest, unix::AsyncFd};

/// Messages a second where they are paced, their size, and for how long they are looked at.
pub const RATE: u64 = 1_000;
/// Bytes.
pub const PACED_SIZE: usize = 256;
const SECONDS: u64 = 4;
/// Not counted, at the beginning of each round.
const WARMUP: u64 = 1_000;
/// As the engine does it: sleep until shortly before, then look at the clock.
const LEAD: u64 = 80_000;
/// Of a flood: how long it lasts, and what of that is not counted.
const FLOOD: Duration = Duration::from_secs(4);
const FLOOD_WARMUP: Duration = Duration::from_secs(1);
/// Messages of a flood that may be on their way to the consumer, where there are no acknowledgements.
const WINDOW: u64 = 32_768;
/// Messages of a flood that may wait for their acknowledgement.
pub const ACK_WINDOW: usize = 1_000;
/// The consumer tells how far it is once in so many messages; the publisher looks at the clock so often.
const TELL: u64 = 256;
/// First byte of the last message of a flood.
const LAST: u8 = 1;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Load {
    size: usize,
    is_paced: bool,
    acks: bool,
    is_read: bool,
}

impl Load {
    /// By the clock. `acks` says whether the system acknowledges.
    pub fn paced(acks: bool) -> Load {
        Load {
            size: PACED_SIZE,
            is_paced: true,
            acks,
            is_read: true,
        }
    }

    /// As fast as the window allows: on acknowledgements where there are some, else on receipts.
    pub fn flood(size: usize, acks: bool) -> Load {
        Load {
            size,
            is_paced: false,
            acks,
            is_read: true,
        }
    }

    /// The same with nobody reading, so that publishers and consumers do not take each other's CPU: where a
    /// system acknowledges before a message is consumed.
    pub fn unread(self) -> Load {
        Load {
            is_read: false,
            ..self
        }
    }

    /// Bytes of a message.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether somebody reads what is sent.
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether messages go by the clock.
    pub fn is_paced(&self) -> bool {
        self.is_paced
    }

    /// The same, as the lines of a scenario.
    pub fn scenario(&self) -> String {
        let size = self.size;
        if self.is_paced {
            return format!(
                "  message: {{size: {size}B}}\n  load: {{rate: {RATE}/s}}\n\
                 phases: {{warmup: 1s, measure: {SECONDS}s, drain: 5s}}\n"
            );
        }
        let in_flight = match self.acks {
            true => ACK_WINDOW as u64,
            false => WINDOW,
        };
        let measure = (FLOOD - FLOOD_WARMUP).as_secs();
        let consumers = u8::from(self.is_read);
        format!(
            "  message: {{size: {size}B, payload: zeros}}\n  load: max\n  in_flight: {in_flight}\n  \
             consumers: {consumers}\n\
             phases: {{warmup: 1s, measure: {measure}s, drain: 60s}}\n"
        )
    }

    /// Both ends of a round.
    pub fn ends(&self) -> (Source, Sink) {
        let received = Arc::new(AtomicU64::new(0));
        let measured = Arc::new(OnceLock::new());
        let source = Source {
            measured: Arc::clone(&measured),
            warm: None,
            load: self.clone(),
            received: Arc::clone(&received),
            sent: 0,
            start: 0,
            body: Bytes::from(vec![0; self.size]),
            timer: None,
        };
        let sink = Sink {
            is_paced: self.is_paced,
            is_read: self.is_read,
            received,
            measured,
            count: 0,
            latencies: Vec::new(),
        };
        (source, sink)
    }
}

/// A moment of a flood.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: u64,
    sent: u64,
    received: u64,
    cpu: Duration,
}

/// What a publisher is to send.
pub struct Source {
    load: Load,
    received: Arc<AtomicU64>,
    /// From one instant to another for all that is counted: a consumer goes on when its publisher has ended.
    measured: Arc<OnceLock<Flooded>>,
    /// Where the warm-up ended.
    warm: Option<Moment>,
    sent: u64,
    /// When the first was due; 0 before.
    start: u64,
    body: Bytes,
    timer: Option<AsyncFd<Fd>>,
}

impl Source {
    /// The next message, when it may go. `None`: that was all.
    pub async fn next(&mut self) -> Option<Bytes> {
        if !self.load.is_paced {
            while self.is_full() {
                tokio::task::yield_now().await;
            }
            return self.flooded();
        }
        let due = self.due()?;
        self.sleep_until(due - LEAD).await;
        while Monotonic.now() < due {
            tokio::task::yield_now().await;
        }
        Some(self.stamped(due))
    }

    /// The same for a thread of its own.
    pub fn next_blocking(&mut self) -> Option<Bytes> {
        if !self.load.is_paced {
            while self.is_full() {
                thread::yield_now();
            }
            return self.flooded();
        }
        let due = self.due()?;
        let _ = nix::sys::prctl::set_timerslack(1);
        let wake = due - LEAD;
        thread::sleep(Duration::from_nanos(wake.saturating_sub(Monotonic.now())));
        while Monotonic.now() < due {
            std::hint::spin_loop();
        }
        Some(self.stamped(due))
    }

    /// Whether messages go by the clock.
    pub fn is_paced(&self) -> bool {
        self.load.is_paced
    }

    fn is_full(&self) -> bool {
        let is_over = self.sent == u64::MAX;
        !self.load.acks && !is_over && self.sent - self.received.load(Ordering::Acquire) >= WINDOW
    }

    fn flooded(&mut self) -> Option<Bytes> {
        if self.start == 0 {
            self.start = Monotonic.now();
        }
        if self.sent == u64::MAX {
            return None;
        }
        let ends = self.start + FLOOD.as_nanos() as u64;
        let now = match self.sent.is_multiple_of(TELL) {
            true => Monotonic.now(),
            false => 0,
        };
        if now > self.start + FLOOD_WARMUP.as_nanos() as u64 && self.warm.is_none() {
            self.warm = Some(self.moment(now));
        }
        if now > ends {
            let (from, to) = (
                self.warm.expect("the warm-up ends before"),
                self.moment(now),
            );
            let each_second = |amount: u64| amount as f64 * 1e9 / (to.at - from.at) as f64;
            let sent = each_second(to.sent - from.sent);
            let received = each_second(to.received - from.received);
            let received = self.load.is_read.then_some(received);
            let cpu = each_second((to.cpu - from.cpu).as_nanos() as u64);
            let flooded = Flooded {
                sent,
                received,
                cpu_ns: cpu / through(sent, received),
            };
            self.measured.set(flooded).expect("it ends once");
            self.sent = u64::MAX;
            let mut last = vec![0; self.load.size];
            last[0] = LAST;
            return Some(last.into());
        }
        self.sent += 1;
        Some(self.body.clone())
    }

    fn moment(&self, at: u64) -> Moment {
        Moment {
            at,
            sent: self.sent,
            received: self.received.load(Ordering::Acquire),
            cpu: cpu_time(),
        }
    }

    fn due(&mut self) -> Option<u64> {
        if self.start == 0 {
            self.start = Monotonic.now() + 20_000_000;
        }
        let number = self.sent;
        self.sent += 1;
        (number < WARMUP + SECONDS * RATE).then(|| self.start + number * 1_000_000_000 / RATE)
    }

    fn stamped(&self, due: u64) -> Bytes {
        let mut bytes = vec![0; self.load.size];
        bytes[..8].copy_from_slice(&due.to_le_bytes());
        bytes.into()
    }

    async fn sleep_until(&mut self, wake: u64) {
        if wake <= Monotonic.now() {
            return;
        }
        let timer = self.timer.get_or_insert_with(new_timer);
        let at = TimeSpec::nanoseconds(wake as i64);
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME;
        let set = timer.get_ref().0.set(Expiration::OneShot(at), flags);
        set.expect("set");
        timer.readable().await.expect("a tick").clear_ready();
        let _ = timer.get_ref().0.wait();
    }
}

struct Fd(TimerFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_fd().as_raw_fd()
    }
}

fn new_timer() -> AsyncFd<Fd> {
    let flags = TimerFlags::TFD_NONBLOCK;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).expect("a timer");
    // SAFETY: the descriptor lives in the `AsyncFd` and is dropped with it.
    unsafe { AsyncFd::register_with_interest(Fd(timer), Interest::READABLE) }.expect("a poll")
}

/// Where messages end, and what was seen of them.
pub struct Sink {
    is_paced: bool,
    is_read: bool,
    received: Arc<AtomicU64>,
    /// Told by the source.
    measured: Arc<OnceLock<Flooded>>,
    count: u64,
    latencies: Vec<u64>,
}

impl Sink {
    /// Takes a message; whether there are more to come.
    pub fn take(&mut self, body: &[u8]) -> bool {
        self.count += 1;
        if !self.is_read {
            return false;
        }
        if self.is_paced {
            let mut stamp = [0; 8];
            stamp.copy_from_slice(&body[..8]);
            let waited = Monotonic.now().saturating_sub(u64::from_le_bytes(stamp));
            self.latencies.push(waited);
            return self.count < WARMUP + SECONDS * RATE;
        }
        if self.count.is_multiple_of(TELL) {
            self.received.store(self.count, Ordering::Release);
        }
        body[0] != LAST
    }

    /// The median of what was measured.
    pub fn p50_us(mut self) -> f64 {
        let mut measured = self.latencies.split_off(WARMUP as usize);
        measured.sort_unstable();
        measured[measured.len() / 2] as f64 / 1000.0
    }

    /// What a flood came to, without its warm-up.
    pub fn flooded(&self) -> Flooded {
        *self.measured.get().expect("its publisher has ended")
    }
}

/// What a flood came to.
#[derive(Clone, Copy, Debug)]
pub struct Flooded {
    /// Messages a second.
    pub sent: f64,
    /// Messages a second; none where nobody reads.
    pub received: Option<f64>,
    /// CPU time of the client, publisher and consumer, for each message that went through: nanoseconds.
    pub cpu_ns: f64,
}

impl Flooded {
    /// Messages a second that went through.
    pub fn through(&self) -> f64 {
        through(self.sent, self.received)
    }
}

/// A publisher that is told when the broker has a message may run ahead of its consumer: what it is ahead is half
/// done.
fn through(sent: f64, received: Option<f64>) -> f64 {
    match received {
        Some(received) => (sent + received) / 2.0,
        None => sent,
    }
}

fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a count");
    let nanos = |time: nix::sys::time::TimeVal| time.num_nanoseconds() as u64;
    Duration::from_nanos(nanos(usage.user_time()) + nanos(usage.system_time()))
}
