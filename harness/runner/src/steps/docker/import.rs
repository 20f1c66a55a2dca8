//! Builds an image of one layer from files of the machine, for machines that reach no registry.

use std::io;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt;

use machine::Ssh;
use scenario::step::DockerImport;

use crate::session::StepFailure;

/// The applets of busybox that scenarios call.
const APPLETS: [&str; 17] = [
    "cat", "echo", "env", "false", "grep", "hostname", "id", "ip", "kill", "ls", "mount", "ps",
    "sh", "sleep", "true", "uname", "wget",
];

/// Downloads the files and imports the image.
pub(crate) async fn perform(
    import: &DockerImport,
    ssh: &Ssh,
    docker: &Docker,
) -> Result<(), StepFailure> {
    let mut files = Vec::new();
    for path in &import.files {
        files.push((path.as_str(), ssh.download(path).await?));
    }
    let layer = layer(&files).map_err(|error| {
        StepFailure::new(format!("cannot build a layer from the files: {error}"))
    })?;
    let (repository, tag) = import
        .image
        .split_once(':')
        .unwrap_or((&import.image, "latest"));
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(repository)
        .tag(tag)
        .build();
    docker
        .create_image(Some(options), Some(bollard::body_full(layer.into())), None)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

/// The files as a tar archive. If busybox is among them, its applets are added as symbolic links.
fn layer(files: &[(&str, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        tar.append_data(
            &mut header,
            path.trim_start_matches('/'),
            content.as_slice(),
        )?;
        if path.ends_with("/busybox") {
            links(&mut tar, path)?;
        }
    }
    tar.into_inner()
}

fn links(tar: &mut tar::Builder<Vec<u8>>, busybox: &str) -> io::Result<()> {
    for applet in APPLETS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        tar.append_link(&mut header, format!("bin/{applet}"), busybox)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_links_the_applets_of_busybox() {
        let tar = layer(&[("/bin/busybox", b"x".to_vec()), ("/etc/motd", Vec::new())]).unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names.len(), 2 + APPLETS.len());
        assert_eq!(names.first().unwrap(), "bin/busybox");
        assert!(names.contains(&"bin/sh".to_owned()));
        assert_eq!(names.last().unwrap(), "etc/motd");
    }
}
