//! How an instance comes to run: its folder and ports, its files, its processes, its first answer.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log::{LOG_BYTES, end_of};
use super::{Hold, Instance, Order};
use crate::servers::cgroup::Kernel;
use crate::servers::find::{Found, Places, find_or_contain};
use crate::servers::group::random_id;
use crate::servers::record::{FOLDER_PREFIX, Record, Running};
use crate::servers::{Config, Error, Keeper, Place, Site, nodes, socket};

/// How often a start is tried when others take its port.
const ATTEMPTS: usize = 5;

/// How an attempt to start ended, if not well.
enum Failure {
    PortTaken,
    For(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::For(error)
    }
}

/// The failure of a start, which others may have caused by taking its port.
fn early(log: &str, error: Error) -> Failure {
    let log = log.to_lowercase();
    // In words, or by the system's name for the error.
    let taken = [
        "address already in use",
        "port is already allocated",
        "eaddrinuse",
    ];
    match error {
        Error::Ended { .. } if taken.iter().any(|words| log.contains(words)) => Failure::PortTaken,
        error => Failure::For(error),
    }
}

impl Instance {
    /// Starts one and waits until it answers.
    pub fn start(order: &Order, keeper: &Arc<dyn Keeper>) -> Result<Instance, Error> {
        let about = order.server.about();
        let config = about.effective(&order.config)?;
        let found = find_or_contain(about, order.program, &Places::of(about))?;
        let version = |found: &Found| {
            let version = order.server.version(found);
            version.map_err(|source| Error::Version {
                server: about.name,
                program: found.program.clone(),
                source,
            })
        };
        // What is in an image can be asked only when it runs.
        let known = match found.container() {
            None => Some(version(&found)?),
            Some(_) => None,
        };
        for _ in 0..ATTEMPTS {
            let (found, config) = (found.clone(), config.clone());
            let mut instance = Instance::prepare(order, found, config, keeper)?;
            match instance.launch() {
                Ok(()) => {
                    instance.record.version = match &known {
                        Some(version) => version.clone(),
                        None => version(&instance.record.found)?,
                    };
                    return Ok(instance);
                }
                Err(Failure::PortTaken) => instance.end()?,
                Err(Failure::For(error)) => return Err(error),
            }
        }
        let (server, attempts) = (about.name, ATTEMPTS);
        Err(Error::Ports { server, attempts })
    }

    /// Makes its folder; nothing runs yet.
    fn prepare(
        order: &Order,
        found: Found,
        config: Config,
        keeper: &Arc<dyn Keeper>,
    ) -> Result<Instance, Error> {
        let about = order.server.about();
        let failed = |what: String| {
            let server = about.name;
            move |source| Error::Prepare {
                server,
                what,
                source,
            }
        };
        let ports = socket::free_ports(about.ports * nodes(&config) as usize)
            .map_err(failed("a free port".into()))?;
        let id = random_id().map_err(failed("a random name".into()))?;
        let within = std::path::absolute(&order.within)
            .map_err(failed(order.within.display().to_string()))?;
        let folder = within.join(format!("{FOLDER_PREFIX}{id}"));
        let what = || folder.display().to_string();
        keeper.folder(&folder).map_err(failed(what()))?;
        if let Err(error) = DirBuilder::new().mode(0o700).create(&folder) {
            // Whatever is there is not ours to remove.
            keeper.release_folder(&folder);
            return Err(failed(what())(error));
        }
        let site = Site {
            folder: folder.clone(),
            ports,
            config,
        };
        let mut instance = Instance {
            server: order.server,
            record: Record {
                server: about.name.to_owned(),
                version: String::new(),
                found,
                url: order.server.url(&site),
                site,
                processes: Vec::new(),
                containers: Vec::new(),
                control_groups: Vec::new(),
                held: Vec::new(),
            },
            children: Vec::new(),
            attached: Vec::new(),
            keeper: keeper.clone(),
            bounds: order.bounds.clone(),
            place: Place::default(),
            hold: Hold::Own,
            suspended: None,
            started_in: Duration::ZERO,
        };
        let data = instance.record.site.data();
        fs::create_dir(&data).map_err(failed(data.display().to_string()))?;
        instance.bound(&id)?;
        Ok(instance)
    }

    /// Has the machine hold what it may use; `id` is its own.
    fn bound(&mut self, id: &str) -> Result<(), Error> {
        if let Some(image) = self.record.found.container() {
            self.record.held = self.bounds.held_by(&image.engine.name());
            return Ok(());
        }
        let name = format!("{FOLDER_PREFIX}{id}");
        let (about, config) = (self.server.about(), &self.record.site.config);
        let (keeper, groups) = (&self.keeper, &mut self.record.control_groups);
        let mut note = |folder: &std::path::Path| {
            keeper.control_group(folder)?;
            groups.push(folder.to_owned());
            Ok(())
        };
        let holding = self
            .bounds
            .hold(&Kernel::read(), &name, about, config, &mut note);
        let holding = holding.map_err(|source| self.unprepared("its limits", source))?;
        (self.place, self.record.held) = (holding.place, holding.held);
        Ok(())
    }

    /// Starts its processes and waits until it answers.
    fn launch(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let layout = self.server.configure(&self.record.found, &self.record.site);
        for (file, text) in &layout.files {
            let path = self.record.site.folder.join(file);
            let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
            let written = parent.and_then(|()| fs::write(&path, text));
            written.map_err(|source| self.unprepared(&path.display().to_string(), source))?;
        }
        for step in &layout.steps {
            self.run_step(step)?;
        }
        for launch in &layout.processes {
            let started = match self.record.found.container().cloned() {
                None => self.spawn(launch).map(|(child, group)| {
                    self.children.push(child);
                    group
                }),
                Some(image) => self.spawn_in_container(launch, &image),
            };
            let group = started.map_err(|error| {
                let log = end_of(&self.record.site.log(&launch.name), LOG_BYTES);
                early(&log, error)
            })?;
            let name = launch.name.clone();
            self.record.processes.push(Running { name, group });
        }
        if let Err(error) = self.wait_for_answer(self.server.about().start_within) {
            return Err(early(&self.log(LOG_BYTES), error));
        }
        // Another server of this kind may have been faster, and would have answered.
        if !socket::listens(self.record.site.port(), &self.record.pids()) {
            return Err(Failure::PortTaken);
        }
        self.started_in = began.elapsed();
        Ok(())
    }
}
