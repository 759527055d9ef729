use std::collections::BTreeMap;

use super::table::Comparison;
use super::*;
use crate::measure::latency::Kind;
use crate::measure::record::{Record, Slope};
use crate::plan::Plan;
use crate::results::{Attempt, sample};
use crate::scenario::workload::{Delivery, Durability, Load};
use crate::stats::thresholds::judge;

const FOLDER: &str = "results/2026-11-20T21-04-latency-7f3a";

/// Five brokers of which one cannot keep up, one loses and one is repeated.
fn five() -> Results {
    let labels = ["redis-streams", "jetstream", "kafka", "rabbitmq", "pulsar"];
    let mut plan = sample::plan(&labels, 5);
    plan.brokers[3].offer.durability = Durability::Fsync;
    plan.thresholds = ["p99(end_to_end) < 20ms", "lost == 0"]
        .map(|it| it.parse().unwrap())
        .into();
    let medians = [118e3, 141e3, 1.9e6, 402e3, 3.0e6];
    let mut results = sample::run(plan, &medians, |record, broker, trial| {
        if broker == 4 {
            record.rates.received = 4_310.0;
            record.backlog_slope = Some(Slope {
                estimate: 690.0,
                low: 600.0,
                high: 780.0,
            });
            if trial == 2 {
                sample::lose(record, 12);
            }
        }
    });
    repeat(&mut results);
    results.thresholds = judge(&results);
    results
}

/// Two trials were disturbed and repeated.
fn repeat(results: &mut Results) {
    for (number, steal) in [(3, 2.4), (9, 4.4)] {
        let trial = results.plan.trials[number - 1];
        let mut record = sample::record(141e3);
        record.usage.steal_s = steal;
        let first = Attempt::of(&record, &results.plan, &trial, 1);
        let place = results
            .attempts
            .iter()
            .position(|a| a.trial == number as u32);
        let mut kept = results.attempts.remove(place.unwrap());
        kept.attempt = 2;
        results.add(first);
        results.add(kept);
    }
}

fn text(results: &Results, width: Option<usize>) -> String {
    let files = ["summary.csv", "trials.csv", "series.csv", "latency.hlog"].map(str::to_owned);
    let view = View {
        width,
        color: false,
        folder: Some(FOLDER),
        files: &files,
    };
    render(Format::Text, results, &view)
}

fn widest(text: &str) -> usize {
    text.lines()
        .map(crate::terminal::style::width)
        .max()
        .unwrap()
}

#[test]
fn the_table_at_80_100_and_160_columns() {
    let results = five();
    for width in [80, 100, 160] {
        let text = text(&results, Some(width));
        assert!(widest(&text) <= width, "{text}");
        insta::assert_snapshot!(format!("open_loop_{width}"), text);
    }
    let narrow = text(&results, Some(60));
    assert!(
        narrow.contains("not shown for want of width: p99, p99.9"),
        "{narrow}"
    );
    assert!(widest(&narrow) <= 60, "{narrow}");
}

#[test]
fn a_pipe_gets_every_column_and_no_colour() {
    let mut plan = sample::plan(
        &["a-broker-with-quite-a-long-label-that-goes-on-and-on-and-on-for-ever"],
        1,
    );
    plan.brokers[0]
        .label
        .push_str("-and-then-some-more-of-it-so-that-no-terminal-would-do");
    let text = text(&sample::run(plan, &[1e5], |_, _, _| {}), None);
    assert!(text.contains("lost\n"), "{text}");
    assert!(!text.contains("not shown"));
}

#[test]
fn colour_changes_no_character_of_the_report() {
    let results = five();
    let view = View {
        width: Some(100),
        color: true,
        ..View::default()
    };
    let colored = render(Format::Text, &results, &view);
    assert!(colored.contains("\u{1b}["));
    let bare = crate::terminal::style::without_codes(&colored);
    let plain = View {
        color: false,
        ..view
    };
    assert_eq!(bare, render(Format::Text, &results, &plain));
}

/// A closed loop: no schedule, so no latency that counts from it.
fn closed(plan: &mut Plan) {
    plan.workload.load = Load::Max;
}

fn without_schedule(record: &mut Record, rate: f64) {
    for kind in [
        Kind::EndToEnd,
        Kind::Publish,
        Kind::Lateness,
        Kind::SendWait,
    ] {
        record.latencies.remove(&kind);
    }
    record.rates.sent = rate;
    record.rates.received = rate;
    record.rates.bytes = rate * 256.0;
}

fn without_consumers(record: &mut Record) {
    record.latencies.remove(&Kind::EndToEnd);
    record.latencies.remove(&Kind::Transit);
    record.audit.expected = 0;
    record.audit.received = 0;
    record.audit.distinct = 0;
    record.rates.received = 0.0;
}

#[test]
fn a_closed_loop_shows_throughput_at_its_window_and_what_bound_it() {
    let mut plan = sample::plan(&["nats", "kafka"], 3);
    closed(&mut plan);
    let results = sample::run(plan, &[1e5, 2e5], |record, broker, _| {
        without_schedule(record, [1_240_000.0, 148_000.0][broker]);
        record.usage.publish_s = [19.0, 4.0][broker];
        record.usage.brokers_s = [10.0, 19.5][broker];
        record.usage.idle_s = [1.0, 8.0][broker];
    });
    let text = text(&results, Some(160));
    insta::assert_snapshot!("closed_loop", text);
}

#[test]
fn a_closed_loop_without_consumers_shows_service_times() {
    let mut plan = sample::plan(&["nats", "kafka"], 1);
    closed(&mut plan);
    plan.workload.consumers = 0;
    let results = sample::run(plan, &[1e5, 2e5], |record, broker, _| {
        without_schedule(record, [40_000.0, 20_000.0][broker]);
        without_consumers(record);
    });
    insta::assert_snapshot!("closed_publish_only", text(&results, Some(120)));
}

#[test]
fn publish_only_shows_the_publish_latency() {
    let mut plan = sample::plan(&["nats", "kafka"], 5);
    plan.workload.consumers = 0;
    let results = sample::run(plan, &[1e5, 1e5], |record, broker, trial| {
        without_consumers(record);
        if (broker, trial) == (1, 1) {
            record.audit.failed = 3;
            record.audit.acked -= 3;
            record.reasons = BTreeMap::from([("timed out\nafter 5 s".to_owned(), 3)]);
        }
    });
    insta::assert_snapshot!("publish_only", text(&results, Some(100)));
}

#[test]
fn a_preloaded_backlog_is_drained() {
    let mut plan = sample::plan(&["nats", "kafka"], 1);
    closed(&mut plan);
    plan.workload.publishers = 0;
    plan.workload.consumers = 2;
    let results = sample::run(plan, &[1e5, 2e5], |record, broker, _| {
        without_schedule(record, [400_000.0, 200_000.0][broker]);
        record.latencies.clear();
        record.audit.intended = 0;
        record.audit.sent = 0;
        record.audit.acked = 0;
        record.rates.sent = 0.0;
    });
    insta::assert_snapshot!("drain", text(&results, Some(100)));
}

#[test]
fn a_queue_that_grows_makes_no_message_cheap() {
    // 2 µs to publish and 2 µs to consume, 1 µs beside them; and a queue that grew, or shrank, by half.
    for (sent, received) in [(100_000, 100_000), (100_000, 50_000), (50_000, 100_000)] {
        let plan = sample::plan(&["nats"], 1);
        let results = sample::run(plan, &[1e5], |record, _, _| {
            let usage = &mut record.usage;
            (usage.sent, usage.received) = (sent, received);
            usage.publish_s = sent as f64 * 2e-6;
            usage.consume_s = received as f64 * 2e-6;
            let through = (sent + received) as f64 / 2.0;
            usage.own_s = usage.publish_s + usage.consume_s + through * 1e-6;
            usage.brokers_s = through * 3e-6;
        });
        let rows = rows::by_broker(&results);
        let cost = rows[0].cost;
        let figures = [
            cost.publish_cpu,
            cost.consume_cpu,
            cost.client_cpu,
            cost.broker_cpu,
        ];
        for (figure, known) in figures.into_iter().zip([2.0, 2.0, 5.0, 3.0]) {
            let figure = figure.expect("it is known");
            assert!(
                (figure - known).abs() < 1e-6,
                "{sent} {received}: {figures:?}"
            );
        }
    }
}

#[test]
fn a_failed_broker_keeps_its_reason_and_wins_nothing() {
    let plan = sample::plan(&["nats", "kafka", "loopback"], 2);
    let mut plan = plan;
    plan.brokers[2].ranked = false;
    let results = sample::run(plan, &[2e5, 1e5, 1e4], |record, broker, _| {
        if broker == 1 {
            *record = Record {
                failure: Some("connection refused by 127.0.0.1:4711".into()),
                ..Record::default()
            };
        }
    });
    insta::assert_snapshot!("failed", text(&results, Some(100)));
}

#[test]
fn percentiles_among_lost_messages_are_lost_and_those_of_few_samples_a_dash() {
    let mut plan = sample::plan(&["nats", "redis-pubsub"], 1);
    sample::ask(&mut plan, Delivery::AtMostOnce);
    let results = sample::run(plan, &[1e5, 2e5], |record, broker, _| {
        if broker == 1 {
            sample::lose(record, 2_000);
            record
                .latencies
                .insert(Kind::EndToEnd, sample::latency(2e5, 98_000));
        } else {
            record
                .latencies
                .insert(Kind::EndToEnd, sample::latency(1e5, 3_000));
        }
    });
    insta::assert_snapshot!("lost", text(&results, Some(100)));
    let csv = render(Format::Csv, &results, &View::default());
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let names = reader.headers().unwrap().clone();
    let place = names
        .iter()
        .position(|it| it == "end_to_end_p99_us")
        .unwrap();
    let p99: Vec<String> = reader
        .records()
        .map(|it| it.unwrap()[place].to_owned())
        .collect();
    assert_eq!(p99, ["", ""]);
}

#[test]
fn trials_that_stay_disturbed_stand_and_are_marked() {
    let plan = sample::plan(&["nats", "kafka"], 5);
    let results = sample::run(plan, &[1e5, 1.02e5], |record, broker, trial| {
        if broker == 0 && trial > 3 {
            record.usage.foreign_s = f64::from(trial);
        }
        // Late enough to blur the median, not so late that the generator is what was measured.
        if broker == 1 {
            record
                .latencies
                .insert(Kind::Lateness, sample::latency(12e3, 100_000));
        }
    });
    insta::assert_snapshot!("disturbed", text(&results, Some(100)));
}

#[test]
fn an_interrupted_run_says_how_far_it_came() {
    let plan = sample::plan(&["nats", "kafka"], 2);
    let mut results = sample::run(plan, &[1e5, 2e5], |_, _, _| {});
    results.attempts.truncate(1);
    results.manifest.interrupted = true;
    insta::assert_snapshot!("interrupted", text(&results, Some(100)));
    let mut of_kafka = results.attempts[0].clone();
    (of_kafka.broker, of_kafka.interrupted) = (1 - of_kafka.broker, true);
    results.attempts.push(of_kafka);
    let said = text(&results, None);
    let far = "broken off after 20 s, so it is not compared: 5,000/s received, p50 ";
    assert!(said.contains(far), "{said}");
}

#[test]
fn nobody_wins_where_the_printed_values_are_the_same() {
    let plan = sample::plan(&["nats", "kafka"], 1);
    let results = sample::run(plan, &[1e5, 1e5 * 1.02 / 1.04], |_, _, _| {});
    let comparison = Comparison::of(&results);
    let p50 = 1;
    assert_eq!(
        comparison.figures[0][p50].text,
        comparison.figures[1][p50].text
    );
    assert_eq!(comparison.winner(p50), None);
}

#[test]
fn unequal_asks_are_said_wherever_they_are_compared() {
    let mut plan = sample::plan(&["nats", "kafka"], 5);
    plan.brokers[1].asked.durability = Durability::Fsync;
    plan.brokers[1].offer.durability = Durability::Fsync;
    let results = sample::run(plan, &[1e5, 2e5], |_, _, _| {});
    let text = text(&results, Some(100));
    assert!(text.contains(" · unequal guarantees · "), "{text}");
    assert!(text.contains("at-least-once, fsync"), "{text}");
    assert!(text.contains("asked for different guarantees"), "{text}");
    let csv = render(Format::Csv, &results, &View::default());
    assert!(
        csv.contains("at-least-once,disk,at-least-once,disk"),
        "{csv}"
    );
    assert!(
        csv.contains("at-least-once,fsync,at-least-once,fsync"),
        "{csv}"
    );
}

#[test]
fn kinds_of_exactly_once_are_not_ranked() {
    let mut plan = sample::plan(&["nats", "kafka"], 5);
    sample::ask(&mut plan, Delivery::ExactlyOnce);
    for broker in &mut plan.brokers {
        broker.offer.delivery = Delivery::ExactlyOnce;
        broker.offer.note = "a message-id window and a double acknowledgement".into();
    }
    let results = sample::run(plan, &[1e5, 2e5], |_, _, _| {});
    let text = text(&results, Some(100));
    assert!(text.contains("kinds of exactly-once are not alike, so they are not ranked"));
    assert!(text.contains("kafka: a message-id window"));
    assert!(!text.contains('*'), "{text}");
}

/// The contract of the interface, word for word.
fn contract(scope: &str) -> Vec<String> {
    let before = "schema_version, scenario, broker, driver, server_version, pattern, asked_delivery, asked_durability, given_delivery, given_durability, size_bytes, publishers, consumers, groups, destinations, in_flight, load_kind, load_step, target_per_s";
    let between = "verdict, verdict_reason, bound_by, offered_per_s, sent_per_s, received_per_s, bytes_per_s, capacity_low_per_s, capacity_high_per_s, intended, unsent, sent, acked, failed, unresolved, expected, received, lost, lost_acked, censored, duplicated, redelivered, out_of_order, unexpected, corrupted";
    let after = "client_cpu_us_per_message, publish_cpu_us_per_message, consume_cpu_us_per_message, client_rss_peak_bytes, broker_cpu_us_per_message, broker_rss_peak_bytes, broker_disk_bytes, broker_written_bytes, stored_per_payload_byte";
    let latencies = [
        "end_to_end",
        "publish",
        "transit",
        "service",
        "lateness",
        "send_wait",
        "round_trip",
    ];
    let statistics = ["mean", "p50", "p90", "p95", "p99", "p999", "p9999", "max"];
    let columns = latencies
        .iter()
        .flat_map(|latency| statistics.map(|it| format!("{latency}_{it}_us")));
    let split = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let mut all = split(before);
    all.extend(split(scope));
    all.extend(split(between));
    all.extend(columns);
    all.extend(split(after));
    all
}

fn header(csv: &str) -> Vec<String> {
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_columns_are_those_of_the_contract() {
    let mut results = five();
    assert_eq!(
        header(&csv::summary(&results)),
        contract("trials, trials_ok")
    );
    assert_eq!(header(&csv::trials(&results)), contract("trial, block"));
    results.attempts.clear();
    assert_eq!(header(&csv::trials(&results)), contract("trial, block"));
}

#[test]
fn a_row_of_the_csv() {
    let results = five();
    let csv = csv::trials(&results);
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let names = reader.headers().unwrap().clone();
    let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 25);
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in names
        .iter()
        .zip(rows.iter().find(|row| &row[2] == "pulsar").unwrap())
    {
        lines.push(format!("{name}: {value}"));
    }
    insta::assert_snapshot!("trials_csv_row", lines.join("\n"));
}

#[test]
fn names_are_escaped_in_every_format() {
    let names = [
        "a \"quoted\", name",
        "two\nlines",
        "<b>|*bold*|</b>",
        "日本語",
        "\u{1b}[31mred",
    ];
    let plan = sample::plan(&names, 1);
    let results = sample::run(plan, &[1e5; 5], |_, _, _| {});
    let csv = csv::summary(&results);
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let back: Vec<String> = reader
        .records()
        .map(|row| row.unwrap()[2].to_owned())
        .collect();
    assert_eq!(back, names, "CSV and JSON give back what was written");
    let json: serde_json::Value =
        serde_json::from_str(&render(Format::Json, &results, &View::default())).unwrap();
    assert_eq!(json["rows"][1]["broker"], names[1]);
    let text = text(&results, Some(120));
    assert!(!text.contains('\u{1b}'), "{text}");
    insta::assert_snapshot!("names_text", text);
    let markdown = render(Format::Markdown, &results, &View::default());
    insta::assert_snapshot!("names_markdown", markdown);
}

#[test]
fn what_was_noted_in_the_trials_stands_once_below_the_table_with_the_brokers_name() {
    let plan = sample::plan(&["mqtt", "nats"], 3);
    let clean = "sessions are clean";
    let mut results = sample::run(plan, &[1e5, 2e5], |record, broker, trial| {
        if broker == 0 {
            record.notes.extend([clean, clean].map(str::to_owned));
        }
        if trial == 2 {
            record.notes.push("a |connection|\u{7} was lost".to_owned());
        }
    });
    // Of one that was made again only what stands counts.
    let trial = results.plan.trials[0];
    let mut record = sample::record(1e5);
    record.notes.push("it was made again".to_owned());
    let first = Attempt::of(&record, &results.plan, &trial, 1);
    let again = Attempt {
        attempt: 2,
        ..results.attempts.remove(0)
    };
    results.add(first);
    results.add(again);
    let text = text(&results, Some(120));
    let noted = |text: &str| -> Vec<String> {
        let marks = [clean, "connection", "made again"];
        let lines = text.lines().map(str::trim);
        let noted = lines.filter(|line| marks.iter().any(|mark| line.contains(mark)));
        noted.map(str::to_owned).collect()
    };
    let lost = "a |connection|\u{fffd} was lost (in 1 of 3 trials)";
    let lines = [
        "mqtt: sessions are clean".to_owned(),
        format!("mqtt: {lost}"),
        format!("nats: {lost}"),
    ];
    assert_eq!(noted(&text), lines);
    let markdown = render(Format::Markdown, &results, &View::default());
    let items = lines.map(|line| format!("- {}", markdown::escape(&line)));
    assert_eq!(noted(&markdown), items);
}

#[test]
fn markdown_and_json_say_the_same() {
    let results = five();
    let view = View {
        folder: Some(FOLDER),
        ..View::default()
    };
    insta::assert_snapshot!("markdown", render(Format::Markdown, &results, &view));
    let json: serde_json::Value =
        serde_json::from_str(&render(Format::Json, &results, &view)).unwrap();
    let row = &json["rows"][0];
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), contract("trials, trials_ok").len());
    assert_eq!(row["broker"], "redis-streams");
    assert_eq!(row["received_per_s"], 5000);
    assert!(row["end_to_end_p99_us"].as_f64().unwrap() > 300.0);
    assert_eq!(json["thresholds"][1]["met"], false);
    assert_eq!(json["results"], FOLDER);
    insta::assert_snapshot!("json_besides_rows", {
        let mut besides = json.clone();
        besides.as_object_mut().unwrap().remove("rows");
        format!("{besides:#}")
    });
}
