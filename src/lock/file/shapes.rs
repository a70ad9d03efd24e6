//! The shape of the file, apart from the lock itself, and what it must hold together.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use cognix_derivations::Sha256;
use serde::{Deserialize, Serialize};
use uv_distribution_filename::WheelFilename;

use super::places::{line_of, split_mirror_url, wheel_origin};
use super::{LockFileError, VERSION};
use crate::lock::{
    Architecture, DebGroup, DebianLock, Lock, LockRequest, LockedArchive, LockedDeb,
    LockedInterpreter, LockedWheel, PlatformLock, PythonLock, debian, python,
};

#[derive(Deserialize)]
pub(super) struct VersionShape {
    pub(super) version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LockShape {
    config: ConfigShape,
    exclude_newer: String,
    platforms: BTreeMap<Architecture, PlatformShape>,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformShape {
    debian: DebianShape,
    interpreter: InterpreterShape,
    python: Vec<WheelShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum InterpreterShape {
    Debian(String),
    Standalone(ArchiveShape),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchiveShape {
    sha256: Sha256,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    url: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigShape {
    digest: Sha256,
    request: LockRequest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebianShape {
    packages: Vec<DebShape>,
    releases: Vec<ReleaseShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebShape {
    architecture: String,
    depends: Vec<String>,
    group: DebGroup,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    name: String,
    requested: bool,
    sha256: Sha256,
    size: u64,
    url: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ReleaseShape {
    date: String,
    in_release_sha256: Sha256,
    input: String,
    suite: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WheelShape {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    omit: Vec<String>,
    requires: Vec<String>,
    sha256: Sha256,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spelling: Option<String>,
    url: String,
    version: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    waived: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    yanked: bool,
}

impl LockShape {
    pub(super) fn check(&self, text: &str) -> Result<(), LockFileError> {
        let wrong = |needle: &str, message: String| {
            Err(LockFileError::Inconsistent {
                line: line_of(text, needle),
                message,
            })
        };
        if self.config.request.digest() != self.config.digest {
            return wrong(
                "\"digest\"",
                "the digest does not fit the request below it: the file was edited".to_owned(),
            );
        }
        if !self
            .platforms
            .keys()
            .eq(self.config.request.platforms.iter())
        {
            return wrong(
                "\"platforms\"",
                "the platforms are not those of the request".to_owned(),
            );
        }
        for platform in self.platforms.values() {
            platform.check(text)?;
        }
        Ok(())
    }

    pub(super) fn into_lock(self, text: &str) -> Result<Lock, LockFileError> {
        let platforms = self.platforms.into_iter();
        let platforms = platforms
            .map(|(architecture, platform)| Ok((architecture, platform.into_platform(text)?)));
        Ok(Lock {
            request: self.config.request,
            exclude_newer: self.exclude_newer,
            platforms: platforms.collect::<Result<_, _>>()?,
        })
    }
}

impl PlatformShape {
    fn check(&self, text: &str) -> Result<(), LockFileError> {
        let wrong = |name: &str, message: String| {
            Err(LockFileError::Inconsistent {
                line: line_of(text, &format!("\"name\": \"{name}\"")),
                message,
            })
        };
        let debs = self
            .debian
            .packages
            .iter()
            .map(|deb| (deb.name.as_str(), &deb.depends));
        let wheels = self
            .python
            .iter()
            .map(|wheel| (wheel.name.as_str(), &wheel.requires));
        for packages in [debs.collect::<Vec<_>>(), wheels.collect()] {
            let names: BTreeSet<&str> = packages.iter().map(|(name, _)| *name).collect();
            if let Some(pair) = packages.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
                let message = format!("{} stands twice or out of order", pair[1].0);
                return wrong(pair[1].0, message);
            }
            for (name, edges) in &packages {
                let mut edges = edges.iter().map(|edge| split_edge(edge).0);
                if let Some(missing) = edges.find(|edge| !names.contains(edge)) {
                    let message = format!("{name} needs {missing}, which is not in the lock");
                    return wrong(name, message);
                }
            }
        }
        if let InterpreterShape::Debian(package) = &self.interpreter
            && !self.debian.packages.iter().any(|deb| deb.name == *package)
        {
            return Err(LockFileError::Inconsistent {
                line: line_of(text, "\"interpreter\""),
                message: format!("the interpreter {package} is not among the Debian packages"),
            });
        }
        Ok(())
    }

    fn into_platform(self, text: &str) -> Result<PlatformLock, LockFileError> {
        let packages = self.debian.packages.into_iter();
        let packages = packages.map(|deb| deb.into_deb(text));
        let releases = self.debian.releases.into_iter();
        let wheels = self.python.into_iter().map(|wheel| wheel.into_wheel(text));
        Ok(PlatformLock {
            interpreter: self.interpreter.into_interpreter(text)?,
            debian: DebianLock {
                releases: releases.map(ReleaseShape::into_release).collect(),
                packages: packages.collect::<Result<_, _>>()?,
            },
            python: PythonLock {
                packages: wheels.collect::<Result<_, _>>()?,
            },
        })
    }
}

impl From<&PlatformLock> for PlatformShape {
    fn from(platform: &PlatformLock) -> Self {
        let releases = platform.debian.releases.iter();
        Self {
            debian: DebianShape {
                packages: platform
                    .debian
                    .packages
                    .iter()
                    .map(DebShape::from)
                    .collect(),
                releases: releases.map(ReleaseShape::from).collect(),
            },
            interpreter: InterpreterShape::from(&platform.interpreter),
            python: platform
                .python
                .packages
                .iter()
                .map(WheelShape::from)
                .collect(),
        }
    }
}

impl InterpreterShape {
    fn into_interpreter(self, text: &str) -> Result<LockedInterpreter, LockFileError> {
        match self {
            Self::Debian(package) => Ok(LockedInterpreter::Debian { package }),
            Self::Standalone(archive) => {
                let (input, path) = split_mirror_url(&archive.url, text)?;
                Ok(LockedInterpreter::Standalone(LockedArchive {
                    version: archive.version,
                    input,
                    path,
                    sha256: archive.sha256,
                    size: archive.size,
                }))
            }
        }
    }
}

impl From<&LockedInterpreter> for InterpreterShape {
    fn from(interpreter: &LockedInterpreter) -> Self {
        match interpreter {
            LockedInterpreter::Debian { package } => Self::Debian(package.clone()),
            LockedInterpreter::Standalone(archive) => Self::Standalone(ArchiveShape {
                sha256: archive.sha256,
                size: archive.size,
                url: archive.url(),
                version: archive.version.clone(),
            }),
        }
    }
}

impl From<&Lock> for LockShape {
    fn from(lock: &Lock) -> Self {
        Self {
            config: ConfigShape {
                digest: lock.request.digest(),
                request: lock.request.clone(),
            },
            exclude_newer: lock.exclude_newer.clone(),
            platforms: lock
                .platforms
                .iter()
                .map(|(architecture, platform)| (*architecture, PlatformShape::from(platform)))
                .collect(),
            version: VERSION,
        }
    }
}

impl DebShape {
    fn into_deb(self, text: &str) -> Result<LockedDeb, LockFileError> {
        let (input, path) = split_mirror_url(&self.url, text)?;
        let (depends, bounds) = split_edges(self.depends);
        let package = debian::LockedDeb {
            name: self.name,
            version: self.version,
            architecture: self.architecture,
            input,
            path,
            size: self.size,
            sha256: self.sha256,
            depends,
            requested: self.requested,
        };
        Ok(LockedDeb {
            package,
            group: self.group,
            bounds,
            layer: self.layer,
        })
    }
}

impl From<&LockedDeb> for DebShape {
    fn from(deb: &LockedDeb) -> Self {
        Self {
            architecture: deb.architecture.clone(),
            depends: edges(&deb.depends, &deb.bounds, true),
            group: deb.group,
            layer: deb.layer.clone(),
            name: deb.name.clone(),
            requested: deb.requested,
            sha256: deb.sha256,
            size: deb.size,
            url: deb.url(),
            version: deb.version.clone(),
        }
    }
}

impl ReleaseShape {
    fn into_release(self) -> debian::LockedRelease {
        let Self {
            date,
            in_release_sha256,
            input,
            suite,
        } = self;
        debian::LockedRelease {
            input,
            suite,
            in_release_sha256,
            date,
        }
    }
}

impl From<&debian::LockedRelease> for ReleaseShape {
    fn from(release: &debian::LockedRelease) -> Self {
        Self {
            date: release.date.clone(),
            in_release_sha256: release.in_release_sha256,
            input: release.input.clone(),
            suite: release.suite.clone(),
        }
    }
}

impl WheelShape {
    fn into_wheel(self, text: &str) -> Result<LockedWheel, LockFileError> {
        let (origin, filename) = wheel_origin(&self.name, &self.url, text)?;
        let named = WheelFilename::from_str(&filename).ok();
        if !named.is_some_and(|named| {
            named.name.as_str() == self.name && named.version.to_string() == self.version
        }) {
            let message = format!("{filename} is not {} {}", self.name, self.version);
            return Err(LockFileError::Inconsistent {
                line: line_of(text, &self.url),
                message,
            });
        }
        let (requires, bounds) = split_edges(self.requires);
        let package = python::LockedWheel {
            name: self.name,
            spelling: self.spelling,
            version: self.version,
            filename,
            sha256: self.sha256,
            size: self.size,
            requires,
            origin,
            yanked: self.yanked,
        };
        Ok(LockedWheel {
            package,
            layer: self.layer,
            omit: self.omit,
            bounds,
            waived: self.waived,
        })
    }
}

impl From<&LockedWheel> for WheelShape {
    fn from(wheel: &LockedWheel) -> Self {
        Self {
            layer: wheel.layer.clone(),
            name: wheel.name.clone(),
            omit: wheel.omit.clone(),
            requires: edges(&wheel.requires, &wheel.bounds, false),
            sha256: wheel.sha256,
            size: wheel.size,
            spelling: wheel.spelling.clone(),
            url: wheel.url(),
            version: wheel.version.clone(),
            waived: wheel.waived,
            yanked: wheel.yanked,
        }
    }
}

/// Edges as the file has them: each name with what is said about it, `numpy>=1.21` or `libc6 (>= 2.36)`.
fn edges(names: &[String], bounds: &BTreeMap<String, String>, spaced: bool) -> Vec<String> {
    let edge = |name: &String| match bounds.get(name) {
        Some(bound) if spaced || bound.starts_with('@') => format!("{name} {bound}"),
        Some(bound) => format!("{name}{bound}"),
        None => name.clone(),
    };
    names.iter().map(edge).collect()
}

/// A name of an edge, and what follows it.
fn split_edge(edge: &str) -> (&str, &str) {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let (name, bound) = edge.split_at(edge.find(|c| !in_name(c)).unwrap_or(edge.len()));
    (name, bound.trim_start())
}

fn split_edges(edges: Vec<String>) -> (Vec<String>, BTreeMap<String, String>) {
    let split = edges.iter().map(|edge| split_edge(edge));
    let bounds = split.clone().filter(|(_, bound)| !bound.is_empty());
    let bounds = bounds.map(|(name, bound)| (name.to_owned(), bound.to_owned()));
    (
        split.clone().map(|(name, _)| name.to_owned()).collect(),
        bounds.collect(),
    )
}
