//! A machine as an instrument: what is found, kept and told. How large the figures are is the machine's matter.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mqbench::results::Calibration;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::program::{Place, beside_others};

const SCENARIO: &str = "\
name: t
brokers: {loopback: {}, other: {driver: loopback, delay: 1ms}}
workload: {delivery: at-least-once, message: {size: 64B}, load: {rate: 1k/s}}
phases: {warmup: 0ms, measure: 200ms, drain: 5s}
trials: 2
disturbed: {repeats: 0}
";

fn place() -> Place {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    place
}

/// The one file in which calibrations are kept.
#[track_caller]
fn kept(place: &Place) -> PathBuf {
    let files = fs::read_dir(place.path("state/mqbench/calibration")).expect("a folder");
    let files: Vec<_> = files.map(|it| it.expect("a file").path()).collect();
    let [file] = &files[..] else {
        panic!("{files:?}")
    };
    file.clone()
}

const CALIBRATE: [&str; 5] = ["calibrate", "s.yaml", "--quick", "--broker", "loopback"];

#[test]
fn what_is_found_is_told_and_kept_and_goes_with_every_run() {
    let _turn = beside_others();
    let place = place();
    let told = place.run(&CALIBRATE);
    told.assert_code(0);
    let words: Vec<&str> = told.out.split_whitespace().collect();
    let words = words.join(" ");
    for part in [
        "This machine as an instrument",
        "mqbench itself, without a broker",
        "resolution",
        "capacity",
        "2 equal runs of loopback, scenario t, 3 trials of",
        "2 find: 2 trials of each side",
        "Kept in",
    ] {
        assert!(words.contains(part), "{part}: {}", told.out);
    }
    assert!(told.err.contains("3 of 3"), "{}", told.err);
    place.assert_clean();
    assert!(!place.path("results").exists(), "no run is left of it");

    let found: Value =
        serde_json::from_str(&fs::read_to_string(kept(&place)).expect("text")).expect("JSON");
    let found: Calibration = serde_json::from_value(found).expect("a calibration");
    let rates: Vec<f64> = found.paced.iter().map(|it| it.per_second).collect();
    assert_eq!(rates, [1e3, 5e3, 20e3, 100e3]);
    assert!(found.clock.cost_ns > 0.0 && found.capacity.per_second > Some(1e3));
    assert!(found.resolution.p50_ns >= 1e3 && found.resolution.p99_ns >= found.resolution.p50_ns);

    let run = place.run(&["run", "s.yaml", "--broker", "loopback"]);
    run.assert_code(0);
    assert!(run.out.contains("calibrated"), "{}", run.out);
    let calibration = place.results().provenance.calibration;
    assert_eq!(calibration.as_ref(), Some(&found), "as it was kept");
    let page = place.kept("report.html");
    // On a machine that others keep busy it is not known.
    let adds = match found.resolution.is_known() {
        true => "without a broker mqbench itself adds",
        false => "never quiet enough to say what mqbench itself adds",
    };
    assert!(page.contains(adds));
    let json = place.run(&["report", "results/latest", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.assert_code(0).out).expect("JSON");
    assert_eq!(json["calibration"]["schema_version"], json!(1));

    // A report goes by the machine of the run: that of its reader may be another, or have none.
    fs::remove_dir_all(place.path("state")).expect("removed");
    let again = place.run(&["report", "results/latest"]);
    assert!(
        again.assert_code(0).out.contains("calibrated"),
        "{}",
        again.out
    );
    let compared = place.run(&["compare", "results/latest", "results/latest"]);
    assert!(
        compared
            .assert_code(0)
            .out
            .contains("the machine was calibrated"),
        "{}",
        compared.out
    );
}

#[test]
fn for_a_program_it_is_one_document_and_knows_what_is_asked_for() {
    let _turn = beside_others();
    let place = place();
    place
        .run(&[&CALIBRATE[..], &["--quiet", "--format", "json"]].concat())
        .assert_code(0);
    let ended = place.run(&[
        "calibrate",
        "s.yaml",
        "--quick",
        "--broker",
        "other",
        "--trials",
        "2",
        "--quiet",
        "--format",
        "json",
    ]);
    ended.assert_code(0);
    assert!(ended.err.is_empty(), "{}", ended.err);
    let value: Value = serde_json::from_str(&ended.out).expect("JSON");
    let noise = value["calibration"]["noise"].as_array().expect("noise");
    let brokers: Vec<&Value> = noise.iter().map(|it| &it["broker"]).collect();
    assert_eq!(
        brokers,
        ["other", "loopback"],
        "the earlier one is not lost"
    );
    assert_eq!(
        (&noise[0]["trials"], &noise[0]["runs"]),
        (&json!(2), &json!(2))
    );
    assert!(value["warnings"].is_array());
    assert_eq!(value["kept"], json!(kept(&place).display().to_string()));
}

#[test]
fn a_file_that_cannot_be_used_is_said_and_is_no_reason_not_to_measure() {
    let _turn = beside_others();
    let place = place();
    place.run(&["run", "s.yaml", "--quiet"]).assert_code(0);
    let id = place.results().provenance.host.id;
    let folder = place.path("state/mqbench/calibration");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(format!("{id}.json"));
    for (text, says) in [
        ("{\"schema_version\": 1, \"made", "is damaged"),
        ("{\"schema_version\": 1}", "is damaged"),
        ("no JSON at all", "is damaged"),
        ("{\"schema_version\": 77}", "was written by a newer mqbench"),
    ] {
        fs::write(&file, text).expect("written");
        let ended = place.run(&["run", "s.yaml", "--broker", "loopback", "--trials", "1"]);
        ended.assert_code(0);
        assert!(ended.err.contains(says), "{}", ended.err);
        assert!(ended.err.contains("it is ignored"), "{}", ended.err);
        assert_eq!(place.results().provenance.calibration, None);
        assert!(!ended.out.contains("calibrated"), "{}", ended.out);
    }
}

#[test]
fn interrupted_it_leaves_nothing_behind_and_what_was_kept_stays() {
    let _turn = beside_others();
    let place = place();
    let folder = place.path("state/mqbench/calibration");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("another.json"), "{}").expect("written");
    let running = place.start(&CALIBRATE);
    running.await_load();
    running.signal(Signal::SIGINT);
    let ended = running.ends_within(Duration::from_secs(30));
    ended.assert_code(130);
    assert!(ended.err.contains("nothing is kept of it"), "{}", ended.err);
    assert_eq!(ended.out, "");
    place.assert_clean();
    assert!(kept(&place).ends_with("another.json"));
}

#[test]
fn what_cannot_be_calibrated_with_is_refused_before_anything_is_measured() {
    let place = place();
    for (arguments, says) in [
        (&["calibrate", "nowhere.yaml"][..], "no scenario"),
        (&["calibrate", "--broker", "natz"], "unknown broker `natz`"),
        (
            &["calibrate", "--broker", "nats,mqtt"],
            "one broker at a time",
        ),
        (&["calibrate", "--trials", "1"], "1 is not in 2..=1000"),
        (
            &["calibrate", "s.yaml", "--set", "trials"],
            "--set takes a key",
        ),
    ] {
        let ended = place.run(arguments);
        ended.assert_code(2);
        assert!(ended.err.contains(says), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "");
    }
    assert!(!place.path("state").exists());
    // Where nothing can be kept, nothing is measured.
    place.write("state", "a file");
    let ended = place.run(&CALIBRATE);
    ended.assert_code(2);
    assert!(ended.err.contains("state/mqbench"), "{}", ended.err);
    assert!(!ended.err.contains("1 of 3"), "{}", ended.err);
}
