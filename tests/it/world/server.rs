//! A small HTTP server on loopback: files from memory, ranges, and faults on request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What goes wrong with a path, once the test says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another body of the same length.
    OtherBytes,
    /// The connection is closed in the middle, every time.
    Truncated,
    /// A web page with status 200.
    WebPage,
    /// 404.
    Missing,
    /// The body stops in the middle and the connection stays open.
    Stalls,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, (String, Vec<u8>)>,
    faults: BTreeMap<String, Fault>,
    requests: Vec<String>,
}

/// Serves until the test ends; its threads end with the process.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that goes away is no failure of the test.
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn put(&self, path: &str, content_type: &str, body: impl Into<Vec<u8>>) {
        self.lock()
            .files
            .insert(format!("/{path}"), (content_type.to_owned(), body.into()));
    }

    /// Breaks every path that ends like this.
    pub(crate) fn break_path(&self, suffix: &str, fault: Fault) {
        self.lock().faults.insert(suffix.to_owned(), fault);
    }

    /// Mends one of them.
    #[cfg(feature = "sandbox-tests")]
    pub(crate) fn heal_path(&self, suffix: &str) {
        self.lock().faults.remove(suffix);
    }

    pub(crate) fn heal(&self) {
        self.lock().faults.clear();
    }

    /// The requests since the last call, as `METHOD path`.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().requests)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no request panics")
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (
            words.next().unwrap_or("").to_owned(),
            words.next().unwrap_or("").to_owned(),
        );
        let mut range = None;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("range")
            {
                range = Some(value.trim().to_owned());
            }
        }
        let (file, fault) = {
            let mut state = state.lock().expect("no request panics");
            state.requests.push(format!("{method} {path}"));
            let fault = state
                .faults
                .iter()
                .find(|(suffix, _)| path.ends_with(suffix.as_str()));
            (
                // What is asked for beside the path changes nothing here.
                state
                    .files
                    .get(path.split('?').next().unwrap_or(&path))
                    .cloned(),
                fault.map(|(_, fault)| fault.clone()),
            )
        };
        if !answer(&mut stream, &method, file, range.as_deref(), fault)? {
            return Ok(());
        }
    }
}

/// Answers one request; whether the connection can go on.
fn answer(
    stream: &mut TcpStream,
    method: &str,
    file: Option<(String, Vec<u8>)>,
    range: Option<&str>,
    fault: Option<Fault>,
) -> std::io::Result<bool> {
    let missing = fault == Some(Fault::Missing) || file.is_none();
    let (mut content_type, mut body) = file
        .filter(|_| !missing)
        .unwrap_or(("text/plain".to_owned(), b"no".to_vec()));
    match fault {
        Some(Fault::OtherBytes) => body.iter_mut().for_each(|byte| *byte ^= 0x55),
        Some(Fault::WebPage) => {
            content_type = "text/html".to_owned();
            body = b"<!doctype html><title>Please sign in</title>".to_vec();
        }
        _ => {}
    }
    let whole = body.len();
    let selected = range
        .filter(|_| !missing)
        .and_then(|range| byte_range(range, whole));
    let status = match (missing, &selected) {
        (true, _) => "404 Not Found",
        (false, Some(_)) => "206 Partial Content",
        (false, None) => "200 OK",
    };
    let span = selected.clone().unwrap_or(0..whole);
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n",
        span.len()
    );
    if selected.is_some() {
        head.push_str(&format!(
            "Content-Range: bytes {}-{}/{whole}\r\n",
            span.start,
            span.end.saturating_sub(1)
        ));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if method == "HEAD" {
        return Ok(true);
    }
    let body = &body[span];
    match fault {
        Some(Fault::Truncated) => stream.write_all(&body[..body.len() / 2]).map(|()| false),
        Some(Fault::Stalls) => {
            stream.write_all(&body[..body.len() / 2])?;
            stream.flush()?;
            std::thread::sleep(std::time::Duration::from_secs(60));
            Ok(false)
        }
        _ => stream.write_all(body).map(|()| true),
    }
}

fn byte_range(range: &str, whole: usize) -> Option<std::ops::Range<usize>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    if from.is_empty() {
        return Some(whole.saturating_sub(to.parse().ok()?)..whole);
    }
    let from: usize = from.parse().ok()?;
    let to = if to.is_empty() {
        whole
    } else {
        to.parse::<usize>().ok()?.saturating_add(1).min(whole)
    };
    (from < to).then_some(from..to)
}
