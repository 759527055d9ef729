use std::fs;
use std::path::Path;

use super::sample;
use super::store::trial_file;
use super::*;
use crate::measure::latency::Kind;
use crate::measure::percentile::Percentile;
use crate::measure::record::Record;
use crate::measure::resources::Cause;

fn results() -> Results {
    sample::run(
        sample::plan(&["nats", "kafka"], 2),
        &[1e5, 2e5],
        |_, _, _| {},
    )
}

fn stored(folder: &Path) -> (Store, Results) {
    let results = results();
    let store = Store::create(folder, &results.manifest).unwrap();
    store.keep_trial(1, 1, &sample::record(1e5)).unwrap();
    store.keep(&results).unwrap();
    (store, results)
}

#[test]
fn a_run_comes_back_as_it_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, results) = stored(folder.path());
    let name = store.folder().file_name().unwrap().to_str().unwrap();
    assert_eq!(name, "2026-11-20T21-04-latency-7f3a");
    let json = |results: &Results| serde_json::to_string(results).unwrap();
    for place in [
        store.folder().to_owned(),
        store.folder().join("results.json"),
        folder.path().join("latest"),
    ] {
        let found = Stored::open(&place).unwrap();
        assert!(json(&found.results) == json(&results));
        assert!(found.record(1, 1).unwrap() == sample::record(1e5));
    }
    let link = fs::read_link(folder.path().join("latest")).unwrap();
    assert_eq!(link, Path::new(name), "relative: the folder can be moved");
}

#[test]
fn latest_moves_on_to_the_next_run_of_the_same_minute() {
    let folder = tempfile::tempdir().unwrap();
    stored(folder.path());
    let (second, _) = stored(folder.path());
    let latest = fs::canonicalize(folder.path().join("latest")).unwrap();
    assert_eq!(latest, fs::canonicalize(second.folder()).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn no_temporary_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = stored(folder.path());
    let names = |folder: &Path| {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(store.folder()), ["results.json", "trials"]);
    assert_eq!(names(&store.folder().join("trials")), ["0001.json"]);
    assert_eq!(trial_file(7, 2), Path::new("trials/0007-2.json"));
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::create(&file.join("results"), &results().manifest).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot write results to `"), "{text}");
    assert!(text.contains("file/results"), "{text}");
}

#[test]
fn an_error_while_writing_says_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = stored(folder.path());
    fs::remove_dir_all(store.folder().join("trials")).unwrap();
    let error = store.keep_trial(2, 1, &Record::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("0002.json"), "{text}");
    assert!(text.contains("1 trial before it is kept in `"), "{text}");
}

#[test]
fn a_link_that_is_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latest"), "mine").unwrap();
    let results = results();
    let store = Store::create(folder.path(), &results.manifest).unwrap();
    let text = store.keep(&results).unwrap_err().to_string();
    assert!(text.contains("it is not a link"), "{text}");
    assert_eq!(
        fs::read_to_string(folder.path().join("latest")).unwrap(),
        "mine"
    );
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = stored(folder.path());
    let file = store.folder().join("results.json");
    let whole = fs::read_to_string(&file).unwrap();
    let said = |content: &str| {
        fs::write(&file, content).unwrap();
        Stored::open(store.folder()).unwrap_err().to_string()
    };
    let half = &whole[..whole.len() / 2];
    let lines = half.lines().count();
    let expected = format!("is cut short: it ends in the middle, at line {lines}");
    assert!(said(half).contains(&expected), "{}", said(half));
    assert!(said("").contains("is cut short"));
    assert!(said("{\"a\": 1}").contains("it has no `schema_version`"));
    assert!(said("name: latency").contains("is not a result of mqbench"));
    let newer = whole.replacen("\"schema_version\": 1", "\"schema_version\": 9", 1);
    assert!(said(&newer).contains("newer mqbench (schema 9; this one reads up to 1)"));
    let damaged = whole.replacen("\"manifest\"", "\"manifesto\"", 1);
    assert!(said(&damaged).contains("is damaged: missing field `manifest`"));
    let lost = whole.replacen(
        "\"broker\": 1,\n      \"stands\"",
        "\"broker\": 9,\n      \"stands\"",
        1,
    );
    assert_ne!(lost, whole);
    assert!(said(&lost).contains("belongs to no broker of its plan"));
    fs::remove_file(&file).unwrap();
    let text = Stored::open(store.folder()).unwrap_err().to_string();
    assert!(text.contains("holds no results.json"), "{text}");
    let text = Stored::open(&folder.path().join("nothing"))
        .unwrap_err()
        .to_string();
    assert!(text.starts_with("cannot read"), "{text}");
}

#[test]
fn a_truncated_trial_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = stored(folder.path());
    let file = store.folder().join("trials/0001.json");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, &whole[..200]).unwrap();
    let opened = Stored::open(store.folder()).unwrap();
    let text = opened.record(1, 1).unwrap_err().to_string();
    assert!(text.contains("0001.json` is cut short"), "{text}");
    assert!(
        opened
            .record(2, 1)
            .unwrap_err()
            .to_string()
            .contains("cannot read")
    );
}

#[test]
fn the_last_attempt_stands_and_all_are_kept() {
    let mut results = sample::begun(sample::plan(&["nats"], 1));
    let trial = results.plan.trials[0];
    let mut record = sample::record(1e5);
    record.usage.steal_s = 4.0;
    for attempt in 1..=2 {
        let attempt = Attempt::of(&record, &results.plan, &trial, attempt);
        results.add(attempt);
    }
    let stands: Vec<bool> = results.attempts.iter().map(|a| a.stands).collect();
    assert_eq!(stands, [false, true]);
    let disturbed = results.attempts[0].disturbed.unwrap();
    assert_eq!((disturbed.cause, disturbed.share), (Cause::Steal, 0.1));
    record.interrupted = true;
    let broken_off = Attempt::of(&record, &results.plan, &trial, 3);
    results.add(broken_off);
    let stands: Vec<bool> = results.attempts.iter().map(|a| a.stands).collect();
    assert_eq!(stands, [false, true, false]);
}

#[test]
fn a_trial_of_which_nothing_arrived_has_lost_percentiles() {
    let mut record = sample::record(1e5);
    sample::lose(&mut record, 100_000);
    record.latencies.remove(&Kind::EndToEnd);
    record.latencies.remove(&Kind::Transit);
    let plan = sample::plan(&["nats"], 1);
    let attempt = Attempt::of(&record, &plan, &plan.trials[0], 1);
    let percentile = attempt.percentile(Kind::EndToEnd, 50.0);
    assert_eq!(percentile, Some(Percentile::Lost));
    assert_eq!(attempt.percentile(Kind::RoundTrip, 50.0), None);
}

#[test]
fn a_percentile_that_only_a_threshold_names_is_kept() {
    let mut plan = sample::plan(&["nats"], 1);
    plan.thresholds = vec!["p75(end_to_end) < 1s".parse().unwrap()];
    let attempt = Attempt::of(&sample::record(1e5), &plan, &plan.trials[0], 1);
    let value = attempt.percentile(Kind::EndToEnd, 75.0).unwrap();
    let nanoseconds = value.value().unwrap();
    assert!((100_000..130_000).contains(&nanoseconds), "{nanoseconds}");
    assert_eq!(attempt.percentile(Kind::EndToEnd, 76.0), None);
}
