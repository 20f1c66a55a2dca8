//! Generates and signs certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};

use crate::{Error, Result};

/// The name of the CA. It is constant, because a signature refers to the CA by name.
const AUTHORITY: &str = "RancherOS user Docker";

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

/// Generates a CA.
pub(crate) fn authority() -> Result<Pair> {
    let key = KeyPair::generate()?;
    let cert = authority_params()?.self_signed(&key)?;
    Ok(pair(cert.pem(), &key))
}

/// Generates the certificate of an engine for these names and addresses.
pub(crate) fn server(authority: &Pair, hosts: &[String]) -> Result<Pair> {
    let name = hosts.first().map_or("docker", String::as_str);
    signed(authority, name, hosts, ExtendedKeyUsagePurpose::ServerAuth)
}

/// Generates the certificate of a client.
pub(crate) fn client(authority: &Pair) -> Result<Pair> {
    signed(
        authority,
        "client",
        &[],
        ExtendedKeyUsagePurpose::ClientAuth,
    )
}

fn signed(
    authority: &Pair,
    name: &str,
    hosts: &[String],
    usage: ExtendedKeyUsagePurpose,
) -> Result<Pair> {
    let authority_key = KeyPair::from_pem(&authority.key)?;
    if !is_ours(&authority.cert, &authority_key) {
        return Err(Error::Foreign);
    }
    let issuer = Issuer::new(authority_params()?, authority_key);
    let mut params = params(name, hosts)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, &issuer)?;
    Ok(pair(cert.pem(), &key))
}

fn authority_params() -> Result<CertificateParams> {
    let mut params = params(AUTHORITY, &[])?;
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

/// Whether a certificate contains this key and [`AUTHORITY`]; signatures refer to nothing else.
fn is_ours(cert: &str, key: &KeyPair) -> bool {
    let Ok(cert) = pem::parse(cert) else {
        return false;
    };
    let contains = |part: &[u8]| cert.contents().windows(part.len()).any(|at| at == part);
    contains(&key.subject_public_key_info()) && contains(AUTHORITY.as_bytes())
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
        let authority = authority().unwrap();
        let hosts = ["box.example", "10.1.2.3"].map(str::to_owned);
        let server = server(&authority, &hosts).unwrap();
        // GeneralName (RFC 5280, 4.2.1.6): a name has tag 2, an address tag 7.
        assert!(contains(&server.cert, b"\x82\x0bbox.example"));
        assert!(contains(&server.cert, &[0x87, 4, 10, 1, 2, 3]));
    }

    #[test]
    fn signing_fails_when_the_ca_is_foreign() {
        let (ours, theirs) = (authority().unwrap(), authority().unwrap());
        let mixed = Pair {
            cert: theirs.cert,
            key: ours.key,
        };
        assert!(matches!(client(&mixed), Err(Error::Foreign)));
    }
}
