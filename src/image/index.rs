//! Several images behind one digest: one for each platform, and engines choose.

use cognix_derivations::Sha256;
use oci_spec::image::MediaType;
use serde_json::{Value, json};

use super::{Image, ImageError, canonical};

/// The media type of an index.
pub const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// Images of one model for several platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageIndex {
    /// Sorted by platform, each once.
    images: Vec<Image>,
    text: Vec<u8>,
    digest: Sha256,
}

impl ImageIndex {
    /// The index of these images, whatever order they come in.
    pub fn new(mut images: Vec<Image>) -> Result<Self, ImageError> {
        images.sort_by_key(Image::platform);
        let twice = |pair: &[Image]| pair[0].platform() == pair[1].platform();
        if let Some(pair) = images.windows(2).find(|pair| twice(pair)) {
            return Err(ImageError::PlatformTwice {
                platform: pair[0].platform(),
            });
        }
        let manifests: Vec<Value> = images.iter().map(descriptor).collect();
        let text = canonical::json(&json!({
            "schemaVersion": 2,
            "mediaType": INDEX_MEDIA_TYPE,
            "manifests": manifests,
        }));
        Ok(Self {
            images,
            digest: Sha256::of(&text),
            text,
        })
    }

    /// The images, sorted by platform.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The text of the index.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The digest of the index, by which all its images can be named at once.
    pub const fn digest(&self) -> Sha256 {
        self.digest
    }
}

/// What a place on disk holds under one name.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// One image.
    Image(&'a Image),
    /// Images for several platforms.
    Index(&'a ImageIndex),
}

impl<'a> Named<'a> {
    pub(super) fn images(self) -> &'a [Image] {
        match self {
            Self::Image(image) => std::slice::from_ref(image),
            Self::Index(index) => index.images(),
        }
    }

    /// How a layout's own index names it.
    pub(super) fn descriptor(self) -> Value {
        match self {
            Self::Image(image) => descriptor(image),
            Self::Index(index) => json!({
                "mediaType": INDEX_MEDIA_TYPE,
                "digest": format!("sha256:{}", index.digest()),
                "size": index.text().len(),
            }),
        }
    }
}

fn descriptor(image: &Image) -> Value {
    json!({
        "mediaType": MediaType::ImageManifest.to_string(),
        "digest": format!("sha256:{}", image.manifest_digest()),
        "size": image.manifest().len(),
        "platform": image.platform().json(),
    })
}
