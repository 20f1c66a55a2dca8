//! What the user's engine is started by: adds to its arguments what the configuration asks for, and
//! becomes the engine.
//!
//! An engine that cannot listen as it was told to runs without: it is what people work with.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::engine;
use crate::report::Report;
use crate::sys::Linux;

/// Where the engine reads its certificates.
const CERTIFICATES: &str = "/etc/docker/tls";

/// How long the first address is waited for, which belongs into the certificate: DHCP takes a second or
/// two, and a machine without a network has its engine all the same.
const ADDRESS_LIMIT: Duration = Duration::from_secs(8);

/// Comes back only when there is no engine.
pub fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if config::load_machine().config.userdocker.use_tls {
        match with_tls(&arguments) {
            Ok(with_tls) => arguments = with_tls,
            Err(why) => tell(&format!("{why}; it runs without TLS")),
        }
    }
    let error = Command::new(engine::PROGRAM).args(arguments).exec();
    eprintln!("{}: {error}", engine::PROGRAM);
    ExitCode::FAILURE
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
    let words: Vec<_> = all.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    // The engine itself reads the certificates, before it gives up on what it has.
    engine::validate(&mut Linux::default(), &words).map_err(|why| {
        let keys = "userdocker.tls_ca_cert, tls_server_cert and tls_server_key";
        format!("the engine refuses {keys}: {why}")
    })?;
    Ok(all)
}

fn tls_arguments() -> [String; 5] {
    [
        "--tlsverify".into(),
        format!("--tlscacert={CERTIFICATES}/ca.pem"),
        format!("--tlscert={CERTIFICATES}/server-cert.pem"),
        format!("--tlskey={CERTIFICATES}/server-key.pem"),
        "--host=tcp://0.0.0.0:2376".into(),
    ]
}
