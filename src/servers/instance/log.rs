//! The end of a log, where the reason of a failure stands.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of a log is read to find the reason in it.
pub const LOG_BYTES: u64 = 64 * 1024;
/// How many lines of it are shown.
const LOG_LINES: usize = 12;

/// The last `bytes` of a file, as far as they are text.
pub fn end_of(path: &Path, bytes: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut text = Vec::new();
        file.take(bytes).read_to_end(&mut text)?;
        Ok(text)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// The last lines of a text.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_lines_that_say_something() {
        let text: String = (0..20).map(|i| format!("line {i}\n\n")).collect();
        let tail = tail(&text);
        assert!(
            tail.starts_with("line 8\n") && tail.ends_with("line 19"),
            "{tail}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "0123456789").unwrap();
        assert_eq!(end_of(file.path(), 4), "6789");
        assert_eq!(end_of(Path::new("/nonexistent"), 4), "");
    }
}
