//! `summary.csv` and `trials.csv`.

use std::borrow::Cow;

use super::columns::{Field, fields};
use super::rows::{Row, Scope, by_load, by_trial, no_trial};
use crate::results::Results;

/// A row for each broker and load point: medians over its trials.
pub fn summary(results: &Results) -> String {
    let points = results.points();
    table(&by_load(&points), None)
}

/// A row for each trial that counts.
pub fn trials(results: &Results) -> String {
    // Of a search all trials, not only those of its point.
    let points = match results.plan.search {
        Some(_) => vec![Cow::Borrowed(results)],
        None => results.points(),
    };
    let mut rows: Vec<Row> = points.iter().flat_map(|it| by_trial(it)).collect();
    rows.sort_by_key(|row| match row.scope {
        Scope::Trial { block, .. } => (block, row.load.step),
        Scope::Broker { .. } => (0, None),
    });
    table(&rows, no_trial(results))
}

/// Lines with the names of the columns first. `without` has the names where there is no row.
fn table(rows: &[Row], without: Option<Row>) -> String {
    let first = rows.first().or(without.as_ref());
    let names = first.map_or(Vec::new(), |row| {
        fields(row).into_iter().map(|it| it.0).collect()
    });
    let lines = rows
        .iter()
        .map(|row| fields(row).into_iter().map(|it| text(&it.1)));
    lines_of(&names, lines)
}

/// CSV with a line of names.
pub(super) fn lines_of<L>(names: &[String], lines: impl Iterator<Item = L>) -> String
where
    L: Iterator<Item = String>,
{
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(names).and_then(|()| {
        for line in lines {
            writer.write_record(line)?;
        }
        Ok(())
    });
    // Nothing but lines of different lengths can go wrong in memory, and the loop above makes none.
    debug_assert!(written.is_ok(), "{written:?}");
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As it stands in a file.
pub(super) fn text(field: &Field) -> String {
    match field {
        Field::Empty => String::new(),
        Field::Text(text) => text.clone(),
        Field::Exact(value, decimals) => format!("{value:.decimals$}"),
        Field::Number(value, decimals) => {
            let text = format!("{value:.decimals$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
    }
}
