//! Servers of the tests: each on a port of its own, ended by its process.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[path = "../installed/mod.rs"]
mod installed;
#[allow(unused_imports, reason = "each test file uses its part")]
pub use installed::{program_of, skipped};

/// A server that ends with the test.
pub struct Server {
    command: Command,
    child: Child,
    pub port: u16,
    scheme: &'static str,
    _folder: TempDir,
}

impl Server {
    /// `None`, and a line that says so, where the machine has no such server; on CI that is a failure.
    pub fn nats(arguments: &[&str]) -> Option<Server> {
        start("nats", |command, port, _| {
            command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
            command.args(arguments);
        })
    }

    pub fn redis(arguments: &[&str]) -> Option<Server> {
        start("redis", |command, port, folder| {
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--save", "", "--dir", folder]);
            command.args(arguments);
        })
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was, with nothing of what it had in memory.
    pub fn start_again(&mut self) {
        self.kill();
        self.child = self.command.spawn().expect("started");
        await_answer(self.port);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn start(scheme: &'static str, configure: impl FnOnce(&mut Command, u16, &str)) -> Option<Server> {
    let binary = program_of(scheme)?;
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut command = Command::new(binary);
    configure(&mut command, port, &folder.path().to_string_lossy());
    command.current_dir(folder.path());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server {
        child: command.spawn().expect("started"),
        command,
        port,
        scheme,
        _folder: folder,
    };
    await_answer(port);
    Some(server)
}

fn await_answer(port: u16) {
    let limit = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < limit, "the server answers");
        thread::sleep(Duration::from_millis(10));
    }
}
