//! Servers that stay: `up`, runs that use them, `status`, `down`.

use nix::sys::signal::Signal;

use crate::program::{Place, beside_others, has};
use crate::scenario;

#[test]
fn a_run_uses_the_kept_server_and_leaves_it() {
    let _turn = beside_others();
    if !has("nats") {
        return;
    }
    let place = Place::new();
    place.write("s.yaml", &scenario("[nats]", 300, 1));
    let up = place.run(&["up", "nats"]);
    assert!(
        up.assert_code(0).out.contains("started: nats://127.0.0.1:"),
        "{}",
        up.out
    );
    let server = place.await_server("nats-server");
    let again = place.run(&["up", "nats"]);
    assert!(
        again.assert_code(0).out.contains("runs already"),
        "{}",
        again.out
    );
    let servers = || {
        let all = place.processes();
        all.into_iter().map(|process| process.0).collect::<Vec<_>>()
    };
    assert_eq!(servers(), [server], "the same one, and nothing else");

    place.run(&["run", "s.yaml"]).assert_code(0);
    let ports = place.ports();
    let port = ports.iter().next().expect("a port").to_string();
    let trial = place.kept("trials/0001.json");
    assert_eq!(servers(), [server], "neither ended nor doubled");
    let status = place.run(&["status"]);
    assert!(
        status.assert_code(0).out.contains("answers"),
        "{}",
        status.out
    );
    assert!(status.out.contains(&port) && status.out.contains(&server.to_string()));
    assert!(trial.contains("\"failure\": null"), "{trial}");

    // A killed run leaves it running, not suspended.
    let long = scenario("[loopback, nats]", 60_000, 1);
    place.write("s.yaml", &long);
    let mut running = place.start(&["run", "s.yaml"]);
    running.await_load();
    running.signal(Signal::SIGKILL);
    running.child.wait().expect("an end");
    crate::program::await_that("only the kept server is left, and answers", || {
        servers() == [server] && place.run(&["status"]).out.contains("answers")
    });

    let down = place.run(&["down"]);
    assert_eq!(down.assert_code(0).out, "nats ended\n");
    place.assert_clean();
    assert!(
        place
            .run(&["status"])
            .err
            .contains("no broker is kept running")
    );
}

#[test]
fn a_kept_server_that_died_is_seen_and_replaced() {
    let _turn = beside_others();
    if !has("redis") {
        return;
    }
    let place = Place::new();
    place.write("s.yaml", &scenario("[redis-pubsub]", 300, 1));
    place.run(&["up", "redis"]).assert_code(0);
    let server = place.await_server("redis-server");
    crate::program::signal(server, Signal::SIGKILL);
    crate::program::await_that("it is gone", || place.processes().is_empty());
    assert!(place.run(&["status"]).out.contains("gone"));
    place.run(&["run", "s.yaml"]).assert_code(0);
    let up = place.run(&["up", "redis"]);
    assert!(up.assert_code(0).out.contains("started"), "{}", up.out);
    assert_ne!(place.await_server("redis-server"), server);
    place.run(&["down", "redis"]).assert_code(0);
    place.assert_clean();
}
