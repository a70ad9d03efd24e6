//! NVIDIA's manifests of redistributable libraries: which archives a release of CUDA or cuDNN is made of.
//!
//! ```text
//! { "release_label": "12.4.1", …,
//!   "cuda_cudart": { "version": "12.4.127", …,
//!     "linux-x86_64": { "relative_path": "cuda_cudart/linux-x86_64/….tar.xz", "sha256": HEX, "size": "1140676", … } },
//!   "cudnn": { "version": "9.1.0.70", …,
//!     "linux-x86_64": { "cuda12": { "relative_path": …, "sha256": …, "size": … } } } }
//! ```
//!
//! A manifest is pinned by its own digest, so whoever has the pin has every archive's digest and size. Archives lie below
//! the folder of the manifest and nowhere else. Nothing is fetched here. Format: the `redistrib_*.json` files that NVIDIA
//! publishes beside the archives.

use std::collections::BTreeMap;

use cognix_derivations::Sha256;
use serde::Deserialize;
use serde_json::Value;

use super::Architecture;

/// The largest manifest that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// The archives that a manifest lists for one platform, by component and CUDA variant.
pub type Components = BTreeMap<(String, Option<String>), Component>;

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The version of what it holds.
    pub version: String,
    /// Where it is, below the folder of the manifest.
    pub path: String,
    /// The digest of the archive.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a manifest cannot be used. Nothing of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CudaManifestError {
    /// Not the file that was pinned: another release under the same name, a broken mirror or tampering.
    #[error("the CUDA manifest is not the pinned one: expected sha256 {expected}, got {actual}")]
    Digest {
        /// The pin.
        expected: Sha256,
        /// What arrived.
        actual: Sha256,
    },
    /// Larger than any manifest; probably another file under this name.
    #[error("the CUDA manifest has {found} bytes, more than {MAX_BYTES}")]
    TooLarge {
        /// Its size.
        found: usize,
    },
    /// Not a manifest.
    #[error("the CUDA manifest cannot be read")]
    Syntax(#[source] serde_json::Error),
    /// An archive that is described in a way nothing can be fetched by.
    #[error("the CUDA manifest's {component}: {key} is {found:?}, expected {expected}")]
    Field {
        /// The component.
        component: String,
        /// The field.
        key: &'static str,
        /// Its value, shortened.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// Reads the archives of one platform out of a manifest with the pinned digest.
pub fn components(
    manifest: &[u8],
    pin: Sha256,
    architecture: Architecture,
) -> Result<Components, CudaManifestError> {
    if manifest.len() > MAX_BYTES {
        return Err(CudaManifestError::TooLarge {
            found: manifest.len(),
        });
    }
    let actual = Sha256::of(manifest);
    if actual != pin {
        return Err(CudaManifestError::Digest {
            expected: pin,
            actual,
        });
    }
    let entries: BTreeMap<String, Value> =
        serde_json::from_slice(manifest).map_err(CudaManifestError::Syntax)?;
    let mut components = Components::new();
    // What is no object says something about the release: its date, its label.
    for (name, entry) in entries.into_iter().filter(|(_, entry)| entry.is_object()) {
        let shape: ComponentShape =
            serde_json::from_value(entry).map_err(CudaManifestError::Syntax)?;
        let Some(files) = shape.platforms.get(platform(architecture)) else {
            continue;
        };
        let files: Files =
            serde_json::from_value(files.clone()).map_err(CudaManifestError::Syntax)?;
        for (variant, file) in files.each() {
            let component = file.check(&name, &shape.version)?;
            components.insert((name.clone(), variant), component);
        }
    }
    Ok(components)
}

/// The platform's name in a manifest; servers with 64-bit ARM have one of their own.
fn platform(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "linux-x86_64",
        Architecture::Arm64 => "linux-sbsa",
    }
}

#[derive(Deserialize)]
struct ComponentShape {
    version: String,
    #[serde(flatten)]
    platforms: BTreeMap<String, Value>,
}

/// One archive, or one for each CUDA version that it is built for.
#[derive(Deserialize)]
#[serde(untagged)]
enum Files {
    One(FileShape),
    Variants(BTreeMap<String, FileShape>),
}

#[derive(Deserialize)]
struct FileShape {
    relative_path: String,
    sha256: String,
    /// Decimal digits in a string.
    size: String,
}

impl Files {
    fn each(self) -> Vec<(Option<String>, FileShape)> {
        match self {
            Self::One(file) => vec![(None, file)],
            Self::Variants(files) => {
                let files = files.into_iter();
                files.map(|(name, file)| (Some(name), file)).collect()
            }
        }
    }
}

impl FileShape {
    fn check(self, component: &str, version: &str) -> Result<Component, CudaManifestError> {
        let wrong = |key, found: &str, expected| CudaManifestError::Field {
            component: component.to_owned(),
            key,
            found: found.chars().take(80).collect(),
            expected,
        };
        let path = self.relative_path;
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        let strange =
            |letter: char| letter.is_control() || matches!(letter, '\\' | ':' | '?' | '#');
        if !path.split('/').all(plain) || path.contains(strange) {
            let expected = "a path below the manifest's folder";
            return Err(wrong("relative_path", &path, expected));
        }
        let sha256 = self.sha256.parse();
        let size = self.size.parse().ok().filter(|size| *size > 0);
        Ok(Component {
            version: version.to_owned(),
            path,
            sha256: sha256.map_err(|_| wrong("sha256", &self.sha256, "64 hexadecimal digits"))?,
            size: size.ok_or_else(|| wrong("size", &self.size, "a number of bytes"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "9f5a1b2c3d4e5f60718293a4b5c6d7e8f9000102030405060708090a0b0c0d0e";

    /// A manifest with a component for every platform, one for ARM alone, and one with variants.
    fn manifest() -> String {
        let file = |path: &str| {
            format!(
                r#"{{"relative_path": "{path}", "sha256": "{DIGEST}", "md5": "x", "size": "1140676"}}"#
            )
        };
        format!(
            r#"{{"release_date": "2024-04-10", "release_label": "12.4.1", "release_product": "cuda",
"cuda_cudart": {{"name": "CUDA Runtime (cudart)", "license": "CUDA Toolkit", "version": "12.4.127",
  "linux-x86_64": {}, "linux-sbsa": {}}},
"cuda_compat": {{"name": "compat", "version": "12.4.34", "linux-aarch64": {}}},
"cudnn": {{"name": "cuDNN", "version": "9.1.0.70", "cuda_variant": ["11", "12"],
  "linux-x86_64": {{"cuda11": {}, "cuda12": {}}}}}}}"#,
            file("cuda_cudart/linux-x86_64/cudart.tar.xz"),
            file("cuda_cudart/linux-sbsa/cudart.tar.xz"),
            file("cuda_compat/linux-aarch64/compat.tar.xz"),
            file("cudnn/linux-x86_64/cudnn-cuda11.tar.xz"),
            file("cudnn/linux-x86_64/cudnn-cuda12.tar.xz"),
        )
    }

    fn read(text: &str) -> Result<Components, CudaManifestError> {
        components(
            text.as_bytes(),
            Sha256::of(text.as_bytes()),
            Architecture::Amd64,
        )
    }

    #[test]
    fn the_archives_of_a_platform_are_found_by_component_and_variant() {
        let found = read(&manifest()).expect("a sound manifest");
        let names: Vec<_> = found
            .iter()
            .map(|((name, variant), component)| {
                (
                    name.as_str(),
                    variant.as_deref(),
                    component.version.as_str(),
                )
            })
            .collect();
        assert_eq!(
            names,
            [
                ("cuda_cudart", None, "12.4.127"),
                ("cudnn", Some("cuda11"), "9.1.0.70"),
                ("cudnn", Some("cuda12"), "9.1.0.70"),
            ]
        );
        let cudart = &found[&("cuda_cudart".to_owned(), None)];
        assert_eq!(cudart.path, "cuda_cudart/linux-x86_64/cudart.tar.xz");
        assert_eq!(
            (cudart.size, cudart.sha256.to_string()),
            (1_140_676, DIGEST.to_owned())
        );

        let text = manifest();
        let pin = Sha256::of(text.as_bytes());
        let arm = components(text.as_bytes(), pin, Architecture::Arm64).expect("sound");
        assert_eq!(arm.len(), 1);
    }

    #[test]
    fn idx_5_only_the_pinned_manifest_is_read() {
        let text = manifest();
        let pin = Sha256::of(text.as_bytes());
        let changed = text.replace("1140676", "1140677");
        let error = components(changed.as_bytes(), pin, Architecture::Amd64).expect_err("changed");
        assert!(matches!(error, CudaManifestError::Digest { expected, .. } if expected == pin));
        let large = " ".repeat(MAX_BYTES + 1);
        assert!(matches!(
            read(&large),
            Err(CudaManifestError::TooLarge { .. })
        ));
    }

    #[test]
    fn idx_5_archives_have_a_size_a_sha256_and_a_path_below_the_manifest() {
        let path = "cuda_cudart/linux-x86_64/cudart.tar.xz";
        let cases = [
            (path, "/etc/passwd", "relative_path"),
            (path, "cuda_cudart/../../x.tar.xz", "relative_path"),
            (path, "https://elsewhere.example/x.tar.xz", "relative_path"),
            (path, "cuda_cudart//x.tar.xz", "relative_path"),
            (path, "", "relative_path"),
            (path, "x.tar.xz?a=b", "relative_path"),
            (DIGEST, "d41d8cd98f00b204e9800998ecf8427e", "sha256"),
            (DIGEST, "", "sha256"),
            ("1140676", "0", "size"),
            ("1140676", "-1", "size"),
            ("1140676", "99999999999999999999", "size"),
        ];
        for (from, to, key) in cases {
            let error = read(&manifest().replacen(from, to, 1)).expect_err(to);
            let text = error.to_string();
            assert!(
                text.contains("cuda_cudart") && text.contains(key),
                "{to}: {text}"
            );
        }
        let without = manifest().replacen("\"sha256\"", "\"sha1\"", 1);
        assert!(matches!(read(&without), Err(CudaManifestError::Syntax(_))));
    }

    proptest! {
        #[test]
        fn all_1_any_manifest_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let pin = Sha256::of(&bytes);
            components(&bytes, pin, Architecture::Amd64).ok();
        }
    }
}
