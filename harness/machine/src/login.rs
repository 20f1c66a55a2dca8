//! A login dialogue on the serial line, by rexpect.
//!
//! rexpect drives any stream, blocking, with one time-out a session; it gets a socket whose other
//! end is fed from a tap of the line, in a thread that may block. It takes each byte for a Latin-1
//! character, which prompts survive.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use rexpect::error::Error;
use rexpect::reader::Options;
use rexpect::session::StreamSession;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::serial::Serial;
use super::{MachineError, WaitError};

/// The name of the wait, for its error.
const WHAT: &str = "a login on the serial line";
/// How long the line may be idle before Enter is typed: a message of the kernel may have come right
/// behind the prompt, which is then not at the end any more.
const IDLE_MILLIS: u64 = 2000;
/// `login: ` at the end of what was said so far.
const LOGIN: &str = r"(?i)login: ?$";
/// The same with anything behind it.
const LOGIN_ANYWHERE: &str = "(?i)login: ";
/// What a login asks for after the name.
const PASSWORD: &str = "(?i)password: ?";
/// A shell's prompt, at the end, colours and the like after it.
const SHELL: &str = r"[$#] (\x1b\[[?0-9;]*[A-Za-z])*$";

type Session = StreamSession<UnixStream>;

/// `true` at a shell prompt, `false` when refused.
pub(super) async fn dialogue(
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
    // rexpect has a time-out for each wait; the one here is for the dialogue. Ending the bridge
    // closes the socket, and that ends the thread.
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

/// Copies both ways until either side is gone.
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
            said = output.recv() => match said {
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
            let why = format!("the port was closed at {got:?}, before {expected}");
            WaitError::failed(WHAT, why).into()
        }
        error => other(error),
    })
}

fn options() -> Options {
    Options::new().timeout_ms(Some(IDLE_MILLIS))
}

/// Waits for a prompt, and asks for it again whenever the line falls silent before it.
fn prompt(session: &mut Session, pattern: &str) -> Result<String, Error> {
    loop {
        match session.exp_regex(pattern) {
            Err(Error::Timeout { .. }) => type_line(session, "")?,
            done => return done.map(|(_, prompt)| prompt),
        }
    }
}

/// Types the name until a password is asked for. The prompt may have been the last word of a getty
/// that died: the next one throws away what was typed to it, and asks again.
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
                // A guest that is slow; Enter would be taken for the password.
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
        // Somebody is still logged in.
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

/// A terminal's Enter is a carriage return; on an idle line it brings the prompt up again.
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

    /// A guest as far as a terminal can tell: a script of what it expects and says.
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
            crate::badness::Rules::default(),
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
    async fn a_prompt_after_the_password_is_a_login() {
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
    async fn a_message_behind_the_prompt_is_no_end_of_it() {
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
    async fn a_name_that_a_dying_getty_took_is_typed_again() {
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
    async fn a_prompt_that_comes_twice_is_answered_once() {
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
    async fn a_wrong_password_is_refused_even_after_another_session() {
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
