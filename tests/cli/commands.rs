//! Every command that starts nothing.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Place, ended};

const COMMANDS: [&str; 13] = [
    "run",
    "check",
    "calibrate",
    "history",
    "list",
    "drivers",
    "init",
    "schema",
    "up",
    "down",
    "status",
    "completions",
    "man",
];

#[test]
fn without_arguments_it_helps_and_the_first_example_works_as_it_stands() {
    let place = Place::new();
    let help = place.run(&[]);
    help.assert_code(0);
    assert_eq!(help.err, "");
    let mut lines = help.out.lines();
    lines.find(|line| *line == "Examples:").expect("examples");
    let first = lines.next().expect("an example");
    let words: Vec<&str> = first.split("  ").map(str::trim).collect();
    let command = words.iter().find(|part| !part.is_empty()).expect("words");
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[..2], ["mqbench", "run"]);
    // The same plan, without the run.
    let mut words = words[1..].to_vec();
    words[0] = "check";
    place.run(&words).assert_code(0);
}

#[test]
fn every_command_explains_itself() {
    let place = Place::new();
    let all = place.run(&["--help"]);
    for command in COMMANDS {
        assert!(
            all.out.contains(&format!("\n  {command} ")),
            "{command} is listed"
        );
        let help = place.run(&[command, "--help"]);
        help.assert_code(0);
        assert!(
            help.out.contains(&format!("mqbench {command}")),
            "{}",
            help.out
        );
        assert_eq!(help.err, "");
    }
    let version = place.run(&["--version"]);
    assert_eq!(
        version.assert_code(0).out,
        format!("mqbench {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_would_do() {
    let place = Place::new();
    for (arguments, says) in [
        (&["rum", "latency"][..], "similar subcommand"),
        (&["run"], "<SCENARIO>"),
        (&["run", "latency", "--trails", "3"], "--trials"),
        (&["run", "latency", "--format", "xml"], "text, json, csv"),
        (&["run", "latencyy"], "did you mean `latency`?"),
        (&["drivers", "redis"], "there are loopback, "),
        (
            &["drivers", "redis-stream"],
            "did you mean `redis-streams`?",
        ),
        (&["up", "natz"], "nats"),
        (&["init", "--from", "x"], "latency"),
        (&["completions", "tcsh"], "bash"),
        (&["check", "."], "cannot read ."),
    ] {
        let ended = place.run(arguments);
        ended.assert_code(2);
        assert!(ended.err.contains(says), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
    assert!(
        !place.path("scenario.yaml").exists(),
        "nothing was written by a wrong command"
    );
}

#[test]
fn every_built_in_scenario_is_listed_and_has_a_plan() {
    let place = Place::new();
    let list = place.run(&["list"]);
    list.assert_code(0);
    let names: Vec<&str> = list
        .out
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.contains(&"latency") && names.contains(&"loopback"));
    for name in names {
        let plan = place.run(&["check", name]);
        plan.assert_code(0);
        assert!(plan.out.starts_with(&format!("{name}: ")), "{}", plan.out);
        assert!(plan.out.contains("trials, in this order"));
        let plan = place.run(&["check", name, "--format", "json"]);
        let plan: Value = serde_json::from_str(&plan.assert_code(0).out).expect("JSON");
        assert_eq!(plan["scenario"], name);
    }
    let left: Vec<_> = fs::read_dir(place.path("")).expect("a folder").collect();
    assert_eq!(
        left.len(),
        1,
        "only the folder for temporary files: {left:?}"
    );
}

#[test]
fn drivers_are_told_in_short_and_one_in_full() {
    let place = Place::new();
    let brief = place.run(&["drivers"]);
    brief.assert_code(0);
    let names: Vec<&str> = brief
        .out
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains(&"loopback") && names.contains(&"nats"));
    for name in names {
        let whole = place.run(&["drivers", name]);
        whole.assert_code(0);
        assert!(whole.out.contains(&format!("({name})")), "{}", whole.out);
        assert!(whole.out.contains("Offers"), "{}", whole.out);
    }
}

#[test]
fn the_schema_is_json_and_the_one_in_the_repository() {
    let schema = Place::new().run(&["schema"]);
    schema.assert_code(0);
    let value: Value = serde_json::from_str(&schema.out).expect("JSON");
    assert_eq!(value["title"], "mqbench scenario");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/scenario.json");
    let kept = fs::read_to_string(kept).expect("the schema");
    assert!(
        kept == schema.out,
        "out of date: mqbench schema > schema/scenario.json"
    );
}

#[test]
fn init_writes_a_scenario_that_passes_and_writes_over_nothing() {
    let place = Place::new();
    let first = place.run(&["init"]);
    first.assert_code(0);
    assert!(first.err.contains("mqbench check scenario.yaml"));
    place.run(&["check", "scenario.yaml"]).assert_code(0);

    place.write("scenario.yaml", "mine");
    let again = place.run(&["init"]);
    again.assert_code(2);
    assert!(again.err.contains("there already") && again.err.contains("--force"));
    assert_eq!(
        fs::read_to_string(place.path("scenario.yaml")).unwrap(),
        "mine"
    );
    place.run(&["init", "--force"]).assert_code(0);
    place.run(&["check", "scenario.yaml"]).assert_code(0);

    let other = ["init", "other.yaml", "--from", "throughput"];
    place.run(&other).assert_code(0);
    let plan = place.run(&["check", "other.yaml"]);
    assert!(plan.assert_code(0).out.starts_with("throughput: "));
    place.run(&["init", "no/such/folder.yaml"]).assert_code(2);
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]);
        script.assert_code(0);
        for command in COMMANDS {
            assert!(script.out.contains(command), "{shell}: {command}");
        }
        assert!(!script.out.contains("__worker"), "{shell}: hidden ones too");
    }
    let page = place.run(&["man"]);
    page.assert_code(0);
    assert!(page.out.contains(".TH mqbench 1"));
}

#[test]
fn nothing_kept_is_said_and_no_error() {
    let place = Place::new();
    for (arguments, says) in [
        (&["status"][..], "no broker is kept running"),
        (&["down"], "no broker was kept running"),
        (&["down", "nats"], "no nats was kept running"),
    ] {
        let ended = place.run(arguments);
        ended.assert_code(0);
        assert!(ended.err.contains(says), "{}", ended.err);
    }
    assert_eq!(place.run(&["status", "--quiet"]).err, "");
    let ended = place.run(&["down", "natz"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(
        ended.err.contains("no managed server `natz`"),
        "{}",
        ended.err
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::new();
    for arguments in [&["drivers"][..], &["schema"], &["man"], &[]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = place.command(arguments);
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn();
        drop(command);
        let output = child.expect("started").wait_with_output().expect("an end");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
        assert_eq!(err, "", "{arguments:?}");
    }
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let place = Place::new();
    let colourful = |arguments: &[&str], no_color: bool| {
        let mut command = place.command(arguments);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let ended = crate::program::ended(command);
        format!("{}{}", ended.out, ended.err).contains('\u{1b}')
    };
    for words in [
        &["drivers"][..],
        &["check", "latency"],
        &["check", "nope"],
        &["list"],
    ] {
        assert!(!colourful(words, false), "{words:?}: a pipe is no terminal");
        let mut always = words.to_vec();
        always.extend(["--color", "always"]);
        assert!(colourful(&always, false), "{words:?}: asked for");
        // A flag is nearer than the environment.
        assert!(colourful(&always, true), "{words:?}: asked for");
        always[words.len() + 1] = "never";
        assert!(!colourful(&always, false), "{words:?}: refused");
    }
}

#[test]
fn a_broker_that_is_not_on_the_machine_is_left_out_and_named() {
    let place = Place::new();
    let text = "brokers: [nats, loopback]\nworkload: {load: {rate: 1k/s}}\nskip_missing: true\n\
                phases: {warmup: 0s, measure: 1s, drain: 1s}\ntrials: 1\n";
    place.write("some.yaml", text);
    let bare_machine = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("PATH", "").env_remove("MQBENCH_NATS_HOME");
        command.env("XDG_CACHE_HOME", place.path("cache"));
        ended(command)
    };
    let run = bare_machine(&["run", "some.yaml"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let said = "left out: nats: no NATS was found; `scripts/get nats` gets one";
    let words: Vec<&str> = run.out.split_whitespace().collect();
    assert!(words.join(" ").contains(said), "{}", run.out);

    // What was typed is meant: then it is an error.
    let run = bare_machine(&["run", "some.yaml", "--broker", "nats"]);
    assert_eq!(run.code, Some(3), "{}", run.out);
    assert!(run.out.contains("no NATS was found"), "{}", run.out);
}
