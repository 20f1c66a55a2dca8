//! Images of an engine.

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use config::Registries;
use futures_util::StreamExt;

/// Whether an engine has an image.
pub async fn has_image(docker: &Docker, image: &str) -> bool {
    docker.inspect_image(image).await.is_ok()
}

/// Pulls an image from its registry. An older image of that name stays until the new one is complete.
///
/// # Errors
/// The registry cannot be reached, denies access, or has no such image.
pub async fn pull(docker: &Docker, registries: &Registries, image: &str) -> Result<(), String> {
    let credentials = registries
        .credentials_for(image)
        .map(|one| DockerCredentials {
            username: Some(one.username.clone()),
            password: Some(one.password.clone()),
            ..DockerCredentials::default()
        });
    let options = CreateImageOptionsBuilder::new().from_image(image).build();
    let mut progress = docker.create_image(Some(options), None, credentials);
    while let Some(step) = progress.next().await {
        step.map_err(|error| format!("failed to pull {image}: {error}"))?;
    }
    Ok(())
}

/// Gives an image a further name, `NAME:TAG`. Another image of that name loses it.
///
/// # Errors
/// The engine does not have the image, or the name is invalid.
pub async fn tag(docker: &Docker, image: &str, name: &str) -> Result<(), String> {
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let options = TagImageOptionsBuilder::new().repo(repository).tag(tag);
    let tagged = docker.tag_image(image, Some(options.build())).await;
    tagged.map_err(|error| format!("failed to tag {image} as {name}: {error}"))
}
