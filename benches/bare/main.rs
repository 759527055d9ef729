//! What measuring adds: `cargo bench --bench bare -- [latency|throughput] [SYSTEM…] [ROUNDS]`.
//!
//! A *bare* loop (the same client crate and settings, and nothing else: no header, no audit, no histogram,
//! no second process) and mqbench take turns on one server; printed are the medians over the rounds and what
//! they are to each other. *latency* paces both alike at 1,000 messages of 256 bytes a second; *throughput*
//! sends as fast as the same window allows, 100 bytes and 1 KiB, and counts the CPU of the client too. Where
//! the system acknowledges, it is done once more with nobody reading.

mod jetstream;
mod kafka;
mod load;
mod mqtt;
mod nats;
#[cfg(feature = "pulsar")]
mod pulsar;
mod rabbitmq;
mod redis;
#[path = "../serve/mod.rs"]
mod serve;
mod zeromq;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;

use load::{Flooded, Load, Sink, Source};
use mqbench::processes::reaper::Reaper;
use mqbench::servers::{Instance, Keeper};
use rumqttc_three::QoS;

/// A system's client in a plain loop.
pub trait Bare: Sync {
    /// The driver that it stands beside.
    fn driver(&self) -> &'static str;

    /// As it is chosen and shown, where one driver stands here more than once.
    fn name(&self) -> &'static str {
        self.driver()
    }

    /// What mqbench is asked for, so that both do the same: `at-least-once`, `disk`.
    fn guarantee(&self) -> (&'static str, &'static str) {
        ("at-most-once", "memory")
    }

    /// Whether publishers wait for acknowledgements.
    fn acks(&self) -> bool {
        false
    }

    /// What the server is set to besides what the guarantee needs.
    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Options of the driver, as a scenario writes them: `linger: 0ms, `.
    fn options(&self, _load: &Load) -> &'static str {
        ""
    }

    /// Subscribes at `url`, says through `ready` where publishers find it (the same `url`, if there is a
    /// server), and hands over what it gets until the sink has enough.
    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink);

    /// Sends what the source gives until it ends, and waits until all of it is on its way (with
    /// acknowledgements: until all are there). The window on acknowledgements is its own.
    fn publish(&self, url: &str, source: Source);
}

static SYSTEMS: &[&dyn Bare] = &[
    &jetstream::JetStream,
    &kafka::Kafka,
    &mqtt::Mqtt(QoS::AtMostOnce),
    &mqtt::Mqtt(QoS::AtLeastOnce),
    &nats::Nats,
    #[cfg(feature = "pulsar")]
    &pulsar::Pulsar,
    &rabbitmq::RabbitMq,
    &redis::PubSub,
    &redis::Streams,
    &zeromq::ZeroMq,
];

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    let named = |system: &&dyn Bare| has(system.driver()) || has(system.name());
    let some_named = SYSTEMS.iter().any(named);
    let chosen: Vec<&'static dyn Bare> = SYSTEMS
        .iter()
        .copied()
        .filter(|system| !some_named || named(system))
        .collect();
    let both = !has("latency") && !has("throughput");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_mqbench"));
    let reaper: Arc<dyn Keeper> = Arc::new(Reaper::start_from(program).expect("a reaper"));
    if both || has("latency") {
        latency(&chosen, rounds, &reaper);
    }
    if both || has("throughput") {
        throughput(&chosen, rounds, &reaper);
    }
}

fn latency(chosen: &[&'static dyn Bare], rounds: usize, reaper: &Arc<dyn Keeper>) {
    println!(
        "{:<15} {:>10} {:>10} {:>7}   end-to-end p50 in µs, {}/s, {} B, {rounds} rounds",
        "system",
        "bare",
        "mqbench",
        "ratio",
        load::RATE,
        load::PACED_SIZE
    );
    for system in chosen {
        let server = serve::start(
            system.driver(),
            system.guarantee(),
            system.settings(),
            reaper,
        );
        let url = address(server.as_ref());
        let (mut bare, mut measured) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let load = Load::paced(system.acks());
            bare.push(round(*system, &url, &load).p50_us());
            let row = mqbench(*system, &url, &load);
            measured.push(row["end_to_end_p50_us"]);
        }
        let (bare, measured) = (median(&mut bare), median(&mut measured));
        let ratio = measured / bare;
        let name = system.name();
        println!("{name:<15} {bare:>10.1} {measured:>10.1} {ratio:>7.3}");
    }
}

fn throughput(chosen: &[&'static dyn Bare], rounds: usize, reaper: &Arc<dyn Keeper>) {
    println!(
        "{:<15} {:>6} {:>13} {:>13} {:>7} {:>9} {:>9} {:>9}   sent and received a second, {rounds} rounds",
        "system", "bytes", "bare", "mqbench", "ratio", "bare CPU", "CPU", "more"
    );
    for system in chosen {
        let server = serve::start(
            system.driver(),
            system.guarantee(),
            system.settings(),
            reaper,
        );
        let url = address(server.as_ref());
        for (size, is_read) in [(100, true), (1024, true), (100, false), (1024, false)] {
            if is_read || system.acks() {
                let load = Load::flood(size, system.acks());
                let load = if is_read { load } else { load.unread() };
                flood(*system, &url, &load, rounds);
            }
        }
    }
}

/// A line of the table.
fn flood(system: &'static dyn Bare, url: &str, load: &Load, rounds: usize) {
    let (mut bare, mut measured) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(round(system, url, load).flooded());
        let row = mqbench(system, url, load);
        measured.push(Flooded {
            sent: row["sent_per_s"],
            received: load.is_read().then(|| row["received_per_s"]),
            cpu_ns: row["client_cpu_us_per_message"] * 1e3,
        });
    }
    let of = |seen: &[Flooded], value: fn(&Flooded) -> f64| {
        let mut values: Vec<f64> = seen.iter().map(value).collect();
        median(&mut values)
    };
    let rates = |seen: &[Flooded]| {
        let sent = of(seen, |it| it.sent) / 1e3;
        match load.is_read() {
            true => {
                let received = of(seen, |it| it.received.unwrap_or_default()) / 1e3;
                format!("{sent:.0}k {received:.0}k")
            }
            false => format!("{sent:.0}k -"),
        }
    };
    let ratio = of(&measured, Flooded::through) / of(&bare, Flooded::through);
    let (bare_cpu, cpu) = (of(&bare, |it| it.cpu_ns), of(&measured, |it| it.cpu_ns));
    println!(
        "{:<15} {:>6} {:>13} {:>13} {ratio:>7.3} {bare_cpu:>6.0} ns {cpu:>6.0} ns {:>6.0} ns",
        system.name(),
        load.size(),
        rates(&bare),
        rates(&measured),
        cpu - bare_cpu
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn address(server: Option<&Instance>) -> String {
    server.map_or(String::new(), |server| server.record().url.clone())
}

/// One round of the bare loop: publisher and consumer on a thread each.
fn round(system: &'static dyn Bare, url: &str, load: &Load) -> Sink {
    let (tell, ready) = mpsc::channel();
    let (source, mut sink) = load.ends();
    let consumer = thread::spawn({
        let url = url.to_owned();
        move || {
            system.consume(&url, &tell, &mut sink);
            sink
        }
    });
    let found = ready.recv().expect("the consumer is ready");
    let publisher = thread::spawn(move || system.publish(&found, source));
    publisher.join().expect("the publisher ends");
    consumer.join().expect("the consumer ends")
}

/// mqbench itself, as a user runs it: its summary by column.
fn mqbench(system: &dyn Bare, url: &str, load: &Load) -> BTreeMap<String, f64> {
    let name = system.driver();
    let (delivery, durability) = system.guarantee();
    let url = match url {
        "" => String::new(),
        url => format!("url: \"{url}\""),
    };
    let text = format!(
        "name: bare\nbrokers:\n  {name}: {{{}{url}}}\n\
         workload:\n  delivery: {delivery}\n  durability: {durability}\n{}trials: 1\ndisturbed: {{repeats: 0}}\n",
        system.options(load),
        load.scenario()
    );
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("bare.yaml");
    std::fs::write(&scenario, &text).expect("a scenario");
    let run = Command::new(env!("CARGO_BIN_EXE_mqbench"))
        .args(["run", "--quiet", "--format", "csv", "--out"])
        .arg(folder.path())
        .arg(&scenario)
        .stderr(Stdio::inherit())
        .output()
        .expect("mqbench runs");
    assert!(run.status.success(), "{text}");
    let mut table = csv::Reader::from_reader(run.stdout.as_slice());
    let names = table.headers().expect("a head").clone();
    let row = table.records().next().expect("a row").expect("a row");
    let number = |(name, value): (&str, &str)| Some((name.to_owned(), value.parse().ok()?));
    names.iter().zip(row.iter()).filter_map(number).collect()
}

/// Runs a future on this thread.
pub fn on_thread<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(body)
}
