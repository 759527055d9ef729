//! What a run prints, and where: results on standard output, everything else on standard error.

use std::fs::{self, File};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Place, ended};

const SCENARIO: &str = "\
name: t
brokers: {loopback: {}, other: {driver: loopback}}
workload: {delivery: at-least-once, message: {size: 64B}, load: {rate: 500/s}}
phases: {warmup: 0ms, measure: 200ms, drain: 5s}
trials: 1
disturbed: {repeats: 0}
";

fn place() -> Place {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    place
}

#[test]
fn each_format_is_whole_and_alone_on_standard_output() {
    let place = place();
    let csv = place.run(&["run", "s.yaml", "--format", "csv"]);
    csv.assert_code(0);
    assert_eq!(csv.out, place.kept("summary.csv"), "the same as the file");
    let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
    let headers = reader.headers().expect("a header").clone();
    assert_eq!(&headers[0], "schema_version");
    let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 2, "a row for each broker");
    let column = |name: &str| headers.iter().position(|h| h == name).expect("a column");
    for row in &rows {
        assert_eq!(&row[column("scenario")], "t");
        assert_eq!(&row[column("intended")], "100");
        assert_eq!(&row[column("lost")], "0");
        assert_eq!(&row[column("round_trip_p50_us")], "", "not applicable");
    }
    assert!(csv.err.contains("trial 2 of 2"), "progress: {}", csv.err);

    let json = place.run(&["run", "s.yaml", "--format", "json"]);
    let value: Value = serde_json::from_str(&json.assert_code(0).out).expect("JSON");
    assert_eq!(value["rows"].as_array().expect("rows").len(), 2);
    assert_eq!(value["rows"][0]["sent"], 100);

    let markdown = place.run(&["run", "s.yaml", "--format", "markdown", "--quiet"]);
    markdown.assert_code(0);
    assert_eq!(markdown.err, "", "quiet");
    let table = markdown.out.lines().filter(|line| line.starts_with('|'));
    let table: Vec<&str> = table.collect();
    let cells = |line: &str| line.matches('|').count();
    assert!(table.len() >= 4, "{}", markdown.out);
    assert!(table.iter().all(|line| cells(line) == cells(table[0])));
    assert!(!markdown.out.contains('\u{1b}'));
}

#[test]
fn exports_are_what_would_be_printed_and_take_devices_and_links() {
    let place = place();
    place.write("real.csv", "old");
    std::os::unix::fs::symlink("real.csv", place.path("link.csv")).expect("a link");
    let ended = place.run(&[
        "run",
        "s.yaml",
        "--export-json",
        "a.json",
        "--export-csv",
        "link.csv",
        "--export-markdown",
        "/dev/null",
        "--export-hdr",
        "a.hlog",
    ]);
    ended.assert_code(0);
    let read = |name: &str| fs::read_to_string(place.path(name)).expect("a file");
    assert!(serde_json::from_str::<Value>(&read("a.json")).is_ok());
    assert_eq!(read("real.csv"), place.kept("summary.csv"));
    assert!(place.path("link.csv").is_symlink(), "a link stays one");
    assert_eq!(read("a.hlog"), place.kept("latency.hlog"));
    let null = fs::metadata("/dev/null").expect("the device");
    assert!(!null.is_file(), "a device stays one");
    place.assert_clean();
}

#[test]
fn nobody_needs_to_listen() {
    let place = place();
    let run = |out: Stdio, err: Stdio| {
        let mut command = place.command(&["run", "s.yaml"]);
        let mut child = command.stdout(out).stderr(err).spawn().expect("started");
        drop(command);
        child.wait().expect("an end").code()
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    assert_eq!(run(Stdio::null(), closed()), Some(0), "standard error");
    assert_eq!(run(closed(), Stdio::null()), Some(0), "standard output");
    assert_eq!(place.results().attempts.len(), 2, "everything is kept");
    // A table that was wanted in a file and is not there is a failure; a full log is none.
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("full"));
    assert_eq!(run(full(), Stdio::null()), Some(3));
    assert_eq!(run(Stdio::null(), full()), Some(0));
}

#[test]
fn the_environment_stands_between_flags_and_the_scenario() {
    let place = place();
    let rows = |arguments: &[&str]| {
        let mut command = place.command(&[&["check", "s.yaml"], arguments].concat());
        command
            .env("MQBENCH_TRIALS", "3")
            .env("MQBENCH_BROKER", "other");
        let ended = ended(command);
        ended.assert_code(0);
        let from = ended.out.find("trials, in this order").expect("trials");
        let order = &ended.out[from..];
        (
            order.matches(" other").count(),
            order.matches(" loopback").count(),
        )
    };
    assert_eq!(rows(&[]), (3, 0));
    assert_eq!(rows(&["--trials", "2", "--broker", "loopback"]), (0, 2));
}
