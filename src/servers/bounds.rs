//! What an instance may use of the machine, and by what means that is held.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroup::{self, Controller, Kernel};
use super::{About, Config};
use crate::measure::affinity;
use crate::scenario::units::cores::Cores;
use crate::scenario::{Limits, Placement};

/// What an instance may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Cores that it runs on; `None` for any.
    pub cores: Option<Cores>,
    /// How much of them, and of memory, for all its members together.
    pub limits: Limits,
}

/// How one bound is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The bound: `1GiB of memory`.
    pub what: String,
    /// What holds it; `None` where nothing does.
    pub by: Option<String>,
    /// Why what would hold it better does not; empty where nothing would.
    #[serde(default)]
    pub why: String,
}

/// Where a process is put before it becomes the server, so that all its threads and children are there too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `None` for any core.
    pub cores: Option<Cores>,
    /// Folders of control groups.
    pub groups: Vec<PathBuf>,
}

impl Place {
    /// Puts a process there that has one thread.
    pub fn put(&self, pid: u32) -> io::Result<()> {
        for group in &self.groups {
            cgroup::admit(group, pid).map_err(|error| {
                let what = format!("it cannot be put into {}: {error}", group.display());
                io::Error::new(error.kind(), what)
            })?;
        }
        match &self.cores {
            Some(cores) => affinity::pin(pid as i32, cores),
            None => Ok(()),
        }
    }
}

/// Bounds as far as they can be held here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Where its processes are put.
    pub place: Place,
    /// How each bound is held.
    pub held: Vec<Held>,
}

impl Bounds {
    /// Those of a plan.
    pub fn of(placement: &Placement) -> Bounds {
        Bounds {
            cores: placement.cores.brokers.clone(),
            limits: placement.limits,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Bounds::default()
    }

    /// The arguments by which a container engine holds them, for one of so many containers.
    pub fn for_container(&self, containers: usize) -> Vec<String> {
        let parts = containers.max(1);
        let mut flags = Vec::new();
        if let Some(cores) = &self.cores {
            flags.push(format!("--cpuset-cpus={cores}"));
        }
        if let Some(cpu) = self.limits.cpu {
            flags.push(format!("--cpus={:.3}", cpu / parts as f64));
        }
        if let Some(memory) = self.limits.memory {
            let bytes = memory.0 / parts as u64;
            flags.push(format!("--memory={bytes}"));
            // The same with what is swapped out: so nothing is.
            flags.push(format!("--memory-swap={bytes}"));
        }
        flags
    }

    /// That a container engine holds all of them.
    pub fn held_by(&self, engine: &str) -> Vec<Held> {
        let held = |what: String| Held {
            what,
            by: Some(engine.to_owned()),
            why: String::new(),
        };
        self.texts().map(held).collect()
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        let cores = self.cores.as_ref().map(cores_text);
        let all = [cores, self.limits.cpu_text(), self.limits.memory_text()];
        all.into_iter().flatten()
    }

    /// Makes the control groups that hold them, named `name`; `note` is told of each folder before it is made.
    /// What none can hold is held by what comes closest.
    ///
    /// # Errors
    /// Where a group was made and does not take what it is to hold.
    pub fn hold(
        &self,
        kernel: &Kernel,
        name: &str,
        about: &About,
        config: &Config,
        note: &mut dyn FnMut(&std::path::Path) -> io::Result<()>,
    ) -> io::Result<Holding> {
        let mut holding = Holding::default();
        holding.place.cores = self.cores.clone();
        if let Some(cores) = &self.cores {
            holding.held.push(Held {
                what: cores_text(cores),
                by: Some("affinity".to_owned()),
                why: String::new(),
            });
        }
        let wanted: Vec<Controller> = [
            self.limits.cpu.map(Controller::Cpu),
            self.limits.memory.map(|it| Controller::Memory(it.0)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let made = kernel.make(name, &wanted, note)?;
        for (controller, made) in wanted.iter().zip(made) {
            let held = match (controller, made) {
                (_, Ok((folder, version))) => {
                    if !holding.place.groups.contains(&folder) {
                        holding.place.groups.push(folder);
                    }
                    (Some(version.to_owned()), String::new())
                }
                (Controller::Cpu(cpu), Err(why)) => (self.by_cores(*cpu, &mut holding.place), why),
                (Controller::Memory(_), Err(why)) => (by_settings(about, config), why),
            };
            let what = match controller {
                Controller::Cpu(_) => self.limits.cpu_text(),
                Controller::Memory(_) => self.limits.memory_text(),
            };
            let (by, why) = held;
            holding.held.extend(what.map(|what| Held { what, by, why }));
        }
        Ok(holding)
    }

    /// Whole cores in the place of a share of all: as many as the limit, or less where it is pinned to less.
    fn by_cores(&self, cpu: f64, place: &mut Place) -> Option<String> {
        let cores = self.cores.clone().or_else(affinity::usable)?;
        if cpu < 1.0 || (cpu.fract() != 0.0 && cores.count() as f64 > cpu) {
            return None;
        }
        // The last ones: what else is pinned is so to the first, as a rule.
        let last = cores.numbers().iter().rev().take(cpu as usize);
        let cores = match cores.count() as f64 <= cpu {
            true => cores,
            false => Cores::of(last.copied()),
        };
        let by = format!("affinity to {}", cores_text(&cores));
        place.cores = Some(cores);
        Some(by)
    }
}

/// What of the server's own settings bounds its memory.
fn by_settings(about: &About, config: &Config) -> Option<String> {
    let settings = about.memory.iter();
    let settings = settings.filter_map(|it| Some(format!("{} {}", it.key, config.get(it.key)?)));
    let settings: Vec<String> = settings.collect();
    (!settings.is_empty()).then(|| {
        format!(
            "its own {}, which bounds the most of its memory and not all",
            settings.join(", ")
        )
    })
}

/// `core 1`, `cores 0-1`.
fn cores_text(cores: &Cores) -> String {
    match cores.count() {
        1 => format!("core {cores}"),
        _ => format!("cores {cores}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::units::Size;
    use crate::servers::{MemorySetting, fixtures, named};

    fn bounds(cores: &[u32], cpu: f64, memory: u64) -> Bounds {
        Bounds {
            cores: (!cores.is_empty()).then(|| Cores::of(cores.iter().copied())),
            limits: Limits {
                cpu: Some(cpu),
                memory: Some(Size(memory)),
            },
        }
    }

    fn held(bounds: &Bounds, server: &str, config: &[(&str, &str)]) -> Holding {
        let about = named(server).unwrap().about();
        let config = fixtures::config(config);
        let nothing = Kernel::default();
        bounds
            .hold(&nothing, "mqbench-1", about, &config, &mut |_| Ok(()))
            .unwrap()
    }

    #[test]
    fn an_engine_gets_all_bounds_and_members_of_a_cluster_a_part_each() {
        let bounds = bounds(&[0, 1], 1.5, 3 << 20);
        assert_eq!(
            bounds.for_container(1),
            [
                "--cpuset-cpus=0-1",
                "--cpus=1.500",
                "--memory=3145728",
                "--memory-swap=3145728"
            ]
        );
        assert_eq!(
            bounds.for_container(3)[1..3],
            ["--cpus=0.500", "--memory=1048576"]
        );
        assert!(Bounds::default().for_container(1).is_empty());
    }

    #[test]
    fn without_control_groups_whole_cores_and_own_settings_come_closest() {
        let holding = held(
            &bounds(&[2, 3, 5], 2.0, 1 << 30),
            "redis",
            &[("maxmemory", "768mb")],
        );
        assert_eq!(holding.place.cores, Some(Cores::of([3, 5])));
        let by: Vec<_> = holding.held.iter().map(|it| it.by.as_deref()).collect();
        assert_eq!(by[1], Some("affinity to cores 3,5"));
        assert!(
            by[2].unwrap().starts_with("its own maxmemory 768mb"),
            "{by:?}"
        );
    }

    #[test]
    fn what_nothing_holds_is_said_with_the_reason() {
        let holding = held(&bounds(&[0, 1], 0.5, 1 << 30), "nats", &[]);
        let open: Vec<_> = holding.held.iter().filter(|it| it.by.is_none()).collect();
        assert_eq!(open.len(), 2);
        assert!(
            open.iter().all(|it| it.why.contains("control group")),
            "{open:?}"
        );
        let pinned = held(&bounds(&[1], 1.5, 1 << 30), "nats", &[]);
        assert_eq!(pinned.held[1].by.as_deref(), Some("affinity to core 1"));
    }

    #[test]
    fn own_settings_leave_room_below_the_limit() {
        for server in crate::servers::REGISTRY {
            let about = server.about();
            let all: f64 = about.memory.iter().map(|it: &MemorySetting| it.share).sum();
            assert!(all < 0.9, "{}", about.name);
            let config: Config = about
                .memory
                .iter()
                .map(|it| (it.key.to_owned(), it.of(1 << 30)))
                .collect();
            about.effective(&config).expect("settings that it takes");
        }
    }
}
