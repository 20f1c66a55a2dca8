//! This OS, on the profile that is measured.

use harness::artifacts::Artifacts;
use harness::project::Project;
use machine::profile::Profile;
use machine::{KeyPair, Login, MachineSpec};

use super::Result;

/// The profile that is measured.
pub const PROFILE: &str = "q35";

/// Reads it.
pub fn profile(project: &Project) -> Result<Profile> {
    let mut profiles = project.profiles()?.into_iter();
    let found = profiles.find(|profile| profile.name == PROFILE);
    Ok(found.ok_or_else(|| format!("there is no profile `{PROFILE}`"))?)
}

/// A machine with this OS that lets a new key in, and how to log in with it.
pub fn machine(profile: &Profile, artifacts: &Artifacts) -> Result<(MachineSpec, Login)> {
    let keys = KeyPair::generate();
    let key = keys.public.trim();
    let (kernel, initrd) = (&artifacts.kernel, &artifacts.initrd);
    let spec = MachineSpec {
        user_data: Some(format!("#cloud-config\nssh_authorized_keys: ['{key}']\n")),
        ..MachineSpec::new(profile.resolve(kernel)?, kernel, Some(initrd))
    };
    let login = Login::Key {
        user: "rancher".into(),
        private_key: keys.private,
    };
    Ok((spec, login))
}
