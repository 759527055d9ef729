//! The processes of one thing that was started: a server, a worker.
//!
//! A group is named by the number of its leading process and by when that started, because numbers are
//! used again. To it belong the leader's process group and session and all that descends from it.
//! A process that left all of these (a daemon, such as Erlang's `epmd`) is still told by a mark in its
//! environment, which it inherited.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::measure::proc::{self, Process};

/// The variable whose value marks the processes of a group.
pub const MARK: &str = "MQBENCH_MARK";

/// How long what a leader started may take to follow it.
const FOLLOW: Duration = Duration::from_millis(500);
/// How long a killed process may take to be gone: it may be in the middle of a write to disk.
const KILL: Duration = Duration::from_secs(10);

/// The processes of one thing that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Number of the leading process, which is that of its process group and session.
    pub pid: i32,
    /// When it started, in ticks since the machine did.
    pub start: u64,
    /// What marks its processes; empty for none.
    pub mark: String,
}

impl Group {
    /// The group of a process that was just started and has not been waited for.
    pub fn of(pid: u32, mark: &str) -> io::Result<Group> {
        let pid = pid as i32;
        let process = proc::process(pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Group {
            pid,
            start: process.start,
            mark: mark.to_owned(),
        })
    }

    /// Whether its leading process lives.
    pub fn lives(&self) -> bool {
        proc::process(self.pid).is_some_and(|leader| leader.start == self.start && leader.lives())
    }

    /// Its living processes.
    pub fn members(&self) -> HashSet<i32> {
        self.among(&proc::processes())
    }

    fn among(&self, all: &[Process]) -> HashSet<i32> {
        let alive: HashSet<i32> = all.iter().filter(|p| p.lives()).map(|p| p.pid).collect();
        let leader = all.iter().find(|process| process.pid == self.pid);
        match leader {
            Some(leader) if leader.start == self.start => {
                let family = proc::family(all, &[self.pid]);
                family.intersection(&alive).copied().collect()
            }
            // The number is in use again, and so are the group and session of that number.
            Some(_) => HashSet::new(),
            // The kernel does not give away a number while a group or session has it, so what is left in
            // it is ours, unless all of ours had gone before and others took it and lost their leader
            // too: the mark rules that out.
            None => all
                .iter()
                .filter(|p| p.lives() && (p.group == self.pid || p.session == self.pid))
                .filter(|p| self.marks(p.pid))
                .map(|p| p.pid)
                .collect(),
        }
    }

    /// Its living processes with those that have left it.
    fn members_and_strays(&self, all: &[Process]) -> HashSet<i32> {
        let mut found = self.among(all);
        let others = all.iter().filter(|p| p.lives() && !p.kernel);
        found.extend(others.map(|p| p.pid).filter(|pid| self.marks(*pid)));
        found
    }

    /// Whether its leading process bears its mark, which others that only have its number do not.
    pub fn is_marked(&self) -> bool {
        self.marks(self.pid)
    }

    fn marks(&self, pid: i32) -> bool {
        if self.mark.is_empty() {
            return false;
        }
        let marked = format!("{MARK}={}", self.mark);
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|b| *b == 0).any(|v| v == marked.as_bytes()))
    }

    /// Stops all its processes and waits until every thread of them is. Gives the CPU time that they have
    /// used until then, or the processes that still run.
    pub fn suspend(&self, within: Duration) -> Result<Duration, Vec<i32>> {
        let mut running = Vec::new();
        let mut before = None;
        let stopped = wait_until(within, || {
            let members = self.members();
            running = members
                .iter()
                .copied()
                .filter(|pid| {
                    !proc::thread_states(*pid)
                        .iter()
                        .all(|state| STOPPED.contains(state))
                })
                .collect();
            for pid in &running {
                send(*pid, Signal::SIGSTOP);
            }
            // A thread is called stopped just before it leaves its processor: the last of its time is
            // counted when it has.
            let used = total(&members);
            running.is_empty() && before.replace(used) == Some(used)
        });
        match (stopped, before) {
            (true, Some(used)) => Ok(used),
            _ => Err(running),
        }
    }

    /// CPU time that its living processes have used.
    pub fn cpu_time(&self) -> Duration {
        total(&self.members())
    }

    /// Continues all its processes.
    pub fn resume(&self) {
        for pid in self.members() {
            send(pid, Signal::SIGCONT);
        }
    }

    /// Ends all its processes; gives those that remain.
    pub fn end(&self, grace: Duration) -> Vec<i32> {
        end_all(std::slice::from_ref(self), grace)
    }
}

/// States of a thread that uses no CPU until it is continued.
const STOPPED: [char; 5] = ['T', 't', 'Z', 'X', 'x'];

fn total(pids: &HashSet<i32>) -> Duration {
    pids.iter().filter_map(|pid| proc::cpu_time(*pid)).sum()
}

/// Ends several groups at once; gives the processes that remain.
///
/// Only the leaders are asked to end: they know in which order to end what they started (a RabbitMQ
/// whose port helper is ended from outside calls that a crash). What does not follow is killed.
pub fn end_all(groups: &[Group], grace: Duration) -> Vec<i32> {
    for group in groups.iter().filter(|group| group.lives()) {
        send(group.pid, Signal::SIGTERM);
        // A suspended process gets to see the request only when it runs.
        group.resume();
    }
    let mut remaining = Vec::new();
    let mut look = || {
        let all = proc::processes();
        let members = groups
            .iter()
            .flat_map(|group| group.members_and_strays(&all));
        remaining = members.collect();
        remaining.clone()
    };
    wait_until(grace, || groups.iter().all(|group| !group.lives()));
    if !wait_until(FOLLOW, || look().is_empty()) {
        wait_until(KILL, || {
            let remaining = look();
            // Again each time: one may have been started by another in between.
            remaining.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
            remaining.is_empty()
        });
    }
    remaining
}

/// Twelve random hexadecimal digits: names what nobody else may have.
pub fn random_id() -> io::Result<String> {
    let mut bytes = [0; 6];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Sends a signal; a process that has just gone is no error, and there is nothing to do about others.
fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Waits until `condition` holds, at most for `within`; whether it held.
pub fn wait_until(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_millis(1);
    loop {
        if condition() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str, mark: &str) -> (Child, Group) {
        let child = Command::new("sh")
            .args(["-c", script])
            .env(MARK, mark)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Group::of(child.id(), mark).unwrap();
        (child, group)
    }

    #[test]
    fn what_ignores_the_request_is_killed_after_the_grace() {
        let (mut child, group) = shell("trap '' TERM; sleep 1000 & wait; sleep 1000", "");
        assert!(wait_until(SOON, || group.members().len() == 2));
        assert!(group.end(Duration::from_millis(50)).is_empty());
        assert!(!child.wait().unwrap().success());
        assert!(group.members().is_empty());
    }

    #[test]
    fn a_process_that_left_the_group_is_found_by_its_mark() {
        let (mut child, group) = shell(
            "setsid -f sleep 1000; exec sleep 1000",
            "left-the-group-7d1f",
        );
        let all_there = || group.members_and_strays(&proc::processes()).len() == 2;
        assert!(wait_until(SOON, all_there));
        assert!(
            wait_until(SOON, || group.members().len() == 1),
            "it has left"
        );
        assert!(group.end(SOON).is_empty());
        child.wait().unwrap();
        assert!(group.members_and_strays(&proc::processes()).is_empty());
    }

    #[test]
    fn a_number_that_is_in_use_again_is_left_alone() {
        let (mut child, group) = shell("exec sleep 1000", "");
        let earlier = Group {
            start: group.start - 1,
            ..group.clone()
        };
        assert!(!earlier.lives());
        assert!(earlier.end(Duration::ZERO).is_empty());
        assert!(group.lives(), "the other process of that number still runs");
        group.end(SOON);
        child.wait().unwrap();
    }

    #[test]
    fn a_suspended_group_uses_no_cpu_and_can_be_ended() {
        let (mut child, group) = shell("while :; do :; done", "");
        assert!(wait_until(SOON, || group.cpu_time() > Duration::ZERO));
        let used = group.suspend(SOON).unwrap();
        // Long enough for a loop that runs to use some, were it running.
        assert!(!wait_until(Duration::from_millis(50), || group.cpu_time() != used));
        group.resume();
        assert!(wait_until(SOON, || group.cpu_time() > used));
        group.suspend(SOON).unwrap();
        assert!(group.end(SOON).is_empty());
        child.wait().unwrap();
    }
}
