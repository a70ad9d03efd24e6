use super::*;

fn check_refused(line: &str, expected: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (file, text) in [
        ("a-1.0.tar.gz", ""),
        ("other.txt", ""),
        ("pkg/pyproject.toml", ""),
    ] {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    match asked(line, folder.path()) {
        Ok(_) => panic!("{line} was understood"),
        Err(error) => assert!(error.to_string().contains(expected), "{line}: {error}"),
    }
}

#[test]
fn comments_end_lines_as_pip_ends_them() {
    for (line, expected) in [
        ("numpy", "numpy"),
        ("  numpy==1.0  # why", "numpy==1.0"),
        ("# nothing", ""),
        ("", ""),
        (
            "pkg @ https://host.test/a.whl#sha256=00",
            "pkg @ https://host.test/a.whl#sha256=00",
        ),
    ] {
        assert_eq!(line::without_comment(line), expected);
    }
}

#[test]
fn lines_that_cannot_be_provided_are_refused_with_a_way_out() {
    for (line, expected) in [
        ("-r more.txt", "option of pip"),
        ("--extra-index-url https://index.test", "option of pip"),
        (
            "numpy --global-option=x",
            "--global-option=x is not an option",
        ),
        ("numpy==1 --hash=md5:00", "digests are of the kind md5"),
        ("numpy==1 --hash=sha256:00", "not a SHA-256 digest"),
        ("numpy==1 --hash", "not a digest"),
        ("numpy==", "column"),
        ("numpy 1.0", "column"),
        ("git+https://host.test/repo", "write NAME @ before"),
        ("x @ git+file:///srv/repo", "its scheme is file"),
        ("x @ hg+https://host.test/repo", "hg"),
        (
            "x @ git+https://host.test/repo#subdirectory=../y",
            "leads out of the repository",
        ),
        (
            "x @ git+https://host.test/repo@-x",
            "no branch, tag or commit",
        ),
        (
            "x @ git+https://host.test/repo#path=dist/x-1.0-py3-none-any.whl",
            "a file in a repository",
        ),
        ("https://host.test/pkg.tar.gz", "which package"),
        (
            "x @ https://host.test/pkg-1.0.tar.bz2",
            "of a kind that cannot be read",
        ),
        ("./pkg", "which package the folder is cannot be told"),
        ("./missing-1.0-py3-none-any.whl", "no such file"),
        ("../outside-1.0-py3-none-any.whl", "no such file"),
        ("/etc/passwd-1.0-py3-none-any.whl", "no such file"),
        ("x @ ./x-1.0-py3-none-any.whl", "by its path alone"),
        ("x @ file:///x-1.0-py3-none-any.whl", "by its path alone"),
        ("x @ ftp://host.test/x-1.0-py3-none-any.whl", "ftp"),
        (
            "x @ https://host.test/x-1.0-py3-none-any.whl?X-Signature=1",
            "query",
        ),
        (
            "x @ https://${TOKEN}@host.test/x-1.0-py3-none-any.whl",
            "variables",
        ),
    ] {
        check_refused(line, expected);
    }
}

#[test]
fn sec_1_a_password_in_a_line_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = "pkg @ https://user:hunter2@host.test/pkg-1.0-py3-none-any.whl";
    let error = asked(secret, folder.path()).err().expect("a password");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("netrc file") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn lines_name_packages() {
    for (line, expected) in [
        ("Foo_Bar==1.0", Some("foo-bar")),
        ("foo.bar[x]>=1 --hash=sha256:00", Some("foo-bar")),
        ("foo ; python_version < '3'", Some("foo")),
        (
            "foo @ https://host.test/other-1.0-py3-none-any.whl",
            Some("foo"),
        ),
        ("./wheels/My_App-1.0-py3-none-any.whl", Some("my-app")),
        (
            "wheels/app-1.0-py3-none-any.whl ; python_version > '3'",
            Some("app"),
        ),
        ("app-1.0-py3-none-any.whl[fast]", Some("app")),
        (
            "https://host.test/a/app-1.0-py3-none-any.whl#sha256=00",
            Some("app"),
        ),
        ("git+https://host.test/repo", None),
        ("-r more.txt", None),
        ("# nothing", None),
        ("", None),
    ] {
        assert_eq!(requirement_name(line).as_deref(), expected, "{line}");
    }
}

#[test]
fn digests_follow_a_requirement() {
    let digest = "A".repeat(64);
    for line in [
        format!("numpy==1.0 --hash=sha256:{digest}"),
        format!("numpy==1.0   --hash sha256:{digest} --hash=sha512:00"),
    ] {
        let line = Line::parse(&line).expect("a requirement with a digest");
        assert_eq!(line.requirement, "numpy==1.0");
        let digests: Vec<_> = line.sha256.iter().map(ToString::to_string).collect();
        assert_eq!(digests, ["a".repeat(64)]);
    }
}
