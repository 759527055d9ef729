//! A baseline whose program is another version is measured again, beside the program of the run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mqbench::results::{Results, Stored};

use crate::program::{Ended, Place, beside_others, ended, program_of};
use crate::{place, scenario};

/// A Redis that says another version of itself than it is; the folder that has it.
fn other_version(place: &Place, program: &str) -> String {
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'Redis server v=1.2.3 sha=0'; exit; fi\n\
         exec '{program}' \"$@\"\n"
    );
    fs::create_dir(place.path("old")).expect("a folder");
    place.write("old/redis-server", &script);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(place.path("old/redis-server"), mode).expect("a program");
    place.path("old").display().to_string()
}

/// Makes the baseline, in `before`; the folder of its program.
fn measured_before(place: &Place, program: &Path) -> String {
    let old = other_version(place, &program.display().to_string());
    let mut first = place.command(&["run", "s.yaml", "--out", "before"]);
    first.env("MQBENCH_REDIS_HOME", &old);
    ended(first);
    old
}

fn results(place: &Place, out: &str) -> Results {
    let stored = Stored::open(&place.path(&format!("{out}/latest")));
    stored.expect("results").results
}

/// Measured again, as the terminal says it, on one line.
fn printed(ended: &Ended) -> String {
    let words: Vec<&str> = ended.out.split_whitespace().collect();
    words.join(" ")
}

const AGAIN: &str = "redis-pubsub compared with the baseline's program, measured again";

#[test]
fn a_baseline_of_another_version_is_measured_again_while_its_program_is_there() {
    let _turn = beside_others();
    let Some(program) = program_of("redis") else {
        return;
    };
    let place = place(&scenario("[redis-pubsub]", 300, 2));
    let old = measured_before(&place, &program);
    let before = results(&place, "before");
    let then = &before.provenance.brokers[0];
    assert_eq!(then.server_version.as_deref(), Some("1.2.3"));
    let path = format!("{old}/redis-server");
    assert_eq!(then.server_program.as_ref(), Some(&path));

    let run = |out: &str, further: &[&str]| {
        let mut arguments = vec!["run", "s.yaml", "--baseline", "before/latest", "--out", out];
        arguments.extend(further);
        place.run(&arguments)
    };
    let both = run("after", &[]);
    let told = format!("same blocks: redis-pubsub with {path} (1.2.3)");
    assert!(both.err.contains(&told), "{}", both.err);
    assert!(printed(&both).contains(AGAIN), "{}", both.out);
    let after = results(&place, "after");
    let labels: Vec<&str> = after
        .plan
        .brokers
        .iter()
        .map(|it| it.label.as_str())
        .collect();
    assert_eq!(labels, ["redis-pubsub", "redis-pubsub@1.2.3"]);
    let versions = [0, 1].map(|place| after.provenance.brokers[place].server_version.clone());
    assert_eq!(versions[1].as_deref(), Some("1.2.3"));
    assert_ne!(versions[0], versions[1]);
    for block in 1..=2 {
        let mut brokers: Vec<usize> = after
            .standing()
            .filter(|it| it.block == block)
            .map(|it| it.broker)
            .collect();
        brokers.sort_unstable();
        assert_eq!(brokers, [0, 1], "block {block}");
    }

    let alone = run("alone", &["--no-interleave"]);
    assert!(!printed(&alone).contains(AGAIN), "{}", alone.out);
    assert_eq!(results(&place, "alone").plan.brokers.len(), 1);

    fs::remove_file(place.path("old/redis-server")).expect("removed");
    let gone = run("gone", &[]);
    let told = format!("not measured again: redis-pubsub ({path}, which was 1.2.3, is gone)");
    assert!(gone.err.contains(&told), "{}", gone.err);
    assert_eq!(results(&place, "gone").plan.brokers.len(), 1);
    place.assert_clean();
}

#[test]
fn a_sweep_is_measured_again_at_each_rate() {
    let _turn = beside_others();
    let Some(program) = program_of("redis") else {
        return;
    };
    let text = scenario("[redis-pubsub]", 300, 2);
    let place = place(&text.replace("rate: 1k/s", "sweep: [200/s, 400/s]"));
    measured_before(&place, &program);
    let both = place.run(&[
        "run",
        "s.yaml",
        "--baseline",
        "before/latest",
        "--out",
        "after",
    ]);
    let told = "redis-pubsub at 200/s and redis-pubsub at 400/s compared with the baseline's program, measured again";
    assert!(printed(&both).contains(told), "{}", both.out);
    let after = results(&place, "after");
    let points = after.points();
    assert_eq!(points.len(), 2);
    for point in &points {
        let mut made: Vec<(u32, usize)> =
            point.standing().map(|it| (it.block, it.broker)).collect();
        made.sort_unstable();
        assert_eq!(made, [(1, 0), (1, 1), (2, 0), (2, 1)]);
    }
    place.assert_clean();
}
