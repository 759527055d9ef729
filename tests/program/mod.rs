//! The built program in a place of its own: folder, temporary files, kept servers, environment. What it
//! starts works in folders of that place, by which anything that it leaves behind is found.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mqbench::measure::latency::Latency;
use mqbench::results::{Attempt, Results, Stored};
use tempfile::TempDir;

#[path = "../installed/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "a test may use both harnesses")]
mod installed;
#[allow(unused_imports, reason = "each test file uses its part")]
pub use installed::{has, program_of, skipped};

/// Far longer than anything here takes, on a machine whose CPU may be taken away for a while.
pub const SOON: Duration = Duration::from_secs(60);

/// Where the program runs.
pub struct Place {
    folder: TempDir,
}

/// How the program ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("tmp")).expect("a folder");
        Place { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// The program with these arguments, in this place.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            // Those that say where servers are stay: they belong to the machine, not to a run.
            if text.starts_with("MQBENCH_") && !text.ends_with("_HOME") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("NO_COLOR")
            .env_remove("GITHUB_STEP_SUMMARY")
            .env_remove("TERM")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments))
    }

    /// Starts it, with what it says in `out` and `err`.
    pub fn start(&self, arguments: &[&str]) -> Running<'_> {
        let file = |name: &str| File::create(self.path(name)).expect("a file");
        let mut command = self.command(arguments);
        command.stdout(file("out")).stderr(file("err"));
        let child = command.spawn().expect("started");
        Running { place: self, child }
    }

    /// The results of the newest run.
    #[track_caller]
    pub fn results(&self) -> Results {
        self.stored().results
    }

    #[track_caller]
    pub fn stored(&self) -> Stored {
        Stored::open(&self.path("results/latest")).expect("results that can be read")
    }

    /// A file of the newest run.
    #[track_caller]
    pub fn kept(&self, name: &str) -> String {
        fs::read_to_string(self.path("results/latest").join(name)).expect("a file of the run")
    }

    /// Living processes that were started from here, the program's own included: number and name.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let all = fs::read_dir("/proc").expect("processes").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        // All work in a folder of the place. Not by a mark in the environment: Redis writes over its own.
        let here = fs::canonicalize(self.folder.path()).expect("the folder");
        let ours = pids.filter(|pid: &i32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(&here))
        });
        ours.map(|pid| (pid, name(pid))).collect()
    }

    /// The server of this name, when it listens: the same program may have been asked for its version
    /// just before.
    #[track_caller]
    pub fn await_server(&self, named: &str) -> i32 {
        let mut found = None;
        await_that(&format!("{named} listens"), || {
            let all = self.processes();
            let mut named = all.iter().filter(|(_, name)| name == named);
            found = named
                .find(|(pid, _)| !listening(*pid).is_empty())
                .map(|p| p.0);
            found.is_some()
        });
        found.expect("found")
    }

    /// Workers whose publishers are at work.
    pub fn loaded(&self) -> Vec<i32> {
        let all = self.processes().into_iter();
        let workers =
            all.filter(|(pid, name)| name == "__worker" && waits_of_publishers(*pid) > 100);
        workers.map(|worker| worker.0).collect()
    }

    /// Ports on which processes from here listen.
    pub fn ports(&self) -> HashSet<u16> {
        let processes = self.processes();
        let pids = processes.iter().map(|(pid, _)| *pid);
        pids.flat_map(listening).collect()
    }

    /// Nothing runs and nothing temporary is left, soon.
    #[track_caller]
    pub fn assert_clean(&self) {
        let mut left = String::new();
        let clean = wait_for(SOON, || {
            let files: Vec<_> = fs::read_dir(self.path("tmp"))
                .expect("the folder of temporary files")
                .filter_map(|entry| entry.ok().map(|entry| entry.file_name()))
                .collect();
            let processes = self.processes();
            left = format!("{processes:?} {files:?}");
            processes.is_empty() && files.is_empty()
        });
        assert!(clean, "left behind: {left}");
    }
}

impl Drop for Place {
    /// Ends what a failed test has left, so that it does not disturb the others.
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            signal(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// The program while it runs.
pub struct Running<'p> {
    place: &'p Place,
    pub child: Child,
}

impl Running<'_> {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        self::signal(self.pid(), signal);
    }

    /// Waits until the load of a trial has begun. Gives the number of its worker.
    #[track_caller]
    pub fn await_load(&self) -> i32 {
        let mut found = None;
        await_that("a trial runs", || {
            found = self.place.loaded().first().copied();
            found.is_some()
        });
        found.expect("found")
    }

    /// Waits for its end, which must come within `limit`.
    #[track_caller]
    pub fn ends_within(mut self, limit: Duration) -> Ended {
        let ended = wait_for(limit, || matches!(self.child.try_wait(), Ok(Some(_))));
        let read = |name: &str| fs::read_to_string(self.place.path(name)).unwrap_or_default();
        let (out, err) = (read("out"), read("err"));
        assert!(ended, "not ended after {limit:?}\n{out}\n{err}");
        let code = self.child.wait().expect("an end").code();
        Ended { code, out, err }
    }
}

/// Runs a command to its end, which must come.
#[track_caller]
pub fn ended(mut command: Command) -> Ended {
    let output = command.output().expect("started");
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

impl Ended {
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Ended {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

/// The attempts that count of the broker with this label.
pub fn attempts<'r>(results: &'r Results, label: &str) -> Vec<&'r Attempt> {
    let brokers = &results.plan.brokers;
    let broker = brokers.iter().position(|broker| broker.label == label);
    results
        .standing_of(broker.expect("a broker of the plan"))
        .collect()
}

/// Whether others took so little CPU time, and the trial was so punctual, that ratios of times hold.
pub fn is_quiet(attempt: &Attempt) -> bool {
    let usage = &attempt.usage;
    usage.capacity_s > 0.0
        && usage.share(usage.steal_s + usage.foreign_s + usage.unseen_s.max(0.0)) < 0.02
}

/// The share of samples above this many nanoseconds.
pub fn share_above(latency: &Latency, nanoseconds: u64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        match latency.quantile(middle) > nanoseconds {
            true => high = middle,
            false => low = middle,
        }
    }
    1.0 - low
}

/// The machine to one test alone: for those that look at times.
pub fn alone() -> File {
    let lock = turn();
    lock.lock().expect("a lock");
    lock
}

/// The machine together with others that do not look at times.
pub fn beside_others() -> File {
    let lock = turn();
    lock.lock_shared().expect("a lock");
    lock
}

fn turn() -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-tests.lock");
    let file = File::options().create(true).append(true).open(path);
    file.expect("a file to lock")
}

/// The hidden command of a process of ours, else the name of its program.
fn name(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|b| *b == 0).map(String::from_utf8_lossy);
    let program = words.next().unwrap_or_default();
    match words.next() {
        Some(hidden) if hidden.starts_with("__") => hidden.into_owned(),
        // Redis writes its address behind its name.
        _ => {
            let program = program.split(' ').next().unwrap_or_default();
            let file = program.rsplit('/').next().unwrap_or_default();
            file.to_owned()
        }
    }
}

/// How often publishing threads of a worker have waited: for every message or batch once, when the load
/// has begun.
pub fn waits_of_publishers(worker: i32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{worker}/task")) else {
        return 0;
    };
    let waits = threads.flatten().filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let value = |key: &str| {
            let mut lines = status.lines();
            lines.find_map(|line| line.strip_prefix(key)).map(str::trim)
        };
        value("Name:")?.starts_with("pub-").then_some(())?;
        value("voluntary_ctxt_switches:")?.parse::<u64>().ok()
    });
    waits.sum()
}

/// Ports on which a process listens.
pub fn listening(pid: i32) -> Vec<u16> {
    ports(pid, "0A", 1)
}

/// Ports to which a process is connected.
pub fn connected(pid: i32) -> Vec<u16> {
    ports(pid, "01", 2)
}

/// Of the sockets of a process in this state, the ports in this column of the kernel's table.
fn ports(pid: i32, state: &str, column: usize) -> Vec<u16> {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let sockets: HashSet<String> = open
        .flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .filter_map(|link| {
            let link = link.to_string_lossy().into_owned();
            let number = link.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(number.to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let rows = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ours = words.get(3) == Some(&state) && sockets.contains(*words.get(9)?);
        let port = words.get(column)?.rsplit(':').next()?;
        ours.then(|| u16::from_str_radix(port, 16).ok())?
    });
    rows.collect()
}

pub fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    // One that is gone needs no signal.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Waits until it holds; whether it did within the limit.
pub fn wait_for(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
pub fn await_that(what: &str, condition: impl FnMut() -> bool) {
    assert!(wait_for(SOON, condition), "not so in time: {what}");
}
