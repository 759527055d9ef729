//! Memory stays flat over a run of any length. `MQBENCH_LONG=1` (`scripts/test --long`) makes the long
//! run as long as the claim; without it, it is shorter by a factor of ten.

use std::process::Command;

/// Peak memory of a trial that passes so many messages through loopback, in bytes.
fn peak_of(count: u64) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mqbench"))
        .args([
            "run",
            "throughput",
            "--broker",
            "loopback",
            "--trials",
            "1",
            "--quiet",
            "--format",
            "csv",
        ])
        .args([
            "--set",
            "workload.message.size=100B",
            "--set",
            "workload.in_flight=32768",
        ])
        .args([
            "--set",
            "disturbed.repeats=0",
            "--set",
            &format!("phases.measure={count}"),
        ])
        .arg("--out")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut table = csv::Reader::from_reader(output.stdout.as_slice());
    let place =
        |name: &str, head: &csv::StringRecord| head.iter().position(|it| it == name).unwrap();
    let head = table.headers().unwrap().clone();
    let row = table.records().next().unwrap().unwrap();
    let number = |name: &str| row[place(name, &head)].parse::<f64>().unwrap();
    assert_eq!((number("received"), number("lost")), (count as f64, 0.0));
    number("client_rss_peak_bytes")
}

#[test]
fn fifty_million_messages_need_no_more_memory_than_one_million() {
    let long = std::env::var_os("MQBENCH_LONG").is_some();
    let (few, many) = (
        peak_of(1_000_000),
        peak_of(if long { 50_000_000 } else { 5_000_000 }),
    );
    assert!(many <= few * 1.10, "{many} against {few}");
}
