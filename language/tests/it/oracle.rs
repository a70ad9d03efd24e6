//! The corpora with a real Nix beside us; see `nix.rs` for what it needs. With `COGNIX_BLESS=1` its answers become the golden
//! ones too.
#![allow(
    clippy::print_stdout,
    reason = "how many cases agree is what one runs these tests for"
)]

use super::cases::{Answer, Corpus, Topic};
use super::conformance::compare;
use super::nix::Nix;
use super::ours;

#[test]
fn a_real_nix_agrees_about_the_language() {
    let (nix, files) = (Nix::new(), ours::project());
    let count = compare(
        &Corpus::conformance(),
        |topic| kept(topic, nix.values(&topic.cases)),
        |case| ours::value(&files, case),
    );
    println!("the language: {count} of {count} cases agree with a real Nix");
}

#[test]
fn a_real_nix_agrees_about_derivations() {
    let (nix, files) = (Nix::new(), ours::project());
    let count = compare(
        &Corpus::derivations(),
        |topic| kept(topic, nix.derivations(&topic.cases)),
        |case| ours::derivations(&files, case),
    );
    println!("derivations: {count} of {count} cases agree with a real Nix");
}

/// The answers, which become the golden ones where somebody asks for it.
fn kept(topic: &Topic, answers: Vec<Answer>) -> Vec<Answer> {
    if std::env::var_os("COGNIX_BLESS").is_some() {
        topic.write_golden(&answers);
    }
    answers
}
