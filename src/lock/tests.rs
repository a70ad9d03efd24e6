use cognix_derivations::Sha256;

use super::*;
use crate::spec::BaseTier;

/// A lock with one variant, which is the default.
pub(crate) fn whole(variant: VariantLock) -> Lock {
    let variants = [(crate::spec::DEFAULT_VARIANT.to_owned(), variant)];
    Lock {
        exclude_newer: "2025-11-02T00:00:00Z".to_owned(),
        inputs: LockedInputs::new(),
        variants: variants.into(),
    }
}

/// A small lock of one variant that has one of everything.
pub(crate) fn example() -> VariantLock {
    let request = LockRequest {
        coglet: None,
        base: vec!["tini".to_owned()],
        budget: 100,
        conflicts: BTreeMap::new(),
        constraints: Vec::new(),
        index_options: IndexOptions::default(),
        tier: BaseTier::Essential,
        inputs: InputPins::from([
            (
                "debian".to_owned(),
                InputPin {
                    archives: Vec::new(),
                    packages: Vec::new(),
                    rank: None,
                    components: vec!["main".to_owned()],
                    releases: BTreeMap::new(),
                    suites: vec!["bookworm".to_owned()],
                    kind: "debian".to_owned(),
                },
            ),
            (
                "pypi".to_owned(),
                InputPin {
                    archives: Vec::new(),
                    packages: Vec::new(),
                    rank: None,
                    components: Vec::new(),
                    releases: BTreeMap::new(),
                    suites: Vec::new(),
                    kind: "pypi".to_owned(),
                },
            ),
        ]),
        pins: None,
        platforms: vec![Architecture::Amd64],
        python: "3.11".to_owned(),
        recipes: LayerRecipes {
            grouping: "largest-alone-16-by-name-1".to_owned(),
            tree: "gzip-libdeflate-1.26-6-1m".to_owned(),
            wheel: "gzip-wheel-splice-1".to_owned(),
        },
        recommends: false,
        leave_out_scripts: Vec::new(),
        bytecode: false,
        overrides: Vec::new(),
        build_packages: Vec::new(),
        no_binary: Vec::new(),
        requirements: vec!["alpha>=1".to_owned()],
        sdk: "cog>=0.16.0".to_owned(),
        system_packages: Vec::new(),
        waivers: Vec::new(),
    };
    let mut alpha = wheel("alpha", "1.0", &["beta"], &[]);
    alpha.bounds = said("beta", "[fast]>=1.5,<3");
    let mut python = deb("python3.11", "1:3.11.2", &["libc6"], DebGroup::Python);
    python.bounds = said("libc6", "(>= 2.36)");
    let platform = PlatformLock {
        interpreter: LockedInterpreter::Debian {
            package: "python3.11".to_owned(),
        },
        debian: DebianLock {
            releases: vec![debian::LockedRelease {
                input: "debian".to_owned(),
                suite: "bookworm".to_owned(),
                in_release_sha256: Sha256::of(b"InRelease"),
                date: "2025-11-01T00:00:00Z".to_owned(),
            }],
            packages: vec![deb("libc6", "2.36-9", &[], DebGroup::Base), python],
        },
        build: None,
        python: PythonLock {
            packages: vec![
                alpha,
                wheel(
                    "beta",
                    "2.0+local",
                    &[],
                    &["venv/lib/python3.11/site-packages/shared.py"],
                ),
            ],
        },
    };
    VariantLock {
        runs: BTreeMap::new(),
        request,
        platforms: BTreeMap::from([(Architecture::Amd64, platform)]),
    }
}

/// The example with a package that is a commit of a repository, built with another of its wheels.
pub(crate) fn with_commit() -> VariantLock {
    let mut lock = example();
    let platform = amd64(&mut lock);
    platform.build = Some(platform.debian.clone());
    let build = platform.build.as_mut().expect("just put there");
    for deb in &mut build.packages {
        deb.group = DebGroup::Base;
    }
    let tool = platform.python.packages[1].package.clone();
    let commit = "0123456789012345678901234567890123456789";
    let address = format!("git+https://host.test/r.git@{commit}#subdirectory=x/y");
    let address = crate::mirrors::git::GitAddress::parse(&address)
        .expect("one")
        .expect("sound");
    let source = &mut platform.python.packages[0];
    source.package.filename = address.file_name();
    source.package.origin = python::WheelOrigin::Git(address);
    source.build = Some(python::SourceBuild {
        backend: "a.b".to_owned(),
        backend_path: Vec::new(),
        builds: BTreeMap::new(),
        requires: vec![python::LockedWheel {
            requires: Vec::new(),
            ..tool
        }],
        reason: python::SourceReason::Named,
        revision: Some(python::Revision {
            reference: Some("main".to_owned()),
            ..python::Revision::default()
        }),
    });
    lock
}

fn said(name: &str, bound: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), bound.to_owned())])
}

/// The one platform of [`example`].
pub(crate) fn amd64(lock: &mut VariantLock) -> &mut PlatformLock {
    lock.platforms
        .get_mut(&Architecture::Amd64)
        .expect("the example has it")
}

pub(crate) fn deb(name: &str, version: &str, depends: &[&str], group: DebGroup) -> LockedDeb {
    let package = debian::LockedDeb {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        input: "debian".to_owned(),
        path: format!("pool/main/{name}.deb"),
        size: 1234,
        sha256: Sha256::of(name.as_bytes()),
        depends: depends.iter().map(|name| (*name).to_owned()).collect(),
        requested: group == DebGroup::Python,
    };
    LockedDeb {
        package,
        group,
        bounds: BTreeMap::new(),
        layer: None,
    }
}

pub(crate) fn wheel(name: &str, version: &str, requires: &[&str], omit: &[&str]) -> LockedWheel {
    let package = python::LockedWheel {
        name: name.to_owned(),
        version: version.to_owned(),
        filename: format!("{name}-{version}-py3-none-any.whl"),
        sha256: Sha256::of(name.as_bytes()),
        size: 5678,
        requires: requires.iter().map(|name| (*name).to_owned()).collect(),
        origin: python::WheelOrigin::Index {
            input: "pypi".to_owned(),
        },
        spelling: None,
        yanked: false,
    };
    LockedWheel {
        package,
        layer: None,
        waived: false,
        omit: omit.iter().map(|path| (*path).to_owned()).collect(),
        bounds: BTreeMap::new(),
        build: None,
    }
}

#[test]
fn changes_say_what_differs() {
    let locked = example().request;
    let mut now = locked.clone();
    now.requirements.push("gamma".to_owned());
    now.python = "3.13".to_owned();
    now.base.clear();
    let changes: Vec<String> = locked
        .changes(&now)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        changes,
        [
            "python_version was 3.11, is 3.13",
            "removed base package tini",
            "added requirement gamma"
        ]
    );
    assert_eq!(locked.changes(&locked), []);
}

#[test]
fn changes_of_overrides_name_them() {
    let mut locked = example().request;
    locked.overrides = vec!["numpy==1.26.4".to_owned(), "six==1.16".to_owned()];
    let mut now = locked.clone();
    let file = "foo @ https://host.test/foo-1-py3-none-any.whl --hash=sha256:00";
    now.overrides = vec![file.to_owned(), "numpy==1.26.5".to_owned()];
    let changes: Vec<String> = locked
        .changes(&now)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        changes,
        [
            "overrides.foo was not there, is https://host.test/foo-1-py3-none-any.whl --hash=sha256:00",
            "overrides.numpy was 1.26.4, is 1.26.5",
            "overrides.six was 1.16, is not there",
        ]
    );
}

#[test]
fn a_package_is_in_the_first_group_that_needs_it() {
    let package = |name: &str, depends: &[&str]| deb(name, "1", depends, DebGroup::Base).package;
    let debian = debian::DebianLock {
        releases: Vec::new(),
        packages: vec![
            package("bash", &["libc6"]),
            package("libc6", &[]),
            package("libexpat1", &["libc6"]),
            package("libsl", &["bash"]),
            package("python3.11", &["libexpat1"]),
            package("sl", &["libexpat1", "libsl"]),
            package("tini", &[]),
        ],
        essential: vec!["bash".to_owned()],
        bounds: BTreeMap::new(),
    };
    let locked = system::grouped(debian, &example().request, &["python3.11".to_owned()]);
    let groups: Vec<_> = locked
        .packages
        .iter()
        .map(|deb| (deb.name.as_str(), deb.group))
        .collect();
    let (base, python, system) = (DebGroup::Base, DebGroup::Python, DebGroup::SystemPackages);
    assert_eq!(
        groups,
        [
            ("bash", base),
            ("libc6", base),
            ("libexpat1", python),
            ("libsl", system),
            ("python3.11", python),
            ("sl", system),
            ("tini", base)
        ]
    );
}
