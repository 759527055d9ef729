//! The file in which a machine's calibration is kept, with a reason where it cannot be used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::calibration::{Calibration, OPTIMISED, SCHEMA_VERSION};
use super::store::{StoreError, can_fill, write_atomically};
use crate::measure::host::Host;
use crate::servers::find::user_folder;

/// The folder, in that of the user's state.
const FOLDER: &str = "calibration";

/// Why there is no calibration where one was looked for.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The file cannot be read or written.
    #[error("cannot use `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no place for the file.
    #[error("there is no place to keep a calibration: set XDG_STATE_HOME or HOME")]
    Homeless,
    /// It is no calibration, or only a part of one.
    #[error("the calibration `{}` is damaged ({why}): it is ignored; `mqbench calibrate` makes it anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// Written by a later version.
    #[error(
        "the calibration `{}` was written by a newer mqbench (schema {found}; this one reads up to \
         {SCHEMA_VERSION}): it is ignored",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It is about another machine.
    #[error("the calibration `{}` is of another machine: it is ignored; `mqbench calibrate` makes one of this", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The machine is not what it was.
    #[error(
        "the calibration of {made} is of this machine as it was then ({what}): it is ignored; `mqbench calibrate` makes it anew"
    )]
    Outdated {
        /// When it was made.
        made: String,
        /// What has changed: `kernel: Linux 6.1 → Linux 6.2`.
        what: String,
    },
}

impl Calibration {
    /// Where the user's calibration of a machine is.
    ///
    /// # Errors
    /// Where the user has no home.
    pub fn place(host: &Host) -> Result<PathBuf, CalibrationError> {
        let state = user_folder("XDG_STATE_HOME", ".local/state");
        let folder = state.ok_or(CalibrationError::Homeless)?.join(FOLDER);
        Ok(folder.join(format!("{}.json", host.id)))
    }

    /// The user's calibration of this machine; `None` where there is none.
    ///
    /// # Errors
    /// Where there is one that cannot be used; it is no reason not to measure.
    pub fn of_user(host: &Host) -> Result<Option<Calibration>, CalibrationError> {
        match Calibration::place(host) {
            Ok(path) => Calibration::read(&path, host),
            // Whoever has no home has no calibration either.
            Err(_) => Ok(None),
        }
    }

    /// Reads that of this machine.
    ///
    /// # Errors
    /// Where the file is none, or of another machine, or of this machine as it was.
    pub fn read(path: &Path, host: &Host) -> Result<Option<Calibration>, CalibrationError> {
        let path = path.to_owned();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CalibrationError::File { path, source }),
        };
        let damaged = |path: PathBuf, error: serde_json::Error| CalibrationError::Damaged {
            path,
            why: error.to_string(),
        };
        // The version first: a file of another version may have another shape.
        let version = match serde_json::from_slice::<Versioned>(&text) {
            Ok(found) => found.schema_version,
            Err(error) => return Err(damaged(path, error)),
        };
        if version > SCHEMA_VERSION {
            let found = version;
            return Err(CalibrationError::Newer { path, found });
        }
        let calibration: Calibration = match serde_json::from_slice(&text) {
            Ok(calibration) => calibration,
            Err(error) => return Err(damaged(path, error)),
        };
        if calibration.host.id != host.id {
            return Err(CalibrationError::Foreign { path });
        }
        let built = |optimised: bool| match optimised {
            true => "fast",
            false => "debuggable",
        };
        let build = (calibration.optimised != OPTIMISED).then(|| {
            let (then, now) = (built(calibration.optimised), built(OPTIMISED));
            format!("mqbench is built to be {now}, and was built to be {then}")
        });
        match changed(&calibration.host, host).or(build) {
            None => Ok(Some(calibration)),
            Some(what) => Err(CalibrationError::Outdated {
                made: calibration.made,
                what,
            }),
        }
    }

    /// Whether one of this machine could be kept now; makes the folder for it.
    ///
    /// # Errors
    /// Where it could not.
    pub fn can_keep(host: &Host) -> Result<(), CalibrationError> {
        let path = Calibration::place(host)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        can_fill(folder).map_err(|error| match error {
            StoreError::NotWritable { source, .. } | StoreError::Write { source, .. } => {
                CalibrationError::File { path, source }
            }
        })
    }

    /// Keeps it for the runs to come; where.
    ///
    /// # Errors
    /// Where it cannot be written; what was there before is left then.
    pub fn keep(&self) -> Result<PathBuf, CalibrationError> {
        let path = Calibration::place(&self.host)?;
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            write_atomically(&path, &text)
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(CalibrationError::File { path, source }),
        }
    }
}

/// What the file begins with.
#[derive(Deserialize)]
struct Versioned {
    schema_version: u32,
}

/// What of a machine has changed that its figures depend on.
fn changed(then: &Host, now: &Host) -> Option<String> {
    let text = |it: &Option<String>| it.clone().unwrap_or_else(|| "not known".to_owned());
    let cores = |host: &Host| host.cores.to_string();
    [
        ("processor", then.cpu.clone(), now.cpu.clone()),
        ("cores", cores(then), cores(now)),
        ("kernel", then.kernel.clone(), now.kernel.clone()),
        ("governor", text(&then.governor), text(&now.governor)),
        ("clock", text(&then.clock_source), text(&now.clock_source)),
    ]
    .into_iter()
    .find(|(_, then, now)| then != now)
    .map(|(what, then, now)| format!("{what}: {then} → {now}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    fn kept(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("c.json");
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn what_is_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let calibration = sample::calibration();
        let text = serde_json::to_string(&calibration).unwrap();
        let path = kept(folder.path(), &text);
        let back = Calibration::read(&path, &calibration.host).unwrap();
        assert_eq!(back, Some(calibration.clone()));
        let nothing = folder.path().join("nothing.json");
        assert_eq!(
            Calibration::read(&nothing, &calibration.host).unwrap(),
            None
        );
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let calibration = sample::calibration();
        let text = serde_json::to_string(&calibration).unwrap();
        let why = |text: &str, host: &Host| {
            let path = kept(folder.path(), text);
            Calibration::read(&path, host).unwrap_err().to_string()
        };
        let host = &calibration.host;
        for broken in [
            "",
            "{",
            "[]",
            "null",
            "{\"schema_version\": 1}",
            &text[..99],
        ] {
            let said = why(broken, host);
            assert!(
                said.contains("damaged") && said.contains("calibrate"),
                "{said}"
            );
        }
        assert!(why("{\"schema_version\": 9}", host).contains("newer mqbench"));
        let mut other = host.clone();
        other.id = "another".to_owned();
        assert!(why(&text, &other).contains("another machine"));
        let mut updated = host.clone();
        updated.kernel = "Linux 9.9".to_owned();
        let said = why(&text, &updated);
        assert!(said.contains("Linux 6.1 → Linux 9.9"), "{said}");
        // What is not a file cannot be read, and is no panic.
        let error = Calibration::read(folder.path(), host).unwrap_err();
        assert!(matches!(error, CalibrationError::File { .. }), "{error}");
    }
}
