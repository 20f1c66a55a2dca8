//! rancherctl
fn main() {}
