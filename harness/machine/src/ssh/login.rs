//! Credentials for a login.

use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

/// Credentials for SSH.
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
    /// The login of a user with a key pair.
    pub fn with_key(user: impl Into<String>, keys: &KeyPair) -> Self {
        Self::Key {
            user: user.into(),
            private_key: keys.private.clone(),
        }
    }

    /// User name.
    pub fn user(&self) -> &str {
        match self {
            Self::Key { user, .. } | Self::Password { user, .. } => user,
        }
    }
}

/// Prints no secret.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = match self {
            Self::Key { .. } => "key",
            Self::Password { .. } => "password",
        };
        write!(f, "{} by {how}", self.user())
    }
}

/// An ed25519 key pair for one machine.
#[derive(Clone)]
pub struct KeyPair {
    /// OpenSSH PEM.
    pub private: String,
    /// One line for `authorized_keys`.
    pub public: String,
}

impl KeyPair {
    /// Generates a key pair.
    ///
    /// # Panics
    /// The host has no source of random numbers.
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
    fn key_pairs_differ_and_are_in_openssh_format() {
        let (one, two) = (KeyPair::generate(), KeyPair::generate());
        assert_ne!(one.public, two.public);
        assert!(one.public.starts_with("ssh-ed25519 ") && one.public.ends_with(" harness"));
        assert!(
            one.private
                .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        );
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let login = Login::Password {
            user: "rancher".into(),
            password: "hunter2".into(),
        };
        assert_eq!(format!("{login:?}"), "rancher by password");
    }
}
