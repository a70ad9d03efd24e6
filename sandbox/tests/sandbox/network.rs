//! Attempts to reach a network, a socket or what tells of them (BOX-1, BOX-2).

use cognix_sandbox::{Network, SandboxError};

use crate::Test;
use crate::probes::{Probe, hold, privileged, probe};
use crate::setting::Setting;

pub(crate) const TESTS: &[Test] = &[
    ("box_1_no_probe_reaches_a_network", probes),
    ("box_1_the_own_loopback_works", loopback),
    ("the_network_can_be_allowed", allowed),
];

const PROBES: &[Probe] = &[
    probe("tcp to the loopback", "socket.create_connection(('127.0.0.1', {tcp4}), 3); reached()"),
    probe("tcp to another loopback address", "socket.create_connection(('127.0.0.2', {tcp4}), 3); reached()"),
    probe("tcp to the address of nowhere", "socket.create_connection(('0.0.0.0', {tcp4}), 3); reached()"),
    probe("tcp to the loopback, version 6", "socket.create_connection(('::1', {tcp6}), 3); reached()"),
    probe("tcp to a mapped address", "socket.create_connection(('::ffff:127.0.0.1', {tcp4}), 3); reached()"),
    probe("tcp by the name localhost", "socket.create_connection(('localhost', {tcp4}), 3); reached()"),
    probe("tcp fast open", "
s = socket.socket()
s.sendto(b'x', 0x20000000, ('127.0.0.1', {tcp4})); s.recv(9); reached()"),
    probe("tcp without waiting", "
import select
s = socket.socket(); s.setblocking(False); s.connect_ex(('127.0.0.1', {tcp4}))
select.select([], [s], [], 3); reached(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0)"),
    probe("http", "import urllib.request; reached(urllib.request.urlopen('http://127.0.0.1:{tcp4}/', timeout=3).read() == b'hello')"),
    probe("asyncio", "
import asyncio
async def f():
    r, w = await asyncio.open_connection('127.0.0.1', {tcp4}); reached(b'hello' in await r.read())
asyncio.run(f())"),
    probe("perl", "
import subprocess
reached(subprocess.call(['perl', '-MIO::Socket::INET', '-e', 'exit(IO::Socket::INET->new(\"127.0.0.1:{tcp4}\") ? 0 : 1)']) == 0)"),
    probe("udp", "
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
s.sendto(b'x', ('127.0.0.1', {udp4})); reached(s.recv(9) == b'hello')"),
    probe("udp, connected", "
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
s.connect(('127.0.0.1', {udp4})); s.send(b'x'); reached(s.recv(9) == b'hello')"),
    probe("udp, version 6", "
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(1)
s.sendto(b'x', ('::1', {udp6})); reached(s.recv(9) == b'hello')"),
    probe("an abstract socket", "s = socket.socket(socket.AF_UNIX); s.connect('\\0{name}'); reached()"),
    probe("an abstract datagram socket", "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('\\0d{name}'); reached()"),
    probe("an abstract packet socket", "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('\\0s{name}'); reached()"),
    probe("a socket in a folder", "s = socket.socket(socket.AF_UNIX); s.connect('{folder}/stream'); reached()"),
    probe("a datagram socket in a folder", "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('{folder}/datagram'); reached()"),
    probe("a socket below another process's root", "s = socket.socket(socket.AF_UNIX); s.connect('/proc/{victim}/root{folder}/stream'); reached()"),
    probe("a pipe in a folder", "os.write(os.open('{folder}/fifo', os.O_WRONLY | os.O_NONBLOCK), b'x'); reached()"),
    probe("the list of tcp sockets", "reached(any(':%04X' % {tcp4} in l for l in open('/proc/net/tcp')))"),
    probe("the list of udp sockets", "reached(any(':%04X' % {udp4} in l for l in open('/proc/net/udp')))"),
    probe("the list of local sockets", "reached('{name}' in open('/proc/net/unix').read())"),
    probe("another process's list of sockets", "reached(any(':%04X' % {tcp4} in l for l in open('/proc/{victim}/net/tcp')))"),
    probe("the kernel's diagnosis of sockets", "
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4); s.settimeout(3)
s.send(struct.pack('=LHHLL', 72, 20, 0x301, 1, 0) + struct.pack('=BBBxL', 2, 6, 0, 0xffffffff) + b'\\0' * 48)
data = b''
while True:
    part = s.recv(65536); data += part
    if struct.unpack('=H', part[4:6])[0] == 3 or struct.pack('!H', {tcp4}) in part: break
reached(struct.pack('!H', {tcp4}) in data)"),
    probe("the list of interfaces", "reached(bool(os.listdir('/sys/class/net')))"),
    privileged("a raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); reached()"),
    privileged("a packet socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300); reached()"),
    privileged("another process's network namespace", "
fd = os.open('/proc/{victim}/ns/net', os.O_RDONLY); call(308, fd, 0x40000000); reached()"),
    privileged("switching an interface off and on", "
import fcntl
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
r = bytearray(struct.pack('16sH22x', b'lo', 0)); fcntl.ioctl(s, 0x8913, r); fcntl.ioctl(s, 0x8914, r); reached()"),
];

fn probes() {
    hold(PROBES);
}

fn loopback() {
    let script = "
import socket
for address in ('127.0.0.1', '::1'):
    server = socket.create_server((address, 0), family=socket.AF_INET6 if ':' in address else socket.AF_INET)
    client = socket.create_connection(server.getsockname()[:2], 3)
    print(server.accept()[1][0])
print([name for _, name in socket.if_nameindex() if name == 'lo'])
";
    let log = Setting::builder()
        .run("/usr/bin/python3", &["-c", script])
        .good();
    assert_eq!(log, "127.0.0.1\n::1\n['lo']");
}

/// With permission, what the host reaches is reached: the same listener that no probe gets to.
fn allowed() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("a port").port();
    let script = format!(
        "import socket; socket.create_connection(('127.0.0.1', {port}), 3); print('REACHED')"
    );
    let mut setting = Setting::builder();
    let ran = setting.run("/usr/bin/python3", &["-c", &script]);
    assert!(
        matches!(&ran.result, Ok(finished) if !finished.outcome.success()),
        "{:?}",
        ran.result
    );
    setting.request.network = Network::Host;
    let ran = setting.run("/usr/bin/python3", &["-c", &script]);
    match &ran.result {
        Err(SandboxError::Unavailable { .. }) => panic!("{:?}", ran.result),
        _ => assert_eq!(ran.good(), "REACHED"),
    }
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(
        setting.sh("cat /etc/resolv.conf").good(),
        resolver.trim_end()
    );
}
