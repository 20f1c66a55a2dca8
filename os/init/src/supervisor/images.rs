//! Images of the system containers: loaded from the root when a service first asks for one, or pulled.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bollard::Docker;
use bollard::query_parameters::ImportImageOptionsBuilder;
use config::Config;
use futures_util::StreamExt;
use tokio::sync::OnceCell;

/// Where the archives lie, in the root.
const FOLDER: &str = "/usr/share/rancher/images";

/// What the names of the images in the root begin with.
const PREFIX: &str = "rancher/os-";

/// What came of loading an image, known once.
type Outcome = Rc<OnceCell<Result<(), String>>>;

/// The images that were asked for.
pub struct Images {
    docker: Docker,
    asked: RefCell<BTreeMap<String, Outcome>>,
}

impl Images {
    /// None was asked for yet.
    pub fn new(docker: Docker) -> Self {
        Self {
            docker,
            asked: RefCell::default(),
        }
    }

    /// Loads what the others are made from.
    pub async fn load_base(&self) -> Result<(), String> {
        let image = format!("{PREFIX}base:{}", config::VERSION);
        match self.provide(&image).await? {
            true => Ok(()),
            false => Err(format!("{FOLDER} has no {image}")),
        }
    }

    /// Whether the engine has an image, after loading it where it lies in the root.
    pub async fn provide(&self, image: &str) -> Result<bool, String> {
        match archive(image) {
            Some(path) if path.exists() => self.load(image, &path).await.map(|()| true),
            _ => Ok(engines::has(&self.docker, image).await),
        }
    }

    /// Pulls an image, with what the configuration says of registries now.
    pub async fn pull(&self, image: &str) -> Result<(), String> {
        let config = config::load_machine().config;
        self.tell_registries(&config).await?;
        engines::pull(&self.docker, &config.registries, image).await
    }

    /// Has the engines know what the configuration says of registries.
    pub async fn tell_registries(&self, config: &Config) -> Result<(), String> {
        engines::tell_registries(&self.docker, config).await
    }

    async fn load(&self, image: &str, path: &Path) -> Result<(), String> {
        let outcome = Rc::clone(self.asked.borrow_mut().entry(image.into()).or_default());
        outcome
            .get_or_init(|| self.load_once(image, path))
            .await
            .clone()
    }

    async fn load_once(&self, image: &str, path: &Path) -> Result<(), String> {
        if engines::has(&self.docker, image).await {
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

/// Where `rancher/os-udev:1.0` would lie in the root, if it is of this version.
fn archive(image: &str) -> Option<PathBuf> {
    let (name, version) = image.strip_prefix(PREFIX)?.split_once(':')?;
    let of_this = version == config::VERSION && !name.contains('/');
    of_this.then(|| Path::new(FOLDER).join(format!("{name}.tar")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_of_this_version_lie_in_the_root() {
        let of_this = |name: &str| archive(&format!("rancher/os-{name}:{}", config::VERSION));
        assert_eq!(of_this("udev"), Some(Path::new(FOLDER).join("udev.tar")));
        assert_eq!(of_this("../x"), None);
        assert_eq!(archive("rancher/os-udev:0"), None);
        assert_eq!(archive("busybox:latest"), None);
    }
}
