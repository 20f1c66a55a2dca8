//! Waits until a booted machine can be used.

use crate::session::{BOOT, Deadline, LOGIN, Session, StepFailure, scaled};
use crate::steps;
use machine::{Engine, KeyPair, Login, Machine, MachineError};
use scenario::step::WaitForStep;

/// Waits until a started machine fulfils `wanted`, or has booted.
pub(super) async fn booted(
    machine: &Machine,
    wanted: Option<&WaitForStep>,
    session: &mut Session<'_>,
) -> Result<(), StepFailure> {
    let limit = scaled(BOOT);
    let Some(wanted) = wanted else {
        return Ok(machine.wait_ready(limit).await?);
    };
    let limit = Deadline::within(limit);
    let wait = async { Ok(steps::wait_for::perform(wanted, session, &limit).await) };
    machine.fail_fast(wait).await?
}

/// Waits until an SSH login succeeds. With `engines`, and if the guest reports boot events, also until both
/// Docker engines answer.
pub(super) async fn accepts_login(
    machine: &Machine,
    keys: &KeyPair,
    engines: bool,
) -> Result<(), MachineError> {
    let login = Login::Key {
        user: machine::RANCHEROS.user.into(),
        private_key: keys.private.clone(),
    };
    let ssh = machine.ssh(&login, scaled(LOGIN)).await?;
    if !engines || machine.boot_events().is_empty() {
        return Ok(());
    }
    for engine in [Engine::System, Engine::User] {
        let docker = machine.docker(&ssh, engine).await?;
        let answered = docker.ping().await;
        answered.map_err(|error| MachineError::Docker(format!("{engine:?} docker: {error}")))?;
    }
    Ok(())
}
