//! What a program may use, and that nothing of it is left (BOX-4, BOX-5, LIM-3).

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cognix_sandbox::{Outcome, Sandbox, SandboxError};

use crate::Test;
use crate::setting::Setting;

pub(crate) const TESTS: &[Test] = &[
    ("lim_3_a_fork_bomb_is_bounded", fork_bomb),
    ("lim_3_an_endless_loop_ends", endless_loop),
    ("lim_3_silence_ends", silence),
    ("lim_3_a_flood_is_cut", flood),
    ("lim_3_memory_is_bounded", memory),
    ("lim_3_disk_is_bounded", disk),
    ("box_5_what_hides_in_other_sessions_ends", daemons),
    ("box_5_the_end_of_the_caller_is_the_end", caller_killed),
    ("a_caller_can_stop_it", cancelled),
    ("box_4_descriptors_are_closed", descriptors),
];

/// A time within which a sandbox must be gone once it is ended.
const GONE: Duration = Duration::from_secs(5);

/// How many processes of this test's sandboxes there are, by a word of their command lines.
fn processes(word: &str) -> usize {
    let own = std::process::id().to_string();
    fs::read_dir("/proc")
        .expect("processes")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let text = fs::read(format!("/proc/{name}/cmdline")).ok()?;
            (name != own && String::from_utf8_lossy(&text).contains(word)).then_some(())
        })
        .count()
}

fn fork_bomb() {
    let mut setting = Setting::builder();
    setting.request.limits.processes = 400;
    setting.request.limits.time = Duration::from_secs(3);
    let bomb = "
import os, time
count = 0
while True:
    try:
        if os.fork() == 0: time.sleep(1000)
        count += 1
    except OSError as error:
        print(count, error.errno, flush=True)
        time.sleep(1000)
";
    for identity in [
        cognix_sandbox::Identity::Builder,
        cognix_sandbox::Identity::Root,
    ] {
        setting.request.identity = identity;
        let started = Instant::now();
        let ran = setting.run("/usr/bin/python3", &["-c", bomb]);
        assert!(
            matches!(ran.result, Err(SandboxError::TimedOut { .. })),
            "{:?}",
            ran.result
        );
        assert!(started.elapsed() < Duration::from_secs(3) + GONE);
        let [line] = &ran.lines[..] else {
            panic!("{:?}", ran.lines);
        };
        let count: usize = line
            .split(' ')
            .next()
            .expect("a number")
            .parse()
            .expect("a number");
        assert!((300..=400).contains(&count), "{line}");
    }
    // Outside, the same number of processes is no problem.
    let control = "
import os, time, signal
pids = []
for _ in range(420):
    pid = os.fork()
    if pid == 0: time.sleep(100)
    pids.append(pid)
for pid in pids: os.kill(pid, signal.SIGKILL)
";
    assert!(
        Command::new("/usr/bin/python3")
            .args(["-c", control])
            .status()
            .expect("python")
            .success()
    );
}

fn endless_loop() {
    let mut setting = Setting::builder();
    setting.request.limits.time = Duration::from_secs(1);
    let started = Instant::now();
    let ran =
        setting.sh("trap '' TERM INT HUP; (while :; do :; done) & while :; do echo busy; done");
    assert!(
        matches!(ran.result, Err(SandboxError::TimedOut { .. })),
        "{:?}",
        ran.result
    );
    assert!(started.elapsed() < Duration::from_secs(1) + GONE);
}

fn silence() {
    let mut setting = Setting::builder();
    setting.request.limits.silence = Duration::from_secs(1);
    let started = Instant::now();
    let ran = setting.sh("echo hello; sleep 100");
    assert!(
        matches!(ran.result, Err(SandboxError::Silent { .. })),
        "{:?}",
        ran.result
    );
    assert_eq!(ran.lines, ["hello"]);
    assert!(started.elapsed() < Duration::from_secs(1) + GONE);
    // Who speaks in time is not silent, and who sent its output elsewhere but ends is not either.
    setting
        .sh("for n in 1 2 3; do sleep 0.5; echo $n; done")
        .good();
}

fn flood() {
    let mut setting = Setting::builder();
    setting.request.limits.log = 1 << 20;
    let ran = setting.sh("yes 123456789 | head -c 20000000; exit 3");
    let finished = ran.result.expect("it ran");
    assert_eq!(finished.outcome, Outcome::Exited(3));
    assert!(finished.log_truncated);
    assert_eq!(ran.lines.len(), (1 << 20) / 10 + 1);
    assert_eq!(
        ran.lines.last().map(String::as_str),
        Some("[log cut after 1048570 bytes]")
    );
    let ran = setting.sh("head -c 200000 /dev/zero | tr '\\0' x; echo; echo end");
    assert_eq!(ran.lines.len(), 2);
    assert_eq!(
        ran.lines[0].len(),
        65536 + " [line cut: 134464 more bytes]".len()
    );
    assert_eq!(ran.lines[1], "end");
}

fn memory() {
    let mut setting = Setting::builder();
    let script = "x = bytearray(600 << 20); print('got it')";
    assert_eq!(
        setting.run("/usr/bin/python3", &["-c", script]).good(),
        "got it"
    );
    setting.request.limits.memory = Some(400 << 20);
    let ran = setting.run("/usr/bin/python3", &["-c", script]);
    assert!(
        ran.lines.concat().contains("MemoryError"),
        "{:?} {:?}",
        ran.lines,
        ran.result
    );
}

fn disk() {
    let mut setting = Setting::builder();
    let script = "for n in 1 2 3 4; do head -c 4000000 /dev/zero > /build/$n; done; sleep 20";
    setting.request.limits.disk = Some(8 << 20);
    let started = Instant::now();
    let ran = setting.sh(script);
    assert!(
        matches!(ran.result, Err(SandboxError::DiskFull { .. })),
        "{:?}",
        ran.result
    );
    assert!(started.elapsed() < Duration::from_secs(15));
    // One file alone is bounded by the kernel at once.
    let ran = setting.sh("head -c 20000000 /dev/zero > /build/large");
    assert!(!ran.result.expect("it ran").outcome.success());
}

const HIDE: &str = "
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(0); os.close(1); os.close(2)
            time.sleep(1000)
        os._exit(0)
";

fn daemons() {
    let word = format!("cognix-hidden-{}", std::process::id());
    let setting = Setting::builder();
    let script = format!("# {word}{HIDE}print('started')");
    assert_eq!(
        setting.run("/usr/bin/python3", &["-c", &script]).good(),
        "started"
    );
    assert_eq!(processes(&word), 0);
}

/// The caller is killed without a chance to end anything.
fn caller_killed() {
    let word = format!("cognix-orphan-{}", std::process::id());
    let folder = tempfile::tempdir().expect("a folder");
    let mut caller = Command::new(std::env::current_exe().expect("the test"))
        .args(["--sleep-in-a-sandbox", &word])
        .env("TMPDIR", folder.path())
        .spawn()
        .expect("the test starts again");
    let started = Instant::now();
    while processes(&word) < 3 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{}",
            processes(&word)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    caller.kill().expect("it is killed");
    caller.wait().expect("it ended");
    let killed = Instant::now();
    while processes(&word) > 0 {
        assert!(killed.elapsed() < GONE, "{} left", processes(&word));
        std::thread::sleep(Duration::from_millis(20));
    }
    // What a killed caller leaves on the disk is swept like any workspace.
    Sandbox::clean(folder.path()).expect("it is removed");
}

/// What the killed caller does.
pub(crate) fn sleep_in_a_sandbox(word: &str) {
    let setting = Setting::builder();
    let script = format!("# {word}{HIDE}\ntime.sleep(1000)");
    let ran = setting.run("/usr/bin/python3", &["-c", &script]);
    let error = ran.result.expect_err("it does not end by itself");
    panic!("{error}");
}

fn cancelled() {
    let setting = Setting::builder();
    let mut request = setting.request.clone();
    request.args = vec!["-c".into(), "echo hello; sleep 1000".into()];
    let heard = AtomicBool::new(false);
    let started = Instant::now();
    let result = Sandbox::current().run(&request, &|| heard.load(Ordering::Relaxed), &mut |_| {
        heard.store(true, Ordering::Relaxed);
    });
    assert!(matches!(result, Err(SandboxError::Cancelled)), "{result:?}");
    assert!(started.elapsed() < GONE);
}

fn descriptors() {
    let open = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let _inherited: Vec<_> = (0..20)
        .map(|_| rustix::io::dup(&open).expect("a descriptor"))
        .collect();
    let log = Setting::builder()
        .sh("ls -l /proc/self/fd | grep -c socket; ls /proc/$$/fd | tr '\\n' ' '");
    let log = log.lines.join(" ");
    assert!(
        log.starts_with("0 0 1 2 ") && log.split_whitespace().count() <= 5,
        "{log}"
    );
}
