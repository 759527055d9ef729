use std::time::{Duration, Instant};

use super::dashboard::*;
use super::under_way::{Ended, State};
use crate::measure::progress::{Phase, Progress};
use crate::measure::verdict::Outcome;
use crate::results::sample;
use crate::terminal::style::{self, width};

const NAMES: [&str; 12] = [
    "nats",
    "jetstream",
    "redis-pubsub",
    "redis-streams",
    "mosquitto",
    "kafka",
    "rabbitmq",
    "pulsar",
    "zeromq",
    "日本語の名前がとても長いブローカー",
    "with\u{1b}[31mcodes",
    "x",
];

fn ended(outcome: Outcome) -> Ended {
    Ended {
        outcome,
        reason: String::new(),
        disturbed: None,
        again: false,
        broken_off: false,
        per_second: 4_000.0,
        p50: Some(150_000),
        p99: Some(900_000),
    }
}

/// In the second block, the second of so many brokers being measured for 12 seconds.
fn state(brokers: usize) -> State {
    let plan = sample::plan(&NAMES[..brokers], 3);
    let mut state = State::new(&plan);
    for number in 1..=brokers as u32 {
        let outcome = if number == 3 {
            Outcome::Saturated
        } else {
            Outcome::Ok
        };
        state.begin(number, 1, None);
        state.end(&ended(outcome), 30.0);
    }
    let running = brokers as u32 + brokers.min(2) as u32;
    state.begin(running, 2, None);
    for second in 1..=12_u64 {
        let mut progress = Progress::starting();
        progress.phase = Phase::Measuring;
        (progress.elapsed, progress.length) = (second as f64, Some(20.0));
        progress.per_second = 5_000.0;
        progress.latency = Some([140_000, 400_000 * second]);
        (progress.backlog, progress.errors) = (17, 3);
        progress.second = Some(Box::new(sample::record(1e5).series[1].clone()));
        state.progress(progress);
    }
    // However long the test takes, no time goes by.
    let current = state.current.as_mut().unwrap();
    current.began = Instant::now() + Duration::from_secs(3_600);
    current.heard = current.began;
    state
}

#[test]
fn a_run_in_its_second_block_on_a_usual_terminal() {
    let lines = frame(&state(3), 100, 24, false, false);
    insta::assert_snapshot!("dashboard", lines.join("\n"));
}

#[test]
fn twelve_brokers_fit_on_a_usual_terminal() {
    let lines = frame(&state(12), 80, 24, false, false);
    insta::assert_snapshot!("dashboard_twelve", lines.join("\n"));
}

#[test]
fn whatever_the_size_nothing_is_beyond_it_and_the_running_broker_is_shown() {
    for brokers in [1, 3, 12] {
        let mut state = state(brokers);
        state.said = vec!["jetstream: waiting for its port".to_owned(); 9];
        let running = state
            .label(state.order[state.current.as_ref().unwrap().place].2)
            .to_owned();
        for columns in 1..=140 {
            for rows in 1..=30 {
                let plain = frame(&state, columns, rows, false, true);
                let size = format!("{brokers} brokers, {columns} × {rows}");
                assert!(plain.len() <= rows, "{size}");
                assert!(
                    plain
                        .iter()
                        .all(|it| width(it) < columns.max(1) || it.is_empty()),
                    "{size}"
                );
                assert!(plain.iter().all(|it| !it.contains('\u{1b}')), "{size}");
                if columns >= 48 && rows >= 6 {
                    assert!(
                        plain.iter().any(|it| it.contains(&format!("▸ {running}"))),
                        "{size}"
                    );
                }
            }
        }
        for (columns, rows) in [(80, 24), (43, 11), (200, 60)] {
            let colored = frame(&state, columns, rows, true, false);
            let bare: Vec<String> = colored.iter().map(|it| style::without_codes(it)).collect();
            assert_eq!(bare, frame(&state, columns, rows, false, false));
        }
    }
}

#[test]
fn figures_of_the_running_trial_are_those_of_its_last_second_and_of_others_the_medians() {
    let state = state(3);
    assert_eq!(
        state.watched[1].figures(true),
        [Some(5_000.0), Some(140_000.0), Some(4_800_000.0)]
    );
    assert_eq!(
        state.watched[0].figures(false),
        [Some(4_000.0), Some(150_000.0), Some(900_000.0)]
    );
    assert_eq!(state.watched[2].verdict(), Some(Outcome::Saturated));
}
