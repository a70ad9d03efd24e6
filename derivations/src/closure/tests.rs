use proptest::prelude::*;

use super::*;
use crate::derivation::downstream_placeholder;
use crate::{ContentAddress, Sha256};

/// Derivation `i` takes in some of those before it. Some are fixed, some floating, some input-addressed or deferred.
fn chain(edges: &[Vec<prop::sample::Index>]) -> Vec<Derivation> {
    let mut graph = DerivationGraph::new();
    let mut all: Vec<Derivation> = Vec::new();
    for (index, inputs) in edges.iter().enumerate() {
        let mut builder = Derivation::builder(&format!("d{index}"))
            .system("builtin")
            .builder("builtin:cognix-test-1");
        for input in inputs.iter().filter(|_| !all.is_empty()) {
            let input = input.get(&all).as_path();
            builder = builder
                .env(input.name(), downstream_placeholder(input, "out"))
                .input_derivation(input, "out");
        }
        builder = match index % 5 {
            0 | 3 => builder.fixed_output(ContentAddress::Flat(Sha256::of(&[index as u8]).into())),
            1 => builder.floating_output("out"),
            _ => builder.input_addressed_output("out"),
        };
        let derivation = builder.clone().build_in(&graph).unwrap();
        assert_eq!(graph.add(builder).unwrap(), &derivation);
        all.push(derivation);
    }
    let inserted = insert_all(all.iter());
    assert_eq!(inserted, graph);
    for derivation in &all {
        let id = |graph: &DerivationGraph| graph.realisation_id(derivation.as_path(), "out");
        assert_eq!(id(&inserted), id(&graph));
        // Both hashes at once, and one after the other.
        assert_eq!(id(&insert_all(all.iter())), id(&graph));
    }
    all
}

fn insert_all<'a>(all: impl Iterator<Item = &'a Derivation> + Clone) -> DerivationGraph {
    let mut graph = DerivationGraph::new();
    loop {
        let before = graph.len();
        for derivation in all.clone() {
            match graph.insert(derivation.clone()) {
                Ok(path) => assert_eq!(path, derivation.path()),
                Err(error) => assert!(matches!(error, GraphError::UnknownInput { .. }), "{error}"),
            }
        }
        if graph.len() == before {
            return graph;
        }
    }
}

proptest! {
    #[test]
    fn the_order_of_entering_does_not_matter(
        edges in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..20),
    ) {
        let all = chain(&edges);
        let forwards = insert_all(all.iter());
        let backwards = insert_all(all.iter().rev());
        prop_assert_eq!(&forwards, &backwards);
        prop_assert_eq!(forwards.len(), all.len());
        prop_assert!(forwards.iter().eq(backwards.iter()));
        let tops: Vec<StorePath> = forwards.tops().map(Derivation::path).collect();
        prop_assert_eq!(forwards.input_closure(&tops).len(), all.len());
        for (index, top) in tops.iter().enumerate() {
            let others = [&tops[..index], &tops[index + 1..]].concat();
            prop_assert!(!forwards.input_closure(&others).contains(top));
        }
    }

    #[test]
    fn inputs_come_first_and_the_closure_is_closed(
        edges in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..20),
    ) {
        let all = chain(&edges);
        let graph = insert_all(all.iter());
        let mut seen = BTreeSet::new();
        for derivation in graph.iter() {
            prop_assert!(derivation.input_derivations().keys().all(|input| seen.contains(input)));
            seen.insert(derivation.path());
        }
        prop_assert_eq!(seen.len(), graph.len());
        let last = all.last().unwrap();
        let closure = graph.input_closure(&[last.path()]);
        prop_assert!(closure.contains(last.as_path()));
        for path in &closure {
            let inputs = graph.get(path).unwrap().input_derivations();
            prop_assert!(inputs.keys().all(|input| closure.contains(input)));
        }
    }
}

#[test]
fn equal_derivations_enter_once() {
    let derivation = chain(&[vec![]]).remove(0);
    let mut graph = DerivationGraph::new();
    assert!(graph.is_empty());
    let path = graph.insert(derivation.clone()).unwrap();
    assert_eq!(graph.insert(derivation.clone()).unwrap(), path);
    assert_eq!(graph.len(), 1);
    assert_eq!(graph.get(&path), Some(&derivation));
    assert_eq!(graph.realisation_id(&path, "dev"), None);
}

#[test]
fn a_fetch_is_the_same_wherever_it_comes_from() {
    let fetch = |url: &str| {
        Derivation::builder("file")
            .system("builtin")
            .builder("builtin:fetchurl")
            .env("url", url)
            .fixed_output(ContentAddress::Flat(Sha256::of(b"file").into()))
            .build()
            .unwrap()
    };
    let user = |input: &Derivation| {
        Derivation::builder("user")
            .system("builtin")
            .builder("builtin:cognix-test-1")
            .input_derivation(input.as_path(), "out")
            .floating_output("out")
            .build()
            .unwrap()
    };
    let (one, two) = (fetch("mirror://one/file"), fetch("mirror://two/file"));
    let (user_one, user_two) = (user(&one), user(&two));
    let graph = insert_all([&one, &two, &user_one, &user_two].into_iter());
    assert_ne!(user_one.path(), user_two.path());
    assert_eq!(
        graph.realisation_id(user_one.as_path(), "out"),
        graph.realisation_id(user_two.as_path(), "out")
    );
}
