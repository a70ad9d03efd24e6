//! What the tables of `tests/configurations` cannot say: depths, links, and texts that nobody writes on purpose.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::position::{Position, Spanned};
use super::kind::{self, normalise};
use super::option::{self, PipOption};
use super::{Project, RequirementReason, Requirements, from_file, from_list};

fn read(folder: &Path) -> Requirements {
    let project = Project::new(folder).expect("the project");
    let path = Spanned::new("r.txt".to_owned(), Position::START);
    from_file(&project, &path, "cog.yaml")
}

pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn texts(found: &Requirements) -> Vec<&str> {
    let lines = found.install.requirements.iter();
    lines.map(|line| line.text.as_str()).collect()
}

#[test]
fn files_nest_to_a_bound() {
    let folder = TempDir::new().expect("a temporary folder");
    let write = |depth: usize| {
        for level in 0..depth {
            let name = if level == 0 {
                "r.txt".to_owned()
            } else {
                format!("{level}.txt")
            };
            let text = match level + 1 == depth {
                true => "numpy\n".to_owned(),
                false => format!("-r {}.txt\n", level + 1),
            };
            fs::write(folder.path().join(name), text).expect("a file");
        }
    };
    write(32);
    assert_eq!(texts(&read(folder.path())), ["numpy"]);
    write(33);
    let found = read(folder.path());
    let told: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["31.txt:1:1: requirements files include each other more than 32 levels deep"]
    );
}

#[test]
fn yaml_3_links_stay_in_the_project() {
    let folder = folder(&[
        ("project/r.txt", "./x-1-py3-none-any.whl\n-r l.txt\n"),
        ("x.whl", ""),
        ("l.txt", ""),
    ]);
    let project = folder.path().join("project");
    symlink("../x.whl", project.join("x-1-py3-none-any.whl")).expect("a link");
    symlink("../l.txt", project.join("l.txt")).expect("a link");
    let found = read(&project);
    assert_eq!(found.refusals.len(), 1, "a wheel");
    assert_eq!(found.errors.len(), 1, "a file");
    let inside = "x-1-py3-none-any.whl";
    fs::write(project.join("inside.bin"), "").expect("a file");
    fs::remove_file(project.join(inside)).expect("the link is gone");
    symlink("inside.bin", project.join(inside)).expect("a link");
    fs::write(project.join("r.txt"), format!("./{inside}\n")).expect("a file");
    let found = read(&project);
    assert_eq!(
        texts(&found),
        [format!("./{inside}")],
        "a wheel keeps its own name"
    );
    assert!(found.refusals.is_empty());
}

#[test]
fn an_absolute_path_in_the_project_is_a_path_of_the_project() {
    let folder = folder(&[("w/x-1-py3-none-any.whl", ""), ("pkg/a.py", "")]);
    let root = fs::canonicalize(folder.path()).expect("the project");
    let text = format!(
        "{0}/w/x-1-py3-none-any.whl\nfile://{0}/w/x-1-py3-none-any.whl\n-f {0}/w\n",
        root.display()
    );
    fs::write(root.join("r.txt"), text).expect("a file");
    let found = read(&root);
    let path = "./w/x-1-py3-none-any.whl";
    assert_eq!(texts(&found), [path, path]);
    assert_eq!(found.install.options.find_links, ["./w"]);
    let names: Vec<_> = found
        .install
        .requirements
        .iter()
        .map(|line| line.name.clone())
        .collect();
    assert_eq!(names, [Some("x".to_owned()), Some("x".to_owned())]);
}

#[test]
fn a_wheel_of_the_project_is_named_by_its_path() {
    let text =
        "x[fast] @ ./x-1-py3-none-any.whl ; python_version < '4'\ny @ ./x-1-py3-none-any.whl\n";
    let found = read(folder(&[("r.txt", text), ("x-1-py3-none-any.whl", "")]).path());
    assert_eq!(
        texts(&found),
        ["./x-1-py3-none-any.whl[fast] ; python_version < '4'"]
    );
    assert_eq!(found.refusals.len(), 1, "another package's wheel");
}

#[test]
fn yaml_1_files_of_requirements_are_bounded_text() {
    let folder = folder(&[("r.txt", "-r big.txt\n-r latin.txt\n")]);
    fs::write(
        folder.path().join("big.txt"),
        vec![b'#'; super::MAX_BYTES + 1],
    )
    .expect("a file");
    fs::write(folder.path().join("latin.txt"), b"numpy\n# \xe9\n").expect("a file");
    let told: Vec<String> = read(folder.path())
        .errors
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "big.txt: the file has more than 16777216 bytes",
            "latin.txt:2:3: failed to parse: the text is not UTF-8 from this place on"
        ]
    );
}

#[test]
fn sec_2_no_credentials_reach_what_is_printed() {
    let text = "--extra-index-url https://me:hunter2@host.example/simple\n\
                -i https://hunter2@host.example/simple --bad https://me:hunter2@host.example\n\
                a @ https://me:hunter2@host.example/a-1.tar.gz?sig=hunter2\n\
                nonsense https://me:hunter2@host.example\n\
                a @ ftp://me:hunter2@host.example/a\n-r https://me:hunter2@host.example/r.txt\n\
                ${A} https://me:hunter2@host.example\n";
    let found = read(folder(&[("r.txt", text)]).path());
    let shown = format!("{found:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(found.warnings.len(), 7);
}

#[test]
fn options_are_told_apart() {
    let one = |name, value: &str| {
        vec![PipOption {
            name,
            value: value.to_owned(),
        }]
    };
    let cases = [
        ("-r other.txt", one("--requirement", "other.txt")),
        ("-rother.txt", one("--requirement", "other.txt")),
        ("--requirement=other.txt", one("--requirement", "other.txt")),
        ("-f 'a b'", one("--find-links", "a b")),
        ("--find-links=\"a b\"", one("--find-links", "a b")),
        (
            "-i=https://host.example",
            one("--index-url", "https://host.example"),
        ),
        ("--pre", one("--pre", "")),
    ];
    for (text, expected) in cases {
        assert_eq!(option::parse(text).expect(text), expected, "{text}");
    }
    for text in [
        "--pre=1",
        "--no-such",
        "-z",
        "--index-url",
        "--index-url=",
        "word",
    ] {
        assert!(option::parse(text).is_err(), "{text}");
    }
    assert_eq!(
        option::split("a ; b == '-x' --hash=c -d"),
        ("a ; b == '-x'", "--hash=c -d")
    );
    assert_eq!(option::split("a-b==1"), ("a-b==1", ""));
}

#[test]
fn names_have_one_spelling() {
    for name in ["Ruamel.YAML", "ruamel_yaml", "ruamel-yaml", "ruamel-_.yaml"] {
        assert_eq!(normalise(name), "ruamel-yaml");
    }
    for (target, expected) in [
        ("git+https://host.example/r@v1#egg=My_R[x]", Some("my-r")),
        ("git+https://host.example/r#subdirectory=a&egg=r", Some("r")),
        ("git+https://host.example/r", None),
        ("https://host.example/r.zip#egg=r", None),
    ] {
        assert_eq!(kind::pointer_name(None, target).as_deref(), expected);
    }
}

#[test]
fn every_reason_with_a_way_out_names_it() {
    let found = "hg+https://".to_owned();
    let reason = RequirementReason::Repository { found };
    let hint = reason.hint().expect("there is a way out");
    assert!(hint.contains("python -m build --sdist"), "{hint}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// ALL-1: whatever the lines are, there is an answer, and none of them shows a password.
    #[test]
    fn all_1_any_requirements_are_answered(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "numpy", "==", "1.0", " ", "\n", "-r ", "-e ", "--hash=", "sha256:00", ";", "@ ", "https://u:hunter2@h",
                "#", "\\\n", "[", "]", ".whl", "./", "..", "--", "-", "=", "'", "\"", "${A}", "ä", "file:", "git+", ",",
                "?token=hunter2", "/", "\u{feff}", "--extra-index-url ", "cog",
            ]),
            0..30,
        )
    ) {
        let folder = TempDir::new().expect("a temporary folder");
        let project = Project::new(folder.path()).expect("the project");
        let text = Spanned::new(words.concat(), Position::START);
        let found = from_list(&project, std::slice::from_ref(&text), "cog.yaml");
        let shown = format!("{:?}", found.install);
        prop_assert!(!shown.contains("u:hunter2@"), "{}", shown);
    }
}
