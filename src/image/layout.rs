//! An image in a folder of OCI's layout.
//!
//! ```text
//! DIR/oci-layout              {"imageLayoutVersion":"1.0.0"}; its lock is held while we write
//! DIR/index.json              one descriptor for each image or index of images, with its tag
//! DIR/blobs/sha256/HEX        configurations, manifests, indexes and layers
//! DIR/blobs/sha256/.cognix-*  a blob on its way; swept by the next writer if its own was killed
//! ```
//!
//! Blobs come first and the index last, each under a temporary name, synced and renamed, so that a reader never meets an
//! image that is not complete. Images of other tags stay, and blobs are never removed.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cognix_derivations::Sha256;
use oci_spec::image::{ANNOTATION_REF_NAME, MediaType};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::layer::{LayerBytes, digest_of, write_compressed};
use super::{ImageError, Named, canonical};
use crate::layers::description::LayerDescription;

pub(super) const LAYOUT_FILE: &str = "oci-layout";
pub(super) const INDEX_FILE: &str = "index.json";
pub(super) const BLOBS: &str = "blobs/sha256";
const TEMPORARY: &str = ".cognix-";
/// Far above any index, and small enough to read whole.
const MAX_TEXT: u64 = 16 << 20;
/// Layers that are written at a time: more would only wait for the disk.
const MAX_THREADS: usize = 8;

/// The text of the file that marks a layout.
pub(super) fn marker() -> Vec<u8> {
    canonical::json(&json!({ "imageLayoutVersion": "1.0.0" }))
}

/// The index of a layout that holds nothing else.
pub(super) fn index_of(named: Named<'_>, tag: Option<&str>) -> Vec<u8> {
    canonical::json(&with_named(empty_index(), named, tag))
}

/// A blob, by what it is made of.
pub(super) enum Content<'a> {
    Text(&'a [u8]),
    Layer(&'a LayerDescription),
}

/// Every blob once, in the order of the digests; what images share is there once too.
pub(super) fn blobs<'a>(named: Named<'a>) -> BTreeMap<Sha256, Content<'a>> {
    let mut blobs = BTreeMap::new();
    for image in named.images() {
        blobs.insert(image.config_digest(), Content::Text(image.config()));
        blobs.insert(image.manifest_digest(), Content::Text(image.manifest()));
        let layers = image.layers().iter();
        blobs.extend(layers.map(|layer| (layer.digest.0, Content::Layer(layer))));
    }
    if let Named::Index(index) = named {
        blobs.insert(index.digest(), Content::Text(index.text()));
    }
    blobs
}

/// Adds an image or an index of several to a layout, which is made if it is not there.
pub(super) fn write(
    named: Named<'_>,
    directory: &Path,
    tag: Option<&str>,
    layer_bytes: &LayerBytes<'_>,
) -> Result<(), ImageError> {
    let layout = Layout::open(directory)?;
    // A broken index is found before anything is written.
    let index = layout.read_index()?;
    layout.write_blobs(&blobs(named), layer_bytes)?;
    layout.write_index(&with_named(index, named, tag))
}

/// A layout that nobody else of us is writing to.
struct Layout {
    directory: PathBuf,
    blobs: PathBuf,
    /// Holds the lock until it is dropped.
    lock: fs_err::File,
}

impl Layout {
    fn open(directory: &Path) -> Result<Self, ImageError> {
        let foreign = |reason: &str| ImageError::NotALayout {
            directory: directory.to_owned(),
            reason: reason.to_owned(),
        };
        if directory.exists() && !directory.is_dir() {
            return Err(foreign("it is a file"));
        }
        let marker_file = directory.join(LAYOUT_FILE);
        if !marker_file.exists() {
            fs_err::create_dir_all(directory)?;
            for entry in fs_err::read_dir(directory)? {
                let name = entry?.file_name();
                if !name.to_string_lossy().starts_with(TEMPORARY) && name != LAYOUT_FILE {
                    return Err(foreign("it has files, but none called oci-layout"));
                }
            }
            // Another process may be doing the same: whoever comes first makes the file.
            make_marker(directory)?;
        }
        let mut lock = fs_err::File::open(&marker_file)?;
        let text = read_text(&mut lock)?;
        let version = serde_json::from_slice::<Value>(&text).ok();
        match version
            .as_ref()
            .and_then(|marker| marker["imageLayoutVersion"].as_str())
        {
            Some("1.0.0") => {}
            Some(_) => return Err(foreign("its version is not 1.0.0")),
            None => {
                return Err(foreign(
                    "its file oci-layout does not say which version it has",
                ));
            }
        }
        let layout = Self {
            blobs: directory.join(BLOBS),
            directory: directory.to_owned(),
            lock,
        };
        fs_err::create_dir_all(&layout.blobs)?;
        match layout.lock.file().lock() {
            Ok(()) => layout.sweep()?,
            // Some network file systems have no locks; then what others left behind stays, to be safe.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => return Err(error.into()),
        }
        Ok(layout)
    }

    /// Removes what killed writers left: under the lock nobody else has a blob on its way.
    fn sweep(&self) -> Result<(), ImageError> {
        for entry in fs_err::read_dir(&self.blobs)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                fs_err::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes what is missing. Small threads of work: each blob is one, and the largest come first, so that none of them
    /// is still under way when all others are done.
    fn write_blobs(
        &self,
        blobs: &BTreeMap<Sha256, Content<'_>>,
        layer_bytes: &LayerBytes<'_>,
    ) -> Result<(), ImageError> {
        let mut queue: Vec<_> = blobs.iter().collect();
        queue.sort_by_key(|(digest, content)| (std::cmp::Reverse(content.size()), **digest));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(MAX_THREADS).min(queue.len());
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<(usize, ImageError)>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        let Some((digest, content)) = queue.get(position) else {
                            return;
                        };
                        if let Err(error) = self.write_blob(digest, content, layer_bytes) {
                            next.store(queue.len(), Ordering::Relaxed);
                            let mut failure =
                                failure.lock().expect("no thread panics while it holds it");
                            // The first in the queue is reported, whichever thread was faster.
                            if failure.as_ref().is_none_or(|(first, _)| position < *first) {
                                *failure = Some((position, error));
                            }
                        }
                    }
                });
            }
        });
        match failure.into_inner().expect("all threads have ended") {
            Some((_, error)) => Err(error),
            None => Ok(sync_directory(&self.blobs)?),
        }
    }

    fn write_blob(
        &self,
        digest: &Sha256,
        content: &Content<'_>,
        layer_bytes: &LayerBytes<'_>,
    ) -> Result<(), ImageError> {
        let path = self.blobs.join(digest.to_string());
        match fs_err::File::open(&path) {
            Ok(mut file) => {
                if digest_of(&mut file, content.size())? == Some(*digest) {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let mut file = temporary(&self.blobs, TEMPORARY)?;
        let mut buffered = BufWriter::with_capacity(1 << 18, file.as_file_mut());
        match content {
            Content::Text(text) => buffered
                .write_all(text)
                .map_err(ImageError::writing(&path))?,
            Content::Layer(layer) => write_compressed(layer, layer_bytes, &mut buffered)?,
        }
        buffered.flush().map_err(ImageError::writing(&path))?;
        drop(buffered);
        keep(file, &path)
    }

    fn read_index(&self) -> Result<Value, ImageError> {
        let path = self.directory.join(INDEX_FILE);
        let mut file = match fs_err::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty_index()),
            Err(error) => return Err(error.into()),
        };
        let broken = |reason: String| ImageError::BrokenIndex { file: path, reason };
        let index: Value = match serde_json::from_slice(&read_text(&mut file)?) {
            Ok(index) => index,
            Err(error) => return Err(broken(error.to_string())),
        };
        if index["schemaVersion"] != 2 || !index["manifests"].is_array() {
            return Err(broken("it has no manifests in schema version 2".to_owned()));
        }
        Ok(index)
    }

    fn write_index(&self, index: &Value) -> Result<(), ImageError> {
        let path = self.directory.join(INDEX_FILE);
        let mut file = temporary(&self.directory, ".cognix-index-")?;
        let written = file.write_all(&canonical::json(index));
        written.map_err(ImageError::writing(&path))?;
        keep(file, &path)?;
        Ok(sync_directory(&self.directory)?)
    }
}

/// Makes the file that marks a layout, unless somebody else just did.
fn make_marker(directory: &Path) -> Result<(), ImageError> {
    let path = directory.join(LAYOUT_FILE);
    let mut file = temporary(directory, ".cognix-layout-")?;
    let written = file
        .write_all(&marker())
        .and_then(|()| file.as_file().sync_all());
    written.map_err(ImageError::writing(&path))?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(sync_directory(directory)?),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(ImageError::writing(&path)(error.error)),
    }
}

impl Content<'_> {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Layer(layer) => layer.size,
        }
    }
}

fn empty_index() -> Value {
    json!({ "schemaVersion": 2, "mediaType": MediaType::ImageIndex.to_string(), "manifests": [] })
}

/// The index with an image in the place of the one that has its tag, or at the end. An image without a tag takes the place
/// of the others without one; what is no image (signatures, for one) stays.
fn with_named(mut index: Value, named: Named<'_>, tag: Option<&str>) -> Value {
    let images = [MediaType::ImageManifest, MediaType::ImageIndex].map(|kind| kind.to_string());
    let mut descriptor = named.descriptor();
    if let Some(tag) = tag {
        descriptor["annotations"] = json!({ ANNOTATION_REF_NAME: tag });
    }
    let replaced = |other: &Value| {
        let other_tag = other["annotations"][ANNOTATION_REF_NAME].as_str();
        other_tag == tag
            && (tag.is_some()
                || (images.iter().any(|kind| other["mediaType"] == *kind)
                    && other["artifactType"].is_null()))
    };
    if let Some(manifests) = index["manifests"].as_array_mut() {
        let place = manifests
            .iter()
            .position(replaced)
            .unwrap_or(manifests.len());
        manifests.retain(|other| !replaced(other));
        manifests.insert(place.min(manifests.len()), descriptor);
    }
    index
}

fn read_text(file: &mut fs_err::File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAX_TEXT).read_to_end(&mut text)?;
    Ok(text)
}

/// CRASH-3: what was written under a temporary name in the same folder gets its own name once it is on the disk.
pub(super) fn keep(file: NamedTempFile, path: &Path) -> Result<(), ImageError> {
    let failed = ImageError::writing(path);
    file.as_file().sync_all().map_err(&failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A file that vanishes unless it is kept, with the rights that other tools expect of an image.
pub(super) fn temporary(directory: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs_err::File::open(directory)?.sync_all()
}
