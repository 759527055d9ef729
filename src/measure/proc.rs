//! What the kernel says about processes and processors, read from `/proc`.
//!
//! Each parser takes the text, so that it is tested on text; each reader returns nothing for a process
//! that has just gone, because that is no error: processes end.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// One line of `/proc/<pid>/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Name of its program, cut at 15 bytes by the kernel.
    pub name: String,
    /// `R`, `S`, `D`, `T` (stopped), `Z` (ended, not waited for)…
    pub state: char,
    /// Who started it, or who inherited it.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
    /// CPU time of all its threads, the ended ones included.
    pub cpu_ticks: u64,
    /// CPU time of its children that ended and were waited for, and of theirs.
    pub waited_ticks: u64,
    /// When it started, in ticks since the machine did: with the number, this names a process for good.
    pub start: u64,
}

impl Process {
    /// Whether it can still do something.
    pub fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// The flag of kernel threads (`PF_KTHREAD`) in `/proc/<pid>/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Parses `/proc/<pid>/stat`.
pub fn parse_process(stat: &str) -> Option<Process> {
    // The name may hold spaces and parentheses: it ends at the last one.
    let (head, tail) = stat.rsplit_once(')')?;
    let (pid, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
    let ticks = |at: usize| number(at).map(|n| n.max(0) as u64);
    Some(Process {
        pid: pid.trim().parse().ok()?,
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: number(1)? as i32,
        group: number(2)? as i32,
        session: number(3)? as i32,
        kernel: ticks(6)? & KERNEL_THREAD != 0,
        cpu_ticks: ticks(11)? + ticks(12)?,
        waited_ticks: ticks(13)? + ticks(14)?,
        start: ticks(19)?,
    })
}

/// Reads one process.
pub fn process(pid: i32) -> Option<Process> {
    parse_process(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads every process that this one can see.
pub fn processes() -> Vec<Process> {
    numbers(Path::new("/proc"))
        .into_iter()
        .filter_map(process)
        .collect()
}

/// The processes that belong to `leaders`: those in a group or session that one of them leads, and
/// everything that descends from them.
pub fn family(all: &[Process], leaders: &[i32]) -> HashSet<i32> {
    let mut found: HashSet<i32> = all
        .iter()
        .filter(|p| {
            [p.pid, p.group, p.session]
                .iter()
                .any(|id| leaders.contains(id))
        })
        .map(|p| p.pid)
        .collect();
    loop {
        let before = found.len();
        for process in all {
            if found.contains(&process.parent) {
                found.insert(process.pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The states of all threads of a process.
pub fn thread_states(pid: i32) -> Vec<char> {
    numbers(Path::new(&format!("/proc/{pid}/task")))
        .into_iter()
        .filter_map(|tid| fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok())
        .filter_map(|stat| Some(parse_process(&stat)?.state))
        .collect()
}

/// CPU time of a process and of all its threads, the ended ones included, to the nanosecond
/// (`/proc/<pid>/stat` only has ticks of 10 ms).
pub fn cpu_time(pid: i32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
    Some(Duration::from(clock.now().ok()?))
}

/// Name and CPU nanoseconds of each thread of this process, with its number.
pub fn own_threads() -> Vec<(i32, String, u64)> {
    numbers(Path::new("/proc/self/task"))
        .into_iter()
        .filter_map(|tid| {
            let read = |file: &str| fs::read_to_string(format!("/proc/self/task/{tid}/{file}"));
            let ran = parse_run_time(&read("schedstat").ok()?)?;
            Some((tid, read("comm").ok()?.trim_end().to_owned(), ran))
        })
        .collect()
}

/// Parses the first field of a `schedstat` file: nanoseconds on a processor.
pub fn parse_run_time(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// Time of all processors together, in ticks, since the machine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Spent in processes and in kernel threads: user, nice and system.
    pub busy: u64,
    /// Spent in interrupts, hard and soft.
    pub interrupts: u64,
    /// Taken by the hypervisor for others.
    pub steal: u64,
    /// Unused: idle, and idle with input or output under way.
    pub idle: u64,
    /// Number of processors.
    pub cores: u32,
}

impl Totals {
    /// What was added since `earlier`.
    pub fn since(&self, earlier: &Totals) -> Totals {
        Totals {
            busy: self.busy.saturating_sub(earlier.busy),
            interrupts: self.interrupts.saturating_sub(earlier.interrupts),
            steal: self.steal.saturating_sub(earlier.steal),
            // The kernel's documentation says that time waiting for input or output may decrease.
            idle: self.idle.saturating_sub(earlier.idle),
            cores: self.cores,
        }
    }
}

/// Parses `/proc/stat`.
pub fn parse_totals(stat: &str) -> Option<Totals> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    // Guest time, which would follow, is part of user time already.
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = fields[..] else {
        return None;
    };
    let cores = stat
        .lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
        .count();
    Some(Totals {
        busy: user + nice + system,
        interrupts: irq + softirq,
        steal,
        idle: idle + iowait,
        cores: cores.max(1) as u32,
    })
}

/// Reads the totals; all zero where `/proc/stat` cannot be read.
pub fn totals() -> Totals {
    fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|stat| parse_totals(&stat))
        .unwrap_or_default()
}

/// Memory of a process in RAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Now, in bytes.
    pub resident: u64,
    /// The most since it started or since [`reset_peak`].
    pub peak: u64,
}

/// Parses `/proc/<pid>/status`; nothing for a kernel thread or a process that has ended.
pub fn parse_memory(status: &str) -> Option<Memory> {
    let kibibytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Memory {
        resident: kibibytes("VmRSS:")? * 1024,
        peak: kibibytes("VmHWM:")? * 1024,
    })
}

/// Reads the memory of a process.
pub fn memory(pid: i32) -> Option<Memory> {
    parse_memory(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Makes the peak of a process start again from what it holds now, so that a server which several
/// trials share is not charged with the peak of an earlier one. Where that is not permitted, the peak
/// remains that of its life.
pub fn reset_peak(pid: i32) {
    // 5 is the documented value for "reset the peak resident set size".
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Memory of the machine in bytes; `None` where it is not told.
pub fn machine_memory() -> Option<u64> {
    parse_memory_total(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// `MemTotal` of `/proc/meminfo` in bytes.
pub fn parse_memory_total(meminfo: &str) -> Option<u64> {
    let rest = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(rest.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Parses `/proc/<pid>/io`: bytes that it caused to be written to storage.
pub fn parse_written(io: &str) -> Option<u64> {
    io.lines()
        .find_map(|line| line.strip_prefix("write_bytes:"))?
        .trim()
        .parse()
        .ok()
}

/// Reads the bytes that a process caused to be written to storage.
pub fn written(pid: i32) -> Option<u64> {
    parse_written(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

/// Bytes that the files below a folder occupy on disk (a sparse or preallocated file counts with its
/// blocks, not with its length). Files that go while it looks are left out.
pub fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, facts)| match facts.is_dir() {
            true => disk_bytes(&path),
            false => facts.blocks() * 512,
        })
        .sum()
}

/// Ticks per second of the figures in `/proc`.
pub fn ticks_per_second() -> f64 {
    match sysconf(SysconfVar::CLK_TCK) {
        Ok(Some(ticks)) if ticks > 0 => ticks as f64,
        _ => 100.0,
    }
}

/// The entries of a folder whose names are numbers.
fn numbers(folder: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_although_its_name_holds_parentheses_and_spaces() {
        let stat = "4242 (tmux: (server) x) S 1 4200 4100 0 -1 4194304 100 7 0 0 250 50 30 20 20 0 9 0 \
                    120369 3133440 380 18446744073709551615 1 2";
        let process = parse_process(stat).unwrap();
        assert_eq!(
            process,
            Process {
                pid: 4242,
                name: "tmux: (server) x".into(),
                state: 'S',
                parent: 1,
                group: 4200,
                session: 4100,
                kernel: false,
                cpu_ticks: 300,
                waited_ticks: 50,
                start: 120_369,
            }
        );
        assert!(process.lives());
        assert_eq!(parse_process("4242 (gone"), None);
        assert_eq!(parse_process("4242 (cut) S 1 2"), None);
    }

    #[test]
    fn a_kernel_thread_is_told_by_its_flag() {
        let stat = "13 (ksoftirqd/0) S 2 0 0 0 -1 69238848 0 0 0 0 0 57 0 0 20 0 1 0 11 0 0 0";
        assert!(parse_process(stat).unwrap().kernel);
    }

    #[test]
    fn totals_keep_interrupts_and_steal_apart_and_count_cores() {
        let stat = "cpu  100 1 20 500 5 3 4 66 9 9\ncpu0 50 1 10 250 5 3 4 33 0 0\n\
                    cpu1 50 0 10 250 0 0 0 33 0 0\nintr 1 2 3\nctxt 7\n";
        let totals = parse_totals(stat).unwrap();
        let expected = Totals {
            busy: 121,
            interrupts: 7,
            steal: 66,
            idle: 505,
            cores: 2,
        };
        assert_eq!(totals, expected);
        assert_eq!(parse_totals("cpu  1 2 3\n"), None);
    }

    #[test]
    fn totals_never_run_backwards() {
        let earlier = parse_totals("cpu  10 0 0 100 0 1 0 0\n").unwrap();
        let later = parse_totals("cpu  15 0 0 99 0 1 0 0\n").unwrap();
        assert_eq!(later.since(&earlier).idle, 0);
        assert_eq!(later.since(&earlier).busy, 5);
    }

    #[test]
    fn memory_and_written_bytes_are_found_among_other_lines() {
        let status =
            "Name:\tnats-server\nVmPeak:\t  999 kB\nVmHWM:\t   20480 kB\nVmRSS:\t   15360 kB\n";
        let memory = parse_memory(status).unwrap();
        assert_eq!(
            (memory.resident, memory.peak),
            (15_360 * 1024, 20_480 * 1024)
        );
        assert_eq!(parse_memory("Name:\tkthreadd\n"), None);
        let meminfo = "MemTotal:       2048 kB\nMemFree: 1 kB\n";
        assert_eq!(parse_memory_total(meminfo), Some(2048 * 1024));
        let io = "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n";
        assert_eq!(parse_written(io), Some(4096));
        assert_eq!(parse_run_time("1234567 44035 12\n"), Some(1_234_567));
    }

    #[test]
    fn a_family_is_the_group_the_session_and_all_descendants() {
        let process = |pid, parent, group, session| Process {
            pid,
            name: String::new(),
            state: 'S',
            parent,
            group,
            session,
            kernel: false,
            cpu_ticks: 0,
            waited_ticks: 0,
            start: 0,
        };
        let all = [
            process(1, 0, 1, 1),
            process(30, 20, 30, 30), // a grandchild in a session of its own
            process(10, 1, 10, 10),  // the leader
            process(11, 1, 10, 10),  // an orphan in its group
            process(12, 1, 12, 10),  // an orphan in its session
            process(20, 10, 20, 20),
            process(40, 1, 40, 40),
        ];
        let mut found: Vec<i32> = family(&all, &[10]).into_iter().collect();
        found.sort();
        assert_eq!(found, [10, 11, 12, 20, 30]);
    }

    #[test]
    fn this_very_process_can_be_read() {
        let pid = std::process::id() as i32;
        assert_eq!(process(pid).unwrap().pid, pid);
        assert!(processes().iter().any(|p| p.pid == pid));
        assert!(cpu_time(pid).is_some());
        assert!(memory(pid).unwrap().resident > 0);
        assert!(!own_threads().is_empty());
        assert!(totals().busy > 0);
    }
}
