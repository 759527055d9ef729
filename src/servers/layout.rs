//! What an instance of a server consists of, and who sees to it that it does not outlive the run.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;

use serde::{Deserialize, Serialize};

use super::{Config, Container, Group, Place};

/// Where an instance lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its own folder, which nobody else can read.
    pub folder: PathBuf,
    /// Its ports on the loopback interface, as many as the server takes.
    pub ports: Vec<u16>,
    /// Its effective settings.
    pub config: Config,
}

impl Site {
    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The folder for its data, which is there before it starts.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where the output of one of its processes goes.
    pub fn log(&self, process: &str) -> PathBuf {
        self.folder.join(format!("{process}.log"))
    }
}

/// What to write and what to run.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Files by their path within the folder of the site.
    pub files: Vec<(PathBuf, String)>,
    /// Programs that prepare its data, one after the other; each must end well before the next begins.
    pub steps: Vec<Launch>,
    /// Processes in the order in which they start.
    pub processes: Vec<Launch>,
}

/// A process to run.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Names its log.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What its environment has besides that of this process.
    pub env: Vec<(String, OsString)>,
}

/// Sees to it that nothing outlives the run, however the run ends. It is told of each thing *before* that
/// thing can do anything, so that there is no instant at which it could leak.
///
/// The one that does this is a process of its own (`processes::reaper`), which is further up; servers
/// only know that there is one.
pub trait Keeper: Send + Sync {
    /// Starts a process in a session of its own, in `folder`, with its output in `log`, at its place.
    fn spawn(
        &self,
        launch: &Launch,
        folder: &Path,
        log: File,
        place: &Place,
    ) -> io::Result<(Child, Group)>;

    /// Starts a process, as [`Keeper::spawn`] does, that makes a container and ends when that is made. The
    /// container is to be removed in the end, and not before this process has ended: until then nobody
    /// knows whether there will be one.
    fn make(
        &self,
        container: &Container,
        launch: &Launch,
        folder: &Path,
        log: File,
    ) -> io::Result<Child>;

    /// A folder is about to be made; it is to be removed in the end.
    fn folder(&self, folder: &Path) -> io::Result<()>;

    /// A control group is about to be made; it is to be removed in the end, when its processes have ended.
    fn control_group(&self, folder: &Path) -> io::Result<()>;

    /// A group that others keep is about to be suspended; it is to be continued in the end.
    fn borrow(&self, group: &Group) -> io::Result<()>;

    /// This group needs no more care.
    fn release(&self, group: &Group);

    /// This container needs no more care.
    fn release_container(&self, container: &Container);

    /// This folder needs no more care.
    fn release_folder(&self, folder: &Path);

    /// This control group needs no more care.
    fn release_control_group(&self, folder: &Path);
}
