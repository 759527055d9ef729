//! The page of a run in a browser: it draws what the results say, says nothing on the console, and answers.

#[path = "../program/mod.rs"]
mod program;

mod browser;

use browser::{Browser, attribute, elements, with_script, without_policy};
use mqbench::measure::latency::Kind;
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
        frames, 10,
        "percentiles, distribution, throughput, cost, three over time and three of cells"
    );
    assert!(drawn >= frames, "{drawn} of {frames}");
    for panel in dom.split("<div class=\"panel\"").skip(1) {
        let marks = [
            "class=\"bar",
            "class=\"dot",
            "class=\"line b",
            "class=\"cell h",
        ];
        let has = |mark: &&str| {
            panel
                .split("</svg>")
                .next()
                .is_some_and(|it| it.contains(*mark))
        };
        assert!(marks.iter().any(has), "empty: {}", &panel[..100]);
    }
    assert!(dom.contains("data-ready=\"10\""), "all are drawn");

    let results = place.results();
    let bars = bars(&dom, "throughput");
    assert_eq!(bars.len(), 3);
    for (broker, length) in &bars {
        near(*length, of(&results, *broker, Figure::Received));
    }
    let costs = self::bars(&dom, "cost");
    for (broker, length) in &costs {
        near(*length, of(&results, *broker, Figure::ClientCpu) * 1e3);
    }
    assert_eq!(costs.len(), 3, "no server, so no bar of one");
    let dots = dots(&dom, "percentiles");
    for (name, percent) in [("p50", 50.0), ("p95", 95.0)] {
        let of_all: Vec<_> = dots.iter().filter(|(_, it, _)| it == name).collect();
        assert!(!of_all.is_empty(), "{name}");
        for (broker, _, at) in of_all {
            near(
                *at,
                of(&results, *broker, Figure::Latency(Kind::EndToEnd, percent)),
            );
        }
    }
    // The first point of a line is the first second of the broker's first trial.
    for broker in 0..3 {
        let chart = picture(&dom, &format!("over-time-{broker}"));
        let lines = elements(chart, "<path class=\"line").into_iter();
        let mut lines = lines.filter(|it| attribute(it, "data-name") == Some("p50"));
        let path = attribute(lines.next().expect("a line"), "d").expect("a path");
        let (_, y) = path.split_once(',').expect("a point");
        let y: String = y
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        let drawn = value_at(chart, y.parse().expect("a number"));
        let first = results.standing_of(broker).next().expect("a trial");
        let stored = place.stored();
        let record = stored.record(first.trial, first.attempt).expect("kept");
        let mut measured = record.series.iter().filter(|it| it.at > 0.5);
        let second = measured.find_map(|it| it.latency).expect("a second");
        let off = (drawn / second[0] as f64 - 1.0).abs();
        assert!(off < 0.02, "drawn as {drawn}, measured as {second:?}");
    }
    for broker in 0..3 {
        let chart = picture(&dom, &format!("heat-{broker}"));
        let mut drawn = cells(chart);
        let mut measured = Vec::new();
        for attempt in results.standing_of(broker) {
            let record = place.stored().record(attempt.trial, attempt.attempt);
            let record = record.expect("kept");
            let end = attempt.seconds + 0.1;
            let seconds = record
                .series
                .iter()
                .filter(|it| it.at > 0.1 && it.at <= end);
            measured.extend(seconds.flat_map(|it| it.cells.iter().map(|it| it.0)));
        }
        drawn.sort_unstable();
        measured.sort_unstable();
        assert_eq!(drawn, measured, "broker {broker}");
    }
}

/// The cells of latency that are drawn, one for each second in which there are messages in it.
fn cells(picture: &str) -> Vec<u8> {
    let paths = elements(picture, "<path class=\"cell").into_iter();
    let shapes = paths.flat_map(|path| attribute(path, "d").expect("a path").split('M').skip(1));
    let cell = |shape: &str| {
        let (from, height) = (between(shape, ",", "h"), between(shape, "v", "h"));
        let middle = from + height / 2.0;
        (value_at(picture, middle).log10() * 10.0).floor() as u8
    };
    shapes.map(cell).collect()
}

/// The number between two letters.
fn between(text: &str, from: &str, to: &str) -> f64 {
    let (_, rest) = text.split_once(from).expect("its beginning");
    let (number, _) = rest.split_once(to).expect("its end");
    number.parse().expect("a number")
}

#[test]
fn the_price_of_durability_is_drawn_too() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let place = ran(&SCENARIO.replace(
        "slow: {driver: loopback, delay: 3ms}",
        "other: {driver: loopback}",
    ));
    // Loopback keeps nothing; what the charts are made of is the results.
    let file = place.path("results/latest/results.json");
    let text = std::fs::read_to_string(&file).expect("results");
    let mut stored: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for side in ["offer", "asked"] {
        stored["plan"]["brokers"][1][side]["durability"] = "disk".into();
    }
    std::fs::write(&file, stored.to_string()).expect("written");
    place
        .run(&["report", "results/latest", "--export-html", "price.html"])
        .assert_code(0);
    let dom = browser.open(&place.path("price.html"));
    for chart in ["durability-rate", "durability-latency"] {
        let places: Vec<usize> = bars(&dom, chart).iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [0, 1], "{chart}");
    }
    let results = place.results();
    for (broker, length) in bars(&dom, "durability-rate") {
        near(length, of(&results, broker, Figure::Received));
    }
}

/// The median over the trials that are summed up.
fn of(results: &Results, broker: usize, figure: Figure) -> f64 {
    let group = Group::of(results, broker);
    let used = group.used().iter();
    median(used.filter_map(|it| figure.value(it))).expect("measured")
}

/// The picture of a chart.
fn picture<'a>(dom: &'a str, chart: &str) -> &'a str {
    let start = dom.find(&format!("data-chart=\"{chart}\""));
    let rest = &dom[start.expect("the chart")..];
    &rest[..rest.find("</svg>").expect("its end")]
}

fn number(element: &str, name: &str) -> f64 {
    let text = attribute(element, name).unwrap_or_else(|| panic!("{name} of {element}"));
    text.parse().expect("a number")
}

/// What a place on the axis of the values stands for.
fn value_at(picture: &str, place: f64) -> f64 {
    let svg = elements(picture, "<svg ")[0];
    let (min, max) = (number(svg, "data-min"), number(svg, "data-max"));
    let (from, to) = (number(svg, "data-from"), number(svg, "data-to"));
    let share = (place - from) / (to - from);
    match number(svg, "data-log") {
        0.0 => min + share * (max - min),
        _ => min * (max / min).powf(share),
    }
}

/// The rows of a chart: the broker's place, and what is drawn of it.
fn drawn(picture: &str) -> Vec<(usize, &str)> {
    let groups = picture.split("<g class=\"row b").skip(1);
    let row = |group| {
        let digits: String = str::chars(group).take_while(char::is_ascii_digit).collect();
        (digits.parse().expect("a place"), group)
    };
    groups.map(row).collect()
}

/// Brokers and what their bars say, by where they end.
fn bars(dom: &str, chart: &str) -> Vec<(usize, f64)> {
    let picture = picture(dom, chart);
    let rows = drawn(picture).into_iter();
    rows.flat_map(|(broker, row)| {
        let bars = elements(row, "<rect class=\"bar").into_iter();
        let end = |bar| number(bar, "x") + number(bar, "width");
        bars.map(move |bar| (broker, value_at(picture, end(bar))))
    })
    .collect()
}

/// Brokers, percentiles, and what their points say, by where they are.
fn dots(dom: &str, chart: &str) -> Vec<(usize, String, f64)> {
    let picture = picture(dom, chart);
    let rows = drawn(picture).into_iter();
    rows.flat_map(|(broker, row)| {
        let paths = elements(row, "<path ").into_iter();
        let dots = paths.filter(|it| it.contains("class=\"dot"));
        dots.map(move |dot| {
            let name = attribute(dot, "data-name").expect("a name").to_owned();
            let moved = attribute(dot, "transform").expect("a place");
            let at = moved.trim_start_matches("translate(").split(',').next();
            let at: f64 = at.expect("a number").parse().expect("a number");
            (broker, name, value_at(picture, at))
        })
    })
    .collect()
}

#[track_caller]
fn near(drawn: f64, measured: f64) {
    let off = (drawn / measured - 1.0).abs();
    assert!(off < 5e-3, "drawn as {drawn}, measured as {measured}");
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
        said.heat = document.querySelector('[data-chart="heat-1"]').hidden;
        said.panel = document.querySelector('[data-chart="over-time-1"]').hidden;
        document.querySelector("#chips .all").click();
        said.again = shown("throughput");

        const press = (chart, key) => document.querySelector(`[data-chart="${chart}"] .plot`)
          .dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        press("throughput", "ArrowDown");
        said.told = document.querySelector('[data-chart="throughput"] [aria-live]').textContent;
        press("heat-0", "ArrowRight");
        said.column = document.querySelector('[data-chart="heat-0"] [aria-live]').textContent;
        const hit = document.querySelector('[data-chart="heat-0"] .hit');
        const box = hit.getBoundingClientRect();
        hit.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + 2, clientY: box.bottom - 2 }));
        said.cell = [...document.querySelectorAll('[data-chart="heat-0"] .tip > *')].map((it) => it.textContent);
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
    assert_eq!(
        (&said["panel"], &said["heat"]),
        (&true.into(), &true.into())
    );
    let first = results.standing_of(0).next().expect("a trial");
    let record = place
        .stored()
        .record(first.trial, first.attempt)
        .expect("kept");
    let mut seconds = record.series.iter().filter(|it| it.at > 0.1);
    let second = seconds.next().expect("a second");
    let messages = format!(
        "in this second {} messages",
        thousands(second.cells.count())
    );
    let column = said["column"].as_str().expect("words");
    assert!(
        column.starts_with("trial 1, second 1:") && column.contains(&messages),
        "{column}"
    );
    let cell = said["cell"].to_string();
    assert!(
        cell.contains("trial 1, second 1") && cell.contains(" to "),
        "{cell}"
    );
    let told = said["told"].as_str().expect("words");
    assert!(told.contains("median ") && told.contains("n = 2"), "{told}");
    assert_eq!(said["crossed"], true);
    assert_eq!(said["zoomed"], 4, "scale, closer, farther, and back");
    assert_eq!(said["scale"], true);
    assert_eq!(said["theme"], "dark");
}

/// With its thousands set apart.
fn thousands(count: u64) -> String {
    mqbench::terminal::numbers::count(count)
}

/// The labels in the order of what the table prints as p50.
fn by_p50(results: &Results) -> Vec<&str> {
    let mut all: Vec<(f64, &str)> = mqbench::report::rows::by_broker(results)
        .iter()
        .map(|row| {
            let value = row
                .percentile(Kind::EndToEnd, "p50")
                .and_then(|it| it.value());
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
