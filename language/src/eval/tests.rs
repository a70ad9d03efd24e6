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
