//! Whether an instance lives and answers, and what its log says where it does not.

use std::process::Child;
use std::time::Duration;

use super::log::{LOG_BYTES, end_of, tail};
use super::{Instance, REAP};
use crate::servers::Error;
use crate::servers::group::wait_until;

impl Instance {
    /// Waits until it is ready for clients, has ended, or has taken too long.
    pub(super) fn wait_for_answer(&mut self, within: Duration) -> Result<(), Error> {
        let mut outcome = Ok(());
        let mut last = String::new();
        let decided = wait_until(within, || {
            outcome = self.check();
            outcome.is_err()
                || match self.server.answers(&self.record.site) {
                    Ok(()) => true,
                    Err(error) => {
                        last = error.to_string();
                        false
                    }
                }
        });
        match decided {
            true => outcome,
            false => Err(Error::Silent {
                server: self.name(),
                within,
                last,
                tail: tail(&self.log(LOG_BYTES)),
            }),
        }
    }

    /// Whether all its processes live; if not, why.
    pub fn check(&mut self) -> Result<(), Error> {
        let mut how = None;
        for child in &mut self.children {
            if let Ok(Some(status)) = child.try_wait() {
                how.get_or_insert(status.to_string());
            }
        }
        if how.is_none() && self.record.lives() {
            return Ok(());
        }
        // A process with several threads is a zombie before the last of them is gone, and only then
        // there is a status.
        wait_until(REAP, || {
            let status = |child: &mut Child| child.try_wait().ok().flatten();
            how = how.take().or_else(|| {
                let status = self.children.iter_mut().find_map(status);
                status.map(|status| status.to_string())
            });
            how.is_some() || self.children.is_empty()
        });
        let log = self.log(LOG_BYTES);
        Err(Error::Ended {
            server: self.name(),
            status: how.unwrap_or_else(|| "it is gone".to_owned()),
            reason: self.server.reason(&log),
            tail: tail(&log),
        })
    }

    /// That one of its programs has ended, with what its log says about it.
    pub(super) fn ended(&self, launch: &str, status: String) -> Error {
        let log = end_of(&self.record.site.log(launch), LOG_BYTES);
        // Of a container that could not be started, the engine says why.
        let engine = self.record.found.container();
        let engine = engine.and_then(|_| log.lines().find(|line| line.starts_with("Error")));
        let reason = self.server.reason(&log);
        Error::Ended {
            server: self.name(),
            status,
            reason: reason.or_else(|| engine.map(str::to_owned)),
            tail: tail(&log),
        }
    }

    /// The last lines of its logs, for those who report that something went wrong with it.
    pub fn log_tail(&self) -> String {
        tail(&self.log(LOG_BYTES))
    }

    /// The ends of the logs of all its processes.
    pub(super) fn log(&self, bytes: u64) -> String {
        let logs = self.record.processes.iter();
        logs.map(|process| end_of(&self.record.site.log(&process.name), bytes))
            .collect()
    }
}
