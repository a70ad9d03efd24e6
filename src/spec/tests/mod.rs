//! What specs say, and what they may not say.

use proptest::prelude::*;

use super::*;

mod outputs;

/// The first line of the message about a spec that cannot be used, without the file's name.
fn refused(text: &str) -> String {
    let message = parse(text, "spec").expect_err(text).to_string();
    let line = message.lines().next().unwrap_or_default();
    line.strip_prefix("spec:").unwrap_or(line).to_owned()
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
        assert!(message.starts_with(['1', '2', '3']), "{message}");
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
        "cognix.nix:2:3: inputs.own.type is not set"
    );
    assert_eq!(
        message("{ inputs.own = { type = \"debian\"; suites = [ ]; }; }"),
        "cognix.nix:1:3: inputs.own.components is not set"
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
fn settings_may_be_computed() {
    let text = r#"let
        mirror = path: "https://mirror.example/${path}";
        two = rec { tier = "shell"; packages = [ "a" ] ++ other; other = [ "b" ]; };
    in {
        inputs.pypi = { type = "pypi"; url = mirror "simple"; };
        layers.budget = 50 + 50;
        base = { inherit (two) tier packages; recommends = null; };
        ${"platforms"} = map (machine: "linux/${machine}") [ "amd64" ];
    }"#;
    let spec = parse(text, "spec").expect("valid");
    assert_eq!(
        spec.inputs["pypi"].url.as_deref(),
        Some("https://mirror.example/simple")
    );
    assert_eq!(spec.layers.budget, Some(100));
    assert_eq!(
        spec.base.packages,
        Some(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(spec.base.recommends, None, "null is as if it was not there");
    assert_eq!(spec.platforms, Some(vec![Architecture::Amd64]));
}

#[test]
fn mistakes_have_places() {
    check_refused(&[
        ("", "1:1: syntax error: unexpected end of file"),
        ("{ a = 1 }", "1:8: syntax error: a ';' is missing here"),
        (
            "{\n  description = \"x\";\n",
            "1:1: syntax error: this '{' is never closed",
        ),
        (
            "{ } { }",
            "1:1: attempt to call something which is not a function but a set: { }",
        ),
        (
            "x: { }",
            "cognix.nix: the spec must be a set, found a function",
        ),
        ("[ ]", "cognix.nix: the spec must be a set, found a list"),
        (
            "{ input = { }; }",
            "1:3: unknown key input (did you mean inputs?), expected one of: base, bytecode, description, inputs, layers, outputs, platforms, run, wheels",
        ),
        (
            "{ inputs.pypi.uri = \"x\"; }",
            "1:3: unknown key inputs.pypi.uri (did you mean url?), expected one of: archives, components, digest, follows, keys, packages, path, reference, releases, sha256, suites, type, url",
        ),
        (
            "{ layers.recipes.tree = 1; }",
            "1:3: layers.recipes.tree must be a string, found an integer",
        ),
        (
            "{ layers.recipe = { }; }",
            "1:3: unknown key layers.recipe (did you mean recipes?), expected one of: budget, conflicts, grouping, recipes",
        ),
        (
            "{ base.tier = \"tiny\"; }",
            "1:3: base.tier must be \"minimal\", \"shell\" or \"essential\", found \"tiny\"",
        ),
        (
            "{ base.packages = \"git\"; }",
            "1:3: base.packages must be a list of strings, found a string",
        ),
        (
            "{ base.packages = [ 1 ]; }",
            "1:3: base.packages must be a list of strings, found an integer",
        ),
        (
            "{ inputs.pypi = \"pypi\"; }",
            "1:3: inputs.pypi must be a set, found a string",
        ),
        (
            "{ inputs.pypi.type = \"conda\"; }",
            "1:3: inputs.pypi.type must be \"pypi\", \"debian\", \"index\", \"url\", \"path\" or \"oci\", found \"conda\"",
        ),
        (
            "{ inputs.\"a/b\".type = \"pypi\"; }",
            "1:10: invalid input name \"a/b\": use lower-case letters, digits and single dashes",
        ),
        (
            "{ layers.budget = 0; }",
            "1:3: layers.budget must be from 1 to 126, found 0",
        ),
        (
            "{ layers.budget = 127; }",
            "1:3: layers.budget must be from 1 to 126, found 127",
        ),
        (
            "{ inputs.pypi.url = \"mirror\"; }",
            "1:3: inputs.pypi.url must be an http, https or file URL, found \"mirror\"",
        ),
        (
            "{ inputs.pypi.url = \"ftp://x.example\"; }",
            "1:3: inputs.pypi.url must be an http, https or file URL, found \"ftp://x.example\"",
        ),
        (
            "{ inputs.pypi.url = \"https://me:secret@x.example\"; }",
            "1:3: inputs.pypi.url holds credentials; keep them in netrc",
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
            &format!("1:3: {outside} /archive.gpg"),
        ),
        (&keys("./a/../../b"), &format!("1:3: {outside} /b")),
        (
            &keys("\"a.gpg\""),
            "1:3: inputs.debian.keys must be a path, found a string",
        ),
        (
            "{ inputs.pypi.url = ./wheels; }",
            "1:3: inputs.pypi.url must be a string, found a path",
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
    std::fs::write(&own, "{\n  layers.budget = [ ];\n}").expect("a spec");
    let message = load(project.path()).expect_err("a list").to_string();
    assert!(
        message.starts_with("cognix.nix:2:3: layers.budget must be a number, found a list"),
        "{message}"
    );
    std::fs::write(&own, b"{ }\xff").expect("a file");
    assert!(load(project.path()).is_err(), "not UTF-8");
}

#[test]
fn keys_are_set_once() {
    check_refused(&[
        (
            "{ layers.budget = 1; layers.budget = 2; }",
            "1:22: attribute 'layers.budget' already defined",
        ),
        (
            "{\n  inputs = { };\n  layers = { budget = 1; };\n  layers.budget = 2;\n}",
            "4:3: attribute 'layers.budget' already defined",
        ),
        (
            "{ description = \"a\"; description.x = 1; }",
            "1:22: attribute 'description' already defined",
        ),
    ]);
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
        format!("f: [ {} ]", "{ a = [ 1 (f 2) ]; } ".repeat(2_000)),
        format!(
            "c: d: {{ {} }}",
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
