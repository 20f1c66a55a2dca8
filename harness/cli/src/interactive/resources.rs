//! What the machines of `harness run` need of this host: all of it is reserved before one of them starts.

use std::io;

use super::running::RunningMachine;
use super::{RunOptions, other};
use host::admission::{AdmissionQueue, Admitted, Host, ResourceRequest};
use host::port::ReservedPort;
use machine::MachineError;

/// Reserves the ports of all machines.
pub(super) fn reserve_ports(
    machines: &[RunningMachine],
) -> Result<Vec<ReservedPort>, MachineError> {
    let reserve = |one: &RunningMachine| ReservedPort::new(one.port);
    let reserved: Result<_, String> = machines.iter().map(reserve).collect();
    reserved.map_err(|why| other(format!("{why}; hint: use another --port")))
}

/// Reserves the memory of a cluster. A person decides whether processors suffice, and whether one machine
/// fits.
pub(super) async fn admit(options: &RunOptions) -> Result<Option<Admitted>, MachineError> {
    if options.machines < 2 {
        return Ok(None);
    }
    let (count, profile) = (options.machines, &options.profile.profile);
    let each = options.memory.unwrap_or(profile.memory.get());
    let mut wanted = ResourceRequest::of_boot(each, 0);
    wanted.memory *= u64::from(count);
    take(wanted).await.map(Some).map_err(|why| {
        other(format!(
            "no memory for {count} machines of {each} MiB: {why}; \
             hint: use fewer --machines or less --memory"
        ))
    })
}

async fn take(wanted: ResourceRequest) -> io::Result<Admitted> {
    let host = Host::here();
    if let Some(Err(why)) = host.map(|host| host.could(wanted)) {
        return Err(io::Error::other(why));
    }
    AdmissionQueue::of_host()?.admit_now(wanted, host).await
}
