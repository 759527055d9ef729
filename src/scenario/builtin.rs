//! The scenarios that are in the binary.

use super::suggest::nearest;
use crate::terminal::diagnostic::Diagnostic;

/// A scenario that needs no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// As the command line names it.
    pub name: &'static str,
    /// Its YAML.
    pub text: &'static str,
}

macro_rules! builtin {
    ($($name:literal),+ $(,)?) => {
        /// All of them.
        pub const BUILTIN: &[Builtin] = &[$(Builtin {
            name: $name,
            text: include_str!(concat!("../../scenarios/", $name, ".yaml")),
        }),+];
    };
}

builtin!(
    "latency",
    "throughput",
    "durability",
    "fan-out",
    "large-messages",
    "many-connections",
    "soak",
    "sweep",
    "capacity",
    "ten-thousand",
    "documents",
    "loopback"
);

impl Builtin {
    /// The sentence after `description:`.
    pub fn description(&self) -> &'static str {
        self.text
            .lines()
            .find_map(|line| line.strip_prefix("description:"))
            .unwrap_or_default()
            .trim()
    }
}

/// The name and text of a scenario given as a file or as the name of a built-in one. A file wins.
pub fn find(reference: &str) -> Result<(String, String), Diagnostic> {
    let path = std::path::Path::new(reference);
    if !path.is_file()
        && let Some(builtin) = BUILTIN.iter().find(|builtin| builtin.name == reference)
    {
        let name = format!("{reference} (built in)");
        return Ok((name, builtin.text.to_owned()));
    }
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok((reference.to_owned(), text)),
            Err(error) => Err(Diagnostic::error(format!("{reference} is not text"))
                .note(error.utf8_error().to_string())
                .help("a scenario is YAML in UTF-8")),
        },
        Err(error) => {
            let names = BUILTIN.iter().map(|builtin| builtin.name);
            let listed: Vec<&str> = names.clone().collect();
            let mut diagnostic = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    Diagnostic::error(format!("no scenario `{reference}`"))
                        .note("there is no such file, and none of that name is built in")
                }
                _ => Diagnostic::error(format!("cannot read {reference}: {error}")),
            };
            if let Some(near) = nearest(reference, names) {
                diagnostic = diagnostic.note(format!("did you mean `{near}`?"));
            }
            Err(diagnostic.help(format!("built in: {}", listed.join(", "))))
        }
    }
}
