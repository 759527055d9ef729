//! The files of a run that are made from its results.

use std::io;
use std::path::{Path, PathBuf};

use super::charts::Charts;
use super::details::Details;
use super::{csv, html};
use crate::results::store::{replace, write_atomically};
use crate::results::{OpenError, Results};

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

/// Writes `report.html`, `summary.csv`, `trials.csv`, `series.csv` and `latency.hlog` into `to`, from the run in
/// `folder`. Returns their names.
pub fn write(folder: &Path, results: &Results, to: &Path) -> Result<Vec<String>, FilesError> {
    let details = Details::read(folder, results)?;
    let log = details.histograms.to_log(results).map_err(|source| {
        let path = to.join("latency.hlog");
        FilesError::Write { path, source }
    })?;
    let page = html::run(results, &Charts::of(results, &details));
    let files = [
        ("report.html", page),
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

/// Writes the page alone, where the user wants it.
pub fn page(folder: &Path, results: &Results, to: &Path) -> Result<(), FilesError> {
    let details = Details::read(folder, results)?;
    let page = html::run(results, &Charts::of(results, &details));
    replace(to, page.as_bytes()).map_err(|source| FilesError::Write {
        path: to.to_owned(),
        source,
    })
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
