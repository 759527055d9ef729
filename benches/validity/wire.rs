//! The packets of the publisher's connection.

use std::collections::HashMap;
use std::process::Command;

use mqbench::drivers::descriptor::Descriptor;
use mqbench::measure::latency::Kind;

use crate::Experiment;
use crate::lab::{Ask, Lab, count, output, us};
use crate::page::Finding;

/// Who sends so many bytes or more without an answer sends a message: what a consumer says between two is shorter.
const MESSAGE: usize = 1_000;
/// By how much longer mqbench's median may be, nanoseconds: what the client library and the way into and out of
/// the kernel take, with a task of the library's own to be woken on the way there and on the way back.
const CLIENT: f64 = 150_000.0;

pub static WIRE: Experiment = Experiment {
    name: "wire",
    title: "Acknowledgement times are those of the packets",
    claim: "`service` is the time between the packet with the message and the packet with its acknowledgement, and what the \
        client takes around that.",
    method: "tcpdump stamps every packet on the loopback interface, in the kernel, while mqbench sends 1,000 messages of 1 KiB \
        a second for 5 seconds with one under way at a time. On the publisher's connection each packet that completes a message is \
        paired with the next one with content from the server. mqbench's clock starts before the client library is called and \
        stops when the acknowledgement has come out of it, so its median must be the longer one, by no more than 150 µs: the \
        library, two passages through the kernel, and the waking of its tasks: one where the library writes by itself, three \
        where it has a task for the connection. Batches are sent at once where a client would wait for more \
        (`linger: 0ms`).",
    run,
};

/// One line of tcpdump: when (nanoseconds), from and to which port, how many bytes of content.
fn packet(line: &str) -> Option<(u64, u16, u16, usize)> {
    let (time, rest) = line.split_once(" IP ")?;
    let (seconds, fraction) = time.split_once('.')?;
    let at = seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()?;
    let (places, content) = rest.split_once(": tcp ")?;
    let (from, to) = places.split_once(" > ")?;
    let port = |place: &str| place.rsplit('.').next()?.parse().ok();
    Some((at, port(from)?, port(to)?, content.trim().parse().ok()?))
}

/// What a client has sent since it was last answered: how many bytes, and when they were those of a message.
#[derive(Default)]
struct Sent {
    bytes: usize,
    whole: Option<u64>,
}

/// From each packet that completes a message to the next that answers, sorted.
fn answers(dump: &str, server: u16) -> Vec<u64> {
    let mut sent: HashMap<u16, Sent> = HashMap::new();
    let mut took = Vec::new();
    for (at, from, to, length) in dump.lines().filter_map(packet) {
        if to == server {
            let sent = sent.entry(from).or_default();
            sent.bytes += length;
            if sent.bytes >= MESSAGE {
                sent.whole.get_or_insert(at);
            }
        } else if from == server && length > 0 {
            let answered = sent.remove(&to).and_then(|sent| sent.whole);
            took.extend(answered.map(|asked| at - asked));
        }
    }
    took.sort_unstable();
    took
}

/// The options by which a message goes out when it is sent.
fn at_once(driver: &Descriptor) -> &'static str {
    match driver.options.iter().any(|it| it.name == "linger") {
        true => "linger: 0ms",
        false => "",
    }
}

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "system",
        "answers captured",
        "between packets, p50",
        "`service`, p50",
        "the client's part",
    ]);
    if Command::new("tcpdump").arg("--version").output().is_err() {
        finding.untried.push("there is no tcpdump".to_owned());
        return finding;
    }
    for (driver, offer) in lab.systems().into_iter().filter(|(_, offer)| offer.acks) {
        let server = lab.server(driver, offer);
        let port = server.record().site.port();
        let ask = Ask {
            driver,
            offer,
            url: &server.record().url,
            options: at_once(driver),
            workload: "message: {size: 1KiB}, load: {rate: 1k/s}, in_flight: 1",
            warmup: 0,
            measure: 5,
        };
        let file = lab.place.path("packets");
        let seen = lab.quiet(&[&server], || {
            let mut tcpdump = Command::new("tcpdump");
            tcpdump
                .args(["-i", "lo", "-s", "96", "-B", "16384", "-Z", "root"])
                // What waits to be taken together is lost at its end.
                .arg("--immediate-mode")
                .args(["--time-stamp-precision=nano", "-w"])
                .arg(&file)
                .arg(format!("tcp port {port}"));
            let helper = lab.start(tcpdump, "tcpdump");
            helper.await_word("listening on");
            let ran = lab.run(&ask);
            let said = helper.end();
            let missed = said.lines().find(|line| line.contains("dropped by kernel"));
            let missed = missed.is_some_and(|line| !line.trim().starts_with("0 "));
            let mut reader = Command::new("tcpdump");
            reader
                .args(["-n", "-tt", "-q", "--time-stamp-precision=nano", "-r"])
                .arg(&file);
            (ran, answers(&output(&mut reader), port), missed)
        });
        let (ran, packets, missed) = match seen {
            Ok(seen) => seen,
            Err(why) => {
                finding.untried.push(format!("{}: {why}", driver.name));
                continue;
            }
        };
        let between = packets.get(packets.len() / 2).map_or(0.0, |it| *it as f64);
        let service = ran.percentile(Kind::Service, 50.0).unwrap_or(0.0);
        let own = service - between;
        finding.row([
            driver.name.to_owned(),
            count(packets.len() as u64),
            us(between),
            us(service),
            us(own),
        ]);
        let complete = !missed && packets.len() as u64 >= ran.record.audit.acked;
        finding.check(complete, || {
            let acked = ran.record.audit.acked;
            format!(
                "{}: {} answers of {acked} were captured",
                driver.name,
                packets.len()
            )
        });
        finding.check((0.0..CLIENT).contains(&own), || {
            format!("{}: the medians are {} apart", driver.name, us(own))
        });
    }
    finding
}
