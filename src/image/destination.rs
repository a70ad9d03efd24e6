//! Where an image can go, spelled as skopeo spells it.
//!
//! ```text
//! oci:DIR[:TAG]                a folder in OCI's layout; others of its images stay
//! oci-archive:FILE[:TAG]       the same in one tar file
//! docker-archive:FILE[:REF]    what `docker load` takes; REF is a name with or without a tag
//! docker://REF                 a registry
//! ```
//!
//! The first colon ends the path, as it does for skopeo, so a path cannot contain one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where an image is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A folder in OCI's image layout.
    OciLayout {
        /// The folder; made if it is not there.
        directory: PathBuf,
        /// The name of the image in it.
        tag: Option<String>,
    },
    /// The layout as one tar file.
    OciArchive {
        /// The file; replaced if it is there.
        file: PathBuf,
        /// The name of the image in it.
        tag: Option<String>,
    },
    /// The file that `docker save` writes and `docker load` reads.
    DockerArchive {
        /// The file; replaced if it is there.
        file: PathBuf,
        /// Name and tag that the image gets when it is loaded.
        reference: Option<String>,
    },
    /// A registry, with the reference as it was given; who pushes knows what it means.
    Registry(String),
}

/// A text does not say where an image is to go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Nothing before the first colon that we know.
    #[error(
        "{text:?} is no destination: expected oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF] or \
         docker://REF{hint}"
    )]
    Transport {
        /// The text, cut at 300 characters.
        text: String,
        /// What was probably meant, or nothing.
        hint: String,
    },
    /// The path is missing.
    #[error("{text:?} names no {what}")]
    Path {
        /// The text.
        text: String,
        /// What should be there.
        what: &'static str,
    },
    /// OCI allows letters, digits and some separators between them.
    #[error(
        "{tag:?} is no tag: expected letters and digits, with single separators of -._:@/+ between them"
    )]
    Tag {
        /// What follows the path.
        tag: String,
    },
    /// Docker allows a lower-case name and one tag.
    #[error("{reference:?} is no image reference: {reason}")]
    Reference {
        /// What follows the path.
        reference: String,
        /// Which rule is broken.
        reason: &'static str,
    },
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let unknown = |hint: String| DestinationError::Transport {
            text: text.chars().take(300).collect(),
            hint,
        };
        let Some((transport, rest)) = text.split_once(':') else {
            return Err(unknown(guess(text)));
        };
        Ok(match transport {
            "docker" => {
                let hint = "; a registry is docker:// and a reference";
                let reference = rest
                    .strip_prefix("//")
                    .filter(|reference| !reference.is_empty());
                Self::Registry(
                    reference
                        .ok_or_else(|| unknown(hint.to_owned()))?
                        .to_owned(),
                )
            }
            "oci" => {
                let (directory, tag) = path_and_name(text, rest, "folder")?;
                let tag = tag.map(checked_tag).transpose()?;
                Self::OciLayout { directory, tag }
            }
            "oci-archive" => {
                let (file, tag) = path_and_name(text, rest, "file")?;
                let tag = tag.map(checked_tag).transpose()?;
                Self::OciArchive { file, tag }
            }
            "docker-archive" => {
                let (file, reference) = path_and_name(text, rest, "file")?;
                let reference = reference.map(checked_reference).transpose()?;
                Self::DockerArchive { file, reference }
            }
            _ => return Err(unknown(guess(text))),
        })
    }
}

/// What somebody meant who wrote no transport that we know.
fn guess(text: &str) -> String {
    if text.starts_with("docker-daemon:") {
        "; write docker-archive:FILE and run docker load".to_owned()
    } else if text.contains('/') && !text.starts_with(['/', '.']) && checked_reference(text).is_ok()
    {
        format!("; did you mean docker://{text}")
    } else {
        String::new()
    }
}

fn path_and_name<'a>(
    text: &str,
    rest: &'a str,
    what: &'static str,
) -> Result<(PathBuf, Option<&'a str>), DestinationError> {
    let (path, name) = match rest.split_once(':') {
        Some((path, name)) => (path, Some(name)),
        None => (rest, None),
    };
    if path.is_empty() {
        let text = text.chars().take(300).collect();
        return Err(DestinationError::Path { text, what });
    }
    Ok((PathBuf::from(path), name))
}

/// OCI: components of letters and digits, with one of `-._:@+` or two hyphens between, joined by slashes.
fn checked_tag(tag: &str) -> Result<String, DestinationError> {
    let well_formed = tag.len() <= 255
        && tag.replace("--", "-").split('/').all(|component| {
            component.split(['-', '.', '_', ':', '@', '+']).all(|word| {
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
        });
    if well_formed {
        Ok(tag.to_owned())
    } else {
        Err(DestinationError::Tag {
            tag: tag.chars().take(300).collect(),
        })
    }
}

/// A name and a tag as Docker knows them; `latest` when there is no tag.
fn checked_reference(reference: &str) -> Result<String, DestinationError> {
    let invalid = |reason| {
        Err(DestinationError::Reference {
            reference: reference.chars().take(300).collect(),
            reason,
        })
    };
    if reference.contains('@') {
        return invalid("a digest follows from the image and cannot be asked for");
    }
    let last_slash = reference.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match reference[last_slash..].rfind(':') {
        Some(at) => (
            &reference[..last_slash + at],
            &reference[last_slash + at + 1..],
        ),
        None => (reference, "latest"),
    };
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("", name),
    };
    let host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if !host.bytes().all(host_byte) {
        return invalid("the host has other characters than letters, digits, dots and hyphens");
    }
    let well_formed = |component: &str| {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        component
            .bytes()
            .all(|byte| word(byte) || b"._-".contains(&byte))
            && component.bytes().next().is_some_and(word)
            && component.bytes().last().is_some_and(word)
    };
    if !path.split('/').all(well_formed) {
        return invalid("a name has lower-case letters and digits, with ._- and / between them");
    }
    let tag_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if tag.is_empty()
        || tag.len() > 128
        || !tag.bytes().all(tag_byte)
        || tag.starts_with(['.', '-'])
    {
        return invalid("a tag has 1 to 128 letters, digits and _.- and starts with none of .-");
    }
    Ok(format!("{name}:{tag}"))
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, name) = match self {
            Self::OciLayout { directory, tag } => ("oci", directory, tag),
            Self::OciArchive { file, tag } => ("oci-archive", file, tag),
            Self::DockerArchive { file, reference } => ("docker-archive", file, reference),
            Self::Registry(reference) => return write!(formatter, "docker://{reference}"),
        };
        write!(formatter, "{transport}:{}", path.display())?;
        match name {
            Some(name) => write!(formatter, ":{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Destination {
        text.parse().expect(text)
    }

    #[test]
    fn spelled_as_skopeo_spells_it() {
        for text in [
            "oci:out",
            "oci:out:latest",
            "oci:/a/b:registry.example/me/model:v1",
            "oci-archive:out.tar",
            "oci-archive:out.tar:v1.0_2",
            "docker-archive:out.tar",
            "docker-archive:out.tar:me/model:v1",
            "docker-archive:out.tar:localhost:5000/me:v1",
            "docker://registry.example/me/model",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
        let archive = parse("docker-archive:a.tar:me/model");
        assert_eq!(archive.to_string(), "docker-archive:a.tar:me/model:latest");
        let layout = parse("oci:out:a:b");
        assert_eq!(
            layout,
            Destination::OciLayout {
                directory: "out".into(),
                tag: Some("a:b".to_owned())
            }
        );
    }

    #[test]
    fn errors_say_what_is_expected() {
        for (text, message) in [
            ("", "is no destination: expected oci:DIR"),
            ("out", "is no destination"),
            ("dir:out", "is no destination"),
            ("docker:me/model", "a registry is docker:// and a reference"),
            ("docker://", "is no destination"),
            ("docker-daemon:x", "run docker load"),
            (
                "registry.example/me/model",
                "did you mean docker://registry.example/me/model",
            ),
            (
                "registry.example/me/model:v1",
                "did you mean docker://registry.example/me/model:v1",
            ),
            ("oci:", "names no folder"),
            ("oci::tag", "names no folder"),
            ("oci-archive:", "names no file"),
            ("oci:out:", "is no tag"),
            ("oci:out:a b", "is no tag"),
            ("oci:out:-a", "is no tag"),
            ("oci:out:a//b", "is no tag"),
            ("docker-archive:a.tar:", "is no image reference"),
            ("docker-archive:a.tar:Me/model", "lower-case"),
            ("docker-archive:a.tar:me/model:", "1 to 128"),
            (
                "docker-archive:a.tar:me/model@sha256:00",
                "a digest follows",
            ),
            ("docker-archive:a.tar:me//model", "lower-case"),
        ] {
            let error = text.parse::<Destination>().expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
