//! A loopback server that misbehaves on request.
//!
//! Written by hand because the point is what no decent server does: end too early, stall, lie about ranges.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// How many requests for the same path came before.
    pub(crate) number: usize,
}

impl Request {
    /// The first byte that is asked for.
    pub(crate) fn start(&self) -> usize {
        let range = self.headers.get("range").map(String::as_str);
        range
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            })
            .unwrap_or(0)
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Say the length of the body.
    pub(crate) length: bool,
    /// Close the connection after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Say nothing for so long after so many bytes of the body.
    pub(crate) stall: Option<(usize, Duration)>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            length: true,
            cut: None,
            stall: None,
        }
    }

    /// The file, or the part of it that is asked for, with its tag.
    pub(crate) fn file(request: &Request, file: &[u8]) -> Self {
        let start = request.start();
        let fresh = request
            .headers
            .get("if-range")
            .is_none_or(|tag| tag == "\"one\"");
        let mut reply = if start > 0 && fresh {
            let range = format!("bytes {start}-{}/{}", file.len() - 1, file.len());
            Self::new(206, &file[start..]).header("content-range", range)
        } else {
            Self::new(200, file)
        };
        reply.headers.push(("etag", "\"one\"".to_owned()));
        reply
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub(crate) fn stall(mut self, after: usize, time: Duration) -> Self {
        self.stall = Some((after, time));
        self
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server. Its threads end with the test process.
pub(crate) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (log, script): (_, Arc<Script>) = (Arc::clone(&requests), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                // A client that goes away is part of some tests.
                std::thread::spawn(move || drop(serve(&stream, &log, &*script)));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Everything that was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Request>>, script: &Script) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let request = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let number = log.iter().filter(|earlier| earlier.path == path).count();
        let request = Request {
            path,
            headers,
            number,
        };
        log.push(request.clone());
        request
    };
    answer(stream, &script(&request))
}

fn answer(mut stream: &TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Answer\r\nconnection: close\r\n", reply.status);
    if reply.length {
        head.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    let (before, time) = reply.stall.unwrap_or((0, Duration::ZERO));
    stream.write_all(&body[..before])?;
    stream.flush()?;
    std::thread::sleep(time);
    stream.write_all(&body[before..])
}
