//! `cargo test --test boot`.
fn main() {}
