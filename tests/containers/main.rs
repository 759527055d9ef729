//! Servers in containers, those that mqbench starts and those of `docker-compose.yml`, on a real engine.

#[path = "../program/mod.rs"]
mod program;

mod compose;
mod engine;
mod managed;
mod several;

use std::path::PathBuf;
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
    Some(engine)
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
        for server in ["NATS", "REDIS"] {
            command.env(format!("MQBENCH_{server}_HOME"), "container");
        }
        command
    }

    #[track_caller]
    fn run_contained(&self, engine: &Engine, arguments: &[&str]) -> Ended {
        ended(self.contained(engine, arguments))
    }
}
