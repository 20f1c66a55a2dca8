//! Requests of `rancherctl service`, on a socket that only root can use. A request is a line with an action
//! and names of services; the answer has a line for each error and ends when the work is done.

use std::os::unix::fs::PermissionsExt as _;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::reload::reload;
use crate::service;
use crate::shared::Shared;
use crate::start::start_all;

/// The service with the logins.
const CONSOLE: &str = "console";

/// Answers requests.
pub(crate) async fn answer_all(shared: Rc<Shared>) {
    let listener = match listen() {
        Ok(listener) => listener,
        Err(error) => return shared.failure("requests", &error.to_string()),
    };
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Rc::clone(&shared);
        tokio::task::spawn_local(async move {
            // It fails if the client is gone: restarting the console ends the processes in it.
            let _ = answer(stream, &shared).await;
        });
    }
}

fn listen() -> std::io::Result<UnixListener> {
    // An earlier supervisor may have left its socket.
    let _ = std::fs::remove_file(config::SUPERVISOR_SOCKET);
    let listener = UnixListener::bind(config::SUPERVISOR_SOCKET)?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(config::SUPERVISOR_SOCKET, mode)?;
    Ok(listener)
}

async fn answer(mut stream: UnixStream, shared: &Rc<Shared>) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).await?;
    let problems = match parse(&line) {
        Some((action, names)) => act(action, &names, shared).await,
        None => vec![format!("invalid request `{}`", line.trim())],
    };
    for problem in problems {
        stream.write_all(format!("{problem}\n").as_bytes()).await?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Up,
    Down,
    Restart,
}

fn parse(line: &str) -> Option<(Action, Vec<String>)> {
    let mut words = line.split_whitespace();
    let action = match words.next()? {
        "up" => Action::Up,
        "down" => Action::Down,
        "restart" => Action::Restart,
        _ => return None,
    };
    Some((action, words.map(str::to_owned).collect()))
}

/// Performs an action with the current configuration; returns the errors.
async fn act(action: Action, names: &[String], shared: &Rc<Shared>) -> Vec<String> {
    let _lock = shared.changing.lock().await;
    reload(shared).await;
    let mut problems = Vec::new();
    let mut start = std::collections::BTreeSet::new();
    for name in names {
        match prepare(action, name, shared).await {
            Ok(true) => drop(start.insert(name.clone())),
            Ok(false) => (),
            Err(why) => problems.push(format!("{name}: {why}")),
        }
    }
    start_all(start.clone(), shared).await;
    problems.extend(start.iter().filter_map(|name| problem(name, shared)));
    problems
}

/// Stops a service that has to stop; returns whether it has to start.
async fn prepare(action: Action, name: &str, shared: &Rc<Shared>) -> Result<bool, String> {
    let current = shared.current();
    let wanted = current
        .services
        .get(name)
        .ok_or("there is no such service")?;
    if action == Action::Down {
        if name == CONSOLE {
            return Err("it has the logins; hint: `restart` recreates it".into());
        }
        service::stop(name, shared).await;
        shared.down.borrow_mut().insert(name.into());
        return Ok(false);
    }
    if wanted.disabled {
        return Err("it is disabled in the configuration".into());
    }
    shared.down.borrow_mut().remove(name);
    let running = shared
        .running
        .borrow()
        .get(name)
        .map(|one| one.service == *wanted);
    // `up` also starts a service that somebody removed or stopped through system-docker.
    let runs =
        running == Some(true) && (wanted.create_only() || shared.containers.is_running(name).await);
    if action == Action::Restart {
        service::stop(name, shared).await;
    }
    Ok(action == Action::Restart || !runs)
}

/// The error of a service that did not start.
fn problem(name: &str, shared: &Shared) -> Option<String> {
    let running = shared.running.borrow();
    match running.get(name) {
        Some(one) => one.error.as_ref().map(|why| format!("{name}: {why}")),
        None => Some(format!(
            "{name}: its image is being pulled; the service starts after that"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_returns_none_when_the_action_is_unknown() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(parse("restart a  b\n"), Some((Action::Restart, names)));
        assert_eq!(parse("up\n"), Some((Action::Up, Vec::new())));
        assert_eq!(parse("explode a\n"), None);
        assert_eq!(parse("\n"), None);
    }
}
