//! Carries out a plan: servers, then one worker after the other, each attempt on disk when it ends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::drivers;
use crate::engine::task::Task;
use crate::measure::pace;
use crate::measure::progress::Progress;
use crate::measure::record::Record;
use crate::measure::verdict::Outcome;
use crate::plan::{Connection, Plan, PlannedBroker, PlannedTrial};
use crate::results::{Attempt, Results, Store, StoreError, Tried};
use crate::scenario::units::Rate;
use crate::scenario::workload::Durability;
use crate::servers::{self, Felt};
use crate::stats::course;
use crate::stats::search::{self, Next};

use super::fleet::{Fleet, Site};
use super::local::Party;
use super::reaper::Reaper;
use super::worker::{INTERRUPT, Order, Word};

/// The hidden command that is a worker.
pub const WORKER: &str = "__worker";

/// What a trial may take besides its phases: connections, subscriptions, clean-up.
const AROUND: Duration = Duration::from_secs(75);
/// A trial that ends by count and moves nothing for so long is ended.
const STANDSTILL: Duration = Duration::from_secs(60);
/// How long a worker may take to end when it is asked to.
const ASKED: Duration = Duration::from_secs(8);
/// How often the user's wish to end is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// What is kept of a worker's standard error, bytes.
const TAIL: usize = 2048;

/// How often the user has asked for the end: once is an end with partial results.
static INTERRUPTS: AtomicU8 = AtomicU8::new(0);

/// Whether the user wants the run to end.
pub fn is_interrupted() -> bool {
    INTERRUPTS.load(Ordering::Relaxed) > 0
}

/// The user wants the run to end: as Ctrl-C, once with what it has, twice at once.
pub fn interrupt() {
    INTERRUPTS.fetch_add(1, Ordering::Relaxed);
}

/// Listens for Ctrl-C, for TERM and for a closed terminal, from now on.
///
/// # Errors
/// Where the runtime of the listener cannot be made.
pub fn listen_for_interrupts() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Registered before this returns: a signal that comes right after must not end the process.
    let (mut interrupted, mut terminate, mut hangup) = runtime.block_on(async {
        Ok::<_, io::Error>((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ))
    })?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupted.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                    interrupt();
                }
            });
        })?;
    Ok(())
}

/// What the supervisor tells while it works.
pub enum Event<'a> {
    /// So many servers are suspended.
    Suspended(usize),
    /// A trial begins; attempts count from 1. The last is what a search tries with it.
    Begin(&'a PlannedTrial, u32, Option<Tried>),
    /// How far it is.
    Progress(Progress),
    /// It is over: all that was seen, what it is worth, and whether it is made again.
    End(&'a Record, &'a Attempt, bool),
    /// Something that the user should know.
    Say(String),
}

/// Carries out the plan of these results and adds to them. What was measured is on disk whatever happens.
///
/// # Errors
/// Where results cannot be kept; nothing else ends a run early but the user.
pub fn run(
    plan: &Plan,
    fleet: &mut Fleet,
    reaper: &Reaper,
    store: &Store,
    results: &mut Results,
    tell: &mut dyn FnMut(Event),
) -> Result<(), StoreError> {
    for trial in &plan.trials {
        if beyond_saturation(results, trial) {
            continue;
        }
        let Some((plan, tried)) = part(plan, results, trial) else {
            continue;
        };
        let mut attempt = 1;
        loop {
            if is_interrupted() {
                return Ok(());
            }
            tell(Event::Begin(trial, attempt, tried));
            let record = one(
                &plan,
                trial,
                attempt,
                fleet,
                reaper,
                &results.manifest.id,
                tell,
            );
            let seen = Attempt {
                tried,
                course: course::look(&record, &plan),
                ..Attempt::of(&record, &plan, trial, attempt)
            };
            // By this sign alone, never by its result; but one that failed or was broken off measured
            // nothing that others could have disturbed.
            let again = seen.disturbed.is_some()
                && record.failure.is_none()
                && !record.interrupted
                && attempt <= plan.disturbed.repeats;
            store.keep_trial(trial.number, attempt, &record)?;
            tell(Event::End(&record, &seen, again));
            results.add(seen);
            results.capacities = search::capacities(results);
            store.keep(results)?;
            if !again {
                break;
            }
            attempt += 1;
        }
    }
    Ok(())
}

/// What is asked in this trial: at its load point, or what a search wants to know next of its broker, if anything.
fn part<'a>(
    plan: &'a Plan,
    results: &Results,
    trial: &PlannedTrial,
) -> Option<(Cow<'a, Plan>, Option<Tried>)> {
    if plan.search.is_none() {
        return Some((plan.at(trial.point), None));
    }
    let (part, tried) = match search::next(results, trial.broker) {
        Next::Closed => (plan.closed_loop(), Tried::Loop),
        Next::Probe(rate) => (plan.at_rate(Rate(rate), false), Tried::Probe(Rate(rate))),
        Next::Confirm(rate) => (plan.at_rate(Rate(rate), true), Tried::Confirm(Rate(rate))),
        Next::Over => return None,
    };
    Some((Cow::Owned(part), Some(tried)))
}

/// Whether a broker was offered less than this already, at two load points of a sweep, and could not take it: what
/// comes of more is known, and costs the others time. Of several trials at a point the last one tells.
fn beyond_saturation(results: &Results, trial: &PlannedTrial) -> bool {
    const ENOUGH: usize = 2;
    let seen = |point: usize| {
        let trials = results.standing_of(trial.broker);
        trials.filter(|it| it.point == point).last()
    };
    let too_much = |attempt: &Attempt| {
        matches!(
            attempt.verdict.outcome,
            Outcome::Failed | Outcome::Saturated
        )
    };
    let lower = (0..trial.point).filter_map(seen);
    lower.filter(|it| too_much(it)).count() >= ENOUGH
}

/// One attempt at one trial. Whatever goes wrong becomes part of the record.
fn one(
    plan: &Plan,
    trial: &PlannedTrial,
    attempt: u32,
    fleet: &mut Fleet,
    reaper: &Reaper,
    run_id: &str,
    tell: &mut dyn FnMut(Event),
) -> Record {
    let broker = &plan.brokers[trial.broker];
    let site = fleet.focus(trial.broker);
    for note in fleet.take_notes() {
        tell(Event::Say(note));
    }
    let site = match site {
        Ok(site) => site,
        Err(failure) => {
            return Record {
                failure: Some(one_line(&failure)),
                ..Record::default()
            };
        }
    };
    tell(Event::Suspended(
        fleet.len().saturating_sub(usize::from(site.url.is_some())),
    ));
    if broker.offer.durability > Durability::Memory {
        // What the trial before has left to be written back would be written during this one.
        nix::unistd::sync();
    }
    let party = match &broker.connection {
        Connection::External { url } => Party::at(url, usual_port(&broker.driver)),
        _ => Party {
            brokers: site.pids.clone(),
            helpers: site.helpers.clone(),
        },
    };
    let order = Order {
        task: task(plan, broker, trial, attempt, &site, run_id),
        supervisor: std::process::id() as i32,
        brokers: party.brokers,
        helpers: party.helpers,
        data: site.data,
        pinned: plan.placement.cores.clone(),
    };
    let limit = deadline(plan);
    let felt = Felt::of(&site.control_groups);
    let before = pace::work_ns();
    let mut record = match Worker::start(reaper, &order) {
        Ok(worker) => worker.attend(limit, tell),
        Err(error) => Record {
            failure: Some(format!("no worker could be started: {error}")),
            ..Record::default()
        },
    };
    let after = pace::work_ns();
    record.work_ns = before.zip(after).map(|(one, other)| (one + other) / 2.0);
    limits(&mut record, &Felt::of(&site.control_groups).since(&felt));
    // The server's own words say more than what its clients saw of its end.
    if let (Some(failure), Some(trouble)) = (&mut record.failure, fleet.trouble(trial.broker)) {
        *failure = format!("{trouble} ({failure})");
    }
    record.failure = record.failure.map(|failure| one_line(&failure));
    if !reaper.lives() {
        let note = "the process that ends servers and workers if mqbench is killed has ended itself: \
                    nothing more can be started in this run";
        record.notes.push(note.to_owned());
        tell(Event::Say(note.to_owned()));
    }
    record
}

/// Notes what limits did to the server in a trial, where that is worth a word.
fn limits(record: &mut Record, felt: &Felt) {
    /// Less than this is what every scheduler does.
    const LEAST: Duration = Duration::from_millis(10);
    if felt.held_back > LEAST {
        let note = "the limit of CPU time held the broker back";
        record.notes.push(note.to_owned());
        let seconds = format!("{:.2} s", felt.held_back.as_secs_f64());
        let fact = "held back by the limit of CPU time";
        record.server_facts.push((fact.to_owned(), seconds));
    }
    if felt.refused > 0 {
        let note = "the broker reached its limit of memory";
        record.notes.push(note.to_owned());
        let times = felt.refused.to_string();
        let fact = "times that the limit of memory was reached";
        record.server_facts.push((fact.to_owned(), times));
    }
}

/// Where a broker of this kind is found whose address names no port.
fn usual_port(driver: &str) -> Option<u16> {
    let server = drivers::find(driver)?.descriptor().server?;
    let (_, port) = servers::named(server).ok()?.about().url.rsplit_once(':')?;
    port.parse().ok()
}

/// A message of several lines as the one line that a reason is.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ")
    });
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

/// The latest that a trial may end; `None` where it ends by count alone.
fn deadline(plan: &Plan) -> Option<Duration> {
    let (_, most) = plan.estimate()?;
    let trials = u32::try_from(plan.trials.len()).unwrap_or(u32::MAX).max(1);
    Some(most / trials + AROUND)
}

fn task(
    plan: &Plan,
    broker: &PlannedBroker,
    trial: &PlannedTrial,
    attempt: u32,
    site: &Site,
    run_id: &str,
) -> Task {
    let url = match &broker.connection {
        Connection::External { url } => Some(url.clone()),
        _ => site.url.clone(),
    };
    let secrets = &broker.secrets;
    Task {
        run: u32::from_str_radix(run_id, 16).unwrap_or_default(),
        // Unlike for every attempt of the run, so that a late message of one before is foreign.
        trial: (trial.number * 8 + attempt) as u16,
        run_id: run_id.to_owned(),
        seed: trial.seed,
        driver: broker.driver.clone(),
        url,
        user: secrets.user.clone(),
        password: secrets
            .password
            .as_ref()
            .map(|secret| secret.reveal().to_owned()),
        token: secrets
            .token
            .as_ref()
            .map(|secret| secret.reveal().to_owned()),
        tls: broker.tls.clone(),
        nodes: broker.connection.nodes(),
        destination: broker.destination.clone(),
        options: broker
            .options
            .clone()
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        delivery: broker.offer.delivery,
        durability: broker.offer.durability,
        acks: broker.offer.acks,
        order: broker.offer.order,
        window: broker.window,
        workload: plan.workload_of(broker),
        phases: plan.phases,
    }
}

/// A worker that runs.
struct Worker {
    process: Child,
    orders: ChildStdin,
    words: Receiver<Word>,
    complaints: thread::JoinHandle<String>,
    group: crate::servers::Group,
}

impl Worker {
    fn start(reaper: &Reaper, order: &Order) -> io::Result<Worker> {
        let mut process = reaper
            .command(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let group = reaper.adopt(process.id());
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut orders = process.stdin.take().ok_or_else(missing)?;
        let said = process.stdout.take().ok_or_else(missing)?;
        let complaints = process.stderr.take().ok_or_else(missing)?;
        let group = group?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        orders.write_all(&line)?;
        orders.flush()?;
        let (tell, words) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                // A library that prints to standard output says nothing of ours.
                if let Ok(word) = serde_json::from_str(&line)
                    && tell.send(word).is_err()
                {
                    break;
                }
            }
        });
        let complaints = thread::spawn(move || last_words(complaints.into()));
        Ok(Worker {
            process,
            orders,
            words,
            complaints,
            group,
        })
    }

    /// Listens until it is done, or its time is up, or the user wants no more.
    fn attend(mut self, limit: Option<Duration>, tell: &mut dyn FnMut(Event)) -> Record {
        let began = Instant::now();
        let mut moved = Instant::now();
        let mut asked: Option<Instant> = None;
        let mut record = None;
        let mut late = None;
        loop {
            match self.words.recv_timeout(LOOK) {
                Ok(Word::Progress(progress)) => {
                    if progress.per_second > 0.0 {
                        moved = Instant::now();
                    }
                    tell(Event::Progress(progress));
                }
                Ok(Word::Record(seen)) => {
                    record = Some(*seen);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if asked.is_none() {
                let hung = match limit {
                    Some(limit) => began.elapsed() > limit,
                    None => moved.elapsed() > STANDSTILL,
                };
                if hung {
                    late = Some(match limit {
                        Some(limit) => format!("it had not ended after {} s", limit.as_secs()),
                        None => format!("nothing moved for {} s", STANDSTILL.as_secs()),
                    });
                }
                if hung || is_interrupted() {
                    // If it is gone already, its pipes tell.
                    let _ = writeln!(self.orders, "{INTERRUPT}");
                    asked = Some(Instant::now());
                }
            }
            let patience = if INTERRUPTS.load(Ordering::Relaxed) > 1 {
                Duration::ZERO
            } else {
                ASKED
            };
            if asked.is_some_and(|asked| asked.elapsed() > patience) {
                break;
            }
        }
        let ended = self.end(record.is_some());
        let mut record = record.unwrap_or_else(|| Record {
            interrupted: is_interrupted(),
            failure: (!is_interrupted()).then(|| ended.clone()),
            ..Record::default()
        });
        if let Some(late) = late {
            record.interrupted = false;
            record.failure.get_or_insert(late);
        }
        record
    }

    /// Sees to it that it is gone; how it ended, in words.
    fn end(mut self, is_done: bool) -> String {
        drop(self.orders);
        let grace = if is_done {
            Duration::from_secs(3)
        } else {
            Duration::ZERO
        };
        let gone = crate::servers::group::wait_until(grace, || {
            matches!(self.process.try_wait(), Ok(Some(_)))
        });
        if !gone {
            self.group.end(Duration::ZERO);
        }
        let status = self.process.wait();
        let last = self.complaints.join().unwrap_or_default();
        let how = match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        if last.is_empty() {
            format!("its worker ended early ({how})")
        } else {
            format!("its worker ended early ({how}): {last}")
        }
    }
}

/// The end of what a worker has to complain about, as one line.
fn last_words(pipe: OwnedFd) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut reader = std::fs::File::from(pipe);
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let excess = kept.len().saturating_sub(TAIL);
        kept.drain(..excess);
    }
    let text = String::from_utf8_lossy(&kept);
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("note:"));
    lines.collect::<Vec<_>>().join(" · ")
}

/// The keeper that servers are started with is the reaper that workers are watched by.
pub fn reaper() -> io::Result<Arc<Reaper>> {
    Reaper::start().map(Arc::new)
}
