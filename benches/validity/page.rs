//! docs/validity.md: one section for each experiment, each with when and on what it was made, so that one can
//! be made anew without the others.

use std::fmt::Write as _;

use mqbench::measure::host::Host;

use crate::Experiment;

const TITLE: &str = "# What the figures are worth";
const HEAD: &str = "`scripts/validity` makes this page. It puts mqbench beside something whose answer is known before, on \
    real servers, and writes down what came out: every figure is of the run that the last line of its section names, and none is \
    carried over by hand. `scripts/validity NAME…` makes single experiments anew. One during which others took \
    more than 2 % of the CPU is repeated, up to four times in all, by that sign alone. If a claim does not hold, the script fails.";

/// What came of an experiment.
#[derive(Default)]
pub struct Finding {
    /// Of a table in Markdown.
    pub head: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
    /// Sentences below the table.
    pub notes: Vec<String>,
    /// What contradicts the claim.
    pub wrong: Vec<String>,
    /// What could not be tried, and why.
    pub untried: Vec<String>,
}

impl Finding {
    pub fn new(head: &'static [&'static str]) -> Finding {
        Finding {
            head,
            ..Finding::default()
        }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// What must be so for the claim to hold.
    pub fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }

    /// In one word, for the list of all.
    pub fn verdict(&self) -> &'static str {
        match (self.wrong.is_empty(), self.untried.is_empty()) {
            (false, _) => "does not hold",
            (true, _) if self.rows.is_empty() => "not tried",
            (true, false) => "holds where it was tried",
            (true, true) => "holds",
        }
    }

    pub fn holds(&self) -> bool {
        self.wrong.is_empty() && !self.rows.is_empty()
    }
}

/// The section of an experiment. `made` says when, for how long, on what and with what.
pub fn section(experiment: &Experiment, finding: &Finding, made: &str) -> String {
    let mut text = format!(
        "## {}\n\n{}\n\n{}\n\n",
        experiment.title,
        wrapped(&format!("**Claim.** {}", experiment.claim)),
        wrapped(&format!("**Experiment.** {}", experiment.method))
    );
    if !finding.rows.is_empty() {
        let _ = writeln!(text, "| {} |", finding.head.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(finding.head.len()));
        for row in &finding.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text.push('\n');
    }
    for note in &finding.notes {
        let _ = writeln!(text, "{}\n", wrapped(note));
    }
    let mut verdict = format!("**Verdict:** {}.", finding.verdict());
    for (what, said) in [
        ("Against it", &finding.wrong),
        ("Not tried", &finding.untried),
    ] {
        if !said.is_empty() {
            let _ = write!(verdict, " {what}: {}.", said.join("; "));
        }
    }
    let _ = write!(text, "{}\n\n{}\n", wrapped(&verdict), wrapped(made));
    text
}

/// The page: of each experiment its new section, or the one that the page has.
pub fn page(before: &str, all: &[&Experiment], new: &[(&Experiment, String)]) -> String {
    let old: Vec<&str> = before.split("\n## ").skip(1).collect();
    let section_of = |experiment: &Experiment| {
        let mut made = new.iter().filter(|(it, _)| it.name == experiment.name);
        let kept = || {
            let mut kept = old.iter();
            let found = kept.find(|it| it.lines().next() == Some(experiment.title))?;
            Some(format!("## {}\n", found.trim_end()))
        };
        made.next().map(|(_, text)| text.clone()).or_else(kept)
    };
    let mut list = String::from("| `NAME` | claim | verdict |\n|---|---|---|\n");
    let mut sections = String::new();
    for experiment in all {
        let section = section_of(experiment);
        let verdict = section.as_deref().and_then(|text| {
            let (_, rest) = text.split_once("**Verdict:** ")?;
            let words: Vec<&str> = rest.split('.').next()?.split_whitespace().collect();
            Some(words.join(" "))
        });
        let _ = writeln!(
            list,
            "| [{}](#{}) | {} | {} |",
            experiment.name,
            anchor(experiment.title),
            experiment.claim,
            verdict.as_deref().unwrap_or("not tried yet")
        );
        if let Some(section) = section {
            let _ = write!(sections, "\n{section}");
        }
    }
    format!("{TITLE}\n\n{}\n\n{list}{sections}", wrapped(HEAD))
}

/// As a title becomes the target of a link.
fn anchor(title: &str) -> String {
    let title = title.to_lowercase();
    let kept = title
        .chars()
        .filter(|c| c.is_alphanumeric() || " -".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// On what everything here runs.
pub fn machine() -> String {
    let host = Host::read();
    let kind = match host.virtual_machine {
        true => " of a virtual machine",
        false => "",
    };
    format!("{} cores{kind} ({}), {}", host.cores, host.cpu, host.kernel)
}

/// Lines as the other pages have them.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 118;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("one at least");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= WIDTH {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}
