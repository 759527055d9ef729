//! `run --from`: the plan of a stored result, once more.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Place, ended};

const SCENARIO: &str = "\
name: t
brokers: {loopback: {}, slow: {driver: loopback, delay: 2ms}}
workload: {delivery: at-least-once, message: {size: 64B}, load: {rate: 500/s, arrival: poisson}}
phases: {warmup: 0ms, measure: 200ms, drain: 5s}
trials: 3
disturbed: {repeats: 0}
";

/// A place with a run in it, kept as `before`.
fn place() -> Place {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    let set = ["--set", "workload.load.rate=400/s"];
    place
        .run(&[&["run", "s.yaml", "--quiet"], &set[..]].concat())
        .assert_code(0);
    fs::rename(
        fs::canonicalize(place.path("results/latest")).expect("a run"),
        place.path("before"),
    )
    .expect("moved");
    // The result is all that is needed.
    fs::remove_file(place.path("s.yaml")).expect("removed");
    place
}

fn change(place: &Place, name: &str, change: impl Fn(&mut Value)) {
    let text = fs::read_to_string(place.path("before/results.json")).expect("a result");
    let mut run: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut run);
    fs::create_dir_all(place.path(name)).expect("a folder");
    place.write(&format!("{name}/results.json"), &run.to_string());
}

#[test]
fn a_run_that_is_repeated_has_the_very_same_plan() {
    let place = place();
    let before = mqbench::results::Stored::open(&place.path("before")).expect("a result");
    let again = place.run(&["run", "--from", "before"]);
    again.assert_code(0);
    assert!(
        again
            .err
            .contains("machine, versions and settings are the same as then"),
        "{}",
        again.err
    );
    let results = place.results();
    assert_eq!(results.plan, before.results.plan);
    assert_eq!(results.scenario_text, before.results.scenario_text);
    assert_eq!(
        results.provenance.scenario_hash,
        before.results.provenance.scenario_hash
    );
    assert_eq!(
        results.manifest.repeats.as_ref(),
        Some(&before.results.manifest.id)
    );
    assert_eq!(results.attempts.len(), 6);
    let counts = |results: &mqbench::results::Results| -> Vec<u64> {
        results
            .attempts
            .iter()
            .map(|it| it.audit.intended)
            .collect()
    };
    assert_eq!(
        counts(&results),
        counts(&before.results),
        "the same arrivals are drawn"
    );
    place.assert_clean();
}

#[test]
fn what_has_changed_since_is_listed_before_anything_is_measured() {
    let place = place();
    change(&place, "elsewhere", |run| {
        run["provenance"]["host"]["kernel"] = json!("Linux 2.6");
        run["provenance"]["host"]["governor"] = json!("powersave");
        run["manifest"]["tool_version"] = json!("0.0.1");
        run["provenance"]["brokers"][0]["client"] = json!("something else 1.0");
    });
    let again = place.run(&["run", "--from", "elsewhere/results.json", "--trials", "1"]);
    again.assert_code(0);
    let lines: Vec<&str> = again.err.lines().collect();
    let trial = lines.iter().position(|line| line.contains("trial 1 of"));
    for part in [
        "this has changed",
        "machine: kernel Linux 2.6 → Linux",
        "machine: governor powersave → ",
        "version: mqbench 0.0.1 → ",
        "version: loopback: client something else 1.0 → none",
    ] {
        let place = lines.iter().position(|line| line.contains(part));
        assert!(place.is_some() && place < trial, "{part}: {}", again.err);
    }
}

#[test]
fn a_part_of_a_plan_or_more_of_it_can_be_asked_for() {
    let place = place();
    let seed = |place: &Place| place.results().plan.seed;
    let arguments = [
        "run", "--from", "before", "--broker", "slow", "--trials", "1",
    ];
    place.run(&arguments).assert_code(0);
    let results = place.results();
    let labels: Vec<&str> = results
        .plan
        .brokers
        .iter()
        .map(|it| &it.label[..])
        .collect();
    assert_eq!((labels, results.attempts.len()), (vec!["slow"], 1));
    let before = mqbench::results::Stored::open(&place.path("before")).expect("a result");
    assert_eq!(seed(&place), before.results.plan.seed);
    assert_eq!(results.plan.workload, before.results.plan.workload);
}

#[test]
fn what_cannot_be_repeated_is_refused_with_the_reason() {
    let place = place();
    change(&place, "newer", |run| run["schema_version"] = json!(99));
    change(&place, "planless", |run| {
        run.as_object_mut().expect("fields").remove("plan");
    });
    change(&place, "empty", |run| run["plan"]["trials"] = json!([]));
    change(&place, "stray", |run| {
        run["plan"]["trials"][1]["point"] = json!(7)
    });
    change(&place, "gone", |run| {
        run["plan"]["brokers"][1]["driver"] = json!("pigeon")
    });
    fs::create_dir_all(place.path("cut")).expect("a folder");
    place.write("cut/results.json", "{\"schema_version\": 1,");
    for (arguments, says) in [
        (&["--from", "newer"][..], "newer mqbench"),
        (&["--from", "planless"], "missing field `plan`"),
        (
            &["--from", "empty"],
            "no plan that can be repeated: it has no trials",
        ),
        (&["--from", "stray"], "its trial 2 does not fit it"),
        (&["--from", "gone"], "driver `pigeon`"),
        (&["--from", "cut"], "cut short"),
        (&["--from", "nowhere"], "cannot read `nowhere`"),
        (
            &["--from", "before", "--quick"],
            "--quick changes what is asked",
        ),
        (
            &["--from", "before", "--set", "trials=1"],
            "--set changes what is asked",
        ),
        (
            &["--from", "before", "--broker", "slo"],
            "did you mean `slow`?",
        ),
        (&["--from", "before", "--trials", "0"], "1 or more"),
        (&["latency", "--from", "before"], "cannot be used with"),
    ] {
        let ended = place.run(&[&["run"], arguments].concat());
        ended.assert_code(2);
        assert!(ended.err.contains(says), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
}

#[test]
fn logins_come_from_the_environment_again() {
    let place = place();
    change(&place, "external", |run| {
        run["scenario_text"] = json!(
            "brokers: {slow: {driver: nats, url: \"nats://127.0.0.1:9\", user: me, password: ${BENCH_PASSWORD}}}"
        );
        let slow = &mut run["plan"]["brokers"][1];
        slow["driver"] = json!("nats");
        slow["connection"] = json!({"external": {"url": "nats://127.0.0.1:9"}});
        slow["options"] = json!({});
    });
    let arguments = [
        "run", "--from", "external", "--broker", "slow", "--trials", "1",
    ];
    let unset = place.run(&arguments);
    unset.assert_code(2);
    assert!(
        unset.err.contains("`BENCH_PASSWORD` is not set"),
        "{}",
        unset.err
    );
    let mut command = place.command(&arguments);
    command.env("BENCH_PASSWORD", "hunter2");
    // Nobody listens there, so that it fails as any run does.
    let failed = ended(command);
    failed.assert_code(3);
    assert!(!place.kept("results.json").contains("hunter2"));
}
