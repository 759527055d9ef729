//! The brokers of `docker-compose.yml`.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::engine::Engine;
use crate::program::{Ended, Place, attempts, ended, wait_for};
use crate::{assert_whole, engine_with_images};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docker-compose.yml");

/// The longest that services may take until they are healthy: the first check comes after ten seconds.
const HEALTHY: Duration = Duration::from_secs(90);

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    image: String,
    profiles: Vec<String>,
    entrypoint: Vec<String>,
    ports: Vec<String>,
    healthcheck: BTreeMap<String, serde_json::Value>,
}

#[test]
fn every_service_has_the_same_shape() {
    let text = std::fs::read_to_string(FILE).expect("the file");
    let compose: Compose = serde_saphyr::from_str(&text).expect("services of one shape");
    assert!(!compose.services.is_empty());
    for (name, service) in &compose.services {
        assert_eq!(service.profiles, [name.as_str(), "all"], "{name}");
        assert!(
            !service.entrypoint.is_empty(),
            "{name}: the server is its entry point"
        );
        let (_, version) = service.image.rsplit_once(':').expect("a version");
        assert!(
            version.starts_with(|c: char| c.is_ascii_digit()),
            "{name}: {version}"
        );
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for key in ["test", "interval", "timeout", "retries"] {
            assert!(service.healthcheck.contains_key(key), "{name}: no {key}");
        }
    }
}

/// Services of an engine; taken down when the test ends, also when it fails.
struct Services<'e> {
    engine: &'e Engine,
    program: Vec<&'static str>,
    profiles: &'static [&'static str],
}

impl Services<'_> {
    /// Starts them and waits until all are healthy.
    #[track_caller]
    fn start(&self) {
        self.compose(&["up", "--detach"]).assert_code(0);
        let mut health = String::new();
        let healthy = wait_for(HEALTHY, || {
            health = self
                .engine
                .ask(&["ps", "--all", "--format={{.Names}} {{.Status}}"]);
            let mut lines = health.lines();
            health.lines().count() == self.profiles.len()
                && lines.all(|line| line.contains("(healthy)"))
        });
        assert!(healthy, "{health}");
    }

    fn compose(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(self.program[0]);
        command.args(&self.program[1..]).args(["--file", FILE]);
        command.args(["--project-name", "mqbench-test"]);
        for profile in self.profiles {
            command.args(["--profile", profile]);
        }
        command.args(arguments).envs(self.engine.variables());
        ended(command)
    }
}

impl Drop for Services<'_> {
    fn drop(&mut self) {
        self.compose(&["down", "--volumes"]);
    }
}

/// Compose as there is one.
fn program() -> Option<Vec<&'static str>> {
    let candidates = [vec!["docker", "compose"], vec!["docker-compose"]];
    candidates.into_iter().find(|words| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("version");
        command.output().is_ok_and(|output| output.status.success())
    })
}

#[test]
fn services_become_healthy_and_are_measured_by_url() {
    let test = "compose::services_become_healthy_and_are_measured_by_url";
    let Some(program) = program() else {
        crate::engine::skip(test, "there is no docker-compose");
        return;
    };
    let Some(engine) = engine_with_images(test) else {
        return;
    };
    let engine = &engine;
    let services = Services {
        engine,
        program,
        profiles: &["nats", "redis"],
    };
    services.start();

    let place = Place::new();
    place.write(
        "s.yaml",
        "name: t\nbrokers:\n  nats: {url: 'nats://127.0.0.1:4222'}\n  \
         redis-streams: {url: 'redis://127.0.0.1:6379'}\n\
         workload:\n  delivery: at-most-once\n  message: {size: 64B}\n  load: {rate: 1k/s}\n  \
         in_flight: 10000\nphases: {warmup: 0ms, measure: 1s, drain: 3s}\ntrials: 1\n\
         disturbed: {repeats: 0}\n",
    );
    let mut command = place.command(&["run", "s.yaml"]);
    command.envs(engine.variables());
    ended(command).assert_code(0);
    let results = place.results();
    for label in ["nats", "redis-streams"] {
        let measured = attempts(&results, label);
        assert_eq!(measured.len(), 1);
        assert_whole(measured[0], 1_000);
        // What runs in a container is the broker, and no stranger.
        let usage = &measured[0].usage;
        assert!(
            usage.brokers_s > 0.0 && usage.brokers_rss_peak_bytes > 0,
            "{usage:?}"
        );
    }

    // A server that is no longer there is not healthy.
    for name in engine.containers() {
        engine.ask(&["stop", "-t", "5", &name]);
        let status = engine.ask(&["inspect", "--format={{.State.Running}}", &name]);
        assert_eq!(status, "false");
    }
    services.compose(&["down", "--volumes"]).assert_code(0);
    assert_eq!(engine.containers(), Vec::<String>::new());
    assert_eq!(engine.ask(&["volume", "ls", "--quiet"]), "");
    let networks = engine.ask(&["network", "ls", "--format={{.Name}}"]);
    assert!(!networks.contains("mqbench"), "{networks}");
}

#[test]
fn a_service_of_rabbitmq_becomes_healthy_and_is_measured_by_url() {
    let test = "compose::a_service_of_rabbitmq_becomes_healthy_and_is_measured_by_url";
    let Some(program) = program() else {
        crate::engine::skip(test, "there is no docker-compose");
        return;
    };
    let Some(engine) = crate::engine::engine_for(test) else {
        return;
    };
    if !crate::add_rabbitmq(&engine) {
        return;
    }
    let services = Services {
        engine: &engine,
        program,
        profiles: &["rabbitmq"],
    };
    services.start();
    let place = Place::new();
    place.write(
        "s.yaml",
        "name: t\nbrokers:\n  rabbitmq: {url: 'amqp://127.0.0.1:5672'}\n\
         workload:\n  delivery: at-least-once\n  durability: disk\n  message: {size: 64B}\n  \
         load: {rate: 200/s}\nphases: {warmup: 0ms, measure: 1s, drain: 10s}\ntrials: 1\n\
         disturbed: {repeats: 0}\n",
    );
    place.run(&["run", "s.yaml"]).assert_code(0);
    let results = place.results();
    let measured = attempts(&results, "rabbitmq");
    assert_eq!(measured.len(), 1);
    assert_whole(measured[0], 200);
}
