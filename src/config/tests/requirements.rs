//! Requirement lines: what stays, what goes, and what kind each is.

use super::super::requirements::{RequirementKind, lines, normalise};

fn check(text: &str, expected: &[(u32, &str)]) {
    let found = lines(text, "requirements.txt");
    let found: Vec<(u32, &str)> = found
        .iter()
        .map(|line| (line.line, line.text.as_str()))
        .collect();
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn lines_keep_what_means_something() {
    check(
        "numpy==1.26\n\n# a comment\n  pandas  # why\n",
        &[(1, "numpy==1.26"), (4, "pandas")],
    );
    check("numpy\r\npandas\r\n", &[(1, "numpy"), (2, "pandas")]);
    check("\u{feff}numpy\n", &[(1, "numpy")]);
    check("-e .\n-e ./other\n", &[(2, "-e ./other")]);
    check(
        "x @ git+https://host.example/r.git#egg=r\n",
        &[(1, "x @ git+https://host.example/r.git#egg=r")],
    );
    check(
        "x @ git+https://host.example/r.git#egg=r # why\n",
        &[(1, "x @ git+https://host.example/r.git#egg=r")],
    );
    check(
        "a==1 ; python_version < '3.12'\n",
        &[(1, "a==1 ; python_version < '3.12'")],
    );
    check("ruamel.yaml==0.18.6\n", &[(1, "ruamel.yaml==0.18.6")]);
    check("a==1 --hash=sha256:00\n", &[(1, "a==1 --hash=sha256:00")]);
    check("", &[]);
}

#[test]
fn continued_lines_are_one() {
    check(
        "a==1 \\\n  --hash=sha256:00 \\\n  --hash=sha256:11\nb\n",
        &[(1, "a==1   --hash=sha256:00   --hash=sha256:11"), (4, "b")],
    );
    check("a==\\\n1\n", &[(1, "a==1")]);
    check("a \\\r\n >=2\r\n", &[(1, "a  >=2")]);
    check("a \\\n# a comment\nb\n", &[(1, "a"), (3, "b")]);
    check("# a comment \\\na\n", &[(2, "a")]);
    check("a \\", &[(1, "a")]);
}

#[test]
fn kinds() {
    use RequirementKind as Kind;
    let cases = [
        ("numpy", Kind::Package),
        (
            "numpy[extra]==1.26 ; python_version < '3.12'",
            Kind::Package,
        ),
        ("numpy>=1,<2", Kind::Package),
        ("a==1 --hash=sha256:00", Kind::HashedPackage),
        ("a @ https://host.example/a-1.whl", Kind::Url),
        ("a[x]@https://host.example/a.tar.gz", Kind::Url),
        ("https://host.example/a-1-py3-none-any.whl", Kind::Url),
        ("git+https://host.example/r.git@main", Kind::Repository),
        ("a @ git+ssh://git@host.example/r.git", Kind::Repository),
        ("./wheels/a-1-py3-none-any.whl", Kind::LocalFile),
        ("../a", Kind::LocalFile),
        ("/opt/a.zip", Kind::LocalFile),
        ("a-1-py3-none-any.WHL", Kind::LocalFile),
        ("a-1.tar.gz", Kind::LocalFile),
        ("file:///opt/a.whl", Kind::LocalFile),
        ("a @ file:///opt/a.whl", Kind::LocalFile),
        ("a @ ./a.whl", Kind::LocalFile),
        (".", Kind::LocalFile),
        ("-e ./other", Kind::Editable),
        ("--editable=./other", Kind::Editable),
        ("-r other.txt", Kind::Include),
        ("-rother.txt", Kind::Include),
        ("--requirement other.txt", Kind::Include),
        ("-c limits.txt", Kind::Include),
        ("--constraint=limits.txt", Kind::Include),
        (
            "--extra-index-url https://host.example/simple",
            Kind::Option,
        ),
        ("-i https://host.example/simple", Kind::Option),
        ("--pre", Kind::Option),
        ("--require-hashes", Kind::Option),
        ("a @ https://${TOKEN}@host.example/a.whl", Kind::Variable),
    ];
    for (text, expected) in cases {
        assert_eq!(lines(text, "r.txt")[0].kind(), expected, "{text}");
    }
}

#[test]
fn names_and_versions() {
    let cases = [
        ("torch==2.4.1", Some("torch"), Some("2.4.1")),
        ("Torch[opt] == 2.4.1", Some("torch"), Some("2.4.1")),
        ("torch>=2.4,<3", Some("torch"), Some("2.4")),
        ("torch===2.4.0+cu118", Some("torch"), Some("2.4.0+cu118")),
        (
            "torch~=2.4 ; sys_platform == 'linux'",
            Some("torch"),
            Some("2.4"),
        ),
        ("torch ; python_version > '3.1'", Some("torch"), None),
        ("torch", Some("torch"), None),
        (
            "torch @ https://host.example/torch.whl",
            Some("torch"),
            None,
        ),
        ("ruamel.yaml==0.18.6", Some("ruamel-yaml"), Some("0.18.6")),
        ("--pre", None, None),
        ("https://host.example/a.whl", None, None),
        ("./torch==1.whl", None, None),
    ];
    for (text, package, version) in cases {
        let line = &lines(text, "r.txt")[0];
        assert_eq!(
            (line.package().as_deref(), line.version().as_deref()),
            (package, version),
            "{text}"
        );
    }
}

#[test]
fn names_have_one_spelling() {
    for name in ["Ruamel.YAML", "ruamel_yaml", "ruamel-yaml", "ruamel-_.yaml"] {
        assert_eq!(normalise(name), "ruamel-yaml");
    }
}
