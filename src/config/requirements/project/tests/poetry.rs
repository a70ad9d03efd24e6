//! What Poetry's tables mean.

use super::*;

#[test]
fn constraints_are_those_of_poetry() {
    let cases = [
        ("*", ""),
        ("^1.2.3", ">=1.2.3,<2.0.0"),
        ("^1.2", ">=1.2,<2.0"),
        ("^1", ">=1,<2"),
        ("^0.2.3", ">=0.2.3,<0.3.0"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0.0", ">=0.0,<0.1"),
        ("^0", ">=0,<1"),
        ("^0.1", ">=0.1,<0.2"),
        ("^1.2.3b1", ">=1.2.3b1,<2.0.0"),
        ("^2024.1.1", ">=2024.1.1,<2025.0.0"),
        ("~1.2.3", ">=1.2.3,<1.3.0"),
        ("~1.2", ">=1.2,<1.3"),
        ("~1", ">=1,<2"),
        ("~0.3", ">=0.3,<0.4"),
        ("1.2.*", "==1.2.*"),
        ("1.*", "==1.*"),
        ("==1.2.*", "==1.2.*"),
        ("!=1.3.*", "!=1.3.*"),
        ("1.2.3", "==1.2.3"),
        ("==1.2.3", "==1.2.3"),
        ("=1.2.3", "==1.2.3"),
        (">=1.2,<2.0", ">=1.2,<2.0"),
        (">=1.2 <2.0", ">=1.2,<2.0"),
        (">= 1.2, < 2", ">=1.2,<2"),
        (">1", ">1"),
        ("<=2.1", "<=2.1"),
        ("!=1.5", "!=1.5"),
        (">=1,!=1.5,<2", ">=1,!=1.5,<2"),
        ("1.2.3+cu118", "==1.2.3+cu118"),
        ("^1.2.3.4", ">=1.2.3.4,<2.0.0.0"),
        ("~1.2.3.4", ">=1.2.3.4,<1.3.0.0"),
        ("^1.2.3-rc.1", ">=1.2.3rc1,<2.0.0"),
        (">=2.0.0rc1", ">=2.0.0rc1"),
        ("^0.0.0", ">=0.0.0,<0.0.1"),
        ("1!2.0", "==1!2.0"),
        // The same in other words: Poetry prints what no other tool reads, or the same range.
        ("~=1.4.2", "~=1.4.2"),
        ("^1.0 || ^2.0", ">=1.0,<3.0"),
        ("^1.0 | ^2.0", ">=1.0,<3.0"),
        (">=1.5.0,<1.6.0 || >=1.6.0,<2", ">=1.5.0,<2"),
    ];
    for (text, expected) in cases {
        let found = Constraint::parse(text).and_then(|found| found.specifiers());
        assert_eq!(found.expect(text), expected, "{text}");
    }
    for text in [">=1.0,<2.0 || >=3.0", "1.0 || 2.0"] {
        let found = Constraint::parse(text).and_then(|found| found.specifiers());
        assert!(found.is_err(), "{text}");
    }
    for text in ["^", "latest", "^1.x", ">=", "~=1", "1.2.3 4 ~"] {
        assert!(Constraint::parse(text).is_err(), "{text}");
    }
}

/// The same of the markers for `python = "…"`.
#[test]
fn markers_are_those_of_poetry() {
    let cases = [
        ("^3.8", "python_version >= '3.8' and python_version < '4.0'"),
        ("3.9", "python_version == '3.9'"),
        ("3.9.*", "python_version == '3.9'"),
        (">=3.8", "python_version >= '3.8'"),
        (
            ">=3.8,<3.12",
            "python_version >= '3.8' and python_version < '3.12'",
        ),
        (">3.8", "python_full_version > '3.8'"),
        ("<3.11", "python_version < '3.11'"),
        ("<=3.11", "python_full_version <= '3.11'"),
        (
            ">=3.8.1,<4.0",
            "python_full_version >= '3.8.1' and python_version < '4.0'",
        ),
        (
            "^3.8.1",
            "python_full_version >= '3.8.1' and python_full_version < '4.0.0'",
        ),
        ("!=3.9.7", "python_full_version != '3.9.7'"),
        (
            "<3.8 || >=3.10",
            "(python_version < '3.8') or (python_version >= '3.10')",
        ),
    ];
    for (text, expected) in cases {
        let found = Constraint::parse(text).expect(text).python_marker();
        assert_eq!(found.as_deref(), Some(expected), "{text}");
    }
    assert_eq!(Constraint::parse("*").expect("any").python_marker(), None);
    let allows = |text: &str, minor| {
        Constraint::parse(text)
            .expect(text)
            .allows_python((3, minor))
    };
    assert!(allows("^3.8", 11) && !allows("~3.9", 11) && allows("3.11.*", 11));
    assert!(allows(">=3.11.4", 11) && allows("<3.8 || >=3.10", 11) && !allows(">=3.12", 11));
}

#[test]
fn poetrys_dependencies_become_requirements() {
    let text = r#"
[tool.poetry]
name = "model"
version = "1"
[tool.poetry.dependencies]
python = "^3.9"
numpy = "^1.26"
Pillow = {version = "~10.1", extras = ["jpeg"], markers = "sys_platform == 'linux'"}
old = [
  {version = "^1.0", python = "<3.10"},
  {version = "^2.0", python = ">=3.10"},
]
maybe = {version = "*", optional = true}
early = {version = ">=1", allow-prereleases = true}
repo = {git = "git@host.example:org/repo.git", rev = "0123456789012345678901234567890123456789", subdirectory = "x"}
file = {url = "https://host.example/file-1-py3-none-any.whl"}
private = {version = "*", source = "mine"}
[tool.poetry.group.dev.dependencies]
pytest = "*"
[[tool.poetry.source]]
name = "mine"
url = "https://private.example/simple"
priority = "explicit"
"#;
    let found = read(text);
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        texts(&found),
        [
            "numpy>=1.26,<2.0",
            "Pillow[jpeg]>=10.1,<10.2 ; sys_platform == 'linux'",
            "old>=1.0,<2.0 ; python_version < '3.10'",
            "old>=2.0,<3.0 ; python_version >= '3.10'",
            "early>=1,>=0.dev0",
            "repo @ git+ssh://git@host.example/org/repo.git@0123456789012345678901234567890123456789#subdirectory=x",
            "file @ https://host.example/file-1-py3-none-any.whl",
            "private",
        ]
    );
    assert_eq!(found.install.options.indexes[0].name, "mine");
    assert!(
        found.install.options.indexes[0]
            .packages
            .contains("private")
    );
}

#[test]
fn project_wins_over_poetry_and_takes_its_sources() {
    let text = r#"
[project]
name = "model"
version = "1"
dependencies = ["numpy>=1", "repo"]
[tool.poetry.dependencies]
numpy = "^9"
repo = {url = "https://host.example/repo-1-py3-none-any.whl"}
other = "*"
"#;
    let found = read(text);
    assert_eq!(
        texts(&found),
        [
            "numpy>=1",
            "repo @ https://host.example/repo-1-py3-none-any.whl"
        ]
    );
    let dynamic = "[project]\nname = 'm'\nversion = '1'\ndynamic = ['dependencies']\n[tool.poetry.dependencies]\nnumpy = '^1'\n";
    assert_eq!(texts(&read(dynamic)), ["numpy>=1,<2"]);
}
