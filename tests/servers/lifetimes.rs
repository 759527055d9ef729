//! What is left when a run ends: nothing, however it ends.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mqbench::processes::kept::Shelf;
use mqbench::processes::reaper::Reaper;
use mqbench::servers::group::{Group, wait_until};
use mqbench::servers::{Container, Engine, Instance, Keeper, Launch, Record};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::*;

/// What tells the test that is run as a process of its own what to do.
const ROLE: &str = "MQBENCH_TEST_ROLE";
/// The name of that test.
const PROCESS: &str = "lifetimes::process_of_its_own";

/// Starts this test program again as a process of its own that starts servers in `within`, and gives
/// what it started once it has said so.
pub fn process_with_servers(role: &str, within: &Path) -> (Child, Vec<Record>, impl Read) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", PROCESS, "--ignored", "--nocapture"])
        .env(ROLE, role)
        .env("XDG_STATE_HOME", within)
        .env("TMPDIR", within)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut records = Vec::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for line in output.by_ref().lines().map(Result::unwrap) {
        match line.strip_prefix("record ") {
            Some(record) => records.push(serde_json::from_str(record).unwrap()),
            None if line == "ready" => break,
            None => {}
        }
    }
    // While this is held, what it still prints has somewhere to go.
    (child, records, output)
}

/// Not a test: what [`process_with_servers`] starts.
#[test]
#[ignore = "a part of other tests, which start it"]
fn process_of_its_own() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let keeper = reaper();
    let temporary = std::env::temp_dir();
    let tell = |record: &Record| {
        println!("\nrecord {}", serde_json::to_string(record).unwrap());
    };
    if role == "up" {
        for server in all_installed() {
            let (kept, _) = Shelf::of_user()
                .unwrap()
                .up(order(server, &temporary, &[]), &keeper)
                .unwrap();
            tell(&kept.record);
        }
        println!("ready");
        return;
    }
    let mut instances = Vec::new();
    if role == "borrow" {
        let shelf = Shelf::of_user().unwrap();
        for server in all_installed() {
            let lent = shelf
                .lend(&order(server, &temporary, &[]), &keeper)
                .unwrap();
            instances.push(lent.expect("it is kept"));
        }
    } else {
        for server in all_installed() {
            // With a limit, so that there are control groups where they may be made.
            let mut order = order(server, &temporary, &[]);
            order.bounds.limits.cpu = Some(64.0);
            instances.push(Instance::start(&order, &keeper).unwrap());
        }
    }
    instances
        .iter()
        .for_each(|instance| tell(instance.record()));
    // Others are suspended while one is measured, so that is how they are when the run dies.
    instances
        .iter_mut()
        .for_each(|instance| instance.suspend().unwrap());
    println!("ready");
    // The word to go on, or the test's own end.
    let _ = std::io::stdin().read(&mut [0]);
    match role.as_str() {
        "panic" => panic!("as asked"),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        _ => {}
    }
}

#[test]
fn nothing_outlives_a_run_however_it_ends() {
    for how in ["killed", "panic", "abort", "exit"] {
        let temporary = tempfile::tempdir().unwrap();
        let (mut run, records, _output) = process_with_servers(how, temporary.path());
        assert_eq!(records.len(), all_installed().len());
        for record in &records {
            assert!(record.lives(), "{how}");
        }
        match how {
            "killed" => run.kill().unwrap(),
            _ => drop(run.stdin.take()),
        }
        assert!(!run.wait().unwrap().success(), "{how}");
        for record in &records {
            assert_gone(record, how);
        }
        assert_eq!(temporary.path().read_dir().unwrap().count(), 0, "{how}");
    }
}

#[test]
fn a_run_that_is_killed_while_it_starts_servers_leaves_none() {
    if all_installed().is_empty() {
        return;
    }
    // Killed at an instant that differs each time, somewhere in the starts; none may be the wrong one.
    for milliseconds in [0, 3, 6, 10, 15, 20, 30, 40, 60, 90] {
        let temporary = tempfile::tempdir().unwrap();
        let mut run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", PROCESS, "--ignored", "--nocapture"])
            .env(ROLE, "killed")
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(Duration::from_millis(milliseconds), || false);
        run.kill().unwrap();
        run.wait().unwrap();
        let inside = |process: std::fs::DirEntry| {
            let folder = std::fs::read_link(process.path().join("cwd"));
            folder.is_ok_and(|folder| folder.starts_with(temporary.path()))
        };
        let clean = || {
            let left = Path::new("/proc").read_dir().unwrap().flatten().any(inside);
            !left && temporary.path().read_dir().unwrap().count() == 0
        };
        assert!(wait_until(SOON, clean), "killed after {milliseconds} ms");
    }
}

#[test]
fn the_reaper_ends_with_its_run() {
    let reaper = Reaper::start_from(env!("CARGO_BIN_EXE_mqbench").into()).unwrap();
    let group = Group::of(reaper.id(), "").unwrap();
    assert!(group.lives());
    drop(reaper);
    assert!(!group.lives());
}

#[test]
fn the_reaper_is_deaf_to_what_ends_a_run() {
    let Some(server) = installed("nats") else {
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let reaper = Reaper::start_from(env!("CARGO_BIN_EXE_mqbench").into()).unwrap();
    let group = Group::of(reaper.id(), "").unwrap();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        kill(Pid::from_raw(group.pid), signal).unwrap();
    }
    let keeper: Arc<dyn Keeper> = Arc::new(reaper);
    let instance = Instance::start(&order(server, temporary.path(), &[]), &keeper).unwrap();
    assert!(group.lives());

    // Where it is ended all the same, nothing more is started without it.
    kill(Pid::from_raw(group.pid), Signal::SIGKILL).unwrap();
    assert!(wait_until(SOON, || !group.lives()));
    let started = Instance::start(&order(server, temporary.path(), &[]), &keeper);
    let error = started.err().unwrap().to_string();
    assert!(
        error.contains("ends servers with the run is gone"),
        "{error}"
    );
    let record = instance.record().clone();
    instance.stop().unwrap();
    assert_gone(&record, "stopped without a reaper");
}

#[test]
fn a_container_that_is_being_made_when_a_run_ends_is_removed_once_it_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name);
    // An engine that goes on with what it was asked for, slowly; its containers are files.
    let script = format!(
        "#!/bin/sh\ncd {}\ncase \"$1\" in\n\
         create) touch begun; sleep 1; touch made ;;\n\
         rm) rm made 2>/dev/null && touch removed ;;\n\
         container) [ -e made ] || {{ echo 'Error: No such container' >&2; exit 1; }} ;;\n\
         esac\n",
        temporary.path().display()
    );
    std::fs::write(at("engine"), script).unwrap();
    std::fs::set_permissions(at("engine"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let container = Container {
        engine: Engine {
            program: at("engine"),
            version: "1".into(),
            user: Vec::new(),
        },
        name: "mqbench-1-a".into(),
    };
    let launch = Launch {
        name: "a".into(),
        program: at("engine"),
        args: vec!["create".into()],
        env: Vec::new(),
    };
    let log = std::fs::File::create(at("log")).unwrap();
    let keeper = reaper();
    let making = keeper.make(&container, &launch, temporary.path(), log);
    let mut making = making.unwrap();
    assert!(wait_until(SOON, || at("begun").exists()));
    assert!(!at("made").exists());
    // The reaper is told of the end of the run, and has done its work when this returns.
    drop(keeper);
    assert!(at("removed").exists() && !at("made").exists());
    making.wait().unwrap();
}

#[test]
fn the_reaper_ends_a_worker_and_lets_a_released_one_be() {
    let reaper = Reaper::start_from(env!("CARGO_BIN_EXE_mqbench").into()).unwrap();
    let sleeper = || Command::new("sleep").arg("1000").spawn().unwrap();
    let (mut worker, mut released) = (sleeper(), sleeper());
    reaper.adopt(worker.id()).unwrap();
    let group = reaper.adopt(released.id()).unwrap();
    reaper.release(&group);
    drop(reaper);
    assert!(!worker.wait().unwrap().success());
    assert!(group.lives());
    released.kill().unwrap();
    released.wait().unwrap();
}
