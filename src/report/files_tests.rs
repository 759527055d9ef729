use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::results::{Store, sample};

fn kept(folder: &Path, labels: &[&str]) -> (Store, Results) {
    let medians = vec![1e5; labels.len()];
    let results = sample::run(sample::plan(labels, 2), &medians, |_, _, _| {});
    let store = Store::create(folder, &results.manifest).unwrap();
    for trial in &results.plan.trials {
        store
            .keep_trial(trial.number, 1, &sample::record(1e5))
            .unwrap();
    }
    store.keep(&results).unwrap();
    (store, results)
}

#[test]
fn the_log_is_read_by_the_library_that_defines_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, results) = kept(folder.path(), &["nats", "two words, comma"]);
    let made = write(store.folder(), &results, store.folder()).unwrap();
    assert_eq!(
        made.names,
        [
            "report.html",
            "summary.csv",
            "trials.csv",
            "series.csv",
            "latency.hlog"
        ]
    );
    let log = std::fs::read(store.folder().join("latency.hlog")).unwrap();
    let mut tags = Vec::new();
    for entry in IntervalLogIterator::new(&log) {
        match entry.unwrap() {
            LogEntry::StartTime(at) | LogEntry::BaseTime(at) => {
                assert_eq!(at.as_secs(), 1_795_205_040);
            }
            LogEntry::Interval(interval) => {
                tags.push(interval.tag().unwrap().as_str().to_owned());
                let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
                let histogram: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut bytes.as_slice())
                    .unwrap();
                assert_eq!(histogram.len(), 200_000, "two trials, merged");
                assert_eq!(interval.duration().as_secs(), 40);
                if tags.len() == 1 {
                    let p50 = histogram.value_at_quantile(0.5);
                    assert!((99_000..101_000).contains(&p50), "{p50}");
                }
            }
        }
    }
    assert_eq!(tags.len(), 12);
    assert_eq!(tags[0], "nats/end_to_end");
    assert_eq!(tags[6], "two_words__comma/end_to_end");
}

#[test]
fn the_series_has_a_line_for_every_second_of_every_trial() {
    let folder = tempfile::tempdir().unwrap();
    let (store, results) = kept(folder.path(), &["nats"]);
    write(store.folder(), &results, store.folder()).unwrap();
    let text = std::fs::read_to_string(store.folder().join("series.csv")).unwrap();
    insta::assert_snapshot!("series_csv", text);
}

#[test]
fn a_missing_trial_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, results) = kept(folder.path(), &["nats"]);
    std::fs::remove_file(store.folder().join("trials/0002.json")).unwrap();
    let error = write(store.folder(), &results, store.folder()).unwrap_err();
    assert!(error.to_string().contains("trials/0002.json"), "{error}");
}
