//! What is known of a run while it goes: where it is, how its trials ended, what their seconds were.

use std::collections::VecDeque;
use std::time::Instant;

use crate::measure::latency::Kind;
use crate::measure::progress::{Phase, Progress};
use crate::measure::record::Second;
use crate::measure::verdict::Outcome;
use crate::plan::Plan;
use crate::results::{Attempt, Tried};
use crate::scenario::workload::Measure;
use crate::stats::median::median;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{self, counted, span};
use crate::terminal::progress::bar;

/// Seconds that are remembered: more than a wide terminal shows.
const SECONDS: usize = 240;
/// Characters of the bar.
const BAR: usize = 15;
/// Seconds that a trial takes besides its phases, until one was seen.
const AROUND: f64 = 2.0;

/// How a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// What it is worth.
    pub outcome: Outcome,
    /// Why, empty for *ok*.
    pub reason: String,
    /// The share of the CPU that others took, where that was too much.
    pub disturbed: Option<f64>,
    /// Whether it is made again.
    pub again: bool,
    /// Whether the user broke it off: then its figures are of no whole trial.
    pub broken_off: bool,
    /// Received per second (sent, where nothing consumes).
    pub per_second: f64,
    /// p50 of its headline latency in nanoseconds, where it has one.
    pub p50: Option<u64>,
    /// p99 of its headline latency in nanoseconds, where it has one.
    pub p99: Option<u64>,
}

impl Ended {
    /// What an attempt came to; `again` where it is repeated.
    pub fn of(attempt: &Attempt, again: bool) -> Ended {
        let headline = [
            Kind::EndToEnd,
            Kind::RoundTrip,
            Kind::Publish,
            Kind::Transit,
            Kind::Service,
        ];
        let mut measured = headline
            .iter()
            .filter_map(|kind| attempt.latencies.get(kind));
        let headline = measured.next();
        let value = |name: &str| headline?.named(name)?.value();
        let rates = attempt.rates;
        Ended {
            outcome: attempt.verdict.outcome,
            reason: attempt.verdict.reason.clone(),
            disturbed: attempt.disturbed.map(|it| it.share),
            again,
            broken_off: attempt.interrupted,
            per_second: if rates.received > 0.0 {
                rates.received
            } else {
                rates.sent
            },
            p50: value("p50"),
            p99: value("p99"),
        }
    }
}

/// What is known of the run.
#[derive(Debug)]
pub struct State {
    /// Name of the scenario, safe to print.
    pub scenario: String,
    /// Of the brokers, in the order of the plan, safe to print.
    pub labels: Vec<String>,
    /// Number, block and broker, in the order of the plan.
    pub order: Vec<(u32, u32, usize)>,
    /// For each of them what it is offered, where that is not the same for all: `at 5k/s`. In a search it is known when
    /// the trial begins.
    pub offered: Vec<Option<String>>,
    /// How many blocks there are.
    pub blocks: u32,
    /// Trials of each broker.
    pub trials_each: usize,
    /// Seconds that a trial takes by the plan.
    planned: f64,
    /// Seconds that trials took.
    took: Vec<f64>,
    /// Trials that are over.
    pub over: usize,
    /// The trial that runs, if one does.
    pub current: Option<Current>,
    /// Brokers of this block that are over, and whether all was well.
    done: Vec<(usize, bool)>,
    /// Servers that are suspended while others are measured.
    pub suspended: usize,
    /// One for each broker: what a dashboard shows of it.
    pub watched: Vec<Watched>,
    /// Lines that stay.
    pub said: Vec<String>,
}

/// The trial that runs.
#[derive(Debug)]
pub struct Current {
    /// Its place in the order of the plan.
    pub place: usize,
    /// From 1.
    pub attempt: u32,
    /// How far it said to be.
    pub progress: Progress,
    /// When it began.
    pub began: Instant,
    /// When it was heard of last.
    pub heard: Instant,
}

/// What a dashboard shows of a broker.
#[derive(Debug, Default)]
pub struct Watched {
    /// How its trials ended, repeated ones apart.
    pub ended: Vec<Ended>,
    /// p50 and p99 of each second of the trial that runs, or of the last one; nanoseconds.
    pub seconds: VecDeque<Option<[u64; 2]>>,
    /// The last second of its trial.
    pub last: Option<Second>,
    /// Messages in that second: received, or sent where nothing consumes.
    pub rate: f64,
    /// Messages sent and not yet received.
    pub backlog: u64,
    /// Messages of the trial that failed.
    pub errors: u64,
}

impl Watched {
    /// A trial of it begins.
    pub fn begin(&mut self) {
        self.seconds.clear();
        self.last = None;
        (self.rate, self.backlog, self.errors) = (0.0, 0, 0);
    }

    /// Its trial says how far it is.
    pub fn progress(&mut self, progress: &Progress) {
        if progress.phase == Phase::Starting {
            // A backlog that is laid in.
            self.rate = progress.per_second;
        }
        let Some(second) = &progress.second else {
            return;
        };
        self.last = Some((**second).clone());
        self.rate = progress.per_second;
        self.backlog = progress.backlog;
        self.errors = progress.errors;
        if self.seconds.len() == SECONDS {
            self.seconds.pop_front();
        }
        self.seconds.push_back(progress.latency);
    }

    /// Its trial is over.
    pub fn end(&mut self, ended: &Ended) {
        if !ended.again {
            self.ended.push(ended.clone());
        }
    }

    /// Median of a figure over the trials so far.
    fn so_far(&self, of: impl Fn(&Ended) -> Option<f64>) -> Option<f64> {
        median(self.ended.iter().filter_map(of))
    }

    /// Rate, p50 and p99: of the last second, or of the trials so far.
    pub fn figures(&self, is_running: bool) -> [Option<f64>; 3] {
        match (is_running, self.seconds.iter().rev().flatten().next()) {
            (true, last) => {
                let [p50, p99] = match last {
                    Some(last) => last.map(|nanoseconds| Some(nanoseconds as f64)),
                    None => [None; 2],
                };
                [(!self.seconds.is_empty()).then_some(self.rate), p50, p99]
            }
            (false, _) => [
                self.so_far(|it| Some(it.per_second)),
                self.so_far(|it| it.p50.map(|it| it as f64)),
                self.so_far(|it| it.p99.map(|it| it as f64)),
            ],
        }
    }

    /// The worst that was said of a trial; `None` where there was none yet.
    pub fn verdict(&self) -> Option<Outcome> {
        self.ended
            .iter()
            .map(|it| it.outcome)
            .max_by_key(|it| rank(*it))
    }
}

/// The worse, the more.
fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::GeneratorLimited => 1,
        Outcome::Saturated => 2,
        Outcome::BrokenPromise => 3,
        Outcome::Failed => 4,
    }
}

impl State {
    /// Nothing was done yet.
    pub fn new(plan: &Plan) -> State {
        let brokers = plan.brokers.len().max(1);
        let measure = match plan.phases.measure {
            Measure::Time(time) => time.as_secs_f64(),
            // Not known before one was made.
            Measure::Count(_) => 0.0,
        };
        let trials = plan.trials.iter();
        State {
            scenario: printable(&plan.scenario),
            labels: plan.brokers.iter().map(|it| printable(&it.label)).collect(),
            offered: trials
                .clone()
                .map(|it| plan.sweep.get(it.point).map(|rate| format!("at {rate}")))
                .collect(),
            order: trials.map(|it| (it.number, it.block, it.broker)).collect(),
            blocks: plan.trials.iter().map(|it| it.block).max().unwrap_or(0),
            trials_each: plan.trials.len().div_ceil(brokers),
            planned: plan.phases.warmup.as_secs_f64() + measure + AROUND,
            took: Vec::new(),
            over: 0,
            current: None,
            done: Vec::new(),
            suspended: 0,
            watched: plan.brokers.iter().map(|_| Watched::default()).collect(),
            said: Vec::new(),
        }
    }

    /// Seconds since the running trial began.
    pub fn elapsed(&self) -> f64 {
        let current = self.current.as_ref();
        current.map_or(0.0, |it| it.began.elapsed().as_secs_f64())
    }

    /// What the worker says.
    pub fn progress(&mut self, progress: Progress) {
        let Some(current) = &mut self.current else {
            return;
        };
        let broker = self.order[current.place].2;
        if let Some(watched) = self.watched.get_mut(broker) {
            watched.progress(&progress);
        }
        current.heard = Instant::now();
        current.progress = progress;
    }

    /// A trial begins; attempts count from 1. `tried` is what a search tries with it.
    pub fn begin(&mut self, number: u32, attempt: u32, tried: Option<Tried>) {
        let Some(place) = self.order.iter().position(|it| it.0 == number) else {
            return;
        };
        let new_block = place > 0 && self.order[place].1 != self.order[place - 1].1;
        if new_block && attempt == 1 {
            self.done.clear();
        }
        self.over = place;
        if let Some(tried) = tried {
            self.offered[place] = Some(match tried {
                Tried::Loop => "in a closed loop".to_owned(),
                Tried::Probe(rate) => format!("at {rate}"),
                Tried::Confirm(rate) => format!("at {rate}, full length"),
            });
        }
        if let Some(watched) = self.watched.get_mut(self.order[place].2) {
            watched.begin();
        }
        self.current = Some(Current {
            place,
            attempt,
            progress: Progress::starting(),
            began: Instant::now(),
            heard: Instant::now(),
        });
    }

    /// The trial is over after so many seconds; the line that says how it ended.
    pub fn end(&mut self, ended: &Ended, seconds: f64) -> String {
        self.took.push(seconds);
        let Some(current) = self.current.take() else {
            return String::new();
        };
        let (_, block, broker) = self.order[current.place];
        if let Some(watched) = self.watched.get_mut(broker) {
            watched.end(ended);
        }
        let well = ended.outcome == Outcome::Ok && !ended.broken_off;
        if !ended.again {
            self.over = current.place + 1;
            self.done.push((broker, well && ended.disturbed.is_none()));
        }
        let sign = if well && !ended.again { "✓" } else { "⚠" };
        let mut line = format!(
            "{sign} trial {} of {}  block {block}  {}",
            current.place + 1,
            self.order.len(),
            self.label_at(current.place)
        );
        if ended.broken_off {
            line.push_str("  broken off");
            return line;
        }
        line.push_str(&format!("  {}/s", numbers::rate(ended.per_second)));
        if let Some(p99) = ended.p99 {
            line.push_str(&format!("  p99 {}", numbers::time(p99 as f64)));
        }
        if !well {
            let reason = printable(&ended.reason);
            line.push_str(&format!("  {}: {reason}", ended.outcome.name()));
        }
        if let Some(share) = ended.disturbed {
            let then = if ended.again { ", once more" } else { "" };
            let share = numbers::percent(share);
            line.push_str(&format!(
                "  disturbed: others took {share} of the CPU{then}"
            ));
        }
        line
    }

    /// The label of a broker; empty where the plan has no such one.
    pub fn label(&self, broker: usize) -> &str {
        self.labels.get(broker).map_or("", String::as_str)
    }

    /// A broker's name with what it is offered, by the trial's place.
    fn label_at(&self, place: usize) -> String {
        let label = self.label(self.order[place].2);
        match &self.offered[place] {
            Some(offered) => format!("{label} {offered}"),
            None => label.to_owned(),
        }
    }

    /// Seconds until the end, as far as the trials so far tell.
    pub fn left(&self, elapsed: f64) -> f64 {
        let each = median(self.took.iter().copied());
        let each = each.unwrap_or(self.planned);
        let trials = (self.order.len() - self.over) as f64;
        (trials * each - elapsed.min(each)).max(0.0)
    }

    /// What stands at the foot of the terminal.
    pub fn lines(&self, elapsed: f64) -> Vec<String> {
        let block = match &self.current {
            Some(current) => self.order[current.place].1,
            None => self.order.get(self.over).map_or(self.blocks, |it| it.1),
        };
        let brokers = counted(self.labels.len() as u64, "broker");
        let trials = counted(self.trials_each as u64, "trial");
        let left = span(self.left(elapsed));
        let mut lines = vec![format!(
            "{} · {brokers} × {trials} · block {block} of {} · {left} left",
            self.scenario, self.blocks
        )];
        if let Some(current) = &self.current {
            lines.push(self.trial(current));
        }
        let mut last = Vec::new();
        if !self.done.is_empty() {
            let done = self.done.iter().map(|(broker, well)| {
                let sign = if *well { "✓" } else { "⚠" };
                format!("{} {sign}", self.label(*broker))
            });
            last.push(format!("done  {}", done.collect::<Vec<_>>().join("  ")));
        }
        let next = match &self.current {
            Some(current) => current.place + 1,
            None => self.over,
        };
        if let Some((_, _, broker)) = self.order.get(next) {
            last.push(format!("next  {}", self.label(*broker)));
        }
        if self.suspended > 0 {
            let servers = counted(self.suspended as u64, "server");
            last.push(format!("({servers} suspended)"));
        }
        if !last.is_empty() {
            lines.push(format!("  {}", last.join("      ")));
        }
        lines
    }

    fn trial(&self, current: &Current) -> String {
        let progress = &current.progress;
        let label = self.label_at(current.place);
        let mut line = format!("  {label:<14} {:<9}", progress.phase.name());
        if let Some(length) = progress.length.filter(|length| *length > 0.0) {
            line.push_str(&format!("  {}", bar(progress.elapsed / length, BAR)));
        }
        line.push_str(&format!(" {:>5}", span(progress.elapsed)));
        line.push_str(&format!("   {}/s", numbers::rate(progress.per_second)));
        if let Some([p50, p99]) = progress.latency {
            let (p50, p99) = (numbers::time(p50 as f64), numbers::time(p99 as f64));
            line.push_str(&format!("   p50 {p50}  p99 {p99}"));
        }
        line.push_str(&format!("   backlog {}", numbers::count(progress.backlog)));
        if progress.errors > 0 {
            line.push_str(&format!("   errors {}", numbers::count(progress.errors)));
        }
        if current.attempt > 1 {
            line.push_str(&format!("   attempt {}", current.attempt));
        }
        line
    }
}
