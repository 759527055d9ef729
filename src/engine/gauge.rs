//! Asks the broker itself how many messages wait in it, about once a second, beside the load.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::crew::{Crew, Ending, on_runtime};
use super::shared::lock;
use crate::measure::clock::{Clock, Monotonic};

const EVERY: Duration = Duration::from_secs(1);
/// A broker that has not answered after this time is asked again; one that merely stood still for a
/// moment is not worth a note.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the broker said last.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// When, and how many; taken when it is read.
    said: Mutex<Option<(u64, u64)>>,
    /// Since when it has owed an answer, nanoseconds: one that has answered before, and does not now.
    owes: AtomicU64,
    /// Why it could not be asked, the first time.
    trouble: Mutex<Option<String>>,
}

impl Gauge {
    /// Asks until the trial is over, on a thread of its own: an answer that does not come holds nobody
    /// up. Where the driver cannot ask, there is no thread.
    pub fn start(crew: &mut Crew) -> Result<Arc<Gauge>, Ending> {
        let gauge = Arc::new(Gauge::default());
        if crew.session.backlog().is_some() {
            let (tell, over) = (crew.tell.clone(), Arc::clone(&crew.over));
            let (session, asking) = (Arc::clone(&crew.session), Arc::clone(&gauge));
            crew.spawn("gauge".to_owned(), move || {
                on_runtime(&tell, async |_| {
                    let asking = async {
                        let mut turn = interval(EVERY);
                        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
                        let mut has_answered = false;
                        while let Some(question) = session.backlog() {
                            turn.tick().await;
                            if has_answered {
                                asking.asks();
                            }
                            match timeout(PATIENCE, question).await {
                                Ok(Ok(waiting)) => {
                                    has_answered = true;
                                    asking.says(waiting);
                                }
                                Ok(Err(error)) => asking.fails(error.to_string()),
                                Err(_) => asking.fails(format!(
                                    "no answer came within {} s",
                                    PATIENCE.as_secs()
                                )),
                            }
                        }
                    };
                    match select(pin!(asking), pin!(over.pass_task())).await {
                        Either::Left(_) | Either::Right(_) => {}
                    }
                });
            })?;
        }
        Ok(gauge)
    }

    fn asks(&self) {
        if self.owes().is_none() {
            self.owes.store(Monotonic.now().max(1), Ordering::Relaxed);
        }
    }

    fn says(&self, waiting: u64) {
        self.owes.store(0, Ordering::Relaxed);
        *lock(&self.said) = Some((Monotonic.now(), waiting));
    }

    fn fails(&self, why: String) {
        lock(&self.trouble).get_or_insert(why);
    }

    /// What has been said since the last time: when, and how many.
    pub fn take(&self) -> Option<(u64, u64)> {
        lock(&self.said).take()
    }

    /// Since when it has owed an answer, if it does: it stands still, or is gone.
    pub fn owes(&self) -> Option<u64> {
        Some(self.owes.load(Ordering::Relaxed)).filter(|since| *since > 0)
    }

    /// What a reader of the figures must know, if there is anything.
    pub fn note(&self) -> Option<String> {
        let trouble = lock(&self.trouble);
        let why = trouble.as_ref()?;
        Some(format!(
            "the broker's own backlog is not known throughout: {why}"
        ))
    }
}
