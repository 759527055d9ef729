//! Watches over a trial: when its parts begin and end, what is written down each second, and the
//! record at the end. The same for the real and the simulated clock: whoever runs it asks `step` what
//! to wait for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ledger::Ledger;
use super::shared::lock;
use super::task::Task;
use crate::measure::cells::Cells;
use crate::measure::latency::Kind;
use crate::measure::record::{Audit, Gap, Rates, Record, Second, Slope};
use crate::measure::resources::{Sample, Seen, Usage};
use crate::measure::verdict::slope;
use crate::scenario::workload::{Load, Measure};

const SECOND: u64 = 1_000_000_000;
/// How often the backlog is looked at, nanoseconds; more often where the measured part is so short that
/// its growth could not be told from so few looks.
const LOOK: u64 = 100_000_000;
const LOOKS: u64 = 24;
const LEAST_LOOK: u64 = 1_000_000;
/// How often the drain looks whether everything is in, nanoseconds.
const DRAIN_LOOK: u64 = 1_000_000;
/// A drain at whose limit the last receipt is younger than this was cut off, nanoseconds.
const STILL_COMING: u64 = 500_000_000;
/// Publishers have ended so long after the measured part, unless something holds them, nanoseconds.
const STUCK: u64 = 1_000_000_000;
/// The most samples of the backlog that are kept; beyond it, every other one goes. So a run of any
/// length needs the same memory.
const SAMPLES: usize = 16_384;
/// The latencies of receipt, of which a trial has one: in an open loop and in a closed one.
const RECEIVED: [Kind; 2] = [Kind::EndToEnd, Kind::Transit];
/// Those of publishing.
const PUBLISHED: [Kind; 2] = [Kind::Publish, Kind::Service];

/// In which part a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Load that is not measured.
    WarmUp,
    /// Load that is.
    Measuring,
    /// Waiting for what is still on its way.
    Draining,
    /// Over.
    Over,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Come back at this instant, nanoseconds.
    Until(u64),
    /// The trial is over.
    Done,
}

/// Counts at an instant.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    at: u64,
    sent: u64,
    released: u64,
    copies: u64,
    bytes: u64,
}

/// Watches over one trial.
#[derive(Debug)]
pub struct Controller {
    ledger: Arc<Ledger>,
    part: Part,
    /// Start and end of the measured part, as seen.
    from: Option<Counts>,
    to: Option<Counts>,
    look: u64,
    next_look: u64,
    next_second: u64,
    last_second: Counts,
    series: Vec<Second>,
    backlog: Samples,
    /// The same, as the server says it.
    server: Samples,
    /// What it said in the second that runs.
    server_says: Option<u64>,
    /// Whether it said last, in the drain, that it holds messages for us.
    server_holds: bool,
    /// Since when it has owed an answer to that question, nanoseconds.
    server_owes: Option<u64>,
    drain_until: u64,
    drain_from: u64,
    drain_cut: bool,
    /// When the usage that is told was read.
    used: Option<Counts>,
}

impl Controller {
    /// Takes over; the load has begun.
    pub fn new(ledger: &Arc<Ledger>) -> Controller {
        let start = ledger.timeline.start();
        let look = look_every(&ledger.task);
        Controller {
            ledger: Arc::clone(ledger),
            part: Part::WarmUp,
            from: None,
            to: None,
            look,
            next_look: start + look,
            next_second: start + SECOND,
            last_second: Counts {
                at: start,
                ..Counts::default()
            },
            series: Vec::new(),
            backlog: Samples::default(),
            server: Samples::default(),
            server_says: None,
            server_holds: false,
            server_owes: None,
            drain_until: u64::MAX,
            drain_from: 0,
            drain_cut: false,
            used: None,
        }
    }

    /// Takes down that the usage of the measured part is read now, with what was done until then.
    pub fn usage_ends(&mut self, now: u64) {
        self.used = Some(self.count(now));
    }

    /// In which part the trial is.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The seconds so far.
    pub fn series(&self) -> &[Second] {
        &self.series
    }

    /// Takes down how many messages wait in the broker, as it says itself.
    pub fn server_says(&mut self, at: u64, waiting: u64) {
        self.server_says = Some(waiting);
        self.server_holds = waiting > 0 && self.part == Part::Draining && self.is_ours();
        if self.part == Part::Measuring {
            self.server.add(at, waiting);
        }
    }

    /// Takes down since when the broker has not answered how many messages wait, if it does not: what it holds then is
    /// not known.
    pub fn server_owes(&mut self, since: Option<u64>) {
        self.server_owes = since.filter(|_| self.is_ours());
    }

    /// Whether what waits in the broker is all for consumers of this trial: where nobody consumes it is
    /// meant to stay, and an existing destination has the messages of others too.
    fn is_ours(&self) -> bool {
        !self.ledger.groups.is_empty() && self.ledger.task.destination.is_none()
    }

    /// Whether a second ends now: then the resources are to be sampled and given to `step`.
    pub fn wants_sample(&self, now: u64) -> bool {
        now >= self.next_second
    }

    /// Does what is due now and says what to wait for.
    pub fn step(&mut self, now: u64, sample: Option<&Sample>) -> Step {
        let timeline = &self.ledger.timeline;
        let (from, to) = (timeline.measured_from(), timeline.measured_to());
        for group in &self.ledger.groups {
            group.settle();
        }
        if self.from.is_none() && now >= from {
            self.from = Some(self.count(now));
            self.part = Part::Measuring;
        }
        let sent_all = self.ledger.all_sent();
        if self.to.is_none() && (now >= to || sent_all) {
            self.to = Some(self.count(now));
        }
        if now >= self.next_look {
            if self.part == Part::Measuring {
                self.backlog.add(now, self.ledger.backlog());
            }
            self.next_look += self.look * (1 + (now - self.next_look) / self.look);
        }
        if now >= self.next_second {
            self.end_second(now, sample);
            self.next_second += SECOND * (1 + (now - self.next_second) / SECOND);
        }
        // A publisher that a client library does not let go must not keep the trial: its time is up too.
        let overdue = to < u64::MAX && now >= to.saturating_add(STUCK);
        if (sent_all || overdue) && self.part != Part::Draining {
            self.part = Part::Draining;
            self.drain_from = now;
            self.drain_until = now + self.ledger.task.phases.drain.as_nanos() as u64;
        }
        if self.part == Part::Draining {
            if sent_all && self.ledger.all_received() && self.ledger.all_resolved() {
                self.part = Part::Over;
                return Step::Done;
            }
            if now >= self.drain_until {
                let since = now.saturating_sub(STILL_COMING);
                let mut groups = self.ledger.groups.iter();
                self.drain_cut = self.server_holds
                    || self.server_owes.is_some_and(|asked| asked < since)
                    || groups.any(|it| it.is_receiving(since));
                self.part = Part::Over;
                return Step::Done;
            }
        }
        let mut until = self.next_look.min(self.next_second);
        if self.from.is_none() {
            until = until.min(from);
        }
        if self.to.is_none() {
            until = until.min(to);
        }
        if self.part == Part::Draining || now >= to {
            until = until.min(now + DRAIN_LOOK);
        }
        Step::Until(until)
    }

    fn count(&self, now: u64) -> Counts {
        let groups = &self.ledger.groups;
        Counts {
            at: now,
            sent: self.ledger.sent(),
            released: self.ledger.released(),
            copies: groups.iter().map(|g| g.copies()).sum(),
            bytes: groups.iter().map(|g| g.bytes()).sum(),
        }
    }

    fn end_second(&mut self, now: u64, sample: Option<&Sample>) {
        let counts = self.count(now);
        let latencies = self.ledger.end_second();
        let measured = self.ledger.timeline.measured_from();
        let one = |kinds: [Kind; 2]| kinds.iter().find_map(|kind| latencies.get(kind));
        let three = |kinds: [Kind; 2]| {
            let latency = one(kinds)?;
            Some([latency.quantile(0.5), latency.quantile(0.99), latency.max()])
        };
        let shown = match self.ledger.groups.is_empty() {
            true => PUBLISHED,
            false => RECEIVED,
        };
        let usage = sample.map(|s| s.usage).unwrap_or_default();
        let cores = |seconds: f64| seconds / usage.seconds.max(1e-9);
        let before = self.last_second;
        self.series.push(Second {
            at: (now as f64 - measured as f64) / SECOND as f64,
            sent: counts.sent - before.sent,
            resolved: counts.released - before.released,
            received: counts.copies - before.copies,
            backlog: self.ledger.backlog(),
            server_backlog: self.server_says.take(),
            latency: three(RECEIVED),
            cells: one(shown).map(Cells::of).unwrap_or_default(),
            publish: three(PUBLISHED),
            lateness: three([Kind::Lateness, Kind::Lateness]),
            steal: usage.share(usage.steal_s),
            foreign: usage.share(usage.foreign_s),
            cores: [
                cores(usage.publish_s),
                cores(usage.consume_s),
                cores(usage.brokers_s),
            ],
            rss: [usage.rss_bytes, usage.brokers_rss_bytes],
            takers: sample.map(|s| s.takers.clone()).unwrap_or_default(),
            strain: sample.map(|s| s.strain).unwrap_or_default(),
        });
        self.last_second = counts;
    }

    /// Closes the books. `now` is the end of the trial, whether it came to it or was cut short.
    pub fn finish(mut self, now: u64, seen: Seen) -> Record {
        for group in &self.ledger.groups {
            group.settle();
        }
        if now > self.last_second.at + SECOND / 10 {
            self.end_second(now, None);
        }
        let end = self.to.unwrap_or_else(|| self.count(now));
        let used = self.used.unwrap_or_else(|| self.count(now));
        let from = self.from.unwrap_or(used);
        let audit = audit(&self.ledger);
        let rates = self.rates(&audit, end);
        let task = &self.ledger.task;
        let open_loop = !matches!(task.workload.load, Load::Max);
        let is_ours = self.is_ours();
        Record {
            audit,
            latencies: self.ledger.latencies(),
            rates: rates.0,
            seconds: rates.1,
            drain_seconds: if self.drain_from > 0 {
                (now - self.drain_from) as f64 / SECOND as f64
            } else {
                0.0
            },
            drain_cut: self.drain_cut,
            backlog_slope: self.backlog.growth().filter(|_| open_loop),
            server_backlog_slope: self.server.growth().filter(|_| open_loop && is_ours),
            gaps: self.gaps(end.at),
            usage: Usage {
                sent: used.sent - from.sent,
                received: used.copies - from.copies,
                ..seen.usage
            },
            takers: seen.takers,
            strain: seen.strain,
            reasons: reasons(&self.ledger),
            series: self.series,
            ..Record::default()
        }
    }

    /// When groups received nothing, from the start of the measured part to its end.
    fn gaps(&self, end: u64) -> Vec<Gap> {
        let Some(from) = self.from else {
            return Vec::new();
        };
        let origin = self.ledger.timeline.measured_from();
        let seconds = |span: u64| span as f64 / SECOND as f64;
        let groups = self.ledger.groups.iter();
        let gaps = groups.flat_map(|group| group.gaps(from.at, end));
        gaps.map(|(begin, end)| Gap {
            at: seconds(begin.saturating_sub(origin)),
            seconds: seconds(end - begin),
        })
        .collect()
    }

    /// Per second of the measured part, and its length in seconds.
    fn rates(&self, audit: &Audit, end: Counts) -> (Rates, f64) {
        let from = self.from.unwrap_or(end);
        let task = &self.ledger.task;
        let last = self
            .ledger
            .groups
            .iter()
            .map(|g| g.last_received())
            .max()
            .unwrap_or(0);
        let by_count = matches!(task.phases.measure, Measure::Count(_));
        // A part that ends by count ends for the consumers when the last message is in.
        let (received_end, copies, bytes) = if by_count && last > from.at {
            let all = self.count(last);
            (last, all.copies - from.copies, all.bytes - from.bytes)
        } else {
            (end.at, end.copies - from.copies, end.bytes - from.bytes)
        };
        let seconds = |to: u64| (to.saturating_sub(from.at) as f64 / SECOND as f64).max(1e-9);
        let timeline = &self.ledger.timeline;
        let sending = match timeline.measured_to() {
            // By the schedule: sending may go on for a moment of grace, but what was sent then was due
            // before.
            to if to < u64::MAX && end.at >= to => {
                (to - timeline.measured_from()) as f64 / SECOND as f64
            }
            _ => seconds(end.at),
        }
        .max(1e-9);
        let receiving = seconds(received_end);
        let sent_bytes: u64 = self
            .ledger
            .publishers
            .iter()
            .map(|p| p.bytes_measured.load(Ordering::Relaxed))
            .sum();
        // A backlog was sent before the measured part.
        let each_second = |count: u64| match task.workload.drains_backlog() {
            true => 0.0,
            false => count as f64 / sending,
        };
        let rates = Rates {
            offered: each_second(audit.intended),
            sent: each_second(audit.sent),
            received: copies as f64 / receiving,
            bytes: if self.ledger.groups.is_empty() {
                sent_bytes as f64 / sending
            } else {
                bytes as f64 / receiving
            },
        };
        (
            rates,
            if self.ledger.groups.is_empty() {
                sending
            } else {
                receiving
            },
        )
    }
}

/// Instants and backlogs of the measured part.
#[derive(Debug, Default)]
struct Samples {
    kept: Vec<(u64, u64)>,
    /// All but one of so many are left out, as a power of two.
    thinned: u32,
    offered: u64,
}

impl Samples {
    fn add(&mut self, at: u64, backlog: u64) {
        self.offered += 1;
        if !self.offered.is_multiple_of(1 << self.thinned) {
            return;
        }
        self.kept.push((at, backlog));
        if self.kept.len() >= SAMPLES {
            let mut keep = false;
            self.kept.retain(|_| {
                keep = !keep;
                keep
            });
            self.thinned += 1;
        }
    }

    /// Over the second half.
    fn growth(&self) -> Option<Slope> {
        slope(&self.kept[self.kept.len() / 2..])
    }
}

fn look_every(task: &Task) -> u64 {
    let measured = match (&task.workload.load, task.phases.measure) {
        (Load::Steps { steps, .. }, Measure::Time(_)) => steps.iter().map(|step| step.lasts).sum(),
        (_, Measure::Time(time)) => time,
        (Load::Rate { rate, .. }, Measure::Count(count)) => {
            Duration::try_from_secs_f64(count as f64 / rate.0).unwrap_or(Duration::MAX)
        }
        (_, Measure::Count(_)) => return LOOK,
    };
    let measured = u64::try_from(measured.as_nanos()).unwrap_or(u64::MAX);
    (measured / LOOKS).clamp(LEAST_LOOK, LOOK)
}

/// Why messages failed, and how often.
fn reasons(ledger: &Ledger) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for publisher in &ledger.publishers {
        for (reason, count) in &lock(&publisher.outcome).reasons {
            *reasons.entry(reason.clone()).or_default() += count;
        }
    }
    reasons
}

/// Accounts for every message of the measured part.
fn audit(ledger: &Ledger) -> Audit {
    let mut audit = Audit::default();
    let groups = ledger.groups.len() as u64;
    for (number, book) in ledger.publishers.iter().enumerate() {
        let outcome = lock(&book.outcome);
        let sent = book.sent_measured.load(Ordering::Relaxed);
        let intended = book.intended.load(Ordering::Relaxed).max(sent);
        audit.intended += intended;
        audit.sent += sent;
        audit.unsent += intended - sent;
        audit.acked += outcome.acked_measured;
        audit.failed += outcome.failed_measured;
        audit.expected += sent * groups;
        audit.reclaimed += book.reclaimed.load(Ordering::Relaxed);
        let first = book.first_measured.load(Ordering::Relaxed);
        for group in &ledger.groups {
            audit.lost_acked += group.with_set(number, |received| {
                outcome.acked.missing_from(received, first)
            });
        }
    }
    if ledger.task.acks {
        audit.unresolved = audit.sent.saturating_sub(audit.acked + audit.failed);
    }
    for group in &ledger.groups {
        let counts = group.counts();
        audit.received += counts.received;
        audit.distinct += counts.distinct;
        audit.duplicated += counts.duplicated;
        audit.redelivered += counts.redelivered;
        audit.out_of_order += counts.out_of_order;
        audit.unexpected += group.unexpected();
        audit.corrupted += group.corrupted();
    }
    audit.lost = audit.expected.saturating_sub(audit.distinct);
    audit
}
