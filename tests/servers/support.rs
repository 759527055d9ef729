//! What the tests of servers share.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mqbench::processes::reaper::Reaper;
use mqbench::servers::group::wait_until;
use mqbench::servers::{Keeper, Order, REGISTRY, Record, Server, named};

use crate::installed::has;

/// Far longer than anything here takes, on a machine whose CPU may be taken away for a while.
pub const SOON: Duration = Duration::from_secs(60);

/// The server of this name, if it is installed. In CI it must be.
pub fn installed(name: &str) -> Option<&'static dyn Server> {
    has(name).then(|| named(name).unwrap())
}

pub fn all_installed() -> Vec<&'static dyn Server> {
    let names = REGISTRY.iter().map(|server| server.about().name);
    names.filter_map(installed).collect()
}

pub fn reaper() -> Arc<dyn Keeper> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_mqbench"));
    Arc::new(Reaper::start_from(program).unwrap())
}

pub fn order<'a>(server: &'static dyn Server, within: &Path, config: &[(&str, &str)]) -> Order<'a> {
    Order {
        server,
        program: None,
        config: config
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect(),
        within: within.to_owned(),
        bounds: Default::default(),
    }
}

pub fn accepts(record: &Record) -> bool {
    TcpStream::connect(("127.0.0.1", record.site.port())).is_ok()
}

/// Asserts that nothing is left, soon.
pub fn assert_gone(record: &Record, what: &str) {
    let groups = || record.control_groups.iter().any(|group| group.exists());
    let gone = || {
        record.pids().is_empty() && !record.site.folder.exists() && !accepts(record) && !groups()
    };
    let pids = record.pids();
    assert!(
        wait_until(SOON, gone),
        "{what}: {pids:?} or {:?} remain",
        record.site.folder
    );
}
