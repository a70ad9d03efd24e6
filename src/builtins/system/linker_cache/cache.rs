//! The bytes of the cache, in the format that glibc has written since 2.32.
//!
//! ```text
//! "glibc-ld.so.cache1.1"  entries:u32 strings:u32 flags:u8 0:[u8; 3] extensions:u32 0:[u32; 3]
//! ( flags:u32 soname:u32 path:u32 0:u32 hwcaps:u64 )*      offsets count from the file's beginning
//! strings, each with its NUL; one that ends another is not written again
//! magic:u32 sections:u32 ( tag:u32 0:u32 offset:u32 size:u32 )*   processor levels by name, who wrote it
//! ```
//!
//! Numbers are little-endian. The loader searches by halves, so the order of entries is part of the format.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet},
};

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
const LITTLE_ENDIAN: u8 = 2;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const EXTENSION_HEADER: usize = 8;
const SECTION: usize = 16;
const GENERATOR: u32 = 0;
const HWCAPS: u32 = 1;
/// Marks the number of a processor level where older glibc had bits.
const NAMED_HWCAPS: u64 = 1 << 62;

/// A library that the loader can find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) soname: String,
    pub(super) path: String,
    pub(super) flags: u32,
    pub(super) hwcaps: Option<String>,
    pub(super) isa_level: u32,
}

/// A cache in the making.
pub(super) struct Cache {
    generator: String,
    libraries: Vec<Library>,
    /// Every level's name, also of those without libraries.
    hwcaps: BTreeSet<String>,
}

impl Cache {
    pub(super) fn new(generator: String) -> Self {
        Self {
            generator,
            libraries: Vec::new(),
            hwcaps: BTreeSet::new(),
        }
    }

    /// Names a level of processors that has a folder.
    pub(super) fn add_hwcaps(&mut self, name: &str) {
        self.hwcaps.insert(name.to_owned());
    }

    /// Adds a library. Of equal ones, the loader takes the one that was added first.
    pub(super) fn add(&mut self, library: Library) {
        self.libraries.push(library);
    }

    /// The file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut libraries: Vec<&Library> = self.libraries.iter().collect();
        libraries.sort_by(|left, right| compare(left, right));
        let start = HEADER + ENTRY * libraries.len();
        let texts = libraries
            .iter()
            .flat_map(|library| [library.soname.as_str(), library.path.as_str()]);
        let strings = Strings::new(texts.chain(self.hwcaps.iter().map(String::as_str)));
        let used: BTreeSet<&str> = libraries
            .iter()
            .filter_map(|library| library.hwcaps.as_deref())
            .collect();
        let levels: BTreeMap<&str, u64> = used.into_iter().zip(0..).collect();
        let extensions = (start + strings.bytes.len()).next_multiple_of(4);

        let mut bytes = Vec::with_capacity(extensions + 256);
        bytes.extend_from_slice(MAGIC);
        put(&mut bytes, libraries.len());
        put(&mut bytes, strings.bytes.len());
        bytes.extend_from_slice(&[LITTLE_ENDIAN, 0, 0, 0]);
        put(&mut bytes, extensions);
        bytes.resize(HEADER, 0);
        for library in &libraries {
            bytes.extend_from_slice(&library.flags.to_le_bytes());
            put(&mut bytes, start + strings.offset(&library.soname));
            put(&mut bytes, start + strings.offset(&library.path));
            put(&mut bytes, 0);
            let level = library
                .hwcaps
                .as_deref()
                .and_then(|level| levels.get(level));
            let level = level.map_or(0, |level| {
                NAMED_HWCAPS | u64::from(library.isa_level) << 32 | level
            });
            bytes.extend_from_slice(&level.to_le_bytes());
        }
        bytes.extend_from_slice(&strings.bytes);
        bytes.resize(extensions, 0);
        let level_offsets = levels.keys().map(|level| start + strings.offset(level));
        self.put_extensions(&mut bytes, &level_offsets.collect::<Vec<_>>());
        bytes
    }

    fn put_extensions(&self, bytes: &mut Vec<u8>, levels: &[usize]) {
        let sections = if levels.is_empty() { 1 } else { 2 };
        let levels_at = bytes.len() + EXTENSION_HEADER + SECTION * sections;
        let generator_at = levels_at + 4 * levels.len();
        bytes.extend_from_slice(&EXTENSION_MAGIC.to_le_bytes());
        put(bytes, sections);
        let mut section = |tag: u32, offset, size| {
            bytes.extend_from_slice(&tag.to_le_bytes());
            put(bytes, 0);
            put(bytes, offset);
            put(bytes, size);
        };
        section(GENERATOR, generator_at, self.generator.len());
        if !levels.is_empty() {
            section(HWCAPS, levels_at, 4 * levels.len());
        }
        for level in levels {
            put(bytes, *level);
        }
        bytes.extend_from_slice(self.generator.as_bytes());
    }
}

fn put(bytes: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).expect("names of libraries do not add up to 4 GiB");
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// Greater names first, then greater flags; libraries for levels of processors before the one for all.
fn compare(left: &Library, right: &Library) -> Ordering {
    let level = |library: &Library| (library.hwcaps.is_none(), library.hwcaps.clone());
    compare_names(&right.soname, &left.soname)
        .then_with(|| Reverse(left.flags).cmp(&Reverse(right.flags)))
        .then_with(|| level(left).cmp(&level(right)))
}

/// The loader's own order of names: digits are compared as numbers, and are greater than everything else.
pub(super) fn compare_names(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (Some(first), second) = (left.first(), right.first()) else {
            return if right.is_empty() {
                Ordering::Equal
            } else {
                Ordering::Less
            };
        };
        let second_is_digit = second.is_some_and(u8::is_ascii_digit);
        let order = match (first.is_ascii_digit(), second_is_digit) {
            (true, true) => number(&mut left).cmp(&number(&mut right)),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                left = &left[1..];
                match right.split_first() {
                    None => Ordering::Greater,
                    Some((second, rest)) => {
                        right = rest;
                        // Bytes are signed there.
                        first.cast_signed().cmp(&second.cast_signed())
                    }
                }
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Takes the digits off. They wrap as an `int` does, since no library has such a version.
fn number(text: &mut &[u8]) -> i32 {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    *text = rest;
    digits.iter().fold(0i32, |value, digit| {
        value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'))
    })
}

/// A table of strings in which one that ends another shares its bytes.
struct Strings {
    offsets: BTreeMap<String, usize>,
    bytes: Vec<u8>,
}

impl Strings {
    /// Sorted from their ends, a string that ends another comes right behind it.
    fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let unique: BTreeSet<&str> = texts.collect();
        let mut sorted: Vec<&str> = unique.into_iter().collect();
        sorted.sort_by(|left, right| compare_ends(left.as_bytes(), right.as_bytes()));
        let mut strings = Self {
            offsets: BTreeMap::new(),
            bytes: Vec::new(),
        };
        let mut last: Option<(&str, usize)> = None;
        for text in sorted {
            let offset = match last {
                Some((before, offset)) if before.ends_with(text) => {
                    offset + before.len() - text.len()
                }
                _ => {
                    let offset = strings.bytes.len();
                    strings.bytes.extend_from_slice(text.as_bytes());
                    strings.bytes.push(0);
                    offset
                }
            };
            strings.offsets.insert(text.to_owned(), offset);
            last = Some((text, offset));
        }
        strings
    }

    fn offset(&self, text: &str) -> usize {
        *self.offsets.get(text).expect("every string was put in")
    }
}

/// By bytes from the end, greater ones first; where one is the other's end, the longer one first.
fn compare_ends(left: &[u8], right: &[u8]) -> Ordering {
    let order = left
        .iter()
        .rev()
        .zip(right.iter().rev())
        .map(|(left, right)| right.cmp(left));
    let order = order.into_iter().find(|order| order.is_ne());
    order.unwrap_or_else(|| right.len().cmp(&left.len()))
}
