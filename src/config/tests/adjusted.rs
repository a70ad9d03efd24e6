//! What a variant changes of a model, as if the configuration itself said it.

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use super::super::{Adjustments, ConfigErrors, LoadOptions, Loaded, load_with};

type Change<'c> = &'c dyn Fn(&mut Adjustments);

const CONFIG: &str = "build:\n  python_version: '3.11'\n  python_requirements: requirements.txt\n  \
    system_packages: [ffmpeg]\nenvironment: [A=1, B=2]\nrun: run.py:Runner\n";
const REQUIREMENTS: &str = "numpy>=2\ntorch==2.4.1\nsix\nnumpy<3; python_version > '3.9'\n";

fn load(change: impl FnOnce(&mut Adjustments)) -> Result<Loaded, ConfigErrors> {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("cog.yaml"), CONFIG).expect("writable");
    fs::write(folder.path().join("requirements.txt"), REQUIREMENTS).expect("writable");
    let mut adjustments = Adjustments {
        file: "cognix.nix".to_owned(),
        place: "images.cuda".to_owned(),
        ..Adjustments::default()
    };
    change(&mut adjustments);
    load_with(folder.path(), &LoadOptions::default(), &adjustments)
}

fn adjusted(change: impl FnOnce(&mut Adjustments)) -> Loaded {
    load(change).expect("a valid project")
}

fn requirements(loaded: &Loaded) -> Vec<&str> {
    let lines = loaded.effective.install.requirements.iter();
    lines.map(|line| line.text.as_str()).collect()
}

#[test]
fn requirements_take_the_place_of_those_about_the_same_package() {
    let loaded = adjusted(|one| {
        one.packages = vec!["NumPy==1.26.4".to_owned(), "rich".to_owned()];
    });
    assert_eq!(
        requirements(&loaded),
        ["NumPy==1.26.4", "torch==2.4.1", "six", "rich"]
    );
}

#[test]
fn the_tables_of_frameworks_apply() {
    let loaded = adjusted(|one| {
        one.gpu = Some(true);
        one.torch = Some("2.5.1".to_owned());
    });
    assert!(loaded.effective.gpu);
    let torch = |loaded: &Loaded| {
        let torch = loaded.effective.frameworks.torch.clone();
        let torch = torch.expect("a line names it");
        (torch.version, torch.index.unwrap_or_default())
    };
    let chosen = |version: &str, index: &str| (version.to_owned(), index.to_owned());
    assert_eq!(torch(&loaded), chosen("2.5.1", "pytorch/cu124"));
    assert!(requirements(&loaded).contains(&"torch==2.5.1"));
    // A pin counts where the package is named, and nowhere else.
    let loaded = adjusted(|one| {
        let pins = [("torch", "2.5.1"), ("torchvision", "0.20.1")];
        let pins = pins.map(|(name, version)| (name.to_owned(), version.to_owned()));
        one.pins = pins.into();
    });
    assert_eq!(torch(&loaded), chosen("2.5.1", "pytorch/cpu"));
    assert_eq!(requirements(&loaded).len(), 4);
}

#[test]
fn values_replace_and_lists_grow() {
    let loaded = adjusted(|one| {
        one.python = Some("3.13".to_owned());
        one.system_packages = vec!["sox".to_owned(), "ffmpeg".to_owned()];
        one.environment = BTreeMap::from(
            [("B", "3"), ("C", "4")].map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
    });
    assert_eq!(loaded.effective.python.text, "3.13");
    let packages = loaded.effective.system_packages.iter();
    let packages: Vec<&str> = packages.map(|package| package.value.as_str()).collect();
    assert_eq!(packages, ["ffmpeg", "sox"]);
    let environment: Vec<String> = loaded
        .effective
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(environment, ["A=1", "B=3", "C=4"]);
}

#[test]
fn mistakes_are_named_by_their_keys() {
    let message = |change: &dyn Fn(&mut Adjustments)| match load(change) {
        Ok(loaded) => loaded.unsupported[0].to_string(),
        Err(errors) => errors.errors[0].to_string(),
    };
    let cases: [(Change<'_>, &str); 3] = [
        (
            &|one| {
                one.gpu = Some(true);
                one.cuda = Some("12.4".to_owned());
                one.cudnn = Some("7".to_owned());
            },
            "cognix.nix: images.cuda.cudnn: ",
        ),
        (
            &|one| {
                one.gpu = Some(true);
                one.torch = Some("not a version".to_owned());
            },
            "cognix.nix: images.cuda.torch.version: ",
        ),
        (
            &|one| {
                one.gpu = Some(true);
                one.pins = BTreeMap::from([("torch".to_owned(), "no version".to_owned())]);
            },
            "cognix.nix: overrides.torch: ",
        ),
    ];
    for (change, expected) in cases {
        let message = message(change);
        assert!(message.starts_with(expected), "{message}");
    }
}
