use crate::{ErrorKind, MemoryFiles, Options, evaluate};

fn value(text: &str) -> String {
    let files = MemoryFiles::new()
        .with_file("a.nix", "{ x = 1; y = ./b; }")
        .with_file("b", "text")
        .with_link("link", "b")
        .with_link("out", "../secret");
    evaluate(&files, &Options::default(), |evaluator| {
        let value = evaluator.expression(text, "test.nix")?;
        evaluator.print(value)
    })
    .unwrap_or_else(|error| error.to_string())
}

fn check(text: &str, expected: &str) {
    assert_eq!(value(text), expected, "{text}");
}

#[test]
fn expressions() {
    check("1 + 2 * 3 - 4 / 2", "5");
    check("let f = x: y: x + y; in f 1 2", "3");
    check(
        "{ a.b = 1; a.c = 2; a = { d = 3; }; }",
        "{ a = { b = 1; c = 2; d = 3; }; }",
    );
    check("rec { a = b; b = 1; }.a", "1");
    check("let x = { a = 1; }; in { inherit (x) a; }", "{ a = 1; }");
    check("with { a = 1; }; with { b = 2; }; [ a b ]", "[ 1 2 ]");
    check(
        "({ a, b ? a + 1, ... }@whole: [ a b whole.c ]) { a = 1; c = 3; }",
        "[ 1 2 3 ]",
    );
    check("\"a${\"b\"}c\"", "\"abc\"");
    check("''\n  a\n    b ${\"c\"}\n  ''", "\"a\\n  b c\\n\"");
    check("if 1 < 2 then \"yes\" else 1", "\"yes\"");
    check("({ a = 1; } // { b = 2; }) ? b", "true");
    check("[ 1 ] ++ [ 2 ] == [ 1 2 ]", "true");
    check("rec { a = 1; __overrides = { a = 2; }; b = a; }.b", "2");
    check("(import ./a.nix).y", "/project/b");
    check("let x = { __functor = self: y: y + 1; }; in x 1", "2");
    check("{ a = 1; }.b or 2", "2");
}

#[test]
fn derivations() {
    check(
        "(derivation { name = \"x\"; builder = \"/b\"; system = \"s\"; src = ./b; }).drvPath",
        "\"/nix/store/ihwgf63k8z6p35rc378ldcjagxqln37g-x.drv\"",
    );
}

#[test]
fn mistakes_have_places() {
    let text = value("let\n  f = x: x + \"a\";\nin { y = f 1; }");
    assert!(text.starts_with("test.nix:2:12: "), "{text}");
    assert!(text.contains("while calling 'f'"), "{text}");
    assert!(value("let x = x; in x").contains("infinite recursion"));
    assert!(value("let f = x: f x; in f 1").contains("10000 function calls"));
    assert!(value("import ./out").contains("outside of the project"));
    assert!(value("import /etc/passwd").contains("forbidden"));
    assert!(value("lst: lsst").contains("undefined variable"));
}

#[test]
fn kinds_of_mistakes() {
    let kind = |text: &str| {
        let files = MemoryFiles::new();
        evaluate(&files, &Options::default(), |evaluator| {
            evaluator.expression(text, "test.nix").map(drop)
        })
        .map_err(|error| error.kind())
    };
    assert_eq!(kind("1 +"), Err(ErrorKind::Syntax));
    assert_eq!(kind("assert 1 == 2; 3"), Err(ErrorKind::Assertion));
    assert_eq!(kind("builtins.currentTime"), Err(ErrorKind::Forbidden));
    assert_eq!(kind("<nixpkgs>"), Err(ErrorKind::Forbidden));
}

/// What is evaluated and what is not when only the value itself was asked for, as a real Nix prints it.
#[test]
fn what_nobody_asked_for_is_code() {
    let check = |text: &str, expected: &str| {
        let options = Options {
            shown_root: Some("/home/model".to_owned()),
            ..Options::default()
        };
        let files = MemoryFiles::new().with_file("b", "");
        let printed = evaluate(&files, &options, |evaluator| {
            Ok(evaluator.print_lazily(evaluator.expression(text, "test.nix")?))
        });
        assert_eq!(printed.as_deref(), Ok(expected), "{text}");
    };
    check("[ 1 (1 + 1) ]", "[ 1 <CODE> ]");
    check("[ [ ] { } \"\" null ]", "[ [ ] <CODE> \"\" null ]");
    check(
        "[ (a: a) map (map (a: a)) ./b ]",
        "[ <CODE> <PRIMOP> <CODE> /home/model/b ]",
    );
    check("[ ./. ../. /etc ]", "[ /home/model / /etc ]");
    check("toString ./b", "\"/project/b\"");
    check(
        "rec { a = 1; b = a; c = { inherit a; }; d = c; }",
        "{ a = 1; b = 1; c = <CODE>; d = <CODE>; }",
    );
    check("let x = 1; y = x; in [ x y ]", "[ 1 1 ]");
    check("{ f = x: x; }", "{ f = <CODE>; }");
    check(
        "derivation { name = \"a\"; builder = \"b\"; system = \"c\"; outputs = [ \"out\" \"dev\" ]; }",
        "{ all = <CODE>; builder = \"b\"; dev = <CODE>; drvAttrs = { builder = \"b\"; name = \"a\"; \
         outputs = [ \"out\" \"dev\" ]; system = \"c\"; }; drvPath = <CODE>; name = \"a\"; out = «repeated»; \
         outPath = <CODE>; outputName = \"out\"; outputs = «repeated»; system = \"c\"; type = \"derivation\"; }",
    );
}
