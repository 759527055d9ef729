//! Servers that are kept running across runs.

use std::time::Duration;

use mqbench::processes::kept::{Health, Shelf};
use mqbench::servers::group::wait_until;
use mqbench::servers::named;

use crate::lifetimes::process_with_servers;
use crate::support::*;

/// Takes everything down when the test ends, also when it fails: what is kept has no reaper.
struct TakenDown<'a>(&'a Shelf);

impl Drop for TakenDown<'_> {
    fn drop(&mut self) {
        let _ = self.0.down(&[]);
    }
}

#[test]
fn servers_are_kept_across_runs_until_they_are_taken_down() {
    let servers = all_installed();
    if servers.is_empty() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let shelf = Shelf::at(state.path().join("mqbench"));
    let _taken_down = TakenDown(&shelf);
    let (mut up, records, _output) = process_with_servers("up", state.path());
    assert!(up.wait().unwrap().success());
    assert_eq!(records.len(), servers.len());

    // They survived the process that started them, and a second time changes nothing.
    let keeper = reaper();
    for record in &records {
        assert!(record.lives() && record.answers().is_ok());
        let server = named(&record.server).unwrap();
        let (kept, started) = shelf.up(order(server, state.path(), &[]), &keeper).unwrap();
        assert!(!started);
        assert_eq!(kept.record, *record);
    }
    let status = shelf.status().unwrap();
    assert_eq!(status.len(), records.len());
    assert!(
        status.iter().all(|row| row.health == Health::Answers),
        "{status:?}"
    );

    // A run borrows them and gives them back, even one that is killed while they are suspended.
    let (mut run, borrowed, _output) = process_with_servers("borrow", state.path());
    assert_eq!(borrowed, records);
    assert!(
        shelf
            .status()
            .unwrap()
            .iter()
            .all(|row| row.health == Health::Suspended)
    );
    run.kill().unwrap();
    run.wait().unwrap();
    for record in &records {
        assert!(
            wait_until(SOON, || record.answers().is_ok()),
            "it was continued"
        );
    }

    // Other settings are another server.
    if let Some(nats) = installed("nats") {
        let other = order(nats, state.path(), &[("jetstream", "memory")]);
        assert!(shelf.lend(&other, &keeper).unwrap().is_none());
    }

    // One that died is shown as gone, and is started again when asked for.
    let died = &records[0];
    died.processes[0].group.end(Duration::ZERO);
    let row = &shelf.status().unwrap()[0];
    assert_eq!((&row.kept.record, &row.health), (died, &Health::Gone));
    let server = named(&died.server).unwrap();
    let (again, started) = shelf.up(order(server, state.path(), &[]), &keeper).unwrap();
    assert!(started && again.record.lives());
    assert_gone(died, "what the dead one left");

    let ended = shelf.down(&[]).unwrap();
    assert_eq!(ended.len(), records.len());
    for kept in &ended {
        assert_gone(&kept.record, "taken down");
    }
    assert!(shelf.status().unwrap().is_empty());
    assert!(
        shelf.down(&[]).unwrap().is_empty(),
        "a second time is no error"
    );
}
