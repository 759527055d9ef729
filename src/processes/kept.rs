//! Servers that are kept running across runs: `mqbench up`, `down` and `status`, and the runs that use
//! them.
//!
//! What is kept is written down in one file. It is replaced as a whole, so that a reader never sees half
//! of it, and changed only under a lock, so that two at once do not undo each other.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::measure::proc;
use crate::servers::find::{Places, find, user_folder, wants_container};
use crate::servers::group::wait_until;
use crate::servers::{self, Config, Instance, Keeper, Order, Record, remove_folder};

/// The file, in the state folder.
const FILE: &str = "servers.json";
/// The file whose lock allows to change the other; never removed, or two could hold two of them.
const LOCK: &str = "servers.lock";
/// The version of the file's format.
const FORMAT: u32 = 1;
/// How long a server that a killed run left suspended may take to answer once continued.
const WAKE: Duration = Duration::from_secs(5);

/// Why a server could not be kept, used or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is about the server.
    #[error(transparent)]
    Server(#[from] servers::Error),

    /// It is about the file of what is kept.
    #[error("cannot keep track of servers in {}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },

    /// The file is not what this version writes.
    #[error(
        "{} cannot be understood: {what}\n   \
         end the servers in it by hand (their folders are beside it), then remove it",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },

    /// There is no place for the file.
    #[error("there is no place to keep track of servers: set XDG_STATE_HOME or HOME")]
    Homeless,

    /// A kept server runs and does not answer.
    #[error(
        "the kept {name} (process {pid}) does not answer: {source}\n   end it with    mqbench down {name}"
    )]
    Silent {
        /// Name of the server.
        name: String,
        /// Its leading process.
        pid: i32,
        /// What the attempt said.
        source: io::Error,
    },
}

/// A server that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What there is to know of it.
    pub record: Record,
    /// In which life of the machine it was started: numbers of processes begin anew with each.
    pub boot: String,
    /// When it was started, in seconds since 1970.
    pub since_s: u64,
}

impl Kept {
    /// Whether its processes live.
    pub fn lives(&self) -> bool {
        self.boot == boot() && self.record.lives()
    }

    /// Its leading process.
    pub fn pid(&self) -> i32 {
        self.record
            .processes
            .last()
            .map_or(0, |process| process.group.pid)
    }

    fn serves(&self, order: &Order, config: &Config) -> bool {
        let about = order.server.about();
        // Another program is another server; where none can be found now, what runs is what there is.
        let places = Places::of(about);
        let same_program = match wants_container(about, order.program, &places) {
            true => self.record.found.container().is_some(),
            false => find(about, order.program, &places).map_or(order.program.is_none(), |found| {
                found.program == self.record.found.program
            }),
        };
        self.record.server == about.name && self.record.site.config == *config && same_program
    }
}

/// How a kept server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It answers.
    Answers,
    /// It is stopped, because a run is measuring another one.
    Suspended,
    /// It runs and does not answer.
    Silent(String),
    /// It has ended by itself, or with the machine.
    Gone,
}

/// A row of `mqbench status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The server.
    pub kept: Kept,
    /// How it is.
    pub health: Health,
    /// How long it has been up.
    pub uptime: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    format: u32,
    servers: Vec<Kept>,
}

/// The servers that are kept in one state folder.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The user's: in `XDG_STATE_HOME` or `~/.local/state`.
    pub fn of_user() -> Result<Shelf, Error> {
        let folder = user_folder("XDG_STATE_HOME", ".local/state").ok_or(Error::Homeless)?;
        Ok(Shelf { folder })
    }

    /// That of a given folder.
    pub fn at(folder: impl Into<PathBuf>) -> Shelf {
        Shelf {
            folder: folder.into(),
        }
    }

    /// Has a server running that survives this process, and whether it had to be started. One that already
    /// runs with the same settings is left as it is. `order.within` is not used: it lives in the state
    /// folder, because temporary ones are tidied up.
    ///
    /// Until the server answers and is written down, the keeper has it, so nothing is left of an attempt
    /// that is interrupted.
    pub fn up(&self, order: Order, keeper: &Arc<dyn Keeper>) -> Result<(Kept, bool), Error> {
        let config = order.server.about().effective(&order.config)?;
        let _lock = self.lock()?;
        let mut servers = self.tidy(self.read()?)?;
        if let Some(kept) = servers.iter().find(|kept| kept.serves(&order, &config)) {
            wake(kept)?;
            return Ok((kept.clone(), false));
        }
        let order = Order {
            within: self.folder.clone(),
            ..order
        };
        let instance = Instance::start(&order, keeper)?;
        let kept = Kept {
            record: instance.record().clone(),
            boot: boot(),
            since_s: now_s(),
        };
        servers.push(kept.clone());
        self.write(servers)?;
        instance.keep();
        Ok((kept, true))
    }

    /// Ends the kept servers of these names, or all if no name is given, and gives what was ended: nothing
    /// where none is kept. Entries of servers that are gone already are removed, with their folders.
    pub fn down(&self, names: &[String]) -> Result<Vec<Kept>, Error> {
        let _lock = self.lock()?;
        let mut servers = self.read()?;
        let wanted = |kept: &Kept| names.is_empty() || names.contains(&kept.record.server);
        let mut ended = Vec::new();
        while let Some(at) = servers.iter().position(wanted) {
            let kept = servers[at].clone();
            match kept.boot == boot() {
                true => kept.record.end()?,
                false => self.remove(&kept)?,
            }
            servers.remove(at);
            // After each, so that an error with the next does not lose what was done.
            self.write(servers.clone())?;
            ended.push(kept);
        }
        Ok(ended)
    }

    /// How each kept server is. Changes nothing.
    pub fn status(&self) -> Result<Vec<Status>, Error> {
        let status = |kept: Kept| Status {
            health: health(&kept),
            uptime: Duration::from_secs(now_s().saturating_sub(kept.since_s)),
            kept,
        };
        Ok(self.read()?.into_iter().map(status).collect())
    }

    /// A kept server that does what `order` asks for, to be used for a while; nothing if there is none that
    /// answers.
    pub fn lend(&self, order: &Order, keeper: &Arc<dyn Keeper>) -> Result<Option<Instance>, Error> {
        let config = order.server.about().effective(&order.config)?;
        let mut servers = self.read()?.into_iter();
        let fits = |kept: &Kept| kept.serves(order, &config) && health(kept) == Health::Answers;
        match servers.find(fits) {
            Some(kept) => Ok(Some(Instance::borrow(kept.record, keeper)?)),
            None => Ok(None),
        }
    }

    /// Leaves out the servers that are gone, and removes what they left.
    fn tidy(&self, servers: Vec<Kept>) -> Result<Vec<Kept>, Error> {
        let (alive, gone): (Vec<Kept>, Vec<Kept>) = servers.into_iter().partition(Kept::lives);
        for kept in &gone {
            // Part of it may be left: of the same life of the machine only, or numbers mean others.
            match kept.boot == boot() {
                true => kept.record.end()?,
                false => self.remove(kept)?,
            }
        }
        if !gone.is_empty() {
            self.write(alive.clone())?;
        }
        Ok(alive)
    }

    fn remove(&self, kept: &Kept) -> Result<(), Error> {
        let folder = &kept.record.site.folder;
        remove_folder(folder).map_err(|source| self.failed(folder, source))
    }

    fn read(&self) -> Result<Vec<Kept>, Error> {
        let path = self.folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.failed(&path, source)),
        };
        match serde_json::from_str::<State>(&text) {
            Ok(state) if state.format == FORMAT => Ok(state.servers),
            Ok(state) => Err(Error::Unreadable {
                path,
                what: format!(
                    "its format is {}, this version reads {FORMAT}",
                    state.format
                ),
            }),
            Err(error) => Err(Error::Unreadable {
                path,
                what: error.to_string(),
            }),
        }
    }

    fn write(&self, servers: Vec<Kept>) -> Result<(), Error> {
        let path = self.folder.join(FILE);
        let format = FORMAT;
        let write = || -> io::Result<()> {
            let text = serde_json::to_vec_pretty(&State { format, servers })?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source| self.failed(&path, source))
    }

    fn lock(&self) -> Result<File, Error> {
        let path = self.folder.join(LOCK);
        let lock = || -> io::Result<File> {
            fs::create_dir_all(&self.folder)?;
            let file = File::options().create(true).append(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| self.failed(&path, source))
    }

    fn failed(&self, path: &Path, source: io::Error) -> Error {
        let path = path.to_owned();
        Error::State { path, source }
    }
}

fn health(kept: &Kept) -> Health {
    if !kept.lives() {
        return Health::Gone;
    }
    let stopped = |pid| proc::process(pid).is_some_and(|process| process.state == 'T');
    if stopped(kept.pid()) {
        return Health::Suspended;
    }
    match kept.record.answers() {
        Ok(()) => Health::Answers,
        Err(error) => Health::Silent(error.to_string()),
    }
}

/// Makes sure that a kept server answers; one that is suspended is continued.
fn wake(kept: &Kept) -> Result<(), Error> {
    let mut answer = Ok(());
    if health(kept) == Health::Suspended {
        kept.record
            .processes
            .iter()
            .for_each(|process| process.group.resume());
    }
    wait_until(WAKE, || {
        answer = kept.record.answers();
        answer.is_ok()
    });
    answer.map_err(|source| Error::Silent {
        name: kept.record.server.clone(),
        pid: kept.pid(),
        source,
    })
}

/// Names this life of the machine.
fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_where_nothing_was() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path().join("not/there/yet"));
        assert!(shelf.status().unwrap().is_empty());
        assert!(shelf.down(&[]).unwrap().is_empty());
        assert!(shelf.down(&["nats".into()]).unwrap().is_empty());
    }

    #[test]
    fn a_file_of_another_version_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path());
        fs::write(
            folder.path().join(FILE),
            "{\"format\": 99, \"servers\": []}",
        )
        .unwrap();
        let error = shelf.status().unwrap_err().to_string();
        assert!(
            error.contains("format is 99") && error.contains("remove it"),
            "{error}"
        );
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(matches!(shelf.status(), Err(Error::Unreadable { .. })));
    }
}
