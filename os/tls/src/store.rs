//! Where what was made is kept: a layer of the configuration.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::UserDocker;
use nix::fcntl::{Flock, FlockArg};
use serde_yaml::{Mapping, Value};

use crate::files::{Client, at, write_server};
use crate::{Error, Pair, Result, address, hosts, sign};

/// What the certificate is for that the machine made by itself.
const HOSTS: &str = "tls_server_hosts";

/// The configuration, as far as certificates go.
pub struct Store {
    folder: PathBuf,
    cmdline: String,
}

impl Store {
    /// That of this machine.
    pub fn machine() -> Self {
        // Without /proc there are no arguments to read.
        let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        Self {
            folder: config::FOLDER.into(),
            cmdline,
        }
    }

    /// Makes and keeps what the engine shows, for `hosts` or, where there are none, for what the
    /// machine is known by; and writes it into `folder`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn make_server(&self, hosts: &[String], folder: &Path) -> Result<()> {
        let _alone = self.lock()?;
        let (ca, server) = self.new_server(hosts)?;
        write_server(folder, &ca.cert, &server)
    }

    /// Makes what the engine shows anew where the machine made it by itself and is known by more now: it
    /// may have had no address then. One is waited for, at most for so long. What the engine was known
    /// by before stays, as clients may know it by that.
    ///
    /// # Errors
    /// See [`Error`]; what was made before is still there.
    pub fn renew(&self, limit: Duration) -> Result<()> {
        let none = self.load().tls_server_cert.is_none();
        if none || self.hosts().is_some() {
            address::wait(limit);
        }
        self.renew_for(hosts::of_this_machine())
    }

    fn renew_for(&self, now: Vec<String>) -> Result<()> {
        let _alone = self.lock()?;
        let Some(mut hosts) = self.hosts() else {
            return Ok(());
        };
        let before = hosts.len();
        for host in now {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        match hosts.len() == before {
            true => Ok(()),
            false => self.own_server(hosts).map(drop),
        }
    }

    /// Writes what the engine shows into `folder`; it is made where there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn write_server(&self, folder: &Path) -> Result<()> {
        let _alone = self.lock()?;
        let kept = self.load();
        let server = both(
            (kept.tls_server_cert, "tls_server_cert"),
            (kept.tls_server_key, "tls_server_key"),
        )?;
        match (kept.tls_ca_cert, server) {
            (Some(ca), Some(server)) => write_server(folder, &ca, &server),
            (None, Some(_)) => Err(Error::Missing("tls_ca_cert")),
            (_, None) => {
                let (ca, server) = self.new_server(&[])?;
                write_server(folder, &ca.cert, &server)
            }
        }
    }

    /// What a new client needs.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn make_client(&self) -> Result<Client> {
        let _alone = self.lock()?;
        let authority = self.authority()?;
        let pair = sign::client(&authority)?;
        Ok(Client {
            ca: authority.cert,
            pair,
        })
    }

    fn new_server(&self, hosts: &[String]) -> Result<(Pair, Pair)> {
        if hosts.is_empty() {
            return self.own_server(hosts::of_this_machine());
        }
        let authority = self.authority()?;
        let server = sign::server(&authority, hosts)?;
        // Somebody has said for what it is.
        let nothing = Some((HOSTS, Value::Null));
        self.keep("tls_server_cert", "tls_server_key", &server, nothing)?;
        Ok((authority, server))
    }

    /// For what the machine is known by, as nobody said otherwise.
    fn own_server(&self, hosts: Vec<String>) -> Result<(Pair, Pair)> {
        let authority = self.authority()?;
        let server = sign::server(&authority, &hosts)?;
        let hosts = Some((HOSTS, hosts.into()));
        self.keep("tls_server_cert", "tls_server_key", &server, hosts)?;
        Ok((authority, server))
    }

    /// What the certificate is for, where the machine made it by itself and nobody set another. One that
    /// was made before that was noted says it itself: the machine's own begin with its own name for
    /// itself, and who says another name hardly says that one.
    fn hosts(&self) -> Option<Vec<String>> {
        let made = std::fs::read_to_string(self.folder.join(config::GENERATED_LAYER)).ok()?;
        let made: Value = serde_yaml::from_str(&made).ok()?;
        let made = made.get("userdocker")?;
        let cert = self.load().tls_server_cert?;
        if made.get("tls_server_cert")?.as_str()? != cert {
            return None;
        }
        let Some(noted) = made.get(HOSTS) else {
            let hosts = hosts::of_certificate(&cert);
            return hosts.filter(|hosts| hosts.first().is_some_and(|host| host == hosts::ITSELF));
        };
        let hosts = noted.as_sequence()?.iter();
        Some(
            hosts
                .filter_map(|host| host.as_str().map(str::to_owned))
                .collect(),
        )
    }

    /// Who signs; made at its first use.
    fn authority(&self) -> Result<Pair> {
        let kept = self.load();
        let pair = both(
            (kept.tls_ca_cert, "tls_ca_cert"),
            (kept.tls_ca_key, "tls_ca_key"),
        )?;
        if let Some(pair) = pair {
            return Ok(pair);
        }
        let made = sign::authority()?;
        self.keep("tls_ca_cert", "tls_ca_key", &made, None)?;
        Ok(made)
    }

    fn load(&self) -> UserDocker {
        config::load(&self.folder, &self.cmdline).config.userdocker
    }

    fn keep(
        &self,
        cert: &str,
        key: &str,
        pair: &Pair,
        beside: Option<(&str, Value)>,
    ) -> Result<()> {
        let path = self.folder.join(config::GENERATED_LAYER);
        // What cannot be read was of no use, and is made anew.
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let mut layer = match serde_yaml::from_str(&old) {
            Ok(Value::Mapping(layer)) => Value::Mapping(layer),
            _ => Value::Mapping(Mapping::new()),
        };
        let mut made = Mapping::from_iter([
            (cert.into(), pair.cert.clone().into()),
            (key.into(), pair.key.clone().into()),
        ]);
        made.extend(beside.map(|(name, value)| (name.into(), value)));
        let made = Mapping::from_iter([("userdocker".into(), Value::Mapping(made))]);
        config::merge(&mut layer, &Value::Mapping(made));
        config::write_layer(&path, &layer).map_err(at(&path))?;
        let now = serde_yaml::to_value(self.load()).unwrap_or_default();
        let holds = |name: &str, text: &str| now[name].as_str() == Some(text);
        match holds(cert, &pair.cert) && holds(key, &pair.key) {
            true => Ok(()),
            false => Err(Error::Overridden),
        }
    }

    /// One at a time: the engine may make its own just when a person asks for some.
    fn lock(&self) -> Result<Flock<std::fs::File>> {
        let path = self.folder.join("generated.lock");
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        let file = std::fs::create_dir_all(&self.folder)
            .and_then(|()| options.open(&path))
            .map_err(at(&path))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| at(&path)(error.into()))
    }
}

/// A pair, nothing, or what is missing of it.
fn both(
    (cert, cert_name): (Option<String>, &'static str),
    (key, key_name): (Option<String>, &'static str),
) -> Result<Option<Pair>> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(Pair { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::Missing(key_name)),
        (None, Some(_)) => Err(Error::Missing(cert_name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store {
            folder: folder.path().into(),
            cmdline: String::new(),
        };
        (folder, store)
    }

    #[test]
    fn what_was_made_is_kept_and_not_made_again() {
        let (folder, store) = store();
        let first = store.authority().unwrap();
        store.new_server(&["box".into()]).unwrap();
        assert!(store.authority().unwrap() == first);
        let kept = folder.path().join(config::GENERATED_LAYER);
        assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(config::load(folder.path(), "").problems, []);
    }

    fn has_address(cert: &str, address: [u8; 4]) -> bool {
        let der = pem::parse(cert).unwrap();
        let name = [&[0x87, 4][..], &address].concat();
        der.contents().windows(6).any(|at| at == name)
    }

    #[test]
    fn a_certificate_of_the_machines_own_is_made_anew_when_it_is_known_by_more() {
        let (folder, store) = store();
        let hosts = |hosts: &[&str]| hosts.iter().map(|host| (*host).into()).collect();
        let cert = || store.load().tls_server_cert.unwrap();
        store.renew_for(hosts(&["box"])).unwrap();
        assert!(store.load().tls_server_cert.is_none(), "nobody asked yet");
        store.own_server(hosts(&["localhost", "box"])).unwrap();
        let first = cert();
        store.renew_for(hosts(&["box"])).unwrap();
        assert_eq!(cert(), first, "it is for that");
        store.renew_for(hosts(&["box", "10.0.2.15"])).unwrap();
        store.renew_for(hosts(&["box", "10.0.2.16"])).unwrap();
        let now = cert();
        assert!(has_address(&now, [10, 0, 2, 15]) && has_address(&now, [10, 0, 2, 16]));
        assert_eq!(config::load(folder.path(), "").problems, []);
        // Made again by a person who says no name, it is still the machine's own.
        store.new_server(&[]).unwrap();
        let before = cert();
        store.renew_for(hosts(&["10.0.2.17"])).unwrap();
        assert!(!has_address(&before, [10, 0, 2, 17]) && has_address(&cert(), [10, 0, 2, 17]));
    }

    #[test]
    fn a_certificate_for_what_somebody_said_stays_as_it_is() {
        let (folder, store) = store();
        store.own_server(vec!["box".into()]).unwrap();
        store.new_server(&["elsewhere.example".into()]).unwrap();
        let chosen = store.load().tls_server_cert;
        store.renew_for(vec!["10.0.2.15".into()]).unwrap();
        assert!(store.load().tls_server_cert == chosen);
        assert_eq!(config::load(folder.path(), "").problems, []);
        store.own_server(vec!["box".into()]).unwrap();
        let own = "userdocker: { tls_server_cert: mine, tls_server_key: mine }";
        std::fs::write(folder.path().join(config::USER_LAYER), own).unwrap();
        store.renew_for(vec!["10.0.2.15".into()]).unwrap();
        assert_eq!(store.load().tls_server_cert.as_deref(), Some("mine"));
    }

    #[test]
    fn a_certificate_of_before_hosts_were_noted_says_itself_what_it_is_for() {
        let (folder, store) = store();
        let as_before = |hosts: &[&str]| {
            let hosts = hosts.iter().map(|host| (*host).to_owned());
            store.own_server(hosts.collect()).unwrap();
            let path = folder.path().join(config::GENERATED_LAYER);
            let made = std::fs::read_to_string(&path).unwrap();
            let mut made: Value = serde_yaml::from_str(&made).unwrap();
            made["userdocker"]
                .as_mapping_mut()
                .unwrap()
                .shift_remove(HOSTS);
            config::write_layer(&path, &made).unwrap();
            store.load().tls_server_cert.unwrap()
        };
        let own = ["localhost", "box", "10.0.2.15", "fd00::5", "127.0.0.1"];
        let first = as_before(&own);
        assert_eq!(store.hosts().unwrap(), own);
        store.renew_for(vec!["10.0.2.15".into()]).unwrap();
        assert!(
            store.load().tls_server_cert.unwrap() == first,
            "it is for that"
        );
        store.renew_for(vec!["10.0.2.16".into()]).unwrap();
        let now = store.load().tls_server_cert.unwrap();
        assert!(has_address(&now, [10, 0, 2, 15]) && has_address(&now, [10, 0, 2, 16]));
        // Somebody has said for what that one is.
        let chosen = as_before(&["box.example"]);
        store.renew_for(vec!["10.0.2.16".into()]).unwrap();
        assert!(store.load().tls_server_cert.unwrap() == chosen);
    }

    #[test]
    fn half_a_pair_is_named() {
        let (folder, store) = store();
        let own = "userdocker: { tls_server_cert: mine }";
        std::fs::write(folder.path().join(config::USER_LAYER), own).unwrap();
        let told = store.write_server(folder.path()).unwrap_err().to_string();
        assert!(
            told.starts_with("userdocker.tls_server_key is missing"),
            "{told}"
        );
    }

    #[test]
    fn what_the_user_set_goes_before_what_is_made() {
        let (folder, store) = store();
        let own = "userdocker: { tls_server_cert: mine, tls_server_key: mine, tls_ca_cert: mine }";
        std::fs::write(folder.path().join(config::USER_LAYER), own).unwrap();
        let refused = store.make_client().map(drop).unwrap_err();
        assert!(matches!(refused, Error::Missing("tls_ca_key")), "{refused}");
        std::fs::write(
            folder.path().join(config::USER_LAYER),
            "userdocker: { tls_server_cert: mine, tls_server_key: mine }",
        )
        .unwrap();
        let refused = store.make_server(&[], folder.path()).unwrap_err();
        assert!(matches!(refused, Error::Overridden), "{refused}");
    }
}
