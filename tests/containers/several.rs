//! An instance of several processes, as clusters and servers with helpers are, and with a program that
//! runs before them: each in a container of its own.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mqbench::processes::reaper::Reaper;
use mqbench::servers::find::find;
use mqbench::servers::{
    About, Config, Found, Image, Instance, Keeper, Launch, Layout, Order, Places, Server, Site,
    named,
};

use crate::program::{Place, SOON, attempts, ended, wait_for};
use crate::{add_rabbitmq, assert_whole, engine_with_images, image};

/// A Redis and another one that follows it over the loopback interface that they share.
struct Pair;

static ABOUT: About = About {
    name: "redis",
    title: "two Redis",
    version: "",
    programs: &["redis-server"],
    image: Some(Image {
        name: "redis:7.2.13",
        programs: &["/usr/local/bin/redis-server", "/usr/local/bin/redis-cli"],
    }),
    url: "",
    ports: 2,
    start_within: Duration::from_secs(60),
    stop_within: Duration::from_secs(5),
    settings: &[],
    memory: &[],
};

impl Server for Pair {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn version(&self, found: &Found) -> io::Result<String> {
        found.output(&["--version"])
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        let launch = |name: &str, program: PathBuf, args: String| Launch {
            name: name.to_owned(),
            program,
            args: args.split(' ').map(Into::into).collect(),
            env: vec![("TOLD".to_owned(), "so".into())],
        };
        let serve = |port: u16, more: &str| {
            let bind = found.bind();
            let args = format!("--bind {bind} --port {port} --protected-mode no --save {more}");
            launch("follower", found.program.clone(), args)
        };
        let [first, second] = site.ports[..] else {
            unreachable!("as many as it takes");
        };
        let leader = Launch {
            name: "leader".to_owned(),
            ..serve(first, "3600 1")
        };
        Layout {
            files: vec![(site.folder.join("written"), "before".to_owned())],
            // A path of this machine: in the image the program of that name is elsewhere.
            steps: vec![launch(
                "step",
                "/opt/redis-cli".into(),
                "--version".to_owned(),
            )],
            processes: vec![
                leader,
                serve(second, &format!("3600 1 --replicaof 127.0.0.1 {first}")),
            ],
        }
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        let told = ask(site.ports[1], "INFO replication\r\n", "master_link_status:")?;
        match told.trim_end() {
            "master_link_status:up" => Ok(()),
            other => Err(io::Error::other(other.to_owned())),
        }
    }

    fn url(&self, _: &Site) -> String {
        String::new()
    }

    fn reason(&self, _: &str) -> Option<String> {
        None
    }
}

/// The line of an answer that starts with these words.
fn ask(port: u16, question: &str, words: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(question.as_bytes())?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.starts_with(words) {
            return Ok(line);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn reaper() -> Arc<dyn Keeper> {
    let program = env!("CARGO_BIN_EXE_mqbench").into();
    Arc::new(Reaper::start_from(program).expect("a reaper"))
}

#[test]
fn a_cluster_runs_in_containers() {
    let Some(engine) = engine_with_images("several::a_cluster_runs_in_containers") else {
        return;
    };
    let temporary = tempfile::tempdir().expect("a folder");
    let config = [("nodes", "3"), ("jetstream", "file")];
    let order = Order {
        server: named("nats").expect("registered"),
        program: Some("container".as_ref()),
        config: config
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        within: temporary.path().to_owned(),
        bounds: Default::default(),
    };
    let keeper = reaper();
    let mut instance = Instance::start(&order, &keeper).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(engine.containers().len(), 3);
    // It answers once every member sees the others and they have a leader.
    instance.suspend().expect("suspended");
    instance.resume().expect("idle meanwhile");
    instance.stop().expect("ended");
    assert_eq!(engine.containers(), Vec::<String>::new());
}

#[test]
fn processes_of_an_instance_share_folder_and_network_and_are_suspended_and_ended_together() {
    let test = "several::processes_of_an_instance_share_folder_and_network_and_are_suspended_and_ended_together";
    let Some(engine) = engine_with_images(test) else {
        return;
    };
    let keeper = reaper();
    let temporary = tempfile::tempdir().expect("a folder");
    let order = Order {
        server: &Pair,
        program: Some("container".as_ref()),
        config: Config::new(),
        within: temporary.path().to_owned(),
        bounds: Default::default(),
    };
    let mut instance = Instance::start(&order, &keeper).unwrap_or_else(|error| panic!("{error}"));
    let record = instance.record().clone();
    assert_eq!(engine.containers().len(), 2, "the step's has gone");
    let step = std::fs::read_to_string(record.site.log("step")).expect("its log");
    assert!(step.starts_with("redis-cli "), "{step}");
    assert!(
        record.version.starts_with("Redis server v="),
        "{}",
        record.version
    );
    assert_eq!(record.processes.len(), 2);
    assert_eq!(record.pids().len(), 2);
    // One hands connections on for each port, one watches over each container.
    assert_eq!(instance.helpers().len(), 4);

    instance.suspend().expect("suspended");
    for port in &record.site.ports {
        assert!(ask(*port, "PING\r\n", "+PONG").is_err());
    }
    instance.resume().expect("idle meanwhile");
    for port in &record.site.ports {
        ask(*port, "PING\r\n", "+PONG").expect("an answer");
    }

    // A process that dies takes its container with it, which is noticed.
    let leader = &record.processes[0].group;
    crate::program::signal(leader.pid, nix::sys::signal::Signal::SIGKILL);
    assert!(wait_for(SOON, || instance.check().is_err()));
    instance.stop().expect("ended");
    assert_eq!(engine.containers(), Vec::<String>::new());
    assert!(record.pids().is_empty() && !record.site.folder.exists());
    let registered = named(ABOUT.name).expect("registered").about();
    let image = registered.image.as_ref().map(|image| image.name);
    assert_eq!(image, ABOUT.image.as_ref().map(|image| image.name));
}

#[test]
fn a_server_of_erlang_runs_in_containers_with_its_port_mapper() {
    let test = "several::a_server_of_erlang_runs_in_containers_with_its_port_mapper";
    let Some(engine) = engine_with_images(test) else {
        return;
    };
    if !add_rabbitmq(&engine) {
        return;
    }
    let place = Place::new();
    place.write(
        "s.yaml",
        "name: t\nbrokers: [rabbitmq]\nworkload:\n  delivery: at-least-once\n  durability: disk\n  \
         message: {size: 64B}\n  load: {rate: 200/s}\nphases: {warmup: 0ms, measure: 1s, drain: 10s}\n\
         trials: 1\ndisturbed: {repeats: 0}\n",
    );
    let mut run = place.contained(&engine, &["run", "s.yaml"]);
    run.env("MQBENCH_RABBITMQ_HOME", "container");
    ended(run).assert_code(0);
    let results = place.results();
    let measured = attempts(&results, "rabbitmq");
    assert_eq!(measured.len(), 1);
    assert_whole(measured[0], 200);
    let provenance = results.provenance.broker(0).expect("planned");
    let container = provenance.server_container.clone();
    let container = container.expect("it ran in a container");
    assert_eq!(container.image, image("rabbitmq"));
    // The same as here, since the image was made of what is here.
    let server = named("rabbitmq").expect("registered");
    let about = server.about();
    let found = find(about, None, &Places::of(about)).expect("found before");
    let version = server.version(&found).expect("its version");
    assert_eq!(provenance.server_version.as_deref(), Some(version.as_str()));
    assert_eq!(engine.containers(), Vec::<String>::new());
}
