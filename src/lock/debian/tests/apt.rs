//! The same questions, put to the real apt and dpkg of a Debian machine.
//!
//! apt runs on a private state with an empty list of installed packages; nothing of the machine's own is touched, and
//! nothing is installed. These tests are behind the feature `network-tests`, because the last ones read the archives
//! that the machine is configured with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::*;
use super::archive::{MadeSuite, MemoryArchive, lock, now, request, stanzas};
use super::choosing::RULES;
use crate::mirrors::apt_sources::{DebianSources, SourceChoice};

/// A private state of apt.
struct Apt {
    folder: tempfile::TempDir,
}

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
             Dir::Etc::sourcelist \"{root}/sources.list\"; Dir::Etc::sourceparts \"{root}/parts\";\n\
             Dir::Etc::preferences \"{root}/none\"; Dir::Etc::preferencesparts \"{root}/prefs\";\n\
             Dir::Etc::main \"{root}/none\"; Dir::Etc::parts \"{root}/parts\"; Dir::Log \"{root}\";\n\
             APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; }}; APT::Sandbox::User \"\";\n\
             APT::Install-Recommends \"false\"; Debug::NoLocking \"true\"; Acquire::Languages \"none\";\n"
        );
        fs_err::write(apt.path("apt.conf"), config).expect("a new file");
        apt
    }

    /// With one made-up index.
    fn made(lines: &str) -> Self {
        let apt = Self::new("");
        apt.serve(lines);
        apt
    }

    fn serve(&self, lines: &str) {
        fs_err::create_dir_all(self.path("made")).expect("a folder");
        fs_err::write(self.path("made/Packages"), stanzas(lines)).expect("a new file");
        let source = format!(
            "deb [trusted=yes] file:{} ./\n",
            self.path("made").display()
        );
        fs_err::write(self.path("sources.list"), source).expect("a new file");
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
    fn install(&self, packages: &[String]) -> Option<BTreeSet<String>> {
        let output = self
            .command()
            .args(["-s", "install", "--"])
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

fn names(lock: DebianLock) -> BTreeSet<String> {
    lock.packages
        .into_iter()
        .map(|deb| format!("{}={}", deb.name, deb.version))
        .collect()
}

async fn ours(lines: &str, packages: &[String]) -> Option<BTreeSet<String>> {
    let mut archive = MemoryArchive::default();
    MadeSuite::new(DEBIAN, "test", lines).serve(&mut archive);
    let packages: Vec<_> = packages.iter().map(String::as_str).collect();
    lock(&archive, &request(&packages)).await.ok().map(names)
}

#[tokio::test]
async fn apt_agrees_with_every_rule() {
    for (rule, lines, requests, _) in RULES {
        let requests: Vec<_> = requests.iter().map(ToString::to_string).collect();
        let apt = Apt::made(lines).install(&requests);
        assert_eq!(ours(lines, &requests).await, apt, "{rule}");
    }
}

/// A small archive in which names, versions, provisions and conflicts meet by chance.
fn random_archive(random: &mut impl rand::Rng) -> String {
    let mut pick = |most: usize| random.gen_range(0..most);
    let rarity = pick(6) + 2;
    let mut lines = String::new();
    for place in 0..14 {
        lines += &format!("p{place} {}", pick(3) + 1);
        let mut relation = |plain: bool| match (pick(6), plain) {
            (0, _) => format!("v{}", pick(3)),
            (1, false) => format!("p{} (>= {})", pick(14), pick(4)),
            (2, false) => format!("p{} (<< {})", pick(14), pick(4)),
            _ => format!("p{}", pick(14)),
        };
        let groups: Vec<_> = (0..2).map(|_| [relation(false), relation(false)]).collect();
        let (conflict, recommended) = (relation(false), relation(true));
        match pick(4) {
            0 => {}
            1 => lines += &format!("; Depends: {}", groups[0][0]),
            2 => {
                lines += &format!(
                    "; Depends: {}, {} | {}",
                    groups[0][0], groups[1][0], groups[1][1]
                )
            }
            _ => lines += &format!("; Depends: {} | {}", groups[0][0], groups[0][1]),
        }
        if pick(rarity) == 0 {
            lines += &format!("; {}: {conflict}", ["Conflicts", "Breaks"][pick(2)]);
        }
        if pick(3) == 0 {
            lines += &format!("; Provides: v{}{}", pick(3), ["", " (= 2)"][pick(2)]);
        }
        if pick(4) == 0 {
            lines += &format!("; Recommends: {recommended}");
        }
        lines += &format!(
            "; Priority: {}\n",
            ["optional", "optional", "important", "extra"][pick(4)]
        );
    }
    lines
}

/// Where apt finds a solution that we do not find, or another one.
#[tokio::test]
async fn apt_agrees_on_random_archives() {
    let rounds: u64 = std::env::var("COGNIX_APT_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    let apt = Apt::new("");
    let mut differ = Vec::new();
    let mut solved = 0;
    for seed in 0..rounds {
        let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
        let lines = random_archive(&mut random);
        apt.serve(&lines);
        for requests in [&["p0"][..], &["p1", "p2"], &["p3", "p4", "p5"]] {
            let requests: Vec<_> = requests.iter().map(ToString::to_string).collect();
            let (theirs, ours) = (apt.install(&requests), ours(&lines, &requests).await);
            solved += usize::from(theirs.is_some());
            if theirs != ours {
                differ.push(format!(
                    "seed {seed} {requests:?}: apt {theirs:?}, ours {ours:?}"
                ));
            }
        }
    }
    assert!(
        differ.is_empty(),
        "{} of {} (apt solves {solved})\n{}",
        differ.len(),
        3 * rounds,
        differ.join("\n")
    );
}

/// What people ask for, besides the base of every image.
const SETS: &[&str] = &[
    "",
    "ffmpeg",
    "git",
    "curl",
    "wget unzip",
    "libgl1",
    "libgl1 libglib2.0-0",
    "libgl1 libsm6 libxext6 libglib2.0-0",
    "build-essential",
    "python3-dev",
    "python3-venv",
    "cmake ninja-build pkg-config",
    "libsndfile1 sox",
    "imagemagick",
    "default-mta",
    "openssh-client rsync",
    "libblas3 liblapack3",
    "default-jre-headless",
    "texlive-latex-base",
    "libreoffice-writer",
    "chromium",
    "postgresql",
    "nodejs npm",
    "vim emacs-nox",
    "gnome-core",
];

/// All packages of every image with every set, for both releases, in the same versions.
async fn agrees_on_real_sets(python: (u8, u8)) {
    let suite = suite_of_python(python).expect("a Python of Debian's");
    let inputs = [DEBIAN, DEBIAN_SECURITY].map(|input| (input.to_owned(), SourceChoice::default()));
    let sources =
        DebianSources::discover(&inputs.into(), Path::new("/etc/apt")).expect("a Debian machine");
    let (debian, security) = (&sources.bases()[DEBIAN], &sources.bases()[DEBIAN_SECURITY]);
    let ring = tempfile::Builder::new()
        .suffix(".gpg")
        .tempfile()
        .expect("a temporary file");
    fs_err::write(ring.path(), include_bytes!("../keys/debian-archive.gpg")).expect("writable");
    let option = format!("deb [signed-by={}]", ring.path().display());
    let apt = Apt::new(&format!(
        "{option} {debian} {suite} main\n{option} {debian} {suite}-updates main\n\
         {option} {security} {suite}-security main\n"
    ));
    apt.update();

    let archive = HttpArchive::new(
        HttpArchive::client().expect("a client"),
        sources.bases().clone(),
    );
    let (keys, folder) = (
        TrustedKeys::debian(),
        tempfile::tempdir().expect("a temporary folder"),
    );
    let cache = IndexCache::new(folder.path());
    let context = |offline| DebianContext {
        archive: &archive,
        keys: &keys,
        cache: &cache,
        now: now(),
        offline,
    };
    let bare = DebianRequest::stable(suite, Vec::new());
    let essential = resolve(&bare, &context(false))
        .await
        .expect("the essential packages")
        .essential;
    for set in SETS {
        let wanted = base_packages(python)
            .into_iter()
            .chain(set.split_whitespace());
        let wanted: Vec<_> = wanted.map(str::to_owned).collect();
        let packages = wanted
            .iter()
            .map(|name| name.parse().expect("a package name"))
            .collect();
        let ours = resolve(&DebianRequest::stable(suite, packages), &context(true)).await;
        let theirs = apt.install(&essential.iter().cloned().chain(wanted).collect::<Vec<_>>());
        let ours = ours.map(names).map_err(|error| error.to_string());
        assert_eq!(
            ours,
            theirs.ok_or_else(|| "apt refuses".to_owned()),
            "{suite}: {set}"
        );
    }
}

#[tokio::test]
async fn apt_agrees_on_bookworm() {
    agrees_on_real_sets((3, 11)).await;
}

#[tokio::test]
async fn apt_agrees_on_trixie() {
    agrees_on_real_sets((3, 13)).await;
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
