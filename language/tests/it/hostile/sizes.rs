//! Values that grow without end, and work without end.

use cognix_language::ErrorKind::{Limit, Value};
use cognix_language::{ErrorKind, MemoryFiles, evaluate};

use super::{all_fail, print};

#[test]
fn values_that_fill_the_memory_are_refused() {
    let texts = [
        "builtins.genList (x: x) 1000000000",
        "builtins.length (builtins.genList (x: x) 1000000000000)",
        "builtins.length (builtins.genList (x: x) 9223372036854775807)",
        "let double = n: s: if n == 0 then s else double (n - 1) (s + s); in builtins.stringLength (double 62 \"x\")",
        "let double = n: s: if n == 0 then s else double (n - 1) \"${s}${s}\"; in builtins.stringLength (double 62 \"x\")",
        "let double = n: l: if n == 0 then l else double (n - 1) (l ++ l); in builtins.length (double 62 [ 1 ])",
        "let double = n: l: if n == 0 then l else double (n - 1) (builtins.concatLists [ l l ]); in builtins.length (double 62 [ 1 ])",
        "let double = n: l: if n == 0 then l else double (n - 1) (builtins.concatMap (x: [ x x ]) l); in builtins.length (double 62 [ 1 ])",
        "let double = n: s: if n == 0 then s else double (n - 1) (builtins.concatStringsSep s [ s s ]); in builtins.stringLength (double 62 \"x\")",
        "let double = n: s: if n == 0 then s else double (n - 1) (builtins.replaceStrings [ \"x\" ] [ s ] s); in builtins.stringLength (double 62 \"xx\")",
        "let double = n: s: if n == 0 then s else double (n - 1) (builtins.toJSON s); in builtins.stringLength (double 62 \"\\\"\")",
        "let double = n: s: if n == 0 then s else double (n - 1) (toString [ s s ]); in builtins.stringLength (double 62 \"x\")",
        "let double = n: s: if n == 0 then s else double (n - 1) (builtins.fromJSON (\"\\\"\" + s + s + \"\\\"\")); in builtins.stringLength (double 62 \"x\")",
        "let grow = n: s: if n < 0 then s else grow (n + 1) (s // { ${toString n} = s; }); in grow 0 { }",
        "builtins.listToAttrs (builtins.genList (i: { name = toString i; value = i; }) 100000000)",
        "let f = n: [ n ] ++ f (n + 1); in f 0",
        "builtins.length (map (x: x) (builtins.genList (x: x) 500000000))",
    ];
    all_fail(
        &MemoryFiles::new(),
        &texts,
        &[Limit, ErrorKind::InfiniteRecursion, Value],
    );
}

/// What an evaluation keeps beside its values counts too.
#[test]
fn what_is_kept_for_a_store_is_memory() {
    let files =
        MemoryFiles::new().with_file("large.nix", format!("x: {}", " ".repeat(100_000) + "x"));
    let texts = [
        "f = i: (derivation { name = toString i; system = \"s\"; builder = \"b\"; inherit large; }).drvPath",
        "f = i: (derivation { name = toString i; system = \"s\"; builder = \"b\"; args = [ large ]; }).drvPath",
        "f = i: (derivation { name = toString i; system = \"s\"; builder = \"b\"; __structuredAttrs = true; inherit large; }).drvPath",
        "f = i: builtins.toFile (toString i) large",
        "f = i: builtins.scopedImport { inherit i; } ./large.nix",
        // All of them in one derivation.
        "f = i: (derivation (builtins.listToAttrs (map (i: { name = toString i; value = large; }) many) // { name = \"x\"; system = \"s\"; builder = \"b\"; })).drvPath",
        "f = i: (derivation { name = \"x\"; system = \"s\"; builder = \"b\"; args = map (i: large) many; }).drvPath",
    ];
    for text in texts {
        let text = format!(
            "let large = builtins.concatStringsSep \"\" (builtins.genList (i: \"0123456789\") 10000); \
             many = builtins.genList (i: i) 1000; {text}; \
             in builtins.foldl' (a: i: builtins.seq (f i) a) 0 many"
        );
        let mut options = super::tight();
        options.limits.memory = 8 << 20;
        let error = evaluate(&files, &options, |evaluator| {
            let value = evaluator.expression(&text, "hostile.nix")?;
            evaluator.print(value)
        });
        assert_eq!(error.map_err(|error| error.kind()), Err(Limit), "{text}");
    }
}

#[test]
fn closures_without_end_are_refused() {
    let texts = [
        "builtins.genericClosure { startSet = [ { key = 0; } ]; operator = x: [ { key = x.key + 1; } ]; }",
        "builtins.genericClosure { startSet = [ { key = \"\"; } ]; operator = x: [ { key = x.key + \"a\"; } { key = x.key + \"b\"; } ]; }",
        "builtins.genericClosure { startSet = [ { key = [ ]; } ]; operator = x: [ { key = x.key ++ [ 1 ]; } ]; }",
    ];
    all_fail(&MemoryFiles::new(), &texts, &[Limit]);
}

#[test]
fn work_without_end_is_refused() {
    // Small values that share their parts, and are large only for whoever walks through all of them.
    let shared = "let f = n: if n == 0 then 1 else let x = f (n - 1); in [ x x ]; in ";
    let texts = [
        format!("{shared} builtins.toJSON (f 60)"),
        format!("{shared} builtins.toXML (f 60)"),
        format!("{shared} toString (f 60)"),
        format!("{shared} f 60 == f 60"),
        format!("{shared} derivation {{ name = \"x\"; system = \"s\"; builder = \"b\"; a = f 60; }}"),
        "let f = n: if n == 0 then 0 else f (n - 1) + f (n - 1); in f 60".to_owned(),
        "let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in f 90".to_owned(),
        "builtins.foldl' (a: b: a + b) 0 (builtins.concatMap (x: builtins.genList (y: y) 100000) (builtins.genList (x: x) 100000))".to_owned(),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    all_fail(&MemoryFiles::new(), &texts, &[Limit]);
}

#[test]
fn patterns_that_could_be_tried_for_ever_end() {
    let texts = [
        "builtins.match \"(a*)*b\" text",
        "builtins.match \"(a|aa)+b\" text",
        "builtins.match \"(a+a+)+b\" text",
        "builtins.match \"(a|a|a)*b\" text",
        "builtins.match \"((a*)*)*b\" text",
        "builtins.match \"(.*)(.*)(.*)(.*)(.*)(.*)b\" text",
        "builtins.match \"(a?){60}a{60}\" text",
        "builtins.split \"(a*)*b\" text",
        "builtins.split \"(a|aa)+b\" text",
        "builtins.match \"(a{1,30}){1,30}b\" text",
    ];
    for text in texts {
        let text = format!(
            "let text = builtins.concatStringsSep \"\" (builtins.genList (i: \"a\") 3000); in {text}"
        );
        if let Err(error) = print(&MemoryFiles::new(), &text) {
            assert!([Value, Limit].contains(&error.kind()), "{text}: {error}");
        }
    }
}

#[test]
fn an_evaluation_can_be_stopped_from_outside() {
    use cognix_language::{Limits, Options};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    let options = Options {
        limits: Limits {
            cancelled: Some(Arc::new(AtomicBool::new(true))),
            ..Limits::default()
        },
        ..Options::default()
    };
    let error = evaluate(&MemoryFiles::new(), &options, |evaluator| {
        let text = "builtins.foldl' (a: b: a + b) 0 (builtins.genList (x: x) 10000000)";
        let value = evaluator.expression(text, "long.nix")?;
        evaluator.print(value)
    });
    assert_eq!(
        error.map_err(|error| error.kind()),
        Err(ErrorKind::Cancelled)
    );
}
