//! What cannot work is said in time, with what was attempted: an address where nobody is, or somebody
//! else; a message that is too large; messages of others.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use mqbench::engine::task::Task;
use mqbench::scenario::units::Size;
use mqbench::scenario::workload::Measure;

use crate::brokers::{Broker, own};
use crate::combinations::{Combination, at_rate, each, of_each_driver, of_each_offer};
use crate::disruption::wrong_in_any_case;
use crate::harness::server::free_port;
use crate::harness::worker::{run, run_disturbed};
use crate::servers::Known;

/// By then a broker that does not answer has been given up.
const UNREACHABLE: Duration = Duration::from_secs(7);
/// By then a message that is too large has been refused.
const REFUSED: Duration = Duration::from_secs(15);

/// The drivers that take a URL.
fn with_server() -> impl Iterator<Item = Combination> {
    of_each_driver().filter(|c| c.driver.server.is_some())
}

/// A task for whoever is at this address.
fn task_at(combination: &Combination, address: SocketAddr) -> Task {
    let mut task = combination.task(&Broker::Nobody);
    let scheme = combination.driver.schemes[0];
    task.url = Some(format!("{scheme}://me:secret@{address}"));
    task
}

/// Runs a task that finds no broker at this address and says what is wrong with how it failed.
fn unreachable(task: Task, address: SocketAddr) -> Vec<String> {
    let seen = run(task);
    let mut found = wrong_in_any_case(&seen);
    found.extend(seen.late(UNREACHABLE));
    let Some(failure) = seen.record.failure else {
        found.push("no failure".to_owned());
        return found;
    };
    if !failure.contains("connect to") || !failure.contains(&address.to_string()) {
        found.push(format!("it does not say what was attempted: {failure}"));
    }
    if failure.contains("secret") {
        found.push(format!("it tells the password: {failure}"));
    }
    found
}

#[test]
fn nobody_there_is_said_with_the_address() {
    each(with_server(), |combination| {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        unreachable(task_at(combination, address), address)
    });
}

#[test]
fn somebody_who_says_nothing_is_said_with_the_address() {
    each(with_server(), |combination| {
        // Connections are made by the kernel; nobody takes them up.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("its address");
        unreachable(task_at(combination, address), address)
    });
}

#[test]
fn somebody_who_speaks_otherwise_is_said_with_the_address() {
    each(with_server(), |combination| {
        let web = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = web.local_addr().expect("its address");
        // Ends with the test process.
        thread::spawn(move || {
            for mut client in web.incoming().flatten() {
                let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                // Closing it with something unread would take the answer back.
                let _ = client.set_read_timeout(Some(Duration::from_millis(100)));
                let _ = client.read(&mut [0; 1024]);
            }
        });
        unreachable(task_at(combination, address), address)
    });
}

#[test]
fn a_message_that_is_too_large_is_refused_with_a_reason() {
    each(of_each_offer(), |combination| {
        let Some(server) = combination.driver.server else {
            return Vec::new();
        };
        let (key, value, size) = Known::of(server).limit;
        let setting = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let Some(broker) = own(combination.driver, combination.offer, &setting) else {
            return Vec::new();
        };
        let mut task = combination.task(&broker);
        task.workload.message.sizes[0].size = Size(size);
        task.workload.in_flight = 4;
        task.phases.measure = Measure::Count(20);
        let seen = run(task);
        let mut found = wrong_in_any_case(&seen);
        found.extend(seen.late(REFUSED));
        let reasons = seen.record.failure.iter().chain(seen.record.reasons.keys());
        let said: Vec<&String> = reasons.collect();
        let names_it = |reason: &&String| {
            let words = ["large", "size", "length", "at most", "exceed", "max"];
            words.iter().any(|w| reason.to_lowercase().contains(w))
        };
        if !said.iter().any(names_it) {
            found.push(format!("it does not say that it is the size: {said:?}"));
        }
        found
    });
}

#[test]
fn messages_of_others_are_counted_and_change_nothing_else() {
    each(with_server(), |combination| {
        let Some(broker) = combination.shared() else {
            return Vec::new();
        };
        let task = combination.task(&broker);
        // Another run has to come and go in the meantime, which on a busy machine takes longer.
        let beside = |trial: u16, length: Duration| {
            let mut task = task.clone();
            task.trial = trial;
            at_rate(&mut task, 500.0, length);
            let mut foreign = combination.task(&broker);
            foreign.run = task.run ^ 1;
            foreign.destination = Some(task.destination(0));
            foreign.workload.consumers = 0;
            // Not all at once: where nothing is acknowledged, what the server has not read is gone with the connection.
            at_rate(&mut foreign, 100.0, Duration::from_secs(2));
            let (mut sent, mut in_time) = (0, false);
            let seen = run_disturbed(task, |live| {
                sent = run(foreign).record.audit.sent;
                in_time = live.is_measuring();
            });
            (seen, sent, in_time)
        };
        let (mut seen, mut sent, in_time) = beside(task.trial, Duration::from_secs(6));
        if !in_time {
            (seen, sent, _) = beside(task.trial + 1, Duration::from_secs(25));
        }
        let groups = u64::from(task.workload.groups);
        let mut found = seen.problems(&task);
        let all = sent * groups;
        let arrived = seen.record.audit.unexpected;
        let least = if task.acks { all } else { all / 2 };
        if !(least..=all).contains(&arrived) || all == 0 {
            found.push(format!("{arrived} of {all} were unexpected"));
        }
        found.retain(|problem| *problem != format!("unexpected: {arrived}, not 0"));
        found
    });
}
