//! A login dialogue on the serial line, by rexpect.
//!
//! rexpect drives any blocking stream, with one timeout per session. Here it drives a socket whose other
//! end is fed from a tap of the line, in a thread that may block. It decodes each byte as a Latin-1
//! character; prompts are not affected.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use rexpect::error::Error;
use rexpect::reader::Options;
use rexpect::session::StreamSession;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::console::serial::Serial;
use crate::error::MachineError;
use base::wait::WaitError;

/// The name of the wait, for its error.
const WHAT: &str = "a login on the serial line";
/// How long the line may be idle before Enter is typed. A kernel message may follow the prompt
/// immediately; then the prompt is not at the end any more.
const IDLE_MILLIS: u64 = 2000;
/// `login: ` at the end of the output.
const LOGIN: &str = r"(?i)login: ?$";
/// `login: ` anywhere.
const LOGIN_ANYWHERE: &str = "(?i)login: ";
/// The prompt after the name.
const PASSWORD: &str = "(?i)password: ?";
/// A shell prompt at the end of the output; colour codes may follow it.
const SHELL: &str = r"[$#] (\x1b\[[?0-9;]*[A-Za-z])*$";

type Session = StreamSession<UnixStream>;

/// Returns `true` at a shell prompt, `false` if the login is refused.
pub(crate) async fn dialogue(
    serial: &Serial,
    user: &str,
    password: &str,
    limit: Duration,
) -> Result<bool, MachineError> {
    let (near, far) = UnixStream::pair().map_err(other)?;
    let tap = serial.tap();
    let nudge = !tap.0.ends_with("login: ");
    let bridge = tokio::spawn(bridge(far, tap, serial.keyboard()));
    let (user, password) = (user.to_owned(), password.to_owned());
    let talk = tokio::task::spawn_blocking(move || talk(&near, nudge, &user, &password));
    // The timeout of rexpect applies to each wait, this one to the whole dialogue. When the bridge ends,
    // it closes the socket, and that ends the thread.
    let verdict = tokio::time::timeout(limit, talk).await;
    bridge.abort();
    match verdict {
        Ok(verdict) => verdict.map_err(other)?,
        Err(_) => Err(WaitError::deadline(WHAT, limit, serial.last_lines()).into()),
    }
}

fn other(error: impl std::fmt::Display) -> MachineError {
    MachineError::Other(format!("{WHAT}: {error}"))
}

/// Copies in both directions until either side is closed.
async fn bridge(
    far: UnixStream,
    (line, mut output): (String, mpsc::UnboundedReceiver<Vec<u8>>),
    keyboard: mpsc::Sender<Vec<u8>>,
) -> std::io::Result<()> {
    far.set_nonblocking(true)?;
    let (mut typed, mut shown) = tokio::net::UnixStream::from_std(far)?.into_split();
    shown.write_all(line.as_bytes()).await?;
    let mut buffer = [0; 256];
    loop {
        tokio::select! {
            received = output.recv() => match received {
                Some(bytes) => shown.write_all(&bytes).await?,
                None => return Ok(()),
            },
            typed = typed.read(&mut buffer) => match typed? {
                0 => return Ok(()),
                n if keyboard.send(buffer[..n].to_vec()).await.is_err() => return Ok(()),
                _ => {}
            },
        }
    }
}

fn talk(near: &UnixStream, nudge: bool, user: &str, password: &str) -> Result<bool, MachineError> {
    let streams = (
        near.try_clone().map_err(other)?,
        near.try_clone().map_err(other)?,
    );
    let mut session = StreamSession::new(streams.0, streams.1, options());
    log_in(&mut session, nudge, user, password).map_err(|error| match error {
        Error::EOF { expected, got, .. } => {
            let why = format!("the serial port closed after {got:?}, before {expected}");
            WaitError::failed(WHAT, why).into()
        }
        error => other(error),
    })
}

fn options() -> Options {
    Options::new().timeout_ms(Some(IDLE_MILLIS))
}

/// Waits for a prompt. Presses Enter whenever the line is idle before the prompt appears.
fn prompt(session: &mut Session, pattern: &str) -> Result<String, Error> {
    loop {
        match session.exp_regex(pattern) {
            Err(Error::Timeout { .. }) => type_line(session, "")?,
            done => return done.map(|(_, prompt)| prompt),
        }
    }
}

/// Types the name until a password is requested. The prompt may come from a getty that then exited:
/// the next getty discards typed input, and prompts again.
fn name(session: &mut Session, user: &str) -> Result<(), Error> {
    let either = format!("{PASSWORD}|{LOGIN_ANYWHERE}");
    loop {
        type_line(session, user)?;
        let mut asked_again = false;
        loop {
            match session.exp_regex(&either) {
                Ok((_, text)) if is_login(&text) => asked_again = true,
                Ok(_) => return Ok(()),
                Err(Error::Timeout { .. }) if asked_again => break,
                // The guest is slow. Enter would be taken as the password.
                Err(Error::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn log_in(session: &mut Session, nudge: bool, user: &str, password: &str) -> Result<bool, Error> {
    if nudge {
        type_line(session, "")?;
    }
    if !is_login(&prompt(session, &format!("{LOGIN}|{SHELL}"))?) {
        // Another session is still logged in.
        type_line(session, "exit")?;
        prompt(session, LOGIN)?;
    }
    name(session, user)?;
    type_line(session, password)?;
    let verdict = prompt(session, &format!("(?i)login incorrect|{LOGIN}|{SHELL}"))?;
    Ok(!is_login(&verdict))
}

fn is_login(text: &str) -> bool {
    text.to_lowercase().contains("login")
}

/// Types a line. A terminal's Enter is a carriage return; on an idle line it repeats the prompt.
fn type_line(session: &mut Session, text: &str) -> Result<(), Error> {
    session.send(&format!("{text}\r"))?;
    session.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines;
    use std::fs::File;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::sync::watch;

    /// Simulates a guest: a list of expected input and the reply to it.
    async fn guest(line: tokio::net::UnixStream, script: &[(&str, &str)]) {
        let (read, mut write) = line.into_split();
        let mut typed = BufReader::new(read);
        for (expected, reply) in script {
            let mut got = Vec::new();
            typed.read_until(b'\r', &mut got).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&got), format!("{expected}\r"));
            write.write_all(reply.as_bytes()).await.unwrap();
        }
        // The line stays open as long as the dialogue needs it.
        let _ = typed.read_until(b'\r', &mut vec![]).await;
    }

    async fn log_in(script: &'static [(&str, &str)]) -> bool {
        let (line, port) = tokio::net::UnixStream::pair().unwrap();
        let log = File::options().write(true).open("/dev/null").unwrap();
        let serial = Serial::new(
            lines::only(port),
            log,
            tempfile::tempfile().unwrap(),
            crate::console::scan::Rules::default(),
            watch::Sender::new(None),
        );
        let guest = tokio::spawn(guest(line, script));
        let verdict = serial
            .login("rancher", "secret", Duration::from_secs(60))
            .await;
        drop(serial);
        guest.await.unwrap();
        verdict.unwrap()
    }

    #[tokio::test]
    async fn prompt_after_the_password_is_a_login() {
        assert!(
            log_in(&[
                ("", "\r\nrancher login: "),
                ("rancher", "rancher\r\nPassword: "),
                ("secret", "\r\nwelcome\r\n\x1b[?2004hrancher@rancher:~$ "),
            ])
            .await
        );
    }

    #[tokio::test]
    async fn message_after_the_prompt_does_not_hide_it() {
        assert!(
            log_in(&[
                (
                    "",
                    "\r\nrancher login: [   24.6] Bridge firewalling registered\r\n"
                ),
                ("", "\r\nrancher login: "),
                ("rancher", "rancher\r\nPassword: [   25.0] random\r\n"),
                ("secret", "\r\nrancher@rancher:~$ [   26.0] more\r\n"),
                ("", "\r\nrancher@rancher:~$ "),
            ])
            .await
        );
    }

    #[tokio::test]
    async fn name_that_an_exiting_getty_discarded_is_typed_again() {
        assert!(
            log_in(&[
                ("", "\r\nrancher login: "),
                (
                    "rancher",
                    "\r\nRancherOS\r\nrancher login: [   25.0] random\r\n"
                ),
                ("rancher", "rancher\r\nPassword: "),
                ("secret", "\r\nrancher@rancher:~$ "),
            ])
            .await
        );
    }

    #[tokio::test]
    async fn repeated_prompt_is_answered_once() {
        assert!(
            log_in(&[
                ("", "\r\nrancher login: "),
                ("rancher", "\r\nrancher login: rancher\r\nPassword: "),
                ("secret", "\r\nrancher@rancher:~$ "),
            ])
            .await
        );
    }

    #[tokio::test]
    async fn wrong_password_is_refused_even_after_another_session() {
        assert!(
            !log_in(&[
                ("", "\r\nrancher@rancher:~$ "),
                ("exit", "exit\r\nlogout\r\n\r\nrancher login: "),
                ("rancher", "rancher\r\nPassword: "),
                ("secret", "\r\nLogin incorrect\r\nrancher login: "),
            ])
            .await
        );
    }
}
