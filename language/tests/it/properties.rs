//! Laws: the same text gives the same value, and a printed value is an expression of that value.

use cognix_language::MemoryFiles;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::ours;

/// A value that can be written as an expression.
#[derive(Clone, Debug)]
enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    List(Vec<Self>),
    Set(Vec<(String, Self)>),
}

impl Tree {
    /// An expression that gives the value.
    fn write(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            // The smallest integer has no literal, and a sign is an operator.
            Self::Int(i64::MIN) => format!("(-{} - 1)", i64::MAX),
            Self::Int(value) => format!("({value})"),
            Self::Float(value) => format!("({value:?})"),
            Self::String(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::write).collect();
                format!("[ {} ]", items.join(" "))
            }
            Self::Set(entries) => {
                let mut text = "{ ".to_owned();
                for (name, value) in entries {
                    text.push_str(&format!("{} = {}; ", quoted(name), value.write()));
                }
                text + "}"
            }
        }
    }

    /// Whether nothing in it is a float, which is printed with six digits only.
    fn is_exact(&self) -> bool {
        match self {
            Self::Float(_) => false,
            Self::List(items) => items.iter().all(Self::is_exact),
            Self::Set(entries) => entries.iter().all(|(_, value)| value.is_exact()),
            _ => true,
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        if matches!(letter, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted + "\""
}

fn texts() -> impl Strategy<Value = String> {
    let letters = prop_oneof![
        4 => "[a-z]{1,4}",
        2 => "[$\\{}\"\\\\ \n\t']{0,4}",
        1 => "[^\0]{0,6}",
    ];
    vec(letters, 0..3).prop_map(|parts| parts.concat().replace('\0', ""))
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_'-]{0,5}",
        "if|then|or|let|null|true|inherit",
        texts(),
    ]
}

/// Values with numbers of any sign.
fn trees() -> impl Strategy<Value = Tree> {
    trees_with(prop_oneof![
        any::<i64>().prop_map(Tree::Int),
        (-1_000_000_i64..1_000_000).prop_map(|number| Tree::Float(number as f64 / 64.0)),
    ])
}

/// Values whose printed form is an expression: `[ -1 ]` is none.
fn printable_trees() -> impl Strategy<Value = Tree> {
    trees_with(prop_oneof![
        (0..=i64::MAX).prop_map(Tree::Int),
        (0_i64..1_000_000).prop_map(|number| Tree::Float(number as f64 / 64.0)),
    ])
}

fn trees_with(numbers: impl Strategy<Value = Tree> + 'static) -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        numbers,
        texts().prop_map(Tree::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Tree::List),
            btree_map(names(), inner, 0..6)
                // These three mean something to whoever reads a set as a text.
                .prop_map(|mut entries| {
                    entries.retain(|name, _| {
                        !["outPath", "__toString", "type"].contains(&name.as_str())
                    });
                    Tree::Set(entries.into_iter().collect())
                }),
        ]
    })
}

fn print(text: &str) -> String {
    ours::print(&MemoryFiles::new(), text).expect("the expression has a value")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_printed_value_is_an_expression_of_that_value(tree in printable_trees()) {
        let text = tree.write();
        let printed = print(&text);
        prop_assert_eq!(&print(&printed), &printed);
        if tree.is_exact() {
            prop_assert_eq!(print(&format!("({text}) == ({printed})")), "true");
        }
    }

    #[test]
    fn a_value_goes_through_json_unchanged(tree in trees()) {
        let text = tree.write();
        let through = format!("builtins.fromJSON (builtins.toJSON ({text}))");
        prop_assert_eq!(print(&format!("{through} == {text}")), "true");
        prop_assert_eq!(print(&through), print(&text));
        let (json, _) = ours::json(&MemoryFiles::new(), &text).expect("the expression has a value");
        prop_assert_eq!(json.clone(), ours::json(&MemoryFiles::new(), &through).expect("so has this").0);
        let parsed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        prop_assert_eq!(parsed.is_object(), matches!(tree, Tree::Set(_)));
    }

    #[test]
    fn the_same_text_gives_the_same_value_and_the_same_graph(
        trees in vec(trees(), 1..4),
        structured in any::<bool>(),
    ) {
        let values: Vec<String> = trees.iter().map(Tree::write).collect();
        let text = format!(
            "let
              values = [ {} ];
              show = value: derivation {{
                name = \"shows\"; system = \"s\"; builder = \"b\";
                json = builtins.toJSON value; script = builtins.toFile \"script\" (builtins.toJSON value);
                __structuredAttrs = {structured};
              }};
            in derivation {{
              name = \"all\"; system = \"s\"; builder = \"b\"; outputs = [ \"out\" \"dev\" ];
              inputs = map show values; hash = builtins.hashString \"sha256\" (builtins.toXML values);
            }}",
            values.join(" ")
        );
        let files = MemoryFiles::new();
        let one = ours::derivations(&files, &text);
        let other = ours::derivations(&files, &text);
        prop_assert!(one.json.is_ok(), "{:?}", one.json);
        prop_assert_eq!(&one, &other);
        // A comment and a name of our own change nothing.
        let renamed = format!("# a comment\n(renamed: renamed) ({text})");
        prop_assert_eq!(&ours::derivations(&files, &renamed), &one);
    }

    #[test]
    fn any_text_ends_with_a_value_or_an_error(text in "[a-z0-9{}\\[\\]();:=,.?@$\"'+*/<>!&|~ \n-]{0,60}") {
        let files = ours::project();
        let one = ours::print(&files, &text);
        prop_assert_eq!(one, ours::print(&files, &text));
    }
}
