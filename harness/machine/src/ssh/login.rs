//! Who logs in.

use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

/// How to log in over SSH.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// User and a private key in OpenSSH PEM.
    Key {
        /// User name.
        user: String,
        /// The private key; never printed.
        private_key: String,
    },
    /// User and password.
    Password {
        /// User name.
        user: String,
        /// The password.
        password: String,
    },
}

impl Login {
    /// User name.
    pub fn user(&self) -> &str {
        match self {
            Self::Key { user, .. } | Self::Password { user, .. } => user,
        }
    }
}

/// Without the secret.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = match self {
            Self::Key { .. } => "key",
            Self::Password { .. } => "password",
        };
        write!(f, "{} by {how}", self.user())
    }
}

/// A fresh ed25519 key pair for one machine.
#[derive(Clone)]
pub struct KeyPair {
    /// OpenSSH PEM.
    pub private: String,
    /// One line for `authorized_keys`.
    pub public: String,
}

impl KeyPair {
    /// Makes one.
    ///
    /// # Panics
    /// The host has no random numbers.
    pub fn generate() -> Self {
        Self::try_generate().expect("an ed25519 key can always be made and written")
    }

    fn try_generate() -> ssh_key::Result<Self> {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
        key.set_comment("harness");
        Ok(Self {
            private: key.to_openssh(LineEnding::LF)?.to_string(),
            public: key.public_key().to_openssh()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_are_in_the_usual_form() {
        let (one, two) = (KeyPair::generate(), KeyPair::generate());
        assert_ne!(one.public, two.public);
        assert!(one.public.starts_with("ssh-ed25519 ") && one.public.ends_with(" harness"));
        assert!(
            one.private
                .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let login = Login::Password {
            user: "rancher".into(),
            password: "hunter2".into(),
        };
        assert_eq!(format!("{login:?}"), "rancher by password");
    }
}
