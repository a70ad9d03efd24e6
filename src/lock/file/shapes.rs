//! The shape of the file, apart from the lock itself, and what it must hold together.

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::{Sha256, StorePath};
use serde::{Deserialize, Serialize};

use super::entries::{DebShape, Entries, WheelShape};
use super::places::{line_of, split_mirror_url};
use super::references::{Brief, BuildReference, DebReference, WheelReference};
use super::{LockFileError, PLAIN, VERSION};
use crate::lock::{
    Architecture, DebGroup, DebianLock, Lock, LockRequest, LockedArchive, LockedDeb, LockedInput,
    LockedInputs, LockedInterpreter, LockedWheel, PlatformLock, PythonLock, VariantLock, debian,
    python,
};

#[derive(Deserialize)]
pub(super) struct VersionShape {
    pub(super) version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LockShape {
    debian: Vec<DebShape>,
    exclude_newer: String,
    #[serde(default, skip_serializing_if = "LockedInputs::is_empty")]
    inputs: LockedInputs,
    python: Vec<WheelShape>,
    variants: BTreeMap<String, VariantShape>,
    pub(super) version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantShape {
    config: ConfigShape,
    platforms: BTreeMap<Architecture, PlatformShape>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    runs: BTreeMap<StorePath, Sha256>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigShape {
    pub(super) digest: Sha256,
    pub(super) request: LockRequest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformShape {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<BuildShape>,
    debian: DebianShape,
    interpreter: InterpreterShape,
    python: Vec<Brief<WheelReference>>,
}

/// The Debian packages that sources are built with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildShape {
    packages: Vec<Brief<DebReference>>,
    releases: Vec<ReleaseShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebianShape {
    packages: BTreeMap<DebGroup, Vec<Brief<DebReference>>>,
    releases: Vec<ReleaseShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub(super) enum InterpreterShape {
    Debian(String),
    Standalone(ArchiveShape),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveShape {
    sha256: Sha256,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    url: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ReleaseShape {
    date: String,
    in_release_sha256: Sha256,
    input: String,
    suite: String,
}

/// The lists that all variants refer to, while a file is read, and what was referred to.
struct Shared<'t> {
    text: &'t str,
    debs: Entries<DebShape>,
    wheels: Entries<WheelShape>,
    named: BTreeSet<String>,
}

impl Shared<'_> {
    /// The wheels that a source is built with.
    fn built_with(&mut self, build: BuildReference) -> Result<python::SourceBuild, LockFileError> {
        let mut builds = BTreeMap::new();
        for (name, build) in build.builds {
            builds.insert(name, self.built_with(build)?);
        }
        let mut requires = Vec::new();
        for file in build.requires {
            let entry = self.wheels.find(&file, Vec::new(), self.text)?;
            let own = builds.get(&entry.name).cloned();
            let mut wheel = entry.into_wheel(WheelReference::default(), own, self.text)?;
            wheel.package.requires.clear();
            requires.push(wheel.package);
            self.named.insert(file);
        }
        let is_there = |name: &String| requires.iter().any(|wheel| wheel.name == *name);
        if let Some(name) = builds.keys().find(|name| !is_there(name)) {
            let message = format!("{name} is built for a package that is not built with it");
            return Err(wrong(self.text, "\"builds\": {", &message));
        }
        Ok(python::SourceBuild {
            backend: build.backend,
            backend_path: build.backend_path,
            requires,
            builds,
            reason: build.reason,
            revision: build.revision,
        })
    }

    /// The Debian packages that sources are built with.
    fn tools(&mut self, build: BuildShape) -> Result<DebianLock, LockFileError> {
        let mut packages = Vec::new();
        for Brief(reference) in build.packages {
            let entry = self
                .debs
                .find(&reference.file, reference.depends, self.text)?;
            self.named.insert(reference.file);
            packages.push(entry.into_deb(DebGroup::Base, reference.requested, None, self.text)?);
        }
        let releases = build.releases.into_iter();
        Ok(DebianLock {
            releases: releases.map(ReleaseShape::into_release).collect(),
            packages,
        })
    }
}

impl LockShape {
    /// The lock, if everything fits together.
    pub(super) fn into_lock(self, text: &str) -> Result<Lock, LockFileError> {
        let mut shared = Shared {
            text,
            debs: Entries::read(self.debian, text)?,
            wheels: Entries::read(self.python, text)?,
            named: BTreeSet::new(),
        };
        let mut variants = BTreeMap::new();
        for (name, variant) in self.variants {
            let variant = variant.into_variant(&name, &mut shared)?;
            variants.insert(name, variant);
        }
        if variants.is_empty() {
            return Err(wrong(text, "\"variants\"", "it is for no variant"));
        }
        let deb = shared.debs.unnamed(&shared.named);
        let wheel = shared.wheels.unnamed(&shared.named);
        let unnamed = deb.map(|deb| (&deb.name, &deb.url));
        if let Some((name, url)) = unnamed.or(wheel.map(|wheel| (&wheel.name, &wheel.url))) {
            return Err(wrong(text, url, &format!("{name} is in no variant")));
        }
        let means = |name: &String| match self.inputs.get(name) {
            Some(LockedInput::Follows { .. }) => false,
            Some(_) => true,
            // A package source stands in the requests.
            None => {
                let mut variants = variants.values();
                variants.any(|variant| variant.request.inputs.contains_key(name))
            }
        };
        for (name, input) in &self.inputs {
            if let LockedInput::Follows { name: target } = input
                && !means(target)
            {
                let message = format!("{name} follows {target}, which is no input of the lock");
                return Err(wrong(text, &format!("\"{name}\": {{"), &message));
            }
        }
        Ok(Lock {
            exclude_newer: self.exclude_newer,
            inputs: self.inputs,
            variants,
        })
    }
}

/// The oldest version that can say all that a lock holds: who does not know a key would take the file for a broken one.
fn version_of(lock: &Lock) -> u64 {
    let has_builds = lock.platforms().any(|platform| platform.build.is_some());
    match has_builds || !variants_are_plain(lock) {
        true => VERSION,
        false => PLAIN,
    }
}

/// Whether a lock of the older version may say this: some were written so with packages that are built from source.
pub(super) fn may_be_plain(lock: &Lock) -> bool {
    let mut wheels = lock.platforms().flat_map(|locked| &locked.python.packages);
    let is_commit = |wheel: &LockedWheel| matches!(wheel.origin, python::WheelOrigin::Git(_));
    variants_are_plain(lock) && !wheels.any(is_commit)
}

/// Whether no variant has records of commands or versions of another tool's lock.
fn variants_are_plain(lock: &Lock) -> bool {
    let mut variants = lock.variants.values();
    variants.all(|variant| variant.runs.is_empty() && variant.request.pins.is_none())
}

impl From<&Lock> for LockShape {
    fn from(lock: &Lock) -> Self {
        let debs = lock.platforms().flat_map(|locked| &locked.debian.packages);
        let build = lock.platforms().filter_map(|locked| locked.build.as_ref());
        let build = build.flat_map(|debian| &debian.packages);
        let debs = Entries::gather(debs.chain(build).map(DebShape::from));
        let wheels = || lock.platforms().flat_map(|locked| &locked.python.packages);
        let tools = wheels().flat_map(LockedWheel::build_requires);
        let wheels =
            Entries::gather(wheels().map(WheelShape::from)).with_tools(tools.map(WheelShape::from));
        let variant = |variant: &VariantLock| VariantShape {
            config: ConfigShape {
                digest: variant.request.digest(),
                request: variant.request.clone(),
            },
            platforms: variant
                .platforms
                .iter()
                .map(|(architecture, platform)| {
                    let shape = PlatformShape::new(platform, &debs, &wheels);
                    (*architecture, shape)
                })
                .collect(),
            runs: variant.runs.clone(),
        };
        let variants = lock.variants.iter();
        let variants = variants.map(|(name, locked)| (name.clone(), variant(locked)));
        Self {
            variants: variants.collect(),
            debian: debs.into_list(),
            exclude_newer: lock.exclude_newer.clone(),
            inputs: lock.inputs.clone(),
            python: wheels.into_list(),
            version: version_of(lock),
        }
    }
}

impl VariantShape {
    fn into_variant(
        self,
        name: &str,
        shared: &mut Shared<'_>,
    ) -> Result<VariantLock, LockFileError> {
        let text = shared.text;
        self.config.check(text)?;
        let request = self.config.request;
        if !self.platforms.keys().eq(request.platforms.iter()) {
            let message = "the platforms are not those of the request";
            let place = format!("\"{name}\": {{");
            return Err(wrong(text, &place, message));
        }
        let mut platforms = BTreeMap::new();
        for (architecture, platform) in self.platforms {
            let platform = platform.into_platform(shared)?;
            check(&platform, text)?;
            platforms.insert(architecture, platform);
        }
        let runs = self.runs;
        Ok(VariantLock {
            request,
            platforms,
            runs,
        })
    }
}

impl ConfigShape {
    /// Refuses a request that its digest does not fit.
    pub(super) fn check(&self, text: &str) -> Result<(), LockFileError> {
        if self.request.digest() == self.digest {
            return Ok(());
        }
        let message = "the digest does not fit the request below it: the file was edited";
        Err(wrong(text, &self.digest.to_string(), message))
    }
}

impl PlatformShape {
    fn new(
        platform: &PlatformLock,
        all_debs: &Entries<DebShape>,
        all_wheels: &Entries<WheelShape>,
    ) -> Self {
        let mut debs: BTreeMap<DebGroup, Vec<Brief<DebReference>>> = BTreeMap::new();
        for deb in &platform.debian.packages {
            let (file, depends) = all_debs.call(DebShape::from(deb));
            debs.entry(deb.group).or_default().push(Brief(DebReference {
                depends,
                file,
                layer: deb.layer.clone(),
                requested: deb.requested,
            }));
        }
        let tool = |deb: &LockedDeb| {
            let (file, depends) = all_debs.call(DebShape::from(deb));
            Brief(DebReference {
                depends,
                file,
                layer: None,
                requested: deb.requested,
            })
        };
        let build = |debian: &DebianLock| BuildShape {
            packages: debian.packages.iter().map(tool).collect(),
            releases: debian.releases.iter().map(ReleaseShape::from).collect(),
        };
        let wheel = |wheel: &LockedWheel| {
            let (file, requires) = all_wheels.call(WheelShape::from(wheel));
            Brief(WheelReference {
                build: wheel
                    .build
                    .as_ref()
                    .map(|build| built_with(build, all_wheels)),
                file,
                layer: wheel.layer.clone(),
                omit: wheel.omit.clone(),
                requires,
                waived: wheel.waived,
            })
        };
        let releases = platform.debian.releases.iter();
        Self {
            build: platform.build.as_ref().map(build),
            debian: DebianShape {
                packages: debs,
                releases: releases.map(ReleaseShape::from).collect(),
            },
            interpreter: InterpreterShape::from(&platform.interpreter),
            python: platform.python.packages.iter().map(wheel).collect(),
        }
    }

    fn into_platform(self, shared: &mut Shared<'_>) -> Result<PlatformLock, LockFileError> {
        let text = shared.text;
        let mut debs = Vec::new();
        for (group, references) in self.debian.packages {
            for Brief(reference) in references {
                let entry = shared.debs.find(&reference.file, reference.depends, text)?;
                shared.named.insert(reference.file);
                debs.push(entry.into_deb(group, reference.requested, reference.layer, text)?);
            }
        }
        debs.sort_by(|one, other| one.name.cmp(&other.name));
        let mut wheels = Vec::new();
        for Brief(mut reference) in self.python {
            let requires = std::mem::take(&mut reference.requires);
            let entry = shared.wheels.find(&reference.file, requires, text)?;
            shared.named.insert(reference.file.clone());
            let build = reference.build.take();
            let build = build.map(|build| shared.built_with(build)).transpose()?;
            wheels.push(entry.into_wheel(reference, build, text)?);
        }
        let build = self.build.map(|build| shared.tools(build)).transpose()?;
        if build.is_some() != wheels.iter().any(|wheel| wheel.build.is_some()) {
            let message =
                "there are packages to build with and nothing to build, or the other way round";
            return Err(wrong(text, "\"build\": {", message));
        }
        let releases = self.debian.releases.into_iter();
        Ok(PlatformLock {
            build,
            interpreter: self.interpreter.into_interpreter(text)?,
            debian: DebianLock {
                releases: releases.map(ReleaseShape::into_release).collect(),
                packages: debs,
            },
            python: PythonLock { packages: wheels },
        })
    }
}

/// How a source is built, in the words of the file.
fn built_with(build: &python::SourceBuild, all_wheels: &Entries<WheelShape>) -> BuildReference {
    let builds = build.builds.iter();
    let builds = builds.map(|(name, build)| (name.clone(), built_with(build, all_wheels)));
    let requires = build.requires.iter();
    let requires = requires.map(|wheel| all_wheels.call(WheelShape::from(wheel)).0);
    BuildReference {
        backend: build.backend.clone(),
        backend_path: build.backend_path.clone(),
        builds: builds.collect(),
        reason: build.reason,
        requires: requires.collect(),
        revision: build.revision.clone(),
    }
}

/// Refuses a package that stands twice, one that needs something that is not there, and an interpreter that is not.
pub(super) fn check(platform: &PlatformLock, text: &str) -> Result<(), LockFileError> {
    let debs = platform.debian.packages.iter();
    let debs = debs.map(|deb: &LockedDeb| (deb.name.as_str(), &deb.depends));
    let wheels = platform.python.packages.iter();
    let wheels = wheels.map(|wheel| (wheel.name.as_str(), &wheel.requires));
    for packages in [debs.collect::<Vec<_>>(), wheels.collect()] {
        let place = |name: &str| format!("\"name\": \"{name}\"");
        let names: BTreeSet<&str> = packages.iter().map(|(name, _)| *name).collect();
        if let Some(pair) = packages.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            let message = format!("{} stands twice or out of order", pair[1].0);
            return Err(wrong(text, &place(pair[1].0), &message));
        }
        for (name, edges) in &packages {
            if let Some(missing) = edges.iter().find(|edge| !names.contains(edge.as_str())) {
                let message = format!("{name} needs {missing}, which is not in the lock");
                return Err(wrong(text, &place(name), &message));
            }
        }
    }
    if let LockedInterpreter::Debian { package } = &platform.interpreter
        && !platform
            .debian
            .packages
            .iter()
            .any(|deb| deb.name == *package)
    {
        let message = format!("the interpreter {package} is not among the Debian packages");
        return Err(wrong(text, "\"interpreter\"", &message));
    }
    Ok(())
}

/// An inconsistency, in the line where something stands first.
fn wrong(text: &str, needle: &str, message: &str) -> LockFileError {
    LockFileError::Inconsistent {
        line: line_of(text, needle),
        message: message.to_owned(),
    }
}

impl InterpreterShape {
    pub(super) fn into_interpreter(self, text: &str) -> Result<LockedInterpreter, LockFileError> {
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

impl ReleaseShape {
    pub(super) fn into_release(self) -> debian::LockedRelease {
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
