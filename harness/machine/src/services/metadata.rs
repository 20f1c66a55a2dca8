//! Cloud metadata at `http://169.254.169.254/`: pages that QEMU's network serves.
//!
//! QEMU runs a program for each connection to that address (`guestfwd`), which must be inside the
//! network that QEMU makes for the guest. So nothing listens on this host, no root rights are needed,
//! and `qemu.sh` of the evidence serves the same pages.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use base::shell;

/// The name of the folder with the pages, in the machine's folder and in the evidence.
pub(crate) const FOLDER: &str = "metadata";

/// The address of this host in that network.
pub(crate) const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 2, 2);

/// The address of the pages.
pub(crate) const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(169, 254, 169, 254), 80);

/// The program that serves the pages.
const SERVE: &str = include_str!("serve.sh");

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The HTTP method.
    pub method: String,
    /// Headers that a request must have; `*` matches any value.
    pub headers: BTreeMap<String, String>,
    /// The response body.
    pub body: String,
}

/// All pages by path.
pub type Metadata = BTreeMap<String, Page>;

/// Writes the pages and the program that serves them.
pub(crate) fn write(pages: &Metadata, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut index = String::new();
    for (number, (path, page)) in pages.iter().enumerate() {
        index += &format!("{number} {} {path}\n", page.method);
        let header =
            |(name, value): (&String, &String)| format!("{}: {value}\n", name.to_lowercase());
        let headers: String = page.headers.iter().map(header).collect();
        std::fs::write(folder.join(format!("{number}.headers")), headers)?;
        std::fs::write(folder.join(format!("{number}.body")), &page.body)?;
    }
    std::fs::write(folder.join("pages"), index)?;
    std::fs::write(folder.join("serve.sh"), SERVE)
}

/// Options of a QEMU network that serves the pages in a folder.
pub(crate) fn network(folder: &Path) -> String {
    let program = shell::quote(&folder.join("serve.sh").to_string_lossy());
    // `-netdev` ends a value at a comma unless the comma is doubled.
    let program = program.replace(',', ",,");
    format!(
        "net=169.254.0.0/16,host={HOST_ADDRESS},guestfwd=tcp:169.254.169.254:80-cmd:sh {program}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn asked(folder: &Path, request: &str) -> String {
        let mut serve = Command::new("sh");
        serve.arg(folder.join("serve.sh")).stdin(Stdio::piped());
        let mut child = serve.stdout(Stdio::piped()).spawn().unwrap();
        let request = request.replace('\n', "\r\n") + "\r\n\r\n";
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(request.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn pages_are_served_only_to_matching_requests() {
        let folder = tempfile::tempdir().unwrap();
        let page = |method: &str, header: &str, value: &str, body: &str| Page {
            method: method.into(),
            headers: [(header.to_owned(), value.to_owned())].into(),
            body: body.into(),
        };
        let pages = Metadata::from([
            ("/token".into(), page("PUT", "X-TTL", "*", "word")),
            (
                "/data".into(),
                page("GET", "X-Token", "word", "#!/bin/sh\necho 1\n"),
            ),
        ]);
        write(&pages, folder.path()).unwrap();
        let status = |request: &str| {
            let answer = asked(folder.path(), request);
            answer.split(' ').nth(1).unwrap().to_owned()
        };
        let answer = asked(folder.path(), "GET /data HTTP/1.1\nhost: x\nx-token: word");
        assert_eq!(
            answer,
            "HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n#!/bin/sh\necho 1\n"
        );
        assert_eq!(status("GET /data HTTP/1.1\nX-Token: other"), "401");
        assert_eq!(status("GET /data HTTP/1.1"), "401");
        assert_eq!(status("PUT /token HTTP/1.1\nX-Ttl: 60"), "200");
        assert_eq!(status("PUT /token HTTP/1.1\nX-Other: 60"), "401");
        assert_eq!(status("GET /token HTTP/1.1"), "405");
        assert_eq!(status("GET /other HTTP/1.1"), "404");
    }
}
