//! The servers of a run: started together, suspended while others are measured, ended with the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crate::plan::{Connection, Plan};
use crate::servers::{self, Bounds, Contained, Found, Held, Instance, Keeper, Order, Origin};

use super::kept::Shelf;

/// One server and who uses it.
struct Berth {
    server: String,
    config: BTreeMap<String, String>,
    binary: Option<String>,
    instance: Result<Instance, String>,
}

/// The servers of a run.
pub struct Fleet {
    berths: Vec<Berth>,
    /// By broker: its server; `None` where it needs none or is external.
    seats: Vec<Option<usize>>,
    keeper: Arc<dyn Keeper>,
    /// What each of them may use of the machine.
    bounds: Bounds,
    /// What a reader must know: a server that had run while it was suspended.
    notes: Vec<String>,
}

/// What a trial needs to know of its broker's server.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Where clients find it.
    pub url: Option<String>,
    /// Its processes.
    pub pids: Vec<i32>,
    /// Processes of a container engine that it needs, if it runs in a container.
    pub helpers: Vec<i32>,
    /// Where it keeps its data.
    pub data: Vec<PathBuf>,
    /// Control groups that hold its limits.
    pub control_groups: Vec<PathBuf>,
}

/// What the results say of a server.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its version, as it says.
    pub version: String,
    /// What was run, and what led to it.
    pub source: String,
    /// What was run, as `binary` takes it, where that is a file of this machine.
    pub program: Option<String>,
    /// The container engine and the image, if it runs in a container.
    pub container: Option<Contained>,
    /// Its settings.
    pub config: BTreeMap<String, String>,
    /// What it may use of the machine, and what holds that.
    pub held: Vec<Held>,
}

impl Fleet {
    /// Starts what the plan needs, all at once, and takes what is kept running already. A server that
    /// cannot be had costs its own brokers their trials, not the others. What may take long is told to
    /// `say`, and broken off once `is_over`.
    pub fn start(
        plan: &Plan,
        keeper: Arc<dyn Keeper>,
        say: &mut dyn FnMut(&str),
        is_over: &dyn Fn() -> bool,
    ) -> Fleet {
        let mut wanted: Vec<(String, BTreeMap<String, String>, Option<String>)> = Vec::new();
        let seats = plan
            .brokers
            .iter()
            .map(|broker| match &broker.connection {
                Connection::Managed {
                    server,
                    config,
                    binary,
                } => {
                    // With the defaults filled in: those that end up the same are the same server.
                    let effective = servers::named(server)
                        .and_then(|server| server.about().effective(config))
                        .unwrap_or_else(|_| config.clone());
                    let want = (server.clone(), effective, binary.clone());
                    let place = wanted.iter().position(|known| *known == want);
                    Some(place.unwrap_or_else(|| {
                        wanted.push(want);
                        wanted.len() - 1
                    }))
                }
                _ => None,
            })
            .collect();
        let bounds = Bounds::of(&plan.placement);
        // One after the other: several downloads at once are not faster.
        let ready: Vec<Result<(), String>> = wanted
            .iter()
            .map(|(server, config, binary)| {
                let order = order(server, config, binary.as_deref(), &bounds)?;
                servers::fetch(&order, &keeper, say, is_over).map_err(|error| error.to_string())
            })
            .collect();
        let berths = thread::scope(|scope| {
            let starting: Vec<_> = wanted
                .iter()
                .zip(ready)
                .map(|((server, config, binary), ready)| {
                    let (keeper, bounds) = (&keeper, &bounds);
                    scope.spawn(move || {
                        ready.and_then(|()| {
                            let order = order(server, config, binary.as_deref(), bounds)?;
                            obtain(&order, keeper)
                        })
                    })
                })
                .collect();
            let started = starting.into_iter().map(|starting| {
                let failed = || Err("its start came to an unexpected end".to_owned());
                starting.join().unwrap_or_else(|_| failed())
            });
            let berth = |((server, config, binary), instance)| Berth {
                server,
                config,
                binary,
                instance,
            };
            wanted.iter().cloned().zip(started).map(berth).collect()
        });
        Fleet {
            berths,
            seats,
            keeper,
            bounds,
            notes: Vec::new(),
        }
    }

    /// How many servers run.
    pub fn len(&self) -> usize {
        self.berths
            .iter()
            .filter(|berth| berth.instance.is_ok())
            .count()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of a broker's server.
    pub fn facts(&self, broker: usize) -> Option<Facts> {
        let berth = &self.berths[self.seats[broker]?];
        let record = berth.instance.as_ref().ok()?.record();
        Some(Facts {
            version: record.version.clone(),
            source: source(&record.found),
            program: program(&record.found),
            container: record.found.container().cloned(),
            config: record.site.config.clone(),
            held: record.held.clone(),
        })
    }

    /// Why a broker has no server, if it should have one.
    pub fn missing(&self, broker: usize) -> Option<&str> {
        let berth = &self.berths[self.seats[broker]?];
        berth.instance.as_ref().err().map(String::as_str)
    }

    /// What happened that a reader must know, since it was asked last.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Makes the server of this broker ready and suspends all others. One that has died meanwhile is
    /// started afresh.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub fn focus(&mut self, broker: usize) -> Result<Site, String> {
        let seat = self.seats[broker];
        for (place, berth) in self.berths.iter_mut().enumerate() {
            if Some(place) != seat
                && let Ok(instance) = &mut berth.instance
                && !instance.is_suspended()
                && let Err(error) = instance.suspend()
            {
                // It is looked at again when its turn comes.
                self.notes.push(error.to_string());
            }
        }
        let Some(seat) = seat else {
            return Ok(Site::default());
        };
        let berth = &mut self.berths[seat];
        if let Ok(instance) = &mut berth.instance {
            let was_suspended = instance.is_suspended();
            match instance.resume().and_then(|()| instance.check()) {
                Ok(()) => {}
                Err(error @ servers::Error::Ran { .. }) if was_suspended => {
                    self.notes.push(error.to_string());
                }
                Err(error) => {
                    self.notes.push(format!("{error}; it is started afresh"));
                    berth.instance = Err(error.to_string());
                }
            }
        }
        if berth.instance.is_err() {
            let (config, binary) = (&berth.config, berth.binary.as_deref());
            let order = order(&berth.server, config, binary, &self.bounds);
            berth.instance = order.and_then(|order| obtain(&order, &self.keeper));
        }
        let instance = berth.instance.as_ref().map_err(Clone::clone)?;
        let record = instance.record();
        Ok(Site {
            url: Some(record.url.clone()),
            pids: instance.leaders(),
            helpers: instance.helpers(),
            data: vec![record.site.data()],
            control_groups: record.control_groups.clone(),
        })
    }

    /// Why the server of this broker is not well, if it is not.
    pub fn trouble(&mut self, broker: usize) -> Option<String> {
        let berth = &mut self.berths[self.seats[broker]?];
        let instance = berth.instance.as_mut().ok()?;
        instance.check().err().map(|error| error.to_string())
    }
}

/// What was run, as a scenario names it. A jar is found in its folder.
fn program(found: &Found) -> Option<String> {
    if matches!(found.origin, Origin::Embedded | Origin::Container(_)) {
        return None;
    }
    let program = &found.program;
    let is_jar = program.extension().is_some_and(|it| it == "jar");
    let named = match is_jar {
        true => program.parent()?,
        false => program,
    };
    std::path::absolute(named)
        .ok()?
        .into_os_string()
        .into_string()
        .ok()
}

/// What was run, for people.
fn source(found: &Found) -> String {
    let origin = match &found.origin {
        Origin::Scenario => "named in the scenario",
        Origin::Environment => "named in the environment",
        Origin::Path => "on the path",
        Origin::Cache => "in the cache",
        Origin::Embedded => return "the one in mqbench itself".to_owned(),
        Origin::Container(contained) => {
            let engine = contained.engine.name();
            return format!("{} (container of {engine})", contained.image);
        }
    };
    format!("{} ({origin})", found.program.display())
}

fn order<'a>(
    server: &str,
    config: &BTreeMap<String, String>,
    binary: Option<&'a str>,
    bounds: &Bounds,
) -> Result<Order<'a>, String> {
    Ok(Order {
        server: servers::named(server).map_err(|error| error.to_string())?,
        program: binary.map(Path::new),
        config: config.clone(),
        within: std::env::temp_dir(),
        bounds: bounds.clone(),
    })
}

/// Takes a server that is kept running with the same settings, or starts one. One that is kept was started without
/// bounds, so it will not do where there are some.
fn obtain(order: &Order, keeper: &Arc<dyn Keeper>) -> Result<Instance, String> {
    if order.bounds.is_empty()
        && let Ok(shelf) = Shelf::of_user()
        && let Some(kept) = shelf
            .lend(order, keeper)
            .map_err(|error| error.to_string())?
    {
        return Ok(kept);
    }
    Instance::start(order, keeper).map_err(|error| error.to_string())
}
