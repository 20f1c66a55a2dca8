//! An image of one layer out of files of the machine: the machine reaches no registry.

use std::io;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt;

use machine::Ssh;
use scenario::DockerImport;

use super::fault::Fault;

/// What a busybox is called by in scenarios.
const APPLETS: [&str; 17] = [
    "cat", "echo", "env", "false", "grep", "hostname", "id", "ip", "kill", "ls", "mount", "ps",
    "sh", "sleep", "true", "uname", "wget",
];

/// Fetches the files and makes the image.
pub async fn perform(import: &DockerImport, ssh: &Ssh, docker: &Docker) -> Result<(), Fault> {
    let mut files = Vec::new();
    for path in &import.files {
        files.push((path.as_str(), ssh.download(path).await?));
    }
    let layer = layer(&files)
        .map_err(|error| Fault::new(format!("no layer can be made of the files: {error}")))?;
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

/// The files as a tar, and the names that a busybox among them answers to.
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
    fn a_busybox_gets_its_links() {
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
