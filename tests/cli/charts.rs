//! Charts as files: which there are, and where.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::program::Place;

/// Less than a second, and one durability: there is no course of time, and no price of durability.
const SCENARIO: &str = "\
name: t
brokers: {loopback: {}, other: {driver: loopback}}
workload: {delivery: at-least-once, message: {size: 64B}, load: {rate: 1k/s}}
phases: {warmup: 0ms, measure: 300ms, drain: 5s}
trials: 2
disturbed: {repeats: 0}
";
const CHARTS: [&str; 4] = [
    "cost-per-message",
    "latency-by-broker",
    "latency-distribution",
    "throughput",
];

fn place() -> Place {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    place
}

/// What is in the files of a folder, by their names.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("a name");
        (name, fs::read(entry.path()).expect("a file"))
    };
    entries.map(file).collect()
}

fn named(endings: &[&str]) -> Vec<String> {
    let all = CHARTS.iter();
    all.flat_map(|id| endings.iter().map(move |ending| format!("{id}.{ending}")))
        .collect()
}

#[test]
fn a_run_leaves_its_charts_and_report_makes_the_same_again() {
    let place = place();
    let ended = place.run(&[
        "run",
        "s.yaml",
        "--export-png",
        "png/here",
        "--export-svg",
        "svg",
    ]);
    ended.assert_code(0);
    assert!(
        ended.out.contains("latency.hlog · 4 charts"),
        "{}",
        ended.out
    );
    let kept = files(&place.path("results/latest/charts"));
    assert_eq!(
        kept.keys().cloned().collect::<Vec<_>>(),
        named(&["png", "svg"])
    );
    for (name, content) in &kept {
        match name.ends_with(".png") {
            true => assert!(content.starts_with(b"\x89PNG\r\n"), "{name}"),
            false => {
                let text = std::str::from_utf8(content).expect("text");
                assert!(
                    text.starts_with("<svg ") && text.contains("<title>"),
                    "{name}"
                );
                assert!(text.contains(">\nother\n</text>"), "{name}");
            }
        }
    }
    let same = |folder: &str, ending: &str| {
        let exported = files(&place.path(folder));
        assert_eq!(
            exported.keys().cloned().collect::<Vec<_>>(),
            named(&[ending])
        );
        for (name, content) in exported {
            assert!(content == kept[&name], "{folder}/{name}");
        }
    };
    same("png/here", "png");
    same("svg", "svg");

    let again = place.run(&["report", "results/latest", "-o", "copy"]);
    assert!(again.assert_code(0).out.contains("latency.hlog · 4 charts"));
    assert!(
        files(&place.path("copy/charts")) == kept,
        "the same to the last byte"
    );
    let alone = place.run(&["report", "results/latest", "--export-svg", "alone"]);
    assert!(
        !alone.assert_code(0).out.contains("charts"),
        "nothing new in the folder"
    );
    same("alone", "svg");
    place.assert_clean();
}

#[test]
fn a_place_that_cannot_be_filled_is_told_before_anything_runs() {
    let place = place();
    place.write("file", "");
    let ended = place.run(&["run", "s.yaml", "--export-png", "file/charts"]);
    ended.assert_code(2);
    assert!(ended.err.contains("file/charts"), "{}", ended.err);
    assert!(!place.path("results").exists(), "nothing was run");
}

#[test]
fn charts_that_cannot_be_written_take_nothing_with_them() {
    let place = place();
    place.run(&["run", "s.yaml"]).assert_code(0);
    fs::create_dir(place.path("copy")).expect("a folder");
    place.write("copy/charts", "in the way");
    let ended = place.run(&["report", "results/latest", "-o", "copy"]);
    ended.assert_code(2);
    assert!(ended.err.contains("copy/charts"), "{}", ended.err);
    assert!(
        ended.err.contains("the results themselves are kept"),
        "{}",
        ended.err
    );
    let summary = fs::read_to_string(place.path("copy/summary.csv")).expect("written before");
    assert_eq!(summary, place.kept("summary.csv"));
}
