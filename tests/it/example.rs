//! One of the repository's examples, locked and built from nothing with real packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::world::{COGNIX, json, succeed};

/// An example that was built.
pub(crate) struct Example {
    pub(crate) folder: PathBuf,
    pub(crate) project: PathBuf,
    pub(crate) layout: PathBuf,
    pub(crate) build: Value,
}

impl Example {
    /// Copies, locks and builds it in a folder that outlives the process, so that it can be looked at.
    pub(crate) fn build(name: &str) -> Self {
        sweep(name);
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = target.join(format!("{name}-{}", std::process::id()));
        let project = folder.join("project");
        std::fs::create_dir_all(&project).expect("a writable folder");
        let example = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples")
            .join(name);
        for file in [
            "cog.yaml",
            "requirements.txt",
            "predict.py",
            ".dockerignore",
        ] {
            std::fs::copy(example.join(file), project.join(file)).expect("the example is complete");
        }
        let layout = folder.join("layout");
        let mut command = Command::new(COGNIX);
        command
            .arg("--store")
            .arg(folder.join("store"))
            .args(["build", "--format", "json", "-o"])
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(&project);
        let build = json(&mut command);
        Self {
            folder,
            project,
            layout,
            build,
        }
    }

    /// The program with the example's store.
    pub(crate) fn cognix(&self) -> Command {
        let mut command = Command::new(COGNIX);
        command.arg("--store").arg(self.folder.join("store"));
        command
    }

    /// Builds every derivation again, under other conditions, and compares.
    pub(crate) fn check(&self) {
        let mut check = self.cognix();
        let found = json(check.args(["check", "--format", "json"]).arg(&self.project));
        let summary = &found["summary"];
        let lock = self.lock();
        let wheels = lock["python"].as_array().expect("wheels").len();
        let debs = lock["debian"].as_array().expect("packages").len();
        assert_eq!(summary["fetched"], wheels + debs, "{summary}");
        let same = summary["same"].as_u64().expect("a number");
        assert!(same > debs as u64, "{summary}");
        assert_eq!(
            (&summary["differs"], &summary["failed"]),
            (&0.into(), &0.into())
        );
    }

    /// The lock that the build has made.
    pub(crate) fn lock(&self) -> Value {
        let text = std::fs::read(self.project.join("cognix.lock")).expect("a build makes the lock");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Removes everything.
    pub(crate) fn remove(self) {
        remove(&self.folder);
    }
}

/// Removes what earlier runs have left to look at: a gigabyte each.
fn sweep(name: &str) {
    for entry in std::fs::read_dir(env!("CARGO_TARGET_TMPDIR")).expect("a folder of cargo's") {
        let path = entry.expect("readable").path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let process = file.strip_prefix(&format!("{name}-"));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            remove(&path);
        }
    }
}

pub(crate) fn remove(folder: &Path) {
    // Folders of a store are read-only.
    succeed(Command::new("chmod").args(["-R", "u+w"]).arg(folder));
    std::fs::remove_dir_all(folder).expect("our own");
}

#[cfg(feature = "container-tests")]
mod server {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use super::*;

    impl Example {
        /// Starts the image's own server, asks for a prediction as a user would, and gives the whole answer.
        pub(crate) fn ask(&self, body: &str) -> Value {
            let port = free_port();
            let mut exec = self.cognix();
            exec.args(["exec", "--locked", "--project"])
                .arg(&self.project)
                .args(["--env", &format!("PORT={port}")]);
            let mut server = exec
                .args(["--", "python", "-m", "cog.server.http"])
                .spawn()
                .expect("the program starts");
            let asked = std::panic::catch_unwind(|| {
                wait_until_ready(port);
                request(port, "POST", "/predictions", body)
            });
            let pid = rustix::process::Pid::from_child(&server);
            let term = rustix::process::Signal::TERM;
            rustix::process::kill_process(pid, term).expect("still running");
            server.wait().expect("our own child");
            serde_json::from_str(&asked.expect("the server answers")).expect("JSON")
        }
    }

    fn free_port() -> u16 {
        let listener =
            std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        listener.local_addr().expect("bound").port()
    }

    fn wait_until_ready(port: u16) {
        let deadline = Instant::now() + Duration::from_secs(180);
        let mut last = String::new();
        while Instant::now() < deadline {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                last = request(port, "GET", "/health-check", "");
                if last.contains("\"READY\"") {
                    return;
                }
                assert!(!last.contains("SETUP_FAILED"), "{last}");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        panic!("the server did not get ready; it said {last:?}");
    }

    /// One request over a connection of its own; the body of the answer.
    fn request(port: u16, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .expect("the server reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("the server answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let json = body.find('{').map_or(0, |start| start);
        body[json..].trim_end_matches(['\r', '\n', '0']).to_owned()
    }
}
