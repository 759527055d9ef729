//! `mqbench report`: the comparison again, from stored results.

use crate::report::files::{self, FilesError, Made};
use crate::report::render;
use crate::report::text::View;
use crate::results::Stored;
use crate::stats::exit::Exit;

use super::args::Report;
use super::output::Output;

/// Prints the comparison, and makes the files again where asked.
pub fn report(command: &Report, output: &Output) -> Exit {
    let stored = match Stored::open(&command.result) {
        Ok(stored) => stored,
        Err(error) => return output.fail(Exit::Usage, error),
    };
    let made = match make(command, &stored) {
        Ok(made) => made,
        Err(error) => return output.fail(Exit::Usage, error),
    };
    let shown = command.output.as_deref().unwrap_or(&stored.folder);
    let shown = shown.display().to_string();
    let view = View {
        width: output.width,
        color: output.color_out,
        folder: Some(&shown),
        files: &made.names,
    };
    output.print(&render(command.format.into(), &stored.results, &view))
}

/// Makes the files that are wanted.
fn make(command: &Report, stored: &Stored) -> Result<Made, FilesError> {
    let made = match &command.output {
        Some(to) => {
            let folder = std::fs::create_dir_all(to);
            folder.map_err(|source| FilesError::Write {
                path: to.clone(),
                source,
            })?;
            let mut made = files::write(&stored.folder, &stored.results, to)?;
            made.draw(to)?;
            made
        }
        None if command.export_html.is_some() || command.pictures.wanted().next().is_some() => {
            Made::read(&stored.folder, &stored.results)?
        }
        None => Made::default(),
    };
    if let Some(path) = &command.export_html {
        made.export_page(path)?;
    }
    for (folder, format) in command.pictures.wanted() {
        made.export(folder, format)?;
    }
    Ok(made)
}
