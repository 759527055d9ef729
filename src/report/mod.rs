//! What is shown: one file per format, over the same rows.

pub mod calibrated;
pub mod calibration;
pub mod capacity;
pub mod cells;
pub mod charts;
pub mod columns;
pub mod course;
pub mod csv;
mod dashboard;
pub mod details;
pub mod different;
pub mod files;
pub mod headline;
pub mod history;
mod history_files;
mod history_words;
pub mod hlog;
pub mod html;
pub mod json;
pub mod junit;
pub mod live;
mod machine;
pub mod markdown;
pub mod metrics;
mod not_held;
pub mod notes;
mod queued;
pub mod rows;
pub mod series;
pub mod sweep;
pub mod table;
pub mod text;
pub mod under_way;
pub mod unfit;
pub mod verdicts;
pub mod versus;
pub mod warnings;

use crate::results::Results;

pub use text::View;

/// What a report is printed as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    #[default]
    Text,
    /// For a program.
    Json,
    /// `summary.csv`.
    Csv,
    /// For a pull request.
    Markdown,
}

/// The comparison of a run's brokers, the last line ended.
pub fn render(format: Format, results: &Results, view: &View) -> String {
    match format {
        Format::Text => text::render(results, view),
        Format::Json => json::render(results, view.folder),
        Format::Csv => csv::summary(results),
        Format::Markdown => markdown::render(results, view.folder),
    }
}

#[cfg(test)]
mod capacity_tests;
#[cfg(test)]
mod dashboard_tests;
#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod metrics_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod under_way_tests;
#[cfg(test)]
mod versus_tests;
