//! The shim that containerd starts: it makes the system containers share one shim process.
//!
//! Containerd's own program groups shims, too, but it gives the running shim 100 ms to accept a
//! connection, and otherwise removes its socket and starts another shim (`manager_linux.go` and
//! `CanConnect` of containerd 1.7, `runtime/v2`). A busy machine takes longer just to read the program
//! from its disk. The containers of the first shim then belong to a socket on which the second shim
//! listens, which does not know them, and the next containerd ends them. This program asks the kernel
//! whether the socket has a listener, which takes no time, and serializes the starts.
//!
//! It executes containerd's program for everything else.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use serde::Deserialize;

/// The annotation of containers that share a shim: `groupLabels` of containerd 1.7,
/// `runtime/v2/runc/manager/manager_linux.go`. A shim takes 6 MB of memory and, emulated, 0.3 s to start.
/// It exits with the last of its containers.
pub const GROUP_LABEL: &str = "io.containerd.runc.v2.group";

/// The value of the annotation for the system containers.
pub const GROUP: &str = "services";

/// Containerd's own program.
const SHIM: &str = "/usr/bin/containerd-shim-runc-v2";

/// The file with the address of the shared shim, in containerd's own folder that does not survive a
/// reboot.
const ADDRESS: &str = "/run/containerd/services.shim";

/// The folder with the runtime of the user's containers ([`crate::runtime`]), by the name that the engine
/// uses.
const USER_PROGRAMS: &str = "/usr/lib/rancher-user";

/// The containerd namespace of system-docker's containers.
const NAMESPACE: &str = "system";

/// Containerd starts it in the folder of a container's bundle. Returns only after the start of a system
/// container, or if containerd's program cannot be executed.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let shared = Shared {
        shim: SHIM.into(),
        address: ADDRESS.into(),
    };
    let bundle = Path::new(".");
    if is_start(&arguments)
        && is_service(bundle)
        // If the lock file cannot be used, containerd's program has to do it.
        && let Ok(output) = shared.start(bundle, &arguments)
    {
        let _ = std::io::stderr().write_all(&output.stderr);
        let mut out = std::io::stdout();
        let written = out.write_all(&output.stdout).and_then(|()| out.flush());
        return match output.status.code().map(u8::try_from) {
            Some(Ok(status)) if written.is_ok() => status.into(),
            _ => ExitCode::FAILURE,
        };
    }
    let error = program(Path::new(SHIM), &arguments).exec();
    eprintln!("{SHIM}: {error}");
    ExitCode::FAILURE
}

/// Containerd's program, which looks up the runtime in `PATH`; for the user's containers
/// [`crate::runtime`] comes first.
fn program(shim: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new(shim);
    let path = if namespace(arguments).is_some_and(|name| name != NAMESPACE) {
        format!("{USER_PROGRAMS}:{}", sys::SEARCH_PATH)
    } else {
        sys::SEARCH_PATH.to_owned()
    };
    command.args(arguments).env("PATH", path);
    command
}

/// Whether the arguments start a shim in system-docker's namespace: `client.Command` of containerd 1.7,
/// `runtime/v2/shim/util.go`.
fn is_start(arguments: &[OsString]) -> bool {
    arguments.last().map(OsString::as_os_str) == Some(OsStr::new("start"))
        && namespace(arguments) == Some(OsStr::new(NAMESPACE))
}

fn namespace(arguments: &[OsString]) -> Option<&OsStr> {
    let at = arguments.iter().position(|one| one == "-namespace")?;
    arguments.get(at + 1).map(OsString::as_os_str)
}

/// The part of a bundle's `config.json` that is read here: the OCI runtime specification, section
/// "Annotations".
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Whether the container of a bundle uses the shared shim.
fn is_service(bundle: &Path) -> bool {
    let spec = std::fs::read(bundle.join("config.json")).unwrap_or_default();
    let spec: Option<Spec> = serde_json::from_slice(&spec).ok();
    spec.is_some_and(|spec| spec.annotations.get(GROUP_LABEL).map(String::as_str) == Some(GROUP))
}

/// The shared shim.
struct Shared {
    /// Containerd's program.
    shim: PathBuf,
    /// The file with the shim's address.
    address: PathBuf,
}

impl Shared {
    /// Assigns a container to the running shim, or starts one if none runs. Returns the output that
    /// containerd expects.
    fn start(&self, bundle: &Path, arguments: &[OsString]) -> std::io::Result<Output> {
        let mut file = self.lock()?;
        let mut address = String::new();
        file.read_to_string(&mut address)?;
        if has_listener(&address) {
            write_address(bundle, &address)?;
            return Ok(Output {
                status: std::process::ExitStatus::default(),
                stdout: address.into_bytes(),
                stderr: Vec::new(),
            });
        }
        let output = program(&self.shim, arguments)
            .current_dir(bundle)
            // Containerd writes the options of the shim there.
            .stdin(Stdio::inherit())
            .output()?;
        if output.status.success() {
            file.set_len(0)?;
            file.write_all_at(&output.stdout, 0)?;
        }
        Ok(output)
    }

    /// Opens the file with the address and locks it against other starts.
    fn lock(&self) -> std::io::Result<Flock<File>> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.address)?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    }
}

/// Whether a socket has a listener, even if that takes long to accept the connection. An address has the
/// form of `SocketAddress` of containerd 1.7, `runtime/v2/shim/util_unix.go`.
fn has_listener(address: &str) -> bool {
    let Some(path) = address.strip_prefix("unix://") else {
        return false;
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connected = UnixAddr::new(path).and_then(|to| {
        let from = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(from.as_raw_fd(), &to)
    });
    // EAGAIN: the listener's backlog is full.
    matches!(connected, Ok(()) | Err(Errno::EAGAIN))
}

/// Writes the shim's address into a bundle, atomically, for the next containerd: `WriteAddress` of
/// containerd 1.7, `runtime/v2/shim/util.go`.
fn write_address(bundle: &Path, address: &str) -> std::io::Result<()> {
    let unfinished = bundle.join(".address");
    std::fs::write(&unfinished, address)?;
    std::fs::rename(unfinished, bundle.join("address"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A folder with a script in place of containerd's program, which counts its starts and exits with a
    /// status. The test itself listens on the socket.
    struct Machine {
        folder: tempfile::TempDir,
        shared: Shared,
    }

    impl Machine {
        fn new(status: u8) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let script_at = folder.path().join("shim");
            let script = "#!/bin/sh\necho started >> ../starts\nsleep 0.1\n\
                          [ STATUS = 0 ] || { echo no >&2; exit STATUS; }\n\
                          echo -n unix://$(dirname $PWD)/socket | tee address\n";
            std::fs::write(script_at, script.replace("STATUS", &status.to_string())).unwrap();
            let address = folder.path().join("services.shim");
            // Run by the shell: executing a file that was just written fails (ETXTBSY) while another
            // test forks.
            let shim = "/bin/sh".into();
            Self {
                shared: Shared { shim, address },
                folder,
            }
        }

        fn bundle(&self, name: &str) -> PathBuf {
            let bundle = self.folder.path().join(name);
            std::fs::create_dir_all(&bundle).unwrap();
            bundle
        }

        /// The output of a start, and the address in the bundle.
        fn start(&self, name: &str) -> (Output, String) {
            let bundle = self.bundle(name);
            let output = self.shared.start(&bundle, &["../shim".into()]).unwrap();
            let address = std::fs::read_to_string(bundle.join("address"));
            (output, address.unwrap_or_default())
        }

        fn socket(&self) -> PathBuf {
            self.folder.path().join("socket")
        }

        fn starts(&self) -> usize {
            let starts = std::fs::read_to_string(self.folder.path().join("starts"));
            starts.unwrap_or_default().lines().count()
        }
    }

    #[test]
    fn services_share_one_shim_when_they_start_at_the_same_time() {
        let machine = Machine::new(0);
        let _shim = UnixListener::bind(machine.socket()).unwrap();
        let expected = format!("unix://{}", machine.socket().display());
        std::thread::scope(|scope| {
            for name in ["console", "network", "ntp", "syslog", "udev"] {
                let (machine, expected) = (&machine, &expected);
                scope.spawn(move || {
                    let (output, address) = machine.start(name);
                    assert!(output.status.success());
                    assert_eq!(&String::from_utf8(output.stdout).unwrap(), expected);
                    assert_eq!(&address, expected, "{name}");
                });
            }
        });
        assert_eq!(machine.starts(), 1);
    }

    #[test]
    fn another_shim_starts_when_the_last_one_has_exited() {
        let machine = Machine::new(0);
        let shim = UnixListener::bind(machine.socket()).unwrap();
        machine.start("console");
        drop(shim);
        machine.start("console");
        assert_eq!(machine.starts(), 2, "its socket has no listener");
        std::fs::remove_file(machine.socket()).unwrap();
        machine.start("console");
        assert_eq!(machine.starts(), 3);
        let _shim = UnixListener::bind(machine.socket()).unwrap();
        let (output, _) = machine.start("network");
        assert_eq!(machine.starts(), 3, "the address of the last shim is known");
        assert!(output.status.success());
    }

    #[test]
    fn has_listener_is_true_when_the_backlog_is_full() {
        let machine = Machine::new(0);
        let _shim = UnixListener::bind(machine.socket()).unwrap();
        let address = format!("unix://{}", machine.socket().display());
        let to = UnixAddr::new(&machine.socket()).unwrap();
        let waiting: Vec<_> = std::iter::from_fn(|| {
            let flags = SockFlag::SOCK_NONBLOCK;
            let one = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
            connect(one.as_raw_fd(), &to).ok().map(|()| one)
        })
        .collect();
        assert!(!waiting.is_empty());
        assert!(has_listener(&address));
    }

    #[test]
    fn failed_start_is_returned_and_its_address_is_not_stored() {
        let machine = Machine::new(3);
        let (output, address) = machine.start("console");
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stderr, b"no\n");
        assert_eq!(address, "");
        let stored = std::fs::read_to_string(&machine.shared.address).unwrap();
        assert_eq!(stored, "");
    }

    #[test]
    fn only_starts_of_system_containers_are_handled() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let line = "-namespace system -address /run/containerd/containerd.sock -id 1 start";
        assert!(is_start(&words(line)));
        assert!(!is_start(&words(&line.replace("system", "user"))));
        assert!(!is_start(&words(&line.replace("start", "delete"))));
        assert!(!is_start(&words("-info")));
        assert!(!is_start(&[]));

        let bundle = tempfile::tempdir().unwrap();
        assert!(!is_service(bundle.path()));
        for (annotations, expected) in [
            (r#"{"io.containerd.runc.v2.group": "services"}"#, true),
            (r#"{"io.containerd.runc.v2.group": "others"}"#, false),
            ("{}", false),
        ] {
            let spec = format!(r#"{{"ociVersion": "1.2.0", "annotations": {annotations}}}"#);
            std::fs::write(bundle.path().join("config.json"), spec).unwrap();
            assert_eq!(is_service(bundle.path()), expected, "{annotations}");
        }
    }
}
