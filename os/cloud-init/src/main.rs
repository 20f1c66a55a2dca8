//! cloud-init
fn main() {}
