//! What the machine suffered besides losing CPU time: clock rates that changed, heat, memory that ran short.
//!
//! Each is read from where the system tells it. Many virtual machines tell nothing of clocks and heat: what is not
//! told is left out, and never taken for quiet.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The most processors whose clock is read each second: each is a file.
const CLOCKS: usize = 64;
/// Clock rates that differ by no more than this share are the same.
const CLOCK_SHARE: f64 = 0.1;
/// Memory that somebody waited for in no more than this share of the time is no pressure.
const MEMORY_SHARE: f64 = 0.01;
/// Nor are so few pages a second that were read again.
const PAGES_PER_SECOND: f64 = 100.0;

/// What the machine suffered in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Strain {
    /// Length of the span in seconds.
    pub seconds: f64,
    /// The lowest and the highest clock rate, MHz, of whichever processor was fastest: idle ones are slow, and that is no
    /// change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<[f64; 2]>,
    /// How often a processor was slowed down because it was hot.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled: u64,
    /// Share of the time in which some process waited for memory (pressure stall information).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_wait: Option<f64>,
    /// Pages that were swapped or read from files again, where there is no such information.
    #[serde(skip_serializing_if = "is_zero")]
    pub pages: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Strain {
    /// Adds a span that followed.
    pub fn merge(&mut self, later: &Strain) {
        self.memory_wait = match (self.memory_wait, later.memory_wait) {
            (Some(a), Some(b)) => {
                let all = self.seconds + later.seconds;
                Some((a * self.seconds + b * later.seconds) / all.max(1e-9))
            }
            (one, other) => one.or(other),
        };
        self.clock = match (self.clock, later.clock) {
            (Some([low, high]), Some([a, b])) => Some([low.min(a), high.max(b)]),
            (one, other) => one.or(other),
        };
        self.throttled += later.throttled;
        self.pages += later.pages;
        self.seconds += later.seconds;
    }

    /// Whether there is nothing to tell: nothing happened, or nobody says.
    pub fn is_nothing(&self) -> bool {
        let nobody_waited = self.memory_wait.is_none_or(|share| share == 0.0);
        nobody_waited && self.clock.is_none() && self.throttled == 0 && self.pages == 0
    }

    /// Whether clocks changed.
    pub fn clock_changed(&self) -> bool {
        self.clock
            .is_some_and(|[low, high]| low < high * (1.0 - CLOCK_SHARE))
    }

    /// Whether memory was short.
    pub fn memory_short(&self) -> bool {
        self.memory_wait.is_some_and(|share| share > MEMORY_SHARE)
            || self.pages as f64 > PAGES_PER_SECOND * self.seconds.max(1e-9)
    }

    /// Whether the figures of this span stand for another machine than those of a quiet one.
    pub fn is_felt(&self) -> bool {
        self.throttled > 0 || self.memory_short()
    }
}

/// Where the system tells it.
#[derive(Clone, Debug)]
pub(super) struct Gauges {
    clocks: Vec<PathBuf>,
    throttles: Vec<PathBuf>,
    has_pressure: bool,
}

/// Counters at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Marks {
    clock: Option<f64>,
    throttled: u64,
    /// Microseconds in which somebody waited for memory.
    waited_us: Option<u64>,
    pages: u64,
}

impl Gauges {
    /// Looks for what there is.
    pub fn find() -> Gauges {
        Gauges::within(Path::new("/sys/devices/system/cpu"), Path::new("/proc"))
    }

    fn within(cpus: &Path, proc: &Path) -> Gauges {
        let entries = fs::read_dir(cpus).into_iter().flatten().flatten();
        let mut folders: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let number = name.to_str()?.strip_prefix("cpu")?.parse().ok()?;
                Some((number, entry.path()))
            })
            .collect();
        folders.sort();
        let files = |name: &str| -> Vec<PathBuf> {
            let paths = folders.iter().map(|(_, folder)| folder.join(name));
            paths.filter(|path| path.exists()).collect()
        };
        let mut clocks = files("cpufreq/scaling_cur_freq");
        clocks.truncate(CLOCKS);
        Gauges {
            clocks,
            throttles: files("thermal_throttle/core_throttle_count"),
            has_pressure: proc.join("pressure/memory").exists(),
        }
    }

    /// Reads them.
    pub fn read(&self) -> Marks {
        let number =
            |path: &PathBuf| -> Option<f64> { fs::read_to_string(path).ok()?.trim().parse().ok() };
        let clocks = self.clocks.iter().filter_map(number);
        let clock = clocks.reduce(f64::max).map(|kilohertz| kilohertz / 1000.0);
        let waited_us = match self.has_pressure {
            true => fs::read_to_string("/proc/pressure/memory")
                .ok()
                .and_then(|text| parse_waited(&text)),
            false => None,
        };
        let pages = match waited_us {
            Some(_) => 0,
            None => fs::read_to_string("/proc/vmstat").map_or(0, |text| parse_pages(&text)),
        };
        Marks {
            clock,
            throttled: self.throttles.iter().filter_map(number).sum::<f64>() as u64,
            waited_us,
            pages,
        }
    }
}

impl Marks {
    /// What happened since `earlier`.
    pub fn since(&self, earlier: &Marks, seconds: f64) -> Strain {
        let waited = self.waited_us.zip(earlier.waited_us);
        let clocks = self.clock.zip(earlier.clock);
        Strain {
            seconds,
            clock: clocks.map(|(now, then)| [now.min(then), now.max(then)]),
            throttled: self.throttled.saturating_sub(earlier.throttled),
            memory_wait: waited.map(|(now, then)| {
                let share = now.saturating_sub(then) as f64 / 1e6 / seconds.max(1e-9);
                share.min(1.0)
            }),
            pages: self.pages.saturating_sub(earlier.pages),
        }
    }
}

/// Microseconds in which some process waited, of a file of `/proc/pressure`.
fn parse_waited(pressure: &str) -> Option<u64> {
    let line = pressure.lines().find(|line| line.starts_with("some "))?;
    let total = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok()
}

/// Pages swapped in and out, and those read from files because they were no longer there, of `/proc/vmstat`.
fn parse_pages(vmstat: &str) -> u64 {
    let counted = vmstat.lines().filter_map(|line| {
        let (key, count) = line.split_once(' ')?;
        let is_one = ["pswpin", "pswpout", "workingset_refault_file"].contains(&key);
        is_one.then(|| count.trim().parse::<u64>().ok())?
    });
    counted.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_and_pages_are_found_among_other_lines() {
        let pressure = "some avg10=0.12 avg60=0.05 avg300=0.00 total=61234\n\
                        full avg10=0.00 avg60=0.00 avg300=0.00 total=77\n";
        assert_eq!(parse_waited(pressure), Some(61_234));
        assert_eq!(parse_waited(""), None);
        let vmstat = "pgfault 9\npswpin 3\npswpout 4\nworkingset_refault_file 5\npgmajfault 7\n";
        assert_eq!(parse_pages(vmstat), 12);
    }

    #[test]
    fn a_span_is_the_difference_of_two_readings() {
        let then = Marks {
            clock: Some(3000.0),
            throttled: 7,
            waited_us: Some(1_000_000),
            pages: 5,
        };
        let now = Marks {
            clock: Some(1500.0),
            throttled: 9,
            waited_us: Some(1_500_000),
            pages: 5,
        };
        let strain = now.since(&then, 2.0);
        assert_eq!(strain.clock, Some([1500.0, 3000.0]));
        assert_eq!((strain.throttled, strain.pages), (2, 0));
        assert_eq!(strain.memory_wait, Some(0.25));
        assert!(strain.clock_changed() && strain.memory_short() && strain.is_felt());
    }

    #[test]
    fn what_is_not_told_is_not_felt_and_not_called_quiet() {
        let strain = Marks::default().since(&Marks::default(), 1.0);
        assert_eq!((strain.clock, strain.memory_wait), (None, None));
        assert!(!strain.is_felt() && !strain.clock_changed());
    }

    #[test]
    fn spans_add_up() {
        let span = |seconds, wait, low| Strain {
            seconds,
            memory_wait: Some(wait),
            clock: Some([low, 3000.0]),
            throttled: 1,
            pages: 2,
        };
        let mut sum = Strain::default();
        sum.merge(&span(1.0, 0.3, 2900.0));
        sum.merge(&span(2.0, 0.0, 2000.0));
        assert_eq!((sum.seconds, sum.throttled, sum.pages), (3.0, 2, 4));
        assert!((sum.memory_wait.unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(sum.clock, Some([2000.0, 3000.0]));
    }

    #[test]
    fn gauges_are_those_that_are_there() {
        let root = tempfile::tempdir().unwrap();
        for cpu in ["cpu0", "cpu10", "cpufreq"] {
            fs::create_dir_all(root.path().join(cpu).join("cpufreq")).unwrap();
            let file = root.path().join(cpu).join("cpufreq/scaling_cur_freq");
            fs::write(file, "2400000\n").unwrap();
        }
        let gauges = Gauges::within(root.path(), root.path());
        assert_eq!((gauges.clocks.len(), gauges.throttles.len()), (2, 0));
        assert!(!gauges.has_pressure);
        assert_eq!(gauges.read().clock, Some(2400.0));
    }
}
