//! What installing a wheel means, from made-up wheels.

mod builder;
mod record;
mod tree;
#[cfg(feature = "network-tests")]
mod uv;

use std::io::Write;

use proptest::prelude::*;

use super::{
    fixtures::{DEMO_FILENAME, DEMO_METADATA, DEMO_WHEEL, Entry, Wheel},
    *,
};

const TARGET: InstallTarget = InstallTarget { python: (3, 11) };
const SITE_PACKAGES: &str = "venv/lib/python3.11/site-packages";

fn planned(wheel: &Wheel) -> Result<InstallPlan, WheelError> {
    plan(
        &wheel.zip().open().expect("a good archive"),
        DEMO_FILENAME,
        &TARGET,
        RecordPolicy::Checked,
    )
}

fn refused(wheel: &Wheel, expected: &str) {
    let error = planned(wheel).expect_err(expected);
    assert_eq!(error.to_string(), expected);
}

/// The paths that a wheel's own files get, without those in its `.dist-info` directory.
fn paths(wheel: &Wheel) -> Vec<String> {
    let plan = planned(wheel).expect("a good wheel");
    let paths = plan.files.into_iter().map(|file| file.path);
    paths.filter(|path| !path.contains(".dist-info/")).collect()
}

fn find<'a>(plan: &'a InstallPlan, path: &str) -> &'a PlannedFile {
    plan.files
        .iter()
        .find(|file| file.path == path)
        .expect(path)
}

fn generated<'a>(plan: &'a InstallPlan, path: &str) -> &'a str {
    match &find(plan, path).content {
        Content::Generated(bytes) => str::from_utf8(bytes).expect("text"),
        Content::Member(_) => panic!("{path} is not generated"),
    }
}

const ENTRY_POINTS: &[u8] = b"[console_scripts]\ndemo = demo.cli:main\n";

fn rich_wheel() -> Wheel {
    Wheel::new(&[
        ("demo/__init__.py", b"x = 1\n"),
        ("demo/__pycache__/__init__.cpython-311.pyc", b"bytecode"),
        ("demo, with comma.txt", b""),
        ("demo-1.0.dist-info/entry_points.txt", ENTRY_POINTS),
        ("demo-1.0.dist-info/REQUESTED", b""),
        ("demo-1.0.dist-info/INSTALLER", b"another\n"),
        ("demo-1.0.dist-info/direct_url.json", b"{}"),
        ("demo-1.0.data/purelib/demo/pure.py", b""),
        ("demo-1.0.data/platlib/demo/plat.so", b"\x7fELF"),
        ("demo-1.0.data/headers/sub/demo.h", b"#pragma once\n"),
        ("demo-1.0.data/data/share/man/man1/demo.1", b".TH\n"),
        ("demo-1.0.data/scripts/helper", b"#!pythonw -E\nprint()\n"),
        ("demo-1.0.data/scripts/binary", b"\x7fELF binary"),
        ("demo-1.0.data/scripts/demo-script.py", b"#!python\n"),
    ])
    .entry(Entry::directory("demo"), b"")
    .entry(Entry::directory("demo/empty"), b"")
    .entry(
        Entry::stored("demo/tool", b"#!/bin/sh\n").executable(),
        b"#!/bin/sh\n",
    )
}

#[test]
fn every_file_has_its_place() {
    let plan = planned(&rich_wheel()).expect("a good wheel");
    let list: Vec<String> = plan
        .files
        .iter()
        .map(|file| {
            let origin = match file.content {
                Content::Member(_) => "member",
                Content::Generated(_) => "generated",
            };
            let path = file.path.replace(SITE_PACKAGES, "SITE");
            format!("{path} {origin}{}", if file.executable { " x" } else { "" })
        })
        .collect();
    assert_eq!(
        list,
        [
            "venv/bin/binary member x",
            "venv/bin/demo generated x",
            "venv/bin/helper generated x",
            "venv/include/site/python3.11/demo/sub/demo.h member",
            "SITE/demo, with comma.txt member",
            "SITE/demo-1.0.dist-info/INSTALLER generated",
            "SITE/demo-1.0.dist-info/METADATA member",
            "SITE/demo-1.0.dist-info/RECORD generated",
            "SITE/demo-1.0.dist-info/WHEEL member",
            "SITE/demo-1.0.dist-info/entry_points.txt member",
            "SITE/demo/__init__.py member",
            "SITE/demo/__pycache__/__init__.cpython-311.pyc member",
            "SITE/demo/plat.so member",
            "SITE/demo/pure.py member",
            "SITE/demo/tool member x",
            "venv/share/man/man1/demo.1 member",
        ]
    );
    assert_eq!(
        generated(&plan, "venv/bin/helper"),
        "#!/venv/bin/python\nprint()\n"
    );
    assert_eq!(
        generated(
            &plan,
            &format!("{SITE_PACKAGES}/demo-1.0.dist-info/INSTALLER")
        ),
        "cognix\n"
    );
}

#[test]
fn plans_do_not_depend_on_the_order_of_members() {
    let [one, mut other] = [rich_wheel(), rich_wheel()];
    other.entries.reverse();
    let [one, other] = [one, other].map(|wheel| planned(&wheel).expect("a good wheel"));
    let without_indices = |plan: InstallPlan| -> Vec<_> {
        plan.files
            .into_iter()
            .map(|file| (file.path, file.executable, file.size, file.sha256))
            .collect()
    };
    assert_eq!(without_indices(one), without_indices(other));
}

#[test]
fn rec_1_file_name_metadata_and_directory_agree() {
    let with_metadata =
        |text: &str| Wheel::new(&[]).file("demo-1.0.dist-info/METADATA", text.as_bytes());
    planned(&with_metadata("Name: Demo\nVersion: 1\n")).expect("the same after normalisation");
    refused(
        &with_metadata("Name: demo\nVersion: 1.1\n"),
        "wheel is demo 1.0 by its file name, but its METADATA says `demo 1.1`",
    );
    let archive = Wheel::new(&[]).zip().open().expect("a good archive");
    let message = |filename| {
        plan(&archive, filename, &TARGET, RecordPolicy::Checked)
            .expect_err("no")
            .to_string()
    };
    assert_eq!(
        message("demo-2.0-py3-none-any.whl"),
        "wheel is demo 2.0 by its file name, but its .dist-info directory says `demo-1.0`"
    );
    assert_eq!(
        message("demo.zip"),
        "`demo.zip` is no file name of a wheel: it does not end in .whl; \
         expected NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl"
    );
}

#[test]
fn rec_1_one_dist_info_with_its_files() {
    for file in ["METADATA", "WHEEL"] {
        let path = format!("demo-1.0.dist-info/{file}");
        let absent = format!("wheel has no `{path}`");
        refused(&Wheel::new(&[]).without(&path), &absent);
        let directory = Entry::directory(&path);
        refused(
            &Wheel::new(&[]).without(&path).entry(directory, b""),
            &absent,
        );
    }
    let mut zip = Wheel::new(&[]).zip();
    zip.entries.pop();
    let error = plan(
        &zip.open().expect("a good archive"),
        DEMO_FILENAME,
        &TARGET,
        RecordPolicy::Checked,
    );
    assert_eq!(
        error.expect_err("no RECORD").to_string(),
        "wheel has no `demo-1.0.dist-info/RECORD`"
    );
    refused(
        &Wheel::new(&[("other-1.0.dist-info/METADATA", b"")]),
        "wheel has `demo-1.0.dist-info` and `other-1.0.dist-info`, \
         expected one directory `demo-1.0.dist-info`",
    );
    let none = fixtures::Zip::of([Entry::stored("demo.py", b"")]);
    assert_eq!(
        plan(
            &none.open().expect("a good archive"),
            DEMO_FILENAME,
            &TARGET,
            RecordPolicy::Checked,
        )
        .expect_err("no dist-info")
        .to_string(),
        "wheel has no .dist-info directory, expected one directory `demo-1.0.dist-info`"
    );
    // Packages may vendor others, with their descriptions.
    paths(&Wheel::new(&[(
        "demo/_vendor/other-1.0.dist-info/METADATA",
        b"",
    )]));
}

#[test]
fn rec_1_wheel_version() {
    let wheel = str::from_utf8(DEMO_WHEEL)
        .expect("text")
        .replace("Wheel-Version: 1.0", "Wheel-Version: 2.0");
    refused(
        &Wheel::new(&[]).file("demo-1.0.dist-info/WHEEL", wheel.as_bytes()),
        "`demo-1.0.dist-info/WHEEL`: Wheel-Version is `2.0`, expected major version 1",
    );
}

#[test]
fn rec_4_data_directories() {
    let check = |name: &str, problem: &str| {
        refused(
            &Wheel::new(&[(name, b"")]),
            &format!("`{name}` cannot be installed: {problem}"),
        );
    };
    check(
        "demo-1.0.data/etc/passwd",
        "`etc` is no scheme, expected purelib, platlib, headers, scripts or data",
    );
    check(
        "demo-1.0.data/scripts2/a",
        "`scripts2` is no scheme, expected purelib, platlib, headers, scripts or data",
    );
    check(
        "demo-1.0.data/a",
        "it lies in the data directory, but in no scheme of it",
    );
    check(
        "other-1.0.data/data/a",
        "its data directory should be demo-1.0.data",
    );
    check(
        "demo-1.0.data/scripts/a/b",
        "the name of a command is no path",
    );
    check(
        "demo-1.0.data/scripts/Python3.11",
        "it has the name of an interpreter",
    );
    check(
        "demo-1.0.data/data/bin/python",
        "it has the name of an interpreter",
    );
    check(
        "demo-1.0.data/data/pyvenv.cfg",
        "it would replace the environment's configuration",
    );
    let deep = format!("demo-1.0.data/purelib/{}a", "d/".repeat(61));
    check(&deep, "its place is deeper than 64 directories");
}

#[test]
fn data_below_lib64_goes_where_the_link_leads() {
    let wheel = Wheel::new(&[
        ("demo-1.0.data/data/lib64/libdemo.so", b"\x7fELF"),
        ("demo-1.0.data/data/lib64x/other", b""),
    ]);
    assert_eq!(paths(&wheel), ["venv/lib/libdemo.so", "venv/lib64x/other"]);
    refused(
        &Wheel::new(&[
            ("demo-1.0.data/data/lib64/libdemo.so", b"one"),
            ("demo-1.0.data/data/lib/libdemo.so", b"two"),
        ]),
        "`venv/lib/libdemo.so` and `venv/lib/libdemo.so` cannot both be installed",
    );
    refused(
        &Wheel::new(&[("demo-1.0.data/data/lib64", b"a file")]),
        "`demo-1.0.data/data/lib64` cannot be installed: it would replace the environment's link to `lib`",
    );
}

#[test]
fn rec_4_entry_points_are_plain_names() {
    let with =
        |text: &str| Wheel::new(&[]).file("demo-1.0.dist-info/entry_points.txt", text.as_bytes());
    let refused = |name: &str, problem: &str| {
        let wheel = with(&format!("[console_scripts]\n{name} = demo:main\n"));
        refused(&wheel, &format!("`{name}` cannot be installed: {problem}"));
    };
    refused("../../escape", "the name of a command is no path");
    refused("..", "its place has a part that is `.` or `..`");
    refused("PYTHON", "it has the name of an interpreter");
    refused("a\\b", "its place contains a backslash");
    assert_eq!(
        planned(&with("[console_scripts]\n = demo:main\n"))
            .expect_err("no name")
            .to_string(),
        "`` cannot be installed: its place has an empty part"
    );
    assert_eq!(
        paths(&with("[gui_scripts]\nDemo-GUI = demo:main\n")),
        ["venv/bin/Demo-GUI"]
    );
}

#[test]
fn all_7_two_files_of_a_wheel_want_one_place() {
    refused(
        &Wheel::new(&[("demo/a.py", b""), ("demo-1.0.data/purelib/demo/a.py", b"")]),
        &format!(
            "`{SITE_PACKAGES}/demo/a.py` and `{SITE_PACKAGES}/demo/a.py` cannot both be installed"
        ),
    );
    refused(
        &Wheel::new(&[("demo", b""), ("demo-1.0.data/platlib/demo/a.so", b"")]),
        &format!("`{SITE_PACKAGES}/demo` and `{SITE_PACKAGES}/demo/a.so` cannot both be installed"),
    );
    refused(
        &Wheel::new(&[
            ("demo-1.0.data/scripts/a", b""),
            ("demo-1.0.data/data/bin/a", b"x"),
        ]),
        "`venv/bin/a` and `venv/bin/a` cannot both be installed",
    );
}

#[test]
fn lim_4_descriptions_are_bounded() {
    let text = [DEMO_METADATA, &vec![b'x'; 16 << 20]].concat();
    refused(
        &Wheel::new(&[]).file("demo-1.0.dist-info/METADATA", &text),
        &format!(
            "`demo-1.0.dist-info/METADATA` is {} bytes, more than 16777216",
            text.len()
        ),
    );
}

proptest! {
    /// Whatever bytes of a wheel are changed, it is refused, or every file of its tree is the one in the plan.
    #[test]
    fn all_1_changed_wheels_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = rich_wheel().zip().bytes();
        for (place, byte) in changes {
            *place.get_mut(&mut bytes) = byte;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&bytes).expect("written");
        let Ok(archive) = WheelArchive::open(file) else { return Ok(()) };
        let Ok(plan) = plan(&archive, DEMO_FILENAME, &TARGET, RecordPolicy::Checked) else { return Ok(()) };
        let target = directory.path().join("out");
        if write_tree(&archive, &plan, &target, &|| false).is_ok() {
            for file in plan.files {
                let bytes = std::fs::read(target.join(&file.path)).expect("written");
                prop_assert_eq!(cognix_derivations::Sha256::of(&bytes), file.sha256);
            }
        }
    }
}
