//! The corpora with a real Nix beside us; see `nix.rs` for what it needs.
#![allow(
    clippy::print_stdout,
    reason = "how many cases agree is what one runs these tests for"
)]

use super::cases::Corpus;
use super::conformance::compare;
use super::nix::Nix;
use super::ours;

#[test]
fn a_real_nix_agrees_about_the_language() {
    let (nix, files) = (Nix::new(), ours::project());
    let count = compare(
        &Corpus::conformance(),
        |topic| nix.values(&topic.cases),
        |case| ours::value(&files, case),
    );
    println!("the language: {count} of {count} cases agree with a real Nix");
}

#[test]
fn a_real_nix_agrees_about_derivations() {
    let (nix, files) = (Nix::new(), ours::project());
    let count = compare(
        &Corpus::derivations(),
        |topic| nix.derivations(&topic.cases),
        |case| ours::derivations(&files, case),
    );
    println!("derivations: {count} of {count} cases agree with a real Nix");
}

/// Not a test: writes the golden files of both corpora anew.
#[test]
#[ignore = "writes the golden files"]
fn make_the_answers_again() {
    let nix = Nix::new();
    for topic in Corpus::conformance().topics() {
        topic.write_golden(&nix.values(&topic.cases));
    }
    for topic in Corpus::derivations().topics() {
        topic.write_golden(&nix.derivations(&topic.cases));
    }
}
