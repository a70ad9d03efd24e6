use std::collections::BTreeMap;

use super::super::platform::PythonVersion;
use super::super::tests::{amd64, example, wheel};
use super::super::{Architecture, VariantLock};
use super::*;

fn root(text: &str, place: &str, kind: PackageKind) -> Root {
    Root {
        text: text.to_owned(),
        place: place.to_owned(),
        kind,
    }
}

/// pandas and scipy need numpy, plot needs it through pandas.
fn lock() -> VariantLock {
    let mut lock = example();
    let said = |words: &[(&str, &str)]| -> BTreeMap<String, String> {
        let words = words.iter();
        words
            .map(|(name, bound)| ((*name).to_owned(), (*bound).to_owned()))
            .collect()
    };
    let mut numpy = wheel("numpy", "2.2.6", &[], &[]);
    numpy.package.filename =
        "numpy-2.2.6-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl".to_owned();
    let mut pandas = wheel("pandas", "2.2.3", &["numpy"], &[]);
    pandas.bounds = said(&[("numpy", ">=1.23.2")]);
    let plot = wheel("plot", "1.0", &["pandas", "scipy"], &[]);
    let mut scipy = wheel("scipy", "1.15.3", &["numpy"], &[]);
    scipy.bounds = said(&[("numpy", "<2.5,>=1.23.5")]);
    amd64(&mut lock).python.packages = vec![numpy, pandas, plot, scipy];
    lock
}

fn why(lock: &VariantLock, name: &str, roots: &[Root], files: Option<&[String]>) -> Why {
    let python = PythonVersion {
        major: 3,
        minor: 11,
    };
    let platform = Platform::for_python(python, Architecture::Amd64).expect("it is known");
    let question = Question {
        lock,
        exclude_newer: "2025-11-02T00:00:00Z",
        platform,
        roots,
    };
    question.why(name, files).expect("it is in the lock")
}

fn chains(why: &Why) -> Vec<String> {
    let chain = |chain: &Chain| {
        let through = chain.through.iter();
        let through =
            through.map(|step| format!(" > {} {} ({})", step.name, step.version, step.asks));
        format!(
            "{} {}{}",
            chain.root.place,
            chain.root.text,
            through.collect::<String>()
        )
    };
    why.asked_by.iter().map(chain).collect()
}

#[test]
fn chains_are_the_shortest_of_every_line_that_asks() {
    let roots = [
        root("numpy<2.3", "requirements.txt:1", PackageKind::Wheel),
        root("plot", "requirements.txt:2", PackageKind::Wheel),
        root(
            "scipy; sys_platform == 'win32'",
            "requirements.txt:3",
            PackageKind::Wheel,
        ),
        root("tini", "cognix.nix", PackageKind::Deb),
    ];
    let why = why(&lock(), "NumPy", &roots, None);
    assert_eq!(
        (why.kind, why.version.as_str()),
        (PackageKind::Wheel, "2.2.6")
    );
    assert_eq!(
        chains(&why),
        [
            "requirements.txt:1 numpy<2.3",
            "requirements.txt:2 plot > plot 1.0 (pandas) > pandas 2.2.3 (numpy>=1.23.2)",
            "requirements.txt:2 plot > plot 1.0 (scipy) > scipy 1.15.3 (numpy<2.5,>=1.23.5)",
        ]
    );
    let limits: Vec<_> = why
        .limits
        .iter()
        .map(|limit| format!("{} | {}", limit.text, limit.by))
        .collect();
    assert_eq!(
        limits,
        [
            "numpy<2.3 | requirements.txt:1",
            "numpy>=1.23.2 | pandas 2.2.3",
            "numpy<2.5,>=1.23.5 | scipy 1.15.3",
        ]
    );
    assert_eq!(why.more_chains, 0);
}

#[test]
fn the_file_is_told_from_the_others_of_its_release() {
    let files = [
        "numpy-2.2.6-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "numpy-2.2.6-cp311-cp311-musllinux_1_2_x86_64.whl",
        "numpy-2.2.6-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "numpy-2.2.6-py3-none-any.whl",
        "numpy-2.2.5-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "numpy-2.2.6.tar.gz",
    ]
    .map(str::to_owned);
    let why = why(&lock(), "numpy", &[], Some(&files));
    assert_eq!(
        why.tag.as_deref(),
        Some("cp311-cp311-manylinux_2_17_x86_64")
    );
    let expected = OtherFiles {
        fitting: 1,
        foreign: 2,
    };
    assert_eq!(why.other_files, Some(expected));
}

#[test]
fn debian_packages_are_asked_for_by_what_every_image_has() {
    let roots = [root("python3.11", "python_version", PackageKind::Deb)];
    let why = why(&example(), "libc6", &roots, None);
    assert_eq!(
        chains(&why),
        ["python_version python3.11 > python3.11 1:3.11.2 (libc6 (>= 2.36))"]
    );
    assert_eq!(why.limits[0].text, "libc6 (>= 2.36)");
    assert_eq!(why.file, "libc6.deb");
}

#[test]
fn an_override_comes_before_everything_else() {
    let mut lock = lock();
    lock.request.overrides = vec!["numpy==2.2.6".to_owned()];
    let roots = [root("numpy<2.3", "requirements.txt:1", PackageKind::Wheel)];
    let limits = why(&lock, "numpy", &roots, None).limits;
    assert_eq!(limits[0].text, "numpy==2.2.6");
    assert_eq!(limits[0].by, "overrides.numpy of cognix.nix, which decides");
    assert_eq!(limits[1].text, "numpy<2.3");
}

#[test]
fn a_package_that_is_not_there_is_not_explained() {
    let python = PythonVersion {
        major: 3,
        minor: 11,
    };
    let platform = Platform::for_python(python, Architecture::Amd64).expect("it is known");
    let question = Question {
        lock: &lock(),
        exclude_newer: "",
        platform,
        roots: &[],
    };
    let message = question
        .why("nunpy", None)
        .expect_err("misspelt")
        .to_string();
    assert_eq!(message, "nunpy is not in cognix.lock; did you mean numpy?");
}
