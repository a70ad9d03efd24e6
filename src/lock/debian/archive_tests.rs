use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Serves one canned answer per connection on loopback, the last one for ever, and counts.
fn server(answers: &[&str]) -> (HttpArchive, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("a bound socket");
    let served = Arc::new(AtomicUsize::new(0));
    let (count, answers) = (
        served.clone(),
        answers.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let answer = &answers[count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
            let mut request = [0; 4096];
            let length = socket.read(&mut request).unwrap_or(0);
            let path = String::from_utf8_lossy(&request[..length])
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            // The client may hang up first, when the answer is too long for it.
            let _ = socket.write_all(answer.replace("PATH", &path).as_bytes());
        }
    });
    let base = Url::parse(&format!("http://user:secret@{address}/debian?q")).expect("a URL");
    let client = HttpArchive::client().expect("a client");
    let mut archive = HttpArchive::new(client, [("debian".to_owned(), base)].into());
    archive.first_pause = Duration::from_millis(1);
    (archive, served)
}

async fn fetch(answers: &[&str], path: &str) -> (Result<Option<String>, String>, usize) {
    let (archive, served) = server(answers);
    let result = archive.fetch("debian", path, 20).await;
    let result =
        result.map(|bytes| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    (
        result.map_err(|error| error.to_string()),
        served.load(Ordering::SeqCst),
    )
}

const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nbytes";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn found_and_missing_files() {
    assert_eq!(
        fetch(&[OK], "dists/InRelease").await,
        (Ok(Some("bytes".to_owned())), 1)
    );
    let missing = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 4\r\n\r\nnone";
    assert_eq!(fetch(&[missing], "dists/InRelease").await, (Ok(None), 1));
}

#[tokio::test]
async fn paths_are_joined_to_the_address_and_encoded() {
    let echo = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nPATH";
    assert_eq!(
        fetch(&[echo], "b?+~").await.0,
        Ok(Some("/debian/b%3F+~?q".to_owned()))
    );
    assert_eq!(
        fetch(&[echo], "a/../../b").await,
        (Err("no address is configured".to_owned()), 0)
    );
}

#[tokio::test]
async fn lim_2_passing_errors_are_tried_again() {
    assert_eq!(
        fetch(&[BUSY, "", OK], "x").await,
        (Ok(Some("bytes".to_owned())), 3)
    );
    assert_eq!(
        fetch(&[BUSY], "x").await,
        (Err("the server answered 503".to_owned()), 4)
    );
    let later = BUSY.replace("\r\nConnection", "\r\nRetry-After: 1\r\nConnection");
    let start = std::time::Instant::now();
    assert_eq!(
        fetch(&[&later, OK], "x").await,
        (Ok(Some("bytes".to_owned())), 2)
    );
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "the server's wish counts"
    );
    let forbidden = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        fetch(&[forbidden], "x").await,
        (Err("the server answered 403".to_owned()), 1)
    );
}

#[tokio::test]
async fn all_2_a_broken_transfer_is_an_error() {
    let short = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nbytes";
    assert_eq!(
        fetch(&[short, OK], "x").await,
        (Ok(Some("bytes".to_owned())), 2)
    );
    assert_eq!(
        fetch(&[short], "x").await,
        (Err("the connection failed".to_owned()), 4)
    );
}

#[tokio::test]
async fn idx_1_long_answers_are_cut() {
    let long = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nmore bytes than the limit";
    assert_eq!(
        fetch(&[long], "x").await,
        (Err("the answer is longer than 20 bytes".to_owned()), 1)
    );
}

#[tokio::test]
async fn sec_2_addresses_are_shown_without_credentials() {
    let (archive, _) = server(&[OK]);
    let address = archive.address("debian").expect("configured");
    assert!(
        address.starts_with("http://127.0.0.1:") && address.ends_with("/debian"),
        "{address}"
    );
    assert_eq!(archive.address("other"), None);
}
