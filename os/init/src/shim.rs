//! What containerd starts as its shim, so that the services of the system come to share one.
//!
//! The shim of a group is joined by containerd's own program too, which gives it 100 ms by the clock to
//! take a connection, and else removes its socket and makes another (`manager_linux.go` and `CanConnect`
//! of containerd 1.7, `runtime/v2`). A busy machine takes longer just to read that program from its disk.
//! What the first shim has then belongs to a socket where the second one listens, which does not know
//! it: the next containerd ends it. Here the kernel is asked, which answers at once, and one start waits
//! for another.
//!
//! All else is left to containerd's program.

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

/// The annotation of containers that share a shim, which takes 6 MB of memory and, emulated, 0.3 s to
/// start: `groupLabels` of containerd 1.7, `runtime/v2/runc/manager/manager_linux.go`. A shim ends with
/// the last of its containers.
pub const GROUP_LABEL: &str = "io.containerd.runc.v2.group";

/// What it says for the services of the system.
pub const GROUP: &str = "services";

/// Containerd's own program.
const SHIM: &str = "/usr/bin/containerd-shim-runc-v2";

/// Where the address of the services' shim is kept, beside what else containerd forgets at a reboot.
const ADDRESS: &str = "/run/containerd/services.shim";

/// Where the runtime of the user's containers is found, by the name that the engine asks for.
const USER_PROGRAMS: &str = "/usr/lib/rancher-user";

/// The namespace of system-docker's containers in containerd.
const NAMESPACE: &str = "system";

/// Begun in the folder of a container's bundle; comes back only when it has dealt with the start of a
/// service, or when there is no shim.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let shared = Shared {
        shim: SHIM.into(),
        address: ADDRESS.into(),
    };
    let bundle = Path::new(".");
    if is_start(&arguments)
        && is_service(bundle)
        // Where there is no file to lock, containerd's program is the better one.
        && let Ok(output) = shared.start(bundle, &arguments)
    {
        let _ = std::io::stderr().write_all(&output.stderr);
        let mut out = std::io::stdout();
        let told = out.write_all(&output.stdout).and_then(|()| out.flush());
        return match output.status.code().map(u8::try_from) {
            Some(Ok(status)) if told.is_ok() => status.into(),
            _ => ExitCode::FAILURE,
        };
    }
    let error = program(Path::new(SHIM), &arguments).exec();
    eprintln!("{SHIM}: {error}");
    ExitCode::FAILURE
}

/// Containerd's program, which looks for the runtime where all do; that of the user's containers finds
/// [`crate::runtime`] first.
fn program(shim: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new(shim);
    let path = if namespace(arguments).is_some_and(|name| name != NAMESPACE) {
        format!("{USER_PROGRAMS}:{}", crate::SEARCH_PATH)
    } else {
        crate::SEARCH_PATH.to_owned()
    };
    command.args(arguments).env("PATH", path);
    command
}

/// Whether these ask for a shim in system-docker's namespace: `client.Command` of containerd 1.7,
/// `runtime/v2/shim/util.go`.
fn is_start(arguments: &[OsString]) -> bool {
    arguments.last().map(OsString::as_os_str) == Some(OsStr::new("start"))
        && namespace(arguments) == Some(OsStr::new(NAMESPACE))
}

fn namespace(arguments: &[OsString]) -> Option<&OsStr> {
    let at = arguments.iter().position(|one| one == "-namespace")?;
    arguments.get(at + 1).map(OsString::as_os_str)
}

/// What is asked of a bundle's `config.json`: the OCI runtime specification, section "Annotations".
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Whether the container of a bundle shares the shim.
fn is_service(bundle: &Path) -> bool {
    let spec = std::fs::read(bundle.join("config.json")).unwrap_or_default();
    let spec: Option<Spec> = serde_json::from_slice(&spec).ok();
    spec.is_some_and(|spec| spec.annotations.get(GROUP_LABEL).map(String::as_str) == Some(GROUP))
}

/// The shim of the services, and who knows of it.
struct Shared {
    shim: PathBuf,
    address: PathBuf,
}

impl Shared {
    /// Has a container use the shim that is there; makes it, if none is. Returns what the program of
    /// containerd says, or would say.
    fn start(&self, bundle: &Path, arguments: &[OsString]) -> std::io::Result<Output> {
        let mut known = self.known()?;
        let mut address = String::new();
        known.read_to_string(&mut address)?;
        if listens(&address) {
            write_address(bundle, &address)?;
            return Ok(Output {
                status: std::process::ExitStatus::default(),
                stdout: address.into_bytes(),
                stderr: Vec::new(),
            });
        }
        let output = program(&self.shim, arguments)
            .current_dir(bundle)
            // What containerd says there is for the shim.
            .stdin(Stdio::inherit())
            .output()?;
        if output.status.success() {
            known.set_len(0)?;
            known.write_all_at(&output.stdout, 0)?;
        }
        Ok(output)
    }

    /// The file that the address is in, for nobody else meanwhile.
    fn known(&self) -> std::io::Result<Flock<File>> {
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

/// Whether somebody listens there, however long it takes before the connection is taken. An address is
/// one of `SocketAddress` of containerd 1.7, `runtime/v2/shim/util_unix.go`.
fn listens(address: &str) -> bool {
    let Some(path) = address.strip_prefix("unix://") else {
        return false;
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connected = UnixAddr::new(path).and_then(|to| {
        let from = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(from.as_raw_fd(), &to)
    });
    // Too many wait there for it to take them.
    matches!(connected, Ok(()) | Err(Errno::EAGAIN))
}

/// Says in a bundle where its shim is, for the next containerd: `WriteAddress` of containerd 1.7,
/// `runtime/v2/shim/util.go`. Half of an address is never there.
fn write_address(bundle: &Path, address: &str) -> std::io::Result<()> {
    let unfinished = bundle.join(".address");
    std::fs::write(&unfinished, address)?;
    std::fs::rename(unfinished, bundle.join("address"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A machine with a program in the place of containerd's: it tells how often it was begun, and
    /// ends with a status. Who listens is the test's.
    struct Machine {
        folder: tempfile::TempDir,
        shared: Shared,
    }

    impl Machine {
        fn new(status: u8) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let script_at = folder.path().join("shim");
            let script = "#!/bin/sh\necho begun >> ../begun\nsleep 0.1\n\
                          [ STATUS = 0 ] || { echo no >&2; exit STATUS; }\n\
                          echo -n unix://$(dirname $PWD)/socket | tee address\n";
            std::fs::write(script_at, script.replace("STATUS", &status.to_string())).unwrap();
            let address = folder.path().join("services.shim");
            // A script that was just written cannot be begun while another test forks.
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

        /// What a start says, and what is in the bundle then.
        fn start(&self, name: &str) -> (Output, String) {
            let bundle = self.bundle(name);
            let output = self.shared.start(&bundle, &["../shim".into()]).unwrap();
            let address = std::fs::read_to_string(bundle.join("address"));
            (output, address.unwrap_or_default())
        }

        fn socket(&self) -> PathBuf {
            self.folder.path().join("socket")
        }

        fn begun(&self) -> usize {
            let begun = std::fs::read_to_string(self.folder.path().join("begun"));
            begun.unwrap_or_default().lines().count()
        }
    }

    #[test]
    fn services_that_start_at_the_same_time_share_one_shim() {
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
        assert_eq!(machine.begun(), 1);
    }

    #[test]
    fn there_is_another_shim_when_the_last_has_ended() {
        let machine = Machine::new(0);
        let shim = UnixListener::bind(machine.socket()).unwrap();
        machine.start("console");
        drop(shim);
        machine.start("console");
        assert_eq!(machine.begun(), 2, "its socket is there and nobody listens");
        std::fs::remove_file(machine.socket()).unwrap();
        machine.start("console");
        assert_eq!(machine.begun(), 3);
        let _shim = UnixListener::bind(machine.socket()).unwrap();
        let (output, _) = machine.start("network");
        assert_eq!(machine.begun(), 3, "what is known is the last");
        assert!(output.status.success());
    }

    #[test]
    fn a_shim_that_takes_no_more_connections_listens() {
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
        assert!(listens(&address));
    }

    #[test]
    fn a_shim_that_does_not_start_is_told_and_not_remembered() {
        let machine = Machine::new(3);
        let (output, address) = machine.start("console");
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stderr, b"no\n");
        assert_eq!(address, "");
        let known = std::fs::read_to_string(&machine.shared.address).unwrap();
        assert_eq!(known, "");
    }

    #[test]
    fn only_the_start_of_a_service_is_ours() {
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
