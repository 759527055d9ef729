//! Servers that mqbench runs in containers.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::engine::{Engine, engine_for};
use crate::program::{Place, SOON, attempts, await_that, signal, wait_for};
use crate::{assert_whole, engine_with_images, image};

/// A run of all servers in trials of about so many milliseconds.
fn place(milliseconds: u32, trials: u32) -> Place {
    let place = Place::new();
    let scenario = format!(
        "name: t\nbrokers: [nats, redis-streams, mqtt]\nworkload:\n  delivery: at-most-once\n  \
         message: {{size: 64B}}\n  load: {{rate: 1k/s}}\n  in_flight: 10000\n\
         phases: {{warmup: 0ms, measure: {milliseconds}ms, drain: 3s}}\ntrials: {trials}\nseed: 5\n\
         disturbed: {{repeats: 0}}\n"
    );
    place.write("s.yaml", &scenario);
    place
}

/// What belongs to a run has gone, soon: containers, processes, folders.
#[track_caller]
fn assert_clean(engine: &Engine, place: &Place, what: &str) {
    let mut left = Vec::new();
    let gone = wait_for(SOON, || {
        left = engine.containers();
        left.is_empty()
    });
    assert!(gone, "{what}: containers {left:?} are left");
    place.assert_clean();
}

#[test]
fn servers_in_containers_are_measured_as_others_are() {
    let test = "managed::servers_in_containers_are_measured_as_others_are";
    let Some(engine) = engine_with_images(test) else {
        return;
    };
    let place = place(2_000, 2);
    let ended = place.run_contained(&engine, &["run", "s.yaml"]);
    ended.assert_code(0);
    let results = place.results();
    for (label, server) in [
        ("nats", "nats"),
        ("redis-streams", "redis"),
        ("mqtt", "mosquitto"),
    ] {
        let measured = attempts(&results, label);
        assert_eq!(measured.len(), 2);
        for attempt in measured {
            assert_whole(attempt, 2_000);
            let usage = &attempt.usage;
            assert!(
                usage.brokers_s > 0.0 && usage.brokers_rss_bytes > 1 << 20,
                "{usage:?}"
            );
            // What hands connections on is part of the run, and not foreign to it.
            assert!(usage.ours_s > 0.0, "{usage:?}");
        }
        let mut brokers = results.plan.brokers.iter();
        let number = brokers.position(|broker| broker.label == label);
        let provenance = results.provenance.broker(number.expect("planned"));
        let container = provenance.and_then(|it| it.server_container.clone());
        let container = container.expect("it ran in a container");
        assert_eq!(container.image, image(server));
        assert!(container.engine.starts_with("docker "), "{container:?}");
        assert!(container.identity.starts_with("sha256:"), "{container:?}");
        let said = format!("{label}: in a container of docker");
        assert!(ended.out.contains(&said), "{}", ended.out);
    }
    // It is said where one had not been idle while others were measured.
    assert!(
        !ended.err.contains("while it was suspended"),
        "{}",
        ended.err
    );
    assert_clean(&engine, &place, "after a run");
}

#[test]
fn ports_are_open_on_the_loopback_interface_only_and_files_belong_to_the_user() {
    let test =
        "managed::ports_are_open_on_the_loopback_interface_only_and_files_belong_to_the_user";
    let Some(engine) = engine_with_images(test) else {
        return;
    };
    let place = place(60_000, 1);
    let mut run = place
        .contained(&engine, &["run", "s.yaml"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    await_that("a trial runs", || !place.loaded().is_empty());
    let containers = engine.containers();
    assert_eq!(containers.len(), 3, "{containers:?}");
    for container in &containers {
        let question =
            "--format={{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}";
        let addresses = engine.ask(&["inspect", question, container]);
        let mut addresses = addresses.split_whitespace().peekable();
        assert!(addresses.peek().is_some(), "{container} has no port");
        addresses.for_each(|address| assert_eq!(address, "127.0.0.1", "{container}"));
        let user = engine.ask(&["inspect", "--format={{.Config.User}}", container]);
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        assert_eq!(user, format!("{uid}:{gid}"));
    }
    // The way a terminal asks for an end.
    signal(run.id() as i32, Signal::SIGINT);
    assert_eq!(run.wait().expect("an end").code(), Some(130));
    assert_eq!(
        engine.containers(),
        Vec::<String>::new(),
        "when it has ended"
    );
    assert_clean(&engine, &place, "after Ctrl-C");
}

#[test]
fn a_killed_run_leaves_no_container() {
    let Some(engine) = engine_with_images("managed::a_killed_run_leaves_no_container") else {
        return;
    };
    let place = place(60_000, 1);
    // While a trial runs and the other servers are suspended.
    let mut run = quiet(place.contained(&engine, &["run", "s.yaml"]));
    await_that("a trial runs", || !place.loaded().is_empty());
    assert_eq!(engine.containers().len(), 3);
    run.kill().expect("killed");
    run.wait().expect("an end");
    assert_clean(&engine, &place, "killed in a trial");
    // At instants that differ each time, somewhere in the starts; none may be the wrong one.
    for milliseconds in [20, 60, 100, 150, 200, 300, 400, 500, 700, 1_000] {
        let mut run = quiet(place.contained(&engine, &["run", "s.yaml"]));
        wait_for(Duration::from_millis(milliseconds), || false);
        run.kill().expect("killed");
        run.wait().expect("an end");
        assert_clean(&engine, &place, &format!("killed after {milliseconds} ms"));
    }
}

fn quiet(mut command: Command) -> std::process::Child {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("started")
}

#[test]
fn a_kept_server_in_a_container_is_lent_and_taken_down() {
    let test = "managed::a_kept_server_in_a_container_is_lent_and_taken_down";
    let Some(engine) = engine_with_images(test) else {
        return;
    };
    let place = place(200, 1);
    let up = place.run_contained(&engine, &["up", "nats"]);
    assert!(up.assert_code(0).out.contains("started"), "{up:?}");
    let kept = engine.containers();
    assert_eq!(kept.len(), 1);
    let again = place.run_contained(&engine, &["up", "nats"]);
    assert!(
        again.assert_code(0).out.contains("runs already"),
        "{again:?}"
    );
    let run = ["run", "s.yaml", "--broker", "nats"];
    place.run_contained(&engine, &run).assert_code(0);
    assert_eq!(engine.containers(), kept, "the same one, and no other");
    let status = place.run_contained(&engine, &["status"]);
    assert!(status.assert_code(0).out.contains("answers"), "{status:?}");
    place.run_contained(&engine, &["down"]).assert_code(0);
    assert_clean(&engine, &place, "taken down");
}

#[test]
fn an_image_that_is_not_to_be_had_is_said_with_what_helps() {
    let test = "managed::an_image_that_is_not_to_be_had_is_said_with_what_helps";
    let Some(engine) = engine_for(test) else {
        return;
    };
    // Its namespace leads nowhere.
    let place = place(200, 1);
    let ended = place.run_contained(&engine, &["run", "s.yaml", "--broker", "nats"]);
    ended.assert_code(3);
    let image = image("nats");
    assert!(
        ended.err.contains(&format!("fetches the image {image}")),
        "{}",
        ended.err
    );
    assert!(
        ended.err.contains(&format!("could not fetch {image}")),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("scripts/get nats"), "{}", ended.err);
    assert_clean(&engine, &place, "without an image");
}
