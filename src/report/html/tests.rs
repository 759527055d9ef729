use super::*;
use crate::measure::cells::Cells;
use crate::measure::latency::Kind;
use crate::measure::record::{Record, Second};
use crate::report::details::Details;
use crate::results::{Attempt, Store, sample};

/// The page of a run with these brokers, whose trials are kept in files and read again, with its charts.
fn page(
    labels: &[&str],
    trials: u32,
    change: impl Fn(&mut Record, usize, u32),
) -> (String, Results, Charts) {
    let medians: Vec<f64> = (1..=labels.len()).map(|i| i as f64 * 1e5).collect();
    let plan = sample::plan(labels, trials);
    let results = sample::run(plan, &medians, &change);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &results.manifest).unwrap();
    for trial in &results.plan.trials {
        let mut record = sample::record(medians[trial.broker]);
        change(&mut record, trial.broker, trial.block);
        store.keep_trial(trial.number, 1, &record).unwrap();
    }
    let details = Details::read(store.folder(), &results).unwrap();
    let charts = Charts::of(&results, &details);
    (run(&results, &charts), results, charts)
}

/// What stands between two texts, the first time that both are there.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no {from}")) + from.len();
    let length = text[start..].find(to).unwrap_or_else(|| panic!("no {to}"));
    &text[start..start + length]
}

/// Text without its elements.
fn bare(markup: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in markup.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

/// The cells of each row of a table.
fn rows(table: &str) -> Vec<Vec<String>> {
    let rows = table.split("<tr").skip(1);
    let cells = |row: &str| -> Vec<String> {
        let row = row.replace("<th", "<td").replace("</th>", "</td>");
        let cells = row.split("<td").skip(1);
        cells
            .map(|cell| bare(&format!("<td{}", between(cell, "", "</td>"))))
            .collect()
    };
    rows.map(cells).collect()
}

#[test]
fn the_table_has_the_figures_that_are_printed() {
    let (page, results, _) = page(&["nats", "kafka", "pulsar"], 5, |record, broker, _| {
        if broker == 2 {
            record.audit.out_of_order = 3;
        }
    });
    let comparison = Comparison::of(&results);
    let printed = comparison.table();
    let section = between(&page, "<section id=\"comparison\"", "</section>");
    let shown = rows(section);
    let titles: Vec<&str> = printed.columns.iter().map(|it| it.title.as_str()).collect();
    assert_eq!(shown[0], titles);
    let of_brokers: Vec<&Vec<String>> = shown[1..]
        .iter()
        .filter(|row| row.len() == titles.len())
        .collect();
    assert_eq!(of_brokers.len(), 3);
    for (row, line) in of_brokers.iter().zip(&printed.rows) {
        let expected: Vec<String> = line
            .cells
            .iter()
            .map(|cell| cell.text.chars().chain(cell.mark).collect())
            .collect();
        assert_eq!(**row, expected);
    }
    for row in &printed.rows {
        for (note, _) in &row.notes {
            assert!(bare(section).contains(note.as_str()), "{note}");
        }
    }
}

#[test]
fn the_story_says_what_the_terminal_says() {
    let (page, results, _) = page(&["nats", "kafka", "pulsar"], 5, |record, broker, _| {
        if broker == 2 {
            record.audit.out_of_order = 3;
        }
    });
    let summary = bare(between(&page, "<section id=\"summary\"", "</section>"));
    let ahead = super::super::notes::ahead(&Comparison::of(&results)).unwrap();
    assert!(ahead.starts_with("nats has the lowest p99"), "{ahead}");
    assert!(summary.contains(&ahead), "{summary}");
    assert!(summary.contains("3 brokers, 15 trials: 10 ok and 5 broken-promise."));
    assert!(summary.contains("broken-promise: 3 messages came out of order"));
}

#[test]
fn where_nobody_is_ahead_it_says_why() {
    let lede = |labels: &[&str], change: &dyn Fn(&mut Record, usize, u32)| {
        let (page, ..) = page(labels, 5, change);
        bare(between(&page, "<p class=\"lede\">", "</p>"))
    };
    let same = |_: &mut Record, _: usize, _: u32| {};
    let alone = lede(&["nats"], &same);
    assert_eq!(alone, "nats: received/s 5,000, p99 293 µs.");
    let broken = lede(&["nats", "kafka"], &|record, _, _| {
        record.audit.out_of_order = 1;
    });
    assert_eq!(broken, "No broker has figures that may be compared.");
    let one = lede(&["nats", "kafka"], &|record, broker, _| {
        record.audit.out_of_order = broker as u64;
    });
    assert_eq!(
        one,
        "nats, the only broker with figures that may be compared: received/s 5,000, p99 293 µs."
    );
    let late = lede(&["nats", "kafka", "mqtt"], &|record, broker, _| {
        if broker > 0 {
            let lateness = record.latencies.get_mut(&Kind::Lateness).unwrap();
            for _ in 0..5_000 {
                lateness.record(0, 1_000_000);
            }
        }
    });
    assert_eq!(
        late,
        "Nobody is called ahead in p99: it is instrument-limited for kafka and mqtt."
    );
}

#[test]
fn the_audit_adds_up_over_all_trials() {
    let (page, ..) = page(&["nats", "kafka"], 3, |record, broker, _| {
        if broker == 1 {
            sample::lose(record, 7);
        }
    });
    let audit = rows(between(&page, "<section id=\"audit\"", "</section>"));
    let column = |title: &str| audit[0].iter().position(|it| it == title).unwrap();
    let cell = |row: usize, title: &str| audit[row][column(title)].as_str();
    assert_eq!(
        (
            cell(2, "sent"),
            cell(2, "received"),
            cell(2, "lost"),
            cell(1, "lost")
        ),
        ("300,000", "299,979", "21", "0")
    );
}

#[test]
fn nothing_that_a_name_or_a_reason_holds_becomes_markup() {
    let nasty = "</script><img src=x onerror=alert(1)>\"'&\u{202e}\nשלום";
    let medians = [1e5, 2e5];
    let mut plan = sample::plan(&[nasty, "nats"], 2);
    plan.scenario = nasty.to_owned();
    plan.description = nasty.to_owned();
    for broker in &mut plan.brokers {
        broker.title = nasty.to_owned();
        broker.how = nasty.to_owned();
        broker.offer.note = nasty.to_owned();
        broker
            .options
            .insert(nasty.to_owned(), serde_json::json!({ nasty: nasty }));
    }
    plan.thresholds = vec!["p99(end_to_end) < 1us".parse().unwrap()];
    let mut results = sample::run(plan, &medians, |record, broker, _| {
        record.notes.push(nasty.to_owned());
        record.reasons.insert(nasty.to_owned(), 3);
        record
            .server_facts
            .push((nasty.to_owned(), nasty.to_owned()));
        if broker == 1 {
            record.failure = Some(nasty.to_owned());
        }
    });
    results.manifest.scenario = nasty.to_owned();
    results.manifest.command.push(nasty.to_owned());
    results.scenario_text = format!("name: {nasty}\n# <!-- ]]> --></code></pre>{nasty}\n");
    results.provenance.host.cpu = nasty.to_owned();
    for broker in &mut results.provenance.brokers {
        broker.server_source = Some(nasty.to_owned());
        broker
            .server_settings
            .push((nasty.to_owned(), nasty.to_owned()));
    }
    results.thresholds = crate::stats::thresholds::judge(&results);
    let charts = Charts::of(&results, &Details::default());
    let page = run(&results, &charts);
    assert!(!page.contains("<img"), "an element");
    assert!(!page.contains('\u{202e}'), "turns the reading order");
    let opened = page.matches("<script").count();
    assert_eq!(opened, 3, "theme, values, and what draws them");
    assert_eq!(page.matches("</script>").count(), opened);
    assert!(page.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&quot;"));
    // What is copied is the scenario as it was, but for what would turn the reading order.
    let copied = between(&page, "<code id=\"scenario\">", "</code>");
    assert!(bare(copied).contains("# <!-- ]]> --></code></pre></script><img"));
}

#[test]
fn the_values_of_the_charts_come_back_as_they_were() {
    let (page, _, charts) = page(
        &["nats", "</script><b>", "kafka"],
        6,
        |record, broker, _| {
            if broker == 2 {
                sample::lose(record, 3_000);
            }
        },
    );
    let text = between(
        &page,
        "<script id=\"charts-data\" type=\"application/json\">",
        "</script>",
    );
    assert!(!text.contains('<'));
    let mut read: serde_json::Value = serde_json::from_str(text).unwrap();
    let together = read.as_object_mut().unwrap().remove("together");
    assert_eq!(together, Some(1.into()));
    assert_eq!(read, serde_json::to_value(&charts).unwrap());
    let frames = page.matches("data-chart=").count();
    assert_eq!(
        frames, 4,
        "percentiles, distribution, throughput, cost: one second is no course of time"
    );
}

#[test]
fn the_page_allows_itself_nothing_but_its_own_scripts() {
    let (page, ..) = page(&["nats", "kafka"], 2, |_, _, _| {});
    let policy = bare(between(
        &page,
        "http-equiv=\"Content-Security-Policy\" content=\"",
        "\"",
    ))
    .replace("&#39;", "'");
    let script = |nth: usize| {
        let mut all = page.match_indices("<script>");
        let (at, tag) = all.nth(nth).unwrap();
        between(&page[at + tag.len()..], "", "</script>").to_owned()
    };
    let style = between(&page, "<style>", "</style>");
    let (first, second) = (script(0), script(1));
    assert_eq!(
        policy,
        super::policy::policy(&[&first, &second], &[style]),
        "the hashes are those of what is in the page"
    );
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    // Nothing that a browser would ask a network for; the name of SVG is only a name.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http://", "https://", "src=", "<link", "@import", "url(//"] {
        assert!(!page.contains(word), "{word}");
    }
    // An attribute of style would be refused.
    assert!(!page.contains(" style=\""));
}

#[test]
fn a_large_run_stays_a_small_file() {
    let labels: Vec<String> = (0..12)
        .map(|i| format!("a broker with a long name, number {i}"))
        .collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let mut record = sample::record(1e5);
    let mut second = record.series[1].clone();
    second.cells = Cells::of(&sample::latency(1e5, 5_000));
    record.series.extend((2..=900u32).map(|i| Second {
        at: f64::from(i),
        ..second.clone()
    }));
    record.seconds = 900.0;
    let mut results = sample::begun(sample::plan(&labels, 10));
    let mut details = Details::default();
    for trial in results.plan.trials.clone() {
        results.add(Attempt::of(&record, &results.plan, &trial, 1));
        let attempt = results.attempts[results.attempts.len() - 1].clone();
        details.add(&results, &attempt, &record, true);
    }
    let page = run(&results, &Charts::of(&results, &details));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert_eq!(page.matches("data-chart=\"over-time-").count(), 12);
    assert_eq!(page.matches("data-chart=\"heat-").count(), 12);
}

#[test]
fn colours_of_text_stand_out_from_their_ground() {
    let luminance = |color: &str| {
        let digits = color.trim().trim_start_matches('#');
        let wide: String = match digits.len() {
            3 => digits.chars().flat_map(|c| [c, c]).collect(),
            _ => digits.to_owned(),
        };
        let channel = |at: usize| {
            let value = u8::from_str_radix(&wide[at..at + 2], 16).unwrap();
            let share = f64::from(value) / 255.0;
            match share <= 0.04045 {
                true => share / 12.92,
                false => ((share + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    };
    // WCAG 2.2, contrast ratio.
    let contrast = |a: &str, b: &str| {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    };
    let blocks: Vec<&str> = STYLE.split("--ground:").skip(1).collect();
    assert_eq!(blocks.len(), 4, "light, dark twice, paper");
    for block in blocks {
        let block = format!("--ground:{}", between(block, "", "}"));
        let color = |name: &str| between(&block, &format!("--{name}:"), ";").to_owned();
        for ground in ["ground", "raised"] {
            for text in ["ink", "dim", "link", "good", "bad", "warn"] {
                let found = contrast(&color(text), &color(ground));
                assert!(found >= 4.5, "{text} on {ground}: {found:.2} in {block}");
            }
        }
    }
}
