//! Scenarios as a user writes them, right and wrong.

use std::time::Duration;

use proptest::prelude::*;

use super::builtin::BUILTIN;
use super::workload::*;
use super::*;
use crate::terminal::diagnostic::{Diagnostic, render_all};

pub(super) const SHORT: &str = "brokers: [nats]\nworkload: {load: {rate: 5k/s}}\n";

/// What the manual shows, but for what is not supported yet.
const FULL: &str = r#"# yaml-language-server: $schema=../schema/scenario.json
name: latency
description: End-to-end latency of 256-byte messages at a steady 5,000 per second
brokers:
  jetstream:
  redis-streams: {trim: acknowledged}
  rabbitmq: {queue: quorum, prefetch: 200}
  my-cluster: {driver: kafka, url: "kafka://broker-1:9092,broker-2:9092", user: bench, password: ${KAFKA_PASSWORD}, max_rate: 1k/s}
workload:
  pattern: queue
  delivery: at-least-once
  durability: disk
  message: {size: 256B, payload: random, keys: 1000}
  load: {rate: 5k/s, arrival: poisson}
  publishers: 1
  consumers: 1
  groups: 1
  destinations: 1
  in_flight: 256
  ack: {every: 100, within: 10ms}
phases: {warmup: 5s, measure: 20s, drain: 10s}
trials: 5
thresholds:
  - p99(end_to_end) < 20ms
  - lost == 0
  - rabbitmq: p50(end_to_end) < 1ms
"#;

fn environment(variable: &str) -> Option<String> {
    match variable {
        "KAFKA_PASSWORD" => Some("hunter2".into()),
        "N" => Some("7".into()),
        "URL" => Some("nats://bench:hunter2@host:4222/x".into()),
        "BROKEN_URL" => Some("nats://bench:x/hunter2@host".into()),
        "ESCAPED_URL" => Some("nats://b%40c:x%2F%C3%BC%zz@host".into()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Scenario, Vec<Diagnostic>> {
    parse("orders.yaml", text, &Overrides::default(), &environment)
}

fn read_set(text: &str, set: &[&str]) -> Result<Scenario, Vec<Diagnostic>> {
    let overrides = Overrides {
        set: set.iter().map(|&s| s.to_owned()).collect(),
        ..Overrides::default()
    };
    parse("orders.yaml", text, &overrides, &environment)
}

#[track_caller]
pub(super) fn good(text: &str) -> Scenario {
    read(text).unwrap_or_else(|errors| panic!("{text}\n{}", render_all(&errors, false)))
}

#[track_caller]
pub(super) fn bad(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => render_all(&errors, false),
    }
}

/// Every part stands in the errors of the text.
#[track_caller]
pub(super) fn refused(text: &str, parts: &[&str]) {
    let errors = bad(text);
    for part in parts {
        assert!(
            errors.contains(part),
            "`{part}` is missing in\n{errors}\nof\n{text}"
        );
    }
}

#[test]
fn the_scenario_of_the_manual_is_read() {
    let scenario = good(FULL);
    assert_eq!(scenario.name, "latency");
    let labels: Vec<_> = scenario.brokers.iter().map(|b| b.label.as_str()).collect();
    assert_eq!(
        labels,
        ["jetstream", "redis-streams", "rabbitmq", "my-cluster"]
    );
    let cluster = &scenario.brokers[3];
    assert_eq!(cluster.driver, "kafka");
    assert_eq!(cluster.password.as_ref().unwrap().reveal(), "hunter2");
    assert_eq!(cluster.max_rate, Some(units::Rate(1000.0)));
    let rabbit = &scenario.brokers[2];
    let options: Vec<_> = rabbit.options.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(options, ["queue", "prefetch"]);
    assert_eq!(scenario.workload.delivery, Delivery::AtLeastOnce);
    assert_eq!(
        scenario.workload.load,
        Load::Rate {
            rate: units::Rate(5000.0),
            arrival: Arrival::Poisson
        }
    );
    assert_eq!(
        scenario.phases.measure,
        Measure::Time(Duration::from_secs(20))
    );
    assert_eq!(scenario.thresholds[2].broker.as_deref(), Some("rabbitmq"));
}

#[test]
fn the_shortest_scenario_gets_every_default_and_says_so() {
    let scenario = good(SHORT);
    assert_eq!(scenario.name, "orders");
    assert_eq!(scenario.trials, 5);
    assert_eq!(scenario.workload.in_flight, 256);
    assert_eq!(scenario.phases.warmup, Duration::from_secs(2));
    let filled = |path: &str| {
        let found = scenario.defaults.iter().find(|d| d.path == path);
        found.map(|d| d.value.as_str())
    };
    assert_eq!(filled("workload.message.size"), Some("256B"));
    assert_eq!(filled("workload.ack.within"), Some("10ms"));
    assert_eq!(filled("phases.measure"), Some("10s"));
    assert_eq!(filled("disturbed.share"), Some("2%"));
    assert_eq!(filled("workload.load"), None);
    assert_eq!(good(FULL).defaults.len(), 3);
}

#[test]
fn every_built_in_scenario_is_right_and_described() {
    for builtin in BUILTIN {
        let scenario = good(builtin.text);
        assert_eq!(scenario.name, builtin.name);
        assert!(!scenario.description.is_empty(), "{}", builtin.name);
        assert_eq!(scenario.description, builtin.description());
        let first = builtin.text.lines().next().unwrap();
        assert_eq!(
            first,
            "# yaml-language-server: $schema=../schema/scenario.json"
        );
    }
}

#[test]
fn all_forms_of_the_grammar_are_read() {
    let of = |workload: &str| good(&format!("brokers: [nats]\nworkload: {{{workload}}}\n"));
    assert_eq!(of("load: max").workload.load, Load::Max);
    let sizes = of("load: max, message: {size: [256B, {size: 4KiB, weight: 3}]}");
    let sizes: Vec<_> = sizes
        .workload
        .message
        .sizes
        .iter()
        .map(|s| (s.size.0, s.weight))
        .collect();
    assert_eq!(sizes, [(256, 1.0), (4096, 3.0)]);
    let steps = of("load: {steps: [{rate: 1k/s, for: 5s}, {rate: 2k/s, for: 10s}]}");
    assert_eq!(steps.phases.measure, Measure::Time(Duration::from_secs(15)));
    let burst = of("load: {rate: 1k/s, arrival: {burst: 10}}");
    assert!(matches!(
        burst.workload.load,
        Load::Rate {
            arrival: Arrival::Burst(10),
            ..
        }
    ));
    let backlog =
        good("brokers: [nats]\nworkload: {pattern: backlog}\nphases: {measure: 100000}\n");
    assert_eq!(backlog.workload.load, Load::Max);
    assert_eq!(backlog.workload.publishers, 0);
    assert_eq!(backlog.phases.measure, Measure::Count(100_000));
    let listed = good("brokers: [nats, redis: {driver: redis-streams}]\nworkload: {load: max}\n");
    assert_eq!(listed.brokers[1].driver, "redis-streams");
    assert_eq!(of("load: max, pattern: fan-out").workload.groups, 2);
}

#[test]
fn a_payloads_file_is_found_beside_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.json"), "{}").unwrap();
    let path = folder.path().join("s.yaml");
    let text = "brokers: [nats]\nworkload: {load: max, message: {payload: {file: orders.json}}}\n";
    std::fs::write(&path, text).unwrap();
    let scenario = load(path.to_str().unwrap(), &Overrides::default()).unwrap();
    let expected = folder.path().join("orders.json");
    assert_eq!(
        scenario.workload.message.payload,
        Payload::File(expected.to_string_lossy().into_owned())
    );
}

#[test]
fn set_changes_a_value_on_any_level() {
    let scenario = read_set(
        SHORT,
        &[
            "workload.load.rate=10k/s",
            "workload.message.size=1KiB",
            "brokers.nats.max_rate=5/s",
            "brokers.zeromq=",
            "trials=3",
            "thresholds=[lost == 0]",
        ],
    )
    .unwrap();
    assert_eq!(
        scenario.workload.load,
        Load::Rate {
            rate: units::Rate(10_000.0),
            arrival: Arrival::Uniform
        }
    );
    assert_eq!(scenario.workload.message.largest(), 1024);
    assert_eq!(scenario.brokers.len(), 2);
    assert_eq!(scenario.brokers[0].max_rate, Some(units::Rate(5.0)));
    assert_eq!(scenario.trials, 3);
    assert_eq!(scenario.thresholds.len(), 1);
    let from_max = read_set(
        "brokers: [nats]\nworkload: {load: max}\n",
        &["workload.load.rate=1k/s"],
    );
    assert!(matches!(from_max.unwrap().workload.load, Load::Rate { .. }));
}

#[test]
fn an_error_in_set_shows_the_flag() {
    let error = |set: &str| render_all(&read_set(SHORT, &[set]).unwrap_err(), false);
    assert_eq!(
        error("workload.lod.rate=5k/s"),
        "error: unknown key `lod` in `workload`\n   \
         ╭─ --set\n   │ workload.lod.rate=5k/s\n   \
         │          ^^^ did you mean `load`?\n   \
         ╰ keys here: pattern, delivery, durability, message, load, publishers, consumers, groups, \
         destinations, in_flight, ack, transaction\n"
    );
    assert_eq!(
        error("workload.load.rate=5000"),
        "error: `workload.load.rate`: `5000` does not say per what time; write `5000/s`\n   \
         ╭─ --set\n   │ workload.load.rate=5000\n   │                    ^^^^\n   ╰\n"
    );
    assert!(error("trials").contains("no `=` here"));
    assert!(error("a..b=1").contains("empty key"));
    assert!(error("trials=[1").contains("--set"));
    assert!(error("brokers.nats.password=x").contains("must come from the environment"));
}

#[test]
fn trials_and_brokers_of_the_command_line_win() {
    let overrides = Overrides {
        trials: Some(2),
        brokers: vec!["kafka,rabbitmq".into()],
        ..Overrides::default()
    };
    let scenario = parse("x.yaml", FULL, &overrides, &environment).unwrap();
    assert_eq!(scenario.trials, 2);
    let labels: Vec<_> = scenario.brokers.iter().map(|b| b.label.as_str()).collect();
    assert_eq!(labels, ["kafka", "rabbitmq"]);
    assert_eq!(scenario.thresholds.len(), 3);
    let overrides = Overrides {
        brokers: vec!["jetstream".into()],
        ..Overrides::default()
    };
    let scenario = parse("x.yaml", FULL, &overrides, &environment).unwrap();
    assert_eq!(scenario.thresholds.len(), 2);
}

#[test]
fn quick_shortens_and_says_what_it_changed() {
    let overrides = Overrides {
        quick: true,
        ..Overrides::default()
    };
    let text = FULL.replace("- lost == 0", "- lost == 0\n  - p99.9(end_to_end) < 1s");
    let scenario = parse("x.yaml", &text, &overrides, &environment).unwrap();
    assert_eq!(scenario.trials, 1);
    assert_eq!(
        scenario.phases.measure,
        Measure::Time(Duration::from_secs(3))
    );
    assert_eq!(scenario.phases.warmup, Duration::from_secs(2));
    assert_eq!(scenario.thresholds.len(), 3);
    assert!(
        scenario
            .quick
            .iter()
            .any(|line| line.starts_with("without p99.9"))
    );
    assert!(
        scenario
            .quick
            .contains(&"warmup: 2s instead of 5s".to_owned())
    );
    let steps =
        "brokers: [a]\nworkload: {load: {steps: [{rate: 1/s, for: 20s}, {rate: 2/s, for: 10s}]}}\n";
    let scenario = parse("x.yaml", steps, &overrides, &environment).unwrap();
    assert_eq!(
        scenario.phases.measure,
        Measure::Time(Duration::from_secs(3))
    );
}

#[test]
fn quick_leaves_what_another_option_sets() {
    let overrides = Overrides {
        quick: true,
        trials: Some(6),
        set: vec![
            "phases.warmup=4s".to_owned(),
            "phases.measure=9s".to_owned(),
        ],
        ..Overrides::default()
    };
    let scenario = parse("x.yaml", FULL, &overrides, &environment).unwrap();
    assert_eq!(scenario.trials, 6);
    assert_eq!(scenario.phases.warmup, Duration::from_secs(4));
    assert_eq!(
        scenario.phases.measure,
        Measure::Time(Duration::from_secs(9))
    );
    assert_eq!(scenario.phases.drain, Duration::from_secs(2));
    assert_eq!(scenario.disturbed.repeats, 0);
}

#[test]
fn variables_come_from_the_environment_and_a_missing_one_is_located() {
    let scenario = good("brokers: [nats]\nworkload: {load: max, publishers: ${N}}\n");
    assert_eq!(scenario.workload.publishers, 7);
    let scenario = good("description: costs $${N}\nbrokers: [nats]\nworkload: {load: max}\n");
    assert_eq!(scenario.description, "costs ${N}");
    refused(
        "brokers: {nats: {user: a, password: ${NOWHERE}}}\nworkload: {load: max}\n",
        &["variable `NOWHERE` is not set", "1:37", "^^^^^^^^^^"],
    );
}

#[test]
fn secrets_are_refused_in_the_text_and_shown_nowhere() {
    for text in [
        "brokers: {nats: {user: a, password: hunter2}}\nworkload: {load: max}\n",
        "brokers: {nats: {token: \"hunter2\"}}\nworkload: {load: max}\n",
        "brokers: {nats: {url: 'nats://a:hunter2@host'}}\nworkload: {load: max}\n",
    ] {
        let errors = bad(text);
        assert!(
            errors.contains("must come from the environment"),
            "{errors}"
        );
        assert!(!errors.contains("hunter2"), "{errors}");
    }
    for text in [
        "brokers: {nats: {url: 'nats://a:x/hunter2@host'}}\nworkload: {load: max}\n",
        "brokers: {nats: {url: '${BROKEN_URL}'}}\nworkload: {load: max}\n",
    ] {
        let errors = bad(text);
        assert!(errors.contains("has an `@` behind its host"), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
    let scenario = good("brokers: {nats: {url: '${ESCAPED_URL}'}}\nworkload: {load: max}\n");
    let broker = &scenario.brokers[0];
    assert_eq!(broker.url.as_deref(), Some("nats://host"));
    assert_eq!(broker.user.as_deref(), Some("b@c"));
    assert_eq!(broker.password.as_ref().unwrap().reveal(), "x/ü%zz");
    let scenario = good("brokers: {nats: {url: '${URL}'}}\nworkload: {load: max}\n");
    let broker = &scenario.brokers[0];
    assert_eq!(broker.url.as_deref(), Some("nats://host:4222/x"));
    assert_eq!(broker.user.as_deref(), Some("bench"));
    assert_eq!(broker.password.as_ref().unwrap().reveal(), "hunter2");
    assert!(!format!("{:?}", good(FULL).brokers).contains("hunter2"));
}

#[test]
fn a_scenario_is_found_by_file_or_name_and_a_wrong_name_lists_them() {
    assert!(load("latency", &Overrides::default()).is_ok());
    let errors = load("latencey", &Overrides::default()).unwrap_err();
    let text = render_all(&errors, false);
    assert!(text.contains("no scenario `latencey`"), "{text}");
    assert!(text.contains("did you mean `latency`?"), "{text}");
    assert!(text.contains("built in: latency, throughput"), "{text}");
}

#[test]
fn the_common_keys_are_those_of_the_grammar() {
    let schema = schemars::schema_for!(document::BrokerDocument);
    let known: Vec<&String> = schema.as_value()["properties"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    let mut listed = brokers::COMMON_KEYS.to_vec();
    listed.sort_unstable();
    let mut known: Vec<&str> = known.into_iter().map(String::as_str).collect();
    known.sort_unstable();
    assert_eq!(known, listed);
}

proptest! {
    #[test]
    fn no_mangled_scenario_makes_it_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[\\[\\]{}:,'\"#&*!|>%@`\\-\n\t ${}a0é]{0,4}"), 1..5),
    ) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (index, length, insert) in cuts {
            let at = index.index(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = read(&text) {
            prop_assert!(!errors.is_empty());
            prop_assert!(!render_all(&errors, true).is_empty());
        }
    }

    #[test]
    fn no_set_makes_it_panic(set in "[a-z.=0-9\\[\\]{}:,$ é-]{0,30}|(workload|brokers|phases|thresholds)(\\.[a-z0-9]{0,6}){0,3}=.{0,10}") {
        let _ = read_set(FULL, &[&set]);
    }

    #[test]
    fn no_text_at_all_makes_it_panic(text in "\\PC{0,60}|.{0,60}") {
        let _ = read(&text);
    }
}
