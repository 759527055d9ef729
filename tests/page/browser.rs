//! A browser without a window, and what it made of a page.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::skipped;

/// Names under which Chromium is installed.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Chromium.
pub struct Browser {
    program: PathBuf,
}

impl Browser {
    /// The one on the path; where there is none, says so.
    #[track_caller]
    pub fn find() -> Option<Browser> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path);
        let mut files = folders.flat_map(|folder| NAMES.map(|name| folder.join(name)));
        match files.find(|file| file.is_file()) {
            Some(program) => Some(Browser { program }),
            None => {
                skipped("chromium");
                None
            }
        }
    }

    /// Opens a file as a reader does, from disk, and gives the document as its scripts left it.
    ///
    /// # Panics
    /// Where anything was said on the console: an error of a script, or something that the policy of the page
    /// refused.
    #[track_caller]
    pub fn open(&self, page: &Path) -> String {
        let (dom, said) = self.look(page);
        assert_eq!(said, Vec::<String>::new(), "on the console");
        dom
    }

    /// The document as its scripts left it, and what was said on the console.
    #[track_caller]
    pub fn look(&self, page: &Path) -> (String, Vec<String>) {
        let profile = tempfile::tempdir().expect("a folder");
        let output = Command::new(&self.program)
            .args([
                "--headless",
                // It shows nothing but what the test made, and as root its sandbox does not start.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--enable-logging=stderr",
                "--v=0",
                "--window-size=1200,900",
                // What scripts wait for comes at once.
                "--virtual-time-budget=5000",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .output()
            .expect("Chromium starts");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let said = log.lines().filter(|it| it.contains(":CONSOLE"));
        let dom = String::from_utf8(output.stdout).expect("text");
        (dom, said.map(str::to_owned).collect())
    }
}

/// A page with one more script at its end.
pub fn with_script(page: &str, script: &str) -> String {
    let at = page.rfind("</body>").expect("the end");
    format!(
        "{}<script>(() => {{{script}}})();</script>{}",
        &page[..at],
        &page[at..]
    )
}

/// A page that may run any script.
pub fn without_policy(page: &str) -> String {
    let start = page
        .find("<meta http-equiv=\"Content-Security-Policy\"")
        .expect("a policy");
    let end = start + page[start..].find('>').expect("its end") + 1;
    format!("{}{}", &page[..start], &page[end..])
}

/// The opening tags that begin so.
pub fn elements<'a>(dom: &'a str, begin: &str) -> Vec<&'a str> {
    let starts = dom.match_indices(begin).map(|(at, _)| &dom[at..]);
    starts
        .map(|rest| &rest[..rest.find('>').map_or(rest.len(), |end| end + 1)])
        .collect()
}

/// An attribute of an opening tag.
pub fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = element.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}
