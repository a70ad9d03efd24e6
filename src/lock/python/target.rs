//! The Python and the platform of the image, as markers and tags see them.

use uv_distribution_types::RequiresPython;
use uv_pep440::Version;
use uv_pep508::{MarkerEnvironment, MarkerEnvironmentBuilder};
use uv_platform_tags::{Arch, Os, Platform, Tags, TagsOptions};
use uv_resolver::PythonRequirement;

use super::PythonError;
use crate::lock::platform::Architecture;

/// Everything that decides which markers hold and which wheels fit.
pub(in crate::lock) struct Target {
    pub(in crate::lock) markers: MarkerEnvironment,
    pub(in crate::lock) tags: Tags,
    pub(super) python: PythonRequirement,
    pub(super) requires_python: RequiresPython,
    /// For messages.
    pub(super) name: String,
}

impl Target {
    /// CPython on Linux with the GNU C library.
    pub(in crate::lock) fn new(
        python: (u8, u8, u8),
        glibc: (u16, u16),
        architecture: Architecture,
    ) -> Result<Self, PythonError> {
        let arch = match architecture {
            Architecture::Amd64 => Arch::X86_64,
            Architecture::Arm64 => Arch::Aarch64,
        };
        let (major, minor, patch) = python;
        let short = format!("{major}.{minor}");
        let full = format!("{short}.{patch}");
        // The kernel is the one of whoever runs the image, so markers see no release and no version of it.
        let markers = MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &full,
            os_name: "posix",
            platform_machine: architecture.machine(),
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: &full,
            python_version: &short,
            sys_platform: "linux",
        })
        .map_err(|error| PythonError::Target(error.to_string()))?;
        let os = Os::Manylinux {
            major: glibc.0,
            minor: glibc.1,
        };
        let tags = Tags::from_env(
            Platform::new(os, arch),
            (major, minor),
            "cpython",
            (major, minor),
            TagsOptions {
                manylinux_compatible: true,
                is_cross: true,
                ..TagsOptions::default()
            },
        )
        .map_err(|error| PythonError::Target(error.to_string()))?;
        let release = [major, minor, patch].map(u64::from);
        let requires = RequiresPython::greater_than_equal_version(&Version::new(release));
        Ok(Self {
            python: PythonRequirement::from_marker_environment(&markers, requires.clone()),
            requires_python: requires,
            markers,
            tags,
            name: format!(
                "Python {full} on {} Linux with glibc {}.{}",
                architecture.machine(),
                glibc.0,
                glibc.1
            ),
        })
    }
}
