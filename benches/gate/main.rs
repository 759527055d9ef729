//! How often the gate errs: `cargo bench --bench gate -- [latency|throughput|cpu] [ROUNDS]`.
//!
//! One real broker, measured again and again. Each round makes two comparisons: a baseline with an equal candidate, and one
//! with a candidate that is slower by twice the margin; `mqbench gate` is asked about both. What is inconclusive is
//! measured once more, both sides, with the number of trials that the gate recommends.
//!
//! *latency*, *throughput*: NATS behind a line that holds back every byte, for longer where the candidate is to be
//! slower; baseline and candidate are runs of their own. *cpu*: Redis pub/sub, whose server is stopped for a share of
//! the time. What a machine can do there differs from one minute to the next by more than what is to be found, so the
//! baseline's program is measured again beside the candidate, as `run --baseline` does.

mod brake;
#[path = "../line/mod.rs"]
mod line;
#[path = "../serve/mod.rs"]
mod serve;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use line::Line;
use mqbench::processes::reaper::Reaper;
use mqbench::servers::{Instance, Keeper};
use serde_json::Value;
use tempfile::TempDir;

/// Trials of each side, unless more are recommended, and the most that are made then.
const TRIALS: usize = 10;
const MOST: usize = 60;
/// What the line holds back in each direction. Far more than the rest, so that it decides.
const DELAY: Duration = Duration::from_millis(5);
/// Twice the margin of a throughput.
const LESS: f64 = 0.10;
/// With this word and a share the program is what starts a server and stops it for that share of the time.
const BRAKE: &str = "__brake";
/// The exit code of a run that is worse than its baseline.
const REGRESSED: i32 = 99;

/// What is measured and how a candidate is made slower.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Latency,
    Throughput,
    Cpu,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Latency => "latency",
            Kind::Throughput => "throughput",
            Kind::Cpu => "cpu",
        }
    }

    fn driver(self) -> &'static str {
        match self {
            Kind::Latency | Kind::Throughput => "nats",
            Kind::Cpu => "redis-pubsub",
        }
    }

    /// How many times as long as a baseline a candidate takes that is to be slower: by twice the margin.
    fn slower(self) -> f64 {
        match self {
            Kind::Latency => 1.0 + 2.0 * 0.1,
            Kind::Throughput | Kind::Cpu => 1.0 / (1.0 - LESS),
        }
    }

    fn scenario(self, broker: &str) -> String {
        let (load, cores) = match self {
            // 5,000 samples and some: 50 of them beyond the 99th percentile.
            Kind::Latency => ("load: {rate: 8k/s}", ""),
            // So many for each passage of the line, which decides.
            Kind::Throughput => ("load: max, in_flight: 100", ""),
            // One message at a time: whatever holds the server up holds up all of them. With more under way, how
            // many are written at once decides, and differs by a fifth between equal trials. So does it where the
            // system moves threads from core to core.
            Kind::Cpu => (
                "load: max, in_flight: 1, message: {size: 64KiB}",
                "cores: {publishers: 0, consumers: 0, brokers: 1}\n",
            ),
        };
        // What the line and the brake take is part of the experiment, and no reason to repeat a trial.
        format!(
            "name: gate\nbrokers:\n- {broker}\n\
             workload: {{delivery: at-most-once, durability: memory, {load}}}\n{cores}\
             phases: {{warmup: 200ms, measure: 700ms, drain: 5s}}\n\
             disturbed: {{repeats: 0}}\n"
        )
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [BRAKE, share, program, args @ ..] =
        &args.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        let share = share.parse().expect("a share");
        std::process::exit(brake::run(share, Command::new(program).args(args)));
    }
    let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(20);
    let named = |kind: &Kind| args.iter().any(|arg| arg == kind.name());
    let all = [Kind::Latency, Kind::Throughput, Kind::Cpu];
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

/// What is measured, and what was.
struct Bench {
    kind: Kind,
    way: Way,
    folder: TempDir,
    runs: usize,
}

/// How a candidate is made slower.
enum Way {
    /// A server behind a line that holds back every byte.
    Behind(Box<Instance>, Line),
    /// Servers that mqbench starts: the baseline's program, an equal one and a slower one, each in a folder of its own; and
    /// the baseline. Its program is measured again beside each candidate.
    Beside(PathBuf),
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
        let folder = tempfile::tempdir().expect("a folder");
        let mut bench = Bench {
            kind,
            way: Way::Beside(folder.path().join("baseline/latest")),
            folder,
            runs: 0,
        };
        match kind {
            Kind::Latency | Kind::Throughput => {
                let guarantee = ("at-most-once", "memory");
                let server = serve::start(kind.driver(), guarantee, &[], reaper);
                let server = server.expect("it has a server");
                let line = Line::to(server.record().site.port());
                bench.way = Way::Behind(Box::new(server), line);
            }
            Kind::Cpu => {
                for name in ["baseline", "equal", "slower"] {
                    program(&bench.folder.path().join(name), name == "slower");
                }
                bench.write(kind.driver());
                bench.run(Some("baseline"), &["--trials", "1", "--out", "baseline"]);
            }
        }
        bench
    }

    fn rounds(&mut self, rounds: usize) {
        let began = Instant::now();
        let (mut equal, mut slower) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            for (is_slower, said) in [(false, &mut equal), (true, &mut slower)] {
                let mut trials = TRIALS;
                let mut found = self.compare(is_slower, trials);
                if let Some(needed) = found.needed.filter(|_| found.verdict == "inconclusive") {
                    trials = needed.clamp(TRIALS, MOST);
                    found = self.compare(is_slower, trials);
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

    /// A baseline and a candidate, and what the gate says of them.
    fn compare(&mut self, is_slower: bool, trials: usize) -> Said {
        self.runs += 1;
        let trials = trials.to_string();
        let one = format!("{}-baseline", self.runs);
        let other = format!("{}-candidate", self.runs);
        let baseline = match &self.way {
            Way::Behind(server, line) => {
                let url = &server.record().url;
                let (scheme, _) = url.split_once("://").expect("a URL");
                let broker = format!(
                    "{}: {{url: \"{scheme}://127.0.0.1:{}\"}}",
                    self.kind.driver(),
                    line.port
                );
                self.write(&broker);
                line.set(DELAY);
                self.run(None, &["--trials", &trials, "--out", &one]);
                line.set(DELAY.mul_f64(if is_slower { self.kind.slower() } else { 1.0 }));
                self.run(None, &["--trials", &trials, "--out", &other]);
                self.folder.path().join(one).join("latest")
            }
            Way::Beside(baseline) => {
                let home = if is_slower { "slower" } else { "equal" };
                let before = baseline.to_str().expect("a path");
                self.run(
                    Some(home),
                    &["--trials", &trials, "--out", &other, "--baseline", before],
                );
                baseline.clone()
            }
        };
        gate(&baseline, &self.folder.path().join(other).join("latest"))
    }

    /// The scenario, of this broker.
    fn write(&self, broker: &str) {
        let text = self.kind.scenario(broker);
        std::fs::write(self.folder.path().join("gate.yaml"), text).expect("a scenario");
    }

    /// A run; `home` is the folder of the servers that it starts, where it does.
    fn run(&self, home: Option<&str>, further: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
        command.args(["run", "--quiet", "gate.yaml"]).args(further);
        if let Some(home) = home {
            command.env("MQBENCH_REDIS_HOME", self.folder.path().join(home));
        }
        let ended = command
            .current_dir(self.folder.path())
            .output()
            .expect("mqbench runs");
        // Beside its baseline a run is judged, too; what is counted is asked of the gate.
        let is_expected = matches!(ended.status.code(), Some(0 | REGRESSED));
        assert!(is_expected, "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

/// Redis in a folder of its own, stopped for a share of the time where it is to be slower.
fn program(folder: &Path, is_slower: bool) {
    std::fs::create_dir(folder).expect("a folder");
    let start = match is_slower {
        true => {
            let own = std::env::current_exe().expect("this program");
            format!("'{}' {BRAKE} {LESS} redis-server", own.display())
        }
        false => "redis-server".to_owned(),
    };
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != --version ] || exec redis-server --version\nexec {start} \"$@\"\n"
    );
    let path = folder.join("redis-server");
    std::fs::write(&path, script).expect("a program");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("a program");
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
