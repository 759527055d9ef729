use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::scene::{Shape, WIDTH};
use super::*;
use crate::measure::cells::{Cells, bounds};
use crate::measure::latency::Kind;
use crate::measure::record::Record;
use crate::plan::Plan;
use crate::report::charts::ramp;
use crate::report::charts::tests::{charts, charts_of};
use crate::results::sample;
use crate::scenario::workload;

/// Labels of sixty letters that differ at their ends only, and such as are not Latin or hold markup.
fn labels(count: usize) -> Vec<String> {
    let awkward = [
        "</text><script>alert(1)</script> & \"quotes\", 'and', commas",
        "消息代理服务器一号集群、一个很长的名字用于测试图表布局",
        "Ζεύς-кластер-сообщений-с-очень-длинным-именем-для-проверки",
    ];
    let long = |i: usize| format!("a-cluster-whose-name-says-everything-about-it-and-more-{i:05}");
    (0..count)
        .map(|i| {
            awkward
                .get(i)
                .map_or_else(|| long(i), |it| (*it).to_owned())
        })
        .collect()
}

/// A run that has every chart, and brokers of every kind: valid, saturated, losing, failed.
fn run(labels: &[String], trials: u32) -> Charts {
    let names: Vec<&str> = labels.iter().map(String::as_str).collect();
    let mut plan = sample::plan(&names, trials);
    in_pairs(&mut plan);
    let (_, charts) = charts_of(plan, |broker, trial| {
        let mut record = seen(9e4 * 1.7f64.powi(broker as i32), broker, trial);
        match broker % 5 {
            2 => record.backlog_slope = Some(sample::slope()),
            3 => sample::lose(&mut record, 3_000),
            4 if trial > 1 => record.failure = Some("the connection was closed; ".repeat(40)),
            _ => {}
        }
        record
    });
    charts
}

/// Each two neighbours are the same system at two durabilities.
fn in_pairs(plan: &mut Plan) {
    for (i, broker) in plan.brokers.iter_mut().enumerate() {
        broker.driver = format!("system-{}", i / 2);
        broker.title = format!("{} {}", broker.label, i / 2);
        broker.offer.durability = match i % 2 {
            0 => workload::Durability::Memory,
            _ => workload::Durability::Fsync,
        };
    }
}

static RECORD: LazyLock<Record> = LazyLock::new(|| sample::record(1e5));

/// What a trial with several seconds saw, and few samples, so that many brokers are quickly made.
fn seen(median: f64, broker: usize, trial: u32) -> Record {
    let mut record = RECORD.clone();
    record.latencies.retain(|kind, _| *kind == Kind::Lateness);
    let samples = sample::latency(median, 6_000);
    record.latencies.insert(Kind::EndToEnd, samples);
    let median = median as u64;
    let mut second = record.series[1].clone();
    second.cells = Cells::of(&sample::latency(median as f64, 2_000));
    for i in 2..=20u32 {
        let mut second = second.clone();
        second.at = f64::from(i);
        let wave = 1 + u64::from((i * 7 + trial * 3) % 5);
        second.latency = Some([median, median * wave * 3, median * wave * 9]);
        second.steal = if (i + broker as u32) % 9 < 2 {
            0.2
        } else {
            0.0
        };
        record.series.push(second);
    }
    record
}

fn assert_legible(picture: &Picture, what: &str) {
    let scene = &picture.scene;
    let boxes: Vec<([f64; 4], &str)> = scene
        .texts()
        .map(|it| (it.bounds(), it.text.as_str()))
        .collect();
    assert!(boxes.len() > 5, "{what}: {boxes:?}");
    for ([left, top, right, bottom], text) in &boxes {
        let inside = *left >= 0.0 && *top >= 0.0 && *right <= WIDTH && *bottom <= scene.height;
        assert!(
            inside,
            "{what}, {}: `{text}` leaves the picture",
            picture.id
        );
    }
    for (i, (a, one)) in boxes.iter().enumerate() {
        for (b, other) in &boxes[i + 1..] {
            let apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
            assert!(
                apart,
                "{what}, {}: `{one}` and `{other}` overlap",
                picture.id
            );
        }
    }
    for shape in &scene.shapes {
        let points: Vec<(f64, f64)> = match shape {
            Shape::Rect([x, y, width, height], _) => vec![(*x, *y), (x + width, y + height)],
            Shape::Line { points, .. } | Shape::Area(points, _) => points.clone(),
            Shape::Text(_) => Vec::new(),
        };
        for (x, y) in points {
            let inside = (0.0..=WIDTH).contains(&x) && (0.0..=scene.height).contains(&y);
            assert!(inside, "{what}, {}: {shape:?}", picture.id);
        }
    }
}

#[test]
fn texts_neither_overlap_nor_leave_the_picture() {
    for count in 1..=12 {
        let pictures = pictures(&run(&labels(count), if count == 12 { 7 } else { 2 }));
        assert_eq!(pictures.len(), if count == 1 { 6 } else { 7 });
        for picture in &pictures {
            assert_legible(picture, &format!("{count} brokers"));
        }
    }
}

#[test]
fn a_sweep_is_legible_with_one_broker_and_with_twelve() {
    for (brokers, rates) in [(1, 2), (3, 8), (12, 5)] {
        let labels = labels(brokers);
        let names: Vec<&str> = labels.iter().map(String::as_str).collect();
        let rates: Vec<f64> = (0..rates).map(|i| 1_000.0 * 2.5f64.powi(i)).collect();
        let plan = sample::swept(sample::plan(&names, 1), &rates);
        let (_, charts) = charts_of(plan, |broker, trial| {
            let load = f64::from(trial / 100);
            let mut record = seen(9e4 * (1.0 + load) * 1.2f64.powi(broker as i32), broker, 1);
            if load > 2.0 && broker % 2 == 1 {
                record.backlog_slope = Some(sample::slope());
            }
            record
        });
        let chart = charts.load.as_ref().expect("a sweep");
        let scene = load::draw(chart, &charts.brokers);
        let picture = Picture::of(&chart.head, scene);
        assert_legible(&picture, &format!("{brokers} brokers"));
    }
}

#[test]
fn many_trials_stay_within_their_panels() {
    let pictures = pictures(&run(&labels(2), 150));
    for picture in &pictures {
        assert_legible(picture, "150 trials");
    }
}

#[test]
fn bars_are_as_long_as_their_values() {
    let plan = sample::plan(&["slow", "middle", "fast"], 1);
    let (_, charts) = charts(plan, &[1e5, 1e5, 1e5], |record, broker, _| {
        record.rates.received = [1_000.0, 2_500.0, 5_000.0][broker];
    });
    let chart = charts.throughput.as_ref().unwrap();
    let scene = bars::throughput(chart, &charts.brokers);
    let length = |broker: usize| {
        let ink = frame::ink(&charts.brokers[broker].look);
        let found = scene.shapes.iter().find_map(|shape| match shape {
            Shape::Rect([_, _, width, _], of) if *of == ink => Some(*width),
            _ => None,
        });
        found.expect("a bar")
    };
    assert!((length(0) / length(2) - 0.2).abs() < 1e-9);
    assert!((length(1) / length(2) - 0.5).abs() < 1e-9);
    let figures: Vec<&str> = scene.texts().map(|it| it.text.as_str()).collect();
    for figure in ["1,000/s", "2,500/s", "5,000/s"] {
        assert!(figures.contains(&figure), "{figures:?}");
    }
}

#[test]
fn every_known_percentile_is_written_and_stands_where_its_axis_says() {
    let plan = sample::plan(&["nats", "kafka"], 3);
    let (_, charts) = charts_of(plan, |broker, trial| {
        seen([1.1e5, 9.5e5][broker], broker, trial)
    });
    let chart = charts.percentiles.as_ref().unwrap();
    let scene = percentiles::draw(chart, &charts.brokers);
    let texts: Vec<&str> = scene.texts().map(|it| it.text.as_str()).collect();
    let mut lowest: BTreeMap<usize, f64> = BTreeMap::new();
    for dots in &chart.brokers {
        for (percentile, estimate) in dots.known() {
            let figure = percentile.text();
            let found = texts.iter().filter(|it| it.trim_end_matches('~') == figure);
            assert!(found.count() > 0, "{figure}: {texts:?}");
            lowest.entry(dots.broker).or_insert(estimate.median);
        }
    }
    // The circles of p50: their distance is that of the logarithms of what they stand for.
    let circle = |broker: usize| {
        let ink = frame::ink(&charts.brokers[broker].look);
        let centres = scene.shapes.iter().filter_map(|shape| match shape {
            Shape::Area(points, of) if *of == ink && points.len() > 8 => {
                let sum: f64 = points.iter().map(|it| it.0).sum();
                Some(sum / points.len() as f64)
            }
            _ => None,
        });
        centres.fold(0.0, f64::max)
    };
    let between = circle(1) - circle(0);
    let tick = |name: &str| scene.texts().find(|it| it.text == name).map(|it| it.x);
    let (Some(low), Some(high)) = (tick("100 µs"), tick("1 ms")) else {
        panic!("{texts:?}")
    };
    let expected = (lowest[&1] / lowest[&0]).log10() * (high - low);
    assert!(chart.axis.log);
    assert!(
        (between - expected).abs() < 0.01,
        "{between} and {expected}"
    );
}

/// One broker and one trial of so many seconds; p50 is 100 µs in each.
fn course(seconds: u32, p99: impl Fn(u32) -> u64) -> (Charts, Scene) {
    let (_, charts) = charts_of(sample::plan(&["nats"], 1), |_, _| {
        let mut record = seen(1e5, 0, 1);
        let second = record.series[1].clone();
        let second_at = |i: u32| {
            let mut second = second.clone();
            second.at = f64::from(i);
            second.latency = Some([100_000, p99(i), 9_000_000]);
            second
        };
        record.series = (1..=seconds).map(second_at).collect();
        record.seconds = f64::from(seconds);
        record
    });
    let chart = charts.over_time.as_ref().unwrap();
    let scene = over_time::draw(chart, &charts.brokers);
    (charts, scene)
}

/// The lines of this colour.
fn lines_of(scene: &Scene, ink: scene::Ink) -> Vec<Vec<(f64, f64)>> {
    let lines = scene.shapes.iter().filter_map(|shape| match shape {
        Shape::Line {
            points, ink: of, ..
        } if *of == ink => Some(points.clone()),
        _ => None,
    });
    lines.collect()
}

#[test]
fn a_course_stands_where_its_axis_says_and_interrupts_nothing() {
    let (charts, scene) = course(10, |i| 1_000_000 * u64::from(i));
    let lines = lines_of(&scene, frame::ink(&charts.brokers[0].look));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].len(), 10, "a point for each second");
    let tick = |name: &str| scene.texts().find(|it| it.text == name).map(|it| it.y);
    let (Some(low), Some(high)) = (tick("100 µs"), tick("1 ms")) else {
        panic!("no ticks")
    };
    // The base line of a number lies four pixels below what it names.
    assert!(lines[0].iter().all(|it| (it.1 - (low - 4.0)).abs() < 0.01));
    let p99 = lines_of(&scene, frame::ink(&charts.brokers[0].look).tint(0.55));
    let first = p99.concat()[0].1;
    assert!(
        (first - (high - 4.0)).abs() < 0.01,
        "1 ms in the first second"
    );
}

#[test]
fn a_long_course_is_drawn_by_medians_and_their_range() {
    let slow = |i: u32| if i == 300 { 80_000_000 } else { 1_000_000 };
    let (charts, scene) = course(2_000, slow);
    let ink = frame::ink(&charts.brokers[0].look);
    let p99 = lines_of(&scene, ink.tint(0.55)).concat();
    assert!((300..1_000).contains(&p99.len()), "{} points", p99.len());
    let level = p99[0].1;
    assert!(
        p99.iter().all(|it| it.1 == level),
        "one slow second is no median"
    );
    let top = scene.shapes.iter().filter_map(|shape| match shape {
        Shape::Area(points, of) if *of == ink.tint(0.55).tint(0.3) => {
            points.iter().map(|it| it.1).min_by(f64::total_cmp)
        }
        _ => None,
    });
    let top = top.fold(f64::INFINITY, f64::min);
    assert!(top < level - 50.0, "but it is seen: {top} above {level}");
}

#[test]
fn cells_stand_where_the_axes_say_in_the_colour_of_their_count() {
    // Ten seconds: 100 messages of 1 ms in each, and one of 10 ms in the fifth.
    let (_, charts) = charts_of(sample::plan(&["nats"], 1), |_, _| {
        let mut record = seen(1e5, 0, 1);
        let second = record.series[1].clone();
        let second_at = |i: u32| {
            let mut latency = crate::measure::latency::Latency::default();
            (0..100).for_each(|_| latency.record(0, 1_000_000));
            if i == 5 {
                latency.record(0, 10_000_000);
            }
            let mut second = second.clone();
            second.at = f64::from(i);
            second.cells = Cells::of(&latency);
            second
        };
        record.series = (1..=10).map(second_at).collect();
        record.seconds = 10.0;
        record
    });
    let chart = charts.heat.as_ref().unwrap();
    let scene = heat::draw(chart, &charts.brokers);
    let tick = |name: &str| {
        scene
            .texts()
            .find(|it| it.text == name)
            .map(|it| it.y - 4.0)
    };
    let (Some(low), Some(high)) = (tick("1 ms"), tick("10 ms")) else {
        panic!("no ticks")
    };
    let of = |step: usize| {
        let ink = scene::Ink::of(ramp::LIGHT[step]);
        // Below the legend, which has every colour, too.
        let all = scene.shapes.iter().filter_map(|shape| match shape {
            Shape::Rect(area, of) if *of == ink && area[1] > high - 40.0 => Some(*area),
            _ => None,
        });
        all.collect::<Vec<[f64; 4]>>()
    };
    let (common, rare) = (of(ramp::STEPS - 1), of(0));
    assert_eq!(
        (common.len(), rare.len()),
        (1, 1),
        "neighbours are one shape"
    );
    let ([left, top, width, height], rare) = (common[0], rare[0]);
    // A cell begins at its round value, and the axis goes up.
    assert!((top + height - low).abs() < 0.01, "{top} and {low}");
    assert!(
        (rare[1] + rare[3] - high).abs() < 0.01,
        "{rare:?} and {high}"
    );
    let [from, to] = bounds(60);
    let decade = low - high;
    assert!((height - decade * (to / from).log10()).abs() < 0.01);
    // The fifth of ten seconds, to the pixel.
    assert!(
        (rare[0] - left - 0.4 * width).abs() <= 1.0,
        "{rare:?} in {left}, {width}"
    );
    assert!((rare[2] - 0.1 * width).abs() <= 1.0);
    // No other colour occurs.
    assert!((1..ramp::STEPS - 1).all(|step| of(step).is_empty()));
}

#[test]
fn no_cell_of_many_trials_is_too_thin_to_be_seen() {
    let (_, charts) = charts_of(sample::plan(&["nats"], 600), |_, trial| {
        let mut record = seen(1e5, 0, trial);
        record.latencies.clear();
        record
    });
    let chart = charts.heat.as_ref().unwrap();
    let scene = heat::draw(chart, &charts.brokers);
    let colours = ramp::LIGHT.map(scene::Ink::of);
    let cells = scene.shapes.iter().filter_map(|shape| match shape {
        Shape::Rect([_, _, width, _], ink) if colours.contains(ink) => Some(*width),
        _ => None,
    });
    let cells: Vec<f64> = cells.collect();
    assert!(cells.len() > 600 && cells.iter().all(|width| *width >= 1.0));
}

#[test]
fn what_is_not_valid_is_drawn_hollow_and_said() {
    let charts = run(&labels(3), 2);
    assert!(!charts.brokers[2].is_ok());
    let chart = charts.throughput.as_ref().unwrap();
    let scene = bars::throughput(chart, &charts.brokers);
    let filled = |broker: usize| {
        let ink = frame::ink(&charts.brokers[broker].look);
        let is_bar = |shape: &&Shape| matches!(shape, Shape::Rect(_, of) if *of == ink);
        scene.shapes.iter().filter(is_bar).count()
    };
    assert_eq!([filled(0), filled(1), filled(2)], [1, 1, 0]);
    let said = |text: &str| scene.texts().any(|it| it.text.contains(text));
    assert!(
        said("⚠ Ζεύς") && said("saturated"),
        "{:?}",
        chart.head.notes
    );
}

#[test]
fn a_name_that_cannot_be_shown_has_its_number() {
    let charts = run(&labels(3), 1);
    let names = frame::names(&charts.brokers);
    assert!(names[1].starts_with("#2 消息"), "{}", names[1]);
    assert!(names[2].starts_with("Ζεύς"), "{}", names[2]);
}

#[test]
fn pictures_are_files_of_their_formats() {
    let all = pictures(&run(&labels(2), 2));
    for picture in &all {
        let file = picture.png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file))
            .read_info()
            .unwrap();
        assert_eq!(reader.info().width, 1_920);
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(&pixels[..3], [255; 3], "the ground is white");
        let dark = pixels
            .chunks(3)
            .filter(|it| it.iter().all(|part| *part < 128))
            .count();
        assert!(dark > 1_000, "{}: {dark} pixels of ink", picture.id);

        let svg = picture.svg().unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("<script") && !svg.contains("NaN") && !svg.contains("inf"));
        let texts = picture.scene.texts().count();
        assert_eq!(svg.matches("<text ").count(), texts);
        assert_eq!(svg.matches("</text>").count(), texts, "no name ends a text");
        assert!(svg.contains("<title>") && svg.contains("&lt;/text&gt;"));
    }
}

#[test]
fn a_rectangle_covers_what_it_is_said_to() {
    let mut scene = Scene {
        height: 20.0,
        ..Scene::default()
    };
    scene.rect([2.0, 3.0, 4.0, 5.0], scene::TEXT);
    scene.rect([6.0, 3.0, 0.4, 5.0], scene::TEXT);
    let file = paint::png(&scene).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(&file))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let dark = pixels.chunks(3).enumerate().filter(|(_, it)| it[0] < 128);
    let at: Vec<(usize, usize)> = dark.map(|(i, _)| (i % 1_920, i / 1_920)).collect();
    let across: Vec<usize> = at.iter().map(|it| it.0).collect();
    assert_eq!(
        (across.iter().min(), across.iter().max()),
        (Some(&4), Some(&12))
    );
    assert_eq!(
        at.len(),
        (8 + 1) * 10,
        "no seam, and a thin one is not lost"
    );
}
