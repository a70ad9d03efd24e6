//! What a program changed on a writable root.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cognix_sandbox::{Change, Entry, Kind, Mode, SandboxError, Secret, SecretPlace};

use crate::Test;
use crate::setting::{Ran, Setting};

pub(crate) const TESTS: &[Test] = &[
    ("nothing_done_is_no_change", nothing),
    ("additions_changes_and_removals_are_told", all_kinds),
    ("what_is_as_before_is_no_change", as_before),
    ("a_folder_made_anew_shows_what_went", made_anew),
    ("a_tree_takes_away_what_lies_below", removed_below),
    ("real_modes_of_folders_are_seen_and_kept", real_modes),
    ("mount_points_and_secrets_are_no_change", no_mount_points),
    ("pipes_cannot_be_kept_and_sockets_are_told", special_files),
    ("what_cannot_be_read_is_told_all_the_same", unreadable),
    (
        "links_are_not_followed_when_changes_are_read",
        hostile_links,
    ),
    ("without_overlays_all_is_the_same", without_overlays),
];

const TREE: &[(&str, &str)] = &[
    ("etc/keep", "keep\n"),
    ("etc/edit", "old\n"),
    ("opt/gone/a", "a\n"),
    ("opt/gone/b", "b\n"),
    ("opt/dir/x", "x\n"),
    ("opt/dir/y", "y\n"),
    ("opt/dir/sub/z", "z\n"),
];

/// The changes as short lines.
#[track_caller]
pub(crate) fn told(ran: &Ran) -> BTreeMap<String, String> {
    ran.good();
    let changes = ran
        .result
        .as_ref()
        .expect("it ran")
        .changes
        .as_ref()
        .expect("changes");
    changes
        .entries
        .iter()
        .map(|(path, change)| (path.display().to_string(), word(change)))
        .collect()
}

fn word(change: &Change) -> String {
    match change {
        Change::Unchanged => "unchanged".to_owned(),
        Change::Removed => "removed".to_owned(),
        Change::Present(Entry {
            kind,
            mode,
            uid,
            gid,
        }) => {
            let what = match kind {
                Kind::File { bytes, size } => {
                    let text = fs::read(bytes).expect("the bytes are there");
                    assert_eq!(text.len() as u64, *size);
                    format!("file {:?}", String::from_utf8_lossy(&text))
                }
                Kind::Directory => "dir".to_owned(),
                Kind::Symlink { target } => format!("link {}", target.display()),
            };
            let owner = if (*uid, *gid) == (0, 0) {
                String::new()
            } else {
                format!(" {uid}:{gid}")
            };
            format!("{what} {mode:o}{owner}")
        }
    }
}

#[track_caller]
pub(crate) fn check(setting: &Setting, script: &str, expected: &[(&str, &str)]) {
    let ran = setting.sh(script);
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(path, word)| ((*path).to_owned(), (*word).to_owned()))
        .collect();
    assert_eq!(told(&ran), expected, "{script}");
}

thread_local! {
    /// Whether settings of this thread go without overlays.
    static WITHOUT: Cell<bool> = const { Cell::new(false) };
}

/// Roots from links and copies hold all that roots from overlays hold.
fn without_overlays() {
    WITHOUT.set(true);
    for (name, test) in TESTS {
        if *name != "without_overlays_all_is_the_same" {
            test();
        }
    }
    WITHOUT.set(false);
    let mut setting = Setting::builder();
    setting.sandbox = setting.sandbox.clone().without_overlays();
    let tree = setting.tree(TREE);
    assert_eq!(
        setting
            .sh("cat /opt/dir/x; echo x > /opt/dir/x || echo refused; pwd")
            .good()
            .lines()
            .last(),
        Some("/")
    );
    assert_eq!(
        fs::read_to_string(tree.join("opt/dir/x")).expect("it is there"),
        "x\n"
    );
}

fn setting() -> Setting {
    let mut setting = Setting::root();
    if WITHOUT.get() {
        setting.sandbox = setting.sandbox.clone().without_overlays();
    }
    setting.tree(TREE);
    setting
}

fn nothing() {
    check(&setting(), "true", &[]);
    check(
        &setting(),
        "cat /etc/keep > /dev/null; ls -R /opt > /dev/null; echo x > /dev/shm/x",
        &[],
    );
}

fn all_kinds() {
    check(
        &setting(),
        "set -e
        echo new > /etc/edit
        mkdir -p /new/deep; echo f > /new/deep/file; chmod 700 /new; chmod 755 /new/deep/file
        ln -s ../target /new/link
        rm -r /opt/gone; rm /opt/dir/x
        echo user > /etc/passwd; echo t > /tmp/file",
        &[
            ("etc", "unchanged"),
            ("etc/edit", "file \"new\\n\" 644"),
            ("etc/passwd", "file \"user\\n\" 644"),
            ("new", "dir 700"),
            ("new/deep", "dir 755"),
            ("new/deep/file", "file \"f\\n\" 755"),
            ("new/link", "link ../target 777"),
            ("opt", "unchanged"),
            ("opt/dir", "unchanged"),
            ("opt/dir/x", "removed"),
            ("opt/gone", "removed"),
            ("tmp", "dir 1777"),
            ("tmp/file", "file \"t\\n\" 644"),
        ],
    );
}

fn as_before() {
    check(
        &setting(),
        "set -e
        touch /etc/keep; echo new > /etc/edit; echo old > /etc/edit
        rm /opt/dir/y; echo y > /opt/dir/y
        mkdir /opt/dir/extra; rmdir /opt/dir/extra
        chmod 700 /opt/dir; chmod 755 /opt/dir
        rm /etc/passwd",
        &[],
    );
    check(
        &setting(),
        "chmod 600 /etc/keep; chmod 711 /opt",
        &[
            ("etc", "unchanged"),
            ("etc/keep", "file \"keep\\n\" 600"),
            ("opt", "dir 711"),
        ],
    );
}

fn made_anew() {
    check(
        &setting(),
        "set -e
        rm -r /opt/dir; mkdir -p /opt/dir/sub; echo y > /opt/dir/y; echo n > /opt/dir/n
        rm -r /opt/gone; echo file > /opt/gone",
        &[
            ("opt", "unchanged"),
            ("opt/dir", "unchanged"),
            ("opt/dir/n", "file \"n\\n\" 644"),
            ("opt/dir/sub", "unchanged"),
            ("opt/dir/sub/z", "removed"),
            ("opt/dir/x", "removed"),
            ("opt/gone", "file \"file\\n\" 644"),
        ],
    );
}

fn removed_below() {
    let mut setting = setting();
    setting.tree(&[("opt/dir/new", "new\n")]);
    let top = setting.request.root.last_mut().expect("a tree");
    top.removed = vec![PathBuf::from("opt/gone"), PathBuf::from("opt/dir/sub")];
    assert_eq!(
        setting.sh("cd /opt; ls -d * dir/*").good(),
        "dir\ndir/new\ndir/x\ndir/y"
    );
    // What a tree took away and comes back is new; what is gone already cannot go.
    check(
        &setting,
        "mkdir -p /opt/gone /opt/dir/sub; echo a > /opt/gone/a; rmdir /opt/dir/sub",
        &[
            ("opt", "unchanged"),
            ("opt/gone", "dir 755"),
            ("opt/gone/a", "file \"a\\n\" 644"),
        ],
    );
}

fn real_modes() {
    let mut setting = setting();
    setting.tree(&[
        ("var/tmp/", ""),
        ("var/mail/", ""),
        ("etc/shadow", "secret\n"),
    ]);
    let modes = &mut setting.request.root.last_mut().expect("a tree").modes;
    for (path, mode, gid) in [
        ("var/tmp", 0o1777, 0),
        ("var/mail", 0o2775, 8),
        ("etc/shadow", 0o640, 42),
    ] {
        modes.insert(PathBuf::from(path), Mode { mode, uid: 0, gid });
    }
    assert_eq!(setting.sh("stat -c '%a' /var/tmp").good(), "1777");
    check(
        &setting,
        "echo x > /var/tmp/x; echo m > /var/mail/m; echo more >> /etc/shadow",
        &[
            ("etc", "unchanged"),
            ("etc/shadow", "file \"secret\\nmore\\n\" 640 0:42"),
            ("var", "unchanged"),
            ("var/mail", "unchanged"),
            ("var/mail/m", "file \"m\\n\" 644"),
            ("var/tmp", "unchanged"),
            ("var/tmp/x", "file \"x\\n\" 644"),
        ],
    );
}

fn no_mount_points() {
    let mut setting = setting();
    setting.request.secrets.push(Secret {
        place: SecretPlace::File {
            target: PathBuf::from("/run/secrets/token"),
            mode: 0o400,
        },
        value: b"hunter2".to_vec(),
    });
    let data = setting.folder().join("data");
    fs::create_dir(&data).expect("a folder");
    setting.request.mounts.push(cognix_sandbox::Mount {
        source: data,
        target: PathBuf::from("/srv/data"),
        writable: true,
    });
    let ran = setting.sh("tr -d 2 < /run/secrets/token; stat -c ' %a' /run/secrets/token; echo x > /srv/data/x; echo y > /etc/hosts");
    assert_eq!(ran.good(), "hunter 400");
    assert_eq!(told(&ran), BTreeMap::new());
}

fn special_files() {
    let ran = setting().sh("mkfifo /opt/pipe");
    match ran.result {
        Err(SandboxError::Kind { path, .. }) => assert_eq!(path, Path::new("opt/pipe")),
        other => panic!("{other:?}"),
    }
    let ran = setting()
        .sh("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/opt/socket\")'");
    ran.good();
    let changes = ran.result.expect("it ran").changes.expect("changes");
    assert_eq!(changes.sockets, [Path::new("opt/socket")]);
    assert!(changes.entries.is_empty());
}

fn unreadable() {
    check(
        &setting(),
        "mkdir -p /opt/new; echo x > /opt/new/x; chmod 0 /opt/new/x /opt/new",
        &[
            ("opt", "unchanged"),
            ("opt/new", "dir 0"),
            ("opt/new/x", "file \"x\\n\" 0"),
        ],
    );
}

fn hostile_links() {
    check(
        &setting(),
        "rm -r /opt/dir; ln -s /etc /opt/dir; ln -s / /all",
        &[
            ("all", "link / 777"),
            ("opt", "unchanged"),
            ("opt/dir", "link /etc 777"),
        ],
    );
}
