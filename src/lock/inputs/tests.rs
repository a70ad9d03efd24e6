use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// A server that answers by path, and what it was asked.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

type Answer = Box<dyn Fn(&str, bool) -> (u16, String, Vec<u8>) + Send>;

impl Server {
    /// `answer` gets the path and whether there is a token, and gives status, a header line and the body.
    fn start(answer: impl Fn(u16) -> Answer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (asked, answer) = (Arc::clone(&requests), answer(port));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let headers = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty());
                let has_token = headers
                    .filter(|line| {
                        line.to_lowercase()
                            .starts_with("authorization: bearer secret")
                    })
                    .count()
                    > 0;
                asked.lock().expect("nobody panics").push(path.clone());
                let (status, header, body) = answer(&path, has_token);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{header}\r\n",
                    body.len()
                );
                let written = stream.write_all(head.as_bytes());
                let _ = written.and_then(|()| stream.write_all(&body));
            }
        });
        Self { port, requests }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().expect("nobody panics"))
    }
}

fn lock_all(
    wanted: &[(&str, WantedInput)],
    previous: Option<&LockedInputs>,
    update: &[&str],
    offline: bool,
) -> Result<LockedInputs, InputError> {
    let wanted = wanted.iter().cloned();
    let wanted = wanted
        .map(|(name, input)| (name.to_owned(), input))
        .collect();
    let update = update.iter().map(|name| (*name).to_owned()).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let asking = Asking {
        previous,
        update: &update,
        offline,
        cancel: &CancellationToken::new(),
    };
    runtime.block_on(lock(&wanted, &asking))
}

fn files(port: u16) -> Vec<(&'static str, WantedInput)> {
    let file = |path: &str| WantedInput::Url {
        url: format!("http://127.0.0.1:{port}/{path}"),
        sha256: None,
    };
    let other = WantedInput::Follows {
        name: "one".to_owned(),
    };
    vec![("one", file("one")), ("other", other), ("two", file("two"))]
}

#[test]
fn a_file_is_read_once_and_one_input_moves_alone() {
    let version = Arc::new(Mutex::new(1));
    let shared = Arc::clone(&version);
    let server = Server::start(move |_| {
        let shared = Arc::clone(&shared);
        Box::new(move |path, _| {
            let body = format!("{path} {}", shared.lock().expect("nobody panics"));
            (200, String::new(), body.into_bytes())
        })
    });
    let wanted = files(server.port);
    let first = lock_all(&wanted, None, &[], false).expect("both are there");
    assert_eq!(first["one"].sha256(), Some(Sha256::of(b"/one 1")));
    assert_eq!(first["other"].sha256(), None);
    assert_eq!(server.asked(), ["/one", "/two"]);

    *version.lock().expect("nobody panics") = 2;
    let again = lock_all(&wanted, Some(&first), &[], true).expect("all is known");
    assert_eq!(again, first);
    assert_eq!(server.asked(), [""; 0]);

    for update in ["two", "one", "other"] {
        let moved = lock_all(&wanted, Some(&first), &[update], false).expect("both are there");
        let name = if update == "other" { "one" } else { update };
        let differing: Vec<&String> = first
            .iter()
            .filter(|(known, input)| moved[*known] != **input)
            .map(|(known, _)| known)
            .collect();
        assert_eq!(differing, [name], "--update {update}");
    }
}

#[test]
fn what_the_spec_pins_asks_nobody() {
    let sha256 = Sha256::of(b"pinned");
    let image = format!("registry.example/base/image@sha256:{sha256}");
    let wanted = [
        (
            "image",
            WantedInput::Oci {
                reference: image.clone(),
                sha256: None,
            },
        ),
        (
            "path",
            WantedInput::Path {
                path: "lib".to_owned(),
            },
        ),
        (
            "url",
            WantedInput::Url {
                url: "https://host.test/file".to_owned(),
                sha256: Some(sha256),
            },
        ),
    ];
    let locked = lock_all(&wanted, None, &[], true).expect("nothing has to be asked");
    assert_eq!(locked["image"].sha256(), Some(sha256));
    assert_eq!(locked["url"].sha256(), Some(sha256));
    let wanted = BTreeMap::from(wanted.map(|(name, input)| (name.to_owned(), input)));
    assert_eq!(changes(&locked, &wanted), []);
    let mut now = wanted.clone();
    now.remove("path");
    now.insert(
        "url".to_owned(),
        WantedInput::Url {
            url: "https://host.test/other".to_owned(),
            sha256: None,
        },
    );
    let texts: Vec<String> = changes(&locked, &now)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        texts,
        [
            "inputs.url was https://host.test/file, is https://host.test/other",
            "removed input path",
        ]
    );
}

#[test]
fn what_cannot_be_had_is_named() {
    let server = Server::start(|_| Box::new(|_, _| (404, String::new(), Vec::new())));
    let wanted = files(server.port);
    let error = lock_all(&wanted, None, &[], false).expect_err("404");
    let expected = format!(
        "inputs.one: cannot read http://127.0.0.1:{}/one",
        server.port
    );
    assert_eq!(error.to_string(), expected);
    let error = lock_all(&wanted, None, &[], true).expect_err("offline");
    assert!(
        error.to_string().contains("inputs.one is not locked yet"),
        "{error}"
    );
}

#[test]
fn a_tag_becomes_a_digest_with_the_token_that_the_registry_wants() {
    const MANIFEST: &[u8] = b"{\"schemaVersion\":2}";
    let server = Server::start(|port| {
        Box::new(move |path, has_token| match (path, has_token) {
            ("/v2/team/image/manifests/stable", true) => (200, String::new(), MANIFEST.to_vec()),
            ("/v2/team/image/manifests/stable", false) => {
                let place = format!("http://127.0.0.1:{port}/token");
                let header = format!(
                    "www-authenticate: Bearer realm=\"{place}\",service=\"it\",scope=\"repository:team/image:pull\"\r\n"
                );
                (401, header, Vec::new())
            }
            (path, _) if path.starts_with("/token?service=it&scope=repository") => {
                (200, String::new(), b"{\"token\":\"secret\"}".to_vec())
            }
            _ => (404, String::new(), Vec::new()),
        })
    });
    let image = |tag: &str| WantedInput::Oci {
        reference: format!("127.0.0.1:{}/team/image{tag}", server.port),
        sha256: None,
    };
    let locked = lock_all(&[("base", image(":stable"))], None, &[], false).expect("it is there");
    assert_eq!(locked["base"].sha256(), Some(Sha256::of(MANIFEST)));
    assert_eq!(server.asked().len(), 3);
    let error = lock_all(&[("base", image(""))], None, &[], false).expect_err("no such tag");
    let source = std::error::Error::source(&error).expect("a cause");
    assert_eq!(source.to_string(), "the registry has no such image");
}

#[test]
fn references_name_a_registry() {
    for text in [
        "registry.example/name:tag",
        "localhost/name:latest",
        "host:5000/a/b-c_d.e:V1",
    ] {
        let parsed: ImageReference = text.parse().expect(text);
        assert_eq!(parsed.to_string(), text);
    }
    for (text, words) in [
        ("debian:trixie", "names no registry"),
        ("team/image", "names no registry"),
        ("registry.example/Name", "no name that an image can have"),
        ("registry.example/a//b", "no name that an image can have"),
        ("registry.example/name:", "no tag"),
        ("registry.example/name@sha256:12", "no SHA-256 digest"),
    ] {
        let error = text.parse::<ImageReference>().expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}
