//! Datasources over HTTP: a page, the metadata of Amazon ("Retrieve instance metadata", version 2 with
//! a token, and version 1 without), and the metadata of Google ("About VM metadata").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::Answer;
use super::http::{Deadline, Failure, get};
use super::session::{Page, Session, text};

/// The header that Google requires, because a forged request would not have it.
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

/// The header with Amazon's token.
const TOKEN: &str = "X-aws-ec2-metadata-token";

/// User-data at a URL.
pub(super) async fn page(url: &Url) -> Result<Option<Answer>, Failure> {
    let page = get(url, &[], Deadline::of_datasource()).await?;
    Ok(Some(Answer {
        user_data: Some(Ok(page.to_vec())),
        ..Answer::default()
    }))
}

/// The metadata of Amazon. The keys are fetched first, so that users can log in if the rest times out.
pub(super) async fn ec2(base: &Url) -> Result<Option<Answer>, Failure> {
    let mut session = Session::new(base);
    let lifetime = [("X-aws-ec2-metadata-token-ttl-seconds", "300")];
    // A server without tokens supports only version 1.
    if let Some(token) = session.put("latest/api/token", &lifetime).await? {
        session.add_header(TOKEN, token);
    }
    let mut keys = Vec::new();
    // The list has a line `NUMBER=NAME` for each key.
    let list = session.text("latest/meta-data/public-keys/").await;
    for line in list.ok().flatten().unwrap_or_default().lines() {
        let number = line.split('=').next().unwrap_or_default().trim();
        let path = format!("latest/meta-data/public-keys/{number}/openssh-key");
        let key = session.text(&path).await.ok().flatten().unwrap_or_default();
        keys.extend(key.lines().map(str::to_owned));
    }
    let hostname = session.text("latest/meta-data/local-hostname").await;
    let user_data = session.get("latest/user-data").await;
    session.finish(user_data, keys, hostname.ok().flatten())
}

/// The metadata of Google, in the same order.
pub(super) async fn gce(base: &Url) -> Result<Option<Answer>, Failure> {
    let base = base.join("computeMetadata/v1/");
    let base = base.map_err(|error| Failure::Permanent(error.to_string()))?;
    let mut session = Session::new(&base);
    session.add_header(FLAVOR.0, FLAVOR.1);
    let own = session.text("instance/attributes/ssh-keys").await;
    let mut keys = google_keys(own.ok().flatten());
    let only_own = session
        .text("instance/attributes/block-project-ssh-keys")
        .await;
    // If the setting cannot be read, the keys of the project are not accepted.
    if only_own.is_ok_and(|only| !only.is_some_and(|only| only.eq_ignore_ascii_case("true"))) {
        let project = session.text("project/attributes/ssh-keys").await;
        keys.extend(google_keys(project.ok().flatten()));
    }
    let hostname = session.text("instance/hostname").await;
    let encoding = session.text("instance/attributes/user-data-encoding").await;
    let mut user_data = session.get("instance/attributes/user-data").await;
    if encoding.is_ok_and(|encoding| encoding.is_some_and(|encoding| encoding == "base64")) {
        user_data = user_data.and_then(decoded);
    }
    session.finish(user_data, keys, hostname.ok().flatten())
}

fn decoded(page: Option<Vec<u8>>) -> Page {
    let Some(page) = page else { return Ok(None) };
    let encoded: String = text(&page).split_whitespace().collect();
    let plain = STANDARD.decode(encoded);
    plain
        .map(Some)
        .map_err(|error| format!("invalid base64: {error}"))
}

/// The keys in lines `USER:KEY`. All of them belong to this machine's only user.
fn google_keys(page: Option<String>) -> Vec<String> {
    let key = |line: &str| {
        let (user, key) = line.split_once(':')?;
        // A key may contain a colon, but a user name contains no space.
        (!user.contains(' ')).then(|| key.trim().to_owned())
    };
    page.unwrap_or_default().lines().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::super::{Answer, Datasource};

    /// Serves this number of requests over real connections; the status is 404 if `pages` has no page.
    fn serve(requests: usize, pages: fn(&str) -> Option<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(requests) {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request).unwrap() > 0
                {
                }
                let answer = match pages(&request.to_lowercase()) {
                    Some(raw) if raw.starts_with("HTTP/") => raw,
                    Some(body) => {
                        format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        )
                    }
                    None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
                };
                // The client may have timed out.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        format!("http://{address}/")
    }

    fn query(kind: &str, address: &str) -> Result<Option<Answer>, String> {
        Datasource::parse(&format!("{kind}:{address}"), "")
            .unwrap()
            .query()
    }

    #[test]
    fn ec2_requests_contain_the_token() {
        let address = serve(6, |request| {
            if request.starts_with("put /latest/api/token ") {
                assert!(request.contains("x-aws-ec2-metadata-token-ttl-seconds: 300"));
                return Some("word\n".into());
            }
            assert!(
                request.contains("x-aws-ec2-metadata-token: word"),
                "{request}"
            );
            match request.split(' ').nth(1).unwrap() {
                "/latest/user-data" => Some("#!/bin/sh\n".into()),
                "/latest/meta-data/public-keys/" => Some("0=me\n1=it".into()),
                "/latest/meta-data/public-keys/0/openssh-key" => Some("k0\n".into()),
                "/latest/meta-data/public-keys/1/openssh-key" => Some("k1\n".into()),
                "/latest/meta-data/local-hostname" => Some("pot".into()),
                _ => None,
            }
        });
        let answer = query("ec2", &address).unwrap().unwrap();
        assert_eq!(answer.user_data.unwrap().unwrap(), b"#!/bin/sh\n");
        assert_eq!(answer.keys, ["k0", "k1"]);
        assert_eq!(answer.hostname.as_deref(), Some("pot"));
    }

    #[test]
    fn ec2_version_1_works_without_a_token() {
        let address = serve(4, |request| {
            (request.starts_with("get /latest/user-data ") && !request.contains("token"))
                .then(|| "old".into())
        });
        assert_eq!(
            query("ec2", &address)
                .unwrap()
                .unwrap()
                .user_data
                .unwrap()
                .unwrap(),
            b"old"
        );
        let silent = serve(4, |_| None);
        assert_eq!(query("ec2", &silent), Ok(None));
    }

    #[test]
    fn gce_requests_contain_the_flavor_header() {
        let address = serve(6, |request| {
            assert!(request.contains("metadata-flavor: google"), "{request}");
            match request.split(' ').nth(1).unwrap() {
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
        let answer = query("gce", &address).unwrap().unwrap();
        assert_eq!(answer.user_data.unwrap().unwrap(), b"#cloud-config");
        assert_eq!(answer.keys, ["ssh-rsa A", "ssh-rsa B"]);
    }

    #[test]
    fn gce_keys_apply_when_user_data_cannot_be_decoded() {
        let address = serve(6, |request| match request.split(' ').nth(1).unwrap() {
            "/computemetadata/v1/instance/attributes/user-data" => Some("%%%".into()),
            "/computemetadata/v1/instance/attributes/user-data-encoding" => Some("base64".into()),
            "/computemetadata/v1/instance/attributes/ssh-keys" => Some("me:ssh-rsa A\n".into()),
            _ => None,
        });
        let answer = query("gce", &address).unwrap().unwrap();
        assert_eq!(answer.keys, ["ssh-rsa A"]);
        let error = answer.user_data.unwrap().unwrap_err();
        assert!(error.starts_with("invalid base64: "), "{error}");
    }

    const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn refused_page_does_not_affect_the_others() {
        let address = serve(6, |request| match request.split(' ').nth(1).unwrap() {
            "/latest/meta-data/public-keys/" => Some("0=me\n1=it".into()),
            "/latest/meta-data/public-keys/0/openssh-key" => Some(REFUSED.into()),
            "/latest/meta-data/public-keys/1/openssh-key" => Some("k1\n".into()),
            "/latest/user-data" => Some(REFUSED.into()),
            _ => None,
        });
        let answer = query("ec2", &address).unwrap().unwrap();
        assert_eq!((answer.keys, answer.hostname), (vec!["k1".into()], None));
        let error = "latest/user-data: HTTP status 403";
        assert_eq!(answer.user_data, Some(Err(error.into())));
        let error = "latest/meta-data/public-keys/0/openssh-key: HTTP status 403";
        assert_eq!(answer.problems, [error]);
        let closed = serve(4, |_| Some(REFUSED.into()));
        let error = "latest/meta-data/public-keys/: HTTP status 403";
        assert_eq!(query("ec2", &closed), Err(error.into()), "no data");
    }

    #[test]
    fn page_times_out_before_the_datasource() {
        let address = serve(100, |request| {
            match request.split(' ').nth(1).unwrap_or("") {
                "/latest/meta-data/public-keys/" => Some(BUSY.into()),
                "/latest/user-data" => Some("#!/bin/sh\n".into()),
                _ => None,
            }
        });
        let answer = query("ec2", &address).unwrap().unwrap();
        assert_eq!(answer.user_data, Some(Ok("#!/bin/sh\n".into())));
        assert!(
            answer.problems[0].contains("status 503"),
            "{:?}",
            answer.problems
        );
    }

    #[test]
    fn request_is_retried_when_the_server_is_busy() {
        let address = serve(2, |_| {
            static RETRY: AtomicBool = AtomicBool::new(false);
            Some(if RETRY.swap(true, Ordering::Relaxed) {
                "page".into()
            } else {
                BUSY.into()
            })
        });
        assert_eq!(
            query("url", &address)
                .unwrap()
                .unwrap()
                .user_data
                .unwrap()
                .unwrap(),
            b"page"
        );
    }

    #[test]
    fn redirect_is_followed_unless_it_needs_tls() {
        let address = serve(2, |request| match request.split(' ').nth(1).unwrap() {
            "/" => {
                Some("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".into())
            }
            _ => Some("page".into()),
        });
        assert_eq!(
            query("url", &address)
                .unwrap()
                .unwrap()
                .user_data
                .unwrap()
                .unwrap(),
            b"page"
        );
        let away = serve(1, |_| {
            Some("HTTP/1.1 302 Found\r\nLocation: https://a/\r\n\r\n".into())
        });
        assert!(query("url", &away).unwrap_err().contains("https"));
    }

    #[test]
    fn query_times_out_when_the_server_does_not_answer() {
        // The server accepts connections and sends nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let start = Instant::now();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let error = query("url", &address).unwrap_err();
        assert!(error.contains("timed out after"), "{error}");
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }

    #[test]
    fn gce_keys_are_split_from_their_users() {
        let page = "me:ssh-rsa A\n\nssh-rsa no:user\nit: ssh-ed25519 B it@x\n".to_owned();
        assert_eq!(
            super::google_keys(Some(page)),
            ["ssh-rsa A", "ssh-ed25519 B it@x"]
        );
    }
}
