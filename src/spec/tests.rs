//! What specs say, and what they may not say.

use proptest::prelude::*;

use super::*;

/// The message about a spec that cannot be used, without the file's name.
fn refused(text: &str) -> String {
    let message = parse(text, "spec").expect_err(text).to_string();
    message
        .strip_prefix("spec:")
        .expect("the file's name comes first")
        .to_owned()
}

fn check_refused(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(refused(text), *expected, "{text}");
    }
}

fn builtin() -> Spec {
    Spec::builtin().expect("the built-in spec is valid")
}

#[test]
fn the_builtin_spec_is_complete() {
    let settings = builtin().settings().expect("complete");
    let kinds: Vec<(&str, &str)> = settings
        .inputs
        .values()
        .map(|input| (input.name.as_str(), input.kind.name()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("debian", "debian"),
            ("debian-security", "debian"),
            ("pypi", "pypi"),
            ("python-build-standalone", "url")
        ]
    );
    assert!(
        settings.inputs.values().all(|input| input.url.is_none()),
        "addresses are the machine's"
    );
    let debian = &settings.inputs["debian"];
    assert_eq!(
        debian.suites_of("bookworm").collect::<Vec<_>>(),
        ["bookworm", "bookworm-updates"]
    );
    assert_eq!(
        settings.inputs["debian-security"]
            .suites_of("trixie")
            .collect::<Vec<_>>(),
        ["trixie-security"]
    );
    assert_eq!(debian.components, ["main"]);
    let own = Input {
        suites: ["stable", "bookworm-tools", "trixie-tools", "cloud-sdk"]
            .map(str::to_owned)
            .to_vec(),
        ..debian.clone()
    };
    assert_eq!(
        own.suites_of("trixie").collect::<Vec<_>>(),
        ["stable", "trixie-tools", "cloud-sdk"],
        "a suite whose name says no release is for every one"
    );
    assert!(settings.base.tier == BaseTier::Essential && !settings.base.recommends);
    assert!(settings.base.packages.contains(&"tini".to_owned()));
    assert_eq!(settings.layers.budget, 100);
    assert_eq!(settings.layers.recipes.wheel, "gzip-wheel-splice-1");
    assert!(builtin().has_outputs);
}

#[test]
fn a_models_spec_extends_it_key_by_key() {
    let model = parse(
        r#"{
            inputs.pypi.url = "https://mirror.example/simple/";
            inputs.debian = { components = [ "main" "contrib" ]; };
            inputs.debian.releases.bookworm = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
            inputs.extra = { type = "pypi"; url = "file:///srv/wheels"; };
            layers.budget = 42;
            layers = { recipes.tree = "gzip-libdeflate-1.26-6-1m"; };
        }"#,
        "cognix.nix",
    );
    let settings = builtin()
        .extend(model.expect("valid"))
        .settings()
        .expect("complete");
    assert_eq!(
        settings.inputs["pypi"].url.as_deref(),
        Some("https://mirror.example/simple")
    );
    assert_eq!(settings.inputs["pypi"].kind, InputKind::Pypi);
    assert_eq!(settings.inputs["debian"].components, ["main", "contrib"]);
    assert_eq!(settings.inputs["debian"].suites.len(), 4);
    let pinned = &settings.inputs["debian"].releases;
    assert_eq!(pinned["bookworm"], cognix_derivations::Sha256::of(b""));
    assert_eq!(
        settings.inputs["extra"].url.as_deref(),
        Some("file:///srv/wheels")
    );
    assert_eq!(
        (settings.layers.budget, settings.base.tier),
        (42, BaseTier::Essential)
    );
}

#[test]
fn archives_of_ones_own() {
    let sha256 = cognix_derivations::Sha256::of(b"archive");
    let entry = |version: &str, path: &str| {
        format!(
            "{{ platform = \"linux/amd64\"; version = \"{version}\"; path = \"{path}\"; sha256 = \"{}\"; }}",
            sha256.to_sri()
        )
    };
    let spec = |archives: &str| {
        format!("{{ inputs.python-build-standalone.archives = [\n{archives}\n]; }}")
    };
    let two = [entry("3.12.4", "a/b.tar.gz"), entry("3.14.0rc1", "c")].join("\n");
    let own = parse(&spec(&two), "cognix.nix").expect("valid");
    let settings = builtin().extend(own).settings().expect("complete");
    let archives = &settings.inputs["python-build-standalone"].archives;
    assert_eq!(
        archives[0],
        PinnedArchive {
            path: "a/b.tar.gz".to_owned(),
            platform: Architecture::Amd64,
            sha256,
            version: "3.12.4".to_owned(),
        }
    );
    assert_eq!(archives[1].version, "3.14.0rc1");

    let key = "inputs.python-build-standalone.archives";
    let cases = [
        (
            "\"x\"".to_owned(),
            format!("{key} must be a list of sets, found a string"),
        ),
        ("{ }".to_owned(), format!("{key}.path is not set")),
        (
            entry("3.12", "a"),
            format!("{key}.version must be a whole version such as \"3.12.4\", found \"3.12\""),
        ),
        (
            entry("3.12.4", "../a"),
            format!("{key}.path must be a path below the package source, found \"../a\""),
        ),
        (
            entry("3.12.4", "a").replace("amd64", "riscv64"),
            format!("{key}.platform"),
        ),
        (
            entry("3.12.4", "a").replace("sha256-", "md5-"),
            format!("{key}.sha256"),
        ),
        (
            entry("3.12.4", "a").replace("path", "url"),
            format!("unknown key {key}.url, expected one of: path, platform, sha256, version"),
        ),
        (
            [entry("3.12.4", "a"), entry("3.12.5", "b")].concat(),
            format!("{key} names a second archive for Python 3.12 on linux/amd64"),
        ),
    ];
    for (archives, expected) in cases {
        let message = refused(&spec(&archives));
        assert!(message.starts_with("2:"), "{message}");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn a_new_input_must_be_whole() {
    let extended = |text: &str| {
        builtin()
            .extend(parse(text, "cognix.nix").expect("valid"))
            .settings()
    };
    let message = |text: &str| extended(text).expect_err(text).to_string();
    assert_eq!(
        message("{\n  inputs.own = { };\n}"),
        "cognix.nix:2:10: inputs.own.type is not set"
    );
    assert_eq!(
        message("{ inputs.own = { type = \"debian\"; suites = [ ]; }; }"),
        "cognix.nix:1:10: inputs.own.components is not set"
    );
    assert!(
        parse("{ }", "x").expect("valid").settings().is_err(),
        "nothing is set"
    );
}

#[test]
fn literals_in_every_spelling() {
    let text = "/* a comment */ ({\n  description = ''\n    two\n    lines\n  '';\n  inputs = { \"pypi\" = { type = (\"pypi\"); }; };\n  \
                base = { tier = \"shell\"; packages = [ ]; };\n  outputs = { self, ... }: let x = 1; in { inherit x; y = \"${x}\"; };\n})";
    let spec = parse(text, "spec").expect("valid");
    assert_eq!(spec.description.as_deref(), Some("two\nlines\n"));
    assert_eq!(spec.base.packages.as_deref(), Some([].as_slice()));
    assert_eq!(spec.base.tier, Some(BaseTier::Shell));
    assert!(spec.inputs.contains_key("pypi") && spec.has_outputs);
}

#[test]
fn what_is_not_a_literal_is_refused_with_its_place() {
    let end = "expressions are allowed below outputs only";
    let cases = [
        (
            "{ inputs = let x = { }; in x; }",
            "1:12",
            "inputs",
            "a let expression",
        ),
        ("{ inputs = x; }", "1:12", "inputs", "a variable"),
        (
            "{\n  inputs.pypi.url = \"https://${host}\";\n}",
            "2:21",
            "inputs.pypi.url",
            "an interpolated string",
        ),
        (
            "{ inputs.pypi.url = https://mirror.example/; }",
            "1:21",
            "inputs.pypi.url",
            "a URL without quotes",
        ),
        (
            "{ inputs.pypi.url = /srv/wheels; }",
            "1:21",
            "inputs.pypi.url",
            "a path",
        ),
        (
            "{ inputs.debian.keys = [ ./${name}.gpg ]; }",
            "1:26",
            "inputs.debian.keys",
            "an interpolated path",
        ),
        (
            "{ inputs.pypi = rec { type = \"pypi\"; }; }",
            "1:17",
            "inputs.pypi",
            "a recursive set",
        ),
        (
            "{ inputs.pypi = { inherit type; }; }",
            "1:17",
            "inputs.pypi",
            "a set that inherits",
        ),
        (
            "{ inputs = { ${name} = { }; }; }",
            "1:12",
            "inputs",
            "a set with computed keys",
        ),
        (
            "{ layers.budget = 50 + 50; }",
            "1:19",
            "layers.budget",
            "an operation",
        ),
        (
            "{ layers.budget = 1.5; }",
            "1:19",
            "layers.budget",
            "a number with a fraction",
        ),
        ("{ layers.budget = null; }", "1:19", "layers.budget", "null"),
        (
            "{ base.packages = [ \"a\" (f x) ]; }",
            "1:26",
            "base.packages",
            "a function call",
        ),
        (
            "{ base = with x; { }; }",
            "1:10",
            "base",
            "a with expression",
        ),
        (
            "{ description = x: x; }",
            "1:17",
            "description",
            "a function",
        ),
    ];
    for (text, place, key, found) in cases {
        assert_eq!(
            refused(text),
            format!("{place}: {key} must be a literal, found {found}; {end}"),
            "{text}"
        );
    }
}

#[test]
fn mistakes_have_places() {
    check_refused(&[
        ("", "1:1: failed to parse: unexpected end of file"),
        (
            "{ a = 1 }",
            "1:9: failed to parse: unexpected r brace, expected semicolon",
        ),
        (
            "{\n  description = \"x\";\n",
            "3:1: failed to parse: unexpected end of file",
        ),
        (
            "{ } { }",
            "1:1: the spec must be a set, found a function call",
        ),
        ("x: { }", "1:1: the spec must be a set, found a function"),
        ("[ ]", "1:1: the spec must be a set, found a list"),
        (
            "{ input = { }; }",
            "1:3: unknown key input, expected one of: description, inputs, platforms, base, layers, wheels, outputs",
        ),
        (
            "{ inputs.pypi.uri = \"x\"; }",
            "1:15: unknown key inputs.pypi.uri, expected one of: type, url, suites, components, keys, releases, archives, packages",
        ),
        (
            "{ layers.recipes.tree = 1; }",
            "1:25: layers.recipes.tree must be a string, found a number",
        ),
        (
            "{ layers.recipe = { }; }",
            "1:10: unknown key layers.recipe, expected one of: budget, conflicts, grouping, recipes",
        ),
        (
            "{ base.tier = \"tiny\"; }",
            "1:15: base.tier must be \"minimal\", \"shell\" or \"essential\", found \"tiny\"",
        ),
        (
            "{ base.packages = \"git\"; }",
            "1:19: base.packages must be a list of strings, found a string",
        ),
        (
            "{ base.packages = [ 1 ]; }",
            "1:21: base.packages must be a list of strings, found a number",
        ),
        (
            "{ inputs.pypi = \"pypi\"; }",
            "1:17: inputs.pypi must be a set, found a string",
        ),
        (
            "{ inputs.pypi.type = \"conda\"; }",
            "1:22: inputs.pypi.type must be \"pypi\", \"debian\" or \"url\", found \"conda\"",
        ),
        (
            "{ inputs.\"a/b\".type = \"pypi\"; }",
            "1:10: invalid input name \"a/b\": use lower-case letters, digits and single dashes",
        ),
        (
            "{ layers.budget = 0; }",
            "1:19: layers.budget must be from 1 to 126, found 0",
        ),
        (
            "{ layers.budget = 127; }",
            "1:19: layers.budget must be from 1 to 126, found 127",
        ),
        (
            "{ inputs.pypi.url = \"mirror\"; }",
            "1:21: inputs.pypi.url must be an http, https or file URL, found \"mirror\"",
        ),
        (
            "{ inputs.pypi.url = \"ftp://x.example\"; }",
            "1:21: inputs.pypi.url must be an http, https or file URL, found \"ftp://x.example\"",
        ),
        (
            "{ inputs.pypi.url = \"https://me:secret@x.example\"; }",
            "1:21: inputs.pypi.url holds credentials; keep them in netrc",
        ),
    ]);
}

#[test]
fn an_archives_own_keys_are_files_of_the_project() {
    let keys = |list: &str| format!("{{ inputs.debian.keys = [ {list} ]; }}");
    let spec = parse(&keys("./archive.gpg ./keys/more.asc"), "spec").expect("valid");
    let settings = builtin().extend(spec).settings().expect("complete");
    assert_eq!(
        settings.inputs["debian"].keys,
        ["archive.gpg", "keys/more.asc"]
    );
    assert!(settings.inputs["debian-security"].keys.is_empty());
    let outside = "inputs.debian.keys must name files beside or below the spec, found";
    check_refused(&[
        (
            &keys("../archive.gpg"),
            &format!("1:26: {outside} ../archive.gpg"),
        ),
        (
            &keys("./a/../../b"),
            &format!("1:26: {outside} ./a/../../b"),
        ),
        (
            &keys("\"a.gpg\""),
            "1:26: inputs.debian.keys must be a list of paths, found a string",
        ),
        (
            "{ inputs.pypi.url = ./wheels; }",
            "1:21: inputs.pypi.url must be a string, found a path",
        ),
    ]);
}

#[test]
fn a_projects_own_spec_is_read_where_there_is_one() {
    let project = tempfile::TempDir::new().expect("a temporary folder");
    let builtin = builtin().settings().expect("complete");
    assert_eq!(load(project.path()).expect("the built-in one"), builtin);
    let own = project.path().join(FILE_NAME);
    std::fs::write(&own, "{ layers.budget = 7; }").expect("a spec");
    assert_eq!(
        load(project.path())
            .expect("the project's own")
            .layers
            .budget,
        7
    );
    std::fs::write(&own, "{\n  layers.budget = x;\n}").expect("a spec");
    let message = load(project.path()).expect_err("an expression").to_string();
    assert!(
        message.starts_with("cognix.nix:2:19: layers.budget must be a literal"),
        "{message}"
    );
    std::fs::write(&own, vec![b' '; MAX_BYTES + 1]).expect("a file");
    let message = load(project.path()).expect_err("too large").to_string();
    assert_eq!(
        message,
        "cognix.nix:1:1: the file has more than 1048576 bytes"
    );
    std::fs::write(&own, b"{ }\xff").expect("a file");
    assert!(load(project.path()).is_err(), "not UTF-8");
}

#[test]
fn keys_are_set_once() {
    check_refused(&[
        (
            "{ layers.budget = 1; layers.budget = 2; }",
            "1:29: layers.budget is already set in line 1",
        ),
        (
            "{\n  inputs = { };\n  layers = { budget = 1; };\n  layers.budget = 2;\n}",
            "4:10: layers.budget is already set in line 3",
        ),
        (
            "{ description = \"a\"; description.x = 1; }",
            "1:22: description is already set in line 1",
        ),
        (
            "{ layers.budget = 1; layers = { budget = 2; }; }",
            "1:33: layers.budget is already set in line 1",
        ),
        (
            "{ inputs = { pypi = { }; pypi = 1; }; }",
            "1:26: pypi is already set in line 1",
        ),
    ]);
}

#[test]
fn all_1_nesting_is_bounded() {
    let chains = [
        ("[", "]"),
        ("(", ")"),
        ("{ a = ", "; }"),
        ("\"${", "}\""),
        ("x: ", ""),
        ("let a = 1; in ", ""),
        ("with a; ", ""),
        ("assert a; ", ""),
        ("if a then ", " else 1"),
        ("if a then 1 else ", ""),
        ("-", ""),
        ("!", ""),
        ("f ", ""),
        ("\"a\" ", ""),
        ("[] ", ""),
        ("{ } ", ""),
        ("1 + ", ""),
        ("a ++ ", ""),
        ("a // ", ""),
        ("a -> ", ""),
        ("or ", ""),
        ("{ a }: ", ""),
        ("let { body = ", "; }"),
        ("a ? b || ", ""),
        ("with ", "; 1"),
        ("({ a = [ ", " ]; })"),
    ];
    let nested = |open: &str, close: &str, count: usize| {
        format!(
            "{{ outputs = {}1{}; }}",
            open.repeat(count),
            close.repeat(count)
        )
    };
    for (open, close) in chains {
        let message = refused(&nested(open, close, 40_000));
        assert!(
            message.ends_with("nested deeper than 100 levels"),
            "{open}: {message}"
        );
        // The deepest that passes must fit a stack far smaller than a thread's.
        let counts: Vec<usize> = (1..=1000).collect();
        let passing = counts
            .partition_point(|count| nesting::too_deep(&nested(open, close, *count)).is_none());
        let text = nested(open, close, passing);
        let small = std::thread::Builder::new().stack_size(1 << 20);
        small
            .spawn(move || drop(parse(&text, "spec")))
            .expect("a thread")
            .join()
            .expect("an answer");
    }
}

#[test]
fn wide_is_not_deep() {
    let wide = format!("{{ base.packages = [ {} ]; }}", "\"a\" ".repeat(50_000));
    assert_eq!(
        parse(&wide, "spec")
            .expect("valid")
            .base
            .packages
            .map(|list| list.len()),
        Some(50_000)
    );
    let elements = [
        format!("[ {} ]", "{ a = [ 1 (f 2) ]; } ".repeat(2_000)),
        format!(
            "{{ {} }}",
            (0..2_000)
                .map(|n| format!("a{n} = let b = with c; d; in if b then x: x else -1; "))
                .collect::<String>()
        ),
        format!(
            "{{ {} }}: 1",
            (0..2_000)
                .map(|n| format!("a{n} ? [ ], "))
                .collect::<String>()
                + "..."
        ),
    ];
    for element in elements {
        assert!(
            parse(&format!("{{ outputs = {element}; }}"), "spec").is_ok(),
            "{}",
            &element[..60]
        );
    }
    let large = format!("{{ }} # {}", "x".repeat(MAX_BYTES));
    assert!(refused(&large).ends_with("the file has more than 1048576 bytes"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// ALL-1: whatever the text is, there is an answer.
    #[test]
    fn all_1_any_text_is_answered(text in any::<String>()) {
        let _answer = parse(&text, "spec");
    }

    /// ALL-1: the same for texts made of what Nix is made of.
    #[test]
    fn all_1_any_nix_is_answered(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", "(", ")", "=", ";", ".", "\"", "''", "${", "let ", " in ", "rec ", "inherit ", ":", "@",
                ",", "?", "...", "inputs", "pypi", "type", " ", "\n", "1", "1.5", "-", "!", "++", "//", "x", "/a", "<a>",
                "if ", " then ", " else ", "with ", "assert ", "#", "/*", "*/", "or ", "true", "ä", "a://b", "\\", "$",
            ]),
            0..40,
        )
    ) {
        let _answer = parse(&words.concat(), "spec");
    }
}
