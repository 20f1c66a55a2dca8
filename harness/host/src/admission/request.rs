//! The resources of a machine and of a host, and whether the machine fits.

use serde::{Deserialize, Serialize};

use crate::memory::Memory;

/// The memory of QEMU in addition to that of the guest, in MiB: devices, and translated code.
const OVERHEAD: u64 = 192;
/// The smallest reservation of a fork, in MiB.
const SMALLEST_FORK: u64 = 128;
/// Guest processors per core. Guests idle for much of a trial, and a lack of processors only delays them.
const PROCESSORS_PER_CORE: u64 = 2;
/// The memory left to other programs: the total divided by this, at least `RESERVED` MiB.
const RESERVED_PART: u64 = 16;
const RESERVED: u64 = 256;

/// The resources of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRequest {
    /// Memory in MiB.
    pub memory: u64,
    /// Processors.
    pub cpus: u64,
}

impl ResourceRequest {
    /// A machine that boots, with `memory` MiB: it can write to all of its memory.
    pub fn of_boot(memory: u64, cpus: u64) -> Self {
        Self {
            memory: memory + OVERHEAD,
            cpus,
        }
    }

    /// A machine that is forked from a checkpoint: it maps the saved memory, and only pages that it writes are
    /// private. That is less than a tenth at its first step; half of the memory covers later steps.
    pub fn of_fork(memory: u64, cpus: u64) -> Self {
        Self {
            memory: (memory / 2).max(SMALLEST_FORK) + OVERHEAD,
            cpus,
        }
    }
}

/// The resources of a host.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Its memory.
    pub memory: Memory,
    /// The processors that this process can use.
    pub cores: u64,
}

/// The reserved resources of the machines of one process, and the part in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reservation {
    pub(super) reserved: ResourceRequest,
    /// Memory in MiB that is in use, and so not available.
    pub(super) in_use: u64,
}

impl Host {
    /// This host now; `None` if the kernel does not report its memory.
    pub fn here() -> Option<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Some(Self {
            memory: Memory::of_host()?,
            cores: cores as u64,
        })
    }

    fn reserve(&self) -> u64 {
        (self.memory.total / RESERVED_PART).max(RESERVED)
    }

    /// Checks whether the host could run a machine if it ran nothing else.
    ///
    /// # Errors
    /// The machine needs more memory than the host has.
    pub fn could(&self, wanted: ResourceRequest) -> Result<(), String> {
        let most = self.memory.total.saturating_sub(self.reserve());
        if wanted.memory <= most {
            return Ok(());
        }
        let wanted = wanted.memory;
        Err(format!(
            "{wanted} MiB of memory are needed, and this host has {most}"
        ))
    }

    /// Checks whether the host can run a machine in addition to the running ones. A machine that runs alone
    /// is admitted with any number of processors: it is only slow.
    ///
    /// # Errors
    /// The resource that is missing.
    pub(super) fn can(
        &self,
        wanted: ResourceRequest,
        running: &[Reservation],
    ) -> Result<(), String> {
        let not_yet_used = |reservation: &Reservation| {
            reservation
                .reserved
                .memory
                .saturating_sub(reservation.in_use)
        };
        let reserved: u64 = running.iter().map(not_yet_used).sum();
        let free = self.memory.available;
        let free = free.saturating_sub(self.reserve() + reserved);
        if wanted.memory > free {
            let wanted = wanted.memory;
            return Err(format!("{free} of {wanted} MiB of memory are free"));
        }
        let used: u64 = running
            .iter()
            .map(|reservation| reservation.reserved.cpus)
            .sum();
        let most = self.cores * PROCESSORS_PER_CORE;
        if !running.is_empty() && used + wanted.cpus > most {
            return Err(format!("{used} of {most} processors are in use"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn host(total: u64, available: u64, cores: u64) -> Host {
        Host {
            memory: Memory { total, available },
            cores,
        }
    }

    fn reservation(memory: u64, cpus: u64, in_use: u64) -> Reservation {
        Reservation {
            reserved: ResourceRequest { memory, cpus },
            in_use,
        }
    }

    #[test]
    fn fork_requests_less_memory_than_a_boot() {
        assert_eq!(ResourceRequest::of_boot(1024, 2).memory, 1216);
        assert_eq!(ResourceRequest::of_fork(1024, 2).memory, 704);
        assert_eq!(ResourceRequest::of_fork(64, 1).memory, 320);
    }

    #[test]
    fn machine_is_refused_when_it_is_larger_than_the_host() {
        let host = host(4096, 100, 1);
        assert_eq!(host.could(ResourceRequest::of_boot(3648, 64)), Ok(()));
        assert_eq!(
            host.could(ResourceRequest::of_boot(3649, 1)).unwrap_err(),
            "3841 MiB of memory are needed, and this host has 3840"
        );
    }

    #[test]
    fn reserved_memory_counts_until_it_is_in_use() {
        let host = host(4096, 3000, 64);
        let wanted = ResourceRequest::of_boot(1024, 1);
        assert_eq!(host.can(wanted, &[]), Ok(()));
        assert_eq!(host.can(wanted, &[reservation(1216, 2, 0)]), Ok(()));
        let two = [reservation(1216, 2, 0), reservation(1216, 2, 0)];
        assert_eq!(
            host.can(wanted, &two).unwrap_err(),
            "312 of 1216 MiB of memory are free"
        );
        let in_use = [reservation(1216, 2, 900), reservation(1216, 2, 1300)];
        assert_eq!(host.can(wanted, &in_use), Ok(()));
    }

    #[test]
    fn processors_are_limited_unless_the_machine_runs_alone() {
        let host = host(65536, 65536, 2);
        let two = ResourceRequest::of_fork(1024, 2);
        assert_eq!(host.can(two, &[reservation(0, 2, 0)]), Ok(()));
        assert_eq!(
            host.can(two, &[reservation(0, 2, 0), reservation(0, 1, 0)])
                .unwrap_err(),
            "3 of 4 processors are in use"
        );
        assert_eq!(host.can(ResourceRequest::of_fork(1024, 16), &[]), Ok(()));
    }
}
