//! The bundle and its links, against what OpenSSL calls the certificates.

use super::*;

const GOLDEN: [(&str, &[u8]); 4] = [
    (
        "5e100536",
        include_bytes!("golden/certificates/bmp.5e100536.crt"),
    ),
    (
        "68e7c3a9",
        include_bytes!("golden/certificates/multi.68e7c3a9.crt"),
    ),
    (
        "9295488b",
        include_bytes!("golden/certificates/utf8.9295488b.crt"),
    ),
    (
        "d650e340",
        include_bytes!("golden/certificates/printable.d650e340.crt"),
    ),
];

fn with(certificates: &[(&str, &[u8])]) -> System {
    certificates.iter().fold(
        System::new().package("ca-certificates"),
        |system, (name, text)| system.file(&format!("usr/share/ca-certificates/{name}"), text),
    )
}

#[test]
fn hash_links_are_those_of_openssl() {
    for (hash, certificate) in GOLDEN {
        let system = with(&[("mozilla/One.crt", certificate)]);
        let configured = system.configured();
        assert_eq!(
            configured.link(&format!("etc/ssl/certs/{hash}.0")),
            "One.pem"
        );
        assert_eq!(
            configured.link("etc/ssl/certs/One.pem"),
            "/usr/share/ca-certificates/mozilla/One.crt"
        );
        assert_eq!(
            configured.read("etc/ssl/certs/ca-certificates.crt"),
            certificate
        );
    }
}

#[test]
fn the_bundle_is_sorted_and_every_certificate_ends_its_line() {
    let [(_, first), (_, second), ..] = GOLDEN;
    let system = with(&[
        ("mozilla/b.crt", second),
        ("mozilla/B (1), x.crt", first.trim_ascii_end()),
        ("README", b"text"),
    ]);
    let configured = system.configured();
    assert_eq!(
        configured.read("etc/ssl/certs/ca-certificates.crt"),
        [first, second].concat()
    );
    assert_eq!(
        configured.link("etc/ssl/certs/B_=1=__x.pem"),
        "/usr/share/ca-certificates/mozilla/B (1), x.crt"
    );
    let configuration = configured.text("etc/ca-certificates.conf");
    assert!(
        configuration.ends_with("#\nmozilla/B (1), x.crt\nmozilla/b.crt\n"),
        "{configuration}"
    );
}

#[test]
fn equal_subjects_are_numbered_and_equal_certificates_are_not() {
    let (hash, certificate) = GOLDEN[2];
    let text = String::from_utf8(certificate.to_vec()).expect("PEM is text");
    // The signature is not part of the subject, so another one makes another certificate of the same name.
    let at = text.rfind("\n-----END").expect("an end") - 8;
    let swapped = if text.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    let other = format!("{}{swapped}{}", &text[..at], &text[at + 1..]);
    let system = with(&[
        ("a.crt", certificate),
        ("b.crt", other.as_bytes()),
        ("c.crt", certificate),
    ]);
    let configured = system.configured();
    assert_eq!(configured.link(&format!("etc/ssl/certs/{hash}.0")), "a.pem");
    assert_eq!(configured.link(&format!("etc/ssl/certs/{hash}.1")), "b.pem");
    assert!(!configured.has(&format!("etc/ssl/certs/{hash}.2")));
    assert_eq!(
        configured.link("etc/ssl/certs/c.pem"),
        "/usr/share/ca-certificates/c.crt"
    );
}

#[test]
fn all_1_refuses_what_is_no_certificate() {
    let (_, certificate) = GOLDEN[0];
    let text = String::from_utf8(certificate.to_vec()).expect("PEM is text");
    for (broken, word) in [
        (String::new(), "no certificate"),
        (text.replace("END", "AND"), "end is missing"),
        (format!("{text}{text}"), "more than one"),
        (text.replacen("MII", "M!I", 1), "base64"),
        (
            format!("{}\n-----END CERTIFICATE-----\n", &text[..28 + 64]),
            "subject",
        ),
        (
            "-----BEGIN CERTIFICATE----------END CERTIFICATE-----".to_owned(),
            "subject",
        ),
    ] {
        let system = with(&[("mozilla/One.crt", broken.as_bytes())]);
        let error = system
            .configure()
            .err()
            .expect("a broken certificate")
            .to_string();
        assert!(
            error.contains("mozilla/One.crt") && error.contains(word),
            "{error}"
        );
    }
}
