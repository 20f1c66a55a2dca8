//! The machine of this OS on the measured profile.

use harness::artifacts::Artifacts;
use harness::project::Project;
use machine::profile::Profile;
use machine::{KeyPair, Login, MachineSpec};

use super::Result;

/// The measured profile.
pub(crate) const PROFILE: &str = "q35";

/// Reads the profile.
pub(crate) fn profile(project: &Project) -> Result<Profile> {
    let mut profiles = project.profiles()?.into_iter();
    let found = profiles.find(|profile| profile.name == PROFILE);
    Ok(found.ok_or_else(|| format!("profile `{PROFILE}` does not exist"))?)
}

/// A machine with this OS that accepts a new key, and the login with that key.
pub(crate) fn machine(profile: &Profile, artifacts: &Artifacts) -> Result<(MachineSpec, Login)> {
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
