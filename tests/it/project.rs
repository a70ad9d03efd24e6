//! A project's own files as the source of requirements: `pyproject.toml`, the locks beside it, and its entry points.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::world::wheels::{self, Wheel};
use crate::world::{World, fail, json, succeed, write};

const PYPROJECT: &str = r#"
[project]
name = "the.model"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["alpha>=1"]
scripts = { greet = "the_model:greet" }

[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
"#;

/// A project whose requirements are in `file`.
fn project(world: &World, file: &str, files: &[(&str, &str)]) -> PathBuf {
    let project = world.project("model", "");
    std::fs::remove_file(project.join("requirements.txt")).expect("our own");
    let cog_yaml = format!(
        "build:\n  python_version: \"3.11\"\n  python_requirements: {file}\nrun: predict.py:Predictor\n"
    );
    write(&project.join("cog.yaml"), cog_yaml);
    for (name, text) in files {
        write(&project.join(name), text);
    }
    project
}

fn command(world: &World, name: &str, project: &Path, arguments: &[&str]) -> Command {
    let mut command = world.cognix("store");
    command.arg(name).arg(project).args(arguments);
    command
}

/// Two versions of each package; the newer ones are taken unless something holds them.
fn publish(world: &World) -> [Wheel; 2] {
    let alpha = Wheel::new("alpha", "1.0").requires("beta");
    let beta = Wheel::new("beta", "2.0");
    let wheels = [
        Wheel::new("cog", "0.16.8")
            .requires("coglet>=0.1")
            .file("cog/server/__init__.py", ""),
        Wheel::new("coglet", "0.1.0"),
        alpha.clone(),
        Wheel::new("alpha", "1.1").requires("beta"),
        beta.clone(),
        Wheel::new("beta", "2.1"),
    ];
    wheels::publish(&world.server, &wheels);
    [alpha, beta]
}

fn hash(wheel: &Wheel) -> String {
    cognix_derivations::Sha256::of(&wheel.to_bytes()).to_string()
}

fn uv_lock([alpha, beta]: &[Wheel; 2]) -> String {
    let file = |wheel: &Wheel| {
        format!(
            "wheels = [{{ url = \"https://host.example/{}\", hash = \"sha256:{}\" }}]\n",
            wheel.file_name(),
            hash(wheel)
        )
    };
    format!(
        "version = 1\nrevision = 3\nrequires-python = \">=3.10\"\n\n\
         [[package]]\nname = \"the-model\"\nversion = \"1.0\"\nsource = {{ editable = \".\" }}\n\
         dependencies = [{{ name = \"alpha\" }}]\n\n\
         [[package]]\nname = \"alpha\"\nversion = \"1.0\"\nsource = {{ registry = \"https://host.example\" }}\n\
         dependencies = [{{ name = \"beta\" }}]\n{}\n\
         [[package]]\nname = \"beta\"\nversion = \"2.0\"\nsource = {{ registry = \"https://host.example\" }}\n{}",
        file(alpha),
        file(beta)
    )
}

fn poetry_lock(wheels: &[Wheel; 2]) -> String {
    let packages = wheels.iter().zip(["alpha", "beta"]).zip(["1.0", "2.0"]).map(|((wheel, name), version)| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\noptional = false\npython-versions = \">=3.8\"\n\
             groups = [\"main\"]\nfiles = [{{ file = \"{}\", hash = \"sha256:{}\" }}]\n\n",
            wheel.file_name(),
            hash(wheel)
        )
    });
    format!(
        "{}[metadata]\nlock-version = \"2.1\"\npython-versions = \">=3.10\"\n",
        packages.collect::<String>()
    )
}

fn pylock(wheels: &[Wheel; 2]) -> String {
    let packages = wheels.iter().zip(["alpha", "beta"]).zip(["1.0", "2.0"]).map(|((wheel, name), version)| {
        format!(
            "[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n\
             wheels = [{{ url = \"https://host.example/{}\", hashes = {{ sha256 = \"{}\" }} }}]\n\n",
            wheel.file_name(),
            hash(wheel)
        )
    });
    format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n\n{}",
        packages.collect::<String>()
    )
}

/// `NAME VERSION` of every locked wheel but the SDK's.
fn versions(project: &Path) -> Vec<String> {
    let text = std::fs::read(project.join("cognix.lock")).expect("a lock");
    let lock: Value = serde_json::from_slice(&text).expect("JSON");
    let wheels = lock["python"].as_array().expect("a list").iter();
    let text = |wheel: &Value, key: &str| wheel[key].as_str().expect("a string").to_owned();
    wheels
        .map(|wheel| format!("{} {}", text(wheel, "name"), text(wheel, "version")))
        .filter(|line| !line.starts_with("cog"))
        .collect()
}

#[test]
fn a_projects_lock_holds_its_versions() {
    let world = World::new();
    let wheels = publish(&world);
    let (uv, poetry, pylock) = (uv_lock(&wheels), poetry_lock(&wheels), pylock(&wheels));
    let plain = [("pyproject.toml", PYPROJECT)];
    let cases: [(&str, &[(&str, &str)], &str); 6] = [
        ("pyproject.toml", &plain, "alpha 1.1, beta 2.1"),
        (
            "pyproject.toml",
            &[plain[0], ("uv.lock", &uv)],
            "alpha 1.0, beta 2.0",
        ),
        (
            "uv.lock",
            &[plain[0], ("uv.lock", &uv)],
            "alpha 1.0, beta 2.0",
        ),
        (
            "poetry.lock",
            &[plain[0], ("poetry.lock", &poetry)],
            "alpha 1.0, beta 2.0",
        ),
        (
            "pyproject.toml",
            &[plain[0], ("pylock.toml", &pylock)],
            "alpha 1.0, beta 2.0",
        ),
        (
            "pylock.gpu.toml",
            &[("pylock.gpu.toml", &pylock)],
            "alpha 1.0, beta 2.0",
        ),
    ];
    for (file, files, expected) in cases {
        let project = project(&world, file, files);
        let output = succeed(&mut command(&world, "lock", &project, &[]));
        assert_eq!(versions(&project).join(", "), expected, "{file}");
        let said = String::from_utf8_lossy(&output.stderr);
        if let Some((lock, _)) = files.iter().find(|(name, _)| name.contains("lock")) {
            assert!(
                said.contains(&format!("versions are those of {lock}\n")),
                "{said}"
            );
            assert!(
                said.contains(&format!("{lock}: 2 packages have its versions\n")),
                "{said}"
            );
            assert!(
                said.contains(&format!("not in {lock}, chosen freely: cog, coglet\n")),
                "{said}"
            );
        }
        succeed(&mut command(&world, "lock", &project, &["--check"]));
        std::fs::remove_dir_all(&project).expect("our own");
    }
}

#[test]
fn a_pin_that_moves_makes_the_lock_stale() {
    let world = World::new();
    let wheels = publish(&world);
    let uv = uv_lock(&wheels);
    let project = project(
        &world,
        "pyproject.toml",
        &[("pyproject.toml", PYPROJECT), ("uv.lock", &uv)],
    );
    succeed(&mut command(&world, "lock", &project, &[]));
    let check = |text: &str| {
        write(&project.join("uv.lock"), text);
        let mut check = command(&world, "lock", &project, &["--check", "--format", "json"]);
        let output = check.output().expect("it runs");
        let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        value["changes"].clone()
    };
    let newer = Wheel::new("beta", "2.1");
    let moved = uv
        .replace("2.0", "2.1")
        .replace(&hash(&wheels[1]), &hash(&newer));
    assert_eq!(check(&moved), json!(["beta in uv.lock was 2.0, is 2.1"]));
    assert_eq!(check(&format!("# by hand\n{uv}")), json!([]));
    let more = format!(
        "{uv}\n[[package]]\nname = \"pytest\"\nversion = \"1\"\nsource = {{ registry = \"x\" }}\n"
    );
    assert_eq!(check(&more), json!([]), "nothing needs it");
    check(&moved);
    let message = fail(&mut command(&world, "build", &project, &["--locked"]), 78);
    assert!(
        message.contains("beta in uv.lock was 2.0, is 2.1"),
        "{message}"
    );
    let said = succeed(&mut command(&world, "lock", &project, &[])).stdout;
    assert_eq!(String::from_utf8_lossy(&said), "beta 2.0 -> 2.1\n");
}

#[test]
fn a_lock_that_does_not_fit_is_refused_with_what_to_run() {
    let world = World::new();
    let wheels = publish(&world);
    let uv = uv_lock(&wheels);
    let refused = |pyproject: &str, uv: &str, status| {
        let project = project(
            &world,
            "pyproject.toml",
            &[("pyproject.toml", pyproject), ("uv.lock", uv)],
        );
        fail(&mut command(&world, "lock", &project, &[]), status)
    };
    let message = refused(&PYPROJECT.replace("alpha>=1", "alpha>=1.1"), &uv, 65);
    let expected = "pyproject.toml:6 asks for \"alpha>=1.1\", but uv.lock:12 locks alpha 1.0; run `uv lock` to bring it up to date";
    assert!(message.contains(expected), "{message}");
    let message = refused(
        &PYPROJECT.replace("\"alpha>=1\"", "\"alpha\", \"gamma\""),
        &uv,
        65,
    );
    let expected = "pyproject.toml:6 asks for \"gamma\", which uv.lock does not have; run `uv lock` to bring it up to date";
    assert!(message.contains(expected), "{message}");
    let message = refused(
        PYPROJECT,
        &uv.replace(&hash(&wheels[0]), &"0".repeat(64)),
        102,
    );
    assert!(message.contains("uv.lock:12 has 000"), "{message}");
    let message = refused(&PYPROJECT.replace(">=3.10", ">=3.12"), &uv, 78);
    let expected = "pyproject.toml:5:19: project.requires-python: the project requires Python \">=3.12\", but the image has 3.11";
    assert!(message.contains(expected), "{message}");

    let project = project(
        &world,
        "uv.lock",
        &[("pyproject.toml", PYPROJECT), ("uv.lock", &uv)],
    );
    let import = project.join("uv.lock");
    let import = import.to_str().expect("UTF-8");
    let message = fail(
        &mut command(&world, "lock", &project, &["--import", import]),
        65,
    );
    assert!(
        message.contains("build.python_requirements takes those of uv.lock"),
        "{message}"
    );
}

#[test]
fn the_project_itself_is_a_layer_that_its_tables_decide() {
    let world = World::new();
    publish(&world);
    let project = project(&world, "pyproject.toml", &[("pyproject.toml", PYPROJECT)]);
    std::fs::create_dir_all(project.join("src/the_model")).expect("our own");
    write(
        &project.join("src/the_model/__init__.py"),
        "def greet():\n    print('hello')\n",
    );
    succeed(&mut command(&world, "lock", &project, &[]));
    let layer = |image: &Value| {
        let layers = image["layers"].as_array().expect("layers").iter();
        let mut found = layers.filter(|layer| layer["name"] == "project-scripts");
        found.next().cloned()
    };
    let plan = json(&mut command(
        &world,
        "plan",
        &project,
        &["--format", "json"],
    ));
    assert_eq!(layer(&plan).expect("planned")["group"], "python");
    let image = world.build("store", &project);
    let before = layer(&image).expect("made");
    // Other tables and the code are no part of it.
    write(
        &project.join("pyproject.toml"),
        format!("{PYPROJECT}[tool.ruff]\nline-length = 100\n"),
    );
    write(
        &project.join("src/the_model/__init__.py"),
        "def greet():\n    print('hi')\n",
    );
    let image = world.build("store", &project);
    assert_eq!(layer(&image).expect("made")["digest"], before["digest"]);
    write(
        &project.join("pyproject.toml"),
        PYPROJECT.replace("greet =", "salute ="),
    );
    let image = world.build("store", &project);
    assert_ne!(layer(&image).expect("made")["digest"], before["digest"]);
    // A project that is no package has no layer.
    let text = PYPROJECT
        .replace("build-system", "tool.other")
        .replace("scripts =", "urls =");
    write(&project.join("pyproject.toml"), text);
    succeed(&mut command(&world, "lock", &project, &[]));
    assert_eq!(layer(&world.build("store", &project)), None);
}
