//! The files of a run that are made from its results.

use std::io;
use std::path::{Path, PathBuf};

use super::hlog::Merged;
use super::series::Series;
use super::{csv, hlog};
use crate::results::open::read_record;
use crate::results::store::write_atomically;
use crate::results::{OpenError, Results};
use crate::stats::group::Group;

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The results lack a trial.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It could not be written; `results.json` and the trials are not touched.
    #[error("cannot write `{}`: {source}; the results themselves are kept", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Series and histograms, read from the trials one after the other.
#[derive(Debug, Default)]
pub struct Details {
    /// Of all trials that count.
    pub series: Series,
    /// Of the trials that are summed up: the *ok* ones, or all if none is.
    pub histograms: hlog::Merged,
}

impl Details {
    /// Reads the trials of the run in `folder`.
    pub fn read(folder: &Path, results: &Results) -> Result<Details, OpenError> {
        let mut details = Details {
            series: Series::default(),
            histograms: Merged::default(),
        };
        let groups = Group::all(results);
        let used: Vec<(u32, u32)> = groups
            .iter()
            .flat_map(|group| group.used())
            .map(|attempt| (attempt.trial, attempt.attempt))
            .collect();
        for attempt in results.standing() {
            let record = read_record(folder, attempt.trial, attempt.attempt)?;
            details.series.add(results, attempt, &record);
            if used.contains(&(attempt.trial, attempt.attempt)) {
                details.histograms.add(attempt, &record);
            }
        }
        Ok(details)
    }
}

/// Writes `summary.csv`, `trials.csv`, `series.csv` and `latency.hlog` into `to`, from the run in
/// `folder`. Returns their names.
pub fn write(folder: &Path, results: &Results, to: &Path) -> Result<Vec<String>, FilesError> {
    let details = Details::read(folder, results)?;
    let log = details.histograms.to_log(results).map_err(|source| {
        let path = to.join("latency.hlog");
        FilesError::Write { path, source }
    })?;
    let files = [
        ("summary.csv", csv::summary(results)),
        ("trials.csv", csv::trials(results)),
        ("series.csv", details.series.to_csv()),
        ("latency.hlog", log),
    ];
    for (name, content) in &files {
        let path = to.join(name);
        write_atomically(&path, content.as_bytes())
            .map_err(|source| FilesError::Write { path, source })?;
    }
    Ok(files.map(|(name, _)| name.to_owned()).into())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
