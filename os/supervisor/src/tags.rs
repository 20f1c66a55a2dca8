//! Further names of images of enabled addons, such as `etcdctl`: the images are pulled if they are missing.

use std::rc::Rc;

use config::Service;

use crate::pulls;
use crate::shared::Shared;

/// Starts a task for each name of the enabled addons.
pub(crate) fn ensure(shared: &Rc<Shared>) {
    for (tag, image) in shared.current().config.tags_of_enabled_addons() {
        let of_image = Service {
            image: image.clone(),
            ..Service::default()
        };
        if !shared.pulls.begin(&tag, &of_image) {
            continue;
        }
        let shared = Rc::clone(shared);
        tokio::task::spawn_local(async move {
            provide(&tag, &image, &shared).await;
            shared.pulls.end(&tag, &of_image);
        });
    }
}

/// Retries to pull and to name an image until it succeeds, or the addon is disabled.
async fn provide(tag: &str, image: &str, shared: &Shared) {
    let mut log = pulls::FailureLog::default();
    for delay in pulls::delays() {
        let tags = shared.current().config.tags_of_enabled_addons();
        if tags.get(tag).is_none_or(|wanted| wanted != image) {
            return;
        }
        match try_once(tag, image, shared).await {
            Ok(()) => return,
            Err(error) => {
                if let Some(line) = log.message(&error, delay) {
                    shared.print(&format!("rancher: {tag}: {line}"));
                }
            }
        }
        tokio::time::sleep(delay).await;
    }
}

async fn try_once(tag: &str, image: &str, shared: &Shared) -> Result<(), String> {
    if !shared.images.provide(image).await? {
        shared.images.pull(image).await?;
    }
    shared.images.tag(image, tag).await
}
