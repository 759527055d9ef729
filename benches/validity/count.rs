//! A subscriber beside mqbench's own.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use mqbench::servers::Instance;

use crate::Experiment;
use crate::lab::{Ask, Lab, count, output};
use crate::page::Finding;
use crate::program::wait_for;
use crate::subscriber::Subscriber;
use crate::tools::{address, java};

/// How long the last messages may take.
const SOON: Duration = Duration::from_secs(10);
/// What an existing destination is called.
const DESTINATION: &str = "validity";

pub static COUNT: Experiment = Experiment {
    name: "count",
    title: "Others count the same messages",
    claim: "A subscriber that is not mqbench's counts exactly the messages that mqbench says it sent and received.",
    method: "For 5 seconds at 4,000 messages a second, from the first message on (no warm-up), somebody else listens, or \
        looks afterwards at what the server kept. *Different* are those of which no other was the same: each message of \
        mqbench carries its number. Sent, received, counted and different must be one number.",
    run,
};

/// What somebody else counted: all, and where contents can be seen, how many were different.
struct Counted {
    all: u64,
    different: Option<u64>,
}

/// Counts messages beside mqbench, or after it.
struct Counter {
    driver: &'static str,
    who: &'static str,
    /// Entries of the scenario for the broker.
    options: &'static str,
    /// Calls `run`, which runs mqbench and says how many messages to expect.
    count: fn(&Lab, &Instance, &mut dyn FnMut() -> u64) -> Counted,
}

static COUNTERS: &[Counter] = &[
    Counter {
        driver: "mqtt",
        who: "`mosquitto_sub`",
        // Before the trial mqbench tries on a topic of its own whether the server takes messages so large.
        options: "destination: validity",
        count: |lab, server, run| {
            // By itself it writes when it has enough for a block.
            let mut program = Command::new("stdbuf");
            program
                .args(["-oL", "mosquitto_sub"])
                .args([
                    "-p",
                    &server.record().site.port().to_string(),
                    "-V",
                    "mqttv311",
                ])
                .args(["-q", "1", "-t", DESTINATION, "-F", "%x", "-d"]);
            listen(lab, program, "Subscribed (mid", run, |line| {
                !line.is_empty() && line.bytes().all(|b| b.is_ascii_hexdigit())
            })
        },
    },
    Counter {
        driver: "redis-pubsub",
        who: "`redis-cli PSUBSCRIBE`",
        options: "",
        count: |lab, server, run| {
            let mut program = Command::new("redis-cli");
            program
                .args(["-p", &server.record().site.port().to_string()])
                .args(["--csv", "psubscribe", "*"]);
            listen(lab, program, "\"psubscribe\"", run, |line| {
                line.starts_with("\"pmessage\"")
            })
        },
    },
    Counter {
        driver: "redis-streams",
        who: "`redis-cli XRANGE` afterwards",
        options: "trim: none, destination: validity",
        count: |_, server, run| {
            let ask = |arguments: &[&str]| {
                let port = server.record().site.port().to_string();
                output(
                    Command::new("redis-cli")
                        .args(["-p", &port])
                        .args(arguments),
                )
            };
            ask(&["xgroup", "create", DESTINATION, "other", "$", "mkstream"]);
            run();
            // One list of quoted words: number, field, body, and so on. No number comes twice.
            let entries = ask(&["--csv", "xrange", DESTINATION, "-", "+"]);
            let all = ask(&["xlen", DESTINATION])
                .trim()
                .parse()
                .expect("a number");
            let words: HashSet<&str> = entries.trim().split("\",\"").collect();
            let field = 1;
            ask(&["del", DESTINATION]);
            Counted {
                all,
                different: (words.len() as u64).checked_sub(all + field),
            }
        },
    },
    Counter {
        driver: "nats",
        who: "a loop over a plain socket",
        options: "",
        count: |_, server, run| {
            let subscriber = Subscriber::at(server.record().site.port());
            run();
            let heard = subscriber.end();
            let bodies: HashSet<&[u8]> = heard.iter().map(|it| it.body.as_slice()).collect();
            Counted {
                all: heard.len() as u64,
                different: Some(bodies.len() as u64),
            }
        },
    },
    Counter {
        driver: "kafka",
        who: "`kafka-console-consumer` afterwards",
        options: "destination: validity",
        count: |_, server, run| {
            let jars = std::env::var("VALIDITY_KAFKA_TOOLS").unwrap_or_default();
            let tool = |class: &str, arguments: &[&str]| {
                let mut java = java(&jars, &format!("org.apache.kafka.tools.{class}"));
                output(
                    java.args(["--bootstrap-server", address(server)])
                        .args(arguments),
                )
            };
            tool(
                "TopicCommand",
                &["--create", "--topic", DESTINATION, "--partitions", "1"],
            );
            run();
            let said = tool(
                "consumer.ConsoleConsumer",
                &[
                    "--topic",
                    DESTINATION,
                    "--from-beginning",
                    "--timeout-ms",
                    "5000",
                ],
            );
            let number = said.rsplit("Processed a total of ").next();
            let number = number.and_then(|rest| rest.split(' ').next()?.parse().ok());
            tool("TopicCommand", &["--delete", "--topic", DESTINATION]);
            Counted {
                all: number.unwrap_or_else(|| panic!("kafka-console-consumer: {said}")),
                different: None,
            }
        },
    },
];

/// With a program that prints a line for each message, beginning when it says `ready`.
fn listen(
    lab: &Lab,
    program: Command,
    ready: &str,
    run: &mut dyn FnMut() -> u64,
    is_message: fn(&str) -> bool,
) -> Counted {
    let helper = lab.start(program, "subscriber");
    helper.await_word(ready);
    let expected = run() as usize;
    let counted = || {
        helper
            .said()
            .lines()
            .filter(|line| is_message(line))
            .count()
    };
    wait_for(SOON, || counted() >= expected);
    let said = helper.end();
    let lines: Vec<&str> = said.lines().filter(|line| is_message(line)).collect();
    let different: HashSet<&&str> = lines.iter().collect();
    Counted {
        all: lines.len() as u64,
        different: Some(different.len() as u64),
    }
}

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "system",
        "counted by",
        "mqbench sent",
        "mqbench received",
        "counted",
        "different",
    ]);
    for counter in COUNTERS {
        let Some((driver, offer)) = lab.system(counter.driver) else {
            continue;
        };
        if driver.name == "kafka" && std::env::var_os("VALIDITY_KAFKA_TOOLS").is_none() {
            let missing = "kafka-console-consumer (scripts/validity gets it)";
            finding.untried.push(missing.to_owned());
            continue;
        }
        let server = lab.server(driver, offer);
        let ask = Ask {
            driver,
            offer,
            url: &server.record().url,
            options: counter.options,
            workload: "message: {size: 64B}, load: {rate: 4k/s}",
            warmup: 0,
            measure: 5,
        };
        let mut audit = None;
        let counted = (counter.count)(lab, &server, &mut || {
            let ran = lab.run(&ask);
            audit = Some(ran.record.audit);
            ran.record.audit.sent
        });
        let audit = audit.expect("it ran");
        let different = counted.different.map_or("–".to_owned(), count);
        finding.row([
            driver.name.to_owned(),
            counter.who.to_owned(),
            count(audit.sent),
            count(audit.received),
            count(counted.all),
            different,
        ]);
        let same = [
            audit.received,
            counted.all,
            counted.different.unwrap_or(audit.sent),
        ];
        finding.check(same.iter().all(|it| *it == audit.sent), || {
            format!("{}: the numbers differ", driver.name)
        });
    }
    finding
}
