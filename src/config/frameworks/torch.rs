//! torch and what is released with it: which CUDA a version was built for, and which index has the build.

use std::collections::BTreeSet;

use super::super::requirements::{IndexOptions, RequirementLine};
use super::mention::Mention;
use super::tables::{TORCH, TorchBuild};
use super::version::Version;
use super::{FrameworkReason, cuda};

/// The name under which a model refers to torch's own package index.
const INDEX: &str = "pytorch";

/// Where a package's version stands in the table.
pub(super) type Column = fn(&TorchBuild) -> &Version;

/// Packages that are released together with torch, and where their versions stand.
pub(super) const FAMILY: [(&str, Column); 3] = [
    ("torch", |build| &build.torch),
    ("torchvision", |build| &build.torchvision),
    ("torchaudio", |build| &build.torchaudio),
];

/// What a pin becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    /// The whole version, without the tag of a build.
    pub(super) version: String,
    /// The index that has the build; absent for the default one.
    pub(super) index: Option<String>,
}

/// Builds of a version that a GPU image can use: those whose CUDA there is.
fn builds_for_gpu(
    version: &Version,
) -> impl Iterator<Item = (&'static TorchBuild, &'static Version)> {
    TORCH
        .iter()
        .filter(|build| build.torch.matches(version))
        .filter_map(|build| Some((build, build.cuda.as_ref()?)))
        .filter(|(_, cuda)| cuda::is_known(cuda))
}

/// The highest CUDA that a version was built for, or the one that the tag of a build names.
pub(super) fn cuda_of(version: &Version, tag: Option<&str>) -> Option<&'static Version> {
    let wanted = tag.and_then(cuda_of_tag);
    let all = || builds_for_gpu(version).map(|(_, cuda)| cuda);
    all()
        .find(|cuda| wanted == Some(cuda.minor()))
        .or_else(|| all().max())
}

/// `cu118` is CUDA 11.8: the last digit is the minor version.
fn cuda_of_tag(tag: &str) -> Option<(u32, u32)> {
    let digits = tag.strip_prefix("cu")?;
    let (major, minor) = digits.split_at_checked(digits.len().checked_sub(1)?)?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The tag of the builds for a CUDA.
pub(super) fn tag_of(cuda: &Version) -> String {
    format!("cu{}{}", cuda.major, cuda.minor)
}

/// Every CUDA that a version was built for, in words; `None` if there is none.
pub(super) fn known_cudas(version: &Version) -> Option<String> {
    let known: BTreeSet<&Version> = builds_for_gpu(version).map(|(_, cuda)| cuda).collect();
    (!known.is_empty()).then(|| cuda::join(known.iter().map(ToString::to_string)))
}

/// Whether a version was built for the major and minor of a CUDA.
pub(super) fn is_built_for(version: &Version, cuda: &Version) -> bool {
    builds_for_gpu(version).any(|(_, built)| built.minor() == cuda.minor())
}

/// The newest version, if the given one is newer still.
pub(super) fn newest_before(version: &Version) -> Option<&'static Version> {
    let newest = TORCH
        .iter()
        .map(|build| &build.torch)
        .max_by_key(|version| version.release())?;
    (version.release() > newest.release()).then_some(newest)
}

/// The newest version, in words.
pub(super) fn newest() -> String {
    let newest = TORCH
        .iter()
        .map(|build| &build.torch)
        .max_by_key(|version| version.release());
    newest.map(ToString::to_string).unwrap_or_default()
}

/// The Pythons that a version has wheels for; `None` for an unknown version.
pub(super) fn pythons(version: &Version) -> Option<&'static str> {
    let mut builds = TORCH.iter().filter(|build| build.torch.matches(version));
    builds.next_back().map(|build| build.pythons)
}

/// The build that an exact pin stands for; `None` leaves the line as it is.
pub(super) fn map(pinned: &Version, column: Column, cuda: Option<&Version>) -> Option<Mapped> {
    let builds = TORCH.iter().filter(|build| column(build).matches(pinned));
    let order = |build: &&TorchBuild| {
        let built_for = build.cuda.as_ref().map(Version::minor);
        (built_for, column(build).release())
    };
    let build = match cuda {
        Some(cuda) => builds
            .filter(|build| {
                build
                    .cuda
                    .as_ref()
                    .is_some_and(|built| built.minor() <= cuda.minor() && cuda::is_known(built))
            })
            .max_by_key(order),
        None => {
            let tag = pinned.tag.as_deref().unwrap_or("cpu");
            builds
                .filter(|build| build.index == Some(tag))
                .max_by_key(order)
        }
    }?;
    Some(Mapped {
        version: column(build).to_string(),
        index: build.index.map(|index| format!("{INDEX}/{index}")),
    })
}

/// The build that the model's own index options name, as in `--extra-index-url https://…/whl/cu121`.
pub(super) fn named_build(options: &IndexOptions) -> Option<&str> {
    let addresses = options
        .index
        .iter()
        .chain(&options.extra_indexes)
        .chain(&options.find_links);
    addresses
        .filter_map(|address| address.trim_end_matches('/').rsplit('/').next())
        .find(|part| *part == "cpu" || cuda_of_tag(part).is_some())
}

/// Puts the version of a build into a line that pins one exactly, and says it.
///
/// A build without CUDA that the pin names by its tag keeps the tag: the tag is what was asked for.
pub(super) fn rewrite(
    line: &mut RequirementLine,
    mention: &Mention,
    mapped: &Mapped,
    gpu: bool,
) -> String {
    let tag = mention
        .version
        .as_ref()
        .and_then(|version| version.tag.as_deref());
    let version = match tag {
        Some(tag) if !gpu && tag != "cpu" => format!("{}+{tag}", mapped.version),
        _ => mapped.version.clone(),
    };
    if let Some(pin) = mention.pin.clone() {
        line.text.replace_range(pin, &version);
    }
    version
}

/// The mistake of a version that no table has.
pub(super) fn unknown(version: &str) -> FrameworkReason {
    FrameworkReason::Unknown {
        package: "torch",
        version: version.to_owned(),
        example: format!("torch=={}", newest()),
    }
}
