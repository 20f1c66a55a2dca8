use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::Client;
use super::computer::computer;
use super::door::Doors;
use super::sandbox::sandbox;
use crate::Project;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn sandbox_binds_only_the_home_directory_writable() {
    let [root, home, doors] = ["/root", "/t/home", "/t/doors"].map(Path::new);
    let words = sandbox(root, home, doors);
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let text = words.join(" ");
    assert!(
        text.starts_with("--unshare-all --die-with-parent"),
        "{text}"
    );
    assert!(text.contains(" --bind /t/home /home/person "), "{text}");
    assert_eq!(text.matches(" --bind ").count(), 1, "{text}");
    assert!(!text.contains("--share-net"), "{text}");
}

/// A client without a machine, on the root that `client` steps use. It is built first if it does not exist.
fn client() -> Client {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let computer = computer(&Project::new(root.clone(), root)).unwrap();
    Client::without_keys(&computer.root).unwrap()
}

async fn printed(client: &Client, line: &str) -> String {
    let doors = Doors::default();
    let output = client.run(line, &doors, LIMIT).await.unwrap();
    assert_eq!(output.exit, Some(0), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
#[ignore = "needs mmdebstrap and bwrap; `ci/test` runs it"]
async fn home_persists_between_commands_and_tmp_does_not() {
    let client = client();
    client.put("shop/tea", "green", LIMIT).await.unwrap();
    printed(&client, "echo mine > note; echo gone > /tmp/note").await;
    let line = "cat ~/note shop/tea; ls /tmp";
    assert_eq!(printed(&client, line).await, "mine\ngreen");
}

#[tokio::test]
#[ignore = "needs mmdebstrap and bwrap; `ci/test` runs it"]
async fn writes_reach_no_file_of_the_host() {
    let client = client();
    let host = tempfile::tempdir().unwrap();
    let way = host.path().display();
    let line = format!("ln -s {way} out; ! touch out/file; ! touch /usr/bin/file; ! ls {way}");
    printed(&client, &line).await;
    assert!(client.put("out/file", "x", LIMIT).await.is_err());
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 0);
}

#[tokio::test]
#[ignore = "needs mmdebstrap and bwrap; `ci/test` runs it"]
async fn processes_end_with_their_command_and_at_its_deadline() {
    let client = client();
    let doors = Doors::default();
    let began = Instant::now();
    let left = client.run("sleep 600 & exit 3", &doors, LIMIT).await;
    assert_eq!(left.unwrap().exit, Some(3));
    assert!(began.elapsed() < LIMIT);

    let short = Duration::from_millis(500);
    let line = "echo begun; sleep 59.75";
    let late = client.run(line, &doors, short).await.unwrap_err();
    assert!(late.to_string().contains("begun"), "{late}");
    let sleeps = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.map(|process| fs::read(process.path().join("cmdline")));
        lines.any(|line| line.is_ok_and(|line| line == b"sleep\x0059.75\0"))
    };
    while sleeps() {
        assert!(began.elapsed() < LIMIT, "the process is still running");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
#[ignore = "needs mmdebstrap and bwrap; `ci/test` runs it"]
async fn run_fails_when_the_output_exceeds_its_limit() {
    let client = client();
    let endless = client.run("yes", &Doors::default(), LIMIT).await;
    let why = endless.unwrap_err().to_string();
    assert!(why.contains("more than 16 MiB"), "{why}");
}

#[tokio::test]
#[ignore = "needs mmdebstrap and bwrap; `ci/test` runs it"]
async fn client_reaches_opened_ports_and_no_other_port_of_the_host() {
    let client = client();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"tea\n").await;
        }
    });
    let doors = client.open(port, &[(8080, port)]).unwrap();
    let line = format!(
        "cat < /dev/tcp/machine/8080; socat -u UNIX-CONNECT:/run/machine/22 -; \
         ! (: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null"
    );
    let output = client.run(&line, &doors, LIMIT).await.unwrap();
    assert_eq!(output.exit, Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "tea\ntea\n");
}
