//! TensorFlow: which CUDA and cuDNN a release was tested with.

use super::FrameworkReason;
use super::tables::{TENSORFLOW, TensorflowRelease};
use super::version::Version;

/// The release of a version; a patch that the table does not have counts as its minor release.
pub(super) fn release(version: &Version) -> Option<&'static TensorflowRelease> {
    let same = |release: &&TensorflowRelease| release.tensorflow.release() == version.release();
    let minor = |release: &&TensorflowRelease| release.tensorflow.minor() == version.minor();
    let mut releases = TENSORFLOW.iter();
    releases.clone().find(same).or_else(|| releases.find(minor))
}

/// The Pythons that a version has wheels for; `None` for an unknown version.
pub(super) fn pythons(version: &Version) -> Option<&'static str> {
    release(version).map(|release| release.pythons)
}

/// The mistake of a version that no table has.
pub(super) fn unknown(version: &str) -> FrameworkReason {
    let newest = TENSORFLOW
        .last()
        .map(|release| release.tensorflow.to_string());
    FrameworkReason::Unknown {
        package: "tensorflow",
        version: version.to_owned(),
        example: format!("tensorflow=={}", newest.unwrap_or_default()),
    }
}
