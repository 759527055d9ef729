use super::*;

/// Ten seconds of two cores, half idle.
fn usage() -> Usage {
    Usage {
        seconds: 10.0,
        capacity_s: 20.0,
        idle_s: 10.0,
        ..Usage::default()
    }
}

#[test]
fn a_quiet_part_is_not_disturbed() {
    assert_eq!(usage().disturbed(0.02), None);
}

#[test]
fn what_took_more_is_named_with_its_share_of_all_processors() {
    let both = Usage {
        steal_s: 2.0,
        foreign_s: 1.0,
        ..usage()
    };
    let found = both.disturbed(0.02).unwrap();
    assert_eq!(found.cause, Cause::Steal);
    assert!((found.share - 0.1).abs() < 1e-9);
    let foreign = Usage {
        steal_s: 0.1,
        foreign_s: 1.0,
        ..usage()
    };
    assert_eq!(foreign.disturbed(0.02).unwrap().cause, Cause::Foreign);
    assert_eq!(foreign.disturbed(0.06), None);
}

#[test]
fn a_short_part_or_a_few_ticks_are_never_called_disturbed() {
    let short = Usage {
        seconds: 0.9,
        capacity_s: 1.8,
        idle_s: 0.5,
        steal_s: 0.9,
        ..usage()
    };
    assert_eq!(short.disturbed(0.02), None);
    let ticks = Usage {
        seconds: 1.0,
        capacity_s: 1.0,
        idle_s: 0.9,
        steal_s: 0.03,
        ..usage()
    };
    assert_eq!(ticks.disturbed(0.02), None);
    let more = Usage {
        steal_s: 0.04,
        ..ticks
    };
    assert!(more.disturbed(0.02).is_some());
}

#[test]
fn the_unseen_counts_only_beyond_the_error_of_the_kernels_sampling() {
    // 2,000 ticks, half of them busy: three standard deviations are 67 ticks.
    let within = Usage {
        unseen_s: 0.66,
        ..usage()
    };
    assert_eq!(within.outside_s(), 0.0);
    let beyond = Usage {
        unseen_s: 2.0,
        ..usage()
    };
    assert!((beyond.outside_s() - 1.33).abs() < 0.01);
    assert_eq!(beyond.disturbed(0.02).unwrap().cause, Cause::Foreign);
    let missed = Usage {
        unseen_s: -3.0,
        foreign_s: 0.5,
        ..usage()
    };
    assert_eq!(missed.outside_s(), 0.5);
}

#[test]
fn interrupts_and_kernel_threads_are_nobodys() {
    let loopback = Usage {
        interrupts_s: 5.0,
        kernel_s: 5.0,
        ..usage()
    };
    assert_eq!(loopback.disturbed(0.02), None);
}

#[test]
fn two_parts_add_up() {
    let mut sum = Usage {
        own_s: 1.0,
        brokers_rss_bytes: 5,
        ..usage()
    };
    sum.merge(&Usage {
        own_s: 0.5,
        brokers_rss_bytes: 6,
        ..usage()
    });
    assert_eq!(
        (sum.seconds, sum.own_s, sum.brokers_rss_bytes),
        (20.0, 1.5, 11)
    );
}

fn spent(party: Party, cpu: f64, waited: f64) -> Spent {
    Spent { party, cpu, waited }
}

#[test]
fn a_process_that_ends_is_counted_once_and_only_for_the_time_in_between() {
    let shell = (1, 1);
    let compiler = (2, 2);
    let before = HashMap::from([
        (shell, spent(Party::Foreign, 1.0, 5.0)),
        (compiler, spent(Party::Foreign, 60.0, 0.0)),
    ]);
    // It ran for 3 more seconds, ended and was waited for; another came and went unread: 2 s.
    let after = HashMap::from([(shell, spent(Party::Foreign, 1.5, 5.0 + 63.0 + 2.0))]);
    assert!((spent_by(Party::Foreign, &before, &after) - 5.5).abs() < 1e-9);
    assert_eq!(spent_by(Party::Broker, &before, &after), 0.0);
}

#[test]
fn a_process_that_nobody_waits_for_hides_no_other() {
    let before = HashMap::from([
        ((1, 1), spent(Party::Foreign, 1.0, 0.0)),
        ((2, 2), spent(Party::Foreign, 60.0, 0.0)),
    ]);
    let after = HashMap::from([
        ((1, 1), spent(Party::Foreign, 4.0, 0.0)),
        // The number of the ended one is in use again: another start, another process.
        ((2, 9), spent(Party::Foreign, 0.5, 0.0)),
    ]);
    assert!((spent_by(Party::Foreign, &before, &after) - 3.5).abs() < 1e-9);
}

#[test]
fn descendants_leave_out_the_rest_of_the_pipeline() {
    let process = |pid, parent| {
        let stat = format!("{pid} (x) S {parent} 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0");
        proc::parse_process(&stat).unwrap()
    };
    let all = [
        process(1, 0),
        process(7, 1),
        process(8, 7),
        process(9, 8),
        process(10, 1),
    ];
    assert_eq!(descendants(&all, 7), [7, 8, 9]);
}

/// A second of a trial has one sample. `MQBENCH_LONG=1` holds it to half a percent of a core.
#[test]
fn a_sample_costs_at_most_half_a_percent_of_a_core() {
    let thread = || {
        let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
        std::time::Duration::from(clock.now().unwrap())
    };
    let parties = Parties {
        supervisor: std::process::id() as i32,
        ..Parties::default()
    };
    let mut watch = Watch::new(parties);
    const SAMPLES: u32 = 100;
    let began = thread();
    for at in 0..SAMPLES {
        watch.sample(at.into());
    }
    let each = (thread() - began) / SAMPLES;
    let processes = proc::processes().len();
    println!("{each:?} of CPU time for a sample beside {processes} processes");
    if std::env::var_os("MQBENCH_LONG").is_some() {
        assert!(each < std::time::Duration::from_millis(5), "{each:?}");
    }
}

#[test]
fn work_of_this_process_and_of_its_publishers_is_seen() {
    let parties = Parties {
        supervisor: std::process::id() as i32,
        ..Parties::default()
    };
    let mut watch = Watch::new(parties);
    watch.begin();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let (told, working) = std::sync::mpsc::channel();
    let publisher = std::thread::Builder::new()
        .name(format!("{PUBLISHER_THREAD}0"))
        .spawn(move || {
            let began = proc::cpu_time(std::process::id() as i32).unwrap();
            let enough = std::time::Duration::from_millis(50);
            while proc::cpu_time(std::process::id() as i32).unwrap() - began < enough {
                std::hint::spin_loop();
            }
            told.send(()).unwrap();
            let _ = wait.recv();
        })
        .unwrap();
    working.recv().unwrap();
    let sample = watch.sample(7);
    let usage = watch.seen().usage;
    drop(done);
    publisher.join().unwrap();
    assert_eq!(sample.at_ns, 7);
    assert!(usage.own_s >= 0.05, "{usage:?}");
    assert!(
        usage.publish_s > 0.0 && usage.publish_s <= usage.own_s,
        "{usage:?}"
    );
    assert!(usage.own_s >= sample.usage.own_s && usage.rss_bytes > 0);
    let text = serde_json::to_string(&sample).unwrap();
    assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample);
}

#[test]
fn ticks_that_are_in_step_with_the_load_are_not_the_doing_of_others() {
    let usage = Usage {
        capacity_s: 20.0,
        idle_s: 15.0,
        steal_s: 0.5,
        interrupts_s: 0.5,
        ..Usage::default()
    };
    assert_eq!(usage.busy(9.0), 4.0, "no more than was not idle");
    assert_eq!(usage.busy(1.0), 1.0);
}
