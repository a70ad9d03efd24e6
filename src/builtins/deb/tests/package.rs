//! What a package says about itself, merged `/usr`, and the record of modes.

use super::*;

fn with_control(control: &[u8]) -> Vec<u8> {
    deb(&Tar::default().file("./control", control), &Tar::default())
}

#[test]
fn deb_5_the_package_is_the_one_that_was_asked_for() {
    for (control, words) in [
        (
            "Package: other\nVersion: 1:2.0-1\nArchitecture: amd64\n",
            &["Package", "\"other\"", "greeting"][..],
        ),
        (
            "Package: greeting\nVersion: 2.0-1\nArchitecture: amd64\n",
            &["Version", "\"2.0-1\"", "1:2.0-1"],
        ),
        (
            "Package: greeting\nVersion: 1:2.0-1\nArchitecture: i386\n",
            &["Architecture", "i386"],
        ),
        (
            "Package: greeting\nVersion: 1:2.0-1\n",
            &["Architecture", "\"\""],
        ),
        (
            "Package: greeting\nPackage: other\nVersion: 1:2.0-1\nArchitecture: amd64\n",
            &["line 2", "each field once"],
        ),
        (
            "Package: greeting\nVersion: 1:2.0-1\nArchitecture: amd64\n\nPackage: other\n",
            &["line 4", "one stanza"],
        ),
        (
            "Package: greeting\nStatus: purge\nVersion: 1:2.0-1\nArchitecture: amd64\n",
            &["line 2", "status"],
        ),
        ("no colon", &["line 1"]),
        ("", &["line 1"]),
    ] {
        refuses(&with_control(control.as_bytes()), words);
    }
    let spelled_otherwise =
        "PACKAGE:greeting\nversion: 1:2.0-1 \nArchitecture:\tamd64\nEssential: yes";
    assert!(unpack(&with_control(spelled_otherwise.as_bytes())).is_ok());
}

#[test]
fn deb_5_a_package_name_is_no_path() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    for package in ["../../evil", "a", "-a", "Upper", "with space", ""] {
        let control = format!("Package: {package}\nVersion: 1\nArchitecture: all\n");
        fs::write(at("package.deb"), with_control(control.as_bytes()))
            .expect("room for a small file");
        let expected = Expected {
            package,
            version: "1",
            architecture: "all",
        };
        let unpacker = Unpacker {
            expected,
            limits: Limits::default(),
            cancelled: &|| false,
        };
        let result = unpacker.unpack(&at("package.deb"), &at("out"), &at("control"));
        says(&result.expect_err(package), &["Package"]);
    }
}

#[test]
fn deb_5_control_archives_are_flat() {
    let broken = |control: Tar| deb(&control, &Tar::default());
    refuses(
        &broken(Tar::default().directory("./")),
        &["a file named control"],
    );
    refuses(
        &broken(control().directory("./sub")),
        &["control archive", "./sub", "plain file"],
    );
    refuses(
        &broken(control().symlink("./postinst", "/bin/true")),
        &["./postinst", "plain file"],
    );
    refuses(&broken(control().file("./sub/file", b"")), &["plain file"]);
    refuses(
        &broken(control().file("./control", CONTROL)),
        &["each name once"],
    );
    refuses(
        &broken(control().file("./modes.json", b"{}")),
        &["modes.json"],
    );
    refuses(&broken(control().file("../evil", b"")), &[".."]);
    let large = Limits {
        control_bytes: 200,
        ..Limits::default()
    };
    let package = broken(control().file("./postinst", &[b'x'; 300]));
    says(
        &unpack_with(&package, large).err().expect("too large"),
        &["limits.deb-control-bytes"],
    );
}

#[test]
fn deb_5_the_database_is_that_of_dpkg() {
    let control = control()
        .file("./conffiles", b"/etc/motd\n/etc/gone\n")
        .file("./md5sums", b"0123  etc/motd\n")
        .file("./postinst", b"#!/bin/sh\nrm -rf /\n");
    let data = Tar::default()
        .directory("./")
        .directory("./etc/")
        .file("./etc/motd", b"");
    let unpacked = unpack(&deb(&control, &data)).expect("a sound package");
    let text = |path: &str| String::from_utf8(unpacked.read(path)).expect("text");
    assert_eq!(
        text("control/status"),
        "Package: greeting\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.0-1\n\
         Conffiles:\n /etc/motd d41d8cd98f00b204e9800998ecf8427e\nDescription: says hello\n and no more\n"
    );
    let info = |name: &str| text(&format!("out/var/lib/dpkg/info/greeting.{name}"));
    assert_eq!(info("list"), "/.\n/etc\n/etc/motd\n");
    assert_eq!(info("md5sums"), "0123  etc/motd\n");
    assert_eq!(info("postinst"), "#!/bin/sh\nrm -rf /\n");
    assert_eq!(unpacked.read("control/control"), CONTROL);
    assert_eq!(unpacked.read("control/postinst"), b"#!/bin/sh\nrm -rf /\n");
    let clash = Tar::default().file("./var/lib/dpkg/info/greeting.list", b"mine");
    refuses(&with_data(&clash), &["exists already"]);
}

#[test]
fn deb_6_modes_and_owners_are_recorded() {
    let unpacked = unpack(include_bytes!("golden/xz.deb")).expect("a package of dpkg-deb");
    assert_eq!(
        unpacked.modes(),
        concat!(
            r#"{"entries":{"etc/secret":{"gid":0,"mode":"0700","uid":0},"tmp":{"gid":0,"mode":"1777","uid":0},"#,
            r#""usr/bin/root-only":{"gid":42,"mode":"4750","uid":0}},"version":1}"#,
            "\n"
        )
    );
}

#[test]
fn deb_7_paths_go_where_the_aliases_lead() {
    let unpacked = unpack(include_bytes!("golden/gzip.deb")).expect("a package of dpkg-deb");
    assert_eq!(
        unpacked.read("out/usr/lib/x86_64-linux-gnu/libgreeting.so.1"),
        b"not really a library\n"
    );
    assert_eq!(
        unpacked.read("out/usr/bin/hullo"),
        b"#!/bin/sh\necho hello\n"
    );
    assert_eq!(
        unpacked.link("out/usr/bin/greeting"),
        "/lib/x86_64-linux-gnu/libgreeting.so.1"
    );
    assert!(!unpacked.folder.path().join("out/bin").exists());
    let tar = Tar::default()
        .directory("./var/run/")
        .file("./var/run/pid", b"1")
        .file("./var/lock/lock", b"2")
        .file("./library", b"not an alias")
        .file("./lib64/ld.so", b"3");
    let unpacked = unpack(&with_data(&tar)).expect("a package with aliases");
    assert_eq!(unpacked.read("out/run/pid"), b"1");
    assert_eq!(unpacked.read("out/run/lock/lock"), b"2");
    assert_eq!(unpacked.read("out/library"), b"not an alias");
    assert_eq!(unpacked.read("out/usr/lib64/ld.so"), b"3");
}

#[test]
fn deb_7_the_alias_itself_may_be_shipped() {
    let tar = Tar::default()
        .symlink("./bin", "usr/bin")
        .symlink("./lib64", "/usr/lib64")
        .file("./bin/a", b"x");
    let unpacked = unpack(&with_data(&tar)).expect("base-files of Debian 13");
    assert_eq!(unpacked.link("out/bin"), "usr/bin");
    assert_eq!(unpacked.link("out/lib64"), "/usr/lib64");
    assert_eq!(unpacked.read("out/usr/bin/a"), b"x");
    refuses(
        &with_data(&Tar::default().symlink("./bin", "/tmp")),
        &["link target", "/tmp"],
    );
    refuses(
        &with_data(&Tar::default().file("./sbin", b"")),
        &["sbin", "a directory"],
    );
}

#[test]
fn deb_7_both_forms_of_a_path_have_to_be_equal() {
    let both = |first: &[u8], second: &[u8]| {
        with_data(
            &Tar::default()
                .file("./bin/a", first)
                .file("./usr/bin/a", second),
        )
    };
    assert_eq!(
        unpack(&both(b"same", b"same"))
            .expect("equal files")
            .read("out/usr/bin/a"),
        b"same"
    );
    refuses(&both(b"same", b"sam"), &["./usr/bin/a", "content"]);
    refuses(&both(b"same", b"same2"), &["content"]);
    refuses(&both(b"same", b"sane"), &["content"]);
    let modes = Tar::default().file("./usr/bin/a", b"x").entry(
        Header {
            mode: b"0004755\0".to_vec(),
            ..Header::new(b'0', "./bin/a")
        },
        b"x",
    );
    refuses(&with_data(&modes), &["content"]);
    let links = |second| {
        with_data(
            &Tar::default()
                .symlink("./lib/a", "b")
                .symlink("./usr/lib/a", second),
        )
    };
    assert_eq!(
        unpack(&links("b"))
            .expect("equal links")
            .link("out/usr/lib/a"),
        "b"
    );
    refuses(&links("c"), &["content"]);
    // A third time is a repetition of one of the two.
    let thrice = Tar::default()
        .file("./usr/bin/a", b"x")
        .file("./bin/a", b"x")
        .file("./usr/bin/a", b"x");
    refuses(&with_data(&thrice), &["exists already"]);
}

#[test]
fn cancelling_stops_between_pieces() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("package.deb"), include_bytes!("golden/xz.deb")).expect("room for a small file");
    let unpacker = Unpacker {
        expected: EXPECTED,
        limits: Limits::default(),
        cancelled: &|| true,
    };
    let error = unpacker
        .unpack(&at("package.deb"), &at("out"), &at("control"))
        .expect_err("it was cancelled");
    assert!(matches!(error, DebError::Cancelled));
}
