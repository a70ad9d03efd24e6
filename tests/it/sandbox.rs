//! Derivations of one's own as users meet them: on real packages, in real sandboxes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::example::remove;
use crate::world::{COGNIX, fail, json, succeed, write};

const COG_YAML: &str = r#"build:
  python_version: "3.11"
  system_packages: [gcc, libc6-dev]
run: predict.py:Predictor
"#;

const HELLO_C: &str = r#"#include <stdio.h>
int main(void) { puts("hello from C"); return 0; }
"#;

const COGNIX_NIX: &str = r#"{
  outputs = { self, cognix, ... }: {
    packages = {
      hello = cognix.mkDerivation {
        name = "hello";
        src = ./hello.c;
        script = ''
          mkdir -p $out/usr/bin
          gcc -O2 -o $out/usr/bin/hello $src
          $out/usr/bin/hello
        '';
      };
      user = cognix.mkDerivation {
        name = "user";
        roots = [ cognix.root self.packages.hello ];
        hello = self.packages.hello;
        script = "hello > $out; $hello/usr/bin/hello >> $out; id -u >> $out";
      };
      hiding = cognix.mkDerivation { name = "hiding"; script = "mkdir -p $out/bin; cp /bin/true $out/bin/mine"; };
      hidden = cognix.mkDerivation { name = "hidden"; roots = [ cognix.root self.packages.hiding ]; script = "true"; };
      time = cognix.mkDerivation { name = "time"; script = "mkdir $out; date +%s.%N > $out/stamp"; };
      pid = cognix.mkDerivation { name = "pid"; script = "mkdir $out; echo same > $out/same; echo $$ > $out/number"; };
      cores = cognix.mkDerivation { name = "cores"; script = "mkdir $out; echo $(nproc) $NIX_BUILD_CORES > $out/cores"; };
      fails = cognix.mkDerivation { name = "fails"; script = "echo begin; ls /nowhere; echo never"; };
      sleeps = cognix.mkDerivation { name = "sleeps"; script = "sleep 4321"; };
      elsewhere = derivation { name = "elsewhere"; system = "riscv64-linux"; builder = "/bin/sh"; };
      empty = cognix.mkDerivation { name = "empty"; script = "true"; roots = [ ]; };
    };
    images.default.extraPackages = with self.packages; [ hello time pid cores ];
  };
}
"#;

/// The project, locked once for all tests of this file.
struct Model {
    folder: PathBuf,
    project: PathBuf,
}

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox");
        if folder.exists() {
            remove(&folder);
        }
        let project = folder.join("project");
        std::fs::create_dir_all(&project).expect("a writable folder");
        write(&project.join("cog.yaml"), COG_YAML);
        write(&project.join("cognix.nix"), COGNIX_NIX);
        write(&project.join("hello.c"), HELLO_C);
        let predict = "def predict(text: str) -> str:\n    return text\n";
        write(&project.join("predict.py"), predict);
        let model = Model { folder, project };
        succeed(model.cognix().arg("lock").arg(&model.project));
        model
    })
}

impl Model {
    fn cognix(&self) -> Command {
        let mut command = Command::new(COGNIX);
        command.arg("--store").arg(self.folder.join("store"));
        command
    }

    fn package(&self, name: &str) -> Command {
        let mut command = self.cognix();
        command
            .args(["build", "--package", name])
            .arg(&self.project);
        command
    }

    /// Builds a package: where its files are, and its derivation.
    fn built(&self, name: &str) -> (PathBuf, String, String) {
        let built = json(self.package(name).args(["--format", "json"]));
        let text = |key: &str| built[key].as_str().expect("a text").to_owned();
        let out = text("outPath");
        (
            self.folder.join("store").join(&out[1..]),
            out,
            text("drvPath"),
        )
    }
}

#[test]
fn a_program_is_compiled_with_the_image_s_own_packages() {
    let model = model();
    let (hello, out, drv) = model.built("hello");
    assert!(hello.join("usr/bin/hello").is_file());
    for path in [&out, &drv] {
        let log = succeed(model.cognix().arg("log").arg(path)).stdout;
        assert_eq!(String::from_utf8_lossy(&log), "hello from C\n");
    }
    // It is in the closure of one and in the root of the other.
    let (user, _, _) = model.built("user");
    let text = std::fs::read_to_string(user).expect("a text");
    assert_eq!(text, "hello from C\nhello from C\n1000\n");
    // The same bytes in another store.
    let mut other = Command::new(COGNIX);
    other.arg("--store").arg(model.folder.join("store-2"));
    other.args(["build", "--jobs", "1", "--package", "hello"]);
    let again = succeed(other.arg(&model.project)).stdout;
    assert_eq!(String::from_utf8_lossy(&again).trim(), out);
}

#[test]
fn planted_derivations_are_found_with_their_files() {
    let model = model();
    let mut check = model.cognix();
    check.args(["check", "--format", "json"]);
    for name in ["hello", "time", "pid", "cores"] {
        check.args(["--derivation", name]);
    }
    let output = check
        .arg(&model.project)
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(104), "{output:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found: Vec<(&str, &str, Option<&str>)> = found["derivations"]
        .as_array()
        .expect("derivations")
        .iter()
        .map(|derivation| {
            let text = |key: &str| derivation[key].as_str().expect("a text");
            let files = derivation["outputs"]["out"]["files"].as_array();
            assert!(files.is_none_or(|files| files.len() == 1), "{derivation}");
            let file = derivation["outputs"]["out"]["files"][0]["path"].as_str();
            (text("name"), text("result"), file)
        })
        .collect();
    assert_eq!(
        found,
        [
            ("cores", "differs", Some("cores")),
            ("hello", "same", None),
            ("pid", "differs", Some("number")),
            ("time", "differs", Some("stamp")),
        ]
    );
    let mut check = model.cognix();
    check.args(["check", "--derivation", "pid"]);
    let output = check
        .arg(&model.project)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("pid is not reproducible (/nix/store/"),
        "{text}"
    );
    assert!(
        text.contains("out/number: line 1 was \"2\", is \""),
        "{text}"
    );
    let mut check = model.cognix();
    let check = check.args(["check", "--sample", "5", "--seed", "7", "--format", "json"]);
    let sample = json(check.args(["--package", "hello"]).arg(&model.project));
    assert_eq!(sample["derivations"].as_array().map(Vec::len), Some(5));
}

#[test]
fn a_failure_tells_what_the_program_said() {
    let model = model();
    let message = fail(&mut model.package("fails"), 100);
    for words in [
        "fails failed",
        "/bin/sh ended with status 2",
        "    begin\n",
        "cannot access '/nowhere'",
        "cognix log /nix/store/",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let message = fail(&mut model.package("empty"), 100);
    assert!(message.contains("/bin/sh"), "{message}");
    assert!(message.contains("cognix.root"), "{message}");
    let message = fail(&mut model.package("hidden"), 100);
    assert!(
        message.contains("put what is in it into usr/bin"),
        "{message}"
    );
    let message = fail(&mut model.package("elsewhere"), 78);
    assert!(message.contains("built on riscv64-linux only"), "{message}");
}

#[test]
fn a_program_ends_within_a_second_of_an_interrupt() {
    let model = model();
    // What it stands on takes as long as it takes.
    model.built("hello");
    let mut build = model.package("sleeps");
    build.stdout(Stdio::null()).stderr(Stdio::null());
    let mut build = build.spawn().expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_asleep() {
        assert!(Instant::now() < deadline, "the build does not begin");
        std::thread::sleep(Duration::from_millis(50));
    }
    let process = rustix::process::Pid::from_child(&build);
    let started = Instant::now();
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it runs");
    let status = build.wait().expect("our own child");
    assert_eq!(status.code(), Some(130));
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert!(!is_asleep(), "the program is still there");
    let entries = std::fs::read_dir(model.folder.join("store/nix/store")).expect("a store");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let staged = format!("tmp-{}-", process.as_raw_nonzero());
    assert!(
        names
            .into_iter()
            .all(|name| !name.to_string_lossy().starts_with(&staged))
    );
}

/// Whether the program of `sleeps` is running somewhere.
fn is_asleep() -> bool {
    let processes = std::fs::read_dir("/proc").expect("the machine has processes");
    let mut commands =
        processes.filter_map(|process| std::fs::read(process.ok()?.path().join("cmdline")).ok());
    commands.any(|command| command == b"sleep\x004321\0")
}

/// A real Nix finds the log too, by the output and by the derivation.
#[cfg(feature = "oracle-tests")]
#[test]
fn a_real_nix_shows_the_log() {
    let model = model();
    let (_, out, drv) = model.built("hello");
    let tools = std::env::var_os("COGNIX_NIX_ORACLE")
        .expect("COGNIX_NIX_ORACLE names a folder with Nix's commands");
    for path in [&out, &drv] {
        let mut nix = Command::new(Path::new(&tools).join("nix"));
        nix.arg("--store").arg(model.folder.join("store"));
        let log = succeed(nix.arg("log").arg(path)).stdout;
        assert_eq!(String::from_utf8_lossy(&log), "hello from C\n");
    }
}
