//! The program: a line over the library.

fn main() -> std::process::ExitCode {
    mqbench::cli::main(std::env::args_os())
}
