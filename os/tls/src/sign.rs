//! Generates and signs certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};

use crate::{Error, Result};

/// What a CA is for. It names the CA; the name is constant, because a signature refers to the CA by name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Docker,
    Etcd,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Docker => "RancherOS user Docker",
            Self::Etcd => "RancherOS etcd",
        }
    }
}

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

/// Generates a CA.
pub(crate) fn authority(purpose: Purpose) -> Result<Pair> {
    let key = KeyPair::generate()?;
    let cert = authority_params(purpose)?.self_signed(&key)?;
    Ok(pair(cert.pem(), &key))
}

/// Generates the certificate of an engine for these names and addresses.
pub(crate) fn server(authority: &Pair, hosts: &[String]) -> Result<Pair> {
    let name = hosts.first().map_or("docker", String::as_str);
    let usages = [ExtendedKeyUsagePurpose::ServerAuth];
    signed((authority, Purpose::Docker), name, hosts, &usages)
}

/// Generates the certificate of a client of an engine.
pub(crate) fn client(authority: &Pair) -> Result<Pair> {
    let usages = [ExtendedKeyUsagePurpose::ClientAuth];
    signed((authority, Purpose::Docker), "client", &[], &usages)
}

/// Generates the certificate of a machine in an etcd cluster, for these names and addresses. It has both
/// usages: a member is the client of the other members.
pub(crate) fn member(authority: &Pair, hosts: &[String]) -> Result<Pair> {
    let name = hosts.first().map_or("etcd", String::as_str);
    let usages = [
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    signed((authority, Purpose::Etcd), name, hosts, &usages)
}

fn signed(
    (authority, purpose): (&Pair, Purpose),
    name: &str,
    hosts: &[String],
    usages: &[ExtendedKeyUsagePurpose],
) -> Result<Pair> {
    let authority_key = KeyPair::from_pem(&authority.key)?;
    if !is_ours(&authority.cert, &authority_key, purpose) {
        return Err(Error::Foreign);
    }
    let issuer = Issuer::new(authority_params(purpose)?, authority_key);
    let mut params = params(name, hosts)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages.to_vec();
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, &issuer)?;
    Ok(pair(cert.pem(), &key))
}

fn authority_params(purpose: Purpose) -> Result<CertificateParams> {
    let mut params = params(purpose.name(), &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    Ok(params)
}

fn params(name: &str, hosts: &[String]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2099, 12, 31);
    Ok(params)
}

/// Whether a certificate contains this key and the name of the CA; signatures refer to nothing else.
fn is_ours(cert: &str, key: &KeyPair, purpose: Purpose) -> bool {
    let Ok(cert) = pem::parse(cert) else {
        return false;
    };
    let contains = |part: &[u8]| cert.contents().windows(part.len()).any(|at| at == part);
    contains(&key.subject_public_key_info()) && contains(purpose.name().as_bytes())
}

fn pair(cert: String, key: &KeyPair) -> Pair {
    let key = key.serialize_pem();
    Pair { cert, key }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(cert: &str, part: &[u8]) -> bool {
        let der = pem::parse(cert).unwrap();
        der.contents().windows(part.len()).any(|at| at == part)
    }

    #[test]
    fn server_certificate_contains_names_and_addresses() {
        let authority = authority(Purpose::Docker).unwrap();
        let hosts = ["box.example", "10.1.2.3"].map(str::to_owned);
        let server = server(&authority, &hosts).unwrap();
        // GeneralName (RFC 5280, 4.2.1.6): a name has tag 2, an address tag 7.
        assert!(contains(&server.cert, b"\x82\x0bbox.example"));
        assert!(contains(&server.cert, &[0x87, 4, 10, 1, 2, 3]));
    }

    #[test]
    fn only_a_members_certificate_has_both_usages() {
        // id-kp-serverAuth and id-kp-clientAuth (RFC 5280, 4.2.1.12).
        let usage = |number| [0x2b, 6, 1, 5, 5, 7, 3, number];
        let has = |pair: &Pair| [1, 2].map(|number| contains(&pair.cert, &usage(number)));
        let docker = authority(Purpose::Docker).unwrap();
        let etcd = authority(Purpose::Etcd).unwrap();
        let member = member(&etcd, &["10.1.2.3".into()]).unwrap();
        assert_eq!(has(&member), [true, true]);
        assert!(contains(&member.cert, &[0x87, 4, 10, 1, 2, 3]));
        assert_eq!(has(&server(&docker, &[]).unwrap()), [true, false]);
        assert_eq!(has(&client(&docker).unwrap()), [false, true]);
    }

    #[test]
    fn signing_fails_when_the_ca_is_foreign() {
        let [ours, theirs] = [(), ()].map(|()| authority(Purpose::Docker).unwrap());
        assert!(matches!(member(&ours, &[]), Err(Error::Foreign)));
        let mixed = Pair {
            cert: theirs.cert,
            key: ours.key,
        };
        assert!(matches!(client(&mixed), Err(Error::Foreign)));
    }
}
