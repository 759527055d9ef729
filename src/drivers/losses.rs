//! Connections that are lost in mid-trial: how long others are tried for, and what is said of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout_at};

use super::DriverError;
use super::target::GONE_AFTER;
use crate::engine::inbox::Inbox;
use crate::scenario::workload::Delivery;

/// How long after a loss or a failed attempt the next connection is tried.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// A connection that lasts for less was closed for what came over it.
const LASTS: Duration = Duration::from_secs(1);

/// What `attempt` makes in place of what was lost, if the server is there again soon.
///
/// # Errors
/// Why it ended, where another connection is of no help; otherwise with what happened instead.
pub async fn again<T>(
    ended: Ended,
    attempt: impl AsyncFn() -> Result<T, DriverError>,
) -> Result<T, DriverError> {
    if !ended.is_lost {
        return Err(ended.error);
    }
    let DriverError { doing, cause } = ended.error;
    let end = Instant::now() + GONE_AFTER;
    let mut why = String::new();
    while Instant::now() < end {
        sleep(AGAIN_AFTER).await;
        match timeout_at(end.into(), attempt()).await {
            Ok(Ok(made)) => return Ok(made),
            Ok(Err(error)) => why = format!(" ({})", error.cause),
            Err(_) => {}
        }
    }
    let seconds = GONE_AFTER.as_secs();
    let cause = format!("{cause} and not back after {seconds} s{why}");
    Err(DriverError { doing, cause })
}

/// Why a publisher or a consumer cannot go on with its connection.
#[derive(Clone, Debug)]
pub struct Ended<E = DriverError> {
    /// What was wrong.
    pub error: E,
    /// Whether the connection went, rather than that something was refused: then another may help.
    pub is_lost: bool,
}

impl<E> Ended<E> {
    /// The connection went.
    pub fn lost(error: E) -> Ended<E> {
        Ended {
            error,
            is_lost: true,
        }
    }

    /// Another connection is of no help.
    pub fn refused(error: E) -> Ended<E> {
        Ended {
            error,
            is_lost: false,
        }
    }
}

impl Ended<String> {
    /// With what was attempted.
    pub fn while_doing(self, doing: String) -> Ended {
        Ended {
            error: DriverError {
                doing,
                cause: self.error,
            },
            is_lost: self.is_lost,
        }
    }
}

/// Takes another connection in place of each that a publisher or a consumer loses.
#[derive(Debug)]
pub struct Comeback<'l> {
    /// What counts them.
    losses: &'l AtomicU64,
    /// When the last one was made.
    made: Option<Instant>,
}

impl Comeback<'_> {
    /// What `attempt` makes, as [`again`] does. What is lost as soon as it was made is not: a server that closes
    /// connections for what comes over them would do so for ever.
    ///
    /// # Errors
    /// Those of [`again`].
    pub async fn again<T>(
        &mut self,
        ended: Ended,
        attempt: impl AsyncFn() -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        if self.made.is_some_and(|made| made.elapsed() < LASTS) {
            return Err(ended.error);
        }
        let made = again(ended, attempt).await?;
        self.made = Some(Instant::now());
        self.losses.fetch_add(1, Ordering::Relaxed);
        Ok(made)
    }

    /// [`Comeback::again`] of a consumer. What does not come to it meanwhile is not lost for that.
    ///
    /// # Errors
    /// Those of [`again`].
    pub async fn receive_again<T>(
        &mut self,
        inbox: &mut Inbox,
        ended: Ended,
        attempt: impl AsyncFn() -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        inbox.away();
        let made = self.again(ended, attempt).await?;
        inbox.back();
        Ok(made)
    }
}

/// How often publishers and consumers of a trial have lost their connection and got another.
#[derive(Debug, Default)]
pub struct Losses {
    publishers: AtomicU64,
    consumers: AtomicU64,
}

impl Losses {
    /// For a publisher that loses connections.
    pub fn publisher(&self) -> Comeback<'_> {
        Comeback {
            losses: &self.publishers,
            made: None,
        }
    }

    /// For a consumer that loses connections.
    pub fn consumer(&self) -> Comeback<'_> {
        Comeback {
            losses: &self.consumers,
            made: None,
        }
    }

    /// For the reader of the trial's figures, where there is something to say.
    pub fn notes(&self, delivery: Delivery) -> Vec<String> {
        let to_consumers = match delivery {
            Delivery::AtMostOnce => "what was on its way to them is lost",
            _ => "what they had not acknowledged came again",
        };
        let sides = [
            (
                "publishers",
                &self.publishers,
                "what was on its way from them counts as failed",
            ),
            ("consumers", &self.consumers, to_consumers),
        ];
        let lost = sides.map(|(who, times, then)| (who, times.load(Ordering::Relaxed), then));
        let lost = lost.into_iter().filter(|(_, times, _)| *times > 0);
        let note = |(who, times, then)| {
            let often = match times {
                1 => "once".to_owned(),
                _ => format!("{times} times"),
            };
            format!("{who} lost their connection {often} and came back: {then}")
        };
        lost.map(note).collect()
    }
}
