//! Commands of `build.run`: what they see, and what records do.

use cognix_derivations::Sha256;
use cognix_store::build::foreign::{ATTRIBUTE, Entry, Plan};

use super::*;

fn steps(commands: &[&str]) -> RunSteps {
    let commands = commands.iter().map(|command| RunStep {
        command: (*command).to_owned(),
        secrets: Vec::new(),
    });
    let settings = cog_runtime::ModelSettings {
        predict: Some("predict.py:Predictor".to_owned()),
        environment: vec![("LANG".to_owned(), "de_DE.UTF-8".to_owned())],
        ..cog_runtime::ModelSettings::default()
    };
    RunSteps {
        commands: commands.collect(),
        environment: cog_runtime::step_environment(&settings),
        ..RunSteps::default()
    }
}

fn with_steps(lock: &VariantLock, additions: &Additions, steps: &RunSteps) -> Instantiated {
    let lock = lock
        .platform(Architecture::Amd64)
        .expect("the example has it");
    let runtime = cog_runtime::runtime(&Default::default(), Default::default());
    let instantiated = instantiate(Ingredients {
        lock,
        source: &source(),
        runtime: &runtime,
        additions,
        project: None,
        steps,
    });
    instantiated.expect("a sound lock")
}

fn example_with(commands: &[&str]) -> Instantiated {
    let lock = crate::lock::tests::example();
    with_steps(&lock, &Additions::default(), &steps(commands))
}

fn plan(instantiated: &Instantiated, step: usize) -> Plan<String> {
    let derivation = instantiated.graph.get(&instantiated.steps[step].derivation);
    let text = derivation.and_then(|step| step.env_str(ATTRIBUTE));
    Plan::parse(text.expect("a step has a sandbox")).expect("a plan")
}

#[test]
fn commands_have_layers_between_all_packages_and_the_files_of_the_model() {
    let image = example_with(&["adduser --system app", "rm -r /usr/share/doc"]);
    let without = example_with(&[]);
    let names = |image: &Instantiated| -> Vec<String> {
        let layers = image.layers.iter();
        layers
            .map(|layer| format!("{} {}", layer.group, layer.name))
            .collect()
    };
    let mut expected = names(&without);
    let source = expected.pop().expect("at least one layer");
    expected.extend(["run run-1".to_owned(), "run run-2".to_owned(), source]);
    assert_eq!(names(&image), expected);
    let commands: Vec<&str> = image
        .steps
        .iter()
        .map(|step| step.command.as_str())
        .collect();
    assert_eq!(commands, ["adduser --system app", "rm -r /usr/share/doc"]);
    // Whatever lies below stays what it is.
    let below = |image: &Instantiated| image.layers[0].derivation.clone();
    assert_eq!(below(&image), below(&without));
}

#[test]
fn a_command_sees_everything_below_in_the_environment_that_cog_has_by_then() {
    let image = example_with(&["one", "two"]);
    let (first, second) = (plan(&image, 0), plan(&image, 1));
    assert_eq!(first.directory, "/");
    assert!(!first.network && first.secrets.is_empty());
    let environment = first.environment.clone().expect("an environment");
    let names: Vec<&str> = environment.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "DEBIAN_FRONTEND",
            "HOME",
            "LANG",
            "LD_LIBRARY_PATH",
            "NVIDIA_DRIVER_CAPABILITIES",
            "PATH",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONUNBUFFERED",
            "SOURCE_DATE_EPOCH"
        ]
    );
    assert_eq!(environment["LANG"], "de_DE.UTF-8");
    // Debs and configuration with their modes, environment and wheels without, what scripts changed; then what the first
    // command did.
    let lock = crate::lock::tests::example();
    let lock = lock
        .platform(Architecture::Amd64)
        .expect("the example has it");
    let with_modes = |entry: &&Entry<String>| {
        matches!(
            entry,
            Entry::Tree {
                control: Some(_),
                ..
            }
        )
    };
    assert_eq!(
        first.root.iter().filter(with_modes).count(),
        lock.debian.packages.len() + 1
    );
    assert_eq!(
        first.root.len(),
        lock.debian.packages.len() + 1 + 1 + 1 + lock.python.packages.len()
    );
    assert_eq!(second.root[..first.root.len()], first.root);
    assert!(matches!(
        second.root[first.root.len()..],
        [Entry::Changes(_)]
    ));
    let derivation = image
        .graph
        .get(&image.steps[0].derivation)
        .expect("it is there");
    assert_eq!(derivation.builder_name(), "/bin/sh");
    assert_eq!(derivation.args(), ["-c", "one"]);
    assert_eq!(derivation.system(), "x86_64-linux");
}

#[test]
fn what_is_put_elsewhere_is_seen_as_its_layer_has_it() {
    let mut lock = crate::lock::tests::example();
    let additions = Additions::default();
    let plain = with_steps(&lock, &additions, &steps(&["one"]));
    let builds = |image: &Instantiated, builder: &str| {
        let graph = image.graph.iter();
        graph.filter(|step| step.builder_name() == builder).count()
    };
    assert_eq!(builds(&plain, "builtin:cognix-layer-tree-1"), 0);
    lock.request
        .conflicts
        .insert("usr/bin/tool".to_owned(), "libc6".to_owned());
    let ruled = with_steps(&lock, &additions, &steps(&["one"]));
    assert!(builds(&ruled, "builtin:cognix-layer-tree-1") > 0);
}

#[test]
fn a_record_is_for_what_it_was_made_of_alone() {
    let mut lock = crate::lock::tests::example();
    let mut steps = steps(&["one", "two"]);
    let image = with_steps(&lock, &Additions::default(), &steps);
    assert!(image.steps.iter().all(|step| !step.recorded));
    assert!(
        image
            .steps
            .iter()
            .all(|step| step.derivation != step.networked)
    );

    let hash = Sha256::of(b"what it made");
    steps
        .recorded
        .insert(image.steps[0].networked.clone(), hash);
    let recorded = with_steps(&lock, &Additions::default(), &steps);
    let (first, second) = (&recorded.steps[0], &recorded.steps[1]);
    assert!(first.recorded && !second.recorded);
    assert_eq!(first.networked, image.steps[0].networked);
    assert_ne!(
        second.networked, image.steps[1].networked,
        "it stands on a record now"
    );
    assert!(plan(&recorded, 0).network && !plan(&recorded, 1).network);
    let derivation = recorded.graph.get(&first.derivation).expect("it is there");
    let (address, path) = derivation.fixed_output().expect("a fixed output");
    assert_eq!(*address, ContentAddress::Recursive(hash.into()));
    // Where it would be if it were found by its content.
    let name = cognix_derivations::StorePathName::parse("run-1").expect("a name");
    let found =
        cognix_derivations::content_addressed_path(&name, address, &Default::default(), false);
    assert_eq!(*path, found.expect("a path"));

    // Another package, and the record is of something else.
    amd64(&mut lock).python.packages.pop();
    let other = with_steps(&lock, &Additions::default(), &steps);
    assert!(!other.steps[0].recorded);
    // Asked for with a network, it is what records are named after.
    steps.with_network = Some(0);
    let networked = with_steps(&lock, &Additions::default(), &steps);
    assert_eq!(networked.steps[0].derivation, networked.steps[0].networked);
}
