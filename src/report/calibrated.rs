//! The lines that reports and comparisons have of a machine's calibration.

use jiff::Timestamp;

use crate::results::Results;
use crate::results::calibration::Resolution;
use crate::stats::figure::Figure;
use crate::stats::shape::Shape;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{self, counted, percent};

/// What a report says of the machine's calibration: a line or two; none where there is none.
pub fn lines(results: &Results) -> Vec<String> {
    let Some(found) = &results.provenance.calibration else {
        return Vec::new();
    };
    let [p50, _, p99] = resolutions(&found.resolution);
    let age = age(&found.made, &results.manifest.started);
    let adds = match found.resolution.is_known() {
        true => format!(
            "without a broker mqbench itself adds up to {p50} (p50) and {p99} (p99); latencies that are closer are not \
             told apart"
        ),
        false => "the machine was never quiet enough to say what mqbench itself adds, and 20 µs stand for it".to_owned(),
    };
    let mut lines = vec![format!("calibrated {age}: {adds}")];
    let figure = Figure::headline(Shape::of(&results.plan.workload));
    let brokers = results.plan.brokers.iter();
    let mut seen = Vec::new();
    let noisy = brokers.filter_map(|broker| {
        let noise = found.noise_of(&broker.driver, &results.plan.scenario)?;
        let it = noise.figure(&figure.to_string())?;
        // Several entries may share a driver.
        if seen.contains(&&broker.driver) {
            return None;
        }
        seen.push(&broker.driver);
        let elsewhere = match noise.scenario == results.plan.scenario {
            true => String::new(),
            false => format!(" (scenario {})", printable(&noise.scenario)),
        };
        let finds = it.smallest_effect.map(|effect| {
            let trials = counted(noise.usual_trials as u64, "trial");
            format!(
                ", so that {trials} find differences from {} on",
                percent(effect)
            )
        });
        Some(format!(
            "equal trials of {}{elsewhere} differed by ±{} in {}{}",
            printable(&noise.broker),
            percent(it.noise),
            figure.short(),
            finds.unwrap_or_default()
        ))
    });
    let noisy: Vec<String> = noisy.collect();
    if !noisy.is_empty() {
        lines.push(noisy.join("; "));
    }
    lines
}

/// What the margins of a comparison owe to the machines of both sides; `None` where nothing was found about them.
pub fn margins(one: &Results, other: &Results) -> Option<String> {
    let found = [one, other].map(|it| it.provenance.calibration.as_ref());
    let calibrated = match found {
        [_, Some(found)] => format!(
            "the machine was calibrated {}",
            age(&found.made, &other.manifest.started)
        ),
        [Some(_), None] => "the machine was calibrated for the baseline".to_owned(),
        [None, None] => return None,
    };
    let alone = match found {
        [Some(_), Some(_)] => "",
        _ => " for one of the runs only",
    };
    Some(format!(
        "{calibrated}{alone}: no margin of a latency is less than what mqbench itself adds, nor than twice what equal \
         runs of the broker differed by, or 20 µs where there were none"
    ))
}

/// How long before a run it was made: `2h 00m before`.
fn age(made: &str, started: &str) -> String {
    match seconds_between(made, started) {
        None => "at a time that is not known".to_owned(),
        Some(seconds) if seconds < 0.0 => "after the run".to_owned(),
        Some(seconds) if seconds >= 172_800.0 => format!("{:.0} days before", seconds / 86_400.0),
        Some(seconds) => format!("{} before", numbers::span(seconds)),
    }
}

/// From one instant to another; `None` where one of them is none.
pub(super) fn seconds_between(from: &str, to: &str) -> Option<f64> {
    let (from, to) = (
        from.parse::<Timestamp>().ok()?,
        to.parse::<Timestamp>().ok()?,
    );
    Some(to.duration_since(from).as_secs_f64())
}

/// At p50, p95 and p99.
pub(super) fn resolutions(found: &Resolution) -> [String; 3] {
    [found.p50_ns, found.p95_ns, found.p99_ns].map(numbers::time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    #[test]
    fn a_report_says_it_in_two_lines() {
        let mut results = sample::begun(sample::plan(&["nats", "kafka"], 5));
        assert!(lines(&results).is_empty() && margins(&results, &results).is_none());
        results.provenance.calibration = Some(sample::calibration());
        let said = lines(&results);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("calibrated 2h 00m before"), "{said:?}");
        assert!(
            said[1].starts_with("equal trials of nats differed by ±8 % in p99"),
            "{said:?}"
        );
        let said = margins(&results, &results).unwrap();
        assert!(
            said.starts_with("the machine was calibrated 2h 00m before: "),
            "{said}"
        );
        let without = sample::begun(sample::plan(&["nats"], 5));
        for (one, other) in [(&results, &without), (&without, &results)] {
            let said = margins(one, other).unwrap();
            assert!(said.contains("for one of the runs only"), "{said}");
        }
        let calibration = results.provenance.calibration.as_mut().unwrap();
        let noise = &mut calibration.noise[0];
        noise.invalid = Some("saturated".to_owned());
        assert_eq!(
            lines(&results).len(),
            1,
            "figures that do not count are not told"
        );
        let calibration = results.provenance.calibration.as_mut().unwrap();
        calibration.resolution = Resolution::default();
        let said = lines(&results).remove(0);
        assert!(
            said.contains("never quiet enough") && !said.contains("adds up to"),
            "{said}"
        );
    }

    #[test]
    fn ages_are_told_and_impossible_ones_are_no_panic() {
        let made = "2026-11-20T19:04:00+01:00";
        assert_eq!(age(made, "2026-11-20T18:04:30+00:00"), "30 s before");
        assert_eq!(age(made, "2026-11-24T19:04:00+01:00"), "4 days before");
        assert_eq!(age(made, "2026-11-19T19:04:00+01:00"), "after the run");
        assert_eq!(age("yesterday", made), "at a time that is not known");
    }
}
