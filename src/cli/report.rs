//! `mqbench report`: the comparison again, from stored results.

use crate::report::text::View;
use crate::report::{files, render};
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
    let mut names = Vec::new();
    let mut shown = stored.folder.display().to_string();
    if let Some(to) = &command.output {
        let made = std::fs::create_dir_all(to)
            .map_err(|source| files::FilesError::Write {
                path: to.clone(),
                source,
            })
            .and_then(|()| files::write(&stored.folder, &stored.results, to));
        match made {
            Ok(made) => names = made,
            Err(error) => return output.fail(Exit::Usage, error),
        }
        shown = to.display().to_string();
    }
    if let Some(path) = &command.export_html {
        let written = files::page(&stored.folder, &stored.results, path);
        if let Err(error) = written {
            return output.fail(Exit::Usage, error);
        }
    }
    let view = View {
        width: output.width,
        color: output.color_out,
        folder: Some(&shown),
        files: &names,
    };
    output.print(&render(command.format.into(), &stored.results, &view))
}
