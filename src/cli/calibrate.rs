//! `mqbench calibrate`: the machine as an instrument. The harness without a broker, then equal runs of one.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::drivers;
use crate::measure::clock::Monotonic;
use crate::measure::frequency::{Frequency, throttled};
use crate::measure::host::Host;
use crate::measure::instrument::{ClockCost, SleepLateness};
use crate::measure::verdict::Outcome;
use crate::plan::{Plan, draw_seed, resolve};
use crate::processes::fleet::Fleet;
use crate::processes::reaper::Reaper;
use crate::processes::supervisor::{self, Event};
use crate::report::calibration as shown;
use crate::report::live::Live;
use crate::report::text::View;
use crate::results::calibration::{OPTIMISED, SCHEMA_VERSION};
use crate::results::model::now;
use crate::results::{Calibration, Manifest, Provenance, Results, Store};
use crate::scenario::quick::shorten;
use crate::scenario::workload::Measure;
use crate::scenario::{self, Overrides, Scenario};
use crate::servers::Keeper;
use crate::servers::group::random_id;
use crate::stats::calibration::{REFERENCE, capacity, noise, paced, resolution, taken};
use crate::stats::exit::Exit;
use crate::terminal::diagnostic::{Diagnostic, printable};
use crate::terminal::numbers;
use crate::terminal::progress::Mode;

use super::args::{Calibrate, PlanFormat};
use super::check::missing;
use super::output::Output;
use super::run::{provenance, show};

/// The harness in an open loop, and as fast as it goes.
const HARNESS: &str = "\
name: harness
brokers: [loopback]
workload: {delivery: at-least-once, message: {size: 256B}, in_flight: 32768, load: LOAD}
phases: {warmup: 200ms, measure: 1200ms, drain: 2s}
trials: TRIALS
disturbed: {repeats: 1}
";
/// Below, at and above the rate of the built-in scenarios, which is among them.
const RATES: [f64; 4] = [1_000.0, REFERENCE, 20_000.0, 100_000.0];
/// Trials at each rate.
const TRIALS: u32 = 3;

/// Equal runs, each with a server of its own, and trials of each.
const RUNS: (usize, u32) = (3, 5);
/// The same for a first look: no fewer show any noise.
const QUICK_RUNS: (usize, u32) = (2, 3);
/// The longest measured part for a first look: 6,000 messages at the usual rate, so that there is a 99th
/// percentile.
const QUICK_MEASURE: Duration = Duration::from_millis(1_200);
/// The longest warm-up for one.
const QUICK_WARMUP: Duration = Duration::from_millis(500);

/// How something ends that could not be done, and why.
type Failed = (Exit, String);

/// Measures the machine, keeps what was found, and prints it.
pub fn calibrate(command: &Calibrate, args: &[OsString], output: &Output) -> Exit {
    let plans = match Plans::of(command) {
        Ok(plans) => plans,
        Err(diagnostics) => return output.refuse(&diagnostics),
    };
    let found = match measure(&plans, args, output) {
        Ok(found) => found,
        Err((exit, why)) => return output.fail(exit, why),
    };
    let (kept, exit) = match found.keep() {
        Ok(path) => (Some(path), Exit::Done),
        Err(error) => (None, output.fail(Exit::Failed, error)),
    };
    let view = View {
        width: output.width,
        color: output.color_out,
        ..View::default()
    };
    let text = match command.format {
        PlanFormat::Text => shown::text(&found, kept.as_deref(), &view),
        PlanFormat::Json => shown::json(&found, kept.as_deref()),
    };
    exit.min(output.print(&text))
}

/// What is run, in order.
struct Plans {
    sweep: Plan,
    closed: Plan,
    /// Equal ones.
    runs: Vec<Plan>,
    usual_trials: usize,
}

impl Plans {
    fn of(command: &Calibrate) -> Result<Plans, Vec<Diagnostic>> {
        let trials = if command.quick { 1 } else { TRIALS };
        let harness = |load: &str| {
            let text = HARNESS.replace("LOAD", load);
            let text = text.replace("TRIALS", &trials.to_string());
            let scenario = scenario::parse("harness", &text, &Overrides::default(), &|_| None)?;
            planned(&scenario)
        };
        let rates: Vec<String> = RATES.iter().map(|rate| format!("{rate}/s")).collect();
        let (scenario, usual_trials) = asked(command)?;
        let (runs, _) = if command.quick { QUICK_RUNS } else { RUNS };
        let runs = (0..runs).map(|_| planned(&scenario));
        Ok(Plans {
            sweep: harness(&format!("{{sweep: [{}]}}", rates.join(", ")))?,
            closed: harness("max")?,
            runs: runs.collect::<Result<_, _>>()?,
            usual_trials,
        })
    }

    /// About how long all of them take, seconds; `None` where a scenario has no time.
    fn seconds(&self) -> Option<f64> {
        let all = [&self.sweep, &self.closed].into_iter().chain(&self.runs);
        let least = all.map(|plan| Some(plan.estimate()?.0.as_secs_f64()));
        least.sum()
    }

    fn label(&self) -> &str {
        let first = self.runs.first().and_then(|plan| plan.brokers.first());
        first.map_or("?", |broker| &broker.label)
    }
}

fn planned(scenario: &Scenario) -> Result<Plan, Vec<Diagnostic>> {
    let drivers: Vec<_> = drivers::descriptors().collect();
    resolve(scenario, &drivers, draw_seed())
}

/// The scenario of the equal runs, with one broker and short trials, and how many trials it has usually.
fn asked(command: &Calibrate) -> Result<(Scenario, usize), Vec<Diagnostic>> {
    let load = |brokers: Vec<String>| {
        let overrides = Overrides {
            set: command.set.clone(),
            brokers,
            ..Overrides::default()
        };
        scenario::load(&command.scenario, &overrides)
    };
    let broker = match &command.broker {
        Some(broker) if broker.contains(',') => {
            let error = Diagnostic::error("calibrate takes one broker at a time");
            let help = "calibrate with one after the other: what is known of others stays";
            return Err(vec![error.help(help)]);
        }
        Some(broker) => broker.clone(),
        None => first_there(&load(Vec::new())?),
    };
    let mut scenario = load(vec![broker])?;
    let usual = scenario.trials as usize;
    // Lengths that were asked for are meant.
    if !command.set.iter().any(|it| it.starts_with("phases")) {
        shorten(&mut scenario, &Overrides::default());
        if command.quick {
            let phases = &mut scenario.phases;
            phases.warmup = QUICK_WARMUP.min(phases.warmup);
            if let Measure::Time(time) = &mut phases.measure {
                *time = QUICK_MEASURE.min(*time);
            }
        }
    }
    let (_, trials) = if command.quick { QUICK_RUNS } else { RUNS };
    scenario.trials = command.trials.unwrap_or(trials);
    // Equal trials are of one load, that of the workload; and nothing is demanded of them.
    scenario.sweep.clear();
    scenario.thresholds.clear();
    Ok((scenario, usual))
}

/// The first broker of a scenario whose server is on this machine, or that needs none; else the first.
fn first_there(scenario: &Scenario) -> String {
    let is_there = |entry: &&scenario::BrokerEntry| {
        let Some(driver) = drivers::find(&entry.driver) else {
            return false;
        };
        let server = driver.descriptor().server.filter(|_| entry.url.is_none());
        let missing = server.and_then(|server| missing(server, entry.binary.as_deref()));
        driver.left_out().is_none() && missing.is_none()
    };
    let mut entries = scenario.brokers.iter();
    let there = entries.find(is_there).or(scenario.brokers.first());
    there.map_or(String::new(), |entry| entry.label.clone())
}

/// All that is found, or nothing.
fn measure(plans: &Plans, args: &[OsString], output: &Output) -> Result<Calibration, Failed> {
    let failed = |error: std::io::Error| (Exit::Failed, format!("cannot begin: {error}"));
    let host = Host::read();
    let earlier = Calibration::of_user(&host).unwrap_or_else(|error| {
        output.remark(format!("⚠ {}", printable(&error.to_string())));
        None
    });
    // Before anything is measured: what cannot be kept is not worth its time.
    Calibration::can_keep(&host).map_err(|error| (Exit::Usage, error.to_string()))?;
    supervisor::listen_for_interrupts().map_err(failed)?;
    let bench = Bench::start(host, args, output).map_err(failed)?;
    let (made, began, heat) = (now(), Instant::now(), throttled());
    let lasts = plans
        .seconds()
        .map(|seconds| format!(", about {}", numbers::span(seconds)));
    let lasts = lasts.unwrap_or_default();
    output.remark(format!(
        "calibrating{lasts}: leave the machine alone meanwhile"
    ));
    output.remark("1 of 3: the clock, and mqbench without a broker at several rates");
    let clock = ClockCost::measure(&Monotonic);
    let sleep = SleepLateness::measure(&Monotonic);
    let sweep = bench.run(&plans.sweep, &mut || {})?;
    output.remark("2 of 3: mqbench without a broker, as fast as it goes");
    let mut frequency: Option<Frequency> = None;
    let closed = bench.run(&plans.closed, &mut || {
        let now = Frequency::read();
        frequency = match (frequency, now) {
            (Some(slowest), Some(now)) => Some(slowest.slower(now)),
            (slowest, now) => slowest.or(now),
        };
    })?;
    output.remark(format!(
        "3 of 3: {} runs of {} that are all the same",
        plans.runs.len(),
        printable(plans.label())
    ));
    let mut runs = Vec::new();
    for plan in &plans.runs {
        runs.push(bench.run(plan, &mut || {})?);
    }
    let meanwhile = throttled()
        .zip(heat)
        .map(|(now, then)| now.saturating_sub(then));
    let mut found = Calibration {
        schema_version: SCHEMA_VERSION,
        made,
        seconds: began.elapsed().as_secs_f64(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        optimised: OPTIMISED,
        host: bench.host.clone(),
        clock,
        sleep,
        frequency,
        throttled: meanwhile,
        paced: paced(&sweep),
        capacity: capacity(&closed),
        resolution: resolution(&sweep),
        taken: taken([&sweep, &closed].into_iter().chain(&runs)),
        noise: Vec::new(),
    };
    let noise = noise(runs, &found, plans.usual_trials);
    found.noise.extend(noise);
    if let Some(earlier) = earlier {
        found.inherit(earlier);
    }
    Ok(found)
}

/// Where plans are carried out whose results nobody keeps.
struct Bench<'a> {
    host: Host,
    args: &'a [OsString],
    output: &'a Output,
    /// Gone with this, and with the reaper should this be killed.
    folder: tempfile::TempDir,
    reaper: Arc<Reaper>,
}

impl<'a> Bench<'a> {
    fn start(host: Host, args: &'a [OsString], output: &'a Output) -> std::io::Result<Bench<'a>> {
        let reaper = supervisor::reaper()?;
        let folder = tempfile::Builder::new().prefix("mqbench-").tempdir()?;
        reaper.folder(folder.path())?;
        Ok(Bench {
            host,
            args,
            output,
            folder,
            reaper,
        })
    }

    /// Carries out a plan; `during` is called about once a second while load runs.
    fn run(&self, plan: &Plan, during: &mut dyn FnMut()) -> Result<Results, Failed> {
        let failed = |why: String| (Exit::Failed, why);
        let id = random_id().map_err(|error| failed(format!("cannot begin: {error}")))?;
        let command = self.args.iter().map(|it| it.to_string_lossy().into_owned());
        let manifest =
            Manifest::begin(id[..8].to_owned(), plan.scenario.clone(), command.collect());
        let store = Store::create(self.folder.path(), &manifest);
        let store = store.map_err(|error| failed(error.to_string()))?;
        // A line for each of so many trials would say little; what matters is said in any case.
        let drawn = self.output.progress() == Mode::Drawn;
        let mut live = Live::new(plan, if drawn { Mode::Drawn } else { Mode::Quiet });
        let say = |live: &Live, words: &str| match drawn {
            true => live.say(words),
            false => self.output.remark(words),
        };
        let mut fleet = Fleet::start(
            plan,
            Arc::clone(&self.reaper) as _,
            &mut |words| say(&live, words),
            &supervisor::is_interrupted,
        );
        let known = Provenance::of(self.host.clone(), "", provenance(plan, &fleet));
        let mut results = Results::begin(manifest, plan.clone(), String::new(), known);
        let interrupted = || {
            supervisor::is_interrupted().then(|| {
                let why = "interrupted: nothing is kept of it, and what was kept before stays";
                (Exit::Interrupted, why.to_owned())
            })
        };
        let missing = (0..plan.brokers.len()).find_map(|it| fleet.missing(it).map(str::to_owned));
        if let Some(why) = missing {
            live.finish();
            return Err(interrupted().unwrap_or(failed(why)));
        }
        let outcome = supervisor::run(
            plan,
            &mut fleet,
            &self.reaper,
            &store,
            &mut results,
            &mut |event| match event {
                Event::Say(words) => say(&live, &words),
                event => {
                    if matches!(event, Event::Progress(_)) {
                        during();
                    }
                    show(&mut live, event);
                }
            },
        );
        live.finish();
        drop(fleet);
        results.manifest.end(supervisor::is_interrupted());
        if let Some(interrupted) = interrupted() {
            return Err(interrupted);
        }
        outcome.map_err(|error| failed(error.to_string()))?;
        let broken = results
            .standing()
            .find(|it| it.verdict.outcome == Outcome::Failed)
            .map(|it| (it.broker, it.verdict.reason.clone()));
        let Some((broker, reason)) = broken else {
            return Ok(results);
        };
        let label = plan.brokers.get(broker).map_or("?", |it| &it.label);
        Err(failed(printable(&format!(
            "{label}: {reason}; nothing is kept of this calibration; another one can be taken with --broker"
        ))))
    }
}
