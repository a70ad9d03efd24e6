//! Inputs of a spec that are no package sources: locked once, moved one by one.

use std::path::Path;

use cognix_derivations::Sha256;
use serde_json::Value;

use crate::world::{World, fail, succeed, write};

fn set(project: &Path, settings: &str) {
    let file = project.join("cognix.nix");
    let spec = std::fs::read_to_string(&file).expect("readable");
    write(&file, spec.replacen('{', &format!("{{ {settings}"), 1));
}

fn locked(project: &Path) -> Value {
    let text = std::fs::read(project.join("cognix.lock")).expect("a lock");
    serde_json::from_slice(&text).expect("JSON")
}

fn stderr(command: &mut std::process::Command) -> String {
    String::from_utf8(succeed(command).stderr).expect("UTF-8")
}

#[test]
fn an_input_is_pinned_by_the_lock_and_moves_alone() {
    let world = World::new();
    let put = |text: &str| {
        let kind = "application/octet-stream";
        world
            .server
            .put("own/weights.bin", kind, text.as_bytes().to_vec());
    };
    put("one");
    let project = world.project("model", "alpha\n");
    let url = world.server.url("own/weights.bin");
    set(
        &project,
        &format!("inputs.weights = {{ type = \"url\"; url = \"{url}\"; }};"),
    );
    let lock = |arguments: &[&str]| {
        let mut command = world.cognix("store");
        command.arg("lock").arg(&project).args(arguments);
        command
    };
    succeed(&mut lock(&[]));
    let first = locked(&project);
    assert_eq!(
        first["inputs"]["weights"]["sha256"],
        Sha256::of(b"one").to_string()
    );
    assert_eq!(first["inputs"]["weights"]["size"], 3);

    // Somebody else's file moves nothing until it is asked for.
    put("other");
    world.publish_wheels("1.1");
    assert!(stderr(&mut lock(&[])).contains("cognix.lock is current"));
    assert!(stderr(&mut lock(&["--update", "weights"])).contains("weights moved"));
    let second = locked(&project);
    assert_eq!(
        second["inputs"]["weights"]["sha256"],
        Sha256::of(b"other").to_string()
    );
    for key in ["debian", "python", "variants"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    assert!(stderr(&mut lock(&["--update", "weights"])).contains("weights stays"));

    // A package source means the packages that come from it.
    let moved = succeed(&mut lock(&["--update", "pypi"])).stdout;
    assert_eq!(String::from_utf8_lossy(&moved), "alpha 1.0 -> 1.1\n");
    let said = fail(&mut lock(&["--update", "wieghts"]), 65);
    assert!(said.contains("wieghts is not in cognix.lock"), "{said}");

    set(
        &project,
        "inputs.more = { type = \"url\"; url = \"http://127.0.0.1:9/x\"; };",
    );
    let said = fail(&mut lock(&["--check"]), 78);
    assert_eq!(said, "");
    let said = fail(world.cognix("store").arg("build").arg(&project), 78);
    assert!(said.contains("added input more"), "{said}");
    let said = fail(&mut lock(&["--offline"]), 69);
    assert!(said.contains("inputs.more is not locked yet"), "{said}");
}
