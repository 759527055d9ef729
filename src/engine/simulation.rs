//! A whole trial on the simulated clock: the same schedule, outbox, windows, inbox, audit and
//! controller as a live one, with a broker that is a list of events. Known answers are exact, and a
//! minute takes milliseconds on any machine, however busy.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::acks::{Acks, Token};
use super::controller::{Controller, Step};
use super::inbox::Inbox;
use super::ledger::Ledger;
use super::outbox::{Next, Outbox, ThreadRecords};
use super::task::Task;
use crate::measure::clock::{Clock, Simulated};
use crate::measure::record::Record;
use crate::measure::resources::Seen;

/// Something that a broker does.
#[derive(Debug)]
pub enum Event {
    /// A message reaches a consumer of a group.
    Deliver {
        /// Which group.
        group: usize,
        /// Which of its consumers.
        consumer: usize,
        /// The whole message.
        bytes: Vec<u8>,
    },
    /// A publisher learns what became of a message.
    Answer {
        /// Which publisher.
        publisher: usize,
        /// Which of its messages.
        token: Token,
        /// Why it failed, if it did.
        failed: Option<&'static str>,
    },
    /// A consumer loses its connection.
    Away {
        /// Which group.
        group: usize,
        /// Which of its consumers.
        consumer: usize,
    },
    /// It has another.
    Back {
        /// Which group.
        group: usize,
        /// Which of its consumers.
        consumer: usize,
    },
}

/// A broker as a list of events in time. Instants are nanoseconds of the trial's clock.
pub trait Broker {
    /// The load begins at this instant, its measured part at the other.
    fn begin(&mut self, start: u64, measured_from: u64);
    /// Takes a message that a publisher sends now.
    fn accept(
        &mut self,
        now: u64,
        publisher: usize,
        token: Token,
        destination: u32,
        bytes: Vec<u8>,
    );
    /// Messages that wait in it, where it tells: asked once a second.
    fn backlog(&self) -> Option<u64> {
        None
    }
    /// Whether it leaves that question unanswered.
    fn is_silent(&self, _now: u64) -> bool {
        false
    }
    /// When something happens next.
    fn next_at(&self) -> Option<u64>;
    /// What happens now, one at a time.
    fn next(&mut self, now: u64) -> Option<Event>;
}

/// A generator that is not perfect, to see that it is found out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generator {
    /// It wakes so long after a message was due, nanoseconds.
    pub wakes_late: u64,
    /// The client library holds it so long for each message, nanoseconds.
    pub held_per_message: u64,
}

const SECOND: u64 = 1_000_000_000;
/// Where the simulated clock stands at the beginning: late enough that nothing is before zero.
const ORIGIN: u64 = SECOND;
/// A simulated publisher takes at most so many messages at once.
const BATCH: usize = 64;

struct Publisher {
    outbox: Outbox<Simulated>,
    acks: Acks<Simulated>,
    /// Waits for credit: an answer or a receipt moves it on.
    starved: bool,
    /// When it is asked next; asks for another instant are out of date.
    next: Option<u64>,
}

/// Runs a trial.
///
/// # Errors
/// Where the payload cannot be made.
pub fn simulate(
    task: Task,
    broker: &mut dyn Broker,
    generator: Generator,
) -> Result<Record, String> {
    let clock = Simulated::default();
    clock.set(ORIGIN);
    let ledger = Ledger::open(task)?;
    ledger.timeline.begin(ORIGIN);
    broker.begin(ORIGIN, ledger.timeline.measured_from());
    let records = ThreadRecords::new(&ledger);
    let mut publishers: Vec<Publisher> = (0..ledger.publishers.len())
        .map(|number| {
            let outbox = Outbox::new(&ledger, clock.clone(), number as u16, &records);
            let acks = outbox.acks();
            Publisher {
                outbox,
                acks,
                starved: false,
                next: Some(ORIGIN),
            }
        })
        .collect();
    let mut inboxes: Vec<Vec<Inbox<Simulated>>> = (0..ledger.groups.len())
        .map(|group| {
            (0..ledger.task.workload.consumers as usize)
                .map(|consumer| Inbox::new(&ledger, clock.clone(), group, consumer))
                .collect()
        })
        .collect();
    let mut controller = Controller::new(&ledger);
    // (instant, publisher): when to ask an outbox again.
    let mut asks: BinaryHeap<Reverse<(u64, usize)>> = (0..publishers.len())
        .map(|p| Reverse((ORIGIN, p)))
        .collect();
    let (mut look, mut ask_backlog) = (ORIGIN, ORIGIN + SECOND);
    let mut owed_since = None;
    loop {
        let now = [Some(look), asks.peek().map(|a| a.0.0), broker.next_at()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(look)
            .max(clock.now());
        clock.set(now);
        while broker.next_at().is_some_and(|at| at <= now) {
            match broker.next(now) {
                Some(Event::Deliver {
                    group,
                    consumer,
                    bytes,
                }) => {
                    inboxes[group][consumer].received(&bytes);
                }
                Some(Event::Answer {
                    publisher,
                    token,
                    failed,
                }) => match failed {
                    None => publishers[publisher].acks.acked(token),
                    Some(reason) => publishers[publisher].acks.failed(token, &reason),
                },
                Some(Event::Away { group, consumer }) => inboxes[group][consumer].away(),
                Some(Event::Back { group, consumer }) => inboxes[group][consumer].back(),
                None => break,
            }
            for (number, publisher) in publishers.iter_mut().enumerate() {
                if std::mem::take(&mut publisher.starved) {
                    publisher.next = Some(now);
                    asks.push(Reverse((now, number)));
                }
            }
        }
        while asks.peek().is_some_and(|ask| ask.0.0 <= now) {
            let Some(Reverse((_, number))) = asks.pop() else {
                break;
            };
            let publisher = &mut publishers[number];
            if publisher.next.is_some_and(|at| at <= now) {
                publisher.next = ask(&ledger, publisher, broker, number, now, generator);
                asks.extend(publisher.next.map(|at| Reverse((at, number))));
            }
        }
        if now >= ask_backlog {
            ask_backlog += SECOND;
            let is_silent = broker.is_silent(now);
            owed_since = owed_since
                .filter(|_| is_silent)
                .or(is_silent.then_some(now));
            controller.server_owes(owed_since);
            if let Some(waiting) = broker.backlog().filter(|_| !is_silent) {
                controller.server_says(now, waiting);
            }
        }
        if look <= now {
            match controller.step(now, None) {
                Step::Done => break,
                Step::Until(at) => look = at.max(now + 1),
            }
        }
    }
    drop(publishers);
    Ok(controller.finish(clock.now(), Seen::default()))
}

/// Asks one outbox; when to ask it again.
fn ask(
    ledger: &Arc<Ledger>,
    publisher: &mut Publisher,
    broker: &mut dyn Broker,
    number: usize,
    now: u64,
    generator: Generator,
) -> Option<u64> {
    match publisher.outbox.poll(BATCH) {
        Next::At(due) => Some(due + generator.wakes_late),
        Next::Credit(until) => {
            publisher.starved = true;
            Some(until)
        }
        Next::End => None,
        Next::Due(count) => {
            while let Some(message) = publisher.outbox.next() {
                let (token, destination) = (message.token, message.destination);
                let mut bytes = Vec::with_capacity(message.len());
                message.append_to(&mut bytes);
                broker.accept(now, number, token, destination, bytes);
            }
            debug_assert!(!ledger.task.acks || publisher.outbox.unresolved() > 0);
            // A closed loop without a window would otherwise go on at the same instant for ever.
            Some(now + (generator.held_per_message * count as u64).max(1))
        }
    }
}
