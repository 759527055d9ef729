//! Faults of a known size are found, and decide the verdict and the exit code.

use mqbench::measure::verdict::Outcome;
use mqbench::results::Attempt;

use crate::program::{attempts, beside_others};
use crate::{run, run_one, scenario};

const ENOUGH: &str = "phases: {warmup: 10ms, measure: 600ms, drain: 10s}";

#[track_caller]
fn assert_outcome(attempt: &Attempt, outcome: Outcome) {
    let verdict = &attempt.verdict;
    assert_eq!(verdict.outcome, outcome, "{verdict:?}");
}

#[test]
fn nothing_wrong_is_nothing_found() {
    let _turn = beside_others();
    let text = scenario("[loopback]", "", "thresholds: [lost == 0]");
    let (attempt, ended) = run_one(&text, 0, "loopback");
    let audit = attempt.audit;
    assert_eq!(audit.intended, 300);
    assert_eq!((audit.sent, audit.acked, audit.received), (300, 300, 300));
    let wrong = audit.lost + audit.duplicated + audit.out_of_order + audit.corrupted;
    assert_eq!(wrong + audit.unexpected + audit.unsent + audit.failed, 0);
    assert!(ended.out.contains("✓ lost == 0"), "{}", ended.out);
}

#[test]
fn faults_that_break_no_promise_are_counted_and_end_with_0() {
    let _turn = beside_others();
    // Nothing is promised about loss here, nor about copies.
    let lossy = scenario(
        "{lossy: {driver: loopback, loss: 1%, seed: 3}}",
        "delivery: at-most-once\n  load: {rate: 5k/s}",
        ENOUGH,
    );
    let audit = run_one(&lossy, 0, "lossy").0.audit;
    assert!((6..=90).contains(&audit.lost), "about 30: {audit:?}");
    assert_eq!(audit.received, audit.sent - audit.lost);
    assert_eq!(audit.acked, 0, "no acknowledgements in this offer");

    let copying = scenario(
        "{copying: {driver: loopback, duplicate: 0.5%, seed: 3}, refusing: {driver: loopback, fail_ack: 1%, seed: 3}}",
        "delivery: at-least-once\n  load: {rate: 5k/s}",
        ENOUGH,
    );
    let (_, results, ended) = run(&copying, 0);
    let audit = attempts(&results, "copying")[0].audit;
    assert!((2..=60).contains(&audit.duplicated), "about 15: {audit:?}");
    assert_eq!(audit.received, audit.distinct + audit.duplicated);
    assert_eq!((audit.lost, audit.lost_acked), (0, 0));

    let refusing = attempts(&results, "refusing")[0];
    let audit = refusing.audit;
    assert!((6..=90).contains(&audit.failed), "about 30: {audit:?}");
    assert_eq!(audit.acked + audit.failed, audit.sent);
    assert_eq!(audit.lost_acked, 0, "what was refused was not promised");
    let reasons: u64 = refusing.reasons.values().sum();
    assert!(reasons >= audit.failed, "each with a reason");
    assert!(ended.out.contains("failed"), "{}", ended.out);
}

#[test]
fn a_broken_promise_ends_with_4_and_says_which() {
    let _turn = beside_others();
    for (fault, delivery, reason) in [
        (
            "loss: 1%",
            "at-least-once",
            "acknowledged and never received",
        ),
        ("duplicate: 1%", "exactly-once", "received more than once"),
        ("reorder: 1%", "at-least-once", "out of order"),
    ] {
        let text = scenario(
            &format!("{{bad: {{driver: loopback, {fault}, seed: 3}}, good: {{driver: loopback}}}}"),
            &format!("delivery: {delivery}\n  load: {{rate: 5k/s}}"),
            ENOUGH,
        );
        let (_, results, ended) = run(&text, 4);
        let bad = attempts(&results, "bad")[0];
        assert_outcome(bad, Outcome::BrokenPromise);
        assert!(bad.verdict.reason.contains(reason), "{:?}", bad.verdict);
        assert!(ended.out.contains(reason), "{}", ended.out);
        let audit = &bad.audit;
        match fault.split(':').next() {
            Some("loss") => assert_eq!(audit.lost_acked, audit.lost),
            Some("duplicate") => assert_eq!(audit.received, audit.distinct + audit.duplicated),
            _ => assert_eq!(audit.lost + audit.duplicated, 0),
        }
        let good = attempts(&results, "good")[0];
        assert_ne!(good.verdict.outcome, Outcome::BrokenPromise);
    }
}

#[test]
fn a_stall_is_listed_with_its_time_and_length() {
    let _turn = beside_others();
    let text = scenario(
        "{stalls: {driver: loopback, stall: {at: 600ms, for: 500ms}}}",
        "in_flight: 10000",
        "phases: {warmup: 10ms, measure: 1800ms, drain: 10s}",
    );
    let (_, results, ended) = run(&text, 0);
    let course = &attempts(&results, "stalls")[0].course;
    let found = course
        .pauses
        .iter()
        .find(|it| it.at < 0.8 && it.at + it.seconds > 0.9);
    let pause = found.unwrap_or_else(|| panic!("{course:?}"));
    // Nothing comes while it lasts; how soon after it something does is the machine's affair.
    assert!(pause.seconds > 0.4, "{pause:?}");
    assert!(
        ended.out.contains("in which nothing was received"),
        "{}",
        ended.out
    );
}

#[test]
fn a_threshold_that_is_missed_ends_with_99() {
    let _turn = beside_others();
    let lossy = "{lossy: {driver: loopback, loss: 5%, seed: 3}, fine: {driver: loopback}}";
    // A closed loop with a window for all of a count: then all is sent and the trials are valid, however
    // little CPU the machine leaves.
    let closed = "delivery: at-most-once\n  load: max\n  in_flight: 1000";
    let judged = |thresholds: &str| {
        let rest = format!(
            "phases: {{warmup: 10ms, measure: 300, drain: 10s}}\nthresholds: [{thresholds}]"
        );
        scenario(lossy, closed, &rest)
    };
    let (_, results, ended) = run(&judged("lost == 0, unsent == 0"), 99);
    assert!(ended.out.contains("✗ lost == 0"), "{}", ended.out);
    assert!(ended.out.contains("✓ unsent == 0"), "{}", ended.out);
    assert!(!results.thresholds[0].met && results.thresholds[1].met);
    assert_eq!(results.thresholds[0].brokers.len(), 2);

    // One that is about the other only.
    run(&judged("\"fine: lost == 0\""), 0);
}

#[test]
fn a_server_slower_than_the_load_is_saturated_with_the_reason() {
    let _turn = beside_others();
    // A thousand a second are offered, five hundred can be served.
    let text = scenario(
        "{slow: {driver: loopback, service_time: 2ms}}",
        "in_flight: 64",
        "phases: {warmup: 10ms, measure: 1200ms, drain: 5s}",
    );
    let (slow, ended) = run_one(&text, 0, "slow");
    assert_outcome(&slow, Outcome::Saturated);
    assert!(slow.audit.unsent > 300, "{:?}", slow.audit);
    assert_eq!(slow.audit.intended, 1200, "nothing is forgiven");
    assert!(slow.verdict.reason.contains("could not be sent in time"));
    assert!(ended.out.contains("saturated"), "{}", ended.out);

    // With a window for all, all of a count is sent, and the backlog grows instead.
    let text = text.replace("in_flight: 64", "in_flight: 10000");
    let text = text.replace("measure: 1200ms", "measure: 1200");
    let (slow, _) = run_one(&text.replace("drain: 5s", "drain: 10s"), 0, "slow");
    assert_outcome(&slow, Outcome::Saturated);
    assert!(
        slow.verdict.reason.contains("backlog grew by"),
        "{:?}",
        slow.verdict
    );
    assert_eq!((slow.audit.unsent, slow.audit.lost), (0, 0));

    // A threshold on it is neither met nor missed.
    let gated = format!("{text}\nthresholds: [p50(end_to_end) < 10s]\n");
    run(&gated.replace("drain: 5s", "drain: 10s"), 4);
}

#[test]
fn a_consumer_that_hardly_reads_does_not_hold_up_the_end() {
    let _turn = beside_others();
    let text = scenario(
        "{stuck: {driver: loopback, slow_consumer: 1h}, fine: {driver: loopback}}",
        "in_flight: 10000",
        "phases: {warmup: 0ms, measure: 300ms, drain: 500ms}",
    );
    let (_, results, _) = run(&text, 4);
    let stuck = attempts(&results, "stuck")[0];
    assert_eq!(stuck.audit.received, 0);
    assert_eq!(
        (stuck.audit.intended, stuck.audit.lost),
        (300, stuck.audit.sent)
    );
    assert!(
        (0.5..5.0).contains(&stuck.drain_seconds),
        "{}",
        stuck.drain_seconds
    );
    assert_outcome(stuck, Outcome::BrokenPromise);
    let fine = &attempts(&results, "fine")[0].audit;
    assert_eq!((fine.intended, fine.received), (300, fine.sent));
    assert!(stuck.audit.sent > 0 && fine.sent > 0);
}
