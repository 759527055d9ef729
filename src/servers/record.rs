//! What there is to know of an instance, for those who did not start it: the state file of kept servers,
//! the provenance of results.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cgroup::remove_group;
use super::group::wait_until;
use super::{Container, Error, Found, Group, Held, Site, named};

/// Folders of instances start with this, and nothing else is ever removed.
pub const FOLDER_PREFIX: &str = "mqbench-";

/// How long the kernel may take to take the last process of a control group out of it.
const EMPTY: Duration = Duration::from_secs(3);

/// What there is to know of an instance: enough to find it again in another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the server.
    pub server: String,
    /// Its version, as it says.
    pub version: String,
    /// What is run, and what led to it.
    pub found: Found,
    /// Where clients find it.
    pub url: String,
    /// Where it lives, and with which settings.
    pub site: Site,
    /// Its processes.
    pub processes: Vec<Running>,
    /// The containers in which they run, if they do, and those that prepare its data.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// Control groups that hold what it may use of the machine.
    #[serde(default)]
    pub control_groups: Vec<PathBuf>,
    /// What it may use of the machine, and what holds that.
    #[serde(default)]
    pub held: Vec<Held>,
}

/// A process of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Names its log.
    pub name: String,
    /// It and what it started.
    pub group: Group,
}

impl Record {
    /// Whether all its processes live.
    pub fn lives(&self) -> bool {
        self.processes.iter().all(|process| process.group.lives())
    }

    /// Asks once whether it is ready for clients.
    pub fn answers(&self) -> io::Result<()> {
        let server = named(&self.server).map_err(io::Error::other)?;
        server.answers(&self.site)
    }

    /// Numbers of all its living processes.
    pub fn pids(&self) -> HashSet<i32> {
        self.processes
            .iter()
            .flat_map(|process| process.group.members())
            .collect()
    }

    /// Ends its processes, the last started first, and removes its folder.
    pub fn end(&self) -> Result<(), Error> {
        let grace = named(&self.server)?.about().stop_within;
        let folder = self.site.folder.clone();
        let server = self.server.clone();
        if !self.containers.is_empty() {
            // A suspended process gets to see the request to end only when it runs.
            self.processes
                .iter()
                .for_each(|process| process.group.resume());
        }
        for container in self.containers.iter().rev() {
            container.stop(grace);
            container.remove().map_err(|why| Error::Container {
                server: server.clone(),
                container: container.name.clone(),
                why,
            })?;
        }
        let ended = self.processes.iter().rev();
        let pids: Vec<i32> = ended.flat_map(|process| process.group.end(grace)).collect();
        if !pids.is_empty() {
            return Err(Error::Remains {
                server,
                pids,
                folder,
            });
        }
        for group in &self.control_groups {
            let mut outcome = Ok(());
            wait_until(EMPTY, || {
                outcome = remove_group(group);
                outcome.is_ok()
            });
            outcome.map_err(|source| Error::Folder {
                server: server.clone(),
                folder: group.clone(),
                source,
            })?;
        }
        remove_folder(&folder).map_err(|source| Error::Folder {
            server,
            folder,
            source,
        })
    }
}

/// Removes the folder of an instance; one that is not there is no error. Refuses what is not named like
/// one, because its name may come from a file or a pipe.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().and_then(|name| name.to_str());
    if !name.is_some_and(|name| name.starts_with(FOLDER_PREFIX)) {
        return Err(io::Error::other("it is not the folder of a managed server"));
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_instances_are_removed() {
        let outer = tempfile::tempdir().unwrap();
        let other = outer.path().join("precious");
        fs::create_dir(&other).unwrap();
        assert!(remove_folder(&other).is_err());
        assert!(other.exists());
        assert!(remove_folder(&other.join("..")).is_err());
        let own = outer.path().join("mqbench-0011");
        fs::create_dir_all(own.join("data")).unwrap();
        remove_folder(&own).unwrap();
        assert!(!own.exists());
        remove_folder(&own).expect("a second time is no error");
    }
}
