mod steps;

use cognix_derivations::{ContentAddress, StorePath};

use super::*;
use crate::lock::python::WheelOrigin;
use crate::lock::tests::amd64;
use crate::lock::{Architecture, LockedArchive, LockedInterpreter, VariantLock};

fn source() -> StorePath {
    StorePath::from_base_name("0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c-source").expect("a sound name")
}

fn extended(lock: &VariantLock, additions: &Additions) -> Result<Instantiated, RecipeError> {
    let lock = lock
        .platform(Architecture::Amd64)
        .expect("the example has it");
    let settings = cog_runtime::ModelSettings {
        predict: Some("predict.py:Predictor".to_owned()),
        environment: vec![("LANG".to_owned(), "de_DE.UTF-8".to_owned())],
        ..cog_runtime::ModelSettings::default()
    };
    let runtime = cog_runtime::runtime(&settings, labels::labels(lock, "{}".to_owned()));
    instantiate(Ingredients {
        lock,
        source: &source(),
        runtime: &runtime,
        additions,
        project: None,
        steps: &RunSteps::default(),
    })
}

fn example(lock: &VariantLock) -> Instantiated {
    extended(lock, &Additions::default()).expect("a sound lock")
}

/// The layer lies between the packages and what the spec adds, and its derivation has no input but the tables.
#[test]
fn the_project_itself_is_a_layer_above_the_packages() {
    let lock = crate::lock::tests::example();
    let lock = lock
        .platform(Architecture::Amd64)
        .expect("the example has it");
    let project = EditablePackage {
        name: "My.Model".to_owned(),
        version: "1.2".to_owned(),
        entry_points: "[console_scripts]\ntrain = my_model:train\n".to_owned(),
        folder: "/src".to_owned(),
        import_roots: vec!["/src/src".to_owned()],
    };
    let instantiated = instantiate(Ingredients {
        lock,
        source: &source(),
        runtime: &cog_runtime::runtime(&Default::default(), Default::default()),
        additions: &Additions::default(),
        project: Some(&project),
        steps: &RunSteps::default(),
    });
    let instantiated = instantiated.expect("a sound lock");
    let names: Vec<&str> = instantiated
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(names[names.len() - 2..], ["project-scripts", "source"]);
    let layer = &instantiated.layers[names.len() - 2];
    assert_eq!(
        (layer.group, layer.holds[0].name.as_str()),
        ("python", "My.Model")
    );
    let layer = instantiated
        .graph
        .get(&layer.derivation)
        .expect("in the graph");
    let tree = layer.input_derivations().keys().next().expect("the tree");
    let tree = instantiated.graph.get(tree).expect("in the graph");
    assert!(tree.input_derivations().is_empty());
    let text = |name: &str| String::from_utf8_lossy(&tree.env()[name]).into_owned();
    assert_eq!(text("name"), "project-scripts");
    assert_eq!(
        (text("project"), text("importRoots")),
        ("My.Model".to_owned(), "[\"/src/src\"]".to_owned())
    );
}

/// The path pins every recipe: one that changes gives another image to everybody, and needs a builtin of a new number
/// or a line in the changelog's section of changed digests.
#[test]
fn the_same_lock_gives_the_same_derivations_for_ever() {
    let instantiated = example(&crate::lock::tests::example());
    assert_eq!(
        instantiated.image.to_string(),
        "/nix/store/3dz1iw7xdc7w8pdy152375mmvglw5qnd-image.drv"
    );
}

/// The example on a Python that Debian does not ship.
fn standalone() -> VariantLock {
    let mut lock = crate::lock::tests::example();
    lock.request.python = "3.12".to_owned();
    let platform = amd64(&mut lock);
    platform.debian.packages.retain(|deb| deb.name == "libc6");
    platform.interpreter = LockedInterpreter::Standalone(LockedArchive {
        version: "3.12.4".to_owned(),
        input: "python-build-standalone".to_owned(),
        path: "20260101/cpython-3.12.4+20260101-install_only.tar.gz".to_owned(),
        sha256: cognix_derivations::Sha256::of(b"archive"),
        size: None,
    });
    lock
}

#[test]
fn a_standalone_interpreter_gives_the_same_derivations_for_ever() {
    let instantiated = example(&standalone());
    assert_eq!(
        instantiated.image.to_string(),
        "/nix/store/nrglc09pf87nc2wrr0lwb9x56jj0h006-image.drv"
    );
    let names: Vec<&str> = instantiated
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "python",
            "base",
            "system-configuration",
            "system-scripts",
            "virtual-environment",
            "alpha",
            "beta",
            "source"
        ]
    );
    let fetch = instantiated.interpreter.expect("it is fetched");
    let derivation = instantiated.graph.get(&fetch.derivation).expect("known");
    assert_eq!(derivation.env_str("url"), Some(fetch.url.as_str()));
    assert!(
        !derivation.env().contains_key("size"),
        "a size that nobody knows is not promised"
    );
}

#[test]
fn layers_go_from_the_most_stable_to_the_least() {
    let instantiated = example(&crate::lock::tests::example());
    let names: Vec<&str> = instantiated
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "base",
            "python",
            "system-configuration",
            "system-scripts",
            "virtual-environment",
            "alpha",
            "beta",
            "source"
        ]
    );
    assert_eq!(
        instantiated.downloads.values().sum::<u64>(),
        2 * 1234 + 2 * 5678
    );
}

#[test]
fn scripts_are_run_on_the_packages_and_their_configuration() {
    let instantiated = example(&crate::lock::tests::example());
    let system = instantiated.system.expect("what becomes of the packages");
    let scripts = instantiated
        .graph
        .get(&system.scripts)
        .expect("in the graph");
    assert_eq!(scripts.system(), "x86_64-linux");
    assert_eq!(scripts.builder_name(), "/bin/sh");
    let commands = downstream_placeholder(&system.configuration, "control") + "/run";
    assert_eq!(scripts.env_str("unlessEmpty"), Some(commands.as_str()));
    assert_eq!(scripts.args().last(), Some(&commands));
    let plan = scripts.env_str("sandbox").expect("a plan");
    let plan: serde_json::Value = serde_json::from_str(plan).expect("JSON");
    let root = plan["root"].as_array().expect("a root");
    let above = downstream_placeholder(&system.configuration, "out");
    assert_eq!(root.last().expect("not empty")["tree"], above);
    assert_eq!(plan["environment"]["SOURCE_DATE_EPOCH"], "315532800");
}

#[test]
fn a_wheel_moves_its_own_layer_alone() {
    let lock = crate::lock::tests::example();
    let mut bumped = lock.clone();
    amd64(&mut bumped).python.packages[1].package.sha256 =
        cognix_derivations::Sha256::of(b"another wheel");
    let layers = |lock| {
        example(lock)
            .layers
            .into_iter()
            .map(|layer| layer.derivation)
    };
    let moved: Vec<bool> = layers(&lock)
        .zip(layers(&bumped))
        .map(|(before, after)| before != after)
        .collect();
    let expected = [false, false, false, false, false, false, true, false];
    assert_eq!(moved, expected);
}

fn environment(instantiated: &Instantiated, layer: &str, key: &str) -> Option<String> {
    let layer = instantiated.layers.iter().find(|known| known.name == layer);
    let layer = instantiated.graph.get(&layer.expect("a layer").derivation);
    layer.expect("in the graph").env_str(key).map(str::to_owned)
}

#[test]
fn wheels_share_the_layers_that_the_lock_names() {
    let mut lock = crate::lock::tests::example();
    for wheel in &mut amd64(&mut lock).python.packages {
        wheel.layer = Some("wheels-7".to_owned());
    }
    let instantiated = example(&lock);
    let names: Vec<&str> = instantiated
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(names[5..], ["wheels-7", "source"]);
    let held: Vec<&str> = instantiated.layers[5]
        .holds
        .iter()
        .map(|held| held.name.as_str())
        .collect();
    assert_eq!(held, ["alpha", "beta"]);
    // What one of them leaves to the other is left out of its tree alone.
    let trees = environment(&instantiated, "wheels-7", "trees").expect("a layer of trees");
    let trees: serde_json::Value = serde_json::from_str(&trees).expect("JSON");
    assert_eq!(trees[0].get("omit"), None);
    assert_eq!(
        trees[1]["omit"],
        serde_json::json!(["venv/lib/python3.11/site-packages/shared.py"])
    );
    assert_eq!(
        environment(&instantiated, "wheels-7", "omit").as_deref(),
        Some("[]")
    );
}

#[test]
fn rec_3_a_waiver_is_an_attribute_of_its_wheel() {
    let mut lock = crate::lock::tests::example();
    let record = |lock: &VariantLock, layer: &str| environment(&example(lock), layer, "record");
    assert_eq!(record(&lock, "alpha"), None);
    amd64(&mut lock).python.packages[0].waived = true;
    assert_eq!(record(&lock, "alpha").as_deref(), Some("waived"));
    assert_eq!(record(&lock, "beta"), None);
    assert!(
        example(&lock).layers[5].holds[0].waived,
        "the plan shows it"
    );
}

#[test]
fn rec_5_rules_about_debian_packages_are_told_to_their_layers() {
    let mut lock = crate::lock::tests::example();
    let before = example(&lock);
    let rules = [("usr/bin/tool", "libc6"), ("venv/bin/tool", "alpha")];
    lock.request.conflicts = rules
        .map(|(path, owner)| (path.to_owned(), owner.to_owned()))
        .into();
    let after = example(&lock);
    for layer in ["base", "python", "system-configuration"] {
        assert_eq!(environment(&before, layer, "conflicts"), None);
        let rules = environment(&after, layer, "conflicts");
        assert_eq!(rules.as_deref(), Some(r#"{"usr/bin/tool":"libc6"}"#));
        let trees = environment(&after, layer, "trees").expect("a layer of trees");
        assert!(trees.contains("\"name\":"), "{trees}");
    }
    assert_eq!(environment(&after, "alpha", "conflicts"), None);
}

#[test]
fn the_budget_is_kept_or_nothing_is_built() {
    let mut lock = crate::lock::tests::example();
    lock.request.budget = 6;
    let lock = lock
        .platform(Architecture::Amd64)
        .expect("the example has it");
    let error = instantiate(Ingredients {
        lock,
        source: &source(),
        runtime: &cog_runtime::runtime(&Default::default(), Default::default()),
        additions: &Additions::default(),
        project: None,
        steps: &RunSteps::default(),
    });
    assert_eq!(
        error.expect_err("eight layers").to_string(),
        "the image has 8 layers, more than the 6 of layers.budget; run `cognix lock --update`"
    );
}

#[test]
fn fetches_are_what_a_real_nix_can_read() {
    let instantiated = example(&crate::lock::tests::example());
    let fetch = instantiated
        .graph
        .iter()
        .find(|derivation| derivation.builder_name() == "builtin:fetchurl");
    let fetch = fetch.expect("a lock has something to fetch");
    let attributes: Vec<&str> = fetch.env().keys().map(String::as_str).collect();
    assert_eq!(
        attributes,
        [
            "builder",
            "executable",
            "impureEnvVars",
            "name",
            "out",
            "outputHash",
            "outputHashAlgo",
            "outputHashMode",
            "preferLocalBuild",
            "size",
            "system",
            "unpack",
            "url",
            "urls"
        ]
    );
    assert!(fetch.fixed_output().is_some());
}

#[test]
fn a_models_variable_replaces_the_images_own() {
    let settings = cog_runtime::ModelSettings {
        environment: vec![("LANG".to_owned(), "C".to_owned())],
        ..cog_runtime::ModelSettings::default()
    };
    let runtime = cog_runtime::runtime(&settings, Default::default());
    let values: Vec<&str> = runtime
        .env
        .iter()
        .filter(|(name, _)| name == "LANG")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(values, ["C"]);
}

/// Spelled and sorted as pip does, and without what pip leaves out.
#[test]
fn the_frozen_packages_are_those_that_pip_prints() {
    let mut lock = crate::lock::tests::example();
    let pattern = amd64(&mut lock).python.packages[0].clone();
    let wheel = |name: &str, spelling: Option<&str>, origin| {
        let mut wheel = pattern.clone();
        wheel.package.name = name.to_owned();
        wheel.package.spelling = spelling.map(str::to_owned);
        wheel.package.origin = origin;
        wheel
    };
    let index = || WheelOrigin::Index {
        input: "pypi".to_owned(),
    };
    let url = "https://host.test/a.whl#sha256=00".to_owned();
    let path = "wheels/b.whl".to_owned();
    amd64(&mut lock).python.packages = vec![
        wheel("at-address", None, WheelOrigin::Url { url }),
        wheel("pip", None, index()),
        wheel("pyyaml", Some("PyYAML"), index()),
        wheel("setuptools", None, index()),
        wheel("typing-extensions", Some("typing_extensions"), index()),
        wheel("typing-inspection", None, index()),
        wheel("zipped", Some("Zipped"), WheelOrigin::Project { path }),
    ];
    let locked = lock.platform(Architecture::Amd64).expect("a platform");
    let labels = labels::labels(locked, String::new());
    let (version, digest) = (&pattern.version, pattern.sha256);
    let expected = [
        format!("at-address @ https://host.test/a.whl#sha256={digest}\n"),
        format!("PyYAML=={version}\ntyping-inspection=={version}\ntyping_extensions=={version}\n"),
        format!("Zipped @ file:///src/wheels/b.whl#sha256={digest}\n"),
    ];
    assert_eq!(labels["run.cog.pip_freeze"], expected.concat());
}

#[test]
fn the_title_has_neither_registry_nor_tag() {
    for (name, title) in [
        ("greeter", "greeter"),
        ("registry.example:5000/me/greeter:v1", "greeter"),
        ("me/greeter@sha256:00", "greeter"),
    ] {
        let annotations = labels::annotations(Some(name));
        assert_eq!(annotations["org.opencontainers.image.title"], title);
    }
    assert!(labels::annotations(None).is_empty());
}

/// As Cog does it, only for an SDK that was named as a file of coglet.
#[test]
fn a_coglet_as_sdk_is_told_to_the_platform() {
    let settings = |coglet_python| cog_runtime::ModelSettings {
        coglet_python,
        ..cog_runtime::ModelSettings::default()
    };
    let env = |settings| cog_runtime::runtime(&settings, Default::default()).env;
    let told = env(settings(Some("3.13".to_owned())));
    assert!(told.contains(&("R8_COG_VERSION".to_owned(), "coglet".to_owned())));
    assert!(told.contains(&("R8_PYTHON_VERSION".to_owned(), "3.13".to_owned())));
    assert!(
        env(settings(None))
            .iter()
            .all(|(name, _)| !name.starts_with("R8_"))
    );
}

#[test]
fn libraries_are_where_the_architecture_has_them() {
    let settings = cog_runtime::ModelSettings {
        architecture: Architecture::Arm64,
        ..cog_runtime::ModelSettings::default()
    };
    let runtime = cog_runtime::runtime(&settings, Default::default());
    let path = runtime
        .env
        .iter()
        .find(|(name, _)| name == "LD_LIBRARY_PATH");
    assert!(
        path.expect("set")
            .1
            .starts_with("/usr/lib/aarch64-linux-gnu:")
    );
}

/// A graph with one file that is fetched.
fn additions() -> Additions {
    let mut additions = Additions::default();
    let address = ContentAddress::Flat(cognix_derivations::Sha256::of(b"weights").into());
    let fetch = Derivation::builder("model.bin")
        .fixed_output(address)
        .system("builtin")
        .builder("builtin:fetchurl")
        .build();
    let fetch = additions.graph.insert(fetch.expect("a derivation"));
    additions.extra.push(Extra {
        name: "weights".to_owned(),
        derivation: fetch.expect("no inputs"),
        output: "out".to_owned(),
        destination: "/opt/models".to_owned(),
    });
    additions
}

#[test]
fn extra_packages_have_layers_of_their_own_below_the_source() {
    let lock = crate::lock::tests::example();
    let additions = additions();
    let instantiated = extended(&lock, &additions).expect("a sound lock");
    let names: Vec<(&str, &str)> = instantiated
        .layers
        .iter()
        .map(|layer| (layer.name.as_str(), layer.group))
        .collect();
    assert_eq!(names[7..], [("weights", "extra"), ("source", "source")]);
    assert_eq!(
        environment(&instantiated, "weights", "prefix").as_deref(),
        Some("opt/models")
    );
    let trees = environment(&instantiated, "weights", "trees").expect("a layer of trees");
    assert!(trees.contains("-model.bin\""), "the path is known: {trees}");
    // The others stay what they are.
    let without = example(&lock);
    assert_eq!(instantiated.layers[..7], without.layers[..7]);
}

#[test]
fn extra_packages_that_cannot_be_placed_are_named() {
    let lock = crate::lock::tests::example();
    let refused = |change: &dyn Fn(&mut Extra)| {
        let mut additions = additions();
        change(&mut additions.extra[0]);
        let error = extended(&lock, &additions).expect_err("refused");
        error.to_string()
    };
    for wrong in ["opt", "", "/opt/../etc", "/opt//x"] {
        let message = refused(&|extra| extra.destination = wrong.to_owned());
        assert_eq!(
            message,
            format!(
                "the destination of the extra package weights must be an absolute path such as /opt/x, found {wrong:?}"
            )
        );
    }
    for taken in ["alpha", "source", "base"] {
        let message = refused(&|extra| extra.name = taken.to_owned());
        assert!(message.contains("the name of another layer"), "{message}");
    }
    let mut root = additions();
    root.extra[0].destination = "/".to_owned();
    assert!(extended(&lock, &root).is_ok());
}

#[test]
fn a_replaced_package_is_a_layer_of_its_tree() {
    let mut lock = crate::lock::tests::example();
    let mut additions = additions();
    let tree = additions.extra.remove(0).derivation;
    additions.replaced.insert("beta".to_owned(), tree);
    let replaced = extended(&lock, &additions).expect("a sound lock");
    let without = example(&lock);
    assert_eq!(replaced.layers[6].name, "beta");
    assert_eq!(replaced.layers[6].fetches, []);
    let trees = environment(&replaced, "beta", "trees").expect("a layer of trees");
    assert!(trees.contains("-model.bin\""), "{trees}");
    assert!(
        trees.contains("shared.py"),
        "what it leaves to others: {trees}"
    );
    assert_eq!(replaced.layers[..6], without.layers[..6]);
    // Also where it shares its layer.
    for wheel in &mut amd64(&mut lock).python.packages {
        wheel.layer = Some("wheels-7".to_owned());
    }
    let replaced = extended(&lock, &additions).expect("a sound lock");
    let trees = environment(&replaced, "wheels-7", "trees").expect("a layer of trees");
    assert!(trees.contains("-model.bin\""), "{trees}");
}

#[test]
fn bytecode_is_made_of_each_package_apart() {
    let mut lock = crate::lock::tests::example();
    lock.request.bytecode = true;
    let instantiated = example(&lock);
    let attribute = |instantiated: &Instantiated, derivation: &str, key: &str| {
        let named = |known: &&Derivation| known.name() == derivation;
        let derivation = instantiated.graph.iter().find(named).expect("it is there");
        derivation.env_str(key).map(str::to_owned)
    };
    for (derivation, prefix) in [
        ("alpha-bytecode", "venv/lib/python3.11/site-packages"),
        ("source-bytecode", "/src"),
        ("python-bytecode", "usr/lib"),
    ] {
        let sources = attribute(&instantiated, derivation, "sources").expect("sources");
        assert!(
            sources.contains(&format!("\"{prefix}\"")),
            "{derivation}: {sources}"
        );
    }
    // What another package brings is compiled there.
    let sources = attribute(&instantiated, "beta-bytecode", "sources").expect("sources");
    assert!(
        sources.contains("\"omit\":[\"venv/lib/python3.11/site-packages/shared.py\"]"),
        "{sources}"
    );
    let layers = |instantiated: &Instantiated| -> Vec<String> {
        instantiated
            .layers
            .iter()
            .map(|layer| layer.name.clone())
            .collect()
    };
    assert_eq!(layers(&instantiated)[4], "python-bytecode");

    // A package that changes moves its own bytecode alone, and a Debian package that Python does not need moves none of
    // a wheel's.
    let wheels = |lock: &VariantLock| -> Vec<StorePath> {
        let instantiated = example(lock);
        let derivations = instantiated.graph.iter();
        let of_wheel = derivations.filter(|known| known.name().ends_with("a-bytecode"));
        let mut paths: Vec<StorePath> = of_wheel.map(Derivation::path).collect();
        paths.sort_by(|one, other| one.name().cmp(other.name()));
        paths
    };
    let before = wheels(&lock);
    let mut bumped = lock.clone();
    amd64(&mut bumped).python.packages[1].package.sha256 =
        cognix_derivations::Sha256::of(b"another wheel");
    let after = wheels(&bumped);
    assert_eq!(before.len(), 2);
    assert!(before[0] == after[0] && before[1] != after[1]);

    let standalone = example(&VariantLock {
        request: lock.request.clone(),
        ..self::standalone()
    });
    let python = attribute(&standalone, "alpha-bytecode", "python").expect("a command");
    assert!(
        python.contains("\"/opt/python/bin/python3.11\""),
        "{python}"
    );
}
