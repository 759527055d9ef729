//! What a reader should know first, in sentences: who is ahead and how surely, what was not valid, what each
//! system gives.

use maud::{Markup, html};

use crate::measure::verdict::Outcome;
use crate::report::cells::Figure as Figured;
use crate::report::notes::{about, ahead, guarantees};
use crate::report::rows::Row;
use crate::report::table::{Comparison, notes};
use crate::report::warnings::{Warning, warnings};
use crate::results::Results;
use crate::stats::figure::Figure;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{counted, listed};

use super::names;

/// The sentences.
pub(super) fn section(results: &Results, comparison: &Comparison) -> Markup {
    let guarantees: Vec<String> = guarantees(comparison)
        .into_iter()
        .chain(comparison.rows.iter().flat_map(about))
        .collect();
    html! {
        section #summary aria-labelledby="summary-title" {
            h2 #summary-title { "Summary" }
            p.lede { (lede(comparison)) }
            (winners(comparison))
            p { (made(results)) }
            (doubts(results, comparison))
            @if !guarantees.is_empty() {
                h3 { "What the systems give" }
                ul { @for note in &guarantees { li { (note) } } }
            }
        }
    }
}

/// Who is ahead. Where nobody can be, what there is.
fn lede(comparison: &Comparison) -> String {
    if let Some(ahead) = ahead(comparison) {
        return sentence(&ahead);
    }
    let valid: Vec<(usize, &Row)> = comparison
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.is_valid())
        .collect();
    let label = |row: &Row| printable(&row.broker.label);
    match valid[..] {
        [] => "No broker has figures that may be compared.".to_owned(),
        [(i, row)] => {
            let wanted = Figure::headline(comparison.shape).short();
            let figures = comparison.figures[i].iter();
            let found = figures
                .filter(|it| it.title == wanted || it.title.ends_with("/s"))
                .map(|it| format!("{} {}", it.title, it.text));
            let found: Vec<String> = found.collect();
            let alone = match comparison.rows.len() {
                1 => String::new(),
                _ => ", the only broker with figures that may be compared".to_owned(),
            };
            format!("{}{alone}: {}.", label(row), found.join(", "))
        }
        _ => unranked(comparison),
    }
}

/// Why nobody is called ahead although several brokers have valid figures.
fn unranked(comparison: &Comparison) -> String {
    let wanted = Figure::headline(comparison.shape).short();
    let named = |keep: &dyn Fn(&Figured) -> bool| -> Vec<String> {
        let rows = comparison.rows.iter().zip(&comparison.figures);
        let found = rows.filter(|(row, figures)| {
            let figure = figures.iter().find(|it| it.title == wanted);
            row.is_ranked() && figure.is_some_and(keep)
        });
        found.map(|(row, _)| printable(&row.broker.label)).collect()
    };
    let blurred = named(&|it| it.blurred && it.value.is_some());
    let unknown = named(&|it| it.value.is_none());
    if unknown.len() == comparison.rows.len() {
        return format!("{wanted} is not known of any broker, so nobody is called ahead.");
    }
    let mut why = Vec::new();
    if !blurred.is_empty() {
        let of = listed(&blurred);
        why.push(format!("it is instrument-limited for {of}"));
    }
    if !unknown.is_empty() {
        let of = listed(&unknown);
        why.push(format!("it is not known for {of}"));
    }
    match why.is_empty() {
        true => {
            format!("Nobody is called ahead in {wanted}: fewer than two brokers may be ranked.")
        }
        false => format!(
            "Nobody is called ahead in {wanted}: {}.",
            why.join(", and ")
        ),
    }
}

/// With a full stop.
fn sentence(text: &str) -> String {
    format!("{text}.")
}

/// The best of each column in which somebody is.
fn winners(comparison: &Comparison) -> Markup {
    let columns = comparison.figures.first().map_or(0, Vec::len);
    let best: Vec<(usize, usize)> = (0..columns)
        .filter_map(|column| Some((column, comparison.winner(column)?)))
        .collect();
    html! {
        @if !best.is_empty() {
            dl.best {
                @for (column, row) in best {
                    @let figure = &comparison.figures[row][column];
                    @let row = &comparison.rows[row];
                    div {
                        dt { "best " (figure.title) }
                        dd {
                            strong { (figure.text) }
                            " "
                            (names::broker(row.results, row.place))
                        }
                    }
                }
            }
        }
    }
}

/// How many trials there are, and what they are worth.
pub(super) fn made(results: &Results) -> String {
    let count = |outcome: Outcome| {
        let trials = results.standing().filter(|it| !it.interrupted);
        trials.filter(|it| it.verdict.outcome == outcome).count()
    };
    let all = results.standing().filter(|it| !it.interrupted).count();
    let outcomes = [
        Outcome::Ok,
        Outcome::GeneratorLimited,
        Outcome::Saturated,
        Outcome::BrokenPromise,
        Outcome::Failed,
    ];
    let said: Vec<String> = outcomes
        .into_iter()
        .filter(|outcome| count(*outcome) > 0)
        .map(|outcome| format!("{} {}", count(outcome), outcome.name()))
        .collect();
    let brokers = counted(results.plan.brokers.len() as u64, "broker");
    let trials = counted(all as u64, "trial");
    match said.is_empty() {
        true => format!("{brokers}, {trials}."),
        false => format!("{brokers}, {trials}: {}.", listed(&said)),
    }
}

/// What is not valid and why, and every warning.
fn doubts(results: &Results, comparison: &Comparison) -> Markup {
    let invalid: Vec<&Row> = comparison.rows.iter().filter(|it| !it.is_valid()).collect();
    let warnings = warnings(results);
    html! {
        @if !invalid.is_empty() {
            h3 { "Not to be compared" }
            ul.signs {
                @for row in invalid {
                    @let notes: Vec<String> = notes(row).into_iter().map(|(note, _)| note).collect();
                    li.warn {
                        (names::broker(results, row.place))
                        @for (i, note) in notes.iter().enumerate() { (if i == 0 { " " } else { " · " }) span { (note) } }
                    }
                }
            }
        }
        (warned(&warnings))
    }
}

/// A text in which what is to be typed stands between backticks.
fn coded(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    html! {
        @for (place, part) in parts.iter().enumerate() {
            // Without its other half a backtick is one.
            @match (place % 2, place + 1 == parts.len()) {
                (1, false) => code { (part) },
                (1, true) => { "`" (part) },
                _ => (part),
            }
        }
    }
}

/// Every warning, with what helps.
pub(super) fn warned(warnings: &[Warning]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            h3 { "Before you trust it" }
            ul.signs {
                @for warning in warnings {
                    @let said = warning.say();
                    li.warn {
                        span.sign { "⚠" } " " (coded(&said.what))
                        @if !said.remedy.is_empty() { span.remedy { "; " (coded(&said.remedy)) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::coded;

    #[test]
    fn what_is_to_be_typed_looks_like_it() {
        for (text, markup) in [
            (
                "say `a < b` or `c`",
                "say <code>a &lt; b</code> or <code>c</code>",
            ),
            ("`a` and b", "<code>a</code> and b"),
            ("one ` alone", "one ` alone"),
            ("none", "none"),
        ] {
            assert_eq!(coded(text).into_string(), markup);
        }
    }
}
