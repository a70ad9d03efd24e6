//! `cognix.nix` as users meet it: checked, shown, locked once and built by variant.

use std::path::Path;

use serde_json::Value;

use crate::world::wheels::{self, Wheel};
use crate::world::{World, fail, json, succeed, write};

/// Puts more into a project's `cognix.nix`.
fn add(project: &Path, settings: &str) {
    let path = project.join("cognix.nix");
    let text = std::fs::read_to_string(&path).expect("the project has one");
    let inner = text.trim_end().strip_suffix('}').expect("a set");
    write(&path, format!("{inner}{settings}}}\n"));
}

const IMAGES: &str = r#"
  outputs = { self, cognix, ... }: {
    images = {
      cpu.environment.DEVICE = "cpu";
      cuda = self.images.cpu // {
        packages = [ "extra" ];
        environment.DEVICE = "cuda";
      };
      pinned-numpy = self.images.cpu // {
        overrides = final: prev: {
          numpy = prev.numpy.override { version = "1.26.4"; };
        };
      };
      with-file = self.images.cpu // {
        extraPackages = [ { package = self.packages.sl; destination = "/opt/train"; name = "train"; } ];
      };
    };
    packages.sl = cognix.deb {
      name = "sl";
      version = "5.02";
      url = "mirror://debian/pool/sl_5.02_amd64.deb";
      sha256 = "@SL@";
    };
  };
"#;

fn numpy(version: &str) -> Wheel {
    Wheel::new("numpy", version).file("numpy/version.txt", version)
}

/// A model with four images.
fn model(world: &World) -> std::path::PathBuf {
    wheels::publish(
        &world.server,
        &[numpy("1.26.4"), numpy("2.2.6"), Wheel::new("extra", "1.0")],
    );
    let project = world.project("model", "alpha\nnumpy\n");
    // The digest of the file is that of the lock.
    let deb = r"
  outputs = { ... }: { images.default.systemPackages = [ ''sl'' ]; };
";
    let before = std::fs::read_to_string(project.join("cognix.nix")).expect("the spec");
    add(&project, deb);
    succeed(world.cognix("probe").arg("lock").arg(&project));
    let lock: Value = read_lock(&project);
    let text = lock.to_string();
    let sha256 = find_deb(&lock, "sl").unwrap_or_else(|| panic!("{text}"));
    std::fs::remove_file(project.join("cognix.lock")).expect("a lock");
    write(&project.join("cognix.nix"), before);
    let path = find_path(&lock, "sl").expect("a path");
    add(
        &project,
        &IMAGES.replace("@SL@", &sha256).replace(
            "mirror://debian/pool/sl_5.02_amd64.deb",
            &format!("mirror://debian/{path}"),
        ),
    );
    project
}

fn read_lock(project: &Path) -> Value {
    let text = std::fs::read(project.join("cognix.lock")).expect("a lock");
    serde_json::from_slice(&text).expect("JSON")
}

/// The value of a key beside a name, anywhere in a lock.
fn beside(value: &Value, name: &str, key: &str) -> Option<String> {
    match value {
        Value::Object(map) => {
            if map.get("name").and_then(Value::as_str) == Some(name)
                && let Some(found) = map.get(key).and_then(Value::as_str)
            {
                return Some(found.to_owned());
            }
            map.values().find_map(|value| beside(value, name, key))
        }
        Value::Array(items) => items.iter().find_map(|value| beside(value, name, key)),
        _ => None,
    }
}

fn find_deb(lock: &Value, name: &str) -> Option<String> {
    beside(lock, name, "sha256")
}

fn find_path(lock: &Value, name: &str) -> Option<String> {
    let url = beside(lock, name, "url").or_else(|| beside(lock, name, "path"))?;
    Some(url.trim_start_matches("mirror://debian/").to_owned())
}

fn build(world: &World, project: &Path, variant: &str) -> Value {
    let mut command = world.cognix("store");
    json(
        command
            .args([
                "build",
                "--locked",
                "--format",
                "json",
                "--variant",
                variant,
            ])
            .arg(project),
    )
}

fn names(built: &Value) -> Vec<String> {
    let layers = built["layers"].as_array().expect("layers").iter();
    layers
        .map(|layer| layer["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn variants_are_locked_once_and_built_each() {
    let world = World::new();
    let project = model(&world);
    succeed(world.cognix("store").arg("lock").arg(&project));
    let first = std::fs::read_to_string(project.join("cognix.lock")).expect("a lock");
    assert_eq!(
        first.matches("\"1.26.4\"").count(),
        1,
        "each wheel stands once\n{first}"
    );
    let cpu = build(&world, &project, "cpu");
    let cuda = build(&world, &project, "cuda");
    let pinned = build(&world, &project, "pinned-numpy");
    let extra = build(&world, &project, "with-file");
    assert!(
        names(&cuda).contains(&"extra".to_owned()) && !names(&cpu).contains(&"extra".to_owned())
    );
    let layer = |built: &Value, name: &str| {
        let layers = built["layers"].as_array().expect("layers").clone();
        let found = layers.into_iter().find(|layer| layer["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {:?}", names(built)))["digest"].clone()
    };
    assert_eq!(layer(&cpu, "numpy"), layer(&cuda, "numpy"));
    assert_ne!(layer(&cpu, "numpy"), layer(&pinned, "numpy"));
    assert_eq!(layer(&cpu, "alpha"), layer(&pinned, "alpha"));
    assert_ne!(cpu["image"]["digest"], cuda["image"]["digest"]);
    assert_eq!(
        names(&extra).len(),
        names(&cpu).len() + 1,
        "{:?}",
        names(&extra)
    );
    layer(&extra, "train");

    // Which one is meant must be said where none is called default.
    let message = fail(
        world
            .cognix("store")
            .args(["build", "--locked"])
            .arg(&project),
        65,
    );
    assert!(message.contains("--variant"), "{message}");

    // A newer numpy moves numpy, in the images that did not pin it, and nothing else.
    wheels::publish(
        &world.server,
        &[
            numpy("1.26.4"),
            numpy("2.2.6"),
            numpy("2.3.0"),
            Wheel::new("extra", "1.0"),
            Wheel::new("extra", "2.0"),
        ],
    );
    succeed(
        world
            .cognix("store")
            .args(["lock", "--update", "numpy"])
            .arg(&project),
    );
    let second = std::fs::read_to_string(project.join("cognix.lock")).expect("a lock");
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (before, after) = (lines(&first), lines(&second));
    let gone: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    let come: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(!come.is_empty());
    let is_numpys = |line: &&String| {
        ["numpy", "2.2.6", "2.3.0", "sha256", "size", "excludeNewer"]
            .iter()
            .any(|word| line.contains(word))
    };
    assert!(gone.iter().all(is_numpys), "{gone:#?}");
    assert!(come.iter().all(is_numpys), "{come:#?}");
    assert!(
        second.contains("\"1.26.4\"")
            && second.contains("\"2.3.0\"")
            && !second.contains("\"2.2.6\"")
    );
    assert!(!come.iter().any(|line| line.contains("extra")));
}

#[test]
fn a_spec_is_checked_and_shown() {
    let world = World::new();
    let project = model(&world);
    let text = |command: &mut std::process::Command| {
        String::from_utf8(succeed(command).stdout).expect("text")
    };
    let shown = text(world.cognix("store").args(["spec", "show"]).arg(&project));
    let images = "├───images\n│   ├───cpu: image\n│   ├───cuda: image, extra\n│   ├───pinned-numpy: image, numpy 1.26.4\n│   └───with-file: image\n└───packages\n    └───sl: derivation 'sl-5.02'\n";
    assert!(shown.ends_with(images), "{shown}");
    let checked = text(world.cognix("store").args(["spec", "check"]).arg(&project));
    assert_eq!(checked, "cognix.nix is right: 4 images\n");

    // Several mistakes are told at once, each with its place.
    let path = project.join("cognix.nix");
    let spec = std::fs::read_to_string(&path).expect("the spec");
    let broken = spec
        .replace("extraPackages =", "extraPackage =")
        .replace("packages = [ \"extra\" ]", "packages = \"extra\"")
        .replace("version = \"1.26.4\"", "verson = \"1.26.4\"");
    write(&path, broken);
    let output = world
        .cognix("store")
        .args(["spec", "check", "--format", "json"])
        .arg(&project)
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(78));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mistakes = found["mistakes"].as_array().expect("a list");
    let messages: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake["message"].as_str().expect("a message"))
        .collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(
        messages[0],
        "images.cuda.packages must be a list of strings, found a string"
    );
    assert!(
        messages[1].contains("unknown key overrides.numpy.override: verson"),
        "{messages:?}"
    );
    assert!(
        messages[2]
            .contains("unknown key images.with-file.extraPackage (did you mean extraPackages?)"),
        "{messages:?}"
    );
    assert!(
        mistakes
            .iter()
            .all(|mistake| mistake["line"].as_u64() > Some(4))
    );

    // Other commands refuse it with the first of them.
    let message = fail(world.cognix("store").arg("lock").arg(&project), 78);
    assert!(
        message.contains("images.cuda.packages must be a list of strings"),
        "{message}"
    );
}

#[test]
fn the_examples_spec_is_right() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/variants");
    let world = World::new();
    let shown = succeed(world.cognix("store").args(["spec", "show"]).arg(&example));
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert!(
        shown.starts_with("A model for machines with and without a GPU\n"),
        "{shown}"
    );
    for image in [
        "cpu: image",
        "cuda: image, CUDA 12.4",
        "pinned-numpy: image, numpy 1.26.4",
    ] {
        assert!(shown.contains(image), "{shown}");
    }
    succeed(world.cognix("store").args(["spec", "check"]).arg(&example));
}

#[test]
fn packages_of_a_spec_are_built_by_name() {
    let world = World::new();
    let project = model(&world);
    let mut command = world.cognix("store");
    let built = json(
        command
            .args(["build", "--format", "json", "--package", "sl"])
            .arg(&project),
    );
    let path = built["outPath"].as_str().expect("a path");
    let real = world.path("store").join(path.trim_start_matches('/'));
    let choo = std::fs::read_to_string(real.join("usr/games/sl")).expect("the package's file");
    assert_eq!(choo, "choo\n");
    let mut command = world.cognix("store");
    let message = fail(command.args(["build", "--package", "ls"]).arg(&project), 78);
    assert!(
        message.contains("there is no package \"ls\"; the spec makes sl"),
        "{message}"
    );
}

/// The example's three images, with real packages.
#[cfg(feature = "network-tests")]
#[test]
fn the_example_locks_once_and_builds_each() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/variants");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let project = folder.path().join("variants");
    std::fs::create_dir(&project).expect("a folder");
    for file in ["cog.yaml", "cognix.nix", "predict.py", "requirements.txt"] {
        std::fs::copy(example.join(file), project.join(file)).expect("the example is whole");
    }
    let cognix = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::world::COGNIX);
        command.arg("--store").arg(folder.path().join("store"));
        command.args(arguments).arg(&project);
        command
    };
    succeed(&mut cognix(&["lock"]));
    let built = json(&mut cognix(&[
        "build",
        "--all-variants",
        "--locked",
        "--format",
        "json",
    ]));
    let layers = |variant: &str| -> std::collections::BTreeMap<String, String> {
        let layers = built["variants"][variant]["layers"]
            .as_array()
            .expect("layers")
            .iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        layers
            .map(|layer| (text(&layer["name"]), text(&layer["digest"])))
            .collect()
    };
    let (cpu, cuda, pinned) = (layers("cpu"), layers("cuda"), layers("pinned-numpy"));
    let differing = |other: &std::collections::BTreeMap<String, String>| -> Vec<String> {
        let differs = |(name, digest): &(&String, &String)| cpu.get(*name) != Some(*digest);
        other
            .iter()
            .filter(differs)
            .map(|(name, _)| name.clone())
            .collect()
    };
    assert_eq!(differing(&cuda), ["nvidia-cuda-runtime-cu12"]);
    assert_eq!(differing(&pinned), ["numpy"]);
}

/// A real Nix makes the same derivations of the library.
#[cfg(feature = "oracle-tests")]
#[test]
fn a_real_nix_makes_the_same_of_the_library() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/spec/library.nix");
    std::fs::copy(library, folder.path().join("library.nix")).expect("the library");
    write(&folder.path().join("tool.sh"), "echo tool\n");
    let tools = std::env::var_os("COGNIX_NIX_ORACLE")
        .expect("COGNIX_NIX_ORACLE names a folder with Nix's commands");
    let hash = "sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
    let expression = format!(
        r#"
        let
          packages.six = {{
            version = "1.16.0"; treeName = "six-1.16.0"; fetchName = "six-1.16.0-py2.py3-none-any.whl";
            filename = "six-1.16.0-py2.py3-none-any.whl"; url = "mirror://pypi/six"; size = 7; waived = false;
            hash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; build = null;
          }};
          packages.built = packages.six // {{
            build = {{ name = "built.whl"; args = [ "-c" "exit" ]; inputs = [ file ]; environment = {{
              builder = "/bin/sh"; system = "x86_64-linux"; sandbox = "{{}}";
            }}; }};
          }};
          library = import ./library.nix {{ platform = "linux/amd64"; python = "3.11"; root = [ {{ tree = file; }} ]; inherit packages; }};
          inherit (library) cognix;
          file = cognix.fetchurl {{ url = "https://files.example/a.bin"; {hash}; }};
          deb = cognix.deb {{ name = "sl"; version = "1:5.02~1"; url = "mirror://debian/sl.deb"; {hash}; }};
          overlay = final: prev: {{
            six = prev.six.overrideAttrs (old: {{ note = old.filename; }});
            built = prev.built.overrideAttrs (old: {{ CFLAGS = "-O1"; }});
          }};
          tool = cognix.mkDerivation {{ name = "tool"; src = ./tool.sh; roots = [ deb library.cognix.root ]; script = "cp $src $out"; x = [ file ]; }};
          program = cognix.fetchurl {{ url = "https://files.example/run"; executable = true; size = 3; {hash}; }};
          wheel = cognix.wheel {{ url = "https://files.example/a_b-1!2.0-py3-none-any.whl"; {hash}; }};
          changed = library.overridden [ overlay ];
        in map (drv: drv.drvPath) [ file program deb wheel tool changed.six.derivation changed.built.derivation ]
        "#
    );
    write(&folder.path().join("all.nix"), &expression);
    let mut nix = std::process::Command::new(Path::new(&tools).join("nix-instantiate"));
    nix.current_dir(folder.path())
        .env("NIX_REMOTE", folder.path().join("store"))
        .args(["--eval", "--strict", "--read-write-mode", "all.nix"]);
    let theirs = String::from_utf8(succeed(&mut nix).stdout).expect("text");
    let mut ours = std::process::Command::new(crate::world::COGNIX);
    ours.current_dir(folder.path())
        .args(["eval", "--strict", "all.nix"]);
    let ours = String::from_utf8(succeed(&mut ours).stdout).expect("text");
    assert_eq!(ours, theirs);
    assert_eq!(ours.matches(".drv").count(), 7, "{ours}");
}
