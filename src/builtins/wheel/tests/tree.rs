//! Plans become trees.

use std::{
    cell::Cell,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use super::*;

fn write(wheel: &Wheel, target: &Path) -> Result<InstallPlan, WheelError> {
    let archive = wheel.zip().open().expect("a good archive");
    let plan = plan(&archive, DEMO_FILENAME, &TARGET, RecordPolicy::Checked)?;
    write_tree(&archive, &plan, target, &|| false).map(|()| plan)
}

#[test]
fn all_9_a_tree_has_the_contents_and_modes_of_the_plan() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let target = directory.path().join("out");
    let plan = write(&rich_wheel(), &target).expect("written");
    for file in &plan.files {
        let path = target.join(&file.path);
        let bytes = fs::read(&path).expect("written");
        assert_eq!(
            cognix_derivations::Sha256::of(&bytes),
            file.sha256,
            "{}",
            file.path
        );
        assert_eq!(bytes.len() as u64, file.size);
        let mode = path.metadata().expect("written").permissions().mode() & 0o7777;
        assert_eq!(
            mode,
            if file.executable { 0o755 } else { 0o644 },
            "{}",
            file.path
        );
    }
    assert!(!target.join(SITE_PACKAGES).join("demo/empty").exists());
    let mode = target
        .join("venv/lib")
        .metadata()
        .expect("written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
    fs::read(
        target
            .join(SITE_PACKAGES)
            .join("demo/__pycache__/__init__.cpython-311.pyc"),
    )
    .expect("bytecode of the wheel is kept");
}

#[test]
fn rec_2_contents_are_compared_while_they_are_written() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let wheel = Wheel::new(&[("demo/a.py", b"a = 1\n")]).record(|text| {
        text.replace(
            "demo/a.py,sha256=",
            "demo/a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,6\n#",
        )
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect()
    });
    let error = write(&wheel, &directory.path().join("out")).expect_err("another content");
    assert_eq!(
        error.to_string(),
        "`demo/a.py`: its sha256 is y3i9ihf3t1H-DUZjNm3LwlcgQDPvfd1ksfKWlXO1suI, but `RECORD` says 47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    );
}

#[test]
fn zip_3_checksums_are_compared_while_contents_are_written() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let entry = Entry::stored("demo/a.py", b"a = 1\n").both(|header| header.crc32 ^= 1);
    let wheel = Wheel::new(&[]).entry(entry, b"a = 1\n");
    let error = write(&wheel, &directory.path().join("out")).expect_err("another checksum");
    assert!(
        error
            .to_string()
            .starts_with("member `demo/a.py`: its checksum is"),
        "{error}"
    );
}

#[test]
fn all_6_nothing_that_exists_is_written_to_or_followed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let target = directory.path().join("out");
    for prepare in [
        &(|| fs::create_dir(&target)) as &dyn Fn() -> std::io::Result<()>,
        &|| fs::write(&target, "text"),
        &|| symlink(&elsewhere, &target),
        &|| symlink("nowhere", &target),
    ] {
        prepare().expect("prepared");
        let error = write(&rich_wheel(), &target).expect_err("something is there");
        assert_eq!(
            error.to_string(),
            format!("cannot write {}", target.display())
        );
        let removed = if target.is_dir() && !target.is_symlink() {
            fs::remove_dir(&target)
        } else {
            fs::remove_file(&target)
        };
        removed.expect("removed");
    }
    assert_eq!(fs::read_dir(elsewhere).expect("a directory").count(), 0);
}

#[test]
fn cancelling_ends_the_work() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let archive = rich_wheel().zip().open().expect("a good archive");
    let plan = plan(&archive, DEMO_FILENAME, &TARGET, RecordPolicy::Checked).expect("a good wheel");
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let error = write_tree(&archive, &plan, &directory.path().join("out"), &cancelled);
    assert!(matches!(error, Err(WheelError::Cancelled)));
}
