//! How the differences of two runs are written.

use crate::stats::differences::{About, Difference};
use crate::terminal::diagnostic::printable;

/// More differences than this are counted.
const MOST: usize = 12;

/// One line for each difference, the first of many.
pub fn lines(differences: &[Difference]) -> Vec<String> {
    let shown = differences.iter().take(MOST);
    let line = |it: &Difference| {
        let text = |text: &str| match text {
            "" => "–".to_owned(),
            text => printable(text),
        };
        format!(
            "{}: {} {} → {}",
            it.about.name(),
            printable(&it.what),
            text(&it.one),
            text(&it.other)
        )
    };
    let mut lines: Vec<String> = shown.map(line).collect();
    if let Some(more) = differences.len().checked_sub(MOST + 1) {
        lines.push(format!("and {} more", more + 1));
    }
    lines
}

/// Whether differences of a kind are among them.
pub fn differs(differences: &[Difference], about: About) -> bool {
    differences.iter().any(|it| it.about == about)
}
