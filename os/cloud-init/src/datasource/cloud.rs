//! What clouds say by HTTP: a page, Amazon's metadata ("Retrieve instance metadata", version 2 with
//! its token, and version 1 without), Google's ("About VM metadata").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::Found;
use super::http::{Failure, Patience, get};
use super::talk::{Answer, Talk, text};

/// What shows Google that nobody was tricked into asking.
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

/// What a token of Amazon's comes in.
const TOKEN: &str = "X-aws-ec2-metadata-token";

/// User-data at a URL.
pub(super) async fn page(url: &Url) -> Result<Option<Found>, Failure> {
    Ok(Some(Found {
        user_data: Some(Ok(get(url, &[], Patience::with_source()).await?.to_vec())),
        ..Found::default()
    }))
}

/// The keys first: who waits for the rest in vain can log in.
pub(super) async fn ec2(base: &Url) -> Result<Option<Found>, Failure> {
    let mut talk = Talk::new(base);
    let lifetime = [("X-aws-ec2-metadata-token-ttl-seconds", "300")];
    // Without a token only version 1 is spoken here.
    if let Some(token) = talk.put("latest/api/token", &lifetime).await? {
        talk.show(TOKEN, token);
    }
    let mut keys = Vec::new();
    // A line `NUMBER=NAME` for each.
    let list = talk.text("latest/meta-data/public-keys/").await;
    for line in list.ok().flatten().unwrap_or_default().lines() {
        let number = line.split('=').next().unwrap_or_default().trim();
        let path = format!("latest/meta-data/public-keys/{number}/openssh-key");
        let key = talk.text(&path).await.ok().flatten().unwrap_or_default();
        keys.extend(key.lines().map(str::to_owned));
    }
    let hostname = talk.text("latest/meta-data/local-hostname").await;
    let user_data = talk.ask("latest/user-data").await;
    talk.end(user_data, keys, hostname.ok().flatten())
}

/// In the same order.
pub(super) async fn gce(base: &Url) -> Result<Option<Found>, Failure> {
    let base = base.join("computeMetadata/v1/");
    let base = base.map_err(|error| Failure::Never(error.to_string()))?;
    let mut talk = Talk::new(&base);
    talk.show(FLAVOR.0, FLAVOR.1);
    let own = talk.text("instance/attributes/ssh-keys").await;
    let mut keys = google_keys(own.ok().flatten());
    let only_own = talk
        .text("instance/attributes/block-project-ssh-keys")
        .await;
    // Where that cannot be known nobody is let in who may not be meant to.
    if only_own.is_ok_and(|only| !only.is_some_and(|only| only.eq_ignore_ascii_case("true"))) {
        let project = talk.text("project/attributes/ssh-keys").await;
        keys.extend(google_keys(project.ok().flatten()));
    }
    let hostname = talk.text("instance/hostname").await;
    let encoding = talk.text("instance/attributes/user-data-encoding").await;
    let mut user_data = talk.ask("instance/attributes/user-data").await;
    if encoding.is_ok_and(|encoding| encoding.is_some_and(|encoding| encoding == "base64")) {
        user_data = user_data.and_then(decoded);
    }
    talk.end(user_data, keys, hostname.ok().flatten())
}

fn decoded(page: Option<Vec<u8>>) -> Answer {
    let Some(page) = page else { return Ok(None) };
    let packed: String = text(&page).split_whitespace().collect();
    let plain = STANDARD.decode(packed);
    plain
        .map(Some)
        .map_err(|error| format!("it is no base64: {error}"))
}

/// Lines `USER:KEY`; here is one user for all of them.
fn google_keys(page: Option<String>) -> Vec<String> {
    let key = |line: &str| {
        let (user, key) = line.split_once(':')?;
        // What is no user is part of a key.
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
                // Who waited too long is gone.
                let _ = stream.write_all(answer.as_bytes());
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
        assert_eq!(found.user_data.unwrap().unwrap(), b"#!/bin/sh\n");
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
            ask("ec2", &address)
                .unwrap()
                .unwrap()
                .user_data
                .unwrap()
                .unwrap(),
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
        assert_eq!(found.user_data.unwrap().unwrap(), b"#cloud-config");
        assert_eq!(found.keys, ["ssh-rsa A", "ssh-rsa B"]);
    }

    #[test]
    fn the_keys_hold_beside_user_data_that_google_cannot_have_meant() {
        let address = serve(6, |asked| match asked.split(' ').nth(1).unwrap() {
            "/computemetadata/v1/instance/attributes/user-data" => Some("%%%".into()),
            "/computemetadata/v1/instance/attributes/user-data-encoding" => Some("base64".into()),
            "/computemetadata/v1/instance/attributes/ssh-keys" => Some("me:ssh-rsa A\n".into()),
            _ => None,
        });
        let found = ask("gce", &address).unwrap().unwrap();
        assert_eq!(found.keys, ["ssh-rsa A"]);
        let why = found.user_data.unwrap().unwrap_err();
        assert!(why.starts_with("it is no base64: "), "{why}");
    }

    const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn a_page_that_is_refused_takes_no_other_along() {
        let address = serve(6, |asked| match asked.split(' ').nth(1).unwrap() {
            "/latest/meta-data/public-keys/" => Some("0=me\n1=it".into()),
            "/latest/meta-data/public-keys/0/openssh-key" => Some(REFUSED.into()),
            "/latest/meta-data/public-keys/1/openssh-key" => Some("k1\n".into()),
            "/latest/user-data" => Some(REFUSED.into()),
            _ => None,
        });
        let found = ask("ec2", &address).unwrap().unwrap();
        assert_eq!((found.keys, found.hostname), (vec!["k1".into()], None));
        let why = "latest/user-data: the answer is status 403";
        assert_eq!(found.user_data, Some(Err(why.into())));
        let why = "latest/meta-data/public-keys/0/openssh-key: the answer is status 403";
        assert_eq!(found.problems, [why]);
        let closed = serve(4, |_| Some(REFUSED.into()));
        let why = "latest/meta-data/public-keys/: the answer is status 403";
        assert_eq!(ask("ec2", &closed), Err(why.into()), "nothing was said");
    }

    #[test]
    fn a_page_that_never_comes_is_given_up_before_the_rest() {
        let address = serve(100, |asked| match asked.split(' ').nth(1).unwrap_or("") {
            "/latest/meta-data/public-keys/" => Some(BUSY.into()),
            "/latest/user-data" => Some("#!/bin/sh\n".into()),
            _ => None,
        });
        let found = ask("ec2", &address).unwrap().unwrap();
        assert_eq!(found.user_data, Some(Ok("#!/bin/sh\n".into())));
        assert!(
            found.problems[0].contains("status 503"),
            "{:?}",
            found.problems
        );
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
            ask("url", &address)
                .unwrap()
                .unwrap()
                .user_data
                .unwrap()
                .unwrap(),
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
            ask("url", &address)
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
        let page = "me:ssh-rsa A\n\nssh-rsa no:user\nit: ssh-ed25519 B it@x\n".to_owned();
        assert_eq!(
            super::google_keys(Some(page)),
            ["ssh-rsa A", "ssh-ed25519 B it@x"]
        );
    }
}
