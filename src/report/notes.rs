//! What stands under the table: what its figures are, who is ahead and how surely, the thresholds.

use crate::measure::latency::Kind;
use crate::results::Results;
use crate::results::model::{Judged, Judgement, Observed};
use crate::scenario::threshold::{Count, Metric};
use crate::scenario::workload::Delivery;
use crate::stats::change::{self, CONFIDENCE, Decision, Trials, decide};
use crate::stats::figure::Figure;
use crate::stats::group::Group;
use crate::stats::shape::Shape;
use crate::stats::shift::least;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;

use super::rows::Row;
use super::table::{BEST, BLURRED, Comparison, INVALID, gives, gives_more};

/// What the figures are, and what the marks mean.
pub fn notes(comparison: &Comparison) -> Vec<String> {
    let mut notes = vec![what(comparison)];
    notes.extend(legend(comparison));
    notes.extend(ahead(comparison));
    notes.extend(guarantees(comparison));
    notes.extend(comparison.rows.iter().flat_map(about));
    notes
}

/// Where brokers do not give the same, and who does not take part.
pub(super) fn guarantees(comparison: &Comparison) -> Vec<String> {
    let mut notes: Vec<String> = unequal(comparison).into_iter().collect();
    notes.extend(left_out(comparison));
    notes.extend(more(comparison));
    notes
}

/// What a reader of one broker's figures must know.
pub(super) fn about(row: &Row) -> Vec<String> {
    let mut notes = Vec::new();
    let label = printable(&row.broker.label);
    let note = &row.broker.offer.note;
    if !note.is_empty() {
        notes.push(format!("{label}: {}", printable(note)));
    }
    if row.broker.tls.is_some() {
        notes.push(format!(
            "{label}: connections are encrypted: compare it with others that are"
        ));
    }
    let provenance = row.results.provenance.broker(row.place);
    if let Some(container) = provenance.and_then(|it| it.server_container.as_ref()) {
        notes.push(format!(
            "{label}: in a container of {} ({}), through a port that the engine forwards: compare it with others in containers",
            printable(&container.engine),
            printable(&container.image)
        ));
    }
    notes.extend(noted(row));
    notes
}

/// What was noted in the trials of a broker: each text once, and in how many trials where not in all.
fn noted(row: &Row) -> Vec<String> {
    let mut found: Vec<(&str, usize)> = Vec::new();
    let mut trials = 0;
    for attempt in row.results.standing_of(row.place) {
        trials += 1;
        for (i, note) in attempt.notes.iter().enumerate() {
            if attempt.notes[..i].contains(note) {
                continue;
            }
            match found.iter_mut().find(|(known, _)| *known == note) {
                Some((_, count)) => *count += 1,
                None => found.push((note, 1)),
            }
        }
    }
    let label = printable(&row.broker.label);
    let say = |(note, count): (&str, usize)| {
        let note = printable(note);
        match count == trials {
            true => format!("{label}: {note}"),
            false => format!("{label}: {note} (in {count} of {trials} trials)"),
        }
    };
    found.into_iter().map(say).collect()
}

/// That brokers do not do the same work, where the scenario asked for that by name.
fn unequal(comparison: &Comparison) -> Option<String> {
    let results = comparison.rows.first()?.results;
    results.plan.is_unequal().then(|| {
        "brokers were asked for different guarantees (rank_unequal): what one gives more costs it time"
            .to_owned()
    })
}

/// Who does not take part, and why.
fn left_out(comparison: &Comparison) -> Vec<String> {
    let results = comparison.rows.first().map(|row| row.results);
    let all = results.into_iter().flat_map(|it| &it.plan.left_out);
    all.map(|it| format!("left out: {}: {}", printable(&it.label), printable(&it.why)))
        .collect()
}

/// Who gives more than was asked, by what is given.
fn more(comparison: &Comparison) -> Vec<String> {
    let mut by_gift: Vec<(String, Vec<String>)> = Vec::new();
    for row in comparison.rows.iter().filter(|row| gives_more(row)) {
        let (gift, label) = (gives(row), printable(&row.broker.label));
        match by_gift.iter_mut().find(|(known, _)| *known == gift) {
            Some((_, labels)) => labels.push(label),
            None => by_gift.push((gift, vec![label])),
        }
    }
    let say = |(gift, labels): &(String, Vec<String>)| {
        let verbs = match labels.len() {
            1 => ["gives", "pays"],
            _ => ["give", "pay"],
        };
        let [give, pay] = verbs;
        let labels = numbers::listed(labels);
        format!("{labels} {give} more than was asked ({gift}) and {pay} for it in time")
    };
    by_gift.iter().map(say).collect()
}

/// What the figures of the table are.
pub(super) fn what(comparison: &Comparison) -> String {
    let latency = latency(comparison);
    let cpu = match comparison.shape {
        Shape::Latency(_) => "; CPU/msg is the broker's",
        _ => "",
    };
    let counted = match comparison.shape {
        Shape::Latency(Kind::Publish) | Shape::Throughput(Kind::Service) => "failed",
        _ => "lost",
    };
    format!("{latency}; medians over the valid trials{cpu}; {counted} is the sum of all trials")
}

/// From where to where the latency of the table is.
pub(super) fn latency(comparison: &Comparison) -> &'static str {
    match comparison.shape {
        Shape::Latency(Kind::Publish) => {
            "latency is publish, from the intended send time to the broker's acknowledgement"
        }
        Shape::Latency(Kind::RoundTrip) => {
            "latency is the round trip, from the intended send time to the reply"
        }
        Shape::Latency(_) => "latency is end to end, from the intended send time",
        Shape::Throughput(Kind::Service) => {
            "throughput at this window; service is from sending to the acknowledgement: a service time, not what a user waits"
        }
        Shape::Throughput(Kind::RoundTrip) => {
            "throughput at this window; the round trip is from sending to the reply: a service time, not what a user waits"
        }
        Shape::Throughput(_) => {
            "throughput at this window; transit is from sending to receipt: a service time, not what a user waits"
        }
        Shape::Drain => "a preloaded backlog was consumed",
    }
}

/// What the marks behind figures mean.
pub(super) fn legend(comparison: &Comparison) -> Option<String> {
    // A row without figures has dashes that mean something else, and says what.
    let printed = |text: &str| {
        let rows = comparison.rows.iter().zip(&comparison.figures);
        let mut measured = rows.filter(|(row, _)| row.rates.is_some());
        measured.any(|(_, figures)| figures.iter().any(|it| it.latency && it.text == text))
    };
    let mut legend = Vec::new();
    if comparison.has(BEST) {
        legend.push(format!("{BEST} best of its column"));
    }
    if comparison.has(INVALID) {
        legend.push(format!(
            "{INVALID} from trials that are not ok: not to be compared"
        ));
    }
    if comparison.has(BLURRED) {
        legend.push(format!(
            "{BLURRED} instrument-limited: the generator was late itself"
        ));
    }
    if printed("lost") {
        legend.push("lost: the percentile falls among messages that never arrived".to_owned());
    }
    if printed(numbers::NONE) {
        legend.push("– fewer than 50 samples lie beyond".to_owned());
    }
    (!legend.is_empty()).then(|| legend.join(" · "))
}

/// Who leads in the headline figure, by how much, and how sure that is.
pub(super) fn ahead(comparison: &Comparison) -> Option<String> {
    if !comparison.ranked {
        let several = comparison.rows.len() > 1;
        return several
            .then(|| "kinds of exactly-once are not alike, so they are not ranked".to_owned());
    }
    let headline = Figure::headline(comparison.shape);
    let title = headline.short();
    let lower = headline.lower_is_better();
    let (superlative, comparative) = match lower {
        true => ("lowest", "lower"),
        false => ("highest", "higher"),
    };
    let column = comparison
        .figures
        .first()?
        .iter()
        .position(|it| it.title == title)?;
    let mut ranked: Vec<(usize, f64)> = Vec::new();
    for (i, row) in comparison.rows.iter().enumerate() {
        let figure = &comparison.figures[i][column];
        if let (true, Some(value)) = (row.is_ranked() && !figure.blurred, figure.value) {
            ranked.push((i, if lower { value } else { -value }));
        }
    }
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let [(first, _), (second, _), ..] = ranked[..] else {
        return None;
    };
    let label = |i: usize| printable(&comparison.rows[i].broker.label);
    let values = |i: usize| -> Vec<f64> {
        let row = &comparison.rows[i];
        let group = Group::of(row.results, row.place);
        let used = group.used().iter();
        used.filter_map(|attempt| headline.value(attempt)).collect()
    };
    let (best, next) = (values(first), values(second));
    let trials = match best.len() == next.len() {
        true => format!("n = {}", best.len()),
        false => format!("n = {} and {}", best.len(), next.len()),
    };
    let found = change::Metric {
        trials: match lower {
            true => Trials::Independent(best, next),
            false => Trials::Independent(next, best),
        },
        margin: headline.margin(),
        lower_is_better: lower,
        usual_noise: None,
        drift: 0.0,
    };
    let found = decide(&[found]).pop()?;
    let estimate = found.ratio.filter(|ratio| ratio.is_finite())?;
    let (leader, other) = (label(first), label(second));
    if comparison.winner(column).is_none() {
        let ratio = format!("{estimate:.2}");
        let sure = sure(&found, &trials);
        return Some(format!(
            "{leader} and {other} have the same {title} as far as it is printed (ratio {ratio}, {sure})"
        ));
    }
    let known = format!("{leader} has the {superlative} {title}: ");
    let sentence = match found.interval {
        Some((low, _)) if low <= 1.0 => format!(
            "whether lastingly so is inconclusive (ratio to {other} {estimate:.2}, {})",
            sure(&found, &trials)
        ),
        _ => format!(
            "{} {comparative} than {other} ({})",
            numbers::times(estimate),
            sure(&found, &trials)
        ),
    };
    Some(format!("{known}{sentence}"))
}

/// How sure a ratio is.
fn sure(found: &Decision, trials: &str) -> String {
    match found.interval {
        None => {
            let least = least(false, CONFIDENCE);
            format!("{trials}: too few for an interval; {least} trials each would do")
        }
        Some((low, high)) => {
            let decimals = if high - low < 0.2 || low < 1.1 { 2 } else { 1 };
            // A trial in which the figure is lost leaves no end above.
            let high = match high.is_infinite() {
                true => "∞".to_owned(),
                false => format!("{high:.decimals$}"),
            };
            format!("95 % interval {low:.decimals$} to {high}, {trials}")
        }
    }
}

/// A threshold as a line: whether it is met, what it says, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdLine {
    /// Whether it is met.
    pub met: bool,
    /// As it was written.
    pub threshold: String,
    /// `worst: kafka 3.1 ms`.
    pub seen: String,
}

/// One line for each threshold.
pub fn thresholds(results: &Results) -> Vec<ThresholdLine> {
    let line = |judged: &Judged| {
        let label = |it: &Judgement| {
            let broker = results.plan.brokers.get(it.broker);
            let label = printable(broker.map_or("", |broker| &broker.label));
            match results.plan.sweep.get(it.point) {
                Some(rate) if results.plan.point.is_none() => format!("{label} at {rate}"),
                _ => label,
            }
        };
        let mut seen = match judged.brokers.first() {
            None => "no such broker".to_owned(),
            Some(worst) => {
                let what = if judged.brokers.len() > 1 {
                    "worst: "
                } else {
                    ""
                };
                let observed = observed(judged.threshold.metric, worst.observed);
                format!(
                    "{what}{} {observed}{}",
                    label(worst),
                    acknowledged(results, judged, worst)
                )
            }
        };
        let invalid: Vec<String> = judged
            .brokers
            .iter()
            .filter(|it| !it.valid)
            .map(label)
            .collect();
        if !invalid.is_empty() {
            seen.push_str(&format!("  ⚠ not valid for {}", invalid.join(", ")));
        }
        ThresholdLine {
            met: judged.met,
            threshold: printable(&judged.threshold.to_string()),
            seen,
        }
    };
    results.thresholds.iter().map(line).collect()
}

/// What a threshold was held against, as a person reads it.
pub(super) fn observed(metric: Metric, observed: Observed) -> String {
    match (observed, metric) {
        (Observed::Value(seconds), Metric::Latency(..)) => numbers::time(seconds * 1e9),
        (Observed::Value(count), Metric::Count(_)) => numbers::count(count as u64),
        (Observed::Value(rate), Metric::Throughput(_)) => format!("{}/s", numbers::rate(rate)),
        (Observed::Lost, _) => "lost".to_owned(),
        (Observed::TooFew, _) => "unknown: fewer than 50 samples lie beyond".to_owned(),
        (Observed::Nothing, _) => "no data".to_owned(),
    }
}

/// Of lost messages: whether the broker had taken responsibility for them.
fn acknowledged(results: &Results, judged: &Judged, worst: &Judgement) -> String {
    let broker = results.plan.brokers.get(worst.broker);
    let asked = broker.is_some_and(|it| it.asked.delivery != Delivery::AtMostOnce);
    let lost = matches!(judged.threshold.metric, Metric::Count(Count::Lost));
    let is_known = matches!(worst.observed, Observed::Value(_));
    if !lost || judged.met || !asked || !is_known {
        return String::new();
    }
    let trials = results.standing_of(worst.broker);
    match trials.map(|attempt| attempt.audit.lost_acked).max() {
        None | Some(0) => ", none of them acknowledged".to_owned(),
        Some(count) => format!(", {} of them acknowledged", numbers::count(count)),
    }
}
