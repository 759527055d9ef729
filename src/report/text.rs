//! The comparison on standard output.

use crate::results::Results;
use crate::terminal::style::{self, paint, width, wrap};
use crate::terminal::table::Table;

use super::calibrated;
use super::capacity::Capacities;
use super::headline::headline;
use super::notes::{notes, thresholds};
use super::sweep::Sweep;
use super::table::Comparison;
use super::warnings::warnings;

/// Columns of prose where the output is no terminal.
const PROSE: usize = 100;

/// How results are shown, and where they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// Columns of the terminal; `None` where the output is none: then every column is printed.
    pub width: Option<usize>,
    /// Whether there is colour.
    pub color: bool,
    /// The run's folder, as it is to be printed.
    pub folder: Option<&'a str>,
    /// Files in it that are worth naming.
    pub files: &'a [String],
}

/// The whole report, the last line ended.
pub fn render(results: &Results, view: &View) -> String {
    let mut page = Page::new(view);
    let columns = page.columns;
    page.paragraph("", "  ", &headline(results), style::STRONG);
    page.blank();
    let points = results.points();
    let found = Capacities::of(&points);
    let (notes, dropped) = match (Sweep::of(&points), &found) {
        (_, Some(found)) => {
            let dropped = page.table(&found.table(), view);
            page.blank();
            (found.notes(), dropped)
        }
        (Some(sweep), None) => {
            let mut dropped = Vec::new();
            for (title, table) in sweep.tables() {
                page.paragraph("  ", "  ", &title, style::STRONG);
                dropped = page.table(&table, view);
                page.blank();
            }
            (sweep.notes(), dropped)
        }
        (None, None) => {
            let comparison = Comparison::of(results);
            let dropped = page.table(&comparison.table(), view);
            page.blank();
            (notes(&comparison), dropped)
        }
    };
    for note in notes.into_iter().chain(calibrated::lines(results)) {
        page.paragraph("  ", "    ", &note, style::DIM);
    }
    page.dropped(&dropped);
    page.verdicts(results);
    if let Some(folder) = view.folder {
        page.blank();
        let files = view.files.join(" · ");
        page.paragraph("  ", "    ", folder, style::STRONG);
        if !files.is_empty() {
            let one_line = 2 + width(folder) + 3 + width(&files) <= columns;
            if one_line {
                page.out.truncate(page.out.len() - 1);
                page.out.push_str(&format!("   {files}\n"));
            } else {
                page.paragraph("    ", "    ", &files, style::DIM);
            }
        }
    }
    page.out
}

/// What goes to the terminal.
pub(super) struct Page {
    /// Lines, the last one ended.
    pub out: String,
    /// At most so many columns of prose.
    columns: usize,
    color: bool,
}

impl Page {
    /// An empty one.
    pub fn new(view: &View) -> Page {
        Page {
            out: String::new(),
            columns: view.width.unwrap_or(PROSE).max(20),
            color: view.color,
        }
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A table; returns the headings that did not fit.
    pub fn table(&mut self, table: &Table, view: &View) -> Vec<String> {
        let rendered = table.render(view.width.unwrap_or(usize::MAX), view.color);
        self.out.push_str(&rendered.text);
        rendered.dropped
    }

    /// Names, figures, and what they mean: in three columns, or with the meaning below where that would be too
    /// narrow.
    pub fn facts(&mut self, facts: &[[String; 3]]) {
        /// Columns of prose below which it is hard to read.
        const NARROW: usize = 30;
        let widest = |column: usize| facts.iter().map(|it| width(&it[column])).max().unwrap_or(0);
        let (names, figures) = (widest(0), widest(1));
        let front = 4 + names + 2 + figures + 3;
        let beside = self.columns >= front + NARROW;
        for [name, figure, means] in facts {
            let indent = " ".repeat(figures.saturating_sub(width(figure)));
            let head = format!("    {}  {indent}{figure}", style::pad(name, names));
            if beside {
                self.paragraph(&format!("{head}   "), &" ".repeat(front), means, style::DIM);
            } else {
                self.out.push_str(&format!("{head}\n"));
                self.paragraph("      ", "      ", means, style::DIM);
            }
        }
    }

    /// Says what did not fit.
    pub fn dropped(&mut self, headings: &[String]) {
        if !headings.is_empty() {
            let note = format!("not shown for want of width: {}", headings.join(", "));
            self.paragraph("  ", "    ", &note, style::WARN);
        }
    }

    /// Wrapped text behind a sign.
    pub fn signed(&mut self, sign: char, tone: anstyle::Style, text: &str) {
        let start = self.out.len();
        self.paragraph(&format!("  {sign} "), "    ", text, anstyle::Style::new());
        let painted = paint(&sign.to_string(), tone, self.color);
        let line = self.out.split_off(start).replacen(sign, &painted, 1);
        self.out.push_str(&line);
    }

    /// Wrapped text: `first` before its first line, `rest` before the others.
    pub fn paragraph(&mut self, first: &str, rest: &str, text: &str, tone: anstyle::Style) {
        let room = self.columns.saturating_sub(width(first).max(width(rest)));
        for (i, line) in wrap(&glue(text), room.max(10)).iter().enumerate() {
            let line = &line.replace(GLUE, " ");
            let indent = if i == 0 { first } else { rest };
            self.out.push_str(indent);
            self.out.push_str(&paint(line, tone, self.color));
            self.out.push('\n');
        }
    }

    /// Thresholds and warnings.
    fn verdicts(&mut self, results: &Results) {
        let lines = thresholds(results);
        let warnings = warnings(results);
        if !lines.is_empty() || !warnings.is_empty() {
            self.blank();
        }
        let longest = lines
            .iter()
            .map(|it| width(&it.threshold))
            .max()
            .unwrap_or(0);
        for line in lines {
            let (sign, tone) = match line.met {
                true => ("✓", style::GOOD),
                false => ("✗", style::BAD),
            };
            let sign = paint(sign, tone, self.color);
            let threshold = style::pad(&line.threshold, longest);
            let fits = 4 + longest + 3 + width(&line.seen) <= self.columns;
            if fits {
                self.out
                    .push_str(&format!("  {sign} {threshold}   {}\n", line.seen));
            } else {
                self.out.push_str(&format!("  {sign} {}\n", line.threshold));
                self.paragraph("      ", "      ", &line.seen, anstyle::Style::new());
            }
        }
        for warning in warnings {
            let said = warning.say();
            let text = match said.remedy.as_str() {
                "" => said.what,
                remedy => format!("{}; {remedy}", said.what),
            };
            self.signed('⚠', style::WARN, &text);
        }
    }
}

/// Stands for a space at which no line may be broken; of the same width, and in no text of ours.
const GLUE: char = '\u{e000}';
const UNITS: [&str; 13] = [
    "%", "×", "ns", "µs", "ms", "s", "B", "KiB", "MiB", "GiB", "TiB", "k", "M",
];

/// Ties each number to its unit.
fn glue(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(' ') {
        let bare = word.trim_end_matches(|c: char| ",;:.)".contains(c));
        let after_number = out.ends_with(|c: char| c.is_ascii_digit());
        if !out.is_empty() {
            out.push(if after_number && UNITS.contains(&bare) {
                GLUE
            } else {
                ' '
            });
        }
        out.push_str(word);
    }
    out
}
