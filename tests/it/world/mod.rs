//! A small world on loopback: a signed Debian archive and a package index, and projects that use only them.
//!
//! With it the whole program runs in the default tests, from `cog.yaml` to the image, without a network.

pub(crate) mod debs;
pub(crate) mod server;
#[cfg(any(feature = "container-tests", feature = "sandbox-tests"))]
pub(crate) mod somebody;
pub(crate) mod wheels;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use debs::Deb;
use pgp::ser::Serialize;
use server::Server;
use tempfile::TempDir;
use wheels::Wheel;

/// The program under test.
pub(crate) const COGNIX: &str = env!("CARGO_BIN_EXE_cognix");

/// Servers, and a folder for everything that a test writes.
pub(crate) struct World {
    pub(crate) server: Server,
    folder: TempDir,
}

impl World {
    /// Publishes the Debian packages that every image needs, the Cog SDK, and two wheels.
    pub(crate) fn new() -> Self {
        let server = Server::start();
        for release in ["bookworm", "trixie"] {
            let suites = [
                ("debian", release.to_owned(), base_debs()),
                ("debian", format!("{release}-updates"), Vec::new()),
                ("debian-security", format!("{release}-security"), Vec::new()),
            ];
            for (archive, suite, debs) in suites {
                debs::publish(&server, archive, &suite, &suite, &debs);
            }
        }
        let world = Self {
            server,
            folder: TempDir::new().expect("a temporary folder"),
        };
        world.publish_wheels("1.0");
        world
    }

    /// Publishes the wheels; `alpha` up to the version given.
    pub(crate) fn publish_wheels(&self, alpha: &str) {
        let mut wheels = vec![
            Wheel::new("cog", "0.16.8")
                .requires("coglet>=0.1")
                .file("cog/server/__init__.py", ""),
            Wheel::new("coglet", "0.1.0"),
            Wheel::new("alpha", "1.0")
                .requires("beta")
                .file("alpha/data.txt", "x".repeat(100_000)),
            Wheel::new("beta", "2.0").file("beta/unicode-\u{e9}.txt", "caf\u{e9}\n"),
        ];
        if alpha != "1.0" {
            wheels.push(
                Wheel::new("alpha", alpha)
                    .requires("beta")
                    .file("alpha/data.txt", "y".repeat(100_000)),
            );
        }
        wheels::publish(&self.server, &wheels);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a project that uses this world's archive and index.
    pub(crate) fn project(&self, name: &str, requirements: &str) -> PathBuf {
        let project = self.path(name);
        let cog_yaml = "build:\n  python_version: \"3.11\"\n  python_requirements: requirements.txt\nrun: predict.py:Predictor\n";
        let key = debs::signing_key()
            .to_public_key()
            .to_bytes()
            .expect("a sound key");
        let cognix_nix = format!(
            "{{\n  inputs.debian = {{ url = \"{}\"; keys = [ ./archive-key.gpg ]; }};\n  \
             inputs.debian-security = {{ url = \"{}\"; keys = [ ./archive-key.gpg ]; }};\n  \
             inputs.pypi.url = \"{}\";\n  \
             # Made-up packages have no interpreter that could compile.\n  bytecode = false;\n}}\n",
            self.server.url("debian"),
            self.server.url("debian-security"),
            self.server.url("simple"),
        );
        let files = [
            ("cog.yaml", cog_yaml.as_bytes()),
            ("cognix.nix", cognix_nix.as_bytes()),
            ("archive-key.gpg", key.as_slice()),
            ("requirements.txt", requirements.as_bytes()),
            (
                "predict.py",
                b"def predict(text: str) -> str:\n    return text\n",
            ),
            (".dockerignore", b"archive-key.gpg\ncognix.nix\n"),
        ];
        std::fs::create_dir_all(&project).expect("a writable folder");
        files
            .into_iter()
            .for_each(|(name, text)| write(&project.join(name), text));
        project
    }

    /// The program with a home and a store of its own.
    pub(crate) fn cognix(&self, store: &str) -> Command {
        let mut command = Command::new(COGNIX);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .arg("--store")
            .arg(self.path(store));
        command
    }

    /// Builds a project and returns the JSON that the program printed.
    pub(crate) fn build(&self, store: &str, project: &Path) -> serde_json::Value {
        let mut command = self.cognix(store);
        json(command.args(["build", "--format", "json"]).arg(project))
    }
}

/// The Debian packages that every image needs.
pub(crate) fn base_debs() -> Vec<Deb> {
    let essential = |name, version| {
        Deb::new(name, version)
            .field("Essential: yes")
            .field("Priority: required")
    };
    let master = "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    vec![
        essential("base-files", "12.4").file("etc/debian_version", "12.0\n", 0o644),
        essential("base-passwd", "3.6")
            .file("usr/share/base-passwd/passwd.master", master, 0o644)
            .file(
                "usr/share/base-passwd/group.master",
                "root:*:0:\nmail:*:8:\nnogroup:*:65534:\n",
                0o644,
            ),
        essential("libc6", "2.36-9").file("lib/x86_64-linux-gnu/readme", "no library\n", 0o644),
        Deb::new("usr-is-merged", "37"),
        Deb::new("mawk", "1.3")
            .field("Provides: awk")
            .file("usr/bin/mawk", "#!/bin/sh\n", 0o755),
        Deb::new("python3.11", "3.11.2")
            .field("Depends: libc6")
            .file("usr/bin/python3.11", "#!/bin/sh\n", 0o755),
        Deb::new("tini", "0.19")
            .field("Depends: libc6")
            .file("usr/bin/tini", "#!/bin/sh\n", 0o755),
        Deb::new("ca-certificates", "2023").field("Architecture-Note: none"),
        Deb::new("netbase", "6.4"),
        Deb::new("tzdata", "2025"),
        Deb::new("libstdc++6", "12.2"),
        Deb::new("libgcc-s1", "12.2"),
        Deb::new("libgomp1", "12.2"),
        Deb::new("zlib1g", "1:1.2"),
        Deb::new("sl", "5.02")
            .field("Depends: libc6")
            .file("usr/games/sl", "choo\n", 0o755),
    ]
}

pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Runs a command that must succeed and returns its standard output as JSON.
pub(crate) fn json(command: &mut Command) -> serde_json::Value {
    let output = succeed(command);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{command:?} printed no JSON: {error}\n{}",
            String::from_utf8_lossy(&output.stdout)
        )
    })
}

/// Runs a command that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a command that must fail with this status and returns what it said.
pub(crate) fn fail(command: &mut Command, status: i32) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{command:?}\n{text}");
    text
}
