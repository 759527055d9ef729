//! How fast the cores run, and whether they were slowed down for heat. Most virtual machines tell neither.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const CPUS: &str = "/sys/devices/system/cpu";

/// The clock rate of all cores at one instant, in megahertz.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frequency {
    /// Mean over the cores.
    pub mean_mhz: f64,
    /// Of the slowest.
    pub least_mhz: f64,
    /// The most that a core can do, where that is told.
    pub most_mhz: Option<f64>,
}

impl Frequency {
    /// Reads it; `None` where the system does not tell.
    pub fn read() -> Option<Frequency> {
        let of_cores = |file: &str| -> Vec<f64> {
            let cores = cores(Path::new(CPUS)).into_iter();
            let texts = cores.map(|core| fs::read_to_string(core.join("cpufreq").join(file)));
            texts
                .flatten()
                .filter_map(|text| megahertz(&text))
                .collect()
        };
        let current = of_cores("scaling_cur_freq");
        if current.is_empty() {
            let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
            return Frequency::of(&parse_cpuinfo(&cpuinfo), None);
        }
        let most = of_cores("cpuinfo_max_freq")
            .into_iter()
            .max_by(f64::total_cmp);
        Frequency::of(&current, most)
    }

    fn of(cores: &[f64], most_mhz: Option<f64>) -> Option<Frequency> {
        Some(Frequency {
            mean_mhz: cores.iter().sum::<f64>() / cores.len() as f64,
            least_mhz: cores.iter().copied().min_by(f64::total_cmp)?,
            most_mhz,
        })
    }

    /// Of two readings the slower.
    pub fn slower(self, other: Frequency) -> Frequency {
        match other.mean_mhz < self.mean_mhz {
            true => other,
            false => self,
        }
    }
}

/// How often cores were slowed down for heat since the machine started; `None` where that is not told.
pub fn throttled() -> Option<u64> {
    let cores = cores(Path::new(CPUS)).into_iter();
    let counts = cores.filter_map(|core| {
        let text = fs::read_to_string(core.join("thermal_throttle/core_throttle_count")).ok()?;
        text.trim().parse::<u64>().ok()
    });
    counts.reduce(u64::saturating_add)
}

/// Folders `cpu0`, `cpu1`, ….
fn cores(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_core = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix("cpu"));
        number.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
    };
    entries.map(|entry| entry.path()).filter(is_core).collect()
}

/// What `cpufreq` gives in kilohertz.
fn megahertz(text: &str) -> Option<f64> {
    let kilohertz: u64 = text.trim().parse().ok()?;
    (kilohertz > 0).then_some(kilohertz as f64 / 1e3)
}

/// `cpu MHz` of each core.
fn parse_cpuinfo(text: &str) -> Vec<f64> {
    let lines = text.lines().filter(|line| line.starts_with("cpu MHz"));
    let values = lines.filter_map(|line| line.split_once(':')?.1.trim().parse().ok());
    values.filter(|mhz: &f64| *mhz > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_are_found_in_the_kernels_texts() {
        assert_eq!(megahertz("2400000\n"), Some(2_400.0));
        assert_eq!(megahertz("<unknown>\n"), None);
        let cpuinfo =
            "processor\t: 0\ncpu MHz\t\t: 2445.406\nprocessor\t: 1\ncpu MHz\t\t: 1200.5\n";
        let found = Frequency::of(&parse_cpuinfo(cpuinfo), None).unwrap();
        assert_eq!((found.least_mhz, found.most_mhz), (1_200.5, None));
        assert!((found.mean_mhz - 1_822.953).abs() < 1e-9);
        assert_eq!(Frequency::of(&[], Some(1.0)), None);
    }

    #[test]
    fn of_two_readings_the_slower_counts() {
        let fast = Frequency::of(&[3_000.0], Some(3_500.0)).unwrap();
        let slow = Frequency::of(&[1_000.0], Some(3_500.0)).unwrap();
        assert_eq!((fast.slower(slow), slow.slower(fast)), (slow, slow));
    }

    #[test]
    fn only_cores_are_cores() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cpu0", "cpu12", "cpufreq", "cpuidle", "cpu", "online"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(cores(folder.path()).len(), 2);
        assert_eq!(cores(&folder.path().join("nothing")).len(), 0);
    }
}
