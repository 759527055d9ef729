//! Both sides of a trial know where a message goes, without asking.

mod support;

use mqbench::engine::ledger::Ledger;

#[test]
fn a_publisher_sends_to_all_destinations_of_its_task_and_to_no_other() {
    for (publishers, destinations, keys) in
        [(1, 1, 0), (3, 2, 0), (3, 10, 0), (4, 9, 1000), (5, 5, 3)]
    {
        let mut task = support::task();
        task.workload.publishers = publishers;
        task.workload.destinations = destinations;
        task.workload.message.keys = keys;
        let ledger = Ledger::open(task).unwrap();
        let mut reached = vec![false; destinations as usize];
        for publisher in 0..publishers {
            let allowed = ledger.task.destinations_by(publisher);
            for sequence in 0..1000 {
                let destination = ledger.route.destination(publisher as u16, sequence);
                assert!(
                    allowed.contains(&destination),
                    "{publisher} of {publishers}: {destination}"
                );
                reached[destination as usize] = true;
            }
        }
        assert!(
            reached.iter().all(|it| *it),
            "{publishers}, {destinations}: {reached:?}"
        );
    }
}

#[test]
fn every_destination_has_a_reader_and_every_consumer_a_destination() {
    for (consumers, destinations) in [(1, 1), (1, 7), (3, 7), (7, 3), (4, 4)] {
        let mut task = support::task();
        task.workload.consumers = consumers;
        task.workload.destinations = destinations;
        let readers = task.readers();
        assert!(readers.iter().all(|readers| !readers.is_empty()));
        let read: usize = readers.iter().map(Vec::len).sum();
        assert_eq!(read, consumers.max(destinations) as usize);
    }
}
