//! Recursion without end, however it hides, and recursion that is deep but ends.

use cognix_language::ErrorKind::{InfiniteRecursion, Limit};
use cognix_language::MemoryFiles;

use super::{all_fail, print};

#[test]
fn calls_without_end_reach_the_limit() {
    let texts = [
        "let f = x: f x; in f 1",
        "let f = x: g x; g = x: f x; in f 1",
        "let f = n: 1 + f (n + 1); in f 0",
        "let f = n: [ 1 ] ++ f n; in f 0",
        "let f = n: { a = 1; } // f n; in f 0",
        "let f = n: if f n then 1 else 2; in f 0",
        "let f = n: assert f n; 1; in f 0",
        "let f = n: with f n; x; in f 0",
        "let f = n: \"${f n}\"; in f 0",
        "let f = n: (f n).x; in f 0",
        "let f = n: (f n).x or 1; in f 0",
        "let f = n: f n ? x; in f 0",
        "let f = n: -(f n); in f 0",
        "let f = n: f n == 1; in f 0",
        "let f = n: f n < 1; in f 0",
        "let f = n: f n -> true; in f 0",
        "let f = { x ? f { } }: x; in f { }",
        "let f = x: builtins.seq (f x) 1; in f 0",
        "let f = x: builtins.head (f x); in f 0",
        "let f = x: builtins.foldl' (a: b: f b) 0 [ 1 ]; in f 0",
        "let f = x: builtins.head (map f [ x ]); in f 0",
        "let f = x: builtins.filter f [ x ]; in f 0",
        "let f = x: builtins.any f [ x ]; in f 0",
        "let f = a: b: builtins.sort f [ a b ]; in f 1 2",
        "let f = x: builtins.genericClosure { startSet = [ { key = 1; } ]; operator = f; }; in f 0",
        "let f = x: builtins.mapAttrs (n: v: f x) { a = 1; }; in f 0",
        "let f = x: builtins.tryEval (f x); in f 0",
        "let f = x: builtins.addErrorContext \"again\" (f x); in f 0",
        "let s = { __functor = self: self; }; in s 1",
        "let s = { __functor = self: x: self x; }; in s 1",
        "(x: x x) (x: x x)",
        "let fix = f: f (fix f); in fix (self: self + 1)",
        "builtins.scopedImport { } (builtins.toFile \"x\" \"1\") + (let f = x: f x; in f 1)",
    ];
    all_fail(&MemoryFiles::new(), &texts, &[Limit, InfiniteRecursion]);
}

#[test]
fn values_that_need_themselves_are_noticed() {
    let texts = [
        "let x = x; in x",
        "let x = y; y = x; in x",
        "rec { a = a; }.a",
        "let a = { b = a.b; }; in a.b",
        "let l = [ (builtins.head l) ]; in builtins.head l",
        "let l = [ 1 ] ++ l; in l",
        "let s = { a = 1; } // s; in s",
        "let x = \"a${x}\"; in x",
        "let x = if x then 1 else 2; in x",
        "let x = builtins.length x; in x",
        "let x = with x; 1 + y; in x",
        "let s = builtins.mapAttrs (n: v: s.a) { a = 1; }; in s.a",
        "let s = builtins.listToAttrs [ { name = \"a\"; value = s.a; } ]; in s.a",
        "let d = derivation { name = \"d\"; system = \"s\"; builder = d; }; in d",
        "let x = builtins.toJSON [ x ]; in x",
        "let x = assert x == 1; 1; in x",
        "({ a ? b, b ? a }: a) { }",
        "let x = builtins.foldl' (a: b: x) 0 [ 1 ]; in x",
        "let x = rec { inherit (x) a; }; in x.a",
    ];
    all_fail(&MemoryFiles::new(), &texts, &[InfiniteRecursion]);
}

#[test]
fn texts_of_values_without_end_reach_the_limit() {
    let texts = [
        "toString { __toString = self: self; }",
        "let x = { outPath = x; }; in \"${x}\"",
        "let x = [ x ]; in toString x",
        "let x = [ x ]; in builtins.toJSON x",
        "let x = { a = x; }; in builtins.toXML x",
        "let f = n: [ (f (n + 1)) ]; in f 0",
        "let f = n: { x = f (n + 1); }; in f 0",
        "let f = n: { x = f (n + 1); }; in builtins.deepSeq (f 0) 1",
        "let f = n: { x = f (n + 1); }; in builtins.toJSON (f 0)",
        "let f = n: { x = f (n + 1); }; in f 0 == f 0",
        "let f = n: [ (f n) ]; in f 0 < f 0",
        "let f = n: [ (f n) ]; in toString (f 0)",
        "let f = n: { x = f (n + 1); }; in builtins.toXML (f 0)",
        "let f = n: { __toString = self: f (n + 1); }; in \"${f 0}\"",
        "let f = n: derivation { name = \"n${toString n}\"; system = \"s\"; builder = f (n + 1); }; in f 0",
        "let f = n: throw (f n); in f 0",
        "let f = n: { type = \"derivation\"; outPath = f n; }; in f 0 == f 0",
    ];
    all_fail(&MemoryFiles::new(), &texts, &[Limit, InfiniteRecursion]);
}

#[test]
fn files_that_import_each_other_without_end_reach_the_limit() {
    let files = MemoryFiles::new()
        .with_file("a.nix", "import ./b.nix")
        .with_file("b.nix", "import ./a.nix")
        .with_file("self.nix", "import ./self.nix")
        .with_file("call.nix", "x: import ./call.nix x")
        .with_file("scoped.nix", "builtins.scopedImport { } ./scoped.nix")
        .with_file("read.nix", "builtins.readFile \"${import ./read.nix}\"");
    let texts = [
        "import ./a.nix",
        "import ./self.nix",
        "import ./call.nix 1",
        "builtins.scopedImport { } ./scoped.nix",
        "import ./read.nix",
    ];
    all_fail(&files, &texts, &[Limit, InfiniteRecursion]);
}

#[test]
fn deep_recursion_that_ends_has_a_value_or_reaches_the_limit() {
    let files = MemoryFiles::new();
    let small = print(
        &files,
        "let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 3000",
    );
    assert_eq!(small.as_deref(), Ok("3000"));
    let texts = [
        // A chain of values that wait for each other, made without recursion.
        "builtins.head (builtins.foldl' (a: i: [ (builtins.head a + 1) ]) [ 0 ] (builtins.genList (i: i) 300000))",
        "let l = builtins.genList (i: if i == 0 then 0 else 1 + builtins.elemAt l (i - 1)) 300000; in builtins.elemAt l 299999",
        "(builtins.foldl' (f: i: x: f (x + 1)) (x: x) (builtins.genList (i: i) 300000)) 0",
        "(builtins.foldl' (a: i: { v = a.v + 1; }) { v = 0; } (builtins.genList (i: i) 300000)).v",
        "builtins.toJSON (builtins.foldl' (a: i: [ a ]) [ ] (builtins.genList (i: i) 300000)) != \"\"",
        "builtins.foldl' (a: i: [ a ]) [ ] (builtins.genList (i: i) 300000)",
        "let deep = _: builtins.foldl' (a: i: [ a ]) [ ] (builtins.genList (i: i) 300000); in deep 0 == deep 1",
        "let deep = _: builtins.foldl' (a: i: { x = a; }) { } (builtins.genList (i: i) 300000); in builtins.deepSeq (deep 0) 1",
        "toString (builtins.foldl' (a: i: [ a ]) [ ] (builtins.genList (i: i) 300000))",
        "builtins.toXML (builtins.foldl' (a: i: [ a ]) [ ] (builtins.genList (i: i) 300000)) != \"\"",
        "builtins.stringLength \"${builtins.foldl' (a: i: { outPath = a; }) \"x\" (builtins.genList (i: i) 300000)}\"",
        "let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 1000000",
        "let even = n: n == 0 || odd (n - 1); odd = n: n != 0 && even (n - 1); in even 1000000",
    ];
    for text in texts {
        if let Err(error) = print(&files, text) {
            assert_eq!(error.kind(), Limit, "{text}: {error}");
        }
    }
}
