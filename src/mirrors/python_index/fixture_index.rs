//! A package index on the loopback interface, with tiny wheels made on the spot.
//!
//! It can be told to behave like the indexes that exist: HTML or JSON pages, with or without digests, upload times and
//! byte ranges, and it remembers what it was asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use cognix_derivations::Sha256;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use crate::mirrors::package_indexes::PackageIndexes;
use crate::mirrors::pip_settings::{Origin, PackageIndexUrl};

/// How the index behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// PEP 691 instead of PEP 503, and sizes with it.
    pub(crate) json: bool,
    pub(crate) ranges: Ranges,
    pub(crate) digests: bool,
    pub(crate) upload_times: bool,
    /// Lie about sizes, in JSON.
    pub(crate) wrong_sizes: bool,
    /// Break off the first body of every range.
    pub(crate) breaks_off: bool,
    /// Answer only who says this `USER:PASSWORD`.
    pub(crate) credentials: Option<&'static str>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            json: false,
            ranges: Ranges::All,
            digests: true,
            upload_times: true,
            wrong_sizes: false,
            breaks_off: false,
            credentials: None,
        }
    }
}

/// Which byte ranges the file server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranges {
    All,
    /// Not those counted from the end.
    FromStart,
    None,
}

/// A file to be listed, a wheel unless said otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    project: String,
    version: String,
    requires: Vec<String>,
    extras: Vec<String>,
    requires_python: Option<String>,
    tag: String,
    uploaded: String,
    yanked: Option<String>,
    files: Vec<(String, Vec<u8>)>,
    is_source: bool,
    is_fixed: bool,
    record_first: bool,
}

impl Release {
    pub(crate) fn new(project: &str, version: &str) -> Self {
        Self {
            project: project.to_owned(),
            version: version.to_owned(),
            requires: Vec::new(),
            extras: Vec::new(),
            requires_python: None,
            tag: "py3-none-any".to_owned(),
            uploaded: "2024-01-01T00:00:00Z".to_owned(),
            yanked: None,
            files: vec![(
                format!("{project}/__init__.py"),
                version.as_bytes().to_vec(),
            )],
            is_source: false,
            is_fixed: false,
            record_first: false,
        }
    }

    pub(crate) fn requires(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.to_owned());
        self
    }

    pub(crate) fn extra(mut self, name: &str) -> Self {
        self.extras.push(name.to_owned());
        self
    }

    pub(crate) fn requires_python(mut self, range: &str) -> Self {
        self.requires_python = Some(range.to_owned());
        self
    }

    pub(crate) fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    pub(crate) fn uploaded(mut self, moment: &str) -> Self {
        moment.clone_into(&mut self.uploaded);
        self
    }

    pub(crate) fn yanked(mut self, reason: &str) -> Self {
        self.yanked = Some(reason.to_owned());
        self
    }

    pub(crate) fn file(mut self, path: &str, contents: &[u8]) -> Self {
        self.files.push((path.to_owned(), contents.to_vec()));
        self
    }

    pub(crate) fn source_only(mut self) -> Self {
        self.is_source = true;
        self
    }

    /// Says that building does not change what is said about a source.
    pub(crate) fn fixed_metadata(mut self) -> Self {
        self.is_fixed = true;
        self
    }

    /// Puts RECORD at the start of the archive, where no sane tool puts it.
    pub(crate) fn record_first(mut self) -> Self {
        self.record_first = true;
        self
    }

    pub(crate) fn filename(&self) -> String {
        let name = self.project.replace(['-', '.'], "_").to_lowercase();
        if self.is_source {
            format!("{name}-{}.tar.gz", self.version)
        } else {
            format!("{name}-{}-{}.whl", self.version, self.tag)
        }
    }

    fn source_bytes(&self) -> Vec<u8> {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        let metadata = ("PKG-INFO".to_owned(), self.metadata().into_bytes());
        for (path, contents) in std::iter::once(&metadata).chain(&self.files) {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            header.set_mode(0o644);
            let path = format!("{}-{}/{path}", self.project, self.version);
            archive
                .append_data(&mut header, path, contents.as_slice())
                .expect("memory");
        }
        let gzip = archive.into_inner().expect("memory");
        gzip.finish().expect("memory")
    }

    fn metadata(&self) -> String {
        let mut text = format!(
            "Metadata-Version: {}\nName: {}\nVersion: {}\n",
            if self.is_fixed { "2.2" } else { "2.1" },
            self.project,
            self.version
        );
        for extra in &self.extras {
            let _ = writeln!(text, "Provides-Extra: {extra}");
        }
        for requirement in &self.requires {
            let _ = writeln!(text, "Requires-Dist: {requirement}");
        }
        if let Some(range) = &self.requires_python {
            let _ = writeln!(text, "Requires-Python: {range}");
        }
        text
    }

    /// The bytes of the wheel or source archive.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        if self.is_source {
            return self.source_bytes();
        }
        let info = format!(
            "{}-{}.dist-info",
            self.project.replace(['-', '.'], "_").to_lowercase(),
            self.version
        );
        let mut files = self.files.clone();
        files.push((format!("{info}/METADATA"), self.metadata().into_bytes()));
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: fixture\nRoot-Is-Purelib: true\nTag: {}\n",
            self.tag
        );
        files.push((format!("{info}/WHEEL"), wheel.into_bytes()));
        let mut record = String::new();
        for (path, contents) in &files {
            let sri = Sha256::of(contents)
                .to_sri()
                .replace('+', "-")
                .replace('/', "_");
            let digest = sri.trim_start_matches("sha256-").trim_end_matches('=');
            let _ = writeln!(record, "{path},sha256={digest},{}", contents.len());
        }
        let _ = writeln!(record, "{info}/RECORD,,");
        let at = if self.record_first { 0 } else { files.len() };
        files.insert(at, (format!("{info}/RECORD"), record.into_bytes()));
        zip(&files)
    }
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut output);
    for (path, contents) in files {
        let file = archive
            .new_file(path.as_str())
            .compression_method(CompressionMethod::DEFLATE);
        let (mut entry, config) = file.start().expect("a valid entry");
        let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
        let mut writer = config.wrap(encoder);
        writer.write_all(contents).expect("memory");
        let (encoder, descriptor) = writer.finish().expect("memory");
        encoder.finish().expect("memory");
        entry.finish(descriptor).expect("memory");
    }
    archive.finish().expect("memory");
    output
}

/// A release, and what its page says about its file.
struct Listed {
    release: Release,
    size: usize,
    sha256: Sha256,
}

#[derive(Default)]
struct State {
    releases: BTreeMap<String, Vec<Listed>>,
    files: BTreeMap<String, Vec<u8>>,
    /// Path to status, content type and body; before everything else.
    overrides: BTreeMap<String, (u16, &'static str, Vec<u8>)>,
    /// Path to another address; before everything else.
    redirects: BTreeMap<String, String>,
    requests: Vec<String>,
    /// The paths of requests that came with credentials.
    authorised: Vec<String>,
}

/// A running index. Its threads end with the process.
pub(crate) struct FixtureIndex {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FixtureIndex {
    pub(crate) fn start(manners: Manners, releases: &[Release]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let index = Self {
            address,
            state: Arc::default(),
        };
        releases
            .iter()
            .for_each(|release| index.add(release.clone()));
        let state = Arc::clone(&index.state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                std::thread::spawn(move || serve(stream, manners, &state));
            }
        });
        index
    }

    pub(crate) fn add(&self, release: Release) {
        let mut state = self.state();
        let project = release.project.replace(['_', '.'], "-").to_lowercase();
        let (path, bytes) = (format!("/files/{}", release.filename()), release.bytes());
        let listed = Listed {
            release,
            size: bytes.len(),
            sha256: Sha256::of(&bytes),
        };
        state.files.insert(path, bytes);
        state.releases.entry(project).or_default().push(listed);
    }

    /// Answers a path in a way of its own.
    pub(crate) fn answer(&self, path: &str, status: u16, content_type: &'static str, body: &[u8]) {
        self.state()
            .overrides
            .insert(path.to_owned(), (status, content_type, body.to_vec()));
    }

    /// Sends whoever asks for a path somewhere else.
    pub(crate) fn redirect(&self, path: &str, to: &str) {
        self.state()
            .redirects
            .insert(path.to_owned(), to.to_owned());
    }

    /// The paths of all requests so far that came with credentials.
    pub(crate) fn authorised(&self) -> Vec<String> {
        self.state().authorised.clone()
    }

    /// A page with links to all files.
    pub(crate) fn links(&self) -> String {
        format!("http://{}/links/", self.address)
    }

    /// `METHOD PATH [RANGE]` of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    pub(crate) fn forget_requests(&self) {
        self.state().requests.clear();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// This index and no other.
    pub(crate) fn indexes(&self) -> PackageIndexes {
        let url =
            PackageIndexUrl::parse(&self.url(), &Origin::CommandLine).expect("a valid address");
        PackageIndexes::only(url, Origin::CommandLine)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no thread panics while holding it")
    }
}

struct Asked {
    method: String,
    path: String,
    range: Option<String>,
    /// What stands behind `Authorization: Basic`.
    credentials: Option<String>,
}

/// Answers the requests of one connection until it is closed.
fn serve(stream: TcpStream, manners: Manners, state: &Mutex<State>) {
    let Ok(mut writer) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    while let Some(asked) = next_request(&mut reader) {
        let Asked {
            method,
            path,
            range,
            ..
        } = &asked;
        let line = range.as_ref().map_or(format!("{method} {path}"), |range| {
            format!("{method} {path} {range}")
        });
        let mut state = state.lock().expect("no thread panics while holding it");
        let is_first = !state.requests.contains(&line);
        state.requests.push(line);
        if asked.credentials.is_some() {
            state.authorised.push(path.clone());
        }
        let (head, body) = answer(&state, manners, &asked);
        drop(state);
        let mut body = if asked.method == "HEAD" {
            Vec::new()
        } else {
            body
        };
        let breaks_off = manners.breaks_off && asked.range.is_some() && is_first;
        if breaks_off {
            body.truncate(body.len() / 2);
        }
        if writer
            .write_all(head.as_bytes())
            .and_then(|()| writer.write_all(&body))
            .is_err()
            || breaks_off
        {
            return;
        }
    }
}

fn next_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut range, mut credentials) = (None, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim();
        if header.is_empty() {
            return Some(Asked {
                method,
                path,
                range,
                credentials,
            });
        }
        let Some((name, value)) = header.split_once(':') else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => range = Some(value.trim().to_owned()),
            "authorization" => {
                credentials = value.trim().strip_prefix("Basic ").map(str::to_owned);
            }
            _ => {}
        }
    }
}

fn answer(state: &State, manners: Manners, asked: &Asked) -> (String, Vec<u8>) {
    if let Some(to) = state.redirects.get(&asked.path) {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        return (head, Vec::new());
    }
    if let Some(expected) = manners.credentials {
        let expected = data_encoding::BASE64.encode(expected.as_bytes());
        if asked.credentials.as_ref() != Some(&expected) {
            return whole(401, "text/plain", b"who are you?".to_vec(), false);
        }
    }
    if asked.path == "/links/" {
        let all: Vec<u8> = state
            .releases
            .values()
            .flat_map(|listed| html_page(listed, manners))
            .collect();
        return whole(200, "text/html", all, false);
    }
    if let Some((status, content_type, body)) = state.overrides.get(&asked.path) {
        return whole(*status, content_type, body.clone(), false);
    }
    if let Some(project) = asked.path.strip_prefix("/simple/") {
        let Some(releases) = state.releases.get(project.trim_end_matches('/')) else {
            return whole(404, "text/plain", b"no such project".to_vec(), false);
        };
        return if manners.json {
            whole(
                200,
                "application/vnd.pypi.simple.v1+json",
                json_page(releases, manners),
                false,
            )
        } else {
            whole(
                200,
                "text/html; charset=utf-8",
                html_page(releases, manners),
                false,
            )
        };
    }
    let Some(file) = state.files.get(&asked.path) else {
        return whole(404, "text/plain", b"no such file".to_vec(), false);
    };
    let total = file.len();
    let bounds = asked
        .range
        .as_deref()
        .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let bounds = match (manners.ranges, bounds) {
        (Ranges::All, Some(("", length))) => length
            .parse()
            .ok()
            .map(|length: usize| (total.saturating_sub(length), total - 1)),
        (Ranges::All | Ranges::FromStart, Some((start, end))) if !start.is_empty() => start
            .parse()
            .ok()
            .map(|start| (start, end.parse().unwrap_or(total - 1).min(total - 1))),
        _ => None,
    };
    let Some((start, end)) = bounds else {
        return whole(
            200,
            "application/octet-stream",
            file.clone(),
            manners.ranges != Ranges::None,
        );
    };
    let part = file[start..=end].to_vec();
    let head = format!(
        "HTTP/1.1 206 Partial\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {start}-{end}/{total}\r\nContent-Length: {}\r\n\r\n",
        part.len()
    );
    (head, part)
}

fn whole(status: u16, content_type: &str, body: Vec<u8>, ranges: bool) -> (String, Vec<u8>) {
    let ranges = if ranges {
        "Accept-Ranges: bytes\r\n"
    } else {
        ""
    };
    // Index pages may be kept for ten minutes, as on the public index.
    let head = format!(
        "HTTP/1.1 {status} Status\r\nCache-Control: max-age=600\r\nContent-Type: {content_type}\r\n{ranges}Content-Length: {}\r\n\r\n",
        body.len()
    );
    (head, body)
}

fn html_page(releases: &[Listed], manners: Manners) -> Vec<u8> {
    let mut page = "<!DOCTYPE html><html><body>\n".to_owned();
    for Listed {
        release, sha256, ..
    } in releases
    {
        let filename = release.filename();
        let _ = write!(page, "<a href=\"/files/{filename}");
        if manners.digests {
            let _ = write!(page, "#sha256={sha256}");
        }
        page.push('"');
        if manners.upload_times {
            let _ = write!(page, " data-upload-time=\"{}\"", release.uploaded);
        }
        if let Some(range) = &release.requires_python {
            let _ = write!(
                page,
                " data-requires-python=\"{}\"",
                range.replace('<', "&lt;").replace('>', "&gt;")
            );
        }
        if let Some(reason) = &release.yanked {
            let _ = write!(page, " data-yanked=\"{reason}\"");
        }
        let _ = writeln!(page, ">{filename}</a>");
    }
    page.push_str("</body></html>\n");
    page.into_bytes()
}

fn json_page(releases: &[Listed], manners: Manners) -> Vec<u8> {
    let files = releases.iter().map(|Listed { release, size, sha256 }| {
        let mut file = serde_json::json!({
            "filename": release.filename(),
            "url": format!("../../files/{}", release.filename()),
            "size": size + usize::from(manners.wrong_sizes),
            "yanked": release.yanked.as_ref().map_or(serde_json::json!(false), |reason| serde_json::json!(reason)),
            "hashes": {},
        });
        if manners.digests {
            file["hashes"] = serde_json::json!({ "sha256": sha256.to_string() });
        }
        if manners.upload_times {
            file["upload-time"] = serde_json::json!(release.uploaded);
        }
        if let Some(range) = &release.requires_python {
            file["requires-python"] = serde_json::json!(range);
        }
        file
    });
    let files: Vec<_> = files.collect();
    let name = releases
        .first()
        .map_or("", |listed| &listed.release.project);
    serde_json::json!({ "meta": { "api-version": "1.1" }, "name": name, "files": files })
        .to_string()
        .into_bytes()
}
