//! A table with aligned columns that fits the terminal.
//!
//! Columns that do not fit are dropped from the right, and the caller is told which, so that it can
//! say so.

use anstyle::Style;

use super::style::{self, paint, width};

/// Spaces before each row.
const INDENT: usize = 2;
/// Spaces between two columns: three where all columns fit so, else two.
const GAPS: [usize; 2] = [3, 2];

/// How the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// How its cells stand.
    pub align: Align,
}

/// One cell: text on one line, a mark of one character behind it, a style.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Stands right behind the text, in a place of its own, so that numbers stay aligned.
    pub mark: Option<char>,
    /// How it looks where there is colour.
    pub style: Style,
}

impl Cell {
    /// A cell without mark and style.
    pub fn plain(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            ..Cell::default()
        }
    }

    /// With a mark.
    pub fn mark(mut self, mark: char) -> Cell {
        self.mark = Some(mark);
        self
    }

    /// With a style.
    pub fn styled(mut self, style: Style) -> Cell {
        self.style = style;
        self
    }
}

/// A row and what stands below it.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// As many as there are columns.
    pub cells: Vec<Cell>,
    /// Lines of their own under the row, from the second column on, wrapped.
    pub notes: Vec<(String, Style)>,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// In order.
    pub columns: Vec<Column>,
    /// In order.
    pub rows: Vec<Row>,
}

/// A table as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Lines, the last one ended.
    pub text: String,
    /// Headings of the columns that did not fit.
    pub dropped: Vec<String>,
}

impl Table {
    /// Adds a column.
    pub fn column(&mut self, title: impl Into<String>, align: Align) {
        let title = title.into();
        self.columns.push(Column { title, align });
    }

    /// Columns of each column: its text, and the place of a mark where any cell has one.
    fn widths(&self) -> Vec<(usize, usize)> {
        let measure = |(i, column): (usize, &Column)| {
            let cells = || self.rows.iter().filter_map(|row| row.cells.get(i));
            let text = cells().map(|cell| width(&cell.text)).max().unwrap_or(0);
            let marked = cells().any(|cell| cell.mark.is_some());
            (text.max(width(&column.title)), usize::from(marked))
        };
        self.columns.iter().enumerate().map(measure).collect()
    }

    /// The lines of the table in at most `columns` columns. The first column is always kept.
    pub fn render(&self, columns: usize, color: bool) -> Rendered {
        let widths = self.widths();
        let fitting = |gap: usize| {
            let mut used = INDENT;
            let fits = widths.iter().take_while(|(text, mark)| {
                used += text + mark;
                let fits = used <= columns;
                used += gap;
                fits
            });
            fits.count().max(1)
        };
        let [wide, narrow] = GAPS;
        let (gap, kept) = match fitting(wide) {
            all if all == widths.len() => (wide, all),
            _ => (narrow, fitting(narrow)),
        };
        let mut text = String::new();
        let titles: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell::plain(&column.title).styled(style::DIM))
            .collect();
        text.push_str(&self.line(&titles, &widths[..kept], gap, color));
        let hang = INDENT + widths.first().map_or(0, |(text, mark)| text + mark) + gap;
        for row in &self.rows {
            text.push_str(&self.line(&row.cells, &widths[..kept], gap, color));
            for (note, style) in &row.notes {
                for line in style::wrap(note, columns.saturating_sub(hang).max(20)) {
                    text.push_str(&" ".repeat(hang));
                    text.push_str(&paint(&line, *style, color));
                    text.push('\n');
                }
            }
        }
        let dropped = self.columns[kept..].iter().map(|c| c.title.clone());
        Rendered {
            text,
            dropped: dropped.collect(),
        }
    }

    fn line(&self, cells: &[Cell], widths: &[(usize, usize)], gap: usize, color: bool) -> String {
        let mut line = " ".repeat(INDENT);
        // Spaces are owed, not written, so that no line ends in them.
        let mut owed = 0;
        for ((cell, column), (text, mark)) in cells.iter().zip(&self.columns).zip(widths) {
            let free = text.saturating_sub(width(&cell.text));
            let (before, after) = match column.align {
                Align::Left => (0, free),
                Align::Right => (free, 0),
            };
            owed += before;
            let content: String = cell.text.chars().chain(cell.mark).collect();
            if !content.is_empty() {
                line.push_str(&" ".repeat(owed));
                line.push_str(&paint(&content, cell.style, color));
                owed = 0;
            }
            owed += after + gap + mark - usize::from(cell.mark.is_some());
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        table.column("broker", Align::Left);
        table.column("p50", Align::Right);
        table.column("lost", Align::Right);
        table.rows = vec![
            Row {
                cells: vec![
                    Cell::plain("日本"),
                    Cell::plain("118 µs").mark('*'),
                    Cell::plain("0"),
                ],
                notes: vec![("a note that is long enough to be broken".into(), style::DIM)],
            },
            Row {
                cells: vec![
                    Cell::plain("nats"),
                    Cell::plain("1.2 ms"),
                    Cell::plain("12"),
                ],
                notes: Vec::new(),
            },
        ];
        table
    }

    #[test]
    fn columns_line_up_with_marks_and_wide_characters() {
        let rendered = table().render(80, false);
        let expected = concat!(
            "  broker      p50    lost\n",
            "  日本     118 µs*      0\n",
            "           a note that is long enough to be broken\n",
            "  nats     1.2 ms      12\n",
        );
        assert_eq!(rendered.text, expected);
        assert!(rendered.dropped.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_dropped_from_the_right_and_named() {
        let rendered = table().render(23, false);
        assert_eq!(
            rendered.text.lines().next(),
            Some("  broker     p50   lost")
        );
        let rendered = table().render(20, false);
        assert_eq!(rendered.dropped, ["lost"]);
        assert_eq!(rendered.text.lines().next(), Some("  broker     p50"));
        let rendered = table().render(1, false);
        assert_eq!(rendered.dropped, ["p50", "lost"]);
    }

    #[test]
    fn colour_changes_no_character() {
        let colored = table().render(80, true).text;
        assert!(colored.contains('\u{1b}'));
        let bare = style::without_codes(&colored);
        assert_eq!(bare, table().render(80, false).text);
    }
}
