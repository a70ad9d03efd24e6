//! Packages that are commits of git repositories, which a server on loopback has.
//!
//! Real build backends and a real interpreter make the wheels, one of them with a version that is made of tags. What is in
//! them is what uv installs from the same lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::world::server::{Fault, Server};
use crate::world::{COGNIX, fail, succeed, write};

/// A package whose version is made of tags, and whose data are in its wheel because they were committed.
const TAGGED: &str = "[build-system]\nrequires = [\"setuptools>=77\", \"setuptools-scm>=8\"]\n\
    build-backend = \"setuptools.build_meta\"\n\n[project]\nname = \"tagged\"\ndynamic = [\"version\"]\n\
    [tool.setuptools_scm]\n";

/// A package in a folder of the same repository.
const INNER: &str = "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n\n\
    [project]\nname = \"inner\"\nversion = \"0.3\"\n";

struct Repositories {
    server: Server,
    folder: TempDir,
}

impl Repositories {
    fn new() -> Self {
        let made = Self {
            server: Server::start(),
            folder: TempDir::new().expect("a temporary folder"),
        };
        made.git_in("part", &["init", "--quiet", "--initial-branch=main"]);
        let part = made.commit_in("part", &[("__init__.py", "name = 'part'\n")]);
        made.git(&["init", "--quiet", "--initial-branch=main"]);
        // A submodule, by an address that is relative to that of its parent.
        let entry = format!("160000,{part},src/tagged/part");
        made.git(&["update-index", "--add", "--cacheinfo", &entry]);
        let modules = "[submodule \"part\"]\n\tpath = src/tagged/part\n\turl = ../part.git\n";
        std::fs::create_dir_all(made.path("work/src/tagged/part")).expect("writable");
        made.commit(&[
            (".gitmodules", modules),
            ("pyproject.toml", TAGGED),
            ("src/tagged/__init__.py", "name = 'tagged'\n"),
            ("src/tagged/data.txt", "committed\n"),
            ("parts/inner/pyproject.toml", INNER),
            ("parts/inner/src/inner/__init__.py", "name = 'inner'\n"),
            (".gitattributes", "*.txt eol=crlf\n"),
        ]);
        made.git(&["tag", "v1.2"]);
        made.commit(&[("src/tagged/more.py", "more = 1\n")]);
        made.publish();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_in("work", arguments)
    }

    fn git_in(&self, folder: &str, arguments: &[&str]) -> String {
        let work = self.path(folder);
        std::fs::create_dir_all(&work).expect("writable");
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=A", "-c", "user.email=a@host.test"])
            .args(arguments)
            .current_dir(work)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_DATE", "2024-01-02T03:04:05Z")
            .env("GIT_COMMITTER_DATE", "2024-01-02T03:04:05Z");
        let output = succeed(&mut command);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn commit(&self, files: &[(&str, &str)]) {
        self.commit_in("work", files);
    }

    fn commit_in(&self, folder: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.path(folder).join(name);
            std::fs::create_dir_all(path.parent().expect("below")).expect("writable");
            write(&path, text);
        }
        let names = files.iter().map(|(name, _)| *name);
        let add: Vec<&str> = ["add", "--"].into_iter().chain(names).collect();
        self.git_in(folder, &add);
        self.git_in(folder, &["commit", "--quiet", "--message", "more"]);
        self.git_in(folder, &["rev-parse", "HEAD"])
    }

    /// Puts the repositories where anybody can fetch them, as a web server without git has them.
    fn publish(&self) {
        for (folder, name) in [("work", "repo.git"), ("part", "part.git")] {
            let bare = self.path(name);
            drop(std::fs::remove_dir_all(&bare));
            let place = bare.to_string_lossy().into_owned();
            self.git_in(folder, &["clone", "--quiet", "--bare", ".", &place]);
            self.git_in(folder, &["--git-dir", &place, "update-server-info"]);
            for (file, bytes) in files(&bare) {
                let path = format!("{name}/{file}");
                self.server.put(&path, "application/octet-stream", bytes);
            }
        }
    }

    /// The same where nothing of before is left.
    fn publish_anew(&self) {
        for name in files(&self.path("repo.git")).keys() {
            let path = format!("/repo.git/{name}");
            self.server.break_path(&path, Fault::Missing);
        }
        self.git(&["reflog", "expire", "--expire=now", "--all"]);
        self.git(&["gc", "--quiet", "--prune=now"]);
        self.publish();
        for name in files(&self.path("repo.git")).keys() {
            self.server.heal_path(&format!("/repo.git/{name}"));
        }
    }

    fn url(&self) -> String {
        format!("git+{}", self.server.url("repo.git"))
    }

    fn cognix(&self, place: &str) -> Command {
        let mut command = Command::new(COGNIX);
        command
            .env("XDG_CACHE_HOME", self.path(&format!("{place}-cache")))
            .arg("--store")
            .arg(self.path(place));
        command
    }

    fn locked(&self, project: &Path) -> BTreeMap<String, Value> {
        let text = std::fs::read(project.join("cognix.lock")).expect("a lock");
        let lock: Value = serde_json::from_slice(&text).expect("JSON");
        let entries = lock["python"].as_array().expect("packages").iter();
        let named = entries.map(|entry| (entry["name"].to_string(), entry.clone()));
        let named = named.map(|(name, entry)| (name.trim_matches('"').to_owned(), entry));
        named.collect()
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("below").to_string_lossy();
            found.insert(name.into_owned(), std::fs::read(&path).expect("readable"));
        }
    }
    found
}

/// What is in the wheels of a store that were built, without their lists of files.
fn built(store: &Path, place: &Path) -> BTreeMap<String, Vec<u8>> {
    for entry in std::fs::read_dir(store.join("nix/store")).expect("a store") {
        let path = entry.expect("readable").path();
        let name = path.to_string_lossy().into_owned();
        if ["-tagged-", "-inner-"]
            .iter()
            .any(|word| name.contains(word))
            && name.ends_with(".whl")
        {
            let mut unzip = Command::new("python3");
            succeed(unzip.args(["-m", "zipfile", "-e"]).arg(&path).arg(place));
        }
    }
    without_lists(files(place))
}

fn without_lists(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let lists = [
        "RECORD",
        "INSTALLER",
        "REQUESTED",
        "direct_url.json",
        ".lock",
        "uv_build.json",
        "uv_cache.json",
    ];
    files.retain(|name, _| !lists.iter().any(|list| name.ends_with(list)));
    files
}

#[test]
fn commits_are_locked_and_built_and_stay_until_they_are_moved() {
    let repositories = Repositories::new();
    let project = repositories.path("model");
    std::fs::create_dir_all(&project).expect("writable");
    let url = repositories.url();
    let lines = format!("tagged @ {url}@main\n{url}@v1.2#subdirectory=parts/inner\n");
    write(&project.join("requirements.txt"), &lines);
    write(&project.join("cognix.nix"), "{ bytecode = false; }\n");
    write(
        &project.join("predict.py"),
        "class Predictor:\n    def predict(self) -> str:\n        return ''\n",
    );
    write(
        &project.join("cog.yaml"),
        "build:\n  python_version: \"3.13\"\n  python_requirements: requirements.txt\nrun: predict.py:Predictor\n",
    );
    succeed(repositories.cognix("one").arg("lock").arg(&project));
    let locked = repositories.locked(&project);
    let first = repositories.git(&["rev-parse", "HEAD"]);
    let tag = repositories.git(&["rev-parse", "v1.2"]);
    assert_eq!(locked["tagged"]["url"], format!("{url}@{first}"));
    let inner = format!("{url}@{tag}#subdirectory=parts/inner");
    assert_eq!(locked["inner"]["url"], inner);
    assert_eq!(locked["inner"]["version"], "0.3");
    let version = locked["tagged"]["version"].to_string();
    assert!(version.starts_with("\"1.3.dev1+g"), "{version}");

    let build = |place: &str| {
        let mut command = repositories.cognix(place);
        succeed(command.args(["build", "--locked"]).arg(&project)).stdout
    };
    let digest = build("one");
    let ours = built(&repositories.path("one"), &repositories.path("ours"));
    let theirs = repositories.path("theirs");
    let mut uv = Command::new("uv");
    uv.args(["pip", "install", "--quiet", "--no-cache", "--no-deps"]);
    uv.args(["--link-mode", "copy", "--target"]).arg(&theirs);
    // Line ends are not changed for us; for uv they are not when git is told so.
    uv.env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.attributesFile")
        .env("GIT_CONFIG_VALUE_0", "/dev/null");
    succeed(uv.args(lines.lines()));
    let theirs = without_lists(files(&theirs));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    for (name, bytes) in &ours {
        let is_same = *bytes == theirs[name] || name.ends_with("data.txt");
        assert!(is_same, "{name}: {}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(ours["tagged/data.txt"], b"committed\n");
    assert_eq!(ours["tagged/part/__init__.py"], b"name = 'part'\n");

    // The branch moves, and the lock stays.
    repositories.commit(&[("src/tagged/more.py", "more = 2\n")]);
    repositories.publish();
    succeed(repositories.cognix("one").arg("lock").arg(&project));
    assert_eq!(repositories.locked(&project), locked);
    assert_eq!(build("two"), digest);
    let mut update = repositories.cognix("one");
    succeed(update.args(["lock", "--update", "tagged"]).arg(&project));
    let moved = repositories.locked(&project);
    let second = repositories.git(&["rev-parse", "HEAD"]);
    assert_eq!(moved["tagged"]["url"], format!("{url}@{second}"));
    assert_eq!(moved["inner"], locked["inner"]);

    // The commit goes away: whoever has its files can still build, and nobody else can.
    repositories.git(&["reset", "--quiet", "--hard", "v1.2"]);
    repositories.publish_anew();
    build("one");
    let mut command = repositories.cognix("three");
    let text = fail(command.args(["build", "--locked"]).arg(&project), 69);
    assert!(text.contains("`cognix lock --update PACKAGE`"), "{text}");
}

#[test]
fn what_a_repository_does_not_have_is_named() {
    let repositories = Repositories::new();
    let project = repositories.path("model");
    std::fs::create_dir_all(&project).expect("writable");
    write(&project.join("predict.py"), "class Predictor:\n    pass\n");
    write(
        &project.join("cog.yaml"),
        "build:\n  python_version: \"3.13\"\n  python_requirements: requirements.txt\nrun: predict.py:Predictor\n",
    );
    let url = repositories.url();
    for (line, status, expected) in [
        (
            format!("tagged @ {url}@nothing"),
            65,
            "has no branch, tag or commit \"nothing\"",
        ),
        (
            format!("tagged @ {url}#subdirectory=none"),
            65,
            "in its folder none",
        ),
        (
            format!("other @ {url}"),
            69,
            "it is the source of tagged, expected other",
        ),
        (
            format!("x @ {}", url.replace("repo.git", "none.git")),
            69,
            "cannot be read",
        ),
    ] {
        write(&project.join("requirements.txt"), format!("{line}\n"));
        let mut lock = repositories.cognix("one");
        let text = fail(lock.arg("lock").arg(&project), status);
        assert!(text.contains(expected), "{line}: {text}");
    }
}
