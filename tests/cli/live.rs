//! The dashboard, on a terminal that `script` makes.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::program::{Place, SOON, await_that, signal, wait_for};

const SCENARIO: &str = "\
name: t
brokers: {loopback: {}, other: {driver: loopback}}
workload: {message: {size: 64B}, load: {rate: 500/s}}
phases: {warmup: 0ms, measure: 30s, drain: 5s}
trials: 1
disturbed: {repeats: 0}
";
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

/// A shell on a terminal of 80 × 24 in this place: its words go to `screen`.
struct Terminal<'p> {
    place: &'p Place,
    script: Child,
}

fn terminal<'p>(place: &'p Place, size: &str, arguments: &str) -> Terminal<'p> {
    place.write("s.yaml", SCENARIO);
    let program = env!("CARGO_BIN_EXE_mqbench");
    // The mode of the terminal, before and after; Ctrl-C is for the shell, too, which must not end of it.
    let line = format!(
        "trap : INT; stty {size}; stty -g > before; '{program}' {arguments}; code=$?; stty -g > after; exit $code"
    );
    // The environment of the place, in which `script` runs as the program would.
    let of_place = place.command(&[]);
    let mut command = Command::new("script");
    for (name, value) in of_place.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let script = command
        .args(["-qefc", &line, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .current_dir(of_place.get_current_dir().expect("a folder"))
        .stdin(Stdio::piped())
        .stdout(fs::File::create(place.path("screen")).expect("a file"))
        .stderr(Stdio::null())
        .spawn()
        .expect("script, of util-linux");
    Terminal { place, script }
}

impl Terminal<'_> {
    fn screen(&self) -> String {
        let bytes = fs::read(self.place.path("screen")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[track_caller]
    fn await_words(&self, words: &str) {
        await_that(words, || self.screen().contains(words));
    }

    fn types(&mut self, keys: &str) {
        let stdin = self.script.stdin.as_mut().expect("a pipe");
        stdin.write_all(keys.as_bytes()).expect("typed");
    }

    /// The program itself.
    fn pid(&self) -> i32 {
        let all = self.place.processes().into_iter();
        let mut ours = all.filter(|(_, name)| name == "mqbench");
        ours.next().expect("it runs").0
    }

    /// Its end: interrupted, with the terminal as it was and the report on the page that stays.
    #[track_caller]
    fn assert_given_back(mut self) {
        let mut code = None;
        assert!(wait_for(SOON, || {
            code = self.script.try_wait().expect("a child");
            code.is_some()
        }));
        let screen = self.screen();
        assert_eq!(code.and_then(|it| it.code()), Some(130), "{screen}");
        assert_eq!(screen.matches(ENTER).count(), 1);
        assert_eq!(screen.matches(LEAVE).count(), 1);
        let (_, after) = screen.split_once(LEAVE).expect("left");
        assert!(
            !after.contains("\u{1b}[?25l"),
            "the cursor is there: {after}"
        );
        assert!(after.contains("results/"), "the report follows: {after}");
        let mode = |name: &str| fs::read_to_string(self.place.path(name)).expect("a mode");
        assert_eq!(mode("before"), mode("after"));
        let results = self.place.results();
        assert!(results.manifest.interrupted && results.attempts.len() == 1);
        self.place.assert_clean();
    }
}

/// Without the codes of colours.
fn bare(screen: &str) -> String {
    let mut parts = screen.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |bare, part| {
        let is_end = |c: char| c.is_ascii_alphabetic();
        bare + part.find(is_end).map_or("", |end| &part[end + 1..])
    })
}

#[test]
fn a_key_ends_the_run_and_what_was_measured_is_kept() {
    let place = Place::new();
    let mut terminal = terminal(&place, "cols 80 rows 24", "run s.yaml --live");
    terminal.await_words("measuring");
    terminal.await_words("sent 5");
    let screen = bare(&terminal.screen());
    for words in [
        "t · 2 brokers × 1 trial each",
        "▸ ",
        "loopback",
        "other",
        "q or Ctrl-C",
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    terminal.types("xq");
    terminal.assert_given_back();
}

#[test]
fn ctrl_c_and_a_signal_give_the_terminal_back_too() {
    for ends in [
        |terminal: &mut Terminal| terminal.types("\u{3}"),
        |terminal: &mut Terminal| signal(terminal.pid(), Signal::SIGTERM),
    ] {
        let place = Place::new();
        let mut terminal = terminal(&place, "cols 40 rows 8", "run s.yaml --live --color never");
        terminal.await_words("measuring");
        ends(&mut terminal);
        terminal.assert_given_back();
    }
}

#[test]
fn without_a_terminal_there_are_lines_and_a_note() {
    let place = Place::new();
    place.write("s.yaml", &SCENARIO.replace("30s", "200ms"));
    let run = place.run(&["run", "s.yaml", "--live"]);
    run.assert_code(0);
    assert_eq!(
        run.err
            .matches("no --live: standard error is no terminal")
            .count(),
        1,
        "{}",
        run.err
    );
    assert!(
        run.err.contains("trial 2 of 2") && !run.err.contains('\u{1b}'),
        "{}",
        run.err
    );
    let quiet = place.run(&["run", "s.yaml", "--live", "--quiet"]);
    assert_eq!(quiet.assert_code(0).err, "");
}
