//! `loopback` with faults on the real clock: a thread that carries out what the model decides.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::faults::Model;
use super::loopback_pipes::Hub;
use crate::engine::acks::Acks;
use crate::engine::pacing::AsyncOutbox;
use crate::engine::shared::lock;
use crate::engine::simulation::{Broker, Event};
use crate::measure::clock::{Clock, Monotonic};

/// A thread that carries out what the model of a faulty broker decides.
pub(super) struct Bench {
    pub(super) desk: Arc<Desk>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Where publishers hand in messages for the model.
pub(super) struct Desk {
    state: Mutex<DeskState>,
    changed: Condvar,
}

struct DeskState {
    model: Model,
    acks: Vec<Option<Acks>>,
    begun: bool,
    over: bool,
}

impl Desk {
    pub(super) fn enter(&self, publisher: usize, acks: Acks, outbox: &AsyncOutbox) {
        let mut state = lock(&self.state);
        if state.acks.len() <= publisher {
            state.acks.resize(publisher + 1, None);
        }
        state.acks[publisher] = Some(acks);
        if !state.begun {
            state.begun = true;
            let timeline = &outbox.ledger().timeline;
            state
                .model
                .begin(timeline.start(), timeline.measured_from());
        }
    }

    pub(super) fn accept_all(&self, publisher: usize, outbox: &mut AsyncOutbox) {
        let mut state = lock(&self.state);
        let now = Monotonic.now();
        while let Some(message) = outbox.next() {
            let mut bytes = Vec::with_capacity(message.len());
            message.append_to(&mut bytes);
            state
                .model
                .accept(now, publisher, message.token, message.destination, bytes);
        }
        drop(state);
        self.changed.notify_one();
    }
}

impl Bench {
    pub(super) fn start(model: Model, hub: Arc<Hub>) -> Bench {
        let desk = Arc::new(Desk {
            state: Mutex::new(DeskState {
                model,
                acks: Vec::new(),
                begun: false,
                over: false,
            }),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&desk);
        let thread = thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || carry_out(&own, &hub))
            .ok();
        Bench { desk, thread }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        lock(&self.desk.state).over = true;
        self.desk.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It holds nothing that could keep it: it ends at the next event or notice.
            let _ = thread.join();
        }
    }
}

/// Shorter waits than this are passed looking at the clock, nanoseconds.
const SPIN: u64 = 60_000;

fn carry_out(desk: &Desk, hub: &Hub) {
    // Precise sleeps; where it is refused the faults come a little later than asked.
    let _ = nix::sys::prctl::set_timerslack(1);
    let mut state = lock(&desk.state);
    while !state.over {
        let now = Monotonic.now();
        match state.model.next_at() {
            Some(at) if at <= now => {
                let event = state.model.next(now);
                match event {
                    Some(Event::Deliver {
                        group,
                        consumer,
                        bytes,
                    }) => {
                        hub.pipes[group][consumer]
                            .push(|chunk| chunk.add(|all| all.extend_from_slice(&bytes)));
                    }
                    Some(Event::Answer {
                        publisher,
                        token,
                        failed,
                    }) if hub.acks => {
                        if let Some(Some(acks)) = state.acks.get(publisher) {
                            match failed {
                                None => acks.acked(token),
                                Some(reason) => acks.failed(token, &reason),
                            }
                        }
                    }
                    _ => {}
                }
            }
            Some(at) if at - now < SPIN => {
                drop(state);
                std::hint::spin_loop();
                state = lock(&desk.state);
            }
            next => {
                let wait = next.map_or(Duration::from_millis(100), |at| {
                    Duration::from_nanos(at - now - SPIN)
                });
                state = match desk.changed.wait_timeout(state, wait) {
                    Ok((state, _)) => state,
                    Err(poisoned) => poisoned.into_inner().0,
                };
            }
        }
    }
}
