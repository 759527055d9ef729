//! Ends what a run started, when the run ends for whatever reason, `kill -9` included.
//!
//! The reaper is a process of its own that reads notes from a pipe. Only the run holds the other end, and
//! the kernel closes that when the run dies, however it dies; so the end of the pipe is the one sign that
//! cannot be missed. The reaper is in a session of its own and deaf to the signals that end a run, and it
//! ends by itself when its work is done.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use serde::{Deserialize, Serialize};

use super::child::{Waiting, this_program};
use crate::servers::group::{Group, end_all, random_id, wait_until};
use crate::servers::{Container, Keeper, Launch, Place, remove_folder, remove_group};
use crate::terminal::stderr::say_line;

/// The hidden command that is the reaper.
pub const REAPER: &str = "__reaper";

/// How long groups have to end when asked to, before they are killed. Their data goes anyway.
const GRACE: Duration = Duration::from_secs(3);
/// How long a folder may resist: a killed process may have had a write under way.
const REMOVAL: Duration = Duration::from_secs(5);
/// How long an engine may take to make a container: it may copy the whole image.
const MAKING: Duration = Duration::from_secs(60);
/// What the reaper says when it is ready.
const READY: u8 = b'!';

/// What a run tells its reaper, one per line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Note {
    /// End this in the end.
    End(Group),
    /// Remove this container in the end, once the process that makes it has ended.
    RemoveContainer(Container, Group),
    /// Continue this in the end: it was there before, and may be suspended.
    Wake(Group),
    /// Remove this in the end. Bytes, because a path need not be text.
    Remove(Vec<u8>),
    /// Remove this control group in the end.
    RemoveControlGroup(Vec<u8>),
    /// Forget this group.
    Release(Group),
    /// Forget this container.
    ReleaseContainer(Container),
    /// Forget this folder.
    ReleaseFolder(Vec<u8>),
    /// Forget this control group.
    ReleaseControlGroup(Vec<u8>),
}

/// The run's side: starts the reaper, and tells it. When this is dropped, the reaper does what is left to
/// do and ends.
pub struct Reaper {
    program: PathBuf,
    process: Child,
    /// Locked for each note, so that notes do not mix. It is closed on exec, as all that the standard
    /// library opens: no server can hold it open beyond the run.
    notes: Mutex<Option<ChildStdin>>,
}

impl Reaper {
    /// Starts it, and waits until it is ready.
    pub fn start() -> io::Result<Reaper> {
        Reaper::start_from(this_program())
    }

    /// Starts it from a given file of this program, for processes that are another one.
    pub fn start_from(program: PathBuf) -> io::Result<Reaper> {
        let mut process = Command::new(&program)
            .arg(REAPER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let notes = process.stdin.take();
        let mut reaper = Reaper {
            program,
            process,
            notes: Mutex::new(notes),
        };
        // Before it is deaf to Ctrl-C it must not be relied on.
        let mut ready = [0];
        let said = reaper
            .process
            .stdout
            .take()
            .ok_or(io::ErrorKind::BrokenPipe)?;
        File::from(std::os::fd::OwnedFd::from(said)).read_exact(&mut ready)?;
        Ok(reaper)
    }

    /// Number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still listens; if not, nothing more can be given into its care.
    pub fn lives(&self) -> bool {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.as_ref().is_some_and(|notes| {
            // Of a pipe that nobody reads any more this is all that is ever said.
            let mut asked = [PollFd::new(notes.as_fd(), PollFlags::empty())];
            let said = poll(&mut asked, PollTimeout::ZERO);
            said.is_ok() && asked[0].revents().is_some_and(|events| events.is_empty())
        })
    }

    /// A command that runs this program with a hidden command, in a process group of its own so that
    /// Ctrl-C does not reach it. It must do nothing that lasts until it has read from a pipe of the caller's,
    /// and end where that closes; the caller writes to it after [`Reaper::adopt`].
    pub fn command(&self, hidden: &str) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.program);
        command.arg(hidden).process_group(0);
        command
    }

    /// Sees to it that a process which was just started does not outlive the run.
    pub fn adopt(&self, pid: u32) -> io::Result<Group> {
        let group = Group::of(pid, "")?;
        self.tell(&Note::End(group.clone()))?;
        Ok(group)
    }

    fn tell(&self, note: &Note) -> io::Result<()> {
        let mut line = serde_json::to_vec(note)?;
        line.push(b'\n');
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = notes.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        notes.write_all(&line).map_err(|error| {
            let what = format!("the process that ends servers with the run is gone ({error})");
            io::Error::new(error.kind(), what)
        })
    }
}

impl Reaper {
    /// Starts a process once the reaper has the note about it, and it is at its place.
    fn launch(
        &self,
        launch: &Launch,
        folder: &Path,
        log: File,
        place: &Place,
        note: impl FnOnce(Group) -> Note,
    ) -> io::Result<(Child, Group)> {
        let mark = random_id()?;
        let waiting = Waiting::start(&self.program, launch, &mark, folder, log)?;
        let told = Group::of(waiting.id(), &mark).and_then(|group| {
            self.tell(&note(group.clone()))?;
            place.put(waiting.id())?;
            Ok(group)
        });
        match told {
            Ok(group) => Ok((waiting.go()?, group)),
            Err(error) => {
                waiting.forget();
                Err(error)
            }
        }
    }
}

impl Keeper for Reaper {
    fn spawn(
        &self,
        launch: &Launch,
        folder: &Path,
        log: File,
        place: &Place,
    ) -> io::Result<(Child, Group)> {
        self.launch(launch, folder, log, place, Note::End)
    }

    fn make(
        &self,
        container: &Container,
        launch: &Launch,
        folder: &Path,
        log: File,
    ) -> io::Result<Child> {
        let note = |maker| Note::RemoveContainer(container.clone(), maker);
        let (child, _) = self.launch(launch, folder, log, &Place::default(), note)?;
        Ok(child)
    }

    fn folder(&self, folder: &Path) -> io::Result<()> {
        self.tell(&Note::Remove(bytes_of(folder)))
    }

    fn control_group(&self, folder: &Path) -> io::Result<()> {
        self.tell(&Note::RemoveControlGroup(bytes_of(folder)))
    }

    fn borrow(&self, group: &Group) -> io::Result<()> {
        self.tell(&Note::Wake(group.clone()))
    }

    fn release(&self, group: &Group) {
        // A reaper that is gone has nothing to release.
        let _ = self.tell(&Note::Release(group.clone()));
    }

    fn release_container(&self, container: &Container) {
        let _ = self.tell(&Note::ReleaseContainer(container.clone()));
    }

    fn release_folder(&self, folder: &Path) {
        let _ = self.tell(&Note::ReleaseFolder(bytes_of(folder)));
    }

    fn release_control_group(&self, folder: &Path) {
        let _ = self.tell(&Note::ReleaseControlGroup(bytes_of(folder)));
    }
}

fn bytes_of(folder: &Path) -> Vec<u8> {
    folder.as_os_str().as_bytes().to_vec()
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let _ = self.process.wait();
    }
}

/// What is to be done in the end.
#[derive(Debug, Default)]
struct Duties {
    end: Vec<Group>,
    wake: Vec<Group>,
    containers: Vec<(Container, Group)>,
    remove: Vec<Vec<u8>>,
    control_groups: Vec<Vec<u8>>,
}

impl Duties {
    fn note(&mut self, note: Note) {
        match note {
            Note::End(group) => self.end.push(group),
            Note::Wake(group) => self.wake.push(group),
            Note::Remove(folder) => self.remove.push(folder),
            Note::RemoveControlGroup(folder) => self.control_groups.push(folder),
            Note::ReleaseControlGroup(folder) => {
                self.control_groups.retain(|other| *other != folder);
            }
            Note::RemoveContainer(container, maker) => self.containers.push((container, maker)),
            Note::ReleaseContainer(container) => {
                self.containers.retain(|(other, _)| *other != container);
            }
            Note::Release(group) => {
                self.end.retain(|other| *other != group);
                self.wake.retain(|other| *other != group);
            }
            Note::ReleaseFolder(folder) => self.remove.retain(|other| *other != folder),
        }
    }

    /// Does them; gives what could not be done.
    fn perform(&self) -> Vec<String> {
        self.wake.iter().for_each(Group::resume);
        // Before the processes: what is attached to a container ends with it.
        let mut failed = self.remove_containers();
        let remaining = end_all(&self.end, GRACE);
        if !remaining.is_empty() {
            failed.push(format!("processes {remaining:?} could not be ended"));
        }
        let groups = self
            .control_groups
            .iter()
            .map(|it| removed(it, remove_group));
        let folders = self.remove.iter().map(|it| removed(it, remove_folder));
        failed.extend(groups.chain(folders).filter_map(Result::err));
        failed
    }
}

/// Removes something in the end, which may take a moment.
fn removed(folder: &[u8], remove: fn(&Path) -> io::Result<()>) -> Result<(), String> {
    let folder = Path::new(OsStr::from_bytes(folder));
    let mut outcome = Ok(());
    wait_until(REMOVAL, || {
        outcome = remove(folder);
        outcome.is_ok()
    });
    outcome.map_err(|error| format!("{} could not be removed: {error}", folder.display()))
}

impl Duties {
    /// Removes all containers at once; gives what could not be done.
    fn remove_containers(&self) -> Vec<String> {
        let remove = |(container, maker): &(Container, Group)| {
            // An engine goes on with what it was asked for when the one who asked is killed.
            wait_until(MAKING, || !maker.lives());
            container.remove().err().map(|why| {
                format!(
                    "the container {} could not be removed: {why}",
                    container.name
                )
            })
        };
        thread::scope(|scope| {
            let removals: Vec<_> = self
                .containers
                .iter()
                .map(|both| scope.spawn(move || remove(both)))
                .collect();
            let outcomes = removals
                .into_iter()
                .map(|removal| removal.join().ok().flatten());
            outcomes.flatten().collect()
        })
    }
}

/// `__reaper`: the reaper's side. Returns its exit code.
pub fn main() -> i32 {
    // Fails only for the leader of a process group, which has a session or group of its own already.
    let _ = nix::unistd::setsid();
    // It is started by way of a link named `exe`, which says nothing in a list of processes.
    let _ = nix::sys::prctl::set_name(c"mqbench-reaper");
    // Blocked signals stay pending until the process ends, which is as good as ignored.
    let mut deaf = SigSet::empty();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
    ] {
        deaf.add(signal);
    }
    let ready = deaf.thread_block().map_err(io::Error::from).and_then(|()| {
        let mut output = io::stdout();
        output.write_all(&[READY])?;
        output.flush()
    });
    if let Err(error) = ready {
        say_line(format_args!("mqbench: cannot watch over servers: {error}"));
        return 1;
    }
    let duties = listen(io::stdin().lock());
    let failed = duties.perform();
    for what in &failed {
        say_line(format_args!("mqbench: {what}"));
    }
    i32::from(!failed.is_empty())
}

/// Reads notes until there are no more.
fn listen(notes: impl Read) -> Duties {
    let mut duties = Duties::default();
    for line in BufReader::new(notes).split(b'\n').map_while(Result::ok) {
        // Only the last line can be cut: the run died while it wrote it, so what it tells of was not
        // started.
        if let Ok(note) = serde_json::from_slice(&line) {
            duties.note(note);
        }
    }
    duties
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Engine;

    fn group(pid: i32) -> Group {
        Group {
            pid,
            start: 7,
            mark: "m".into(),
        }
    }

    fn container(name: &str) -> Container {
        let program = "/usr/bin/docker".into();
        Container {
            engine: Engine {
                program,
                version: "28.2.2".into(),
                user: Vec::new(),
            },
            name: name.into(),
        }
    }

    #[test]
    fn what_is_released_is_no_duty_any_more() {
        let notes = [
            Note::End(group(1)),
            Note::Wake(group(2)),
            Note::End(group(3)),
            Note::Remove(b"/tmp/mqbench-\xff\n1".to_vec()),
            Note::Remove(b"/tmp/mqbench-2".to_vec()),
            Note::RemoveContainer(container("mqbench-1-a"), group(4)),
            Note::RemoveContainer(container("mqbench-1-b"), group(5)),
            Note::ReleaseContainer(container("mqbench-1-a")),
            Note::Release(group(1)),
            Note::Release(group(2)),
            Note::ReleaseFolder(b"/tmp/mqbench-2".to_vec()),
            Note::RemoveControlGroup(b"/cgroup/mqbench-1".to_vec()),
            Note::RemoveControlGroup(b"/cgroup/mqbench-2".to_vec()),
            Note::ReleaseControlGroup(b"/cgroup/mqbench-2".to_vec()),
        ];
        let mut text = Vec::new();
        for note in &notes {
            text.extend(serde_json::to_vec(note).unwrap());
            text.push(b'\n');
        }
        text.extend(b"{\"End\":{\"pid\":9");
        let duties = listen(text.as_slice());
        assert_eq!(duties.end, [group(3)]);
        assert!(duties.wake.is_empty());
        assert_eq!(duties.containers, [(container("mqbench-1-b"), group(5))]);
        assert_eq!(duties.control_groups, [b"/cgroup/mqbench-1".to_vec()]);
        assert_eq!(duties.remove, [b"/tmp/mqbench-\xff\n1".to_vec()]);
    }
}
