use super::under_way::*;
use crate::measure::progress::Phase;
use crate::measure::progress::Progress;
use crate::measure::verdict::Outcome;
use crate::results::Attempt;
use crate::results::sample;

fn ended() -> Ended {
    Ended {
        outcome: Outcome::Ok,
        reason: String::new(),
        disturbed: None,
        again: false,
        broken_off: false,
        per_second: 5_000.0,
        p50: Some(140_000),
        p99: Some(410_000),
    }
}

#[test]
fn a_run_in_its_second_block() {
    let plan = sample::plan(&["jetstream", "nats", "zeromq"], 3);
    let mut state = State::new(&plan);
    for number in 1..=4 {
        state.begin(number, 1, None);
        state.end(&ended(), 30.0);
    }
    state.begin(5, 1, None);
    state.suspended = 2;
    let current = state.current.as_mut().unwrap();
    current.progress = Progress {
        phase: Phase::Measuring,
        elapsed: 12.0,
        length: Some(20.0),
        per_second: 5_000.0,
        latency: Some([140_000, 410_000]),
        backlog: 0,
        errors: 0,
        second: None,
    };
    assert_eq!(
        state.lines(17.0),
        [
            "latency · 3 brokers × 3 trials · block 2 of 3 · 2m 13s left",
            "  nats           measuring  █████████░░░░░░  12 s   5,000/s   p50 140 µs  p99 410 µs   backlog 0",
            "  done  jetstream ✓      next  zeromq      (2 servers suspended)",
        ]
    );
}

#[test]
fn an_attempt_ends_with_its_headline_figures() {
    let plan = sample::plan(&["nats"], 1);
    let attempt = Attempt::of(&sample::record(1e5), &plan, &plan.trials[0], 1);
    let ended = Ended::of(&attempt, false);
    assert_eq!((ended.outcome, ended.per_second), (Outcome::Ok, 5_000.0));
    assert!((270_000..290_000).contains(&ended.p99.unwrap()));
}

#[test]
fn a_line_for_each_trial_where_nothing_can_be_drawn() {
    let plan = sample::plan(&["nats"], 2);
    let mut state = State::new(&plan);
    state.begin(1, 1, None);
    let disturbed = Ended {
        disturbed: Some(0.06),
        again: true,
        ..ended()
    };
    assert_eq!(
        state.end(&disturbed, 30.0),
        "⚠ trial 1 of 2  block 1  nats  5,000/s  p99 410 µs  disturbed: others took 6 % of the CPU, once more"
    );
    state.begin(1, 2, None);
    assert!(state.lines(0.0)[1].ends_with("attempt 2"));
    assert_eq!(
        state.end(&ended(), 30.0),
        "✓ trial 1 of 2  block 1  nats  5,000/s  p99 410 µs"
    );
    state.begin(2, 1, None);
    let broken_off = Ended {
        broken_off: true,
        ..ended()
    };
    assert_eq!(
        state.end(&broken_off, 3.0),
        "⚠ trial 2 of 2  block 2  nats  broken off"
    );
    state.begin(2, 1, None);
    let saturated = Ended {
        outcome: Outcome::Saturated,
        reason: "backlog grew\u{1b}".into(),
        ..ended()
    };
    assert_eq!(
        state.end(&saturated, 30.0),
        "⚠ trial 2 of 2  block 2  nats  5,000/s  p99 410 µs  saturated: backlog grew\u{fffd}"
    );
    assert_eq!(
        state.lines(0.0)[0],
        "latency · 1 broker × 2 trials · block 2 of 2 · 0 s left"
    );
}
