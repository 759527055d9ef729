//! A running instance of a server: started, watched, suspended, ended.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::container::{Contained, Network};
use super::engine::reason;
use super::find::{Found, Origin, Places, find_or_contain};
use super::group::{Group, random_id, wait_until};
use super::record::{FOLDER_PREFIX, Record, Running};
use super::{Config, Container, Error, Keeper, Launch, Server, Site, helpers, named, socket};

/// How often a start is tried when others take its port.
const ATTEMPTS: usize = 5;
/// How long all processes may take to stop when suspended.
const SUSPEND: Duration = Duration::from_secs(5);
/// How long the kernel may take to let go of a process that has ended.
const REAP: Duration = Duration::from_secs(1);
/// How long a container may take to run once it is started.
const CONTAINER: Duration = Duration::from_secs(20);
/// How long an instance may take to answer after it was suspended.
const RESUME: Duration = Duration::from_secs(10);
/// How much of a log is read to find the reason in it, and how many lines of it are shown.
const LOG_BYTES: u64 = 64 * 1024;
const LOG_LINES: usize = 12;

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
    hold: Hold,
    suspended: Option<Duration>,
    started_in: Duration,
}

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

    /// Takes an instance that others keep, to use it for a while. It runs on when this is dropped, and
    /// however this process ends.
    pub fn borrow(record: Record, keeper: &Arc<dyn Keeper>) -> Result<Instance, Error> {
        let instance = Instance {
            server: named(&record.server)?,
            record,
            children: Vec::new(),
            attached: Vec::new(),
            keeper: keeper.clone(),
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
        let ports = socket::free_ports(about.ports * super::nodes(&config) as usize)
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
        let instance = Instance {
            server: order.server,
            record: Record {
                server: about.name.to_owned(),
                version: String::new(),
                found,
                url: order.server.url(&site),
                site,
                processes: Vec::new(),
                containers: Vec::new(),
            },
            children: Vec::new(),
            attached: Vec::new(),
            keeper: keeper.clone(),
            hold: Hold::Own,
            suspended: None,
            started_in: Duration::ZERO,
        };
        let data = instance.record.site.data();
        fs::create_dir(&data).map_err(failed(data.display().to_string()))?;
        Ok(instance)
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

    fn spawn(&self, launch: &Launch) -> Result<(Child, Group), Error> {
        let log = self.record.site.log(&launch.name);
        let started = File::create(&log)
            .and_then(|log| self.keeper.spawn(launch, &self.record.site.folder, log));
        let program = launch.program.display().to_string();
        started.map_err(|source| self.unprepared(&program, source))
    }

    /// Starts a process in a container of its own. The first has the instance's ports, and the others are
    /// with it as if all were on one machine.
    fn spawn_in_container(&mut self, launch: &Launch, image: &Contained) -> Result<Group, Error> {
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

    /// That one of its programs has ended, with what its log says about it.
    fn ended(&self, launch: &str, status: String) -> Error {
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
        let create = container.create(&image.image, programs, launch, site, network, mark);
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
    fn run_step(&mut self, step: &Launch) -> Result<(), Error> {
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

    fn wait_for_answer(&mut self, within: Duration) -> Result<(), Error> {
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

    /// The last lines of its logs, for those who report that something went wrong with it.
    pub fn log_tail(&self) -> String {
        tail(&self.log(LOG_BYTES))
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
        self.keeper.release_folder(&self.record.site.folder);
    }

    fn log(&self, bytes: u64) -> String {
        let logs = self.record.processes.iter();
        logs.map(|process| end_of(&self.record.site.log(&process.name), bytes))
            .collect()
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

/// The last `bytes` of a file, as far as they are text.
fn end_of(path: &Path, bytes: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut text = Vec::new();
        file.take(bytes).read_to_end(&mut text)?;
        Ok(text)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// The last lines of a text.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_lines_that_say_something() {
        let text: String = (0..20).map(|i| format!("line {i}\n\n")).collect();
        let tail = tail(&text);
        assert!(
            tail.starts_with("line 8\n") && tail.ends_with("line 19"),
            "{tail}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "0123456789").unwrap();
        assert_eq!(end_of(file.path(), 4), "6789");
        assert_eq!(end_of(Path::new("/nonexistent"), 4), "");
    }
}
