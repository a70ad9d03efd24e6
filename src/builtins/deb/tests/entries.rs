//! The inner archives: what a header may say, and where an entry may lie.

use super::*;

fn data(name: &str) -> Header {
    Header::new(b'0', name)
}

#[test]
fn deb_3_reads_all_four_dialects() {
    let long = format!("./usr/{}/file", "d".repeat(120));
    let v7_directory = Header {
        magic: &[0; 8],
        kind: 0,
        ..Header::new(b'5', "./v7/")
    };
    let split = Header {
        magic: b"ustar\x0000",
        prefix: b"./usr/prefix".to_vec(),
        ..data("ustar")
    };
    let tar = Tar::default()
        .header(&v7_directory)
        .entry(
            Header {
                magic: &[0; 8],
                kind: 0,
                ..data("./v7/file")
            },
            b"v7",
        )
        .entry(split, b"ustar")
        .entry(
            Header::new(b'L', "././@LongLink"),
            format!("{long}\0").as_bytes(),
        )
        .entry(data("./cut"), b"gnu")
        .extended(&[
            ("path", "./usr/extended"),
            ("mtime", "1.5"),
            ("comment", "x"),
        ])
        .entry(data("./cut"), b"pax")
        .entry(Header::new(b'K', "././@LongLink"), b"a-target\0")
        .symlink("./link", "cut");
    let unpacked = unpack(&with_data(&tar)).expect("four dialects");
    assert_eq!(unpacked.read("out/v7/file"), b"v7");
    assert_eq!(unpacked.read("out/usr/prefix/ustar"), b"ustar");
    assert_eq!(unpacked.read(&format!("out/{}", &long[2..])), b"gnu");
    assert_eq!(unpacked.read("out/usr/extended"), b"pax");
    assert_eq!(unpacked.link("out/link"), "a-target");
}

#[test]
fn deb_3_an_extended_size_wins_and_is_for_the_next_file_only() {
    let tar = Tar::default()
        .extended(&[("size", "3")])
        .header(&data("./first").sized(512 * 3))
        .contents(b"abc")
        .file("./second", b"12345");
    let unpacked = unpack(&with_data(&tar)).expect("the extended size");
    assert_eq!(unpacked.read("out/first"), b"abc");
    assert_eq!(unpacked.read("out/second"), b"12345");
    // The helper header between has a size of its own.
    let tar = Tar::default()
        .extended(&[("size", "3")])
        .entry(Header::new(b'L', "././@LongLink"), b"./long-name\0")
        .header(&data("./short"))
        .contents(b"abc");
    assert_eq!(
        unpack(&with_data(&tar))
            .expect("three headers")
            .read("out/long-name"),
        b"abc"
    );
}

#[test]
fn deb_3_refuses_bad_checksums_and_numbers() {
    let refuses_header = |header: Header, words: &[&str]| {
        refuses(&with_data(&Tar::default().header(&header)), words)
    };
    refuses_header(
        Header {
            checksum: Some(b"000000\0 ".to_vec()),
            ..data("./a")
        },
        &["header checksum"],
    );
    refuses_header(
        Header {
            checksum: Some(b"        ".to_vec()),
            ..data("./a")
        },
        &["header checksum"],
    );
    refuses_header(
        Header {
            magic: b"ustar\x0099",
            ..data("./a")
        },
        &["header magic"],
    );
    refuses_header(
        Header {
            size: b"-0000000001\0".to_vec(),
            ..data("./a")
        },
        &["size", "-0000000001"],
    );
    refuses_header(
        Header {
            size: b"0000000000x\0".to_vec(),
            ..data("./a")
        },
        &["size"],
    );
    refuses_header(
        Header {
            size: vec![0xff; 12],
            ..data("./a")
        },
        &["size"],
    );
    refuses_header(
        Header {
            size: [&[0x80][..], &[0xff; 11]].concat(),
            ..data("./a")
        },
        &["size"],
    );
    refuses_header(
        Header {
            size: [&[0xbf][..], &[0xff; 11]].concat(),
            ..data("./a")
        },
        &["size"],
    );
    refuses_header(
        Header {
            size: [&[0x80, 0, 0, 0][..], &[0xff; 8]].concat(),
            ..data("./a")
        },
        &["limits.archive-file-bytes"],
    );
    refuses_header(
        Header {
            mode: b"7777777\0".to_vec(),
            ..data("./a")
        },
        &["mode"],
    );
    refuses_header(
        Header {
            mode: vec![0; 8],
            ..data("./a")
        },
        &["mode"],
    );
    refuses_header(
        Header {
            uid: vec![0xff; 8],
            ..data("./a")
        },
        &["owner"],
    );
    refuses_header(
        Header {
            uid: [&[0x80, 0, 0][..], &[0xff; 5]].concat(),
            ..data("./a")
        },
        &["owner", "32 bits"],
    );
    refuses_header(
        Header {
            gid: b"7777777\xff".to_vec(),
            ..data("./a")
        },
        &["group"],
    );
    // Binary numbers are fine where octal digits would have done.
    let binary = Header {
        size: [&[0x80][..], &[0; 10], &[2]].concat(),
        ..data("./a")
    };
    let unpacked = unpack(&with_data(&Tar::default().header(&binary).contents(b"ab")));
    assert_eq!(unpacked.expect("a binary size").read("out/a"), b"ab");
}

#[test]
fn deb_3_refuses_what_has_two_readings() {
    let long = |kind| Header::new(kind, "././@LongLink");
    let twice = Tar::default()
        .entry(long(b'L'), b"./a\0")
        .entry(long(b'L'), b"./b\0")
        .file("./c", b"");
    refuses(&with_data(&twice), &["second long name"]);
    let both = Tar::default()
        .entry(long(b'L'), b"./a\0")
        .extended(&[("path", "./b")])
        .file("./c", b"");
    refuses(
        &with_data(&both),
        &["one of a long name and an extended header"],
    );
    let twice = Tar::default()
        .extended(&[("path", "./a")])
        .extended(&[("path", "./b")])
        .file("./c", b"");
    refuses(&with_data(&twice), &["extended header", "second"]);
    let inner = Tar::default()
        .entry(long(b'L'), b"./a\0./b\0")
        .file("./c", b"");
    refuses(&with_data(&inner), &["long name", "only NUL"]);
    let alone = Tar::default().entry(long(b'L'), b"./a\0");
    refuses(&with_data(&alone), &["after its helper header"]);
    let endless = Tar::default().header(&long(b'L').sized(1 << 33));
    refuses(&with_data(&endless), &["helper header"]);
    refuses(
        &with_data(&Tar::default().header(&Header::new(b'0', "./a/"))),
        &["slash"],
    );
    refuses(
        &with_data(
            &Tar::default()
                .header(&Header::new(b'5', "./a").sized(512))
                .contents(b"x"),
        ),
        &["only files"],
    );
    let full_link = Header {
        link: b"./b".to_vec(),
        ..Header::new(b'1', "./a")
    }
    .sized(1);
    refuses(
        &with_data(
            &Tar::default()
                .file("./b", b"")
                .header(&full_link)
                .contents(b"x"),
        ),
        &["only files"],
    );
}

#[test]
fn deb_3_refuses_extended_headers_that_are_unclear() {
    for (records, words) in [
        (&b"garbage"[..], &["records of the form"][..]),
        (b"3 a", &["records of the form"]),
        (b"99 path=./a\n", &["records of the form"]),
        (b"0 path=./a\n", &["records of the form"]),
        (b"18446744073709551617 path=./a\n", &["records of the form"]),
        (b"12 path=./a\n12 path=./b\n", &["each key once"]),
        (b"31 SCHILY.xattr.user.one=value\n", &["SCHILY.xattr"]),
        (b"22 GNU.sparse.major=1\n", &["GNU.sparse"]),
        (b"12 size=-12\n", &["decimal digits"]),
        (b"9 path=\0\n", &["without NUL"]),
    ] {
        let tar = Tar::default()
            .entry(Header::new(b'x', "././@PaxHeader"), records)
            .file("./c", b"");
        refuses(&with_data(&tar), words);
    }
}

#[test]
fn deb_3_all_3_the_end_is_zeros_and_nothing_else() {
    let tar = Tar::default().file("./a", b"x").0;
    let package = |tar: &[u8]| {
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control().ended()),
            ("data.tar", tar),
        ])
    };
    let zeros = |blocks: usize| vec![0; 512 * blocks];
    assert!(unpack(&package(&[tar.clone(), zeros(2)].concat())).is_ok());
    assert!(unpack(&package(&[tar.clone(), zeros(20)].concat())).is_ok());
    refuses(&package(&tar), &["cut off"]);
    refuses(&package(&[tar.clone(), zeros(1)].concat()), &["cut off"]);
    refuses(
        &package(&[tar.clone(), zeros(2), b"\0".to_vec()].concat()),
        &["cut off"],
    );
    refuses(
        &package(&[tar.clone(), zeros(1), tar.clone(), zeros(2)].concat()),
        &["after the end", "zeros"],
    );
    refuses(
        &package(&[tar.clone(), zeros(40), b"x".to_vec()].concat()),
        &["after the end"],
    );
    refuses(&package(&tar[..700]), &["cut off"]);
}

#[test]
fn all_8_refuses_devices_and_other_kinds() {
    for (kind, word) in [
        (b'3', "device"),
        (b'4', "device"),
        (b'6', "pipe"),
        (b'7', "\"7\""),
        (b'S', "sparse"),
        (b'g', "global"),
        (b'M', "\"M\""),
    ] {
        refuses(
            &with_data(&Tar::default().header(&Header::new(kind, "./dev/null"))),
            &["type", word],
        );
    }
}

#[test]
fn all_5_refuses_paths_that_leave_the_image() {
    for (name, word) in [
        ("../etc/passwd", ".."),
        ("./usr/../../etc/passwd", ".."),
        ("/etc/passwd", "absolute"),
        (".//etc/passwd", "absolute"),
        ("./usr//bin", "empty part"),
        ("", "empty"),
        ("./a\nb", "line feed"),
        ("././a", "\".\""),
        ("./a/.", "\".\""),
    ] {
        refuses(&with_data(&Tar::default().file(name, b"x")), &[word]);
    }
    let bytes = Header {
        name: b"./caf\xe9".to_vec(),
        ..data("")
    };
    refuses(&with_data(&Tar::default().header(&bytes)), &["UTF-8"]);
    let long_part = format!("./{}", "n".repeat(256));
    let tar = Tar::default()
        .extended(&[("path", &long_part)])
        .file("./a", b"");
    refuses(&with_data(&tar), &["255 bytes"]);
    let deep = format!("./{}", "d/".repeat(65));
    let tar = Tar::default().extended(&[("path", &deep)]).directory("./a");
    refuses(&with_data(&tar), &["limits.path-depth"]);
    // What systemd's unit names need is legal.
    let unpacked = unpack(&with_data(&Tar::default().file("./a\\x2db c\u{e9}", b"x")));
    assert_eq!(
        unpacked.expect("a backslash").read("out/a\\x2db c\u{e9}"),
        b"x"
    );
}

#[test]
fn all_6_the_root_is_a_directory() {
    for kind in [b'0', b'2'] {
        let root = Header {
            link: b"/tmp".to_vec(),
            ..Header::new(kind, ".")
        };
        refuses(
            &with_data(&Tar::default().header(&root)),
            &["the root", "a directory"],
        );
    }
    refuses(
        &with_data(&Tar::default().symlink("./", "/tmp")),
        &["the root"],
    );
}

#[test]
fn all_7_refuses_second_entries_and_entries_below_links() {
    let twice = Tar::default().file("./a", b"1").file("./a", b"1");
    refuses(&with_data(&twice), &["exists already", "a regular file"]);
    let link_over = Tar::default().file("./a", b"1").symlink("./a", "/etc");
    refuses(
        &with_data(&link_over),
        &["exists already", "a symbolic link"],
    );
    let file_over = Tar::default().directory("./a").file("./a", b"");
    refuses(&with_data(&file_over), &["exists already as a directory"]);
    let through = Tar::default().symlink("./a", "/tmp").file("./a/evil", b"x");
    refuses(
        &with_data(&through),
        &["lies below a, which is a symbolic link"],
    );
    let below_file = Tar::default().file("./a", b"").directory("./a/b");
    refuses(
        &with_data(&below_file),
        &["lies below a, which is a regular file"],
    );
    assert!(
        unpack(&with_data(
            &Tar::default().directory("./a/").directory("./a")
        ))
        .is_ok()
    );
}

#[test]
fn deb_4_hard_links_are_copies_of_earlier_files() {
    let setuid = Header {
        mode: b"0004755\0".to_vec(),
        gid: b"0000052\0".to_vec(),
        ..data("./bin/a")
    };
    let tar = Tar::default()
        .entry(setuid, b"same")
        .link(b'1', "./bin/b", "./bin/a")
        .link(b'1', "./usr/bin/c", "bin/b");
    let unpacked = unpack(&with_data(&tar)).expect("three names of one file");
    for name in ["a", "b", "c"] {
        assert_eq!(unpacked.read(&format!("out/usr/bin/{name}")), b"same");
        let entry = format!(r#""usr/bin/{name}":{{"gid":42,"mode":"4755","uid":0}}"#);
        assert!(unpacked.modes().contains(&entry), "{}", unpacked.modes());
    }
    for target in [
        "./later",
        "./directory",
        "./symlink",
        "../out",
        "/etc/passwd",
        "./",
        "",
    ] {
        let tar = Tar::default()
            .directory("./directory")
            .symlink("./symlink", "/etc/passwd")
            .link(b'1', "./hard", target)
            .file("./later", b"");
        refuses(&with_data(&tar), &["./hard"]);
    }
}

#[test]
fn deb_4_symbolic_links_are_text() {
    let tar = Tar::default()
        .symlink("./absolute", "/etc/passwd")
        .symlink("./upward", "../../../../etc/shadow")
        .symlink("./dangling", "nothing here");
    let unpacked = unpack(&with_data(&tar)).expect("three links");
    assert_eq!(unpacked.link("out/absolute"), "/etc/passwd");
    assert_eq!(unpacked.link("out/upward"), "../../../../etc/shadow");
    assert_eq!(unpacked.link("out/dangling"), "nothing here");
    refuses(
        &with_data(&Tar::default().symlink("./a", "")),
        &["link target", "is empty"],
    );
    let bytes = Header {
        link: vec![0xff],
        ..Header::new(b'2', "./a")
    };
    refuses(
        &with_data(&Tar::default().header(&bytes)),
        &["link target", "UTF-8"],
    );
}
