//! Looking into wheels on every kind of file server.

use super::*;

/// A wheel whose table of contents alone is larger than the first request.
fn large() -> Release {
    let mut release = Release::new("large", "1.0").file("large/blob.bin", &noise(300_000));
    for number in 0..1500 {
        release = release.file(
            &format!("large/with/a/rather/long/path/file_number_{number}.py"),
            b"",
        );
    }
    release
}

/// Bytes that no compressor makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let blocks =
        (0..length.div_ceil(32)).map(|number| *Sha256::of(&number.to_le_bytes()).as_bytes());
    blocks.flatten().collect()
}

#[test]
fn wheels_are_looked_into_whatever_the_server_offers() {
    let releases = [
        large(),
        Release::new("small", "1.0"),
        Release::new("odd", "1.0")
            .file("odd/blob.bin", &noise(200_000))
            .record_first(),
    ];
    let sizes = releases
        .each_ref()
        .map(|release| (release.filename(), release.bytes().len() as u64));
    let sizes = std::collections::BTreeMap::from(sizes);
    let servers = [
        (Ranges::All, false),
        (Ranges::All, true),
        (Ranges::FromStart, false),
        (Ranges::None, false),
    ];
    for (ranges, breaks_off) in servers {
        let manners = Manners {
            ranges,
            breaks_off,
            ..Manners::default()
        };
        let lock = Case::with(manners, &releases, &["large", "small", "odd"]).resolve();
        for wheel in &lock.wheels {
            assert_eq!(wheel.size, sizes[&wheel.filename], "{ranges:?}");
        }
        let entries = ["large", "odd", "small"].map(|name| lock.contents[name].record.len());
        assert_eq!(entries, [1505, 5, 4], "{ranges:?}");
    }
}

#[test]
fn a_whole_wheel_must_have_the_digest_of_its_page() {
    let manners = Manners {
        ranges: Ranges::None,
        ..Manners::default()
    };
    let case = Case::with(manners, &app_and_lib(), &["lib==2.0"]);
    let other = Release::new("lib", "2.0").file("lib/more.py", b"");
    case.index.answer(
        "/files/lib-2.0-py3-none-any.whl",
        200,
        "application/octet-stream",
        &other.bytes(),
    );
    let (message, kind) = case.error();
    assert_eq!(kind, PythonErrorKind::Unavailable);
    assert!(
        message.contains("its SHA-256 is") && message.contains("the index says"),
        "{message}"
    );
}

#[test]
fn what_was_learnt_is_not_asked_again() {
    let case = Case::new(&app_and_lib(), &["app"]);
    let first = case.resolve();
    assert!(case.file_requests() >= 2);
    case.index.forget_requests();
    assert_eq!(case.resolve(), first);
    assert_eq!(case.index.requests(), [""; 0]);
    let offline = case.change(|request| request.offline = true);
    assert_eq!(offline.resolve(), first);
}
