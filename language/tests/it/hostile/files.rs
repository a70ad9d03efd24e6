//! What is not the evaluation's: files elsewhere, the clock, the environment, the network.

use cognix_language::ErrorKind::{self, File, Forbidden};
use cognix_language::MemoryFiles;

use super::{all_fail, fails, print};

fn files() -> MemoryFiles {
    MemoryFiles::new()
        .with_file("inside.txt", "inside")
        .with_file("folder/file.txt", "file")
        .with_link("absolute", "/etc/passwd")
        .with_link("upward", "../outside")
        .with_link("folder/upward", "../../outside")
        .with_link("folder/back", "../inside.txt")
        .with_link("to-folder", "folder")
        .with_link("through", "to-folder/../../outside")
        .with_link("top", "/")
        .with_link("loop-a", "loop-b")
        .with_link("loop-b", "loop-a")
        .with_link("self", "self")
        .with_link("into-itself", "into-itself/x")
}

#[test]
fn files_outside_of_the_project_are_forbidden() {
    let texts = [
        "builtins.readFile /etc/passwd",
        "builtins.readFile \"/etc/passwd\"",
        "builtins.readFile ../outside",
        "builtins.readFile (./. + \"/../outside\")",
        "builtins.readFile \"${toString ./.}/../outside\"",
        "builtins.readFile (./folder + \"/../../outside\")",
        "builtins.readFile (/. + \"/etc/passwd\")",
        "builtins.readFile \"/project-not-quite/file\"",
        "builtins.readFile \"/proj\"",
        "builtins.readDir /.",
        "builtins.readDir ../.",
        "builtins.readDir \"/\"",
        "builtins.readFileType /etc",
        "builtins.hashFile \"sha256\" /etc/passwd",
        "import /etc/passwd",
        "import ../outside",
        "builtins.scopedImport { } /etc/passwd",
        "\"${/etc}\"",
        "\"${../outside}\"",
        "builtins.path { path = /etc; }",
        "builtins.path { path = ./..; name = \"x\"; }",
        "builtins.filterSource (p: t: true) /etc",
        "builtins.toJSON /etc",
        "derivation { name = \"x\"; system = \"s\"; builder = /bin/sh; }",
        "builtins.readFile ./absolute",
        "builtins.readFile ./upward",
        "builtins.readFile ./folder/upward",
        "builtins.readFile ./through",
        "builtins.readFile ./top/etc/passwd",
        "builtins.readDir ./top",
        "builtins.readDir ./upward",
        "import ./absolute",
        "builtins.hashFile \"md5\" ./absolute",
        "\"${./top/etc}\"",
        "builtins.path { path = ./top/etc; }",
        "builtins.readFile ~/x",
    ];
    all_fail(&files(), &texts, &[Forbidden]);
}

#[test]
fn what_is_asked_about_a_file_elsewhere_tells_nothing() {
    for text in [
        "builtins.pathExists /etc/passwd",
        "builtins.pathExists /nonexistent",
        "builtins.pathExists ../outside",
        "builtins.pathExists ./top/etc/passwd",
        "builtins.pathExists ./top/nonexistent",
    ] {
        match print(&files(), text) {
            Ok(answer) => assert_eq!(answer, "false", "{text}"),
            Err(error) => assert_eq!(error.kind(), Forbidden, "{text}: {error}"),
        }
    }
}

#[test]
fn links_inside_are_followed_and_links_as_such_are_kept() {
    let check = |text: &str, expected: &str| {
        assert_eq!(print(&files(), text).as_deref(), Ok(expected), "{text}");
    };
    check("builtins.readFile ./folder/back", "\"inside\"");
    check("builtins.readFile ./to-folder/file.txt", "\"file\"");
    check("builtins.readFileType ./absolute", "\"symlink\"");
    check("(builtins.readDir ./.).upward", "\"symlink\"");
    // A link in a source is its text; where it leads nobody looks.
    check("builtins.isString \"${./.}\"", "true");
    check("builtins.isString \"${./absolute}\"", "true");
}

#[test]
fn links_without_end_are_refused() {
    let texts = [
        "builtins.readFile ./loop-a",
        "builtins.readFile ./self",
        "builtins.readFile ./into-itself",
        "builtins.readDir ./loop-a/x",
        "import ./self",
    ];
    all_fail(&files(), &texts, &[File]);
}

#[test]
fn clock_environment_and_network_are_forbidden_and_errors_say_so() {
    let texts = [
        ("builtins.currentTime", "currentTime"),
        ("builtins.currentSystem", "currentSystem"),
        ("builtins.getEnv \"HOME\"", "getEnv"),
        ("builtins.fetchurl \"http://localhost/x\"", "fetchurl"),
        (
            "builtins.fetchTarball \"http://localhost/x\"",
            "fetchTarball",
        ),
        (
            "fetchTarball { url = \"http://localhost/x\"; }",
            "fetchTarball",
        ),
        ("builtins.fetchGit ./.", "fetchGit"),
        ("fetchGit \"http://localhost/x\"", "fetchGit"),
        ("builtins.fetchMercurial ./.", "fetchMercurial"),
        ("fetchMercurial \"x\"", "fetchMercurial"),
        ("builtins.fetchTree { type = \"git\"; }", "fetchTree"),
        ("fetchTree \"x\"", "fetchTree"),
        ("builtins.getFlake \"nixpkgs\"", "getFlake"),
        ("__currentTime", "currentTime"),
        ("__getEnv \"HOME\"", "getEnv"),
        ("import <nixpkgs> { }", "nixpkgs"),
        ("<nixpkgs/lib>", "nixpkgs/lib"),
    ];
    for (text, word) in texts {
        let error = fails(&files(), text, text, &[Forbidden]);
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
    // They are there, so that one can ask for them.
    let there =
        "builtins ? currentTime && builtins ? getEnv && builtins ? fetchurl && builtins ? getFlake";
    assert_eq!(print(&files(), there).as_deref(), Ok("true"));
}

#[test]
fn outputs_that_nobody_built_cannot_be_read() {
    let derivation = "derivation { name = \"x\"; system = \"s\"; builder = \"b\"; }";
    for text in [
        format!("builtins.readFile ({derivation})"),
        format!("import ({derivation})"),
        format!("builtins.readDir \"${{{derivation}}}/bin\""),
        format!("builtins.path {{ path = ({derivation}).outPath; }}"),
        format!("builtins.pathExists ({derivation})"),
        "builtins.readFile \"/nix/store/00000000000000000000000000000000-x\"".to_owned(),
        "builtins.storePath \"/nix/store/00000000000000000000000000000000-x\"".to_owned(),
    ] {
        fails(&files(), &text, &text, &[Forbidden, ErrorKind::File]);
    }
}
