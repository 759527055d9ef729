//! `mqbench up`, `down` and `status`: local brokers that stay for the next runs.

use std::sync::Arc;

use crate::processes::kept::{Health, Shelf, Status};
use crate::processes::reaper::Reaper;
use crate::servers::{self, Keeper, Order, Server};
use crate::stats::exit::Exit;
use crate::terminal::style;

use super::args::Servers;
use super::output::Output;

/// Starts those that are not running yet.
pub fn up(command: &Servers, output: &Output) -> Exit {
    let wanted = match named(&command.names) {
        Ok(wanted) => wanted,
        Err(error) => return output.fail(Exit::Usage, error),
    };
    let shelf = match Shelf::of_user() {
        Ok(shelf) => shelf,
        Err(error) => return output.fail(Exit::Usage, error),
    };
    let reaper = match Reaper::start() {
        Ok(reaper) => reaper,
        Err(error) => {
            return output.fail(Exit::Failed, format!("cannot watch over servers: {error}"));
        }
    };
    let keeper: Arc<dyn Keeper> = Arc::new(reaper);
    let mut exit = Exit::Done;
    for server in wanted {
        let order = Order {
            server,
            program: None,
            config: servers::Config::new(),
            within: std::env::temp_dir(),
            bounds: Default::default(),
        };
        // Interrupted, this process ends, and its reaper with it what fetches.
        let fetched = servers::fetch(&order, &keeper, &mut |words| output.remark(words), &|| {
            false
        });
        if let Err(error) = fetched {
            exit = output.fail(Exit::Failed, error);
            continue;
        }
        match shelf.up(order, &keeper) {
            Ok((kept, started)) => {
                let record = &kept.record;
                let how = if started { "started" } else { "runs already" };
                let line = format!(
                    "{} {} {how}: {}\n",
                    server.about().title,
                    record.version,
                    record.url
                );
                output.print(&line);
            }
            Err(error) => exit = output.fail(Exit::Failed, error),
        }
    }
    exit
}

/// Ends those that `up` started.
pub fn down(command: &Servers, output: &Output) -> Exit {
    if let Err(error) = named(&command.names) {
        return output.fail(Exit::Usage, error);
    }
    let ended = match Shelf::of_user().and_then(|shelf| shelf.down(&command.names)) {
        Ok(ended) => ended,
        Err(error) => return output.fail(Exit::Failed, error),
    };
    if ended.is_empty() && command.names.is_empty() {
        output.remark("no broker was kept running");
    }
    for name in &command.names {
        if !ended.iter().any(|kept| kept.record.server == *name) {
            output.remark(format!("no {name} was kept running"));
        }
    }
    let lines = ended
        .iter()
        .map(|kept| format!("{} ended\n", kept.record.server));
    output.print(&lines.collect::<String>())
}

/// Shows those that are kept.
pub fn status(output: &Output) -> Exit {
    match Shelf::of_user().and_then(|shelf| shelf.status()) {
        Ok(rows) if rows.is_empty() => {
            output.remark("no broker is kept running; `mqbench up` starts them");
            Exit::Done
        }
        Ok(rows) => output.print(&table(&rows)),
        Err(error) => output.fail(Exit::Failed, error),
    }
}

fn table(rows: &[Status]) -> String {
    let head = ["broker", "version", "process", "up for", "state", "url"].map(str::to_owned);
    let mut lines = vec![head];
    for row in rows {
        let record = &row.kept.record;
        lines.push([
            record.server.clone(),
            record.version.clone(),
            row.kept.pid().to_string(),
            uptime(row.uptime.as_secs()),
            match &row.health {
                Health::Answers => "answers".to_owned(),
                Health::Suspended => "suspended by a run".to_owned(),
                Health::Silent(why) => format!("does not answer: {why}"),
                Health::Gone => "gone".to_owned(),
            },
            record.url.clone(),
        ]);
    }
    let wide = |column: usize| {
        lines
            .iter()
            .map(|line| style::width(&line[column]))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(wide).collect();
    let cells = |line: &[String; 6]| {
        let padded = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| style::pad(cell, *width));
        format!("  {}\n", padded.collect::<Vec<_>>().join("   ").trim_end())
    };
    lines.iter().map(cells).collect()
}

fn uptime(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The servers of these names; all of them without names.
fn named(names: &[String]) -> Result<Vec<&'static dyn Server>, servers::Error> {
    if names.is_empty() {
        return Ok(servers::REGISTRY.to_vec());
    }
    names.iter().map(|name| servers::named(name)).collect()
}
