//! torch's own package indexes: one for each kind of processor, below one address.

use std::sync::LazyLock;

use uv_normalize::PackageName;
use uv_torch::{TorchBackend, TorchSource, TorchStrategy};

use super::PYTORCH;

/// The library's word for torch without a graphics card, which stands for all of them here.
const STRATEGY: TorchStrategy = TorchStrategy::Backend {
    backend: TorchBackend::Cpu,
    source: TorchSource::PyTorch,
};

/// The address that all of torch's indexes are below, as the resolver library has it.
pub(super) fn base() -> &'static str {
    static BASE: LazyLock<String> = LazyLock::new(|| {
        let index = STRATEGY
            .index_urls()
            .next()
            .map(|index| index.url().to_string());
        let index = index.unwrap_or_default();
        let base = index
            .trim_end_matches('/')
            .rsplit_once('/')
            .map(|(base, _)| base);
        base.unwrap_or_default().to_owned()
    });
    &BASE
}

/// Which of torch's indexes an address in a requirement file means: `cu124`, `nightly/cpu`.
///
/// Understood are the address that everybody knows, and `pytorch/cu124`, which is what the configuration chooses.
pub(super) fn variant(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/');
    let below = |base: &str| {
        let rest = text.strip_prefix(base)?;
        rest.strip_prefix('/')
            .or_else(|| rest.is_empty().then_some(""))
    };
    let rest = below(base()).or_else(|| below(PYTORCH))?;
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    (rest.is_empty() || rest.split('/').all(plain)).then(|| rest.to_owned())
}

/// Whether a package is torch, or built for one version of it and released with it.
pub(super) fn is_released_with_torch(package: &PackageName) -> bool {
    STRATEGY.applies_to(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torch_is_found_below_its_address() {
        let address = |rest: &str| format!("{}{rest}", base());
        assert!(
            base().starts_with("https://") && !base().ends_with("/cpu"),
            "{}",
            base()
        );
        for (text, expected) in [
            (address("/cu124"), Some("cu124")),
            (address("/cu124/"), Some("cu124")),
            (address("/nightly/cpu"), Some("nightly/cpu")),
            (address(""), Some("")),
            (address("x/cpu"), None),
            (address("/../cpu"), None),
            ("pytorch/cpu".to_owned(), Some("cpu")),
            ("pytorchx/cpu".to_owned(), None),
            ("https://index.test/whl/cpu".to_owned(), None),
        ] {
            assert_eq!(variant(&text).as_deref(), expected, "{text}");
        }
        let is_torch = |name: &str| is_released_with_torch(&name.parse().expect("a name"));
        assert!(is_torch("torch") && is_torch("torchvision") && is_torch("triton"));
        assert!(!is_torch("numpy") && !is_torch("nvidia-cudnn-cu12"));
    }
}
