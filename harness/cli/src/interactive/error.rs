//! Errors of this module as errors of the machine.

use machine::MachineError;

use crate::runtime;

pub(super) fn other(text: impl ToString) -> MachineError {
    MachineError::Other(text.to_string())
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, MachineError> {
    runtime::new().map_err(other)
}
