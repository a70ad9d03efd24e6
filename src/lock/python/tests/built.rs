//! Packages that come as source: what is asked of whom, and what is locked.

use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;

use super::*;

const BACKEND: &str = "[build-system]\nrequires = [\"tool>=1\"]\nbuild-backend = \"tool.api\"\n";

/// A source release of `app` with a build backend that is a package of the index.
fn source(version: &str) -> Release {
    let release = Release::new("app", version).source_only();
    release.file("pyproject.toml", BACKEND.as_bytes())
}

fn tool() -> Vec<Release> {
    vec![
        Release::new("tool", "1.2").requires("part"),
        Release::new("part", "3.0"),
        Release::new("helper", "2.0"),
    ]
}

/// Answers as it was told, and remembers what it was asked.
#[derive(Default)]
struct Scripted {
    requires: Vec<String>,
    metadata: Option<String>,
    asked: std::sync::Arc<Mutex<Vec<String>>>,
}

impl Backends for Scripted {
    fn ask<'a>(
        &'a self,
        question: &'a BackendQuestion<'a>,
    ) -> BoxFuture<'a, Result<BackendAnswer, BackendError>> {
        let BackendQuestion {
            source,
            build,
            metadata,
            complete,
        } = question;
        let with = build.requires.iter();
        let with: Vec<&str> = with.map(|wheel| wheel.name.as_str()).collect();
        let line = format!(
            "{} {} {} with {} metadata {metadata} complete {complete}",
            build.backend,
            source.name,
            source.version,
            with.join(" ")
        );
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(line);
        let enough = self.requires.is_empty() || *complete;
        let answer = BackendAnswer {
            requires: self.requires.clone(),
            metadata: self.metadata.clone().filter(|_| enough && *metadata),
        };
        Box::pin(async move { Ok(answer) })
    }
}

/// The lock, and what backends were asked for it.
fn built(case: Case, backends: Scripted) -> (Case, PythonLock, Vec<String>) {
    let asked = std::sync::Arc::clone(&backends.asked);
    let case = Case {
        backends: Box::new(backends),
        ..case
    };
    let lock = case.resolve();
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (case, lock, asked)
}

fn releases(more: &[Release]) -> Vec<Release> {
    tool().into_iter().chain(more.iter().cloned()).collect()
}

#[test]
fn a_source_with_fixed_metadata_is_locked_with_what_it_is_built_with() {
    let release = source("1.0").fixed_metadata().requires("helper>=1");
    let case = Case::new(&releases(std::slice::from_ref(&release)), &["app"]);
    let (_, lock, asked) = built(case, Scripted::default());
    assert_eq!(
        asked,
        ["tool.api app 1.0 with part tool metadata false complete false"]
    );
    let names: Vec<&str> = lock
        .wheels
        .iter()
        .map(|wheel| wheel.name.as_str())
        .collect();
    assert_eq!(names, ["app", "helper"]);
    let app = &lock.wheels[0];
    assert_eq!(
        (app.filename.as_str(), app.version.as_str()),
        ("app-1.0.tar.gz", "1.0")
    );
    assert_eq!(app.sha256, Sha256::of(&release.bytes()));
    assert_eq!(app.size, release.bytes().len() as u64);
    assert_eq!(app.requires, ["helper"]);
    let build = &lock.builds["app"];
    assert_eq!(build.backend, "tool.api");
    assert_eq!(build.reason, SourceReason::NoWheel);
    let tools: Vec<String> = build
        .requires
        .iter()
        .map(|wheel| format!("{} {}", wheel.name, wheel.version))
        .collect();
    assert_eq!(tools, ["part 3.0", "tool 1.2"]);
    assert!(!lock.contents.contains_key("app"));
}

#[test]
fn a_backend_is_asked_for_metadata_that_may_change_and_for_what_it_needs_besides() {
    let metadata = "Metadata-Version: 2.1\nName: App\nVersion: 1.0\nRequires-Dist: helper\n";
    let case = Case::new(&releases(&[source("1.0")]), &["app"]);
    let backends = Scripted {
        requires: vec!["helper==2.0".to_owned()],
        metadata: Some(metadata.to_owned()),
        ..Scripted::default()
    };
    let (_, lock, asked) = built(case, backends);
    assert_eq!(
        asked,
        [
            "tool.api app 1.0 with part tool metadata true complete false",
            "tool.api app 1.0 with helper part tool metadata true complete true",
        ]
    );
    assert_eq!(lock.wheels[0].requires, ["helper"]);
    assert_eq!(lock.wheels[0].spelling.as_deref(), Some("App"));
}

#[test]
fn wheels_are_taken_where_there_are_any_unless_somebody_says_otherwise() {
    let all = || releases(&[source("2.0").fixed_metadata(), Release::new("app", "1.0")]);
    let (_, lock, asked) = built(Case::new(&all(), &["app"]), Scripted::default());
    assert_eq!(lock.wheels[0].filename, "app-1.0-py3-none-any.whl");
    assert_eq!(asked.len(), 0);
    let (_, lock, _) = built(Case::new(&all(), &["app>=2"]), Scripted::default());
    assert_eq!(lock.wheels[0].filename, "app-2.0.tar.gz");

    let both = || releases(&[source("1.0").fixed_metadata(), Release::new("app", "1.0")]);
    for word in ["App", ":all:"] {
        let case = Case::new(&both(), &["app"])
            .change(|request| request.no_binary = vec![word.to_owned()]);
        let (_, lock, _) = built(case, Scripted::default());
        assert_eq!(lock.wheels[0].filename, "app-1.0.tar.gz", "{word}");
        assert_eq!(lock.builds["app"].reason, SourceReason::NoBinary);
    }
}

#[test]
fn archives_can_be_named_by_path_and_by_address() {
    let release = source("1.0").fixed_metadata();
    let case = Case::new(&tool(), &["./vendor/app-1.0.tar.gz"]);
    let case = case.file("vendor/app-1.0.tar.gz", &release);
    let (_, lock, _) = built(case, Scripted::default());
    let path = "vendor/app-1.0.tar.gz".to_owned();
    assert_eq!(lock.wheels[0].origin, WheelOrigin::Project { path });
    assert_eq!(lock.wheels[0].version, "1.0");
    assert_eq!(lock.builds["app"].reason, SourceReason::Named);

    let case = Case::new(&releases(&[release]), &[]);
    let url = format!("http://{}/files/app-1.0.tar.gz", case.index.host());
    let line = format!("app @ {url}");
    let case = case.change(|request| request.requirements = vec![line]);
    let (_, lock, _) = built(case, Scripted::default());
    assert!(
        matches!(&lock.wheels[0].origin, WheelOrigin::Url { url } if url.ends_with("app-1.0.tar.gz")),
        "{:?}",
        lock.wheels[0].origin
    );
}

/// A source release that is built with another package.
fn built_with(name: &str, tool: &str) -> Release {
    let text = format!("[build-system]\nrequires = [\"{tool}\"]\nbuild-backend = \"api\"\n");
    let release = Release::new(name, "1.0").source_only().fixed_metadata();
    release.file("pyproject.toml", text.as_bytes())
}

#[test]
fn what_a_source_is_built_with_may_be_a_source() {
    let more = [built_with("app", "middle"), built_with("middle", "tool")];
    let case = Case::new(&releases(&more), &["app"]);
    let (_, lock, asked) = built(case, Scripted::default());
    assert_eq!(
        asked,
        [
            "api middle 1.0 with part tool metadata false complete false",
            "api app 1.0 with middle metadata false complete false",
        ]
    );
    let build = &lock.builds["app"];
    assert_eq!(build.requires[0].filename, "middle-1.0.tar.gz");
    let below = &build.builds["middle"];
    assert_eq!(below.reason, SourceReason::NoWheel);
    let names = |wheels: Vec<&LockedWheel>| -> Vec<String> {
        wheels.into_iter().map(|wheel| wheel.name.clone()).collect()
    };
    assert_eq!(names(build.all_requires()), ["middle", "part", "tool"]);
}

#[test]
fn builds_that_need_each_other_are_named_in_their_order() {
    let circle = [
        built_with("app", "one"),
        built_with("one", "two"),
        built_with("two", "one"),
    ];
    let error = Case::new(&circle, &["app"])
        .try_resolve()
        .expect_err("a circle");
    let text = crate::mirrors::python_index::explain(&error);
    let chain = "app, which is built with one, which is built with two, which is built with one";
    assert!(text.contains(chain), "{text}");
    let names: Vec<String> = (0..12).map(|at| format!("p{at}")).collect();
    let deep = names.windows(2).map(|pair| built_with(&pair[0], &pair[1]));
    let deep: Vec<Release> = deep.collect();
    let error = Case::new(&deep, &["p0"])
        .try_resolve()
        .expect_err("too deep");
    let text = crate::mirrors::python_index::explain(&error);
    assert!(
        text.contains("deeper than builds may need each other"),
        "{text}"
    );
}

#[test]
fn all_that_cannot_be_built_is_named_at_once() {
    let other = Release::new("other", "2.0").source_only();
    let other = other.file("pyproject.toml", BACKEND.as_bytes());
    let fixed = Release::new("fine", "1.0").source_only().fixed_metadata();
    let fixed = fixed.file(
        "pyproject.toml",
        b"[build-system]\nrequires = [\"nothing-has-it\"]\n",
    );
    let case = Case::new(
        &releases(&[source("1.0"), other, fixed]),
        &["app", "other", "fine"],
    );
    let text = case.try_resolve().expect_err("no backend").to_string();
    for expected in [
        "3 packages have to be built from source and cannot be:",
        "app has to be built from source (app-1.0.tar.gz), and its build backend tool.api cannot be asked: nobody is there",
        "other has to be built from source (other-2.0.tar.gz)",
        "fine has to be built from source (fine-1.0.tar.gz), and what its build needs cannot be chosen",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn what_a_build_cannot_have_is_named_with_the_package() {
    let check = |releases: &[Release], expected: &[&str]| {
        let error = Case::new(releases, &["app"])
            .try_resolve()
            .expect_err("no build");
        let text = crate::mirrors::python_index::explain(&error);
        for words in expected {
            assert!(text.contains(words), "{words}: {text}");
        }
    };
    check(
        &[source("1.0"), Release::new("tool", "1.2").source_only()],
        &[
            "app has to be built from source (app-1.0.tar.gz), and what its build needs cannot be chosen",
            "tool has to be built from source (tool-1.2.tar.gz), and what its build needs cannot be chosen",
            "does not know setuptools",
        ],
    );
    check(
        &releases(&[source("1.0")]),
        &[
            "its build backend tool.api cannot be asked",
            "nobody is there",
        ],
    );
    let broken = Release::new("app", "1.0").source_only();
    let broken = broken.file("pyproject.toml", b"[build-system]\nbuild-backend = \"a\"\n");
    check(
        &releases(&[broken]),
        &[
            "app-1.0.tar.gz is not a usable source archive",
            "without `requires`",
        ],
    );
}

#[test]
fn sources_are_looked_at_wherever_there_is_no_way_without() {
    let fixed = |version: &str| source(version).fixed_metadata();
    let check = |more: &[Release], requirement: &str, expected: &str| {
        let case = Case::new(&releases(more), &[requirement]);
        let (_, lock, _) = built(case, Scripted::default());
        let files: Vec<&str> = lock
            .wheels
            .iter()
            .map(|wheel| wheel.filename.as_str())
            .collect();
        assert!(files.contains(&expected), "{requirement}: {files:?}");
    };
    check(&[fixed("1.0")], "app", "app-1.0.tar.gz");
    let newer = Release::new("app", "2.0");
    check(&[fixed("1.0"), newer.clone()], "app==1.0", "app-1.0.tar.gz");
    check(
        &[fixed("1.0"), fixed("1.1"), newer],
        "app<2",
        "app-1.1.tar.gz",
    );
    let foreign = Release::new("app", "1.0").tag("cp311-cp311-win_amd64");
    check(&[fixed("1.0"), foreign], "app", "app-1.0.tar.gz");
    let top = Release::new("top", "1.0").requires("app");
    check(&[fixed("1.0"), top], "top", "app-1.0.tar.gz");
}

#[test]
fn a_folder_of_the_project_is_the_source_that_it_has_now() {
    let project = "[project]\nname = \"app\"\nversion = \"1.0\"\n";
    let text = format!("{BACKEND}{project}");
    let of_lines = |lines: &[&str]| {
        let case = Case::new(&tool(), lines);
        let folder = case.project.path().join("libs/app");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("pyproject.toml"), &text).expect("a file");
        case
    };
    for line in ["./libs/app", "app @ ./libs/app"] {
        let (_, lock, _) = built(of_lines(&[line]), Scripted::default());
        let app = &lock.wheels[0];
        let path = "libs/app".to_owned();
        assert_eq!(app.origin, WheelOrigin::Folder { path }, "{line}");
        assert_eq!(
            (app.filename.as_str(), app.version.as_str()),
            ("app.tar", "1.0")
        );
    }
    let nameless = of_lines(&["./libs"]).try_resolve().expect_err("no name");
    assert!(
        nameless
            .to_string()
            .contains("write NAME @ before the path"),
        "{nameless}"
    );
}
