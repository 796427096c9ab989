//! The command `glad-run`.
fn main() {}
