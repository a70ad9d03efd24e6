use super::*;

/// A layer of rows: `d:path`, `f:path=content`, `l:path>target`, each with a mode in octal behind a blank.
fn layer(rows: &[&str]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for row in rows {
        let (row, mode) = row.rsplit_once(' ').unwrap_or((row, "755"));
        let mut header = tar::Header::new_ustar();
        header.set_mode(u32::from_str_radix(mode, 8).expect("octal digits"));
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        header.set_uid(uid.as_raw().into());
        header.set_gid(gid.as_raw().into());
        let (kind, rest) = row.split_at(2);
        let added = match kind {
            "d:" => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                archive.append_data(&mut header, format!("{rest}/"), &[][..])
            }
            "l:" => {
                let (path, target) = rest.split_once('>').expect("a target");
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, path, target)
            }
            _ => {
                let (path, content) = rest.split_once('=').expect("a content");
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, path, content.as_bytes())
            }
        };
        added.expect("a sound entry");
    }
    archive.into_inner().expect("in memory")
}

fn unpack(root: &Path, layers: &[&[&str]]) -> Result<(), ContainerError> {
    let mut directories = Vec::new();
    for rows in layers {
        directories.extend(unpack_layer("layer", &*layer(rows), root, false)?);
    }
    close(directories)
}

/// What is below a root, each with its mode.
fn listing(root: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            let there = path.symlink_metadata().expect("it is there");
            let name = path
                .strip_prefix(root)
                .expect("below")
                .display()
                .to_string();
            let mode = there.permissions().mode() & 0o7777;
            if there.is_dir() {
                rows.push(format!("d:{name} {mode:o}"));
                waiting.push(path);
            } else if there.is_symlink() {
                rows.push(format!("l:{name}"));
            } else {
                let content = fs::read_to_string(&path).expect("readable");
                rows.push(format!("f:{name}={content} {mode:o}"));
            }
        }
    }
    rows.sort();
    rows
}

fn check(layers: &[&[&str]], expected: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    unpack(folder.path(), layers).expect("our own layers");
    assert_eq!(listing(folder.path()), expected, "{layers:?}");
}

#[test]
fn later_layers_change_and_remove() {
    let below: &[&str] = &[
        "d:a",
        "f:a/x=1 644",
        "f:a/y=2 600",
        "d:a/z",
        "f:a/z/w=3",
        "l:b>a",
    ];
    check(
        &[
            below,
            &[
                "d:a 700",
                "f:a/.wh.x= 644",
                "f:a/.wh.z= 644",
                "f:a/y=new 4755",
            ],
        ],
        &["d:a 700", "f:a/y=new 4755", "l:b"],
    );
    check(&[below, &["f:.wh.a= 644", "f:.wh.b= 644"]], &[]);
    // A directory becomes a file, a link a directory, a file a link.
    check(
        &[
            below,
            &["d:a", "f:a/z=0 644", "d:b", "f:b/c=1 644", "l:a/x>y"],
        ],
        &[
            "d:a 755",
            "d:b 755",
            "f:a/y=2 600",
            "f:a/z=0 644",
            "f:b/c=1 644",
            "l:a/x",
        ],
    );
}

#[test]
fn a_closed_directory_is_closed_at_the_end() {
    check(
        &[
            &["d:a 500", "f:a/x=1 444"],
            &["d:a 500", "f:a/y=2 444", "f:a/.wh.x= 644"],
        ],
        &["d:a 500", "f:a/y=2 444"],
    );
    check(&[&["d:a 500"], &["d:a 755"]], &["d:a 755"]);
    check(&[&["d:a 500"], &["d:a 700"]], &["d:a 700"]);
    check(&[&["d:a 500"], &["f:a=1 644"]], &["f:a=1 644"]);
}

#[test]
fn all_6_nothing_outside_the_root_is_touched() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    fs::write(outside.path().join("kept"), "text").expect("writable");
    let link = format!("l:out>{}", outside.path().display());
    for hostile in [
        "f:out/.wh.kept= 644",
        "f:out/kept=changed 644",
        "d:out/new 500",
        "f:.wh...= 644",
        "f:.wh..= 644",
        "f:.wh.= 644",
        "f:.wh.absent= 644",
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        unpack(folder.path(), &[&[&link], &[hostile]]).expect_err(hostile);
        assert_eq!(listing(outside.path()), ["f:kept=text 644"], "{hostile}");
        assert!(folder.path().is_dir(), "{hostile}");
    }
}
