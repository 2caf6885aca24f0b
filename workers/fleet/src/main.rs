//! The `erasure` binary.
fn main() {}
