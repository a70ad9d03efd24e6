//! Locks of format version 1, which had one image: they are read as the variant `default`, and never written.

use std::collections::BTreeMap;

use cognix_derivations::Sha256;
use serde::Deserialize;

use super::entries::{DebShape, WheelShape};
use super::references::WheelReference;
use super::shapes::{ConfigShape, InterpreterShape, ReleaseShape, check};
use super::{LockFileError, syntax};
use crate::lock::{
    Architecture, DebGroup, DebianLock, Lock, PlatformLock, PythonLock, VariantLock,
};
use crate::spec::DEFAULT_VARIANT;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Shape {
    config: ConfigShape,
    exclude_newer: String,
    platforms: BTreeMap<Architecture, Platform>,
    #[serde(rename = "version")]
    _version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Platform {
    debian: Debian,
    interpreter: InterpreterShape,
    python: Vec<Wheel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Debian {
    packages: Vec<Deb>,
    releases: Vec<ReleaseShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deb {
    architecture: String,
    depends: Vec<String>,
    group: DebGroup,
    #[serde(default)]
    layer: Option<String>,
    name: String,
    requested: bool,
    sha256: Sha256,
    size: u64,
    url: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wheel {
    #[serde(default)]
    layer: Option<String>,
    name: String,
    #[serde(default)]
    omit: Vec<String>,
    requires: Vec<String>,
    sha256: Sha256,
    size: u64,
    #[serde(default)]
    spelling: Option<String>,
    url: String,
    version: String,
    #[serde(default)]
    waived: bool,
    #[serde(default)]
    yanked: bool,
}

/// Reads the text of such a lock.
pub(super) fn parse(text: &str) -> Result<Lock, LockFileError> {
    let shape: Shape = serde_json::from_str(text).map_err(syntax)?;
    shape.config.check(text)?;
    let mut platforms = BTreeMap::new();
    for (architecture, platform) in shape.platforms {
        let platform = platform.into_platform(text)?;
        check(&platform, text)?;
        platforms.insert(architecture, platform);
    }
    let request = shape.config.request;
    let variant = VariantLock {
        request,
        platforms,
        runs: BTreeMap::new(),
    };
    Ok(Lock {
        exclude_newer: shape.exclude_newer,
        inputs: Default::default(),
        variants: BTreeMap::from([(DEFAULT_VARIANT.to_owned(), variant)]),
    })
}

impl Platform {
    fn into_platform(self, text: &str) -> Result<PlatformLock, LockFileError> {
        let debs = self.debian.packages.into_iter().map(|deb| {
            let shape = DebShape {
                architecture: deb.architecture,
                depends: deb.depends,
                name: deb.name,
                sha256: deb.sha256,
                size: deb.size,
                url: deb.url,
                version: deb.version,
            };
            shape.into_deb(deb.group, deb.requested, deb.layer, text)
        });
        let wheels = self.python.into_iter().map(|wheel| {
            let shape = WheelShape {
                name: wheel.name,
                requires: wheel.requires,
                sha256: wheel.sha256,
                size: wheel.size,
                spelling: wheel.spelling,
                url: wheel.url,
                version: wheel.version,
                yanked: wheel.yanked,
            };
            let reference = WheelReference {
                layer: wheel.layer,
                omit: wheel.omit,
                waived: wheel.waived,
                ..WheelReference::default()
            };
            shape.into_wheel(reference, None, text)
        });
        let releases = self.debian.releases.into_iter();
        Ok(PlatformLock {
            interpreter: self.interpreter.into_interpreter(text)?,
            debian: DebianLock {
                releases: releases.map(ReleaseShape::into_release).collect(),
                packages: debs.collect::<Result<_, _>>()?,
            },
            build: None,
            python: PythonLock {
                packages: wheels.collect::<Result<_, _>>()?,
            },
        })
    }
}
