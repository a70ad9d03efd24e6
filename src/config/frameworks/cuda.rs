//! NVIDIA's images of CUDA: which versions there are, and with which cuDNN.

use std::collections::BTreeSet;

use super::tables::{CUDA, CudaImage};
use super::version::Version;

/// The version when nothing else decides.
pub(super) const DEFAULT: &str = "11.8";

fn images<'c>(cuda: &'c str) -> impl Iterator<Item = &'static CudaImage> + 'c {
    let cuda = Version::parse(cuda);
    CUDA.iter()
        .filter(move |image| cuda.as_ref().is_some_and(|cuda| cuda.matches(&image.cuda)))
}

/// The highest cuDNN that there is for a CUDA.
pub(super) fn newest_cudnn(cuda: &str) -> Option<&'static str> {
    images(cuda)
        .map(|image| image.cudnn)
        .max_by_key(|cudnn| cudnn.parse::<u32>().unwrap_or(0))
}

/// Every cuDNN for a CUDA, in words.
pub(super) fn cudnns(cuda: &str) -> String {
    let cudnns: BTreeSet<&str> = images(cuda).map(|image| image.cudnn).collect();
    match cudnns.is_empty() {
        true => "none".to_owned(),
        false => join(cudnns),
    }
}

/// The image that Cog would take: the highest CUDA, then the highest Ubuntu.
pub(super) fn image(cuda: &str, cudnn: &str) -> Option<&'static str> {
    images(cuda)
        .filter(|image| image.cudnn == cudnn)
        .max_by_key(|image| (image.cuda.release(), image.ubuntu))
        .map(|image| image.tag)
}

/// Whether there is any image of the same major and minor.
pub(super) fn is_known(cuda: &Version) -> bool {
    CUDA.iter().any(|image| image.cuda.minor() == cuda.minor())
}

/// Every CUDA, by major and minor, in words.
pub(super) fn all() -> String {
    let versions: BTreeSet<(u32, u32)> = CUDA.iter().map(|image| image.cuda.minor()).collect();
    join(
        versions
            .iter()
            .map(|(major, minor)| format!("{major}.{minor}")),
    )
}

/// `a, b, c`.
pub(super) fn join<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(item.as_ref());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_as_cog_chooses_them() {
        let cases = [
            ("11.8", "8", Some("11.8.0-cudnn8-devel-ubuntu22.04")),
            ("11.6", "8", Some("11.6.2-cudnn8-devel-ubuntu20.04")),
            ("12.4", "9", Some("12.4.1-cudnn-devel-ubuntu22.04")),
            ("12.6", "9", Some("12.6.3-cudnn-devel-ubuntu24.04")),
            ("13.0", "9", Some("13.0.3-cudnn-devel-ubuntu24.04")),
            ("13.0.1", "9", Some("13.0.1-cudnn-devel-ubuntu24.04")),
            ("12.3", "8", None),
            ("12.7", "9", None),
            ("13.3", "9", None),
        ];
        for (cuda, cudnn, expected) in cases {
            assert_eq!(image(cuda, cudnn), expected, "{cuda} {cudnn}");
        }
        assert_eq!(newest_cudnn("11.8"), Some("8"));
        assert_eq!(newest_cudnn("12.4"), Some("9"));
        assert_eq!(newest_cudnn("12.7"), None);
        assert_eq!(
            (cudnns("12.2").as_str(), cudnns("12.7").as_str()),
            ("8", "none")
        );
        assert!(all().starts_with("11.0, 11.1,") && all().ends_with("13.1, 13.2"));
    }
}
