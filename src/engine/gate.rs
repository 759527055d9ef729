//! Lets threads and tasks go together.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::sync::watch;

use super::shared::lock;

/// Lets everybody go at once.
pub(super) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
    tasks: watch::Sender<bool>,
}

impl Gate {
    pub fn new() -> Arc<Gate> {
        Arc::new(Gate {
            open: Mutex::new(false),
            changed: Condvar::new(),
            tasks: watch::channel(false).0,
        })
    }

    pub fn open(&self) {
        *lock(&self.open) = true;
        self.changed.notify_all();
        self.tasks.send_replace(true);
    }

    pub fn pass(&self) {
        let mut open = lock(&self.open);
        while !*open {
            open = self
                .changed
                .wait(open)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub async fn pass_task(&self) {
        let mut tasks = self.tasks.subscribe();
        // The sender lives as long as the gate, so the wait ends with the opening.
        let _ = tasks.wait_for(|open| *open).await;
    }
}
