//! What was typed: one file per command. Flags become what is meant; nothing is measured here.

mod again;
mod args;
mod calibrate;
mod check;
mod compare;
mod describe;
mod history;
mod init;
mod interleave;
mod output;
mod report;
mod run;
mod servers;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::processes::{child, reaper, supervisor, worker};
use crate::servers::rumqttd;
use crate::stats::exit::Exit;
use args::{Cli, Command};
use output::Output;

/// Runs the program with these arguments, the program's own name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = hidden(&args) {
        return code;
    }
    let matches = match Cli::command().try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(error) => {
            // Help that was asked for goes to standard output; a closed pipe there is no failure.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.code().into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return Exit::Usage.code().into();
        }
    };
    let output = Output::new(&cli.common);
    let exit = match cli.command {
        None => {
            let help = Cli::command().render_help();
            output.print(&if output.color_out {
                help.ansi().to_string()
            } else {
                help.to_string()
            })
        }
        Some(Command::Run(command)) => run::run(&command, &args, &output),
        Some(Command::Report(command)) => report::report(&command, &output),
        Some(Command::Compare(command)) => compare::compare(&command, &output),
        Some(Command::Gate(command)) => compare::gate(&command, &output),
        Some(Command::Calibrate(command)) => calibrate::calibrate(&command, &args, &output),
        Some(Command::History(command)) => history::history(&command, &output),
        Some(Command::Check(command)) => check::check(&command, &output),
        Some(Command::List) => describe::list(&output),
        Some(Command::Drivers(command)) => describe::drivers(&command, &output),
        Some(Command::Init(command)) => init::init(&command, &output),
        Some(Command::Schema) => describe::schema(&output),
        Some(Command::Up(command)) => servers::up(&command, &output),
        Some(Command::Down(command)) => servers::down(&command, &output),
        Some(Command::Status) => servers::status(&output),
        Some(Command::Completions(command)) => describe::completions(&command, &output),
        Some(Command::Man) => describe::man(&output),
    };
    exit.code().into()
}

/// The commands by which the program starts more of itself; they are nobody else's business.
fn hidden(args: &[OsString]) -> Option<ExitCode> {
    let command = args.get(1)?.to_str()?;
    let code = match command {
        reaper::REAPER => reaper::main(),
        child::LAUNCH => child::main(args.iter().skip(2).cloned()),
        rumqttd::COMMAND => rumqttd::main(args.iter().skip(2).cloned()),
        supervisor::WORKER => i32::from(worker::main().is_err()),
        _ => return None,
    };
    Some(ExitCode::from(code as u8))
}
