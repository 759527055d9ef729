//! Many runs of the same question over time.

use super::Format;
use super::headline::headline;
use super::history_files;
use super::history_words::{different, label, sentences, when};
use super::markdown::{escape, grid};
use super::text::{Page, View};
use super::verdicts::{ratio, value};
use crate::stats::change::Change;
use crate::stats::compare::Verdict;
use crate::stats::history::{Entry, History, Line, Point, Series, Worth};
use crate::stats::median::median;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;
use crate::terminal::spark::{BEYOND, GAP, sparkline};
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Row, Table};

/// Rows of a table for people: of longer histories the newest.
const ROWS: usize = 12;
/// Bars of a sparkline.
const BARS: usize = 40;
/// In a format, the last line ended.
pub fn render(histories: &[History], format: Format, view: &View) -> String {
    match format {
        Format::Text => {
            let pages: Vec<String> = histories.iter().map(|it| text(it, view)).collect();
            pages.join("\n")
        }
        Format::Markdown => histories.iter().map(markdown).collect(),
        Format::Csv => history_files::csv(histories),
        Format::Json => history_files::json(histories),
    }
}

fn text(history: &History, view: &View) -> String {
    let mut page = Page::new(view);
    page.paragraph("", "  ", &title(history), style::STRONG);
    page.paragraph("  ", "    ", &span(history), style::DIM);
    let mut dropped: Vec<String> = Vec::new();
    let mut print = |page: &mut Page, table: &Table| {
        page.blank();
        for heading in page.table(table, view) {
            if !dropped.contains(&heading) {
                dropped.push(heading);
            }
        }
    };
    for series in &history.series {
        print(&mut page, &runs(history, series));
    }
    print(&mut page, &overview(history));
    page.blank();
    for note in notes(history) {
        page.paragraph("  ", "    ", &note, style::DIM);
    }
    page.dropped(&dropped);
    page.blank();
    for said in sentences(history) {
        page.signed(said.sign, said.tone, &said.text);
        for more in &said.more {
            page.paragraph("      ", "      ", more, style::DIM);
        }
    }
    page.out
}

fn markdown(history: &History) -> String {
    let mut out = format!(
        "**{}**\n\n{}\n\n",
        escape(&title(history)),
        escape(&span(history))
    );
    out.push_str(&grid(&overview(history)));
    out.push('\n');
    for said in sentences(history) {
        let sign = match said.sign {
            '✓' => "✅",
            '✗' => "❌",
            '?' => "❔",
            _ => "➖",
        };
        out.push_str(&format!("- {sign} {}\n", escape(&said.text)));
        for more in &said.more {
            out.push_str(&format!("  - {}\n", escape(more)));
        }
    }
    for series in &history.series {
        let table = runs(history, series);
        out.push('\n');
        out.push_str(&grid(&table));
        out.push('\n');
        for row in &table.rows {
            let run = row.cells.first().map_or("", |cell| &cell.text);
            for (note, _) in &row.notes {
                out.push_str(&format!("- **{}** {}\n", escape(run), escape(note)));
            }
        }
    }
    out.push('\n');
    for note in notes(history) {
        out.push_str(&format!("{}\n\n", escape(&note)));
    }
    out
}

/// What the newest run asks.
fn title(history: &History) -> String {
    history
        .runs
        .last()
        .map_or(String::new(), |it| headline(&it.results))
}

/// `12 runs from 2026-11-01 21:04 to 2026-11-12 21:04`.
fn span(history: &History) -> String {
    let ends = (history.runs.first(), history.runs.last());
    let runs = numbers::counted(history.runs.len() as u64, "run");
    match ends {
        (Some(first), Some(last)) if history.runs.len() > 1 => {
            format!("{runs} from {} to {}", when(first), when(last))
        }
        (Some(only), _) => format!("{runs} of {}", when(only)),
        _ => runs,
    }
}

/// One broker, run by run.
fn runs(history: &History, series: &Series) -> Table {
    let mut table = Table::default();
    table.column(label(history, series), Align::Left);
    for figure in &history.figures {
        table.column(figure.short(), Align::Right);
        table.column("ratio", Align::Right);
    }
    table.column("n", Align::Right);
    let skipped = match series.entries.len().saturating_sub(ROWS) {
        // The line that says so would take its place.
        1 => 0,
        more => more,
    };
    for (place, entry) in series.entries.iter().enumerate().skip(skipped) {
        let mut cells = vec![Cell::plain(when(history.runs[entry.run]))];
        for line in &series.lines {
            cells.push(figure(line, place));
            cells.push(beside(&line.points[place]));
        }
        cells.push(Cell::plain(entry.group.ok.len().to_string()));
        table.rows.push(Row {
            cells,
            notes: remarks(entry),
        });
    }
    if skipped > 0 {
        let earlier = numbers::counted(skipped as u64, "earlier run");
        let mut cells = vec![Cell::plain(format!("… {earlier}")).styled(style::DIM)];
        cells.resize(table.columns.len(), Cell::default());
        table.rows.insert(
            0,
            Row {
                cells,
                notes: Vec::new(),
            },
        );
    }
    table
}

fn figure(line: &Line, place: usize) -> Cell {
    let point = &line.points[place];
    let cell = Cell::plain(value(line.figure, point.value));
    let begins = line.turns.iter().find(|turn| turn.entry == place);
    match (point.worth, begins) {
        (_, Some(turn)) => cell.mark('◆').styled(tone(turn.change)),
        (Worth::Counted, None) => cell,
        (Worth::Blurred, None) => cell.mark('~').styled(style::DIM),
        (Worth::Invalid | Worth::NotMeasured, None) => cell.styled(style::DIM),
    }
}

/// The ratio to the last valid run before, and whether that is a change.
fn beside(point: &Point) -> Cell {
    let Some((compared, verdict)) = &point.before else {
        return Cell::plain(numbers::NONE).styled(style::DIM);
    };
    let cell = Cell::plain(ratio(compared.decision.ratio));
    match verdict {
        Verdict::Judged(change @ Change::Regressed) => cell.mark('✗').styled(tone(*change)),
        Verdict::Judged(change @ Change::Improved) => cell.mark('✓').styled(tone(*change)),
        Verdict::Judged(Change::Unchanged | Change::Inconclusive)
        | Verdict::NotMeasured
        | Verdict::Invalid
        | Verdict::Blurred => cell.styled(style::DIM),
    }
}

fn tone(change: Change) -> anstyle::Style {
    match change {
        Change::Regressed => style::BAD,
        Change::Improved => style::GOOD,
        Change::Unchanged | Change::Inconclusive => anstyle::Style::new(),
    }
}

/// What stands below the row of a run.
fn remarks(entry: &Entry) -> Vec<(String, anstyle::Style)> {
    let mut notes = Vec::new();
    if let Some(why) = entry.invalid() {
        let why = printable(&why);
        notes.push((format!("⚠ not counted: {why}"), style::BAD));
    }
    if !entry.differences.is_empty() {
        let text = format!("≠ {}", different(&entry.differences));
        notes.push((text, style::WARN));
    }
    notes
}

/// A line for each broker and figure: how it went, and its levels.
fn overview(history: &History) -> Table {
    let mut table = Table::default();
    let longest = history
        .series
        .iter()
        .map(|it| it.entries.len())
        .max()
        .unwrap_or(0);
    table.column("broker", Align::Left);
    table.column("figure", Align::Left);
    table.column(
        match longest > BARS {
            true => format!("last {BARS} runs"),
            false => "runs".to_owned(),
        },
        Align::Left,
    );
    table.column("newest", Align::Right);
    table.column("levels", Align::Left);
    table.column("counted", Align::Right);
    for series in &history.series {
        for (i, line) in series.lines.iter().enumerate() {
            let label = if i == 0 {
                label(history, series)
            } else {
                String::new()
            };
            let cells = vec![
                Cell::plain(label),
                Cell::plain(line.figure.short()),
                Cell::plain(spark(line)),
                newest(line),
                levels(series, line),
                Cell::plain(format!("{} of {}", line.counted(), line.points.len())),
            ];
            table.rows.push(Row {
                cells,
                notes: Vec::new(),
            });
        }
    }
    table
}

/// The newest value that is valid.
fn newest(line: &Line) -> Cell {
    let valid = (0..line.points.len())
        .rev()
        .find(|place| drawn(&line.points[*place]).is_some());
    valid.map_or(Cell::plain(numbers::NONE), |place| figure(line, place))
}

/// What a bar is drawn for: what the generator blurred is not worth counting, but worth seeing.
fn drawn(point: &Point) -> Option<f64> {
    let is_valid = matches!(point.worth, Worth::Counted | Worth::Blurred);
    point.value.filter(|_| is_valid)
}

/// By ratios, as changes are.
fn spark(line: &Line) -> String {
    let skipped = line.points.len().saturating_sub(BARS);
    let logs = line.points[skipped..]
        .iter()
        .map(|it| drawn(it).map(f64::ln));
    sparkline(&logs.collect::<Vec<_>>(), 2.0 * line.margin.ln_1p())
}

/// `1.0 ms → 1.6 ms`; a dash where there are too few runs to tell.
fn levels(series: &Series, line: &Line) -> Cell {
    let Some(first) = line.turns.first() else {
        let only = median(line.points.iter().filter_map(Point::counted));
        let only = only.filter(|_| line.counted() >= series.least_runs);
        return Cell::plain(value(line.figure, only));
    };
    let mut levels = vec![value(line.figure, Some(first.levels.0))];
    let later = line.turns.iter();
    levels.extend(later.map(|it| value(line.figure, Some(it.levels.1))));
    let last = line.turns.last().map_or(Change::Unchanged, |it| it.change);
    Cell::plain(levels.join(" → ")).styled(tone(last))
}

fn notes(history: &History) -> Vec<String> {
    let lines = || history.series.iter().flat_map(|it| &it.lines);
    let mut notes = vec![
        "a figure is the median of the valid trials of a run (n); ratio is that to the last valid run before, \
         and ✗ or ✓ stands where `compare` would call it worse or better"
            .to_owned(),
        "◆ begins a new level: found by permutation tests over the runs, which call one where there is none in \
         at most 5 % of the histories of a broker, and beyond the margin of `compare`"
            .to_owned(),
    ];
    let any = |worth: Worth| {
        lines()
            .flat_map(|it| &it.points)
            .any(|it| it.worth == worth)
    };
    if any(Worth::Blurred) {
        notes.push(
            "~ instrument-limited: the generator was late itself by more than a tenth of it, so it is not \
             counted"
                .to_owned(),
        );
    }
    let gaps = lines()
        .flat_map(|it| &it.points)
        .any(|it| drawn(it).is_none());
    let lost = lines()
        .flat_map(|it| &it.points)
        .any(|it| drawn(it).is_some_and(f64::is_infinite));
    let signs = [
        (gaps, format!("{GAP} not valid, or not measured")),
        (lost, format!("{BEYOND} lost")),
    ];
    let signs: Vec<String> = signs.into_iter().filter(|it| it.0).map(|it| it.1).collect();
    if !signs.is_empty() {
        notes.push(format!("in the row of bars: {}", signs.join(", ")));
    }
    if history.series.iter().any(|it| it.entries.len() > ROWS + 1) {
        notes.push(format!("the newest {ROWS} runs; --format csv has all"));
    }
    notes
}
