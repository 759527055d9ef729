//! A run while it goes: what its progress says.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::measure::latency::Kind;
use crate::measure::progress::Progress;
use crate::measure::verdict::Outcome;
use crate::plan::{Plan, PlannedTrial};
use crate::results::Attempt;
use crate::scenario::workload::Measure;
use crate::terminal::diagnostic::printable;
use crate::terminal::fullscreen::FullScreen;
use crate::terminal::numbers::{self, counted, span};
use crate::terminal::progress::{Mode, Screen, bar};
use crate::terminal::stderr::say_line;

use super::dashboard::{self, Watched};

/// Characters of the bar.
const BAR: usize = 15;
/// Seconds that a trial takes besides its phases, until one was seen.
const AROUND: f64 = 2.0;

/// The progress of a run.
#[derive(Debug)]
pub struct Live {
    shown: Shown,
    state: Arc<Mutex<State>>,
}

/// Where it is shown.
#[derive(Debug)]
enum Shown {
    /// At the foot of the terminal, or line by line, or not at all.
    Foot(Screen),
    /// On the whole terminal; it is drawn by itself.
    Full(FullScreen),
}

/// What the keys of the dashboard do.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Ends the run with what it has.
    pub quit: fn(),
    /// Whether that was asked for, by key or otherwise.
    pub is_quitting: fn() -> bool,
}

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
pub(super) struct State {
    pub scenario: String,
    pub labels: Vec<String>,
    /// Number, block and broker, in the order of the plan.
    pub order: Vec<(u32, u32, usize)>,
    pub blocks: u32,
    pub trials_each: usize,
    /// Seconds that a trial takes by the plan.
    planned: f64,
    /// Seconds that trials took.
    took: Vec<f64>,
    /// Trials that are over.
    pub over: usize,
    pub current: Option<Current>,
    /// Brokers of this block that are over, and whether all was well.
    done: Vec<(usize, bool)>,
    pub suspended: usize,
    /// One for each broker: what a dashboard shows of it.
    pub watched: Vec<Watched>,
    /// Lines that stay.
    pub said: Vec<String>,
}

/// The trial that runs.
#[derive(Debug)]
pub(super) struct Current {
    pub place: usize,
    pub attempt: u32,
    pub progress: Progress,
    /// When it began, and when it was heard of last.
    pub began: Instant,
    pub heard: Instant,
}

impl Live {
    /// Nothing was done yet, nothing is shown.
    pub fn new(plan: &Plan, mode: Mode) -> Live {
        Live {
            shown: Shown::Foot(Screen::new(mode)),
            state: Arc::new(Mutex::new(State::new(plan))),
        }
    }

    /// On the whole terminal.
    ///
    /// # Errors
    /// Where the terminal cannot be had.
    pub fn full(plan: &Plan, color: bool, keys: Keys) -> io::Result<Live> {
        let state = Arc::new(Mutex::new(State::new(plan)));
        let drawn = Arc::clone(&state);
        let frame = move |columns, rows| {
            let quitting = (keys.is_quitting)();
            dashboard::frame(&locked(&drawn), columns, rows, color, quitting)
        };
        let key = move |typed| {
            if matches!(typed, b'q' | b'Q') {
                (keys.quit)();
            }
        };
        Ok(Live {
            shown: Shown::Full(FullScreen::open(frame, key)?),
            state,
        })
    }

    /// How many servers are suspended while others are measured.
    pub fn suspended(&mut self, servers: usize) {
        locked(&self.state).suspended = servers;
        self.draw();
    }

    /// A trial begins; `attempt` counts from 1.
    pub fn begin(&mut self, trial: &PlannedTrial, attempt: u32) {
        locked(&self.state).begin(trial.number, attempt);
        self.draw();
    }

    /// The running trial says how far it is.
    pub fn progress(&mut self, progress: Progress) {
        locked(&self.state).progress(progress);
        self.draw();
    }

    /// The running trial is over. Where standard error is no terminal, this prints its line.
    pub fn end(&mut self, ended: &Ended) {
        let line = {
            let mut state = locked(&self.state);
            let began = state.current.as_ref().map(|it| it.began);
            let seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f64());
            state.end(ended, seconds)
        };
        if let Shown::Foot(screen) = &self.shown
            && screen.mode() == Mode::Lines
        {
            screen.say(&line);
        }
        self.draw();
    }

    /// Prints a line that stays: a warning, or what is being waited for. On the whole terminal it is shown
    /// at once and printed in the end.
    pub fn say(&self, line: &str) {
        match &self.shown {
            Shown::Foot(screen) => screen.say(line),
            Shown::Full(_) => locked(&self.state).said.push(line.to_owned()),
        }
    }

    /// Takes everything away. Dropping does so too.
    pub fn finish(self) {
        if let Shown::Full(screen) = self.shown {
            drop(screen);
            for line in &locked(&self.state).said {
                say_line(line);
            }
        }
    }

    fn draw(&mut self) {
        if let Shown::Foot(screen) = &mut self.shown
            && screen.mode() == Mode::Drawn
        {
            let state = locked(&self.state);
            screen.draw(&state.lines(state.elapsed()));
        }
    }
}

/// What is known is known, whoever panicked meanwhile.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
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

    /// A trial begins; attempts count from 1.
    pub fn begin(&mut self, number: u32, attempt: u32) {
        let Some(place) = self.order.iter().position(|it| it.0 == number) else {
            return;
        };
        let new_block = place > 0 && self.order[place].1 != self.order[place - 1].1;
        if new_block && attempt == 1 {
            self.done.clear();
        }
        self.over = place;
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

    /// The line that says how it ended.
    pub fn end(&mut self, ended: &Ended, seconds: f64) -> String {
        self.took.push(seconds);
        let Some(current) = self.current.take() else {
            return String::new();
        };
        let (_, block, broker) = self.order[current.place];
        if let Some(watched) = self.watched.get_mut(broker) {
            watched.end(ended);
        }
        let well = ended.outcome == Outcome::Ok;
        if !ended.again {
            self.over = current.place + 1;
            self.done.push((broker, well && ended.disturbed.is_none()));
        }
        let sign = if well && !ended.again { "✓" } else { "⚠" };
        let mut line = format!(
            "{sign} trial {} of {}  block {block}  {}  {}/s",
            current.place + 1,
            self.order.len(),
            self.label(broker),
            numbers::rate(ended.per_second)
        );
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

    pub fn label(&self, broker: usize) -> &str {
        self.labels.get(broker).map_or("", String::as_str)
    }

    /// Seconds until the end, as far as the trials so far tell.
    pub fn left(&self, elapsed: f64) -> f64 {
        let each = crate::stats::median::median(self.took.iter().copied());
        let each = each.unwrap_or(self.planned);
        let trials = (self.order.len() - self.over) as f64;
        (trials * each - elapsed.min(each)).max(0.0)
    }

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
        let label = self.label(self.order[current.place].2);
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
