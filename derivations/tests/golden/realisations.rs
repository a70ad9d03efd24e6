use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::{RealisationId, StorePath};

use super::{derivations, graph, realisations};

/// Every id that Nix recorded is one that we compute, for unresolved and for resolved derivations, of every kind.
fn check(folder: &str, drvs: &str, expected_ids: usize, expected_resolved: usize) {
    let all = derivations(drvs);
    let graph = graph(&all);
    assert_eq!(graph.len(), all.len());
    let recorded = realisations(&format!("{folder}/realisations.json"));
    assert_eq!(recorded.len(), expected_ids);

    let mut computed = BTreeMap::new();
    for (path, derivation) in &all {
        for output in derivation.outputs().keys() {
            let id = graph
                .realisation_id(path, output)
                .expect("it is in the graph");
            let text = id.to_string();
            assert_eq!(text.parse::<RealisationId>().expect("its own text"), id);
            if let Some(realised) = recorded.get(&text) {
                computed.insert((path.clone(), output.clone()), realised.clone());
            }
        }
        assert_eq!(graph.realisation_id(path, "nonsense"), None);
    }
    let ids: BTreeSet<_> = computed
        .keys()
        .map(|(path, output)| {
            graph
                .realisation_id(path, output)
                .expect("known")
                .to_string()
        })
        .collect();
    assert_eq!(ids.len(), recorded.len());

    let mut resolved = BTreeSet::new();
    for derivation in all.values() {
        let known_beforehand = derivation
            .outputs()
            .values()
            .all(|output| output.path().is_some());
        if derivation.input_derivations().is_empty() || known_beforehand {
            continue;
        }
        let result = derivation
            .resolve(&computed)
            .expect("all inputs are realised");
        assert!(result.input_derivations().is_empty());
        assert_eq!(Some(&result), all.get(result.as_path()), "{derivation:?}");
        resolved.insert(result.path());
    }
    assert_eq!(resolved.len(), expected_resolved);
}

#[test]
fn of_a_store_by_nix_2_34() {
    check("store", "store/drvs-2.34.8", 10, 2);
}

#[test]
fn of_a_graph_with_every_shape() {
    check("realisations", "realisations/drvs", 31, 9);
}

#[test]
fn missing_inputs_are_named() {
    let all = derivations("realisations/drvs");
    let waiting = all.values().find(|one| one.name() == "b").expect("one");
    if waiting.input_derivations().is_empty() {
        assert!(waiting.resolve(&BTreeMap::new()).is_ok());
    } else {
        let error = waiting
            .resolve(&BTreeMap::new())
            .expect_err("nothing is realised");
        assert!(error.to_string().contains("is not realised"), "{error}");
    }
}

#[test]
fn malformed_ids_are_refused() {
    let hex = "ab".repeat(32);
    for text in [
        "",
        "!out",
        "sha256:!out",
        &format!("sha256:{hex}!"),
        &format!("{hex}!out"),
        &format!("sha256:{}!out", hex.to_uppercase()),
    ] {
        assert!(text.parse::<RealisationId>().is_err(), "{text}");
    }
    assert!(StorePath::parse("/nix/store/x").is_err());
}
