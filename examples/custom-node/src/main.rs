//! `glad-run` with one more node kind.

fn main() -> std::process::ExitCode {
    glad::cli::main(custom_node::registry())
}
