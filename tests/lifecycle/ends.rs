//! The end of the program itself: asked for, forced, or for want of space.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use mqbench::measure::verdict::Outcome;
use mqbench::results::Stored;
use nix::sys::signal::Signal;

use crate::program::{Place, attempts, beside_others, has};
use crate::{place, scenario};

/// An end that was asked for may take so long, on a machine whose CPU may be taken away.
const SHORTLY: Duration = Duration::from_secs(20);

#[test]
fn ctrl_c_and_term_keep_what_was_measured_and_leave_nothing() {
    let _turn = beside_others();
    if !has("nats") || !has("redis") {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let place = place(&scenario("[nats, redis-streams]", 60_000, 1));
        let running = place.start(&["run", "s.yaml"]);
        place.await_server("nats-server");
        place.await_server("redis-server");
        running.await_load();
        let ports = place.ports();
        assert!(ports.len() >= 2, "{ports:?}");
        running.signal(signal);
        let ended = running.ends_within(SHORTLY);
        ended.assert_code(130);
        // Not merely soon: when it has ended, everything else has.
        assert_eq!(place.processes(), [], "{signal}");
        place.assert_clean();
        for port in ports {
            assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        }
        let stored = place.stored();
        assert!(stored.results.manifest.interrupted);
        assert_eq!(stored.results.attempts.len(), 1, "one had begun");
        let attempt = &stored.results.attempts[0];
        assert!(attempt.interrupted);
        assert!(attempt.audit.contradictions().is_empty());
        stored.record(attempt.trial, attempt.attempt).expect("kept");
        assert!(ended.out.starts_with("t: 64 B"), "{}", ended.out);
        assert!(ended.out.contains("interrupted"), "{}", ended.out);
        assert!(place.kept("summary.csv").lines().count() >= 2);
    }
}

#[test]
fn kill_leaves_nothing_either() {
    let _turn = beside_others();
    if !has("nats") || !has("redis") {
        return;
    }
    let place = place(&scenario("[nats, redis-streams]", 60_000, 1));
    let mut running = place.start(&["run", "s.yaml"]);
    place.await_server("nats-server");
    place.await_server("redis-server");
    running.await_load();
    let ports = place.ports();
    running.signal(Signal::SIGKILL);
    running.child.wait().expect("an end");
    place.assert_clean();
    for port in ports {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn a_run_that_loses_who_would_clean_up_after_it_says_so_and_leaves_nothing() {
    let _turn = beside_others();
    if !has("nats") {
        return;
    }
    let place = place(&scenario("[nats]", 1_500, 3));
    let running = place.start(&["run", "s.yaml"]);
    running.await_load();
    let all = place.processes().into_iter();
    let reapers: Vec<_> = all.filter(|(_, name)| name == "__reaper").collect();
    let [(reaper, _)] = reapers[..] else {
        panic!("{reapers:?}");
    };
    crate::program::signal(reaper, Signal::SIGKILL);
    let ended = running.ends_within(SHORTLY);
    // What runs is finished; nothing is started that nobody would end.
    ended.assert_code(3);
    assert_eq!(place.processes(), []);
    place.assert_clean();
    let results = place.results();
    let [first, others @ ..] = &results.attempts[..] else {
        panic!("three trials");
    };
    assert_ne!(
        first.verdict.outcome,
        Outcome::Failed,
        "{:?}",
        first.verdict
    );
    assert_eq!(first.audit.received, first.audit.sent);
    let notes = place.stored().record(1, 1).expect("kept").notes;
    assert!(notes[0].contains("has ended itself"), "{notes:?}");
    assert!(ended.err.contains("has ended itself"), "{}", ended.err);
    assert_eq!(others.len(), 2);
    for other in others {
        let reason = &other.verdict.reason;
        assert!(
            reason.contains("ends servers with the run is gone"),
            "{reason}"
        );
    }
}

#[test]
fn a_worker_that_dies_costs_one_trial() {
    let _turn = beside_others();
    let place = place(&scenario("[loopback, zeromq]", 1_500, 1));
    let running = place.start(&["run", "s.yaml"]);
    let worker = running.await_load();
    crate::program::signal(worker, Signal::SIGKILL);
    let ended = running.ends_within(SHORTLY);
    ended.assert_code(3);
    place.assert_clean();
    let results = place.results();
    assert_eq!(results.attempts.len(), 2);
    let [first, second] = &results.attempts[..] else {
        panic!("two trials");
    };
    assert_eq!(first.verdict.outcome, Outcome::Failed);
    let reason = &first.verdict.reason;
    assert!(reason.contains("worker ended early"), "{reason}");
    assert!(reason.contains("signal: 9"), "{reason}");
    assert!(ended.out.contains("worker ended early"), "{}", ended.out);
    assert_ne!(second.verdict.outcome, Outcome::Failed);
    assert!(second.audit.received > 0);
}

/// A file system of this many bytes at `full`, where that may be mounted.
fn small_disk(place: &Place, bytes: u32) -> Option<Mounted> {
    let folder = place.path("full");
    fs::create_dir(&folder).expect("a folder");
    let size = format!("size={bytes}");
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
        .arg(&folder);
    match mount.output() {
        Ok(output) if output.status.success() => Some(Mounted(folder)),
        _ => {
            eprintln!("skipped: needs the right to mount a small file system");
            None
        }
    }
}

struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_and_what_was_kept_can_be_read() {
    let _turn = beside_others();
    let place = place(&scenario("[loopback, zeromq]", 100, 20));
    let Some(_mounted) = small_disk(&place, 96 * 1024) else {
        return;
    };
    let running = place.start(&["run", "s.yaml", "--out", "full"]);
    let ended = running.ends_within(Duration::from_secs(90));
    ended.assert_code(3);
    assert!(
        ended.err.contains("error: cannot write `full/"),
        "{}",
        ended.err
    );
    assert!(
        ended.err.contains("No space left on device"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("kept in `full/"), "{}", ended.err);
    assert!(
        ended.out.starts_with("t: 64 B"),
        "the table is printed: {}",
        ended.out
    );
    place.assert_clean();
    let stored = Stored::open(&place.path("full/latest")).expect("readable");
    let results = &stored.results;
    assert!((1..40).contains(&results.attempts.len()));
    for attempt in &results.attempts {
        stored
            .record(attempt.trial, attempt.attempt)
            .expect("whole");
    }
}

#[test]
fn two_runs_at_once_keep_apart() {
    let _turn = beside_others();
    let place = place(&scenario("[zeromq, loopback]", 500, 2));
    let mut commands: Vec<_> = (0..3).map(|_| place.command(&["run", "s.yaml"])).collect();
    let children: Vec<_> = commands
        .iter_mut()
        .map(|command| {
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
        })
        .map(|command| command.spawn().expect("started"))
        .collect();
    for mut child in children {
        assert_eq!(child.wait().expect("an end").code(), Some(0));
    }
    let mut folders = 0;
    for entry in fs::read_dir(place.path("results"))
        .expect("results")
        .flatten()
    {
        if entry.file_name() == "latest" {
            continue;
        }
        folders += 1;
        let results = Stored::open(&entry.path()).expect("readable").results;
        assert_eq!(results.attempts.len(), 4);
        for label in ["zeromq", "loopback"] {
            for attempt in attempts(&results, label) {
                assert_eq!(attempt.audit.unexpected, 0, "{label}");
                // Of three at once the last may not get the CPU in time to send all.
                let audit = &attempt.audit;
                assert_eq!(audit.received, audit.sent, "{label}");
                assert!(
                    audit.sent > 0 && audit.intended == 500,
                    "{label}: {audit:?}"
                );
            }
        }
    }
    assert_eq!(folders, 3);
    place.results();
    place.assert_clean();
}
