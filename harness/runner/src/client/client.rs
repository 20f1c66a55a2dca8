//! The client of one trial: its home directory, and the commands that run in it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use images::Computer;

use base::private_dir::PrivateFolder;
use machine::{KeyPair, MachineError, Output, RANCHEROS};

use super::door::Doors;
use super::process;
use super::sandbox::{DOORS, PROGRAM, sandbox};

/// The port of the machine's SSH server.
const SSH: u16 = 22;

/// Lets `ssh`, and the tools that use it, reach the host name `machine`.
fn ssh_config() -> String {
    format!(
        "\
Host machine
    User {}
    IdentitiesOnly yes
    IdentityFile ~/.ssh/id_ed25519
    StrictHostKeyChecking yes
    ProxyCommand socat - UNIX-CONNECT:{DOORS}/{SSH}
",
        RANCHEROS.user
    )
}

/// Runs the command line `$1` with a listener for each port in `$2`... Files are limited to 1 GiB.
const START: &str = r#"
ulimit -f 1048576
line=$1
shift
for port; do
    socat "TCP-LISTEN:$port,bind=127.0.0.1,fork" "UNIX-CONNECT:/run/machine/$port" &
    listens=$(printf '0100007F:%04X 00000000:0000 0A' "$port")
    until grep -q "$listens" /proc/net/tcp; do sleep 0.01; done
done
exec bash -c "$line"
"#;

/// Writes standard input to the file `$1` inside the sandbox, so a symbolic link cannot lead out of it.
const PUT: &str = r#"mkdir -p -- "$(dirname -- "./$1")" && cat > "./$1""#;

/// The client of a trial. Files in its home directory persist until it is dropped; background processes of
/// a command end with the command.
pub(crate) struct Client {
    folder: PrivateFolder,
    root: PathBuf,
}

impl Client {
    /// A client that can log in to a machine and knows its host key.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn new(computer: &Computer, keys: &KeyPair, host_key: &[u8]) -> io::Result<Self> {
        let client = Self::without_keys(&computer.root)?;
        let known = ssh_key::PublicKey::from_bytes(host_key).map_err(io::Error::other)?;
        let known = known.to_openssh().map_err(io::Error::other)?;
        let folder = client.folder.file("home").join(".ssh");
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let write = |name: &str, text: &str| {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o600);
            let mut file = file.open(folder.join(name))?;
            io::Write::write_all(&mut file, text.as_bytes())
        };
        write("config", &ssh_config())?;
        write("id_ed25519", &keys.private)?;
        write("id_ed25519.pub", &format!("{}\n", keys.public.trim()))?;
        write("known_hosts", &format!("machine {known}\n"))?;
        Ok(client)
    }

    pub(super) fn without_keys(root: &Path) -> io::Result<Self> {
        let folder = PrivateFolder::new()?;
        for name in ["home", "doors"] {
            fs::create_dir(folder.file(name))?;
        }
        Ok(Self {
            folder,
            root: root.into(),
        })
    }

    /// Opens ports of the machine, given as pairs of the machine's port and the forwarding port of this host.
    /// The SSH port is always included.
    ///
    /// # Errors
    /// A socket cannot be created.
    pub(crate) fn open(&self, ssh: u16, ports: &[(u16, u16)]) -> io::Result<Doors> {
        let mut doors = Doors::default();
        for (port, local) in ports.iter().copied().chain([(SSH, ssh)]) {
            let name = format!("doors/{port}");
            doors.add(
                port,
                local,
                &self.folder.file(&name),
                &self.folder.socket(&name),
            )?;
        }
        Ok(doors)
    }

    /// Writes a file in the home directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) async fn put(
        &self,
        path: &str,
        content: &str,
        limit: Duration,
    ) -> Result<(), MachineError> {
        let failed = |why: String| MachineError::Other(format!("client: {path}: {why}"));
        let input = self.folder.file("input");
        fs::write(&input, content).map_err(|error| failed(error.to_string()))?;
        let input = fs::File::open(&input).map_err(|error| failed(error.to_string()))?;
        let script = ["sh", "-c", PUT, "sh", path].map(str::to_owned);
        let what = format!("writing {path}");
        let output = self.start(&script, input.into(), &what, limit).await?;
        match output.exit {
            Some(0) => Ok(()),
            _ => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    /// Runs a command line with empty standard input. The caller judges the exit status.
    ///
    /// # Errors
    /// The deadline passed (the error has the output so far), or the output exceeded its limit.
    pub(crate) async fn run(
        &self,
        line: &str,
        doors: &Doors,
        limit: Duration,
    ) -> Result<Output, MachineError> {
        let script = ["bash", "-c", START, "bash", line].map(str::to_owned);
        let listens = doors.ports().filter(|port| *port != SSH);
        let words: Vec<_> = script
            .into_iter()
            .chain(listens.map(|port| port.to_string()))
            .collect();
        let what = format!("the end of `{line}`");
        self.start(&words, Stdio::null(), &what, limit).await
    }

    async fn start(
        &self,
        words: &[String],
        input: Stdio,
        what: &str,
        limit: Duration,
    ) -> Result<Output, MachineError> {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(self.sandbox()).args(words).stdin(input);
        process::run(command, what, limit).await
    }

    /// The arguments of bubblewrap before the command.
    pub(super) fn sandbox(&self) -> Vec<OsString> {
        let (home, doors) = (self.folder.file("home"), self.folder.file("doors"));
        sandbox(&self.root, &home, &doors)
    }
}
