//! What clouds say by HTTP: a page, Amazon's metadata ("Retrieve instance metadata", version 2 with
//! its token, and version 1 without), Google's ("About VM metadata").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::Found;
use super::http::{Failure, get, put};

/// What shows Google that nobody was tricked into asking.
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

/// What a token of Amazon's comes in.
const TOKEN: &str = "X-aws-ec2-metadata-token";

/// User-data at a URL.
pub(super) async fn page(url: &Url) -> Result<Option<Found>, Failure> {
    Ok(Some(Found {
        user_data: Some(get(url, &[]).await?.to_vec()),
        ..Found::default()
    }))
}

pub(super) async fn ec2(base: &Url) -> Result<Option<Found>, Failure> {
    let lifetime = [("X-aws-ec2-metadata-token-ttl-seconds", "300")];
    let token = match put(&at(base, "latest/api/token")?, &lifetime).await {
        Ok(token) => Some(String::from_utf8_lossy(&token).trim().to_owned()),
        // Only version 1 is spoken here.
        Err(Failure::Status(_)) => None,
        Err(failure) => return Err(failure),
    };
    let headers: Vec<_> = token.iter().map(|token| (TOKEN, token.as_str())).collect();
    let ask = async |path: &str| maybe(&at(base, path)?, &headers).await;
    let user_data = ask("latest/user-data").await?;
    let mut keys = Vec::new();
    // A line `NUMBER=NAME` for each.
    let list = ask("latest/meta-data/public-keys/")
        .await?
        .unwrap_or_default();
    for line in text(&list).lines() {
        let number = line.split('=').next().unwrap_or_default().trim();
        let path = format!("latest/meta-data/public-keys/{number}/openssh-key");
        let key = ask(&path).await?.unwrap_or_default();
        keys.extend(text(&key).lines().map(str::to_owned));
    }
    let hostname = ask("latest/meta-data/local-hostname").await?;
    Ok(found(user_data, keys, hostname))
}

pub(super) async fn gce(base: &Url) -> Result<Option<Found>, Failure> {
    let ask = async |path: &str| {
        maybe(&at(base, &format!("computeMetadata/v1/{path}"))?, &[FLAVOR]).await
    };
    let mut user_data = ask("instance/attributes/user-data").await?;
    let encoding = ask("instance/attributes/user-data-encoding").await?;
    if let Some(packed) = user_data.as_ref()
        && encoding.is_some_and(|encoding| text(&encoding) == "base64")
    {
        let packed: String = text(packed).split_whitespace().collect();
        let plain = STANDARD.decode(packed);
        user_data = Some(plain.map_err(|error| Failure::Never(format!("user-data: {error}")))?);
    }
    let mut keys = google_keys(ask("instance/attributes/ssh-keys").await?);
    let own = ask("instance/attributes/block-project-ssh-keys").await?;
    if !own.is_some_and(|own| text(&own).eq_ignore_ascii_case("true")) {
        keys.extend(google_keys(ask("project/attributes/ssh-keys").await?));
    }
    let hostname = ask("instance/hostname").await?;
    Ok(found(user_data, keys, hostname))
}

/// Lines `USER:KEY`; here is one user for all of them.
fn google_keys(page: Option<Vec<u8>>) -> Vec<String> {
    let page = page.unwrap_or_default();
    let key = |line: &str| {
        let (user, key) = line.split_once(':')?;
        // What is no user is part of a key.
        (!user.contains(' ')).then(|| key.trim().to_owned())
    };
    text(&page).lines().filter_map(key).collect()
}

/// `None` where nothing at all is said.
fn found(
    user_data: Option<Vec<u8>>,
    keys: Vec<String>,
    hostname: Option<Vec<u8>>,
) -> Option<Found> {
    if user_data.is_none() && keys.is_empty() && hostname.is_none() {
        return None;
    }
    Some(Found {
        user_data,
        keys,
        hostname: hostname.map(|name| text(&name)),
    })
}

/// A page that need not be there.
async fn maybe(url: &Url, headers: &[(&str, &str)]) -> Result<Option<Vec<u8>>, Failure> {
    match get(url, headers).await {
        Ok(page) => Ok(Some(page.to_vec())),
        Err(Failure::Status(404)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn at(base: &Url, path: &str) -> Result<Url, Failure> {
    base.join(path)
        .map_err(|error| Failure::Never(error.to_string()))
}

fn text(page: &[u8]) -> String {
    String::from_utf8_lossy(page).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::super::{Found, Source};

    /// Answers so many requests over real connections; what is not in `pages` is a 404.
    fn serve(requests: usize, pages: fn(&str) -> Option<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(requests) {
                let mut stream = stream.unwrap();
                let mut asked = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !asked.ends_with("\r\n\r\n") && reader.read_line(&mut asked).unwrap() > 0 {}
                let answer = match pages(&asked.to_lowercase()) {
                    Some(raw) if raw.starts_with("HTTP/") => raw,
                    Some(body) => {
                        format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        )
                    }
                    None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
                };
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        format!("http://{address}/")
    }

    fn ask(kind: &str, address: &str) -> Result<Option<Found>, String> {
        Source::parse(&format!("{kind}:{address}"), "")
            .unwrap()
            .ask()
    }

    #[test]
    fn amazon_is_asked_with_its_token() {
        let address = serve(6, |asked| {
            if asked.starts_with("put /latest/api/token ") {
                assert!(asked.contains("x-aws-ec2-metadata-token-ttl-seconds: 300"));
                return Some("word\n".into());
            }
            assert!(asked.contains("x-aws-ec2-metadata-token: word"), "{asked}");
            match asked.split(' ').nth(1).unwrap() {
                "/latest/user-data" => Some("#!/bin/sh\n".into()),
                "/latest/meta-data/public-keys/" => Some("0=me\n1=it".into()),
                "/latest/meta-data/public-keys/0/openssh-key" => Some("k0\n".into()),
                "/latest/meta-data/public-keys/1/openssh-key" => Some("k1\n".into()),
                "/latest/meta-data/local-hostname" => Some("pot".into()),
                _ => None,
            }
        });
        let found = ask("ec2", &address).unwrap().unwrap();
        assert_eq!(found.user_data.unwrap(), b"#!/bin/sh\n");
        assert_eq!(found.keys, ["k0", "k1"]);
        assert_eq!(found.hostname.as_deref(), Some("pot"));
    }

    #[test]
    fn amazon_of_old_has_no_token() {
        let address = serve(4, |asked| {
            (asked.starts_with("get /latest/user-data ") && !asked.contains("token"))
                .then(|| "old".into())
        });
        assert_eq!(
            ask("ec2", &address).unwrap().unwrap().user_data.unwrap(),
            b"old"
        );
        let silent = serve(4, |_| None);
        assert_eq!(ask("ec2", &silent), Ok(None));
    }

    #[test]
    fn google_is_asked_as_it_wants_it() {
        let address = serve(6, |asked| {
            assert!(asked.contains("metadata-flavor: google"), "{asked}");
            match asked.split(' ').nth(1).unwrap() {
                "/computemetadata/v1/instance/attributes/user-data" => {
                    Some("I2Nsb3Vk\nLWNvbmZpZw==".into())
                }
                "/computemetadata/v1/instance/attributes/user-data-encoding" => {
                    Some("base64".into())
                }
                "/computemetadata/v1/instance/attributes/ssh-keys" => Some("me:ssh-rsa A\n".into()),
                "/computemetadata/v1/project/attributes/ssh-keys" => Some("it:ssh-rsa B".into()),
                _ => None,
            }
        });
        let found = ask("gce", &address).unwrap().unwrap();
        assert_eq!(found.user_data.unwrap(), b"#cloud-config");
        assert_eq!(found.keys, ["ssh-rsa A", "ssh-rsa B"]);
    }

    #[test]
    fn who_is_busy_is_asked_again() {
        let address = serve(2, |_| {
            static ASKED: AtomicBool = AtomicBool::new(false);
            Some(match ASKED.swap(true, Ordering::Relaxed) {
                false => "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".into(),
                true => "page".into(),
            })
        });
        assert_eq!(
            ask("url", &address).unwrap().unwrap().user_data.unwrap(),
            b"page"
        );
    }

    #[test]
    fn a_redirection_leads_to_the_page() {
        let address = serve(2, |asked| match asked.split(' ').nth(1).unwrap() {
            "/" => {
                Some("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".into())
            }
            _ => Some("page".into()),
        });
        assert_eq!(
            ask("url", &address).unwrap().unwrap().user_data.unwrap(),
            b"page"
        );
        let away = serve(1, |_| {
            Some("HTTP/1.1 302 Found\r\nLocation: https://a/\r\n\r\n".into())
        });
        assert!(ask("url", &away).unwrap_err().contains("https"));
    }

    #[test]
    fn who_never_answers_is_not_waited_for_for_ever() {
        // It accepts connections and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let begin = Instant::now();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let why = ask("url", &address).unwrap_err();
        assert!(why.contains("within"), "{why}");
        assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    }

    #[test]
    fn keys_of_google_are_told_from_their_users() {
        let page = b"me:ssh-rsa A\n\nssh-rsa no:user\nit: ssh-ed25519 B it@x\n".to_vec();
        assert_eq!(
            super::google_keys(Some(page)),
            ["ssh-rsa A", "ssh-ed25519 B it@x"]
        );
    }
}
