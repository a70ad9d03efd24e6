//! Our answers against those that a real Nix gave.

use super::cases::{Answer, Corpus, Topic};
use super::ours;

/// Compares case by case and says how many agree; differences are listed, and fail the test.
pub(crate) fn compare(
    corpus: &Corpus,
    nix: impl Fn(&Topic) -> Vec<Answer>,
    ours: impl Fn(&str) -> Answer,
) -> usize {
    let mut differences = Vec::new();
    let mut count = 0;
    for topic in corpus.topics() {
        for (case, theirs) in topic.cases.iter().zip(nix(&topic)) {
            count += 1;
            if let Some(difference) = theirs.difference(&ours(case)) {
                let case = case.replace('\n', "\n    ");
                differences.push(format!("{}: {case}\n    {difference}", topic.name));
            }
        }
    }
    let agree = count - differences.len();
    assert!(
        differences.is_empty(),
        "{agree} of {count} cases agree; these do not:\n\n{}\n\n{agree} of {count} cases agree",
        differences.join("\n\n")
    );
    count
}

#[test]
fn the_language_means_what_it_means_to_nix() {
    let files = ours::project();
    let count = compare(&Corpus::conformance(), Topic::golden, |case| {
        ours::value(&files, case)
    });
    assert!(count >= 1_900, "only {count} cases");
}

#[test]
fn derivations_are_those_of_nix_to_the_byte() {
    let files = ours::project();
    let count = compare(&Corpus::derivations(), Topic::golden, |case| {
        ours::derivations(&files, case)
    });
    assert!(count >= 260, "only {count} cases");
}
