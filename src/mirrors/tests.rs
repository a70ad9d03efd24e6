//! From a name in a lock to bytes in a store.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use cognix_derivations::{ContentAddress, Derivation, DerivationGraph, Sha256};
use cognix_store::{
    Builders, CancellationToken, Durability, Event, EventSink, FetchOptions, RealiseError,
    Realised, Realiser, Store,
};

use super::package_indexes::IndexInput;
use super::python_index::fixture_index::{FixtureIndex, Manners, Release};
use super::*;

const CREDENTIALS: &str = "me:hunter2";
const FILE: &str = "own-1.0-py3-none-any.whl";

/// Remembers all that is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl EventSink for Told {
    fn emit(&self, event: Event) {
        self.0
            .lock()
            .expect("no thread panics while holding it")
            .push(format!("{event:?}"));
    }
}

struct Case {
    folder: tempfile::TempDir,
    told: Arc<Told>,
}

impl Case {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            told: Arc::default(),
        }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// The sources of a project on a machine with uv's variables for the index `company`.
    fn mirrors(&self, index: Option<&FixtureIndex>) -> Mirrors {
        let inputs = index.map(|index| IndexInput {
            name: "company".to_owned(),
            url: Some(index.url()),
            packages: Vec::new(),
        });
        let indexes = ModelIndexes {
            root: self.folder("project"),
            inputs: inputs.into_iter().collect(),
            ..ModelIndexes::default()
        };
        let variable = |name: &str| match name {
            "UV_INDEX_COMPANY_USERNAME" => Some(OsString::from("me")),
            "UV_INDEX_COMPANY_PASSWORD" => Some(OsString::from("hunter2")),
            _ => None,
        };
        let machine = Machine::new(&variable, self.folder.path());
        let found = PackageIndexes::discover(&indexes, &BTreeMap::new(), &machine);
        let sources = ProjectSources {
            indexes,
            ..ProjectSources::default()
        };
        let mirrors = Mirrors::new(sources, &[], self.folder("cache"), false).expect("names");
        let python = PythonIndex::new(found.expect("addresses"), mirrors.python_cache(), false);
        assert!(
            mirrors.python.set(python).is_ok(),
            "nothing was asked before"
        );
        mirrors
    }

    /// Fetches one file as a build does.
    fn realise(&self, mirrors: Mirrors, url: &str, bytes: &[u8]) -> Result<Realised, RealiseError> {
        let mut graph = DerivationGraph::new();
        let derivation = Derivation::builder(FILE)
            .fixed_output(ContentAddress::Flat(Sha256::of(bytes).into()))
            .system("builtin")
            .builder("builtin:fetchurl")
            .env("url", url)
            .build();
        let path = graph
            .insert(derivation.expect("a derivation"))
            .expect("no inputs");
        let realiser = Realiser {
            store: Store::open_with(&self.folder("store"), Durability::None).expect("a store"),
            builders: Builders::default(),
            mirrors: Arc::new(mirrors),
            jobs: 1,
            events: self.told.clone(),
            cancel: CancellationToken::new(),
            fetch: FetchOptions {
                retries: 0,
                ..FetchOptions::default()
            },
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let realised = runtime.block_on(realiser.realise(&graph, &[(path, "out".to_owned())]));
        realiser.store.add_derivations(&graph).expect("derivations");
        realised
    }

    /// Everything that was said, and every byte that was written.
    fn holds(&self, needle: &str) -> bool {
        let told = self
            .told
            .0
            .lock()
            .expect("no thread panics while holding it");
        told.iter().any(|line| line.contains(needle))
            || is_below(self.folder.path(), needle.as_bytes())
    }
}

fn is_below(folder: &Path, needle: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .any(|path| {
            if path.is_dir() {
                return is_below(&path, needle);
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            bytes.windows(needle.len()).any(|part| part == needle)
        })
}

fn private() -> FixtureIndex {
    let manners = Manners {
        credentials: Some(CREDENTIALS),
        ..Manners::default()
    };
    FixtureIndex::start(manners, &[Release::new("own", "1.0")])
}

#[test]
fn sec_1_a_build_from_a_private_index_leaves_no_trace_of_the_password() {
    let (index, case) = (private(), Case::new());
    let mirrors = case.mirrors(Some(&index));
    let bytes = Release::new("own", "1.0").bytes();
    let url = format!("mirror://company/own/{FILE}");
    case.realise(mirrors, &url, &bytes)
        .expect("the index knows who is asking");
    assert!(
        index.authorised().contains(&format!("/files/{FILE}")),
        "{:?}",
        index.authorised()
    );
    assert!(case.holds(&url), "the derivation is there");
    for secret in [
        "hunter2",
        &data_encoding::BASE64.encode(CREDENTIALS.as_bytes()),
    ] {
        assert!(!case.holds(secret), "{secret}");
    }
}

#[test]
fn trust_3_a_build_drops_credentials_on_a_redirect_elsewhere() {
    let (index, case) = (private(), Case::new());
    let elsewhere = FixtureIndex::start(Manners::default(), &[Release::new("own", "1.0")]);
    let path = format!("/files/{FILE}");
    index.redirect(&path, &format!("http://{}{path}", elsewhere.host()));
    let mirrors = case.mirrors(Some(&index));
    let bytes = Release::new("own", "1.0").bytes();
    case.realise(mirrors, &format!("mirror://company/own/{FILE}"), &bytes)
        .expect("it is there");
    assert!(index.authorised().contains(&path));
    assert_eq!(elsewhere.authorised(), Vec::<String>::new());
    assert!(
        elsewhere
            .requests()
            .iter()
            .any(|line| line.ends_with(&path))
    );
}

#[test]
fn sec_2_a_refused_fetch_shows_no_credentials() {
    let case = Case::new();
    let manners = Manners {
        credentials: Some("me:another"),
        ..Manners::default()
    };
    let index = FixtureIndex::start(manners, &[Release::new("own", "1.0")]);
    let url = format!("mirror://company/own/{FILE}");
    let error = case
        .realise(case.mirrors(Some(&index)), &url, b"")
        .expect_err("wrong password");
    assert!(
        !format!("{error:?} {error}").contains("hunter2"),
        "{error:?}"
    );
    assert!(!case.holds("hunter2"));
}

#[test]
fn files_of_the_project_are_fetched_from_it() {
    let case = Case::new();
    let mirrors = case.mirrors(None);
    let wheel = case.folder("project/wheels").join(FILE);
    std::fs::write(&wheel, b"a wheel").expect("a file");
    case.realise(mirrors, &format!("project://wheels/{FILE}"), b"a wheel")
        .expect("it is there");
    for (path, expected) in [
        ("wheels/gone.whl", "does not have"),
        ("../cache", "out of the project"),
    ] {
        let mirrors = case.mirrors(None);
        let located = futures::executor::block_on(mirrors.locate(&format!("project://{path}")));
        let error = located.expect_err("not in the project").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn mirrors_are_named_as_the_lock_names_them() {
    let indexes = ModelIndexes {
        extra_indexes: vec!["https://extra.test/simple".to_owned()],
        ..ModelIndexes::default()
    };
    let inputs = BTreeMap::from([("debian".to_owned(), None)]);
    let new = |argument: &str| {
        let sources = ProjectSources {
            inputs: inputs.clone(),
            indexes: indexes.clone(),
        };
        Mirrors::new(sources, &[argument.to_owned()], PathBuf::new(), true)
    };
    for known in ["pypi", "pytorch", "extra-test-simple", "debian"] {
        assert!(
            new(&format!("{known}=https://mirror.test")).is_ok(),
            "{known}"
        );
    }
    let error = new("pipy=https://mirror.test")
        .err()
        .expect("a misspelt name")
        .to_string();
    assert!(
        error.ends_with("the package sources are debian, extra-test-simple, pypi, pytorch"),
        "{error}"
    );
    assert!(new("pypi").is_err());
}
