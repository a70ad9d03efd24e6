//! Finds the one end record of an archive, and through it the central directory.
//!
//! Readers search for the record from the end of the file and differ in what they forgive on the way. Here nothing is
//! forgiven: the record, its comment and zero bytes end the file; the directory ends where the end records begin; and
//! the 64-bit record, where there is one, says the same as the old one.
//!
//! ```text
//! members │ central directory │ zip64 end record │ zip64 locator │ end record │ comment │ zero bytes
//! ```

use std::{fs::File, ops::Range, os::unix::fs::FileExt};

use super::ArchiveError;

const END: &[u8; 4] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const LOCATOR: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_BYTES: u64 = 20;
const END64: &[u8; 4] = b"PK\x06\x06";
const END64_BYTES: u64 = 56;
/// The longest comment, and as much again for the zero bytes after it.
const TAIL_BYTES: u64 = 2 * (1 << 16) + END_BYTES as u64;
/// How much of a file that is no archive is shown.
const SHOWN_BYTES: usize = 80;

/// What the end record says, after everything it says has been found consistent.
#[derive(Debug)]
pub(super) struct End {
    /// Where the list of members lies; the members fill the file before it.
    pub(super) directory: Range<u64>,
    /// How many members there are.
    pub(super) entries: u64,
    /// Where the record itself begins.
    pub(super) record: u64,
}

/// The fields of an end record, old or 64-bit, in the order in which both hold them.
#[derive(Debug, PartialEq, Eq)]
struct Fields {
    disk: u64,
    directory_disk: u64,
    entries_on_disk: u64,
    entries: u64,
    directory_size: u64,
    directory_offset: u64,
}

/// Finds the end record of a file of `length` bytes.
pub(super) fn locate(file: &File, length: u64) -> Result<End, ArchiveError> {
    let tail_start = length.saturating_sub(TAIL_BYTES);
    let mut tail = vec![0; (length - tail_start) as usize];
    file.read_exact_at(&mut tail, tail_start)?;
    let Some(position) = tail.windows(4).rposition(|window| window == END) else {
        return Err(no_archive(file, length)?);
    };
    let Some(record) = tail.get(position..position + END_BYTES) else {
        return Err(ArchiveError::Truncated { length });
    };
    check_rest(&tail, position, u16_at(record, 20), length)?;
    let old = Fields {
        disk: u16_at(record, 4),
        directory_disk: u16_at(record, 6),
        entries_on_disk: u16_at(record, 8),
        entries: u16_at(record, 10),
        directory_size: u32_at(record, 12),
        directory_offset: u32_at(record, 16),
    };
    let record = tail_start + position as u64;
    let (fields, records_start) = match zip64(file, record)? {
        None => (old, record),
        Some((fields, start)) => {
            check_agreement(&old, &fields)?;
            (fields, start)
        }
    };
    let directory = check_fields(&fields, records_start)?;
    Ok(End {
        directory,
        entries: fields.entries,
        record,
    })
}

/// Checks what follows the record's fixed part: its comment, and then zero bytes only.
fn check_rest(
    tail: &[u8],
    position: usize,
    comment_bytes: u64,
    length: u64,
) -> Result<(), ArchiveError> {
    let comment_start = position + END_BYTES;
    let end = comment_start + comment_bytes as usize;
    let Some(comment) = tail.get(comment_start..end) else {
        return Err(ArchiveError::Truncated { length });
    };
    let is_signature = |window: &[u8]| {
        window.starts_with(b"PK")
            && matches!(window[2..], [1, 2] | [3, 4] | [5, 6] | [6, 6] | [6, 7])
    };
    if comment.windows(4).any(is_signature) {
        return Err(problem("its comment holds parts of another archive"));
    }
    if tail[end..].iter().any(|byte| *byte != 0) {
        return Err(problem(format!(
            "{} bytes of data follow it",
            tail.len() - end
        )));
    }
    // An earlier record whose comment ends where this one ends would be taken for the only one by readers that
    // search forwards, and the archive would be another one for them.
    let rival = (0..position).find(|&start| {
        tail[start..].starts_with(END)
            && tail
                .get(start + 20..start + END_BYTES)
                .is_some_and(|field| start + END_BYTES + u16_at(field, 0) as usize == end)
    });
    match rival {
        Some(_) => Err(problem("there are two of them")),
        None => Ok(()),
    }
}

/// The 64-bit record and where it begins, if a locator announces one.
fn zip64(file: &File, record: u64) -> Result<Option<(Fields, u64)>, ArchiveError> {
    let Some(locator_start) = record.checked_sub(LOCATOR_BYTES) else {
        return Ok(None);
    };
    let mut locator = [0; LOCATOR_BYTES as usize];
    file.read_exact_at(&mut locator, locator_start)?;
    if !locator.starts_with(LOCATOR) {
        return Ok(None);
    }
    let start = u64_at(&locator, 8);
    if u32_at(&locator, 4) != 0 || u32_at(&locator, 16) > 1 {
        return Err(problem("the archive has several volumes"));
    }
    if start
        .checked_add(END64_BYTES)
        .is_none_or(|end| end > locator_start)
    {
        return Err(problem(format!(
            "the zip64 locator points to byte {start}, which leaves no room for a zip64 record before byte {locator_start}"
        )));
    }
    let mut record = [0; END64_BYTES as usize];
    file.read_exact_at(&mut record, start)?;
    let declared = u64_at(&record, 4);
    if !record.starts_with(END64) || Some(declared) != (locator_start - start).checked_sub(12) {
        return Err(problem(format!(
            "the zip64 locator points to byte {start}, where no zip64 record reaches to byte {locator_start}"
        )));
    }
    let fields = Fields {
        disk: u32_at(&record, 16),
        directory_disk: u32_at(&record, 20),
        entries_on_disk: u64_at(&record, 24),
        entries: u64_at(&record, 32),
        directory_size: u64_at(&record, 40),
        directory_offset: u64_at(&record, 48),
    };
    Ok(Some((fields, start)))
}

/// A field of the old record is either the value itself or the mark that says where to look.
fn check_agreement(old: &Fields, new: &Fields) -> Result<(), ArchiveError> {
    let (short, long) = (u64::from(u16::MAX), u64::from(u32::MAX));
    let pairs = [
        ("disk", old.disk, new.disk, short),
        (
            "disk of the directory",
            old.directory_disk,
            new.directory_disk,
            short,
        ),
        (
            "number of members on this disk",
            old.entries_on_disk,
            new.entries_on_disk,
            short,
        ),
        ("number of members", old.entries, new.entries, short),
        (
            "size of the directory",
            old.directory_size,
            new.directory_size,
            long,
        ),
        (
            "offset of the directory",
            old.directory_offset,
            new.directory_offset,
            long,
        ),
    ];
    for (field, old, new, mark) in pairs {
        if old != new && old != mark {
            return Err(problem(format!(
                "{field} is {old}, and {new} in the zip64 record"
            )));
        }
    }
    Ok(())
}

fn check_fields(fields: &Fields, records_start: u64) -> Result<Range<u64>, ArchiveError> {
    if fields.disk != 0 || fields.directory_disk != 0 || fields.entries_on_disk != fields.entries {
        return Err(problem("the archive has several volumes"));
    }
    let (start, size) = (fields.directory_offset, fields.directory_size);
    match start.checked_add(size) {
        Some(end) if end == records_start => Ok(start..end),
        _ => Err(problem(format!(
            "the directory should lie at byte {start} with {size} bytes, but the end records begin at byte {records_start}"
        ))),
    }
}

/// Says what a file without an end record is.
fn no_archive(file: &File, length: u64) -> Result<ArchiveError, ArchiveError> {
    let mut start = vec![0; length.min(SHOWN_BYTES as u64) as usize];
    file.read_exact_at(&mut start, 0)?;
    if start.starts_with(b"PK\x03\x04") {
        return Ok(ArchiveError::Truncated { length });
    }
    let starts_with = String::from_utf8_lossy(&start).trim_start().to_owned();
    Ok(ArchiveError::NotZip { starts_with })
}

fn problem(problem: impl Into<String>) -> ArchiveError {
    ArchiveError::EndRecord {
        problem: problem.into(),
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> u64 {
    number::<2>(bytes, offset)
}

fn u32_at(bytes: &[u8], offset: usize) -> u64 {
    number::<4>(bytes, offset)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    number::<8>(bytes, offset)
}

/// A little-endian number; the callers pass records whose length they have checked.
pub(super) fn number<const BYTES: usize>(bytes: &[u8], offset: usize) -> u64 {
    let mut wide = [0; 8];
    wide[..BYTES].copy_from_slice(&bytes[offset..offset + BYTES]);
    u64::from_le_bytes(wide)
}
