//! What can be wrong with CUDA and the frameworks, with words and hints.

use thiserror::Error;

use super::super::finding::quoted;

/// What was found.
#[derive(Debug, Error)]
#[expect(
    missing_docs,
    reason = "the fields of a reason are the values that its message shows"
)]
pub enum FrameworkReason {
    // The configuration is not valid.
    /// The version decides about CUDA.
    #[error("torch version must be specified when using CUDA")]
    TorchVersion,
    /// The version is in no table.
    #[error(
        "no CUDA version is known to be compatible with {package}=={}",
        plain(version)
    )]
    Unknown {
        package: &'static str,
        version: String,
        example: String,
    },
    /// There are no libraries of this version together.
    #[error("CUDA {} is not supported", plain(cuda))]
    CudaUnsupported { cuda: String, known: String },
    /// Not a pair that exists.
    #[error(
        "cuDNN {} is incompatible with CUDA {}: compatible cuDNN: {compatible}",
        plain(cudnn),
        plain(cuda)
    )]
    CudnnPair {
        cudnn: String,
        cuda: String,
        compatible: String,
    },
    /// TensorFlow was built for another CUDA.
    #[error(
        "tensorflow {} is incompatible with CUDA {}: it requires CUDA {needed}",
        plain(tensorflow),
        plain(cuda)
    )]
    TensorflowCuda {
        tensorflow: String,
        cuda: String,
        needed: String,
    },
    /// TensorFlow was built with another cuDNN.
    #[error(
        "tensorflow {} is incompatible with cuDNN {}: it requires cuDNN {needed}",
        plain(tensorflow),
        plain(cudnn)
    )]
    TensorflowCudnn {
        tensorflow: String,
        cudnn: String,
        needed: String,
    },

    // Warnings.
    /// What an image for a GPU is made of here.
    #[error(
        "an image for a GPU holds the CUDA libraries that its wheels bring: no CUDA toolkit, no libraries in system folders"
    )]
    GpuImage,
    /// The framework was not tested with this CUDA.
    #[error(
        "{package} {} is not known to work with CUDA {}{}",
        plain(version),
        plain(cuda),
        only(known.as_deref())
    )]
    Untested {
        package: &'static str,
        version: String,
        cuda: String,
        known: Option<String>,
    },
    /// The tag of the version is not what is installed.
    #[error(
        "the build {} of torch is not used: CUDA {cuda} is chosen",
        quoted(tag)
    )]
    TagUnused { tag: String, cuda: String },
    /// Newer than the tables.
    #[error(
        "torch {} is newer than this program: CUDA {cuda} is assumed, and the package index's own build used",
        plain(version)
    )]
    Newer { version: String, cuda: String },
    /// The resolver will find nothing.
    #[error(
        "there are no wheels of {package} {} for Python {python}, only for {known}",
        plain(version)
    )]
    NoWheels {
        package: &'static str,
        version: String,
        python: String,
        known: String,
    },

    // Valid, and not to be built.
    /// The wheels of TensorFlow expect CUDA in the system.
    #[error(
        "{} cannot use a GPU yet: its wheels bring no CUDA libraries",
        quoted(line)
    )]
    TensorflowBare { line: String },
}

impl FrameworkReason {
    pub(in super::super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TorchVersion => "pin it, as in torch==2.6.0",
            Self::Unknown { example, .. } => {
                return Some(format!(
                    "set build.cuda, or use a known version such as {example}"
                ));
            }
            Self::CudaUnsupported { known, .. } => return Some(format!("supported: {known}")),
            Self::CudnnPair { .. } | Self::TensorflowCudnn { .. } => {
                "remove build.cudnn to have it chosen"
            }
            Self::TensorflowCuda { .. } => "remove build.cuda to have it chosen",
            Self::TagUnused { .. } => "remove build.cuda, or the part of the version behind +",
            Self::NoWheels { .. } => "choose one of these in build.python_version",
            Self::TensorflowBare { .. } => {
                "from 2.14 on, tensorflow[and-cuda] brings them; or set gpu: false"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn only(known: Option<&str>) -> String {
    known.map_or_else(String::new, |known| format!(", only with {known}"))
}

/// A version from a file: as it is when it is plain, in quotes otherwise.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+-_*!".contains(c);
    match text.len() <= 40 && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => quoted(text),
    }
}
