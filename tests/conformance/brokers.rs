//! Brokers of the suite: managed instances, one for each effective configuration.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mqbench::drivers::descriptor::{Descriptor, Offer, Side};
use mqbench::processes::reaper::Reaper;
use mqbench::servers::group::wait_until;
use mqbench::servers::{Config, Group, Instance, Keeper, Order, Place, named};
use nix::sys::signal::{Signal, killpg};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;

use crate::harness::server::program_of;

/// Ends every server when the test process ends: statics are never dropped.
static REAPER: LazyLock<Arc<dyn Keeper>> = LazyLock::new(|| {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_mqbench"));
    Arc::new(Reaper::start_from(program).expect("a reaper"))
});

type Key = (&'static str, Config);

/// What the tests share; `None` where this machine has no such server.
static SHARED: LazyLock<Mutex<HashMap<Key, Option<Arc<Instance>>>>> = LazyLock::new(Mutex::default);

/// What a trial runs against.
pub enum Broker {
    /// The driver needs none.
    Nobody,
    /// One that others use at the same time.
    Shared(Arc<Instance>),
    /// One that may be broken, in its turn.
    Own(
        Box<Instance>,
        #[allow(dead_code, reason = "it is held")] Option<Slot>,
    ),
}

/// How many servers that are virtual machines of their own kind start, work and end at a time: more would
/// keep the cores from each other, and what is tried here is not how that goes.
const HEAVY_AT_ONCE: usize = 2;
/// What is given so long to start is such a one.
const HEAVY: Duration = Duration::from_secs(60);

static HEAVY_ONES: Slots = Slots::of(HEAVY_AT_ONCE);

/// So many at a time.
pub struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Slots {
    pub const fn of(count: usize) -> Slots {
        Slots {
            free: Mutex::new(count),
            freed: Condvar::new(),
        }
    }

    /// Waits for one.
    pub fn take(&'static self) -> Slot {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_while(free, |free| *free == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
        Slot(self)
    }
}

/// One of them, free again when this is dropped.
pub struct Slot(&'static Slots);

impl Drop for Slot {
    fn drop(&mut self) {
        let free = self.0.free.lock();
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl Broker {
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            Broker::Nobody => None,
            Broker::Shared(instance) => Some(instance),
            Broker::Own(instance, _) => Some(instance),
        }
    }

    pub fn url(&self) -> Option<String> {
        Some(self.instance()?.record().url.clone())
    }
}

/// What the offer needs the server to be set to.
fn config_of(offer: &Offer) -> Config {
    let settings = offer.settings.iter().filter(|s| s.side == Side::Server);
    settings
        .map(|s| (s.key.to_owned(), s.value.to_owned()))
        .collect()
}

/// One that is set as the offer needs it; `None` where this machine has no such server.
pub fn shared(driver: &Descriptor, offer: &Offer) -> Option<Broker> {
    let Some(server) = driver.server else {
        return Some(Broker::Nobody);
    };
    let about = named(server).expect("a known server").about();
    let config = about
        .effective(&config_of(offer))
        .expect("settings of the server");
    // A test that failed while it held the lock has changed nothing.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = shared.entry((server, config.clone()));
    let instance = known.or_insert_with(|| start(server, config).map(Arc::new));
    instance.clone().map(Broker::Shared)
}

/// One of its own, with further settings.
pub fn own(
    driver: &Descriptor,
    offer: &Offer,
    further: &BTreeMap<String, String>,
) -> Option<Broker> {
    let Some(server) = driver.server else {
        return Some(Broker::Nobody);
    };
    let mut config = config_of(offer);
    config.extend(further.clone());
    let about = named(server).expect("a known server").about();
    let turn = (about.start_within >= HEAVY).then(|| HEAVY_ONES.take());
    start(server, config).map(|instance| Broker::Own(Box::new(instance), turn))
}

/// An instance whose processes were killed and started again; those end with this.
pub struct Restarted(Vec<(Child, Group)>);

impl Restarted {
    /// Kills the processes of an instance and starts them again where they were, with what they had
    /// written, and waits until it answers.
    pub fn of(instance: &Instance) -> Restarted {
        let (server, record) = (instance.server(), instance.record());
        for process in &record.processes {
            killpg(Pid::from_raw(process.group.pid), Signal::SIGKILL).expect("it runs");
        }
        let about = server.about();
        let gone = wait_until(about.stop_within, || !record.lives());
        assert!(gone, "{} was killed", about.name);
        let began = Instant::now();
        loop {
            let again = Restarted::spawn(instance);
            let lives = || again.0.iter().all(|(_, group)| group.lives());
            wait_until(about.start_within, || record.answers().is_ok() || !lives());
            if lives() && record.answers().is_ok() {
                return again;
            }
            // A connection of somebody else may have been given its port meanwhile.
            let log = instance.log_tail();
            let in_time = began.elapsed() < about.start_within;
            assert!(in_time, "{} answers again: {log}", about.name);
        }
    }

    fn spawn(instance: &Instance) -> Restarted {
        let record = instance.record();
        let layout = instance.server().configure(&record.found, &record.site);
        let started = layout.processes.iter().map(|launch| {
            let log = record.site.log(&launch.name);
            let log = File::options().append(true).open(log).expect("its log");
            let started = REAPER.spawn(launch, &record.site.folder, log, &Place::default());
            started.expect("started again")
        });
        Restarted(started.collect())
    }
}

impl Drop for Restarted {
    fn drop(&mut self) {
        for (child, group) in &mut self.0 {
            group.end(Duration::ZERO);
            REAPER.release(group);
            let _ = child.wait();
        }
    }
}

/// Where servers keep what they write: in memory where there is room for it. The disk of a shared machine
/// lets a sync wait for seconds at times, and what is tried here is not the disk.
fn folder() -> PathBuf {
    const MEMORY: &str = "/dev/shm";
    const ROOM: u64 = 4 << 30;
    match statvfs(MEMORY) {
        Ok(found) if found.blocks_available() * found.fragment_size() >= ROOM => MEMORY.into(),
        _ => std::env::temp_dir(),
    }
}

fn start(server: &'static str, config: Config) -> Option<Instance> {
    program_of(server)?;
    let server = named(server).expect("a known server");
    let order = Order {
        server,
        program: None,
        config,
        within: folder(),
        bounds: Default::default(),
    };
    match Instance::start(&order, &REAPER) {
        Ok(instance) => Some(instance),
        Err(error) => panic!("{error}"),
    }
}
