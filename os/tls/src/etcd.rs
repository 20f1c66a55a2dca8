//! The certificates of an etcd cluster.
//!
//! One machine has the CA. It signs a certificate for each machine, with which a member serves clients and
//! other members, and with which clients on the machine identify themselves.

use std::path::{Path, PathBuf};

use crate::files::{Bundle, CA, CA_KEY, Owner, at, lock, write_authority};
use crate::sign::{self, Purpose};
use crate::{Error, Pair, Result, hosts};

/// The folder of the certificates that the services `etcd` and `flannel` of this machine see.
pub const ETCD_FOLDER: &str = "/var/lib/rancher/conf/etcd";

/// The folder of the CA, which no service sees.
const AUTHORITY_FOLDER: &str = "/var/lib/rancher/conf/etcd-ca";

/// The CA of an etcd cluster.
pub struct EtcdAuthority {
    folder: PathBuf,
    owner: Owner,
}

impl EtcdAuthority {
    /// The CA of this machine.
    pub fn machine() -> Self {
        Self {
            folder: AUTHORITY_FOLDER.into(),
            owner: (0, 0),
        }
    }

    /// Generates a certificate for these names and addresses and those of the loopback interface, and writes
    /// it to `folder`. If `hosts` is empty, it is for all names and addresses of this machine. The CA is
    /// created when it is used for the first time.
    ///
    /// # Errors
    /// See [`Error`]. A folder with the certificate of another CA is not changed.
    pub fn generate(&self, hosts: &[String], folder: &Path, owner: Owner) -> Result<()> {
        let _lock = lock(&self.folder.with_extension("lock"))?;
        let found = read(&folder.join(CA))?;
        let own = read(&self.folder.join(CA))?;
        if found.is_some() && found != own {
            return Err(Error::OtherAuthority(folder.join(CA)));
        }
        let authority = self.authority(own)?;
        let hosts = match hosts {
            [] => hosts::of_this_machine(),
            chosen => hosts::with_loopback(chosen.to_vec()),
        };
        let pair = sign::member(&authority, &hosts).map_err(|error| self.explain(error))?;
        let ca = authority.cert;
        Bundle { ca, pair }.write(folder, owner)
    }

    fn authority(&self, cert: Option<String>) -> Result<Pair> {
        let Some(cert) = cert else {
            let authority = sign::authority(Purpose::Etcd)?;
            write_authority(&self.folder, &authority, self.owner)?;
            return Ok(authority);
        };
        let key = read(&self.folder.join(CA_KEY))?;
        let key = key.ok_or_else(|| self.explain(Error::Foreign))?;
        Ok(Pair { cert, key })
    }

    fn explain(&self, error: Error) -> Error {
        match error {
            Error::Foreign => Error::AuthorityKey {
                cert: self.folder.join(CA),
                key: self.folder.join(CA_KEY),
            },
            other => other,
        }
    }
}

/// The content of a file, if it exists.
fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    struct Machine {
        root: tempfile::TempDir,
        authority: EtcdAuthority,
    }

    impl Machine {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let metadata = root.path().metadata().unwrap();
            let authority = EtcdAuthority {
                folder: root.path().join("ca"),
                owner: (metadata.uid(), metadata.gid()),
            };
            Self { root, authority }
        }

        fn generate(&self, hosts: &[&str], name: &str) -> Result<()> {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let folder = self.root.path().join(name);
            self.authority
                .generate(&hosts, &folder, self.authority.owner)
        }

        fn file(&self, name: &str) -> String {
            fs::read_to_string(self.root.path().join(name)).unwrap()
        }

        fn mode(&self, name: &str) -> u32 {
            let metadata = self.root.path().join(name).metadata().unwrap();
            metadata.permissions().mode() & 0o777
        }
    }

    #[test]
    fn certificates_of_two_machines_have_one_ca() {
        let machine = Machine::new();
        machine.generate(&[], "a").unwrap();
        machine.generate(&["b", "10.9.0.2"], "b").unwrap();
        assert_eq!(machine.file("a/ca.pem"), machine.file("b/ca.pem"));
        assert_eq!(machine.file("a/ca.pem"), machine.file("ca/ca.pem"));
        let hosts = hosts::of_certificate(&machine.file("b/cert.pem")).unwrap();
        assert_eq!(hosts, ["b", "10.9.0.2", "localhost", "127.0.0.1", "::1"]);
        let own = hosts::of_certificate(&machine.file("a/cert.pem")).unwrap();
        assert_eq!(own, hosts::of_this_machine());
    }

    #[test]
    fn keys_are_readable_by_their_owner_alone() {
        let machine = Machine::new();
        machine.generate(&[], "a").unwrap();
        assert_eq!(machine.mode("a/key.pem"), 0o600);
        assert_eq!(machine.mode("ca/ca-key.pem"), 0o600);
        assert_eq!(machine.mode("ca"), 0o700);
    }

    #[test]
    fn certificate_of_another_ca_is_not_replaced() {
        let [one, other] = [(), ()].map(|()| Machine::new());
        one.generate(&["b"], "b").unwrap();
        fs::create_dir(other.root.path().join("etcd")).unwrap();
        let copied = one.file("b/ca.pem");
        fs::write(other.root.path().join("etcd/ca.pem"), &copied).unwrap();
        let error = other.generate(&[], "etcd").unwrap_err();
        assert!(matches!(error, Error::OtherAuthority(_)), "{error}");
        assert_eq!(other.file("etcd/ca.pem"), copied);
        assert!(!other.root.path().join("ca/ca.pem").exists());
    }

    #[test]
    fn generating_fails_when_the_key_of_the_ca_is_missing_or_another() {
        let [machine, other] = [(), ()].map(|()| Machine::new());
        machine.generate(&[], "a").unwrap();
        other.generate(&[], "a").unwrap();
        let key = machine.root.path().join("ca/ca-key.pem");
        fs::write(&key, other.file("ca/ca-key.pem")).unwrap();
        let error = machine.generate(&[], "a").unwrap_err();
        assert!(matches!(error, Error::AuthorityKey { .. }), "{error}");
        fs::remove_file(&key).unwrap();
        let error = machine.generate(&[], "a").unwrap_err();
        assert!(matches!(error, Error::AuthorityKey { .. }), "{error}");
    }
}
