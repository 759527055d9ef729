//! From the grammar to the meaning: fills in what was left out, and writes down that it did.

use std::path::Path;
use std::time::Duration;

use super::document::{
    Document, LoadDocument, MeasureDocument, MessageDocument, PayloadDocument, PhasesDocument,
    SizesDocument, WorkloadDocument,
};
use super::model::{Disturbed, FilledIn};
use super::search::Objective;
use super::sweep;
use super::threshold::Threshold;
use super::units::duration::Time;
use super::units::{Fraction, Rate, Size};
use super::workload::{
    AckPolicy, Arrival, Delivery, Durability, Load, Measure, Message, Pattern, Payload, Phases,
    Transaction, WeightedSize, Workload,
};

/// Something that cannot be resolved: the path it is about, what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// Dotted.
    pub path: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

/// The parts of a scenario that have defaults.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What every broker is asked to do.
    pub workload: Workload,
    /// The rates of a sweep, the lowest first; otherwise empty.
    pub sweep: Vec<Rate>,
    /// What a search looks for.
    pub search: Option<Objective>,
    /// The parts of a trial.
    pub phases: Phases,
    /// Repetitions for each broker.
    pub trials: u32,
    /// When a trial counts as disturbed.
    pub disturbed: Disturbed,
    /// Every default that was filled in.
    pub defaults: Vec<FilledIn>,
}

/// Collects the defaults that were used.
#[derive(Default)]
struct Defaults(Vec<FilledIn>);

impl Defaults {
    fn or<T>(&mut self, given: Option<T>, path: &str, value: T, text: &str) -> T {
        given.unwrap_or_else(|| {
            self.0.push(FilledIn {
                path: path.to_owned(),
                value: text.to_owned(),
            });
            value
        })
    }

    fn count(&mut self, given: Option<u32>, path: &str, value: u32) -> u32 {
        self.or(given, path, value, &value.to_string())
    }

    fn time(&mut self, given: Option<Time>, path: &str, value: Duration) -> Duration {
        let value = Time(value);
        self.or(given, path, value, &value.to_string()).0
    }
}

/// Fills in the defaults. `folder` is what relative paths of files are relative to; `condition` is that of a search.
pub fn resolve(
    document: &Document,
    folder: Option<&Path>,
    condition: Option<Threshold>,
) -> Result<Resolved, Vec<Unresolved>> {
    let mut errors = Vec::new();
    let mut defaults = Defaults::default();
    let sweep = sweep::rates(&document.workload, &mut errors);
    let mut workload = workload(
        &document.workload,
        sweep.first(),
        folder,
        &mut defaults,
        &mut errors,
    );
    let phases = phases(
        &document.phases.clone().unwrap_or_default(),
        workload.as_ref().map(|w| &w.load),
        &mut defaults,
        &mut errors,
    );
    let search = condition.map(|condition| Objective::new(condition, &phases));
    if let (Some(objective), Some(Load::Rate { rate, .. })) =
        (&search, workload.as_mut().map(|it| &mut it.load))
    {
        *rate = objective.lowest;
    }
    let trials = match (&search, document.trials) {
        (None, given) => defaults.count(given, "trials", 5),
        (Some(_), None) => 1,
        (Some(_), Some(_)) => {
            errors.push(Unresolved {
                path: "trials",
                message: "a search decides itself how many trials it makes".to_owned(),
                help: "leave `trials` out: there are at most 12 probes of each broker, and a trial of full length at \
                       each end of what they find",
            });
            1
        }
    };
    let disturbed = document.disturbed.clone().unwrap_or_default();
    let disturbed = Disturbed {
        share: defaults.or(disturbed.share, "disturbed.share", Fraction(0.02), "2%"),
        repeats: defaults.count(disturbed.repeats, "disturbed.repeats", 2),
    };
    match workload {
        Some(workload) if errors.is_empty() => Ok(Resolved {
            workload,
            sweep,
            search,
            phases,
            trials,
            disturbed,
            defaults: defaults.0,
        }),
        _ => Err(errors),
    }
}

/// `lowest` is the lowest rate of a sweep.
fn workload(
    document: &WorkloadDocument,
    lowest: Option<&Rate>,
    folder: Option<&Path>,
    defaults: &mut Defaults,
    errors: &mut Vec<Unresolved>,
) -> Option<Workload> {
    let pattern = defaults.or(
        document.pattern,
        "workload.pattern",
        Pattern::Queue,
        "queue",
    );
    let backlog = pattern == Pattern::Backlog || document.publishers == Some(0);
    let delivery = defaults.or(
        document.delivery,
        "workload.delivery",
        Delivery::AtMostOnce,
        "at-most-once",
    );
    let durability = defaults.or(
        document.durability,
        "workload.durability",
        Durability::Memory,
        "memory",
    );
    let message = message(
        &document.message.clone().unwrap_or_default(),
        folder,
        defaults,
    );
    let load = load(document.load.as_ref(), lowest, backlog, defaults, errors);
    let publishers = if pattern == Pattern::Backlog { 0 } else { 1 };
    let groups = if pattern == Pattern::FanOut { 2 } else { 1 };
    let ack = document.ack.clone().unwrap_or_default();
    Some(Workload {
        pattern,
        delivery,
        durability,
        message,
        load: load?,
        publishers: defaults.count(document.publishers, "workload.publishers", publishers),
        consumers: defaults.count(document.consumers, "workload.consumers", 1),
        groups: defaults.count(document.groups, "workload.groups", groups),
        destinations: defaults.count(document.destinations, "workload.destinations", 1),
        in_flight: defaults.count(document.in_flight, "workload.in_flight", 256),
        ack: AckPolicy {
            every: defaults.count(ack.every, "workload.ack.every", 100),
            within: defaults.time(ack.within, "workload.ack.within", Duration::from_millis(10)),
        },
        transaction: document.transaction.as_ref().map(|given| {
            let usual = Transaction::default();
            let path = "workload.transaction";
            Transaction {
                messages: defaults.count(
                    given.messages,
                    &format!("{path}.messages"),
                    usual.messages,
                ),
                within: defaults.time(given.within, &format!("{path}.within"), usual.within),
            }
        }),
    })
}

fn message(document: &MessageDocument, folder: Option<&Path>, defaults: &mut Defaults) -> Message {
    let size = SizesDocument::One(Size(256));
    let sizes = defaults.or(document.size.clone(), "workload.message.size", size, "256B");
    let sizes = match sizes {
        SizesDocument::One(size) => vec![WeightedSize { size, weight: 1.0 }],
        SizesDocument::Several(sizes) => sizes
            .into_iter()
            .map(|entry| WeightedSize {
                size: entry.size,
                weight: entry.weight,
            })
            .collect(),
    };
    let payload = defaults.or(
        document.payload.clone(),
        "workload.message.payload",
        PayloadDocument::Random,
        "random",
    );
    Message {
        sizes,
        payload: match payload {
            PayloadDocument::Random => Payload::Random,
            PayloadDocument::Zeros => Payload::Zeros,
            PayloadDocument::Json => Payload::Json,
            PayloadDocument::File(path) => Payload::File(match folder {
                Some(folder) => folder.join(&path).to_string_lossy().into_owned(),
                None => path,
            }),
        },
        keys: defaults.count(document.keys, "workload.message.keys", 0),
        verify: defaults.or(document.verify, "workload.message.verify", false, "false"),
    }
}

fn load(
    document: Option<&LoadDocument>,
    lowest: Option<&Rate>,
    backlog: bool,
    defaults: &mut Defaults,
    errors: &mut Vec<Unresolved>,
) -> Option<Load> {
    let mut fail = |path, message: &str, help| {
        errors.push(Unresolved {
            path,
            message: message.to_owned(),
            help,
        });
        None
    };
    let map = match document {
        Some(LoadDocument::Max) => return Some(Load::Max),
        None if backlog => {
            return Some(defaults.or(None, "workload.load", Load::Max, "max"));
        }
        None => {
            return fail(
                "workload",
                "`workload.load` is missing: how much is to be sent?",
                "write `load: {rate: 5k/s}` for a steady rate, or `load: max` for as much as goes through",
            );
        }
        Some(LoadDocument::Map(map)) => map,
    };
    let arrival = |defaults: &mut Defaults| {
        defaults.or(
            map.arrival,
            "workload.load.arrival",
            Arrival::Uniform,
            "uniform",
        )
    };
    let kinds = [
        ("rate", map.rate.is_some()),
        ("steps", map.steps.is_some()),
        ("sweep", map.sweep.is_some()),
        ("search", map.search.is_some()),
    ];
    let asked: Vec<&str> = kinds.iter().filter(|it| it.1).map(|it| it.0).collect();
    if let [one, other, ..] = asked.as_slice() {
        return fail(
            "workload.load",
            &format!("`load` has both `{one}` and `{other}`, and takes one of them"),
            "replace all of it with `--set 'workload.load={rate: 5k/s}'`, or remove one",
        );
    }
    if let Some(steps) = &map.steps {
        return Some(Load::Steps {
            steps: steps.clone(),
            arrival: arrival(defaults),
        });
    }
    // That of a search is known when the length of a trial is.
    let to_be_found = map.search.as_ref().map(|_| Rate(1.0));
    match map.rate.as_ref().or(lowest).or(to_be_found.as_ref()) {
        Some(rate) => Some(Load::Rate {
            rate: *rate,
            arrival: arrival(defaults),
        }),
        // What is wrong with it has been said.
        None if map.sweep.is_some() => None,
        None => fail(
            "workload.load",
            "`load` says neither `rate` nor `steps` nor `sweep` nor `search`",
            "write `load: {rate: 5k/s}`, `load: {steps: [{rate: 1k/s, for: 5s}]}`, `load: {sweep: [1k/s, 5k/s]}`, `load: {search: \"p99(end_to_end) < 10ms\"}` or `load: max`",
        ),
    }
}

fn phases(
    document: &PhasesDocument,
    load: Option<&Load>,
    defaults: &mut Defaults,
    errors: &mut Vec<Unresolved>,
) -> Phases {
    let warmup = defaults.time(document.warmup, "phases.warmup", Duration::from_secs(2));
    let given = document.measure.as_ref().map(|measure| match measure {
        MeasureDocument::Time(time) => Measure::Time(time.0),
        MeasureDocument::Count(count) => Measure::Count(*count),
    });
    let measure = match load {
        Some(Load::Steps { steps, .. }) => {
            let sum = steps
                .iter()
                .fold(Duration::ZERO, |sum, step| sum.saturating_add(step.lasts));
            if given.is_some_and(|given| given != Measure::Time(sum)) {
                errors.push(Unresolved {
                    path: "phases.measure",
                    message: format!("with `steps` the measured part is their sum, {}", Time(sum)),
                    help: "remove `measure`, or change the steps",
                });
            }
            let text = Time(sum).to_string();
            defaults.or(given, "phases.measure", Measure::Time(sum), &text)
        }
        _ => defaults.or(
            given,
            "phases.measure",
            Measure::Time(Duration::from_secs(10)),
            "10s",
        ),
    };
    Phases {
        warmup,
        measure,
        drain: defaults.time(document.drain, "phases.drain", Duration::from_secs(10)),
    }
}
