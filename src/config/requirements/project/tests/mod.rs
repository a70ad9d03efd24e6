mod package;
mod poetry;

use super::super::super::position::{Position, Spanned};
use super::super::tests::folder;
use super::super::{Project, Requirements, from_file};
use super::constraint::Constraint;

fn read_file(files: &[(&str, &str)], file: &str) -> Requirements {
    let folder = folder(files);
    let project = Project::new(folder.path()).expect("the project");
    let path = Spanned::new(file.to_owned(), Position::START);
    from_file(&project, &path, "cog.yaml")
}

fn read(text: &str) -> Requirements {
    read_file(&[("pyproject.toml", text)], "pyproject.toml")
}

fn texts(found: &Requirements) -> Vec<&str> {
    let lines = found.install.requirements.iter();
    lines.map(|line| line.text.as_str()).collect()
}

/// Errors, refusals and warnings, each after a word.
fn told(found: &Requirements) -> Vec<String> {
    let of = |word: &'static str, findings: &[super::Finding]| -> Vec<String> {
        findings
            .iter()
            .map(|finding| format!("{word} {finding}"))
            .collect()
    };
    [
        of("error", &found.errors),
        of("refused", &found.refusals),
        of("warning", &found.warnings),
    ]
    .concat()
}

/// What poetry-core 2.5.0 prints for each (`Dependency.to_pep_508`).
#[test]
fn a_project_is_read_with_the_sources_that_uv_has_for_it() {
    let text = r#"
[project]
name = "My_Model"
version = "1.0"
requires-python = ">=3.10"
dependencies = [
  "numpy>=1.26,<3",
  "torch==2.4.1",
  "Foo[fast]~=1.0 ; python_version < '3.14'",
  "bar>2",
  "mine",
  "my-model[extra]",
]
[project.optional-dependencies]
extra = ["tqdm"]
dev = ["pytest"]

[tool.uv]
constraint-dependencies = ["scipy<2"]
override-dependencies = ["pillow==10.0.0"]
no-binary-package = ["Foo"]
prerelease = "allow"

[tool.uv.sources]
torch = [
  { index = "pytorch-cpu", marker = "sys_platform == 'darwin'" },
  { index = "pytorch", marker = "sys_platform == 'linux'" },
]
foo = { index = "private" }
bar = { url = "https://host.example/bar-3.0-py3-none-any.whl" }
mine = { path = "packages/mine", editable = true }

[[tool.uv.index]]
name = "pytorch"
url = "https://torch.example/whl/cu124"
explicit = true
[[tool.uv.index]]
name = "pytorch-cpu"
url = "https://torch.example/whl/cpu"
explicit = true
[[tool.uv.index]]
name = "private"
url = "https://me:hunter2@private.example/simple"
explicit = true
"#;
    let found = read_file(
        &[
            ("pyproject.toml", text),
            ("packages/mine/pyproject.toml", "[project]\nname = 'mine'\n"),
        ],
        "pyproject.toml",
    );
    assert_eq!(told(&found), [""; 0]);
    assert_eq!(
        texts(&found),
        [
            "numpy>=1.26,<3",
            "torch==2.4.1 ; sys_platform == 'linux'",
            "foo[fast]~=1.0 ; python_full_version < '3.14'",
            "bar @ https://host.example/bar-3.0-py3-none-any.whl",
            "mine @ ./packages/mine",
            "tqdm",
        ]
    );
    let line = &found.install.requirements[2];
    assert_eq!(
        (line.file.as_str(), line.line, line.column),
        ("pyproject.toml", 9, 3)
    );
    let install = &found.install;
    assert_eq!(install.constraints[0].text, "scipy<2");
    assert_eq!(install.overrides[0].text, "pillow==10.0.0");
    assert!(install.options.prerelease && install.options.no_binary.contains("foo"));
    assert_eq!(
        install.options.extra_indexes,
        ["https://torch.example/whl/cu124"]
    );
    let index = &install.options.indexes[0];
    assert_eq!(
        (index.name.as_str(), index.url.as_str()),
        ("private", "https://private.example/simple")
    );
    assert!(!format!("{found:?}").contains("hunter2"));
}

#[test]
fn dynamic_dependencies_of_setuptools_stand_in_files() {
    let text = "[project]\nname = 'm'\nversion = '1'\ndynamic = ['dependencies']\n\
                [tool.setuptools.dynamic]\ndependencies = {file = ['requirements.txt']}\n";
    let found = read_file(
        &[("pyproject.toml", text), ("requirements.txt", "numpy\n")],
        "pyproject.toml",
    );
    assert_eq!(texts(&found), ["numpy"]);
    assert_eq!(found.install.requirements[0].file, "requirements.txt");
    let text = "[project]\nname = 'm'\ndynamic = ['version', 'dependencies']\n\
                [build-system]\nbuild-backend = 'hatchling.build'\n";
    let found = read(text);
    assert_eq!(
        told(&found)[0],
        "refused pyproject.toml:3:11: project.dynamic: the project's dependencies are dynamic, and how hatchling.build \
         computes them is not known here"
    );
}

#[test]
fn what_cannot_be_honoured_is_named_with_its_place() {
    let cases = [
        (
            "[tool.black]\nx = 1\n",
            "error pyproject.toml:1:1: there is neither a [project] table nor one of Poetry ([tool.poetry])",
        ),
        (
            "[project]\nname = 1 2\n",
            "error pyproject.toml:2:8: failed to parse: invalid TOML: ",
        ),
        (
            "[project]\nname = 'm'\ndependencies = 'numpy'\n",
            "error pyproject.toml:3:16: project.dependencies: must be a list, found a text",
        ),
        (
            "[project]\nname = 'm'\ndependencies = ['numpy>=', 'a']\n",
            "refused pyproject.toml:3:17: \"numpy>=\" is no requirement: ",
        ),
        (
            "[tool.uv]\nresolution = 'lowest'\n[project]\nname = 'm'\n",
            "refused pyproject.toml:2:14: tool.uv.resolution: resolution = \"lowest\" cannot be honoured",
        ),
        (
            "[project]\nname = 'm'\ndependencies = ['a']\n[tool.uv.sources]\na = {index = 'x'}\n",
            "error pyproject.toml:5:14: tool.uv.sources.a.index: there is no index \"x\" in this file",
        ),
        (
            "[project]\nname = 'm'\ndependencies = ['a']\n[tool.uv.sources]\na = {workspace = true}\n",
            "error pyproject.toml:5:18: tool.uv.sources.a.workspace: the workspace has no member \"a\"",
        ),
        (
            "[tool.poetry]\nname = 'm'\n[tool.poetry.dependencies]\na = 'newest'\n",
            "error pyproject.toml:4:5: tool.poetry.dependencies.a: \"newest\" is no version constraint: ",
        ),
        (
            "[tool.poetry]\nname = 'm'\n[tool.poetry.dependencies]\na = '^1 || ^3'\n",
            "refused pyproject.toml:4:5: tool.poetry.dependencies.a: \"^1 || ^3\" allows versions that no list of PEP 440 describes",
        ),
        (
            "[project]\nname = 'm'\n[project.scripts]\na = 'm:f'\n",
            "warning pyproject.toml:3:10: project.scripts: the project's entry points are left out",
        ),
    ];
    for (text, expected) in cases {
        let told = told(&read(text));
        assert!(
            told.iter().any(|one| one.starts_with(expected)),
            "{text}\n{told:#?}"
        );
    }
}

#[test]
fn a_lock_is_found_beside_the_project() {
    let pyproject = (
        "pyproject.toml",
        "[project]\nname = 'm'\ndependencies = ['numpy']\n",
    );
    let lock = |files: &[(&str, &str)], file: &str| {
        let found = read_file(files, file);
        assert_eq!(told(&found), [""; 0]);
        (
            texts(&found).join(" "),
            found.install.project.expect("a project").lock,
        )
    };
    let numpy = || "numpy".to_owned();
    assert_eq!(lock(&[pyproject], "pyproject.toml"), (numpy(), None));
    let both = [pyproject, ("uv.lock", ""), ("poetry.lock", "")];
    assert_eq!(
        lock(&both, "pyproject.toml"),
        (numpy(), Some("uv.lock".to_owned()))
    );
    assert_eq!(
        lock(&both, "poetry.lock"),
        (numpy(), Some("poetry.lock".to_owned()))
    );
    let below = [("a/pyproject.toml", pyproject.1), ("a/uv.lock", "")];
    assert_eq!(
        lock(&below, "a/pyproject.toml"),
        (numpy(), Some("a/uv.lock".to_owned()))
    );
    let pylock = "lock-version = '1.0'\nrequires-python = '>=3.8'\n[[packages]]\nname = 'a'\nversion = '1.0'\nmarker = \"sys_platform == 'linux'\"\n\
                  [[packages]]\nname = 'm'\ndirectory = {path = '.', editable = true}\n\
                  [[packages]]\nname = 'r'\nversion = '1'\nvcs = {type = 'git', url = 'https://host.example/r', commit-id = '0123456789012345678901234567890123456789'}\n";
    let found = read_file(&[("pylock.gpu.toml", pylock)], "pylock.gpu.toml");
    assert_eq!(
        texts(&found),
        [
            "a==1.0 ; sys_platform == 'linux'",
            "r @ git+https://host.example/r@0123456789012345678901234567890123456789"
        ]
    );
    let alone = read_file(&[("uv.lock", "")], "uv.lock");
    assert_eq!(
        told(&alone),
        [
            "error cog.yaml:1:1: build.python_requirements: uv.lock needs the pyproject.toml beside it, and there is none"
        ]
    );
}

#[test]
fn a_requirements_file_may_name_a_project() {
    let pyproject = "[project]\nname = 'm'\ndependencies = ['numpy']\n";
    let files = [
        ("r.txt", "tqdm\n-r a/pyproject.toml\n"),
        ("a/pyproject.toml", pyproject),
        ("a/uv.lock", ""),
    ];
    let found = read_file(&files, "r.txt");
    assert_eq!(told(&found), [""; 0]);
    assert_eq!(texts(&found), ["tqdm", "numpy"]);
    assert_eq!(
        found
            .install
            .project
            .and_then(|project| project.lock)
            .as_deref(),
        Some("a/uv.lock")
    );
    let found = read_file(&[("r.txt", "-r pyproject.toml\n")], "r.txt");
    assert_eq!(
        told(&found),
        ["error r.txt:1:1: file does not exist: \"pyproject.toml\""]
    );
}

#[test]
fn members_of_a_workspace_are_folders() {
    let text = "[project]\nname = 'm'\ndependencies = ['one', 'm-two>=1', 'm']\n\
                [tool.uv.sources]\none = {workspace = true}\nm-two = {workspace = true}\n\
                [tool.uv.workspace]\nmembers = ['packages/*']\n";
    let files = [
        ("pyproject.toml", text),
        ("packages/a/pyproject.toml", "[project]\nname = 'one'\n"),
        ("packages/b/pyproject.toml", "[project]\nname = 'M_two'\n"),
    ];
    let found = read_file(&files, "pyproject.toml");
    assert_eq!(told(&found), [""; 0]);
    assert_eq!(
        texts(&found),
        ["one @ ./packages/a", "m-two @ ./packages/b"]
    );
}

#[test]
fn packages_of_the_project_come_from_where_their_own_files_say() {
    let text = "[project]\nname = 'm'\ndependencies = ['one']\n\
                [tool.uv.sources]\none = {workspace = true}\n[tool.uv.workspace]\nmembers = ['packages/*']\n";
    let one = "[project]\nname = 'one'\ndependencies = ['two>=1', 'm', 'three', 'numpy']\n\
               [tool.uv.sources]\ntwo = {workspace = true}\nm = {workspace = true}\nthree = {path = '../../three'}\n";
    let two = "[project]\nname = 'two'\ndependencies = ['one']\n[tool.uv.sources]\none = {workspace = true}\n";
    let files = [
        ("pyproject.toml", text),
        ("packages/a/pyproject.toml", one),
        ("packages/b/pyproject.toml", two),
        ("three/pyproject.toml", "[project]\nname = 'three'\n"),
    ];
    let found = read_file(&files, "pyproject.toml");
    assert_eq!(told(&found), [""; 0]);
    assert_eq!(
        texts(&found),
        [
            "one @ ./packages/a",
            "two @ ./packages/b",
            "three @ ./three"
        ]
    );
    let line = &found.install.requirements[2];
    assert_eq!(
        (line.file.as_str(), line.line),
        ("packages/a/pyproject.toml", 3)
    );
}
