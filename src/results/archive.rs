//! All runs under a folder, in the order in which they were made.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::cores::on_all;
use super::open::{OpenError, Stored};
use super::store::RESULTS_FILE;

/// Folders within folders are looked into so far: `results/nightly/2026/…`.
const DEPTH: usize = 6;

/// What was found under a folder.
#[derive(Debug)]
pub struct Archive {
    /// Each run once, the oldest first.
    pub runs: Vec<Stored>,
    /// Why something was passed over: each a sentence that names the file.
    pub passed_over: Vec<String>,
}

impl Archive {
    /// Reads the `results.json` of every run under `folder`, and nothing else of them. Links are not
    /// followed (`latest` is a run that is there anyway), hidden folders not looked into.
    ///
    /// # Errors
    /// Where the folder itself cannot be read. What cannot be read within is passed over.
    pub fn read(folder: &Path) -> Result<Archive, OpenError> {
        let mut found = Vec::new();
        let mut passed_over = Vec::new();
        walk(folder, DEPTH, &mut found, &mut passed_over).map_err(|source| OpenError::Read {
            path: folder.to_owned(),
            source,
        })?;
        let mut dated = Vec::new();
        let opened = on_all(&found, |folder| Stored::open(folder));
        for (path, opened) in found.iter().zip(opened) {
            match opened {
                Ok(stored) => match stored.results.manifest.started.parse::<Timestamp>() {
                    Ok(started) => dated.push((started, stored)),
                    Err(error) => passed_over.push(format!(
                        "`{}` is damaged: it began at no time: {error}",
                        path.display()
                    )),
                },
                Err(error) => passed_over.push(error.to_string()),
            }
        }
        // Of the same instant, by name, so that the order is the same each time.
        dated.sort_by(|a, b| (a.0, &a.1.folder).cmp(&(b.0, &b.1.folder)));
        let mut seen: HashMap<(String, String), PathBuf> = HashMap::new();
        let mut runs = Vec::new();
        for (_, stored) in dated {
            let manifest = &stored.results.manifest;
            let identity = (manifest.id.clone(), manifest.started.clone());
            match seen.get(&identity) {
                Some(first) => passed_over.push(format!(
                    "`{}` is a copy of `{}`",
                    stored.folder.display(),
                    first.display()
                )),
                None => {
                    seen.insert(identity, stored.folder.clone());
                    runs.push(stored);
                }
            }
        }
        Ok(Archive { runs, passed_over })
    }
}

/// Folders with results, this one included. A run has no other runs in it.
fn walk(
    folder: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
    passed_over: &mut Vec<String>,
) -> std::io::Result<()> {
    let mut within = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == RESULTS_FILE {
            found.push(folder.to_owned());
            return Ok(());
        }
        // The kind of the entry itself: a link to a folder is none.
        if entry.file_type()?.is_dir() && !name.to_string_lossy().starts_with('.') {
            within.push(entry.path());
        }
    }
    for folder in within {
        if depth > 0
            && let Err(error) = walk(&folder, depth - 1, found, passed_over)
        {
            passed_over.push(format!("cannot read `{}`: {error}", folder.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Results, Store, sample};

    fn keep(folder: &Path, started: &str, id: &str) -> PathBuf {
        let mut results: Results = sample::run(sample::plan(&["nats"], 1), &[1e5], |_, _, _| {});
        results.manifest.started = started.to_owned();
        results.manifest.id = id.to_owned();
        let store = Store::create(folder, &results.manifest).unwrap();
        store.keep(&results).unwrap();
        store.folder().to_owned()
    }

    #[test]
    fn runs_come_in_the_order_of_their_making_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        // By the clock of the wall the other way round.
        keep(folder.path(), "2026-11-20T21:04:00+09:00", "00000002");
        let first = keep(
            &folder.path().join("deeper"),
            "2026-11-20T10:00:00+00:00",
            "00000001",
        );
        let copy = folder.path().join("z-copy");
        fs::create_dir(&copy).unwrap();
        fs::copy(first.join(RESULTS_FILE), copy.join(RESULTS_FILE)).unwrap();
        let archive = Archive::read(folder.path()).unwrap();
        let ids = archive.runs.iter().map(|it| &it.results.manifest.id[..]);
        assert_eq!(ids.collect::<Vec<_>>(), ["00000001", "00000002"]);
        assert_eq!(archive.passed_over.len(), 1, "{:?}", archive.passed_over);
        assert!(archive.passed_over[0].contains("is a copy of"));
    }

    #[test]
    fn what_is_damaged_or_foreign_is_named_and_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path(), "2026-11-20T21:04:00+01:00", "00000001");
        keep(folder.path(), "yesterday", "00000002");
        for (name, text) in [("cut", "{\"schema_version\": 1,"), ("other", "{\"a\": 1}")] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join(RESULTS_FILE), text).unwrap();
        }
        let archive = Archive::read(folder.path()).unwrap();
        assert_eq!(archive.runs.len(), 1);
        let said = archive.passed_over.join("\n");
        for part in ["is cut short", "is not a result of mqbench", "at no time"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(Archive::read(&folder.path().join("nothing")).is_err());
    }
}
