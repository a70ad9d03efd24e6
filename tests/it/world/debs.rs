//! Debian packages made for tests, and a signed archive that lists them.

use std::io::Write;

use cognix_derivations::Sha256;
use pgp::composed::{CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::types::Password;

use super::server::Server;

/// A package under construction, or a real one.
#[derive(Debug, Clone)]
pub(crate) struct Deb {
    /// The control file and the bytes of a real one.
    real: Option<(String, Vec<u8>)>,
    name: String,
    version: String,
    fields: Vec<String>,
    files: Vec<(String, Vec<u8>, u32)>,
    scripts: Vec<(String, Vec<u8>, u32)>,
}

impl Deb {
    /// A package with one documentation file of its own.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        let document = (
            format!("usr/share/doc/{name}/copyright"),
            format!("{name} {version}\n").into_bytes(),
            0o644,
        );
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            fields: Vec::new(),
            files: vec![document],
            scripts: Vec::new(),
            real: None,
        }
    }

    /// A real package, as it is.
    #[cfg(feature = "oracle-tests")]
    pub(crate) fn read(file: &std::path::Path) -> Self {
        let mut show = std::process::Command::new("dpkg-deb");
        let control = crate::world::succeed(show.arg("-f").arg(file)).stdout;
        let control = String::from_utf8(control).expect("UTF-8");
        let field = |name: &str| {
            let mut lines = control.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        };
        let (name, version) = (field("Package:"), field("Version:"));
        let mut deb = Self::new(&name.expect("a name"), &version.expect("a version"));
        let bytes = std::fs::read(file).expect("a readable file");
        deb.real = Some((format!("{}\n", control.trim_end()), bytes));
        deb
    }

    #[cfg(feature = "oracle-tests")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn field(mut self, line: &str) -> Self {
        self.fields.push(line.to_owned());
        self
    }

    pub(crate) fn file(mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.files.push((path.to_owned(), content.into(), mode));
        self
    }

    /// A maintainer script.
    #[cfg(feature = "sandbox-tests")]
    pub(crate) fn script(mut self, name: &str, text: &str) -> Self {
        self.scripts
            .push((format!("./{name}"), text.as_bytes().to_vec(), 0o755));
        self
    }

    fn control(&self) -> String {
        if let Some((control, _)) = &self.real {
            return control.clone();
        }
        let fields: String = self.fields.iter().map(|line| format!("{line}\n")).collect();
        format!(
            "Package: {}\nVersion: {}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.invalid>\n{fields}Description: made for a test\n",
            self.name, self.version
        )
    }

    fn pool_path(&self) -> String {
        format!("pool/main/{}_{}_amd64.deb", self.name, self.version)
    }

    fn to_bytes(&self) -> Vec<u8> {
        if let Some((_, bytes)) = &self.real {
            return bytes.clone();
        }
        let mut members = vec![("./control".to_owned(), self.control().into_bytes(), 0o644)];
        members.extend(self.scripts.iter().cloned());
        let control = gzip(&tarball(&members));
        let files: Vec<_> = self
            .files
            .iter()
            .map(|(path, body, mode)| (format!("./{path}"), body.clone(), *mode))
            .collect();
        let data = gzip(&tarball(&files));
        let mut archive = b"!<arch>\n".to_vec();
        for (name, body) in [
            ("debian-binary", b"2.0\n".as_slice()),
            ("control.tar.gz", &control),
            ("data.tar.gz", &data),
        ] {
            writeln!(
                archive,
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
                0,
                0,
                0,
                "100644",
                body.len()
            )
            .expect("memory is always writable");
            archive.extend_from_slice(body);
            if body.len() % 2 == 1 {
                archive.push(b'\n');
            }
        }
        archive
    }
}

fn tarball(files: &[(String, Vec<u8>, u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut folders = std::collections::BTreeSet::new();
    for (path, body, mode) in files {
        for (end, _) in path.match_indices('/') {
            if folders.insert(path[..=end].to_owned()) {
                let mut header = header(0, 0o755, tar::EntryType::Directory);
                builder
                    .append_data(&mut header, &path[..=end], std::io::empty())
                    .expect("memory is always writable");
            }
        }
        let mut header = header(body.len() as u64, *mode, tar::EntryType::Regular);
        builder
            .append_data(&mut header, path, body.as_slice())
            .expect("memory is always writable");
    }
    builder.into_inner().expect("memory is always writable")
}

fn header(size: u64, mode: u32, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_entry_type(kind);
    header.set_mtime(1_700_000_000);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory is always writable");
    encoder.finish().expect("memory is always writable")
}

/// The key that signs the archive; one for all tests of a run, as making one takes a moment.
pub(crate) fn signing_key() -> &'static SignedSecretKey {
    static KEY: std::sync::OnceLock<SignedSecretKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| {
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .primary_user_id("Test archive <archive@example.invalid>".to_owned());
        params
            .build()
            .expect("all fields are set")
            .generate(rand::thread_rng())
            .expect("the system has entropy")
    })
}

/// Publishes packages in a suite: the files, `Packages` and a signed `InRelease`.
pub(crate) fn publish(server: &Server, archive: &str, suite: &str, codename: &str, debs: &[Deb]) {
    let mut packages = String::new();
    for deb in debs {
        let bytes = deb.to_bytes();
        packages.push_str(&deb.control());
        packages.push_str(&format!(
            "Filename: {}\nSize: {}\nSHA256: {}\n\n",
            deb.pool_path(),
            bytes.len(),
            Sha256::of(&bytes)
        ));
        server.put(
            &format!("{archive}/{}", deb.pool_path()),
            "application/vnd.debian.binary-package",
            bytes,
        );
    }
    let mut compressed = Vec::new();
    let mut encoder = liblzma::write::XzEncoder::new(&mut compressed, 6);
    encoder
        .write_all(packages.as_bytes())
        .expect("memory is always writable");
    encoder.finish().expect("memory is always writable");
    let mut sums = String::new();
    // Enough to lock for the other platform; no test unpacks its packages.
    let others = packages.replace("Architecture: amd64", "Architecture: arm64");
    for (name, body) in [
        ("main/binary-amd64/Packages", packages.as_bytes()),
        ("main/binary-amd64/Packages.xz", &compressed),
        ("main/binary-arm64/Packages", others.as_bytes()),
    ] {
        sums.push_str(&format!(" {} {} {name}\n", Sha256::of(body), body.len()));
        server.put(
            &format!("{archive}/dists/{suite}/{name}"),
            "application/octet-stream",
            body,
        );
    }
    let release = format!(
        "Origin: Test\nLabel: Test\nSuite: {suite}\nCodename: {codename}\nDate: Sat, 01 Nov 2025 00:00:00 UTC\n\
         Architectures: amd64 arm64\nComponents: main\nSHA256:\n{sums}"
    );
    let signed = CleartextSignedMessage::sign(
        rand::thread_rng(),
        &release,
        &signing_key().primary_key,
        &Password::empty(),
    )
    .expect("the key can sign");
    let text = signed
        .to_armored_string(Default::default())
        .expect("memory is always writable");
    server.put(
        &format!("{archive}/dists/{suite}/InRelease"),
        "text/plain",
        text,
    );
}
