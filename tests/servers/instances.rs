//! One instance after the other, and several at once.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use mqbench::measure::resources::{Parties, Watch};
use mqbench::servers::group::wait_until;
use mqbench::servers::{Config, Error, Instance, Order, named};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::*;

#[test]
fn every_server_starts_answers_and_leaves_nothing_when_stopped() {
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    for server in all_installed() {
        let about = server.about();
        let instance = Instance::start(&order(server, temporary.path(), &[]), &keeper).unwrap();
        let record = instance.record().clone();
        println!(
            "{} {} started in {:?}",
            about.name,
            record.version,
            instance.started_in()
        );
        assert!(record.answers().is_ok() && accepts(&record));
        let (authority, _) = record.url.split_once('?').unwrap_or((&record.url, ""));
        assert!(authority.ends_with(&format!(":{}", record.site.port())));
        assert!(
            record.version.starts_with(|c: char| c.is_ascii_digit()),
            "{}",
            record.version
        );
        // One of several may have helpers of its own; one by itself is all there is.
        match record.processes.len() {
            1 => assert_eq!(record.pids().len(), 1, "{}", about.name),
            several => assert!(record.pids().len() >= several, "{}", about.name),
        }
        instance.stop().unwrap();
        assert!(record.pids().is_empty() && !record.site.folder.exists() && !accepts(&record));
    }
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_dropped_instance_ends() {
    let Some(server) = installed("redis") else {
        return;
    };
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    let instance = Instance::start(&order(server, temporary.path(), &[]), &keeper).unwrap();
    let record = instance.record().clone();
    drop(instance);
    assert!(record.pids().is_empty() && !record.site.folder.exists());
}

#[test]
fn every_durability_can_be_configured() {
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    let configs: [(&str, &[(&str, &str)]); 7] = [
        ("nats", &[("jetstream", "memory")]),
        ("nats", &[("jetstream", "file")]),
        (
            "nats",
            &[("jetstream", "file"), ("sync_interval", "always")],
        ),
        (
            "nats",
            &[
                ("max_payload", "8MB"),
                ("max_pending", "64MB"),
                ("write_deadline", "10s"),
            ],
        ),
        ("redis", &[("appendonly", "yes"), ("appendfsync", "no")]),
        (
            "redis",
            &[("appendonly", "yes"), ("appendfsync", "everysec")],
        ),
        (
            "redis",
            &[
                ("appendonly", "yes"),
                ("appendfsync", "always"),
                ("save", "3600 1"),
            ],
        ),
    ];
    for (name, config) in configs {
        let Some(server) = installed(name) else {
            continue;
        };
        let instance = Instance::start(&order(server, temporary.path(), config), &keeper);
        let instance = instance.unwrap_or_else(|error| panic!("{config:?}: {error}"));
        for (key, value) in config {
            assert_eq!(instance.record().site.config[*key], *value);
        }
        instance.stop().unwrap();
    }
}

#[test]
fn the_folder_and_its_data_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let Some(server) = installed("nats") else {
        return;
    };
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    let order = order(server, temporary.path(), &[("jetstream", "file")]);
    let instance = Instance::start(&order, &keeper).unwrap();
    let folder = &instance.record().site.folder;
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o077, 0);
    assert!(instance.record().site.data().join("jetstream").exists());
}

#[test]
fn several_at_once_have_ports_and_folders_of_their_own() {
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    let mut instances = Vec::new();
    for server in all_installed() {
        for _ in 0..3 {
            instances
                .push(Instance::start(&order(server, temporary.path(), &[]), &keeper).unwrap());
        }
    }
    let ports: HashSet<u16> = instances.iter().map(|i| i.record().site.port()).collect();
    let folders: HashSet<&PathBuf> = instances.iter().map(|i| &i.record().site.folder).collect();
    assert_eq!(
        (ports.len(), folders.len()),
        (instances.len(), instances.len())
    );
}

#[test]
fn a_suspended_server_uses_no_cpu_and_answers_again_when_resumed() {
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    for server in all_installed() {
        let mut instance = Instance::start(&order(server, temporary.path(), &[]), &keeper).unwrap();
        instance.suspend().unwrap();
        assert!(instance.is_suspended());
        let groups = || instance.record().processes.iter().map(|p| &p.group);
        let used: Duration = groups().map(|group| group.cpu_time()).sum();
        // It is asked for an answer, and has a second for it: it would use CPU if it could.
        assert!(instance.record().answers().is_err());
        assert_eq!(
            groups().map(|group| group.cpu_time()).sum::<Duration>(),
            used
        );
        instance.resume().unwrap();
        assert!(!instance.is_suspended());
        instance.record().answers().unwrap();
        // One that is suspended ends as well.
        instance.suspend().unwrap();
        let record = instance.record().clone();
        instance.stop().unwrap();
        assert!(record.pids().is_empty() && !record.site.folder.exists());
    }
}

#[test]
fn a_suspended_server_that_was_continued_by_others_is_told() {
    let Some(server) = installed("nats") else {
        return;
    };
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    let mut instance = Instance::start(&order(server, temporary.path(), &[]), &keeper).unwrap();
    instance.suspend().unwrap();
    instance.record().processes[0].group.resume();
    assert!(wait_until(SOON, || instance.record().answers().is_ok()));
    let error = instance.resume().unwrap_err();
    assert!(
        matches!(error, Error::Ran { used, .. } if used > Duration::ZERO),
        "{error}"
    );
}

#[test]
fn an_early_end_is_explained_with_the_reason_and_the_log() {
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    let mistakes = [
        ("nats", ("write_deadline", "soon"), "invalid duration"),
        ("redis", ("maxmemory", "plenty"), "maxmemory plenty"),
        ("rabbitmq", ("channel_max", "plenty"), "cannot be converted"),
    ];
    for (name, mistake, words) in mistakes {
        let Some(server) = installed(name) else {
            continue;
        };
        let started = Instance::start(&order(server, temporary.path(), &[mistake]), &keeper);
        let error = started.err().unwrap().to_string();
        let first = error.lines().next().unwrap();
        assert!(
            first.starts_with(&format!("{name} ended by itself")),
            "{error}"
        );
        assert!(first.contains(words), "{error}");
        assert!(error.contains("its log ends with\n   │ "), "{error}");
    }
    assert_eq!(
        temporary.path().read_dir().unwrap().count(),
        0,
        "nothing is left of them"
    );
}

#[test]
fn the_death_of_a_server_is_noticed() {
    let Some(server) = installed("redis") else {
        return;
    };
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    let mut instance = Instance::start(&order(server, temporary.path(), &[]), &keeper).unwrap();
    instance.check().unwrap();
    let group = instance.record().processes[0].group.clone();
    kill(Pid::from_raw(group.pid), Signal::SIGKILL).unwrap();
    assert!(wait_until(SOON, || !group.lives()));
    let error = instance.check().unwrap_err().to_string();
    assert!(
        error.contains("redis ended by itself (signal: 9"),
        "{error}"
    );
    assert!(instance.suspend().is_err());
    let record = instance.record().clone();
    instance.stop().unwrap();
    assert_gone(&record, "a server that was dead already");
}

#[test]
fn a_program_that_cannot_run_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let server = named("nats").unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let program = temporary.path().join("nats-server");
    // It tells its version, and cannot serve.
    std::fs::write(
        &program,
        "#!/bin/sh\n[ $1 = --version ] && echo nats-server: v9.9.9\nexit 3\n",
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let order = Order {
        program: Some(&program),
        ..order(server, temporary.path(), &[])
    };
    let error = Instance::start(&order, &reaper())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("exit status: 3") && error.contains("log is empty"),
        "{error}"
    );
}

#[test]
fn what_a_server_costs_is_charged_to_it() {
    let Some(server) = installed("redis") else {
        return;
    };
    let keeper = reaper();
    let temporary = tempfile::tempdir().unwrap();
    let order = order(server, temporary.path(), &[("appendonly", "yes")]);
    let instance = Instance::start(&order, &keeper).unwrap();
    let mut watch = Watch::new(Parties {
        supervisor: std::process::id() as i32,
        brokers: instance.leaders(),
        helpers: instance.helpers(),
        data: vec![instance.record().site.data()],
    });
    watch.begin();
    let port = instance.record().site.port();
    let mut connection = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let mut reply = String::new();
    for _ in 0..2000 {
        connection
            .get_mut()
            .write_all(b"RPUSH list 0123456789\r\n")
            .unwrap();
        connection.read_line(&mut reply).unwrap();
    }
    let sample = watch.sample(1);
    let usage = watch.seen().usage;
    assert!(usage.brokers_s > 0.0 && usage.own_s > 0.0, "{usage:?}");
    assert!(usage.brokers_rss_bytes > 1 << 20, "{usage:?}");
    assert!(
        usage.brokers_rss_peak_bytes >= usage.brokers_rss_bytes / 2,
        "{usage:?}"
    );
    assert!(
        usage.brokers_disk_bytes > 0 && usage.capacity_s > 0.0,
        "{usage:?}"
    );
    assert!(sample.usage.brokers_s > 0.0 && sample.usage.seconds <= usage.seconds);
}

#[test]
fn settings_are_the_same_if_they_are_the_same_in_effect() {
    let about = named("nats").unwrap().about();
    let asked = Config::from([("jetstream".to_owned(), "off".to_owned())]);
    assert_eq!(
        about.effective(&asked).unwrap(),
        about.effective(&Config::new()).unwrap()
    );
}
