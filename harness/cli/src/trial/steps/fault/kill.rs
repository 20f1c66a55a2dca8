//! Signals to processes and to containers.

use bollard::query_parameters::KillContainerOptionsBuilder;

use base::wait::{Poll, wait_until};
use machine::MachineError;
use scenario::{EngineName, KillStep, SignalName};

use super::super::super::deadline::Deadline;
use super::super::super::fault::Fault;
use super::super::super::session::Session;
use super::super::super::spec;
use super::super::docker::within;

pub(super) async fn perform(
    step: &KillStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let killed = match &step.container {
        Some(name) => container(name, step, session, deadline).await,
        None => processes(step, session, deadline).await,
    };
    // What was killed may have been between us and the machine.
    session.forget();
    killed
}

/// So much of a command line is looked at, in bytes: the longest single argument that Linux takes
/// (`MAX_ARG_STRLEN`, execve(2)).
const LONGEST: u32 = 128 * 1024;

async fn processes(
    step: &KillStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let pids = find(step, session, deadline).await?;
    let signal = step.signal.name();
    let list = pids.join(" ");
    let command = format!(
        "n=0; for pid in {list}; do kill -{signal} $pid 2> /dev/null && n=$((n + 1)); done; echo $n"
    );
    match session.as_root(&command, deadline).await {
        Ok(hit) if hit.trim() == "0" => return Err(Fault::new("every process was gone before")),
        Err(_) if step.signal == SignalName::Kill => session.forget(),
        sent => drop(sent?),
    }
    match step.signal {
        SignalName::Kill => gone(&list, session, deadline).await,
        _ => Ok(()),
    }
}

/// The processes that are meant, by their numbers.
async fn find(
    step: &KillStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<Vec<String>, Fault> {
    let (file, what) = match (&step.process, &step.command) {
        (Some(name), _) => ("comm", format!("is called `{name}`")),
        (None, Some(pattern)) => (
            "cmdline",
            format!("has a command line that matches /{}/", pattern.0),
        ),
        (None, None) => return Ok(Vec::new()),
    };
    // One program for all: one for each takes seconds where the machine is emulated. A process may
    // end between its turn in the list and the look at it.
    let list = format!("head -v -c {LONGEST} /proc/[0-9]*/{file} 2> /dev/null | tr '\\000' ' '");
    let list = session.as_root(&list, deadline).await?;
    let pids = matching(&list, |text| match (&step.process, &step.command) {
        (Some(name), _) => text == name,
        (None, Some(pattern)) => pattern.0.is_match(text),
        (None, None) => false,
    });
    if pids.is_empty() {
        return Err(Fault::new(format!("no process {what}")).with("processes", list));
    }
    Ok(pids)
}

/// The numbers of the processes whose file is `wanted`, where `head -v` shows each after a line of
/// `==> /proc/PID/FILE <==`.
fn matching(list: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let of_part = |part: &str| {
        let (file, text) = part.split_once(" <==\n")?;
        let (pid, _) = file.split_once('/')?;
        wanted(text.trim_end()).then(|| pid.to_owned())
    };
    list.split("==> /proc/").filter_map(of_part).collect()
}

/// Until none of them is there, or nothing but its number.
async fn gone(pids: &str, session: &mut Session<'_>, deadline: &Deadline) -> Result<(), Fault> {
    let look = format!(
        "for pid in {pids}; do grep -H '^State:.[^XZ]' /proc/$pid/status; done 2> /dev/null; true"
    );
    let held = wait_until(
        "the end of what was killed",
        deadline.left(),
        async || match session.as_root(&look, deadline).await {
            Ok(left) if left.trim().is_empty() => Poll::Ready(()),
            Ok(left) => Poll::NotYet(left),
            Err(fault) => {
                session.forget();
                Poll::NotYet(fault.what)
            }
        },
    );
    held.await.map_err(|error| MachineError::from(error).into())
}

async fn container(
    name: &str,
    step: &KillStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let engine = step.engine.unwrap_or(EngineName::User);
    let before = main_process(name, engine, session, deadline).await?;
    if before == 0 {
        return Err(Fault::new(format!("the container {name} does not run")));
    }
    let docker = session.docker(spec::engine(engine), deadline).await?;
    let options = KillContainerOptionsBuilder::default()
        .signal(&step.signal.name())
        .build();
    let sent = within(deadline, docker.kill_container(name, Some(options))).await;
    if step.signal != SignalName::Kill {
        return sent;
    }
    // The answer may have been lost with what was killed; whether it was, is seen now.
    let what = format!("the end of the container {name}");
    let held = wait_until(&what, deadline.left(), async || {
        match main_process(name, engine, session, deadline).await {
            Ok(now) if now != before => Poll::Ready(()),
            Ok(now) => Poll::NotYet(format!("its process {now} runs")),
            Err(fault) => {
                session.forget();
                Poll::NotYet(fault.what)
            }
        }
    });
    held.await.map_err(|error| MachineError::from(error).into())
}

/// The number of a container's first process; 0 where it does not run.
async fn main_process(
    name: &str,
    engine: EngineName,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<i64, Fault> {
    let docker = session.docker(spec::engine(engine), deadline).await?;
    let options = None::<bollard::query_parameters::InspectContainerOptions>;
    let seen = within(deadline, docker.inspect_container(name, options)).await?;
    Ok(seen.state.and_then(|state| state.pid).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_found_by_all_of_their_name() {
        let list = "==> /proc/1/comm <==\ndockerd\n\n==> /proc/27/comm <==\nsh\n\n\
                    ==> /proc/3/comm <==\n\n==> /proc/30/comm <==\nsshd: a\n";
        assert_eq!(matching(list, |name| name == "sh"), ["27"]);
        assert_eq!(matching(list, |name| name == "sshd: a"), ["30"]);
        assert_eq!(matching(list, |name| name == "docker"), [""; 0]);
        assert_eq!(matching("", |_| true), [""; 0]);
        // A command line has no end of line of its own.
        let list = "==> /proc/1/cmdline <==\ndockerd --debug \n\
                    ==> /proc/2/cmdline <==\n\n==> /proc/9/cmdline <==\nsleep 1 ";
        assert_eq!(matching(list, |line| line == "dockerd --debug"), ["1"]);
        assert_eq!(matching(list, |line| line == "sleep 1"), ["9"]);
    }
}
