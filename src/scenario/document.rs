//! The grammar of a scenario: the types that are read, and from which the schema is made.
//!
//! Every key that may be left out is an `Option` here. The defaults are filled in, and written down,
//! by [`super::resolve`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::threshold::Threshold;
use super::units::cores::Cores;
use super::units::duration::Time;
use super::units::{Fraction, Rate, Size};
use super::workload::{Arrival, Delivery, Durability, Pattern, Step};

/// What to run, against which brokers, and what must come out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "mqbench scenario")]
pub struct Document {
    /// Names the results. Left out, it is the file's name.
    pub name: Option<String>,
    /// One sentence for readers of the results.
    pub description: Option<String>,
    /// The brokers, compared like with like: a list of names, or a map of entries with settings.
    pub brokers: BrokersDocument,
    /// What every broker is asked to do.
    pub workload: WorkloadDocument,
    /// The parts of a trial.
    pub phases: Option<PhasesDocument>,
    /// Repetitions for each broker, interleaved in randomised blocks (default 5).
    pub trials: Option<u32>,
    /// What must hold in the end; otherwise the exit code is 99.
    pub thresholds: Option<Vec<ThresholdDocument>>,
    /// Decides arrivals, sizes and the order of trials; left out, one is drawn and recorded.
    pub seed: Option<u64>,
    /// When a trial counts as disturbed by others on the machine.
    pub disturbed: Option<DisturbedDocument>,
    /// Which cores publishers, consumers and managed brokers run on.
    pub cores: Option<CoresDocument>,
    /// What each managed broker may use of the machine, the same for all.
    pub limits: Option<LimitsDocument>,
    /// Rank brokers although they are asked for different guarantees, with `delivery` or `durability`
    /// of their own.
    pub rank_unequal: Option<bool>,
    /// Leave out brokers whose server is not on this machine, and say so, instead of failing.
    /// Those that `--broker` names are never left out.
    pub skip_missing: Option<bool>,
}

/// The entries, which are read apart: see [`super::brokers`].
#[derive(Clone, Debug)]
pub struct BrokersDocument;

impl<'de> Deserialize<'de> for BrokersDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| BrokersDocument)
    }
}

impl JsonSchema for BrokersDocument {
    fn schema_name() -> Cow<'static, str> {
        "Brokers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entry = generator.subschema_for::<BrokerDocument>();
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true },
                { "type": "object", "minProperties": 1,
                  "additionalProperties": { "anyOf": [entry, { "type": "null" }] } }
            ]
        })
    }
}

/// One broker. Besides these, an entry takes the options of its driver.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Broker")]
pub struct BrokerDocument {
    /// The driver, if the entry's name is not the driver's.
    pub driver: Option<String>,
    /// A broker that runs already. Left out, mqbench starts a private one.
    pub url: Option<String>,
    /// User at the broker.
    pub user: Option<String>,
    /// Its password, from the environment: `${VARIABLE}`.
    pub password: Option<String>,
    /// A token instead of user and password, from the environment: `${VARIABLE}`.
    pub token: Option<String>,
    /// Encryption: `tls: {}` trusts the authorities of the system. URLs with a scheme of their own for
    /// encryption, as `rediss://`, do not need it.
    pub tls: Option<TlsDocument>,
    /// An existing topic, queue or stream to use instead of a fresh one.
    pub destination: Option<String>,
    /// The most that may be sent to this broker.
    pub max_rate: Option<Rate>,
    /// The private instance.
    pub managed: Option<ManagedDocument>,
    /// The server's program, instead of the one that is found; `container`: the pinned image, run by docker or podman.
    pub binary: Option<String>,
    /// What must hold for this broker instead of `workload.delivery`; needs `rank_unequal: true`.
    pub delivery: Option<Delivery>,
    /// What must hold for this broker instead of `workload.durability`; needs `rank_unequal: true`.
    pub durability: Option<Durability>,
}

/// Encryption of every connection to a broker. Files are PEM; their paths are relative to the scenario's
/// folder.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Tls")]
pub struct TlsDocument {
    /// File with the authorities that may have signed the broker's certificate, instead of those of the
    /// system.
    pub ca: Option<String>,
    /// File with the client's certificate and what leads from it to its authority, for brokers that ask
    /// for one; needs `key`.
    pub cert: Option<String>,
    /// File with the key of the client's certificate; needs `cert`.
    pub key: Option<String>,
    /// Accept any certificate, whoever it is from: encrypted, but to nobody knows whom (default false).
    pub insecure: Option<bool>,
}

/// A private instance that mqbench starts and ends.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Managed")]
pub struct ManagedDocument {
    /// Members of the cluster (default 1).
    pub nodes: Option<u32>,
    /// Settings of the server in its own words, such as `Xmx: 1g` for Kafka; `mqbench drivers NAME` names
    /// those that can be set.
    pub settings: BTreeMap<String, String>,
}

/// What every broker is asked to do.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Workload")]
pub struct WorkloadDocument {
    /// How messages travel from publishers to consumers (default queue).
    pub pattern: Option<Pattern>,
    /// How often a message may arrive, the least that must hold (default at-most-once).
    pub delivery: Option<Delivery>,
    /// What an acknowledged message survives, the least that must hold (default memory).
    pub durability: Option<Durability>,
    /// What is sent.
    pub message: Option<MessageDocument>,
    /// How much is sent: `{rate: 5k/s}`, or `max` for as much as the windows let through.
    pub load: Option<LoadDocument>,
    /// Publishers (default 1). 0: a preloaded backlog is consumed.
    pub publishers: Option<u32>,
    /// Consumers in each group (default 1). 0: publish only.
    pub consumers: Option<u32>,
    /// Independent sets of consumers, each gets everything (default 1, or 2 with fan-out).
    pub groups: Option<u32>,
    /// Topics, queues or streams (default 1).
    pub destinations: Option<u32>,
    /// Messages of one publisher that may be unconfirmed (default 256).
    pub in_flight: Option<u32>,
    /// When consumers acknowledge or commit.
    pub ack: Option<AckDocument>,
    /// Messages of one transaction.
    pub transaction: Option<TransactionDocument>,
}

/// What is sent.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Message")]
pub struct MessageDocument {
    /// Header and body together, at least 32 bytes (default 256B); or a list of sizes by weight.
    pub size: Option<SizesDocument>,
    /// What fills a message (default random).
    pub payload: Option<PayloadDocument>,
    /// Number of distinct keys; 0 for none (default 0).
    pub keys: Option<u32>,
    /// Compare each body with what was sent (default false).
    pub verify: Option<bool>,
}

/// What fills a message.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Payload")]
pub enum PayloadDocument {
    /// Bytes that no compressor shortens.
    Random,
    /// Zero bytes.
    Zeros,
    /// Text shaped like a JSON record.
    Json,
    /// Bytes of this file, in turn.
    File(String),
}

/// One size, or several by weight.
#[derive(Clone, Debug, PartialEq)]
pub enum SizesDocument {
    /// All messages alike.
    One(Size),
    /// Drawn from these.
    Several(Vec<SizeDocument>),
}

/// One size of several: `256B`, or `{size: 256B, weight: 3}`.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeDocument {
    /// Header and body together.
    pub size: Size,
    /// Its share among the weights of all sizes (default 1).
    pub weight: f64,
}

/// One size of several.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WeightedSize")]
pub(super) struct SizeMap {
    /// Header and body together.
    pub size: Size,
    /// Its share among the weights of all sizes (default 1).
    pub weight: Option<f64>,
}

/// How much is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadDocument {
    /// `max`
    Max,
    /// Any other.
    Map(Box<LoadMap>),
}

/// How much is sent: one of `rate`, `steps`, `sweep` and `search`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LoadSchedule")]
pub struct LoadMap {
    /// Messages per second, over all publishers.
    pub rate: Option<Rate>,
    /// How messages are spaced (default uniform).
    pub arrival: Option<Arrival>,
    /// One rate after the other: `[{rate: 1k/s, for: 5s}, …]`.
    pub steps: Option<Vec<Step>>,
    /// Each of these rates, in trials of its own: latency against offered load.
    pub sweep: Option<SweepDocument>,
    /// Find the highest rate that meets this: `"p99(end_to_end) < 10ms"`.
    pub search: Option<String>,
}

/// The rates of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub enum SweepDocument {
    /// `[1k/s, 2k/s, 5k/s]`
    Rates(Vec<Rate>),
    /// `{from: 1k/s, to: 100k/s, steps: 10}`
    Range(SweepRange),
}

/// Rates from one to another: `{from: 1k/s, to: 100k/s, steps: 10, scale: log}`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SweepRange")]
pub struct SweepRange {
    /// The lowest.
    pub from: Rate,
    /// The highest.
    pub to: Rate,
    /// How many, both ends included.
    pub steps: u32,
    /// Whether neighbours have the same ratio or the same difference (default log).
    #[serde(default)]
    pub scale: Option<SweepScale>,
}

/// How the rates of a sweep are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SweepScale {
    /// Each is as many times the one before.
    Log,
    /// Each is as much more than the one before.
    Linear,
}

/// When consumers acknowledge or commit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Ack")]
pub struct AckDocument {
    /// After this many messages (default 100)…
    pub every: Option<u32>,
    /// …or after this time, whichever is first (default 10ms).
    pub within: Option<Time>,
}

/// Messages of one transaction.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Transaction")]
pub struct TransactionDocument {
    /// This many…
    pub messages: Option<u32>,
    /// …or those of this time, whichever is first.
    pub within: Option<Time>,
}

/// The parts of a trial.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Phases")]
pub struct PhasesDocument {
    /// Load that is not measured (default 2s).
    pub warmup: Option<Time>,
    /// Load that is: a time, or a number of messages over all publishers (default 10s).
    pub measure: Option<MeasureDocument>,
    /// The longest wait for what is still on its way (default 10s).
    pub drain: Option<Time>,
}

/// A time, or a number of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum MeasureDocument {
    /// `20s`
    Time(Time),
    /// `100000`
    Count(u64),
}

/// When a trial counts as disturbed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Disturbed")]
pub struct DisturbedDocument {
    /// CPU time that others took, above which a trial is repeated (default 2%).
    pub share: Option<Fraction>,
    /// The most repetitions of one trial (default 2).
    pub repeats: Option<u32>,
}

/// Which cores each party runs on; a party that is left out runs on any. Cores are numbered as the system numbers
/// them: `0`, `0-1,3`, `[0, 2]`. A core that this machine does not have, or does not let mqbench use, is an error.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Pinned")]
pub struct CoresDocument {
    /// Threads of publishers, with those of their client libraries.
    pub publishers: Option<Cores>,
    /// Threads of consumers, with those of their client libraries.
    pub consumers: Option<Cores>,
    /// All processes of each managed broker.
    pub brokers: Option<Cores>,
}

/// What each managed broker may use of the machine, all members of a cluster together. Held by control groups
/// of the kernel or by the container engine; where neither is permitted by what comes closest, which is said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub struct LimitsDocument {
    /// CPU time in cores: `1` is all the time of one core, `0.5` half of it. It is taken from all cores and
    /// runs out every 100 ms, so it stretches latencies; `cores: {brokers: …}` gives whole cores instead.
    pub cpu: Option<f64>,
    /// Memory: `1GiB`. Settings by which a server bounds its own memory are set to fit, unless the scenario
    /// sets them.
    pub memory: Option<Size>,
}

/// `p99(end_to_end) < 20ms`, or `{kafka: p99(end_to_end) < 20ms}`.
///
/// The text is kept, so that an error can mark the wrong part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdDocument {
    /// The key, if it was written as a map.
    pub broker: Option<String>,
    /// The condition, which may begin with `broker:`.
    pub text: String,
}

impl JsonSchema for LoadDocument {
    fn schema_name() -> Cow<'static, str> {
        "Load".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<LoadMap>();
        json_schema!({
            "description": "`max`, or a map with one of `rate`, `steps`, `sweep` and `search`.",
            "anyOf": [{ "const": "max" }, map]
        })
    }
}

impl JsonSchema for SweepDocument {
    fn schema_name() -> Cow<'static, str> {
        "Sweep".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rate = generator.subschema_for::<Rate>();
        let range = generator.subschema_for::<SweepRange>();
        json_schema!({
            "description": "A list of rates, or a range: `{from: 1k/s, to: 100k/s, steps: 10}`.",
            "anyOf": [{ "type": "array", "minItems": 1, "items": rate }, range]
        })
    }
}

impl JsonSchema for SizesDocument {
    fn schema_name() -> Cow<'static, str> {
        "Sizes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let size = generator.subschema_for::<Size>();
        let entry = generator.subschema_for::<SizeMap>();
        json_schema!({
            "description": "One size, or a list of sizes: `[{size: 256B, weight: 3}, {size: 4KiB, weight: 1}]`.",
            "anyOf": [size, { "type": "array", "minItems": 1, "items": { "anyOf": [size, entry] } }]
        })
    }
}

impl JsonSchema for MeasureDocument {
    fn schema_name() -> Cow<'static, str> {
        "Measure".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let time = generator.subschema_for::<Time>();
        json_schema!({
            "description": "A time, or a number of messages over all publishers.",
            "anyOf": [time, { "type": "integer", "minimum": 1 }]
        })
    }
}

impl JsonSchema for ThresholdDocument {
    fn schema_name() -> Cow<'static, str> {
        Threshold::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Threshold::json_schema(generator)
    }
}
