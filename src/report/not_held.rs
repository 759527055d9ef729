//! That what a scenario gave to brokers of the machine was not enforced: figures under a limit that nothing held are
//! figures without it.

use crate::results::Results;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::listed;

/// A limit that nothing held.
#[derive(Clone, Debug, PartialEq)]
pub struct NotHeld {
    /// For which brokers.
    pub brokers: Vec<String>,
    /// What: `1GiB of memory`.
    pub what: String,
    /// Why not; may be empty.
    pub why: String,
}

impl NotHeld {
    /// All of a run, each with the brokers that it was to hold for.
    pub fn all(results: &Results) -> Vec<NotHeld> {
        let mut found: Vec<NotHeld> = Vec::new();
        for (place, broker) in results.plan.brokers.iter().enumerate() {
            let bounds = results.provenance.broker(place);
            let bounds = bounds.into_iter().flat_map(|it| &it.server_bounds);
            for bound in bounds.filter(|it| it.by.is_none()) {
                let (what, why) = (printable(&bound.what), printable(&bound.why));
                let label = printable(&broker.label);
                match found.iter_mut().find(|it| it.what == what && it.why == why) {
                    Some(known) => known.brokers.push(label),
                    None => found.push(NotHeld {
                        brokers: vec![label],
                        what,
                        why,
                    }),
                }
            }
        }
        found
    }

    /// What is wrong, and what helps.
    pub fn say(&self) -> (String, String) {
        let why = match self.why.as_str() {
            "" => String::new(),
            why => format!(": {why}"),
        };
        let brokers = listed(&self.brokers);
        (
            format!(
                "the limit of {} was not enforced for {brokers}{why}",
                self.what
            ),
            "run it where control groups can be made (as root, or in a slice of your own), or in containers \
             (`binary: container`)"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;
    use crate::servers::Held;

    #[test]
    fn a_limit_that_nothing_held_is_told_once_with_all_its_brokers() {
        let mut results = sample::begun(sample::plan(&["nats", "kafka", "redis"], 1));
        let bound = |by: Option<&str>| Held {
            what: "1GiB of memory".to_owned(),
            by: by.map(str::to_owned),
            why: "no control group may be made".to_owned(),
        };
        let brokers = &mut results.provenance.brokers;
        brokers[0].server_bounds.push(bound(None));
        brokers[1].server_bounds.push(bound(None));
        brokers[2]
            .server_bounds
            .push(bound(Some("its own maxmemory 768mb")));
        let all = NotHeld::all(&results);
        let said: Vec<String> = all.iter().map(|it| it.say().0).collect();
        assert_eq!(
            said,
            [
                "the limit of 1GiB of memory was not enforced for nats and kafka: no control group may be made"
            ]
        );
    }
}
