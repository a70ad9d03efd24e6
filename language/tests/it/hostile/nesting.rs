//! Ten megabytes of every way to nest.

use cognix_language::ErrorKind::{Limit, Syntax};
use cognix_language::{ErrorKind, MemoryFiles};

use super::{fails, print, shortened};

/// Without optimisation, a part of it takes as long; every bound lies below.
const SIZE: usize = if cfg!(debug_assertions) {
    256 << 10
} else {
    10 << 20
};

fn repeated(part: &str) -> String {
    part.repeat(SIZE / part.len())
}

#[test]
fn nesting_without_end_is_refused() {
    let openings = [
        "[",
        "[ ",
        "(",
        "( ",
        "{a=",
        "{ a = ",
        "rec{a=",
        "let a=",
        "let{a=",
        "\"${",
        "''${",
        "{${",
        "{\"${",
        "x: ",
        "{a}:",
        "{a?",
        "{...}@x:",
        "x@{a?",
        "if ",
        "if a then ",
        "if a then b else ",
        "with ",
        "with a;",
        "assert ",
        "assert a;",
        "let a=b;in ",
        "-",
        "- ",
        "!",
        "a.${",
        "a.b or ",
        "a.b or (",
        "a?${",
        "./${",
        "[(",
        "([",
        "{a=[(",
        "f(",
        "f {a=",
        "{inherit(",
        "{ inherit ({ inherit (",
        "\"${''${",
        "''${\"${",
        "a//(",
        "a.${b.",
        "/*",
        "/* ",
    ];
    let files = MemoryFiles::new();
    for opening in openings {
        let error = fails(&files, opening, &repeated(opening), &[Limit, Syntax]);
        assert!(
            error.message().len() < 20_000,
            "{opening}: {}",
            shortened(error.message())
        );
    }
    for closing in ["]", ")", "}", "\"", "*/", ";", "else ", "then ", "in "] {
        fails(
            &files,
            closing,
            &repeated(closing),
            &[Limit, Syntax, ErrorKind::Value],
        );
    }
}

#[test]
fn nesting_that_is_closed_again_is_refused_too() {
    let files = MemoryFiles::new();
    let pairs = [
        ("[", "", "]"),
        ("(", "1", ")"),
        ("{a=", "1", ";}"),
        ("\"${", "\"x\"", "}\""),
        ("''${", "\"x\"", "}''"),
        ("let a=", "1", ";in a"),
        ("if true then ", "1", " else 1"),
        ("(x: x)(", "1", ")"),
    ];
    for (opening, middle, closing) in pairs {
        let count = SIZE / (opening.len() + closing.len());
        let text = format!("{}{middle}{}", opening.repeat(count), closing.repeat(count));
        fails(&files, opening, &text, &[Limit]);
    }
}

#[test]
fn chains_of_operators_have_a_value_or_are_refused() {
    let files = MemoryFiles::new();
    let chains = [
        ("1", "+1"),
        ("1", "-1"),
        ("1", "*1"),
        ("1", "/ 1"),
        ("\"a\"", "+\"\""),
        ("[]", "++[]"),
        ("{}", "//{}"),
        ("true", "&&true"),
        ("false", "||false"),
        ("true", "->true"),
        ("1", "==1"),
        ("1", "<1"),
        ("f", " f"),
        ("f", " 1"),
        ("a", ".a"),
        ("{}", ".a or {}"),
        ("{}", "?a"),
        ("{a", ".a"),
        ("{}?a", ".a"),
        ("[", "1 "),
        ("[", "[]"),
        ("{", "a=1;"),
        ("{inherit", " a"),
        ("let ", "a=1;"),
        ("{", "a,"),
        ("\"", "${\"\"}"),
        ("./a", "/a"),
        ("1", " |> f"),
        ("f", " <| f"),
        ("1", " # comment\n"),
        ("1", " /* comment */"),
        ("", " "),
        ("", "\n"),
        ("\"", "a"),
        ("''", "a"),
        ("''\n", " \n"),
        ("''", "\n  ${\"\"}"),
        ("", "1"),
        ("a", "a"),
        ("1.", "1"),
        ("a:", "a"),
        ("<", "a"),
    ];
    for (start, part) in chains {
        let text = format!("{start}{}", repeated(part));
        if let Err(error) = print(&files, &text) {
            let kinds = [
                Limit,
                Syntax,
                ErrorKind::Value,
                ErrorKind::File,
                ErrorKind::InfiniteRecursion,
            ];
            assert!(
                kinds.contains(&error.kind()),
                "{start}{part}: {:?}",
                error.kind()
            );
            assert!(
                error.message().len() < 20_000,
                "{start}{part}: {}",
                shortened(error.message())
            );
        }
    }
}

#[test]
fn nesting_in_the_data_that_builtins_read_is_refused() {
    let files = MemoryFiles::new();
    let texts = [
        "builtins.fromJSON (builtins.concatStringsSep \"\" (builtins.genList (i: \"[\") 1000000))",
        "builtins.fromJSON (builtins.concatStringsSep \"\" (builtins.genList (i: \"{\\\"a\\\":\") 1000000))",
        "builtins.fromTOML (\"a = \" + builtins.concatStringsSep \"\" (builtins.genList (i: \"[\") 1000000))",
        "builtins.fromTOML (\"a = \" + builtins.concatStringsSep \"\" (builtins.genList (i: \"{a=\") 1000000))",
        "builtins.fromTOML (\"[a\" + builtins.concatStringsSep \"\" (builtins.genList (i: \".a\") 1000000) + \"]\")",
        "builtins.match (builtins.concatStringsSep \"\" (builtins.genList (i: \"(\") 1000000)) \"a\"",
        "builtins.match (builtins.concatStringsSep \"\" (builtins.genList (i: \"(a\") 100000 ++ builtins.genList (i: \")\") 100000)) \"a\"",
        "builtins.match (builtins.concatStringsSep \"\" (builtins.genList (i: \"a|\") 1000000)) \"b\"",
        "builtins.match (\"a\" + builtins.concatStringsSep \"\" (builtins.genList (i: \"*\") 1000000)) \"b\"",
        "builtins.match \"((((a{1,1000}){1,1000}){1,1000}){1,1000})\" \"a\"",
        "builtins.match \"a{1,100000}\" \"a\"",
    ];
    for text in texts {
        if let Err(error) = print(&files, text) {
            assert!(
                [ErrorKind::Value, Limit].contains(&error.kind()),
                "{text}: {error}"
            );
            assert!(
                error.message().len() < 20_000,
                "{text}: {}",
                shortened(error.message())
            );
        }
    }
}
