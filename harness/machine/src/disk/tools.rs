//! The programs that tests of this folder need.

use base::command;

/// Fails the test if a program is not installed.
pub(super) fn require(program: &str) {
    let found = command::find(program);
    assert!(
        found.is_some(),
        "`{program}` is not installed; hint: run `ci/setup tests`"
    );
}
