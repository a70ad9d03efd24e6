//! The keys that exist, section by section, and the one that a misspelt key is nearest to.

/// Keys of the whole file.
pub(super) const TOP: &[&str] = &[
    "build",
    "image",
    "model",
    "run",
    "predict",
    "train",
    "concurrency",
    "environment",
    "weights",
];
/// Keys of `build`.
pub(super) const BUILD: &[&str] = &[
    "gpu",
    "python_version",
    "python_requirements",
    "python_packages",
    "system_packages",
    "run",
    "pre_install",
    "cuda",
    "cudnn",
    "sdk_version",
];
/// Keys of a `build.run` item that is a mapping.
pub(super) const RUN_ITEM: &[&str] = &["command", "mounts"];
/// Keys of a mount.
pub(super) const MOUNT: &[&str] = &["type", "id", "target"];
/// Keys of `concurrency`.
pub(super) const CONCURRENCY: &[&str] = &["max"];
/// Keys of a `weights` item.
pub(super) const WEIGHT: &[&str] = &["name", "target", "source"];
/// Keys of a weight's source.
pub(super) const WEIGHT_SOURCE: &[&str] = &["uri", "include", "exclude"];

/// What the author of an unknown key most likely meant: a key of the same section that is spelled nearly so, or the
/// same key in the other section.
pub(super) fn nearest(key: &str, section: &[&str]) -> Option<String> {
    let wanted = key.to_ascii_lowercase().replace(['-', ' '], "_");
    let distance = |known: &str| {
        let plain = strsim::osa_distance(&wanted, known);
        // `pythonVersion` has lost its underscore rather than gained a distance.
        plain.min(strsim::osa_distance(
            &wanted.replace('_', ""),
            &known.replace('_', ""),
        ))
    };
    let best = section.iter().map(|known| (distance(known), *known)).min();
    if let Some((distance, known)) = best
        && distance <= (wanted.chars().count() / 3).max(1)
    {
        return Some(known.to_owned());
    }
    if BUILD.contains(&wanted.as_str()) && section == TOP {
        return Some(format!("build.{wanted}"));
    }
    if TOP.contains(&wanted.as_str()) && section == BUILD {
        return Some(format!("{wanted}, outside of build"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_key() {
        let cases = [
            ("biuld", TOP, Some("build")),
            ("predictor", TOP, Some("predict")),
            ("python_version", TOP, Some("build.python_version")),
            ("python-version", BUILD, Some("python_version")),
            ("pythonVersion", BUILD, Some("python_version")),
            ("system_package", BUILD, Some("system_packages")),
            ("python_requirement", BUILD, Some("python_requirements")),
            ("predict", BUILD, Some("predict, outside of build")),
            ("GPU", BUILD, Some("gpu")),
            ("tests", TOP, None),
            ("conda_packages", BUILD, None),
            ("x", TOP, None),
        ];
        for (key, section, expected) in cases {
            assert_eq!(nearest(key, section).as_deref(), expected, "{key}");
        }
    }
}
