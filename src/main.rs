//! The program: a few lines over the library.

fn main() -> std::process::ExitCode {
    if std::env::args().nth(1).as_deref() == Some("__worker") {
        return match mqbench::processes::worker::main() {
            Ok(()) => 0.into(),
            Err(_) => 3.into(),
        };
    }
    2.into()
}
