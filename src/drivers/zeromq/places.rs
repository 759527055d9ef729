//! The sockets of a trial: where they are bound, and how the other side finds them.

use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use zmq::{Context, Error, Socket, SocketType};

use crate::drivers::DriverError;
use crate::engine::shared::lock;
use crate::engine::task::Task;

/// How long a call waits before the loop looks whether the trial is over, milliseconds.
const PATIENCE: i32 = 50;

/// The longest path that a local socket can have, with its final zero.
const LONGEST_PATH: usize = 107;

/// Who a bound socket is for: a publisher's destination, or a consumer of a group.
pub(super) type Owner = (u32, u32);

/// A socket that waits for its owner, and where others find it.
pub(super) struct Bound {
    pub(super) owner: Owner,
    pub(super) endpoint: String,
    pub(super) socket: Option<Socket>,
}

/// How one side gets its socket: bound before, with so many subscribers to wait for, or connected.
pub(super) enum Way {
    Bound(Socket, usize),
    To(Vec<String>),
}

/// What all sockets of a trial share.
pub(super) struct Places {
    pub(super) task: Task,
    /// Each has a thread of its own for its transfers; in memory both sides must share one.
    pub(super) publishing: Context,
    pub(super) consuming: Context,
    pub(super) folder: Mutex<Option<TempDir>>,
    pub(super) high_water_mark: i32,
    linger: i32,
}

impl Places {
    pub(super) fn new(task: &Task) -> Result<Places, DriverError> {
        let publishing = Context::new();
        let (consuming, folder) = match task.text("transport") {
            Some("inproc") => (publishing.clone(), None),
            Some("ipc") => {
                let folder = tempfile::Builder::new().prefix("mqbench-").tempdir();
                let doing = DriverError::while_doing("make a folder for local sockets");
                (Context::new(), Some(folder.map_err(doing)?))
            }
            _ => (Context::new(), None),
        };
        let asked = task.count("high_water_mark").unwrap_or(1_000);
        // The reader of a pipe tells the writer how far it is only when it has read half of the mark, so
        // with twice the window or less XPUB would drop messages in every closed loop.
        let high_water_mark = asked.max(4 * u64::from(task.workload.in_flight));
        let linger = task.time("linger").unwrap_or(Duration::from_secs(1));
        Ok(Places {
            task: task.clone(),
            publishing,
            consuming,
            folder: Mutex::new(folder),
            high_water_mark: i32::try_from(high_water_mark).unwrap_or(i32::MAX),
            linger: i32::try_from(linger.as_millis()).unwrap_or(i32::MAX),
        })
    }

    /// A socket with everything set that all have in common.
    fn socket(&self, context: &Context, kind: SocketType) -> Result<Socket, Error> {
        let socket = context.socket(kind)?;
        socket.set_sndhwm(self.high_water_mark)?;
        socket.set_rcvhwm(self.high_water_mark)?;
        socket.set_linger(self.linger)?;
        socket.set_sndtimeo(PATIENCE)?;
        socket.set_rcvtimeo(PATIENCE)?;
        if kind == SocketType::XPUB {
            // Otherwise a second subscriber to the same thing would not be announced.
            socket.set_xpub_verbose(true)?;
        }
        Ok(socket)
    }

    /// Binds a socket where nobody else is.
    fn bind(
        &self,
        context: &Context,
        kind: SocketType,
        owner: Owner,
    ) -> Result<Bound, DriverError> {
        let wish = match self.task.text("transport") {
            Some("inproc") => format!("inproc://{}-{}", owner.0, owner.1),
            Some("ipc") => {
                let name = format!("{}-{}", owner.0, owner.1);
                let folder = lock(&self.folder);
                let path = folder.as_ref().map(|f| f.path().join(name));
                let path = path.unwrap_or_default().display().to_string();
                if path.len() > LONGEST_PATH {
                    return Err(DriverError {
                        doing: format!("bind a local socket at {path}"),
                        cause: format!(
                            "a path may have {LONGEST_PATH} characters; set TMPDIR to a shorter one"
                        ),
                    });
                }
                format!("ipc://{path}")
            }
            _ => "tcp://127.0.0.1:*".to_owned(),
        };
        let doing = || DriverError::while_doing(format!("bind a socket to {wish}"));
        let socket = self.socket(context, kind).map_err(doing())?;
        socket.bind(&wish).map_err(doing())?;
        // The system has put the port in the place of the star.
        let endpoint = match socket.get_last_endpoint().map_err(doing())? {
            Ok(endpoint) => endpoint,
            Err(_) => wish.clone(),
        };
        Ok(Bound {
            owner,
            endpoint,
            socket: Some(socket),
        })
    }

    pub(super) fn bind_consumers(&self) -> Result<Vec<Bound>, DriverError> {
        let workload = &self.task.workload;
        let consumers =
            (0..workload.groups).flat_map(|g| (0..workload.consumers).map(move |c| (g, c)));
        consumers
            .map(|owner| self.bind(&self.consuming, SocketType::PULL, owner))
            .collect()
    }

    pub(super) fn bind_publishers(&self) -> Result<Vec<Bound>, DriverError> {
        let task = &self.task;
        let publishers = (0..task.workload.publishers.max(1))
            .flat_map(|p| task.destinations_by(p).into_iter().map(move |d| (p, d)));
        publishers
            .map(|owner| self.bind(&self.publishing, SocketType::XPUB, owner))
            .collect()
    }

    /// How many consumers, over all groups, read a destination.
    pub(super) fn readers(&self, destination: u32) -> usize {
        let workload = &self.task.workload;
        let reads = |c: &u32| self.task.destinations_of(*c).contains(&destination);
        let in_a_group = (0..workload.consumers).filter(reads).count();
        in_a_group * workload.groups as usize
    }
}

/// A socket that talks to all of these.
pub(super) fn connected(
    places: &Places,
    context: &Context,
    kind: SocketType,
    endpoints: &[String],
) -> Result<Socket, DriverError> {
    let doing = || DriverError::while_doing(format!("connect to {}", endpoints.join(", ")));
    let socket = places.socket(context, kind).map_err(doing())?;
    for endpoint in endpoints {
        socket.connect(endpoint).map_err(doing())?;
    }
    Ok(socket)
}
