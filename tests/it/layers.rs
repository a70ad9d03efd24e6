//! How an image is cut into layers: two hundred packages, a budget, and who owns a path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cognix_derivations::Sha256;
use serde_json::Value;

use crate::world::debs::{self, Deb};
use crate::world::wheels::{self, Wheel};
use crate::world::{World, base_debs, fail, json, succeed, write};

/// The names of a layer's packages, or its own name where it has none.
type Held = BTreeSet<String>;

/// What each layer of a plan holds and which digest it has.
fn layers(plan: &Value) -> BTreeMap<String, (Held, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let layer = |layer: &Value| {
        let holds = layer["holds"].as_array().expect("a list").iter();
        let holds = holds.map(|held| text(&held["name"])).collect();
        (text(&layer["name"]), (holds, text(&layer["digest"])))
    };
    plan["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(layer)
        .collect()
}

fn plan(world: &World, project: &Path) -> Value {
    let mut command = world.cognix("store");
    json(
        command
            .args(["plan", "--locked", "--format", "json"])
            .arg(project),
    )
}

/// Puts settings into a project's `cognix.nix`.
fn set(project: &Path, settings: &str) {
    let path = project.join("cognix.nix");
    let text = std::fs::read_to_string(&path).expect("the project has one");
    let inner = text.trim_end().strip_suffix('}').expect("a set");
    write(&path, format!("{inner}  {settings}\n}}\n"));
}

/// Made-up packages whose sizes follow neither the order of their names nor its reverse.
fn packages(count: usize) -> Vec<Wheel> {
    let package = |at: usize| {
        let size = (at * 7919) % 1009 + 1;
        // Bytes that do not compress, so that the size of the wheel follows.
        let mut state = at as u32 + 1;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(size)
        .collect();
        let name = format!("package-{at:03}");
        Wheel::new(&name, "1.0").file(&format!("package_{at:03}/noise.bin"), noise)
    };
    (0..count).map(package).collect()
}

#[test]
fn two_hundred_packages_stay_within_the_budget_and_one_more_changes_one_group() {
    const COUNT: usize = 205;
    let world = World::new();
    wheels::publish(&world.server, &packages(COUNT));
    let requirements: String = (0..COUNT).map(|at| format!("package-{at:03}\n")).collect();
    let project = world.project("model", &requirements);
    let before = world.cognix("store").arg("plan").arg(&project).output();
    let before = String::from_utf8(before.expect("the program starts").stdout).expect("text");
    assert!(
        before.contains("\nlayers  100 of at most 100, ~"),
        "{before}"
    );
    assert!(
        before.contains("~ is the size of what is fetched for it"),
        "{before}"
    );

    let built = world.build("store", &project);
    // Base, Python, configuration, environment, source; 94 layers for wheels, of which 16 are groups. One is kept for what
    // scripts change, and there are none.
    assert_eq!(built["layers"].as_array().map(Vec::len), Some(99));
    let first = plan(&world, &project);
    assert_eq!(
        (&first["totals"]["budget"], &first["totals"]["described"]),
        (&100.into(), &99.into())
    );
    let first = layers(&first);
    let groups = |layers: &BTreeMap<String, (Held, String)>| {
        layers
            .keys()
            .filter(|name| name.starts_with("wheels-"))
            .count()
    };
    assert_eq!(groups(&first), 16);
    let text = succeed(
        world
            .cognix("store")
            .args(["plan", "--locked"])
            .arg(&project),
    );
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(
        text.contains("\nlayers  99 of at most 100, ") && !text.contains('~'),
        "{text}"
    );
    assert!(
        text.contains(" packages, ") && text.contains(" and "),
        "{text}"
    );

    // One more small package, which comes before all others by name.
    let small = Wheel::new("aaa-small", "1.0");
    wheels::publish(&world.server, &[small]);
    write(
        &project.join("requirements.txt"),
        format!("aaa-small\n{requirements}"),
    );
    succeed(world.cognix("store").arg("lock").arg(&project));
    assert_eq!(
        world.build("store", &project)["layers"]
            .as_array()
            .map(Vec::len),
        Some(99)
    );
    let second = layers(&plan(&world, &project));
    let changed: Vec<&String> = second
        .iter()
        .filter(|(name, layer)| first.get(*name) != Some(layer))
        .map(|(name, _)| name)
        .collect();
    // The list of requirements is one of the model's files.
    assert_eq!(
        (changed.len(), changed[0].as_str()),
        (2, "source"),
        "{changed:?}"
    );
    assert!(changed[1].starts_with("wheels-"), "{changed:?}");
    assert!(second[changed[1]].0.contains("aaa-small"));

    // Every package is in exactly one layer.
    let held: Vec<&String> = second.values().flat_map(|(holds, _)| holds).collect();
    assert_eq!(held.len(), held.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(
        held.iter()
            .filter(|name| name.starts_with("package-"))
            .count(),
        COUNT
    );
}

#[test]
fn requested_packages_have_layers_of_their_own() {
    let world = World::new();
    let tool = |name: &str| {
        Deb::new(name, "1.0")
            .field("Depends: libc6, libshared")
            .file(&format!("usr/bin/{name}"), "#!/bin/sh\n", 0o755)
    };
    let mut all = base_debs();
    all.extend([tool("btool"), tool("atool"), Deb::new("libshared", "1.0")]);
    debs::publish(&world.server, "debian", "bookworm", "bookworm", &all);
    let project = world.project("model", "alpha\n");
    let cog_yaml = std::fs::read_to_string(project.join("cog.yaml")).expect("a text");
    let ask = |names: &str| {
        let line = format!("build:\n  system_packages: [{names}]");
        write(&project.join("cog.yaml"), cog_yaml.replace("build:", &line));
        succeed(world.cognix("store").arg("lock").arg(&project));
        world.build("store", &project);
        layers(&plan(&world, &project))
    };
    let one = ask("btool");
    assert_eq!(
        one["btool"].0,
        BTreeSet::from(["btool".to_owned(), "libshared".to_owned()])
    );
    let two = ask("atool, btool");
    assert_eq!(two["atool"].0, BTreeSet::from(["atool".to_owned()]));
    assert_eq!((&two["btool"], &two["base"]), (&one["btool"], &one["base"]));
}

#[test]
fn rec_3_a_waiver_installs_a_wheel_that_breaks_its_record() {
    let world = World::new();
    let broken = Wheel::new("broken", "1.0").lying_record();
    wheels::publish(&world.server, std::slice::from_ref(&broken));
    let project = world.project("model", "broken\n");
    let said = fail(world.cognix("store").arg("build").arg(&project), 100);
    let sha256 = Sha256::of(&broken.to_bytes()).to_sri();
    let setting = format!("wheels.waivers = [ \"{sha256}\" ];");
    assert!(
        said.contains(&setting) && said.contains("does not match RECORD"),
        "{said}"
    );

    set(&project, &setting);
    let stale = fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(stale.contains("waiver"), "{stale}");
    succeed(world.cognix("store").arg("lock").arg(&project));
    let lock = std::fs::read_to_string(project.join("cognix.lock")).expect("a lock");
    assert_eq!(lock.matches("\"waived\": true").count(), 1, "{lock}");
    world.build("store", &project);
    let text = succeed(
        world
            .cognix("store")
            .args(["plan", "--locked"])
            .arg(&project),
    );
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(text.contains("broken 1.0 (RECORD waived)"), "{text}");

    // A waiver for something else is no waiver.
    set(&project, "wheels = { };");
    let other = world.project("other", "alpha\n");
    set(&other, &setting);
    let said = fail(world.cognix("store").arg("lock").arg(&other), 78);
    assert!(said.contains("no wheel of the lock is that file"), "{said}");
}

#[test]
fn rec_5_two_wheels_with_one_path_are_settled_by_a_rule() {
    let world = World::new();
    let wheel =
        |name: &str| Wheel::new(name, "1.0").file("tests/__init__.py", format!("# {name}\n"));
    wheels::publish(&world.server, &[wheel("one"), wheel("two")]);
    let project = world.project("model", "one\ntwo\n");
    let path = "venv/lib/python3.11/site-packages/tests/__init__.py";
    let said = fail(world.cognix("store").arg("lock").arg(&project), 65);
    assert!(
        said.contains(&format!("one and two both bring {path}")),
        "{said}"
    );
    let rule = format!("layers.conflicts = {{ \"{path}\" = \"one\"; }};");
    assert!(said.contains(&rule), "{said}");

    set(&project, &rule.replace("\"one\"", "\"two\""));
    succeed(world.cognix("store").arg("lock").arg(&project));
    world.build("store", &project);
    let lock = std::fs::read(project.join("cognix.lock")).expect("a lock");
    let lock: Value = serde_json::from_slice(&lock).expect("JSON");
    let wheels = &lock["variants"]["default"]["platforms"]["linux/amd64"]["python"];
    let omitted: Vec<(&Value, &Value)> = wheels
        .as_array()
        .expect("wheels")
        .iter()
        .filter(|wheel| wheel.get("omit").is_some())
        .map(|wheel| (&wheel["file"], &wheel["omit"]))
        .collect();
    let file = "one-1.0-py3-none-any.whl".into();
    assert_eq!(omitted, [(&file, &serde_json::json!([path]))]);

    let misspelt = world.project("misspelt", "one\n");
    set(&misspelt, &rule);
    let said = fail(world.cognix("store").arg("lock").arg(&misspelt), 78);
    assert!(said.contains("but no two wheels bring that path"), "{said}");
}

#[test]
fn rec_5_two_debian_packages_with_one_path_are_settled_by_a_rule() {
    let world = World::new();
    let tool =
        |name: &str| Deb::new(name, "1.0").file("usr/bin/tool", format!("# {name}\n"), 0o755);
    let mut all = base_debs();
    all.extend([tool("one"), tool("two")]);
    debs::publish(&world.server, "debian", "bookworm", "bookworm", &all);
    let project = world.project("model", "alpha\n");
    let cog_yaml = std::fs::read_to_string(project.join("cog.yaml")).expect("a text");
    let line = "build:\n  system_packages: [one, two]";
    write(&project.join("cog.yaml"), cog_yaml.replace("build:", line));
    let said = fail(world.cognix("store").arg("build").arg(&project), 100);
    assert!(
        said.contains("usr/bin/tool comes from one-1.0 (layer one) and from two-1.0 (layer two) with different content"),
        "{said}"
    );
    set(&project, "layers.conflicts.\"/usr/bin/tool\" = \"two\";");
    succeed(world.cognix("store").arg("lock").arg(&project));
    world.build("store", &project);

    // A rule in favour of somebody who has nothing there leaves nobody.
    let other = world.project("other", "alpha\n");
    write(&other.join("cog.yaml"), cog_yaml.replace("build:", line));
    set(&other, "layers.conflicts.\"usr/bin/tool\" = \"mawk\";");
    let said = fail(world.cognix("store").arg("build").arg(&other), 100);
    assert!(
        said.contains("usr/bin/tool is left out of one-1.0, but nothing else brings it"),
        "{said}"
    );
}

#[test]
fn commands_have_room_beside_many_wheels() {
    const COUNT: usize = 110;
    let world = World::new();
    wheels::publish(&world.server, &packages(COUNT));
    let requirements: String = (0..COUNT).map(|at| format!("package-{at:03}\n")).collect();
    let project = world.project("model", &requirements);
    succeed(world.cognix("store").arg("lock").arg(&project));
    let versions = |lock: &str| {
        let lines = lock.lines().filter(|line| line.contains("\"sha256\""));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let lock = || std::fs::read_to_string(project.join("cognix.lock")).expect("a lock");
    let before = lock();

    let text = std::fs::read_to_string(project.join("cog.yaml")).expect("our own");
    let commands = "build:\n  run: [echo 1, echo 2, echo 3, echo 4, echo 5]\n";
    write(
        &project.join("cog.yaml"),
        text.replacen("build:\n", commands, 1),
    );
    let plan = || {
        let mut command = world.cognix("store");
        command.arg("plan").arg(&project);
        command
    };
    let stale = fail(&mut plan(), 78);
    assert!(
        stale.contains(" layers with those of build.run and extraPackages, more than the 100 of"),
        "{stale}"
    );
    succeed(world.cognix("store").arg("lock").arg(&project));
    assert_eq!(versions(&before), versions(&lock()));
    let planned = String::from_utf8(succeed(&mut plan()).stdout).expect("text");
    assert!(planned.contains(" of at most 100, "), "{planned}");
}
