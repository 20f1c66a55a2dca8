//! What `rancherctl service` asks for: a line of an action and names on a socket of root's alone,
//! answered by a line for each that could not be done. The end of the answer is the end of the work.

use std::os::unix::fs::PermissionsExt as _;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{Shared, reload, service, start_all};

/// The service that people log in to.
const CONSOLE: &str = "console";

/// Answers for ever.
pub async fn answer_all(shared: Rc<Shared>) {
    let listener = match listen() {
        Ok(listener) => listener,
        Err(error) => return shared.failure("requests", &error.to_string()),
    };
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Rc::clone(&shared);
        tokio::task::spawn_local(async move {
            // Whoever asked may be gone: restarting the console ends what runs in it.
            let _ = answer(stream, &shared).await;
        });
    }
}

fn listen() -> std::io::Result<UnixListener> {
    // That of a supervisor that has ended.
    let _ = std::fs::remove_file(config::SUPERVISOR_SOCKET);
    let listener = UnixListener::bind(config::SUPERVISOR_SOCKET)?;
    let root_alone = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(config::SUPERVISOR_SOCKET, root_alone)?;
    Ok(listener)
}

async fn answer(mut stream: UnixStream, shared: &Rc<Shared>) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).await?;
    let problems = match parse(&line) {
        Some((action, names)) => act(action, &names, shared).await,
        None => vec![format!("`{}` is not understood", line.trim())],
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

/// Does it, with the configuration as it is now; returns what could not be done.
async fn act(action: Action, names: &[String], shared: &Rc<Shared>) -> Vec<String> {
    let _alone = shared.changing.lock().await;
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

/// Whether the service is to be started; what is to end has ended.
async fn prepare(action: Action, name: &str, shared: &Rc<Shared>) -> Result<bool, String> {
    let now = shared.now();
    let wanted = now.services.get(name).ok_or("there is no such service")?;
    if action == Action::Down {
        if name == CONSOLE {
            return Err("people log in to it; `restart` makes it anew".into());
        }
        service::stop(name, shared).await;
        shared.down.borrow_mut().insert(name.into());
        return Ok(false);
    }
    if wanted.disabled {
        return Err("the configuration has it disabled".into());
    }
    shared.down.borrow_mut().remove(name);
    let same = |one: &service::Running| one.service == *wanted;
    let as_wanted = shared.running.borrow().get(name).is_some_and(same);
    // One that somebody removed or stopped through system-docker is started by `up`, too.
    let runs = as_wanted && (wanted.create_only() || shared.containers.runs(name).await);
    if action == Action::Restart {
        service::stop(name, shared).await;
    }
    Ok(action == Action::Restart || !runs)
}

/// Why a service that was started is not there.
fn problem(name: &str, shared: &Shared) -> Option<String> {
    let running = shared.running.borrow();
    match running.get(name) {
        Some(one) => one.failed.as_ref().map(|why| format!("{name}: {why}")),
        None => Some(format!(
            "{name}: its image is not here; it starts when that is pulled"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_action_and_names() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(parse("restart a  b\n"), Some((Action::Restart, names)));
        assert_eq!(parse("up\n"), Some((Action::Up, Vec::new())));
        assert_eq!(parse("explode a\n"), None);
        assert_eq!(parse("\n"), None);
    }
}
