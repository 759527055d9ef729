//! What can go wrong with a managed server, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::About;

/// Why a managed server could not be had or kept. The first line says what is wrong, those below it
/// what was tried and what helps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server has this name.
    #[error("there is no managed server `{name}`\n   there are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// All there are.
        known: Vec<&'static str>,
    },

    /// It has no such setting.
    #[error("{server} has no setting `{key}`{}\n   it has {}", suggestion(key, known), known.join(", "))]
    Setting {
        /// Name of the server.
        server: &'static str,
        /// What was asked for.
        key: String,
        /// All there are.
        known: Vec<&'static str>,
    },

    /// The setting does not take this.
    #[error("{server}: `{key}` cannot be `{}`\n   it takes {takes}", value.escape_debug())]
    Value {
        /// Name of the server.
        server: &'static str,
        /// Of which setting.
        key: String,
        /// What was asked for.
        value: String,
        /// What it takes.
        takes: String,
    },

    /// It is not installed.
    #[error(
        "cannot start a private {name}: no {title} was found\n   \
         looked for {}\n   \
         get one with    scripts/get {name}\n   \
         or use your own brokers: {{{name}: {{url: \"{url}\"}}}}",
        looked.join(", "),
        name = about.name, title = about.title, url = about.url
    )]
    NotFound {
        /// Which server.
        about: &'static About,
        /// Where it was looked for, in order.
        looked: Vec<String>,
    },

    /// The place that the user named has no such program.
    #[error(
        "cannot start a private {name}: {origin} names {}, which is not {} and has none in it\n   \
         correct it, or leave it out to use one on the path",
        path.display(), about.programs.join(" or "), name = about.name
    )]
    Misplaced {
        /// Which server.
        about: &'static About,
        /// What named the place.
        origin: String,
        /// The place.
        path: PathBuf,
    },

    /// The program that was found is not what it should be.
    #[error("{} does not say which version of {server} it is: {source}", program.display())]
    Version {
        /// Name of the server.
        server: &'static str,
        /// What was asked.
        program: PathBuf,
        /// What happened.
        source: io::Error,
    },

    /// Its folder, a file in it or a port for it could not be had.
    #[error("cannot prepare a private {server}: {what}: {source}")]
    Prepare {
        /// Name of the server.
        server: &'static str,
        /// What could not be done.
        what: String,
        /// Why.
        source: io::Error,
    },

    /// It ended, before it answered or later.
    #[error(
        "{server} ended by itself ({status}){}{}",
        because(reason),
        quoted(tail)
    )]
    Ended {
        /// Name of the server.
        server: &'static str,
        /// How it ended.
        status: String,
        /// Why, if its log says so.
        reason: Option<String>,
        /// The last lines of its log.
        tail: String,
    },

    /// It runs and does not answer.
    #[error("{server} did not answer within {within:?}: {last}{}", quoted(tail))]
    Silent {
        /// Name of the server.
        server: &'static str,
        /// How long it was given.
        within: Duration,
        /// What the last attempt said.
        last: String,
        /// The last lines of its log.
        tail: String,
    },

    /// Others took each port before the server could.
    #[error(
        "{server} found its port taken {attempts} times in a row\n   \
         other programs are opening many ports on this machine: end them, or try again"
    )]
    Ports {
        /// Name of the server.
        server: &'static str,
        /// How often it was tried.
        attempts: usize,
    },

    /// It could not be suspended.
    #[error("{server} could not be suspended within {within:?}: processes {running:?} still run")]
    Suspend {
        /// Name of the server.
        server: &'static str,
        /// How long it was given.
        within: Duration,
        /// What runs on.
        running: Vec<i32>,
    },

    /// It ran while it should not.
    #[error(
        "{server} used {used:?} of CPU time while it was suspended\n   \
         something else continued it: what was measured meanwhile was disturbed"
    )]
    Ran {
        /// Name of the server.
        server: &'static str,
        /// How much.
        used: Duration,
    },

    /// It ended, and what it wrote could not be removed.
    #[error("{server} has ended, but {} could not be removed: {source}", folder.display())]
    Folder {
        /// Name of the server.
        server: String,
        /// What is left.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// It runs in a container that could not be removed.
    #[error("{server} could not be ended: its container {container} remains: {why}")]
    Container {
        /// Name of the server.
        server: String,
        /// Name of the container.
        container: String,
        /// What the engine says, and what helps.
        why: String,
    },

    /// What runs in its container cannot be watched.
    #[error(
        "{server} runs in the container {container} of {engine}, and its processes are not to be seen from here\n   \
         what they use could not be measured: run mqbench on the machine of the engine itself, \
         as a user who sees them, or use a broker of your own with `url`"
    )]
    Unseen {
        /// Name of the server.
        server: &'static str,
        /// Name of the container.
        container: String,
        /// The engine.
        engine: String,
    },

    /// It did not end even when killed.
    #[error(
        "{server} could not be ended: processes {pids:?} remain, with their data in {}",
        folder.display()
    )]
    Remains {
        /// Name of the server.
        server: String,
        /// What remains.
        pids: Vec<i32>,
        /// Its folder.
        folder: PathBuf,
    },
}

fn suggestion(key: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(key, candidate), candidate))
        .filter(|(alike, _)| *alike > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!(": did you mean `{candidate}`?"))
        .unwrap_or_default()
}

fn because(reason: &Option<String>) -> String {
    reason
        .as_ref()
        .map(|why| format!(": {why}"))
        .unwrap_or_default()
}

fn quoted(tail: &str) -> String {
    if tail.trim().is_empty() {
        return "\n   its log is empty".to_owned();
    }
    let lines = tail.lines().map(|line| format!("\n   │ {line}"));
    "\n   its log ends with".to_owned() + &lines.collect::<String>()
}
