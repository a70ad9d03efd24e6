//! Real packages of the machine's archives through both builtins: every tier, both releases, both architectures, and the
//! system packages that models ask for most. Nothing may fail, and nothing may be left out without a reason.
//!
//! Packages are unpacked as they arrive and their archives are dropped, and no program of theirs is run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cognix_derivations::Sha256;

use crate::builtins::deb::{Expected, Limits, Unpacker};
use crate::builtins::system::{Package, configure};
use crate::lock::Architecture;
use crate::lock::debian::{
    Archive, DebianContext, DebianRequest, HttpArchive, IndexCache, LockedDeb, Tier, TrustedKeys,
    resolve,
};
use crate::mirrors::apt_sources::{DEBIAN, DEBIAN_SECURITY, DebianSources, SourceChoice};
use crate::spec::BaseTier;

const BASE: &str =
    "ca-certificates libgcc-s1 libgomp1 libstdc++6 mawk netbase tini tzdata usr-is-merged zlib1g";

struct World {
    archive: HttpArchive,
    cache: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let inputs =
            [DEBIAN, DEBIAN_SECURITY].map(|input| (input.to_owned(), SourceChoice::default()));
        let sources = DebianSources::discover(&inputs.into(), Path::new("/etc/apt"));
        let sources = sources.expect("a Debian machine");
        let client = HttpArchive::client().expect("a client");
        Self {
            archive: HttpArchive::new(client, sources.bases().clone()),
            cache: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    async fn choose(
        &self,
        suite: &str,
        architecture: Architecture,
        tier: BaseTier,
        set: &str,
    ) -> Vec<LockedDeb> {
        let tier = Tier::of(tier);
        let named = tier.packages.iter().copied();
        let named = named.chain(BASE.split(' ')).chain(set.split_whitespace());
        let packages = named.map(|name| name.parse().expect("a name")).collect();
        let mut request = DebianRequest::stable(suite, packages);
        request.architecture = architecture.debian().to_owned();
        request.include_essential = tier.essential;
        request.unfollowed = tier.unfollowed.to_vec();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let context = DebianContext {
            archive: &self.archive,
            keys: &TrustedKeys::debian(),
            own_keys: &BTreeMap::new(),
            cache: &IndexCache::new(self.cache.path()),
            now: since.expect("after 1970").as_secs(),
            offline: false,
        };
        let lock = resolve(&request, &context).await;
        lock.unwrap_or_else(|error| panic!("{suite} {set}: {error}"))
            .packages
    }

    async fn unpack(&self, deb: &LockedDeb, folder: &Path) -> Package {
        let bytes = self.archive.fetch(&deb.input, &deb.path, deb.size).await;
        let bytes = bytes
            .expect("an archive that answers")
            .expect("a package of its index");
        assert_eq!(Sha256::of(&bytes), deb.sha256, "{}", deb.path);
        let place = folder.join(&deb.name);
        fs_err::create_dir(&place).expect("each package once");
        let file = place.join("deb");
        fs_err::write(&file, bytes).expect("room for a package");
        let package = Package {
            name: deb.name.clone(),
            out: place.join("out"),
            control: place.join("control"),
        };
        let unpacker = Unpacker {
            expected: Expected {
                package: &deb.name,
                version: &deb.version,
                architecture: &deb.architecture,
            },
            limits: Limits::default(),
            cancelled: &|| false,
        };
        let unpacked = unpacker.unpack(&file, &package.out, &package.control);
        unpacked.unwrap_or_else(|error| panic!("{}: {error}", deb.path));
        fs_err::remove_file(file).expect("it was just written");
        package
    }
}

/// Unpacks and configures what is chosen for a set, and looks at what every image must have.
#[expect(clippy::print_stdout, reason = "the counts are what the test shows")]
async fn check(suite: &str, architecture: Architecture, tier: BaseTier, set: &str, files: &[&str]) {
    let world = World::new();
    let debs = world.choose(suite, architecture, tier, set).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut packages = Vec::new();
    for deb in &debs {
        packages.push(world.unpack(deb, folder.path()).await);
    }
    let (out, control) = (folder.path().join("+out"), folder.path().join("+control"));
    let notes = configure(packages.clone(), &BTreeSet::new(), &out, &control, &|| {
        false
    });
    let notes = notes.unwrap_or_else(|error| panic!("{suite} {set}: {error}"));
    let label = format!("{suite}, {architecture}, tier {tier}, {set}");
    assert_eq!(notes, Vec::<String>::new(), "{label}");

    let trees = || packages.iter().map(|package| &package.out).chain([&out]);
    let has = |path: &str| trees().any(|tree| tree.join(path).symlink_metadata().is_ok());
    let name = |name: &str| debs.iter().any(|deb| deb.name == name);
    assert_eq!(has("usr/bin/sh"), name("dash"), "{label}: /bin/sh");
    assert_eq!(name("dash"), tier != BaseTier::Minimal, "{label}");
    assert_eq!(name("dpkg"), tier == BaseTier::Essential, "{label}");
    for path in [
        "etc/passwd",
        "etc/group",
        "etc/localtime",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/lib/ssl/cert.pem",
    ] {
        assert!(has(path), "{label}: {path}");
    }
    for path in files {
        assert!(has(path), "{label}: {path}");
    }
    let cache = fs_err::read(out.join("etc/ld.so.cache")).expect("a cache");
    let libc = format!("/lib/{}/libc.so.6\0", architecture.triplet());
    assert!(
        cache
            .windows(libc.len())
            .any(|window| window == libc.as_bytes()),
        "{label}: {libc:?}"
    );
    println!(
        "{label}: {} packages, no error and nothing left out",
        debs.len()
    );
}

#[tokio::test]
async fn small_tiers_of_both_releases_and_architectures_configure() {
    for (suite, python) in [("bookworm", "python3.11"), ("trixie", "python3.13")] {
        for tier in [BaseTier::Minimal, BaseTier::Shell] {
            let python_files = [&*format!("usr/bin/{python}"), "usr/sbin/ldconfig"];
            check(suite, Architecture::Amd64, tier, python, &python_files).await;
        }
    }
    let python_files = ["usr/bin/python3.11", "etc/alternatives/awk"];
    check(
        "bookworm",
        Architecture::Arm64,
        BaseTier::Minimal,
        "python3.11",
        &python_files,
    )
    .await;
}

/// What models ask for most. `ffmpeg` starts only with the links of libblas and liblapack.
const POPULAR: &str = "ffmpeg git curl libgl1 libsm6 libxext6 libglib2.0-0 build-essential";

fn popular_files(architecture: Architecture) -> Vec<String> {
    let triplet = architecture.triplet();
    let libraries =
        ["libblas.so.3", "liblapack.so.3"].map(|name| format!("usr/lib/{triplet}/{name}"));
    let commands = ["ffmpeg", "git", "curl", "cc", "c++"].map(|name| format!("usr/bin/{name}"));
    libraries.into_iter().chain(commands).collect()
}

async fn popular(suite: &str, architecture: Architecture) {
    let files = popular_files(architecture);
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    check(suite, architecture, BaseTier::Essential, POPULAR, &files).await;
}

/// One after the other, because each takes more than a gigabyte while it is looked at.
#[tokio::test]
async fn popular_packages_of_both_releases_and_architectures_configure() {
    for (suite, architecture) in [
        ("bookworm", Architecture::Amd64),
        ("trixie", Architecture::Amd64),
        ("trixie", Architecture::Arm64),
    ] {
        popular(suite, architecture).await;
    }
}
