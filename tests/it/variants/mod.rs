//! Several images of one model: locked together, built one by one.
//!
//! What the spec's outputs say is given by hand, so that these tests are about what is made of it.

mod derivations;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use cognix::lock::{Architecture, Lock, LockedInputs, LockedPlatform, PackageKind};
use cognix::pipeline::{
    ImageDerivations, ImageOptions, ImageRecord, LockOptions, OpenOptions, Outputs, PipelineError,
    Project, Realisation,
};
use cognix::spec::{
    Derivations, ExtraPackage, Pin, ProjectFiles, SpecError, StoreText, Torch, TorchMode, Variant,
};
use cognix_derivations::{
    ContentAddress, Derivation, Sha256, StorePathName, content_addressed_path,
    downstream_placeholder,
};
use cognix_store::{CancellationToken, Store};

use crate::world::wheels::{self, Wheel};
use crate::world::{World, fail, succeed};

/// Outputs of a spec, as they would be evaluated.
#[derive(Debug, Default)]
struct Fixed {
    variants: Vec<Variant>,
    derivations: Derivations,
}

impl Outputs for Fixed {
    fn variants(&self) -> Result<Vec<Variant>, SpecError> {
        Ok(self.variants.clone())
    }

    fn derivations(
        &self,
        _: &str,
        _: LockedPlatform<'_>,
        _: &LockedInputs,
    ) -> Result<Derivations, PipelineError> {
        Ok(self.derivations.clone())
    }
}

fn open(project: &Path, variant: &str, outputs: Fixed) -> Result<Project, PipelineError> {
    let options = OpenOptions {
        variant: Some(variant.to_owned()),
        ..OpenOptions::default()
    };
    Project::open_with(project, options, Arc::new(outputs))
}

fn cpu_cuda_pinned() -> Vec<Variant> {
    let numpy = Pin::Version("1.26.4".to_owned());
    vec![
        Variant {
            environment: BTreeMap::from([("MODE".to_owned(), "cpu".to_owned())]),
            ..Variant::unchanged("cpu")
        },
        Variant {
            gpu: Some(true),
            cuda: Some("12.4".to_owned()),
            packages: vec!["gamma".to_owned()],
            system_packages: vec!["sl".to_owned()],
            ..Variant::unchanged("cuda")
        },
        Variant {
            pins: BTreeMap::from([("numpy".to_owned(), numpy)]),
            ..Variant::unchanged("pinned-numpy")
        },
    ]
}

fn publish(world: &World, newest: &str) {
    let mut wheels = vec![
        Wheel::new("numpy", "1.26.4"),
        Wheel::new("numpy", "2.0.0"),
        Wheel::new("plot", "1.0").requires("numpy>=2"),
        Wheel::new("gamma", "1.0").requires("beta"),
        Wheel::new("gamma", "1.1").requires("beta"),
    ];
    if newest != "2.0.0" {
        wheels.push(Wheel::new("numpy", newest));
        wheels.push(Wheel::new("plot", "1.1").requires("numpy>=2"));
    }
    wheels::publish(&world.server, &wheels);
}

/// Locks all variants as `cognix lock` does.
fn lock(world: &World, project: &Path, variants: Vec<Variant>, options: LockOptions) -> Lock {
    let first = variants[0].name.clone();
    let outputs = Fixed {
        variants,
        ..Fixed::default()
    };
    let opened = open(project, &first, outputs).expect("a sound model");
    let mirrors = |project: &Project| project.mirrors(&[], world.path("cache"), false);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let resolved = runtime
        .block_on(opened.resolve(mirrors, options))
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    opened
        .write_lock(&resolved.lock)
        .expect("a writable folder");
    resolved.lock
}

fn version(lock: &Lock, variant: &str, package: &str) -> Option<String> {
    let platform = &lock.variant(variant)?.platforms[&Architecture::Amd64];
    let mut wheels = platform.python.packages.iter();
    let wheel = wheels.find(|wheel| wheel.name == package)?;
    Some(wheel.version.clone())
}

fn instantiate(project: &Project, lock: &Lock) -> Result<ImageDerivations, PipelineError> {
    let source = project.scan_source().expect("readable");
    let options = ImageOptions::default();
    project.instantiate(lock, Architecture::Amd64, source.store_path(), &options)
}

fn build(world: &World, project: &Project, lock: &Lock) -> Result<ImageRecord, PipelineError> {
    let store = Store::open(&world.path("store")).expect("a store");
    let image = instantiate(project, lock)?;
    let source = project.scan_source().expect("readable");
    source.import(&store).expect("a writable store");
    image.import(&store)?;
    let realisation = Realisation {
        store: store.clone(),
        mirrors: project.mirrors(&[], world.path("cache"), false)?,
        jobs: 2,
        events: Arc::new(cognix_store::Silent),
        cancel: CancellationToken::new(),
        sandbox: Default::default(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let realised = runtime.block_on(realisation.image(&image))?;
    project.record_image(&store, Architecture::Amd64, &image, &realised)
}

fn layers(record: &ImageRecord) -> BTreeMap<String, String> {
    let layers = record.layers.iter();
    layers
        .map(|layer| (layer.name.clone(), layer.digest.to_string()))
        .collect()
}

#[test]
fn three_variants_lock_once_build_each_and_move_together() {
    let world = World::new();
    publish(&world, "2.0.0");
    let project = world.project("model", "numpy\nplot\n");
    let first = lock(&world, &project, cpu_cuda_pinned(), LockOptions::default());
    let numpy = |lock: &Lock| {
        ["cpu", "cuda", "pinned-numpy"]
            .map(|variant| version(lock, variant, "numpy").expect("there"))
    };
    // The override holds against what plot asks for.
    assert_eq!(numpy(&first), ["2.0.0", "2.0.0", "1.26.4"]);
    assert_eq!(version(&first, "cpu", "gamma"), None);
    assert_eq!(version(&first, "cuda", "gamma").as_deref(), Some("1.1"));

    let before = std::fs::read_to_string(project.join("cognix.lock")).expect("written");
    for package in ["plot", "gamma", "libc6", "sl"] {
        let entries = before.matches(&format!("\"name\": \"{package}\"")).count();
        assert_eq!(entries, 1, "{package} stands once");
    }
    assert_eq!(before.matches("\"name\": \"numpy\"").count(), 2);
    assert_eq!(Lock::parse(&before).expect("our own text"), first);

    let mut digests = BTreeMap::new();
    for variant in ["cpu", "cuda", "pinned-numpy"] {
        let outputs = Fixed {
            variants: cpu_cuda_pinned(),
            ..Fixed::default()
        };
        let opened = open(&project, variant, outputs).expect("a sound model");
        let record = build(&world, &opened, &first).expect("an image");
        let config = String::from_utf8(record.config.clone()).expect("JSON");
        assert_eq!(config.contains("\"MODE=cpu\""), variant == "cpu");
        digests.insert(variant, layers(&record));
    }
    let (cpu, cuda, pinned) = (&digests["cpu"], &digests["cuda"], &digests["pinned-numpy"]);
    for shared in ["base", "python", "virtual-environment", "plot", "numpy"] {
        assert_eq!(cpu[shared], cuda[shared], "{shared} is one layer");
    }
    assert!(cuda.contains_key("sl") && !cpu.contains_key("sl"));
    assert_ne!(cpu["numpy"], pinned["numpy"]);
    assert_eq!(cpu["plot"], pinned["plot"]);
    let roots = world.path("store/nix/var/nix/gcroots/cognix");
    let roots: BTreeSet<String> = std::fs::read_dir(roots)
        .expect("images are roots")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let ends = ["+cpu", "+cuda", "+pinned-numpy"];
    assert!(
        ends.iter()
            .all(|end| roots.iter().any(|root| root.ends_with(end))),
        "{roots:?}"
    );

    // One package moves, in all variants that let it, and nothing else does.
    publish(&world, "2.1.0");
    let options = LockOptions {
        previous: Some(first.clone()),
        arranged: Some(first.clone()),
        update: BTreeSet::from([(PackageKind::Wheel, "numpy".to_owned())]),
        ..LockOptions::default()
    };
    let second = lock(&world, &project, cpu_cuda_pinned(), options);
    assert_eq!(numpy(&second), ["2.1.0", "2.1.0", "1.26.4"]);
    let moves: Vec<String> = second
        .moves_since(&first)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(moves, ["numpy 2.0.0 -> 2.1.0 (cpu, cuda)"]);
    let after = std::fs::read_to_string(project.join("cognix.lock")).expect("written");
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    assert_eq!(old.len(), new.len());
    let own = |line: &str| {
        ["numpy", "\"sha256\"", "\"size\"", "\"version\": \"2."]
            .iter()
            .any(|word| line.contains(word))
    };
    let changed: Vec<_> = old
        .iter()
        .zip(&new)
        .filter(|(one, other)| one != other)
        .collect();
    assert!(
        changed.iter().all(|(one, other)| own(one) && own(other)),
        "{changed:?}"
    );
    // The address, the digest, the version and the size of one entry, and its name in two variants.
    assert!(changed.len() <= 6, "{changed:?}");
}

#[test]
fn a_new_variant_takes_the_choices_of_the_others() {
    let world = World::new();
    publish(&world, "2.0.0");
    let project = world.project("model", "numpy\nplot\n");
    let one = vec![Variant::unchanged("cpu")];
    let first = lock(&world, &project, one, LockOptions::default());
    publish(&world, "2.1.0");
    let two = vec![Variant::unchanged("cpu"), Variant::unchanged("other")];
    let options = || LockOptions {
        previous: Some(first.clone()),
        arranged: Some(first.clone()),
        ..LockOptions::default()
    };
    let second = lock(&world, &project, two, options());
    assert_eq!(second.variant("other"), second.variant("cpu"));
    assert_eq!(version(&second, "other", "plot").as_deref(), Some("1.0"));
}

#[test]
fn a_pin_that_cannot_hold_is_named() {
    let world = World::new();
    publish(&world, "2.0.0");
    let project = world.project("model", "numpy\n");
    let pin = Pin::Version("9.9".to_owned());
    let variants = vec![
        Variant::unchanged("cpu"),
        Variant {
            pins: BTreeMap::from([("numpy".to_owned(), pin)]),
            ..Variant::unchanged("pinned")
        },
    ];
    let outputs = Fixed {
        variants,
        ..Fixed::default()
    };
    let opened = open(&project, "cpu", outputs).expect("a sound model");
    let mirrors = |project: &Project| project.mirrors(&[], world.path("cache"), false);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let error = runtime.block_on(opened.resolve(mirrors, LockOptions::default()));
    let error = error.expect_err("there is no such version");
    assert_eq!(error.to_string(), "images.pinned cannot be locked");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert!(cause.contains("overrides.numpy pins 9.9"), "{cause}");
}

#[test]
fn a_pin_to_an_address_is_a_requirement_of_its_own() {
    let world = World::new();
    publish(&world, "2.0.0");
    let project = world.project("model", "numpy\n");
    let wheel = Wheel::new("patched", "1.0");
    let (file, bytes) = (wheel.file_name(), wheel.to_bytes());
    world.server.put(
        &format!("own/{file}"),
        "application/octet-stream",
        bytes.clone(),
    );
    let pinned = |sha256| {
        let url = format!("{}/{file}", world.server.url("own"));
        vec![Variant {
            pins: BTreeMap::from([("patched".to_owned(), Pin::Url { url, sha256 })]),
            ..Variant::unchanged("default")
        }]
    };
    let locked = lock(
        &world,
        &project,
        pinned(Sha256::of(&bytes)),
        LockOptions::default(),
    );
    assert_eq!(
        version(&locked, "default", "patched").as_deref(),
        Some("1.0")
    );
    let outputs = Fixed {
        variants: pinned(Sha256::of(b"another")),
        ..Fixed::default()
    };
    let opened = open(&project, "default", outputs).expect("a sound model");
    let changes = locked.variants["default"]
        .request
        .changes(&opened.request());
    assert_eq!(
        changes.len(),
        1,
        "another digest is another file: {changes:?}"
    );
    let mirrors = |project: &Project| project.mirrors(&[], world.path("cache"), false);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let error = runtime.block_on(opened.resolve(mirrors, LockOptions::default()));
    assert!(error.is_err(), "another file than the spec promises");
}

#[test]
fn what_a_variant_says_wrongly_is_named_by_its_key() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let refused = |variant: Variant| {
        let outputs = Fixed {
            variants: vec![variant],
            ..Fixed::default()
        };
        open(&project, "cuda", outputs)
            .expect_err("refused")
            .to_string()
    };
    let cuda = || Variant::unchanged("cuda");
    for (variant, expected) in [
        (
            Variant {
                python: Some("2.7".to_owned()),
                ..cuda()
            },
            "cognix.nix: images.cuda.python: ",
        ),
        (
            Variant {
                gpu: Some(true),
                cuda: Some("twelve".to_owned()),
                ..cuda()
            },
            "cognix.nix: images.cuda.cuda: ",
        ),
        (
            Variant {
                environment: BTreeMap::from([("PATH".to_owned(), "/".to_owned())]),
                ..cuda()
            },
            "cognix.nix: images.cuda.environment: ",
        ),
        (
            Variant {
                packages: vec!["./nothing".to_owned()],
                ..cuda()
            },
            "cognix.nix: images.cuda.packages: ",
        ),
    ] {
        let message = refused(variant);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn the_program_names_the_variants_that_there_are() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let said = fail(
        world
            .cognix("store")
            .args(["build", "--variant", "cuda"])
            .arg(&project),
        65,
    );
    assert!(
        said.contains("there is no variant \"cuda\"; the model has default"),
        "{said}"
    );
    succeed(
        world
            .cognix("store")
            .args(["plan", "--variant", "default"])
            .arg(&project),
    );
    let said = fail(
        world
            .cognix("store")
            .args(["config", "--variant", "cuda"])
            .arg(&project),
        65,
    );
    assert!(said.contains("there is no variant"), "{said}");
}

/// The same from the text of a spec, through the program.
#[test]
fn a_spec_with_variants_is_locked_and_built_by_the_program() {
    let world = World::new();
    publish(&world, "2.0.0");
    let project = world.project("model", "numpy\nplot\n");
    let file = project.join("cognix.nix");
    let spec = std::fs::read_to_string(&file).expect("readable");
    let outputs = r#"{
  outputs = { self, ... }: {
    images = rec {
      cpu = { environment.MODE = "cpu"; };
      cuda = cpu // { gpu = true; cuda = "12.4"; packages = [ "gamma" ]; };
      pinned-numpy = cpu // {
        overrides = final: prev: { numpy = prev.numpy.override { version = "1.26.4"; }; };
      };
    };
  };"#;
    crate::world::write(&file, spec.replacen('{', outputs, 1));
    let run = |arguments: &[&str]| {
        let mut command = world.cognix("store");
        command.args(arguments).arg(&project);
        command
    };
    succeed(&mut run(&["lock"]));
    let said = fail(&mut run(&["build"]), 65);
    assert!(
        said.contains("the model has the variants cpu, cuda, pinned-numpy"),
        "{said}"
    );
    let built = crate::world::json(&mut run(&["build", "--all-variants", "--format", "json"]));
    for name in ["cpu", "cuda", "pinned-numpy"] {
        let again = ["build", "--variant", name, "--format", "json"];
        let again = crate::world::json(&mut run(&again));
        assert_eq!(again["variant"], name);
        assert_eq!(again["image"], built["variants"][name]["image"], "{name}");
    }
    let why = succeed(&mut run(&[
        "plan",
        "--variant",
        "pinned-numpy",
        "--why",
        "numpy",
    ]))
    .stdout;
    let why = String::from_utf8(why).expect("UTF-8");
    assert!(why.starts_with("numpy 1.26.4, a Python package"), "{why}");
    assert!(
        why.contains("overrides.numpy of cognix.nix, which decides"),
        "{why}"
    );
    let config = crate::world::json(&mut run(&[
        "config",
        "--variant",
        "cuda",
        "--format",
        "json",
    ]));
    assert_eq!(config["cuda"], "12.4");

    publish(&world, "2.1.0");
    let mut update = world.cognix("store");
    update.arg("lock").arg(&project).args(["--update", "numpy"]);
    let moved = succeed(&mut update).stdout;
    assert_eq!(
        String::from_utf8_lossy(&moved),
        "numpy 2.0.0 -> 2.1.0 (cpu, cuda)\n"
    );
    succeed(&mut run(&["lock", "--check"]));
    let spec = std::fs::read_to_string(&file).expect("readable");
    crate::world::write(&file, spec.replace("1.26.4", "2.0.0"));
    let output = run(&["lock", "--check"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("pinned-numpy: overrides.numpy was 1.26.4, is 2.0.0"),
        "{said}"
    );
    // What is asked for the others is what it was.
    succeed(&mut run(&["build", "--locked", "--variant", "cpu"]));
    fail(
        &mut run(&["build", "--locked", "--variant", "pinned-numpy"]),
        78,
    );
}
