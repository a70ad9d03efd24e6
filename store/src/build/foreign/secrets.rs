//! Values that a program gets to know and that are part of nothing else.
//!
//! They come from whoever runs the build, never from the derivation. They are shown as a mask, they are taken out of the
//! log, and an output that holds one is refused before it is registered.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memmem;

/// What is shown in place of a value.
const MASK: &[u8] = b"***";

/// A line that is shorter than this is no secret: taking it out of a log would make that unreadable.
const SHORTEST: usize = 4;

/// How much of a file is looked at at once.
const CHUNK: usize = 256 << 10;

/// The secrets of one run, by id.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, Arc<[u8]>>);

impl Secrets {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; a later one of the same name takes its place.
    pub fn insert(&mut self, id: &str, value: impl Into<Vec<u8>>) {
        self.0.insert(id.to_owned(), value.into().into());
    }

    /// The value of this id.
    pub fn get(&self, id: &str) -> Option<&[u8]> {
        self.0.get(id).map(AsRef::as_ref)
    }

    /// Their names.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What must appear nowhere: the values of some of them and each of their lines.
    pub(super) fn needles<'i>(&self, ids: impl Iterator<Item = &'i str>) -> Needles {
        let values = ids.filter_map(|id| self.get(id));
        let parts = values.flat_map(|value| {
            let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            lines.chain([value.trim_ascii().to_vec()])
        });
        let mut needles = Needles::default();
        needles.extend(parts);
        needles
    }
}

/// The values are shown as a mask.
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = self.ids().map(|id| (id, "***"));
        formatter.debug_map().entries(masked).finish()
    }
}

/// What must appear nowhere, longest first.
#[derive(Default)]
pub(super) struct Needles(Vec<Vec<u8>>);

impl Needles {
    /// Adds what is long enough to be a secret.
    pub(super) fn extend(&mut self, needles: impl Iterator<Item = Vec<u8>>) {
        let Self(all) = self;
        all.extend(needles.filter(|needle| needle.len() >= SHORTEST));
        all.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        all.dedup();
    }

    /// A line without them.
    pub(super) fn mask(&self, line: &[u8]) -> Vec<u8> {
        let mut line = line.to_vec();
        for needle in &self.0 {
            while let Some(place) = memmem::find(&line, needle) {
                line.splice(place..place + needle.len(), MASK.iter().copied());
            }
        }
        line
    }

    /// A file, a name or a link's text below this path that holds one of them.
    pub(super) fn find_below(&self, root: &Path) -> io::Result<Option<PathBuf>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut waiting = vec![root.to_owned()];
        while let Some(path) = waiting.pop() {
            let metadata = std::fs::symlink_metadata(&path)?;
            let name = path.file_name().unwrap_or_default();
            let is_hit = self.is_in(name.as_bytes())
                || match () {
                    () if metadata.is_dir() => {
                        for entry in std::fs::read_dir(&path)? {
                            waiting.push(entry?.path());
                        }
                        false
                    }
                    () if metadata.is_symlink() => {
                        self.is_in(std::fs::read_link(&path)?.as_os_str().as_bytes())
                    }
                    () if metadata.is_file() => self.is_in_file(&path)?,
                    () => false,
                };
            if is_hit {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        let mut needles = self.0.iter();
        needles.any(|needle| memmem::find(bytes, needle).is_some())
    }

    fn is_in_file(&self, path: &Path) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let overlap = self.0.first().map_or(0, Vec::len);
        let mut buffer = vec![0; CHUNK + overlap];
        let mut kept = 0;
        loop {
            let count = file.read(&mut buffer[kept..])?;
            if count == 0 {
                return Ok(false);
            }
            let filled = kept + count;
            if self.is_in(&buffer[..filled]) {
                return Ok(true);
            }
            kept = filled.min(overlap);
            buffer.copy_within(filled - kept..filled, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::new();
        secrets.insert("token", "hunter2-hunter2\n");
        secrets.insert("key", "BEGIN\nfirst line\nx\n");
        secrets
    }

    #[test]
    fn sec_1_values_are_shown_as_a_mask() {
        let shown = format!("{:?}", secrets());
        assert_eq!(shown, r#"{"key": "***", "token": "***"}"#);
    }

    #[test]
    fn sec_2_a_log_does_not_hold_values() {
        let needles = secrets().needles(["token", "key"].into_iter());
        let masked = |line: &str| String::from_utf8(needles.mask(line.as_bytes())).expect("UTF-8");
        assert_eq!(
            masked("curl -H hunter2-hunter2 hunter2-hunter2"),
            "curl -H *** ***"
        );
        assert_eq!(masked("the first line is x"), "the *** is x");
    }

    #[test]
    fn sec_2_a_value_in_an_output_is_found_wherever_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let needles = secrets().needles(["token"].into_iter());
        let file = folder.path().join("file");
        std::fs::write(&file, "x".repeat(CHUNK - 3)).expect("write");
        assert_eq!(needles.find_below(folder.path()).expect("readable"), None);
        let text = format!("{}hunter2-hunter2", "x".repeat(CHUNK + 3));
        std::fs::write(&file, text).expect("write");
        let found = needles.find_below(folder.path()).expect("readable");
        assert_eq!(found, Some(file.clone()));
        std::fs::remove_file(&file).expect("remove");
        std::os::unix::fs::symlink("/hunter2-hunter2", &file).expect("link");
        let found = needles.find_below(folder.path()).expect("readable");
        assert_eq!(found, Some(file));
    }
}
