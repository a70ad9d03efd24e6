use cognix_derivations::{
    Derivation, DerivationError, DerivationGraph, GraphError, Output, downstream_placeholder,
    placeholder,
};
use serde_json::Value;

use super::{derivations, graph, json, names, text};

/// DRV-1, DRV-2: text, own path, and every output path that is known in advance.
#[test]
fn drv_1_drv_2_text_paths_and_json() {
    let mut checked = 0;
    for case in names("drv") {
        let all = derivations(&format!("drv/{case}/drvs"));
        let graph = graph(&all);
        assert_eq!(graph.len(), all.len(), "{case}");
        let shown = json(&format!("drv/{case}/derivation-show-2.34.8.json"));
        for (path, derivation) in &all {
            assert_eq!(
                derivation.to_json(),
                shown["derivations"][path.base_name()],
                "{path}"
            );
            checked += 1;
        }
        for (attribute, entry) in json(&format!("drv/{case}/vector.json"))["derivations"]
            .as_object()
            .expect("an object")
        {
            let path = text(entry, "drvPath").parse().expect("a store path");
            check_outputs(&all[&path], entry, attribute);
        }
    }
    assert_eq!(checked, 57);
}

fn check_outputs(derivation: &Derivation, entry: &Value, attribute: &str) {
    let expected = entry["outputs"].as_object().expect("an object");
    assert_eq!(expected.len(), derivation.outputs().len());
    for (name, output) in derivation.outputs() {
        let shown = match output.path() {
            Some(path) => path.to_string(),
            None => downstream_placeholder(derivation.as_path(), name),
        };
        assert_eq!(
            shown,
            expected[name].as_str().expect("a path"),
            "{attribute}.{name}"
        );
        match output {
            Output::Floating { .. } => {
                assert_eq!(derivation.env_str(name), Some(&*placeholder(name)))
            }
            Output::Deferred => assert_eq!(derivation.env_str(name), Some("")),
            Output::Fixed { .. } | Output::InputAddressed(_) => {}
        }
    }
}

/// DRV-1: whatever one byte is changed to, a text is either refused or still says what it says.
#[test]
fn drv_1_no_change_goes_unnoticed() {
    for (path, derivation) in derivations("drv/env-escapes/drvs") {
        let aterm = derivation.to_aterm();
        for position in 0..aterm.len() {
            for byte in [b'"', b'\\', b'0', b',', b'[', 0, 0xff] {
                let mut changed = aterm.clone();
                changed[position] = byte;
                if let Ok(other) = Derivation::parse(path.name(), &changed) {
                    assert_eq!(other.to_aterm(), changed);
                    assert_eq!(other.path() == path, changed == aterm);
                }
            }
            assert!(Derivation::parse(path.name(), &aterm[..position]).is_err());
        }
    }
}

/// DRV-2: a fixed output's path follows from its digest, an input-addressed one's from everything.
#[test]
fn drv_2_claims_of_other_paths_are_refused() {
    let all = derivations("drv/ia-chain/drvs");
    let graph = graph(&all);
    let honest = all
        .values()
        .find(|one| !one.input_derivations().is_empty())
        .expect("one");
    let claimed = honest.outputs()["out"].path().expect("known").to_string();
    let forged = claimed.replacen("/nix/store/", "/nix/store/0", 1);
    let forged = format!("{}{}", &forged[..43], &claimed[43..]);
    let aterm = String::from_utf8(honest.to_aterm())
        .expect("UTF-8")
        .replace(&claimed, &forged);
    let liar = Derivation::parse(honest.name(), aterm.as_bytes()).expect("the grammar holds");
    let error = graph
        .clone()
        .insert(liar)
        .expect_err("the path is not its own");
    assert!(error.to_string().contains("its content gives"), "{error}");

    let fixed = derivations("drv/fixed-modes/drvs")
        .into_values()
        .next()
        .expect("one");
    let path = fixed.fixed_output().expect("fixed").1.to_string();
    let aterm = String::from_utf8(fixed.to_aterm()).expect("UTF-8");
    let liar = aterm.replace(
        &path,
        &path.replace("/nix/store/", "/nix/store/0")[..path.len()],
    );
    assert!(Derivation::parse(fixed.name(), liar.as_bytes()).is_err());
}

/// DRV-3: inputs exist and have the outputs that are taken.
#[test]
fn drv_3_inputs_exist() {
    let all = derivations("drv/ia-chain/drvs");
    let last = all
        .values()
        .find(|one| !one.input_derivations().is_empty())
        .expect("one");
    assert!(matches!(
        DerivationGraph::new().insert(last.clone()),
        Err(GraphError::UnknownInput { .. })
    ));
    let mut graph = graph(&all);
    let greedy = Derivation::builder("greedy")
        .system("builtin")
        .builder("builtin:cognix-test-1")
        .floating_output("out")
        .input_derivation(last.as_path(), "doc")
        .build()
        .expect("nothing wrong with it alone");
    assert!(matches!(
        graph.insert(greedy),
        Err(GraphError::UnknownOutput { .. })
    ));
}

#[test]
fn what_is_not_supported_is_refused() {
    let dynamic = br#"DrvWithVersion("xp-dyn-drv",[("out","","r:sha256","")],[],[],"s","b",[],[])"#;
    assert!(matches!(
        Derivation::parse("x", dynamic),
        Err(DerivationError::NotCanonical { offset: 1, .. })
    ));
    for output in [
        r#"("out","","r:sha256","impure")"#,
        r#"("out","","git:sha256","")"#,
    ] {
        let aterm = format!(r#"Derive([{output}],[],[],"s","b",[],[("out","")])"#);
        assert!(matches!(
            Derivation::parse("x", aterm.as_bytes()),
            Err(DerivationError::Malformed { .. })
        ));
    }
}
