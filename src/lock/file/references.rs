//! How a variant names a package: by its file alone, or with what holds in this image only.
//!
//! ```text
//! "alpha-1.0-py3-none-any.whl"
//! { "file": "beta-2.0-py3-none-any.whl", "layer": "wheels-3" }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use crate::lock::python::{Revision, SourceReason};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A file, and what an image says about it.
pub(super) trait Reference {
    /// The file and nothing else.
    fn plain(file: &str) -> Self;
    /// The file, if nothing else is said.
    fn as_plain(&self) -> Option<&str>;
}

/// A reference in its shortest form.
pub(super) struct Brief<T>(pub(super) T);

/// A `.deb` of an image.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DebReference {
    /// What it needs in this image besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) depends: Vec<String>,
    pub(super) file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layer: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) requested: bool,
}

/// A wheel of an image.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WheelReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) build: Option<BuildReference>,
    pub(super) file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layer: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) omit: Vec<String>,
    /// What it needs in this image besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) requires: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) waived: bool,
}

/// How a source archive is built in an image.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct BuildReference {
    pub(super) backend: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) backend_path: Vec<String>,
    /// How those of what it is built with are built that are sources themselves, by package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) builds: BTreeMap<String, Self>,
    pub(super) reason: SourceReason,
    /// The files of the wheels that it is built with.
    pub(super) requires: Vec<String>,
    /// Of a source that is a commit, what its repository says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<Revision>,
}

impl Reference for DebReference {
    fn plain(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    fn as_plain(&self) -> Option<&str> {
        (*self == Self::plain(&self.file)).then_some(self.file.as_str())
    }
}

impl Reference for WheelReference {
    fn plain(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    fn as_plain(&self) -> Option<&str> {
        (*self == Self::plain(&self.file)).then_some(self.file.as_str())
    }
}

impl<T: Reference + Serialize> Serialize for Brief<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_plain() {
            Some(file) => serializer.serialize_str(file),
            None => self.0.serialize(serializer),
        }
    }
}

impl<'de, T: Reference + Deserialize<'de>> Deserialize<'de> for Brief<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData)).map(Self)
    }
}

struct Either<T>(PhantomData<T>);

impl<'de, T: Reference + Deserialize<'de>> Visitor<'de> for Either<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a file, or an object with one")
    }

    fn visit_str<E: Error>(self, file: &str) -> Result<T, E> {
        Ok(T::plain(file))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
