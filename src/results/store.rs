//! The folder of a run: written while it goes, so that an interrupted run keeps what it measured.
//!
//! Every file is written beside its place, synced and then put there by renaming: whoever reads it
//! finds the old one or the new one, whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::model::{Manifest, Results, SCHEMA_VERSION};
use crate::measure::record::Record;

/// The results themselves.
pub const RESULTS_FILE: &str = "results.json";
/// Names the newest run beside it.
pub const LATEST: &str = "latest";
/// Histograms and series of each attempt.
const TRIALS: &str = "trials";

/// Why results could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Before the first trial: nothing is lost.
    #[error("cannot write results to `{}`: {source}", path.display())]
    NotWritable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Later.
    #[error("cannot write `{}`: {source}; {kept}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// What is safe in spite of it.
        kept: String,
    },
}

/// One attempt at a trial with all that it saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTrial {
    /// As in the results.
    pub schema_version: u32,
    /// The trial's number in the plan.
    pub trial: u32,
    /// From 1.
    pub attempt: u32,
    /// What it saw.
    pub record: Record,
}

/// The folder of a run that is being made.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    trials_kept: std::cell::Cell<u32>,
}

impl Store {
    /// Makes the folder of a run in `parent` and sees that it can be written to.
    pub fn create(parent: &Path, manifest: &Manifest) -> Result<Store, StoreError> {
        let folder = free_folder(parent, manifest)?;
        let trials = folder.join(TRIALS);
        let not_writable = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::NotWritable { path, source }
        };
        fs::create_dir_all(&trials).map_err(not_writable(&trials))?;
        let probe = trials.join(".writable");
        write_atomically(&probe, b"mqbench\n").map_err(not_writable(&folder))?;
        fs::remove_file(&probe).map_err(not_writable(&folder))?;
        Ok(Store {
            folder,
            trials_kept: std::cell::Cell::new(0),
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps everything that one attempt saw.
    pub fn keep_trial(&self, trial: u32, attempt: u32, record: &Record) -> Result<(), StoreError> {
        let stored = StoredTrial {
            schema_version: SCHEMA_VERSION,
            trial,
            attempt,
            record: record.clone(),
        };
        self.write(&trial_file(trial, attempt), &json(&stored))?;
        self.trials_kept.set(self.trials_kept.get() + 1);
        Ok(())
    }

    /// Keeps the results as they are now, and makes `latest` name this run.
    pub fn keep(&self, results: &Results) -> Result<(), StoreError> {
        self.write(Path::new(RESULTS_FILE), &json(results))?;
        self.link_latest().map_err(|source| StoreError::Write {
            path: self.folder.with_file_name(LATEST),
            source,
            kept: self.kept(),
        })
    }

    /// Writes a file of the folder, given by its path within it.
    pub fn write(&self, name: &Path, content: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        write_atomically(&path, content).map_err(|source| StoreError::Write {
            path,
            source,
            kept: self.kept(),
        })
    }

    fn kept(&self) -> String {
        match self.trials_kept.get() {
            0 => "nothing was measured before".to_owned(),
            1 => format!("1 trial before it is kept in `{}`", self.folder.display()),
            n => format!(
                "{n} trials before it are kept in `{}`",
                self.folder.display()
            ),
        }
    }

    /// Puts the link in place by renaming, so that it never names nothing.
    fn link_latest(&self) -> io::Result<()> {
        let (Some(parent), Some(name)) = (self.folder.parent(), self.folder.file_name()) else {
            return Ok(());
        };
        let link = parent.join(LATEST);
        if fs::read_link(&link).is_ok_and(|target| target == Path::new(name)) {
            return Ok(());
        }
        if fs::symlink_metadata(&link).is_ok_and(|found| !found.is_symlink()) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it is not a link, so it is left alone",
            ));
        }
        let fresh = parent.join(format!(".{LATEST}-{}", std::process::id()));
        // Of a run with the same process number that was killed here.
        let _ = fs::remove_file(&fresh);
        std::os::unix::fs::symlink(name, &fresh)?;
        fs::rename(&fresh, &link)
    }
}

/// The path of an attempt's file within the folder: `trials/0001.json`, then `trials/0001-2.json`.
pub fn trial_file(trial: u32, attempt: u32) -> PathBuf {
    let name = match attempt {
        0 | 1 => format!("{trial:04}.json"),
        again => format!("{trial:04}-{again}.json"),
    };
    Path::new(TRIALS).join(name)
}

/// Writes a file so that it is there whole or not at all, also after a crash of the machine.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".mqbench-")
        .permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(without_path)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The error of the system, without the name of a temporary file, which says nothing to anybody.
fn without_path(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(std::error::Error::source);
    let inner = inner.and_then(|inner| inner.downcast_ref::<io::Error>());
    match inner.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error,
    }
}

/// Writes a file that the user named. A link stays a link, and what is no file (`/dev/stdout`, a pipe) is
/// written to: renaming would put a file in its place.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => write_atomically(&fs::canonicalize(path)?, content),
        Ok(_) => File::options().write(true).open(path)?.write_all(content),
        Err(_) => write_atomically(path, content),
    }
}

/// Whether [`replace`] could write there now; changes nothing.
pub fn can_replace(path: &Path) -> Result<(), StoreError> {
    let try_it = || match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => Ok(()),
        _ => {
            let target = fs::canonicalize(path);
            let folder = target.as_deref().unwrap_or(path).parent();
            let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
            let file = tempfile::tempfile_in(folder.unwrap_or(Path::new(".")));
            file.map(drop).map_err(without_path)
        }
    };
    try_it().map_err(|source| StoreError::NotWritable {
        path: path.to_owned(),
        source,
    })
}

/// Makes a folder that the user named, if it is not there, and sees that files can be put into it.
pub fn can_fill(folder: &Path) -> Result<(), StoreError> {
    let file = fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder).map_err(without_path));
    file.map(drop).map_err(|source| StoreError::NotWritable {
        path: folder.to_owned(),
        source,
    })
}

/// `2026-11-20T21-04-latency-7f3a`, with a number behind it where that is taken.
fn free_folder(parent: &Path, manifest: &Manifest) -> Result<PathBuf, StoreError> {
    let not_writable = |source| StoreError::NotWritable {
        path: parent.to_owned(),
        source,
    };
    fs::create_dir_all(parent).map_err(not_writable)?;
    let minute: String = manifest.started.chars().take(16).collect();
    let short: String = manifest.id.chars().take(4).collect();
    let scenario = file_name(&manifest.scenario);
    let name = format!("{}-{scenario}-{short}", minute.replace(':', "-"));
    for number in 1..1000 {
        let folder = match number {
            1 => parent.join(&name),
            _ => parent.join(format!("{name}-{number}")),
        };
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(not_writable(error)),
        }
    }
    Err(not_writable(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "a thousand runs of this minute are there",
    )))
}

/// A scenario's name without what a file's name should not have.
fn file_name(scenario: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = scenario.chars().take(60).map(safe).collect();
    name.trim_start_matches('.').to_owned()
}

/// Values of our own types, all of which have text keys: they can be written.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_else(|error| {
        unreachable!("results are plain values: {error}");
    });
    text.push(b'\n');
    text
}
