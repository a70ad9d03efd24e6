//! The same questions, put to the real apt and dpkg of a Debian machine.
//!
//! apt runs on a private state with an empty list of installed packages; nothing of the machine's own is touched, and
//! nothing is installed. It keeps no caches, so that an archive costs no more disk than its index. These tests are behind
//! the feature `network-tests`, because some read the archives that the machine is configured with.

mod made;
mod real;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use super::super::*;
use super::archive::{now, parsed, stanzas};

/// A private state of apt.
struct Apt {
    folder: tempfile::TempDir,
}

/// One suite of a made-up archive: its name, its packages, and more lines of its release file.
type Made<'a> = (&'a str, &'a str, &'a str);

impl Apt {
    /// With the given lines of `sources.list`.
    fn new(sources: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let apt = Self { folder };
        for name in ["parts", "prefs", "lists/partial", "archives/partial"] {
            fs_err::create_dir_all(apt.path(name)).expect("a new folder");
        }
        fs_err::write(apt.path("status"), "").expect("a new file");
        fs_err::write(apt.path("sources.list"), sources).expect("a new file");
        let root = apt.folder.path().display();
        let config = format!(
            "Dir::State \"{root}\"; Dir::State::status \"{root}/status\"; Dir::State::lists \"{root}/lists\";\n\
             Dir::Cache \"{root}\"; Dir::Cache::archives \"{root}/archives\";\n\
             Dir::Cache::pkgcache \"\"; Dir::Cache::srcpkgcache \"\";\n\
             Dir::Etc::sourcelist \"{root}/sources.list\"; Dir::Etc::sourceparts \"{root}/parts\";\n\
             Dir::Etc::preferences \"{root}/none\"; Dir::Etc::preferencesparts \"{root}/prefs\";\n\
             Dir::Etc::main \"{root}/none\"; Dir::Etc::parts \"{root}/parts\"; Dir::Log \"{root}\";\n\
             APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; }}; APT::Sandbox::User \"\";\n\
             Debug::NoLocking \"true\"; Acquire::Languages \"none\"; Acquire::AllowReleaseInfoChange \"true\";\n"
        );
        fs_err::write(apt.path("apt.conf"), config).expect("a new file");
        apt
    }

    /// Puts made-up suites in the place of all others.
    fn serve(&self, suites: &[Made<'_>]) {
        let mut sources = String::new();
        for (name, lines, fields) in suites {
            let folder = self.path(name);
            let packages = stanzas(lines);
            let release = format!(
                "Suite: {name}\nCodename: {name}\n{fields}SHA256:\n {} {} Packages\n",
                Sha256::of(packages.as_bytes()),
                packages.len()
            );
            fs_err::create_dir_all(&folder).expect("a folder");
            fs_err::write(folder.join("Packages"), packages).expect("a new file");
            fs_err::write(folder.join("Release"), release).expect("a new file");
            sources += &format!("deb [trusted=yes] file:{} ./\n", folder.display());
        }
        fs_err::write(self.path("sources.list"), sources).expect("a new file");
        self.update();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command
            .env("APT_CONFIG", self.path("apt.conf"))
            .env("LC_ALL", "C");
        command
    }

    fn update(&self) {
        let output = self
            .command()
            .args(["-qq", "update"])
            .output()
            .expect("apt-get is there");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What apt would install, as `name=version`; `None` when it refuses.
    fn install(&self, packages: &[String], recommends: bool) -> Option<BTreeSet<String>> {
        let option = match recommends {
            true => "--install-recommends",
            false => "--no-install-recommends",
        };
        let output = self
            .command()
            .args(["-s", option, "install", "--"])
            .args(packages)
            .output()
            .expect("apt-get is there");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().filter_map(|line| line.strip_prefix("Inst "));
        let chosen = lines.filter_map(|line| {
            let (name, rest) = line.split_once(" (")?;
            Some(format!("{name}={}", rest.split(' ').next()?))
        });
        output.status.success().then(|| chosen.collect())
    }
}

fn names(packages: Vec<LockedDeb>) -> BTreeSet<String> {
    packages
        .into_iter()
        .map(|deb| format!("{}={}", deb.name, deb.version))
        .collect()
}

/// The property that `testdata/versions.txt` samples, with fresh samples.
#[test]
fn dpkg_agrees_on_random_versions() {
    let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
    let mut version = || {
        let mut text = rand::Rng::gen_range(&mut random, 0..10).to_string();
        for _ in 0..rand::Rng::gen_range(&mut random, 0..8) {
            let characters = b"0019abZ.+~-";
            text.push(char::from(
                characters[rand::Rng::gen_range(&mut random, 0..characters.len())],
            ));
        }
        // The last part of a version must not be empty.
        text + "1"
    };
    for _ in 0..400 {
        let (left, right) = (version(), version());
        let is = |operator: &str| {
            let mut dpkg = Command::new("dpkg");
            let status = dpkg
                .args(["--compare-versions", &left, operator, &right])
                .status();
            status.expect("dpkg is there").success()
        };
        let order = compare(&left, &right);
        assert_eq!(
            (order.is_lt(), order.is_eq(), order.is_gt()),
            (is("lt"), is("eq"), is("gt")),
            "{left} {right}"
        );
    }
}
