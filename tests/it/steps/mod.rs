//! Commands of `build.run`: what a plan says of them, what they are told, and what they leave.

#[cfg(all(feature = "container-tests", feature = "sandbox-tests"))]
mod example;
#[cfg(feature = "sandbox-tests")]
mod sandboxed;

use crate::world::{World, fail, json, succeed, write};

/// A project of the small world with commands; each line of `run` is one, as it stands in the list.
fn project(world: &World, name: &str, run: &str) -> std::path::PathBuf {
    let project = world.project(name, "alpha\n");
    let run: String = run.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "build:\n  python_version: \"3.11\"\n  python_requirements: requirements.txt\n  system_packages: [sl]\n  run:\n{run}\
         run: predict.py:Predictor\n"
    );
    write(&project.join("cog.yaml"), text);
    project
}

fn names(value: &serde_json::Value, key: &str) -> Vec<String> {
    let items = value.as_array().expect("a list").iter();
    items
        .map(|item| item[key].as_str().expect("a text").to_owned())
        .collect()
}

#[test]
fn a_plan_shows_commands_in_their_order_and_runs_none() {
    let world = World::new();
    let project = project(
        &world,
        "model",
        "- echo one\n-\n- '  '\n- command: echo two\n  mounts: [{type: secret, id: token, target: /run/token}]",
    );
    let text = std::fs::read_to_string(project.join("cog.yaml")).expect("our own");
    let with_old_key = text.replace("  run:\n", "  pre_install: [echo three]\n  run:\n");
    write(&project.join("cog.yaml"), with_old_key);
    let plan = json(
        world
            .cognix("store")
            .args(["plan", "--format", "json"])
            .arg(&project),
    );
    let steps = &plan["steps"];
    assert_eq!(names(steps, "name"), ["run-1", "run-2", "run-3"]);
    assert_eq!(
        names(steps, "command"),
        ["echo one", "echo two", "echo three"]
    );
    assert_eq!(steps[1]["secrets"], serde_json::json!(["token"]));
    assert!(
        steps[0]["recorded"] == false && steps[0]["runs"] == true,
        "{steps}"
    );
    let layers = names(&plan["layers"], "name");
    assert_eq!(
        layers[layers.len() - 4..],
        ["run-1", "run-2", "run-3", "source"]
    );
    let shown = succeed(world.cognix("store").arg("plan").arg(&project)).stdout;
    let shown = String::from_utf8(shown).expect("UTF-8");
    assert!(
        shown.contains("  run-2    echo two (sees secrets)\n"),
        "{shown}"
    );
}

#[test]
fn sec_1_a_secret_that_nobody_gave_is_missed_before_anything_is_built() {
    let world = World::new();
    let mount =
        "- command: cat /run/token\n  mounts: [{type: secret, id: token, target: /run/token}]";
    let project = project(&world, "model", mount);
    let text = fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(
        text.contains("run-1 (cat /run/token) needs the secret token")
            && text.contains("--secret id=token,src=FILE"),
        "{text}"
    );
    let fetched = std::fs::read_dir(world.path("store/nix/store")).expect("a store");
    let mut fetched = fetched.map(|entry| entry.expect("readable").file_name());
    assert!(
        fetched.all(|name| !name.to_string_lossy().contains("base-files")),
        "nothing was fetched"
    );
    let text = fail(
        world
            .cognix("store")
            .args(["build", "--secret", "id=token,env=NOT_SET_ANYWHERE"])
            .arg(&project),
        65,
    );
    assert!(
        text.contains("the variable NOT_SET_ANYWHERE is not set"),
        "{text}"
    );
    let wrong = fail(
        world
            .cognix("store")
            .args(["build", "--secret", "token"])
            .arg(&project),
        2,
    );
    assert!(wrong.contains("KEY=VALUE"), "{wrong}");
}

#[test]
fn mounts_that_no_sandbox_can_have_are_refused_with_their_place() {
    let world = World::new();
    let mounts = "- command: ls\n  mounts: [{type: secret, id: a/b, target: run/x}]\n- \"a\\nb\"";
    let project = project(&world, "model", mounts);
    let text = fail(world.cognix("store").arg("build").arg(&project), 78);
    for words in [
        "build.run[0].mounts[0].id: a secret cannot be called \"a/b\"",
        "build.run[0].mounts[0].target: a secret cannot lie at \"run/x\"",
        "build.run[1]: the command contains a new line",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

/// A record of something that the image is not made of.
#[test]
fn a_stale_record_is_named_and_locking_drops_it() {
    let world = World::new();
    let project = project(&world, "model", "- echo one");
    succeed(world.cognix("store").arg("lock").arg(&project));
    let file = project.join("cognix.lock");
    let lock = std::fs::read_to_string(&file).expect("a lock");
    let record = format!("/nix/store/{}-run-1.drv", "0".repeat(32));
    let hash = "5".repeat(64);
    let runs = format!(
        ",\n      \"runs\": {{\n        \"{record}\": \"{hash}\"\n      }}\n    }}\n  }},\n  \"version\": 3\n"
    );
    let end = "\n    }\n  },\n  \"version\": 2\n";
    assert!(lock.contains(end), "{lock}");
    write(&file, lock.replace(end, &runs));
    let text = fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(
        text.contains("what is recorded of run-1 was made of other packages or by another command"),
        "{text}"
    );
    let mut check = world.cognix("store");
    let checked = check.args(["lock", "--check"]).arg(&project).output();
    assert_eq!(checked.expect("the program starts").status.code(), Some(78));
    let locked = succeed(world.cognix("store").arg("lock").arg(&project));
    let said = String::from_utf8_lossy(&locked.stderr);
    assert!(said.contains("cognix lock --allow-network"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).expect("a lock"), lock);
}
