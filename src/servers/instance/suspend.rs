//! An instance that stands still while others are measured.

use std::time::Duration;

use super::Instance;
use crate::servers::Error;
use crate::servers::group::Group;

/// How long all processes may take to stop when suspended.
const SUSPEND: Duration = Duration::from_secs(5);
/// How long an instance may take to answer after it was suspended.
const RESUME: Duration = Duration::from_secs(10);

impl Instance {
    /// Stops all its processes, until [`Instance::resume`].
    pub fn suspend(&mut self) -> Result<(), Error> {
        self.check()?;
        let mut used = Duration::ZERO;
        for process in &self.record.processes {
            match process.group.suspend(SUSPEND) {
                Ok(cpu) => used += cpu,
                Err(running) => {
                    self.record
                        .processes
                        .iter()
                        .for_each(|process| process.group.resume());
                    return Err(Error::Suspend {
                        server: self.name(),
                        within: SUSPEND,
                        running,
                    });
                }
            }
        }
        self.suspended = Some(used);
        Ok(())
    }

    /// Continues it and waits until it answers. Fails if it had not been idle all the time.
    pub fn resume(&mut self) -> Result<(), Error> {
        let Some(before) = self.suspended.take() else {
            return Ok(());
        };
        let groups = || self.record.processes.iter().map(|process| &process.group);
        let used = groups()
            .map(Group::cpu_time)
            .sum::<Duration>()
            .saturating_sub(before);
        groups().for_each(Group::resume);
        self.wait_for_answer(RESUME)?;
        match used {
            Duration::ZERO => Ok(()),
            used => Err(Error::Ran {
                server: self.name(),
                used,
            }),
        }
    }

    /// Whether it is suspended.
    pub fn is_suspended(&self) -> bool {
        self.suspended.is_some()
    }
}
