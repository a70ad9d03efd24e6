//! An image of two made-up layers, and what its places on disk must keep.

mod archives;
mod indexes;
mod layouts;
#[cfg(feature = "container-tests")]
mod tools;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;

use cognix_derivations::Sha256;

use super::*;
use crate::layers::LayerError;
use crate::layers::compress::Recipe;
use crate::layers::description::{DiffId, Entry, EntryKind, LayerDigest, LayerSource, TreesSource};
use crate::layers::modes::{Mode, Recorded};
use crate::layers::path::ImagePath;
use crate::layers::tar::{END, TarKind, padding, write_header};
use crate::layers::timestamp::Timestamp;

/// A layer with its bytes at hand.
pub(super) struct Made {
    pub(super) description: LayerDescription,
    compressed: Vec<u8>,
    tar: Vec<u8>,
}

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).expect("a path of the test")
}

/// A layer of one directory with one file, in two gzip members, as the real ones have several.
fn layer(name: &str, directory: &str, content: &[u8]) -> Made {
    let file = path(&format!("{directory}/file"));
    let plain = Recorded::root(Mode::PLAIN);
    let mut tar = Vec::new();
    let recorded = Recorded::root(Mode::EXECUTABLE);
    let time = Timestamp::default();
    write_header(
        &mut tar,
        &path(directory),
        recorded,
        TarKind::Directory,
        time,
    );
    let size = content.len() as u64;
    write_header(&mut tar, &file, plain, TarKind::File(size), time);
    tar.extend_from_slice(content);
    tar.extend_from_slice(padding(size));
    tar.extend_from_slice(&END);

    let mut compressed = Vec::new();
    for half in tar.chunks(tar.len() / 2 + 1) {
        let mut member =
            flate2::write::GzEncoder::new(&mut compressed, flate2::Compression::fast());
        member.write_all(half).expect("memory");
        member.finish().expect("memory");
    }
    let kind = EntryKind::File {
        size,
        sha256: Sha256::of(content),
    };
    let description = LayerDescription {
        name: name.to_owned(),
        recipe: Recipe::FOR_TREES,
        time,
        digest: LayerDigest(Sha256::of(&compressed)),
        diff_id: DiffId(Sha256::of(&tar)),
        size: compressed.len() as u64,
        uncompressed_size: tar.len() as u64,
        source: LayerSource::Trees(TreesSource {
            trees: Vec::new(),
            prefix: None,
            omit: BTreeSet::new(),
        }),
        entries: vec![
            Entry::directory(path(directory)),
            Entry {
                path: file,
                kind,
                recorded: plain,
            },
        ],
    };
    Made {
        description,
        compressed,
        tar,
    }
}

pub(super) fn runtime() -> RuntimeConfig {
    let owned = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    RuntimeConfig {
        env: [("PATH", "/venv/bin:/usr/bin"), ("A", "b=c \"d\"")]
            .map(pair)
            .to_vec(),
        entrypoint: owned(&["/sbin/tini", "--"]),
        cmd: owned(&["python", "-m", "cog.server.http"]),
        working_dir: "/src".to_owned(),
        exposed_ports: BTreeSet::from(["5000/tcp".to_owned()]),
        labels: [
            ("run.cog.version", "0.22.0"),
            ("org.opencontainers.image.title", "model"),
            ("a", "1"),
        ]
        .map(pair)
        .into(),
        ..RuntimeConfig::default()
    }
}

/// The layers of an image, and who asked for their bytes.
pub(super) struct World {
    made: Vec<Made>,
    descriptions: Vec<LayerDescription>,
    asked: Mutex<Vec<String>>,
}

impl World {
    pub(super) fn new() -> Self {
        // The second is larger than any buffer on the way.
        let large: Vec<u8> = (0..250_000u32)
            .flat_map(|number| number.to_le_bytes())
            .collect();
        Self::of(vec![
            layer("base", "etc", b"base\n"),
            layer("numpy 2.1.0", "venv", &large),
        ])
    }

    fn of(made: Vec<Made>) -> Self {
        let descriptions = made.iter().map(|layer| layer.description.clone()).collect();
        Self {
            made,
            descriptions,
            asked: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn image(&self) -> Image {
        assemble(&runtime(), &self.descriptions).expect("valid")
    }

    pub(super) fn put(&self, destination: &str) -> Result<(), ImageError> {
        self.put_named(Named::Image(&self.image()), destination)
    }

    pub(super) fn put_named(&self, named: Named<'_>, destination: &str) -> Result<(), ImageError> {
        let destination = destination.parse().expect(destination);
        let compressed = |layer: &LayerDescription, out: &mut dyn Write| {
            self.send(layer, out, |made| &made.compressed)
        };
        let tar =
            |layer: &LayerDescription, out: &mut dyn Write| self.send(layer, out, |made| &made.tar);
        write(named, &destination, &compressed, &tar)
    }

    fn send(
        &self,
        layer: &LayerDescription,
        out: &mut dyn Write,
        bytes: fn(&Made) -> &[u8],
    ) -> Result<(), LayerError> {
        let name = layer.name.clone();
        self.asked.lock().expect("no panic").push(name.clone());
        let made = self.made.iter().find(|made| made.description == *layer);
        let made = made.ok_or(LayerError::Cancelled)?;
        out.write_all(bytes(made))
            .map_err(|source| LayerError::Write { name, source })
    }

    /// Which layers were made since the last question.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("no panic"));
        asked.sort();
        asked
    }
}

#[test]
fn the_texts_are_canonical_and_say_what_they_should() {
    let world = World::new();
    let image = world.image();
    let [base, numpy] = [&world.descriptions[0], &world.descriptions[1]];
    let config = format!(
        concat!(
            r#"{{"architecture":"amd64","config":{{"Cmd":["python","-m","cog.server.http"],"Entrypoint":["/sbin/tini","--"],"#,
            r#""Env":["PATH=/venv/bin:/usr/bin","A=b=c \"d\""],"ExposedPorts":{{"5000/tcp":{{}}}},"#,
            r#""Labels":{{"a":"1","org.opencontainers.image.title":"model","run.cog.version":"0.22.0"}},"WorkingDir":"/src"}},"#,
            r#""created":"1980-01-01T00:00:00Z","history":["#,
            r#"{{"created":"1980-01-01T00:00:00Z","created_by":"cognix layer base"}},"#,
            r#"{{"created":"1980-01-01T00:00:00Z","created_by":"cognix layer numpy 2.1.0"}}],"#,
            r#""os":"linux","rootfs":{{"diff_ids":["{}","{}"],"type":"layers"}}}}"#,
        ),
        base.diff_id, numpy.diff_id
    );
    assert_eq!(String::from_utf8_lossy(image.config()), config);
    let layer = |layer: &LayerDescription| {
        format!(
            r#"{{"digest":"{}","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":{}}}"#,
            layer.digest, layer.size
        )
    };
    let manifest = format!(
        concat!(
            r#"{{"annotations":{{"org.opencontainers.image.created":"1980-01-01T00:00:00Z","#,
            r#""org.opencontainers.image.title":"model"}},"#,
            r#""config":{{"digest":"sha256:{}","mediaType":"application/vnd.oci.image.config.v1+json","size":{}}},"#,
            r#""layers":[{},{}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#,
        ),
        Sha256::of(config.as_bytes()),
        config.len(),
        layer(base),
        layer(numpy)
    );
    assert_eq!(String::from_utf8_lossy(image.manifest()), manifest);
    assert_eq!(image.manifest_digest(), Sha256::of(manifest.as_bytes()));
}

#[test]
fn an_image_of_nothing_is_an_image() {
    let image = assemble(&RuntimeConfig::default(), &[]).expect("valid");
    assert_eq!(
        String::from_utf8_lossy(image.config()),
        r#"{"architecture":"amd64","config":{},"created":"1980-01-01T00:00:00Z","history":[],"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
    );
}

#[test]
fn what_an_image_runs_with_is_data() {
    let text = serde_json::to_string(&runtime()).expect("JSON");
    assert_eq!(
        serde_json::from_str::<RuntimeConfig>(&text).expect("its own text"),
        runtime()
    );
    assert_eq!(
        serde_json::from_str::<RuntimeConfig>("{}").expect("nothing"),
        RuntimeConfig::default()
    );
    assert!(serde_json::from_str::<RuntimeConfig>(r#"{"entry_point":[]}"#).is_err());
}

#[test]
fn the_parts_of_an_image_belong_together() {
    let world = World::new();
    let image = world.image();
    let (config, manifest) = (image.config().to_vec(), image.manifest().to_vec());
    let layers = world.descriptions.clone();
    let whole = Image::from_parts(config.clone(), manifest.clone(), layers.clone());
    assert_eq!(whole.expect("its own parts"), image);
    let other = World::of(vec![layer("other", "opt", b"other\n")]).image();
    let swapped: Vec<_> = layers.iter().rev().cloned().collect();
    for (config, manifest, layers, reason) in [
        (
            b"{".to_vec(),
            manifest.clone(),
            layers.clone(),
            "the configuration cannot be read",
        ),
        (
            config.clone(),
            b"[]".to_vec(),
            layers.clone(),
            "the manifest cannot be read",
        ),
        (
            other.config().to_vec(),
            manifest.clone(),
            layers.clone(),
            "the manifest names configuration",
        ),
        (
            config.clone(),
            manifest.clone(),
            layers[..1].to_vec(),
            "2 in the configuration, 1 descriptions",
        ),
        (config, manifest, swapped, "another layer in place of numpy"),
    ] {
        let error = Image::from_parts(config, manifest, layers)
            .expect_err("refused")
            .to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn what_an_image_runs_with_is_read_again() {
    let process = runtime_of(World::new().image().config()).expect("its own text");
    assert_eq!(process.env, ["PATH=/venv/bin:/usr/bin", "A=b=c \"d\""]);
    assert_eq!(
        (process.entrypoint, process.cmd),
        (runtime().entrypoint, runtime().cmd)
    );
    assert_eq!(
        (process.working_dir, process.labels),
        (runtime().working_dir, runtime().labels)
    );
    let empty = runtime_of(br#"{"config":{"Env":null},"rootfs":{"diff_ids":[]}}"#);
    assert_eq!(empty.expect("what engines write"), Process::default());
}

#[test]
fn what_cannot_be_is_refused() {
    for name in ["", "A=B"] {
        let env = vec![(name.to_owned(), String::new())];
        let runtime = RuntimeConfig {
            env,
            ..RuntimeConfig::default()
        };
        assert!(assemble(&runtime, &[]).is_err());
    }
    let error = World::new()
        .put("docker://registry.example/me/model")
        .expect_err("refused");
    assert!(error.to_string().contains("push the image"), "{error}");
}
