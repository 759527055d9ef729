//! Servers in containers, those that mqbench starts and those of `docker-compose.yml`, on a real engine.

#[path = "../program/mod.rs"]
mod program;

mod compose;
mod engine;
mod managed;
mod several;

use std::path::{Path, PathBuf};
use std::process::Command;

use engine::Engine;
use mqbench::measure::verdict::Outcome;
use mqbench::results::Attempt;
use mqbench::servers::named;
use program::{Ended, Place, ended};

/// An engine with the pinned images of the servers that these tests have.
#[track_caller]
fn engine_with_images(test: &str) -> Option<Engine> {
    let engine = engine::engine_for(test)?;
    let nats = program_named("nats");
    engine.image(image("nats"), &[(&nats, "/nats-server")]);
    let redis = program_named("redis");
    let asks = redis.with_file_name("redis-cli");
    let places = ["/usr/local/bin/redis-server", "/usr/local/bin/redis-cli"];
    engine.image(image("redis"), &[(&redis, places[0]), (&asks, places[1])]);
    let mosquitto = program_named("mosquitto");
    engine.image(image("mosquitto"), &[(&mosquitto, "/usr/bin/mosquitto")]);
    Some(engine)
}

/// Adds the pinned image of RabbitMQ: the server, the Erlang that runs it, and what their scripts call.
/// Whether this machine has them.
#[track_caller]
fn add_rabbitmq(engine: &Engine) -> bool {
    if mqbench::servers::named("rabbitmq").is_err() {
        // A client that is not built by default is tried in the builds that have it.
        eprintln!("skipped: this build has no client of RabbitMQ");
        return false;
    }
    if !program::has("rabbitmq") {
        return false;
    }
    // Debian's wrapper of that name lies beside it.
    let script = program_named("rabbitmq").with_file_name("rabbitmq-server");
    let script = script.canonicalize().expect("its script");
    let home = script.ancestors().nth(2).expect("its folder");
    let erl = on_path("erl");
    let erlang = erl.ancestors().nth(2).expect("its folder");
    let mut content = vec![
        (home.join("sbin"), "/usr/local/sbin".to_owned()),
        (home.join("plugins"), "/usr/local/plugins".to_owned()),
        (home.join("escript"), "/usr/local/escript".to_owned()),
        (erlang.to_owned(), erlang.display().to_string()),
    ];
    for program in [
        "erl", "epmd", "sh", "basename", "dirname", "ls", "od", "readlink", "tr",
    ] {
        content.push((on_path(program), format!("/usr/bin/{program}")));
    }
    content.push((on_path("sh"), "/bin/sh".to_owned()));
    // Those in the folder of Erlang that need libraries.
    let mut folders = vec![erlang.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let is_native = ["beam.smp", "erlexec", "erl_child_setup", "inet_gethost"]
                .into_iter()
                .any(|name| entry.file_name() == name)
                || path.extension().is_some_and(|it| it == "so");
            match entry.file_type().expect("its type").is_dir() {
                true => folders.push(path),
                false if is_native => content.push((path.clone(), path.display().to_string())),
                false => {}
            }
        }
    }
    let content: Vec<(&Path, &str)> = content
        .iter()
        .map(|(from, to)| (from.as_path(), to.as_str()))
        .collect();
    engine.image(image("rabbitmq"), &content);
    true
}

/// The file that a program of this name is.
#[track_caller]
fn on_path(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("a path");
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    let found = places.find(|place| place.is_file());
    let found = found.unwrap_or_else(|| panic!("there is no {program}"));
    found.canonicalize().expect("its file")
}

/// The pinned image of a server.
fn image(server: &str) -> &'static str {
    let about = named(server).expect("a server").about();
    about.image.as_ref().expect("an image").name
}

#[track_caller]
fn program_named(server: &str) -> PathBuf {
    let found = program::program_of(server).expect("found before");
    found.canonicalize().expect("its file")
}

/// A trial that has counted every message. Whether it was punctual is the machine's affair.
#[track_caller]
fn assert_whole(attempt: &Attempt, intended: u64) {
    let wrong = [Outcome::Failed, Outcome::BrokenPromise];
    assert!(
        !wrong.contains(&attempt.verdict.outcome),
        "{:?}",
        attempt.verdict
    );
    let audit = &attempt.audit;
    assert_eq!((audit.intended, audit.lost), (intended, 0), "{audit:?}");
    assert!(audit.sent > 0 && audit.distinct == audit.sent, "{audit:?}");
    assert_eq!(audit.contradictions(), Vec::<String>::new());
}

impl Place {
    /// A command of the program that has only this engine to get servers from.
    fn contained(&self, engine: &Engine, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.envs(engine.variables());
        for server in ["NATS", "REDIS", "MOSQUITTO"] {
            command.env(format!("MQBENCH_{server}_HOME"), "container");
        }
        command
    }

    #[track_caller]
    fn run_contained(&self, engine: &Engine, arguments: &[&str]) -> Ended {
        ended(self.contained(engine, arguments))
    }
}
