//! Whole trials on the simulated clock, against answers that are known before.

mod support;

use std::time::Duration;

use mqbench::drivers::faults::{Done, Faults, Model};
use mqbench::engine::controller::Controller;
use mqbench::engine::inbox::Inbox;
use mqbench::engine::ledger::Ledger;
use mqbench::engine::outbox::{Next, Outbox, ThreadRecords};
use mqbench::engine::simulation::{Generator, simulate};
use mqbench::engine::task::{Order, Task, WindowBy};
use mqbench::measure::clock::{Clock as _, Monotonic};
use mqbench::measure::latency::Kind;
use mqbench::measure::percentile::{Percentile, percentile};
use mqbench::measure::record::Record;
use mqbench::measure::resources::Seen;
use mqbench::measure::verdict::{Outcome, Promise, Verdict, judge};
use mqbench::scenario::units::Rate;
use mqbench::scenario::workload::{Arrival, Delivery, Load, Measure, Step};
use support::task;

const MS: u64 = 1_000_000;

fn at_most_once(task: &mut Task) {
    task.acks = false;
    task.delivery = Delivery::AtMostOnce;
    task.workload.delivery = Delivery::AtMostOnce;
}

fn run(task: &Task, faults: Faults) -> (Record, Done, Verdict) {
    run_with(task, faults, Generator::default())
}

fn run_with(task: &Task, faults: Faults, generator: Generator) -> (Record, Done, Verdict) {
    let mut task = task.clone();
    task.window = WindowBy::of(&task.workload, task.acks, true);
    let mut model = Model::new(&task, faults);
    let record = simulate(task.clone(), &mut model, generator).unwrap();
    assert_eq!(record.audit.contradictions(), Vec::<String>::new());
    let promise = Promise {
        delivery: task.delivery,
        acks: task.acks,
    };
    let verdict = judge(&record, &task.workload, promise);
    (record, model.done(), verdict)
}

fn close(found: u64, wanted: u64, share: f64) -> bool {
    found.abs_diff(wanted) as f64 <= wanted as f64 * share
}

#[test]
fn a_perfect_broker_loses_nothing_and_is_ok() {
    let (record, _, verdict) = run(&task(), Faults::default());
    assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
    let audit = record.audit;
    assert_eq!(
        (audit.intended, audit.sent, audit.received),
        (10_000, 10_000, 10_000)
    );
    assert_eq!((audit.acked, audit.lost, audit.duplicated), (10_000, 0, 0));
    assert_eq!(record.latencies[&Kind::EndToEnd].max(), 0);
    assert!(
        (record.rates.offered - 1000.0).abs() < 1e-6,
        "{:?}",
        record.rates
    );
    assert!(
        (record.rates.received - 1000.0).abs() < 1.0,
        "{:?}",
        record.rates
    );
    assert!((record.seconds - 10.0).abs() < 1e-3);
}

#[test]
fn a_delay_of_five_milliseconds_is_the_latency() {
    let faults = Faults {
        delay: 5 * MS,
        ..Faults::default()
    };
    let (record, _, verdict) = run(&task(), faults);
    assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
    let latency = &record.latencies[&Kind::EndToEnd];
    assert_eq!(latency.count(), 10_000);
    assert!(
        close(latency.quantile(0.5), 5 * MS, 0.001),
        "{}",
        latency.quantile(0.5)
    );
    assert!(close(
        record.latencies[&Kind::Transit].quantile(0.99),
        5 * MS,
        0.001
    ));
}

#[test]
fn a_stall_is_a_pause_with_its_very_time_and_length() {
    let mut task = task();
    let stalled = |task: &Task| {
        let faults = Faults {
            stall: Some((3_300 * MS, 1_000 * MS)),
            ..Faults::default()
        };
        run(task, faults).0.gaps
    };
    // A thousand a second: the last came at 3.299 s or 3.3 s, the next when it is over.
    let gaps = stalled(&task);
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    assert!((gap.at - 3.3).abs() < 0.002, "{gap:?}");
    assert!((gap.at + gap.seconds - 4.3).abs() < 0.002, "{gap:?}");
    // With several consumers that take turns, each waits longer; all of them together did not pause before.
    task.workload.consumers = 4;
    task.workload.destinations = 4;
    task.workload.load = Load::Rate {
        rate: Rate(30.0),
        arrival: Arrival::Poisson,
    };
    let gaps = stalled(&task);
    assert!(
        gaps.len() == 1 && gaps.iter().all(|gap| gap.seconds >= 1.0),
        "{gaps:?}"
    );
}

#[test]
fn without_a_stall_there_is_no_pause_whatever_the_arrivals() {
    for (rate, arrival) in [
        (1.0, Arrival::Uniform),
        (30.0, Arrival::Poisson),
        (2_000.0, Arrival::Poisson),
        (100.0, Arrival::Burst(50)),
    ] {
        let mut task = task();
        task.workload.load = Load::Rate {
            rate: Rate(rate),
            arrival,
        };
        task.phases.measure = Measure::Time(Duration::from_secs(120));
        let (record, _, _) = run(&task, Faults::default());
        assert_eq!(record.gaps, [], "{rate} {arrival:?}");
    }
}

#[test]
fn a_low_rate_beside_that_of_counting_is_no_growing_backlog() {
    let faults = Faults {
        delay: 5 * MS,
        ..Faults::default()
    };
    for rate in [9.98, 49.9, 69.8, 89.8, 119.9, 199.7] {
        let mut task = task();
        task.workload.load = Load::Rate {
            rate: Rate(rate),
            arrival: Arrival::Uniform,
        };
        for seconds in [4, 6, 10, 30] {
            task.phases.measure = Measure::Time(Duration::from_secs(seconds));
            let (_, _, verdict) = run(&task, faults.clone());
            assert_eq!(verdict.outcome, Outcome::Ok, "{rate}/s: {verdict:?}");
        }
    }
}

#[test]
fn the_cells_of_the_seconds_hold_every_sample() {
    let sum = |record: &Record| record.series.iter().map(|it| it.cells.count()).sum::<u64>();
    let faults = Faults {
        delay: 300 * MS,
        ..Faults::default()
    };
    let (record, ..) = run(&task(), faults.clone());
    assert_eq!(sum(&record), 10_000);
    for second in &record.series {
        let cells: Vec<u8> = second.cells.iter().map(|it| it.0).collect();
        // 251 to 316 ms.
        let expected: &[u8] = if second.latency.is_some() { &[84] } else { &[] };
        assert_eq!(cells, expected, "{second:?}");
    }
    let mut publish_only = task();
    publish_only.workload.consumers = 0;
    let (record, ..) = run(&publish_only, faults);
    let published = record.latencies[&Kind::Publish].count();
    assert_eq!((sum(&record), published), (10_000, 10_000));
}

#[test]
fn losses_are_counted_exactly_and_the_percentiles_among_them_print_lost() {
    for seed in 0..20 {
        let mut task = task();
        at_most_once(&mut task);
        task.workload.load = Load::Rate {
            rate: Rate(20_000.0),
            arrival: Arrival::Uniform,
        };
        let (record, done, verdict) = run(
            &task,
            Faults {
                loss: 0.01,
                seed,
                ..Faults::default()
            },
        );
        assert!(done.lost > 1_500, "{done:?}");
        assert_eq!(record.audit.lost, done.lost);
        assert_eq!(
            verdict.outcome,
            Outcome::Ok,
            "at most once allows losses: {verdict:?}"
        );
        let latency = &record.latencies[&Kind::EndToEnd];
        let censored = record.audit.censored(Kind::EndToEnd, 1, false);
        assert_eq!(percentile(latency, censored, 0.999), Percentile::Lost);
        assert!(matches!(
            percentile(latency, censored, 0.98),
            Percentile::Value(_)
        ));
    }
}

#[test]
fn a_lost_message_that_was_acknowledged_breaks_at_least_once() {
    let (record, done, verdict) = run(
        &task(),
        Faults {
            loss: 0.01,
            ..Faults::default()
        },
    );
    assert_eq!(record.audit.lost_acked, done.lost);
    assert_eq!(verdict.outcome, Outcome::BrokenPromise);
    assert!(
        verdict.reason.contains("acknowledged and never received"),
        "{}",
        verdict.reason
    );
}

#[test]
fn copies_are_counted_exactly_and_give_no_second_sample() {
    for seed in 0..20 {
        let task = task();
        let (record, done, verdict) = run(
            &task,
            Faults {
                duplicate: 0.005,
                seed,
                ..Faults::default()
            },
        );
        assert!(done.duplicated > 20, "{done:?}");
        assert_eq!(record.audit.duplicated, done.duplicated);
        assert_eq!(record.audit.received, 10_000 + done.duplicated);
        assert_eq!(record.latencies[&Kind::EndToEnd].count(), 10_000);
        assert_eq!(verdict.outcome, Outcome::Ok, "at least once allows copies");
    }
}

#[test]
fn copies_break_exactly_once_and_at_most_once() {
    for delivery in [Delivery::AtMostOnce, Delivery::ExactlyOnce] {
        let mut task = task();
        (task.delivery, task.workload.delivery) = (delivery, delivery);
        let (_, done, verdict) = run(
            &task,
            Faults {
                duplicate: 0.005,
                ..Faults::default()
            },
        );
        assert_eq!(verdict.outcome, Outcome::BrokenPromise);
        assert!(
            verdict.reason.starts_with(&done.duplicated.to_string()),
            "{}",
            verdict.reason
        );
    }
}

#[test]
fn reordering_is_counted_exactly() {
    for seed in 0..20 {
        let (record, done, verdict) = run(
            &task(),
            Faults {
                reorder: 0.01,
                seed,
                ..Faults::default()
            },
        );
        assert!(done.reordered > 50, "{done:?}");
        assert_eq!(record.audit.out_of_order, done.reordered);
        assert_eq!((record.audit.lost, record.audit.duplicated), (0, 0));
        assert_eq!(verdict.outcome, Outcome::BrokenPromise);
    }
}

#[test]
fn reordering_is_not_judged_where_no_order_is_promised() {
    let mut task = task();
    task.order = Order::None;
    let (record, _, verdict) = run(
        &task,
        Faults {
            reorder: 0.01,
            ..Faults::default()
        },
    );
    assert_eq!(
        (record.audit.out_of_order, verdict.outcome),
        (0, Outcome::Ok)
    );
}

#[test]
fn what_a_broker_delivers_again_is_held_to_no_place() {
    let out_of_order = |redelivered: bool| {
        let mut task = task();
        task.workload.load = Load::Max;
        task.workload.in_flight = 16;
        task.phases.warmup = Duration::ZERO;
        let ledger = Ledger::open(task).unwrap();
        ledger.timeline.begin(Monotonic.now());
        let records = ThreadRecords::new(&ledger);
        let mut outbox = Outbox::new(&ledger, Monotonic, 0, &records);
        let mut inbox = Inbox::new(&ledger, Monotonic, 0, 0);
        assert!(matches!(outbox.poll(2), Next::Due(2)));
        let mut sent = [Vec::new(), Vec::new()];
        for bytes in &mut sent {
            outbox.next().expect("a message").append_to(bytes);
        }
        let [first, second] = sent;
        inbox.received(&second);
        inbox.received_at(Monotonic.now(), &first, redelivered);
        let record = Controller::new(&ledger).finish(Monotonic.now(), Seen::default());
        assert_eq!((record.audit.received, record.audit.lost), (2, 0));
        record.audit.out_of_order
    };
    assert_eq!([false, true].map(out_of_order), [1, 0]);
}

#[test]
fn all_faults_together_are_told_apart() {
    for seed in 0..20 {
        let mut task = task();
        task.workload.publishers = 3;
        task.workload.consumers = 2;
        task.workload.groups = 2;
        task.workload.destinations = 5;
        let faults = Faults {
            delay: MS,
            jitter: 0,
            loss: 0.01,
            duplicate: 0.005,
            reorder: 0.01,
            fail_ack: 0.01,
            seed,
            ..Faults::default()
        };
        let (record, done, _) = run(&task, faults);
        let audit = record.audit;
        assert_eq!(audit.expected, 2 * audit.sent);
        assert_eq!((audit.lost, audit.duplicated), (done.lost, done.duplicated));
        assert_eq!(audit.out_of_order, done.reordered);
        assert_eq!(audit.failed, done.refused);
        assert_eq!(audit.acked + audit.failed, audit.sent);
        assert!(record.reasons.values().sum::<u64>() >= audit.failed);
    }
}

#[test]
fn a_stall_of_one_second_delays_a_tenth_of_the_messages_linearly() {
    let faults = Faults {
        stall: Some((4_000 * MS, 1_000 * MS)),
        ..Faults::default()
    };
    let mut task = task();
    task.phases.measure = Measure::Time(Duration::from_secs(10));
    let (record, _, _) = run(&task, faults.clone());
    let latency = &record.latencies[&Kind::EndToEnd];
    assert!(
        close(latency.above(MS), 1_000, 0.005),
        "{}",
        latency.above(MS)
    );
    // Linearly: half of them wait for more than half a second, and so on.
    for tenth in 1..10 {
        let wanted = 1_000 - tenth * 100;
        assert!(
            close(latency.above(tenth * 100 * MS), wanted, 0.02),
            "{tenth}"
        );
    }
    assert!(close(latency.max(), 1_000 * MS, 0.002));

    // The same stall seen by a closed loop with a window of one: a single slow sample.
    task.workload.load = Load::Max;
    task.workload.in_flight = 1;
    let faults = Faults {
        service_time: MS,
        ..faults
    };
    let (record, _, _) = run(&task, faults);
    assert!(!record.latencies.contains_key(&Kind::EndToEnd));
    let transit = &record.latencies[&Kind::Transit];
    assert!(transit.count() > 8_900);
    assert_eq!(
        transit.above(2 * MS),
        1,
        "a closed loop does not see what it did not send"
    );
}

#[test]
fn back_pressure_appears_in_send_wait_and_not_in_lateness() {
    let mut task = task();
    task.workload.in_flight = 1;
    // Two milliseconds a message: half of what is offered.
    let (record, _, verdict) = run(
        &task,
        Faults {
            service_time: 2 * MS,
            ..Faults::default()
        },
    );
    assert_eq!(verdict.outcome, Outcome::Saturated, "{verdict:?}");
    assert_eq!(record.latencies[&Kind::Lateness].max(), 0);
    assert!(record.latencies[&Kind::SendWait].quantile(0.5) > 1_000 * MS);
    assert!(
        close(record.audit.unsent, 5_500, 0.02),
        "{}",
        record.audit.unsent
    );
    assert_eq!(record.audit.intended, 10_000);
    let wait = &record.latencies[&Kind::EndToEnd];
    assert!(
        wait.quantile(0.99) > 4_000 * MS,
        "the wait counts from the schedule"
    );
}

#[test]
fn a_slow_broker_is_saturated_and_a_starved_generator_is_generator_limited() {
    let slow = Faults {
        service_time: 1_250_000,
        ..Faults::default()
    };
    let (record, _, verdict) = run(&task(), slow);
    assert_eq!(verdict.outcome, Outcome::Saturated, "{verdict:?}");
    let slope = record.backlog_slope.unwrap();
    assert!(
        slope.low > 190.0 && slope.high < 210.0,
        "it serves 800 of 1,000: {slope:?}"
    );

    let late = Generator {
        wakes_late: MS / 2,
        ..Generator::default()
    };
    let (record, _, verdict) = run_with(
        &task(),
        Faults {
            delay: MS,
            ..Faults::default()
        },
        late,
    );
    assert_eq!(verdict.outcome, Outcome::GeneratorLimited, "{verdict:?}");
    assert!(close(
        record.latencies[&Kind::Lateness].quantile(0.5),
        MS / 2,
        0.01
    ));
    assert_eq!(record.latencies[&Kind::SendWait].quantile(0.5), 0);

    // Late by less than a tenth of what is measured: good enough, and said for the percentile that is not.
    let late = Generator {
        wakes_late: MS / 20,
        ..Generator::default()
    };
    let (_, _, verdict) = run_with(
        &task(),
        Faults {
            delay: MS,
            ..Faults::default()
        },
        late,
    );
    assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
}

#[test]
fn a_client_library_that_is_busy_is_send_wait() {
    let held = Generator {
        held_per_message: 2 * MS,
        ..Generator::default()
    };
    let (record, _, verdict) = run_with(&task(), Faults::default(), held);
    assert_eq!(verdict.outcome, Outcome::Saturated, "{verdict:?}");
    assert_eq!(record.latencies[&Kind::Lateness].quantile(0.99), 0);
    assert!(record.latencies[&Kind::SendWait].quantile(0.5) > 1_000 * MS);
}

#[test]
fn the_capacity_of_one_server_is_what_a_closed_loop_finds() {
    for window in [1, 16, 256] {
        for acks in [true, false] {
            let mut task = task();
            if !acks {
                at_most_once(&mut task);
            }
            task.workload.load = Load::Max;
            task.workload.in_flight = window;
            task.phases.measure = Measure::Time(Duration::from_secs(2));
            let (record, _, verdict) = run(
                &task,
                Faults {
                    service_time: 20_000,
                    ..Faults::default()
                },
            );
            assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
            assert!(
                (record.rates.received - 50_000.0).abs() < 500.0,
                "{window} {acks}: {:?}",
                record.rates
            );
        }
    }
}

#[test]
fn a_window_by_receipts_takes_back_what_was_lost_and_says_so() {
    let mut task = task();
    at_most_once(&mut task);
    task.workload.load = Load::Max;
    task.workload.in_flight = 1;
    let (record, done, _) = run(
        &task,
        Faults {
            loss: 0.001,
            service_time: MS,
            ..Faults::default()
        },
    );
    assert!(done.lost > 0);
    assert_eq!(record.audit.lost, done.lost);
    // With a window of one, each loss stops the loop until its credit is taken back.
    let sent = record.audit.sent;
    assert!(
        record.audit.reclaimed.abs_diff(done.lost) <= 1,
        "{} of {sent}",
        record.audit.reclaimed
    );
    assert!(record.audit.received > 100, "it went on after a loss");
}

#[test]
fn bursts_and_steps_and_poisson_offer_what_was_asked() {
    let mut task = task();
    for (arrival, slack) in [(Arrival::Burst(50), 50.0), (Arrival::Poisson, 400.0)] {
        task.workload.load = Load::Rate {
            rate: Rate(1000.0),
            arrival,
        };
        let (record, _, verdict) = run(&task, Faults::default());
        assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
        assert!(
            (record.audit.intended as f64 - 10_000.0).abs() <= slack,
            "{:?}",
            record.audit
        );
        assert_eq!(record.audit.unsent, 0);
    }
    let step = |rate, seconds| Step {
        rate: Rate(rate),
        lasts: Duration::from_secs(seconds),
    };
    task.workload.load = Load::Steps {
        steps: vec![step(100.0, 2), step(1000.0, 3), step(500.0, 1)],
        arrival: Arrival::Uniform,
    };
    let (record, _, _) = run(&task, Faults::default());
    assert_eq!(record.audit.intended, 200 + 3_000 + 500);
    assert!((record.seconds - 6.0).abs() < 1e-3);
}

#[test]
fn a_measured_part_by_count_sends_exactly_that_many() {
    for load in [
        Load::Max,
        Load::Rate {
            rate: Rate(5_000.0),
            arrival: Arrival::Uniform,
        },
    ] {
        let mut task = task();
        task.workload.load = load;
        task.workload.publishers = 3;
        task.workload.in_flight = 50;
        task.phases.measure = Measure::Count(10_000);
        let (record, _, verdict) = run(
            &task,
            Faults {
                service_time: 10_000,
                ..Faults::default()
            },
        );
        assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
        let audit = record.audit;
        assert_eq!(
            (audit.intended, audit.sent, audit.received),
            (10_000, 10_000, 10_000)
        );
    }
}

#[test]
fn a_consumer_that_is_too_slow_ends_at_the_limit_of_the_drain_as_saturated() {
    let (record, _, verdict) = run(
        &task(),
        Faults {
            slow_consumer: 10 * MS,
            ..Faults::default()
        },
    );
    assert_eq!(verdict.outcome, Outcome::Saturated, "{verdict:?}");
    assert!(record.drain_cut);
    assert!(record.drain_seconds < 5.1);
    assert!(record.audit.lost > 0);
}

#[test]
fn a_trial_of_a_tenth_of_a_second_tells_a_queue_that_grows_from_one_that_does_not() {
    for (slow_consumer, outcome) in [(MS, Outcome::Saturated), (MS / 20, Outcome::Ok)] {
        for by_count in [false, true] {
            let mut task = task();
            task.workload.load = Load::Rate {
                rate: Rate(10_000.0),
                arrival: Arrival::Poisson,
            };
            task.phases.warmup = Duration::ZERO;
            task.phases.measure = match by_count {
                true => Measure::Count(1_000),
                false => Measure::Time(Duration::from_millis(100)),
            };
            let (record, _, verdict) = run(
                &task,
                Faults {
                    slow_consumer,
                    ..Faults::default()
                },
            );
            assert_eq!(verdict.outcome, outcome, "{verdict:?}");
            let slope = record.backlog_slope.expect("enough looks");
            assert_eq!(
                slope.low > 8_000.0,
                outcome == Outcome::Saturated,
                "{slope:?}"
            );
        }
    }
}

#[test]
fn publish_only_has_no_deliveries_and_no_losses() {
    let mut task = task();
    task.workload.consumers = 0;
    let (record, _, verdict) = run(&task, Faults::default());
    assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
    assert_eq!(
        (record.audit.expected, record.audit.lost, record.audit.acked),
        (0, 0, 10_000)
    );
    assert!(record.latencies.contains_key(&Kind::Publish));
    assert!(!record.latencies.contains_key(&Kind::EndToEnd));
}

#[test]
fn the_same_seed_gives_the_same_trial() {
    let faults = Faults {
        loss: 0.01,
        jitter: 3 * MS,
        duplicate: 0.01,
        seed: 9,
        ..Faults::default()
    };
    let mut task = task();
    task.workload.load = Load::Rate {
        rate: Rate(1000.0),
        arrival: Arrival::Poisson,
    };
    let (first, _, _) = run(&task, faults.clone());
    let (second, _, _) = run(&task, faults);
    assert_eq!(first, second);
}
