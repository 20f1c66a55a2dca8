//! What a machine takes, what a host has, and whether the one fits into the other.

use serde::{Deserialize, Serialize};

use crate::memory::Memory;

/// What QEMU takes beside the guest's memory, in MiB: devices, and the code that it translates.
const OVERHEAD: u64 = 192;
/// Nothing is promised to be smaller than this, in MiB.
const SMALLEST_FORK: u64 = 128;
/// Processors of guests for each core. Guests idle for much of a trial, and a late one is only late.
const PROCESSORS_A_CORE: u64 = 2;
/// What is left to others: this part of the memory, or so many MiB.
const RESERVED_PART: u64 = 16;
const RESERVED: u64 = 256;

/// What a machine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// In MiB.
    pub memory: u64,
    /// Processors.
    pub cpus: u64,
}

impl Demand {
    /// A machine of so many MiB that boots: it may write to all of its memory.
    pub fn of_boot(memory: u64, cpus: u64) -> Self {
        Self {
            memory: memory + OVERHEAD,
            cpus,
        }
    }

    /// One that goes on from a checkpoint: it maps what was saved, and has to itself only what it
    /// writes. That is less than a tenth at its first step; half of it leaves room for the others.
    pub fn of_fork(memory: u64, cpus: u64) -> Self {
        Self {
            memory: (memory / 2).max(SMALLEST_FORK) + OVERHEAD,
            cpus,
        }
    }
}

/// What a host has.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Its memory.
    pub memory: Memory,
    /// Its processors, as far as this process may use them.
    pub cores: u64,
}

/// What the machines of one process were promised, and what they have taken of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) promised: Demand,
    /// In MiB; it is not available any more.
    pub(super) taken: u64,
}

impl Host {
    /// This one, now; none where it does not tell.
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

    /// Whether it could run a machine if it ran nothing else.
    ///
    /// # Errors
    /// Why not.
    pub fn could(&self, wanted: Demand) -> Result<(), String> {
        let most = self.memory.total.saturating_sub(self.reserve());
        if wanted.memory <= most {
            return Ok(());
        }
        let wanted = wanted.memory;
        Err(format!(
            "it takes {wanted} MiB of memory, and this host has {most}"
        ))
    }

    /// Whether it can run a machine beside those that run. Processors never keep a machine from
    /// running alone: it is only slow.
    ///
    /// # Errors
    /// What there is too little of.
    pub(super) fn can(&self, wanted: Demand, running: &[Share]) -> Result<(), String> {
        let still_to_come = |share: &Share| share.promised.memory.saturating_sub(share.taken);
        let promised: u64 = running.iter().map(still_to_come).sum();
        let free = self.memory.available;
        let free = free.saturating_sub(self.reserve() + promised);
        if wanted.memory > free {
            let wanted = wanted.memory;
            return Err(format!("{free} of {wanted} MiB of memory are free"));
        }
        let used: u64 = running.iter().map(|share| share.promised.cpus).sum();
        let most = self.cores * PROCESSORS_A_CORE;
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

    fn share(memory: u64, cpus: u64, taken: u64) -> Share {
        Share {
            promised: Demand { memory, cpus },
            taken,
        }
    }

    #[test]
    fn a_fork_takes_less_than_a_boot() {
        assert_eq!(Demand::of_boot(1024, 2).memory, 1216);
        assert_eq!(Demand::of_fork(1024, 2).memory, 704);
        assert_eq!(Demand::of_fork(64, 1).memory, 320);
    }

    #[test]
    fn what_can_never_run_says_why() {
        let host = host(4096, 100, 1);
        assert_eq!(host.could(Demand::of_boot(3648, 64)), Ok(()));
        assert_eq!(
            host.could(Demand::of_boot(3649, 1)).unwrap_err(),
            "it takes 3841 MiB of memory, and this host has 3840"
        );
    }

    #[test]
    fn memory_that_was_promised_counts_until_it_is_taken() {
        let host = host(4096, 3000, 64);
        let wanted = Demand::of_boot(1024, 1);
        assert_eq!(host.can(wanted, &[]), Ok(()));
        assert_eq!(host.can(wanted, &[share(1216, 2, 0)]), Ok(()));
        let two = [share(1216, 2, 0), share(1216, 2, 0)];
        assert_eq!(
            host.can(wanted, &two).unwrap_err(),
            "312 of 1216 MiB of memory are free"
        );
        let taken = [share(1216, 2, 900), share(1216, 2, 1300)];
        assert_eq!(host.can(wanted, &taken), Ok(()));
    }

    #[test]
    fn processors_are_shared_but_never_keep_one_machine_out() {
        let host = host(65536, 65536, 2);
        let two = Demand::of_fork(1024, 2);
        assert_eq!(host.can(two, &[share(0, 2, 0)]), Ok(()));
        assert_eq!(
            host.can(two, &[share(0, 2, 0), share(0, 1, 0)])
                .unwrap_err(),
            "3 of 4 processors are in use"
        );
        assert_eq!(host.can(Demand::of_fork(1024, 16), &[]), Ok(()));
    }
}
