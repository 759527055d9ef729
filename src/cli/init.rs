//! `mqbench init`: a commented scenario to start from.

use std::fs::OpenOptions;
use std::io::{self, Write};

use crate::scenario::builtin;
use crate::stats::exit::Exit;

use super::args::Init;
use super::output::Output;

/// Writes the file; one that is there stays, unless told otherwise.
pub fn init(command: &Init, output: &Output) -> Exit {
    let text = match builtin::BUILTIN
        .iter()
        .find(|builtin| builtin.name == command.from)
    {
        Some(builtin) => builtin.text,
        None => {
            let names: Vec<&str> = builtin::BUILTIN
                .iter()
                .map(|builtin| builtin.name)
                .collect();
            let message = format!(
                "no built-in scenario `{}`\n   there are {}",
                command.from,
                names.join(", ")
            );
            return output.fail(Exit::Usage, message);
        }
    };
    // The schema lies beside the built-in scenarios; a file elsewhere is told how to get it.
    let text = text
        .lines()
        .filter(|line| !line.starts_with("# yaml-language-server"))
        .fold(String::new(), |text, line| text + line + "\n");
    let mut options = OpenOptions::new();
    options.write(true);
    if command.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let file = command.file.display();
    match options
        .open(&command.file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
    {
        Ok(()) => {
            output.remark(format_args!(
                "{file} is written; see what it would do with    mqbench check {file}\n\
                 for completion in an editor: mqbench schema > scenario.json"
            ));
            Exit::Done
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => output.fail(
            Exit::Usage,
            format!("{file} is there already\n   --force writes over it"),
        ),
        Err(error) => output.fail(Exit::Usage, format!("cannot write {file}: {error}")),
    }
}
