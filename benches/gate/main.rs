//! How often the gate errs: `cargo bench --bench gate -- [latency|throughput] [ROUNDS]`.
//!
//! One real broker, measured again and again. Each round takes a baseline, an equal candidate, and one that is
//! slower by twice the margin, and asks `mqbench gate` about both. What is inconclusive is measured once more,
//! both sides, with the number of trials that the gate recommends.
//!
//! *latency*: NATS behind a line that holds back every byte, for longer where the candidate is to be
//! slower. *throughput*: Redis pub/sub, whose server is stopped for a share of the time.

mod brake;
#[path = "../line/mod.rs"]
mod line;
#[path = "../serve/mod.rs"]
mod serve;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brake::Brake;
use line::Line;
use mqbench::processes::reaper::Reaper;
use mqbench::servers::Keeper;
use serde_json::Value;
use tempfile::TempDir;

/// Trials of each side, unless more are recommended, and the most that are made then.
const TRIALS: usize = 10;
const MOST: usize = 60;
/// What the line holds back in each direction. Far more than the rest, so that it decides.
const DELAY: Duration = Duration::from_millis(5);
/// Twice the margin of a high percentile.
const SLOWER: f64 = 0.20;
/// Twice the margin of a throughput.
const LESS: f64 = 0.10;

/// What is measured and how a candidate is made slower.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Latency,
    Throughput,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Latency => "latency",
            Kind::Throughput => "throughput",
        }
    }

    fn driver(self) -> &'static str {
        match self {
            Kind::Latency => "nats",
            Kind::Throughput => "redis-pubsub",
        }
    }

    fn scenario(self, url: &str) -> String {
        let driver = self.driver();
        let (load, measure) = match self {
            // 5,000 samples and some: 50 of them beyond the 99th percentile.
            Kind::Latency => ("{rate: 8k/s}", "700ms"),
            Kind::Throughput => ("max", "700ms"),
        };
        // What the line and the brake take is part of the experiment, and no reason to repeat a trial.
        format!(
            "name: gate\nbrokers:\n  {driver}: {{url: \"{url}\"}}\n\
             workload: {{delivery: at-most-once, durability: memory, load: {load}}}\n\
             phases: {{warmup: 200ms, measure: {measure}, drain: 5s}}\n\
             disturbed: {{repeats: 0}}\n"
        )
    }
}

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(20);
    let named = |kind: &Kind| args.iter().any(|arg| arg == kind.name());
    let all = [Kind::Latency, Kind::Throughput];
    let chosen: Vec<Kind> = match all.iter().any(named) {
        true => all.into_iter().filter(named).collect(),
        false => all.into(),
    };
    let reaper: Arc<dyn Keeper> =
        Arc::new(Reaper::start_from(env!("CARGO_BIN_EXE_mqbench").into()).expect("a reaper"));
    for kind in chosen {
        Bench::start(kind, &reaper).rounds(rounds);
    }
}

/// A server, the way to it, and what was measured.
struct Bench {
    kind: Kind,
    line: Line,
    server: mqbench::servers::Instance,
    folder: TempDir,
    runs: usize,
}

/// What the gate said of two runs.
struct Said {
    /// The worst of its words.
    verdict: &'static str,
    /// Of each figure, candidate to baseline.
    ratios: Vec<(String, f64)>,
    /// What it recommends where it is not sure.
    needed: Option<usize>,
}

impl Bench {
    fn start(kind: Kind, reaper: &Arc<dyn Keeper>) -> Bench {
        let guarantee = ("at-most-once", "memory");
        let server = serve::start(kind.driver(), guarantee, &[], reaper).expect("it has a server");
        let url = &server.record().url;
        let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Bench {
            kind,
            line: Line::to(port.expect("a port")),
            server,
            folder: tempfile::tempdir().expect("a folder"),
            runs: 0,
        }
    }

    fn rounds(&mut self, rounds: usize) {
        let began = Instant::now();
        let (mut equal, mut slower) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            let baseline = self.measure(false, TRIALS);
            for (is_slower, said) in [(false, &mut equal), (true, &mut slower)] {
                let candidate = self.measure(is_slower, TRIALS);
                let mut found = gate(&baseline, &candidate);
                let mut trials = TRIALS;
                if let Some(needed) = found.needed.filter(|_| found.verdict == "inconclusive") {
                    trials = needed.clamp(TRIALS, MOST);
                    let baseline = self.measure(false, trials);
                    found = gate(&baseline, &self.measure(is_slower, trials));
                }
                let what = if is_slower { "slower" } else { "equal" };
                let figures = found.ratios.iter();
                let figures: Vec<String> =
                    figures.map(|(name, r)| format!("{name} {r:.3}")).collect();
                println!(
                    "{} round {round}, {what}, {trials} trials: {} ({}), after {:.0} s",
                    self.kind.name(),
                    found.verdict,
                    figures.join(", "),
                    began.elapsed().as_secs_f64()
                );
                said.push(found.verdict);
            }
        }
        let count = |said: &[&str], word: &str| said.iter().filter(|it| **it == word).count();
        println!(
            "{}: of {rounds} equal candidates {} regressed, {} improved, {} unchanged, {} inconclusive; of \
             {rounds} slower ones {} regressed; {:.0} s",
            self.kind.name(),
            count(&equal, "regressed"),
            count(&equal, "improved"),
            count(&equal, "unchanged"),
            count(&equal, "inconclusive"),
            count(&slower, "regressed"),
            began.elapsed().as_secs_f64(),
        );
    }

    /// A run; where its results are.
    fn measure(&mut self, slower: bool, trials: usize) -> PathBuf {
        let mut url = self.server.record().url.clone();
        let mut brake = None;
        match self.kind {
            Kind::Latency => {
                let factor = if slower { 1.0 + SLOWER } else { 1.0 };
                self.line.set(DELAY.mul_f64(factor));
                let (scheme, _) = url.split_once("://").expect("a URL");
                url = format!("{scheme}://127.0.0.1:{}", self.line.port);
            }
            Kind::Throughput if slower => {
                let leader = self.server.leaders()[0];
                brake = Some(Brake::on(leader, LESS));
            }
            Kind::Throughput => {}
        }
        self.runs += 1;
        let scenario = self.folder.path().join("gate.yaml");
        std::fs::write(&scenario, self.kind.scenario(&url)).expect("a scenario");
        let out = self.folder.path().join(self.runs.to_string());
        let ended = Command::new(env!("CARGO_BIN_EXE_mqbench"))
            .args(["run", "--quiet", "--trials", &trials.to_string(), "--out"])
            .args([&out, &scenario])
            .stdout(Stdio::null())
            .status()
            .expect("mqbench runs");
        drop(brake);
        assert!(ended.success(), "a run of {}", self.kind.name());
        out.join("latest")
    }
}

fn gate(baseline: &Path, candidate: &Path) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_mqbench"))
        .args(["gate", "--format", "json", "--baseline"])
        .arg(baseline)
        .arg("--candidate")
        .arg(candidate)
        .stderr(Stdio::inherit())
        .output()
        .expect("mqbench runs");
    let said: Value = serde_json::from_slice(&output.stdout).expect("what it says");
    let broker = &said["brokers"][0];
    let figures: Vec<&Value> = broker["figures"]
        .as_array()
        .expect("figures")
        .iter()
        .collect();
    let has = |word: &str| figures.iter().any(|it| it["verdict"] == word);
    let words = ["regressed", "improved", "inconclusive"];
    let needed = figures.iter().filter_map(|it| it["trials_needed"].as_u64());
    Said {
        verdict: words
            .into_iter()
            .find(|word| has(word))
            .unwrap_or("unchanged"),
        ratios: figures
            .iter()
            .filter_map(|it| Some((it["figure"].as_str()?.to_owned(), it["ratio"].as_f64()?)))
            .collect(),
        needed: needed.max().map(|it| it as usize),
    }
}
