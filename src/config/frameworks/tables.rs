//! The tables of `../tables`, parsed once.

use std::sync::LazyLock;

use super::version::Version;

/// One build of torch.
#[derive(Debug)]
pub(super) struct TorchBuild {
    pub(super) torch: Version,
    /// The part of torch's own index that has the build; absent for the default index.
    pub(super) index: Option<&'static str>,
    /// Absent for builds without CUDA.
    pub(super) cuda: Option<Version>,
    pub(super) torchvision: Version,
    pub(super) torchaudio: Version,
    /// Minor versions of Python that there are wheels for.
    pub(super) pythons: &'static str,
}

/// One release of TensorFlow.
#[derive(Debug)]
pub(super) struct TensorflowRelease {
    pub(super) tensorflow: Version,
    pub(super) cuda: Version,
    pub(super) cudnn: Version,
    pub(super) pythons: &'static str,
}

/// One image of NVIDIA.
#[derive(Debug)]
pub(super) struct CudaImage {
    pub(super) cuda: Version,
    /// The major version, as text.
    pub(super) cudnn: &'static str,
    /// The release of Ubuntu; compared as text, as in Cog.
    pub(super) ubuntu: &'static str,
    pub(super) tag: &'static str,
}

/// Every build of torch that a GPU image could use, and those without CUDA; oldest first.
pub(super) static TORCH: LazyLock<Vec<TorchBuild>> = LazyLock::new(|| {
    let rows = rows(include_str!("../tables/torch.txt"));
    let builds = rows.map(
        |[torch, index, cuda, torchvision, torchaudio, pythons]| TorchBuild {
            torch: version(torch),
            index: (index != "-").then_some(index),
            cuda: (cuda != "-").then(|| version(cuda)),
            torchvision: version(torchvision),
            torchaudio: version(torchaudio),
            pythons,
        },
    );
    builds.collect()
});

/// Every release of TensorFlow, oldest first.
pub(super) static TENSORFLOW: LazyLock<Vec<TensorflowRelease>> = LazyLock::new(|| {
    let rows = rows(include_str!("../tables/tensorflow.txt"));
    let releases = rows.map(|[tensorflow, cuda, cudnn, pythons]| TensorflowRelease {
        tensorflow: version(tensorflow),
        cuda: version(cuda),
        cudnn: version(cudnn),
        pythons,
    });
    releases.collect()
});

/// Every image of CUDA, oldest first.
pub(super) static CUDA: LazyLock<Vec<CudaImage>> = LazyLock::new(|| {
    let rows = rows(include_str!("../tables/cuda.txt"));
    let images = rows.map(|[cuda, cudnn, ubuntu, tag]| CudaImage {
        cuda: version(cuda),
        cudnn,
        ubuntu,
        tag,
    });
    images.collect()
});

/// The columns of each line that is no comment.
fn rows<const COLUMNS: usize>(
    table: &'static str,
) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns
            .try_into()
            .expect("a table of this program has the columns that its reader knows")
    })
}

fn version(text: &str) -> Version {
    Version::parse(text).expect("a table of this program holds versions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_whole() {
        assert_eq!((TORCH.len(), TENSORFLOW.len(), CUDA.len()), (96, 18, 83));
        assert!(
            TORCH
                .iter()
                .all(|build| build.cuda.is_none() == (build.index == Some("cpu")))
        );
        assert!(TORCH.is_sorted_by_key(|build| build.torch.release()));
        assert!(CUDA.is_sorted_by_key(|image| image.cuda.release()));
        let newest = TORCH.last().expect("not empty");
        assert_eq!(
            (newest.torch.to_string().as_str(), newest.index),
            ("2.11.0", Some("cu130"))
        );
        assert!(CUDA.iter().all(|image| image.tag.ends_with(image.ubuntu)));
    }
}
