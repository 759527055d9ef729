//! A disturbance made on purpose is found in each trial, and named. `MQBENCH_LONG=1` (`scripts/test --long`) makes
//! twenty trials of it, and looks for false alarms in twenty quiet runs.

mod program;

use std::fs;
use std::process::{Child, Command, Stdio};

use mqbench::results::Attempt;
use program::{Place, alone, attempts};

/// What tells this test program that it is to be the disturbance.
const ROLE: &str = "MQBENCH_TEST_SPINS";

/// Not a test: keeps a core busy until it is killed.
#[test]
#[ignore = "a part of other tests, which start it"]
fn spins() {
    while std::env::var_os(ROLE).is_some() {
        std::hint::spin_loop();
    }
}

/// A busy process that is none of a run's.
struct Disturbance(Child);

impl Disturbance {
    fn begin() -> Disturbance {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "spins", "--ignored"])
            .env(ROLE, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Disturbance(child.expect("started"))
    }

    /// As the kernel names it: by its program, cut.
    fn name(&self) -> String {
        let program = std::env::current_exe().expect("this program");
        let name = program.file_name().expect("a name").to_string_lossy();
        name.chars().take(15).collect()
    }
}

impl Drop for Disturbance {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_long() -> bool {
    std::env::var_os("MQBENCH_LONG").is_some()
}

fn scenario(trials: u32) -> String {
    format!(
        "brokers: [loopback]\nworkload: {{load: {{rate: 500/s}}, message: {{size: 64B}}}}\n\
         phases: {{warmup: 100ms, measure: 2500ms, drain: 5s}}\ntrials: {trials}\ndisturbed: {{repeats: 0}}\n"
    )
}

#[test]
fn a_busy_process_is_found_in_every_trial_by_name_and_number_and_time() {
    let _turn = alone();
    let disturbance = Disturbance::begin();
    let (name, pid) = (disturbance.name(), disturbance.0.id() as i32);
    let trials = if is_long() { 20 } else { 3 };
    let place = Place::new();
    place.write("s.yaml", &scenario(trials));
    let ended = place.run(&["run", "s.yaml"]);
    ended.assert_code(0);
    let results = place.results();
    let made = attempts(&results, "loopback");
    assert_eq!(made.len(), trials as usize);
    for attempt in made {
        assert!(attempt.disturbed.is_some(), "{attempt:?}");
        let taker = attempt.takers.iter().find(|it| it.name == name);
        let taker = taker.unwrap_or_else(|| panic!("{name} is not among {:?}", attempt.takers));
        assert_eq!(taker.pid, pid);
        assert!(taker.share > 0.02, "{taker:?}");
        let spans = &attempt.disturbed_at;
        assert!(!spans.is_empty() && spans[0][0] < 1.5, "{spans:?}");
    }
    assert!(ended.out.contains(&name), "{}", ended.out);
    let page = place.kept("report.html");
    assert!(page.contains(&format!("(process {pid})")));
    let series = place.kept("trials/0001.json");
    assert!(series.contains(&format!("\"name\": \"{name}\"")));
}

/// All, busy and stolen seconds of all processors since the machine started.
fn totals() -> [f64; 3] {
    let stat = fs::read_to_string("/proc/stat").expect("readable");
    let line = stat.lines().next().expect("a line");
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .map(|it| it.parse().expect("a number"))
        .collect();
    let busy = ticks[0] + ticks[1] + ticks[2];
    let all: f64 = ticks[..8].iter().sum();
    [all, busy, ticks[7]].map(|it| it / 100.0)
}

/// Share of all CPU time that went to others, by the counters of the whole machine alone: steal, and busy time that is
/// neither of the run nor of what the kernel does for everybody.
fn outside(place: &Place) -> (f64, Attempt) {
    let children = || {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
        let usage = usage.expect("usage");
        let seconds = |time: nix::sys::time::TimeVal| {
            time.tv_sec() as f64 + f64::from(time.tv_usec() as i32) / 1e6
        };
        seconds(usage.user_time()) + seconds(usage.system_time())
    };
    let (then, spent) = (totals(), children());
    place.run(&["run", "s.yaml"]).assert_code(0);
    let (now, spent) = (totals(), children() - spent);
    let [all, busy, steal] = [0, 1, 2].map(|i| now[i] - then[i]);
    let attempt = attempts(&place.results(), "loopback")[0].clone();
    ((steal + (busy - spent).max(0.0)) / all.max(1e-9), attempt)
}

#[test]
fn where_nobody_else_took_anything_nobody_is_blamed() {
    let _turn = alone();
    let runs = if is_long() { 20 } else { 1 };
    let place = Place::new();
    place.write("s.yaml", &scenario(1));
    let mut judged = 0;
    for _ in 0..runs {
        let (outside, attempt) = outside(&place);
        // Half of what a scenario allows: what the whole run lost is spread over more than its measured part.
        if outside < 0.01 {
            judged += 1;
            assert_eq!(attempt.disturbed, None, "{outside} {:?}", attempt.takers);
        }
    }
    println!(
        "{judged} of {runs} runs were quiet by the machine's own counters, and could be judged"
    );
}
