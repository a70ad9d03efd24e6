use std::path::PathBuf;
use std::process::Command;

use super::*;

/// A repository, and a folder that git is told to look for repositories of a host in.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        case.git("repo", &["init", "--quiet", "--initial-branch=main", "."]);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, folder: &str, arguments: &[&str]) -> String {
        let folder = self.path(folder);
        std::fs::create_dir_all(&folder).expect("writable");
        let output = Command::new("git")
            .args(["-c", "user.name=A", "-c", "user.email=a@host.test"])
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_DATE", "2024-01-02T03:04:05Z")
            .env("GIT_COMMITTER_DATE", "2024-01-02T03:04:05Z")
            .output()
            .expect("git is there");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text
    }

    fn commit(&self, folder: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.path(folder).join(name);
            std::fs::create_dir_all(path.parent().expect("below")).expect("writable");
            std::fs::write(path, text).expect("writable");
        }
        self.git(folder, &["add", "--all"]);
        self.git(folder, &["commit", "--quiet", "--message", "more"]);
        self.git(folder, &["rev-parse", "HEAD"])
    }

    /// The digest of the archive of a folder, as a store has it.
    fn digest(&self, folder: &str) -> Sha256 {
        let (sha256, _) = cognix_store::nar::hash(&self.path(folder)).expect("readable");
        sha256
    }

    /// The address of a repository on this machine, which only these tests may ask.
    fn address(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }
}

#[tokio::test]
async fn a_tree_is_what_was_committed_whatever_git_would_check_out() {
    let case = Case::new();
    let files = [
        ("a.txt", "line\n"),
        ("b/run.sh", "#!/bin/sh\n"),
        ("b-c", "sorted before b/\n"),
        (
            ".gitattributes",
            "*.txt eol=crlf\nx export-ignore\nv export-subst\n",
        ),
        ("x", "kept\n"),
        ("v", "$Format:%H$\n"),
    ];
    let repo = case.path("repo");
    std::fs::create_dir_all(repo.join("b")).expect("writable");
    std::os::unix::fs::symlink("../../outside", repo.join("b/link")).expect("writable");
    std::fs::write(repo.join("b/run.sh"), "").expect("writable");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(repo.join("b/run.sh"), executable).expect("ours");
    let commit = case.commit("repo", &files);
    let git = Git::new(&case.path("cache"), false);
    let address = case.address("repo");
    let (tree, archive) = git.tree(&address, &commit).await.expect("a tree");
    std::fs::remove_dir_all(repo.join(".git")).expect("ours");
    assert_eq!(tree.sha256, case.digest("repo"));
    assert_eq!(tree.pointer, None);
    let wanted = ["b/run.sh", "x", "missing", "b/link"].map(str::to_owned);
    let found = read_files(&archive, &wanted).expect("readable");
    let texts: Vec<_> = found.iter().map(Option::as_deref).collect();
    let expected: [Option<&[u8]>; 4] = [Some(b"#!/bin/sh\n"), Some(b"kept\n"), None, None];
    assert_eq!(texts, expected);
    // The repository is gone, and the cache has the tree.
    let offline = Git::new(&case.path("cache"), true);
    let (again, _) = offline.tree(&address, &commit).await.expect("it is kept");
    assert_eq!(again, tree);
}

#[tokio::test]
async fn references_are_branches_tags_and_beginnings_of_commits() {
    let case = Case::new();
    let first = case.commit("repo", &[("a", "1")]);
    case.git("repo", &["tag", "--annotate", "v1.0", "--message", "one"]);
    case.git("repo", &["branch", "same", "HEAD"]);
    let second = case.commit("repo", &[("a", "2")]);
    case.git("repo", &["tag", "same"]);
    let git = Git::new(&case.path("cache"), false);
    let address = case.address("repo");
    for (reference, expected) in [
        (None, &second),
        (Some("main"), &second),
        (Some("v1.0"), &first),
        (Some("refs/tags/v1.0"), &first),
        // A branch comes before a tag.
        (Some("same"), &first),
        (Some("refs/tags/same"), &second),
        (Some(&first[..9]), &first),
        (Some(first.as_str()), &first),
    ] {
        let found = git.commit(&address, reference).await;
        assert_eq!(found.expect("it is there"), *expected, "{reference:?}");
    }
    for reference in ["nothing", "v1.*", "0123456"] {
        let error = git.commit(&address, Some(reference)).await;
        let text = error.expect_err("it is not there").to_string();
        assert!(text.contains("has no branch, tag or commit"), "{text}");
    }
    let gone = "0123456789012345678901234567890123456789";
    let text = git
        .tree(&address, gone)
        .await
        .expect_err("gone")
        .to_string();
    assert!(text.contains("is not in the repository"), "{text}");
    let text = git.commit(&case.address("none"), None).await;
    let text = text.expect_err("nobody is there").to_string();
    assert!(text.contains("cannot be read"), "{text}");
}

#[tokio::test]
async fn histories_say_where_a_commit_is() {
    let case = Case::new();
    let untagged = case.commit("repo", &[("a", "0")]);
    let tagged = case.commit("repo", &[("a", "1")]);
    case.git("repo", &["tag", "v1.0"]);
    let later = case.commit("repo", &[("a", "2")]);
    case.git("repo", &["tag", "latest"]);
    let git = Git::new(&case.path("cache"), false);
    for (commit, expected) in [
        (&untagged, None),
        (&tagged, Some(format!("v1.0-0-g{}", &tagged[..9]))),
        (&later, Some(format!("v1.0-1-g{}", &later[..9]))),
    ] {
        let history = git.history(&case.address("repo"), commit).await;
        let history = history.expect("it is there");
        assert_eq!(history.describe, expected);
        assert_eq!(history.date, "2024-01-02T03:04:05+00:00");
    }
}

#[tokio::test]
async fn lfs_pointers_are_seen_and_submodules_need_an_address() {
    let case = Case::new();
    let pointer = "version https://git-lfs.example/spec/v1\noid sha256:00\nsize 1\n";
    let commit = case.commit("repo", &[("m/weights.bin", pointer)]);
    let git = Git::new(&case.path("cache"), false);
    let (tree, _) = git
        .tree(&case.address("repo"), &commit)
        .await
        .expect("a tree");
    assert_eq!(tree.pointer.as_deref(), Some("m/weights.bin"));

    let entry = format!("160000,{commit},inner");
    case.git("repo", &["update-index", "--add", "--cacheinfo", &entry]);
    case.git("repo", &["commit", "--quiet", "--message", "a submodule"]);
    let commit = case.git("repo", &["rev-parse", "HEAD"]);
    let error = git.tree(&case.address("repo"), &commit).await;
    let text = error.expect_err("no address").to_string();
    assert!(text.contains("inner is a submodule"), "{text}");
    let modules = "[submodule \"x\"]\n\tpath = inner\n\turl = file:///etc\n";
    let path = case.path("repo/.gitmodules");
    std::fs::write(path, modules).expect("writable");
    case.git("repo", &["add", ".gitmodules"]);
    case.git("repo", &["commit", "--quiet", "--message", "its address"]);
    let commit = case.git("repo", &["rev-parse", "HEAD"]);
    let error = git.tree(&case.address("repo"), &commit).await;
    let text = error.expect_err("not of another machine").to_string();
    assert!(text.contains("its scheme is file"), "{text}");
}

#[test]
fn addresses_of_trees() {
    let commit = "0123456789012345678901234567890123456789";
    for (text, name) in [
        (
            format!("git+https://h.test/a/Repo.git@{commit}"),
            "Repo-012345678901",
        ),
        (
            format!("git+ssh://git@h.test/a/b@{commit}#subdirectory=x/y"),
            "b-012345678901",
        ),
    ] {
        let address = GitAddress::parse(&text).expect("one").expect("sound");
        assert_eq!(address.to_string(), text);
        assert_eq!(address.file_name(), name);
    }
    assert_eq!(GitAddress::parse("https://h.test/a"), None);
    for text in [
        "git+https://h.test/a@main".to_owned(),
        format!("git+file:///a@{commit}"),
        format!("git+https://h.test/a@{commit}#egg=x"),
        format!("git+https://h.test/a@{commit}#subdirectory=../x"),
    ] {
        assert!(GitAddress::parse(&text).expect("one").is_err(), "{text}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_git_that_nobody_waits_for() {
    // A server that never says anything.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let url = format!("http://{address}/stalled.git");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let git = Git::new(folder.path(), false);
    let asked = git.commit(&url, None);
    let waited = tokio::time::timeout(std::time::Duration::from_secs(2), asked).await;
    assert!(waited.is_err(), "{waited:?}");
    let running = || {
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines
            .filter(|line| memchr::memmem::find(line, url.as_bytes()).is_some())
            .count()
    };
    for _ in 0..100 {
        if running() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{} processes are left", running());
}
