//! Tools that come with the systems and report latencies. scripts/validity gets them and says where they are.

use std::process::Command;
use std::time::Duration;

use mqbench::servers::Instance;

use crate::lab::{Lab, output};
use crate::omission::{RATE, SECONDS};

/// A tool that sends for [`SECONDS`] at [`RATE`], if it can.
pub struct Tool {
    /// The driver that it stands beside.
    driver: &'static str,
    /// As the page names it.
    pub name: &'static str,
    /// Sends as fast as answers come, whatever is asked for.
    pub has_own_rate: bool,
    /// The variable that names its jars; `None` where it is a program on the path.
    jars: Option<&'static str>,
    command: fn(&str, &Instance, u32) -> Command,
    /// What has to be there before: a topic.
    before: Option<fn(&str, &Instance, u32) -> Command>,
    /// Its figures, from what it prints.
    pub read: fn(&str, Duration) -> Option<Seen>,
}

/// What a tool reports.
pub struct Seen {
    /// p99, p99.9 and the longest, nanoseconds; `None` for what it does not report.
    pub latencies: [Option<f64>; 3],
    pub messages: f64,
    pub seconds: f64,
    /// For how long the server stood still.
    pub stood: Duration,
}

/// A tool that can be started; each time on a destination of its own.
pub struct Prepared<'a> {
    tool: &'a Tool,
    jars: String,
    server: &'a Instance,
    times: u32,
}

static TOOLS: &[Tool] = &[
    Tool {
        driver: "kafka",
        name: "kafka-producer-perf-test",
        has_own_rate: false,
        jars: Some("VALIDITY_KAFKA_TOOLS"),
        command: |jars, server, time| {
            let mut java = java(jars, "org.apache.kafka.tools.ProducerPerformance");
            let bootstrap = format!("bootstrap.servers={}", address(server));
            java.args(["--topic", &format!("tool-{time}")])
                .args(["--num-records", &(RATE * SECONDS).to_string()])
                .args(["--record-size", "256", "--throughput", &RATE.to_string()])
                .args(["--producer-props", &bootstrap, "acks=all", "linger.ms=0"]);
            java
        },
        before: Some(|jars, server, time| {
            let mut java = java(jars, "org.apache.kafka.tools.TopicCommand");
            java.args(["--bootstrap-server", address(server), "--create"])
                .args(["--topic", &format!("tool-{time}"), "--partitions", "1"]);
            java
        }),
        // `…, 2.31 ms avg latency, 1010.00 ms max latency, 1 ms 50th, 2 ms 95th, 800 ms 99th, 980 ms 99.9th.`
        read: |said, stood| {
            let line = said.lines().rev().find(|line| line.contains("99.9th"))?;
            let before = |what: &str| {
                let (rest, _) = line.split_once(what)?;
                number(rest.rsplit(", ").next()?)
            };
            let ms = |what| before(what).map(|it| it * 1e6);
            Some(Seen::paced(
                [ms(" ms 99th"), ms(" ms 99.9th"), ms(" ms max latency")],
                stood,
            ))
        },
    },
    Tool {
        driver: "pulsar",
        name: "pulsar-perf produce",
        has_own_rate: false,
        jars: Some("VALIDITY_PULSAR_PERF"),
        command: |jars, server, time| {
            let mut java = java(jars, "org.apache.pulsar.testclient.PulsarPerfTestTool");
            let url = server.record().url.split('?').next().unwrap_or_default();
            java.args(["/dev/null", "produce", "--service-url", url])
                .args(["--rate", &RATE.to_string(), "--size", "256"])
                .args(["--num-messages", &(RATE * SECONDS).to_string()])
                .args([
                    "--disable-batching",
                    &format!("persistent://public/default/tool-{time}"),
                ]);
            java
        },
        before: None,
        // `Aggregated latency stats --- Latency: mean: 3.1 ms - med: … - 99pct: … - 99.9pct: … - Max: …`
        read: |said, stood| {
            let line = said
                .lines()
                .rev()
                .find(|line| line.contains("Aggregated latency"))?;
            let after = |what: &str| {
                let (_, rest) = line.split_once(what)?;
                number(rest.trim_start()).map(|it| it * 1e6)
            };
            Some(Seen::paced(
                [after(" 99pct:"), after(" 99.9pct:"), after(" Max:")],
                stood,
            ))
        },
    },
    Tool {
        driver: "rabbitmq",
        name: "PerfTest",
        has_own_rate: false,
        jars: Some("VALIDITY_PERFTEST"),
        command: |jars, server, time| {
            let mut java = java(jars, "com.rabbitmq.perf.PerfTest");
            java.args([
                "--uri",
                &server.record().url,
                "--queue",
                &format!("tool-{time}"),
            ])
            .args([
                "--auto-delete",
                "true",
                "--producers",
                "1",
                "--consumers",
                "1",
            ])
            .args(["--size", "256", "--flag", "persistent", "--confirm", "256"])
            .args(["--qos", "256", "--rate", &RATE.to_string()])
            .args(["--time", &SECONDS.to_string()]);
            java
        },
        before: None,
        // Its last line is about the whole: `consumer latency min/median/75th/95th/99th 88/210/…/… µs`.
        read: |said, stood| {
            let mut lines = said.lines().rev();
            let line = lines.find(|line| line.contains("consumer latency"))?;
            let (_, rest) = line.split_once("99th ")?;
            let words: Vec<&str> = rest.split_whitespace().collect();
            let p99 = number(words.first()?.split('/').nth(4)?)?;
            let unit = match words.get(1)?.trim_end_matches(',') {
                "ms" => 1e6,
                "ns" => 1.0,
                _ => 1e3,
            };
            Some(Seen::paced([Some(p99 * unit), None, None], stood))
        },
    },
    Tool {
        driver: "redis-streams",
        name: "redis-benchmark",
        has_own_rate: true,
        jars: None,
        command: |_, server, time| {
            let mut program = Command::new("redis-benchmark");
            program
                .args(["-p", &server.record().site.port().to_string()])
                .args(["-c", "1", "-n", "600000", "--precision", "3"])
                .args([
                    "xadd",
                    &format!("tool-{time}"),
                    "MAXLEN",
                    "~",
                    "1000",
                    "*",
                    "p",
                ])
                .arg("x".repeat(256));
            program
        },
        before: None,
        read: |said, stood| {
            // The longest in a table below its head, milliseconds: `avg min p50 p95 p99 max`.
            let mut lines = said.lines().skip_while(|line| !line.contains("p99"));
            let words: Vec<f64> = lines
                .nth(1)?
                .split_whitespace()
                .filter_map(number)
                .collect();
            let whole = said
                .lines()
                .find(|line| line.contains("requests completed in"))?;
            let (messages, seconds) = whole.split_once(" requests completed in ")?;
            Some(Seen {
                latencies: [
                    words.get(4).map(|it| it * 1e6),
                    tail(said),
                    words.get(5).map(|it| it * 1e6),
                ],
                messages: number(messages.trim())?,
                seconds: number(seconds)?,
                stood,
            })
        },
    },
];

/// Of redis-benchmark's distribution (`99.902% <= 0.231 milliseconds …`) the first that reaches 99.9 %.
fn tail(said: &str) -> Option<f64> {
    let rows = said.lines().filter_map(|line| {
        let (share, rest) = line.split_once("% <= ")?;
        Some((number(share.trim())?, number(rest)?))
    });
    let mut beyond = rows.filter(|(share, _)| *share >= 99.9);
    beyond.next().map(|(_, value)| value * 1e6)
}

/// The tools of a system.
pub fn of(driver: &str) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| tool.driver == driver)
}

impl Tool {
    /// `None` where this machine does not have it.
    pub fn prepare<'a>(&'a self, lab: &Lab, server: &'a Instance) -> Option<Prepared<'a>> {
        let jars = match self.jars {
            None => String::new(),
            Some(variable) => std::env::var(variable).ok()?,
        };
        let version = match self.jars {
            None => None,
            Some(variable) => std::env::var(format!("{variable}_VERSION")).ok(),
        };
        lab.used(self.name, version.as_deref().unwrap_or_default());
        Some(Prepared {
            tool: self,
            jars,
            server,
            times: 0,
        })
    }
}

impl Prepared<'_> {
    pub fn command(&mut self) -> Command {
        self.times += 1;
        if let Some(before) = self.tool.before {
            output(&mut before(&self.jars, self.server, self.times));
        }
        (self.tool.command)(&self.jars, self.server, self.times)
    }
}

impl Seen {
    fn paced(latencies: [Option<f64>; 3], stood: Duration) -> Seen {
        Seen {
            latencies,
            messages: f64::from(RATE * SECONDS),
            seconds: f64::from(SECONDS),
            stood,
        }
    }
}

/// A tool of Java, by the jars that it is made of and its class.
pub fn java(jars: &str, class: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-XX:-UsePerfData", "-cp", jars, class]);
    java
}

/// Where a server is, without the scheme.
pub fn address(server: &Instance) -> &str {
    let url = &server.record().url;
    url.split_once("://").map_or(url.as_str(), |(_, rest)| rest)
}

/// The number that a text begins with.
fn number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !".,".contains(c));
    let digits = text[..end.unwrap_or(text.len())].replace(',', "");
    digits.trim_end_matches('.').parse().ok()
}
