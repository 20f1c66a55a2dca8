//! What the user's engine is started by: adds to its arguments what the configuration asks for, and
//! stays beside the engine, see its module `live_restore`.
//!
//! An engine that cannot listen as it was told to runs without: it is what people work with.

mod arguments;
mod live_restore;

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::engine;
use crate::mounts;
use crate::report::Report;
use crate::sys::Linux;
use crate::tree;

/// Where the engine reads its certificates.
const CERTIFICATES: &str = "/etc/docker/tls";

/// Where it listens to other computers.
const PORT: u16 = 2376;

/// How long the first address is waited for, which belongs into the certificate: DHCP takes a second or
/// two, and a machine without a network has its engine all the same.
const ADDRESS_LIMIT: Duration = Duration::from_secs(8);

/// Comes back when there is no engine, or when it has ended.
pub fn main() -> ExitCode {
    if let Err(why) = tree::engine::enter_tree() {
        tell(&why.to_string());
    }
    if let Err(why) = mounts::wait_for_remote() {
        tell(&why.to_string());
    }
    if let Err(missing) = crate::engine_network::wait(&config::load_machine().config) {
        tell(&missing);
    }
    // Only now: both may take a minute, in which it can change.
    let loaded = config::load_machine();
    let mut accepted = arguments::accepted(&loaded);
    if loaded.config.userdocker.use_tls {
        match with_tls(&accepted.words) {
            Ok(with_tls) => accepted.words = with_tls,
            Err(why) => tell(&format!("{why}; it runs without TLS")),
        }
    }
    match live_restore::run(&accepted) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}: {error}", engine::PROGRAM);
            ExitCode::FAILURE
        }
    }
}

fn tell(what: &str) {
    let line = format!("rancher: userdocker: {what}");
    eprintln!("{line}");
    Report::new().say(&line);
}

/// The arguments with which it listens to clients with a certificate, if it would take them.
fn with_tls(arguments: &[OsString]) -> Result<Vec<OsString>, String> {
    let store = tls::Store::machine();
    if let Err(why) = store.renew(ADDRESS_LIMIT) {
        tell(&format!("{why}; its certificate stays as it was"));
    }
    store
        .write_server(Path::new(CERTIFICATES))
        .map_err(|error| error.to_string())?;
    let mut all = arguments.to_vec();
    all.extend(tls_arguments().map(OsString::from));
    is_free(PORT)?;
    judge(arguments, &all, validate)?;
    Ok(all)
}

/// Whether somebody could listen there now. To a container of the user's that is on the host's network,
/// and went on running, the engine would lose: it gives up where it cannot listen.
fn is_free(port: u16) -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    let taken = |error| format!("port {port}, where it is to listen, cannot be had: {error}");
    listener.map(drop).map_err(taken)
}

/// Whether the engine takes its certificates. What it refuses without them, too, is none of their fault:
/// it says that itself when it starts.
fn judge(
    without: &[OsString],
    with: &[OsString],
    validate: impl Fn(&[OsString]) -> Result<(), String>,
) -> Result<(), String> {
    match validate(with) {
        Err(why) if validate(without).is_ok() => Err(format!(
            "the engine refuses userdocker.tls_ca_cert, tls_server_cert and tls_server_key: {why}"
        )),
        _ => Ok(()),
    }
}

fn tls_arguments() -> [String; 5] {
    [
        "--tlsverify".into(),
        format!("--tlscacert={CERTIFICATES}/ca.pem"),
        format!("--tlscert={CERTIFICATES}/server-cert.pem"),
        format!("--tlskey={CERTIFICATES}/server-key.pem"),
        format!("--host=tcp://0.0.0.0:{PORT}"),
    ]
}

/// The engine itself reads the certificates, before it gives up on what it has.
fn validate(arguments: &[OsString]) -> Result<(), String> {
    let words: Vec<_> = arguments
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    engine::validate(&mut Linux::default(), &words).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_has_is_named() {
        let somebody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = somebody.local_addr().unwrap().port();
        let told = is_free(port).unwrap_err();
        assert!(told.starts_with(&format!("port {port}, ")), "{told}");
        drop(somebody);
        assert_eq!(is_free(port), Ok(()));
        assert_eq!(is_free(port), Ok(()), "it was given back");
    }

    #[test]
    fn certificates_are_blamed_for_nothing_but_themselves() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        // An engine that refuses one word.
        let judge = |own: &str, refused: &str| {
            let validate = |given: &[OsString]| match given.contains(&refused.into()) {
                true => Err(format!("no {refused}")),
                false => Ok(()),
            };
            judge(&words(&[own]), &words(&[own, "--tls"]), validate)
        };
        assert_eq!(judge("--good", "--bad"), Ok(()));
        assert_eq!(judge("--bad", "--bad"), Ok(()), "the engine tells it");
        let told = judge("--good", "--tls").unwrap_err();
        assert!(
            told.contains("tls_server_cert") && told.ends_with("no --tls"),
            "{told}"
        );
    }
}
