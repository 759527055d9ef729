//! A container engine for one test alone, in namespaces of its own: its containers, mounts, bridge and
//! processes are seen by nobody else, ports that are taken here are free there, and the kernel removes all
//! of it when the test ends, however it ends.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::program::{has, wait_for};

/// Tells the test that runs within the namespaces where its engine may work.
const WITHIN: &str = "MQBENCH_TEST_ENGINE";
/// The longest that a test may take: what still hangs then is ended with its namespaces.
const LIMIT: &str = "300";
/// How long an engine may take to answer.
const START: Duration = Duration::from_secs(60);

/// An engine that runs.
pub struct Engine {
    daemon: Child,
    folder: PathBuf,
}

/// An engine for the test of this name, which is run again in namespaces of its own for that. `None`
/// where that one has run, and where it cannot, which is said.
#[track_caller]
pub fn engine_for(test: &str) -> Option<Engine> {
    if let Some(folder) = std::env::var_os(WITHIN) {
        return match Engine::start(PathBuf::from(folder)) {
            Ok(engine) => Some(engine),
            Err(why) => {
                skip(test, &why);
                None
            }
        };
    }
    if let Some(why) = hindrance() {
        skip(test, &why);
        return None;
    }
    if !["nats", "redis", "mosquitto"].into_iter().all(has) {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new("timeout")
        .args([
            "--kill-after=5",
            LIMIT,
            "unshare",
            "--mount",
            "--net",
            "--pid",
        ])
        .args(["--fork", "--kill-child", "--mount-proc"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(WITHIN, folder.path())
        .envs(variables(folder.path()))
        .stdin(Stdio::null())
        // What it skips is said aloud; all else is told where it fails, as the sums of its runner are no
        // part of the sums of this one.
        .stderr(Stdio::inherit())
        .output()
        .expect("namespaces");
    remove_groups(folder.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{test}: {}\n{said}", output.status);
    None
}

/// Why no engine can be started here, if none can.
fn hindrance() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root may start a container engine".to_owned());
    }
    let lacks = |program: &str| {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .stdout(Stdio::null())
            .status();
        !found.is_ok_and(|status| status.success())
    };
    let needed = ["dockerd", "docker", "unshare", "mount", "ip", "tar", "ldd"];
    let missing: Vec<&str> = needed
        .into_iter()
        .filter(|program| lacks(program))
        .collect();
    (!missing.is_empty()).then(|| format!("there is no {}", missing.join(", ")))
}

/// Says aloud that a test does not run, past the runner, which keeps to itself what good tests print. Also
/// on CI: not every machine of it lets a container engine run.
pub fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: no container engine can run here: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

impl Engine {
    fn start(folder: PathBuf) -> Result<Engine, String> {
        // An engine leaves a folder in /run, wherever else it is told to work.
        for preparation in ["ip link set lo up", "mount -t tmpfs none /run"] {
            let words: Vec<&str> = preparation.split(' ').collect();
            let done = Command::new(words[0]).args(&words[1..]).output();
            let done = done.map_err(|error| error.to_string())?;
            if !done.status.success() {
                return Err(String::from_utf8_lossy(&done.stderr).into_owned());
            }
        }
        let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
        let at = |name: &str| folder.join(name).display().to_string();
        // Ports of the loopback interface need no rules of a firewall, and whether the kernel forwards
        // packets is not for a test to change.
        let daemon = Command::new("dockerd")
            .args([
                "--storage-driver=vfs",
                "--exec-opt=native.cgroupdriver=cgroupfs",
            ])
            .args(["--iptables=false", "--ip6tables=false"])
            .args(["--ip-forward=false", "--ip-masq=false"])
            .arg(format!("--cgroup-parent=/{}", group(&folder)))
            .arg(format!("--data-root={}", at("data")))
            .arg(format!("--exec-root={}", at("exec")))
            .arg(format!("--pidfile={}", at("pid")))
            .arg(format!("--host={}", socket(&folder)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut engine = Engine { daemon, folder };
        let mut answers = false;
        wait_for(START, || {
            answers = engine.docker(&["version"]).status.success();
            answers || !matches!(engine.daemon.try_wait(), Ok(None))
        });
        if answers {
            return Ok(engine);
        }
        let log = fs::read_to_string(engine.folder.join("log")).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(3).collect();
        Err(format!("dockerd does not answer: {}", end.join(" / ")))
    }

    /// Variables by which programs find this engine and no other.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        variables(&self.folder)
    }

    fn docker(&self, args: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(args).envs(self.variables());
        command.output().expect("docker")
    }

    /// Has it do something and gives what it prints.
    #[track_caller]
    pub fn ask(&self, args: &[&str]) -> String {
        let output = self.docker(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Names of all its containers, running or not.
    #[track_caller]
    pub fn containers(&self) -> Vec<String> {
        let names = self.ask(&["ps", "--all", "--format={{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }

    /// Makes an image from programs of this machine and the libraries that they need, and from folders.
    #[track_caller]
    pub fn image(&self, name: &str, programs: &[(&Path, &str)]) {
        let root = tempfile::tempdir_in(&self.folder).expect("a folder");
        let copy = |from: &Path, to: &str| {
            let to = root.path().join(to.trim_start_matches('/'));
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            if from.is_dir() {
                let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
                assert!(copied.expect("cp").success(), "{}", from.display());
            } else {
                fs::copy(from, to).expect("copied");
            }
        };
        for (program, place) in programs {
            copy(program, place);
            // One that is linked statically has none, which is an error of ldd's.
            let libraries = Command::new("ldd").arg(program).output().expect("ldd");
            let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
            for library in libraries
                .split_whitespace()
                .filter(|word| word.starts_with('/'))
            {
                copy(Path::new(library), library);
            }
        }
        let mut tar = Command::new("tar")
            .arg("--create")
            .arg("--directory")
            .arg(root.path())
            .arg(".")
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar");
        let imported = Command::new("docker")
            .args(["import", "-", name])
            .envs(self.variables())
            .stdin(tar.stdout.take().expect("its output"))
            .output()
            .expect("docker");
        assert!(tar.wait().expect("tar").success());
        let said = String::from_utf8_lossy(&imported.stderr);
        assert!(imported.status.success(), "{name}: {said}");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It ends its containers first; what does not end goes with the namespaces.
        let pid = nix::unistd::Pid::from_raw(self.daemon.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let daemon = &mut self.daemon;
        if !wait_for(START, || !matches!(daemon.try_wait(), Ok(None))) {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// Variables by which programs find the engine of this folder, and nothing that the user has set up for
/// another one.
fn variables(folder: &Path) -> [(&'static str, String); 2] {
    let config = folder.join("config").display().to_string();
    [("DOCKER_HOST", socket(folder)), ("DOCKER_CONFIG", config)]
}

fn socket(folder: &Path) -> String {
    format!("unix://{}/socket", folder.display())
}

/// The control group of its containers.
fn group(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    format!("mqbench-test{}", name.display())
}

/// Removes the control groups of an engine that has ended: no namespace takes these along.
fn remove_groups(folder: &Path) {
    let root = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_dir(root).into_iter().flatten().flatten();
    let places = controllers.map(|controller| controller.path());
    for place in places.chain([root.to_owned()]) {
        remove_group(&place.join(group(folder)));
    }
}

fn remove_group(place: &Path) {
    let within = fs::read_dir(place).into_iter().flatten().flatten();
    let groups = within.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.for_each(|group| remove_group(&group.path()));
    // One that is not there, or is still being left, is no fault of what is tested.
    let _ = fs::remove_dir(place);
}
