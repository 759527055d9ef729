//! A running instance of a server: started, watched, suspended, ended.

mod log;
mod processes;
mod start;
mod suspend;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use super::group::{Group, wait_until};
use super::record::Record;
use super::{Bounds, Config, Error, Keeper, Place, Server, helpers, named};

/// How long the kernel may take to let go of a process that has ended.
const REAP: Duration = Duration::from_secs(1);

/// What to start.
pub struct Order<'a> {
    /// Which server.
    pub server: &'static dyn Server,
    /// Its program or the folder of it, if the scenario names one.
    pub program: Option<&'a Path>,
    /// Settings that differ from the defaults.
    pub config: Config,
    /// Where its folder is made.
    pub within: PathBuf,
    /// What it may use of the machine.
    pub bounds: Bounds,
}

/// What becomes of the processes when the instance is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// They end.
    Own,
    /// They run on.
    Borrowed,
    /// They are gone, or in the hands of others.
    Nothing,
}

/// A running instance. One that was started ends when this is dropped.
pub struct Instance {
    server: &'static dyn Server,
    record: Record,
    children: Vec<Child>,
    /// What is attached to its containers, if it has any: the children, then.
    attached: Vec<Group>,
    keeper: Arc<dyn Keeper>,
    bounds: Bounds,
    /// Where its processes are put.
    place: Place,
    hold: Hold,
    suspended: Option<Duration>,
    started_in: Duration,
}

impl Instance {
    /// Takes an instance that others keep, to use it for a while. It runs on when this is dropped, and
    /// however this process ends.
    pub fn borrow(record: Record, keeper: &Arc<dyn Keeper>) -> Result<Instance, Error> {
        let instance = Instance {
            server: named(&record.server)?,
            record,
            children: Vec::new(),
            attached: Vec::new(),
            keeper: keeper.clone(),
            bounds: Bounds::default(),
            place: Place::default(),
            hold: Hold::Borrowed,
            suspended: None,
            started_in: Duration::ZERO,
        };
        for process in &instance.record.processes {
            let borrowed = instance.keeper.borrow(&process.group);
            borrowed.map_err(|source| instance.unprepared("its keeper", source))?;
        }
        Ok(instance)
    }

    /// What there is to know of it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Which server it is an instance of.
    pub fn server(&self) -> &'static dyn Server {
        self.server
    }

    /// How long it took from launch to its first answer; nothing for a borrowed one.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Its leading processes, for those who watch what it uses.
    pub fn leaders(&self) -> Vec<i32> {
        self.record
            .processes
            .iter()
            .map(|process| process.group.pid)
            .collect()
    }

    /// Processes of the engine that its containers need, if it has any: neither its own nor foreign.
    pub fn helpers(&self) -> Vec<i32> {
        match self.record.containers.is_empty() {
            true => Vec::new(),
            false => helpers(&self.leaders(), &self.record.site.ports),
        }
    }

    /// Ends it and removes its folder; a borrowed one is given back, running.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    /// Leaves it running beyond the end of this process.
    pub fn keep(mut self) -> Record {
        self.hold = Hold::Nothing;
        self.release();
        self.record.clone()
    }

    fn end(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Nothing => return Ok(()),
            Hold::Borrowed if self.suspended.is_some() => {
                self.record
                    .processes
                    .iter()
                    .for_each(|process| process.group.resume());
            }
            Hold::Borrowed => {}
            Hold::Own => {
                // On failure the keeper still has everything, and tries again when the run ends.
                self.record.end()?;
                // What is attached ends with its container, unless the engine forgets to tell it.
                let attached = || self.attached.iter();
                wait_until(REAP, || !attached().any(Group::lives));
                attached().for_each(|group| drop(group.end(Duration::ZERO)));
                for child in &mut self.children {
                    // It has ended: this only takes it off the kernel's list.
                    let _ = child.wait();
                }
            }
        }
        self.release();
        Ok(())
    }

    fn release(&self) {
        for process in &self.record.processes {
            self.keeper.release(&process.group);
        }
        self.attached
            .iter()
            .for_each(|group| self.keeper.release(group));
        for container in &self.record.containers {
            self.keeper.release_container(container);
        }
        let groups = self.record.control_groups.iter();
        groups.for_each(|group| self.keeper.release_control_group(group));
        self.keeper.release_folder(&self.record.site.folder);
    }

    /// How many members share what it may use.
    fn members(&self) -> usize {
        super::nodes(&self.record.site.config) as usize
    }

    fn name(&self) -> &'static str {
        self.server.about().name
    }

    fn unprepared(&self, what: &str, source: io::Error) -> Error {
        Error::Prepare {
            server: self.name(),
            what: what.to_owned(),
            source,
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // There is nobody to tell; what could not be ended is still the keeper's.
        let _ = self.end();
    }
}
