//! The commands that only say what there is: `list`, `drivers`, `schema`, `completions`, `man`.

use clap::CommandFactory;

use crate::drivers::descriptor::{Descriptor, OptionKind, Order, Side};
use crate::drivers::{self};
use crate::plan::schema as schemas;
use crate::scenario::builtin::BUILTIN;
use crate::scenario::suggest::nearest;
use crate::servers;
use crate::stats::exit::Exit;
use crate::terminal::style::{self, DIM, STRONG, pad, paint, wrap};

use super::args::{Cli, Completions, Drivers};
use super::output::Output;

/// Columns where the output is no terminal.
const COLUMNS: usize = 100;

/// The built-in scenarios.
pub fn list(output: &Output) -> Exit {
    let wide = BUILTIN
        .iter()
        .map(|builtin| builtin.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for builtin in BUILTIN {
        let name = paint(&pad(builtin.name, wide), STRONG, output.color_out);
        let columns = output
            .width
            .unwrap_or(COLUMNS)
            .saturating_sub(wide + 5)
            .max(20);
        for (number, line) in wrap(builtin.description(), columns).iter().enumerate() {
            let front = if number == 0 {
                name.clone()
            } else {
                " ".repeat(wide)
            };
            text.push_str(&format!("  {front}   {line}\n"));
        }
    }
    text.push_str(
        "\nrun one with    mqbench run NAME\nread one with   mqbench init FILE --from NAME\n",
    );
    output.print(&text)
}

/// All drivers briefly, or one whole.
pub fn drivers(command: &Drivers, output: &Output) -> Exit {
    let Some(name) = &command.name else {
        return output.print(&brief(output));
    };
    match drivers::find(name) {
        Some(driver) => output.print(&whole(driver.descriptor(), output)),
        None => {
            let names = || drivers::descriptors().map(|driver| driver.name);
            let near = nearest(name, names()).map(|near| format!("\n   did you mean `{near}`?"));
            let known: Vec<&str> = names().collect();
            let message = format!(
                "no driver `{name}`{}\n   there are {}",
                near.unwrap_or_default(),
                known.join(", ")
            );
            output.fail(Exit::Usage, message)
        }
    }
}

fn word<T: serde::Serialize>(value: T) -> String {
    // Serialises to the word that a scenario uses; these enums have no other form.
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Each once, in order.
fn distinct(words: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for word in words {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    seen.join(", ")
}

fn brief(output: &Output) -> String {
    let rows: Vec<[String; 4]> = drivers::descriptors()
        .map(|driver| {
            let offers = distinct(driver.offers.iter().map(|offer| word(offer.delivery)));
            let durabilities = distinct(driver.offers.iter().map(|offer| word(offer.durability)));
            let patterns: Vec<String> = driver.patterns.iter().map(|p| word(p.pattern)).collect();
            [
                driver.name.to_owned(),
                offers,
                durabilities,
                patterns.join(", "),
            ]
        })
        .collect();
    let head = ["driver", "delivery", "durability", "patterns"].map(str::to_owned);
    let lines = || std::iter::once(&head).chain(&rows);
    let wide: Vec<usize> = (0..4)
        .map(|column| {
            lines()
                .map(|line| style::width(&line[column]))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (number, line) in lines().enumerate() {
        let cells = line.iter().zip(&wide).map(|(cell, wide)| pad(cell, *wide));
        let line = cells.collect::<Vec<_>>().join("   ");
        let look = if number == 0 {
            DIM
        } else {
            anstyle::Style::new()
        };
        text.push_str(&format!(
            "  {}\n",
            paint(line.trim_end(), look, output.color_out)
        ));
    }
    for driver in drivers::REGISTRY {
        let Some(why) = driver.left_out() else {
            continue;
        };
        let columns = output.width.unwrap_or(COLUMNS).max(60);
        text.push('\n');
        for line in wrap(&format!("{}: {why}", driver.descriptor().name), columns) {
            text.push_str(&format!("{line}\n"));
        }
    }
    text.push_str("\nall about one with    mqbench drivers NAME\n");
    text
}

fn whole(driver: &Descriptor, output: &Output) -> String {
    let columns = output.width.unwrap_or(COLUMNS).max(60);
    let color = output.color_out;
    let mut text = format!("{} ({})\n", paint(driver.title, STRONG, color), driver.name);
    let mut paragraph = |indent: usize, words: &str| {
        for line in wrap(words, columns - indent) {
            text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
        }
    };
    paragraph(2, driver.about);
    paragraph(2, &format!("client: {}", driver.client));
    if let Some(server) = driver.server {
        paragraph(2, &format!("managed server: {server}"));
        if let Ok(server) = servers::named(server) {
            let settings = server.about().settings.iter();
            let named = settings.filter(|it| it.is_for_scenarios());
            let named = named.map(|it| match it.default {
                Some(default) => format!("{}={default}", it.key),
                None => it.key.to_owned(),
            });
            let named: Vec<String> = named.collect();
            paragraph(
                4,
                &format!("settings that a scenario may change: {}", named.join(", ")),
            );
        }
    }
    if !driver.schemes.is_empty() {
        let urls: Vec<String> = driver
            .schemes
            .iter()
            .map(|scheme| format!("{scheme}://…"))
            .collect();
        let honoured = if driver.security.is_empty() {
            String::new()
        } else {
            format!("; honours {}", driver.security.join(", "))
        };
        paragraph(2, &format!("your own: url {}{honoured}", urls.join(" or ")));
    }
    paragraph(0, &format!("\n{}", paint("Patterns", STRONG, color)));
    for pattern in driver.patterns {
        let shared = if pattern.shared {
            ""
        } else {
            "; one consumer of a group for each destination"
        };
        paragraph(
            2,
            &format!("{}: {}{shared}", word(pattern.pattern), pattern.how),
        );
    }
    paragraph(
        0,
        &paint(
            "Offers, the weakest that satisfies a scenario is taken",
            STRONG,
            color,
        ),
    );
    for offer in driver.offers {
        let acks = if offer.acks {
            "publishers get acknowledgements"
        } else {
            "no acknowledgements to publishers"
        };
        let order = match offer.order {
            Order::None => "no order",
            Order::PerPublisher => "order of each publisher",
            Order::PerKey => "order of each key",
        };
        paragraph(
            2,
            &format!(
                "{}, {}: {acks}; {order}",
                word(offer.delivery),
                word(offer.durability)
            ),
        );
        for setting in offer.settings {
            let side = match setting.side {
                Side::Publisher => "publisher",
                Side::Consumer => "consumer",
                Side::Server => "server",
            };
            paragraph(
                6,
                &format!("{} {} = {}", pad(side, 9), setting.key, setting.value),
            );
        }
        if !offer.note.is_empty() {
            paragraph(6, offer.note);
        }
    }
    if !driver.options.is_empty() {
        paragraph(0, &paint("Options", STRONG, color));
        for option in driver.options {
            let default = option
                .default
                .map_or(String::new(), |default| format!(", default {default}"));
            paragraph(
                2,
                &format!("{}: {}{default}", option.name, takes(option.kind)),
            );
            paragraph(6, option.about);
        }
    }
    text
}

fn takes(kind: OptionKind) -> String {
    match kind {
        OptionKind::Choice(words) => words.join(" | "),
        OptionKind::Count(least, u64::MAX) => format!("a whole number from {least}"),
        OptionKind::Count(least, most) => format!("a whole number from {least} to {most}"),
        OptionKind::Time => "a time, 5ms".to_owned(),
        OptionKind::Size => "a size, 64KiB".to_owned(),
        OptionKind::Fraction => "a share, 1%".to_owned(),
        OptionKind::Flag => "true | false".to_owned(),
        OptionKind::Text => "text".to_owned(),
        OptionKind::Stall => "{at: 3s, for: 1s}".to_owned(),
    }
}

/// The JSON schema of scenarios.
pub fn schema(output: &Output) -> Exit {
    let drivers: Vec<&Descriptor> = drivers::descriptors().collect();
    output.print(&schemas::schema_text(&drivers))
}

/// A completion script.
pub fn completions(command: &Completions, output: &Output) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "mqbench", &mut script);
    output.print(&String::from_utf8_lossy(&script))
}

/// The manual page.
pub fn man(output: &Output) -> Exit {
    let mut page = Vec::new();
    match clap_mangen::Man::new(Cli::command()).render(&mut page) {
        Ok(()) => output.print(&String::from_utf8_lossy(&page)),
        Err(error) => output.fail(Exit::Failed, error),
    }
}
