mod built;
mod failures;
mod looking;
mod private;
mod sources;

use std::time::{Duration, Instant};

use super::*;
use crate::mirrors::package_indexes::ModelIndexes;
use crate::mirrors::pip_settings::{Machine, Origin, PackageIndexUrl};
use crate::mirrors::python_index::fixture_index::{FixtureIndex, Manners, Ranges, Release};

/// Nobody runs programs.
pub(super) struct NoBackends;

impl Backends for NoBackends {
    fn ask<'a>(
        &'a self,
        _: &'a BackendQuestion<'a>,
    ) -> futures::future::BoxFuture<'a, Result<BackendAnswer, BackendError>> {
        Box::pin(async { Err(BackendError("nobody is there".into())) })
    }
}

/// An index, a cache, and what is asked of them.
struct Case {
    index: FixtureIndex,
    /// Kept, because dropping it removes the folder.
    cache: tempfile::TempDir,
    project: tempfile::TempDir,
    request: PythonRequest,
    backends: Box<dyn Backends>,
}

impl Case {
    fn new(releases: &[Release], requirements: &[&str]) -> Self {
        Self::with(Manners::default(), releases, requirements)
    }

    fn with(manners: Manners, releases: &[Release], requirements: &[&str]) -> Self {
        let index = FixtureIndex::start(manners, releases);
        let cache = tempfile::tempdir().expect("a temporary folder");
        let project = tempfile::tempdir().expect("a temporary folder");
        let request = PythonRequest {
            requirements: requirements.iter().map(ToString::to_string).collect(),
            sdk: Vec::new(),
            constraints: Vec::new(),
            overrides: Vec::new(),
            prerelease: false,
            no_binary: Vec::new(),
            project: project.path().to_owned(),
            architecture: Architecture::Amd64,
            python: (3, 11, 2),
            glibc: (2, 36),
            indexes: index.indexes(),
            exclude_newer: None,
            cutoff_is_asked: true,
            preferences: Vec::new(),
            build_preferences: Vec::new(),
            commits: Vec::new(),
            cache_dir: cache.path().to_owned(),
            offline: false,
            cancel: CancellationToken::new(),
        };
        Self {
            index,
            cache,
            project,
            request,
            backends: Box::new(NoBackends),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut PythonRequest)) -> Self {
        change(&mut self.request);
        self
    }

    /// With what a model says about indexes; the machine's own is the case's.
    fn model(self, model: ModelIndexes) -> Self {
        self.machine(model, &|_| None)
    }

    /// The same on a machine with these variables.
    fn machine(
        mut self,
        mut model: ModelIndexes,
        variable: &dyn Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Self {
        self.project.path().clone_into(&mut model.root);
        let mirrors = BTreeMap::from([(INDEX_NAME.to_owned(), self.index.url())]);
        let machine = Machine::new(variable, self.project.path());
        let found = PackageIndexes::discover(&model, &mirrors, &machine);
        self.request.indexes = found.expect("addresses");
        self
    }

    /// Puts a release into the project.
    fn file(self, path: &str, release: &Release) -> Self {
        let path = self.project.path().join(path);
        std::fs::create_dir_all(path.parent().expect("below the project")).expect("a folder");
        std::fs::write(path, release.bytes()).expect("a file");
        self
    }

    fn try_resolve(&self) -> Result<PythonLock, PythonError> {
        tokio::runtime::Runtime::new()
            .expect("a runtime")
            .block_on(resolve(&self.request, &*self.backends))
    }

    fn resolve(&self) -> PythonLock {
        match self.try_resolve() {
            Ok(lock) => lock,
            Err(error) => panic!("{error}"),
        }
    }

    /// `name version` of each wheel.
    fn versions(&self) -> Vec<String> {
        let wheels = self.resolve().wheels;
        wheels
            .iter()
            .map(|wheel| format!("{} {}", wheel.name, wheel.version))
            .collect()
    }

    /// The message, with the fixture's address replaced, and who can act on it.
    fn error(&self) -> (String, PythonErrorKind) {
        let error = self.try_resolve().expect_err("this must not resolve");
        (
            error.to_string().replace(&self.index.url(), "INDEX"),
            error.kind(),
        )
    }

    /// How many of the requests so far were for files.
    fn file_requests(&self) -> usize {
        self.index
            .requests()
            .iter()
            .filter(|line| line.contains("/files/"))
            .count()
    }
}

fn check(releases: &[Release], requirements: &[&str], expected: &[&str]) {
    assert_eq!(Case::new(releases, requirements).versions(), expected);
}

/// Resolves on an index that has `releases`, and compares the message from its start on.
fn check_error(releases: &[Release], requirements: &[&str], kind: PythonErrorKind, expected: &str) {
    let (message, found) = Case::new(releases, requirements).error();
    assert_eq!((message.as_str(), found), (expected, kind));
}

fn app_and_lib() -> Vec<Release> {
    vec![
        Release::new("app", "1.0").requires("lib>=1,<2"),
        Release::new("lib", "0.9"),
        Release::new("lib", "1.5"),
        Release::new("lib", "2.0"),
        Release::new("lib", "1.9rc1"),
    ]
}

#[test]
fn the_newest_fitting_versions_are_chosen() {
    check(&app_and_lib(), &["app"], &["app 1.0", "lib 1.5"]);
    check(
        &app_and_lib(),
        &["App==1.0  # pinned", "", "# a comment"],
        &["app 1.0", "lib 1.5"],
    );
    check(&app_and_lib(), &["lib"], &["lib 2.0"]);
    check(&app_and_lib(), &["lib>=1.9rc1,<2"], &["lib 1.9rc1"]);
    check(&app_and_lib(), &[], &[]);
}

#[test]
fn constraints_and_kept_versions_steer_the_choice() {
    let constrained = Case::new(&app_and_lib(), &["lib"])
        .change(|request| request.constraints = vec!["lib<1".to_owned(), "app==9".to_owned()]);
    assert_eq!(constrained.versions(), ["lib 0.9"]);
    let keep = |version: &str| {
        vec![Preference {
            name: "Lib".to_owned(),
            version: version.to_owned(),
        }]
    };
    let kept =
        Case::new(&app_and_lib(), &["lib"]).change(|request| request.preferences = keep("1.5"));
    assert_eq!(kept.versions(), ["lib 1.5"]);
    // A kept version that no longer fits, and one that is gone, are only wishes.
    let unfit =
        Case::new(&app_and_lib(), &["lib>=2"]).change(|request| request.preferences = keep("1.5"));
    assert_eq!(unfit.versions(), ["lib 2.0"]);
    let gone =
        Case::new(&app_and_lib(), &["lib"]).change(|request| request.preferences = keep("1.7"));
    assert_eq!(gone.versions(), ["lib 2.0"]);
}

#[test]
fn a_locked_wheel_says_what_is_needed_and_nothing_of_where_it_was() {
    let case = Case::new(&app_and_lib(), &["app", "lib"]);
    let lock = case.resolve();
    let release = &app_and_lib()[0];
    let expected = LockedWheel {
        name: "app".to_owned(),
        version: "1.0".to_owned(),
        filename: release.filename(),
        sha256: Sha256::of(&release.bytes()),
        size: release.bytes().len() as u64,
        requires: vec!["lib".to_owned()],
        origin: WheelOrigin::Index {
            input: INDEX_NAME.to_owned(),
        },
        spelling: None,
        yanked: false,
    };
    assert_eq!(lock.wheels[0], expected);
    assert_eq!(lock.roots, ["app", "lib"]);
    let record = &lock.contents["app"].record;
    let paths: Vec<_> = record.iter().map(|entry| entry.path.as_str()).collect();
    let info = "app-1.0.dist-info";
    let expected = ["METADATA", "WHEEL", "RECORD"].map(|name| format!("{info}/{name}"));
    assert_eq!(paths[0], "app/__init__.py");
    assert_eq!(paths[1..], expected);
    assert_eq!(
        (record[0].sha256, record[0].size),
        (Some(Sha256::of(b"1.0")), Some(3))
    );
    assert_eq!((record[3].sha256, record[3].size), (None, None));
}

#[test]
fn the_answer_is_the_same_behind_every_mirror() {
    let answers: Vec<PythonLock> = [
        (false, Ranges::All),
        (true, Ranges::None),
        (false, Ranges::FromStart),
    ]
    .into_iter()
    .map(|(json, ranges)| {
        let manners = Manners {
            json,
            ranges,
            ..Manners::default()
        };
        let case = Case::with(manners, &app_and_lib(), &["app"]);
        let lock = case.resolve();
        assert_eq!(lock, case.resolve());
        let text = format!("{lock:?}");
        assert!(
            !text.contains("127.0.0.1") && !text.contains("://"),
            "{text}"
        );
        lock
    })
    .collect();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[test]
fn markers_look_at_the_image_and_not_at_this_machine() {
    let releases = [
        Release::new("app", "1.0")
            .requires("old; python_version < '3.12'")
            .requires("new; python_version >= '3.12'")
            .requires("patched; python_full_version < '3.11.3'")
            .requires("windows; sys_platform == 'win32'")
            .requires("intel; platform_machine == 'x86_64' and implementation_name == 'cpython'"),
        Release::new("old", "1"),
        Release::new("new", "1"),
        Release::new("patched", "1"),
        Release::new("intel", "1"),
    ];
    check(
        &releases,
        &["app"],
        &["app 1.0", "intel 1", "old 1", "patched 1"],
    );
    let trixie = Case::new(&releases, &["app", "old; python_version < '3'"]).change(|request| {
        (request.python, request.glibc) = ((3, 13, 5), (2, 41));
    });
    assert_eq!(trixie.versions(), ["app 1.0", "intel 1", "new 1"]);
    assert_eq!(trixie.resolve().roots, ["app"]);
}

#[test]
fn the_best_wheel_for_the_image_is_taken() {
    let tags = [
        "py3-none-any",
        "cp38-abi3-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp311-cp311-manylinux_2_34_x86_64",
        "cp311-cp311-manylinux_2_40_x86_64",
        "cp311-cp311-musllinux_1_2_x86_64",
        "cp311-cp311-macosx_11_0_arm64",
        "cp313-cp313-manylinux_2_41_x86_64",
        "cp313-cp313t-manylinux_2_17_x86_64",
    ];
    let releases: Vec<_> = tags
        .iter()
        .map(|tag| Release::new("app", "1.0").tag(tag))
        .collect();
    let chosen = |python, glibc| {
        let case = Case::new(&releases, &["app"]);
        let case = case.change(|request| (request.python, request.glibc) = (python, glibc));
        case.resolve().wheels[0].filename.clone()
    };
    assert_eq!(
        chosen((3, 11, 2), (2, 36)),
        "app-1.0-cp311-cp311-manylinux_2_34_x86_64.whl"
    );
    assert_eq!(
        chosen((3, 13, 5), (2, 41)),
        "app-1.0-cp313-cp313-manylinux_2_41_x86_64.whl"
    );
    assert_eq!(
        chosen((3, 12, 0), (2, 41)),
        "app-1.0-cp38-abi3-manylinux_2_17_x86_64.whl"
    );
    assert_eq!(chosen((3, 11, 2), (2, 12)), "app-1.0-py3-none-any.whl");
}

#[test]
fn extras_bring_their_requirements() {
    let releases = [
        Release::new("app", "1.0")
            .extra("fast")
            .requires("lib; extra == 'fast'")
            .requires("base"),
        Release::new("lib", "1.0"),
        Release::new("base", "1.0"),
    ];
    check(&releases, &["app"], &["app 1.0", "base 1.0"]);
    let case = Case::new(&releases, &["app[fast]"]);
    assert_eq!(case.versions(), ["app 1.0", "base 1.0", "lib 1.0"]);
    assert_eq!(case.resolve().wheels[0].requires, ["base", "lib"]);
    let odd = Case::new(&releases, &["app[slow]"]).resolve();
    assert_eq!(
        odd.warnings,
        ["The package `app==1.0` does not have an extra named `slow`"]
    );
}

#[test]
fn files_after_the_cutoff_do_not_count() {
    let releases = [
        Release::new("lib", "1.0").uploaded("2024-01-01T00:00:00Z"),
        Release::new("lib", "2.0").uploaded("2024-06-01T12:00:00Z"),
    ];
    for (cutoff, expected) in [
        ("2024-05-31", "lib 1.0"),
        ("2024-06-01", "lib 2.0"),
        ("2024-06-01T12:00:00Z", "lib 1.0"),
    ] {
        let case = Case::new(&releases, &["lib"]);
        let case =
            case.change(|request| request.exclude_newer = Some(cutoff.parse().expect("valid")));
        assert_eq!(case.versions(), [expected], "{cutoff}");
    }
    let early = Case::new(&releases, &["lib"]);
    let early =
        early.change(|request| request.exclude_newer = Some("2020-01-01".parse().expect("valid")));
    let (message, kind) = early.error();
    assert_eq!(kind, PythonErrorKind::Request);
    assert!(
        message.contains("was filtered by `exclude-newer` to only include"),
        "{message}"
    );
    assert!(!message.contains("exclude-newer-package"), "{message}");
}

#[test]
fn an_index_without_upload_times_is_named() {
    let manners = Manners {
        upload_times: false,
        ..Manners::default()
    };
    assert_eq!(
        Case::with(manners, &app_and_lib(), &["lib"]).versions(),
        ["lib 2.0"]
    );
    let case = Case::with(manners, &app_and_lib(), &["lib"]);
    let (message, kind) = case
        .change(|request| request.exclude_newer = Some("2025-01-01".parse().expect("valid")))
        .error();
    assert_eq!(kind, PythonErrorKind::Request);
    assert!(
        message.contains("does not say when the files of lib were uploaded"),
        "{message}"
    );
}

#[test]
fn an_index_without_upload_times_will_do_while_nobody_asks_for_a_moment() {
    let manners = Manners {
        upload_times: false,
        ..Manners::default()
    };
    let case = Case::with(manners, &app_and_lib(), &["lib"]).change(|request| {
        request.exclude_newer = Some("2025-01-01".parse().expect("valid"));
        request.cutoff_is_asked = false;
    });
    assert_eq!(case.versions(), ["lib 2.0"]);
    let warnings = case.resolve().warnings;
    assert!(
        warnings[0].contains("pypi does not say when files were uploaded"),
        "{warnings:?}"
    );
}

#[test]
fn idx_3_withdrawn_files_only_if_pinned_or_locked() {
    let releases = [
        Release::new("lib", "1.0"),
        Release::new("lib", "2.0").yanked("broken"),
    ];
    check(&releases, &["lib"], &["lib 1.0"]);
    let pinned = Case::new(&releases, &["lib==2.0"]).resolve();
    assert!(pinned.wheels[0].yanked);
    assert_eq!(
        pinned.warnings,
        ["`lib==2.0` is yanked (reason: \"broken\")"]
    );
    let locked = Case::new(&releases, &["lib"]).change(|request| {
        request.preferences = vec![Preference {
            name: "lib".to_owned(),
            version: "2.0".to_owned(),
        }];
    });
    assert_eq!(locked.versions(), ["lib 2.0"]);
}

#[test]
fn idx_3_the_first_index_that_knows_a_name_supplies_it() {
    let first = FixtureIndex::start(Manners::default(), &[Release::new("lib", "1.5")]);
    let model = ModelIndexes {
        extra_indexes: vec![first.url()],
        ..ModelIndexes::default()
    };
    let case = Case::new(&app_and_lib(), &["app"]).model(model);
    assert_eq!(case.versions(), ["app 1.0", "lib 1.5"]);
    let case = case.change(|request| request.requirements = vec!["lib>=2".to_owned()]);
    let (message, _) = case.error();
    assert!(
        message.contains("`lib` was found on")
            && message.contains("the first index that knows a name supplies it"),
        "{message}"
    );
    assert!(!message.contains("uv "), "{message}");
}

#[test]
fn idx_2_entries_that_do_not_parse_are_skipped() {
    let case = Case::new(&[Release::new("lib", "1.0")], &["lib"]);
    let digest = Sha256::of(&Release::new("lib", "1.0").bytes());
    let page = format!(
        "<a href='/files/lib-1.0-py3-none-any.whl#sha256={digest}'>lib-1.0</a>
         <a href='/files/lib-3.0-py3.whl'>too few parts</a>
         <a href='/files/lib-latest.tar.gz'>no version</a>
         <a href='/files/lib-4.0-py3-none-any.whl' data-requires-python='three'>no range</a>"
    );
    case.index
        .answer("/simple/lib/", 200, "text/html", page.as_bytes());
    assert_eq!(case.versions(), ["lib 1.0"]);
}

#[test]
fn cancelling_ends_the_work_at_once() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://{}/simple", listener.local_addr().expect("bound"));
    let silent = PackageIndexUrl::parse(&url, &Origin::CommandLine).expect("an address");
    let indexes = PackageIndexes::only(silent, Origin::CommandLine);
    let case = Case::new(&[], &["app"]).change(|request| request.indexes = indexes);
    let cancel = case.request.cancel.clone();
    let start = Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        cancel.cancel();
    });
    let error = case.try_resolve().expect_err("nobody answers");
    assert_eq!(error.kind(), PythonErrorKind::Cancelled);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_future_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let case = Case::new(&[], &[]);
    is_send(&resolve(&case.request, &NoBackends));
}
