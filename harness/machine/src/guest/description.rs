//! The description of a guest OS: all that the harness knows of it.

/// Facts about a guest OS. Nothing else in the harness names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// The user who logs in.
    pub user: &'static str,
    /// The kernel argument that sets the user's password, with `=`.
    pub password_argument: &'static str,
    /// The kernel argument that sets the host name, with `=`.
    pub hostname_argument: &'static str,
    /// The socket of the Docker engine that runs the system's containers.
    pub system_engine_socket: &'static str,
    /// The socket of the Docker engine of the users.
    pub user_engine_socket: &'static str,
    /// What the engine of the system is called, in messages.
    pub system_engine: &'static str,
    /// The virtio serial port on which the guest reports its boot, one JSON object per line.
    pub events_port: &'static str,
    /// The first stage of every boot.
    pub first_stage: &'static str,
    /// The stage that ends a successful boot: the guest is ready.
    pub last_stage: &'static str,
    /// The kernel argument that disables a system container: what precedes and what follows its name.
    pub disabled_service_argument: (&'static str, &'static str),
    /// The label of the file system that keeps the guest's state.
    pub state_label: &'static str,
}

impl Guest {
    /// The kernel argument that disables a system container.
    pub fn disabled_service(&self, name: &str) -> String {
        let (before, after) = self.disabled_service_argument;
        [before, name, after].concat()
    }
}

/// RancherOS, built from `os/`.
pub const RANCHEROS: Guest = Guest {
    user: "rancher",
    password_argument: "rancher.password=",
    hostname_argument: "rancher.hostname=",
    system_engine_socket: "/var/run/system-docker.sock",
    user_engine_socket: "/var/run/docker.sock",
    system_engine: "system-docker",
    events_port: "io.rancher.os.boot",
    first_stage: "init",
    last_stage: "started",
    disabled_service_argument: ("rancher.services.", ".disabled"),
    state_label: "RANCHER_STATE",
};
