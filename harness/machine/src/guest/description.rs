//! The description of a guest OS: all that the harness knows of it.

/// Facts about a guest OS. Nothing else in the harness names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// The user who logs in.
    pub user: &'static str,
    /// The kernel argument that sets the user's password, with `=`.
    pub password_argument: &'static str,
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
    /// The label of the file system that keeps the guest's state.
    pub state_label: &'static str,
}

/// RancherOS, built from `os/`.
pub const RANCHEROS: Guest = Guest {
    user: "rancher",
    password_argument: "rancher.password=",
    system_engine_socket: "/var/run/system-docker.sock",
    user_engine_socket: "/var/run/docker.sock",
    system_engine: "system-docker",
    events_port: "io.rancher.os.boot",
    first_stage: "init",
    last_stage: "started",
    state_label: "RANCHER_STATE",
};
