//! The comparison for a pull request or a wiki.

use crate::results::Results;
use crate::terminal::table::{Align, Table};

use super::calibrated;
use super::capacity::Capacities;
use super::headline::headline;
use super::notes::{notes, thresholds};
use super::sweep::Sweep;
use super::table::Comparison;
use super::warnings::warnings;

/// The whole report, the last line ended. `folder` is where the results are.
pub fn render(results: &Results, folder: Option<&str>) -> String {
    let mut out = format!("**{}**\n\n", escape(&headline(results)));
    let points = results.points();
    let (tables, notes) = match (Sweep::of(&points), Capacities::of(&points)) {
        (_, Some(found)) => (vec![(String::new(), found.table())], found.notes()),
        (Some(sweep), None) => (sweep.tables(), sweep.notes()),
        (None, None) => {
            let comparison = Comparison::of(results);
            let table = (String::new(), comparison.table());
            (vec![table], notes(&comparison))
        }
    };
    for (title, table) in &tables {
        if !title.is_empty() {
            out.push_str(&format!("{}\n\n", escape(title)));
        }
        out.push_str(&grid(table));
        out.push('\n');
    }
    for row in tables.iter().flat_map(|(_, table)| &table.rows) {
        let label = row.cells.first().map_or("", |cell| &cell.text);
        for (note, _) in &row.notes {
            out.push_str(&format!("- **{}** {}\n", escape(label), escape(note)));
        }
    }
    for note in notes.into_iter().chain(calibrated::lines(results)) {
        out.push_str(&format!("- {}\n", escape(&note)));
    }
    let lines = thresholds(results);
    if !lines.is_empty() {
        out.push('\n');
    }
    for line in lines {
        let sign = if line.met { "✅" } else { "❌" };
        let (threshold, seen) = (escape(&line.threshold), escape(&line.seen));
        out.push_str(&format!("- {sign} {threshold} — {seen}\n"));
    }
    let warnings = warnings(results);
    if !warnings.is_empty() {
        out.push('\n');
    }
    for warning in warnings {
        let said = warning.say();
        let remedy = match said.remedy.as_str() {
            "" => String::new(),
            remedy => format!("; {}", escape(remedy)),
        };
        out.push_str(&format!("- ⚠ {}{remedy}\n", escape(&said.what)));
    }
    if let Some(folder) = folder {
        out.push_str(&format!("\n{}\n", escape(folder)));
    }
    out
}

/// The lines of a table, without what stands below its rows.
pub(super) fn grid(table: &Table) -> String {
    let titles: Vec<String> = table.columns.iter().map(|it| escape(&it.title)).collect();
    let mut out = format!("| {} |\n", titles.join(" | "));
    let rules: Vec<&str> = table
        .columns
        .iter()
        .map(|column| match column.align {
            Align::Left => ":--",
            Align::Right => "--:",
        })
        .collect();
    out.push_str(&format!("| {} |\n", rules.join(" | ")));
    for row in &table.rows {
        let cells: Vec<String> = row
            .cells
            .iter()
            .map(|cell| {
                let text: String = cell.text.chars().chain(cell.mark).collect();
                escape(&text)
            })
            .collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out
}

/// Text that shows as it is: no markup, no cell or line ended early.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '!' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
