//! Layer bytes on their way through, verified.

use std::io::{self, Write};

use cognix_derivations::{HashingWriter, Sha256};

use super::ImageError;
use crate::layers::LayerError;
use crate::layers::description::{DiffId, LayerDescription, LayerDigest};

/// Writes the bytes of a layer, compressed or not.
pub type LayerBytes<'a> =
    dyn Fn(&LayerDescription, &mut dyn Write) -> Result<(), LayerError> + Sync + 'a;

/// Writes the compressed bytes and makes sure that they are those of the description.
pub(super) fn write_compressed(
    layer: &LayerDescription,
    bytes: &LayerBytes<'_>,
    out: &mut dyn Write,
) -> Result<(), ImageError> {
    let (digest, size) = write_hashed(layer, bytes, out)?;
    if (LayerDigest(digest), size) == (layer.digest, layer.size) {
        return Ok(());
    }
    Err(ImageError::LayerMismatch {
        name: layer.name.clone(),
        expected: layer.digest,
        expected_size: layer.size,
        found: LayerDigest(digest),
        found_size: size,
    })
}

/// Writes the tar stream and makes sure that it is that of the description.
pub(super) fn write_tar(
    layer: &LayerDescription,
    bytes: &LayerBytes<'_>,
    out: &mut dyn Write,
) -> Result<(), ImageError> {
    let (digest, size) = write_hashed(layer, bytes, out)?;
    if (DiffId(digest), size) == (layer.diff_id, layer.uncompressed_size) {
        return Ok(());
    }
    Err(ImageError::DiffIdMismatch {
        name: layer.name.clone(),
        expected: layer.diff_id,
        expected_size: layer.uncompressed_size,
        found: DiffId(digest),
        found_size: size,
    })
}

fn write_hashed(
    layer: &LayerDescription,
    bytes: &LayerBytes<'_>,
    out: &mut dyn Write,
) -> Result<(Sha256, u64), ImageError> {
    let mut writer = HashingWriter::new(out);
    bytes(layer, &mut writer).map_err(|source| ImageError::Layer {
        name: layer.name.clone(),
        source: Box::new(source),
    })?;
    let (_, digest, size) = writer.finish();
    Ok((digest, size))
}

/// Hashes a file that is there; `None` when it has another size, which is cheaper to see.
pub(super) fn digest_of(file: &mut fs_err::File, size: u64) -> io::Result<Option<Sha256>> {
    if file.metadata()?.len() != size {
        return Ok(None);
    }
    let mut hasher = HashingWriter::new(io::sink());
    io::copy(file, &mut hasher)?;
    Ok(Some(hasher.finish().1))
}
