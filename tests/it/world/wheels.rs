//! Wheels made for tests, and the project pages of an index that lists them.

use std::collections::BTreeMap;
use std::io::Write;

use cognix_derivations::Sha256;

use super::server::Server;

/// A wheel under construction: `py3-none-any`, everything deflated.
#[derive(Debug, Clone)]
pub(crate) struct Wheel {
    name: String,
    version: String,
    requires: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
    lies: bool,
}

impl Wheel {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        let module = name.replace('-', "_");
        let body = format!("version = {version:?}\n");
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            requires: Vec::new(),
            files: BTreeMap::from([(format!("{module}/__init__.py"), body.into_bytes())]),
            lies: false,
        }
    }

    pub(crate) fn requires(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.to_owned());
        self
    }

    pub(crate) fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// Makes RECORD say other digests than the files have.
    pub(crate) fn lying_record(mut self) -> Self {
        self.lies = true;
        self
    }

    pub(crate) fn file_name(&self) -> String {
        format!(
            "{}-{}-py3-none-any.whl",
            self.name.replace('-', "_"),
            self.version
        )
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let info = format!("{}-{}.dist-info", self.name.replace('-', "_"), self.version);
        let requires: String = self
            .requires
            .iter()
            .map(|line| format!("Requires-Dist: {line}\n"))
            .collect();
        let metadata = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n{requires}",
            self.name, self.version
        );
        let wheel =
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let mut files = self.files.clone();
        files.insert(format!("{info}/METADATA"), metadata.into_bytes());
        files.insert(format!("{info}/WHEEL"), wheel.into());
        let mut record: String = files
            .iter()
            .map(|(path, body)| match self.lies && path.ends_with(".py") {
                true => record_line(path, &vec![b'#'; body.len()]),
                false => record_line(path, body),
            })
            .collect();
        record.push_str(&format!("{info}/RECORD,,\n"));
        let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
        let record_name = format!("{info}/RECORD");
        for (path, body) in files
            .iter()
            .map(|(path, body)| (path, body.as_slice()))
            .chain([(&record_name, record.as_bytes())])
        {
            add(&mut archive, path, body);
        }
        archive.finish().expect("memory is always writable")
    }
}

fn add(archive: &mut rawzip::ZipArchiveWriter<Vec<u8>>, path: &str, body: &[u8]) {
    let file = archive
        .new_file(path)
        .compression_method(rawzip::CompressionMethod::DEFLATE)
        .unix_permissions(0o100_644);
    let (mut entry, config) = file.start().expect("a plain name");
    let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default());
    let mut writer = config.wrap(encoder);
    writer.write_all(body).expect("memory is always writable");
    let (encoder, descriptor) = writer.finish().expect("memory is always writable");
    encoder.finish().expect("memory is always writable");
    entry.finish(descriptor).expect("memory is always writable");
}

fn record_line(path: &str, body: &[u8]) -> String {
    let digest = Sha256::of(body)
        .to_sri()
        .trim_start_matches("sha256-")
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    format!("{path},sha256={digest},{}\n", body.len())
}

/// Publishes wheels: the files, and a project page for every name.
pub(crate) fn publish(server: &Server, wheels: &[Wheel]) {
    let mut pages: BTreeMap<&str, String> = BTreeMap::new();
    for wheel in wheels {
        let bytes = wheel.to_bytes();
        let path = format!("files/{}", wheel.file_name());
        let link = format!(
            "<a href=\"../../{path}#sha256={}\" data-upload-time=\"2025-01-01T00:00:00Z\">{}</a>\n",
            Sha256::of(&bytes),
            wheel.file_name()
        );
        pages.entry(&wheel.name).or_default().push_str(&link);
        server.put(&path, "application/octet-stream", bytes);
    }
    for (name, links) in pages {
        let page = format!("<!doctype html><html><body>\n{links}</body></html>\n");
        server.put(&format!("simple/{name}/"), "text/html", page);
    }
}
