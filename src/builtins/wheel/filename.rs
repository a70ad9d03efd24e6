//! The name and version that a wheel claims in its file name, and whether another text claims the same.
//!
//! Names are compared as package indexes compare them, versions by their order (`1.0` is `1.0.0`). Versions are read by
//! `uv-pep440`, which also resolves them: the rules are long, and a second opinion would be a second meaning. The tags
//! are checked for their form only; that they fit the interpreter was decided when the wheel was chosen.

use std::str::FromStr;

use uv_pep440::Version;

use super::{WheelError, archive::Quoted};

/// A wheel's file name, understood.
#[derive(Debug, Clone)]
pub(super) struct WheelName {
    /// The package's name, normalised.
    pub(super) name: String,
    version: Version,
}

impl WheelName {
    /// Reads `NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl`.
    pub(super) fn parse(filename: &str) -> Result<Self, WheelError> {
        Self::read(filename).map_err(|problem| WheelError::FileName {
            name: filename.to_owned(),
            problem,
        })
    }

    fn read(filename: &str) -> Result<Self, String> {
        let stem = filename
            .strip_suffix(".whl")
            .ok_or("it does not end in .whl")?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, ref tags @ ..] if tags.len() == 3 => (name, version, None, tags),
            [name, version, build, ref tags @ ..] if tags.len() == 3 => {
                (name, version, Some(build), tags)
            }
            _ => return Err(format!("it has {} parts instead of 5 or 6", parts.len())),
        };
        if !is_name(name) {
            return Err(format!("{} is no package name", Quoted(name)));
        }
        // A build number is digits and then anything, so that it is never taken for a tag.
        if build.is_some_and(|build| !build.starts_with(|first: char| first.is_ascii_digit())) {
            return Err("its build number does not begin with a digit".to_owned());
        }
        for tag in tags {
            if !tag.split('.').all(is_tag) {
                return Err(format!("{} is no tag", Quoted(tag)));
            }
        }
        let version = Version::from_str(version).map_err(|error| error.to_string())?;
        Ok(Self {
            name: normalise(name),
            version,
        })
    }

    /// Whether a name and a version, in whatever spelling, are those of the file name.
    pub(super) fn is(&self, name: &str, version: &str) -> bool {
        is_name(name)
            && normalise(name) == self.name
            && Version::from_str(version).is_ok_and(|version| version == self.version)
    }

    /// Whether a directory's name, without its ending, is NAME-VERSION. Old tools leave dashes in names.
    pub(super) fn is_stem(&self, stem: &str) -> bool {
        stem.match_indices('-')
            .any(|(dash, _)| self.is(&stem[..dash], &stem[dash + 1..]))
    }
}

impl std::fmt::Display for WheelName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.name, self.version)
    }
}

fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(is_inner)
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Lower case, and one dash for every run of dashes, dots and underscores.
fn normalise(name: &str) -> String {
    let mut normalised = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '.' | '_' if normalised.ends_with('-') => {}
            '-' | '.' | '_' => normalised.push('-'),
            other => normalised.push(other.to_ascii_lowercase()),
        }
    }
    normalised
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filename: &str, expected: Result<&str, &str>) {
        let found = WheelName::read(filename).map(|name| name.to_string());
        assert_eq!(
            found,
            expected.map(str::to_owned).map_err(str::to_owned),
            "{filename}"
        );
    }

    #[test]
    fn rec_1_file_names() {
        check("six-1.17.0-py2.py3-none-any.whl", Ok("six 1.17.0"));
        check(
            "Ruamel.yaml__clib-0.2-1-cp311-cp311-linux_x86_64.whl",
            Ok("ruamel-yaml-clib 0.2"),
        );
        check(
            "torch-2.4.1+cu121-cp311-cp311-linux_x86_64.whl",
            Ok("torch 2.4.1+cu121"),
        );
        check("six-1.0.tar.gz", Err("it does not end in .whl"));
        check(
            "six-1.0-py3-none.whl",
            Err("it has 4 parts instead of 5 or 6"),
        );
        check(
            "a-1-1-1-py3-none-any.whl",
            Err("it has 7 parts instead of 5 or 6"),
        );
        check(
            "../six-1.0-py3-none-any.whl",
            Err("`../six` is no package name"),
        );
        check(
            "six_-1.0-py3-none-any.whl",
            Err("`six_` is no package name"),
        );
        check(
            "six-1.0-x-py3-none-any.whl",
            Err("its build number does not begin with a digit"),
        );
        check("six-1.0-py3-none-an/y.whl", Err("`an/y` is no tag"));
        check("six-1.0-py3..py2-none-any.whl", Err("`py3..py2` is no tag"));
        assert!(WheelName::read("six-one-py3-none-any.whl").is_err());
    }

    #[test]
    fn rec_1_normalisation() {
        let wheel = WheelName::read("Zope.Interface-1.0-py3-none-any.whl").expect("a valid name");
        assert!(wheel.is("zope_interface", "1.0.0"));
        assert!(wheel.is("zope--interface", "v1"));
        assert!(!wheel.is("zopeinterface", "1.0"));
        assert!(!wheel.is("zope.interface", "1.0+local"));
        assert!(!wheel.is("zope.interface", "one"));
        assert!(wheel.is_stem("zope.interface-1.0"));
        assert!(wheel.is_stem("zope-interface-1.0.0"));
        assert!(!wheel.is_stem("zope-interface"));
        assert!(!wheel.is_stem("../zope-interface-1.0"));
    }
}
