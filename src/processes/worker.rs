//! The process of one trial: an order in, progress and a record out, one JSON value a line.
//!
//! A hung client library costs one trial, memory and CPU are the trial's own, and the supervisor can
//! end it at its deadline. When the supervisor is gone, its pipe closes and the worker ends.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::drivers;
use crate::engine::controller::Part;
use crate::engine::ledger::Ledger;
use crate::engine::run::{News, Run};
use crate::engine::task::Task;
use crate::measure::cells::Cells;
use crate::measure::clock::{Clock, Monotonic};
use crate::measure::progress::{Phase, Progress};
use crate::measure::record::{Record, Second};
use crate::measure::resources::{Parties, Watch};
use crate::scenario::Pinned;
use crate::scenario::workload::{Load, Measure};

/// A broker that does not even answer when a trial is prepared, or when its destinations are removed.
const PREPARE: Duration = Duration::from_secs(20);
/// The same when the user does not want to wait.
const PREPARE_SOON: Duration = Duration::from_secs(2);
const CLEAN_UP: Duration = Duration::from_secs(10);
/// The same when the user waits: the supervisor's patience must not end first, as the record would be
/// lost with it.
const CLEAN_UP_SOON: Duration = Duration::from_secs(3);

/// What a worker is told, as the one line before all others.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The trial.
    pub task: Task,
    /// Processes whose use of the machine is part of the run.
    pub supervisor: i32,
    /// The broker's processes, where they are local.
    pub brokers: Vec<i32>,
    /// Processes of a container engine that the broker needs.
    #[serde(default)]
    pub helpers: Vec<i32>,
    /// Folders in which the broker keeps its data.
    pub data: Vec<PathBuf>,
    /// On which cores threads of publishers and consumers run.
    #[serde(default)]
    pub pinned: Pinned,
}

/// What a worker tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// How far it is.
    Progress(Progress),
    /// What it saw: its last word.
    Record(Box<Record>),
}

/// A line that asks a worker to end with what it has.
pub const INTERRUPT: &str = "interrupt";

/// Runs the trial that standard input names.
///
/// # Errors
/// Where standard input or output fails: then the supervisor is gone.
pub fn main() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line)?;
    let record = match trial(order, input) {
        Ok(record) => record,
        Err(failure) => Record {
            failure: Some(failure),
            ..Record::default()
        },
    };
    tell(&Word::Record(Box::new(record)))
}

fn tell(word: &Word) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

fn trial(order: Order, input: BufReader<io::Stdin>) -> Result<Record, String> {
    let driver = drivers::find(&order.task.driver)
        .ok_or_else(|| format!("there is no driver {}", order.task.driver))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime could be started: {e}"))?;
    let ledger = Ledger::open(order.task)?;
    let mut asked_to_end = listen(input);
    let prepared = runtime.block_on(async {
        tokio::select! {
            prepared = tokio::time::timeout(PREPARE, driver.prepare(&ledger.task)) => Some(prepared),
            // What is being made is finished if that is possible, so that it can be removed.
            () = async { end_of(&mut asked_to_end).await; tokio::time::sleep(PREPARE_SOON).await } => None,
        }
    });
    let Some(prepared) = prepared else {
        return Ok(Record {
            interrupted: true,
            ..Record::default()
        });
    };
    let session = prepared
        .map_err(|_| format!("the broker did not answer within {} s", PREPARE.as_secs()))?
        .map_err(|e| e.to_string())?;
    let session: Arc<dyn drivers::Session> = Arc::from(session);
    let run = Run::new(Arc::clone(&ledger), Arc::clone(&session)).pinned(order.pinned);
    let interrupter = run.interrupter();
    runtime.spawn(async move {
        end_of(&mut asked_to_end).await;
        interrupter.interrupt();
    });
    let watch = Watch::new(Parties {
        supervisor: order.supervisor,
        brokers: order.brokers,
        helpers: order.helpers,
        data: order.data,
    });
    let mut teller = Teller::new(&ledger);
    let mut record = run.run(watch, |news| teller.tell(&news));
    let patience = if record.interrupted {
        CLEAN_UP_SOON
    } else {
        CLEAN_UP
    };
    let cleaned =
        runtime.block_on(async { tokio::time::timeout(patience, session.clean_up()).await });
    let problem = match cleaned {
        Ok(Ok(())) => None,
        Ok(Err(e)) => Some(e.to_string()),
        Err(_) => Some(format!("no answer within {} s", patience.as_secs())),
    };
    // A broker that failed cannot clean up either: that is known already.
    if let (Some(problem), None) = (problem, &record.failure) {
        record
            .notes
            .push(format!("what the trial made was not removed: {problem}"));
    }
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(record)
}

/// Listens for the supervisor's wish to end the trial, and for its own end, which means the same.
fn listen(mut input: BufReader<io::Stdin>) -> watch::Receiver<bool> {
    let (tell, hear) = watch::channel(false);
    std::thread::spawn(move || {
        let mut line = String::new();
        // End of file, an error and a line all mean the same: end.
        let _ = input.read_line(&mut line);
        tell.send_replace(true);
    });
    hear
}

/// Returns when the trial is to end.
async fn end_of(asked: &mut watch::Receiver<bool>) {
    // A listener that is gone has nobody to listen to any more.
    let _ = asked.wait_for(|asked| *asked).await;
}

/// Turns the engine's news into the worker's words.
struct Teller {
    ledger: Arc<Ledger>,
    phase: Phase,
    since: u64,
    warmup: f64,
    measure: Option<f64>,
    drain: f64,
}

impl Teller {
    fn new(ledger: &Arc<Ledger>) -> Teller {
        let task = &ledger.task;
        let measure = match (&task.workload.load, task.phases.measure) {
            (Load::Steps { steps, .. }, Measure::Time(_)) => {
                Some(steps.iter().map(|s| s.lasts.as_secs_f64()).sum())
            }
            (_, Measure::Time(time)) => Some(time.as_secs_f64()),
            (_, Measure::Count(_)) => None,
        };
        Teller {
            ledger: Arc::clone(ledger),
            phase: Phase::Starting,
            since: Monotonic.now(),
            warmup: task.phases.warmup.as_secs_f64(),
            measure,
            drain: task.phases.drain.as_secs_f64(),
        }
    }

    fn tell(&mut self, news: &News) {
        let mut progress = Progress::starting();
        match news {
            News::Starting => {}
            News::Filling(sent) => progress.per_second = *sent as f64,
            News::Part(part) => self.enter(*part),
            News::Second(part, second) => {
                self.enter(*part);
                let nothing_received = second.received == 0;
                progress.per_second = if nothing_received {
                    second.sent
                } else {
                    second.received
                } as f64;
                progress.latency = second
                    .latency
                    .or(second.publish)
                    .map(|[p50, p99, _]| [p50, p99]);
                progress.backlog = second.backlog;
                progress.errors = self.ledger.failed();
                // How its samples lie is of use when the trial is over, and would be told twice.
                progress.second = Some(Box::new(Second {
                    cells: Cells::default(),
                    ..(*second).clone()
                }));
            }
        }
        progress.phase = self.phase;
        progress.elapsed = (Monotonic.now() - self.since) as f64 / 1e9;
        progress.length = match self.phase {
            Phase::Starting => None,
            Phase::WarmUp => Some(self.warmup),
            Phase::Measuring => self.measure,
            Phase::Draining => Some(self.drain),
        };
        // Without a supervisor to hear it, the trial is ended by the closed pipe anyway.
        let _ = tell(&Word::Progress(progress));
    }

    fn enter(&mut self, part: Part) {
        let phase = match part {
            Part::WarmUp => Phase::WarmUp,
            Part::Measuring => Phase::Measuring,
            Part::Draining | Part::Over => Phase::Draining,
        };
        if phase != self.phase {
            (self.phase, self.since) = (phase, Monotonic.now());
        }
    }
}
