//! Datasources: where a cloud says something, and what it says there.

mod cloud;
mod http;
mod talk;
mod volume;

use std::io::ErrorKind;

use url::Url;

/// Where clouds tell their machines about themselves.
const METADATA: &str = "http://169.254.169.254/";

/// What names the URL of `cmdline` on the kernel command line.
const URL_ARGUMENT: &str = "cloud-config-url=";

/// What a datasource says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// User-data as it lies there, or why it cannot be read.
    pub user_data: Option<Result<Vec<u8>, String>>,
    /// Keys that it names beside.
    pub keys: Vec<String>,
    /// The name that it gives the machine.
    pub hostname: Option<String>,
    /// How it calls this machine, where no other is called so.
    pub instance: Option<String>,
    /// What else it has and cannot be read.
    pub problems: Vec<String>,
}

/// A datasource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A volume `config-2` as OpenStack makes it, mounted here for the while.
    ConfigDrive(String),
    /// A volume `cidata`, mounted here for the while.
    NoCloud(String),
    /// A file.
    File(String),
    /// A page.
    Page(Url),
    /// The page that the kernel command line names, which names none.
    NoPage,
    /// Amazon's metadata, at its address.
    Ec2(Url),
    /// Google's metadata, at its address.
    Gce(Url),
}

impl Source {
    /// Reads it as it is written in `cloud_init.datasources`; `cmdline` is the kernel's.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, cmdline: &str) -> Result<Self, String> {
        let (kind, at) = text.split_once(':').unwrap_or((text, ""));
        let or = |other: &'static str| if at.is_empty() { other } else { at };
        match kind {
            "configdrive" => Ok(Self::ConfigDrive(or("/media/config-2").into())),
            "nocloud" => Ok(Self::NoCloud(or("/media/cidata").into())),
            "file" if at.starts_with('/') => Ok(Self::File(at.into())),
            "file" => Err("write `file:/PATH`".into()),
            "url" => page(at).map(Self::Page),
            "cmdline" => {
                let mut words = cmdline.split_whitespace();
                match words.find_map(|word| word.strip_prefix(URL_ARGUMENT)) {
                    Some(url) => page(url).map(Self::Page),
                    None => Ok(Self::NoPage),
                }
            }
            "ec2" => address(or(METADATA)).map(Self::Ec2),
            "gce" => address(or(METADATA)).map(Self::Gce),
            _ => Err(
                "known are configdrive:PATH, nocloud:PATH, file:PATH, url:URL, cmdline, ec2, gce"
                    .into(),
            ),
        }
    }

    /// Whether it answers at once, or never: nothing is asked over the network.
    pub fn is_local(&self) -> bool {
        !matches!(self, Self::Page(_) | Self::Ec2(_) | Self::Gce(_))
    }

    /// Whether it is on a disk, which may come late.
    pub fn is_volume(&self) -> bool {
        matches!(self, Self::ConfigDrive(_) | Self::NoCloud(_))
    }

    /// What it says, or `None` where there is no such thing.
    ///
    /// # Errors
    /// It is there and cannot be read, or does not answer within its bound.
    pub fn ask(&self) -> Result<Option<Found>, String> {
        match self {
            Self::ConfigDrive(mount_point) => volume::config_drive(mount_point),
            Self::NoCloud(mount_point) => volume::no_cloud(mount_point),
            Self::File(path) => file(path),
            Self::NoPage => Ok(None),
            Self::Page(url) => http::wait(cloud::page(url)),
            Self::Ec2(base) => http::wait(cloud::ec2(base)),
            Self::Gce(base) => http::wait(cloud::gce(base)),
        }
    }
}

fn page(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    match url.scheme() {
        "http" if url.has_host() => Ok(url),
        scheme => Err(format!(
            "`{scheme}:` is not understood here; write `http://…`"
        )),
    }
}

/// An address alone stands for the root of its pages.
fn address(text: &str) -> Result<Url, String> {
    match text.contains("://") {
        true => page(text),
        false => page(&format!("http://{text}/")),
    }
}

fn file(path: &str) -> Result<Option<Found>, String> {
    // Anything else than a file could keep us waiting for its end.
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err("it is no file".into()),
        _ => (),
    }
    match std::fs::read(path) {
        Ok(content) => Ok(Some(Found {
            user_data: Some(Ok(content)),
            ..Found::default()
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Source {
        Source::parse(text, "quiet cloud-config-url=http://a/b x=y").unwrap()
    }

    #[test]
    fn sources_are_read_as_people_write_them() {
        let url = |text| Url::parse(text).unwrap();
        assert_eq!(parse("configdrive:/m"), Source::ConfigDrive("/m".into()));
        assert_eq!(parse("nocloud"), Source::NoCloud("/media/cidata".into()));
        assert_eq!(parse("cmdline"), Source::Page(url("http://a/b")));
        assert_eq!(Source::parse("cmdline", "quiet"), Ok(Source::NoPage));
        assert_eq!(
            parse("url:http://[::1]:8/x"),
            Source::Page(url("http://[::1]:8/x"))
        );
        assert_eq!(parse("ec2"), Source::Ec2(url("http://169.254.169.254/")));
        assert_eq!(parse("ec2:10.0.0.1"), Source::Ec2(url("http://10.0.0.1/")));
        assert_eq!(parse("gce:http://h:80/"), Source::Gce(url("http://h/")));
        for wrong in [
            "url:https://a/",
            "url:x",
            "file:x",
            "floppy",
            "",
            "ec2:http://",
        ] {
            assert!(Source::parse(wrong, "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_is_gone_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user-data");
        let source = Source::File(path.to_string_lossy().into());
        assert_eq!(source.ask(), Ok(None));
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!(
            source.ask().unwrap().unwrap().user_data,
            Some(Ok("#!/bin/sh\n".into()))
        );
        assert!(Source::File("/dev/zero".into()).ask().is_err());
    }
}
