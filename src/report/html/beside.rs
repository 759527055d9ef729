//! Each broker beside the best, or two runs beside each other: ratios, intervals, verdicts.

use maud::{Markup, html};

use crate::report::verdicts::{interval, percent, ratio, trials, value, verdict_name};
use crate::report::versus::Versus;
use crate::results::Results;
use crate::stats::change::Change;
use crate::stats::compare::{Compared, Options, Pair, Verdict, best, brokers};
use crate::terminal::diagnostic::printable;

use super::sheet::{Cell, Column, Line, Sheet};

/// The brokers of a run beside the best of them; nothing where there is nobody to be beside.
pub(super) fn section(results: &Results) -> Markup {
    let options = Options::default();
    let Some(reference) = best(results, &options) else {
        return html! {};
    };
    let pairs = brokers(results, reference, &options);
    if pairs.is_empty() {
        return html! {};
    }
    let label = printable(&results.plan.brokers[reference].label);
    let versus = Versus::brokers(results, pairs);
    html! {
        section #beside aria-labelledby="beside-title" {
            h2 #beside-title { "Beside " bdi { (label) } }
            p.dim { "How far apart, and how surely: each broker beside the best one, trial by trial." }
            (sentences(&versus))
            details {
                summary { "Ratios, intervals and verdicts of every figure" }
                (sheet(&versus).markup())
                @for note in versus.notes() { p.legend { (note) } }
            }
        }
    }
}

/// One sentence for each pair.
pub(super) fn sentences(versus: &Versus) -> Markup {
    html! {
        ul.signs {
            @for (sign, _, text) in versus.sentences() {
                li class=(tone(sign)) { span.sign { (sign) } " " (text) }
            }
        }
    }
}

fn tone(sign: char) -> &'static str {
    match sign {
        '✓' => "good",
        '✗' => "bad",
        '?' | '⚠' => "warn",
        _ => "",
    }
}

/// Every figure of every pair.
pub(super) fn sheet(versus: &Versus) -> Sheet {
    let (one, other) = versus.sides();
    let with_gives = versus.is_of_brokers();
    let mut titles = vec![Column::words("broker")];
    if with_gives {
        titles.push(Column::words("gives"));
    }
    titles.extend([
        Column::words("figure"),
        Column::numbers(one),
        Column::numbers(other),
        Column::numbers("ratio"),
        Column::numbers("95 % interval"),
        Column::numbers("n"),
        Column::words("verdict"),
        Column::numbers("margin"),
    ]);
    let lines = versus.pairs.iter().flat_map(|pair| {
        let one_line =
            move |(it, verdict): (&Compared, Verdict)| line(versus, pair, it, verdict, with_gives);
        pair.verdicts().map(one_line)
    });
    Sheet {
        caption: "Every figure of every broker beside the other side".to_owned(),
        lines: lines.collect(),
        columns: titles,
    }
}

fn line(versus: &Versus, pair: &Pair, it: &Compared, verdict: Verdict, with_gives: bool) -> Line {
    let (first, second) = it.medians;
    let mut cells = vec![Cell::of(html! { bdi { (printable(&pair.label)) } })];
    if with_gives {
        cells.push(Cell::text(versus.gives(pair)));
    }
    let class = match verdict {
        Verdict::Judged(Change::Regressed) | Verdict::Invalid => "bad",
        Verdict::Judged(Change::Improved) => "good",
        Verdict::Judged(Change::Inconclusive) | Verdict::Blurred => "warn",
        Verdict::Judged(Change::Unchanged) | Verdict::NotMeasured => "",
    };
    let low = it.decision.interval.map(|(low, _)| low);
    cells.extend([
        Cell::text(it.figure.short()),
        Cell::text(value(it.figure, first)).by(first),
        Cell::text(value(it.figure, second)).by(second),
        Cell::text(ratio(it.decision.ratio)).by(it.decision.ratio),
        Cell::text(interval(it)).by(low),
        Cell::text(trials(it)).by(Some(it.trials.0.min(it.trials.1) as f64)),
        Cell::text(match verdict {
            Verdict::Judged(change) => versus.says(change),
            other => verdict_name(other),
        })
        .class(class),
        Cell::text(format!("±{}", percent(it.margin))).by(Some(it.margin)),
    ]);
    Line {
        cells,
        ..Line::default()
    }
}
