use reqwest::Response;

use super::connection::limited;
use super::fixture_index::{FixtureIndex, Manners, Release};
use super::*;
use crate::mirrors::pip_settings::{Origin, PackageIndexUrl};

const FILE: &str = "app-1.0-py3-none-any.whl";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(work)
}

fn open(index: &FixtureIndex, cache: &tempfile::TempDir) -> PythonIndex {
    PythonIndex::new(index.indexes(), cache.path().to_owned(), false)
}

fn pages(index: &FixtureIndex) -> usize {
    index
        .requests()
        .iter()
        .filter(|line| line.contains("/simple/"))
        .count()
}

#[test]
fn a_file_is_found_on_html_and_json_pages() {
    for json in [false, true] {
        let manners = Manners {
            json,
            ..Manners::default()
        };
        let index = FixtureIndex::start(manners, &[Release::new("app", "1.0")]);
        let cache = tempfile::tempdir().expect("a temporary folder");
        let found =
            block_on(open(&index, &cache).locate("pypi", "App", FILE)).expect("the file is there");
        let found: Vec<_> = found.iter().map(Url::as_str).collect();
        assert_eq!(found, [format!("http://{}/files/{FILE}", index.host())]);
    }
}

#[test]
fn calls_for_one_project_share_one_request() {
    let releases = ["1.0", "1.1", "1.2"].map(|version| Release::new("app", version));
    let index = FixtureIndex::start(Manners::default(), &releases);
    let cache = tempfile::tempdir().expect("a temporary folder");
    block_on(async {
        let python_index = open(&index, &cache);
        let files = releases.iter().map(Release::filename).collect::<Vec<_>>();
        let calls = files
            .iter()
            .map(|file| python_index.locate("pypi", "app", file));
        let found = futures::future::try_join_all(calls)
            .await
            .expect("all are there");
        assert_eq!(found.len(), 3);
    });
    assert_eq!(pages(&index), 1);
    // Another process, a moment later: the page is still in the cache.
    block_on(open(&index, &cache).locate("pypi", "app", FILE)).expect("the file is there");
    assert_eq!(pages(&index), 1);
}

#[test]
fn a_page_older_than_the_lock_is_asked_for_again() {
    let index = FixtureIndex::start(Manners::default(), &[Release::new("app", "0.9")]);
    let cache = tempfile::tempdir().expect("a temporary folder");
    let first =
        block_on(open(&index, &cache).locate("pypi", "app", FILE)).expect_err("not there yet");
    assert!(matches!(&first, PythonIndexError::Gone { filename, .. } if filename == FILE));
    assert!(
        first
            .to_string()
            .ends_with("run `cognix lock` to choose another"),
        "{first}"
    );
    index.add(Release::new("app", "1.0"));
    block_on(open(&index, &cache).locate("pypi", "app", FILE)).expect("there now");
}

#[test]
fn what_is_not_there_is_named() {
    let index = FixtureIndex::start(Manners::default(), &[]);
    let cache = tempfile::tempdir().expect("a temporary folder");
    let unknown = block_on(open(&index, &cache).locate("pypi", "nope", FILE)).expect_err("unknown");
    let start = format!(
        "the package index does not know nope (asked: {})",
        index.url()
    );
    assert!(unknown.to_string().starts_with(&start), "{unknown}");

    let offline = PythonIndex::new(index.indexes(), cache.path().to_owned(), true);
    let offline = block_on(offline.locate("pypi", "app", FILE)).expect_err("offline");
    assert!(
        matches!(offline, PythonIndexError::Offline { .. }),
        "{offline}"
    );

    index.answer("/simple/app/", 500, "text/plain", b"out of order");
    let broken =
        block_on(open(&index, &cache).locate("pypi", "app", FILE)).expect_err("out of order");
    assert!(broken.to_string().contains("500"), "{broken}");

    let name = block_on(open(&index, &cache).locate("pypi", "../app", FILE)).expect_err("no name");
    assert!(matches!(name, PythonIndexError::Name(_)), "{name}");
}

#[test]
fn trust_3_candidates_carry_credentials_for_their_origin_only() {
    let index = FixtureIndex::start(Manners::default(), &[Release::new("app", "1.0")]);
    let page = b"<a href='/files/app-1.0-py3-none-any.whl'>a</a>\
                 <a href='http://other.test/app-2.0-py3-none-any.whl'>b</a>";
    index.answer("/simple/app/", 200, "text/html", page);
    let cache = tempfile::tempdir().expect("a temporary folder");
    let url = format!("http://user:hunter2@{}/simple", index.host());
    let url = PackageIndexUrl::parse(&url, &Origin::CommandLine).expect("an address");
    let indexes = PackageIndexes::only(url, Origin::CommandLine);
    let python_index = PythonIndex::new(indexes, cache.path().to_owned(), false);
    block_on(async {
        let here = python_index
            .locate("pypi", "app", FILE)
            .await
            .expect("listed");
        assert_eq!(here[0].password(), Some("hunter2"));
        let other = python_index
            .locate("pypi", "app", "app-2.0-py3-none-any.whl")
            .await
            .expect("listed");
        assert_eq!(
            other[0].as_str(),
            "http://other.test/app-2.0-py3-none-any.whl"
        );
        let gone = python_index
            .locate("pypi", "app", "app-3.0-py3-none-any.whl")
            .await
            .expect_err("gone");
        assert!(!format!("{gone} {gone:?}").contains("hunter2"), "{gone}");
    });
}

#[test]
fn idx_1_a_page_without_end_is_cut_off() {
    let page = |limit| {
        let response = http::Response::builder()
            .status(200)
            .body("0123456789")
            .expect("valid");
        block_on(limited(Response::from(response), limit).text())
    };
    assert_eq!(page(10).expect("fits"), "0123456789");
    let error = page(9).expect_err("too long");
    assert!(
        explain(&error).contains("more than 9 bytes"),
        "{}",
        explain(&error)
    );
}

#[test]
fn sec_2_texts_of_the_library_lose_secrets_and_colours() {
    for (text, expected) in [
        ("plain", "plain"),
        ("\u{1b}[36mnumpy\u{1b}[39m==1", "numpy==1"),
        (
            "at `https://me:pw@host.test/a?X-Signature=1`, then",
            "at `https://host.test/a`, then",
        ),
        (
            "https://me@host.test http://a@b@c.test/x@y",
            "https://host.test http://c.test/x@y",
        ),
        ("bell\u{7} line\nnext", "bell\\u{7} line\nnext"),
        ("odd ://", "odd ://"),
    ] {
        assert_eq!(clean(text), expected);
    }
}
