//! Under which conditions a run was made. The order of the trials and the seed are in the plan.

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use crate::measure::host::{Host, fnv1a};
use crate::servers::Held;

/// Under which conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The machine when the run began.
    pub host: Host,
    /// Of the scenario's text: two runs of one text have the same.
    pub scenario_hash: String,
    /// In the order of the plan.
    pub brokers: Vec<BrokerProvenance>,
    /// What `mqbench calibrate` had found about the machine, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// What a broker's figures come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerProvenance {
    /// The client library and its version.
    pub client: String,
    /// The server's version as it says itself; `None` while it was not asked, and where there is none.
    pub server_version: Option<String>,
    /// Its program, as `binary` takes it, where that is a file of this machine.
    pub server_program: Option<String>,
    /// What was used: the path of a binary, an image, *embedded*, or where an external one answers.
    pub server_source: Option<String>,
    /// The container in which it ran, if mqbench had it run in one.
    pub server_container: Option<ContainerProvenance>,
    /// Settings of the server that were in force, in its own words.
    pub server_settings: Vec<(String, String)>,
    /// What it was given of the machine, and what held that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server_bounds: Vec<Held>,
}

/// In which container a server ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerProvenance {
    /// The engine and its version.
    pub engine: String,
    /// Name of the image.
    pub image: String,
    /// What the engine says the image is.
    pub identity: String,
}

impl Provenance {
    /// Of a run on this machine; `brokers` in the order of the plan.
    pub fn of(host: Host, scenario_text: &str, brokers: Vec<BrokerProvenance>) -> Provenance {
        Provenance {
            host,
            scenario_hash: format!("{:016x}", fnv1a(scenario_text.as_bytes())),
            brokers,
            calibration: None,
        }
    }

    /// Of one broker of the plan.
    pub fn broker(&self, broker: usize) -> Option<&BrokerProvenance> {
        self.brokers.get(broker)
    }
}
