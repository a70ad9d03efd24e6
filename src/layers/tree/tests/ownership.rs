//! Who owns a path: what trees leave out, and rules.

use super::*;

/// Trees that leave something out themselves, and rules about who owns what.
fn describe_by_rules(
    rules: &[(&str, &str)],
    cases: &[(&Case, &[&str])],
) -> Result<LayerDescription, LayerError> {
    let request = LayerRequest {
        time: crate::layers::Timestamp::default(),
        name: "base",
        recipe: Recipe::FOR_TREES,
        cancelled: &|| false,
    };
    let inputs: Vec<_> = cases
        .iter()
        .map(|(case, omit)| {
            let mut input = case.input.clone();
            input.source.omit = omit.iter().map(|path| image_path(path)).collect();
            input
        })
        .collect();
    let rules = rules
        .iter()
        .map(|(path, owner)| (image_path(path), (*owner).to_owned()));
    let options = TreesOptions {
        rules: rules.collect(),
        ..TreesOptions::default()
    };
    let description = describe_trees(&request, &inputs, options)?;
    let locate = |path: &StorePath| {
        let of_path = cases
            .iter()
            .find(|(case, _)| case.input.source.out == *path);
        of_path.expect("one of the trees").0.input.root.clone()
    };
    write(&description, &locate, &mut io::sink()).expect("the same bytes without the rules");
    Ok(description)
}

#[test]
fn each_tree_leaves_out_what_is_anothers() {
    let (one, two) = (
        Case::new("one", &["f:a/shared=1", "f:a/one=1"]),
        Case::new("two", &["f:a/shared=22", "f:a/two=1"]),
    );
    let description = describe_by_rules(&[], &[(&one, &["a/shared"]), (&two, &[])]).expect("trees");
    assert_eq!(
        rows(&description),
        ["d:a", "f:a/one#1", "f:a/shared#2", "f:a/two#1"]
    );
    let error = describe_by_rules(&[], &[(&one, &["a/two"]), (&two, &[])]).expect_err("not in it");
    assert_eq!(
        error.to_string(),
        "layer one is to leave out a/two, which is not a file or link in it"
    );
}

#[test]
fn rec_5_a_rule_settles_which_package_owns_a_path() {
    let (one, two) = (
        Case::new("one", &["f:etc/a=1", "l:etc/b>x"]),
        Case::new("two", &["f:etc/a=22", "f:etc/b=y"]),
    );
    let cases: [(&Case, &[&str]); 2] = [(&one, &[]), (&two, &[])];
    let omitted = |description: &LayerDescription| -> Vec<String> {
        let of_layer = description.source.omitted();
        of_layer
            .map(|(tree, path)| format!("{} {path}", tree.unwrap_or("all")))
            .collect()
    };
    let description =
        describe_by_rules(&[("etc/a", "two"), ("etc/b", "one")], &cases).expect("settled");
    assert_eq!(rows(&description), ["d:etc", "f:etc/a#2", "l:etc/b>x"]);
    assert_eq!(omitted(&description), ["one etc/a", "two etc/b"]);
    // A package of another layer: nobody here keeps the path, and the image is checked for it.
    let description =
        describe_by_rules(&[("etc/a", "three"), ("etc/b", "one")], &cases).expect("settled");
    assert_eq!(rows(&description), ["d:etc", "l:etc/b>x"]);
    let unclaimed = crate::layers::omission_check(std::slice::from_ref(&description));
    let message = unclaimed.expect_err("nobody has it").to_string();
    assert!(
        message.starts_with("etc/a is left out of one, but nothing else brings it"),
        "{message}"
    );
    assert_eq!(crate::layers::omission_check(&[]), Ok(()));
    // A rule about something else settles nothing.
    let error = describe_by_rules(&[("etc", "one")], &cases).expect_err("still a conflict");
    assert!(matches!(error, LayerError::Conflict(_)), "{error}");
}

#[test]
fn deb_7_a_rule_names_a_path_where_it_really_is() {
    let (one, two) = (
        Case::new("one", &["l:bin>usr/bin", "x:usr/bin/sh=1"]),
        Case::new("two", &["x:bin/sh=2"]),
    );
    let rules = [("usr/bin/sh", "two")];
    let description = describe_by_rules(&rules, &[(&one, &[]), (&two, &[])]).expect("settled");
    assert_eq!(
        rows(&description),
        [
            "l:bin>usr/bin",
            "d:usr",
            "d:usr/bin",
            "0755:0 f:usr/bin/sh#1"
        ]
    );
    // A link that a tree leaves out leads nowhere.
    let (one, two) = (
        Case::new("one", &["l:bin>usr/bin"]),
        Case::new("two", &["f:bin=tool"]),
    );
    let description =
        describe_by_rules(&[("bin", "two")], &[(&one, &[]), (&two, &[])]).expect("settled");
    assert_eq!(rows(&description), ["f:bin#4"]);
}
