//! What measuring adds to latency: `cargo bench --bench bare -- [SYSTEM] [ROUNDS]`; and to the throughput
//! of the NATS client: `cargo bench --bench bare -- throughput [ROUNDS]`.
//!
//! A *bare* loop (the same client crate, the same pacing, and nothing else: no header, no audit, no
//! histogram, no second process) and mqbench take turns on one server at 1,000 messages of 256 bytes a
//! second; printed are the medians of each round, and the ratio of their medians.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use mqbench::measure::clock::{Clock, Monotonic};
use redis::AsyncCommands;

const RATE: u64 = 1_000;
const SIZE: usize = 256;
const SECONDS: u64 = 4;
/// Not counted, at the beginning of each round.
const WARMUP: u64 = 1_000;
/// As the engine does it: sleep until shortly before, then look at the clock.
const LEAD: u64 = 80_000;

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    if args.iter().any(|arg| arg == "throughput") {
        return throughput(rounds);
    }
    let all = ["nats", "redis-pubsub", "redis-streams", "zeromq"];
    let chosen: Vec<&str> = all
        .into_iter()
        .filter(|s| args.is_empty() || args.iter().any(|a| a == s || a.parse::<u32>().is_ok()))
        .collect();
    println!(
        "{:<15} {:>12} {:>12} {:>8}   p50 in µs, {RATE}/s, {SIZE} B, {rounds} rounds",
        "system", "bare", "mqbench", "ratio"
    );
    for system in chosen {
        let server = Server::start(system);
        let (mut bare, mut measured) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            bare.push(bare_round(system, &server.url));
            measured.push(mqbench_round(system, &server.url));
        }
        let (bare, measured) = (median(&mut bare), median(&mut measured));
        println!(
            "{system:<15} {bare:>12.1} {measured:>12.1} {:>8.3}",
            measured / bare
        );
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server on a free port, ended with this value.
struct Server {
    process: Option<Child>,
    url: String,
}

impl Server {
    fn start(system: &str) -> Server {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port")
            .port();
        let number = port.to_string();
        let (program, args, scheme) = match system {
            "nats" => (
                "nats-server",
                vec!["-a", "127.0.0.1", "-p", &number],
                "nats",
            ),
            "zeromq" => {
                return Server {
                    process: None,
                    url: String::new(),
                };
            }
            _ => (
                "redis-server",
                vec!["--port", &number, "--save", "", "--bind", "127.0.0.1"],
                "redis",
            ),
        };
        let process = Command::new(program)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{program} is needed (scripts/get): {e}"));
        let deadline = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "{program} does not answer");
            thread::sleep(Duration::from_millis(10));
        }
        Server {
            process: Some(process),
            url: format!("{scheme}://127.0.0.1:{port}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// mqbench at the rate of the bare loop: the median in microseconds.
fn mqbench_round(system: &str, url: &str) -> f64 {
    let entry = if url.is_empty() {
        String::new()
    } else {
        format!("{{url: \"{url}\"}}")
    };
    let text = format!(
        "name: bare\nbrokers:\n  {system}: {entry}\nworkload: {{message: {{size: {SIZE}B}}, load: {{rate: {RATE}/s}}}}\n\
         phases: {{warmup: 1s, measure: {SECONDS}s, drain: 2s}}\ntrials: 1\ndisturbed: {{repeats: 0}}\n"
    );
    mqbench(&text, "end_to_end_p50_us")
}

/// mqbench itself, as a user runs it: a column of its summary.
fn mqbench(text: &str, column: &str) -> f64 {
    let folder = std::env::temp_dir().join(format!("mqbench-bare-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let scenario = folder.join("bare.yaml");
    std::fs::write(&scenario, text).expect("a scenario");
    let mut run = Command::new(env!("CARGO_BIN_EXE_mqbench"))
        .args(["run", "--quiet", "--format", "csv", "--out"])
        .arg(&folder)
        .arg(&scenario)
        .stdout(Stdio::piped())
        .spawn()
        .expect("mqbench runs");
    let mut table = String::new();
    let mut out = run.stdout.take().expect("piped");
    out.read_to_string(&mut table).expect("text");
    assert!(run.wait().expect("it ends").success());
    let _ = std::fs::remove_dir_all(&folder);
    let mut lines = table.lines();
    let mut head = lines.next().expect("a head").split(',');
    let place = head.position(|name| name == column).expect("the column");
    let value = lines.next().expect("a row").split(',').nth(place);
    value.expect("a value").parse().expect("a number")
}

/// Paces like the engine, without it. `send` gets the stamp to put into the message.
async fn pace<F: Future<Output = ()>>(mut send: impl FnMut(u64) -> F) {
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::{Interest, unix::AsyncFd};
    struct Fd(TimerFd);
    impl std::os::fd::AsRawFd for Fd {
        fn as_raw_fd(&self) -> i32 {
            std::os::fd::AsFd::as_fd(&self.0).as_raw_fd()
        }
    }
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK).expect("a timer");
    // SAFETY: the descriptor lives in the `AsyncFd` and is dropped with it.
    let timer =
        unsafe { AsyncFd::register_with_interest(Fd(timer), Interest::READABLE) }.expect("a poll");
    let start = Monotonic.now() + 20_000_000;
    for message in 0..WARMUP + SECONDS * RATE {
        let due = start + message * 1_000_000_000 / RATE;
        let wake = due - LEAD;
        if wake > Monotonic.now() {
            let at = nix::sys::time::TimeSpec::new(
                (wake / 1_000_000_000) as i64,
                (wake % 1_000_000_000) as i64,
            );
            timer
                .get_ref()
                .0
                .set(
                    Expiration::OneShot(at),
                    TimerSetTimeFlags::TFD_TIMER_ABSTIME,
                )
                .expect("set");
            timer.readable().await.expect("a tick").clear_ready();
            let _ = timer.get_ref().0.wait();
        }
        while Monotonic.now() < due {
            tokio::task::yield_now().await;
        }
        send(due).await;
    }
}

fn payload(stamp: u64) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[..8].copy_from_slice(&stamp.to_le_bytes());
    bytes
}

fn waited(bytes: &[u8]) -> u64 {
    let mut stamp = [0; 8];
    stamp.copy_from_slice(&bytes[..8]);
    Monotonic.now().saturating_sub(u64::from_le_bytes(stamp))
}

fn on_thread(body: impl Future<Output = ()> + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(body);
}

/// One round of the bare loop: publisher and consumer on a thread each. The median in microseconds.
fn bare_round(system: &str, url: &str) -> f64 {
    let (tell, ready) = mpsc::channel();
    let (name, address) = (system.to_owned(), url.to_owned());
    let total = (WARMUP + SECONDS * RATE) as usize;
    let (tell_endpoint, endpoint) = mpsc::channel();
    let consumer = thread::spawn(move || consume(&name, &address, total, &tell, &tell_endpoint));
    ready.recv().expect("the consumer is ready");
    let address = match system {
        "zeromq" => endpoint.recv().expect("an endpoint"),
        _ => url.to_owned(),
    };
    let name = system.to_owned();
    let publisher = thread::spawn(move || publish(&name, &address));
    publisher.join().expect("the publisher ends");
    let mut latencies = consumer
        .join()
        .expect("the consumer ends")
        .split_off(WARMUP as usize);
    latencies.sort_unstable();
    latencies[latencies.len() / 2] as f64 / 1000.0
}

fn consume(
    system: &str,
    url: &str,
    total: usize,
    ready: &mpsc::Sender<()>,
    endpoint: &mpsc::Sender<String>,
) -> Vec<u64> {
    let (url, ready, endpoint) = (url.to_owned(), ready.clone(), endpoint.clone());
    let (tell, hear) = mpsc::channel();
    match system {
        "nats" => on_thread(async move {
            let client = async_nats::connect(&url).await.expect("a connection");
            let mut messages = client.subscribe("bare").await.expect("a subscription");
            client.flush().await.expect("confirmed");
            ready.send(()).expect("heard");
            for _ in 0..total {
                let message = messages.next().await.expect("a message");
                tell.send(waited(&message.payload)).expect("heard");
            }
        }),
        "redis-pubsub" => on_thread(async move {
            let client = redis::Client::open(url).expect("a URL");
            let mut pubsub = client.get_async_pubsub().await.expect("a connection");
            pubsub.subscribe("bare").await.expect("a subscription");
            ready.send(()).expect("heard");
            let mut messages = pubsub.on_message();
            for _ in 0..total {
                let message = messages.next().await.expect("a message");
                tell.send(waited(message.get_payload_bytes()))
                    .expect("heard");
            }
        }),
        "redis-streams" => on_thread(async move {
            let client = redis::Client::open(url).expect("a URL");
            let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await
                .expect("a connection");
            let () = redis::cmd("DEL")
                .arg("bare")
                .query_async(&mut connection)
                .await
                .expect("deleted");
            let () = redis::cmd("XGROUP")
                .arg(&["CREATE", "bare", "g", "$", "MKSTREAM"])
                .query_async(&mut connection)
                .await
                .expect("a group");
            ready.send(()).expect("heard");
            let mut seen = 0;
            while seen < total {
                let reply: redis::streams::StreamReadReply = redis::cmd("XREADGROUP")
                    .arg(&[
                        "GROUP", "g", "c", "NOACK", "COUNT", "256", "BLOCK", "1000", "STREAMS",
                        "bare", ">",
                    ])
                    .query_async(&mut connection)
                    .await
                    .expect("a reply");
                for entry in reply.keys.iter().flat_map(|key| &key.ids) {
                    let body: Vec<u8> = entry.get("p").expect("a body");
                    tell.send(waited(&body)).expect("heard");
                    seen += 1;
                }
            }
        }),
        _ => {
            let socket = zmq::Context::new().socket(zmq::PULL).expect("a socket");
            socket.bind("tcp://127.0.0.1:*").expect("bound");
            let bound = socket
                .get_last_endpoint()
                .expect("an endpoint")
                .expect("text");
            ready.send(()).expect("heard");
            endpoint.send(bound).expect("heard");
            let mut buffer = [0; SIZE];
            for _ in 0..total {
                socket.recv_into(&mut buffer, 0).expect("a message");
                tell.send(waited(&buffer)).expect("heard");
            }
        }
    }
    hear.try_iter().collect()
}

fn publish(system: &str, url: &str) {
    let url = url.to_owned();
    match system {
        "nats" => on_thread(async move {
            let client = async_nats::connect(&url).await.expect("a connection");
            pace(|stamp| {
                let client = client.clone();
                async move {
                    client
                        .publish("bare", payload(stamp).into())
                        .await
                        .expect("sent")
                }
            })
            .await;
            client.flush().await.expect("flushed");
        }),
        "redis-pubsub" | "redis-streams" => {
            let streams = system == "redis-streams";
            on_thread(async move {
                let client = redis::Client::open(url).expect("a URL");
                let connection = client
                    .get_multiplexed_async_connection()
                    .await
                    .expect("a connection");
                pace(|stamp| {
                    let mut connection = connection.clone();
                    async move {
                        if streams {
                            let () = redis::cmd("XADD")
                                .arg("bare")
                                .arg("*")
                                .arg("p")
                                .arg(payload(stamp))
                                .query_async(&mut connection)
                                .await
                                .expect("sent");
                        } else {
                            let () = connection
                                .publish("bare", payload(stamp))
                                .await
                                .expect("sent");
                        }
                    }
                })
                .await;
            });
        }
        _ => {
            let socket = zmq::Context::new().socket(zmq::PUSH).expect("a socket");
            socket.connect(&url).expect("connected");
            let _ = nix::sys::prctl::set_timerslack(1);
            let start = Monotonic.now() + 20_000_000;
            for message in 0..WARMUP + SECONDS * RATE {
                let due = start + message * 1_000_000_000 / RATE;
                let now = Monotonic.now();
                thread::sleep(Duration::from_nanos(due.saturating_sub(now + 60_000)));
                while Monotonic.now() < due {
                    std::hint::spin_loop();
                }
                socket.send(payload(due), 0).expect("sent");
            }
        }
    }
}

/// Messages of the throughput comparison, and how many may be under way.
const MESSAGES: u64 = 4_000_000;
const WINDOW: u64 = 32_768;

/// The client of NATS in a plain loop against mqbench: 100 bytes, one publisher, one consumer, the same
/// window on received messages.
fn throughput(rounds: usize) {
    let server = Server::start("nats");
    let (mut bare, mut measured) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(bare_throughput(&server.url));
        measured.push(mqbench_throughput(&server.url));
    }
    let (bare, measured) = (median(&mut bare), median(&mut measured));
    println!(
        "nats, 100 B: bare {bare:.0}/s, mqbench {measured:.0}/s, ratio {:.3}",
        measured / bare
    );
}

fn bare_throughput(url: &str) -> f64 {
    let received = Arc::new(AtomicU64::new(0));
    let (tell, ready) = mpsc::channel();
    let (count, address) = (Arc::clone(&received), url.to_owned());
    let consumer = thread::spawn(move || {
        on_thread(async move {
            let options = async_nats::ConnectOptions::new().subscription_capacity(524_288);
            let client = options.connect(&address).await.expect("a connection");
            let mut messages = client.subscribe("bare").await.expect("a subscription");
            client.flush().await.expect("written");
            tell.send(()).expect("heard");
            for number in 1..=MESSAGES {
                messages.next().await.expect("a message");
                if number % 1024 == 0 || number == MESSAGES {
                    count.store(number, Ordering::Release);
                }
            }
        });
    });
    ready.recv().expect("the consumer is ready");
    // The subscription is written, not confirmed; nothing is lost by sending a little later.
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    let address = url.to_owned();
    let publisher = thread::spawn(move || {
        on_thread(async move {
            let client = async_nats::connect(&address).await.expect("a connection");
            let body = bytes::Bytes::from(vec![0; 100]);
            for number in 0..MESSAGES {
                while number - received.load(Ordering::Acquire) >= WINDOW {
                    tokio::task::yield_now().await;
                }
                client.publish("bare", body.clone()).await.expect("sent");
            }
            client.flush().await.expect("written");
        });
    });
    publisher.join().expect("the publisher ends");
    consumer.join().expect("the consumer ends");
    MESSAGES as f64 / start.elapsed().as_secs_f64()
}

fn mqbench_throughput(url: &str) -> f64 {
    let text = format!(
        "name: bare\nbrokers:\n  nats: {{url: \"{url}\"}}\nworkload: {{message: {{size: 100B, payload: zeros}}, \
         load: max, in_flight: {WINDOW}}}\nphases: {{warmup: 500ms, measure: 3s, drain: 5s}}\n\
         trials: 1\ndisturbed: {{repeats: 0}}\n"
    );
    mqbench(&text, "received_per_s")
}
