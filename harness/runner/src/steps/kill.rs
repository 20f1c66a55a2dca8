//! Sends signals to processes and containers.

use bollard::query_parameters::KillContainerOptionsBuilder;

use base::wait::{Poll, wait_until};
use scenario::EngineName;
use scenario::step::{KillStep, SignalName};

use super::docker::within;
use crate::session::{Deadline, Session, StepFailure};
use crate::spec;

pub(super) async fn perform(
    step: &KillStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let killed = match &step.container {
        Some(name) => container(name, step, session, deadline).await,
        None => processes(step, session, deadline).await,
    };
    // The killed process may have carried the connection to the machine.
    session.forget();
    killed
}

/// How many bytes of a command line are read: the limit of a single argument in Linux
/// (`MAX_ARG_STRLEN`, execve(2)).
const LONGEST: u32 = 128 * 1024;

async fn processes(
    step: &KillStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let pids = find(step, session, deadline).await?;
    let signal = step.signal.name();
    let list = pids.join(" ");
    let command = format!(
        "n=0; for pid in {list}; do kill -{signal} $pid 2> /dev/null && n=$((n + 1)); done; echo $n"
    );
    match session.as_root(&command, deadline).await {
        Ok(hit) if hit.trim() == "0" => {
            return Err(StepFailure::new(
                "every matching process exited before the signal was sent",
            ));
        }
        Err(_) if step.signal == SignalName::Kill => session.forget(),
        sent => drop(sent?),
    }
    match step.signal {
        SignalName::Kill => gone(&list, session, deadline).await,
        _ => Ok(()),
    }
}

/// The process ids of the processes that the step selects.
async fn find(
    step: &KillStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<Vec<String>, StepFailure> {
    let (file, criterion) = match (&step.process, &step.command) {
        (Some(name), _) => ("comm", format!("is named `{name}`")),
        (None, Some(pattern)) => (
            "cmdline",
            format!("has a command line that matches /{}/", pattern.0),
        ),
        (None, None) => return Ok(Vec::new()),
    };
    // One `head` for all processes: one program per process takes seconds on an emulated machine. A process may
    // exit before its file is read.
    let list = format!("head -v -c {LONGEST} /proc/[0-9]*/{file} 2> /dev/null | tr '\\000' ' '");
    let list = session.as_root(&list, deadline).await?;
    let pids = matching(&list, |text| match (&step.process, &step.command) {
        (Some(name), _) => text == name,
        (None, Some(pattern)) => pattern.0.is_match(text),
        (None, None) => false,
    });
    if pids.is_empty() {
        return Err(StepFailure::new(format!("no process {criterion}")).with("processes", list));
    }
    Ok(pids)
}

/// The process ids whose file matches `wanted`, from the output of `head -v`, which precedes each file with
/// `==> /proc/PID/FILE <==`.
fn matching(list: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let of_part = |part: &str| {
        let (file, text) = part.split_once(" <==\n")?;
        let (pid, _) = file.split_once('/')?;
        wanted(text.trim_end()).then(|| pid.to_owned())
    };
    list.split("==> /proc/").filter_map(of_part).collect()
}

/// Waits until each process is gone or a zombie.
async fn gone(
    pids: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let look = format!(
        "for pid in {pids}; do grep -H '^State:.[^XZ]' /proc/$pid/status; done 2> /dev/null; true"
    );
    let held = wait_until(
        "the end of the killed processes",
        deadline.left(),
        async || match session.as_root(&look, deadline).await {
            Ok(left) if left.trim().is_empty() => Poll::Ready(()),
            Ok(left) => Poll::NotYet(left),
            Err(failure) => {
                session.forget();
                Poll::NotYet(failure.what)
            }
        },
    );
    Ok(held.await?)
}

async fn container(
    name: &str,
    step: &KillStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let engine = step.engine.unwrap_or(EngineName::User);
    let before = main_process(name, engine, session, deadline).await?;
    if before == 0 {
        return Err(StepFailure::new(format!("container {name} is not running")));
    }
    let docker = session.docker(spec::engine(engine), deadline).await?;
    let options = KillContainerOptionsBuilder::default()
        .signal(&step.signal.name())
        .build();
    let sent = within(deadline, docker.kill_container(name, Some(options))).await;
    if step.signal != SignalName::Kill {
        return sent;
    }
    // The answer of the engine may be lost with the killed process, so look at the container instead.
    let what = format!("the end of the container {name}");
    let held = wait_until(&what, deadline.left(), async || {
        match main_process(name, engine, session, deadline).await {
            Ok(now) if now != before => Poll::Ready(()),
            Ok(now) => Poll::NotYet(format!("its process {now} is running")),
            Err(failure) => {
                session.forget();
                Poll::NotYet(failure.what)
            }
        }
    });
    Ok(held.await?)
}

/// The process id of a container's first process; 0 if the container is not running.
async fn main_process(
    name: &str,
    engine: EngineName,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<i64, StepFailure> {
    let docker = session.docker(spec::engine(engine), deadline).await?;
    let options = None::<bollard::query_parameters::InspectContainerOptions>;
    let seen = within(deadline, docker.inspect_container(name, options)).await?;
    Ok(seen.state.and_then(|state| state.pid).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching_compares_whole_names_and_command_lines() {
        let list = "==> /proc/1/comm <==\ndockerd\n\n==> /proc/27/comm <==\nsh\n\n\
                    ==> /proc/3/comm <==\n\n==> /proc/30/comm <==\nsshd: a\n";
        assert_eq!(matching(list, |name| name == "sh"), ["27"]);
        assert_eq!(matching(list, |name| name == "sshd: a"), ["30"]);
        assert_eq!(matching(list, |name| name == "docker"), [""; 0]);
        assert_eq!(matching("", |_| true), [""; 0]);
        // A command line does not end with a newline.
        let list = "==> /proc/1/cmdline <==\ndockerd --debug \n\
                    ==> /proc/2/cmdline <==\n\n==> /proc/9/cmdline <==\nsleep 1 ";
        assert_eq!(matching(list, |line| line == "dockerd --debug"), ["1"]);
        assert_eq!(matching(list, |line| line == "sleep 1"), ["9"]);
    }
}
