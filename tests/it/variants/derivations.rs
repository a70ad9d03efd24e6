//! Derivations of a spec that come into an image, and what is refused of them.

use super::*;

/// A file that is fetched, a package of the project's own wheel, and a text.
fn derivations(world: &World) -> Derivations {
    let mut derivations = Derivations::default();
    let weights = b"weights".to_vec();
    world
        .server
        .put("own/model.bin", "application/octet-stream", weights.clone());
    let fetch = |name: &str, path: &str, bytes: &[u8]| {
        let url = world.server.url(path);
        Derivation::builder(name)
            .fixed_output(ContentAddress::Flat(Sha256::of(bytes).into()))
            .system("builtin")
            .builder("builtin:fetchurl")
            .env("url", url.as_str())
            .env("urls", url.as_str())
            .build()
            .expect("a derivation")
    };
    let weights = fetch("model.bin", "own/model.bin", &weights);
    let weights = derivations.graph.insert(weights).expect("no inputs");
    derivations.extra_packages.push(ExtraPackage {
        name: "weights".to_owned(),
        derivation: weights,
        output: "out".to_owned(),
        destination: "/opt/models".to_owned(),
    });
    let wheel = Wheel::new("beta", "2.0").file("beta/patched.txt", "yes\n");
    let (file, bytes) = (wheel.file_name(), wheel.to_bytes());
    let path = format!("own/{file}");
    world
        .server
        .put(&path, "application/octet-stream", bytes.clone());
    let fetch = fetch(&file, &path, &bytes);
    let wheel = fetch.fixed_output().expect("it is fixed").1.to_string();
    let fetch = derivations.graph.insert(fetch).expect("no inputs");
    let tree = Derivation::builder("beta-2.0-patched")
        .floating_output("out")
        .system("builtin")
        .builder("builtin:cognix-wheel-1")
        .env("filename", file.as_str())
        .env("python", "3.11")
        .env("wheel", wheel)
        .input_derivation(&fetch, "out")
        .build();
    let tree = tree.expect("a derivation");
    let tree = derivations.graph.insert(tree).expect("its input is there");
    derivations.replaced.insert("beta".to_owned(), tree);
    derivations
}

fn with_derivations(derivations: Derivations) -> Fixed {
    Fixed {
        variants: vec![Variant {
            has_derivations: true,
            ..Variant::unchanged("default")
        }],
        derivations,
    }
}

#[test]
fn derivations_of_the_spec_are_layers_of_the_image() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let outputs = with_derivations(derivations(&world));
    let locked = lock(
        &world,
        &project,
        outputs.variants.clone(),
        LockOptions::default(),
    );
    let plain = Fixed {
        variants: vec![Variant::unchanged("default")],
        ..Fixed::default()
    };
    let plain = open(&project, "default", plain).expect("a sound model");
    let without = layers(&build(&world, &plain, &locked).expect("an image"));
    let opened = open(&project, "default", outputs).expect("a sound model");
    let record = build(&world, &opened, &locked).expect("an image");
    let names: Vec<&str> = record
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(names[names.len() - 2..], ["weights", "source"]);
    let with = layers(&record);
    for (name, digest) in &without {
        assert_eq!(with[name] == *digest, name != "beta", "{name}");
    }
    let store = Store::open(&world.path("store")).expect("a store");
    let paths = |name: &str| {
        let layer = record.layers.iter().find(|layer| layer.name == name);
        let description = store.real_path(&layer.expect("a layer").description);
        std::fs::read_to_string(description).expect("a description")
    };
    assert!(paths("weights").contains("opt/models/model.bin"));
    assert!(paths("beta").contains("site-packages/beta/patched.txt"));
}

#[test]
fn texts_and_files_of_the_project_enter_the_store_before_anything_is_realised() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    std::fs::create_dir_all(project.join("lib/skipped")).expect("a writable folder");
    std::fs::write(project.join("lib/a.txt"), "a\n").expect("writable");
    std::fs::write(project.join("lib/skipped/b.txt"), "b\n").expect("writable");
    let store = Store::open(&world.path("store")).expect("a store");
    let name = StorePathName::parse("lib").expect("a name");
    let expected =
        Store::open(&world.path("other"))
            .expect("a store")
            .import(&name, &mut |target| {
                std::fs::create_dir(target)?;
                std::fs::write(target.join("a.txt"), "a\n")
            });
    let lib = expected.expect("writable").path;
    let bytes = format!("see {lib}\n").into_bytes();
    let references = BTreeSet::from([lib.clone()]);
    let address = ContentAddress::Text(Sha256::of(&bytes));
    let name = StorePathName::parse("note.txt").expect("a name");
    let text = content_addressed_path(&name, &address, &references, false).expect("a path");
    let mut derivations = Derivations::default();
    let files = ProjectFiles {
        path: "lib".to_owned(),
        kept: Some(BTreeSet::from(["a.txt".to_owned()])),
        flat: false,
    };
    derivations.sources.insert(lib.clone(), files);
    std::fs::write(project.join("flat.txt"), "flat\n").expect("writable");
    let address = ContentAddress::Flat(Sha256::of(b"flat\n").into());
    let name = StorePathName::parse("flat.txt").expect("a name");
    let flat = content_addressed_path(&name, &address, &BTreeSet::new(), false).expect("a path");
    let files = ProjectFiles {
        path: "flat.txt".to_owned(),
        kept: None,
        flat: true,
    };
    derivations.sources.insert(flat.clone(), files);
    derivations
        .texts
        .insert(text.clone(), StoreText { bytes, references });
    let outputs = with_derivations(derivations);
    let locked = lock(
        &world,
        &project,
        outputs.variants.clone(),
        LockOptions::default(),
    );
    let opened = open(&project, "default", outputs).expect("a sound model");
    let image = instantiate(&opened, &locked).expect("a sound lock");
    image.import(&store).expect("a writable store");
    for path in [&lib, &text, &flat] {
        assert!(store.is_valid(path).expect("readable"), "{path}");
    }
    std::fs::write(project.join("lib/a.txt"), "changed\n").expect("writable");
    let other = Store::open(&world.path("third")).expect("a store");
    assert!(image.import(&other).is_err(), "the files are others now");
}

#[test]
fn programs_of_other_machines_are_refused_before_anything_is_fetched() {
    let world = World::new();
    let project = world.project("model", "alpha\n");
    let mut derivations = derivations(&world);
    let input = derivations.extra_packages[0].derivation.clone();
    let own = Derivation::builder("own-tool-1.0")
        .floating_output("out")
        .system("riscv64-linux")
        .builder("/bin/sh")
        .env("src", downstream_placeholder(&input, "out"))
        .input_derivation(&input, "out")
        .build();
    let own = derivations.graph.insert(own.expect("a derivation"));
    derivations.extra_packages.push(ExtraPackage {
        name: "own-tool".to_owned(),
        derivation: own.expect("its input is there"),
        output: "out".to_owned(),
        destination: "/opt/own".to_owned(),
    });
    let outputs = with_derivations(derivations);
    let locked = lock(
        &world,
        &project,
        outputs.variants.clone(),
        LockOptions::default(),
    );
    let opened = open(&project, "default", outputs).expect("a sound model");
    world.server.take_requests();
    let error = build(&world, &opened, &locked).expect_err("nothing runs it");
    assert_eq!(error.to_string(), "own-tool-1.0 cannot be built here");
    assert_eq!(world.server.take_requests(), [""; 0]);
}

#[test]
fn torch_from_source_is_refused_before_anything_is_fetched() {
    let world = World::new();
    wheels::publish(&world.server, &[Wheel::new("torch", "9.1")]);
    let project = world.project("model", "alpha\n");
    let variants = vec![Variant {
        torch: Some(Torch {
            mode: TorchMode::Source,
            version: Some("9.1".to_owned()),
            gpu_archs: vec!["5.2".to_owned()],
        }),
        ..Variant::unchanged("gtx970")
    }];
    let locked = lock(&world, &project, variants.clone(), LockOptions::default());
    assert_eq!(version(&locked, "gtx970", "torch").as_deref(), Some("9.1"));
    let outputs = Fixed {
        variants,
        ..Fixed::default()
    };
    let opened = open(&project, "gtx970", outputs).expect("a sound model");
    let error = instantiate(&opened, &locked).expect_err("nothing builds it");
    assert!(
        error.to_string().contains("images.gtx970.torch.mode"),
        "{error}"
    );
}
