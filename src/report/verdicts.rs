//! How the figures, ratios and verdicts of a comparison are written.

use crate::stats::change::Change;
use crate::stats::compare::{Compared, Overall, Pair, Verdict};
use crate::stats::figure::Figure;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;

/// As files name it.
pub fn change_name(change: Change) -> &'static str {
    match change {
        Change::Regressed => "regressed",
        Change::Improved => "improved",
        Change::Unchanged => "unchanged",
        Change::Inconclusive => "inconclusive",
    }
}

/// As files name it.
pub fn overall_name(pair: &Pair) -> &'static str {
    match pair.overall() {
        Overall::Invalid => "invalid",
        Overall::Judged(change) => change_name(change),
    }
}

/// As files name it.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotMeasured => "not-measured",
        Verdict::Invalid => "invalid",
        Verdict::Blurred => "instrument-limited",
        Verdict::Judged(change) => change_name(change),
    }
}

/// A figure as a person reads it.
pub fn value(figure: Figure, value: Option<f64>) -> String {
    let Some(value) = value else {
        return numbers::NONE.to_owned();
    };
    match figure {
        _ if value.is_infinite() => "lost".to_owned(),
        Figure::Sent | Figure::Received => numbers::rate(value),
        Figure::Latency(..) => numbers::time(value),
        Figure::BrokerCpu | Figure::ClientCpu => numbers::time(value * 1e3),
    }
}

/// `1.04`, `12`.
pub fn ratio(ratio: Option<f64>) -> String {
    match ratio {
        None => numbers::NONE.to_owned(),
        Some(infinite) if infinite.is_infinite() => "∞".to_owned(),
        Some(large) if large >= 9.995 => format!("{large:.0} ×"),
        Some(ratio) => format!("{ratio:.2} ×"),
    }
}

/// `0.97 to 1.04`.
pub fn interval(it: &Compared) -> String {
    let bare = |end: f64| ratio(Some(end)).trim_end_matches(" ×").to_owned();
    match it.decision.interval {
        Some((low, high)) => format!("{} to {}", bare(low), bare(high)),
        None => numbers::NONE.to_owned(),
    }
}

/// How many trials of both sides, or of each.
pub fn trials(it: &Compared) -> String {
    match it.trials {
        (one, other) if one == other => one.to_string(),
        (one, other) => format!("{one}, {other}"),
    }
}

/// `5 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent < 9.95 && percent.fract() > 0.05 {
        true => format!("{percent:.1} %"),
        false => format!("{percent:.0} %"),
    }
}

/// Which brokers are compared with the baseline's program as it was measured again, if any, and which are not.
pub fn interleaved(pairs: &[Pair]) -> Option<String> {
    let labels = |interleaved: bool| -> Vec<String> {
        let those = pairs.iter().filter(|it| it.interleaved == interleaved);
        those.map(|it| printable(&it.label)).collect()
    };
    let (again, old) = (labels(true), labels(false));
    let rest = match old.is_empty() {
        true => String::new(),
        false => format!(
            "; {} with the figures of the baseline",
            numbers::listed(&old)
        ),
    };
    let of = numbers::listed(&again);
    (!again.is_empty()).then(|| {
        format!(
            "{of} compared with the baseline's program, measured again beside the candidate in the same \
             blocks{rest}"
        )
    })
}

/// For which brokers the machine was faster or slower when the other side was measured, by how much at most, and what helps;
/// `None` where it was for none.
pub fn drifting(pairs: &[Pair]) -> Option<String> {
    let paces = pairs.iter().filter_map(|it| Some((it, it.pace?)));
    let paces: Vec<(String, f64)> = paces
        .filter(|(_, pace)| pace.is_other)
        .map(|(it, pace)| (printable(&it.label), pace.ratio))
        .collect();
    let far = |pace: f64| pace.ln().abs();
    let most = paces.iter().map(|it| it.1);
    let most = most.max_by(|a, b| far(*a).total_cmp(&far(*b)))?;
    let labels: Vec<String> = paces.into_iter().map(|it| it.0).collect();
    let how = match most > 1.0 {
        true => format!(
            "slower (the same piece of work took {} longer)",
            percent(most - 1.0)
        ),
        false => format!(
            "faster (the same piece of work took {} less time)",
            percent(1.0 - most)
        ),
    };
    let up_to = if labels.len() > 1 { "up to " } else { "" };
    Some(format!(
        "{}: the machine itself was {up_to}{how} when the second was measured, so nothing is called but what holds \
         whether or not that made the difference; more trials do not help, measuring both in the same blocks does \
         (`run --baseline`)",
        numbers::listed(&labels)
    ))
}
