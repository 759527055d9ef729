//! Who runs on which cores, and what brokers may use: seen in the processes of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use mqbench::measure::affinity;

use crate::program::{Place, SOON, has};

/// The cores on which each thread of a process may run, by the thread's name.
fn threads(pid: i32) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter();
    for task in tasks.flatten().flatten() {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let field = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.map(|value| value.trim().to_owned())
        };
        if let (Some(name), Some(cores)) = (field("Name:"), field("Cpus_allowed_list:")) {
            found.entry(name).or_default().insert(cores);
        }
    }
    found
}

fn first_and_last() -> (u32, u32) {
    let cores = affinity::usable().expect("cores");
    let numbers = cores.numbers();
    (numbers[0], numbers[numbers.len() - 1])
}

fn scenario(broker: &str, more: &str) -> String {
    format!(
        "brokers: [{broker}]\nworkload: {{load: {{rate: 500/s}}, message: {{size: 64B}}}}\n\
         phases: {{warmup: 500ms, measure: 3s, drain: 2s}}\ntrials: 1\ndisturbed: {{repeats: 0}}\n{more}"
    )
}

#[test]
fn publishers_and_consumers_run_on_their_cores_and_all_else_on_any() {
    let (first, last) = first_and_last();
    for broker in ["loopback", "zeromq"] {
        let place = Place::new();
        let cores = format!("cores: {{publishers: {first}, consumers: {last}}}\n");
        place.write("s.yaml", &scenario(broker, &cores));
        let run = place.start(&["run", "s.yaml"]);
        let seen = threads(run.await_load());
        let has = |prefix: &str| seen.keys().any(|name| name.starts_with(prefix));
        assert!(has("pub-") && has("con-"), "{seen:?}");
        for (name, cores) in &seen {
            let wanted = match name.get(..4) {
                Some("pub-") => first,
                Some("con-") => last,
                _ => continue,
            };
            let wanted = BTreeSet::from([wanted.to_string()]);
            assert_eq!(*cores, wanted, "{name}: {seen:?}");
        }
        run.ends_within(SOON).assert_code(0);
        let plan = place.results().plan;
        let publishers = plan.placement.cores.publishers.expect("kept");
        assert_eq!(publishers.numbers(), [first]);
    }
}

/// Where client libraries have threads of their own, those are where the thread was that made them.
#[test]
fn threads_of_client_libraries_run_where_those_that_made_them_do() {
    if !has("kafka") {
        return;
    }
    let (first, _) = first_and_last();
    let place = Place::new();
    let cores = format!("cores: {{publishers: {first}, consumers: {first}}}\n");
    place.write("s.yaml", &scenario("kafka", &cores));
    let run = place.start(&["run", "s.yaml"]);
    let seen = threads(run.await_load());
    println!("{seen:?}");
    let libraries = seen.iter().filter(|(name, _)| name.starts_with("rdk:"));
    for (name, cores) in libraries {
        assert!(cores.contains(&first.to_string()), "{name}: {seen:?}");
    }
    run.ends_within(SOON).assert_code(0);
}

#[test]
fn a_broker_runs_on_its_cores_within_its_limits_and_its_control_groups_go_with_it() {
    if !has("nats") {
        return;
    }
    let (_, last) = first_and_last();
    let place = Place::new();
    let more = format!("cores: {{brokers: {last}}}\nlimits: {{cpu: 0.5, memory: 256MiB}}\n");
    place.write("s.yaml", &scenario("nats", &more));
    let run = place.start(&["run", "s.yaml"]);
    let pid = place.await_server("nats-server");
    for (name, cores) in threads(pid) {
        assert_eq!(cores, BTreeSet::from([last.to_string()]), "{name}");
    }
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    run.ends_within(SOON).assert_code(0);
    let results = place.results();
    let held = &results.provenance.brokers[0].server_bounds;
    assert_eq!(held.len(), 3, "{held:?}");
    assert_eq!(held[0].by.as_deref(), Some("affinity"));
    let by_group = held[1..].iter().filter(|it| {
        let by = it.by.as_deref().unwrap_or_default();
        by.starts_with("control group")
    });
    let by_group = by_group.count();
    let name = groups.lines().find_map(|line| {
        let (_, name) = line.rsplit_once('/')?;
        name.starts_with("mqbench-").then(|| name.to_owned())
    });
    assert_eq!(by_group > 0, name.is_some(), "{held:?}\n{groups}");
    if let Some(name) = name {
        let left = walk("/sys/fs/cgroup".as_ref(), &name, 4);
        assert!(left.is_empty(), "{left:?}");
    }
    // What nothing holds is said beside the figures.
    let said = place.run(&["report", "results/latest"]).out;
    let open = held.iter().filter(|it| it.by.is_none()).count();
    assert_eq!(said.matches("was not enforced").count(), open, "{said}");
    let page = place.kept("report.html");
    assert!(page.contains("256MiB of memory") && page.contains("cores of brokers"));
}

/// Folders of this name, so many levels down.
fn walk(folder: &std::path::Path, name: &str, levels: usize) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
    let mut found = Vec::new();
    for entry in folders {
        if entry.file_name() == name {
            found.push(entry.path());
        }
        if levels > 0 {
            found.extend(walk(&entry.path(), name, levels - 1));
        }
    }
    found
}

#[test]
fn what_the_machine_does_not_have_is_refused_before_anything_starts() {
    let place = Place::new();
    let refused = |more: &str| {
        place.write("s.yaml", &scenario("nats", more));
        let ended = place.run(&["check", "s.yaml"]);
        ended.assert_code(2);
        ended.err
    };
    let said = refused("cores: {publishers: 4000}\n");
    assert!(
        said.contains("s.yaml:6:") && said.contains("no core 4000"),
        "{said}"
    );
    let said = refused("limits: {cpu: 9000}\n");
    assert!(said.contains("more than there is"), "{said}");
    let said = refused("cores: {publisher: 0}\n");
    assert!(said.contains("did you mean `publishers`"), "{said}");
    let said = refused("cores: {brokers: 1-0}\n");
    assert!(said.contains("runs backwards"), "{said}");
    place.write(
        "s.yaml",
        &scenario(
            "nats",
            "cores: {brokers: 0}\nlimits: {cpu: 0.5, memory: 256MiB}\n",
        ),
    );
    let ended = place.run(&["check", "s.yaml"]);
    ended.assert_code(0);
    assert!(ended.out.contains("brokers on 0"), "{}", ended.out);
    assert!(
        ended
            .out
            .contains("0.5 cores of CPU time and 256MiB of memory"),
        "{}",
        ended.out
    );
}
