//! The images of the system containers: loaded from the root when a service first needs them, or pulled.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bollard::Docker;
use bollard::query_parameters::ImportImageOptionsBuilder;
use config::Config;
use futures_util::StreamExt;
use tokio::sync::OnceCell;

/// The folder of the image archives, in the root.
const FOLDER: &str = "/usr/share/rancher/images";

/// The prefix of the names of images in the root.
const PREFIX: &str = "rancher/os-";

/// The result of loading an image, which happens once.
type Outcome = Rc<OnceCell<Result<(), String>>>;

/// The images, and which of them were loaded.
pub(crate) struct Images {
    docker: Docker,
    loaded: RefCell<BTreeMap<String, Outcome>>,
}

impl Images {
    /// No image was loaded yet.
    pub(crate) fn new(docker: Docker) -> Self {
        Self {
            docker,
            loaded: RefCell::default(),
        }
    }

    /// Loads the base image, which the others are made from.
    pub(crate) async fn load_base(&self) -> Result<(), String> {
        let image = format!("{PREFIX}base:{}", config::VERSION);
        if self.provide(&image).await? {
            Ok(())
        } else {
            Err(format!("{FOLDER} has no {image}"))
        }
    }

    /// Loads an image if the root has it; returns whether the engine has it.
    pub(crate) async fn provide(&self, image: &str) -> Result<bool, String> {
        match archive(image) {
            Some(path) if path.exists() => self.load(image, &path).await.map(|()| true),
            _ => Ok(engines::has_image(&self.docker, image).await),
        }
    }

    /// Pulls an image, using the registries that are configured now.
    pub(crate) async fn pull(&self, image: &str) -> Result<(), String> {
        let config = config::load_machine().config;
        self.update_registries(&config).await?;
        engines::pull(&self.docker, &config.registries, image).await
    }

    /// Gives an image a further name.
    pub(crate) async fn tag(&self, image: &str, name: &str) -> Result<(), String> {
        engines::tag(&self.docker, image, name).await
    }

    /// Updates the registries of both engines.
    pub(crate) async fn update_registries(&self, config: &Config) -> Result<(), String> {
        engines::update_registries(&self.docker, config).await
    }

    async fn load(&self, image: &str, path: &Path) -> Result<(), String> {
        let outcome = Rc::clone(self.loaded.borrow_mut().entry(image.into()).or_default());
        outcome
            .get_or_init(|| self.load_once(image, path))
            .await
            .clone()
    }

    async fn load_once(&self, image: &str, path: &Path) -> Result<(), String> {
        if engines::has_image(&self.docker, image).await {
            return Ok(());
        }
        let archive = tokio::fs::read(path)
            .await
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut answers =
            self.docker
                .import_image(options, bollard::body_full(archive.into()), None);
        while let Some(answer) = answers.next().await {
            answer.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}

/// The archive of an image such as `rancher/os-udev:1.0`, if it has the version of this OS.
fn archive(image: &str) -> Option<PathBuf> {
    let (name, version) = image.strip_prefix(PREFIX)?.split_once(':')?;
    let is_own = version == config::VERSION && !name.contains('/');
    is_own.then(|| Path::new(FOLDER).join(format!("{name}.tar")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_is_none_when_the_version_is_another() {
        let own = |name: &str| archive(&format!("rancher/os-{name}:{}", config::VERSION));
        assert_eq!(own("udev"), Some(Path::new(FOLDER).join("udev.tar")));
        assert_eq!(own("../x"), None);
        assert_eq!(archive("rancher/os-udev:0"), None);
        assert_eq!(archive("busybox:latest"), None);
    }
}
