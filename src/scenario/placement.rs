//! What of the machine each party may use: which cores, and how much of them and of memory.

use serde::{Deserialize, Serialize};

use super::document::{CoresDocument, LimitsDocument};
use super::findings::Findings;
use super::units::Size;
use super::units::cores::Cores;

/// The least share of one core that the kernel can give.
const LEAST_CPU: f64 = 0.01;
/// No broker starts with less memory.
const LEAST_MEMORY: u64 = 16 << 20;

/// What of the machine each party may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// Who runs on which cores.
    pub cores: Pinned,
    /// What each managed broker may use.
    pub limits: Limits,
}

/// Who runs on which cores; `None` is on any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pinned {
    /// Threads of publishers, with those of their client libraries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publishers: Option<Cores>,
    /// Threads of consumers, with those of their client libraries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<Cores>,
    /// Processes of each managed broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brokers: Option<Cores>,
}

/// What each managed broker may use, all its members together; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// CPU time, in cores: 0.5 is half of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
}

impl Placement {
    pub(super) fn of(cores: Option<CoresDocument>, limits: Option<LimitsDocument>) -> Placement {
        let (cores, limits) = (cores.unwrap_or_default(), limits.unwrap_or_default());
        Placement {
            cores: Pinned {
                publishers: cores.publishers,
                consumers: cores.consumers,
                brokers: cores.brokers,
            },
            limits: Limits {
                cpu: limits.cpu,
                memory: limits.memory,
            },
        }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Placement::default()
    }

    /// The key of what is asked about brokers, if anything is.
    pub fn about_brokers(&self) -> Option<&'static str> {
        let asked = [
            ("cores.brokers", self.cores.brokers.is_some()),
            ("limits.cpu", self.limits.cpu.is_some()),
            ("limits.memory", self.limits.memory.is_some()),
        ];
        let mut asked = asked.into_iter().filter(|(_, is_asked)| *is_asked);
        asked.next().map(|(key, _)| key)
    }
}

impl Pinned {
    /// Each party by its key, with its cores.
    pub fn parties(&self) -> impl Iterator<Item = (&'static str, &Cores)> {
        let all = [
            ("publishers", &self.publishers),
            ("consumers", &self.consumers),
            ("brokers", &self.brokers),
        ];
        all.into_iter()
            .filter_map(|(key, cores)| Some((key, cores.as_ref()?)))
    }
}

impl Limits {
    /// `1.5 cores of CPU time`.
    pub fn cpu_text(&self) -> Option<String> {
        self.cpu.map(|cpu| {
            let plural = if cpu == 1.0 { "" } else { "s" };
            format!("{cpu} core{plural} of CPU time")
        })
    }

    /// `1GiB of memory`.
    pub fn memory_text(&self) -> Option<String> {
        self.memory.map(|memory| format!("{memory} of memory"))
    }
}

/// What is wrong with it on any machine.
pub(super) fn check(placement: &Placement, findings: &mut Findings) {
    for (key, cores) in placement.cores.parties() {
        if cores.count() == 0 {
            findings.add(
                &format!("cores.{key}"),
                format!("no core is left for the {key}"),
                "for example `cores: {brokers: 0}`; leave it out for all cores",
            );
        }
    }
    if let Some(cpu) = placement.limits.cpu
        && !(cpu.is_finite() && cpu >= LEAST_CPU)
    {
        findings.add(
            "limits.cpu",
            format!("a limit of {cpu} cores lets no broker run"),
            format!("the least is {LEAST_CPU}; `limits: {{cpu: 1}}` is all the time of one core"),
        );
    }
    if let Some(memory) = placement.limits.memory
        && memory.0 < LEAST_MEMORY
    {
        findings.add(
            "limits.memory",
            format!("no broker starts in {memory}"),
            format!("the least is {}", Size(LEAST_MEMORY)),
        );
    }
}
