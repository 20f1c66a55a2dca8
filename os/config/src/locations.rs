//! Names and paths that this machine's programs share.

/// Keys that are read before any disk is mounted. Only the kernel command line can set them.
pub const EARLY: [&str; 2] = ["rescue", "state"];

/// The version of the OS.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The folder with the layers of the configuration.
pub const FOLDER: &str = "/var/lib/rancher/conf";

/// The layer with values that the machine generated for itself; the user's layer overrides it.
pub const GENERATED_LAYER: &str = "generated.yml";

/// The layer with the user's changes.
pub const USER_LAYER: &str = "rancher.yml";

/// A copy of the user's layer from the last time that it had no errors.
pub const GOOD_LAYER: &str = "rancher.yml.good";

/// The layer that cloud-init writes.
pub const CLOUD_LAYER: &str = "cloud-config.yml";

/// The supervisor's PID file. The supervisor reloads the configuration on SIGHUP.
pub const SUPERVISOR_PID: &str = "/run/supervisor.pid";

/// The socket on which the supervisor accepts requests: `up`, `down` or `restart`, and service names.
pub const SUPERVISOR_SOCKET: &str = "/run/supervisor.sock";

/// The system engine's socket.
pub const SYSTEM_DOCKER: &str = "/run/system-docker.sock";

/// The user engine's socket.
pub const USER_DOCKER: &str = "/run/docker.sock";
