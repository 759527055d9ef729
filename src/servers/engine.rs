//! Container engines: docker, or podman where docker does not answer. Asked through their own programs,
//! which know where the engine is and who may use it; every question is bounded in time.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::find::runs;
use super::group::wait_until;

/// How long an engine may take to say that it is there. Those that hang are as good as none.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it may take over anything that is no more than looking something up.
pub const LOOK: Duration = Duration::from_secs(20);

/// A container engine that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Its program.
    pub program: PathBuf,
    /// Its version, as it says.
    pub version: String,
    /// The arguments by which what runs inside belongs to this user: its files must be ours to remove and
    /// its processes ours to suspend.
    pub user: Vec<String>,
}

/// A kind of engine.
struct Kind {
    program: &'static str,
    /// What makes it say its version, a line break, and what tells whether it runs as this user.
    question: &'static str,
    rootless: &'static str,
    /// The arguments for an engine that runs as this user; who that is inside differs.
    own: fn(&str) -> Vec<String>,
}

static KINDS: &[Kind] = &[
    Kind {
        program: "docker",
        question: "{{.ServerVersion}}\n{{.SecurityOptions}}",
        rootless: "name=rootless",
        // Root inside is this user outside.
        own: |_| vec!["--user=0:0".to_owned()],
    },
    Kind {
        program: "podman",
        question: "{{.Version.Version}}\n{{.Host.Security.Rootless}}",
        rootless: "true",
        own: |user| vec!["--userns=keep-id".to_owned(), user.to_owned()],
    },
];

impl Engine {
    /// The first that answers, of those in these folders; or why there is none.
    pub fn find(path: &[PathBuf]) -> Result<Engine, String> {
        let mut silent = Vec::new();
        for kind in KINDS {
            let mut candidates = path.iter().map(|folder| folder.join(kind.program));
            let Some(program) = candidates.find(|candidate| runs(candidate)) else {
                continue;
            };
            match kind.ask(&program) {
                Ok(engine) => return Ok(engine),
                Err(why) => silent.push(format!("{} does not run: {why}", kind.program)),
            }
        }
        if silent.is_empty() {
            let names: Vec<&str> = KINDS.iter().map(|kind| kind.program).collect();
            return Err(format!("no {} is on the path", names.join(" or ")));
        }
        Err(silent.join("; "))
    }

    /// As a person names it.
    pub fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        format!("{} {}", name.display(), self.version)
    }

    /// Has it do something and gives what it prints, or else what it says is wrong.
    pub fn ask<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        within: Duration,
    ) -> Result<String, String> {
        ask(&self.program, args, within)
    }

    /// The same where only what is printed counts: some programs take a question for their version as a mistake.
    pub fn hear<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        within: Duration,
    ) -> Result<String, String> {
        let ended = run(&self.program, args, within)?;
        match ended.said.is_empty() {
            true => ended.asked(),
            false => Ok(ended.said),
        }
    }

    /// The identity of an image, if it has that.
    pub fn image(&self, name: &str) -> Option<String> {
        let identity = self.ask(["image", "inspect", "--format={{.Id}}", name], LOOK);
        identity.ok().map(|identity| identity.trim().to_owned())
    }
}

impl Kind {
    fn ask(&self, program: &Path) -> Result<Engine, String> {
        let said = ask(program, ["info", "--format", self.question], ANSWER)?;
        let (version, mode) = said.trim_end().split_once('\n').unwrap_or((&said, ""));
        if !version.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("it says `{}`", first_line(&said)));
        }
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let user = format!("--user={uid}:{gid}");
        let rootless = !uid.is_root() && mode.contains(self.rootless);
        Ok(Engine {
            program: program.to_owned(),
            version: version.trim().to_owned(),
            user: match rootless {
                true => (self.own)(&user),
                false => vec![user],
            },
        })
    }
}

/// What came of an engine's program.
struct Ended {
    status: ExitStatus,
    said: String,
    complaint: String,
}

impl Ended {
    fn asked(self) -> Result<String, String> {
        match self.status.success() {
            true => Ok(self.said),
            false => Err(reason(&self.complaint, &self.status.to_string())),
        }
    }
}

fn ask<S: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = S>,
    within: Duration,
) -> Result<String, String> {
    run(program, args, within)?.asked()
}

/// Runs an engine's program to its end, at most for `within`.
fn run<S: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = S>,
    within: Duration,
) -> Result<Ended, String> {
    let run = || -> io::Result<Option<Ended>> {
        let mut child = Command::new(program)
            .args(args)
            // Ctrl-C ends the run, which still needs the engine to tidy up.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let ended = wait_until(within, || !matches!(child.try_wait(), Ok(None)));
        if !ended {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        let status = child.wait()?;
        let (mut said, mut complaint) = (String::new(), String::new());
        if let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) {
            out.read_to_string(&mut said)?;
            err.read_to_string(&mut complaint)?;
        }
        Ok(Some(Ended {
            status,
            said,
            complaint,
        }))
    };
    match run() {
        Ok(Some(ended)) => Ok(ended),
        Ok(None) => Err(format!("no answer within {} s", within.as_secs())),
        Err(error) => Err(error.to_string()),
    }
}

/// What an engine says is wrong, in one line.
pub fn reason(complaint: &str, otherwise: &str) -> String {
    let told = complaint
        .lines()
        .map(str::trim)
        // The mistake comes first or after warnings, and last which help there is.
        .find(|line| line.to_lowercase().contains("error") || line.starts_with("Cannot"))
        .unwrap_or_else(|| first_line(complaint));
    match told {
        "" => otherwise.to_owned(),
        told => told.trim_start_matches("ERROR: ").to_owned(),
    }
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder with programs of these names that do what the scripts say.
    fn programs(scripts: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in scripts {
            let program = folder.path().join(name);
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    fn found(scripts: &[(&str, &str)]) -> Result<Engine, String> {
        Engine::find(&[programs(scripts).path().to_owned()])
    }

    const DOWN: &str = "echo 'ERROR: Cannot connect to the Docker daemon at unix:///x. Is it running?' >&2\n\
                        echo 'errors pretty printing info' >&2; exit 1";

    #[test]
    fn an_engine_is_one_that_answers() {
        let docker = ("docker", "printf '28.2.2\\n[name=seccomp]\\n'");
        let podman = ("podman", "printf '4.3.1\\nfalse\\n'");
        assert_eq!(found(&[docker, podman]).unwrap().name(), "docker 28.2.2");
        assert_eq!(
            found(&[("docker", DOWN), podman]).unwrap().name(),
            "podman 4.3.1"
        );
    }

    #[test]
    fn where_none_answers_it_says_why() {
        assert_eq!(
            found(&[]).unwrap_err(),
            "no docker or podman is on the path"
        );
        assert_eq!(
            found(&[("docker", DOWN), ("podman", "echo oops")]).unwrap_err(),
            "docker does not run: Cannot connect to the Docker daemon at unix:///x. Is it running?; \
             podman does not run: it says `oops`"
        );
    }

    #[test]
    fn the_mistake_is_told_from_warnings_and_help() {
        let said = "WARNING: IPv4 forwarding is disabled.\n\
                    Error response from daemon: no such image\nRun 'docker --help'\n";
        assert_eq!(
            reason(said, "exit status: 1"),
            "Error response from daemon: no such image"
        );
        assert_eq!(reason(" \n", "exit status: 1"), "exit status: 1");
    }
}
