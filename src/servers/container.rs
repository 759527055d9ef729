//! Containers in which servers run where there is no program of theirs on this machine.
//!
//! A container is made, started and attached to in steps of their own, so that at every instant it is
//! certain whether there is one to remove. What runs inside is seen from here as processes like any other:
//! they are suspended, watched and counted as those of a server that needs no container.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::engine::{Engine, LOOK};
use super::group::{Group, MARK, wait_until};
use super::{Image, Launch, Site};
use crate::measure::proc;

/// How long an engine may take to end and remove a container, besides what the server may take to end.
const REMOVE: Duration = Duration::from_secs(30);

/// What led to a server that runs in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contained {
    /// The engine.
    pub engine: Engine,
    /// Name of the image, with its version.
    pub image: String,
    /// What the engine says the image is, which a name alone does not tell.
    pub identity: String,
    /// One of its containers, once there is one.
    pub container: Option<String>,
}

impl Contained {
    /// What a program in the image prints on its standard output, however it ends: as outside of one.
    pub fn output_of(&self, program: &Path, args: &[&str]) -> io::Result<String> {
        let container = self.container.as_deref().ok_or(io::ErrorKind::NotFound)?;
        let program = program.to_string_lossy();
        let words = ["exec", container, &*program]
            .into_iter()
            .chain(args.iter().copied());
        self.engine.hear(words, LOOK).map_err(io::Error::other)
    }
}

/// A container, or the name of one that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The engine that has it.
    pub engine: Engine,
    /// Its name.
    pub name: String,
}

/// Whom a container can reach, and who reaches it.
pub enum Network<'a> {
    /// Nobody.
    None,
    /// Clients, through these ports of the loopback interface.
    Published(&'a [u16]),
    /// Those of the container of this name, as if both were on one machine.
    Shared(&'a str),
}

impl Container {
    /// The command that makes it: `launch` as it would run here, with the folder of the site and the files
    /// that the settings name at the same places.
    pub fn create(
        &self,
        image: &str,
        programs: Option<&Image>,
        launch: &Launch,
        site: &Site,
        network: &Network,
        mark: &str,
    ) -> Launch {
        // No image is fetched unasked, its own checks do not disturb what is measured, and the engine keeps
        // no log besides ours. Labels would keep a confined process from the folder.
        let plain = [
            "create",
            "--rm",
            "--pull=never",
            "--no-healthcheck",
            "--log-driver=none",
            "--security-opt=label=disable",
        ];
        let mut args: Vec<OsString> = plain.map(OsString::from).to_vec();
        args.extend(self.engine.user.iter().map(OsString::from));
        args.push(format!("--name={}", self.name).into());
        args.push(mount(&site.folder, ""));
        let read = site.config.values().map(PathBuf::from);
        let read = read.filter(|path| path.is_absolute() && path.is_file());
        args.extend(read.map(|path| mount(&path, ",readonly")));
        let folder = site.folder.clone().into_os_string();
        args.extend([OsString::from("--workdir"), folder]);
        match network {
            Network::None => args.push("--network=none".into()),
            Network::Published(ports) => {
                let publish = |port: &u16| format!("--publish=127.0.0.1:{port}:{port}").into();
                args.extend(ports.iter().map(publish));
            }
            Network::Shared(name) => args.push(format!("--network=container:{name}").into()),
        }
        let mark = [(MARK.to_owned(), OsString::from(mark))];
        for (name, value) in launch.env.iter().chain(&mark) {
            let mut variable = OsString::from(format!("--env={name}="));
            variable.push(value);
            args.push(variable);
        }
        let program = inside(programs, &launch.program);
        args.extend(["--entrypoint".into(), program, image.into()]);
        args.extend(launch.args.iter().cloned());
        self.command(&launch.name, args)
    }

    /// The command that starts it and prints what it prints, until it ends.
    pub fn start(&self, name: &str) -> Launch {
        let args = ["start", "--attach", &self.name].map(OsString::from);
        self.command(name, args.to_vec())
    }

    fn command(&self, name: &str, args: Vec<OsString>) -> Launch {
        Launch {
            name: name.to_owned(),
            program: self.engine.program.clone(),
            args,
            env: Vec::new(),
        }
    }

    /// Its processes, if it runs in `folder` and they are to be seen from here.
    ///
    /// An engine may be on another machine, or see other numbers than this process: a mark or the folder,
    /// whose name nothing else has, tells its process from one that only has the number. Some write over
    /// their environment and the mark with it, others leave the folder.
    pub fn group(&self, mark: &str, folder: &Path) -> Option<Group> {
        let args = [
            "container",
            "inspect",
            "--format={{.State.Pid}}",
            &self.name,
        ];
        let pid: u32 = self.engine.ask(args, LOOK).ok()?.trim().parse().ok()?;
        let group = Group::of(pid, mark).ok()?;
        let place = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        let is_there = || {
            place
                .components()
                .any(|part| Some(part.as_os_str()) == folder.file_name())
        };
        (group.is_marked() || is_there()).then_some(group)
    }

    /// Asks what runs in it to end, and sees to it that it has after `grace`.
    pub fn stop(&self, grace: Duration) {
        let seconds = grace.as_secs().max(1).to_string();
        // What this leaves is removed by force.
        let stop = ["stop", "-t", &seconds, &self.name];
        let _ = self.engine.ask(stop, grace + REMOVE);
    }

    /// Removes it with all that runs in it; one that is not there is no error.
    pub fn remove(&self) -> Result<(), String> {
        let mut outcome = Ok(());
        let gone = wait_until(REMOVE, || {
            let removal = ["rm", "--force", "--volumes", &self.name];
            let removed = self.engine.ask(removal, REMOVE);
            // It may be in the middle of being removed because it has ended, which counts once it is done.
            let look = ["container", "inspect", "--format={{.Id}}", &self.name];
            outcome = match self.engine.ask(look, LOOK) {
                Ok(_) => Err(removed
                    .err()
                    .unwrap_or_else(|| "it is still there".to_owned())),
                Err(why) if why.to_lowercase().contains("no such") => Ok(()),
                Err(why) => Err(why),
            };
            outcome.is_ok()
        });
        match (gone, outcome) {
            (false, Err(why)) => Err(format!(
                "{why}; remove it with    {} rm --force {}",
                self.engine.program.display(),
                self.name
            )),
            _ => Ok(()),
        }
    }
}

/// The program that an image has in the place of `program`: the one of its name, or otherwise the same.
fn inside(image: Option<&Image>, program: &Path) -> OsString {
    let name = program.file_name();
    let mut programs = image.map_or(&[][..], |image| image.programs).iter();
    let same = programs.find(|candidate| Path::new(candidate).file_name() == name);
    same.map_or_else(|| program.into(), OsString::from)
}

/// The argument that shows a file or folder to a container at the same place.
fn mount(path: &Path, mode: &str) -> OsString {
    // Fields of a line of comma-separated values: with quotes, commas in them mean nothing.
    let quoted = |key: &str| {
        let mut field = OsString::from(format!("\"{key}="));
        field.push(path);
        field.push("\"");
        field
    };
    let mut argument = OsString::from("--mount=type=bind,");
    argument.push(quoted("source"));
    argument.push(",");
    argument.push(quoted("target"));
    argument.push(mode);
    argument
}

/// The processes that an engine runs on this machine for containers with these leading processes and
/// ports: what watches over each of them, and what hands connections on to them.
pub fn helpers(leaders: &[i32], ports: &[u16]) -> Vec<i32> {
    let all = proc::processes();
    let parents = all.iter().filter(|process| leaders.contains(&process.pid));
    let mut found: Vec<i32> = parents.map(|process| process.parent).collect();
    let published = |pid: i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        let port = words.windows(2).find(|pair| pair[0] == b"-host-port");
        port.and_then(|pair| std::str::from_utf8(pair[1]).ok()?.parse().ok())
            .is_some_and(|port| ports.contains(&port))
    };
    found.extend(
        all.iter()
            .map(|process| process.pid)
            .filter(|pid| published(*pid)),
    );
    // Where the watching process has gone, its container's parent is the first of all processes.
    found.retain(|pid| *pid > 1 && *pid != std::process::id() as i32);
    found
}

/// The leading processes of containers that somebody else started and that publish one of these ports of this
/// machine. None where there is no engine, or it is elsewhere.
pub fn published(ports: &[u16], path: &[PathBuf]) -> Vec<i32> {
    let Ok(engine) = Engine::find(path) else {
        return Vec::new();
    };
    let filters = ports.iter().map(|port| format!("--filter=publish={port}"));
    let list = ["ps", "--quiet", "--no-trunc"].map(str::to_owned);
    let names = engine.ask(list.into_iter().chain(filters), LOOK);
    let names = names.unwrap_or_default();
    let mut inspect = vec!["container", "inspect", "--format={{.State.Pid}}"];
    inspect.extend(names.lines());
    if names.trim().is_empty() {
        return Vec::new();
    }
    let pids = engine.ask(inspect, LOOK).unwrap_or_default();
    let pids = pids.lines().filter_map(|pid| pid.trim().parse().ok());
    // The engine may be on another machine, or see other numbers than this process.
    pids.filter(|pid| *pid > 1 && proc::process(*pid).is_some())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str) -> Container {
        Container {
            engine: Engine {
                program: "/usr/bin/docker".into(),
                version: "28.2.2".into(),
                user: vec!["--user=7:8".into()],
            },
            name: name.into(),
        }
    }

    #[test]
    fn a_launch_becomes_a_container_with_the_same_folder_and_ports_of_the_loopback_interface() {
        let key = tempfile::NamedTempFile::new().unwrap();
        let site = Site {
            folder: "/tmp/mqbench-1".into(),
            ports: vec![5001, 5002],
            config: [("tls_key", key.path().to_str().unwrap()), ("size", "8MB")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        let launch = Launch {
            name: "server".into(),
            program: "/usr/sbin/serve".into(),
            args: vec!["-c".into(), "/tmp/mqbench-1/conf".into()],
            env: vec![("HOME".into(), "/tmp/mqbench-1".into())],
        };
        let image = Image {
            name: "serve:1",
            programs: &["/opt/serve", "/opt/java"],
        };
        let words = |network: &Network| {
            let command = container("mqbench-1-server").create(
                image.name,
                Some(&image),
                &launch,
                &site,
                network,
                "m",
            );
            assert_eq!(command.program, Path::new("/usr/bin/docker"));
            let words = command.args.iter().map(|word| word.to_str().unwrap());
            words.collect::<Vec<_>>().join(" ")
        };
        let key = key.path().display();
        assert_eq!(
            words(&Network::Published(&site.ports)),
            format!(
                "create --rm --pull=never --no-healthcheck --log-driver=none --security-opt=label=disable \
                 --user=7:8 --name=mqbench-1-server \
                 --mount=type=bind,\"source=/tmp/mqbench-1\",\"target=/tmp/mqbench-1\" \
                 --mount=type=bind,\"source={key}\",\"target={key}\",readonly \
                 --workdir /tmp/mqbench-1 \
                 --publish=127.0.0.1:5001:5001 --publish=127.0.0.1:5002:5002 \
                 --env=HOME=/tmp/mqbench-1 --env=MQBENCH_MARK=m \
                 --entrypoint /opt/serve serve:1 -c /tmp/mqbench-1/conf"
            )
        );
        let shared = words(&Network::Shared("mqbench-1-first"));
        assert!(
            shared.contains(" --network=container:mqbench-1-first "),
            "{shared}"
        );
        assert!(!shared.contains("--publish"), "{shared}");
    }
}
