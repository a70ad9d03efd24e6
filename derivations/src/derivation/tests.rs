use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::digest::Sha256;

fn minimal() -> DerivationBuilder {
    Derivation::builder("x")
        .system("builtin")
        .builder("builtin:cognix-test-1")
}

fn parse(aterm: &str) -> Result<Derivation, DerivationError> {
    Derivation::parse("x", aterm.as_bytes())
}

/// DRV-1: spellings that a lenient reader takes for the same derivation.
#[test]
fn drv_1_other_spellings_are_refused() {
    let canonical = r#"Derive([("dev","","r:sha256",""),("out","","r:sha256","")],[("/nix/store/8lfhm01afw5sywci3vw8c1lx8rvkd0fm-a.drv",["dev","out"])],["/nix/store/8lfhm01afw5sywci3vw8c1lx8rvkd0fm-s"],"s","b",["\\"],[("a","1"),("b","\n\r\t\"")])"#;
    assert!(parse(canonical).is_ok());
    for (from, to) in [
        (
            r#"("dev","","r:sha256",""),("out","","r:sha256","")"#,
            r#"("out","","r:sha256",""),("dev","","r:sha256","")"#,
        ),
        (
            r#"("dev","","r:sha256",""),"#,
            r#"("dev","","r:sha256",""),("dev","","r:sha256",""),"#,
        ),
        (r#"["dev","out"]"#, r#"["out","dev"]"#),
        (r#"["dev","out"]"#, r#"["dev","dev","out"]"#),
        (r#"("a","1"),("b""#, r#"("b","1"),("a""#),
        (r#"("a","1"),"#, r#"("a","1"),("a","1"),"#),
        (r"\n\r", "\n\\r"),
        (r"\n\r", r"\n\a\r"),
        (
            r#"["/nix/store/8lfhm01afw5sywci3vw8c1lx8rvkd0fm-s"]"#,
            r#"["/nix/store/8lfhm01afw5sywci3vw8c1lx8rvkd0fm-s","/nix/store/8lfhm01afw5sywci3vw8c1lx8rvkd0fm-s"]"#,
        ),
    ] {
        let changed = canonical.replace(from, to);
        assert_ne!(changed, canonical);
        let error = parse(&changed).unwrap_err();
        assert!(
            matches!(error, DerivationError::NotCanonical { .. }),
            "{error}"
        );
    }
    for broken in [
        format!("{canonical}\n"),
        canonical.replace("Derive(", "derive("),
        canonical.replace("],\"s\"", "], \"s\""),
        canonical.replace("a.drv", "a/drv"),
        canonical.replace("r:sha256", "r:sha3"),
    ] {
        assert!(
            matches!(parse(&broken), Err(DerivationError::Malformed { .. })),
            "{broken}"
        );
    }
}

/// DRV-1: the limit, before anything is parsed.
#[test]
fn drv_1_limit() {
    let huge = vec![b'['; MAX_ATERM_BYTES + 1];
    assert!(matches!(
        Derivation::parse("x", &huge),
        Err(DerivationError::TooLarge { .. })
    ));
}

#[test]
fn all_1_values_are_bytes() {
    let derivation = minimal()
        .env("bytes", [0u8, 0xff, b'"', b'\\', b'\n', 0x80])
        .floating_output("out")
        .build()
        .unwrap();
    assert_eq!(
        Derivation::parse("x", &derivation.to_aterm()).unwrap(),
        derivation
    );
    assert_eq!(derivation.env_str("bytes"), None);
}

#[test]
fn drv_3_parts_that_make_no_derivation() {
    let fixed = || ContentAddress::Flat(Sha256::of(b"").into());
    let drv = StorePath::from_base_name("8lfhm01afw5sywci3vw8c1lx8rvkd0fm-a.drv").unwrap();
    let other = StorePath::from_base_name("8lfhm01afw5sywci3vw8c1lx8rvkd0fm-a").unwrap();
    for (builder, reason) in [
        (minimal(), "no output"),
        (minimal().floating_output("drv"), "cannot be called drv"),
        (minimal().floating_output("a/b"), "is invalid"),
        (
            minimal().floating_output("out").system(""),
            "system is empty",
        ),
        (
            minimal().floating_output("out").builder(""),
            "builder is empty",
        ),
        (minimal().floating_output("out").env("", ""), "empty name"),
        (
            minimal()
                .floating_output("out")
                .input_derivation(&other, "out"),
            "is no .drv file",
        ),
        (
            minimal()
                .floating_output("out")
                .input_derivation(&drv, "drv"),
            "cannot be called drv",
        ),
        (
            minimal().floating_output("dev").fixed_output(fixed()),
            "different kinds",
        ),
        (
            minimal()
                .input_addressed_output("dev")
                .floating_output("out"),
            "different kinds",
        ),
        (
            Derivation::builder(".")
                .system("s")
                .builder("b")
                .floating_output("out"),
            "is invalid",
        ),
        (
            Derivation::builder("a b")
                .system("s")
                .builder("b")
                .fixed_output(fixed()),
            "is invalid",
        ),
        (
            Derivation::builder(&"x".repeat(208))
                .system("s")
                .builder("b")
                .floating_output("out"),
            "is invalid",
        ),
        (
            minimal()
                .input_addressed_output("out")
                .input_derivation(&drv, "out"),
            "needs their graph",
        ),
        (
            minimal().floating_output("out").system(r"a\b"),
            "its system has a quote or a backslash",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn placeholders_are_replaced_once_and_whole() {
    let input = StorePath::from_base_name("8lfhm01afw5sywci3vw8c1lx8rvkd0fm-a.drv").unwrap();
    let made = StorePath::from_base_name("8lfhm01afw5sywci3vw8c1lx8rvkd0fm-a").unwrap();
    let stand_in = downstream_placeholder(&input, "out");
    let derivation = minimal()
        .builder(&format!("{stand_in}/bin/x"))
        .arg(format!("--a={stand_in}:{stand_in}"))
        .env("/", format!("//{stand_in}{}", &stand_in[..52]))
        .env(&stand_in, "key")
        .input_derivation(&input, "out")
        .floating_output("out")
        .build()
        .unwrap();
    let realised = BTreeMap::from([((input, "out".to_owned()), made.clone())]);
    let resolved = derivation.resolve(&realised).unwrap();
    assert_eq!(resolved.builder_name(), format!("{made}/bin/x"));
    assert_eq!(resolved.args(), [format!("--a={made}:{made}")]);
    assert_eq!(
        resolved.env_str("/"),
        Some(&*format!("//{made}{}", &stand_in[..52]))
    );
    assert_eq!(resolved.env_str(&made.to_string()), Some("key"));
    assert_eq!(resolved.env_str("out"), derivation.env_str("out"));
    assert_eq!(resolved.input_sources(), &BTreeSet::from([made]));
    assert_eq!(resolved.resolve(&BTreeMap::new()).unwrap(), resolved);
}

fn store_path(suffix: &'static str) -> impl Strategy<Value = StorePath> {
    ("[0-9a-df-np-sv-z]{32}", "[a-z][a-z0-9.]{0,8}").prop_map(move |(hash, name)| {
        StorePath::from_base_name(&format!("{hash}-{name}{suffix}")).unwrap()
    })
}

fn any_derivation() -> impl Strategy<Value = Derivation> {
    let outputs = btree_set(
        "[a-z]{1,5}".prop_filter("reserved", |name| name != "drv"),
        1..4,
    );
    let inputs = btree_map(store_path(".drv"), btree_set("[a-z]{4,6}", 1..3), 0..4);
    let env = btree_map("[ -~\n\t]{1,12}", vec(any::<u8>(), 0..40), 0..6);
    (
        "[a-z][a-z0-9-]{0,20}",
        outputs,
        inputs,
        btree_set(store_path(""), 0..4),
        r"[ !#-\[\]-~\n\t]{1,10}",
        "\\PC{1,10}",
        vec("\\PC{0,10}", 0..4),
        env,
    )
        .prop_map(
            |(name, outputs, inputs, sources, system, builder, args, env)| {
                let mut derivation = Derivation::builder(&name).system(&system).builder(&builder);
                for output in &outputs {
                    derivation = derivation.floating_output(output);
                }
                for (path, outputs) in &inputs {
                    for output in outputs {
                        derivation = derivation.input_derivation(path, output);
                    }
                }
                for source in &sources {
                    derivation = derivation.input_source(source);
                }
                for arg in args {
                    derivation = derivation.arg(arg);
                }
                for (key, value) in env {
                    derivation = derivation.env(&key, value);
                }
                derivation.build().unwrap()
            },
        )
}

proptest! {
    #[test]
    fn drv_1_parsing_what_was_written_is_identity(derivation in any_derivation()) {
        let aterm = derivation.to_aterm();
        let parsed = Derivation::parse(derivation.name(), &aterm).unwrap();
        prop_assert_eq!(&parsed, &derivation);
        prop_assert_eq!(parsed.to_aterm(), aterm);
        prop_assert!(derivation.to_json().is_object());
    }

    /// Two writers, one text, and one path of it.
    #[test]
    fn drv_1_the_text_is_that_of_upstream(derivation in any_derivation()) {
        let aterm = derivation.to_aterm();
        let read = nix_derivation::Derivation::from_aterm_bytes(&aterm, derivation.name()).unwrap();
        prop_assert_eq!(read.to_aterm_bytes(), aterm);
        let path = read.drv_path().unwrap();
        prop_assert_eq!(derivation.as_path().as_base_name(), path.to_basename());
    }

    #[test]
    fn all_1_no_text_panics(bytes: Vec<u8>) {
        prop_assert!(Derivation::parse("x", &bytes).is_err());
    }
}

/// What a builder of Nix 2.26 sees as `$out` and `$dev` of this derivation.
#[test]
fn floating_outputs_are_made_where_nix_makes_them() {
    let derivation = Derivation::builder("x")
        .system("x86_64-linux")
        .builder("/bin/sh")
        .arg("-c")
        .arg("echo $out $dev >&2; echo > $out; echo > $dev")
        .floating_output("out")
        .floating_output("dev")
        .build()
        .unwrap();
    assert_eq!(
        derivation.path().to_string(),
        "/nix/store/742jwqi23abxqpifsg9m39ajy8snmzyv-x.drv"
    );
    for (output, path) in [
        ("out", Some("/nix/store/ja7scc8wk4q7s4bq316qkjq2l6d4569y-x")),
        (
            "dev",
            Some("/nix/store/p449bibf5w7bnbqxl1n3rm4n784q41bl-x-dev"),
        ),
        ("doc", None),
    ] {
        let scratch = derivation.scratch_path(output);
        assert_eq!(scratch.map(|path| path.to_string()).as_deref(), path);
    }
}
