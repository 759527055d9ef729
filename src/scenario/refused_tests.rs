//! What is refused, and in which words.

use super::tests::{SHORT, bad, good, refused};

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
fn a_number_without_a_unit_is_not_advised_to_be_negative() {
    for (load, size, said) in [
        ("{rate: -5}", "1KiB", "`-5` is negative; write a rate"),
        ("{rate: 5/s}", "-5", "`-5` is negative"),
        ("{rate: 5/s}", "5", "`5` has no unit; write `5B`"),
    ] {
        let errors = bad(&format!(
            "brokers: [nats]\nworkload: {{load: {load}, message: {{size: {size}}}}}\n"
        ));
        assert!(errors.contains(said), "{errors}");
    }
}

#[test]
fn cores_and_limits_that_no_machine_could_give_are_refused() {
    let of = |more: &str| format!("brokers: [nats]\nworkload: {{load: max}}\n{more}\n");
    refused(
        &of("cores: {brokers: []}"),
        &["no core is left for the brokers", ":3:"],
    );
    refused(&of("cores: {brokers: all}"), &["`all` is no core", ":3:"]);
    refused(&of("cores: {consumers: [0, x]}"), &["`x` is no core"]);
    refused(&of("cores: 3"), &["`cores`"]);
    refused(&of("limits: {cpu: 0}"), &["a limit of 0 cores", "0.01"]);
    refused(&of("limits: {cpu: half}"), &["`limits.cpu`"]);
    refused(
        &of("limits: {memory: 1MiB}"),
        &["no broker starts in 1MiB", "16MiB"],
    );
    refused(&of("limits: {memory: 1024}"), &["has no unit"]);
    let placed = good(&of(
        "cores: {publishers: 0, brokers: '1-3,0'}\nlimits: {cpu: 1.5}",
    ))
    .placement;
    assert_eq!(
        placed.cores.brokers.map(|it| it.to_string()).as_deref(),
        Some("0-3")
    );
    assert_eq!(
        (placed.cores.consumers, placed.limits.cpu),
        (None, Some(1.5))
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
    refused(&of("load: {}"), &["neither `rate` nor `steps` nor `sweep`"]);
    refused(
        &of("load: {rate: 1/s, steps: []}"),
        &["both `rate` and `steps`"],
    );
    refused(&of("load: {steps: []}"), &["list of steps is empty"]);
    refused(&of("load: {sweep: []}"), &["the sweep has no rates"]);
    refused(&of("load: {sweep: 5k/s}"), &["one rate is no sweep"]);
    refused(
        &of("load: {sweep: [2k/s, 1k/s, 2k/s]}"),
        &["2k/s stands twice"],
    );
    refused(
        &of("load: {sweep: {from: 5k/s, to: 1k/s, steps: 3}}"),
        &["5k/s to 1k/s in 3 steps", "upwards"],
    );
    refused(
        &of("load: {sweep: {from: 1/s, to: 1G/s, steps: 1000}}"),
        &["a sweep of 51 rates"],
    );
    refused(
        &of("load: {sweep: {from: 0/s, to: 1k/s, steps: 3, scale: linear}}"),
        &["0/s to 1k/s"],
    );
    refused(
        &of("load: {sweep: [1k/s], rate: 1k/s}"),
        &["both `rate` and `sweep`"],
    );
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
fn an_objective_that_is_none_is_refused_where_it_stands() {
    let of =
        |search: &str| format!("brokers: [nats]\nworkload: {{load: {{search: '{search}'}}}}\n");
    refused(&of("x"), &["`x` compares nothing", "2:"]);
    refused(
        &of("p99(end_to_edn) < 10ms"),
        &["unknown latency `end_to_edn`", "`end_to_end`", "2:"],
    );
    refused(&of("p99(end_to_end) < 10"), &["10", "2:"]);
    refused(
        &of("lost == 0"),
        &["`lost == 0` is a count", "p99(end_to_end) < 10ms", "2:"],
    );
    refused(&of("received_per_s > 5k/s"), &["is a throughput"]);
    refused(
        &of("p99(end_to_end) > 10ms"),
        &["does not get harder to meet"],
    );
    refused(&of("p99(lateness) < 1ms"), &["about the generator"]);
    refused(&of("nats: p99(end_to_end) < 1ms"), &["about one broker"]);
    refused(
        "brokers: [nats]\nworkload: {consumers: 0, load: {search: p99(end_to_end) < 1ms}}\n",
        &["needs consumers", "2:"],
    );
    refused(
        "brokers: [nats]\nworkload: {load: {search: p99(end_to_end) < 1ms}}\ntrials: 3\n",
        &["a search decides itself", "3:", "at most 12 probes"],
    );
    refused(
        "brokers: [nats]\nworkload: {load: {search: p99(end_to_end) < 1ms, rate: 1k/s}}\n",
        &["both `rate` and `search`"],
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
    refused(
        &of("load: max, transaction: {messages: 0}"),
        &["`transaction.messages` must be at least 1"],
    );
    refused(
        "brokers: {nats: , b: {driver: nats, durability: disk}}\nworkload: {load: max}\n",
        &["another `durability`", "1:", "`rank_unequal: true`"],
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
