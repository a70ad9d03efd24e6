//! Which Cog SDK and which coglet an image gets: `COG_SDK_WHEEL` and `COGLET_WHEEL`, then `build.sdk_version`, then the
//! newest release.
//!
//! ```text
//! pypi             the newest release of the package index
//! pypi:VERSION     that release
//! https://…/x.whl  that file
//! PATH             a wheel, or a folder with exactly one that fits
//! ```
//!
//! The answer is requirement lines, which the lock records like any other. So a wheel on disk has to lie in the project:
//! everybody who has the project can then build the image, and no path of this machine stands in the lock. coglet is
//! asked for by itself only where somebody chose one; else it comes along as what the SDK needs.

use std::path::{Path, PathBuf};

use crate::config::SdkVersion;
use crate::recipes::cog_runtime::MINIMUM_SDK;

/// The variable that chooses the SDK.
const SDK_VARIABLE: &str = "COG_SDK_WHEEL";
/// The variable that chooses its runtime.
const COGLET_VARIABLE: &str = "COGLET_WHEEL";
/// The first SDK with coglet below it.
const FIRST_WITH_COGLET: [u64; 2] = [0, 17];

/// What the two variables hold; empty ones count as absent.
#[derive(Debug, Clone, Default)]
pub struct SdkWheels {
    /// `COG_SDK_WHEEL`.
    pub sdk: Option<String>,
    /// `COGLET_WHEEL`.
    pub coglet: Option<String>,
}

/// Why a choice of SDK or coglet cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdkError {
    /// After `pypi:` stands something else.
    #[error("{variable}: {text:?} is no version, expected for example pypi:0.18.0")]
    Version {
        /// The variable.
        variable: &'static str,
        /// What it asks for.
        text: String,
    },
    /// It does not work with this way of building images.
    #[error("{variable}: Cog {found} is too old, the oldest that works is {MINIMUM_SDK}")]
    TooOld {
        /// The variable.
        variable: &'static str,
        /// The version.
        found: String,
    },
    /// Neither a wheel nor a folder.
    #[error(
        "{variable}: {text:?} is no wheel of {package}: expected pypi, pypi:VERSION, the address of a wheel, a wheel or a \
         folder with one"
    )]
    NoWheel {
        /// The variable.
        variable: &'static str,
        /// What it says.
        text: String,
        /// What a wheel of it is looked for.
        package: &'static str,
    },
    /// A folder in which nothing, or too much, fits.
    #[error("{variable}: {} has {found} wheels of {package}, expected exactly one", folder.display())]
    Folder {
        /// The variable.
        variable: &'static str,
        /// The folder.
        folder: PathBuf,
        /// How many there are.
        found: usize,
        /// What a wheel of it is looked for.
        package: &'static str,
    },
    /// Nobody else could build from a lock that names it.
    #[error("{variable}: {} is outside of the project; copy it into {} and name it there", wheel.display(), project.display())]
    Outside {
        /// The variable.
        variable: &'static str,
        /// The wheel.
        wheel: PathBuf,
        /// The project.
        project: PathBuf,
    },
}

/// Which SDK an image gets, as requirements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sdk {
    /// The requirement that brings the SDK.
    pub(super) requirement: String,
    /// The requirement that brings coglet, where somebody chose one.
    pub(super) coglet: Option<String>,
    /// Whether the SDK was named as a file that has coglet in its name. Cog then says so in the image's environment.
    pub(super) is_coglet: bool,
}

impl Sdk {
    /// Chooses; `version` is `build.sdk_version`, `machine` says for which processor a folder's wheel has to be.
    pub(super) fn choose(
        wheels: &SdkWheels,
        version: Option<&SdkVersion>,
        project: &Path,
        machine: &str,
    ) -> Result<Self, SdkError> {
        let named = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let place = |variable, package| Place {
            variable,
            package,
            project,
            machine,
        };
        let sdk = named(&wheels.sdk)
            .map(|text| place(SDK_VARIABLE, "cog").read(text.trim()))
            .transpose()?;
        let sdk = sdk.unwrap_or(Choice::Index(version.cloned()));
        let coglet = named(&wheels.coglet)
            .map(|text| place(COGLET_VARIABLE, "coglet").read(text.trim()))
            .transpose()?;
        Ok(Self {
            is_coglet: sdk.names_a_file_of("coglet"),
            coglet: coglet
                .filter(|_| !sdk.is_older_than(FIRST_WITH_COGLET))
                .and_then(Choice::coglet_requirement),
            requirement: sdk.sdk_requirement(),
        })
    }
}

/// What one variable asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    /// A release; the newest without a version.
    Index(Option<SdkVersion>),
    /// A wheel somewhere else.
    Url(String),
    /// A wheel of the project, as `./path`.
    File(String),
}

impl Choice {
    fn sdk_requirement(self) -> String {
        match self {
            Self::Index(None) => format!("cog>={MINIMUM_SDK}"),
            // A bound that is itself a pre-release lets other pre-releases in.
            Self::Index(Some(SdkVersion::Prerelease)) => format!("cog>={MINIMUM_SDK}a0"),
            Self::Index(Some(SdkVersion::Pinned(version))) => format!("cog=={version}"),
            Self::Url(text) | Self::File(text) => text,
        }
    }

    /// None where any release will do: the SDK asks for one itself.
    fn coglet_requirement(self) -> Option<String> {
        match self {
            Self::Index(Some(SdkVersion::Pinned(version))) => Some(format!("coglet=={version}")),
            Self::Index(_) => None,
            Self::Url(text) | Self::File(text) => Some(text),
        }
    }

    fn names_a_file_of(&self, package: &str) -> bool {
        matches!(self, Self::Url(text) | Self::File(text) if text.contains(package))
    }

    fn is_older_than(&self, first: [u64; 2]) -> bool {
        matches!(self, Self::Index(Some(version)) if version.is_older_than(first))
    }
}

/// Where a variable's value is looked for.
struct Place<'a> {
    variable: &'static str,
    package: &'static str,
    project: &'a Path,
    machine: &'a str,
}

impl Place<'_> {
    fn read(&self, text: &str) -> Result<Choice, SdkError> {
        let lower = text.to_ascii_lowercase();
        if lower == "pypi" {
            return Ok(Choice::Index(None));
        }
        if lower.starts_with("pypi:") {
            return self.version(text["pypi:".len()..].trim());
        }
        if lower.starts_with("https://") || lower.starts_with("http://") {
            let file = text.split(['?', '#']).next().unwrap_or(text);
            return match self.fits(file.rsplit('/').next().unwrap_or(file)) {
                true => Ok(Choice::Url(text.to_owned())),
                false => Err(self.no_wheel(text)),
            };
        }
        self.file(text)
    }

    fn version(&self, text: &str) -> Result<Choice, SdkError> {
        let version = SdkVersion::parse(text).map_err(|_| SdkError::Version {
            variable: self.variable,
            text: text.to_owned(),
        })?;
        if self.package == "cog" && version.is_too_old() {
            return Err(SdkError::TooOld {
                variable: self.variable,
                found: version.to_string(),
            });
        }
        Ok(Choice::Index(Some(version)))
    }

    fn file(&self, text: &str) -> Result<Choice, SdkError> {
        let path = Path::new(text);
        let path = path.canonicalize().map_err(|_| self.no_wheel(text))?;
        let wheel = if path.is_dir() {
            self.only_wheel(&path)?
        } else {
            path
        };
        let name = wheel.file_name().unwrap_or_default().to_string_lossy();
        if !self.fits(&name) {
            return Err(self.no_wheel(text));
        }
        let project = self.project.canonicalize();
        let project = project.unwrap_or_else(|_| self.project.to_owned());
        let below = wheel.strip_prefix(&project).ok().and_then(Path::to_str);
        below
            .map(|below| Choice::File(format!("./{below}")))
            .ok_or_else(|| SdkError::Outside {
                variable: self.variable,
                wheel: wheel.clone(),
                project,
            })
    }

    fn only_wheel(&self, folder: &Path) -> Result<PathBuf, SdkError> {
        let entries = std::fs::read_dir(folder);
        let entries = entries.map_err(|_| self.no_wheel(&folder.to_string_lossy()))?;
        let mut wheels: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        wheels.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let prefix = format!("{}-", self.package);
            let pure = name.ends_with("-any.whl") || name.contains(self.machine);
            name.starts_with(&prefix) && name.ends_with(".whl") && pure
        });
        match wheels.as_slice() {
            [wheel] => Ok(wheel.clone()),
            found => Err(SdkError::Folder {
                variable: self.variable,
                folder: folder.to_owned(),
                found: found.len(),
                package: self.package,
            }),
        }
    }

    /// A wheel of the package; one of coglet also counts as an SDK, because it once was.
    fn fits(&self, name: &str) -> bool {
        let package = name.split('-').next().unwrap_or_default();
        name.ends_with(".whl") && (package == self.package || package == "coglet")
    }

    fn no_wheel(&self, text: &str) -> SdkError {
        SdkError::NoWheel {
            variable: self.variable,
            text: text.chars().take(200).collect(),
            package: self.package,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project with some wheels in it, and one beside it.
    fn project() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let project = folder.path().join("model");
        std::fs::create_dir_all(project.join("dist/none")).expect("folders");
        for name in [
            "model/dist/cog-0.18.0-py3-none-any.whl",
            "model/dist/coglet-0.18.0-cp310-abi3-manylinux_2_17_x86_64.whl",
            "model/dist/coglet-0.18.0-cp310-abi3-manylinux_2_17_aarch64.whl",
            "model/dist/readme.txt",
            "cog-0.18.0-py3-none-any.whl",
        ] {
            std::fs::write(folder.path().join(name), "").expect("writable");
        }
        (folder, project)
    }

    fn choose(sdk: &str, coglet: &str, version: Option<&str>) -> Result<Sdk, String> {
        let (folder, project) = project();
        // Paths of the test are written with @ for the folder.
        let at = |text: &str| {
            let text = text.replace('@', &folder.path().to_string_lossy());
            Some(text).filter(|text| !text.is_empty())
        };
        let wheels = SdkWheels {
            sdk: at(sdk),
            coglet: at(coglet),
        };
        let version = version.map(|text| SdkVersion::parse(text).expect("a version"));
        let chosen = Sdk::choose(&wheels, version.as_ref(), &project, "x86_64");
        chosen.map_err(|error| error.to_string())
    }

    fn check(sdk: &str, version: Option<&str>, expected: &str) {
        let found = choose(sdk, "", version).expect(sdk);
        assert_eq!(found.requirement, expected, "{sdk} {version:?}");
        assert_eq!(found.coglet, None);
    }

    #[test]
    fn the_variable_wins_over_the_file_and_the_file_over_the_newest() {
        check("", None, "cog>=0.16.0");
        check("", Some("0.18"), "cog==0.18");
        check("", Some("0.17.0-alpha1"), "cog==0.17.0a1");
        check("", Some("prerelease"), "cog>=0.16.0a0");
        check("pypi", Some("0.18"), "cog>=0.16.0");
        check("PyPI:0.17.0-alpha1", Some("0.18"), "cog==0.17.0a1");
        check(
            "@/model/dist/cog-0.18.0-py3-none-any.whl",
            None,
            "./dist/cog-0.18.0-py3-none-any.whl",
        );
        check("@/model/dist", None, "./dist/cog-0.18.0-py3-none-any.whl");
        let url = "https://host.test/a/cog-0.18.0-py3-none-any.whl#sha256=00";
        check(url, None, url);
    }

    #[test]
    fn coglet_is_asked_for_only_where_somebody_chose_one() {
        let coglet =
            |sdk: &str, coglet: &str, version| choose(sdk, coglet, version).expect(coglet).coglet;
        assert_eq!(coglet("", "pypi", None), None);
        assert_eq!(
            coglet("", "pypi:0.18.1", None).as_deref(),
            Some("coglet==0.18.1")
        );
        assert_eq!(
            coglet("", "@/model/dist", None).as_deref(),
            Some("./dist/coglet-0.18.0-cp310-abi3-manylinux_2_17_x86_64.whl")
        );
        // An SDK that has none below it gets none.
        assert_eq!(coglet("", "pypi:0.18.1", Some("0.16.8")), None);
        assert_eq!(coglet("pypi:0.16.9", "@/model/dist", Some("0.18")), None);
        assert_eq!(
            coglet("", "pypi:0.18.1", Some("0.17.0a1")).as_deref(),
            Some("coglet==0.18.1")
        );
    }

    #[test]
    fn a_coglet_that_is_the_sdk_is_noticed() {
        let wheel = "@/model/dist/coglet-0.18.0-cp310-abi3-manylinux_2_17_x86_64.whl";
        assert!(choose(wheel, "", None).expect("a wheel").is_coglet);
        assert!(
            !choose("@/model/dist", "@/model/dist", None)
                .expect("two wheels")
                .is_coglet
        );
        assert!(
            !choose("pypi:0.18.0", "", None)
                .expect("a release")
                .is_coglet
        );
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        for (sdk, coglet, words) in [
            ("pypi:newest", "", "COG_SDK_WHEEL: \"newest\" is no version"),
            ("pypi:", "", "is no version"),
            (
                "pypi:0.15.9",
                "",
                "Cog 0.15.9 is too old, the oldest that works is 0.16.0",
            ),
            ("", "pypi:x", "COGLET_WHEEL: \"x\" is no version"),
            (
                "https://host.test/other-1.0-py3-none-any.whl",
                "",
                "is no wheel of cog",
            ),
            ("@/model/dist/readme.txt", "", "is no wheel of cog"),
            ("@/model/missing", "", "expected pypi, pypi:VERSION"),
            (
                "@/model/dist/none",
                "",
                "has 0 wheels of cog, expected exactly one",
            ),
            (
                "@/cog-0.18.0-py3-none-any.whl",
                "",
                "is outside of the project; copy it into",
            ),
        ] {
            let error = choose(sdk, coglet, None).expect_err(sdk);
            assert!(error.contains(words), "{sdk} {coglet}: {error}");
        }
    }
}
