//! Made-up archives in memory: stanzas in short form, indexes, and signed release files.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use futures::future::BoxFuture;
use pgp::composed::{KeyType, SignedSecretKey};

use super::super::signature::tests::{ring, secret_key, signed};
use super::super::*;

/// Archives as plain data; remembers what was asked of it.
#[derive(Default)]
pub(super) struct MemoryArchive {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl Archive for MemoryArchive {
    fn address(&self, input: &str) -> Option<String> {
        Some(format!("memory:{input}"))
    }

    fn fetch<'a>(
        &'a self,
        input: &'a str,
        path: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ArchiveError>> {
        let path = format!("{input}/{path}");
        let answer = match self.files.get(&path) {
            Some(bytes) if bytes.len() as u64 > limit => Err(ArchiveError::TooLong { limit }),
            found => Ok(found.cloned()),
        };
        self.asked
            .lock()
            .expect("no test panics while asking")
            .push(path);
        Box::pin(async move { answer })
    }
}

/// Turns `NAME VERSION; Field: value; …` lines into the text of an index. Lines that start with `#` are skipped.
pub(super) fn stanzas(lines: &str) -> String {
    let lines = lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(stanza).collect::<Vec<_>>().join("\n")
}

fn stanza(line: &str) -> String {
    let mut parts = line.split(';').map(str::trim);
    let (name, version) = parts
        .next()
        .and_then(|head| head.split_once(' '))
        .expect("a name and a version");
    let mut fields: BTreeMap<&str, String> = parts
        .filter_map(|part| part.split_once(':'))
        .map(|(field, value)| (field, value.trim().to_owned()))
        .collect();
    let file = format!("pool/main/{name}_{version}_amd64.deb");
    let defaults = [
        ("Package", name.to_owned()),
        ("Version", version.to_owned()),
        ("Architecture", "amd64".to_owned()),
        ("Size", "7".to_owned()),
        ("SHA256", Sha256::of(file.as_bytes()).to_string()),
        ("Filename", file),
    ];
    for (field, value) in defaults {
        fields.entry(field).or_insert(value);
    }
    let first = format!(
        "Package: {}\n",
        fields.remove("Package").expect("set above")
    );
    first
        + &fields
            .iter()
            .map(|(field, value)| format!("{field}: {value}\n"))
            .collect::<String>()
}

/// What to serve for one suite.
pub(super) struct MadeSuite {
    pub(super) input: &'static str,
    pub(super) suite: &'static str,
    pub(super) packages: String,
    pub(super) date: u64,
    pub(super) valid_until: Option<u64>,
    pub(super) suffixes: &'static [&'static str],
    pub(super) by_hash: bool,
    /// More lines of the release file.
    pub(super) fields: &'static str,
}

/// What the release file of backports says.
pub(super) const BACKPORTS: &str = "NotAutomatic: yes\nButAutomaticUpgrades: yes\n";
/// What the release file of experimental says.
pub(super) const EXPERIMENTAL: &str = "NotAutomatic: yes\n";

impl MadeSuite {
    pub(super) fn new(input: &'static str, suite: &'static str, lines: &str) -> Self {
        let packages = stanzas(lines);
        Self {
            input,
            suite,
            packages,
            date: now(),
            valid_until: None,
            suffixes: &[".xz"],
            by_hash: true,
            fields: "",
        }
    }

    /// The text that is signed.
    pub(super) fn release(&self) -> String {
        let mut text = format!(
            "Suite: some-{0}\nCodename: {0}\nDate: {1}\n",
            self.suite,
            rfc5322(self.date)
        );
        if let Some(end) = self.valid_until {
            text += &format!("Valid-Until: {}\n", rfc5322(end));
        }
        if self.by_hash {
            text += "Acquire-By-Hash: yes\n";
        }
        text += self.fields;
        text += "Architectures: all amd64\nNo-Support-for-Architecture-all: Packages\nComponents: main\nSHA256:\n";
        let plain = ("", self.packages.clone().into_bytes());
        let compressed = self
            .suffixes
            .iter()
            .map(|suffix| (*suffix, self.compressed(suffix)));
        for (suffix, bytes) in std::iter::once(plain).chain(compressed) {
            text += &format!(
                " {} {} main/binary-amd64/Packages{suffix}\n",
                Sha256::of(&bytes),
                bytes.len()
            );
        }
        text
    }

    pub(super) fn compressed(&self, suffix: &str) -> Vec<u8> {
        let bytes = self.packages.as_bytes();
        match suffix {
            ".xz" => {
                let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
                writer.write_all(bytes).expect("memory");
                writer.finish().expect("memory")
            }
            ".gz" => {
                let mut writer =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(bytes).expect("memory");
                writer.finish().expect("memory")
            }
            _ => bytes.to_vec(),
        }
    }

    pub(super) fn in_release_path(&self) -> String {
        format!("{}/dists/{}/InRelease", self.input, self.suite)
    }

    pub(super) fn index_path(&self, suffix: &str) -> String {
        format!(
            "{}/dists/{}/main/binary-amd64/Packages{suffix}",
            self.input, self.suite
        )
    }

    pub(super) fn by_hash_path(&self, suffix: &str) -> String {
        let sha256 = Sha256::of(&self.compressed(suffix));
        format!(
            "{}/dists/{}/main/binary-amd64/by-hash/SHA256/{sha256}",
            self.input, self.suite
        )
    }

    /// Adds the suite to an archive, signed by the test's key.
    pub(super) fn serve(&self, archive: &mut MemoryArchive) {
        archive.files.insert(
            self.in_release_path(),
            signed(key(), &self.release()).into_bytes(),
        );
        for suffix in self.suffixes {
            let bytes = self.compressed(suffix);
            archive.files.insert(self.index_path(suffix), bytes.clone());
            if self.by_hash {
                archive.files.insert(self.by_hash_path(suffix), bytes);
            }
        }
    }
}

/// The key that signs made-up archives.
pub(super) fn key() -> &'static SignedSecretKey {
    static KEY: OnceLock<SignedSecretKey> = OnceLock::new();
    KEY.get_or_init(|| secret_key(KeyType::Ed25519Legacy, true))
}

/// The test's clock is the machine's, because keys are made with it.
pub(super) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

pub(super) fn rfc5322(seconds: u64) -> String {
    let text = time::to_rfc3339(seconds);
    let (date, clock) = text
        .trim_end_matches('Z')
        .split_once('T')
        .expect("RFC 3339");
    let parts: Vec<_> = date.split('-').collect();
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month: usize = parts[1].parse().expect("digits");
    format!(
        "Xxx, {} {} {} {clock} UTC",
        parts[2],
        months[month - 1],
        parts[0]
    )
}

/// Lines of `system_packages`.
pub(super) fn parsed(lines: &[&str]) -> Vec<Request> {
    let requests = lines.iter().map(|line| line.parse());
    requests
        .collect::<Result<_, _>>()
        .expect("names of packages")
}

/// A request for packages of one suite of one input.
pub(super) fn request(packages: &[&str]) -> DebianRequest {
    let packages = parsed(packages);
    let mut request = DebianRequest::stable("test", packages);
    request.sources.truncate(1);
    request.include_essential = false;
    request
}

/// Locks with a cache, online or not.
pub(super) async fn lock_with(
    archive: &MemoryArchive,
    request: &DebianRequest,
    cache: &Path,
    offline: bool,
) -> Result<DebianLock, DebianError> {
    let (keys, cache) = (ring(key()), IndexCache::new(cache));
    let context = DebianContext {
        archive,
        keys: &keys,
        own_keys: &BTreeMap::new(),
        cache: &cache,
        now: now(),
        offline,
    };
    resolve(request, &context).await
}

/// Locks once, with an empty cache.
pub(super) async fn lock(
    archive: &MemoryArchive,
    request: &DebianRequest,
) -> Result<DebianLock, DebianError> {
    let cache = tempfile::tempdir().expect("a temporary folder");
    lock_with(archive, request, cache.path(), false).await
}

/// Locks packages of one made-up suite.
pub(super) async fn lock_lines(lines: &str, packages: &[&str]) -> Result<DebianLock, DebianError> {
    let mut archive = MemoryArchive::default();
    MadeSuite::new(DEBIAN, "test", lines).serve(&mut archive);
    lock(&archive, &request(packages)).await
}
