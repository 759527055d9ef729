//! What the consumer groups of a trial are called.

use crate::engine::task::Task;

/// The names: of this trial alone, as an existing stream may have others.
pub(super) fn groups(task: &Task) -> impl Iterator<Item = String> + '_ {
    let workload = &task.workload;
    let count = if workload.consumers == 0 {
        0
    } else {
        workload.groups
    };
    (0..count).map(|group| group_name(task, group))
}

pub(super) fn group_name(task: &Task, group: u32) -> String {
    format!("mqbench-{}-{}-group-{group}", task.run_id, task.trial)
}
