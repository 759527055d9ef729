//! Work for all cores at once: reading many results, painting many charts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does `work` on each of the items, as many at a time as there are cores; what came of it, in their order.
pub fn on_all<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let labour = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else {
                return done;
            };
            done.push((place, work(item)));
        }
    };
    let hands = thread::available_parallelism().map_or(1, usize::from);
    let mut all = thread::scope(|scope| {
        let hands: Vec<_> = (1..hands.min(items.len()))
            .map(|_| scope.spawn(labour))
            .collect();
        let mut all = labour();
        for hand in hands {
            match hand.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_done_once_and_comes_in_its_place() {
        let items: Vec<u32> = (0..1_000).collect();
        let squares = on_all(&items, |item| item * item);
        assert_eq!(squares, items.iter().map(|it| it * it).collect::<Vec<_>>());
        assert!(on_all(&[] as &[u32], |item| *item).is_empty());
    }

    #[test]
    #[should_panic(expected = "the third")]
    fn a_panic_is_passed_on() {
        on_all(&[1, 2, 3, 4], |item| assert_ne!(*item, 3, "the third"));
    }
}
