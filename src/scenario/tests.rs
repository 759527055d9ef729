//! Scenarios as a user writes them, right and wrong.

use std::time::Duration;

use proptest::prelude::*;

use super::builtin::BUILTIN;
use super::workload::*;
use super::*;
use crate::terminal::diagnostic::{Diagnostic, render_all};

const SHORT: &str = "brokers: [nats]\nworkload: {load: {rate: 5k/s}}\n";

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
fn good(text: &str) -> Scenario {
    read(text).unwrap_or_else(|errors| panic!("{text}\n{}", render_all(&errors, false)))
}

#[track_caller]
fn bad(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => render_all(&errors, false),
    }
}

/// Every part stands in the errors of the text.
#[track_caller]
fn refused(text: &str, parts: &[&str]) {
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
fn a_mistyped_key_is_shown_with_its_place_and_the_right_one() {
    let text = SHORT.replace("workload: {", "workload: {publisher: 2, ");
    assert_eq!(
        bad(&text),
        "error: unknown key `publisher` in `workload`\n   \
         ╭─ orders.yaml:2:12\n 2 │ workload: {publisher: 2, load: {rate: 5k/s}}\n   \
         │            ^^^^^^^^^ did you mean `publishers`?\n   \
         ╰ keys here: pattern, delivery, durability, message, load, publishers, consumers, groups, \
         destinations, in_flight, ack, transaction\n"
    );
}

#[test]
fn several_errors_are_shown_at_once_in_the_order_of_the_file() {
    let errors = bad(
        "nmae: x\nbrokers: [nats]\nworkload: {load: {rate: 5000}, pattern: que}\nphases: {warmup: 20, drain: -1s}\ntrials: many\n",
    );
    let messages: Vec<&str> = errors
        .lines()
        .filter_map(|l| l.strip_prefix("error: "))
        .collect();
    assert_eq!(
        messages,
        [
            "unknown key `nmae`",
            "`workload.load.rate`: `5000` does not say per what time; write `5000/s`",
            "`workload.pattern` cannot be `que`",
            "`phases.warmup`: `20` has no unit; write `20s`, or a time such as `10ms` or `1m30s`",
            "`phases.drain`: `-1s` is negative, and no time is; write a time such as `20s`, `10ms` or `1m30s`",
            "`trials` must be a whole number from 0 to 4294967295, not `many`",
        ]
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_do() {
    let of = |workload: &str| format!("brokers: [nats]\nworkload: {{{workload}}}\n");
    refused(&of("load: {rate: 0/s}"), &["a rate of zero"]);
    refused(&of(""), &["`workload.load` is missing", "load: max"]);
    refused("brokers: [nats]\n", &["`workload` is missing"]);
    refused("workload: {load: max}\n", &["`brokers` is missing"]);
    refused(&of("load: 5k/s"), &["write `{rate: 5k/s}`"]);
    refused(&of("load: full"), &["`max` or a map"]);
    refused(&of("load: {}"), &["neither `rate` nor `steps`"]);
    refused(
        &of("load: {rate: 1/s, steps: []}"),
        &["both `rate` and `steps`"],
    );
    refused(&of("load: {steps: []}"), &["list of steps is empty"]);
    refused(
        &of("load: {steps: [{rate: 1/s, for: 0s}]}"),
        &["step of no time", ":2:"],
    );
    refused(
        &of("load: {rate: 1/s, arrival: {burst: 0}}"),
        &["burst of no messages"],
    );
    refused(
        &of("load: max, message: {size: 31B}"),
        &["31B is too small", "32B"],
    );
    refused(
        &of("load: max, message: {size: []}"),
        &["list of sizes is empty"],
    );
    refused(
        &of("load: max, message: {size: [{size: 64B, weight: 0}]}"),
        &["weight of 0"],
    );
    refused(
        &of("load: max, message: {payload: file}"),
        &["`file` needs a value"],
    );
    refused(
        &of("load: max, message: {payload: {file: nowhere.bin}}"),
        &["`nowhere.bin` cannot be read"],
    );
    refused(
        &of("load: max, message: {size: 1GiB}"),
        &["in flight would hold", "lower `in_flight`"],
    );
    refused(
        &of("load: max, publishers: 0, consumers: 0"),
        &["neither publishers nor consumers"],
    );
    refused(
        &of("load: max, pattern: backlog, publishers: 2"),
        &["has no publishers"],
    );
    refused(&of("pattern: backlog"), &["a backlog needs its size"]);
    refused(&of("load: {rate: 1/s}, publishers: 0"), &["it has no rate"]);
    refused(
        &of("load: max, pattern: fan-out, groups: 1"),
        &["several groups"],
    );
    refused(&of("load: max, groups: 3"), &["not to 3 groups"]);
    refused(
        &of("load: max, destinations: 0"),
        &["`destinations` must be at least 1"],
    );
    refused(
        &of("load: max, ack: {every: 0}"),
        &["`ack.every` must be at least 1"],
    );
    refused(&of("load: max, publishers: 4294967295"), &["too many"]);
    refused(&of("load: max, publishers: -1"), &["whole number", "`-1`"]);
    refused(&format!("{SHORT}trials: 0\n"), &["`trials` cannot be 0"]);
    refused(
        &format!("{SHORT}phases: {{measure: 0}}\n"),
        &["no messages"],
    );
    refused(&format!("{SHORT}phases: {{measure: 0s}}\n"), &["no time"]);
    refused(&format!("{SHORT}phases: {{warmup: 30d}}\n"), &["too long"]);
    refused(
        &format!("{SHORT}disturbed: {{share: 120%}}\n"),
        &["not between 0 and 1"],
    );
    refused(
        "brokers: [nats, nats]\nworkload: {load: max}\n",
        &["is there twice"],
    );
    refused(
        "brokers: []\nworkload: {load: max}\n",
        &["no broker to run"],
    );
    refused(
        "brokers: {a b: }\nworkload: {load: max}\n",
        &["cannot name a broker"],
    );
    refused(
        "brokers: nats\nworkload: {load: max}\n",
        &["a list such as"],
    );
    refused(
        "brokers: {nats: 5}\nworkload: {load: max}\n",
        &["settings of `nats`"],
    );
    refused("", &["the scenario is empty"]);
    refused("- a\n", &["a scenario is a map"]);
    refused("a: [1\n", &["not YAML"]);
    refused(
        "brokers: [nats]\nbrokers: [x]\n",
        &["not YAML", "duplicate"],
    );
}

#[test]
fn settings_that_nothing_honours_yet_are_refused_by_name() {
    let of = |workload: &str| format!("brokers: [nats]\nworkload: {{{workload}}}\n");
    refused(
        &of("load: max, pattern: request-reply"),
        &["`pattern: request-reply` is not supported yet", "backlog"],
    );
    refused(&of("load: max, pattern: stream"), &["pattern: stream"]);
    refused(&of("load: {sweep: [1k/s]}"), &["`load: {sweep: …}`"]);
    refused(&of("load: {search: x}"), &["`load: {search: …}`"]);
    refused(
        &of("load: max, transaction: {messages: 5}"),
        &["`transaction`"],
    );
    refused(&format!("{SHORT}rank_unequal: true\n"), &["`rank_unequal`"]);
    refused(
        "brokers: {nats: {tls: {ca: x}}}\nworkload: {load: max}\n",
        &["`tls`", "1:18"],
    );
    refused(
        "brokers: {nats: {managed: {nodes: 3}}}\nworkload: {load: max}\n",
        &["`managed: {nodes: …} above 1`"],
    );
    good("brokers: {nats: {managed: {nodes: 1}}}\nworkload: {load: max}\nrank_unequal: false\n");
}

#[test]
fn thresholds_that_could_never_be_judged_are_refused() {
    let with = |workload: &str, threshold: &str| {
        format!("brokers: [nats]\nworkload: {{{workload}}}\nthresholds:\n  - {threshold}\n")
    };
    let open = "load: {rate: 5k/s}";
    refused(
        &with(open, "p99(end_to_nd) < 1ms"),
        &[
            "unknown latency `end_to_nd`",
            "did you mean `end_to_end`?",
            "4:5",
        ],
    );
    refused(
        &with(open, "lots == 0"),
        &["unknown metric `lots`", "did you mean `lost`?"],
    );
    refused(&with(open, "p99(round_trip) < 1ms"), &["needs replies"]);
    refused(
        &with(open, "p99.99(end_to_end) < 1ms"),
        &[
            "needs 500000 messages",
            "there will be 50000",
            "use `p99.9`",
        ],
    );
    refused(
        &with("load: max", "p99(end_to_end) < 1ms"),
        &["a closed loop has no intended time", "`transit`"],
    );
    refused(
        &with(open, "kafka: lost == 0"),
        &["no broker `kafka`", "`nats`"],
    );
    refused(
        &with("load: max, consumers: 0", "lost == 0"),
        &["needs consumers"],
    );
    refused(
        &format!(
            "{}phases: {{measure: 5}}\n",
            with("publishers: 0", "p50(transit) < 1s")
        ),
        &["a backlog is there before"],
    );
    refused(
        &with(open, "{nats: lost == 0, kafka: lost == 0}"),
        &["one condition to an item"],
    );
    good(&with(open, "p99.9(end_to_end) < 1ms"));
    good(&with(open, "\"nats: lost == 0\""));
}

#[test]
fn the_wrong_part_of_a_threshold_is_marked() {
    let text = format!("{SHORT}thresholds: [lost == 0, p99(publish) < 20]\n");
    let errors = bad(&text);
    let lines: Vec<&str> = errors.lines().collect();
    let column = |line: &str, needle: &str| line.find(needle).map(|at| line[..at].chars().count());
    assert_eq!(column(lines[3], "^^"), column(lines[2], "20]"), "{errors}");
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
    assert_eq!(scenario.phases.warmup, Duration::from_millis(500));
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
            .contains(&"warmup: 500ms instead of 5s".to_owned())
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
