//! The first example for both platforms, made on one machine.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::example::Example;
use crate::hello::hello;
use crate::world::{COGNIX, json};

/// What the header of an ELF file says about its processor.
const X86_64: u16 = 62;
const AARCH64: u16 = 183;

struct Both {
    layout: PathBuf,
    build: Value,
    /// The same for this machine's platform alone.
    single: Value,
}

impl Both {
    /// Builds with the store of the single image, which has half of it.
    fn build(hello: &Example) -> Self {
        let project = hello.folder.join("both");
        crate::build::copy_in_reverse(&hello.project, &project);
        // A lock answers for its platforms only.
        let unlock = || std::fs::remove_file(project.join("cognix.lock")).expect("it is there");
        unlock();
        // No interpreter of the other platform runs here.
        crate::world::write(&project.join("cognix.nix"), "{ bytecode = false; }\n");
        let layout = hello.folder.join("layout-both");
        let build = |platforms: &str| {
            let mut command = Command::new(COGNIX);
            command
                .arg("--store")
                .arg(hello.folder.join("store"))
                .args(["build", "--format", "json", "--platform", platforms]);
            command
        };
        let single = json(build("linux/amd64").arg(&project));
        unlock();
        let output = format!("oci:{}:v1", layout.display());
        let mut command = build("linux/arm64,linux/amd64");
        let build = json(command.args(["-o", &output]).arg(&project));
        Self {
            layout,
            build,
            single,
        }
    }

    fn blob(&self, digest: &Value) -> Vec<u8> {
        let digest = digest.as_str().expect("a digest");
        let path = digest.replace("sha256:", "blobs/sha256/");
        std::fs::read(self.layout.join(path)).expect("every blob is written")
    }
}

/// The processor of a program or library.
fn machine(content: &[u8]) -> Option<u16> {
    let machine = content.get(18..20)?.try_into().ok()?;
    content
        .starts_with(b"\x7fELF")
        .then(|| u16::from_le_bytes(machine))
}

/// How many programs and libraries of an image are for which processor.
fn machines(both: &Both, image: &Value) -> BTreeMap<u16, usize> {
    let mut found = BTreeMap::new();
    for layer in image["layers"].as_array().expect("layers") {
        let bytes = both.blob(&layer["digest"]);
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes.as_slice()));
        for entry in archive.entries().expect("a tar archive") {
            let mut start = Vec::new();
            let entry = entry.expect("a sound archive");
            entry.take(20).read_to_end(&mut start).expect("contents");
            if let Some(machine) = machine(&start) {
                *found.entry(machine).or_default() += 1;
            }
        }
    }
    found
}

#[test]
fn one_build_makes_both_and_an_index() {
    let hello = hello();
    let both = Both::build(hello);
    let build = &both.build;
    let images = build["images"].as_array().expect("images");
    let platforms: Vec<_> = images.iter().map(|image| &image["platform"]).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);

    let index: Value = serde_json::from_slice(&both.blob(&build["index"]["digest"])).expect("JSON");
    let named: Vec<_> = index["manifests"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    assert_eq!(named[0]["digest"], images[0]["image"]["digest"]);
    assert_eq!(named[1]["digest"], images[1]["image"]["digest"]);
    assert_eq!(named[1]["platform"]["variant"], "v8");
    let config: Value =
        serde_json::from_slice(&both.blob(&images[1]["config"]["digest"])).expect("JSON");
    assert_eq!(config["architecture"], "arm64");

    // The other platform changes nothing of this one.
    let layers = |image: &Value| {
        let layers = image["layers"].as_array().expect("layers").iter();
        let layers = layers.filter(|layer| layer["name"] != "source");
        layers
            .map(|layer| layer["digest"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(layers(&images[0]), layers(&both.single));

    for (image, expected) in images.iter().zip([X86_64, AARCH64]) {
        let found = machines(&both, image);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&expected]);
        assert!(found[&expected] > 100, "{found:?}");
    }
    #[cfg(feature = "container-tests")]
    tools(hello, &both);
    std::fs::remove_dir_all(&both.layout).expect("our own");
}

/// What others see: skopeo an index, and umoci a root of the other processor.
#[cfg(feature = "container-tests")]
fn tools(hello: &Example, both: &Both) {
    use crate::world::succeed;

    let reference = format!("oci:{}:v1", both.layout.display());
    let raw = json(Command::new("skopeo").args(["inspect", "--raw", &reference]));
    assert_eq!(raw["mediaType"], "application/vnd.oci.image.index.v1+json");
    let one = hello.folder.join("layout-arm64");
    let mut copy = Command::new("skopeo");
    copy.args([
        "--insecure-policy",
        "--override-arch",
        "arm64",
        "copy",
        "--quiet",
    ]);
    succeed(
        copy.arg(&reference)
            .arg(format!("oci:{}:v1", one.display())),
    );
    let bundle = hello.folder.join("bundle-arm64");
    let mut unpack = Command::new("umoci");
    unpack
        .args(["unpack", "--image"])
        .arg(format!("{}:v1", one.display()));
    succeed(unpack.arg(&bundle));
    let program = |path: &str| {
        let program = Path::new("rootfs").join(path);
        machine(&std::fs::read(bundle.join(program)).expect("unpacked"))
    };
    assert_eq!(program("usr/bin/python3.11"), Some(AARCH64));
    assert_eq!(program("usr/bin/tini"), Some(AARCH64));
    std::fs::remove_dir_all(&one).expect("our own");
    std::fs::remove_dir_all(&bundle).expect("our own");
}
