//! What servers this machine has, looked for where a run looks for them.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::PathBuf;

use mqbench::servers::find::find;
use mqbench::servers::{Origin, Places, named};

/// The program of a server; where there is none, says so.
#[track_caller]
pub fn program_of(server: &str) -> Option<PathBuf> {
    let about = named(server).expect("a known server").about();
    // What is in the program itself is there always, and is another server.
    let found = find(about, None, &Places::of(about));
    let installed = found.ok().filter(|it| it.origin != Origin::Embedded);
    if installed.is_none() {
        skipped(about.title);
    }
    installed.map(|it| it.program)
}

/// Whether this server is there; where it is not, says so.
#[track_caller]
pub fn has(server: &str) -> bool {
    program_of(server).is_some()
}

/// Says that a test cannot run here; on CI that is a failure, as its scripts install everything.
#[track_caller]
pub fn skipped(needs: &str) {
    let on_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!on_ci, "needs {needs}");
    eprintln!("skipped: needs {needs}");
}
