//! The archives that are pinned, generated from the list of downloads in the published crate `uv-python` 0.0.72
//! (`download-metadata.json`; MIT or Apache-2.0, © the uv authors). The newest patch of each Python that Debian does not
//! ship in a release that images use, for the GNU C library, stripped of debugging symbols.
//!
//! The archives link to nothing but the GNU C library (`libc`, `libm`, `libpthread`, `libdl`, `libutil`, `librt`), which
//! is below every image; up to Python 3.12 the module `crypt` also wants `libcrypt`, an essential package's.
//! A unit test holds the table against the crate's list: a newer crate fails it until the table is generated again.

use crate::lock::platform::Architecture;

/// One archive.
pub(super) struct Pinned {
    /// The whole version of the interpreter.
    pub(super) version: &'static str,
    /// The date of the build, which names its folder.
    pub(super) build: &'static str,
    /// The processor it is for.
    pub(super) architecture: Architecture,
    /// The digest of the file.
    pub(super) sha256: &'static str,
}

impl Pinned {
    /// The file below the package source.
    pub(super) fn path(&self) -> String {
        let Self { version, build, .. } = self;
        let machine = self.architecture.machine();
        format!(
            "{build}/cpython-{version}+{build}-{machine}-unknown-linux-gnu-install_only_stripped.tar.gz"
        )
    }
}

/// Every archive, oldest Python first.
pub(super) const TABLE: [Pinned; 6] = [
    Pinned {
        version: "3.10.21",
        build: "20260814",
        architecture: Architecture::Amd64,
        sha256: "807bb6746dd8b7a347fe833ee1cc2543457e5c2c98059dc454600468ee7cae7b",
    },
    Pinned {
        version: "3.10.21",
        build: "20260814",
        architecture: Architecture::Arm64,
        sha256: "686077ed8d668e3446f03f202bc3c99955d350a0db0ace5f8ce45f1b451b54b7",
    },
    Pinned {
        version: "3.12.14",
        build: "20260814",
        architecture: Architecture::Amd64,
        sha256: "5acfa3e9ba26b51ae161c83aff278da915b590d22373a424b2ba55b8afe91fcc",
    },
    Pinned {
        version: "3.12.14",
        build: "20260814",
        architecture: Architecture::Arm64,
        sha256: "2d8e17dfd732102cfeb18e0e1fa6769b24caa034e159981129590fe409c7157a",
    },
    Pinned {
        version: "3.14.7",
        build: "20260814",
        architecture: Architecture::Amd64,
        sha256: "cefba034445d2875408d1fd4d5700ae6731563aeb54dcb39fd8164ab5c457533",
    },
    Pinned {
        version: "3.14.7",
        build: "20260814",
        architecture: Architecture::Arm64,
        sha256: "86dfb106b303fa6a1991f7da42ced3e11576f777be299b3162e06617b6d22542",
    },
];
