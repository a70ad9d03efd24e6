//! Alternatives out of scripts.

use super::*;

const MAWK: &str = "#!/bin/sh
set -e
if [ \"$1\" = \"configure\" ]; then
        update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\
            --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz \\
            --slave /usr/bin/nawk nawk /usr/bin/mawk
fi
";

#[test]
fn links_and_state_are_as_the_tool_makes_them() {
    let system = System::new()
        .package("mawk")
        .executable("usr/bin/mawk")
        .control("postinst", MAWK);
    let configured = system.configured();
    assert_eq!(configured.link("usr/bin/awk"), "/etc/alternatives/awk");
    assert_eq!(configured.link("etc/alternatives/awk"), "/usr/bin/mawk");
    assert_eq!(configured.link("usr/bin/nawk"), "/etc/alternatives/nawk");
    assert!(
        !configured.has("usr/share/man/man1/awk.1.gz"),
        "a slave without a file has no link"
    );
    assert_eq!(
        configured.text("var/lib/dpkg/alternatives/awk"),
        "auto\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/man1/awk.1.gz\nnawk\n/usr/bin/nawk\n\n\
         /usr/bin/mawk\n5\n/usr/share/man/man1/mawk.1.gz\n/usr/bin/mawk\n\n"
    );
    assert_eq!(configured.notes, Vec::<String>::new());
}

#[test]
fn the_highest_priority_wins_and_then_the_first_path() {
    let script = |path: &str, priority: i32| {
        format!("update-alternatives --quiet --install /usr/bin/e e {path} {priority}\n")
    };
    let system = System::new()
        .package("b")
        .executable("usr/bin/b")
        .control("postinst", &script("/bin/b", 10))
        .package("a")
        .executable("usr/bin/a")
        .control("postinst", &script("/bin/a", 10))
        .package("low")
        .executable("usr/bin/low")
        .control("postinst", &script("/usr/bin/low", -100))
        .package("missing")
        .control("postinst", &script("/usr/bin/missing", 1000));
    let configured = system.configured();
    assert_eq!(configured.link("etc/alternatives/e"), "/bin/a");
    assert_eq!(
        configured.notes,
        ["missing: the alternative /usr/bin/missing for e is not there"]
    );
    assert_eq!(
        configured.text("var/lib/dpkg/alternatives/e"),
        "auto\n/usr/bin/e\n\n/bin/a\n10\n/bin/b\n10\n/usr/bin/low\n-100\n\n"
    );
}

#[test]
fn links_lie_where_merged_usr_has_them() {
    let system = System::new()
        .package("cpp")
        .executable("usr/bin/cpp")
        .directory("usr/lib")
        .control(
            "postinst",
            "update-alternatives --quiet --install /lib/cpp cpp /usr/bin/cpp 10\n",
        );
    let configured = system.configured();
    assert_eq!(configured.link("usr/lib/cpp"), "/etc/alternatives/cpp");
    assert!(
        configured
            .text("var/lib/dpkg/alternatives/cpp")
            .starts_with("auto\n/lib/cpp\n\n")
    );
}

#[test]
fn what_cannot_be_followed_is_noted() {
    let note = |script: &str| {
        let system = System::new()
            .package("p")
            .executable("usr/bin/x")
            .control("postinst", script);
        system.configured().notes.join("; ")
    };
    assert_eq!(
        note("update-alternatives --install /usr/bin/e e $(ask) 5"),
        "p: a call of update-alternatives was left out: its path is not known before the script runs"
    );
    assert_eq!(
        note("if true; then update-alternatives"),
        "p: its script was not followed for update-alternatives: line 1: expected fi"
    );
    assert!(
        note("update-alternatives --install /usr/bin/e e /usr/bin/x high")
            .contains("priority \"high\" is no number")
    );
    assert!(
        note("update-alternatives --install /usr/bin/e ../e /usr/bin/x 5")
            .contains("names are plain")
    );
    assert!(
        note("update-alternatives --install usr/bin/e e /usr/bin/x 5")
            .contains("paths are absolute")
    );
    assert!(
        note("update-alternatives --install /usr/bin/x x /usr/bin/x 5")
            .contains("a package ships /usr/bin/x")
    );
    assert_eq!(
        note("update-alternatives --remove e /usr/bin/x; update-alternatives --auto e"),
        ""
    );
    let written = System::new()
        .package("p")
        .control("postinst", "update-alternatives $(x)");
    let control = written.configured().place.join("control").join(NOTES_FILE);
    assert!(
        fs::read_to_string(control)
            .expect("notes")
            .ends_with("is not known before the script runs\n")
    );
}
