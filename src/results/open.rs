//! Results of earlier runs, with a reason where they cannot be read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::model::{Results, SCHEMA_VERSION};
use super::store::{RESULTS_FILE, StoredTrial, trial_file};
use crate::measure::record::Record;

/// Why stored results cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there, or it may not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A folder without results.
    #[error("`{}` holds no {RESULTS_FILE}: it is not the folder of a run, or the run was ended before its first trial", path.display())]
    NoResults {
        /// The folder.
        path: PathBuf,
    },
    /// The file ends too early.
    #[error("`{}` is cut short: it ends in the middle, at line {line}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where it ends.
        line: usize,
    },
    /// Something else that is JSON, or not even that.
    #[error("`{}` is not a result of mqbench: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a later version.
    #[error("`{}` was written by a newer mqbench (schema {found}; this one reads up to {SCHEMA_VERSION})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It has our version and does not fit it.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

/// Results of an earlier run, and where they are.
#[derive(Debug)]
pub struct Stored {
    /// The run's folder: histograms and series are in it.
    pub folder: PathBuf,
    /// What was kept.
    pub results: Results,
}

impl Stored {
    /// Reads the results of a run, given by its folder, by its `results.json`, or by a link to either
    /// (`results/latest`).
    pub fn open(path: &Path) -> Result<Stored, OpenError> {
        let found = fs::metadata(path).map_err(|source| OpenError::Read {
            path: path.to_owned(),
            source,
        })?;
        let file = match found.is_dir() {
            true => path.join(RESULTS_FILE),
            false => path.to_owned(),
        };
        if found.is_dir() && !file.exists() {
            return Err(OpenError::NoResults {
                path: path.to_owned(),
            });
        }
        let results: Results = read(&file)?;
        check(&results).map_err(|reason| OpenError::Damaged {
            path: file.clone(),
            reason,
        })?;
        let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Stored { folder, results })
    }

    /// Reads everything that one attempt saw.
    pub fn record(&self, trial: u32, attempt: u32) -> Result<Record, OpenError> {
        read_record(&self.folder, trial, attempt)
    }
}

/// Reads everything that one attempt of the run in `folder` saw.
pub fn read_record(folder: &Path, trial: u32, attempt: u32) -> Result<Record, OpenError> {
    let file = folder.join(trial_file(trial, attempt));
    let stored: StoredTrial = read(&file)?;
    if (stored.trial, stored.attempt) != (trial, attempt) {
        return Err(OpenError::Damaged {
            path: file,
            reason: format!(
                "it holds trial {}, attempt {}",
                stored.trial, stored.attempt
            ),
        });
    }
    Ok(stored.record)
}

/// What every file of ours begins with.
#[derive(Deserialize)]
struct Versioned {
    schema_version: Option<u32>,
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, OpenError> {
    let text = fs::read(path).map_err(|source| OpenError::Read {
        path: path.to_owned(),
        source,
    })?;
    let path = path.to_owned();
    // The version first: a file of another version may have another shape.
    let version = match serde_json::from_slice::<Versioned>(&text) {
        Ok(Versioned {
            schema_version: Some(version),
        }) => version,
        Ok(_) => {
            let reason = "it has no `schema_version`".to_owned();
            return Err(OpenError::Foreign { path, reason });
        }
        Err(error) if error.is_eof() => {
            let line = error.line();
            return Err(OpenError::Truncated { path, line });
        }
        Err(error) => {
            let reason = error.to_string();
            return Err(OpenError::Foreign { path, reason });
        }
    };
    if version > SCHEMA_VERSION {
        let found = version;
        return Err(OpenError::Newer { path, found });
    }
    serde_json::from_slice(&text).map_err(|error| OpenError::Damaged {
        path,
        reason: error.to_string(),
    })
}

/// References within the results; everything else is checked by its type.
fn check(results: &Results) -> Result<(), String> {
    let brokers = results.plan.brokers.len();
    match results.attempts.iter().find(|it| it.broker >= brokers) {
        Some(lost) => Err(format!(
            "trial {} belongs to no broker of its plan",
            lost.trial
        )),
        None => Ok(()),
    }
}
