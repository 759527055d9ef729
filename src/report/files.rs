//! The files of a run that are made from its results.

use std::io;
use std::path::{Path, PathBuf};

use super::charts::Charts;
use super::charts::draw::{Picture, pictures};
use super::details::Details;
use super::{csv, html};
use crate::results::cores::on_all;
use crate::results::store::{replace, write_atomically};
use crate::results::{OpenError, Results};
use crate::terminal::numbers;

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

/// What was made of a run.
#[derive(Debug, Default)]
pub struct Made {
    /// What the folder has now, as a line for a person names it: `summary.csv`, `6 charts`.
    pub names: Vec<String>,
    /// The whole run as HTML.
    pub page: String,
    /// The charts, ready to be painted.
    pub pictures: Vec<Picture>,
}

/// What charts are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Pixels.
    Png,
    /// Shapes.
    Svg,
}

/// Writes `report.html`, `summary.csv`, `trials.csv`, `series.csv` and `latency.hlog` into `to`, from the run in
/// `folder`. Charts are laid out and not written yet: see [`Made::draw`].
pub fn write(folder: &Path, results: &Results, to: &Path) -> Result<Made, FilesError> {
    let details = Details::read(folder, results)?;
    let log = details.histograms.to_log(results).map_err(|source| {
        let path = to.join("latency.hlog");
        FilesError::Write { path, source }
    })?;
    let mut made = Made::of(results, &details);
    let files = [
        ("report.html", &made.page),
        ("summary.csv", &csv::summary(results)),
        ("trials.csv", &csv::trials(results)),
        ("series.csv", &details.series.to_csv()),
        ("latency.hlog", &log),
    ];
    for (name, content) in &files {
        let path = to.join(name);
        write_atomically(&path, content.as_bytes())
            .map_err(|source| FilesError::Write { path, source })?;
    }
    made.names = files.map(|(name, _)| name.to_owned()).into();
    Ok(made)
}

impl Made {
    /// Page and charts of the run in `folder`: none of its files is written.
    pub fn read(folder: &Path, results: &Results) -> Result<Made, FilesError> {
        Ok(Made::of(results, &Details::read(folder, results)?))
    }

    fn of(results: &Results, details: &Details) -> Made {
        let charts = Charts::of(results, details);
        Made {
            names: Vec::new(),
            page: html::run(results, &charts),
            pictures: pictures(&charts),
        }
    }

    /// Writes the charts into `charts` in a folder, in both formats.
    pub fn draw(&mut self, to: &Path) -> Result<(), FilesError> {
        let folder = to.join("charts");
        self.export(&folder, PictureFormat::Png)?;
        self.export(&folder, PictureFormat::Svg)?;
        if !self.pictures.is_empty() {
            let count = self.pictures.len() as u64;
            self.names.push(numbers::counted(count, "chart"));
        }
        Ok(())
    }

    /// Writes the page where the user wants it.
    pub fn export_page(&self, path: &Path) -> Result<(), FilesError> {
        replace(path, self.page.as_bytes()).map_err(|source| FilesError::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes the charts into a folder of their own, which is made if there is a chart.
    pub fn export(&self, folder: &Path, format: PictureFormat) -> Result<(), FilesError> {
        let paint = |picture: &Picture| {
            let (ending, painted) = match format {
                PictureFormat::Png => ("png", picture.png()),
                PictureFormat::Svg => ("svg", picture.svg().map(String::into_bytes)),
            };
            let path = folder.join(format!("{}.{ending}", picture.id));
            let written = painted.map_err(io::Error::other).and_then(|content| {
                std::fs::create_dir_all(folder)?;
                write_atomically(&path, &content)
            });
            written.map_err(|source| FilesError::Write { path, source })
        };
        on_all(&self.pictures, paint).into_iter().collect()
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
