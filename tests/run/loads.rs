//! Every kind of load and shape: what was to be sent is sent, and all of it arrives where it should.

use mqbench::measure::latency::Kind;
use mqbench::measure::record::Audit;
use mqbench::measure::verdict::Outcome;
use mqbench::results::Attempt;

use crate::program::{attempts, beside_others};
use crate::{run, run_one, scenario};

/// Everything that was sent arrived once, in order, unharmed.
#[track_caller]
fn assert_complete(attempt: &Attempt, groups: u64) {
    let audit = &attempt.audit;
    assert!(audit.sent > 0);
    assert_eq!(audit.expected, audit.sent * groups);
    assert_eq!(audit.received, audit.expected);
    assert_eq!(audit.acked, audit.sent);
    let wrong = audit.lost + audit.duplicated + audit.redelivered + audit.out_of_order;
    assert_eq!(wrong + audit.corrupted + audit.unexpected, 0, "{audit:?}");
    let usable = [Outcome::Ok, Outcome::GeneratorLimited, Outcome::Saturated];
    assert!(
        usable.contains(&attempt.verdict.outcome),
        "{:?}",
        attempt.verdict
    );
}

#[test]
fn arrivals_of_every_kind_are_all_sent() {
    let _turn = beside_others();
    for (load, least, most) in [
        ("{rate: 1k/s}", 300, 300),
        ("{rate: 1k/s, arrival: poisson}", 200, 400),
        // Fifty at once: the last of them came due with the end of the part.
        ("{rate: 1k/s, arrival: {burst: 50}}", 250, 350),
        (
            "{steps: [{rate: 500/s, for: 200ms}, {rate: 2k/s, for: 200ms}]}",
            500,
            500,
        ),
    ] {
        let phases = match load.contains("steps") {
            true => "phases: {warmup: 10ms, drain: 10s}",
            false => "",
        };
        let (place, results, _) = run(&scenario("[loopback]", &format!("load: {load}"), phases), 0);
        let attempt = attempts(&results, "loopback")[0];
        assert_complete(attempt, 1);
        let intended = attempt.audit.intended;
        assert!((least..=most).contains(&intended), "{load}: {intended}");
        // Where the CPU was taken away at the very end, the last are not sent any more, and said to be.
        let Audit { sent, unsent, .. } = attempt.audit;
        assert_eq!(sent + unsent, intended, "{load}");
        assert!(unsent <= intended / 10, "{load}: {unsent} unsent");
        let latencies = &attempt.latencies;
        for kind in [
            Kind::EndToEnd,
            Kind::Publish,
            Kind::Transit,
            Kind::Service,
            Kind::Lateness,
        ] {
            assert_eq!(latencies[&kind].count, sent, "{load}: {kind:?}");
        }
        assert!(place.kept("series.csv").lines().count() >= 2);
        assert!(place.kept("latency.hlog").contains("HIST"));
    }
}

#[test]
fn a_poisson_load_is_drawn_from_the_seed() {
    let _turn = beside_others();
    let text = scenario("[loopback]", "load: {rate: 2k/s, arrival: poisson}", "");
    let intended = |text: &str| run_one(text, 0, "loopback").0.audit.intended;
    let other = text.replace("seed: 7", "seed: 8");
    assert_eq!(intended(&text), intended(&text));
    assert_ne!(intended(&text), intended(&other));
}

#[test]
fn a_closed_loop_has_a_window_and_no_intended_times() {
    let _turn = beside_others();
    let text = scenario("[loopback]", "load: max\n  in_flight: 4", "");
    let (attempt, ended) = run_one(&text, 0, "loopback");
    assert_complete(&attempt, 1);
    assert_eq!(attempt.verdict.outcome, Outcome::Ok);
    assert!(attempt.bound_by.is_some());
    for kind in [
        Kind::EndToEnd,
        Kind::Publish,
        Kind::Lateness,
        Kind::SendWait,
    ] {
        assert!(!attempt.latencies.contains_key(&kind), "{kind:?}");
    }
    for kind in [Kind::Transit, Kind::Service] {
        assert!(attempt.latencies[&kind].count > 0, "{kind:?}");
    }
    assert!(ended.out.contains("bound by"), "{}", ended.out);

    // Ten milliseconds for each round of a window of four are 400 messages a second, not more.
    let slow = text.replace("[loopback]", "{loopback: {service_time: 10ms}}");
    let (attempt, _) = run_one(&slow, 0, "loopback");
    assert_complete(&attempt, 1);
    assert!(attempt.audit.sent <= 36, "{:?}", attempt.audit);
}

#[test]
fn a_count_is_kept_to_the_message() {
    let _turn = beside_others();
    for load in ["load: max", "load: {rate: 5k/s}"] {
        let rest = "phases: {warmup: 10ms, measure: 777, drain: 10s}";
        let (attempt, _) = run_one(&scenario("[loopback]", load, rest), 0, "loopback");
        assert_eq!(attempt.audit.sent, 777, "{load}");
        assert_complete(&attempt, 1);
    }
}

#[test]
fn publishing_without_consumers_and_consuming_without_publishers() {
    let _turn = beside_others();
    let (attempt, _) = run_one(&scenario("[loopback]", "consumers: 0", ""), 0, "loopback");
    let audit = &attempt.audit;
    assert_eq!((audit.intended, audit.acked), (300, audit.sent));
    assert!(audit.sent > 0);
    assert_eq!((audit.expected, audit.received, audit.lost), (0, 0, 0));
    assert!(!attempt.latencies.contains_key(&Kind::EndToEnd));
    assert_eq!(attempt.latencies[&Kind::Publish].count, audit.sent);

    let backlog = "pattern: backlog\n  publishers: 0\n  load: max";
    let rest = "phases: {warmup: 0ms, measure: 5000, drain: 10s}";
    let (attempt, ended) = run_one(&scenario("[loopback]", backlog, rest), 0, "loopback");
    let audit = &attempt.audit;
    assert_eq!((audit.sent, audit.received, audit.lost), (5000, 5000, 0));
    // What it cost is that of reading; to fill it is not measured.
    assert_eq!((attempt.usage.sent, attempt.rates.sent), (0, 0.0));
    assert!(attempt.usage.received <= 5000, "{:?}", attempt.usage);
    let length = attempt.usage.seconds - attempt.drain_seconds;
    assert!(length.abs() < 0.2, "{:?}", attempt.usage);
    assert!(ended.out.contains("backlog"), "{}", ended.out);
}

#[test]
fn groups_consumers_destinations_keys_sizes_and_publishers_lose_nothing() {
    let _turn = beside_others();
    for (workload, groups) in [
        ("pattern: fan-out\n  groups: 3\n  consumers: 2", 3),
        ("destinations: 5", 1),
        ("destinations: 5\n  consumers: 3\n  publishers: 2", 1),
        (
            "pattern: fan-out\n  groups: 2\n  consumers: 2\n  destinations: 3\n  publishers: 3",
            2,
        ),
    ] {
        let (attempt, _) = run_one(&scenario("[loopback]", workload, ""), 0, "loopback");
        assert_complete(&attempt, groups);
        assert_eq!(attempt.audit.intended, 300, "{workload}");
    }
    let keys = scenario("[loopback]", "consumers: 2", "").replace(
        "{size: 64B, verify: true}",
        "{size: [{size: 64B, weight: 3}, {size: 4KiB, weight: 1}], verify: true, keys: 10, payload: json}",
    );
    let (attempt, _) = run_one(&keys, 0, "loopback");
    assert_complete(&attempt, 1);
    // A quarter of 4 KiB and three quarters of 64 bytes are 1,072 bytes in the mean.
    let mean = attempt.rates.bytes / attempt.rates.received;
    assert!((700.0..1500.0).contains(&mean), "{mean}");
}

#[test]
fn blocks_hold_every_broker_once() {
    let _turn = beside_others();
    let text = scenario(
        "{a: {driver: loopback}, b: {driver: loopback}, c: {driver: loopback}}",
        "",
        "",
    )
    .replace("trials: 1", "trials: 3")
    .replace("measure: 300ms", "measure: 50ms");
    let (_, results, ended) = run(&text, 0);
    assert_eq!(results.attempts.len(), 9);
    for block in 1..=3 {
        let mut brokers: Vec<usize> = results
            .attempts
            .iter()
            .filter(|attempt| attempt.block == block)
            .map(|attempt| attempt.broker)
            .collect();
        brokers.sort_unstable();
        assert_eq!(brokers, [0, 1, 2], "block {block}");
    }
    assert!(ended.err.contains("trial 9 of 9"), "{}", ended.err);
    let order = |results: &mqbench::results::Results| {
        let attempts = results.attempts.iter();
        attempts.map(|attempt| attempt.broker).collect::<Vec<_>>()
    };
    let (_, again, _) = run(&text, 0);
    assert_eq!(
        order(&results),
        order(&again),
        "the order is drawn from the seed"
    );
}
