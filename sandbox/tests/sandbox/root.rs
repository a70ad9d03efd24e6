//! Root without root: owners, set-id modes, other identities. The same for the host's root and for an ordinary user.

use std::fs;

use cognix_sandbox::{Access, Identity, Mode};

use crate::Test;
use crate::changes::check;
use crate::setting::Setting;

pub(crate) const TESTS: &[Test] = &[
    ("owners_are_recorded", owners),
    ("what_stays_as_it_is_is_not_copied", untouched),
    ("owners_of_symlinks_are_recorded", symlinks),
    ("owners_are_found_from_every_folder_and_root", places),
    (
        "box_4_set_id_modes_are_recorded_and_never_on_the_disk",
        set_id,
    ),
    ("box_4_builders_cannot_make_set_id_files", builder),
    ("identities_can_be_changed", identities),
    ("box_4_devices_cannot_be_made", devices),
    ("attributes_are_neither_seen_nor_kept", attributes),
    ("a_user_can_be_added", user_added),
    ("files_look_as_they_are_in_truth", looks),
    ("copies_carry_on_what_was_seen", copies),
    ("packages_and_archives_are_unpacked_as_by_root", packages),
];

fn setting() -> Setting {
    let mut setting = Setting::root();
    setting.tree(&[("srv/a", "a\n"), ("srv/b/c", "c\n")]);
    setting
}

fn owners() {
    check(
        &setting(),
        "set -e
        chown 7:8 /srv/a; chgrp 9 /srv/b
        echo x > /srv/x; chown 5 /srv/x; chown :6 /srv/x
        echo y > /srv/y; chown 5:5 /srv/y; mv /srv/y /srv/z; chown 0:0 /srv/z
        echo t > /dev/shm/t; chown 5 /dev/shm/t; chown 5 /dev/null /dev/stdout",
        &[
            ("srv", "unchanged"),
            ("srv/a", "file \"a\\n\" 644 7:8"),
            ("srv/b", "dir 755 0:9"),
            ("srv/x", "file \"x\\n\" 644 5:6"),
            ("srv/z", "file \"y\\n\" 644"),
        ],
    );
    // A recursive change reaches what lies in the trees below.
    check(
        &setting(),
        "chown -R 1:1 /srv",
        &[
            ("srv", "dir 755 1:1"),
            ("srv/a", "file \"a\\n\" 644 1:1"),
            ("srv/b", "dir 755 1:1"),
            ("srv/b/c", "file \"c\\n\" 644 1:1"),
        ],
    );
    let missing = setting().sh("chown 1 /srv/missing; chown 1 /usr/bin/env; true");
    let log = missing.good();
    assert!(
        log.contains("No such file or directory") && log.contains("Read-only file system"),
        "{log}"
    );
}

/// A recursive command that changes nothing copies nothing.
fn untouched() {
    let setting = owned();
    check(
        &setting,
        "chown -R 0:0 /srv /etc/passwd; chmod -R u+rwX,go+rX /srv; chown :42 /etc/shadow; chmod 640 /etc/shadow",
        &[],
    );
    let upper = setting.folder().join("work/upper");
    assert!(!upper.join("srv").exists() && !upper.join("etc/shadow").exists());
}

fn symlinks() {
    let mut setting = setting();
    std::os::unix::fs::symlink("a", setting.folder().join("link")).expect("a link");
    let tree = setting.tree(&[("old/", "")]);
    let old = tree.join("old");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).expect("a mode");
    std::os::unix::fs::symlink("a", old.join("below")).expect("a link");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o555)).expect("a mode");
    check(
        &setting,
        "ln -s a /srv/new; chown -h 3:4 /srv/new; chown -h 5:6 /old/below; ln -s a /srv/gone; chown -h 1:1 /srv/gone; rm /srv/gone; ln -s a /srv/gone",
        &[
            ("old", "unchanged"),
            ("old/below", "link a 777 5:6"),
            ("srv", "unchanged"),
            ("srv/gone", "link a 777"),
            ("srv/new", "link a 777 3:4"),
        ],
    );
}

fn places() {
    check(
        &setting(),
        "set -e
        cd /srv/b; chown 1:1 c; chown 2:2 ../a
        mkdir -p /jail/usr /jail/dir; ln -s /file /jail/dir/link
        python3 -c '
import os
os.chroot(\"/jail\"); os.chdir(\"/dir\")
open(\"/file\", \"w\").close()
os.chown(\"link\", 3, 3)
os.chown(\"/dir\", 4, 4)
os.chown(\"../../dir/../file\", -1, 5)
with open(\"by-descriptor\", \"w\") as f: os.fchown(f.fileno(), 6, 6)
d = os.open(\"/dir\", os.O_RDONLY)
os.chown(\"by-descriptor\", 7, -1, dir_fd=d)
'",
        &[
            ("jail", "dir 755"),
            ("jail/dir", "dir 755 4:4"),
            ("jail/dir/by-descriptor", "file \"\" 644 7:6"),
            ("jail/dir/link", "link /file 777"),
            ("jail/file", "file \"\" 644 3:5"),
            ("jail/usr", "dir 755"),
            ("srv", "unchanged"),
            ("srv/a", "file \"a\\n\" 644 2:2"),
            ("srv/b", "unchanged"),
            ("srv/b/c", "file \"c\\n\" 644 1:1"),
        ],
    );
}

fn set_id() {
    let setting = setting();
    check(
        &setting,
        "set -e
        echo s > /srv/s; chmod 4755 /srv/s; echo g > /srv/g; chmod 6711 /srv/g
        echo n > /srv/n; chmod 4755 /srv/n; chmod 755 /srv/n
        echo o > /srv/o; chmod 4755 /srv/o; chown 1:1 /srv/o
        mkdir /srv/d; chmod 2775 /srv/d; chmod 1777 /srv/b",
        &[
            ("srv", "unchanged"),
            ("srv/b", "dir 1777"),
            ("srv/d", "dir 2775"),
            ("srv/g", "file \"g\\n\" 6711"),
            ("srv/n", "file \"n\\n\" 755"),
            ("srv/o", "file \"o\\n\" 755 1:1"),
            ("srv/s", "file \"s\\n\" 4755"),
        ],
    );
    let mut folders = vec![setting.folder().join("work")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the workspace") {
            use std::os::unix::fs::MetadataExt;
            let entry = entry.expect("an entry");
            let found = entry.path().symlink_metadata().expect("an entry");
            assert_eq!(found.mode() & 0o6000, 0, "{}", entry.path().display());
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
}

/// Every way to a set-id file, one per line.
const WAYS: &str = "
import os, ctypes
libc = ctypes.CDLL(None, use_errno=True)
open('/tmp/f', 'w').close()
def attempt(name, call):
    try:
        result = call()
    except OSError:
        result = -1
    bits = [n for n in os.listdir('/tmp') if os.lstat('/tmp/' + n).st_mode & 0o6000]
    print(name, 'made' if bits else 'refused')
    for n in bits: os.chmod('/tmp/' + n, 0o755)
attempt('chmod', lambda: os.chmod('/tmp/f', 0o4755))
attempt('fchmod', lambda: os.fchmod(os.open('/tmp/f', os.O_RDONLY), 0o2755))
attempt('fchmodat', lambda: libc.syscall(268, -100, b'/tmp/f', 0o4755))
attempt('fchmodat2', lambda: libc.syscall(452, -100, b'/tmp/f', 0o4755, 0))
attempt('open', lambda: libc.syscall(2, b'/tmp/open', os.O_CREAT | os.O_WRONLY, 0o4755))
attempt('openat', lambda: os.open('/tmp/openat', os.O_CREAT | os.O_WRONLY, 0o6755))
attempt('creat', lambda: libc.syscall(85, b'/tmp/creat', 0o4755))
attempt('mknod', lambda: os.mknod('/tmp/mknod', 0o104755))
attempt('openat2', lambda: libc.syscall(437, -100, b'/tmp/openat2', (ctypes.c_uint64 * 3)(0o101, 0o4755, 0), 24))
";

fn builder() {
    let log = Setting::builder()
        .run("/usr/bin/python3", &["-c", WAYS])
        .good();
    assert_eq!(log.lines().count(), 9, "{log}");
    assert!(log.lines().all(|line| line.ends_with("refused")), "{log}");
    // The control: outside, each of them works.
    let folder = tempfile::tempdir().expect("a folder");
    let ways = WAYS.replace("/tmp", folder.path().to_str().expect("a plain name"));
    let output = std::process::Command::new("/usr/bin/python3")
        .args(["-c", &ways])
        .output()
        .expect("python");
    let log = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        log.lines().filter(|line| line.ends_with("made")).count(),
        9,
        "{log}"
    );
}

fn identities() {
    let script = "
import os
os.setgroups([1, 2]); os.setgid(5); os.setuid(5)
os.setresuid(6, 6, 6); os.setregid(7, 7)
print('changed')
";
    let ran = setting().run("/usr/bin/python3", &["-c", script]);
    assert_eq!(ran.good(), "changed");
}

fn devices() {
    for identity in [Identity::Builder, Identity::Root] {
        let setting = Setting::new(identity, Access::ReadOnly);
        let log = setting.sh("mknod /tmp/d c 1 3; mknod /tmp/b b 8 0; mknod /tmp/w c 0 0; mkfifo /tmp/p && ls /tmp").good();
        assert_eq!(log.matches("Operation not permitted").count(), 3, "{log}");
        assert!(log.ends_with("\np"), "{log}");
    }
}

fn attributes() {
    let script = "
import os
open('/srv/x', 'w').close()
os.chown('/srv/x', 5, 5)
print(os.listxattr('/srv/x'))
for name in ('user.cognix.owner', 'user.mine', 'security.capability', 'user.overlay.opaque'):
    for call in (lambda: os.setxattr('/srv/x', name, b'0:0:6000'), lambda: os.getxattr('/srv/x', name)):
        try:
            call()
            print('made', name)
        except OSError:
            pass
";
    check(
        &setting(),
        &format!(
            "python3 -c \"{script}\" > /dev/shm/log; grep -q '^\\[\\]$' /dev/shm/log; test $(wc -l < /dev/shm/log) = 1"
        ),
        &[("srv", "unchanged"), ("srv/x", "file \"\" 644 5:5")],
    );
}

fn user_added() {
    let mut setting = setting();
    setting.tree(&[
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/skel/.profile", "hello\n"),
        ("home/", ""),
    ]);
    check(
        &setting,
        "/usr/sbin/groupadd -g 1234 app && /usr/sbin/useradd -u 1234 -g 1234 -m -s /bin/sh app && rm -f /etc/*- /etc/.pwd.lock && ls -ld /home/app",
        &[
            ("etc", "unchanged"),
            ("etc/group", "file \"root:x:0:\\napp:x:1234:\\n\" 644"),
            (
                "etc/passwd",
                "file \"root:x:0:0:root:/root:/bin/sh\\napp:!:1234:1234::/home/app:/bin/sh\\n\" 644",
            ),
            ("home", "unchanged"),
            ("home/app", "dir 755 1234:1234"),
            ("home/app/.profile", "file \"hello\\n\" 644 1234:1234"),
        ],
    );
}

/// A setting with modes and owners that a store cannot hold.
fn owned() -> Setting {
    let mut setting = setting();
    setting.tree(&[
        ("etc/shadow", "s\n"),
        ("bin2/su", "su\n"),
        ("var/mail/", ""),
        ("var/tmp/", ""),
        ("srv/plain", "p\n"),
    ]);
    let modes = &mut setting.request.root.last_mut().expect("a tree").modes;
    for (path, mode, uid, gid) in [
        ("etc/shadow", 0o640, 0, 42),
        ("bin2/su", 0o4755, 0, 0),
        ("var/mail", 0o2775, 0, 8),
        ("var/tmp", 0o1777, 0, 0),
    ] {
        modes.insert(path.into(), Mode { mode, uid, gid });
    }
    setting
}

fn looks() {
    for overlays in [true, false] {
        let mut setting = owned();
        if !overlays {
            setting.sandbox = setting.sandbox.clone().without_overlays();
        }
        let script = "set -e
            cd /; stat -c '%n %a %u:%g' etc/shadow bin2/su var/mail var/tmp srv srv/plain
            chown 7:8 srv/plain; chmod 4711 srv/plain; stat -c '%n %a %u:%g' srv/plain
            ln -s x srv/link; chown -h 5:6 srv/link; stat -c '%n %u:%g' srv/link
            chmod 444 srv/a; stat -c '%n %a' srv/a
            touch srv/new; chmod 444 srv/new; stat -c '%n %a' srv/new; chmod 644 srv/new
            python3 -c 'import os
for s in os.stat(\"/etc/shadow\"), os.lstat(\"/etc/shadow\"), os.fstat(os.open(\"/etc/shadow\", os.O_RDONLY)), os.stat(\"shadow\", dir_fd=os.open(\"/etc\", os.O_RDONLY)):
    print(\"%o %d:%d %d\" % (s.st_mode, s.st_uid, s.st_gid, s.st_size))'";
        let ran = setting.sh(script);
        assert_eq!(
            ran.good().lines().collect::<Vec<_>>(),
            [
                "etc/shadow 640 0:42",
                "bin2/su 4755 0:0",
                "var/mail 2775 0:8",
                "var/tmp 1777 0:0",
                "srv 755 0:0",
                "srv/plain 644 0:0",
                "srv/plain 4711 7:8",
                "srv/link 5:6",
                "srv/a 444",
                "srv/new 444",
                "100640 0:42 2",
                "100640 0:42 2",
                "100640 0:42 2",
                "100640 0:42 2",
            ],
            "with overlays: {overlays}"
        );
        let expected = [
            ("srv", "unchanged"),
            ("srv/a", "file \"a\\n\" 444"),
            ("srv/link", "link x 777 5:6"),
            ("srv/new", "file \"\" 644"),
            ("srv/plain", "file \"p\\n\" 4711 7:8"),
        ];
        let told = crate::changes::told(&ran);
        let told: Vec<(&str, &str)> = told
            .iter()
            .map(|(path, word)| (path.as_str(), word.as_str()))
            .collect();
        assert_eq!(told, expected, "with overlays: {overlays}");
    }
}

fn copies() {
    check(
        &owned(),
        "set -e
        cp -a /etc/shadow /etc/shadow-; cp -p /bin2/su /bin2/su2; cp -a /var/mail /var/mail2
        mv /srv/a /srv/moved; cp /srv/plain /srv/plain2
        sed -i s/p/q/ /srv/plain; install -m 444 /srv/b/c /srv/installed
        cp -p /etc/shadow /etc/tmp; echo t >> /etc/tmp; mv /etc/tmp /etc/shadow",
        &[
            ("bin2", "unchanged"),
            ("bin2/su2", "file \"su\\n\" 4755"),
            ("etc", "unchanged"),
            ("etc/shadow", "file \"s\\nt\\n\" 640 0:42"),
            ("etc/shadow-", "file \"s\\n\" 640 0:42"),
            ("srv", "unchanged"),
            ("srv/a", "removed"),
            ("srv/installed", "file \"c\\n\" 444"),
            ("srv/moved", "file \"a\\n\" 644"),
            ("srv/plain", "file \"q\\n\" 644"),
            ("srv/plain2", "file \"p\\n\" 644"),
            ("var", "unchanged"),
            ("var/mail2", "dir 2775 0:8"),
        ],
    );
}

/// What real tools do: a package with a script, and an archive with owners and modes.
fn packages() {
    let mut setting = setting();
    setting.tree(&[
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n",
        ),
        ("etc/group", "root:x:0:\ndaemon:x:1:\n"),
        ("var/lib/dpkg/status", ""),
        ("var/lib/dpkg/info/", ""),
        ("var/lib/dpkg/updates/", ""),
        ("var/lib/dpkg/triggers/", ""),
        ("opt/", ""),
    ]);
    check(
        &setting,
        "set -e
        mkdir /dev/shm/w; cd /dev/shm/w; mkdir -p p/DEBIAN p/opt/x p/srv/d
        printf 'Package: x\\nVersion: 1\\nArchitecture: all\\nMaintainer: m <m@m>\\nDescription: x\\n' > p/DEBIAN/control
        printf '#!/bin/sh\\nset -e\\nchown daemon:daemon /srv/d\\nchmod 2770 /srv/d' > p/DEBIAN/postinst
        chmod 755 p/DEBIAN/postinst; echo s > p/opt/x/s; ln -s s p/opt/x/l
        dpkg-deb -b p p.deb
        mv p /tmp/q; cd /tmp/q/opt/x; chmod 4755 s; chown 5:6 .; chown -h 7:8 l; chmod 700 /tmp/q/srv
        tar cf /dev/shm/w/t.tar -C /tmp/q opt srv
        dpkg -i /dev/shm/w/p.deb; rm -r /var/lib/dpkg; mkdir /opt/t; tar xpf /dev/shm/w/t.tar -C /opt/t
        chmod 1777 /proc/self/fd/9 9< /opt/t/srv; rm -r /tmp/q",
        &[
            ("opt", "unchanged"),
            ("opt/t", "dir 755"),
            ("opt/t/opt", "dir 755"),
            ("opt/t/opt/x", "dir 755 5:6"),
            ("opt/t/opt/x/l", "link s 777 7:8"),
            ("opt/t/opt/x/s", "file \"s\\n\" 4755"),
            ("opt/t/srv", "dir 1777"),
            ("opt/t/srv/d", "dir 755"),
            ("opt/x", "dir 755"),
            ("opt/x/l", "link s 777"),
            ("opt/x/s", "file \"s\\n\" 644"),
            ("srv", "unchanged"),
            ("srv/d", "dir 2770 1:1"),
            ("var", "unchanged"),
            ("var/lib", "unchanged"),
            ("var/lib/dpkg", "removed"),
        ],
    );
}
