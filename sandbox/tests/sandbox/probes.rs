//! Attempts to get out, as small Python programs that print `REACHED` when they did.
//!
//! Each is a real attempt: the same program must succeed outside, where nothing holds it, and must fail inside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use cognix_sandbox::{Access, Identity};

use crate::setting::Setting;

/// A name and a program.
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    /// Whether it needs root outside, so that an ordinary user cannot show that it works.
    pub(crate) privileged: bool,
}

pub(crate) const fn probe(name: &'static str, program: &'static str) -> Probe {
    Probe {
        name,
        program,
        privileged: false,
    }
}

pub(crate) const fn privileged(name: &'static str, program: &'static str) -> Probe {
    Probe {
        name,
        program,
        privileged: true,
    }
}

/// Tries every probe in a process of its own, and says what came of it.
const RUNNER: &str = "
import os, socket, struct, ctypes, sys, json, signal, traceback
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    result = libc.syscall(*[a if not isinstance(a, int) else ctypes.c_long(a) for a in args])
    if result < 0: raise OSError(ctypes.get_errno(), 'refused')
    return result
def reached(good=True):
    if good: os._exit(42)
for name, program in json.loads(sys.argv[1]):
    sys.stdout.flush(); sys.stderr.flush()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try: exec(program)
        except BaseException as error:
            if not isinstance(error, OSError): print(name, ': BROKEN', traceback.format_exc(), flush=True)
            else: print(name, ':', error, flush=True)
        os._exit(1)
    print(name, ': REACHED' if os.waitpid(child, 0)[1] == 42 << 8 else ': held', flush=True)
";

/// A program outside that holds what must not be reached, and says where it is.
const VICTIM: &str = "
import os, socket, ctypes, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
folder = sys.argv[1]
os.environ['VICTIM'] = 'alive'
open(folder + '/secret', 'w').write('VICTIM-SECRET')
name = 'cognix-victim-%d' % os.getpid()
open('/dev/shm/' + name, 'w').write('VICTIM-SECRET')
shm = libc.shmget(0, 4096, 0o1600)
def greet(peer):
    try:
        peer.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nhello'); peer.shutdown(socket.SHUT_WR)
        peer.settimeout(5)
        while peer.recv(4096): pass
    except OSError: pass
    peer.close()
def serve(sock):
    def run():
        while True:
          try:
            if sock.type == socket.SOCK_DGRAM:
                data, peer = sock.recvfrom(100)
                if peer: sock.sendto(b'hello', peer)
            else:
                peer, _ = sock.accept()
                threading.Thread(target=greet, args=(peer,), daemon=True).start()
          except OSError: pass
    threading.Thread(target=run, daemon=True).start()
def bound(family, kind, address):
    sock = socket.socket(family, kind)
    sock.bind(address)
    if kind != socket.SOCK_DGRAM: sock.listen(50)
    serve(sock)
    return sock.getsockname()[1] if family != socket.AF_UNIX else None
tcp4 = bound(socket.AF_INET, socket.SOCK_STREAM, ('0.0.0.0', 0))
tcp6 = bound(socket.AF_INET6, socket.SOCK_STREAM, ('::1', 0))
udp4 = bound(socket.AF_INET, socket.SOCK_DGRAM, ('0.0.0.0', 0))
udp6 = bound(socket.AF_INET6, socket.SOCK_DGRAM, ('::1', 0))
bound(socket.AF_UNIX, socket.SOCK_STREAM, folder + '/stream')
bound(socket.AF_UNIX, socket.SOCK_DGRAM, folder + '/datagram')
os.chmod(folder + '/stream', 0o777); os.chmod(folder + '/datagram', 0o777)
bound(socket.AF_UNIX, socket.SOCK_STREAM, '\\0' + name)
bound(socket.AF_UNIX, socket.SOCK_DGRAM, '\\0d' + name)
bound(socket.AF_UNIX, socket.SOCK_SEQPACKET, '\\0s' + name)
os.mkfifo(folder + '/fifo')
os.open(folder + '/fifo', os.O_RDWR)
libc.prctl(0x59616d61, -1)
print(os.getpid(), name, shm, tcp4, tcp6, udp4, udp6, flush=True)
sys.stdin.read()
os.unlink('/dev/shm/' + name)
libc.shmctl(shm, 0, None)
";

/// The victim while it lives.
pub(crate) struct Victim {
    child: Child,
    folder: tempfile::TempDir,
    words: Vec<String>,
}

impl Victim {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", VICTIM])
            .arg(folder.path())
            .env("VICTIM", "alive")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let words = line
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        assert_eq!(words.len(), 7, "{line}");
        Self {
            child,
            folder,
            words,
        }
    }

    /// The probes with what they aim at, as the runner wants them.
    fn programs(&self, probes: &[&Probe], inside: bool) -> String {
        let victim = if inside { "1" } else { self.words[0].as_str() };
        let programs: Vec<(&str, String)> = probes
            .iter()
            .map(|probe| {
                let mut text = probe.program.trim_start().replace("{victim}", victim);
                text = text.replace(
                    "{folder}",
                    self.folder.path().to_str().expect("a plain name"),
                );
                let names = ["pid", "name", "shm", "tcp4", "tcp6", "udp4", "udp6"];
                for (name, word) in names.iter().zip(&self.words) {
                    text = text.replace(&format!("{{{name}}}"), word);
                }
                (probe.name, text)
            })
            .collect();
        serde_json::to_string(&programs).expect("plain texts")
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs every probe outside, where it must get through, and inside, where it must not.
pub(crate) fn hold(probes: &[Probe]) {
    assert!(probes.len() >= 25, "{} probes", probes.len());
    let victim = Victim::new();
    // What a careless caller would pass on: a socket without close-on-exec.
    let careless = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let _careless = rustix::io::dup(&careless).expect("a descriptor");
    let root = rustix::process::geteuid().is_root();
    let possible: Vec<&Probe> = probes
        .iter()
        .filter(|probe| root || !probe.privileged)
        .collect();
    let output = Command::new("/usr/bin/python3")
        .args(["-c", RUNNER, &victim.programs(&possible, false)])
        .output()
        .expect("python");
    let outside = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    for probe in possible {
        let line = format!("{} : REACHED", probe.name);
        assert!(
            outside.lines().any(|found| found == line),
            "the control of {:?} fails outside:\n{outside}",
            probe.name
        );
    }
    let all: Vec<&Probe> = probes.iter().collect();
    for (identity, access) in [
        (Identity::Builder, Access::ReadOnly),
        (Identity::Root, Access::Changes),
    ] {
        let setting = Setting::new(identity, access);
        let log = setting
            .run(
                "/usr/bin/python3",
                &["-c", RUNNER, &victim.programs(&all, true)],
            )
            .good();
        assert!(!log.contains("BROKEN"), "{log}");
        for probe in probes {
            let line = format!("{} : held", probe.name);
            assert!(
                log.lines().any(|found| found == line),
                "{:?} as {identity:?}:\n{log}",
                probe.name
            );
        }
    }
}
