//! `cognix eval`: what it prints is what a real Nix prints, and what it reads is the project.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::world::{COGNIX, fail, succeed, write};

/// A file with something of every kind, and what is asked of it: the arguments, and the printed line, in which `@` stands
/// for the folder.
const CASES: [(&[&str], &str); 22] = [
    (&["default.nix"], "<LAMBDA>"),
    (&["."], "<LAMBDA>"),
    (&[".", "-A", "list"], "[ <CODE> 2 ]"),
    (&[".", "-A", "list.0"], "{ \"b.c\" = <CODE>; }"),
    (&[".", "-A", "list.0", "--strict"], "{ \"b.c\" = 2; }"),
    (&[".", "-A", "list.0.\"b.c\""], "2"),
    (&[".", "-A", "path"], "@/sub"),
    (&[".", "-A", "folder"], "@"),
    (&[".", "-A", "text"], "\"a\\nb \\${c} \\\"d\\\"\""),
    (&[".", "-A", "function"], "<LAMBDA>"),
    (&[".", "-A", "function.z"], "5"),
    (&[".", "-A", "functor.z"], "3"),
    (
        &[".", "-A", "itself", "--strict"],
        "{ itself = «repeated»; one = 1; }",
    ),
    (
        &[".", "-A", "others", "--strict"],
        "[ <LAMBDA> <PRIMOP> <PRIMOP-APP> null true 1.5 ]",
    ),
    (
        &[".", "-A", "derivation"],
        "{ all = <CODE>; builder = @/sub; drvAttrs = { builder = @/sub; name = \"hello\"; system = \"x\"; }; \
         drvPath = <CODE>; name = \"hello\"; out = «repeated»; outPath = <CODE>; outputName = \"out\"; system = \"x\"; \
         type = \"derivation\"; }",
    ),
    (
        &[".", "-A", "derivation.drvPath"],
        "\"/nix/store/v3wnzq7bwqspp56lkkmwd2df3ckjqidh-hello.drv\"",
    ),
    (&["sub/file.nix"], "[ @/sub @/sub/file.nix ]"),
    (&["-E", "{ a = 1; b = 1 + 1; }"], "{ a = 1; b = <CODE>; }"),
    (&["-E", "import ./sub/file.nix"], "[ @/sub @/sub/file.nix ]"),
    (&["--expr", "1.5 + 1"], "2.5"),
    (&["-E", "{ a ? 1 }: a"], "<LAMBDA>"),
    (&["-E", "builtins.trace \"said\" 1"], "1"),
];

/// The same as JSON.
const JSON_CASES: [(&[&str], &str); 4] = [
    (&[".", "-A", "list"], "[{\"b.c\":2},2]"),
    (
        &[".", "-A", "path"],
        "\"/nix/store/cn2a6zfypziwjyiah4qy2a92zjh5073q-sub\"",
    ),
    (
        &[".", "-A", "derivation"],
        "\"/nix/store/j7n9014rf2pm78z2hi11hwfwjd0rmsrk-hello\"",
    ),
    (
        &["-E", "{ a = [ null 1.5 \"x\" ]; }"],
        "{\"a\":[null,1.5,\"x\"]}",
    ),
];

fn project() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("sub")).expect("a writable folder");
    write(
        &folder.path().join("default.nix"),
        r#"{ x ? 1 }: rec {
  list = [ { "b.c" = x + 1; } 2 ];
  path = ./sub;
  folder = ./.;
  text = "a\nb \${c} \"d\"";
  function = { y ? 5 }: { z = y; };
  functor = { __functor = self: { k ? 3 }: { z = k; }; };
  itself = rec { inherit itself; one = 1; };
  others = [ (a: a) builtins.map (map (a: a)) null true 1.5 ];
  derivation = builtins.derivation { name = "hello"; builder = ./sub; system = "x"; };
}
"#,
    );
    write(&folder.path().join("sub/file.nix"), "[ ./. ./file.nix ]\n");
    folder
}

fn eval(folder: &Path) -> Command {
    let mut command = Command::new(COGNIX);
    command.env_clear().current_dir(folder).arg("eval");
    command
}

fn real(folder: &TempDir) -> std::path::PathBuf {
    folder.path().canonicalize().expect("an existing folder")
}

#[test]
fn values_are_printed_as_expected() {
    let folder = project();
    let place = real(&folder);
    let check = |arguments: &[&str], format: &[&str], expected: &str| {
        let output = succeed(eval(&place).args(arguments).args(format));
        let expected = expected.replace('@', &place.to_string_lossy());
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(printed, format!("{expected}\n"), "{arguments:?}");
    };
    for (arguments, expected) in CASES {
        check(arguments, &[], expected);
    }
    for (arguments, expected) in JSON_CASES {
        check(arguments, &["--format", "json"], expected);
    }
    check(&["-E", "1 + 1"], &["--format", "nix"], "2");
    check(&["-E", "-1"], &[], "-1");
}

#[test]
fn the_folder_is_where_the_file_really_is() {
    let folder = project();
    let place = real(&folder);
    std::os::unix::fs::symlink("sub/file.nix", place.join("link.nix")).expect("a writable folder");
    let output = succeed(eval(&place).args(["link.nix"]));
    let shown = place.display();
    let expected = format!("[ {shown}/sub {shown}/sub/file.nix ]\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);

    let output = succeed(eval(&place.join("sub")).arg("../sub/../sub/file.nix"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn standard_input_is_a_text_in_the_current_folder() {
    use std::io::Write as _;
    let folder = project();
    let mut command = eval(folder.path());
    command
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut program = command.spawn().expect("the program starts");
    let mut stdin = program.stdin.take().expect("a pipe");
    stdin
        .write_all(b"(import ./. { }).list")
        .expect("an open pipe");
    drop(stdin);
    let output = program.wait_with_output().expect("the program ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[ <CODE> 2 ]\n");
}

#[test]
fn messages_go_to_standard_error() {
    let folder = project();
    let text = "builtins.trace \"one\\u001b\" (throw \"broken\")";
    let said = fail(eval(folder.path()).args(["-E", text]), 65);
    let escaped = fail(
        eval(folder.path()).args([
            "-E",
            "builtins.trace (builtins.fromJSON ''\"a\\u001b[1m\"'') (throw \"broken\")",
        ]),
        65,
    );
    assert!(said.starts_with("trace: one"), "{said}");
    assert!(said.contains("error: --expr:1:"), "{said}");
    assert!(!escaped.contains('\u{1b}'), "{escaped}");
}

#[test]
fn failures_have_a_status_and_a_place() {
    let folder = project();
    let place = folder.path();
    write(&place.join("cognix.nix"), "{\n  outputs = 1 +;\n}\n");
    let said = fail(eval(place).arg("cognix.nix"), 78);
    assert!(said.contains("cognix.nix:2:"), "{said}");
    write(
        &place.join("other.nix"),
        "{\n  a = import ./cognix.nix;\n}\n",
    );
    let said = fail(eval(place).args(["other.nix", "--strict"]), 65);
    assert!(said.contains("cognix.nix:2:"), "{said}");
    assert!(said.contains("other.nix:2:"), "{said}");
    fail(eval(place).args([".", "-A", "lst"]), 65);
    fail(eval(place).arg("none.nix"), 74);
    fail(eval(place).arg("none/none.nix"), 74);
    fail(eval(place).arg("sub"), 74);
    // Without anything named, the spec of the folder is meant.
    let said = fail(&mut eval(place), 78);
    assert!(said.contains("cognix.nix:2:"), "{said}");
    fail(eval(place).args(["default.nix", "-E", "1"]), 2);
    let said = fail(eval(place).args(["-E", "import /etc/passwd"]), 65);
    assert!(said.contains("forbidden"), "{said}");
}

#[test]
fn long_traces_are_cut_unless_asked_for() {
    let folder = project();
    let text =
        "let f = n: if n == 0 then throw \"deep\" else 1 + g (n - 1); g = n: f n + 1; in f 9";
    let short = fail(eval(folder.path()).args(["-E", text]), 65);
    assert!(short.lines().count() <= 21, "{short}");
    assert!(short.contains("more steps"), "{short}");
    assert!(short.contains("--verbose"), "{short}");
    assert!(!short.contains("left out"), "{short}");
    let long = fail(eval(folder.path()).args(["-v", "-E", text]), 65);
    assert!(long.lines().count() > 30, "{long}");
    assert!(!long.contains("--verbose"), "{long}");
}

#[test]
fn an_interrupt_ends_an_evaluation() {
    let folder = project();
    let mut command = eval(folder.path());
    let text = "let f = n: if n == 0 then 0 else f (n - 1); g = n: f 1000 + g (n + f 1000); in g 0";
    command.args(["-E", text]).stderr(Stdio::piped());
    let mut program = command.spawn().expect("the program starts");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let interrupt = Command::new("kill")
        .args(["-INT", &program.id().to_string()])
        .status();
    assert!(interrupt.expect("kill starts").success());
    let status = program.wait().expect("the program ends");
    assert_eq!(status.code(), Some(130));
}

/// A real Nix prints the same bytes.
#[cfg(feature = "oracle-tests")]
#[test]
fn a_real_nix_prints_the_same() {
    let folder = project();
    let place = real(&folder);
    let tools = std::env::var_os("COGNIX_NIX_ORACLE")
        .expect("COGNIX_NIX_ORACLE names a folder with Nix's commands");
    let nix = |arguments: &[&str]| {
        let mut command = Command::new(Path::new(&tools).join("nix-instantiate"));
        let store = folder.path().join("store");
        command.current_dir(&place).env("NIX_REMOTE", store);
        String::from_utf8_lossy(&succeed(command.arg("--eval").args(arguments)).stdout).into_owned()
    };
    let ours = |arguments: &[&str], format: &str| {
        let output = succeed(eval(&place).args(arguments).args(["--format", format]));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (arguments, _) in CASES {
        assert_eq!(ours(arguments, "nix"), nix(arguments), "{arguments:?}");
    }
    for (arguments, _) in JSON_CASES {
        let strict = [arguments, &["--strict", "--json"]].concat();
        assert_eq!(ours(arguments, "json"), nix(&strict), "{arguments:?}");
    }
}
