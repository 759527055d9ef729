//! Bad input: exit 2, with the place and the fix, and nothing started or written.

use crate::program::Place;

/// Ten lines that pass; each case changes one of them.
const GOOD: &str = "\
name: t
brokers: {loopback: {}}
workload:
  delivery: at-least-once
  message: {size: 64B}
  load: {rate: 1k/s}
phases: {warmup: 100ms, measure: 500ms, drain: 1s}
trials: 1
seed: 1
thresholds: [lost == 0]
";

struct Case {
    /// The line that is changed, and what it becomes.
    line: usize,
    becomes: &'static str,
    /// Line and column that the error names.
    at: &'static str,
    /// What it says of the fault.
    fault: &'static str,
    /// And of the way out.
    fix: &'static str,
}

const CASES: &[Case] = &[
    Case {
        line: 2,
        becomes: "brokers: {loopback: {}",
        at: "3:",
        fault: "not YAML",
        fix: "",
    },
    Case {
        line: 6,
        becomes: "  load: {rate: 1kB}",
        at: "6:16",
        fault: "does not say per what time",
        fix: "write `1kB/s`",
    },
    Case {
        line: 5,
        becomes: "  message: {size: 64 apples}",
        at: "5:19",
        fault: "64 apples",
        fix: "KiB",
    },
    Case {
        line: 4,
        becomes: "  delivry: at-least-once",
        at: "4:3",
        fault: "unknown key `delivry` in `workload`",
        fix: "did you mean `delivery`?",
    },
    Case {
        line: 6,
        becomes: "  load: {rate: 0/s}",
        at: "6:16",
        fault: "a rate of zero sends nothing",
        fix: "for example `rate: 5k/s`",
    },
    Case {
        line: 5,
        becomes: "  message: {size: 16B}",
        at: "5:19",
        fault: "a message of 16B is too small",
        fix: "32",
    },
    Case {
        line: 7,
        becomes: "phases: {measure: -1s}",
        at: "7:19",
        fault: "is negative",
        fix: "write a time such as",
    },
    Case {
        line: 2,
        becomes: "brokers: {loopback: {}, loopback: {}}",
        at: "2:25",
        fault: "duplicate key loopback",
        fix: "a name of its own",
    },
    Case {
        line: 2,
        becomes: "brokers: [loopback, loopback]",
        at: "2:21",
        fault: "broker `loopback` is there twice",
        fix: "",
    },
    Case {
        line: 2,
        becomes: "brokers: {redis-streams: {url: \"redis://h:1\", password: \"${NOT_SET_7}\"}}",
        at: "2:57",
        fault: "the environment variable `NOT_SET_7` is not set",
        fix: "NOT_SET_7",
    },
    Case {
        line: 2,
        becomes: "brokers: {redis-streams: {url: \"redis://h:1\", password: tulip}}",
        at: "2:57",
        fault: "a password must come from the environment",
        fix: "${",
    },
    Case {
        line: 2,
        becomes: "brokers: {nats: {}}",
        at: "2:11",
        fault: "nats cannot give at-least-once",
        fix: "at-most-once",
    },
    Case {
        line: 2,
        becomes: "brokers: {natz: {}}",
        at: "2:11",
        fault: "unknown broker `natz`",
        fix: "did you mean `nats`?",
    },
    Case {
        line: 2,
        becomes: "brokers: {x: {driver: nutz}}",
        at: "2:23",
        fault: "nutz",
        fix: "nats",
    },
    Case {
        line: 2,
        becomes: "brokers: {loopback: {dely: 5ms}}",
        at: "2:22",
        fault: "unknown broker option `dely`",
        fix: "did you mean `delay`?",
    },
    Case {
        line: 2,
        becomes: "brokers: {loopback: {loss: 101%}}",
        at: "2:28",
        fault: "101%",
        fix: "100%",
    },
    Case {
        line: 10,
        becomes: "thresholds: [p99(round_trip) < 5ms]",
        at: "10:",
        fault: "needs replies, and this pattern has none",
        fix: "end_to_end",
    },
    Case {
        line: 10,
        becomes: "thresholds: [p99.9(end_to_end) < 5ms]",
        at: "10:",
        fault: "at least 50 must lie beyond",
        fix: "measure longer",
    },
    Case {
        line: 10,
        becomes: "thresholds: [lots == 0]",
        at: "10:",
        fault: "lots",
        fix: "lost",
    },
    Case {
        line: 10,
        becomes: "thresholds: [\"nats: lost == 0\"]",
        at: "10:",
        fault: "nats",
        fix: "loopback",
    },
];

#[test]
fn the_scenario_that_all_cases_start_from_is_good() {
    let place = Place::new();
    place.write("s.yaml", GOOD);
    place.run(&["check", "s.yaml"]).assert_code(0);
}

#[test]
fn a_bad_scenario_is_refused_where_it_is_bad_before_anything_starts() {
    let place = Place::new();
    let mut wrong = Vec::new();
    for case in CASES {
        let lines: Vec<&str> = GOOD
            .lines()
            .enumerate()
            .map(|(number, line)| match number + 1 == case.line {
                true => case.becomes,
                false => line,
            })
            .collect();
        place.write("s.yaml", &(lines.join("\n") + "\n"));
        for command in ["check", "run"] {
            let ended = place.run(&[command, "s.yaml"]);
            let what = format!("{command} {}\n{}{}", case.becomes, ended.out, ended.err);
            let place = format!("─ s.yaml:{}", case.at);
            let as_it_should = ended.code == Some(2)
                && ended.out.is_empty()
                && ended.err.starts_with("error: ")
                && [case.fault, case.fix, &place]
                    .iter()
                    .all(|part| ended.err.contains(part));
            if !as_it_should {
                wrong.push(what.clone());
            }
            assert!(!ended.err.contains("tulip"), "a secret is shown: {what}");
        }
        assert!(!place.path("results").exists(), "{}", case.becomes);
        place.assert_clean();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn an_error_is_drawn_as_a_reader_needs_it() {
    let place = Place::new();
    place.write(
        "s.yaml",
        &GOOD.replace("loopback: {}", "loopback: {dely: 5ms}"),
    );
    let ended = place.run(&["run", "s.yaml"]);
    assert_eq!(
        ended.err,
        "\
error: unknown broker option `dely`
   ╭─ s.yaml:2:22
 2 │ brokers: {loopback: {dely: 5ms}}
   │                      ^^^^ did you mean `delay`?
   ╰ options of loopback: `mqbench drivers loopback`
"
    );
}

#[test]
fn all_faults_of_a_scenario_are_told_at_once() {
    let place = Place::new();
    let text = GOOD
        .replace("size: 64B", "size: 1B")
        .replace("rate: 1k/s", "rate: 0/s");
    place.write("s.yaml", &text);
    let ended = place.run(&["check", "s.yaml"]);
    ended.assert_code(2);
    assert!(ended.err.contains("s.yaml:5:"), "{}", ended.err);
    assert!(ended.err.contains("s.yaml:6:"), "{}", ended.err);
}

#[test]
fn a_bad_change_on_the_command_line_is_shown_there() {
    let place = Place::new();
    place.write("s.yaml", GOOD);
    for (arguments, says) in [
        (
            &["--set", "workload.load.rat=5"][..],
            "did you mean `rate`?",
        ),
        (&["--set", "workload"], "--set takes a key and a value"),
        (&["--set", "trials=many"], "many"),
        (&["--broker", "loopbak"], "loopback"),
        (&["--trials", "0"], "`trials` cannot be 0"),
        (
            &["--set", "brokers.redis-streams.url=redis://u:tulip@h:1"],
            "must come from the environment",
        ),
    ] {
        let ended = place.run(&[&["run", "s.yaml"], arguments].concat());
        ended.assert_code(2);
        assert!(ended.err.contains(says), "{arguments:?}: {}", ended.err);
        assert!(!ended.err.contains("tulip"), "{}", ended.err);
    }
    assert!(!place.path("results").exists());
}

#[test]
fn results_that_cannot_be_kept_are_known_before_the_run() {
    let place = Place::new();
    place.write("s.yaml", GOOD);
    place.write("file", "");
    let mut cases = vec![vec!["--out", "file"], vec!["--out", "/proc/nowhere"]];
    for export in ["json", "csv", "markdown", "hdr"] {
        let flag: &str = [
            "--export-json",
            "--export-csv",
            "--export-markdown",
            "--export-hdr",
        ]
        .into_iter()
        .find(|flag| flag.ends_with(export))
        .expect("a flag");
        cases.push(vec![flag, "no/such/folder/file"]);
        cases.push(vec![flag, "."]);
    }
    for arguments in cases {
        let ended = place.run(&[&["run", "s.yaml"], &arguments[..]].concat());
        ended.assert_code(2);
        assert!(
            ended.err.starts_with("error: cannot write results to `"),
            "{arguments:?}: {}",
            ended.err
        );
        assert!(!ended.err.contains("trial"), "{arguments:?}: {}", ended.err);
        assert!(!place.path("results").exists(), "{arguments:?}");
    }
    place.assert_clean();
}

#[test]
fn settings_of_a_private_server_are_looked_at_before_it_starts() {
    let place = Place::new();
    let check = |settings: &str| {
        let text = format!(
            "brokers: {{redis-streams: {{managed: {{settings: {{{settings}}}}}}}}}\n\
             workload: {{delivery: at-least-once, durability: fsync, load: max}}\n"
        );
        place.write("s.yaml", &text);
        place.run(&["check", "s.yaml"])
    };
    let taken = check("maxmemory: 100mb");
    taken.assert_code(0);
    for (settings, words) in [
        ("maxmemry: 100mb", "did you mean `maxmemory`?"),
        ("appendfsync: 'no'", "what it guarantees needs always"),
        ("password: secret", "no setting for a scenario"),
        ("nodes: 3", "no setting"),
    ] {
        let refused = check(settings);
        refused.assert_code(2);
        assert!(refused.err.contains(words), "{}", refused.err);
        assert!(refused.err.contains("s.yaml:1:"), "{}", refused.err);
    }
}
