//! The reference page of the language, made of the tables that it is made of.
//!
//! `docs/language.md` is this text; a test compares them. What a table cannot tell, the syntax and the bounds, is written
//! here.

use std::fmt::Write as _;

use crate::builtins::{Builtin, CONSTANTS, GLOBAL, TOPICS, forbidden};
use crate::{Limits, NIX_VERSION};

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = introduction();
    page += SYNTAX;
    page += &constants();
    for (topic, table) in TOPICS {
        page += &functions(topic, table);
    }
    page += &limits();
    page
}

fn introduction() -> String {
    format!(
        "# The language of `cognix.nix`\n\n\
         <!-- Made by `COGNIX_BLESS=1 cargo test -p cognix-language reference`; edit `language/src/reference.rs`. -->\n\n\
         cognix evaluates the Nix language as Nix {NIX_VERSION} does: a value prints the same, and a derivation has the same \
         `.drv` path and bytes. `cognix eval` shows values, `cognix eval --help` how.\n\n\
         Other than in Nix, an expression sees nothing but its text and the files below the project's folder. There is no clock, \
         environment, network, search path or store to look at, so the same files mean the same everywhere. What is missing \
         says why when it is asked for. In values the project's folder is called `/project`, wherever it is; only what `cognix \
         eval` prints names the real place.\n\n"
    )
}

const SYNTAX: &str = "\
## Syntax

| Form | Meaning |
|---|---|
| `null` `true` `false` `42` `1.5` | literals |
| `\"text ${x}\"` | a string; `\\n` `\\t` `\\r` `\\\"` `\\\\` `\\${` are escapes |
| `''` … `''` | an indented string: the blanks that all lines begin with are dropped; `''$`, `'''` and `''\\n` are escapes |
| `./file` `../file` `/project/file` `./${x}/file` | a path below the project's folder; in a string it becomes the store path of what is there |
| `[ a b (f x) ]` | a list |
| `{ a = 1; b.c = 2; \"d e\" = 3; ${x} = 4; }` | a set of attributes |
| `rec { a = b; b = 1; }` | a set whose attributes see each other |
| `inherit a b;` `inherit (x) a b;` | in a set or `let`: attributes from variables, or from another set |
| `x.a.b` `x.a or y` `x ? a.b` | an attribute, the same with a default, whether it is there |
| `let a = 1; b = a; in x` | variables |
| `with x; y` | the attributes of `x` as variables in `y`, where nothing else has their names |
| `x: y` `{ a, b ? 1 }: y` `{ a, ... }@all: y` | functions |
| `f x y` | calls, each with one argument |
| `if x then y else z` `assert x; y` | conditions |
| `-x` `x + y` `x - y` `x * y` `x / y` | numbers; `+` joins strings and paths too |
| `x ++ y` `x // y` | lists joined; sets joined, the right one's attributes first |
| `x == y` `x != y` `x < y` `x <= y` `x > y` `x >= y` | comparisons |
| `!x` `x && y` `x \\|\\| y` `x -> y` | Booleans |
| `# …` `/* … */` | comments |

From the tightest to the loosest: `.`, calls, `-x`, `?`, `++`, `* /`, `+ -`, `!`, `//`, `< <= > >=`, `== !=`, `&&`, `||`, `->`.
What Nix keeps for experiments (`|>`, `<|`) is an error. A set with `__functor` can be called, one with `__toString` or
`outPath` stands in strings.

";

fn constants() -> String {
    let mut text = "## Values\n\n| Name | |\n|---|---|\n".to_owned();
    for constant in CONSTANTS {
        let _ = writeln!(
            text,
            "| `{}` | {} |",
            full_name(constant.name),
            cell(constant.doc)
        );
    }
    text += "| `builtins` | Everything on this page that is written after `builtins.`. |\n";
    for value in forbidden::VALUES {
        let _ = writeln!(
            text,
            "| `{}` | {} |",
            full_name(value.name),
            cell(value.doc)
        );
    }
    text + "\n"
}

fn functions(topic: &str, table: &[Builtin]) -> String {
    let mut table: Vec<&Builtin> = table.iter().collect();
    table.sort_by_key(|builtin| builtin.name);
    let mut text = format!("## {topic}\n\n| Function | |\n|---|---|\n");
    for builtin in table {
        let name = full_name(builtin.name);
        let parameters = builtin.parameters.join(" ");
        let _ = writeln!(text, "| `{name} {parameters}` | {} |", cell(builtin.doc));
    }
    text + "\n"
}

/// A name as it is written: those that are everywhere need no `builtins.`.
fn full_name(name: &str) -> String {
    match GLOBAL.contains(&name) {
        true => name.to_owned(),
        false => format!("builtins.{name}"),
    }
}

/// A text in a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn limits() -> String {
    let Limits {
        memory,
        call_depth,
        steps,
        file_size,
        cancelled: _,
    } = Limits::default();
    format!(
        "## Bounds\n\n\
         An evaluation that takes more ends with an error.\n\n\
         | What | At most |\n|---|---|\n\
         | memory for values | {} MiB |\n\
         | function calls inside each other | {call_depth} |\n\
         | calls and evaluated values | {steps} |\n\
         | a file that is read or imported | {} MiB |\n",
        memory >> 20,
        file_size >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the page lies outside of the package, and the test writes it when it is told to"
    )]
    fn the_reference_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/language.md");
        let page = reference();
        if std::env::var_os("COGNIX_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == committed,
            "docs/language.md is not made of the current tables: run this test with COGNIX_BLESS=1"
        );
    }

    #[test]
    fn everything_is_described() {
        for builtin in TOPICS.iter().flat_map(|(_, table)| *table) {
            assert!(builtin.doc.ends_with('.'), "{}", builtin.name);
            assert!(!builtin.parameters.is_empty(), "{}", builtin.name);
        }
    }
}
