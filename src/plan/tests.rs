//! Plans of scenarios as a user writes them, against invented systems.

use serde_json::json;

use super::fixtures::DRIVERS;
use super::*;
use crate::scenario::{self, Overrides, Scenario};
use crate::terminal::diagnostic::render_all;
use crate::terminal::style::width;

fn scenario(text: &str) -> Scenario {
    let environment = |name: &str| (name == "PW").then(|| "hunter2".to_owned());
    scenario::parse("orders.yaml", text, &Overrides::default(), &environment)
        .unwrap_or_else(|errors| panic!("{}", render_all(&errors, false)))
}

#[track_caller]
fn planned(text: &str) -> Plan {
    resolve(&scenario(text), DRIVERS, 42)
        .unwrap_or_else(|errors| panic!("{}", render_all(&errors, false)))
}

#[track_caller]
fn refused(text: &str) -> String {
    match resolve(&scenario(text), DRIVERS, 42) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => render_all(&errors, false),
    }
}

const LOAD: &str = "workload: {load: {rate: 5k/s}}\n";

#[test]
fn each_broker_gets_the_weakest_offer_that_holds_what_was_asked() {
    let plan = planned(&format!("brokers: [wire, wire-log]\n{LOAD}"));
    assert_eq!(plan.brokers[0].offer.delivery.name(), "at-most-once");
    assert_eq!(plan.brokers[1].offer.delivery.name(), "at-least-once");
    assert_eq!(plan.brokers[1].offer.durability.name(), "memory");
    let plan = planned(
        "brokers: [wire-log]\nworkload: {delivery: at-least-once, durability: disk, load: max}\n",
    );
    assert_eq!(plan.brokers[0].offer.durability.name(), "fsync");
    assert_eq!(
        plan.brokers[0].connection,
        Connection::Managed {
            server: "wired".into(),
            config: [("storage".to_owned(), "file".to_owned())].into(),
            binary: None,
        }
    );
}

#[test]
fn brokers_that_are_not_there_are_left_out_only_where_the_scenario_says_so() {
    let missing = |server: &str, program: Option<&str>| {
        assert_eq!((server, program), ("wired", None));
        Some("no Wired was found".to_owned())
    };
    let drivers: Vec<_> = DRIVERS.to_vec();
    let text = format!(
        "brokers: {{wire: {{}}, pipe: {{}}, far: {{driver: wire, url: \"wire://host\"}}}}\n{LOAD}\
         thresholds:\n  - wire: lost == 0\n  - lost == 0\n"
    );
    let mut strict = scenario(&text);
    assert_eq!(leave_out(&mut strict, &drivers, &missing), Ok(Vec::new()));
    assert_eq!(strict.brokers.len(), 3);

    let mut lenient = scenario(&format!("{text}skip_missing: true\n"));
    let left_out = leave_out(&mut lenient, &drivers, &missing).unwrap();
    assert_eq!(left_out.len(), 1);
    assert_eq!(left_out[0].label, "wire");
    let labels: Vec<&str> = lenient.brokers.iter().map(|b| b.label.as_str()).collect();
    assert_eq!(
        labels,
        ["pipe", "far"],
        "a broker with a `url` is where it is"
    );
    assert_eq!(
        lenient.thresholds.len(),
        1,
        "nobody is left whom it is about"
    );

    let mut nobody = scenario(&format!("brokers: [wire]\n{LOAD}skip_missing: true\n"));
    let error = leave_out(&mut nobody, &drivers, &missing).unwrap_err();
    let error = render_all(&[error], false);
    assert!(
        error.contains("none of the brokers is on this machine"),
        "{error}"
    );
    assert!(error.contains("wire: no Wired was found"), "{error}");
}

#[test]
fn a_broker_may_be_asked_for_a_guarantee_of_its_own() {
    let brokers = "brokers:\n  wire-log:\n  synced: {driver: wire-log, delivery: at-least-once, durability: fsync}\n";
    let plan = planned(&format!("{brokers}{LOAD}rank_unequal: true\n"));
    assert!(plan.is_unequal());
    assert_eq!(plan.brokers[0].offer.durability.name(), "memory");
    assert_eq!(plan.brokers[1].offer.durability.name(), "fsync");
    assert_eq!(
        plan.workload_of(&plan.brokers[1]).durability.name(),
        "fsync"
    );
}

#[test]
fn a_guarantee_that_is_not_given_names_who_could() {
    let text = "brokers:\n  wire:\nworkload: {delivery: at-least-once, load: max}\n";
    assert_eq!(
        refused(text),
        "error: wire cannot give at-least-once\n   \
         ╭─ orders.yaml:2:3\n 2 │   wire:\n   \
         │   ^^^^ gives: at-most-once, memory\n   \
         ╰ use `wire-log`, which gives at-least-once on memory or fsync with the same server; \
         or ask for `delivery: at-most-once`\n"
    );
    let text = "brokers: [wire]\nworkload: {durability: disk, load: max}\n";
    let error = refused(text);
    assert!(
        error.contains("wire cannot give at-most-once on disk"),
        "{error}"
    );
    assert!(error.contains("or ask for `durability: memory`"), "{error}");
    let text = "brokers: [pipe]\nworkload: {delivery: exactly-once, load: max}\n";
    let error = refused(text);
    assert!(
        error.contains("╰ ask for `delivery: at-most-once`"),
        "{error}"
    );
}

#[test]
fn options_are_checked_and_defaults_filled_in() {
    let plan = planned(&format!(
        "brokers: {{wire-log: {{prefetch: 7, linger: 1000us, segment: 1024B, loss: 0.01, subject: 012, stall: {{at: 3s, for: 1s}}}}}}\n{LOAD}"
    ));
    let options = json!(plan.brokers[0].options);
    assert_eq!(
        options,
        json!({
            "prefetch": 7, "compression": "none", "linger": "1ms", "segment": "1KiB",
            "loss": "1%", "mirrored": false, "subject": "012",
            "stall": {"at": "3s", "for": "1s"}
        })
    );
}

#[test]
fn a_mistyped_option_is_shown_as_the_manual_draws_it() {
    let text = format!("brokers:\n  wire-log: {{prefech: 200}}\n{LOAD}");
    assert_eq!(
        refused(&text),
        "error: unknown broker option `prefech`\n   \
         ╭─ orders.yaml:2:14\n 2 │   wire-log: {prefech: 200}\n   \
         │              ^^^^^^^ did you mean `prefetch`?\n   \
         ╰ options of wire-log: `mqbench drivers wire-log`\n"
    );
    let error = refused(&format!("brokers: {{wire: {{pasword: x}}}}\n{LOAD}"));
    assert!(error.contains("did you mean `password`?"), "{error}");
}

#[test]
fn a_wrong_value_of_an_option_says_what_would_be_right() {
    for (option, part) in [
        ("prefetch: 0", "a whole number from 1 to 1000, not `0`"),
        ("prefetch: many", "not `many`"),
        ("prefetch: 1.5", "not `1.5`"),
        ("compression: lz5", "did you mean `lz4`?"),
        ("compression: [lz4]", "not a list"),
        ("linger: 5", "`5` has no unit"),
        ("segment: 1kb", "no unit of size"),
        ("loss: 200%", "not between 0 and 1"),
        ("mirrored: yes", "`true` or `false`, not `yes`"),
        ("subject: {a: b}", "expected text, not a map"),
        ("stall: {at: 3s}", "expected `{at: 3s, for: 1s}`"),
        (
            "stall: {at: 3s, for: 1s, x: 1}",
            "expected `{at: 3s, for: 1s}`",
        ),
        ("linger:", "not nothing"),
    ] {
        let error = refused(&format!("brokers: {{wire-log: {{{option}}}}}\n{LOAD}"));
        assert!(error.contains(part), "{option}: {error}");
        assert!(error.contains("orders.yaml:1:"), "{error}");
    }
}

#[test]
fn what_a_driver_cannot_do_is_refused() {
    for (text, part) in [
        (
            "brokers: [wier]\nworkload: {load: max}\n",
            "did you mean `wire`?",
        ),
        (
            "brokers: {a: {driver: wier}}\nworkload: {load: max}\n",
            "1:23",
        ),
        (
            "brokers: [pipe]\nworkload: {load: max, pattern: fan-out}\n",
            "pipe has no fan-out",
        ),
        (
            "brokers: [pipe]\nworkload: {load: max, consumers: 3}\n",
            "cannot share one destination",
        ),
        (
            "brokers: [pipe]\nworkload: {load: max, consumers: 0}\n",
            "orders.yaml:1:11\n 1 │ brokers: [pipe]\n   │           ^^^^ without them nobody takes",
        ),
        (
            "brokers: [wire]\nworkload: {pattern: backlog}\nphases: {measure: 9}\n",
            "wire holds no backlog",
        ),
        (
            "brokers: [wire]\nworkload: {publishers: 0}\nphases: {measure: 9}\n",
            "wire holds no backlog",
        ),
        (
            "brokers: {pipe: {url: 'x://h'}}\nworkload: {load: max}\n",
            "takes no `url`",
        ),
        (
            "brokers: {wire: {url: 'nats://h'}}\nworkload: {load: max}\n",
            "does not speak `nats://`",
        ),
        (
            "brokers: {wire: {url: localhost}}\nworkload: {load: max}\n",
            "has no scheme",
        ),
        (
            "brokers: {wire: {url: 'wire://'}}\nworkload: {load: max}\n",
            "names no host",
        ),
        (
            "brokers: {wire: {url: 'wire://h', managed: {}}}\nworkload: {load: max}\n",
            "a `url` and `managed`",
        ),
        (
            "brokers: {wire: {url: 'wire://h', binary: x}}\nworkload: {load: max}\n",
            "a `url` and `binary`",
        ),
        (
            "brokers: {wire: {destination: x}}\nworkload: {load: max}\n",
            "a destination and no `url`",
        ),
        (
            "brokers: {pipe: {binary: x}}\nworkload: {load: max}\n",
            "no server of its own",
        ),
        (
            "brokers: {wire: {user: x}}\nworkload: {load: max}\n",
            "has `user` and no `url`",
        ),
        (
            "brokers: {wire-log: {url: 'wire://h', token: '${PW}'}}\nworkload: {load: max}\n",
            "does not honour `token`",
        ),
        (
            "brokers: {wire: {max_rate: 1k/s}}\nworkload: {load: {rate: 2k/s}}\n",
            "2k/s is above it",
        ),
        (
            "brokers: {wire: {max_rate: 1k/s}}\nworkload: {load: max}\n",
            "knows no rate",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(part), "`{part}` is missing in\n{error}");
    }
    planned("brokers: [pipe]\nworkload: {load: max, consumers: 3, destinations: 3}\n");
    planned("brokers: [wire]\nworkload: {load: max, consumers: 0}\n");
    planned("brokers: [wire-log]\nworkload: {pattern: backlog}\nphases: {measure: 9}\n");
}

#[test]
fn files_for_encryption_are_looked_at_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "call the office").unwrap();
    let file = folder.path().join("orders.yaml");
    let errors = |tls: &str| {
        let text = format!("brokers: {{wire: {{url: 'wires://h', tls: {tls}}}}}\n{LOAD}");
        let overrides = Overrides::default();
        let scenario = scenario::parse(&file.to_string_lossy(), &text, &overrides, &|_| None);
        match resolve(&scenario.expect("a scenario"), DRIVERS, 42) {
            Ok(plan) => {
                assert!(plan.brokers[0].tls.is_some());
                String::new()
            }
            Err(errors) => render_all(&errors, false),
        }
    };
    assert_eq!(errors("{}"), "");
    assert_eq!(errors("{insecure: true}"), "");
    // Relative to the scenario's folder, and marked where it is named.
    let error = errors("{ca: notes.txt}");
    let path = folder.path().join("notes.txt");
    let expected = format!("the file `{}` holds no certificate", path.display());
    assert!(error.contains(&expected), "{error}");
    assert!(error.contains("^^^^^^^^^"), "{error}");
    let error = errors("{ca: notes.txt, cert: none.pem}");
    assert_eq!(error.matches("error:").count(), 3, "{error}");
    assert!(error.contains("`cert` is there without `key`"), "{error}");
}

#[test]
fn a_threshold_on_acknowledgements_needs_brokers_that_give_them() {
    let with = |threshold: &str| {
        format!("brokers: [wire, wire-log]\n{LOAD}thresholds:\n  - {threshold}\n")
    };
    let error = refused(&with("p99(publish) < 5ms"));
    assert!(error.contains("publishers get none from wire\n"), "{error}");
    assert!(error.contains("`wire-log: p99(publish) < 5ms`"), "{error}");
    planned(&with("wire-log: p99(service) < 5ms"));
    planned(&with("p99(end_to_end) < 5ms"));
}

#[test]
fn errors_of_all_brokers_come_at_once() {
    let text = "brokers: {wire: {x: 1}, pipe: {y: 2}, nope: }\nworkload: {load: max}\n";
    assert_eq!(refused(text).matches("error:").count(), 3);
}

#[test]
fn a_plan_survives_storage_and_its_secrets_do_not() {
    let text = "brokers: {wire: {url: 'wire://h:1', user: bench, password: '${PW}', max_rate: 9k/s}, pipe: }\nworkload: {load: {rate: 5k/s}}\nthresholds: ['wire: lost == 0']\nseed: 7\n";
    let plan = planned(text);
    assert_eq!(plan.seed, 7);
    let secrets = &plan.brokers[0].secrets;
    assert_eq!(secrets.password.as_ref().unwrap().reveal(), "hunter2");
    let stored = serde_json::to_string(&plan).unwrap();
    assert!(!stored.contains("hunter2"), "{stored}");
    let mut back: Plan = serde_json::from_str(&stored).unwrap();
    assert_eq!(back.brokers[0].secrets, Secrets::default());
    back.brokers[0].secrets = plan.brokers[0].secrets.clone();
    assert_eq!(back, plan);
}

#[test]
fn the_seed_of_the_scenario_wins_over_the_drawn_one() {
    let text = format!("brokers: [wire, pipe]\n{LOAD}");
    assert_eq!(planned(&text).seed, 42);
    assert_eq!(planned(&format!("{text}seed: 7\n")).seed, 7);
    assert_eq!(planned(&text).trials, planned(&text).trials);
}

#[test]
fn the_estimate_counts_every_trial_with_and_without_its_drain() {
    let plan = planned(
        "brokers: [wire, pipe]\nworkload: {load: {rate: 5k/s}}\nphases: {warmup: 1s, measure: 8s, drain: 5s}\ntrials: 2\n",
    );
    let (least, most) = plan.estimate().unwrap();
    assert_eq!((least.as_secs(), most.as_secs()), (40, 60));
    let plan = planned("brokers: [wire]\nworkload: {load: max}\nphases: {measure: 8}\n");
    assert_eq!(plan.estimate(), None);
}

#[test]
fn the_printed_plan_shows_everything_and_fits_the_terminal() {
    let plan = planned(
        "name: orders\ndescription: What a shop sends in an hour of its best day\nbrokers: {wire: , second-log: {driver: wire-log, prefetch: 7, stall: {at: 3s, for: 1s}}, pipe: }\nworkload: {load: {rate: 5k/s}}\ntrials: 12\nthresholds: [lost == 0]\n",
    );
    for columns in [80, 160] {
        let text = print::print(&plan, columns, false);
        for line in text.lines() {
            assert!(width(line) <= columns, "{columns}: {line}");
            assert_eq!(line, line.trim_end());
        }
        for trial in &plan.trials {
            let label = &plan.brokers[trial.broker].label;
            assert!(
                text.contains(&format!("{:>2} {label}", trial.number)),
                "{text}"
            );
        }
        for part in [
            "asked      at-most-once, memory, or more",
            "at-least-once, memory  more than asked",
            "a private wired with storage memory",
            "prefetch = 7",
            "workload.message.size",
            "seed 42",
            "lost == 0",
            "about ",
        ] {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
    }
}

#[test]
fn every_built_in_scenario_can_be_planned_with_the_registered_drivers() {
    let drivers: Vec<_> = crate::drivers::descriptors().collect();
    for builtin in scenario::builtin::BUILTIN {
        let read = |brokers: Vec<String>| {
            let overrides = Overrides {
                brokers,
                ..Overrides::default()
            };
            scenario::parse(builtin.name, builtin.text, &overrides, &|_| None).unwrap()
        };
        let registered = |driver: &str| drivers.iter().any(|it| it.name == driver);
        let entries = read(Vec::new()).brokers;
        let there = entries.iter().filter(|entry| registered(&entry.driver));
        let brokers: Vec<String> = there.map(|entry| entry.label.clone()).collect();
        if brokers.is_empty() {
            continue;
        }
        let plan = resolve(&read(brokers.clone()), &drivers, 1)
            .unwrap_or_else(|errors| panic!("{}", render_all(&errors, false)));
        assert_eq!(plan.brokers.len(), brokers.len(), "{}", builtin.name);
    }
}

#[test]
fn what_the_environment_gave_is_not_shown_in_errors() {
    let read = |text: &str| {
        let environment = |name: &str| (name == "PW").then(|| "user:hunter2@host".to_owned());
        scenario::parse("x.yaml", text, &Overrides::default(), &environment)
            .and_then(|scenario| resolve(&scenario, DRIVERS, 1))
            .map_err(|errors| render_all(&errors, false))
            .unwrap_err()
    };
    for text in [
        "brokers: {wire: {url: '${PW}'}}\nworkload: {load: max}\n",
        "brokers: {wire-log: {prefetch: '${PW}'}}\nworkload: {load: max}\n",
        "brokers: {wire-log: {max_rate: '${PW}'}}\nworkload: {load: max}\n",
        "brokers: [wire]\nworkload: {load: max, publishers: '${PW}'}\n",
        "brokers: [wire]\nworkload: {load: max, pattern: '${PW}'}\n",
        "brokers: [wire]\nworkload: {load: max}\nthresholds: ['${PW}']\n",
    ] {
        let errors = read(text);
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}
