//! The kinds of datasources.

use std::io::ErrorKind;

use url::Url;

use super::{cloud, http, volume};

/// The address of the metadata service of most clouds.
const METADATA: &str = "http://169.254.169.254/";

/// The kernel argument with the URL of the datasource `cmdline`.
const URL_ARGUMENT: &str = "cloud-config-url=";

/// The data of a datasource.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The raw user-data, or why it cannot be read.
    pub(crate) user_data: Option<Result<Vec<u8>, String>>,
    /// SSH keys in the metadata.
    pub(crate) keys: Vec<String>,
    /// The host name in the metadata.
    pub(crate) hostname: Option<String>,
    /// The unique ID of this machine in the metadata.
    pub(crate) instance: Option<String>,
    /// Why other metadata cannot be read.
    pub(crate) problems: Vec<String>,
}

/// A datasource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Datasource {
    /// A volume `config-2` in the format of OpenStack, and its mount point.
    ConfigDrive(String),
    /// A volume `cidata`, and its mount point.
    NoCloud(String),
    /// A file.
    File(String),
    /// A URL.
    Page(Url),
    /// `cmdline` without a URL on the kernel command line.
    NoPage,
    /// The metadata service of Amazon EC2 at this address.
    Ec2(Url),
    /// The metadata service of Google Compute Engine at this address.
    Gce(Url),
}

impl Datasource {
    /// Parses an item of `cloud_init.datasources`; `cmdline` is the kernel command line.
    ///
    /// # Errors
    /// The item is not valid.
    pub(crate) fn parse(text: &str, cmdline: &str) -> Result<Self, String> {
        let (kind, argument) = text.split_once(':').unwrap_or((text, ""));
        let or = |default: &'static str| {
            if argument.is_empty() {
                default
            } else {
                argument
            }
        };
        match kind {
            "configdrive" => Ok(Self::ConfigDrive(or("/media/config-2").into())),
            "nocloud" => Ok(Self::NoCloud(or("/media/cidata").into())),
            "file" if argument.starts_with('/') => Ok(Self::File(argument.into())),
            "file" => Err("no absolute path; hint: write `file:/PATH`".into()),
            "url" => page(argument).map(Self::Page),
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
                "unknown datasource; hint: use one of configdrive:PATH, nocloud:PATH, file:PATH, \
                 url:URL, cmdline, ec2, gce"
                    .into(),
            ),
        }
    }

    /// Whether a query needs no network, so that it returns at once.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::ConfigDrive(_) | Self::NoCloud(_) | Self::File(_) | Self::NoPage => true,
            Self::Page(_) | Self::Ec2(_) | Self::Gce(_) => false,
        }
    }

    /// Whether it is a volume, which may appear late.
    pub(crate) fn is_volume(&self) -> bool {
        matches!(self, Self::ConfigDrive(_) | Self::NoCloud(_))
    }

    /// Reads the data. Returns `None` if there are none.
    ///
    /// # Errors
    /// The datasource exists and cannot be read, or it does not answer before the timeout.
    pub(crate) fn query(&self) -> Result<Option<Answer>, String> {
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

/// Parses a URL that this program can fetch.
pub(super) fn page(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("invalid URL: {error}"))?;
    match url.scheme() {
        "http" if url.has_host() => Ok(url),
        scheme => Err(format!(
            "`{scheme}:` is not supported; hint: write `http://…`"
        )),
    }
}

/// Parses the address of a metadata service: a URL, or a host.
fn address(text: &str) -> Result<Url, String> {
    if text.contains("://") {
        page(text)
    } else {
        page(&format!("http://{text}/"))
    }
}

fn file(path: &str) -> Result<Option<Answer>, String> {
    // Reading anything but a regular file could block.
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err("not a regular file".into()),
        _ => (),
    }
    match std::fs::read(path) {
        Ok(content) => Ok(Some(Answer {
            user_data: Some(Ok(content)),
            ..Answer::default()
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Datasource {
        Datasource::parse(text, "quiet cloud-config-url=http://a/b x=y").unwrap()
    }

    #[test]
    fn datasource_is_parsed_from_the_configuration() {
        let url = |text| Url::parse(text).unwrap();
        assert_eq!(
            parse("configdrive:/m"),
            Datasource::ConfigDrive("/m".into())
        );
        assert_eq!(
            parse("nocloud"),
            Datasource::NoCloud("/media/cidata".into())
        );
        assert_eq!(parse("cmdline"), Datasource::Page(url("http://a/b")));
        assert_eq!(
            Datasource::parse("cmdline", "quiet"),
            Ok(Datasource::NoPage)
        );
        assert_eq!(
            parse("url:http://[::1]:8/x"),
            Datasource::Page(url("http://[::1]:8/x"))
        );
        assert_eq!(
            parse("ec2"),
            Datasource::Ec2(url("http://169.254.169.254/"))
        );
        assert_eq!(
            parse("ec2:10.0.0.1"),
            Datasource::Ec2(url("http://10.0.0.1/"))
        );
        assert_eq!(parse("gce:http://h:80/"), Datasource::Gce(url("http://h/")));
        for wrong in [
            "url:https://a/",
            "url:x",
            "file:x",
            "floppy",
            "",
            "ec2:http://",
        ] {
            assert!(Datasource::parse(wrong, "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn missing_file_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user-data");
        let datasource = Datasource::File(path.to_string_lossy().into());
        assert_eq!(datasource.query(), Ok(None));
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!(
            datasource.query().unwrap().unwrap().user_data,
            Some(Ok("#!/bin/sh\n".into()))
        );
        assert!(Datasource::File("/dev/zero".into()).query().is_err());
    }
}
