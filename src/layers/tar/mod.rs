//! Writes the tar stream of a layer: headers, padding and the end, as the same bytes for ever.
//!
//! ```text
//! layer  = { entry } , two zero blocks
//! entry  = [ extended header ] , header , [ content , zeroes up to a multiple of 512 ]
//! header = 512 bytes of POSIX ustar: mode, owner, size and time in octal, no user names, devices 0, 0 (not in `x`)
//! ```
//!
//! An extended header (type `x`, named `@PaxHeader`) stands only before an entry that ustar cannot hold, with the
//! records that are needed and no others, in the order `linkpath`, `path`, `size`: a path or target that is too long or
//! not ASCII, a content of 8 GiB or more. The order of the entries is the caller's. The headers are encoded here and not
//! by a crate, because where a long path is split, or which extension holds it, is part of every layer's digest and must
//! not change with an update; GNU tar makes the golden bytes of the tests.

use super::{
    modes::Recorded,
    path::{ImagePath, InvalidImagePath},
    timestamp::Timestamp,
};

/// Everything in a tar stream is padded to multiples of this.
const BLOCK: usize = 512;
/// What stands after the last entry.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// The largest size that eleven octal digits hold, and one more.
const SIZE_LIMIT: u64 = 1 << 33;
const EXTENDED_NAME: &[u8] = b"@PaxHeader";

/// What a header says besides path, mode and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TarKind<'a> {
    /// A directory.
    Directory,
    /// A file whose content of this length follows.
    File(u64),
    /// A symbolic link and where it points.
    Symlink(&'a str),
}

/// Appends the header of one entry, and before it an extended header if it needs one. Both have the time that is given.
pub fn write_header(
    bytes: &mut Vec<u8>,
    path: &ImagePath,
    recorded: Recorded,
    kind: TarKind<'_>,
    time: Timestamp,
) {
    let mut name = path.as_str().as_bytes().to_vec();
    let (flag, size, target) = match kind {
        TarKind::Directory => {
            name.push(b'/');
            (b'5', 0, "")
        }
        TarKind::File(size) => (b'0', size, ""),
        TarKind::Symlink(target) => (b'2', 0, target),
    };
    let split = split_path(&name);
    let target_fits = target.is_ascii() && target.len() <= 100;

    let mut records = Vec::new();
    if !target_fits {
        push_record(&mut records, "linkpath", target.as_bytes());
    }
    if split.is_none() {
        push_record(&mut records, "path", &name);
    }
    if size >= SIZE_LIMIT {
        push_record(&mut records, "size", size.to_string().as_bytes());
    }
    if !records.is_empty() {
        let extended = Header {
            name: EXTENDED_NAME,
            prefix: b"",
            size: records.len() as u64,
            flag: b'x',
            target: b"",
            time,
        };
        bytes.extend(extended.encode(0o644, 0, 0));
        bytes.extend_from_slice(&records);
        bytes.extend_from_slice(padding(records.len() as u64));
    }

    // What an extended header holds stands in the plain one only for readers that do not know extended headers.
    let (short_name, short_target) = (shortened(&name), shortened(target.as_bytes()));
    let (prefix, name) = split.unwrap_or((b"", &short_name));
    let size = if size < SIZE_LIMIT { size } else { 0 };
    let header = Header {
        name,
        prefix,
        size,
        flag,
        target: &short_target,
        time,
    };
    bytes.extend(header.encode(recorded.mode.bits(), recorded.uid, recorded.gid));
}

/// What the name of an empty file begins with that says: what lies below this layer under the rest of the name is removed.
pub const WHITEOUT: &str = ".wh.";

/// Where the mark lies that removes a path. Names longer than 251 bytes leave no room for it.
pub fn whiteout(path: &ImagePath) -> Result<ImagePath, InvalidImagePath> {
    let name = format!("{WHITEOUT}{}", path.name());
    match path.parent() {
        None => ImagePath::parse(name),
        Some(parent) => parent.join(&name),
    }
}

/// The zeroes after a content of this length.
pub fn padding(size: u64) -> &'static [u8] {
    const ZEROES: [u8; BLOCK] = [0; BLOCK];
    let used = (size % BLOCK as u64) as usize;
    &ZEROES[..(BLOCK - used) % BLOCK]
}

struct Header<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    size: u64,
    flag: u8,
    target: &'a [u8],
    time: Timestamp,
}

impl Header<'_> {
    fn encode(&self, mode: u32, uid: u32, gid: u32) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..self.name.len()].copy_from_slice(self.name);
        put_octal(&mut block[100..108], u64::from(mode));
        put_octal(&mut block[108..116], u64::from(uid));
        put_octal(&mut block[116..124], u64::from(gid));
        put_octal(&mut block[124..136], self.size);
        put_octal(&mut block[136..148], self.time.seconds());
        block[156] = self.flag;
        block[157..157 + self.target.len()].copy_from_slice(self.target);
        block[257..265].copy_from_slice(b"ustar\x0000");
        if self.flag != b'x' {
            put_octal(&mut block[329..337], 0);
            put_octal(&mut block[337..345], 0);
        }
        block[345..345 + self.prefix.len()].copy_from_slice(self.prefix);

        // The sum is taken with blanks in its own place, and has six digits, a NUL and a blank.
        block[148..156].copy_from_slice(b"        ");
        let sum = block.iter().map(|byte| u64::from(*byte)).sum();
        put_octal(&mut block[148..155], sum);
        block
    }
}

/// All digits but one, which stays NUL; callers keep to what fits.
fn put_octal(field: &mut [u8], mut number: u64) {
    let (end, digits) = field
        .split_last_mut()
        .expect("no field of a header is empty");
    *end = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number & 7) as u8;
        number >>= 3;
    }
    debug_assert_eq!(number, 0, "more octal digits than the field has");
}

/// The parts of a path that ustar can hold, as GNU tar and Go split it: the longest prefix that leaves a name.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // The slash that ends a directory belongs to its name.
    let last = path.len() - 1;
    let at = path[..last.min(156)]
        .iter()
        .rposition(|byte| *byte == b'/')?;
    let (prefix, name) = (&path[..at], &path[at + 1..]);
    (name.len() <= 100 && !prefix.is_empty()).then_some((prefix, name))
}

fn shortened(path: &[u8]) -> Vec<u8> {
    path.iter()
        .take(100)
        .map(|byte| if byte.is_ascii() { *byte } else { b'_' })
        .collect()
}

/// `LENGTH key=value` and a line feed, where the length counts itself.
fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if digits(length) != digits(rest) {
        length = rest + digits(length);
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

#[cfg(test)]
mod tests;
