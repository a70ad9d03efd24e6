//! What becomes of scripts and triggers.

use super::*;

/// The outcomes of one package's postinst: rules, what is left out, why it is run.
fn check(package: &str, script: &str, rules: &[&str], left_out: &[&str], run: &[&str]) {
    let system = System::new()
        .package("coreutils")
        .executable("usr/bin/sh")
        .link("bin", "usr/bin")
        .directory("usr/share/there")
        .package(package)
        .file("etc/own", "")
        .control("postinst", &format!("#!/bin/sh\nset -e\n{script}\n"));
    let scripts = scripts(&system.configured());
    let outcome = &scripts.packages[package][0];
    assert_eq!(outcome.script, "postinst");
    assert_eq!(outcome.rules.iter().collect::<Vec<_>>(), rules, "{script}");
    let starts = |found: &std::collections::BTreeSet<String>, expected: &[&str]| {
        found.len() == expected.len()
            && found
                .iter()
                .zip(expected)
                .all(|(found, expected)| found.starts_with(expected))
    };
    assert!(starts(&outcome.left_out, left_out), "{script}: {outcome:?}");
    assert!(starts(&outcome.run, run), "{script}: {outcome:?}");
}

fn scripts(configured: &Configured<'_>) -> Scripts {
    serde_json::from_str(&configured.control(SCRIPTS_FILE)).expect("a report")
}

#[test]
fn scripts_are_left_out_on_request() {
    let script = "#!/bin/sh\nunknown-program\n";
    let mut system = System::new()
        .package("coreutils")
        .executable("usr/bin/sh")
        .link("bin", "usr/bin")
        .package("one")
        .control("postinst", script)
        .package("other")
        .control("postinst", script);
    system.left_out = ["one", "missing"].map(str::to_owned).into();
    let configured = system.configured();
    let scripts = scripts(&configured);
    let outcome = |package: &str| scripts.packages[package][0].clone();
    assert!(outcome("one").run.is_empty() && !outcome("other").run.is_empty());
    let reasons: Vec<_> = outcome("one").left_out.into_iter().collect();
    assert_eq!(
        reasons,
        ["on request (base.leaveOutScripts): calls unknown-program"]
    );
    assert!(!configured.control(RUN_FILE).contains("'one'"));
    assert_eq!(
        configured.notes,
        ["scripts of missing are left out on request, and there is no such package"]
    );
}

#[test]
fn known_commands_are_covered_or_left_out() {
    for (script, rules, left_out) in [
        ("exit 0", &[][..], &[][..]),
        (
            "dpkg-maintscript-helper rm_conffile /etc/x 1.0~ -- \"$@\"",
            &[],
            &[],
        ),
        (
            "if [ \"$1\" = configure ]; then ldconfig; fi",
            &["the linker's cache"],
            &[],
        ),
        ("if [ \"$1\" = triggered ]; then anything; fi", &[], &[]),
        ("if [ -n \"$2\" ]; then rm -rf /; fi", &[], &[]),
        (
            "deb-systemd-helper enable x.service >/dev/null || true",
            &[],
            &["services"],
        ),
        (
            "if command -v py3compile >/dev/null; then py3compile -p x; fi",
            &[],
            &[],
        ),
        ("py3compile -p x", &[], &["compiled Python files"]),
        (
            ". /usr/share/debconf/confmodule\ndb_get a/b\ndb_stop || true",
            &[],
            &["questions"],
        ),
        ("mkdir -p /usr/share/there", &[], &[]),
        ("rm -f /etc/gone", &[], &["clean-up"]),
        ("x=$(sed -n -e 's/i/j/p' /etc/own | md5sum)", &[], &[]),
        ("n=$(($(echo 1 | tr 1 2) + 3))", &[], &[]),
        ("echo hello >&2 2>/dev/null", &[], &[]),
        (
            "update-alternatives --install /usr/bin/e e /usr/bin/sh 1",
            &["alternatives"],
            &[],
        ),
    ] {
        check("plain", script, rules, left_out, &[]);
    }
}

#[test]
fn everything_else_is_run() {
    for (script, run) in [
        ("fc-cache -s", "calls fc-cache -s"),
        ("rm -f /etc/own", "calls rm -f /etc/own"),
        ("rm -f /etc/*.old", "calls rm -f"),
        ("echo x > /etc/new", "writes /etc/new"),
        ("{ echo x; } >> /etc/new", "writes /etc/new"),
        ("cat > \"$(mktemp)\" <<END\ntext\nEND", "writes"),
        ("sed -i s/a/b/ /etc/own", "calls sed -i"),
        ("find /etc -name x -delete", "calls find /etc -name x"),
        ("\"$(cat /etc/own)\" x", "calls"),
        ("eval x", "calls eval x"),
        ("mkdir -p /var/new", "calls mkdir -p /var/new"),
        ("while true; do :; done", "does more than can be followed"),
        ("if", "cannot be followed"),
        ("adduser --system x", "calls adduser --system x"),
        (
            "update-alternatives --set e /usr/bin/sh",
            "calls update-alternatives --set",
        ),
        (
            "systemctl start x; chmod 600 /etc/own",
            "calls chmod 600 /etc/own",
        ),
    ] {
        let left_out: &[&str] = if script.starts_with("systemctl") {
            &["services"]
        } else {
            &[]
        };
        check("plain", script, &[], left_out, &[run]);
    }
}

#[test]
fn claims_are_for_one_package() {
    check(
        "netbase",
        "cat > /etc/other <<END\nEND",
        &["/etc/networks; /etc/hosts is the runtime's"],
        &[],
        &[],
    );
    check(
        "plain",
        "cat > /etc/networks <<END\nEND",
        &[],
        &[],
        &["writes /etc/networks"],
    );
}

#[test]
fn what_rules_have_made_is_in_place() {
    let system = System::new()
        .package("bash")
        .executable("usr/bin/sh")
        .link("bin", "usr/bin")
        .package("tzdata")
        .file("usr/share/zoneinfo/Etc/UTC", "")
        .package("own")
        .control(
            "postinst",
            "#!/bin/sh\n[ -e /etc/localtime ] || touch /etc/localtime\n",
        );
    let scripts = scripts(&system.configured());
    let rules = &scripts.packages["own"][0].rules;
    assert_eq!(
        rules.iter().collect::<Vec<_>>(),
        ["what it makes is in place"]
    );
}

#[test]
fn scripts_of_other_interpreters_are_run() {
    let system = System::new()
        .package("dash")
        .executable("usr/bin/sh")
        .link("bin", "usr/bin")
        .package("odd")
        .control("postinst", "#!/usr/bin/perl\nunlink 'x';\n")
        .control("prerm", "#!/bin/sh\nrm -rf /\n");
    let configured = system.configured();
    let outcomes = &scripts(&configured).packages["odd"];
    assert_eq!(
        outcomes[0].run.iter().collect::<Vec<_>>(),
        ["is no script of sh: #!/usr/bin/perl"]
    );
    assert_eq!(outcomes[1].script, "prerm");
    assert!(outcomes[1].run.is_empty());
    assert_eq!(
        configured.control(RUN_FILE),
        "maintainer_script 'odd' postinst configure ''\n"
    );
}

#[test]
fn scripts_come_before_unpacking_after_dependencies_and_then_triggers() {
    let stanza = |name: &str, depends: &str| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n{depends}Version: 1\n"
        )
    };
    let system = System::new()
        .package("a")
        .control("status", &stanza("a", "Depends: x | c (>= 1), b:any\n"))
        .control("preinst", "#!/bin/sh\nprepare\n")
        .control("postinst", "#!/bin/sh\ntool-a\n")
        .package("b")
        .control(
            "status",
            &stanza("b", "Multi-Arch: same\nDepends: virtual\n"),
        )
        .control("postinst", "#!/bin/sh\ntool-b\n")
        .package("c")
        .control(
            "status",
            &stanza("c", "Provides: virtual (= 1)\nPre-Depends: a\n"),
        )
        .control("postinst", "#!/bin/sh\ntool-c\n")
        .package("dash")
        .executable("usr/bin/sh")
        .link("bin", "usr/bin")
        .package("t")
        .file("usr/share/things/one", "")
        .control("status", &stanza("t", ""))
        .control(
            "triggers",
            "interest /usr/share/things\ninterest never\ninterest said\n",
        )
        .control(
            "postinst",
            "#!/bin/sh\nif [ \"$1\" = triggered ]; then index; fi\n",
        )
        .package("u")
        .control("postinst", "#!/bin/sh\ndpkg-trigger --no-await said\n");
    let configured = system.configured();
    assert_eq!(
        configured.control(RUN_FILE),
        "maintainer_script 'a' preinst install\n\
         maintainer_script 'c' postinst configure ''\n\
         maintainer_script 'b:amd64' postinst configure ''\n\
         maintainer_script 'a' postinst configure ''\n\
         maintainer_script 't' postinst triggered '/usr/share/things said'\n"
    );
}

#[test]
fn without_a_shell_nothing_is_run_and_that_is_said() {
    let system = System::new()
        .package("fontconfig")
        .control("postinst", "#!/bin/sh\nfc-cache -s\n");
    let configured = system.configured();
    assert_eq!(configured.control(RUN_FILE), "");
    let outcome = &scripts(&configured).packages["fontconfig"][0];
    assert_eq!(
        outcome.left_out.iter().collect::<Vec<_>>(),
        ["the image has no /bin/sh to run it with: calls fc-cache -s"]
    );
}
