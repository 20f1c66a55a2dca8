//! `ci/bench suite`: what the suite takes with forks, and booting every machine.

fn main() {}
