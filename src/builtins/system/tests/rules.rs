//! Files, directories, links, users and shells.

use super::*;

fn base() -> System {
    System::new()
        .package("base-files")
        .file("usr/share/base-files/profile", "# profile\n")
        .file("usr/share/base-files/dot.bashrc", "# bashrc\n")
        .file("usr/share/base-files/info.dir", "info\n")
        .file("etc/dpkg/origins/debian", "Vendor: Debian\n")
        .directory("run/lock")
        .package("base-passwd")
        .file(
            "usr/share/base-passwd/passwd.master",
            "root:*:0:0:root:/root:/bin/bash\n",
        )
        .file("usr/share/base-passwd/group.master", "root:*:0:\n")
}

#[test]
fn an_empty_system_has_nothing() {
    let system = System::new();
    assert_eq!(system.configured().list(), Vec::<String>::new());
    assert_eq!(
        system.configured().modes(),
        "{\"entries\":{},\"version\":1}\n"
    );
}

#[test]
fn templates_are_copied_where_nothing_is() {
    let system = base().package("own").file("root/.bashrc", "mine\n");
    let configured = system.configured();
    assert_eq!(configured.text("etc/profile"), "# profile\n");
    assert!(
        !configured.has("root/.bashrc"),
        "the package's own file was written over"
    );
    assert!(
        !configured.has("usr/share/info/dir"),
        "there is no folder for info pages"
    );
    assert_eq!(
        configured.text("etc/passwd"),
        "root:*:0:0:root:/root:/bin/bash\n"
    );
    assert_eq!(configured.text("etc/group"), "root:*:0:\n");
    assert_eq!(configured.link("etc/dpkg/origins/default"), "debian");
    assert_eq!(configured.link("usr/local/man"), "share/man");
    assert!(configured.at("usr/local/bin").is_dir());
}

#[test]
fn deb_6_modes_and_owners_of_the_rules_are_recorded() {
    let system = base();
    let modes = system.configured().modes();
    for expected in [
        r#""var/mail":{"gid":8,"mode":"2775","uid":0}"#,
        r#""var/log/btmp":{"gid":43,"mode":"0660","uid":0}"#,
    ] {
        assert!(modes.contains(expected), "{modes}");
    }
    // A directory that a package brings keeps what its package says.
    assert!(!modes.contains("run/lock"), "{modes}");
    let staff = base()
        .package("local")
        .file("etc/staff-group-for-usr-local", "");
    let modes = staff.configured().modes();
    assert!(
        modes.contains(r#""usr/local/bin":{"gid":50,"mode":"2775","uid":0}"#),
        "{modes}"
    );
}

#[test]
fn deb_7_aliases_are_made_where_no_package_ships_them() {
    let system = System::new()
        .package("a")
        .file("usr/bin/x", "")
        .file("usr/lib64/ld.so", "")
        .directory("run")
        .package("b")
        .link("bin", "usr/bin");
    let configured = system.configured();
    assert_eq!(configured.list(), ["lib64", "var", "var/run"]);
    assert_eq!(configured.link("lib64"), "usr/lib64");
    assert_eq!(configured.link("var/run"), "/run");
}

#[test]
fn small_rules_follow_their_packages() {
    let system = System::new()
        .package("tini")
        .executable("usr/bin/tini")
        .package("tzdata")
        .control(
            "postinst",
            "echo \"$TIMEZONE\" > \"$DPKG_ROOT/etc/timezone\"\n",
        )
        .package("python3.11-minimal")
        .package("libpam-modules")
        .package("netbase");
    let configured = system.configured();
    assert_eq!(configured.link("usr/sbin/tini"), "../bin/tini");
    assert_eq!(
        configured.link("etc/localtime"),
        "/usr/share/zoneinfo/Etc/UTC"
    );
    assert_eq!(configured.text("etc/timezone"), "Etc/UTC\n");
    assert!(
        configured
            .at("usr/local/lib/python3.11/dist-packages")
            .is_dir()
    );
    assert_eq!(
        configured.text("etc/networks"),
        "default\t\t0.0.0.0\nloopback\t127.0.0.0\nlink-local\t169.254.0.0\n\n"
    );
    assert!(
        configured
            .modes()
            .contains(r#""etc/security/opasswd":{"gid":0,"mode":"0600","uid":0}"#)
    );
    let newer = System::new().package("tzdata").control(
        "postinst",
        "if test -f \"$DPKG_ROOT/etc/timezone\"; then echo x > \"$DPKG_ROOT/etc/timezone\"; fi",
    );
    assert!(!newer.configured().has("etc/timezone"));
}

#[test]
fn shells_are_listed_with_both_of_their_names() {
    let system = System::new()
        .package("debianutils")
        .file("usr/share/debianutils/shells", "# valid login shells\n")
        .executable("usr/bin/sh")
        .package("bash")
        .file(
            "usr/share/debianutils/shells.d/bash",
            "/bin/bash\n/bin/rbash # restricted\n",
        )
        .package("dash")
        .file(
            "usr/share/debianutils/shells.d/dash",
            "/usr/bin/dash\n/bin/dash\n",
        );
    let configured = system.configured();
    let shells =
        "/bin/bash\n/usr/bin/bash\n/bin/rbash \n/usr/bin/rbash \n/usr/bin/dash\n/bin/dash\n";
    assert_eq!(
        configured.text("etc/shells"),
        format!("# valid login shells\n{shells}")
    );
    assert_eq!(configured.text("var/lib/shells.state"), shells);
}

#[test]
fn the_order_of_packages_does_not_matter() {
    let mut system = base().package("tini").executable("usr/bin/tini");
    let first = system.configured().list();
    system.packages.reverse();
    assert_eq!(system.configured().list(), first);
}

#[test]
fn refuses_to_write_what_a_package_ships() {
    let system = System::new()
        .package("mawk")
        .executable("usr/bin/mawk")
        .control(
            "postinst",
            "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5\n",
        )
        .package("odd")
        .file("etc/alternatives/awk", "mine");
    let error = system.configure().err().expect("two owners");
    assert_eq!(
        error.to_string(),
        "update-alternatives writes etc/alternatives/awk, which package odd ships; leave out one of the two"
    );
}

#[test]
fn refuses_a_package_twice() {
    let system = System::new().package("same").package("same");
    let error = system.configure().err().expect("two owners of everything");
    assert_eq!(error.to_string(), "package same is listed twice");
}

#[test]
fn all_6_links_never_lead_to_the_host() {
    let system = System::new()
        .package("libc-bin")
        .link("usr/share/libc-bin/nsswitch.conf", "/etc/nsswitch.conf")
        .package("base-passwd")
        .link(
            "usr/share/base-passwd/passwd.master",
            "../../../../../../../../etc/passwd",
        )
        .link("usr/share/base-passwd/group.master", "group.master")
        .link("etc", "/");
    assert_eq!(system.configured().list(), Vec::<String>::new());
}

#[test]
fn cancelling_stops_between_packages() {
    let system = base();
    let out = system.folder.path().join("out");
    let result = configure(
        system.packages.clone(),
        &BTreeSet::new(),
        &out,
        &out,
        &|| true,
    );
    assert!(matches!(result, Err(SystemError::Cancelled)));
    assert!(!out.exists());
}

#[test]
fn pam_lists_are_put_together_by_priority() {
    const TEMPLATE: &str = "# head\n# here are the per-package modules (the \"Primary\" block)\n$auth_primary\n\
        # here's the fallback if no module succeeds\nauth\trequisite\tpam_deny.so\n\
        # and here are more per-package modules (the \"Additional\" block)\n$auth_additional\n\
        # end of pam-auth-update config\n";
    let profile = |priority: i32, lines: &str| {
        format!("Name: x\nDefault: yes\nPriority: {priority}\nAuth-Type: Primary\nAuth:\n{lines}")
    };
    let system = System::new()
        .package("libpam-runtime")
        .file("usr/share/pam/common-auth", TEMPLATE)
        .file(
            "usr/share/pam/common-session",
            TEMPLATE.replace("auth\t", "session\t"),
        )
        .file(
            "usr/share/pam-configs/unix",
            profile(256, "\t[success=end default=ignore]\tpam_unix.so nullok\n"),
        )
        .package("libpam-krb5")
        .file(
            "usr/share/pam-configs/krb5",
            profile(
                704,
                "\t[success=end default=ignore]\tpam_krb5.so a  b\n\trequired pam_x.so\n",
            ),
        )
        .file(
            "usr/share/pam-configs/off",
            "Default: no\nPriority: 900\nAuth-Type: Primary\nAuth:\n\trequired pam_off.so\n",
        );
    let configured = system.configured();
    let list = configured.text("etc/pam.d/common-auth");
    assert!(
        list.contains(
            "block)\nauth\t[success=3 default=ignore]\tpam_krb5.so a b\nauth\trequired pam_x.so \n\
             auth\t[success=1 default=ignore]\tpam_unix.so nullok\n# here's"
        ),
        "{list}"
    );
    assert!(
        list.ends_with("\"Additional\" block)\n# end of pam-auth-update config\n"),
        "{list}"
    );
    assert!(
        configured
            .text("etc/pam.d/common-session")
            .contains("session\t[default=1]\t\t\tpam_permit.so\n# here's")
    );
    assert_eq!(configured.text("var/lib/pam/seen"), "off\nkrb5\nunix\n");
    assert_eq!(
        configured.text("var/lib/pam/session"),
        "Module: null\n[default=1]\t\t\tpam_permit.so\n"
    );
}
