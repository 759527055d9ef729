use super::super::tests::charts_of;
use super::*;
use crate::measure::record::Record;
use crate::results::sample;

/// A trial of so many seconds; each has another course, and the third of them nothing.
fn spread(seconds: u32, broker: usize, trial: u32) -> Record {
    let mut record = sample::record(1e5);
    let second = record.series[1].clone();
    let second_at = |i: u32| {
        let mut second = second.clone();
        second.at = f64::from(i);
        let samples = u64::from(300 + 10 * i + 7 * trial);
        let latency = sample::latency(1e5 * f64::from(i + broker as u32), samples);
        second.cells = match i {
            3 => Cells::default(),
            _ => Cells::of(&latency),
        };
        second.foreign = if i == 4 { 0.3 } else { 0.0 };
        second
    };
    record.series.truncate(1);
    record.series.extend((1..=seconds).map(second_at));
    record.seconds = f64::from(seconds);
    record
}

/// The cells of each second of the measured part, as the file of a trial has them.
fn kept(record: &Record) -> Vec<Vec<(u64, u64)>> {
    let file = serde_json::to_value(record).unwrap();
    let seconds = file["series"].as_array().unwrap().iter();
    let measured = seconds.filter(|it| it["at"].as_f64() > Some(0.1));
    let cells = measured.map(|second| match second.get("cells") {
        Some(cells) => serde_json::from_value(cells.clone()).unwrap(),
        None => Vec::new(),
    });
    cells.collect()
}

fn drawn(columns: &[Column]) -> Vec<Vec<(u64, u64)>> {
    let cells = columns.iter().map(|it| it.cells.iter());
    cells
        .map(|it| it.map(|(cell, count)| (u64::from(cell), count)).collect())
        .collect()
}

#[test]
fn a_heat_map_has_the_counts_of_the_trials() {
    let plan = sample::plan(&["nats", "kafka"], 2);
    let (_, charts) = charts_of(plan, |broker, trial| {
        let mut record = spread(20, broker, trial);
        if (broker, trial) == (1, 2) {
            record.audit.out_of_order = 1;
        }
        record
    });
    let heat = charts.heat.unwrap();
    assert_eq!((heat.together, heat.panels.len()), (1, 2));
    let mut most = 0;
    for panel in &heat.panels {
        for trial in &panel.trials {
            let kept = kept(&spread(20, panel.broker, trial.trial));
            assert_eq!(drawn(&trial.columns), kept);
            most = most.max(kept.concat().iter().map(|it| it.1).max().unwrap());
            let disturbed = trial.columns.iter().filter(|it| it.disturbed);
            let when: Vec<[f64; 2]> = disturbed.map(|it| [it.from, it.to]).collect();
            assert_eq!(when, [[3.0, 4.0]]);
        }
    }
    assert_eq!(heat.most, most);
    assert_eq!((heat.step(1), heat.step(most)), (0, heat.colours - 1));
    assert_eq!(heat.panels[1].trials[1].verdict, Some("broken-promise"));
    let rows = u64::from(heat.rows[0])..=u64::from(heat.rows[1]);
    let of_all = heat.panels.iter().flat_map(|it| &it.trials);
    let of_all: Vec<_> = of_all.flat_map(|it| drawn(&it.columns)).collect();
    assert!(of_all.concat().iter().all(|it| rows.contains(&it.0)));
    let total: u64 = drawn(
        &heat.panels[0]
            .trials
            .iter()
            .flat_map(|it| it.columns.clone())
            .collect::<Vec<_>>(),
    )
    .concat()
    .iter()
    .map(|it| it.1)
    .sum();
    let words = format!(
        "nats: {} messages of ",
        crate::terminal::numbers::count(total)
    );
    assert!(heat.head.alt.contains(&words), "{}", heat.head.alt);
}

#[test]
fn a_long_run_shares_columns_and_loses_nothing() {
    let labels: Vec<String> = (0..12).map(|i| format!("entry-{i}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    for (labels, seconds, together) in [(&labels[..1], 500, 3), (&labels[..], 500, 4)] {
        let plan = sample::plan(labels, 1);
        let (_, charts) = charts_of(plan, |broker, trial| spread(seconds, broker, trial));
        let heat = charts.heat.unwrap();
        assert_eq!(heat.together, together);
        let said = format!("a cell of {together} seconds");
        assert!(heat.head.notes[0].contains(&said), "{:?}", heat.head.notes);
        for panel in &heat.panels {
            let columns = &panel.trials[0].columns;
            let kept = kept(&spread(seconds, panel.broker, 1));
            assert_eq!(columns.len(), kept.len().div_ceil(together));
            let sum = |all: &[Vec<(u64, u64)>]| all.concat().iter().map(|it| it.1).sum::<u64>();
            for (column, seconds) in drawn(columns).iter().zip(kept.chunks(together)) {
                assert_eq!(sum(std::slice::from_ref(column)), sum(seconds));
            }
        }
    }
}

#[test]
fn results_that_kept_no_cells_have_no_heat_map() {
    let without = |seconds: u32| {
        let (_, charts) = charts_of(sample::plan(&["nats"], 2), |broker, trial| {
            let mut record = spread(20, broker, trial);
            for second in record.series.iter_mut().skip(seconds as usize + 1) {
                second.cells = Cells::default();
            }
            record
        });
        charts.heat
    };
    assert_eq!(without(0), None);
    assert_eq!(without(1), None, "one second is no course of time");
    assert!(without(2).is_some());
}

#[test]
fn seconds_share_columns_as_few_as_fit() {
    assert_eq!(together(&[20; 5], 200), 1);
    assert_eq!(together(&[20; 11], 200), 2);
    assert_eq!(together(&[3_600], 200), 18);
    // 31 columns of 7 seconds and one of 3, seven times, are too many.
    let lengths = [220; 7];
    let found = together(&lengths, 200);
    let columns = |together: usize| {
        lengths
            .iter()
            .map(|it: &usize| it.div_ceil(together))
            .sum::<usize>()
    };
    assert!(columns(found) <= 200 && columns(found - 1) > 200, "{found}");
    assert_eq!(together(&[20; 500], 200), 20, "a column for each");
    assert_eq!(together(&[0], 200), 1);
}

#[test]
fn the_scale_of_colours_names_its_ends_and_what_is_between() {
    let named = |most| named_counts(most).iter().map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(named(1), [1]);
    assert_eq!(named(3), [1, 3]);
    assert_eq!(named(4_812), [1, 10, 100, 4_812]);
    assert_eq!(named(1_000_000), [1, 100, 10_000, 1_000_000]);
    assert_eq!(named(u64::MAX).last(), Some(&u64::MAX));
}

#[test]
fn the_axis_has_a_decade_at_least() {
    assert_eq!(rows([50u8, 70].into_iter()), Some([50, 70]));
    assert_eq!(rows([50u8].into_iter()), Some([46, 55]));
    assert_eq!(rows([0u8].into_iter()), Some([0, 9]));
    assert_eq!(rows([u8::MAX].into_iter()), Some([251, u8::MAX]));
    assert_eq!(rows(std::iter::empty::<u8>()), None);
}
