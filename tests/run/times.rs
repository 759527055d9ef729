//! Times on the real clock: only as ratios within a run, and only where nothing disturbed it.

use mqbench::measure::latency::{Kind, Latency};
use mqbench::results::Attempt;

use crate::program::{Place, alone, attempts, is_quiet, share_above};
use crate::{run, scenario};

fn p50(attempt: &Attempt) -> f64 {
    let value = attempt.percentile(Kind::EndToEnd, 50.0);
    value.and_then(|p| p.value()).expect("enough samples") as f64
}

/// The samples of a latency in the file of the attempt's trial.
fn samples(place: &Place, attempt: &Attempt, kind: Kind) -> Latency {
    let stored = place.stored();
    let record = stored.record(attempt.trial, attempt.attempt).expect("kept");
    record.latencies[&kind].clone()
}

#[test]
fn a_delay_is_added_to_the_latency() {
    let _turn = alone();
    let text = scenario(
        "{plain: {driver: loopback}, delayed: {driver: loopback, delay: 5ms}}",
        "",
        "phases: {warmup: 100ms, measure: 1200ms, drain: 10s}",
    );
    // By the product's own sign, and by that alone, a trial is made again.
    let text = text.replace("repeats: 0", "repeats: 4");
    let (_, results, _) = run(&text, 0);
    let last = |label| *attempts(&results, label).last().expect("a trial");
    let (plain, delayed) = (last("plain"), last("delayed"));
    // This holds however disturbed the machine is: nothing can arrive early.
    assert!(p50(delayed) >= 5e6, "{}", p50(delayed));
    if !is_quiet(plain) || !is_quiet(delayed) {
        eprintln!("skipped in part: the machine was disturbed throughout");
        return;
    }
    // Both have the way through the harness; the rest is the delay, and what its timer is late by.
    let ratio = p50(delayed) / (5e6 + p50(plain));
    assert!(
        (0.98..1.02).contains(&ratio),
        "{} with the delay, {} without",
        p50(delayed),
        p50(plain)
    );
}

#[test]
fn a_stall_hits_its_share_of_an_open_loop_and_one_sample_of_a_closed_one() {
    let _turn = alone();
    let stalled = "{stalled: {driver: loopback, stall: {at: 500ms, for: 150ms}}}";
    let phases = "phases: {warmup: 100ms, measure: 1500ms, drain: 10s}";
    let open = scenario(stalled, "in_flight: 10000", phases);
    let (place, results, _) = run(&open, 0);
    let open = attempts(&results, "stalled")[0];
    let end_to_end = samples(&place, open, Kind::EndToEnd);
    assert!(end_to_end.max() >= 140_000_000, "{}", end_to_end.max());
    // A tenth of the time: a tenth of the messages waited, evenly between nothing and all of the stall.
    let affected = share_above(&end_to_end, 15_000_000);
    let least = 0.9 * 0.1;
    assert!(affected >= least * 0.9, "{affected}");
    if is_quiet(open) {
        assert!(affected <= 0.1 * 1.2, "{affected}");
    }

    let closed = scenario(stalled, "load: max\n  in_flight: 1", phases);
    let (place, results, _) = run(&closed, 0);
    let closed = attempts(&results, "stalled")[0];
    let transit = samples(&place, closed, Kind::Transit);
    assert!(transit.max() >= 140_000_000, "{}", transit.max());
    let slow = share_above(&transit, 100_000_000) * transit.count() as f64;
    // Nothing else can take so long, unless the machine stood still too.
    if is_quiet(closed) {
        assert!(slow < 1.5, "{slow} of {}", transit.count());
    }
    let share = slow / transit.count() as f64;
    assert!(
        share < affected / 10.0,
        "the closed loop hardly sees it: {share}"
    );
}
