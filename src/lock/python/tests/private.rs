//! Indexes that want to know who is asking.

use std::ffi::OsString;

use super::*;
use crate::mirrors::package_indexes::IndexInput;

const CREDENTIALS: &str = "me:hunter2 &x";

fn private(releases: &[Release]) -> FixtureIndex {
    let credentials = Some(CREDENTIALS);
    FixtureIndex::start(
        Manners {
            credentials,
            ..Manners::default()
        },
        releases,
    )
}

fn company(url: &str) -> ModelIndexes {
    ModelIndexes {
        inputs: vec![IndexInput {
            name: "my-company".to_owned(),
            url: Some(url.to_owned()),
            packages: Vec::new(),
        }],
        ..ModelIndexes::default()
    }
}

fn of_variables(name: &str) -> Option<OsString> {
    match name {
        "UV_INDEX_MY_COMPANY_USERNAME" => Some("me".into()),
        "UV_INDEX_MY_COMPANY_PASSWORD" => Some("hunter2 &x".into()),
        _ => None,
    }
}

/// Whether any file below a folder holds the password, in clear or encoded.
fn is_kept_in(folder: &std::path::Path) -> bool {
    let encoded = data_encoding::BASE64.encode(CREDENTIALS.as_bytes());
    let needles = ["hunter2", encoded.as_str()];
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .any(|path| {
            if path.is_dir() {
                return is_kept_in(&path);
            }
            let bytes = std::fs::read(&path).expect("a file");
            let name = path.to_string_lossy().into_owned().into_bytes();
            needles.iter().any(|needle| {
                [&bytes, &name].iter().any(|text| {
                    text.windows(needle.len())
                        .any(|part| part == needle.as_bytes())
                })
            })
        })
}

#[test]
fn sec_1_a_private_index_of_cognix_nix_leaves_no_trace_of_the_password() {
    let index = private(&[Release::new("own", "1.0").requires("lib<2")]);
    let case = Case::new(&app_and_lib(), &["own"]).machine(company(&index.url()), &of_variables);
    let lock = case.resolve();
    assert_eq!(
        lock.wheels[1].origin,
        WheelOrigin::Index {
            input: "my-company".to_owned()
        }
    );
    assert!(!is_kept_in(case.cache.path()));
    let printed = format!("{lock:?} {:?} {}", case.request, case.request.indexes);
    assert!(!printed.contains("hunter2"), "{printed}");
    assert_eq!(case.index.authorised(), Vec::<String>::new());
}

#[test]
fn netrc_and_addresses_hold_credentials_too() {
    let index = private(&[Release::new("own", "1.0")]);
    let host = "127.0.0.1";
    let netrc = format!("machine {host}\nlogin me\npassword \"hunter2 &x\"\n");
    let of_netrc = |name: &str| (name == "NETRC").then(|| OsString::from("/netrc"));
    let model = ModelIndexes {
        extra_indexes: vec![index.url()],
        ..ModelIndexes::default()
    };
    let case = Case::new(&[], &["own"]);
    std::fs::write(case.project.path().join("netrc"), netrc).expect("a file");
    let case = case.machine(model.clone(), &of_netrc);
    assert_eq!(case.versions(), ["own 1.0"]);
    assert!(!is_kept_in(case.cache.path()));

    // The machine's own settings know the address with credentials, a requirement file without.
    let address = index.url().replace("http://", "http://me:hunter2%20%26x@");
    let of_settings = |name: &str| (name == "UV_EXTRA_INDEX_URL").then(|| OsString::from(&address));
    let case = Case::new(&[], &["own"]).machine(model, &of_settings);
    assert_eq!(case.versions(), ["own 1.0"]);
    assert!(!is_kept_in(case.cache.path()));
}

#[test]
fn a_private_index_without_credentials_says_which_setting_is_missing() {
    let index = private(&[Release::new("own", "1.0")]);
    for (variables, status) in [(false, "401"), (true, "401")] {
        let wrong =
            |name: &str| (variables && name.ends_with("_USERNAME")).then(|| "nobody".into());
        let case = Case::new(&[], &["own"]).machine(company(&index.url()), &wrong);
        let (message, kind) = case.error();
        assert_eq!(kind, PythonErrorKind::Unavailable);
        assert!(message.contains(status), "{message}");
        assert!(
            message.contains("UV_INDEX_MY_COMPANY_USERNAME"),
            "{message}"
        );
        assert!(
            message.contains("the package index my-company ("),
            "{message}"
        );
    }
}

#[test]
fn trust_3_credentials_are_dropped_on_a_redirect_elsewhere() {
    let elsewhere = FixtureIndex::start(Manners::default(), &[Release::new("own", "1.0")]);
    let index = private(&[]);
    let page = format!("{}/own/", elsewhere.url());
    index.redirect("/simple/own/", &page);
    let case = Case::new(&[], &["own"]).machine(company(&index.url()), &of_variables);
    assert_eq!(case.versions(), ["own 1.0"]);
    assert!(!index.authorised().is_empty());
    assert_eq!(elsewhere.authorised(), Vec::<String>::new());
}
