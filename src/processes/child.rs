//! Starts programs such that none can outlive the run, not even one started in its last instant.
//!
//! Between starting a process and telling the reaper its number lies an instant in which a `kill -9` would
//! leave the process behind. Asking the kernel for a signal on the parent's death does not close it: that
//! is lost when the parent dies first, is not inherited by what the program starts, and needs code between
//! fork and exec. Instead this very program is started first, with the hidden command `__launch`: it waits
//! for a word on a pipe and becomes the wanted program only then. The word is given after the reaper has
//! its number; if the pipe closes without it, whoever would have said it is dead, and so it ends.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::servers::Launch;
use crate::servers::group::MARK;

/// The hidden command that waits and then becomes another program.
pub const LAUNCH: &str = "__launch";

/// The exit code of `__launch` when it could not become the program, as shells have it.
const NOT_STARTED: i32 = 127;

/// This very program, for starting more of it. The path of its file would not do: the file may have been
/// replaced by a new build since.
pub fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// A process that waits to become what it was started for.
pub struct Waiting {
    child: Child,
    word: ChildStdin,
}

impl Waiting {
    /// Starts it in `folder`, with its output in `log`. `program` is this program.
    pub fn start(
        program: &Path,
        launch: &Launch,
        mark: &str,
        folder: &Path,
        log: File,
    ) -> io::Result<Waiting> {
        let mut child = Command::new(program)
            .arg(LAUNCH)
            .arg(&launch.program)
            .args(&launch.args)
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .env(MARK, mark)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let word = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Waiting { child, word })
    }

    /// Its number, which stays the same.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it become the program.
    pub fn go(mut self) -> io::Result<Child> {
        self.word.write_all(b"!")?;
        Ok(self.child)
    }

    /// Lets it end.
    pub fn forget(self) {
        let Waiting { mut child, word } = self;
        drop(word);
        let _ = child.wait();
    }
}

/// `__launch PROGRAM ARGS…`: the waiting side. Returns the exit code if it could not become the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> i32 {
    let mut args = args.into_iter();
    let Some(program) = args.next() else {
        return NOT_STARTED;
    };
    // A session of its own: Ctrl-C and the end of the terminal reach everything in the session of the
    // shell, and a server must end in its own time, after its clients.
    if let Err(error) = nix::unistd::setsid() {
        return not_started(&program, &io::Error::from(error));
    }
    let mut word = [0];
    if io::stdin().read_exact(&mut word).is_err() {
        return NOT_STARTED;
    }
    // On success this does not return.
    let error = Command::new(&program)
        .args(args)
        .stdin(Stdio::null())
        .exec();
    not_started(&program, &error)
}

fn not_started(program: &OsStr, error: &io::Error) -> i32 {
    eprintln!("cannot run {}: {error}", program.display());
    NOT_STARTED
}
