//! The engine's TLS port: its certificates and the arguments for it.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use crate::arguments::validate;
use crate::report::warn;

/// The folder that the engine reads its certificates from.
const CERTIFICATES: &str = "/etc/docker/tls";

/// The port for other computers.
const PORT: u16 = 2376;

/// The timeout for the machine's first address, which belongs into the certificate. DHCP takes a second or
/// two; without a network the engine starts all the same.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(8);

/// Writes the certificates, and adds the arguments with which the engine listens to clients that have a
/// certificate.
///
/// # Errors
/// The certificates cannot be written, the port is in use, or the engine rejects the certificates.
pub(crate) fn with_tls(arguments: &[OsString]) -> Result<Vec<OsString>, String> {
    let store = tls::Store::machine();
    if let Err(error) = store.renew(ADDRESS_TIMEOUT) {
        warn(&format!("{error}; the certificate stays as it was"));
    }
    store
        .write_server(Path::new(CERTIFICATES))
        .map_err(|error| error.to_string())?;
    let mut all = arguments.to_vec();
    all.extend(tls_arguments().map(OsString::from));
    check_port(PORT)?;
    check_certificates(arguments, &all, validate)?;
    Ok(all)
}

/// Whether the engine could listen on a port: it exits if it cannot. A container of the user on the host's
/// network, which kept running without the engine, may use the port.
fn check_port(port: u16) -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    listener
        .map(drop)
        .map_err(|error| format!("cannot listen on port {port}: {error}"))
}

/// Whether the engine accepts its certificates. Arguments that it rejects without certificates, too, are
/// not an error here: the engine reports it when it starts.
fn check_certificates(
    without: &[OsString],
    with: &[OsString],
    validate: impl Fn(&[OsString]) -> Result<(), String>,
) -> Result<(), String> {
    match validate(with) {
        Err(error) if validate(without).is_ok() => Err(format!(
            "the engine rejects userdocker.tls_ca_cert, tls_server_cert and tls_server_key: {error}"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_port_names_the_port_when_it_is_in_use() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err();
        assert!(
            error.starts_with(&format!("cannot listen on port {port}: ")),
            "{error}"
        );
        drop(listener);
        assert_eq!(check_port(port), Ok(()));
        assert_eq!(check_port(port), Ok(()), "the port was released");
    }

    #[test]
    fn check_certificates_fails_only_when_the_certificates_are_the_cause() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        // The engine rejects one word.
        let check = |own: &str, rejected: &str| {
            let validate = |given: &[OsString]| {
                if given.contains(&rejected.into()) {
                    Err(format!("no {rejected}"))
                } else {
                    Ok(())
                }
            };
            check_certificates(&words(&[own]), &words(&[own, "--tls"]), validate)
        };
        assert_eq!(check("--good", "--bad"), Ok(()));
        assert_eq!(check("--bad", "--bad"), Ok(()), "the engine reports it");
        let error = check("--good", "--tls").unwrap_err();
        assert!(
            error.contains("tls_server_cert") && error.ends_with("no --tls"),
            "{error}"
        );
    }
}
