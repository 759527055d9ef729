//! A table of the page: whole without scripts, sortable with them.

use maud::{Markup, html};

use crate::terminal::table::Align;

/// A table of more columns is printed in smaller letters, to fit the paper.
const WIDE: usize = 12;

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its heading.
    title: String,
    /// How its cells stand; numbers are sorted by their values.
    align: Align,
}

impl Column {
    /// Words.
    pub(super) fn words(title: &str) -> Column {
        Column {
            title: title.to_owned(),
            align: Align::Left,
        }
    }

    /// Numbers.
    pub(super) fn numbers(title: &str) -> Column {
        Column {
            title: title.to_owned(),
            align: Align::Right,
        }
    }
}

/// A cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// What it shows.
    shown: Markup,
    /// What a column of numbers is sorted by; without one a cell comes last, in either order.
    value: Option<f64>,
    /// A class of the style sheet.
    class: &'static str,
}

impl Cell {
    /// Text.
    pub(super) fn text(text: impl AsRef<str>) -> Cell {
        Cell::of(html! { (text.as_ref()) })
    }

    /// Marked up text.
    pub(super) fn of(shown: Markup) -> Cell {
        Cell {
            shown,
            value: None,
            class: "",
        }
    }

    /// With what it is sorted by.
    pub(super) fn by(mut self, value: Option<f64>) -> Cell {
        self.value = value.filter(|it| !it.is_nan());
        self
    }

    /// With a class of the style sheet.
    pub(super) fn class(mut self, class: &'static str) -> Cell {
        self.class = class;
        self
    }
}

/// A row, and what stands under it.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// As many as there are columns; the first names the row.
    pub(super) cells: Vec<Cell>,
    /// Under the row, from the second column on.
    pub(super) notes: Vec<Markup>,
    /// A class of the style sheet.
    pub(super) class: &'static str,
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    /// Says what it holds; screen readers announce it.
    pub(super) caption: String,
    /// In order.
    pub(super) columns: Vec<Column>,
    /// In order.
    pub(super) lines: Vec<Line>,
}

impl Sheet {
    /// As a table in a box of its own, which scrolls where the window is too narrow.
    pub(super) fn markup(&self) -> Markup {
        let right = |column: usize| match self.columns.get(column) {
            Some(column) if column.align == Align::Right => "n",
            _ => "",
        };
        let across = self.columns.len().saturating_sub(1).max(1);
        html! {
            div.scroll role="region" aria-label=(self.caption) tabindex="0" {
                table.sheet.wide[self.columns.len() > WIDE] {
                    caption { (self.caption) }
                    thead {
                        tr {
                            @for (i, column) in self.columns.iter().enumerate() {
                                th scope="col" class=(right(i)) { (column.title) }
                            }
                        }
                    }
                    tbody {
                        @for line in &self.lines {
                            tr class=(line.class) {
                                @for (i, cell) in line.cells.iter().enumerate() {
                                    @let class = format!("{} {}", right(i), cell.class);
                                    @let class = class.trim();
                                    @if i == 0 {
                                        th scope="row" class=(class) data-v=[value(cell)] { (cell.shown) }
                                    } @else {
                                        td class=(class) data-v=[value(cell)] { (cell.shown) }
                                    }
                                }
                            }
                            @for note in &line.notes {
                                tr.under {
                                    td {}
                                    td colspan=(across) { (note) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// As the script reads it.
fn value(cell: &Cell) -> Option<String> {
    cell.value.map(|value| match value.is_infinite() {
        true if value > 0.0 => "Infinity".to_owned(),
        true => "-Infinity".to_owned(),
        false => value.to_string(),
    })
}
