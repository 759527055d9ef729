//! How a trial went over time: where it paused, and what grew or fell from its beginning to its end.

use crate::measure::record::{Record, Second};
use crate::plan::Plan;
use crate::results::course::{Course, Drift, Drifting, Pause, PauseKind};
use crate::scenario::workload::Load;

use super::median::median;
use super::slope::slope;

/// The most pauses that are kept of a trial.
const MOST: usize = 100;
/// A second is slow where its p99 is so many times the median p99 of its neighbours…
const TIMES: f64 = 5.0;
/// …and above it by this much, nanoseconds.
const ABOVE: f64 = 10e6;
/// Neighbours that are looked at on either side, and the least that must be known.
const NEIGHBOURS: usize = 10;
const LEAST_KNOWN: usize = 5;
/// A change over the measured part that is less than this share of the median value matters to nobody.
const SHARE: f64 = 0.10;
/// Memory that grows by less than this, bytes, is no leak that could be told from caches that fill.
const LEAST_MEMORY: f64 = (4 << 20) as f64;
/// A backlog that grows by less than this, messages, is a queue as any.
const LEAST_BACKLOG: f64 = 10.0;
/// What has fallen to less than this share of its slope in the second half levels off.
const LASTING: f64 = 0.25;

/// Looks at the seconds and gaps of a trial.
pub fn look(record: &Record, plan: &Plan) -> Course {
    let seconds: Vec<&Second> = measured(record).collect();
    let mut pauses = silent(record);
    pauses.extend(slow(&seconds, &pauses, plan));
    pauses.sort_by(|a, b| a.at.total_cmp(&b.at));
    let in_all = pauses.len() as u64;
    if pauses.len() > MOST {
        let mut lengths: Vec<f64> = pauses.iter().map(|it| it.seconds).collect();
        lengths.sort_by(f64::total_cmp);
        let least = lengths[lengths.len() - MOST];
        pauses.retain(|it| it.seconds >= least);
        pauses.truncate(MOST);
    }
    // Steps of rate change everything, and are meant to.
    let steady = !matches!(plan.workload.load, Load::Steps { .. });
    Course {
        pauses,
        pauses_in_all: in_all,
        drifts: match steady {
            true => drifts(&seconds, plan),
            false => Vec::new(),
        },
    }
}

/// The whole seconds of the measured part.
fn measured(record: &Record) -> impl Iterator<Item = &Second> {
    const SLACK: f64 = 0.1;
    let end = record.seconds + SLACK;
    let seconds = record.series.iter();
    seconds.filter(move |it| it.at > SLACK && it.at <= end)
}

/// The gaps, those of several groups at once as one.
fn silent(record: &Record) -> Vec<Pause> {
    let mut gaps: Vec<[f64; 2]> = record
        .gaps
        .iter()
        .map(|it| [it.at, it.at + it.seconds])
        .collect();
    gaps.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let mut joined: Vec<[f64; 2]> = Vec::new();
    for gap in gaps {
        match joined.last_mut() {
            Some(last) if gap[0] < last[1] => last[1] = last[1].max(gap[1]),
            _ => joined.push(gap),
        }
    }
    let pause = |[from, to]: [f64; 2]| Pause {
        at: from,
        seconds: to - from,
        kind: PauseKind::Silent,
        p99: None,
    };
    joined.into_iter().map(pause).collect()
}

/// Seconds far above their neighbours, neighbouring ones as one; but those in which a gap has been found already.
fn slow(seconds: &[&Second], silent: &[Pause], plan: &Plan) -> Vec<Pause> {
    let p99 = |second: &Second| p99_of(second, plan);
    let mut found: Vec<Pause> = Vec::new();
    for (place, second) in seconds.iter().enumerate() {
        let Some(own) = p99(second) else { continue };
        let around = place.saturating_sub(NEIGHBOURS)..(place + NEIGHBOURS + 1).min(seconds.len());
        let neighbours = around.filter(|it| *it != place);
        let known: Vec<f64> = neighbours
            .filter_map(|it| p99(seconds[it]))
            .map(|it| it as f64)
            .collect();
        let usual = match known.len() >= LEAST_KNOWN {
            true => median(known),
            false => None,
        };
        let Some(usual) = usual else { continue };
        let (from, to) = (second.at - 1.0, second.at);
        // What waited through a gap arrives late in the second that follows it, too.
        let explained = silent
            .iter()
            .any(|it| it.at < to && it.at + it.seconds > from - 1.0);
        if explained || (own as f64) < TIMES * usual || (own as f64) < usual + ABOVE {
            continue;
        }
        match found.last_mut() {
            Some(last) if from - (last.at + last.seconds) < 0.5 => {
                last.seconds = to - last.at;
                last.p99 = last.p99.max(Some(own));
            }
            _ => found.push(Pause {
                at: from.max(0.0),
                seconds: to - from.max(0.0),
                kind: PauseKind::Slow,
                p99: Some(own),
            }),
        }
    }
    found
}

/// p99 of a second: of receipt, or of publishing where nothing is consumed.
fn p99_of(second: &Second, plan: &Plan) -> Option<u64> {
    let latency = match plan.workload.consumers {
        0 => second.publish,
        _ => second.latency,
    };
    latency.map(|it| it[1])
}

/// Of each figure that a second has, where there are seconds enough.
fn drifts(seconds: &[&Second], plan: &Plan) -> Vec<Drift> {
    let count = |second: &Second| match plan.workload.consumers {
        0 => second.sent,
        _ => second.received,
    };
    type Figure<'a> = (Drifting, &'a dyn Fn(&Second) -> Option<f64>, f64);
    let figures: [Figure; 4] = [
        (
            Drifting::Latency,
            &|it| p99_of(it, plan).map(|it| it as f64),
            0.0,
        ),
        (Drifting::Throughput, &|it| Some(count(it) as f64), 0.0),
        (
            Drifting::BrokerMemory,
            &|it| Some(it.rss[1] as f64).filter(|it| *it > 0.0),
            LEAST_MEMORY,
        ),
        (
            Drifting::Backlog,
            &|it| Some(it.server_backlog.unwrap_or(it.backlog) as f64),
            LEAST_BACKLOG,
        ),
    ];
    figures
        .into_iter()
        .filter_map(|(of, value, least)| {
            let known = seconds.iter().filter_map(|it| Some((it.at, value(it)?)));
            let known: Vec<(f64, f64)> = known.collect();
            drift(of, &known, least)
        })
        .collect()
}

fn drift(of: Drifting, series: &[(f64, f64)], least: f64) -> Option<Drift> {
    const HOUR: f64 = 3600.0;
    let slope = slope(series)?;
    let change = slope.estimate * slope.span;
    let share = change / slope.typical.abs().max(f64::MIN_POSITIVE);
    let is_sure = slope.low > 0.0 || slope.high < 0.0;
    let lasts = slope.later * slope.estimate.signum() >= LASTING * slope.estimate.abs();
    Some(Drift {
        of,
        per_hour: slope.estimate * HOUR,
        low: finite(slope.low * HOUR),
        high: finite(slope.high * HOUR),
        share: finite(share),
        called: is_sure && lasts && share.abs() >= SHARE && change.abs() >= least,
    })
}

/// Results are stored as JSON, which has no infinity.
fn finite(value: f64) -> f64 {
    value.clamp(-f64::MAX, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::record::Gap;
    use crate::results::sample;

    fn plan() -> Plan {
        sample::plan(&["nats"], 1)
    }

    /// A trial of so many seconds; `change` gets the number of each, from 1.
    fn record(seconds: u32, change: impl Fn(f64, &mut Second)) -> Record {
        let second = |number: u32| {
            let mut second = Second {
                at: f64::from(number),
                sent: 5000,
                received: 5000 + u64::from(number * 7919 % 13),
                latency: Some([
                    100_000,
                    400_000 + u64::from(number * 7919 % 101) * 500,
                    2_000_000,
                ]),
                rss: [20 << 20, 50 << 20],
                ..Second::default()
            };
            change(f64::from(number), &mut second);
            second
        };
        Record {
            series: (1..=seconds).map(second).collect(),
            seconds: f64::from(seconds),
            ..Record::default()
        }
    }

    fn called(record: &Record) -> Vec<Drifting> {
        let drifts = look(record, &plan()).drifts;
        drifts
            .iter()
            .filter(|it| it.called)
            .map(|it| it.of)
            .collect()
    }

    #[test]
    fn a_steady_trial_has_neither_pauses_nor_drifts() {
        let course = look(&record(300, |_, _| {}), &plan());
        assert!(course.pauses.is_empty());
        assert_eq!(course.drifts.len(), 4);
        assert!(course.drifts.iter().all(|it| !it.called), "{course:?}");
    }

    #[test]
    fn a_leak_is_called_with_its_rate_and_a_cache_that_fills_is_not() {
        let leak = record(600, |t, second| {
            second.rss[1] = (50 << 20) + (t * 20_000.0) as u64
        });
        assert_eq!(called(&leak), [Drifting::BrokerMemory]);
        let drift = look(&leak, &plan()).drifts[2];
        assert!((drift.per_hour - 72e6).abs() < 0.5e6, "{drift:?}");
        let fills = record(600, |t, second| {
            second.rss[1] = (50 << 20) + (60e6 * (1.0 - (-t / 50.0).exp())) as u64;
        });
        assert_eq!(called(&fills), []);
        let small = record(600, |t, second| {
            second.rss[1] = (5 << 20) + (t * 2_000.0) as u64
        });
        assert_eq!(called(&small), []);
    }

    #[test]
    fn latency_that_creeps_up_and_throughput_that_falls_are_called() {
        let creeps = record(600, |t, second| {
            if let Some(latency) = &mut second.latency {
                latency[1] += (t * 200.0) as u64;
            }
            second.received -= (t * 2.0) as u64;
            second.backlog = (t * 2.0) as u64;
        });
        let expected = [Drifting::Latency, Drifting::Throughput, Drifting::Backlog];
        assert_eq!(called(&creeps), expected);
    }

    #[test]
    fn gaps_of_several_groups_at_once_are_one_pause() {
        let mut record = record(30, |_, _| {});
        let gap = |at, seconds| Gap { at, seconds };
        record.gaps = vec![gap(20.0, 0.5), gap(3.0, 1.0), gap(3.2, 1.1)];
        let pauses = look(&record, &plan()).pauses;
        let found: Vec<(f64, f64)> = pauses.iter().map(|it| (it.at, it.seconds)).collect();
        assert_eq!(found.len(), 2);
        assert!((found[0].1 - 1.3).abs() < 1e-9 && found[1] == (20.0, 0.5));
    }

    #[test]
    fn seconds_far_above_their_neighbours_are_slow_unless_a_gap_explains_them() {
        let mut record = record(60, |t, second| {
            if [20.0, 21.0, 40.0].contains(&t) {
                second.latency = Some([100_000, 50_000_000, 80_000_000]);
            }
        });
        let slow = look(&record, &plan()).pauses;
        assert_eq!(slow.len(), 2, "{slow:?}");
        assert_eq!((slow[0].at, slow[0].seconds), (19.0, 2.0));
        assert_eq!(
            (slow[1].kind, slow[1].p99),
            (PauseKind::Slow, Some(50_000_000))
        );
        record.gaps = vec![Gap {
            at: 39.3,
            seconds: 0.2,
        }];
        let both = look(&record, &plan()).pauses;
        let kinds: Vec<PauseKind> = both.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, [PauseKind::Slow, PauseKind::Silent]);
    }

    #[test]
    fn of_very_many_pauses_the_longest_are_kept_and_all_are_counted() {
        let mut record = record(30, |_, _| {});
        let gap = |i: u32| Gap {
            at: f64::from(i),
            seconds: 0.2 + f64::from(i % 7) / 100.0,
        };
        record.gaps = (0..1000).map(gap).collect();
        let course = look(&record, &plan());
        assert_eq!((course.pauses.len(), course.pauses_in_all), (100, 1000));
        assert!(course.pauses.iter().all(|it| it.seconds > 0.25));
    }
}
