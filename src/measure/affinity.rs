//! On which cores a thread may run: asked of the kernel, and set.
//!
//! What a thread starts inherits its cores: further threads, those of client libraries included, and programs.

use std::io;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::scenario::units::cores::Cores;

/// Lets a process that has one thread, or with 0 the calling thread, run on these cores alone.
///
/// # Errors
/// Where the kernel refuses, or gives less than that: cores that are not there are dropped silently by it.
pub fn pin(pid: i32, cores: &Cores) -> io::Result<()> {
    let mut wanted = CpuSet::new();
    for number in cores.numbers() {
        wanted.set(*number as usize)?;
    }
    sched_setaffinity(Pid::from_raw(pid), &wanted)?;
    let missing = cores.without(&allowed(pid)?);
    match missing.count() {
        0 => Ok(()),
        _ => Err(io::Error::other(format!(
            "the system does not give core {missing}"
        ))),
    }
}

/// The cores on which a process, or with 0 the calling thread, may run.
pub fn allowed(pid: i32) -> io::Result<Cores> {
    let set = sched_getaffinity(Pid::from_raw(pid))?;
    let is_in = |number: &u32| set.is_set(*number as usize).unwrap_or(false);
    let all = 0..CpuSet::count() as u32;
    Ok(Cores::of(all.filter(is_in)))
}

/// The cores that this process could have: all that are there and that the system lets it use, also where it was
/// started on fewer of them. `None` where that cannot be told.
pub fn usable() -> Option<Cores> {
    // The kernel knows, and cuts what it is asked for down to it; asked by a thread that ends with the answer.
    let ask = || -> io::Result<Cores> {
        let mut all = CpuSet::new();
        for number in 0..CpuSet::count() {
            all.set(number)?;
        }
        sched_setaffinity(Pid::from_raw(0), &all)?;
        allowed(0)
    };
    thread::spawn(ask).join().ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_what_it_starts_run_on_the_cores_that_it_was_given() {
        let one = Cores::of(usable().unwrap().numbers().last().copied());
        let given = one.clone();
        let seen = thread::spawn(move || {
            pin(0, &given).unwrap();
            let child = thread::spawn(|| allowed(0).unwrap()).join().unwrap();
            (allowed(0).unwrap(), child)
        });
        assert_eq!(seen.join().unwrap(), (one.clone(), one));
        assert!(allowed(0).unwrap().count() >= 1);
    }

    #[test]
    fn cores_that_are_not_there_are_an_error() {
        let (first, more) = (usable().unwrap(), Cores::of([1000]));
        let both = Cores::of(first.numbers().iter().copied().chain([1000]));
        for cores in [more, both] {
            let seen = thread::spawn(move || pin(0, &cores)).join().unwrap();
            assert!(seen.is_err());
        }
    }
}
