//! Limits of the text, and texts that nobody writes on purpose.

use proptest::prelude::*;

use super::super::{Reason, parse};
use super::told;

/// The one error of a text that cannot be read at all.
fn refused(text: &str) -> (String, Reason) {
    let mut errors = parse(text, "cog.yaml").expect_err("refused").errors;
    assert_eq!(errors.len(), 1);
    let error = errors.remove(0);
    (
        error
            .position
            .map(|position| position.to_string())
            .unwrap_or_default(),
        error.reason,
    )
}

#[test]
fn yaml_1_size() {
    let text = format!("image: a\n{}", "#".repeat(1024 * 1024));
    assert!(matches!(
        refused(&text).1,
        Reason::TooLarge { limit: 1_048_576 }
    ));
    assert!(parse(&text[..1024 * 1024], "cog.yaml").is_ok());
}

#[test]
fn yaml_1_depth() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let nested = |depth: usize| format!("a: {}1{}", open.repeat(depth), close.repeat(depth));
        assert!(
            parse(&nested(31), "cog.yaml").is_ok(),
            "31 levels below the mapping of the file"
        );
        assert!(matches!(
            refused(&nested(32)).1,
            Reason::TooDeep { limit: 32 }
        ));
        assert!(matches!(
            refused(&nested(100_000)).1,
            Reason::TooDeep { limit: 32 }
        ));
    }
    let block: String = (0..200)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    assert!(matches!(refused(&block).1, Reason::TooDeep { limit: 32 }));
}

#[test]
fn yaml_1_depth_counts_aliases_followed() {
    let mut text = "l0: &l0 [x]\n".to_owned();
    for level in 1..40 {
        text += &format!("l{level}: &l{level} [*l{}]\n", level - 1);
    }
    let (place, reason) = refused(&text);
    assert!(matches!(reason, Reason::TooDeep { limit: 32 }), "{reason}");
    assert_eq!(place, "32:12");
}

#[test]
fn yaml_1_alias_budget() {
    let mut text = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*l{}", level - 1); 10].join(", ");
        text += &format!("l{level}: &l{level} [{aliases}]\n");
    }
    let (place, reason) = refused(&text);
    assert!(matches!(reason, Reason::AliasBudget { limit: 10_000 }));
    assert!(place.starts_with("4:"), "{place}");
    let many = format!("a: &a x\nb: [{}]\n", "*a, ".repeat(5_000));
    assert!(parse(&many, "cog.yaml").is_ok());
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_key() {
    assert_eq!(
        told("\u{feff}image: a\nbuild: {python_version: '3.9'}").len(),
        1
    );
    assert!(told("\u{feff}build: {python_version: '3.11'}").is_empty());
}

#[test]
fn positions_follow_values_into_the_model() {
    let text = "build:\n  python_version: '3.11'\n  system_packages:\n    - ffmpeg\n    - git\nrun: a.py:B\n";
    let model = parse(text, "cog.yaml").expect("valid").model;
    let build = model.build.as_ref().expect("a build section");
    assert_eq!(build.python_version.position.to_string(), "2:19");
    assert_eq!(build.system_packages[1].position.to_string(), "5:7");
    assert_eq!(build.system_packages[1].value, "git");
    assert_eq!(model.run.expect("a reference").position.to_string(), "6:6");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// ALL-1: whatever the text is, there is an answer.
    #[test]
    fn all_1_any_text_is_answered(text in any::<String>()) {
        let _answer = parse(&text, "cog.yaml");
    }

    /// ALL-1: the same for texts made of what YAML and the configuration are made of.
    #[test]
    fn all_1_any_yaml_is_answered(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "build", ":", " ", "\n", "- ", "[", "]", "{", "}", "&a", "*a", "<<", "'", "\"", "|", ">", "#", "3.11",
                "run", "environment", "weights", "model", "  ", "\t", "!!str", "? ", "---", "~", ",", "python_version",
                "A=b", "ä", "\\", "%", "concurrency", "max", "source",
            ]),
            0..40,
        )
    ) {
        let _answer = parse(&words.concat(), "cog.yaml");
    }
}
