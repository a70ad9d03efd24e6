//! dpkg's database.

use super::*;

fn stanza(name: &str, more: &str) -> String {
    format!(
        "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n{more}Version: 1\n"
    )
}

#[test]
fn the_status_has_every_package_by_name() {
    let system = System::new()
        .package("zlib1g")
        .control("status", &stanza("zlib1g", "Multi-Arch: same\n"))
        .package("adduser")
        .control("status", &stanza("adduser", ""));
    let configured = system.configured();
    assert_eq!(
        configured.text("var/lib/dpkg/status"),
        format!(
            "{}\n{}\n",
            stanza("adduser", ""),
            stanza("zlib1g", "Multi-Arch: same\n")
        )
    );
    assert_eq!(configured.text("var/lib/dpkg/info/format"), "1\n");
}

#[test]
fn triggers_are_listed_with_those_who_wait_for_them() {
    let system = System::new()
        .package("libglib")
        .control("status", &stanza("libglib", "Multi-Arch: same\n"))
        .control(
            "triggers",
            "# a comment\ninterest-noawait /usr/share/schemas\ninterest-await event\nactivate ldconfig\n",
        )
        .package("other")
        .control("status", &stanza("other", ""))
        .control("triggers", "interest-noawait event # again\n");
    let configured = system.configured();
    assert_eq!(
        configured.text("var/lib/dpkg/triggers/File"),
        "/usr/share/schemas libglib:amd64/noawait\n"
    );
    assert_eq!(
        configured.text("var/lib/dpkg/triggers/event"),
        "libglib:amd64\nother/noawait\n"
    );
    assert_eq!(configured.text("var/lib/dpkg/triggers/Unincorp"), "");
    assert!(!configured.has("var/lib/dpkg/triggers/ldconfig"));
}

#[test]
fn diversions_that_move_nothing_are_noted() {
    let system = System::new().package("dpkg").package("dash").control(
        "postinst",
        "#!/bin/sh\nif [ -z \"$(dpkg-divert --listpackage /bin/sh)\" ]; then\n\
             dpkg-divert --package dash --no-rename --divert /bin/sh.distrib --add /bin/sh\n\
             dpkg-divert --package dash --no-rename --add /man/sh\nfi\n\
             dpkg-divert --package dash --rename --add /bin/moved\n",
    );
    let configured = system.configured();
    assert_eq!(
        configured.text("var/lib/dpkg/diversions"),
        "/man/sh\n/man/sh.distrib\ndash\n/bin/sh\n/bin/sh.distrib\ndash\n"
    );
    assert!(
        configured
            .control(SCRIPTS_FILE)
            .contains("calls dpkg-divert --package dash --rename"),
        "a diversion that moves a file is no rule's"
    );
}

#[test]
fn diversions_are_their_packages_own_and_may_end_again() {
    let add = "#!/bin/sh\ndpkg-divert --add --no-rename --divert /lib64/ld.so.merged /lib64/ld.so\n\
               dpkg-divert --package base --add --no-rename --divert /.lib64.merged /lib64\n";
    let remove = "#!/bin/sh\ndpkg-divert --package base --remove --no-rename --divert /.lib64.merged /lib64\n";
    let system = System::new()
        .package("dpkg")
        .package("base")
        .control("postinst", remove)
        .package("linker")
        .control("preinst", add);
    assert_eq!(
        system.configured().text("var/lib/dpkg/diversions"),
        "/lib64/ld.so\n/lib64/ld.so.merged\nlinker\n"
    );
}
