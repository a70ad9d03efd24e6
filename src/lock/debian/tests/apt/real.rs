//! The archives that this machine is configured with: what people ask for, for both releases.

use std::path::Path;
use std::sync::Arc;

use super::super::super::choose::{Chosen, choose_of};
use super::super::super::packages::PackageIndex;
use super::super::super::universe::Universe;
use super::*;
use crate::mirrors::apt_sources::{DEBIAN, DEBIAN_SECURITY, DebianSources, SourceChoice};
use crate::spec::BaseTier;

/// The base of every image besides its tier.
const BASE: &str =
    "ca-certificates libgcc-s1 libgomp1 libstdc++6 mawk netbase tini tzdata usr-is-merged zlib1g";

/// What people ask for, besides the base of every image.
const SETS: &[&str] = &[
    "",
    "ffmpeg",
    "git",
    "curl",
    "wget unzip",
    "libgl1",
    "libgl1 libsm6 libxext6 libglib2.0-0",
    "build-essential",
    "python3-dev",
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
    "libgcc1 libz-dev",
];

/// The machine's archives as apt and as we see them, read once.
struct World {
    suite: &'static str,
    interpreter: &'static str,
    apt: Apt,
    indexes: Arc<Vec<PackageIndex>>,
}

impl World {
    async fn new(suite: &'static str, interpreter: &'static str) -> Self {
        let inputs =
            [DEBIAN, DEBIAN_SECURITY].map(|input| (input.to_owned(), SourceChoice::default()));
        let sources = DebianSources::discover(&inputs.into(), Path::new("/etc/apt"));
        let sources = sources.expect("a Debian machine");
        let (debian, security) = (&sources.bases()[DEBIAN], &sources.bases()[DEBIAN_SECURITY]);
        let mut lines = String::new();
        let apt = Apt::new("");
        let ring = apt.path("ring.gpg");
        fs_err::write(&ring, include_bytes!("../../keys/debian-archive.gpg")).expect("writable");
        for (base, suffix) in [(debian, ""), (debian, "-updates"), (security, "-security")] {
            let option = format!("arch=amd64 signed-by={}", ring.display());
            lines += &format!("deb [{option}] {base} {suite}{suffix} main\n");
        }
        fs_err::write(apt.path("sources.list"), lines).expect("writable");
        apt.update();
        let client = HttpArchive::client().expect("a client");
        let cache = tempfile::tempdir().expect("a temporary folder");
        let context = DebianContext {
            archive: &HttpArchive::new(client, sources.bases().clone()),
            keys: &TrustedKeys::debian(),
            own_keys: &BTreeMap::new(),
            cache: &IndexCache::new(cache.path()),
            now: now(),
            offline: false,
        };
        let bare = DebianRequest::stable(suite, Vec::new());
        let suites = suites::read(&bare, &context).await.expect("three suites");
        Self {
            suite,
            interpreter,
            apt,
            indexes: Arc::new(suites.into_iter().flat_map(|suite| suite.indexes).collect()),
        }
    }

    /// What is asked for an image of this tier with a set of packages.
    fn request(&self, tier: BaseTier, set: &str, recommends: bool) -> (DebianRequest, Vec<String>) {
        let tier = Tier::of(tier);
        let below = tier.packages.iter().copied();
        let wanted = below
            .chain(BASE.split(' '))
            .chain([self.interpreter])
            .chain(set.split_whitespace());
        let wanted: Vec<&str> = wanted.collect();
        let mut request = DebianRequest::stable(self.suite, parsed(&wanted));
        request.include_essential = tier.essential;
        request.recommends = recommends;
        request.unfollowed = tier.unfollowed.to_vec();
        (request, wanted.iter().map(ToString::to_string).collect())
    }

    /// What we choose for each set, from indexes that are read once.
    async fn choose(&self, requests: Vec<DebianRequest>) -> Vec<Result<Chosen, String>> {
        let indexes = self.indexes.clone();
        let chosen = on_deep_stack(move || {
            let universe = Universe::new(&indexes, requests[0].rules())?;
            let chosen = requests.iter().map(|request| choose_of(&universe, request));
            Ok(chosen
                .map(|chosen| chosen.map_err(|error| error.to_string()))
                .collect())
        });
        chosen.await.expect("indexes that can be read")
    }

    /// Whether both choose the same packages in the same versions for every set; how many they are.
    #[expect(clippy::print_stdout, reason = "the counts are what the test shows")]
    async fn check(&self, tier: BaseTier, essential: &[String], sets: &[&str], recommends: bool) {
        let asked: Vec<_> = sets
            .iter()
            .map(|set| self.request(tier, set, recommends))
            .collect();
        let requests = asked.iter().map(|(request, _)| request.clone());
        let ours = self.choose(requests.collect()).await;
        let mut counts = Vec::new();
        for ((set, (_, words)), ours) in sets.iter().zip(&asked).zip(ours) {
            let ours = ours.map(|(packages, ..)| names(packages));
            let words: Vec<_> = essential.iter().chain(words).cloned().collect();
            let theirs = self.apt.install(&words, recommends);
            let theirs = theirs.ok_or_else(|| "apt refuses".to_owned());
            counts.push(theirs.as_ref().map_or(0, BTreeSet::len));
            assert_eq!(
                ours, theirs,
                "{} {set}, recommendations {recommends}",
                self.suite
            );
        }
        println!(
            "{}, tier {tier}, recommendations {recommends}: {} sets as apt, packages {counts:?}",
            self.suite,
            counts.len()
        );
    }
}

/// All packages of every image with every set, in the same versions, recommendations off and on.
async fn agrees_on_real_sets(suite: &'static str, interpreter: &'static str) {
    let world = World::new(suite, interpreter).await;
    let bare = DebianRequest::stable(suite, Vec::new());
    let bare = world.choose(vec![bare]).await.remove(0);
    let (_, essential, _) = bare.expect("the essential packages");
    for recommends in [false, true] {
        world
            .check(BaseTier::Essential, &essential, SETS, recommends)
            .await;
    }
    // What only scripts need stands in apt's list of installed packages instead, so that it brings none of it.
    let dummy = |name: &&str| {
        format!(
            "Package: {name}\nStatus: install ok installed\nVersion: 9999\nArchitecture: all\nMaintainer: x\n\n"
        )
    };
    let status: String = ["debconf", "dpkg"].iter().map(dummy).collect();
    fs_err::write(world.apt.path("status"), status).expect("writable");
    for tier in [BaseTier::Minimal, BaseTier::Shell] {
        world.check(tier, &[], &[""], false).await;
    }
}

#[tokio::test]
async fn apt_agrees_on_bookworm() {
    agrees_on_real_sets("bookworm", "python3.11").await;
}

#[tokio::test]
async fn apt_agrees_on_trixie() {
    agrees_on_real_sets("trixie", "python3.13").await;
}
