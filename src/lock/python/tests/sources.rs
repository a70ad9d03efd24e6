//! Where packages come from besides the machine's own index.

use super::*;
use crate::mirrors::package_indexes::IndexInput;

fn start(releases: &[Release]) -> FixtureIndex {
    FixtureIndex::start(Manners::default(), releases)
}

fn origins(lock: &PythonLock) -> Vec<(&str, String)> {
    let origin = |wheel: &LockedWheel| match &wheel.origin {
        WheelOrigin::Index { input } => input.clone(),
        WheelOrigin::Project { path } => format!("project {path}"),
        WheelOrigin::Folder { path } => format!("folder {path}"),
        WheelOrigin::Git(address) => address.to_string(),
        WheelOrigin::Url { url } => url.clone(),
    };
    lock.wheels
        .iter()
        .map(|wheel| (wheel.name.as_str(), origin(wheel)))
        .collect()
}

fn input(name: &str, url: &str, packages: &[&str]) -> IndexInput {
    IndexInput {
        name: name.to_owned(),
        url: Some(url.to_owned()),
        packages: packages.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn idx_3_inputs_are_asked_in_the_order_written_and_locked_by_name() {
    let (first, second) = (
        start(&[Release::new("lib", "1.1"), Release::new("own", "1.0")]),
        start(&[
            Release::new("lib", "1.2"),
            Release::new("own", "2.0"),
            Release::new("two", "1.0"),
        ]),
    );
    let model = ModelIndexes {
        inputs: vec![
            input("zulu", &first.url(), &[]),
            input("alpha", &second.url(), &[]),
        ],
        ..ModelIndexes::default()
    };
    let case = Case::new(&app_and_lib(), &["app", "own", "two"]).model(model);
    let lock = case.resolve();
    let named = [
        ("app", "pypi"),
        ("lib", "zulu"),
        ("own", "zulu"),
        ("two", "alpha"),
    ];
    assert_eq!(
        origins(&lock),
        named.map(|(name, index)| (name, index.to_owned()))
    );
    assert!(!format!("{lock:?}").contains("127.0.0.1"), "{lock:?}");
}

#[test]
fn idx_3_a_pinned_package_comes_from_its_index_alone() {
    let pinned = start(&[Release::new("lib", "1.1"), Release::new("app", "9.0")]);
    let model = ModelIndexes {
        inputs: vec![input("company", &pinned.url(), &["Lib", "gone"])],
        ..ModelIndexes::default()
    };
    let case = Case::new(&app_and_lib(), &["app"]).model(model.clone());
    assert_eq!(case.versions(), ["app 1.0", "lib 1.1"]);
    let case = Case::new(&[Release::new("gone", "1.0")], &["gone"]).model(model);
    assert_eq!(case.error().1, PythonErrorKind::Request);
}

#[test]
fn torch_comes_from_its_own_index_and_everything_else_does_not() {
    let torch = start(&[
        Release::new("torch", "2.6.0+cu124")
            .requires("lib")
            .requires("triton"),
        Release::new("lib", "0.1"),
    ]);
    let releases = [
        Release::new("torch", "2.6.0"),
        Release::new("triton", "3.2.0"),
        Release::new("lib", "1.0"),
    ];
    let model = ModelIndexes {
        inputs: vec![input("pytorch", &torch.url().replace("/simple", ""), &[])],
        extra_indexes: vec!["pytorch/simple".to_owned()],
        ..ModelIndexes::default()
    };
    let case = Case::new(&releases, &["torch==2.6.0"]).model(model);
    let lock = case.resolve();
    let named = [
        ("lib", "pypi"),
        ("torch", "pytorch/simple"),
        ("triton", "pypi"),
    ];
    assert_eq!(
        origins(&lock),
        named.map(|(name, index)| (name, index.to_owned()))
    );
    assert_eq!(lock.wheels[1].version, "2.6.0+cu124");
}

#[test]
fn an_index_of_the_model_need_not_date_its_files() {
    let manners = Manners {
        upload_times: false,
        ..Manners::default()
    };
    let undated = FixtureIndex::start(manners, &[Release::new("own", "1.0")]);
    let model = ModelIndexes {
        extra_indexes: vec![undated.url()],
        ..ModelIndexes::default()
    };
    let late = Release::new("lib", "2.0").uploaded("2024-06-01T12:00:00Z");
    let case = Case::new(&[Release::new("lib", "1.0"), late], &["own", "lib"]);
    let case = case.model(model).change(|request| {
        request.exclude_newer = Some("2024-02-01".parse().expect("a date"));
    });
    assert_eq!(case.versions(), ["lib 1.0", "own 1.0"]);
    let warnings = case.resolve().warnings;
    assert!(
        warnings[0].contains("does not say when files were uploaded"),
        "{warnings:?}"
    );
}

#[test]
fn the_sdk_is_found_when_the_model_has_indexes_of_its_own() {
    let own = start(&[Release::new("app", "1.0"), Release::new("lib", "1.0")]);
    let releases = [
        Release::new("cog", "1.0")
            .requires("lib")
            .requires("only-here"),
        Release::new("only-here", "1.0"),
        Release::new("lib", "2.0"),
        Release::new("secret", "1.0"),
    ];
    for (no_index, lib) in [(false, "lib 1.0"), (true, "lib 2.0")] {
        let model = ModelIndexes {
            index: Some(own.url()),
            no_index,
            ..ModelIndexes::default()
        };
        let app: &[&str] = if no_index { &[] } else { &["app"] };
        let case = Case::new(&releases, app).model(model.clone());
        let case = case.change(|request| request.sdk = vec!["cog".to_owned()]);
        let mut expected = vec!["cog 1.0", lib, "only-here 1.0"];
        if !no_index {
            expected.insert(0, "app 1.0");
        }
        assert_eq!(case.versions(), expected);
        // Nothing but what the SDK needs comes from where the model does not want to look.
        let case = Case::new(&releases, &["secret"]).model(model);
        let case = case.change(|request| request.sdk = vec!["cog".to_owned()]);
        let (message, _) = case.error();
        assert!(message.contains("secret"), "{message}");
    }
}

#[test]
fn wheels_of_the_project_are_read_and_their_needs_met() {
    let own = Release::new("own", "1.0")
        .requires("lib<2")
        .extra("fast")
        .requires("quick; extra == 'fast'");
    let releases = [app_and_lib(), vec![Release::new("quick", "1.0")]].concat();
    let line = "./wheels/own-1.0-py3-none-any.whl[fast] ; python_version < '3.12'";
    let case = Case::new(&releases, &[line]).file("wheels/own-1.0-py3-none-any.whl", &own);
    let lock = case.resolve();
    let origin = "project wheels/own-1.0-py3-none-any.whl".to_owned();
    assert_eq!(
        origins(&lock),
        [
            ("lib", "pypi".to_owned()),
            ("own", origin),
            ("quick", "pypi".to_owned())
        ]
    );
    let wheel = &lock.wheels[1];
    assert_eq!(
        (wheel.sha256, wheel.size),
        (Sha256::of(&own.bytes()), own.bytes().len() as u64)
    );
    assert_eq!(wheel.requires, ["lib", "quick"]);
    assert_eq!(lock.roots, ["own"]);
    assert_eq!(lock.contents["own"].record[0].path, "own/__init__.py");

    let other = case.change(|request| request.python = (3, 13, 5));
    assert_eq!(other.versions(), Vec::<String>::new());
}

#[test]
fn a_wheel_for_another_python_is_named() {
    let own = Release::new("own", "1.0").tag("cp39-cp39-manylinux_2_17_x86_64");
    let path = format!("./{}", own.filename());
    let case = Case::new(&[], &[&path]).file(&own.filename(), &own);
    let expected = "own-1.0-cp39-cp39-manylinux_2_17_x86_64.whl is not for Python 3.11.2 on x86_64 Linux with glibc 2.36; name a wheel that is";
    assert_eq!(
        case.error(),
        (expected.to_owned(), PythonErrorKind::Request)
    );
}

#[test]
fn a_wheel_outside_the_project_is_refused() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    let own = Release::new("own", "1.0");
    let path = outside.path().join(own.filename());
    std::fs::write(&path, own.bytes()).expect("a file");
    let case = Case::new(&[], &["./own-1.0-py3-none-any.whl"]);
    std::os::unix::fs::symlink(&path, case.project.path().join(own.filename())).expect("a link");
    assert!(
        case.error().0.contains("outside the project"),
        "{}",
        case.error().0
    );
}

#[test]
fn wheels_at_addresses_are_locked_by_digest() {
    let files = start(&[Release::new("own", "1.0").requires("lib<2")]);
    let release = Release::new("own", "1.0").requires("lib<2");
    let address = format!("http://{}/files/own-1.0-py3-none-any.whl", files.host());
    let digest = Sha256::of(&release.bytes());
    for line in [
        format!("own @ {address}#sha256={digest}"),
        format!("own @ {address}"),
        format!("{address} --hash=sha256:{digest}"),
    ] {
        let case = Case::new(&app_and_lib(), &[&line]);
        let lock = case.resolve();
        assert_eq!(
            origins(&lock),
            [("lib", "pypi".to_owned()), ("own", address.clone())]
        );
        let wheel = &lock.wheels[1];
        assert_eq!(
            (wheel.sha256, wheel.size),
            (digest, release.bytes().len() as u64)
        );
    }
    let wrong = format!("{address} --hash=sha256:{}", Sha256::of(b"other"));
    let (message, kind) = Case::new(&app_and_lib(), &[&wrong]).error();
    assert_eq!(kind, PythonErrorKind::Request);
    assert!(
        message.contains("which is not among the --hash options"),
        "{message}"
    );
}

#[test]
fn the_wheel_whose_digest_is_asked_for_is_taken() {
    let specific = Release::new("lib", "1.0").tag("cp311-cp311-manylinux_2_17_x86_64");
    let general = Release::new("lib", "1.0").file("lib/more.py", b"more");
    let releases = [specific.clone(), general.clone()];
    let chosen = |digests: &[Sha256]| {
        let options = digests
            .iter()
            .map(|digest| format!(" --hash=sha256:{digest}"));
        let line = format!("lib==1.0{}", options.collect::<String>());
        Case::new(&releases, &[&line])
    };
    let (first, second) = (Sha256::of(&specific.bytes()), Sha256::of(&general.bytes()));
    assert_eq!(chosen(&[]).resolve().wheels[0].sha256, first);
    assert_eq!(chosen(&[second]).resolve().wheels[0].sha256, second);
    assert_eq!(chosen(&[second, first]).resolve().wheels[0].sha256, first);
    let (message, kind) = chosen(&[Sha256::of(b"neither")]).error();
    assert_eq!(kind, PythonErrorKind::Request);
    assert!(
        message.contains("which is not among the --hash options of \"lib==1.0\""),
        "{message}"
    );
}

#[test]
fn links_to_files_are_followed() {
    for digests in [true, false] {
        let manners = Manners {
            digests,
            ..Manners::default()
        };
        let release = Release::new("own", "3.0").requires("lib<2");
        let page = FixtureIndex::start(manners, std::slice::from_ref(&release));
        let model = ModelIndexes {
            find_links: vec![page.links(), "more".to_owned()],
            ..ModelIndexes::default()
        };
        let more = Release::new("more", "1.0");
        let case = Case::new(&app_and_lib(), &["own", "more"]);
        let case = case
            .file("more/more-1.0-py3-none-any.whl", &more)
            .model(model);
        let lock = case.resolve();
        let name = page
            .links()
            .replace("http://", "")
            .replace(['.', ':', '/'], "-");
        let expected = [
            ("lib", "pypi".to_owned()),
            ("more", "project more/more-1.0-py3-none-any.whl".to_owned()),
            ("own", name.trim_end_matches('-').to_owned()),
        ];
        assert_eq!(origins(&lock), expected);
        assert_eq!(lock.wheels[2].sha256, Sha256::of(&release.bytes()));
    }
}

#[test]
fn nothing_but_links_is_looked_at_when_no_index_is_wanted() {
    let model = ModelIndexes {
        find_links: vec!["wheels".to_owned()],
        no_index: true,
        ..ModelIndexes::default()
    };
    let old = Release::new("lib", "0.9");
    let case = Case::new(&app_and_lib(), &["lib"]).file("wheels/lib-0.9-py3-none-any.whl", &old);
    let case = case.model(model);
    assert_eq!(case.versions(), ["lib 0.9"]);
    assert_eq!(case.index.requests(), Vec::<String>::new());
    let case = case.change(|request| request.requirements = vec!["app".to_owned()]);
    let (message, _) = case.error();
    assert!(message.contains("app"), "{message}");
}

#[test]
fn releases_that_are_not_final_count_when_asked_for() {
    let releases = [Release::new("lib", "1.0"), Release::new("lib", "2.0rc1")];
    assert_eq!(Case::new(&releases, &["lib"]).versions(), ["lib 1.0"]);
    let case = Case::new(&releases, &["lib"]).change(|request| request.prerelease = true);
    assert_eq!(case.versions(), ["lib 2.0rc1"]);
}

#[test]
fn arm64_has_wheels_and_markers_of_its_own() {
    let releases = [
        Release::new("app", "1.0").tag("cp311-cp311-manylinux_2_17_x86_64"),
        Release::new("app", "1.0")
            .tag("cp311-cp311-manylinux_2_17_aarch64")
            .requires("arm; platform_machine == 'aarch64'"),
        Release::new("arm", "1.0"),
    ];
    let case = Case::new(&releases, &["app"]);
    assert_eq!(case.versions(), ["app 1.0"]);
    let case = case.change(|request| request.architecture = Architecture::Arm64);
    let lock = case.resolve();
    assert_eq!(
        lock.wheels[0].filename,
        "app-1.0-cp311-cp311-manylinux_2_17_aarch64.whl"
    );
    assert_eq!(lock.wheels[1].name, "arm");
}

#[test]
fn the_answer_is_the_same_behind_every_mirror_of_several_sources() {
    let answers = [(false, Ranges::All), (true, Ranges::None)].map(|(json, ranges)| {
        let manners = Manners {
            json,
            ranges,
            ..Manners::default()
        };
        let extra = FixtureIndex::start(manners, &[Release::new("own", "1.0").requires("more")]);
        let page = FixtureIndex::start(manners, &[Release::new("more", "1.0")]);
        let model = ModelIndexes {
            extra_indexes: vec!["https://extra.test/simple".to_owned()],
            find_links: vec!["https://links.test/page.html".to_owned()],
            ..ModelIndexes::default()
        };
        let mirrors = BTreeMap::from([
            ("extra-test-simple".to_owned(), extra.url()),
            ("links-test-page-html".to_owned(), page.links()),
        ]);
        let case = Case::with(manners, &app_and_lib(), &["app", "own"]);
        let mirrors = mirrors
            .into_iter()
            .chain([(INDEX_NAME.to_owned(), case.index.url())]);
        let nothing = |_: &str| None;
        let machine = Machine::new(&nothing, case.project.path());
        let found = PackageIndexes::discover(&model, &mirrors.collect(), &machine);
        let lock = case
            .change(|request| request.indexes = found.expect("addresses"))
            .resolve();
        assert!(!format!("{lock:?}").contains("127.0.0.1"), "{lock:?}");
        lock
    });
    assert_eq!(answers[0], answers[1]);
    let names = origins(&answers[0])
        .into_iter()
        .map(|(_, origin)| origin)
        .collect::<Vec<_>>();
    assert_eq!(
        names,
        ["pypi", "pypi", "links-test-page-html", "extra-test-simple"]
    );
}
