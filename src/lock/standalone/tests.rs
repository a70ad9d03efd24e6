use std::collections::BTreeSet;
use std::str::FromStr;

use cognix_derivations::Sha256;
use uv_python::downloads::{ManagedPythonDownloadList, PythonDownloadRequest};

use super::*;
use crate::lock::InputPin;
use crate::lock::platform::Interpreter;

fn platforms() -> impl Iterator<Item = Platform> {
    let on = |python| Architecture::ALL.map(|architecture| (python, architecture));
    Platform::pythons()
        .flat_map(on)
        .filter_map(|(python, architecture)| Platform::for_python(python, architecture))
}

/// The table says of each archive what uv's own list says: version, build, file and digest, of the newest patch.
#[test]
fn the_table_is_what_the_library_lists() {
    let list = ManagedPythonDownloadList::new_only_embedded().expect("the library's own list");
    for entry in &table::TABLE {
        let minor = entry.version.rsplit_once('.').expect("three numbers").0;
        let machine = entry.architecture.machine();
        let request = format!("cpython-{minor}-linux-{machine}-gnu");
        let request = PythonDownloadRequest::from_str(&request).expect("a request");
        let newest = list.find(&request).expect("the library has it");
        assert_eq!(newest.build(), Some(entry.build), "{}", entry.path());
        let urls = newest.download_urls(None, None).expect("addresses");
        for url in urls {
            let url = url.to_string().replace("%2B", "+");
            assert!(url.ends_with(&format!("/{}", entry.path())), "{url}");
        }
        // The digest has no other way out of the library.
        let described = format!("{newest:?}");
        assert!(described.contains(entry.sha256), "{described}");
    }
}

#[test]
fn every_standalone_platform_has_one_archive() {
    let mut used = BTreeSet::new();
    for platform in platforms().filter(|platform| platform.interpreter == Interpreter::Standalone) {
        let archive = choose(&InputPins::new(), platform).expect("the table has it");
        assert!(is_of(&archive.version, platform.python), "{archive:?}");
        assert!(archive.path.contains(platform.architecture.machine()));
        used.insert(archive.path);
    }
    assert_eq!(
        used.len(),
        table::TABLE.len(),
        "the table holds what nobody takes"
    );
}

fn own(version: &str) -> InputPins {
    let archive = PinnedArchive {
        path: "own/python.tar.gz".to_owned(),
        platform: Architecture::Amd64,
        sha256: Sha256::of(b"own"),
        version: version.to_owned(),
    };
    let pin = InputPin {
        packages: Vec::new(),
        rank: None,
        archives: vec![archive],
        components: Vec::new(),
        releases: Default::default(),
        suites: Vec::new(),
        kind: "url".to_owned(),
    };
    InputPins::from([(STANDALONE.to_owned(), pin)])
}

#[test]
fn a_models_own_archive_comes_first() {
    let chosen = |version, architecture| {
        let python = "3.12".parse().expect("a version");
        let platform = Platform::for_python(python, architecture).expect("it can be provided");
        choose(&own(version), platform).expect("some archive")
    };
    let mine = chosen("3.12.1", Architecture::Amd64);
    assert_eq!(
        mine.url(),
        "mirror://python-build-standalone/own/python.tar.gz"
    );
    assert_eq!(
        (mine.version.as_str(), mine.sha256),
        ("3.12.1", Sha256::of(b"own"))
    );
    // Another Python, and another processor.
    for other in [
        chosen("3.1.2", Architecture::Amd64),
        chosen("3.12.1", Architecture::Arm64),
    ] {
        assert!(other.path.contains("install_only_stripped"), "{other:?}");
    }
}
