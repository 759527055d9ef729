//! The processes of an instance, each by itself or in a container of its own.

use std::fs::File;
use std::io;
use std::process::Child;
use std::time::Duration;

use super::Instance;
use super::log::{LOG_BYTES, end_of};
use crate::servers::container::{Contained, Network};
use crate::servers::engine::reason;
use crate::servers::find::Origin;
use crate::servers::group::{Group, random_id, wait_until};
use crate::servers::{Container, Error, Launch};

/// How long a container may take to run once it is started.
const CONTAINER: Duration = Duration::from_secs(20);

impl Instance {
    pub(super) fn spawn(&self, launch: &Launch) -> Result<(Child, Group), Error> {
        let (log, folder) = (self.record.site.log(&launch.name), &self.record.site.folder);
        let started =
            File::create(&log).and_then(|log| self.keeper.spawn(launch, folder, log, &self.place));
        let program = launch.program.display().to_string();
        started.map_err(|source| self.unprepared(&program, source))
    }

    /// Starts a process in a container of its own. The first has the instance's ports, and the others are
    /// with it as if all were on one machine.
    pub(super) fn spawn_in_container(
        &mut self,
        launch: &Launch,
        image: &Contained,
    ) -> Result<Group, Error> {
        let first = match &self.record.found.origin {
            Origin::Container(contained) => contained.container.clone(),
            _ => None,
        };
        let ports = self.record.site.ports.clone();
        let network = match &first {
            None => Network::Published(&ports),
            Some(name) => Network::Shared(name),
        };
        let mark = random_id().map_err(|source| self.unprepared("a random name", source))?;
        let container = self.contain(launch, image, &network, &mark)?;
        if let (None, Origin::Container(contained)) = (&first, &mut self.record.found.origin) {
            contained.container = Some(container.name.clone());
        }
        let (mut child, attached) = self.spawn(&container.start(&launch.name))?;
        let mut group = None;
        let mut ended = None;
        wait_until(CONTAINER, || {
            group = container.group(&mark, &self.record.site.folder);
            ended = child.try_wait().ok().flatten();
            group.is_some() || ended.is_some()
        });
        self.children.push(child);
        self.attached.push(attached);
        match (group, ended) {
            (Some(group), _) => Ok(group),
            (None, Some(status)) => Err(self.ended(&launch.name, status.to_string())),
            (None, None) => Err(Error::Unseen {
                server: self.name(),
                container: container.name,
                engine: image.engine.name(),
            }),
        }
    }

    /// Makes a container for a process; nothing runs in it yet.
    fn contain(
        &mut self,
        launch: &Launch,
        image: &Contained,
        network: &Network,
        mark: &str,
    ) -> Result<Container, Error> {
        let folder = self.record.site.folder.clone();
        let instance = folder.file_name().unwrap_or_default().to_string_lossy();
        let container = Container {
            engine: image.engine.clone(),
            name: format!("{instance}-{}", launch.name),
        };
        let programs = self.server.about().image.as_ref();
        let site = &self.record.site;
        let mut create = container.create(&image.image, programs, launch, site, network, mark);
        let bounds = self.bounds.for_container(self.members());
        // Behind the word that says what the engine is to do.
        create.args.splice(1..1, bounds.into_iter().map(Into::into));
        // What the engine says about it is not the server's.
        let log = site.log(&format!("{}-container", launch.name));
        self.record.containers.push(container.clone());
        let made = File::create(&log).and_then(|log| {
            let mut child = self.keeper.make(&container, &create, &folder, log)?;
            // Not broken off: until it has ended nobody knows whether there is a container.
            child.wait()
        });
        let what = format!("a container of {}", image.image);
        match made {
            Ok(status) if status.success() => Ok(container),
            Ok(status) => {
                let why = reason(&end_of(&log, LOG_BYTES), &status.to_string());
                Err(self.unprepared(&what, io::Error::other(why)))
            }
            Err(source) => Err(self.unprepared(&what, source)),
        }
    }

    /// Runs a program that prepares the data, to its end.
    pub(super) fn run_step(&mut self, step: &Launch) -> Result<(), Error> {
        let container = match self.record.found.container().cloned() {
            None => None,
            Some(image) => Some(self.contain(step, &image, &Network::None, "")?),
        };
        let (mut child, group) = match &container {
            None => self.spawn(step)?,
            Some(container) => self.spawn(&container.start(&step.name))?,
        };
        let within = self.server.about().start_within;
        let mut ended = None;
        let in_time = wait_until(within, || {
            ended = child.try_wait().transpose();
            ended.is_some()
        });
        if !in_time {
            group.end(Duration::ZERO);
        }
        let status = match ended {
            Some(Ok(status)) if status.success() => {
                self.keeper.release(&group);
                return container.map_or(Ok(()), |container| self.discard(&container));
            }
            Some(Ok(status)) => status.to_string(),
            Some(Err(source)) => source.to_string(),
            None => format!("not done within {} s", within.as_secs()),
        };
        // Reaped, so that nothing is left of it.
        let _ = child.wait();
        self.keeper.release(&group);
        Err(self.ended(&step.name, format!("{}: {status}", step.name)))
    }

    /// Removes a container that has done its work.
    fn discard(&mut self, container: &Container) -> Result<(), Error> {
        container.remove().map_err(|why| Error::Container {
            server: self.record.server.clone(),
            container: container.name.clone(),
            why,
        })?;
        self.keeper.release_container(container);
        self.record.containers.retain(|other| other != container);
        Ok(())
    }
}
