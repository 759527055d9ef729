//! Control groups of the kernel, which hold limits of CPU time and of memory: version 2 where it has the
//! controllers and lets us, otherwise version 1.
//!
//! A group is made as close to this process's own as is permitted, so that limits which bind us bind the server
//! too. In version 2 no group that has processes may hand controllers on to groups below it, so there it is made
//! beside our own at the nearest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::FOLDER_PREFIX;

/// In which CPU time is given out, microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// What is to be held, by the controller that does so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Controller {
    /// CPU time, in cores.
    Cpu(f64),
    /// Bytes.
    Memory(u64),
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Controller::Cpu(_) => "cpu",
            Controller::Memory(_) => "memory",
        }
    }

    /// What to write into which file of a group.
    fn files(self, version: Version) -> Vec<(&'static str, String)> {
        match (self, version) {
            (Controller::Cpu(cpu), Version::Two) => {
                vec![("cpu.max", format!("{} {PERIOD}", quota(cpu)))]
            }
            (Controller::Cpu(cpu), Version::One) => vec![
                ("cpu.cfs_period_us", PERIOD.to_string()),
                ("cpu.cfs_quota_us", quota(cpu).to_string()),
            ],
            (Controller::Memory(bytes), Version::Two) => vec![("memory.max", bytes.to_string())],
            (Controller::Memory(bytes), Version::One) => {
                vec![("memory.limit_in_bytes", bytes.to_string())]
            }
        }
    }

    /// The same for what is swapped out, which not every kernel counts.
    fn swap(self, version: Version) -> Option<(&'static str, String)> {
        match (self, version) {
            (Controller::Cpu(_), _) => None,
            (Controller::Memory(_), Version::Two) => Some(("memory.swap.max", "0".to_owned())),
            (Controller::Memory(bytes), Version::One) => {
                Some(("memory.memsw.limit_in_bytes", bytes.to_string()))
            }
        }
    }
}

fn quota(cpu: f64) -> u64 {
    (cpu * PERIOD as f64).round() as u64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Version::One => "control group (v1)",
            Version::Two => "control group (v2)",
        }
    }
}

/// A mounted hierarchy of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    /// Where it is mounted.
    mount: PathBuf,
    /// Of version 1: what it controls. Of version 2 each group tells.
    controllers: Option<Vec<String>>,
    /// The group of this process.
    own: PathBuf,
}

/// The hierarchies of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    hierarchies: Vec<Hierarchy>,
}

/// The folder of a group and what it is, or why there is none.
type Made = Result<(PathBuf, &'static str), String>;

impl Kernel {
    /// Reads them; none where the kernel has none.
    pub fn read() -> Kernel {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Kernel::parse(&text("/proc/self/mountinfo"), &text("/proc/self/cgroup"))
    }

    fn parse(mountinfo: &str, own: &str) -> Kernel {
        let hierarchy = |line: &str| {
            let (place, kind) = line.split_once(" - ")?;
            let place: Vec<&str> = place.split(' ').collect();
            let kind: Vec<&str> = kind.split(' ').collect();
            let (root, mount) = (place.get(3)?, place.get(4)?);
            let controllers: Option<Vec<String>> = match *kind.first()? {
                "cgroup2" => None,
                "cgroup" => Some(kind.get(2)?.split(',').map(str::to_owned).collect()),
                _ => return None,
            };
            let own = own.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let (names, path) = (fields.next()?, fields.next()?);
                let is_it = match &controllers {
                    None => names.is_empty(),
                    Some(controllers) => {
                        !names.is_empty()
                            && names
                                .split(',')
                                .all(|it| controllers.iter().any(|c| c == it))
                    }
                };
                is_it.then_some(path)
            });
            // Where only a part of the hierarchy is mounted, what is above it is not to be seen.
            let below = own.unwrap_or("/").strip_prefix(root.trim_end_matches('/'));
            let mount = PathBuf::from(mount);
            Some(Hierarchy {
                own: mount.join(below.unwrap_or_default().trim_start_matches('/')),
                mount,
                controllers,
            })
        };
        Kernel {
            hierarchies: mountinfo.lines().filter_map(hierarchy).collect(),
        }
    }

    /// Makes groups of this name for what is to be held, in the same order; `note` is told of each folder before
    /// it is made.
    ///
    /// # Errors
    /// Where a group was made and does not take what it is to hold.
    pub(super) fn make(
        &self,
        name: &str,
        wanted: &[Controller],
        note: &mut dyn FnMut(&Path) -> io::Result<()>,
    ) -> io::Result<Vec<Made>> {
        let mut made: Vec<Made> = wanted
            .iter()
            .map(|controller| {
                Err(format!(
                    "there is no control group for {}",
                    controller.name()
                ))
            })
            .collect();
        let (two, one): (Vec<&Hierarchy>, Vec<&Hierarchy>) = self
            .hierarchies
            .iter()
            .partition(|it| it.controllers.is_none());
        for hierarchy in two.into_iter().chain(one) {
            let open = |made: &[Made]| -> Vec<usize> {
                (0..wanted.len())
                    .filter(|place| made[*place].is_err())
                    .filter(|place| hierarchy.has(wanted[*place].name()))
                    .collect()
            };
            let places = open(&made);
            if places.is_empty() {
                continue;
            }
            let names: Vec<&str> = places.iter().map(|it| wanted[*it].name()).collect();
            match hierarchy.make(name, &names, note)? {
                Err(why) => places.iter().for_each(|it| made[*it] = Err(why.clone())),
                Ok((folder, names, version)) => {
                    for place in places {
                        if names.contains(&wanted[place].name()) {
                            hold(&folder, wanted[place], version)?;
                            made[place] = Ok((folder.clone(), version.name()));
                        }
                    }
                }
            }
        }
        Ok(made)
    }
}

/// A folder, the controllers that it has of those that were wanted, and its version; or why there is none.
type Folder<'a> = Result<(PathBuf, Vec<&'a str>, Version), String>;

impl Hierarchy {
    /// Whether it may have this controller.
    fn has(&self, controller: &str) -> bool {
        match &self.controllers {
            Some(controllers) => controllers.iter().any(|it| it == controller),
            None => words(&self.mount.join("cgroup.controllers")).any(|it| it == controller),
        }
    }

    fn make<'a>(
        &self,
        name: &str,
        wanted: &[&'a str],
        note: &mut dyn FnMut(&Path) -> io::Result<()>,
    ) -> io::Result<Folder<'a>> {
        let version = match self.controllers {
            Some(_) => Version::One,
            None => Version::Two,
        };
        let mut why = "none of them takes a control group".to_owned();
        let above = self.own.ancestors();
        let above = above.take_while(|folder| folder.starts_with(&self.mount));
        let is_root = |folder: &Path| folder == self.mount;
        for parent in above.filter(|it| version == Version::One || *it != self.own || is_root(it)) {
            let there: Vec<&str> = match version {
                Version::One => wanted.to_vec(),
                Version::Two => {
                    let on = wanted.iter().copied();
                    on.filter(|controller| hands_on(parent, controller))
                        .collect()
                }
            };
            if there.is_empty() {
                continue;
            }
            let folder = parent.join(name);
            note(&folder)?;
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(Ok((folder, there, version))),
                Err(error) => {
                    why = format!(
                        "no control group may be made in {}: {error}",
                        parent.display()
                    );
                }
            }
        }
        Ok(Err(why))
    }
}

/// Whether groups below this one have the controller, or have it now.
fn hands_on(parent: &Path, controller: &str) -> bool {
    let file = parent.join("cgroup.subtree_control");
    let is_on = || words(&file).any(|it| it == controller);
    // Refused where it is not ours, where the group has processes, and where it has no such controller itself.
    is_on() || (fs::write(&file, format!("+{controller}")).is_ok() && is_on())
}

fn words(file: &Path) -> impl Iterator<Item = String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    words.into_iter()
}

/// Has a group hold something.
fn hold(folder: &Path, controller: Controller, version: Version) -> io::Result<()> {
    for (file, value) in controller.files(version) {
        fs::write(folder.join(file), &value).map_err(|error| {
            let what = format!("{} of {} takes no {value}: {error}", file, folder.display());
            io::Error::new(error.kind(), what)
        })?;
    }
    if let Some((file, value)) = controller.swap(version) {
        // Where swap is not counted, there is no such file.
        let _ = fs::write(folder.join(file), value);
    }
    Ok(())
}

/// What limits did to the processes of groups, since these were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Felt {
    /// For how long processes that could have run were kept from it, summed over cores.
    pub held_back: Duration,
    /// How often memory was asked for that the limit did not have.
    pub refused: u64,
}

impl Felt {
    /// Reads it; nothing of what a group does not tell.
    pub fn of(groups: &[PathBuf]) -> Felt {
        let mut felt = Felt::default();
        for group in groups {
            let field = |file: &str, key: &str| {
                let text = fs::read_to_string(group.join(file)).ok()?;
                let value = text.lines().find_map(|line| line.strip_prefix(key))?;
                value.trim().parse::<u64>().ok()
            };
            // Version 2 in microseconds, version 1 in nanoseconds.
            let two = field("cpu.stat", "throttled_usec ").map(Duration::from_micros);
            let one = || field("cpu.stat", "throttled_time ").map(Duration::from_nanos);
            felt.held_back += two.or_else(one).unwrap_or_default();
            let two = field("memory.events", "max ");
            felt.refused += two
                .or_else(|| field("memory.failcnt", ""))
                .unwrap_or_default();
        }
        felt
    }

    /// Since an earlier reading.
    pub fn since(&self, earlier: &Felt) -> Felt {
        Felt {
            held_back: self.held_back.saturating_sub(earlier.held_back),
            refused: self.refused.saturating_sub(earlier.refused),
        }
    }
}

/// Puts a process into a group.
pub(super) fn admit(folder: &Path, pid: u32) -> io::Result<()> {
    fs::write(folder.join("cgroup.procs"), pid.to_string())
}

/// Removes a group, which must have no processes any more; one that is not there is no error. Refuses what is not
/// named like one of ours, because its name may come from a file or a pipe.
pub fn remove_group(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().and_then(|name| name.to_str());
    if !name.is_some_and(|name| name.starts_with(FOLDER_PREFIX)) {
        return Err(io::Error::other(
            "it is no control group of a managed server",
        ));
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 0:20 / /proc rw - proc proc rw
30 22 0:26 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
31 22 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 22 0:28 /outer /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
";
    const OWN: &str =
        "12:cpu,cpuacct:/user/7\n4:memory:/outer/inner\n1:name=systemd:/\n0::/user.slice/a.scope\n";

    #[test]
    fn hierarchies_and_the_groups_of_this_process_in_them_are_told_from_the_kernels_lists() {
        let kernel = Kernel::parse(MOUNTS, OWN);
        let own: Vec<&str> = kernel
            .hierarchies
            .iter()
            .map(|it| it.own.to_str().unwrap())
            .collect();
        assert_eq!(
            own,
            [
                "/sys/fs/cgroup/unified/user.slice/a.scope",
                "/sys/fs/cgroup/cpu,cpuacct/user/7",
                "/sys/fs/cgroup/memory/inner",
            ]
        );
        assert!(kernel.hierarchies[1].has("cpu") && !kernel.hierarchies[1].has("memory"));
        assert!(kernel.hierarchies[0].controllers.is_none());
    }

    /// Makes groups in plain folders that look like those of a kernel.
    fn made(kernel: &Kernel, wanted: &[Controller]) -> (Vec<Made>, Vec<PathBuf>) {
        let mut noted = Vec::new();
        let made = kernel.make("mqbench-1", wanted, &mut |folder| {
            noted.push(folder.to_owned());
            Ok(())
        });
        (made.unwrap(), noted)
    }

    const BOTH: [Controller; 2] = [Controller::Cpu(1.5), Controller::Memory(1 << 20)];

    #[test]
    fn in_version_2_one_group_beside_our_own_holds_both() {
        let root = tempfile::tempdir().unwrap();
        let slice = root.path().join("user.slice");
        fs::create_dir_all(slice.join("a.scope")).unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpuset cpu memory").unwrap();
        fs::write(slice.join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        let kernel = Kernel {
            hierarchies: vec![Hierarchy {
                mount: root.path().to_owned(),
                controllers: None,
                own: slice.join("a.scope"),
            }],
        };
        let (groups, noted) = made(&kernel, &BOTH);
        let folder = slice.join("mqbench-1");
        let expected = Ok((folder.clone(), "control group (v2)"));
        assert_eq!(groups, [expected.clone(), expected]);
        assert_eq!(noted, std::slice::from_ref(&folder));
        let written = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(written("cpu.max"), "150000 100000");
        assert_eq!(written("memory.max"), "1048576");
        assert_eq!(written("memory.swap.max"), "0");
    }

    #[test]
    fn in_version_1_each_controller_has_a_group_below_our_own() {
        let root = tempfile::tempdir().unwrap();
        let hierarchy = |name: &str| {
            let mount = root.path().join(name);
            fs::create_dir_all(mount.join("own")).unwrap();
            Hierarchy {
                own: mount.join("own"),
                mount,
                controllers: Some(vec![name.to_owned()]),
            }
        };
        let kernel = Kernel {
            hierarchies: vec![hierarchy("cpu"), hierarchy("memory")],
        };
        let (groups, _) = made(&kernel, &BOTH);
        assert!(groups.iter().all(Result::is_ok), "{groups:?}");
        let cpu = root.path().join("cpu/own/mqbench-1");
        let written = |file: &str| fs::read_to_string(cpu.join(file)).unwrap();
        assert_eq!(written("cpu.cfs_quota_us"), "150000");
        assert_eq!(written("cpu.cfs_period_us"), "100000");
        let memory = root
            .path()
            .join("memory/own/mqbench-1/memory.limit_in_bytes");
        assert_eq!(fs::read_to_string(memory).unwrap(), "1048576");
    }

    #[test]
    fn where_none_may_be_made_it_says_why() {
        let root = tempfile::tempdir().unwrap();
        let kernel = Kernel {
            hierarchies: vec![Hierarchy {
                mount: root.path().join("gone"),
                controllers: Some(vec!["cpu".to_owned()]),
                own: root.path().join("gone"),
            }],
        };
        let (groups, _) = made(&kernel, &BOTH);
        let why = groups[0].clone().unwrap_err();
        assert!(why.contains("no control group may be made in"), "{why}");
        let why = groups[1].clone().unwrap_err();
        assert_eq!(why, "there is no control group for memory");
    }

    #[test]
    fn what_limits_did_is_read_in_the_words_of_either_version() {
        let root = tempfile::tempdir().unwrap();
        let group = |name: &str, files: &[(&str, &str)]| {
            let folder = root.path().join(name);
            fs::create_dir(&folder).unwrap();
            for (file, text) in files {
                fs::write(folder.join(file), text).unwrap();
            }
            folder
        };
        let two = group(
            "two",
            &[
                (
                    "cpu.stat",
                    "usage_usec 9\nnr_throttled 3\nthrottled_usec 1500000\n",
                ),
                ("memory.events", "low 0\nhigh 1\nmax 7\noom 0\n"),
            ],
        );
        let cpu = group(
            "cpu",
            &[("cpu.stat", "nr_throttled 3\nthrottled_time 500000000\n")],
        );
        let memory = group("memory", &[("memory.failcnt", "5\n")]);
        let felt = Felt::of(&[two, cpu, memory, root.path().join("gone")]);
        assert_eq!((felt.held_back, felt.refused), (Duration::from_secs(2), 12));
        assert_eq!(felt.since(&felt), Felt::default());
    }

    #[test]
    fn only_groups_of_instances_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let (ours, other) = (root.path().join("mqbench-1"), root.path().join("system"));
        fs::create_dir(&ours).unwrap();
        fs::create_dir(&other).unwrap();
        remove_group(&ours).unwrap();
        remove_group(&ours).expect("a second time is no error");
        assert!(!ours.exists());
        assert!(remove_group(&other).is_err() && other.exists());
    }
}
