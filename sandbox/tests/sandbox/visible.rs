//! What a program sees.

use cognix_sandbox::{Access, Identity, Outcome};

use crate::Test;
use crate::setting::Setting;

pub(crate) const TESTS: &[Test] = &[
    ("box_3_the_environment_is_what_was_declared", environment),
    ("box_3_identity_and_host_name_are_fixed", identity),
    ("box_2_only_what_is_meant_for_it_is_writable", writable),
    ("the_exit_status_is_told", status),
];

fn environment() {
    let mut setting = Setting::builder();
    setting.request.env.insert("DECLARED".into(), "yes".into());
    let mut lines = setting
        .run("/usr/bin/env", &[])
        .good()
        .lines()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    lines.sort();
    assert_eq!(
        lines,
        ["DECLARED=yes", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"]
    );
}

fn identity() {
    let script = "id -u; id -g; id -G; hostname; umask; pwd; ls /proc/self/fd | wc -l";
    for (identity, access, expected) in [
        (
            Identity::Builder,
            Access::ReadOnly,
            "1000\n100\n100\nlocalhost\n0022\n/\n4",
        ),
        (
            Identity::Root,
            Access::Changes,
            "0\n0\n0\nlocalhost\n0022\n/\n4",
        ),
    ] {
        assert_eq!(Setting::new(identity, access).sh(script).good(), expected);
    }
}

fn writable() {
    let script = "for place in /tmp /build /dev/shm / /etc /usr /sys /proc; do
        if (echo x > $place/file) 2>/dev/null; then echo $place; fi; done";
    assert_eq!(
        Setting::builder().sh(script).good(),
        "/tmp\n/build\n/dev/shm"
    );
}

fn status() {
    for (script, expected) in [
        ("exit 0", Outcome::Exited(0)),
        ("exit 7", Outcome::Exited(7)),
        ("kill -9 $$", Outcome::Signalled(9)),
    ] {
        let ran = Setting::builder().sh(script);
        assert_eq!(ran.result.expect("it ran").outcome, expected, "{script}");
    }
}
