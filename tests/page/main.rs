//! The page of a run in a browser: it draws what the results say, says nothing on the console, and answers.

#[path = "../program/mod.rs"]
mod program;

mod browser;

use browser::{Browser, attribute, elements, with_script, without_policy};
use mqbench::results::Results;
use mqbench::stats::figure::Figure;
use mqbench::stats::group::Group;
use mqbench::stats::median::median;
use program::Place;

const SCENARIO: &str = "\
name: page
description: it has <b>markup</b> & \"quotes\" in it
brokers:
  loopback: {}
  slow: {driver: loopback, delay: 3ms}
  lossy: {driver: loopback, loss: 10%}
workload: {message: {size: 64B}, load: {rate: 2k/s}}
phases: {warmup: 0ms, measure: 2200ms, drain: 1s}
trials: 2
disturbed: {repeats: 0}
";

/// A run of three entries, one of which loses messages.
fn place() -> Place {
    ran(SCENARIO)
}

/// The same, over before there is a course of time.
fn short() -> Place {
    ran(&SCENARIO.replace("2200ms", "200ms"))
}

fn ran(scenario: &str) -> Place {
    let place = Place::new();
    place.write("s.yaml", scenario);
    place
        .run(&["run", "s.yaml", "--export-html", "run.html"])
        .assert_code(0);
    place
}

#[test]
fn a_run_is_drawn_as_it_was_measured() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let place = place();
    assert_eq!(
        std::fs::read_to_string(place.path("run.html")).expect("the page"),
        place.kept("report.html")
    );
    let dom = browser.open(&place.path("run.html"));
    let drawn = dom.matches("<svg viewBox").count();
    let frames = elements(&dom, "<div class=\"panel\"").len();
    assert_eq!(
        frames, 7,
        "percentiles, distribution, throughput, cost, and three over time"
    );
    assert!(drawn >= frames, "{drawn} of {frames}");
    assert!(dom.contains("data-ready=\"7\""), "all are drawn");

    let results = place.results();
    let of = |broker: usize, figure: Figure| {
        let group = Group::of(&results, broker);
        let values: Vec<f64> = group
            .used()
            .iter()
            .filter_map(|it| figure.value(it))
            .collect();
        median(values).expect("measured")
    };
    let bars = bars(&dom, "throughput");
    assert_eq!(bars.len(), 3);
    for (broker, length) in &bars {
        near(*length, of(*broker, Figure::Received));
    }
    let costs = self::bars(&dom, "cost");
    for (broker, length) in &costs {
        near(*length, of(*broker, Figure::ClientCpu) * 1e3);
    }
    assert_eq!(costs.len(), 3, "no server, so no bar of one");
}

/// Brokers and what their bars say, as far as lengths tell.
fn bars(dom: &str, chart: &str) -> Vec<(usize, f64)> {
    let start = dom
        .find(&format!("data-chart=\"{chart}\""))
        .expect("the chart");
    let chart = &dom[start..];
    let chart = &chart[..chart.find("</svg>").expect("its end")];
    let svg = elements(chart, "<svg ")[0];
    let number = |element: &str, name: &str| -> f64 {
        let text = attribute(element, name).unwrap_or_else(|| panic!("{name} of {element}"));
        text.parse().expect("a number")
    };
    let (min, max) = (number(svg, "data-min"), number(svg, "data-max"));
    let (from, to) = (number(svg, "data-from"), number(svg, "data-to"));
    let groups = chart.split("<g class=\"row b").skip(1);
    let mut found = Vec::new();
    for group in groups {
        let digits: String = group.chars().take_while(char::is_ascii_digit).collect();
        for bar in elements(group, "<rect class=\"bar") {
            let end = number(bar, "x") + number(bar, "width");
            let length = min + (end - from) / (to - from) * (max - min);
            found.push((digits.parse().expect("a place"), length));
        }
    }
    found
}

#[track_caller]
fn near(drawn: f64, measured: f64) {
    let off = (drawn / measured - 1.0).abs();
    assert!(off < 1e-3, "drawn as {drawn}, measured as {measured}");
}

#[test]
fn a_reader_sorts_hides_and_asks() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let place = place();
    let page = place.kept("report.html");
    let reader = r##"
        const said = {};
        const table = document.querySelector("#comparison table");
        const names = () => [...table.tBodies[0].rows].filter((row) => !row.classList.contains("under"))
          .map((row) => row.cells[0].textContent.trim());
        const head = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === "p50");
        head.querySelector("button").click();
        said.rising = [head.getAttribute("aria-sort"), ...names()];
        head.querySelector("button").click();
        said.falling = [head.getAttribute("aria-sort"), ...names()];
        const under = [...table.tBodies[0].rows].map((row) => row.className);
        said.under = under.indexOf("under") > 0;

        const chip = document.querySelector("#chips button[data-broker='1']");
        const shown = (chart) => document.querySelectorAll(`[data-chart="${chart}"] .row`).length;
        said.before = shown("throughput");
        chip.click();
        said.pressed = chip.getAttribute("aria-pressed");
        said.after = [shown("throughput"), shown("cost"), document.querySelectorAll('[data-chart="curve"] .line').length];
        said.panel = document.querySelector('[data-chart="over-time-1"]').hidden;
        document.querySelector("#chips .all").click();
        said.again = shown("throughput");

        const press = (chart, key) => document.querySelector(`[data-chart="${chart}"] .plot`)
          .dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        press("throughput", "ArrowDown");
        said.told = document.querySelector('[data-chart="throughput"] [aria-live]').textContent;
        press("curve", "End");
        said.crossed = !document.querySelector('[data-chart="curve"] .tip').hidden;
        press("curve", "+");
        said.zoomed = document.querySelectorAll("#latency-distribution .tools button:not([hidden])").length;
        const before = document.querySelector('[data-chart="percentiles"] svg').dataset.log;
        document.querySelector("[data-log='percentiles']").click();
        said.scale = before !== document.querySelector('[data-chart="percentiles"] svg').dataset.log;
        document.getElementById("theme").click();
        said.theme = document.documentElement.dataset.theme;
        document.body.dataset.said = JSON.stringify(said);
    "##;
    place.write("acted.html", &with_script(&without_policy(&page), reader));
    let dom = browser.open(&place.path("acted.html"));
    let body = elements(&dom, "<body")[0];
    let said = attribute(body, "data-said").expect("what the reader saw");
    let said: serde_json::Value =
        serde_json::from_str(&said.replace("&quot;", "\"")).expect("JSON");
    let results = place.results();
    let by_p50 = by_p50(&results);
    let with = |first: &str, names: &[&str]| {
        let all: Vec<&str> = std::iter::once(first)
            .chain(names.iter().copied())
            .collect();
        serde_json::json!(all)
    };
    assert_eq!(said["rising"], with("ascending", &by_p50), "{said}");
    let turned: Vec<&str> = by_p50.iter().rev().copied().collect();
    assert_eq!(said["falling"], with("descending", &turned), "{said}");
    assert_eq!(said["under"], true, "a note stays below its row");
    assert_eq!((&said["before"], &said["again"]), (&3.into(), &3.into()));
    assert_eq!(said["pressed"], "false");
    assert_eq!(said["after"], serde_json::json!([2, 2, 2]));
    assert_eq!(said["panel"], true);
    let told = said["told"].as_str().expect("words");
    assert!(told.contains("median ") && told.contains("n = 2"), "{told}");
    assert_eq!(said["crossed"], true);
    assert_eq!(said["zoomed"], 4, "scale, closer, farther, and back");
    assert_eq!(said["scale"], true);
    assert_eq!(said["theme"], "dark");
}

/// The labels in the order of what the table prints as p50.
fn by_p50(results: &Results) -> Vec<&str> {
    let mut all: Vec<(f64, &str)> = mqbench::report::rows::by_broker(results)
        .iter()
        .map(|row| {
            let kind = mqbench::measure::latency::Kind::EndToEnd;
            let value = row.percentile(kind, "p50").and_then(|it| it.value());
            let place = row.place;
            let label = results.plan.brokers[place].label.as_str();
            (value.expect("measured") as f64, label)
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, label)| label).collect()
}

#[test]
fn a_script_that_is_not_its_own_does_not_run() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let place = short();
    let script = "document.body.dataset.said = 'here';";
    let page = with_script(&place.kept("report.html"), script);
    place.write("refused.html", &page);
    place.write("allowed.html", &without_policy(&page));
    let (dom, said) = browser.look(&place.path("refused.html"));
    assert!(!dom.contains("data-said"));
    assert!(
        said.iter().any(|it| it.contains("Content Security Policy")),
        "{said:?}"
    );
    assert!(
        browser
            .open(&place.path("allowed.html"))
            .contains("data-said=\"here\""),
        "it would have run"
    );
}

#[test]
fn two_runs_beside_each_other_have_a_page_too() {
    let place = short();
    let run = place.stored().folder.display().to_string();
    let ended = place.run(&["compare", &run, &run, "--export-html", "changes.html"]);
    ended.assert_code(0);
    let page = std::fs::read_to_string(place.path("changes.html")).expect("the page");
    assert!(page.contains("<h2 id=\"figures-title\">Figures</h2>"));
    place
        .run(&["compare", &run, "--export-html", "brokers.html"])
        .assert_code(0);
    let Some(browser) = Browser::find() else {
        return;
    };
    for name in ["changes.html", "brokers.html"] {
        let dom = browser.open(&place.path(name));
        assert!(dom.contains("data-ready=\"0\""), "without charts");
    }
}

#[test]
fn a_page_is_made_again_from_stored_results() {
    let place = short();
    let again = place.run(&["report", "results/latest", "--export-html", "again.html"]);
    again.assert_code(0);
    let read = |name: &str| std::fs::read_to_string(place.path(name)).expect("a page");
    assert_eq!(read("again.html"), read("run.html"));
    let trial = place.path("results/latest/trials/0003.json");
    std::fs::write(trial, "{").expect("written");
    let damaged = place.run(&["report", "results/latest", "--export-html", "damaged.html"]);
    damaged.assert_code(2);
    assert!(damaged.err.contains("0003.json"), "{}", damaged.err);
    assert!(!place.path("damaged.html").exists(), "nothing by halves");
}
