//! What the experiments share: servers, runs of mqbench as a user makes them, and whether the machine was quiet
//! meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mqbench::drivers;
use mqbench::drivers::descriptor::{Descriptor, Offer};
use mqbench::measure::latency::Kind;
use mqbench::measure::record::Record;
use mqbench::measure::resources::{Parties, Watch};
use mqbench::processes::reaper::Reaper;
use mqbench::results::Attempt;
use mqbench::scenario::workload::Delivery;
use mqbench::servers::{Instance, Keeper};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::program::{Place, await_that, wait_for};
use crate::serve;

/// A share of all CPU time: where others took more, an attempt counts for nothing.
const LIMIT: f64 = 0.02;
/// How often an experiment is tried until nobody disturbs it.
const ATTEMPTS: u32 = 4;
/// How long a program has to end.
const ENDS: Duration = Duration::from_secs(5);
/// A run of mqbench that has not ended by then hangs.
const HANGS: Duration = Duration::from_secs(120);

/// Where experiments are made.
pub struct Lab {
    pub place: Place,
    reaper: Arc<dyn Keeper>,
    /// Systems to be tried; empty for all.
    only: Vec<String>,
    /// What took part in the experiment that is being made, with its version.
    versions: RefCell<BTreeMap<String, String>>,
}

/// What mqbench is asked to do.
pub struct Ask<'a> {
    pub driver: &'static Descriptor,
    pub offer: &'static Offer,
    pub url: &'a str,
    /// Further entries of the broker, as a scenario has them: `trim: none`.
    pub options: &'a str,
    /// Entries of the workload: `load: max, in_flight: 1`.
    pub workload: &'a str,
    /// Seconds.
    pub warmup: u32,
    /// Seconds.
    pub measure: u32,
}

/// What it answered.
pub struct Ran {
    /// Its figures as they are printed.
    pub attempt: Attempt,
    /// All that it saw.
    pub record: Record,
}

impl Ran {
    /// A percentile as it is printed, nanoseconds; `None` where it prints a dash.
    pub fn percentile(&self, latency: Kind, percent: f64) -> Option<f64> {
        let printed = self.attempt.percentile(latency, percent)?;
        printed.value().map(|value| value as f64)
    }

    /// The longest, nanoseconds.
    pub fn max(&self, latency: Kind) -> Option<f64> {
        let summary = self.attempt.latencies.get(&latency)?;
        Some(summary.max as f64)
    }
}

impl Lab {
    pub fn new(only: Vec<String>) -> Lab {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_mqbench"));
        Lab {
            place: Place::new(),
            reaper: Arc::new(Reaper::start_from(program).expect("a reaper")),
            only,
            versions: RefCell::default(),
        }
    }

    /// Every system with a server, or those that were asked for, each with the guarantee that it is tried with:
    /// at-least-once where it has that, so that there are acknowledgements.
    pub fn systems(&self) -> Vec<(&'static Descriptor, &'static Offer)> {
        let all = drivers::REGISTRY.iter();
        let built = all.filter(|driver| driver.left_out().is_none());
        let described = built.map(|driver| driver.descriptor());
        described
            .filter(|driver| driver.server.is_some() && self.is_wanted(driver.name))
            .map(|driver| {
                let mut offers = driver.offers.iter();
                let at_least_once = offers.find(|it| it.delivery == Delivery::AtLeastOnce);
                (driver, at_least_once.unwrap_or(&driver.offers[0]))
            })
            .collect()
    }

    /// One of [`Lab::systems`], where it is asked for.
    pub fn system(&self, name: &str) -> Option<(&'static Descriptor, &'static Offer)> {
        let all = self.systems();
        all.into_iter().find(|(driver, _)| driver.name == name)
    }

    pub fn is_wanted(&self, system: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == system)
    }

    /// A fresh server, set as the offer needs it.
    pub fn server(&self, driver: &Descriptor, offer: &Offer) -> Instance {
        let guarantee = (offer.delivery.name(), offer.durability.name());
        let server = serve::start(driver.name, guarantee, &[], &self.reaper).expect("a server");
        self.saw(&server);
        server
    }

    /// A server takes part in the experiment.
    pub fn saw(&self, server: &Instance) {
        let title = server.server().about().title;
        self.used(title, &server.record().version);
    }

    /// A program takes part in the experiment.
    pub fn used(&self, name: &str, version: &str) {
        let mut versions = self.versions.borrow_mut();
        versions.insert(name.to_owned(), version.to_owned());
    }

    /// What took part since this was asked last: `Redis 7.0.15`.
    pub fn take_versions(&self) -> Vec<String> {
        let versions = self.versions.take();
        let words = versions
            .iter()
            .map(|(name, version)| format!("{name} {version}").trim_end().to_owned());
        words.collect()
    }

    /// A trial of mqbench.
    pub fn run(&self, ask: &Ask) -> Ran {
        let ended = self.place.run(&self.prepare(ask));
        self.ran(&format!("{}{}", ended.out, ended.err))
    }

    /// A trial of mqbench. `meanwhile` is called with the number of its worker once there is load.
    pub fn run_with(&self, ask: &Ask, meanwhile: impl FnOnce(i32)) -> Ran {
        let running = self.place.start(&self.prepare(ask));
        meanwhile(running.await_load());
        let ended = running.ends_within(HANGS);
        self.ran(&format!("{}{}", ended.out, ended.err))
    }

    /// Writes the scenario; the arguments with which it is run.
    fn prepare(&self, ask: &Ask) -> [&'static str; 5] {
        let Ask {
            driver,
            offer,
            url,
            options,
            workload,
            warmup,
            measure,
        } = ask;
        let mut text = format!(
            "name: validity\nbrokers:\n  {}: {{url: \"{url}\"",
            driver.name
        );
        if !options.is_empty() {
            let _ = write!(text, ", {options}");
        }
        let _ = write!(
            text,
            "}}\nworkload: {{delivery: {}, durability: {}, {workload}}}\n\
             phases: {{warmup: {warmup}s, measure: {measure}s, drain: 10s}}\n\
             disturbed: {{repeats: 0}}\n",
            offer.delivery.name(),
            offer.durability.name()
        );
        // A run that fails before its first trial must not be mistaken for the one before.
        let _ = std::fs::remove_dir_all(self.place.path("results"));
        self.place.write("validity.yaml", &text);
        ["run", "--quiet", "--trials", "1", "validity.yaml"]
    }

    fn ran(&self, said: &str) -> Ran {
        let has_results = self.place.path("results/latest").exists();
        assert!(has_results, "a run: {said}");
        let stored = self.place.stored();
        let attempt = stored.results.standing().next();
        let attempt = attempt.unwrap_or_else(|| panic!("a trial: {said}")).clone();
        let record = stored.record(attempt.trial, attempt.attempt);
        let record = record.expect("the record of a trial");
        if let Some(failure) = &record.failure {
            panic!("mqbench: {failure}");
        }
        Ran { attempt, record }
    }

    /// Repeats an experiment until nobody else took CPU time away from it.
    ///
    /// # Errors
    /// Where somebody always did.
    pub fn quiet<T>(
        &self,
        servers: &[&Instance],
        mut experiment: impl FnMut() -> T,
    ) -> Result<T, String> {
        let mut taken = 0.0;
        for _ in 0..ATTEMPTS {
            let mut watch = Watch::new(Parties {
                supervisor: std::process::id() as i32,
                brokers: servers.iter().flat_map(|it| it.leaders()).collect(),
                ..Parties::default()
            });
            let seen = experiment();
            match watch.seen().usage.disturbed(LIMIT) {
                None => return Ok(seen),
                Some(disturbance) => taken = disturbance.share * 100.0,
            }
            eprintln!("  others took {taken:.1} % of the CPU: once more");
        }
        Err(format!(
            "disturbed in each of {ATTEMPTS} attempts; others took {taken:.1} % of the CPU in the last"
        ))
    }

    /// A program with its output in a file of the lab's place, to be ended by [`Helper::end`].
    pub fn start(&self, mut command: Command, output: &str) -> Helper {
        let path = self.place.path(output);
        let file = File::create(&path).expect("a file");
        let errors = file.try_clone().expect("a copy");
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Helper { child, path }
    }
}

/// A program beside an experiment.
pub struct Helper {
    child: Child,
    path: PathBuf,
}

impl Helper {
    /// What it has said so far.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it says so.
    pub fn await_word(&self, word: &str) {
        await_that(&format!("`{word}` is said"), || self.said().contains(word));
    }

    /// Waits for its own end.
    pub fn finish(mut self) -> String {
        let _ = self.child.wait();
        self.said()
    }

    /// Asks it to end, in two ways: a shell lets what it starts in the background ignore the first.
    pub fn end(mut self) -> String {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
            if wait_for(ENDS, || matches!(self.child.try_wait(), Ok(Some(_)))) {
                break;
            }
        }
        self.said()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stops all processes of a server and lets them go on. How long they stood still.
pub fn stall(server: &Instance, time: Duration) -> Duration {
    let signal = |signal| {
        for leader in server.leaders() {
            killpg(Pid::from_raw(leader), signal).expect("it runs");
        }
    };
    signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    // The stall itself, not a wait for something.
    thread::sleep(time);
    let took = stopped.elapsed();
    signal(Signal::SIGCONT);
    took
}

/// What is run where a program has no place of its own in the experiment: to its end, with what it says.
pub fn output(command: &mut Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    let (out, err) = (output.stdout, output.stderr);
    String::from_utf8_lossy(&[out, err].concat()).into_owned()
}

/// Nanoseconds as milliseconds, for a table.
pub fn ms(nanoseconds: Option<f64>) -> String {
    nanoseconds.map_or("–".to_owned(), |it| match it / 1e6 {
        it if it < 10.0 => format!("{it:.2} ms"),
        it => format!("{it:.1} ms"),
    })
}

/// Nanoseconds as microseconds, for a table.
pub fn us(nanoseconds: f64) -> String {
    format!("{:.1} µs", nanoseconds / 1e3)
}

/// Whole numbers with a separator, as the page of a run has them.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
