//! The command `glad-run`.

fn main() -> std::process::ExitCode {
    glad::cli::main(glad::nodes::registry())
}
