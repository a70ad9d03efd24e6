//! Where Python packages are built from source: which Debian packages are there, and who runs the build backends.
//!
//! The packages that builds need are no part of an image, so they are chosen by themselves and stand in a part of the lock
//! of their own. They are the same for every package of an image:
//!
//! * everything that Debian marks as essential, with `gcc`, `g++`, `make`, `patch`, `pkg-config` and the headers of the C library,
//! * the image's interpreter, and its headers where it is Debian's own,
//! * `cargo` and `rustc` where a build needs maturin or setuptools-rust,
//! * the model's system packages, as for `pip install` in a container, and what the spec names besides.

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::platform::{Architecture, Platform, PythonVersion};
use super::python::{
    self, BackendAnswer, BackendError, BackendQuestion, Backends, Preference, SourceBuild,
};
use super::resolve::{Answering, ResolveError};
use super::system;
use super::{DebianLock, LockedInterpreter, LockedPlatform, LockedWheel, PackageKind};

/// What is there where a source is built.
#[derive(Debug, Clone, Copy)]
pub struct BuildRoom<'a> {
    /// The platform.
    pub architecture: Architecture,
    /// The Python that it is built for.
    pub python: PythonVersion,
    /// Where that comes from.
    pub interpreter: &'a LockedInterpreter,
    /// The Debian packages.
    pub debian: &'a DebianLock,
}

impl<'a> LockedPlatform<'a> {
    /// Where its sources are built; nothing where it has none.
    pub fn build_room(&self, python: PythonVersion) -> Option<BuildRoom<'a>> {
        Some(BuildRoom {
            architecture: self.architecture,
            python,
            interpreter: self.interpreter,
            debian: self.build?,
        })
    }
}

/// Runs the build backends of source archives.
pub trait Sandbox: Send + Sync {
    /// Asks one.
    fn ask<'a>(
        &'a self,
        room: BuildRoom<'a>,
        question: &'a BackendQuestion<'a>,
    ) -> BoxFuture<'a, Result<BackendAnswer, BackendError>>;
}

/// Nobody runs programs here.
#[derive(Debug, thiserror::Error)]
#[error("programs cannot be run here; lock with `cognix lock`")]
struct NoSandbox;

/// What is always there.
const PACKAGES: [&str; 6] = ["g++", "gcc", "libc6-dev", "make", "patch", "pkg-config"];

/// What is there for programs in Rust.
const RUST: [&str; 2] = ["cargo", "rustc"];

/// Build requirements that run a Rust compiler.
const NEEDS_RUST: [&str; 2] = ["maturin", "setuptools-rust"];

/// Whether a build runs a Rust compiler.
fn needs_rust(build: &SourceBuild) -> bool {
    let mut requires = build.all_requires().into_iter();
    requires.any(|wheel| NEEDS_RUST.contains(&wheel.name.as_str()))
}

/// Where the sources of one platform are built, while its packages are chosen. The Debian packages are chosen when they
/// are needed first.
pub(super) struct Rooms<'a> {
    answering: &'a Answering<'a>,
    platform: Platform,
    interpreter: &'a LockedInterpreter,
    image: &'a DebianLock,
    plain: OnceCell<DebianLock>,
    with_rust: OnceCell<DebianLock>,
}

impl<'a> Rooms<'a> {
    pub(super) fn new(
        answering: &'a Answering<'a>,
        platform: Platform,
        interpreter: &'a LockedInterpreter,
        image: &'a DebianLock,
    ) -> Self {
        Self {
            answering,
            platform,
            interpreter,
            image,
            plain: OnceCell::new(),
            with_rust: OnceCell::new(),
        }
    }

    /// The Debian packages that the chosen packages are built with, if there are any to build.
    pub(super) async fn chosen(
        &self,
        packages: &[LockedWheel],
    ) -> Result<Option<DebianLock>, ResolveError> {
        let builds = packages.iter().filter_map(|package| package.build.as_ref());
        let mut builds = builds.peekable();
        if builds.peek().is_none() {
            return Ok(None);
        }
        Ok(Some(self.debian(builds.any(needs_rust)).await?.clone()))
    }

    async fn debian(&self, rust: bool) -> Result<&DebianLock, ResolveError> {
        let cell = match rust {
            true => &self.with_rust,
            false => &self.plain,
        };
        cell.get_or_try_init(|| self.choose(rust)).await
    }

    async fn choose(&self, rust: bool) -> Result<DebianLock, ResolveError> {
        let request = &self.answering.question.request;
        let mut packages: Vec<String> = PACKAGES.map(str::to_owned).to_vec();
        if rust {
            packages.extend(RUST.map(str::to_owned));
        }
        if let LockedInterpreter::Debian { package } = self.interpreter {
            packages.extend([package.clone(), format!("lib{package}-dev")]);
        }
        packages.extend(request.system_packages.iter().cloned());
        packages.extend(request.build_packages.iter().cloned());
        let architecture = self.platform.architecture;
        if let Some(kept) = system::kept_build(self.answering, &packages, architecture) {
            return Ok(kept);
        }
        system::resolve_build(self.answering, &packages, self.image, architecture).await
    }
}

impl Backends for Rooms<'_> {
    fn ask<'a>(
        &'a self,
        question: &'a BackendQuestion<'a>,
    ) -> BoxFuture<'a, Result<BackendAnswer, BackendError>> {
        Box::pin(async move {
            let sandbox = self.answering.question.sandbox.as_deref();
            let sandbox = sandbox.ok_or_else(|| BackendError(Box::new(NoSandbox)))?;
            let debian = self.debian(needs_rust(question.build)).await;
            let debian = debian.map_err(|error| BackendError(Box::new(error)))?;
            let room = BuildRoom {
                architecture: self.platform.architecture,
                python: self.platform.python,
                interpreter: self.interpreter,
                debian,
            };
            sandbox.ask(room, question).await
        })
    }
}

/// The versions that the previous lock builds with: kept where they still fit.
pub(super) fn preferences(
    answering: &Answering<'_>,
    architecture: Architecture,
) -> Vec<Preference> {
    let previous = answering.previous(architecture);
    let packages = previous.iter().flat_map(|lock| &lock.python.packages);
    let stays = |wheel: &&python::LockedWheel| !answering.moves(PackageKind::Wheel, &wheel.name);
    let wheels = packages.flat_map(LockedWheel::build_requires);
    let wheels = wheels.filter(stays).map(|wheel| Preference {
        name: wheel.name.clone(),
        version: wheel.version.clone(),
    });
    wheels.collect()
}
