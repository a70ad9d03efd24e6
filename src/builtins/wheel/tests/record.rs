//! RECORD, read and written (REC-2).

use sha2::{Digest as _, Sha384, Sha512};

use super::*;

const RECORD: &str = "demo-1.0.dist-info/RECORD";

fn wheel() -> Wheel {
    Wheel::new(&[("demo/a.py", b"a = 1\n"), ("demo/b.py", b"")])
}

/// A wheel whose RECORD has other text in place of some of its own.
fn changed(from: &'static str, to: &'static str) -> Wheel {
    wheel().record(move |text| {
        assert!(text.contains(from), "{text}");
        text.replace(from, to)
    })
}

/// A wheel whose RECORD has one more line, which is its sixth.
fn with_line(line: &'static str) -> Wheel {
    wheel().record(move |text| text + line + "\n")
}

fn malformed(line: u8, problem: &str) -> String {
    format!("`{RECORD}`, line {line}: {problem}")
}

/// The expected text was written by the `hashlib`, `base64` and `csv` modules of Python.
#[test]
fn the_installed_record_is_sorted_and_complete() {
    let plan = planned(&rich_wheel()).expect("a good wheel");
    let text = generated(&plan, &format!("{SITE_PACKAGES}/{RECORD}"));
    assert_eq!(text, include_str!("installed-record.csv"));
}

#[test]
fn rec_2_unlisted_files() {
    refused(
        &wheel().record(|text| {
            text.lines()
                .filter(|line| !line.starts_with("demo/"))
                .map(|line| format!("{line}\n"))
                .collect()
        }),
        &format!("`{RECORD}` does not list `demo/a.py`, nor 1 more"),
    );
    refused(
        &wheel().record(|text| {
            text.lines()
                .filter(|line| !line.contains("WHEEL"))
                .map(|line| format!("{line}\n"))
                .collect()
        }),
        &format!("`{RECORD}` does not list `demo-1.0.dist-info/WHEEL`"),
    );
}

#[test]
fn rec_2_files_that_are_not_there() {
    refused(
        &with_line("demo/c.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"),
        &format!("`{RECORD}` lists `demo/c.py` in line 6, but the wheel does not hold it"),
    );
    refused(
        &wheel()
            .entry(Entry::directory("demo"), b"")
            .record(|text| text + "demo,,\ndemo/d.py,,\n"),
        &format!("`{RECORD}` lists `demo` in line 6, but the wheel does not hold it, nor 1 more"),
    );
}

#[test]
fn rec_2_sizes_and_digests() {
    refused(
        &changed(",6\n", ",7\n"),
        &format!("`demo/a.py`: its size is 6, but `{RECORD}` says 7"),
    );
    planned(&changed(",6\n", ",\n")).expect("a size may be left out");
    refused(
        &changed(
            "demo/b.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0",
            "demo/b.py,,",
        ),
        &malformed(2, "`demo/b.py`: has no digest"),
    );
    for (digest, problem) in [
        (
            "md5=1B2M2Y8AsgTpgAmy7PhCfg",
            "its digest is `md5`, expected sha256, sha384 or sha512",
        ),
        (
            "sha1=x",
            "its digest is `sha1`, expected sha256, sha384 or sha512",
        ),
        ("sha256", "`` is no sha256 in URL-safe base64"),
        ("sha256=AAAA", "`AAAA` is no sha256 in URL-safe base64"),
    ] {
        let line = move |text: String| {
            text.replace("sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", digest)
        };
        refused(
            &wheel().record(line),
            &malformed(2, &format!("`demo/b.py`: {problem}")),
        );
    }
}

#[test]
fn rec_2_descriptions_match_their_digests_before_they_are_believed() {
    let other = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
    for file in ["METADATA", "WHEEL", "entry_points.txt"] {
        let path = format!("demo-1.0.dist-info/{file}");
        let wheel = rich_wheel().record({
            let path = path.clone();
            move |text| {
                let lines = text.lines().map(|line| match line.strip_prefix(&path) {
                    Some(rest) => {
                        let size = rest.rsplit(',').next().unwrap_or_default();
                        format!("{path},{other},{size}\n")
                    }
                    None => format!("{line}\n"),
                });
                lines.collect()
            }
        });
        let error = planned(&wheel).expect_err("another content").to_string();
        assert!(
            error.starts_with(&format!("`{path}`: its sha256 is ")),
            "{error}"
        );
    }
}

#[test]
fn rec_2_stronger_digests_are_checked_at_once() {
    use data_encoding::BASE64URL_NOPAD;
    let sha384 = format!(
        "sha384={}",
        BASE64URL_NOPAD.encode(&Sha384::digest(b"a = 1\n"))
    );
    let sha512 = format!("sha512={}", BASE64URL_NOPAD.encode(&Sha512::digest(b"")));
    let stronger = |sha384: String, sha512: String| {
        wheel().record(move |text| {
            let lines = text.lines().map(|line| match line.split(',').next() {
                Some("demo/a.py") => format!("demo/a.py,{sha384},6\n"),
                Some("demo/b.py") => format!("demo/b.py,{sha512},0\n"),
                _ => format!("{line}\n"),
            });
            lines.collect()
        })
    };
    let plan = planned(&stronger(sha384.clone(), sha512.clone())).expect("good digests");
    assert_eq!(plan, planned(&wheel()).expect("a good wheel"));
    let other = format!("sha512={}", BASE64URL_NOPAD.encode(&Sha512::digest(b"x")));
    let error = planned(&stronger(sha384, other))
        .expect_err("another digest")
        .to_string();
    assert!(
        error.starts_with("`demo/b.py`: its sha512 is z4PhNX7vuL3xVChQ1m2AB9Yg5"),
        "{error}"
    );
}

#[test]
fn rec_2_csv() {
    refused(
        &with_line("demo/a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,6"),
        &malformed(6, "lists `demo/a.py` twice"),
    );
    refused(
        &with_line("x,y"),
        &malformed(6, "has 2 fields, expected path, digest and size"),
    );
    refused(
        &with_line("x,,,"),
        &malformed(6, "has 4 fields, expected path, digest and size"),
    );
    for (line, problem) in [
        ("../x,,", "path `../x` has a part that is `.` or `..`"),
        ("/demo/a.py,,", "path `/demo/a.py` is absolute"),
        ("demo\\a.py,,", "path `demo\\a.py` contains a backslash"),
    ] {
        refused(&with_line(line), &malformed(6, problem));
    }
    planned(&wheel().record(|text| text.replace('\n', "\r\n"))).expect("other line ends");
    planned(&wheel().record(|text| text.replace("demo/a.py", "\"demo/a.py\""))).expect("quotes");
}

#[test]
fn rec_2_signatures_are_not_listed() {
    let signed = || {
        wheel()
            .file("demo-1.0.dist-info/RECORD.jws", b"signature")
            .record(|text| {
                let lines = text.lines().filter(|line| !line.contains("jws"));
                lines.map(|line| format!("{line}\n")).collect()
            })
    };
    let plan = planned(&signed()).expect("a good wheel");
    let file = find(
        &plan,
        &format!("{SITE_PACKAGES}/demo-1.0.dist-info/RECORD.jws"),
    );
    assert_eq!(file.sha256, cognix_derivations::Sha256::of(b"signature"));
    planned(&wheel().record(|text| text.replace("demo-1.0.dist-info/RECORD,,\n", "")))
        .expect("a record that does not list itself");
}

/// What a waiver makes of a wheel: the plan of the same files with a RECORD that is right.
#[test]
fn rec_3_a_waived_record_is_made_anew() {
    let good = planned(&rich_wheel()).expect("a good wheel");
    let without_indices = |plan: &InstallPlan| -> Vec<_> {
        let files = plan.files.iter();
        files
            .map(|file| (file.path.clone(), file.executable, file.size, file.sha256))
            .collect()
    };
    let lies: [fn(String) -> String; 6] = [
        |text| text.replace("sha256=", "sha256=x"),
        |text| text.replace(",6\n", ",7\n"),
        |text| {
            text.lines()
                .take(3)
                .map(|line| format!("{line}\n"))
                .collect()
        },
        |text| text + "demo/absent.py,,\n/demo/absolute.py,,\n",
        |text| format!("{text}{text}"),
        |_| "no,csv\n\"at all".to_owned(),
    ];
    for lie in lies {
        let wheel = rich_wheel().record(lie);
        let error = planned(&wheel).expect_err("RECORD is wrong");
        assert!(error.can_be_waived(), "{error}");
        let waived = waived(&wheel).expect("a waiver");
        assert_eq!(without_indices(&waived), without_indices(&good));
        let record = format!("{SITE_PACKAGES}/{RECORD}");
        assert_eq!(generated(&waived, &record), generated(&good, &record));
    }
}

#[test]
fn rec_3_a_waiver_is_for_the_record_alone() {
    for wheel in [
        Wheel::new(&[("demo-1.0.data/scripts/python", b"")]),
        Wheel::new(&[]).without("demo-1.0.dist-info/METADATA"),
        Wheel::new(&[("demo-1.0.data/nonsense/a", b"")]),
        Wheel::new(&[(
            "demo-1.0.dist-info/entry_points.txt",
            b"[console_scripts]\na\n",
        )]),
    ] {
        let error = waived(&wheel).expect_err("another rule");
        assert!(!error.can_be_waived(), "{error}");
        assert_eq!(
            planned(&wheel).expect_err("another rule").to_string(),
            error.to_string()
        );
    }
    let damaged = Entry::stored("demo/a.py", b"a = 1\n").both(|header| header.crc32 ^= 1);
    let error = waived(&Wheel::new(&[]).entry(damaged, b"a = 1\n"));
    assert!(!error.expect_err("a checksum").can_be_waived());
}

fn waived(wheel: &Wheel) -> Result<InstallPlan, WheelError> {
    let archive = wheel.zip().open().expect("a good archive");
    plan(&archive, DEMO_FILENAME, &TARGET, RecordPolicy::Waived)
}
