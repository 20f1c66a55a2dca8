//! Signals that must not end PID 1.
//!
//! The kernel panics when PID 1 exits. Docker installs handlers for nearly all signals: `kill -TERM 1` would
//! shut it down, `kill -QUIT 1` and `kill -ABRT 1` would crash Go's runtime. So PID 1 ignores these signals,
//! and a seccomp filter makes rt_sigaction(2) report success while only the handlers in [`HANDLED`] are
//! installed.
//!
//! The default action is not enough. The kernel drops an unhandled signal for PID 1 (`SIGNAL_UNKILLABLE`,
//! `sig_task_ignored` in `kernel/signal.c`), but not while the main thread blocks that signal: then
//! `complete_signal` delivers it to another thread, and a fatal one ends them all. Go blocks all signals
//! whenever it starts a thread or a program, so now and then `kill -INT 1` ended the machine. An ignored
//! signal is never fatal.
//!
//! Programs that Docker starts inherit both; containers do not, because containerd starts them.

use nix::errno::Errno;
use nix::libc;

/// The signals that Docker must receive: `HUP` makes it reload its configuration, `USR1` makes it log its
/// stacks, Go's scheduler uses `URG`, and `CHLD` reports the exit of a child. Go turns the faults `BUS`,
/// `FPE` and `SEGV` into panics, which Docker's API server survives; without a handler the kernel would end
/// PID 1. So these three are the signals with which root can still end PID 1 (`kill -SEGV 1`).
const HANDLED: [libc::c_int; 7] = [
    libc::SIGHUP,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGUSR1,
    libc::SIGSEGV,
    libc::SIGCHLD,
    libc::SIGURG,
];

/// The signals whose default action ends a process (signal(7)), except those in [`HANDLED`] and `KILL`,
/// which the kernel never delivers to PID 1.
const IGNORED: [libc::c_int; 17] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSYS,
];

/// The first of the signals that C libraries and Go use between threads (signal(7)).
const FIRST_REAL_TIME: u32 = 32;

/// Offsets in `struct seccomp_data` (`linux/seccomp.h`); the values are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const SIGNAL: u32 = 16;
const HANDLER_LOW: u32 = 24;
const HANDLER_HIGH: u32 = 28;

/// `AUDIT_ARCH_X86_64` (`linux/audit.h`).
const X86_64: u32 = 0xc000_003e;

/// Makes this process, and the program that it becomes by execve(2), ignore signals that would end it. A later
/// rt_sigaction(2) for one of them succeeds and changes nothing.
///
/// # Errors
/// The kernel refuses the filter.
pub(super) fn ignore_as_pid_1() -> nix::Result<()> {
    IGNORED.into_iter().try_for_each(ignore)?;
    install(&filter())
}

#[allow(unsafe_code, reason = "signal(2) has no safe form")]
fn ignore(signal: libc::c_int) -> nix::Result<()> {
    // SAFETY: no handler is installed that could run at a wrong moment.
    match unsafe { libc::signal(signal, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(Errno::last()),
        _ => Ok(()),
    }
}

type Instruction = libc::sock_filter;

fn load(offset: u32) -> Instruction {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn equal(value: u32, then: u8, otherwise: u8) -> Instruction {
    step(
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        then,
        otherwise,
        value,
    )
}

fn at_least(value: u32, then: u8, otherwise: u8) -> Instruction {
    step(
        libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K,
        then,
        otherwise,
        value,
    )
}

fn end(with: u32) -> Instruction {
    step(libc::BPF_RET | libc::BPF_K, 0, 0, with)
}

fn step(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    // All codes fit into 16 bits.
    let code = u16::try_from(code).unwrap_or_default();
    Instruction { code, jt, jf, k }
}

/// The program of the filter. The offsets of its jumps are numbers of instructions to skip.
fn filter() -> Vec<Instruction> {
    let allow = end(libc::SECCOMP_RET_ALLOW);
    let mut all = vec![
        load(ARCHITECTURE),
        equal(X86_64, 1, 0),
        allow,
        load(NUMBER),
        equal(
            u32::try_from(libc::SYS_rt_sigaction).unwrap_or_default(),
            1,
            0,
        ),
        allow,
        // A call without a handler only queries the current one.
        load(HANDLER_LOW),
        equal(0, 0, 3),
        load(HANDLER_HIGH),
        equal(0, 0, 1),
        allow,
        load(SIGNAL),
        at_least(FIRST_REAL_TIME, 0, 1),
        allow,
    ];
    for signal in HANDLED {
        all.extend([equal(signal.cast_unsigned(), 0, 1), allow]);
    }
    // The error number 0 makes the call return success.
    all.push(end(libc::SECCOMP_RET_ERRNO));
    all
}

#[allow(unsafe_code, reason = "prctl(2) has no safe form for filters")]
fn install(filter: &[Instruction]) -> nix::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::EINVAL)?,
        // The kernel does not write to it.
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its instructions outlive the call, and the kernel copies them.
    let done = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            std::ptr::from_ref(&program),
        )
    };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The filter's result for a call, by an interpreter of its instructions (`net/core/filter.c`).
    fn verdict(number: u32, signal: u32, handler: u64) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE => X86_64,
            SIGNAL => signal,
            HANDLER_LOW => u32::try_from(handler & 0xffff_ffff).unwrap(),
            HANDLER_HIGH => u32::try_from(handler >> 32).unwrap(),
            other => panic!("{other}"),
        };
        let (filter, mut at, mut value) = (filter(), 0, 0);
        loop {
            let Instruction { code, jt, jf, k } = filter[at];
            at += 1;
            let jump = |is: bool| usize::from(if is { jt } else { jf });
            match u32::from(code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => value = word(k),
                code if code == libc::BPF_JMP | libc::BPF_JEQ => at += jump(value == k),
                code if code == libc::BPF_JMP | libc::BPF_JGE => at += jump(value >= k),
                code if code == libc::BPF_RET => return k,
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn filter_skips_handlers_of_signals_that_would_end_pid_1() {
        let call = u32::try_from(libc::SYS_rt_sigaction).unwrap();
        let skips =
            |signal: u32| verdict(call, signal, 0x7fff_0000_0000) == libc::SECCOMP_RET_ERRNO;
        for signal in [2, 3, 4, 5, 6, 12, 13, 14, 15, 16, 31] {
            assert!(skips(signal), "{signal}");
        }
        for signal in [1, 7, 8, 10, 11, 17, 23, 32, 34, 64] {
            assert!(!skips(signal), "{signal}");
        }
    }

    #[test]
    fn every_signal_that_ends_a_process_is_handled_or_ignored() {
        // Signals whose default action is to stop, continue or do nothing (signal(7)), and `KILL`.
        let harmless = [9, 17, 18, 19, 20, 21, 22, 23, 28];
        for signal in (1..32).filter(|signal| !harmless.contains(signal)) {
            let ways = [HANDLED.contains(&signal), IGNORED.contains(&signal)];
            assert_eq!(ways.iter().filter(|way| **way).count(), 1, "{signal}");
        }
    }

    #[test]
    fn filter_allows_queries_and_other_calls() {
        let call = u32::try_from(libc::SYS_rt_sigaction).unwrap();
        assert_eq!(verdict(call, 15, 0), libc::SECCOMP_RET_ALLOW, "a query");
        assert_eq!(verdict(call, 15, 0x1000), libc::SECCOMP_RET_ERRNO);
        assert_eq!(verdict(0, 15, 0x1000), libc::SECCOMP_RET_ALLOW);
    }
}
