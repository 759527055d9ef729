//! A run while it goes, on the whole terminal: every broker, the trial that runs, what was said.
//!
//! A frame is a pure function of what is known and of the size. What does not fit is left out in this order:
//! columns from the right, empty lines, what was said, the seconds of the trial that runs, brokers far from it.

use anstyle::Style;

use super::under_way::{Current, State, Watched};
use crate::measure::progress::Phase;
use crate::measure::verdict::Outcome;
use crate::terminal::numbers::{self, counted, span};
use crate::terminal::progress::{bar, cut};
use crate::terminal::spark::sparkline;
use crate::terminal::style::{self, paint, width};

/// Labels are cut at so many columns, and at a quarter of the terminal's.
const LABEL: usize = 20;
/// Signs of trials; of more than these the number is shown.
const SIGNS: usize = 8;
/// Columns of a rate or a latency, and of a backlog.
const FIGURE: usize = 8;
const BACKLOG: usize = 7;
/// A row of bars has at least so many.
const BARS: usize = 8;
/// And at most so many.
const MOST_BARS: usize = 40;
/// Lines of what was said, at most.
const SAID: usize = 4;
/// Seconds differ by noise; the bars of a range smaller than half as much again look alike.
const RANGE: f64 = 0.405;
/// Others that take this share of the CPU are worth a look.
const NOTABLE: f64 = 0.02;
const PLAIN: Style = Style::new();

/// `▁▂▁▇`: p50 (0) or p99 (1) of the newest seconds.
fn bars(watched: &Watched, which: usize, most: usize) -> String {
    let skipped = watched.seconds.len().saturating_sub(most);
    let values = watched.seconds.iter().skip(skipped);
    let logs = values.map(|it| it.map(|two| (two[which].max(1) as f64).ln()));
    sparkline(&logs.collect::<Vec<_>>(), RANGE)
}

fn tone(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Ok => style::GOOD,
        Outcome::GeneratorLimited | Outcome::Saturated => style::WARN,
        Outcome::BrokenPromise | Outcome::Failed => style::BAD,
    }
}

/// A line that is cut where the terminal ends.
struct Line {
    text: String,
    free: usize,
    color: bool,
}

impl Line {
    /// One column stays free: a terminal that is full to its edge may break the line.
    fn new(columns: usize, color: bool) -> Line {
        Line {
            text: String::new(),
            free: columns.saturating_sub(1),
            color,
        }
    }

    fn push(&mut self, text: &str, tone: Style) {
        if self.free == 0 {
            return;
        }
        let fits = cut(text, self.free);
        // Nothing behind what is cut.
        self.free = match width(text) > self.free {
            true => 0,
            false => self.free - width(text),
        };
        self.text.push_str(&paint(&fits, tone, self.color));
    }

    fn of(columns: usize, color: bool, text: &str, tone: Style) -> String {
        let mut line = Line::new(columns, color);
        line.push(text, tone);
        line.text
    }
}

/// At most `rows` lines of less than `columns` columns.
pub(super) fn frame(
    state: &State,
    columns: usize,
    rows: usize,
    color: bool,
    is_quitting: bool,
) -> Vec<String> {
    let head = head(state, columns, color);
    // The foot and the heads always; then brokers; what is left over goes to the rest.
    let mut foot = vec![Line::of(columns, color, keys(is_quitting), style::DIM)];
    let mut free = rows.saturating_sub(head.len() + foot.len());
    let table = table(state, columns, color, free);
    free = free.saturating_sub(table.len());
    let mut detail = detail(state, columns, color);
    detail.truncate(free);
    free -= detail.len();
    let said = said(state, columns, color, free.min(SAID));
    free -= said.len();
    let mut lines = Vec::new();
    let parts = [head, table, detail, said];
    for (i, part) in parts.into_iter().filter(|it| !it.is_empty()).enumerate() {
        if i > 0 && free > 0 {
            lines.push(String::new());
            free -= 1;
        }
        lines.extend(part);
    }
    if free > 0 {
        lines.push(String::new());
        free -= 1;
    }
    if free > 0 {
        foot.insert(0, Line::of(columns, color, SIGNS_MEAN, style::DIM));
    }
    // The foot stays where it is, however much there is above it.
    let above = rows.saturating_sub(foot.len()).max(lines.len());
    lines.resize(above, String::new());
    lines.extend(foot);
    let excess = lines.len().saturating_sub(rows);
    lines.drain(..excess);
    lines
}

const SIGNS_MEAN: &str = "  ✓ ok   ! disturbed or limited   ✗ broken promise or failed   · to come";

fn keys(is_quitting: bool) -> &'static str {
    match is_quitting {
        true => "  ending: what was measured is kept   q again: at once",
        false => "  q or Ctrl-C: end the run and keep what was measured",
    }
}

/// What runs, how far it is, how long it will take.
fn head(state: &State, columns: usize, color: bool) -> Vec<String> {
    let brokers = counted(state.labels.len() as u64, "broker");
    let trials = counted(state.trials_each as u64, "trial");
    let mut first = Line::new(columns, color);
    first.push(&state.scenario, style::STRONG);
    let block = match &state.current {
        Some(current) => format!(
            " · block {} of {}",
            state.order[current.place].1, state.blocks
        ),
        None => String::new(),
    };
    first.push(&format!(" · {brokers} × {trials} each{block}"), PLAIN);
    let all = state.order.len();
    let left = format!("{} left", span(state.left(state.elapsed())));
    let counts = format!(" {} of {all} trials   {left}", state.over);
    let cells = columns.saturating_sub(4 + width(&counts)).clamp(4, 60);
    let within = state.current.as_ref().map_or(0.0, part_of_trial);
    let done = (state.over as f64 + within) / all.max(1) as f64;
    let mut second = Line::new(columns, color);
    second.push("  ", PLAIN);
    second.push(&bar(done, cells), PLAIN);
    second.push(&counts, PLAIN);
    vec![first.text, second.text]
}

/// How much of the trial that runs is over: of its measured part.
fn part_of_trial(current: &Current) -> f64 {
    match (current.progress.phase, current.progress.length) {
        (Phase::Measuring, Some(length)) if length > 0.0 => (now(current) / length).min(1.0),
        (Phase::Draining, _) => 1.0,
        _ => 0.0,
    }
}

/// Seconds since the phase began. Between two words of the worker time goes on.
fn now(current: &Current) -> f64 {
    let progress = &current.progress;
    let seconds = progress.elapsed + current.heard.elapsed().as_secs_f64();
    progress
        .length
        .map_or(seconds, |length| seconds.min(length.max(progress.elapsed)))
}

/// A line for each broker, as many as fit around the one that runs.
fn table(state: &State, columns: usize, color: bool, rows: usize) -> Vec<String> {
    let running = state.current.as_ref().map(|it| state.order[it.place].2);
    let label = state.labels.iter().map(|it| width(it)).max().unwrap_or(0);
    let label = label.clamp(6, (columns / 4).clamp(6, LABEL));
    let signs = match state.trials_each {
        few if few <= SIGNS => few.max(6),
        _ => 7,
    };
    // Mark, label, trials; then the figures; then what is left.
    let fixed = 2 + label + 2 + signs;
    let figures = 3 * FIGURE;
    let behind = 2 + BACKLOG + 2 + 14;
    let width_of_bars = columns.saturating_sub(1 + fixed + figures + behind + 2);
    let width_of_bars = width_of_bars.min(MOST_BARS);
    let mut lines = Vec::new();
    let mut line = Line::new(columns, color);
    let titles = format!(
        "  {}  {}",
        style::pad("broker", label),
        style::pad("trials", signs)
    );
    line.push(&titles, style::DIM);
    for title in ["rate/s", "p50", "p99"] {
        line.push(&format!("{title:>FIGURE$}"), style::DIM);
    }
    if width_of_bars >= BARS {
        line.push(
            &format!("  {}", style::pad("p99 by second", width_of_bars)),
            style::DIM,
        );
    }
    line.push(&format!("  {:>BACKLOG$}  so far", "backlog"), style::DIM);
    lines.push(line.text);
    let brokers = state.labels.len();
    let room = rows.saturating_sub(1).max(1);
    let shown = if brokers > room {
        room.saturating_sub(1).max(1)
    } else {
        brokers
    };
    let center = running.unwrap_or(0);
    let first = center
        .saturating_sub(shown / 2)
        .min(brokers - shown.min(brokers));
    for broker in first..(first + shown).min(brokers) {
        let watched = &state.watched[broker];
        let is_running = running == Some(broker);
        let mut line = Line::new(columns, color);
        let tone = if is_running { style::STRONG } else { PLAIN };
        line.push(if is_running { "▸ " } else { "  " }, tone);
        line.push(&style::pad(&cut(state.label(broker), label), label), tone);
        line.push("  ", PLAIN);
        trials(&mut line, state, watched, signs);
        let [rate, p50, p99] = watched.figures(is_running);
        let texts = [
            rate.map(numbers::rate),
            p50.map(numbers::time),
            p99.map(numbers::time),
        ];
        for text in texts {
            let text = text.unwrap_or_else(|| numbers::NONE.to_owned());
            let missing = FIGURE.saturating_sub(width(&text));
            line.push(&format!("{}{text}", " ".repeat(missing)), tone);
        }
        if width_of_bars >= BARS {
            let drawn = style::pad(&bars(watched, 1, width_of_bars), width_of_bars);
            let tone = if is_running { PLAIN } else { style::DIM };
            line.push(&format!("  {drawn}"), tone);
        }
        let backlog = match is_running {
            true => numbers::count(watched.backlog),
            false => String::new(),
        };
        line.push(&format!("  {backlog:>BACKLOG$}  "), tone);
        so_far(&mut line, state, watched, is_running);
        lines.push(line.text);
    }
    if shown < brokers {
        let more = format!("  … and {}", counted((brokers - shown) as u64, "broker"));
        lines.push(Line::of(columns, color, &more, style::DIM));
    }
    lines
}

/// A sign for each trial that is over, a dot for each to come; of many the number.
fn trials(line: &mut Line, state: &State, watched: &Watched, columns: usize) {
    let over = watched.ended.len();
    if state.trials_each > SIGNS {
        let text = format!("{over}/{}", state.trials_each);
        line.push(&style::pad(&text, columns), PLAIN);
        return;
    }
    for ended in &watched.ended {
        let sign = match ended.outcome {
            Outcome::Ok if ended.disturbed.is_some() => '!',
            Outcome::Ok => '✓',
            Outcome::GeneratorLimited | Outcome::Saturated => '!',
            Outcome::BrokenPromise | Outcome::Failed => '✗',
        };
        let tone = match ended.disturbed {
            Some(_) if ended.outcome == Outcome::Ok => style::WARN,
            _ => tone(ended.outcome),
        };
        line.push(&sign.to_string(), tone);
    }
    let to_come = "·".repeat(state.trials_each.saturating_sub(over));
    line.push(
        &style::pad(&to_come, columns.saturating_sub(over)),
        style::DIM,
    );
}

/// The verdict so far, or where the trial is before there is one.
fn so_far(line: &mut Line, state: &State, watched: &Watched, is_running: bool) {
    let phase = state.current.as_ref().filter(|_| is_running);
    match (watched.verdict(), phase) {
        (Some(outcome), _) => line.push(outcome.name(), tone(outcome)),
        (None, Some(current)) => line.push(current.progress.phase.name(), PLAIN),
        (None, None) => {}
    }
}

/// The trial that runs, second by second.
fn detail(state: &State, columns: usize, color: bool) -> Vec<String> {
    let Some(current) = &state.current else {
        return Vec::new();
    };
    let broker = state.order[current.place].2;
    let (progress, watched) = (&current.progress, &state.watched[broker]);
    let mut first = Line::new(columns, color);
    first.push("  ", PLAIN);
    first.push(state.label(broker), style::STRONG);
    let attempt = match current.attempt {
        1 => String::new(),
        more => format!(", attempt {more}"),
    };
    let seconds = now(current);
    let time = match progress.length.filter(|length| *length > 0.0) {
        Some(length) => format!(
            "  {}  {} of {}",
            bar(seconds / length, 15),
            span(seconds),
            span(length)
        ),
        None => format!("  {}", span(seconds)),
    };
    let text = format!(
        " · trial {} of {}{attempt} · {}{time}",
        current.place + 1,
        state.order.len(),
        progress.phase.name()
    );
    first.push(&text, PLAIN);
    let mut lines = vec![first.text];
    let [_, p50, p99] = watched.figures(true);
    for (which, name, value) in [(0, "p50", p50), (1, "p99", p99)] {
        let Some(value) = value else { continue };
        let text = numbers::time(value);
        let missing = 8_usize.saturating_sub(width(&text));
        let title = format!("    {name} {}{text}  ", " ".repeat(missing));
        let bars = bars(watched, which, columns.saturating_sub(1 + width(&title)));
        lines.push(Line::of(columns, color, &format!("{title}{bars}"), PLAIN));
    }
    if let Some(second) = &watched.last {
        let mut line = Line::new(columns, color);
        let text = format!(
            "    sent {}/s · received {}/s",
            numbers::rate(second.sent as f64),
            numbers::rate(second.received as f64)
        );
        line.push(&text, PLAIN);
        if let Some(waiting) = second.server_backlog {
            let text = format!(" · the broker holds {}", numbers::count(waiting));
            line.push(&text, PLAIN);
        }
        if watched.errors > 0 {
            let text = format!(" · {} failed", numbers::count(watched.errors));
            line.push(&text, style::BAD);
        }
        lines.push(line.text);
        let [publish, consume, brokers] = second.cores;
        let mut line = Line::new(columns, color);
        let text =
            format!("    cores: publish {publish:.1} · consume {consume:.1} · broker {brokers:.1}");
        line.push(&text, PLAIN);
        let others = (second.steal + second.foreign).max(0.0);
        let tone = if others >= NOTABLE {
            style::WARN
        } else {
            PLAIN
        };
        line.push(
            &format!(" · others {} of the CPU", numbers::percent(others)),
            tone,
        );
        lines.push(line.text);
    }
    lines
}

/// The newest of what was said.
fn said(state: &State, columns: usize, color: bool, most: usize) -> Vec<String> {
    let skipped = state.said.len().saturating_sub(most);
    let newest = state.said.iter().skip(skipped);
    let lines = newest.flat_map(|it| it.lines().next());
    let line = |text: &str| {
        let text = crate::terminal::diagnostic::printable(text);
        Line::of(columns, color, &format!("  {text}"), style::WARN)
    };
    lines.map(line).collect()
}
