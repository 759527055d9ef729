//! The machine that a result comes from, for its provenance.

use std::fs;

use serde::{Deserialize, Serialize};

use super::proc;

/// What must be alike for two results to be comparable, as far as the system tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Tells machines apart without naming them: a hash of the machine's id and name.
    pub id: String,
    /// The processor's model.
    pub cpu: String,
    /// Processors that the system has.
    pub cores: u32,
    /// How the clock rate is governed, where that can be read (not in most virtual machines).
    pub governor: Option<String>,
    /// Kernel and its version.
    pub kernel: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processes ready to run, mean over 1, 5 and 15 minutes, when this was read.
    pub load_average: [f64; 3],
    /// What the kernel reads the time from.
    pub clock_source: Option<String>,
    /// Whether a hypervisor runs below.
    pub virtual_machine: bool,
}

impl Host {
    /// Reads it. What cannot be read is left empty: provenance is never a reason to fail.
    pub fn read() -> Host {
        let text = |path: &str| fs::read_to_string(path).ok();
        let word = |path: &str| text(path).map(|text| text.trim().to_owned());
        let cpuinfo = text("/proc/cpuinfo").unwrap_or_default();
        let name = nix::unistd::gethostname().unwrap_or_default();
        let identity = word("/etc/machine-id").unwrap_or_default() + &name.to_string_lossy();
        let kernel = word("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = text("/proc/loadavg").and_then(|text| parse_load(&text));
        Host {
            id: format!("{:016x}", fnv1a(identity.as_bytes())),
            cpu: parse_cpu(&cpuinfo).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: proc::totals().cores,
            governor: word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            kernel: format!("Linux {kernel}"),
            memory_bytes: proc::machine_memory().unwrap_or(0),
            load_average: load.unwrap_or_default(),
            clock_source: word("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            virtual_machine: has_hypervisor(&cpuinfo),
        }
    }
}

/// The first `model name` of `/proc/cpuinfo` (not every architecture has one).
fn parse_cpu(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Whether the processor's flags say that a hypervisor runs below.
fn has_hypervisor(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .find(|line| line.starts_with("flags"))
        .is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// The three means of `/proc/loadavg`.
fn parse_load(loadavg: &str) -> Option<[f64; 3]> {
    let mut fields = loadavg
        .split_whitespace()
        .map_while(|field| field.parse().ok());
    Some([fields.next()?, fields.next()?, fields.next()?])
}

/// FNV-1a: small, and the same in every version of this program, which the standard library's hasher
/// does not promise. It need not resist anybody: the machine's id is random.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_the_kernels_texts() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Fast CPU @ 3.00GHz\nflags\t\t: fpu hypervisor sse\n";
        assert_eq!(parse_cpu(cpuinfo).unwrap(), "Fast CPU @ 3.00GHz");
        assert!(has_hypervisor(cpuinfo));
        assert!(!has_hypervisor("flags : fpu sse\n"));
        let load = parse_load("0.50 1.25 2.00 3/120 4711\n");
        assert_eq!(load, Some([0.5, 1.25, 2.0]));
        assert_eq!(parse_load(""), None);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn this_host_has_cores_and_memory_and_keeps_its_name_to_itself() {
        let host = Host::read();
        assert!(host.cores >= 1 && host.memory_bytes > 0);
        assert_eq!(host.id.len(), 16);
    }
}
