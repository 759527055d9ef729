//! What a trial cost, and what disturbed it: CPU time by party, memory, bytes written.
//!
//! The controller of a trial calls [`Watch::sample`] on its own tick, once a second; there is no thread
//! here. A [`Usage`] is the difference of two readings, so one of a second and one of a whole measured
//! part are the same thing.
//!
//! Where the figures come from decides how far they can be trusted:
//!
//! - *This process and the brokers*: the kernel's clock of each process, exact to the nanosecond.
//! - *Foreign processes*: their own counters in `/proc`, which come from the same exact clock, cut to
//!   ticks of 10 ms. Not `/proc/stat` minus what is known: the kernel fills that by looking at what runs
//!   when a timer ticks, so it is a sample, and on processes that work for microseconds at a time (all
//!   of ours) its error over a second is several percent, more than what it should detect.
//! - *Unseen*: what `/proc/stat` counts beyond all processes that can be seen (those of other
//!   containers, on a shared host). It has that sampling error, so it counts only where it exceeds it.
//! - *Interrupts* are nobody's: sending over the loopback interface is handled in soft interrupts that no
//!   process is charged for. They are caused by the very load being measured, so they are kept apart
//!   and are never foreign. The same goes for threads of the kernel, which write back our data.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::proc::{self, Process, Totals};
use super::strain::{Gauges, Marks, Strain};
use super::takers::{Identity, Outsider, Outsiders, Taker, Tally};

/// Threads of publishers are named with this prefix.
pub const PUBLISHER_THREAD: &str = "pub-";
/// Threads of consumers are named with this prefix.
pub const CONSUMER_THREAD: &str = "con-";

/// A measured part shorter than this is never called disturbed: a few ticks decide nothing.
const LEAST_SECONDS: f64 = 1.0;
/// Nor is one that lost no more than this many ticks.
const LEAST_TICKS: f64 = 3.0;

/// Whose processes are whose. Everything else is foreign.
#[derive(Clone, Debug, Default)]
pub struct Parties {
    /// The process that started this one and the servers: with all that descends from it, it is ours.
    pub supervisor: i32,
    /// The leading process of each server under test.
    pub brokers: Vec<i32>,
    /// Processes that a container engine runs for those servers: what watches over each container and hands
    /// connections on to it. They are part of the run and no cost of a server.
    pub helpers: Vec<i32>,
    /// Where those servers keep their data, if that is on this machine.
    pub data: Vec<PathBuf>,
}

impl Parties {
    /// Bytes that the data of the servers occupies.
    fn on_disk(&self) -> u64 {
        self.data
            .iter()
            .map(|folder| proc::disk_bytes(folder))
            .sum()
    }
}

/// Time of processors and memory between two readings. All times are in seconds of one processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Length of the reading.
    pub seconds: f64,
    /// What all processors together could have done, including what was taken away.
    pub capacity_s: f64,
    /// Unused.
    pub idle_s: f64,
    /// Taken by the hypervisor.
    pub steal_s: f64,
    /// In interrupts.
    pub interrupts_s: f64,
    /// In threads of the kernel.
    pub kernel_s: f64,
    /// In this process.
    pub own_s: f64,
    /// In this process's publisher threads.
    pub publish_s: f64,
    /// In this process's consumer threads.
    pub consume_s: f64,
    /// In the brokers under test and all their processes.
    pub brokers_s: f64,
    /// In the rest of this run: the supervisor and what else it started.
    pub ours_s: f64,
    /// In processes that have nothing to do with this run.
    pub foreign_s: f64,
    /// Counted by the kernel and found in no process; below zero where its sampling missed some.
    pub unseen_s: f64,
    /// Memory of this process at the end.
    pub rss_bytes: u64,
    /// The most memory that this process had since it started.
    pub rss_peak_bytes: u64,
    /// Memory of the brokers at the end.
    pub brokers_rss_bytes: u64,
    /// The most memory that the brokers had since the measured part began.
    pub brokers_rss_peak_bytes: u64,
    /// Bytes that the brokers caused to be written to storage.
    pub brokers_written_bytes: u64,
    /// Bytes that the brokers' data occupied on disk at the end; only read for a whole measured part.
    pub brokers_disk_bytes: u64,
    /// By how much that grew (below zero: shrank) in the measured part; only read for a whole one.
    #[serde(default)]
    pub brokers_disk_grown_bytes: i64,
    /// Messages that publishers sent in the same time; only counted for a whole measured part.
    #[serde(default)]
    pub sent: u64,
    /// Messages that consumers took in the same time, copies of all groups; counted likewise. More where a
    /// backlog shrank, fewer where it grew.
    #[serde(default)]
    pub received: u64,
}

/// What took the CPU away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The hypervisor, for other machines.
    Steal,
    /// Processes outside the run.
    Foreign,
}

/// A measured part that others disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disturbance {
    /// What took more.
    pub cause: Cause,
    /// Which share of all CPU time, from 0 to 1.
    pub share: f64,
}

impl Usage {
    /// Adds the usage of another worker, or of a part that followed.
    pub fn merge(&mut self, other: &Usage) {
        self.seconds += other.seconds;
        self.capacity_s += other.capacity_s;
        self.idle_s += other.idle_s;
        self.steal_s += other.steal_s;
        self.interrupts_s += other.interrupts_s;
        self.kernel_s += other.kernel_s;
        self.own_s += other.own_s;
        self.publish_s += other.publish_s;
        self.consume_s += other.consume_s;
        self.brokers_s += other.brokers_s;
        self.ours_s += other.ours_s;
        self.foreign_s += other.foreign_s;
        self.unseen_s += other.unseen_s;
        self.rss_bytes += other.rss_bytes;
        self.rss_peak_bytes += other.rss_peak_bytes;
        self.brokers_rss_bytes += other.brokers_rss_bytes;
        self.brokers_rss_peak_bytes += other.brokers_rss_peak_bytes;
        self.brokers_written_bytes += other.brokers_written_bytes;
        self.sent += other.sent;
        self.received += other.received;
        self.brokers_disk_bytes += other.brokers_disk_bytes;
        self.brokers_disk_grown_bytes += other.brokers_disk_grown_bytes;
    }

    /// Which share of all CPU time `seconds` of it are.
    pub fn share(&self, seconds: f64) -> f64 {
        if self.capacity_s > 0.0 {
            seconds / self.capacity_s
        } else {
            0.0
        }
    }

    /// Time in which processors were busy with processes, of what the kernel counted as that.
    ///
    /// It counts ticks that found a processor busy. Load that is in step with them (3,000 messages a second are 30 to a tick
    /// of 10 ms) is met by all of them or by none. Idle time is measured, so the rest of the clock's time bounds it.
    fn busy(&self, counted_s: f64) -> f64 {
        let most = self.capacity_s - self.idle_s - self.steal_s - self.interrupts_s;
        counted_s.min(most.max(0.0))
    }

    /// CPU time of processes outside the run, with what is certain of the unseen.
    pub fn outside_s(&self) -> f64 {
        self.foreign_s + (self.unseen_s - self.sampling_error_s()).max(0.0)
    }

    /// Three standard deviations of the kernel's busy time: it counts ticks that found a processor
    /// busy, so it is binomial.
    fn sampling_error_s(&self) -> f64 {
        let busy = 1.0 - self.share(self.idle_s).clamp(0.0, 1.0);
        let ticks = self.capacity_s * proc::ticks_per_second();
        3.0 * (ticks * busy * (1.0 - busy)).sqrt() / proc::ticks_per_second()
    }

    /// Whether others took more than the share `limit` of all CPU time, and which of them more.
    pub fn disturbed(&self, limit: f64) -> Option<Disturbance> {
        let least = (limit * self.capacity_s).max(LEAST_TICKS / proc::ticks_per_second());
        let (cause, taken) = match self.steal_s >= self.outside_s() {
            true => (Cause::Steal, self.steal_s),
            false => (Cause::Foreign, self.outside_s()),
        };
        (self.seconds >= LEAST_SECONDS && taken > least).then(|| Disturbance {
            cause,
            share: self.share(taken),
        })
    }
}

/// The most takers that are kept of a second, and of a trial.
const OF_A_SECOND: usize = 3;
const OF_A_TRIAL: usize = 5;

/// The usage of one second of a trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it ended, on the trial's clock.
    pub at_ns: u64,
    /// What was used since the sample before.
    pub usage: Usage,
    /// Who of others took most of the CPU; the largest first.
    pub takers: Vec<Taker>,
    /// What the machine suffered.
    pub strain: Strain,
}

/// What was seen of a whole measured part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What was used.
    pub usage: Usage,
    /// Who of others took most of the CPU; the largest first.
    pub takers: Vec<Taker>,
    /// What the machine suffered.
    pub strain: Strain,
}

/// Reads the usage of a trial, by the second and as a whole.
#[derive(Debug)]
pub struct Watch {
    parties: Parties,
    gauges: Gauges,
    began: Reading,
    began_on_disk: u64,
    last: Reading,
    /// Who took what since the measured part began, and what the machine suffered.
    tally: Tally,
    strain: Strain,
}

impl Watch {
    /// Starts to watch, and counts from now.
    pub fn new(parties: Parties) -> Watch {
        let gauges = Gauges::find();
        let now = Reading::take(&parties, &gauges);
        Watch {
            began_on_disk: parties.on_disk(),
            parties,
            gauges,
            began: now.clone(),
            last: now,
            tally: Tally::default(),
            strain: Strain::default(),
        }
    }

    /// The measured part begins now.
    pub fn begin(&mut self) {
        self.began_on_disk = self.parties.on_disk();
        self.begin_filled();
    }

    /// The same where what is stored was stored before, for it.
    pub fn begin_filled(&mut self) {
        for pid in &self.last.brokers {
            proc::reset_peak(*pid);
        }
        self.began = Reading::take(&self.parties, &self.gauges);
        self.last = self.began.clone();
        (self.tally, self.strain) = (Tally::default(), Strain::default());
    }

    /// What was used since the sample before, or since the measured part began.
    pub fn sample(&mut self, at_ns: u64) -> Sample {
        let now = Reading::take(&self.parties, &self.gauges);
        let usage = now.since(&self.last);
        let (tally, strain) = now.beside(&self.last, usage.seconds);
        self.tally.merge(&tally);
        self.strain.merge(&strain);
        self.last = now;
        Sample {
            at_ns,
            usage,
            takers: tally.largest(OF_A_SECOND, usage.capacity_s),
            strain,
        }
    }

    /// What was seen since the measured part began. Threads that are to be in it must still run.
    pub fn seen(&mut self) -> Seen {
        let on_disk = self.parties.on_disk();
        let now = Reading::take(&self.parties, &self.gauges);
        let usage = Usage {
            brokers_disk_bytes: on_disk,
            brokers_disk_grown_bytes: on_disk as i64 - self.began_on_disk as i64,
            ..now.since(&self.began)
        };
        // Since the sample before, which is not the beginning of what the next one is about.
        let (tally, strain) = now.beside(&self.last, (now.at - self.last.at).as_secs_f64());
        self.tally.merge(&tally);
        self.strain.merge(&strain);
        Seen {
            takers: self.tally.largest(OF_A_TRIAL, usage.capacity_s),
            strain: self.strain,
            usage,
        }
    }
}

/// To whom a process belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Own,
    Broker,
    Ours,
    Kernel,
    Foreign,
}

/// CPU seconds of a process when it was read.
#[derive(Clone, Copy, Debug)]
struct Spent {
    party: Party,
    cpu: f64,
    waited: f64,
}

/// All counters at one instant.
#[derive(Clone, Debug)]
struct Reading {
    at: Instant,
    totals: Totals,
    spent: HashMap<Identity, Spent>,
    outsiders: Outsiders,
    marks: Marks,
    threads: HashMap<i32, (String, u64)>,
    memory: proc::Memory,
    brokers: Vec<i32>,
    brokers_memory: proc::Memory,
    brokers_written: u64,
}

impl Reading {
    fn take(parties: &Parties, gauges: &Gauges) -> Reading {
        let own = std::process::id() as i32;
        let ticks = proc::ticks_per_second();
        let all = proc::processes();
        let of_brokers = proc::family(&all, &parties.brokers);
        let ours = descendants(&all, parties.supervisor);
        let mut outsiders = Outsiders::new();
        let spent = all.iter().map(|process| {
            let party = if process.pid == own {
                Party::Own
            } else if of_brokers.contains(&process.pid) {
                Party::Broker
            } else if ours.contains(&process.pid) || parties.helpers.contains(&process.pid) {
                Party::Ours
            } else if process.kernel {
                Party::Kernel
            } else {
                Party::Foreign
            };
            let coarse = process.cpu_ticks as f64 / ticks;
            let cpu = match party {
                Party::Own | Party::Broker => {
                    proc::cpu_time(process.pid).map_or(coarse, |time| time.as_secs_f64())
                }
                _ => coarse,
            };
            let waited = process.waited_ticks as f64 / ticks;
            let identity = (process.pid, process.start);
            if party == Party::Foreign {
                let outsider = Outsider {
                    name: process.name.clone(),
                    parent: process.parent,
                    cpu,
                    waited,
                };
                outsiders.insert(identity, outsider);
            }
            (identity, Spent { party, cpu, waited })
        });
        let spent = spent.collect();
        let brokers: Vec<i32> = of_brokers.into_iter().collect();
        let mut brokers_memory = proc::Memory::default();
        for memory in brokers.iter().filter_map(|pid| proc::memory(*pid)) {
            brokers_memory.resident += memory.resident;
            brokers_memory.peak += memory.peak;
        }
        let threads = proc::own_threads().into_iter();
        Reading {
            at: Instant::now(),
            totals: proc::totals(),
            spent,
            outsiders,
            marks: gauges.read(),
            threads: threads.map(|(tid, name, ran)| (tid, (name, ran))).collect(),
            memory: proc::memory(own).unwrap_or_default(),
            brokers_written: brokers.iter().filter_map(|pid| proc::written(*pid)).sum(),
            brokers,
            brokers_memory,
        }
    }

    fn since(&self, earlier: &Reading) -> Usage {
        let ticks = proc::ticks_per_second();
        let totals = self.totals.since(&earlier.totals);
        let seconds_of = |count: u64| count as f64 / ticks;
        let by = |party| spent_by(party, &earlier.spent, &self.spent);
        let seconds = (self.at - earlier.at).as_secs_f64();
        let mut usage = Usage {
            seconds,
            capacity_s: f64::from(totals.cores) * seconds,
            idle_s: seconds_of(totals.idle),
            steal_s: seconds_of(totals.steal),
            interrupts_s: seconds_of(totals.interrupts),
            kernel_s: by(Party::Kernel),
            own_s: by(Party::Own),
            publish_s: self.role(earlier, PUBLISHER_THREAD),
            consume_s: self.role(earlier, CONSUMER_THREAD),
            brokers_s: by(Party::Broker),
            ours_s: by(Party::Ours),
            foreign_s: by(Party::Foreign),
            unseen_s: 0.0,
            rss_bytes: self.memory.resident,
            rss_peak_bytes: self.memory.peak,
            brokers_rss_bytes: self.brokers_memory.resident,
            brokers_rss_peak_bytes: self.brokers_memory.peak,
            brokers_written_bytes: self.brokers_written.saturating_sub(earlier.brokers_written),
            brokers_disk_bytes: 0,
            brokers_disk_grown_bytes: 0,
            sent: 0,
            received: 0,
        };
        let seen = usage.kernel_s + usage.own_s + usage.brokers_s + usage.ours_s + usage.foreign_s;
        usage.unseen_s = usage.busy(seconds_of(totals.busy)) - seen;
        usage
    }

    /// Who took what, and what the machine suffered, since an earlier reading so many seconds ago.
    fn beside(&self, earlier: &Reading, seconds: f64) -> (Tally, Strain) {
        (
            Tally::between(&earlier.outsiders, &self.outsiders),
            self.marks.since(&earlier.marks, seconds),
        )
    }

    /// CPU seconds of the threads whose names start with `prefix`.
    fn role(&self, earlier: &Reading, prefix: &str) -> f64 {
        let threads = self
            .threads
            .iter()
            .filter(|(_, (name, _))| name.starts_with(prefix));
        let nanoseconds: u64 = threads
            .map(|(tid, (_, ran))| {
                let before = earlier.threads.get(tid).map_or(0, |(_, ran)| *ran);
                ran.saturating_sub(before)
            })
            .sum();
        nanoseconds as f64 / 1e9
    }
}

/// Everything that descends from a process, with itself. Unlike [`proc::family`] this leaves out its
/// group and session: the shell pipeline that a run is part of is not the run.
fn descendants(all: &[Process], ancestor: i32) -> Vec<i32> {
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|p| p.parent == parent).map(|p| p.pid));
        next += 1;
    }
    found
}

/// CPU seconds that the processes of a party spent between two readings.
///
/// Time of a process that ended in between is in its parent's waited time, together with what it had
/// spent before the earlier reading, which is therefore taken off again. Where a parent never waits,
/// there is nothing to take it off from: hence the floor at zero, on that part alone.
fn spent_by(
    party: Party,
    before: &HashMap<Identity, Spent>,
    after: &HashMap<Identity, Spent>,
) -> f64 {
    let mut running = 0.0;
    let mut waited = 0.0;
    for (identity, now) in after.iter().filter(|(_, spent)| spent.party == party) {
        let then = before.get(identity);
        running += now.cpu - then.map_or(0.0, |spent| spent.cpu);
        waited += now.waited - then.map_or(0.0, |spent| spent.waited);
    }
    for (_, ended) in before
        .iter()
        .filter(|(identity, spent)| spent.party == party && !after.contains_key(identity))
    {
        waited -= ended.cpu + ended.waited;
    }
    running.max(0.0) + waited.max(0.0)
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
