//! An image in one tar file: OCI's layout, or what `docker load` takes.
//!
//! ```text
//! oci-archive     blobs/, blobs/sha256/, blobs/sha256/HEX…, index.json, oci-layout
//! docker-archive  CONFIG.json, DIFFID.tar…, manifest.json
//! ```
//!
//! Entries are sorted by their bytes and have the headers of a layer's, so the same image is the same file. Nothing is kept
//! in memory or beside the file: layers stream into it. The layers of a docker-archive are plain tar streams, which every
//! reader of the format takes; the compressed ones of the manifest would not have the digests that its readers compute.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;
use tempfile::NamedTempFile;

use super::layer::{LayerBytes, write_compressed, write_tar};
use super::layout::{
    self, BLOBS, Content, INDEX_FILE, LAYOUT_FILE, keep, sync_directory, temporary,
};
use super::{Image, ImageError, Named, canonical};
use crate::layers::description::LayerDescription;
use crate::layers::modes::{Mode, Recorded};
use crate::layers::path::ImagePath;
use crate::layers::tar::{END, TarKind, padding, write_header};
use crate::layers::timestamp::Timestamp;

/// An archive on its way, beside the one that it will be.
const TEMPORARY: &str = ".cognix-archive-";

/// Writes OCI's layout as one file.
pub(super) fn write_oci(
    named: Named<'_>,
    file: &Path,
    tag: Option<&str>,
    layer_bytes: &LayerBytes<'_>,
) -> Result<(), ImageError> {
    replace_file(file, |archive| {
        archive.directory("blobs")?;
        archive.directory(BLOBS)?;
        for (digest, content) in layout::blobs(named) {
            let path = format!("{BLOBS}/{digest}");
            match content {
                Content::Text(text) => archive.text(&path, text)?,
                Content::Layer(layer) => archive.entry(&path, layer.size, |out| {
                    write_compressed(layer, layer_bytes, out)
                })?,
            }
        }
        archive.text(INDEX_FILE, &layout::index_of(named, tag))?;
        archive.text(LAYOUT_FILE, &layout::marker())
    })
}

/// Writes the file that `docker load` takes.
pub(super) fn write_docker(
    image: &Image,
    file: &Path,
    reference: Option<&str>,
    tar_bytes: &LayerBytes<'_>,
) -> Result<(), ImageError> {
    let config_name = format!("{}.json", image.config_digest());
    let layer_names = image
        .layers
        .iter()
        .map(|layer| format!("{}.tar", layer.diff_id.0));
    let layer_names: Vec<_> = layer_names.collect();
    let manifest = canonical::json(&json!([{
        "Config": config_name,
        "Layers": layer_names,
        "RepoTags": reference.into_iter().collect::<Vec<_>>(),
    }]));
    let mut entries: BTreeMap<&str, Option<&LayerDescription>> = layer_names
        .iter()
        .map(String::as_str)
        .zip(image.layers().iter().map(Some))
        .collect();
    entries.insert(&config_name, None);

    replace_file(file, |archive| {
        for (name, layer) in entries {
            match layer {
                None => archive.text(name, image.config())?,
                Some(layer) => archive.entry(name, layer.uncompressed_size, |out| {
                    write_tar(layer, tar_bytes, out)
                })?,
            }
        }
        archive.text("manifest.json", &manifest)
    })
}

/// CRASH-3: the file appears whole or not at all.
fn replace_file(
    file: &Path,
    write: impl FnOnce(&mut Archive<'_>) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs_err::create_dir_all(directory)?;
    sweep(directory)?;
    let mut temporary = locked_temporary(directory)?;
    let mut out = BufWriter::with_capacity(1 << 18, temporary.as_file_mut());
    write(&mut Archive {
        out: &mut out,
        file,
    })?;
    let ended = out.write_all(&END).and_then(|()| out.flush());
    ended.map_err(ImageError::writing(file))?;
    drop(out);
    keep(temporary, file)?;
    Ok(sync_directory(directory)?)
}

/// CRASH-4: removes archives whose writer was killed. Whoever is at work holds the lock of its file.
fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // What cannot be opened or removed is somebody else's, and no reason not to write our own.
        if name.starts_with(TEMPORARY)
            && let Ok(file) = fs_err::File::open(&path)
            && file.file().try_lock().is_ok()
        {
            let _ = fs_err::remove_file(&path);
        }
    }
    Ok(())
}

/// A temporary file under its own lock. Between its creation and the lock another process may sweep it; then there is a
/// next one.
fn locked_temporary(directory: &Path) -> io::Result<NamedTempFile> {
    loop {
        let file = temporary(directory, TEMPORARY)?;
        // Without locks nobody sweeps, so their absence does no harm.
        let _ = file.as_file().try_lock();
        if file.path().exists() {
            return Ok(file);
        }
    }
}

/// A tar stream whose caller gives the entries in order.
struct Archive<'a> {
    out: &'a mut dyn Write,
    /// For messages.
    file: &'a Path,
}

impl Archive<'_> {
    fn directory(&mut self, path: &str) -> Result<(), ImageError> {
        self.header(path, Mode::EXECUTABLE, TarKind::Directory)
    }

    fn text(&mut self, path: &str, text: &[u8]) -> Result<(), ImageError> {
        let file = self.file;
        self.entry(path, text.len() as u64, |out| {
            out.write_all(text).map_err(ImageError::writing(file))
        })
    }

    /// The content must write exactly `size` bytes, or fail.
    fn entry(
        &mut self,
        path: &str,
        size: u64,
        content: impl FnOnce(&mut dyn Write) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        self.header(path, Mode::PLAIN, TarKind::File(size))?;
        content(self.out)?;
        self.write(padding(size))
    }

    fn header(&mut self, path: &str, mode: Mode, kind: TarKind<'_>) -> Result<(), ImageError> {
        let path = ImagePath::parse(path).expect("the names of this file are plain");
        let mut header = Vec::new();
        // The archive's own entries have the usual time, whatever the layers have: it is only a wrapping.
        let time = Timestamp::default();
        write_header(&mut header, &path, Recorded::root(mode), kind, time);
        self.write(&header)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let written = self.out.write_all(bytes);
        written.map_err(ImageError::writing(self.file))
    }
}
