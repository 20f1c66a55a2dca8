//! Images of the system containers: loaded from the root when a service first asks for one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bollard::Docker;
use bollard::query_parameters::ImportImageOptionsBuilder;
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
        self.load(&format!("{PREFIX}base:{}", config::VERSION))
            .await
    }

    /// Loads an image, unless it is there; one that is not of the root is the engine's business.
    pub async fn load(&self, image: &str) -> Result<(), String> {
        let Some(name) = archive_name(image) else {
            return Ok(());
        };
        let outcome = Rc::clone(self.asked.borrow_mut().entry(image.into()).or_default());
        outcome
            .get_or_init(|| self.load_once(image, name))
            .await
            .clone()
    }

    async fn load_once(&self, image: &str, name: &str) -> Result<(), String> {
        if self.docker.inspect_image(image).await.is_ok() {
            return Ok(());
        }
        let path = format!("{FOLDER}/{name}.tar");
        let archive = tokio::fs::read(&path)
            .await
            .map_err(|error| format!("{path}: {error}"))?;
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut answers =
            self.docker
                .import_image(options, bollard::body_full(archive.into()), None);
        while let Some(answer) = answers.next().await {
            answer.map_err(|error| format!("{path}: {error}"))?;
        }
        Ok(())
    }
}

/// `rancher/os-udev:1.0` lies in `udev.tar`, if it is of this version.
fn archive_name(image: &str) -> Option<&str> {
    let (name, version) = image.strip_prefix(PREFIX)?.split_once(':')?;
    (version == config::VERSION && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_of_this_version_lie_in_the_root() {
        assert_eq!(
            archive_name(&format!("rancher/os-udev:{}", config::VERSION)),
            Some("udev")
        );
        assert_eq!(archive_name("rancher/os-udev:0"), None);
        assert_eq!(archive_name("busybox:latest"), None);
        assert_eq!(
            archive_name(&format!("rancher/os-../x:{}", config::VERSION)),
            None
        );
    }
}
