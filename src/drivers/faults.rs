//! The faults that `loopback` makes on request, as a model that decides what happens when.
//!
//! Every draw comes from the seed, and the model counts what it did: those are the known answers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::engine::acks::Token;
use crate::engine::simulation::{Broker, Event};
use crate::engine::task::Task;
use crate::scenario::units;

/// A held delivery that nothing follows comes after this time, nanoseconds.
const HELD: u64 = 200_000_000;

/// What goes wrong. Times in nanoseconds, shares from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Every delivery comes so much later.
    pub delay: u64,
    /// Besides, up to this much later.
    pub jitter: u64,
    /// Share of deliveries that never come.
    pub loss: f64,
    /// Share of deliveries that come twice.
    pub duplicate: f64,
    /// Share of deliveries that change places with the next one.
    pub reorder: f64,
    /// From when, after the start of the measured part, and for how long nothing moves.
    pub stall: Option<(u64, u64)>,
    /// Share of messages that are refused.
    pub fail_ack: f64,
    /// One server takes so long for each message.
    pub service_time: u64,
    /// Each consumer takes so long for each message.
    pub slow_consumer: u64,
    /// What the draws come from.
    pub seed: u64,
}

impl Faults {
    /// Those that a task asks for.
    ///
    /// # Errors
    /// Where a stall is not `{at: TIME, for: TIME}`.
    pub fn of(task: &Task) -> Result<Faults, String> {
        let time = |name: &str| task.time(name).map_or(0, |t| t.as_nanos() as u64);
        let share = |name: &str| task.fraction(name).unwrap_or(0.0);
        let stall = match task.options.get("stall") {
            None => None,
            Some(stall) => {
                let part = |name: &str| {
                    let text = stall.get(name).and_then(|v| v.as_str());
                    text.and_then(|text| units::duration::parse(text).ok())
                        .map(|time| time.as_nanos() as u64)
                        .ok_or(format!(
                            "`stall` needs `{name}`, a time: {{at: 3s, for: 1s}}"
                        ))
                };
                Some((part("at")?, part("for")?))
            }
        };
        Ok(Faults {
            delay: time("delay"),
            jitter: time("jitter"),
            loss: share("loss"),
            duplicate: share("duplicate"),
            reorder: share("reorder"),
            stall,
            fail_ack: share("fail_ack"),
            service_time: time("service_time"),
            slow_consumer: time("slow_consumer"),
            seed: task.count("seed").unwrap_or(task.seed),
        })
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        *self
            != Faults {
                seed: self.seed,
                ..Faults::default()
            }
    }
}

/// What the model did, for comparison with what was found. Measured part only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Deliveries that never came.
    pub lost: u64,
    /// Deliveries that came twice.
    pub duplicated: u64,
    /// Deliveries that came after the one behind them.
    pub reordered: u64,
    /// Messages that were refused.
    pub refused: u64,
}

struct Timed {
    at: u64,
    /// Events of the same instant happen in the order in which they were decided.
    number: u64,
    event: Planned,
}

enum Planned {
    Event(Event),
    /// A held delivery whose successor has not come by now.
    Release {
        group: usize,
        destination: usize,
        number: u64,
    },
}

impl PartialEq for Timed {
    fn eq(&self, other: &Timed) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Timed {}
impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Timed) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timed {
    fn cmp(&self, other: &Timed) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A delivery that waits for the next one to pass it.
struct Held {
    number: u64,
    measured: bool,
    bytes: Vec<u8>,
}

/// A faulty broker.
pub struct Model {
    faults: Faults,
    random: Xoshiro256PlusPlus,
    events: BinaryHeap<Reverse<Timed>>,
    number: u64,
    /// When the server is free again.
    free: u64,
    stall: Option<(u64, u64)>,
    measured_from: u64,
    readers: Vec<Vec<usize>>,
    groups: usize,
    /// By group and destination: whose turn it is.
    turns: Vec<Vec<usize>>,
    held: Vec<Vec<Option<Held>>>,
    /// By group and consumer: when it is free again.
    consumers: Vec<Vec<u64>>,
    done: Done,
}

impl Model {
    /// For one trial.
    pub fn new(task: &Task, faults: Faults) -> Model {
        let workload = &task.workload;
        let groups = if workload.consumers == 0 {
            0
        } else {
            workload.groups as usize
        };
        let destinations = workload.destinations as usize;
        Model {
            random: Xoshiro256PlusPlus::seed_from_u64(faults.seed),
            faults,
            events: BinaryHeap::new(),
            number: 0,
            free: 0,
            stall: None,
            measured_from: 0,
            readers: task.readers(),
            groups,
            turns: vec![vec![0; destinations]; groups],
            held: (0..groups)
                .map(|_| (0..destinations).map(|_| None).collect())
                .collect(),
            consumers: vec![vec![0; workload.consumers as usize]; groups],
            done: Done::default(),
        }
    }

    /// What it did in the measured part.
    pub fn done(&self) -> Done {
        self.done
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && ((self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64) < share
    }

    fn plan(&mut self, at: u64, event: Planned) {
        self.number += 1;
        self.events.push(Reverse(Timed {
            at,
            number: self.number,
            event,
        }));
    }

    /// When the broker itself is done with a message that it accepts now.
    fn serve(&mut self, now: u64) -> u64 {
        let awake = |at: u64| match self.stall {
            Some((from, to)) if (from..to).contains(&at) => to,
            _ => at,
        };
        let done = awake(awake(now.max(self.free)) + self.faults.service_time);
        if self.faults.service_time > 0 {
            self.free = done;
        }
        done
    }

    fn deliver(&mut self, at: u64, group: usize, destination: usize, bytes: Vec<u8>) {
        let readers = &self.readers[destination];
        let turn = &mut self.turns[group][destination];
        let consumer = readers[*turn % readers.len()];
        *turn += 1;
        let mut at = at;
        if self.faults.slow_consumer > 0 {
            let free = &mut self.consumers[group][consumer];
            at = at.max(*free) + self.faults.slow_consumer;
            *free = at;
        }
        self.plan(
            at,
            Planned::Event(Event::Deliver {
                group,
                consumer,
                bytes,
            }),
        );
    }

    fn copy_to(
        &mut self,
        served: u64,
        group: usize,
        destination: usize,
        measured: bool,
        bytes: Vec<u8>,
    ) {
        let one = u64::from(measured);
        if self.happens(self.faults.loss) {
            self.done.lost += one;
            return;
        }
        let mut at = served + self.faults.delay;
        if self.faults.jitter > 0 {
            at += self.random.next_u64() % (self.faults.jitter + 1);
        }
        // Drawn for every delivery, so that one fault does not shift the draws of another.
        let (copied, passed) = (
            self.happens(self.faults.duplicate),
            self.happens(self.faults.reorder),
        );
        if copied {
            self.done.duplicated += one;
            self.deliver(at, group, destination, bytes.clone());
        } else if passed && self.held[group][destination].is_none() {
            self.number += 1;
            let number = self.number;
            self.held[group][destination] = Some(Held {
                number,
                measured,
                bytes,
            });
            self.plan(
                at + HELD,
                Planned::Release {
                    group,
                    destination,
                    number,
                },
            );
            return;
        }
        self.deliver(at, group, destination, bytes);
        if let Some(held) = self.held[group][destination].take() {
            self.done.reordered += u64::from(held.measured);
            self.deliver(at, group, destination, held.bytes);
        }
    }
}

impl Broker for Model {
    fn begin(&mut self, _start: u64, measured_from: u64) {
        self.measured_from = measured_from;
        self.stall = self
            .faults
            .stall
            .map(|(at, length)| (measured_from + at, measured_from + at + length));
    }

    fn accept(
        &mut self,
        now: u64,
        publisher: usize,
        token: Token,
        destination: u32,
        bytes: Vec<u8>,
    ) {
        let measured = token.is_measured();
        let served = self.serve(now);
        if self.happens(self.faults.fail_ack) {
            self.done.refused += u64::from(measured);
            let failed = Some("refused by the loopback, as asked (`fail_ack`)");
            self.plan(
                served,
                Planned::Event(Event::Answer {
                    publisher,
                    token,
                    failed,
                }),
            );
            // A refused message is delivered all the same: whoever counts it as lost has not looked.
        } else {
            let answer = Event::Answer {
                publisher,
                token,
                failed: None,
            };
            self.plan(served, Planned::Event(answer));
        }
        let destination = destination as usize;
        for group in 0..self.groups {
            self.copy_to(served, group, destination, measured, bytes.clone());
        }
    }

    fn next_at(&self) -> Option<u64> {
        self.events.peek().map(|event| event.0.at)
    }

    fn next(&mut self, now: u64) -> Option<Event> {
        while self.next_at().is_some_and(|at| at <= now) {
            match self.events.pop()?.0.event {
                Planned::Event(event) => return Some(event),
                Planned::Release {
                    group,
                    destination,
                    number,
                } => {
                    let held = &mut self.held[group][destination];
                    if held.as_ref().is_some_and(|h| h.number == number)
                        && let Some(held) = held.take()
                    {
                        // Nothing followed it, so it was late but not out of order.
                        self.deliver(now, group, destination, held.bytes);
                    }
                }
            }
        }
        None
    }
}
