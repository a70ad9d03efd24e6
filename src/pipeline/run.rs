//! The stages with effects after realising: writing an image out, running a command in it.

use std::io::Write;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};

use cognix_derivations::StorePath;
use cognix_store::{CancellationToken, Store};

use super::{ImageRecord, PipelineError};
use crate::container::{self, Bundle, Directory, RunOptions, Runtime};
use crate::image::{self, Destination, Image, ImageIndex, Named};
use crate::layers::{self, LayerDescription};

/// What one build made: an image, or one for each of several platforms and their index.
#[derive(Debug)]
pub enum Images {
    /// For one platform.
    One(Box<Image>),
    /// For several.
    Several(ImageIndex),
}

impl Images {
    /// The index of several platforms.
    pub const fn index(&self) -> Option<&ImageIndex> {
        match self {
            Self::One(_) => None,
            Self::Several(index) => Some(index),
        }
    }

    /// What is written under one name.
    pub fn named(&self) -> Named<'_> {
        match self {
            Self::One(image) => Named::Image(image),
            Self::Several(index) => Named::Index(index),
        }
    }
}

/// Puts the images of one build together.
pub fn load_images(store: &Store, records: &[ImageRecord]) -> Result<Images, PipelineError> {
    let load = |record: &ImageRecord| {
        let descriptions = descriptions(store, record)?;
        let (config, manifest) = (record.config.clone(), record.manifest.clone());
        Ok(Image::from_parts(config, manifest, descriptions)?)
    };
    let mut images = records
        .iter()
        .map(load)
        .collect::<Result<Vec<_>, PipelineError>>()?;
    if images.len() == 1 {
        return Ok(Images::One(Box::new(images.remove(0))));
    }
    Ok(Images::Several(ImageIndex::new(images)?))
}

/// Writes what was built somewhere; layer bytes are made from what the store holds, and verified.
pub fn write_images(
    store: &Store,
    images: &Images,
    destination: &Destination,
    cancel: &CancellationToken,
) -> Result<(), PipelineError> {
    let locate = |path: &StorePath| store.real_path(path);
    let written = image::write(
        images.named(),
        destination,
        &|layer, out| layers::write(layer, &locate, &mut Cancellable { out, cancel }),
        &|layer, out| layers::write_tar(layer, &locate, &mut Cancellable { out, cancel }),
    );
    if cancel.is_cancelled() {
        return Err(PipelineError::Interrupted);
    }
    Ok(written?)
}

/// Stops whoever writes into it as soon as somebody asks to stop.
struct Cancellable<'a> {
    out: &'a mut dyn Write,
    cancel: &'a CancellationToken,
}

impl Write for Cancellable<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("interrupted"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn descriptions(
    store: &Store,
    record: &ImageRecord,
) -> Result<Vec<LayerDescription>, PipelineError> {
    let read = |layer: &super::ImageLayer| {
        let text = fs_err::read(store.real_path(&layer.description))?;
        LayerDescription::parse(&text).map_err(|error| PipelineError::Record {
            path: layer.description.to_string(),
            reason: error.to_string(),
        })
    };
    record.layers.iter().map(read).collect()
}

/// What to run in an image.
#[derive(Debug, Clone)]
pub struct ExecOptions {
    /// The command's words; the image's entrypoint is put before them.
    pub command: Vec<String>,
    /// `NAME=VALUE`, above the image's own.
    pub env: Vec<String>,
    /// Whether the command gets a terminal.
    pub terminal: bool,
}

/// Files of the machine that a command with the machine's network needs.
const NETWORK_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Where the folders of running containers are, below the store's root: their files come and go with it.
const BUNDLES: &str = "nix/var/cognix/bundles";

/// Unpacks an image for one command. The bundle is removed when it is dropped.
pub fn unpack_image(
    store: &Store,
    record: &ImageRecord,
    options: &ExecOptions,
    cancel: &CancellationToken,
) -> Result<Bundle, PipelineError> {
    let bundle = Bundle::create(&store.root().join(BUNDLES))?;
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let unpacked = unpack_layers(
        &descriptions(store, record)?,
        store,
        &bundle.root(),
        user.is_root(),
        cancel,
    );
    if cancel.is_cancelled() {
        return Err(PipelineError::Interrupted);
    }
    unpacked?;
    let settings = image::runtime_of(&record.config)?;
    let mut env = settings.env;
    env.extend(options.env.iter().cloned());
    let run_options = RunOptions {
        args: settings
            .entrypoint
            .into_iter()
            .chain(options.command.iter().cloned())
            .collect(),
        env,
        working_dir: settings.working_dir,
        terminal: options.terminal,
        rootless: (!user.is_root()).then(|| (user.as_raw(), group.as_raw())),
        shared_files: NETWORK_FILES
            .iter()
            .filter(|file| Path::new(file).exists())
            .map(|file| (*file).to_owned())
            .collect(),
    };
    container::write_config(&bundle, &run_options)?;
    Ok(bundle)
}

/// Runs the command of a bundle to its end.
pub async fn exec(bundle: &Bundle, runtime: &Runtime) -> Result<ExitStatus, PipelineError> {
    Ok(runtime.run(bundle).await?)
}

/// Unpacks the layers. Those of packages are unpacked several at a time, since no file is in two of them and folders are
/// the same in all; a layer of changes waits for what lies below it, and what lies above waits for it.
fn unpack_layers(
    layers: &[LayerDescription],
    store: &Store,
    root: &Path,
    owners: bool,
    cancel: &CancellationToken,
) -> Result<(), PipelineError> {
    let unpack_one = |layer: &LayerDescription| unpack(store, layer, root, owners, cancel);
    let mut directories = Vec::new();
    let together = |one: &LayerDescription, other: &LayerDescription| {
        !one.has_changes() && !other.has_changes()
    };
    for batch in layers.chunk_by(together) {
        directories.extend(unpack_batch(batch, &unpack_one)?);
    }
    Ok(container::close(directories)?)
}

/// Unpacks layers in any order.
fn unpack_batch(
    layers: &[LayerDescription],
    unpack: &(dyn Fn(&LayerDescription) -> Result<Vec<Directory>, PipelineError> + Sync),
) -> Result<Vec<Directory>, PipelineError> {
    let mut queue: Vec<_> = layers.iter().collect();
    // The largest first, so that none of them is still under way when all others are done.
    queue.sort_by_key(|layer| std::cmp::Reverse(layer.uncompressed_size));
    let queue = Mutex::new(queue.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let unpack_some = || -> Result<Vec<Directory>, PipelineError> {
        let mut directories = Vec::new();
        while let Some(layer) = next() {
            directories.extend(unpack(layer)?);
        }
        Ok(directories)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads = 0..threads.min(layers.len());
        let workers: Vec<_> = threads.map(|_| scope.spawn(unpack_some)).collect();
        let mut directories = Vec::new();
        for worker in workers {
            directories.extend(joined(worker)?);
        }
        Ok(directories)
    })
}

/// Makes a layer's tar bytes on one thread and unpacks them on this one.
fn unpack(
    store: &Store,
    description: &LayerDescription,
    root: &Path,
    owners: bool,
    cancel: &CancellationToken,
) -> Result<Vec<Directory>, PipelineError> {
    let (reader, mut pipe) = std::io::pipe()?;
    let locate = |path: &StorePath| store.real_path(path);
    std::thread::scope(|scope| {
        let made = scope.spawn(move || {
            let out = Cancellable {
                out: &mut pipe,
                cancel,
            };
            let mut writer = std::io::BufWriter::with_capacity(1 << 16, out);
            layers::write_tar(description, &locate, &mut writer)?;
            writer.flush()?;
            Ok::<_, PipelineError>(())
        });
        let unpacked = container::unpack_layer(&description.name, reader, root, owners);
        // When unpacking failed, the writer's broken pipe is only a consequence.
        let made = joined(made);
        let directories = unpacked?;
        made.map(|()| directories)
    })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
