//! Attempts to get out of the root, the process namespace and the rights of a build (BOX-1, BOX-2, BOX-4).

use std::fs;
use std::path::PathBuf;

use cognix_sandbox::{Access, Identity, Mount};

use crate::Test;
use crate::probes::{Probe, hold, privileged, probe};
use crate::setting::Setting;

pub(crate) const TESTS: &[Test] = &[
    ("box_4_no_probe_escapes", probes),
    ("box_2_mount_targets_stay_in_the_root", targets),
    ("trees_are_never_written", trees),
    ("box_4_other_system_calls_do_not_exist", unknown_calls),
];

const PROBES: &[Probe] = &[
    probe("a file of the host", "reached('VICTIM' in open('{folder}/secret').read())"),
    probe("a file by many parents", "reached('VICTIM' in open('../' * 50 + '{folder}/secret').read())"),
    probe("a file below another process's root", "reached('VICTIM' in open('/proc/{victim}/root{folder}/secret').read())"),
    probe("a file below another process's folder", "
os.chdir('/proc/{victim}/cwd'); reached('VICTIM' in open('../' * 50 + '{folder}/secret').read())"),
    probe("a file through a link", "
import tempfile
link = tempfile.mktemp(); os.symlink('{folder}/secret', link)
try: text = open(link).read()
finally: os.unlink(link)
reached('VICTIM' in text)"),
    probe("shared memory by name", "reached('VICTIM' in open('/dev/shm/{name}').read())"),
    probe("shared memory by number", "
libc.shmat.restype = ctypes.c_void_p; reached(libc.shmat({shm}, None, 0) != ctypes.c_void_p(-1).value)"),
    probe("the list of shared memory", "reached(any(l.split()[1:2] == ['{shm}'] for l in open('/proc/sysvipc/shm')))"),
    probe("a process of the host", "os.kill({pid}, 0); reached()"),
    probe("a process's own folder", "reached(bool(os.listdir('/proc/{pid}')))"),
    probe("a process's environment", "reached(b'VICTIM' in open('/proc/{victim}/environ', 'rb').read())"),
    probe("a process's program", "reached(len(open('/proc/{victim}/exe', 'rb').read(4)) == 4)"),
    probe("a process's memory", "
import re
start = int(open('/proc/{victim}/maps').readline().split('-')[0], 16)
f = open('/proc/{victim}/mem', 'rb', 0); f.seek(start); reached(len(f.read(4)) == 4)"),
    probe("a process's memory by call", "
here = ctypes.create_string_buffer(4)
start = int(open('/proc/{victim}/maps').readline().split('-')[0], 16)
class V(ctypes.Structure): _fields_ = [('b', ctypes.c_void_p), ('n', ctypes.c_size_t)]
l, r = V(ctypes.addressof(here), 4), V(start, 4)
reached(call(310, {victim}, ctypes.byref(l), 1, ctypes.byref(r), 1, 0) == 4)"),
    probe("tracing", "call(101, 16, {victim}, 0, 0); os.waitpid({victim}, 0x40000000); call(101, 17, {victim}, 0, 0); reached()"),
    probe("a process's descriptor", "fd = call(434, {victim}, 0); call(438, fd, 0, 0); reached()"),
    probe("a user namespace", "call(272, 0x10000000); reached()"),
    probe("a user namespace by clone", "
pid = call(56, 0x10000011, 0, 0, 0, 0)
if pid == 0: os._exit(0)
os.waitpid(pid, 0); reached()"),
    probe("a user namespace by clone3", "
args = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, 17)
pid = call(435, args, 64)
if pid == 0: os._exit(0)
os.waitpid(pid, 0); reached()"),
    probe("a key", "reached(call(248, b'user', b'cognix-probe', b'x', 1, -2) > 0)"),
    probe("a ring of system calls", "
params = ctypes.create_string_buffer(120); call(425, 4, params); reached()"),
    probe("a new file system", "
try: call(272, 0x10020000)
except OSError: pass
call(430, b'tmpfs', 0); reached()"),
    probe("a mount", "
try: call(272, 0x10020000)
except OSError: pass
call(165, b'x', b'/tmp', b'tmpfs', 0, 0); reached()"),
    probe("an older kind of program", "
import mmap
code = mmap.mmap(-1, 4096, prot=7); code.write(bytes.fromhex('53b814000000cd805bc3'))
f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
reached(f() == os.getpid())"),
    probe("more devices", "reached(bool({'kmsg', 'mem', 'sda', 'vda', 'kvm', 'tty', 'console'} & set(os.listdir('/dev'))))"),
    probe("the machine's folder", "reached(bool(os.listdir('/sys')))"),
    probe("the machine's interrupts", "reached(len(open('/proc/interrupts').read()) > 0)"),
    privileged("a way out of a changed root", "
import tempfile
base = tempfile.mkdtemp(); os.mkdir(base + '/jail')
try:
    os.chroot(base); os.mkdir('/inner') if not os.path.exists('/inner') else None
    fd = os.open('/', os.O_RDONLY); os.chroot('/inner'); os.fchdir(fd)
    for _ in range(50): os.chdir('..')
    os.chroot('.')
    text = open('{folder}/secret').read()
finally:
    import shutil; shutil.rmtree(base, True)
reached('VICTIM' in text)"),
    privileged("a file by its handle", "
class H(ctypes.Structure): _fields_ = [('n', ctypes.c_uint), ('t', ctypes.c_int), ('h', ctypes.c_char * 128)]
h, m = H(128), ctypes.c_int()
call(303, -100, b'/usr/bin/env', ctypes.byref(h), ctypes.byref(m), 0)
fd = call(304, os.open('/usr', os.O_RDONLY), ctypes.byref(h), 0); reached(len(os.read(fd, 4)) == 4)"),
    privileged("another process's namespace", "fd = os.open('/proc/{victim}/ns/uts', os.O_RDONLY); call(308, fd, 0); reached()"),
    privileged("a setting of the kernel", "v = open('/proc/sys/kernel/pid_max').read(); open('/proc/sys/kernel/pid_max', 'w').write(v); reached()"),
    privileged("the kernel's log", "reached(call(103, 10, 0, 0) > 0)"),
    privileged("a device", "
import tempfile
node = tempfile.mktemp(); os.mknod(node, 0o20666, os.makedev(1, 11)); os.unlink(node); reached()"),
    privileged("a program of the kernel", "
attr = struct.pack('=IIIII', 2, 4, 8, 1, 0) + b'\\0' * 100
reached(call(321, 0, attr, len(attr)) > 0)"),
    privileged("the host name", "socket.sethostname(socket.gethostname()); reached()"),
    privileged("the scheduler's best place", "os.nice(-5); reached()"),
    privileged(
        "the clock",
        "t = ctypes.create_string_buffer(208); call(159, t); t[0:4] = struct.pack('=I', 0x4000); reached(call(159, t) >= 0)",
    ),
];

fn probes() {
    hold(PROBES);
}

/// Links in trees are input: a mount that follows one stays below the root.
fn targets() {
    let outside = tempfile::tempdir().expect("a folder");
    let mut setting = Setting::root();
    let name = outside.path().to_str().expect("a plain name").to_owned();
    let tree = setting.folder().join("links");
    fs::create_dir(&tree).expect("a tree");
    std::os::unix::fs::symlink(format!("../../../../../../../..{name}"), tree.join("up"))
        .expect("a link");
    std::os::unix::fs::symlink(&name, tree.join("absolute")).expect("a link");
    setting.request.root.push(cognix_sandbox::Lower::new(&tree));
    let data = setting.folder().join("data");
    fs::create_dir(&data).expect("a folder");
    fs::write(data.join("file"), "data").expect("a file");
    setting.tree(&[(&format!("{}/", name.trim_start_matches('/')), "")]);
    for link in ["/up", "/absolute", "/../../absolute"] {
        setting.request.mounts.truncate(1);
        setting.request.mounts.push(Mount {
            source: data.clone(),
            target: PathBuf::from(format!("{link}/new")),
            writable: false,
        });
        let log = setting.sh(&format!("cat {name}/new/file")).good();
        assert_eq!(log, "data", "{link}");
        assert_eq!(
            fs::read_dir(outside.path()).expect("a folder").count(),
            0,
            "{link}"
        );
    }
}

fn trees() {
    let mut setting = Setting::root();
    let tree = setting.tree(&[("srv/file", "before"), ("srv/other", "before")]);
    setting
        .sh("echo after > /srv/file; chmod 777 /srv/other; chown 5:5 /srv/other; rm -r /srv; ls /srv 2>/dev/null; true")
        .good();
    for name in ["srv/file", "srv/other"] {
        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(tree.join(name)).expect("it is there");
        assert_eq!(found.mode() & 0o7777, 0o444);
        assert_eq!(
            fs::read_to_string(tree.join(name)).expect("it is there"),
            "before"
        );
    }
    let read_only = Setting::new(Identity::Root, Access::ReadOnly);
    assert_eq!(
        read_only
            .sh("echo x > /etc/x || echo refused")
            .good()
            .lines()
            .last(),
        Some("refused")
    );
}

fn unknown_calls() {
    let script = "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for call in (463, 470, 1000, 0x40000000 + 39):
    print(libc.syscall(call, 0, 0, 0, 0), ctypes.get_errno())
";
    let log = Setting::builder()
        .run("/usr/bin/python3", &["-c", script])
        .good();
    assert_eq!(log, "-1 38\n-1 38\n-1 38\n-1 38");
}
