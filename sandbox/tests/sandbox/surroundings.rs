//! What surrounds a program: many trees, mounts, secrets, a workspace, and a machine that may refuse all of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cognix_sandbox::{Lower, Mount, Sandbox, SandboxError, Secret, SecretPlace, Variation};

use crate::Test;
use crate::setting::{Setting, run};

pub(crate) const TESTS: &[Test] = &[
    ("hundreds_of_trees_make_one_root", many_trees),
    ("sec_1_secrets_are_masked_and_on_no_disk", secrets),
    ("conditions_can_be_varied", variation),
    ("what_is_missing_is_named", missing),
    ("nothing_is_left_in_the_workspace", workspace),
    ("box_2_mounts_may_lie_in_writable_mounts", nested_mounts),
    ("sec_2_secrets_are_masked_in_the_log", masked),
    ("box_7_where_it_is_refused_nothing_runs", refused),
];

fn many_trees() {
    let mut setting = Setting::root();
    let folder = setting.folder().join("many");
    fs::create_dir(&folder).expect("a folder");
    for number in 0..700 {
        let tree = folder.join(number.to_string());
        fs::create_dir_all(tree.join("opt")).expect("a tree");
        fs::write(tree.join(format!("opt/{number}")), number.to_string()).expect("a file");
        fs::write(tree.join("opt/last"), number.to_string()).expect("a file");
        setting.request.root.push(Lower::new(&tree));
    }
    let top = setting.request.root.last_mut().expect("a tree");
    top.removed.push("opt/3".into());
    let script = "ls /opt | wc -l; cat /opt/last; echo; cat /opt/0; echo; cat /opt/699; echo; ls /opt/3 2>&1; rm /opt/5";
    let ran = setting.sh(script);
    assert_eq!(
        ran.good(),
        "700\n699\n0\n699\nls: cannot access '/opt/3': No such file or directory"
    );
    assert_eq!(
        crate::changes::told(&ran).keys().collect::<Vec<_>>(),
        ["opt", "opt/5"]
    );
}

fn secrets() {
    let mut setting = Setting::root();
    let value = format!("cognix-secret-{}", std::process::id());
    for place in [
        SecretPlace::File {
            target: "/run/secrets/token".into(),
            mode: 0o400,
        },
        SecretPlace::Variable("TOKEN".into()),
    ] {
        setting.request.secrets.push(Secret {
            place,
            value: value.clone().into_bytes(),
        });
    }
    assert!(!format!("{:?}", setting.request).contains(&value));
    let ran = setting.sh(
        "test \"$TOKEN\" = $(cat /run/secrets/token) && grep /run/secrets/token /proc/self/mounts | cut -d' ' -f3
        echo overwritten > /run/secrets/token || echo refused",
    );
    let log = ran.good();
    assert!(
        log.starts_with("ramfs\n") && log.ends_with("refused"),
        "{log}"
    );
    let mut folders = vec![setting.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.is_file() {
                let text = fs::read(&path).expect("a file");
                assert!(
                    !String::from_utf8_lossy(&text).contains(&value),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

fn variation() {
    let script = "import os; print(os.getpid(), len(os.sched_getaffinity(0))); m = os.umask(0); print('%o' % m); print(open('/proc/self/maps').readline().split('-')[0])";
    let mut setting = Setting::builder();
    let run = |setting: &Setting| setting.run("/usr/bin/python3", &["-c", script]).good();
    let plain = run(&setting);
    assert_eq!(plain, run(&setting), "nothing differs between two runs");
    assert!(plain.starts_with("2 "), "{plain}");
    setting.request.variation = Some(Variation {
        first_pid: Some(777),
        cores: Some(1),
        umask: Some(0o077),
        random_addresses: true,
    });
    let varied: Vec<String> = run(&setting).lines().map(str::to_owned).collect();
    assert_eq!(varied[..2], ["777 1", "77"]);
    // Programs that are loaded at fixed addresses exist; the machine's stack tells in any case.
    let stack = "grep stack /proc/self/maps | cut -d- -f1";
    let places: Vec<String> = (0..4).map(|_| setting.sh(stack).good()).collect();
    assert!(places.iter().any(|place| *place != places[0]), "{places:?}");
}

fn missing() {
    let setting = Setting::builder();
    let ran = setting.run("/usr/bin/no-such-program", &[]);
    let error = ran.result.expect_err("it is missing");
    assert!(matches!(error, SandboxError::Program { .. }), "{error:?}");
    assert_eq!(
        error.to_string().split(':').next(),
        Some("cannot start /usr/bin/no-such-program in the sandbox")
    );
    let mut request = setting.request.clone();
    request.directory = "/nowhere".into();
    let error = run(&setting.sandbox, &request)
        .result
        .expect_err("it is missing");
    assert!(matches!(error, SandboxError::Setup { .. }), "{error:?}");
    assert!(error.to_string().contains("/nowhere"), "{error}");
    let mut request = setting.request.clone();
    request.mounts[0].source = "/no/such/source".into();
    let error = run(&setting.sandbox, &request)
        .result
        .expect_err("it is missing");
    assert!(error.to_string().contains("/no/such/source"), "{error}");
    let mut request = setting.request.clone();
    request.root.push(Lower::new("/no/such/tree"));
    let error = run(&setting.sandbox, &request)
        .result
        .expect_err("it is missing");
    assert!(error.to_string().contains("/no/such/tree"), "{error}");
}

fn workspace() {
    let setting = Setting::builder();
    let script = "
import os
os.mkdir('/build/closed'); open('/build/closed/file', 'w').close(); os.chmod('/build/closed', 0)
os.chdir('/build')
for _ in range(400):
    os.mkdir('deep'); os.chdir('deep')
os.mkdir('/tmp/a'); os.chmod('/tmp', 0)
";
    setting.run("/usr/bin/python3", &["-c", script]).good();
    let work = setting.folder().join("work");
    assert_eq!(fs::read_dir(&work).expect("the workspace").count(), 0);
    let mut request = setting.request.clone();
    request.args = vec![
        "-c".into(),
        "mkdir /tmp/x; chmod 0 /tmp/x; exec sleep 100".into(),
    ];
    request.limits.time = Duration::from_millis(500);
    run(&setting.sandbox, &request)
        .result
        .expect_err("it takes too long");
    assert_eq!(fs::read_dir(&work).expect("the workspace").count(), 0);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    assert!(!mounts.contains(work.to_str().expect("a plain name")));
    // With changes, the caller removes it.
    let setting = Setting::root();
    setting.sh("mkdir /x; chmod 0 /x").good();
    let work = setting.folder().join("work");
    assert!(work.join("upper/x").exists());
    Sandbox::clean(&work).expect("it is removed");
    assert!(!Path::new(&work).exists());
}

/// As outputs are written beside inputs: a writable folder, with read-only parts.
fn nested_mounts() {
    let mut setting = Setting::builder();
    let input = setting.tree(&[("bin/tool", "tool")]);
    setting.request.root.pop();
    let file = setting.folder().join("file");
    fs::write(&file, "file").expect("a file");
    let scratch = setting.folder().join("scratch");
    fs::create_dir(&scratch).expect("a folder");
    for (source, target, writable) in [
        (&scratch, "/nix/store", true),
        (&input, "/nix/store/abc-input", false),
        (&file, "/nix/store/abc-file", false),
        (&input, "/nix/store/deep/er", false),
    ] {
        setting.request.mounts.push(Mount {
            source: source.clone(),
            target: target.into(),
            writable,
        });
    }
    let log = setting
        .sh("set -e; cd /nix/store; ls; cat abc-input/bin/tool abc-file deep/er/bin/tool > abc-output
            for place in abc-input/x abc-file deep/er/x; do (echo x > $place) 2> /dev/null || echo refused; done")
        .good();
    assert_eq!(log, "abc-file\nabc-input\ndeep\nrefused\nrefused\nrefused");
    let left: Vec<_> = fs::read_dir(&scratch)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["abc-output"]);
    assert_eq!(
        fs::read_to_string(scratch.join("abc-output")).expect("a file"),
        "toolfiletool"
    );
}

fn masked() {
    let mut setting = Setting::root();
    setting.request.secrets.push(Secret {
        place: SecretPlace::Variable("TOKEN".into()),
        value: b"swordfish".to_vec(),
    });
    assert_eq!(
        setting
            .sh("echo my $TOKEN is $TOKEN; env | grep TOKEN")
            .good(),
        "my *** is ***\nTOKEN=***"
    );
}

/// A sandbox inside a sandbox: the filter refuses the namespaces, as those of container runtimes do.
fn refused() {
    let mut setting = Setting::builder();
    setting.request.mounts.push(Mount {
        source: std::env::current_exe().expect("the test"),
        target: "/tmp/test".into(),
        writable: false,
    });
    let ran = setting.run("/tmp/test", &["--sleep-in-a-sandbox", "cognix-never"]);
    let log = ran.lines.join("\n");
    assert!(
        ran.result.is_ok_and(|finished| !finished.outcome.success()),
        "{log}"
    );
    for part in [
        "this machine allows no sandbox: making a user namespace is refused: Operation not permitted",
        "this container forbids it",
        "seccomp=unconfined",
    ] {
        assert!(log.contains(part), "{log}");
    }
}
