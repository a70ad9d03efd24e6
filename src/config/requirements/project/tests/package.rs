//! The project itself.

use super::*;

#[test]
fn the_project_itself_is_what_an_editable_install_gives() {
    let text = r#"
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "My.Model"
dynamic = ["version"]
scripts = { train = "my_model.cli:train", "eval" = "my_model.cli:app.run" }
[project.entry-points."my.plugins"]
one = "my_model.one"
[tool.hatch.version]
path = "src/my_model/__init__.py"
[tool.hatch.build.targets.wheel]
packages = ["src/my_model"]
"#;
    let files = [
        ("x/pyproject.toml", text),
        (
            "x/src/my_model/__init__.py",
            "import os\n__version__: str = '1.2.0-rc1'\n",
        ),
    ];
    let found = read_file(&files, "x/pyproject.toml");
    assert_eq!(told(&found), [""; 0]);
    let package = found
        .install
        .project
        .and_then(|project| project.package)
        .expect("a package");
    assert_eq!(
        (package.name.as_str(), package.version.as_str()),
        ("My.Model", "1.2.0rc1")
    );
    assert_eq!(package.import_roots, ["x/src"]);
    assert_eq!(
        package.entry_points,
        "[console_scripts]\neval = my_model.cli:app.run\ntrain = my_model.cli:train\n\n[my.plugins]\none = my_model.one\n"
    );
}

#[test]
fn import_roots_are_those_of_the_backends() {
    let backend = |backend: &str, rest: &str| {
        format!(
            "[project]\nname = 'the-model'\nversion = '1'\n[build-system]\nbuild-backend = '{backend}'\n{rest}"
        )
    };
    let cases = [
        (backend("setuptools.build_meta", ""), "flat/x.py", vec![""]),
        (
            backend("setuptools.build_meta", ""),
            "src/the_model/__init__.py",
            vec!["src"],
        ),
        (
            backend("setuptools.build_meta", ""),
            "the_model/__init__.py",
            vec![""],
        ),
        (
            backend(
                "setuptools.build_meta",
                "[tool.setuptools]\npackage-dir = {'' = 'lib'}\n",
            ),
            "x",
            vec!["lib"],
        ),
        (
            backend(
                "setuptools.build_meta",
                "[tool.setuptools.packages.find]\nwhere = ['a', 'b']\n",
            ),
            "x",
            vec!["a", "b"],
        ),
        (
            backend(
                "poetry.core.masonry.api",
                "[tool.poetry]\npackages = [{include = 'm', from = 'lib'}]\n",
            ),
            "x",
            vec!["lib"],
        ),
        (backend("uv_build", ""), "x", vec!["src"]),
        (
            backend("uv_build", "[tool.uv.build-backend]\nmodule-root = ''\n"),
            "x",
            vec![""],
        ),
        (
            backend("flit_core.buildapi", ""),
            "src/the_model.py",
            vec!["src"],
        ),
    ];
    for (text, file, expected) in cases {
        let found = read_file(&[("pyproject.toml", &text), (file, "")], "pyproject.toml");
        let package = found
            .install
            .project
            .and_then(|project| project.package)
            .expect("a package");
        assert_eq!(package.import_roots, expected, "{text} {file}");
    }
}
