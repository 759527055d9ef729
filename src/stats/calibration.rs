//! What runs without a broker say of the harness, and equal runs of the noise.

use crate::measure::latency::Kind;
use crate::results::calibration::{Capacity, FigureNoise, Noise, Paced, Resolution, Said, Taken};
use crate::results::{Attempt, Calibration, Results};

use super::change::{Change, recommended, smallest_effect};
use super::compare::{Margin, Verdict, pair};
use super::figure::Figure;
use super::group::Group;
use super::median::median;
use super::shape::Shape;

/// The rate at which the harness says from where on latencies are told apart, messages per second: that of the
/// built-in scenarios.
pub const REFERENCE: f64 = 5_000.0;

/// The harness at each rate of a sweep.
pub fn paced(sweep: &Results) -> Vec<Paced> {
    let at_rate = |(point, rate): (usize, &crate::scenario::units::Rate)| {
        let group = Group::at(sweep, 0, point);
        let trials = counted(&group);
        let of = |kind, percent| median_of(&trials, Figure::Latency(kind, percent));
        Paced {
            per_second: rate.0,
            trials: trials.len(),
            lateness_p50_ns: of(Kind::Lateness, 50.0),
            lateness_p99_ns: of(Kind::Lateness, 99.0),
            end_to_end_p50_ns: of(Kind::EndToEnd, 50.0),
            end_to_end_p99_ns: of(Kind::EndToEnd, 99.0),
            cpu_ns: cpu(&trials),
        }
    };
    let rates = sweep.plan.sweep.iter().enumerate();
    rates.map(at_rate).collect()
}

/// The harness as fast as it goes.
pub fn capacity(closed: &Results) -> Capacity {
    let group = Group::of(closed, 0);
    let trials = counted(&group);
    Capacity {
        per_second: median_of(&trials, Figure::Received),
        cpu_ns: cpu(&trials),
    }
}

/// What the harness itself adds to a latency, in the slowest of the trials at the [`REFERENCE`] rate: two
/// latencies that are closer may be the same one. Trials that others disturbed say nothing of that.
pub fn resolution(sweep: &Results) -> Resolution {
    let rates = sweep.plan.sweep.iter();
    let point = rates.zip(0..).find(|(rate, _)| rate.0 == REFERENCE);
    let group = Group::at(sweep, 0, point.map_or(0, |(_, point)| point));
    let trials = quiet(&group);
    let adds = |percent| {
        let figure = Figure::Latency(Kind::EndToEnd, percent);
        let values = trials.iter().map(|it| figure.value(it));
        // A trial that does not say is not one that adds nothing.
        let values: Option<Vec<f64>> = values.collect();
        values?.into_iter().max_by(f64::total_cmp)
    };
    Resolution::found([50.0, 95.0, 99.0].map(adds))
}

/// What others took while these runs were measured, attempts that were disturbed and repeated included.
pub fn taken<'a>(runs: impl IntoIterator<Item = &'a Results>) -> Taken {
    let (mut capacity, mut steal, mut others) = (0.0, 0.0, 0.0);
    for attempt in runs.into_iter().flat_map(|run| &run.attempts) {
        capacity += attempt.usage.capacity_s;
        steal += attempt.usage.steal_s;
        others += attempt.usage.outside_s();
    }
    match capacity > 0.0 {
        true => Taken {
            steal: steal / capacity,
            others: others / capacity,
        },
        false => Taken::default(),
    }
}

/// How much equal trials differ, from equal runs of one broker on a machine of which the harness is known.
/// `usual_trials` are those of a usual run of the scenario. `None` of no run.
pub fn noise(mut runs: Vec<Results>, harness: &Calibration, usual_trials: usize) -> Option<Noise> {
    let first = runs.first()?;
    let groups: Vec<Group> = runs.iter().map(|run| Group::of(run, 0)).collect();
    let broker = first.plan.brokers.first()?;
    let label = broker.label.clone();
    let provenance = first.provenance.broker(0);
    let figures = Figure::of(Shape::of(&first.plan.workload));
    let lengths = groups.iter().flat_map(|it| it.used()).map(|it| it.seconds);
    let known = figures
        .iter()
        .filter_map(|figure| of_figure(*figure, &groups));
    let mut noise = Noise {
        broker: label.clone(),
        driver: broker.driver.clone(),
        server_version: provenance.and_then(|it| it.server_version.clone()),
        scenario: first.plan.scenario.clone(),
        workload: first.plan.workload.clone(),
        made: first.manifest.started.clone(),
        runs: runs.len(),
        trials: groups.iter().map(|it| it.used().len()).max().unwrap_or(0),
        seconds: median(lengths).unwrap_or(0.0),
        usual_trials,
        figures: known.collect(),
        invalid: groups.iter().find_map(why_invalid),
    };
    // What the gate says is what it would say on a machine of which all this is known.
    for run in &mut runs {
        let mut machine = harness.clone();
        machine.noise = vec![noise.clone()];
        run.provenance.calibration = Some(machine);
    }
    let groups: Vec<Group> = runs.iter().map(|run| Group::of(run, 0)).collect();
    let margin = Margin {
        asked: None,
        resolution: groups.first()?.resolution,
    };
    for it in &mut noise.figures {
        let Some(figure) = figures
            .iter()
            .find(|figure| figure.to_string() == it.figure)
        else {
            continue;
        };
        let metrics = figures.len();
        it.margin = margin.of(*figure, Some(it.median));
        it.smallest_effect = smallest_effect(it.noise, it.margin, metrics, usual_trials);
        it.trials_needed = recommended(it.noise, it.margin, metrics, false);
    }
    for two in groups.windows(2) {
        let side = |at: usize| (label.clone(), two[at].clone());
        let pair = pair(side(0), side(1), &figures, None, false);
        for (compared, verdict) in pair.verdicts() {
            let name = compared.figure.to_string();
            if let Some(it) = noise.figures.iter_mut().find(|it| it.figure == name) {
                it.said.hear(verdict);
            }
        }
    }
    Some(noise)
}

/// Why the trials of a run do not count, if they do not.
fn why_invalid(group: &Group) -> Option<String> {
    if group.is_valid() {
        return None;
    }
    let example = group.example().map(|it| {
        let (outcome, reason) = (it.verdict.outcome.name(), &it.verdict.reason);
        format!("{outcome}: {reason}")
    });
    Some(example.unwrap_or_else(|| "no trial was made".to_owned()))
}

/// How much one figure differs, before anything is judged by it; `None` where it was not measured, or the generator
/// was late itself.
fn of_figure(figure: Figure, groups: &[Group]) -> Option<FigureNoise> {
    let mut runs: Vec<Vec<f64>> = Vec::new();
    for group in groups {
        if group.used().iter().any(|it| figure.is_blurred(it)) {
            return None;
        }
        let values = group.judged(figure).into_iter();
        runs.push(values.filter(|it| it.is_finite()).collect());
    }
    let medians = runs.iter().map(|run| median(run.iter().copied()));
    let medians: Vec<f64> = medians.collect::<Option<_>>()?;
    let extreme =
        |order: fn(&f64, &f64) -> std::cmp::Ordering| medians.iter().copied().max_by(order);
    let runs_ratio = extreme(f64::total_cmp)? / extreme(|a, b| b.total_cmp(a))?;
    Some(FigureNoise {
        figure: figure.to_string(),
        percent: match figure {
            Figure::Latency(_, percent) => Some(percent),
            _ => None,
        },
        noise: within(&runs)?,
        median: median(runs.into_iter().flatten())?,
        runs_ratio,
        margin: figure.margin(),
        smallest_effect: None,
        trials_needed: None,
        said: Said::default(),
    })
}

/// Standard deviation of the logarithms within runs; `None` where no run has two values.
fn within(runs: &[Vec<f64>]) -> Option<f64> {
    let (mut squares, mut free) = (0.0, 0);
    for run in runs.iter().filter(|run| run.len() > 1) {
        let logs: Vec<f64> = run.iter().map(|it| it.ln()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        squares += logs.iter().map(|it| (it - mean).powi(2)).sum::<f64>();
        free += logs.len() - 1;
    }
    let noise = (squares / free as f64).sqrt();
    (free > 0 && noise.is_finite()).then_some(noise)
}

impl Said {
    /// Counts a word about two equal runs.
    fn hear(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Judged(Change::Unchanged) => self.unchanged += 1,
            Verdict::Judged(Change::Regressed | Change::Improved) => self.changed += 1,
            Verdict::Judged(Change::Inconclusive) => self.inconclusive += 1,
            Verdict::NotMeasured | Verdict::Invalid | Verdict::Blurred => {}
        }
    }
}

/// The trials that are *ok* and were not disturbed.
fn quiet<'a>(group: &Group<'a>) -> Vec<&'a Attempt> {
    let quiet = group.ok.iter().filter(|it| it.disturbed.is_none());
    quiet.copied().collect()
}

/// The trials that say most of what the harness can: those that are quiet, or *ok*, or all.
fn counted<'a>(group: &Group<'a>) -> Vec<&'a Attempt> {
    let quiet = quiet(group);
    match quiet.is_empty() {
        true => group.used().to_vec(),
        false => quiet,
    }
}

/// `None` where fewer than half of the trials have it.
fn median_of(trials: &[&Attempt], figure: Figure) -> Option<f64> {
    let values = trials.iter().filter_map(|it| figure.value(it));
    let values: Vec<f64> = values.filter(|it| it.is_finite()).collect();
    match 2 * values.len() > trials.len() {
        true => median(values),
        false => None,
    }
}

/// CPU time of the harness for each message, nanoseconds.
fn cpu(trials: &[&Attempt]) -> Option<f64> {
    median_of(trials, Figure::ClientCpu).map(|microseconds| microseconds * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::percentile::Percentile;
    use crate::measure::record::Record;
    use crate::measure::resources::{Cause, Disturbance};
    use crate::results::sample;

    /// Equal runs of five trials, but for what `change` does to the trial of a run; both count from 0.
    fn runs(count: usize, change: impl Fn(&mut Record, usize, u32)) -> Vec<Results> {
        let run = |run: usize| {
            let plan = sample::plan(&["nats"], 5);
            sample::run(plan, &[200e3], |record, _, trial| {
                change(record, run, trial - 1)
            })
        };
        (0..count).map(run).collect()
    }

    fn found(runs: Vec<Results>) -> Noise {
        noise(runs, &sample::calibration(), 5).unwrap()
    }

    #[test]
    fn the_noise_is_that_within_runs_and_runs_that_differ_are_told_apart_from_it() {
        let equal = found(runs(3, |_, _, _| {}));
        assert_eq!((equal.runs, equal.trials, equal.invalid), (3, 5, None));
        let p50 = equal
            .figures
            .iter()
            .find(|it| it.figure == "p50(end_to_end)");
        let p50 = p50.unwrap().clone();
        // The medians of the sample are spread evenly over 8 %.
        assert!((0.02..0.04).contains(&p50.noise), "{p50:?}");
        assert!((p50.runs_ratio - 1.0).abs() < 1e-9, "{p50:?}");
        assert_eq!(p50.said.changed, 0);
        assert_eq!(p50.said.unchanged + p50.said.inconclusive, 2);

        let mut shifted = runs(3, |_, _, _| {});
        sample::stretch(&mut shifted[1], 0, 1.5);
        let shifted = found(shifted);
        let it = shifted
            .figures
            .iter()
            .find(|it| it.figure == "p50(end_to_end)");
        let it = it.unwrap();
        assert!((it.noise - p50.noise).abs() < 1e-3, "{it:?}");
        assert!((it.runs_ratio - 1.5).abs() < 0.01, "{it:?}");
        assert_eq!(it.said.changed, 2, "what equal runs are called is shown");
    }

    #[test]
    fn more_noise_takes_more_trials() {
        let of = |spread: f64| {
            let mut runs = runs(2, |_, _, _| {});
            for (i, attempt) in runs.iter_mut().flat_map(|it| &mut it.attempts).enumerate() {
                attempt.rates.received = 5e3 * (1.0 - spread * (i % 5) as f64);
            }
            found(runs).figures[0].clone()
        };
        let (quiet, wild) = (of(0.001), of(0.1));
        assert_eq!(quiet.figure, "received/s");
        assert!(wild.noise > 20.0 * quiet.noise);
        assert!(wild.trials_needed > quiet.trials_needed);
        assert!(wild.smallest_effect > quiet.smallest_effect);
    }

    #[test]
    fn trials_that_do_not_count_are_said_and_single_ones_show_no_noise() {
        let mut broken = runs(2, |_, _, _| {});
        sample::saturate(&mut broken[1], 0);
        let broken = found(broken);
        assert!(
            broken
                .invalid
                .unwrap()
                .starts_with("saturated: backlog grew")
        );
        let plan = sample::plan(&["nats"], 1);
        let single = sample::run(plan, &[200e3], |_, _, _| {});
        assert!(found(vec![single]).figures.is_empty());
        assert!(noise(Vec::new(), &sample::calibration(), 5).is_none());
    }

    /// A sweep over loopback whose trials take `median` nanoseconds.
    fn sweep(median: f64) -> Results {
        let plan = sample::swept(sample::plan(&["loopback"], 3), &[1e3, REFERENCE, 1e5]);
        sample::run(plan, &[median], |_, _, _| {})
    }

    fn disturbance() -> Option<Disturbance> {
        Some(Disturbance {
            cause: Cause::Steal,
            share: 0.4,
        })
    }

    #[test]
    fn each_rate_has_its_medians_and_the_slowest_trial_is_the_resolution() {
        let mut sweep = sweep(4_000.0);
        let paced = paced(&sweep);
        let rates: Vec<f64> = paced.iter().map(|it| it.per_second).collect();
        assert_eq!(rates, [1e3, 5e3, 1e5]);
        assert!(
            paced
                .iter()
                .all(|it| it.trials == 3 && it.lateness_p50_ns.is_some())
        );
        let found = resolution(&sweep);
        assert!(
            found.p50_ns >= paced[1].end_to_end_p50_ns.unwrap(),
            "{found:?}"
        );
        assert!(found.p50_ns < found.p95_ns && found.p95_ns < found.p99_ns);

        // A disturbed trial does not say what the harness can.
        let slow = sweep.attempts.iter_mut().rfind(|it| it.point == 1).unwrap();
        for summary in slow.latencies.values_mut() {
            let late = Percentile::Value(900_000);
            summary.percentiles = [late; 6];
        }
        assert_eq!(resolution(&sweep).p50_ns, 900e3);
        let slow = sweep.attempts.iter_mut().rfind(|it| it.point == 1).unwrap();
        slow.disturbed = disturbance();
        assert_eq!(resolution(&sweep), found);
        for attempt in &mut sweep.attempts {
            attempt.disturbed = disturbance();
        }
        assert_eq!(
            resolution(&sweep),
            Resolution::default(),
            "nothing is known"
        );
    }

    #[test]
    fn a_harness_that_measured_nothing_says_nothing() {
        let plan = sample::plan(&["loopback"], 3);
        let nothing = sample::run(plan, &[4_000.0], |record, _, _| *record = Record::default());
        assert_eq!(capacity(&nothing).per_second, None);
        assert_eq!(resolution(&nothing), Resolution::default());
        assert_eq!(taken([&nothing]), Taken::default());
    }

    #[test]
    fn what_others_took_is_a_share_of_all() {
        let plan = sample::plan(&["loopback"], 2);
        let run = sample::run(plan, &[4_000.0], |record, _, trial| {
            record.usage.steal_s = f64::from(trial);
            record.usage.foreign_s = 2.0;
        });
        let found = taken([&run]);
        // 40 s of CPU time in each of two trials.
        assert!((found.steal - 3.0 / 80.0).abs() < 1e-9, "{found:?}");
        assert!((found.others - 4.0 / 80.0).abs() < 1e-9, "{found:?}");
    }
}
