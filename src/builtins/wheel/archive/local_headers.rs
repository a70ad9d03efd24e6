//! Holds every local header against the central directory.
//!
//! The members, each with its local header and its data descriptor, must follow each other from the first byte of the
//! file to the directory without a gap, so that no reader can find a member, or a content, that another does not see.

use std::ops::Range;

use rawzip::{ReaderAt, ZipLocalFileHeader};

use super::{
    ArchiveError, Member, Quoted,
    directory::{Archive, Entry},
    end_record::number,
    extra_fields,
    window::Window,
};

/// Walks over the members as they lie in the file, from its first byte to the directory.
pub(super) fn locate_contents(
    archive: &Archive<'_>,
    entries: &mut [Entry],
    directory_start: u64,
    buffer: &mut [u8],
) -> Result<(), ArchiveError> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|index| entries[*index].header_offset);
    let mut position = 0;
    for (place, &index) in order.iter().enumerate() {
        let next = order.get(place + 1).map(|next| &entries[*next]);
        let next_start = next.map_or(directory_start, |next| next.header_offset);
        let next_name = next.map_or("the central directory", |next| &next.member.name);
        let entry = &entries[index];
        if entry.header_offset != position {
            return Err(ArchiveError::Unaccounted {
                start: position,
                end: entry.header_offset,
                before: entry.member.name.clone(),
            });
        }
        let content = check_local_header(archive, entry, buffer)?;
        if content.end > next_start {
            return Err(ArchiveError::Overlap {
                first: entry.member.name.clone(),
                second: next_name.to_owned(),
                at: next_start,
            });
        }
        position = after_descriptor(archive.get_ref(), entry, content.end, next_start)?;
        entries[index].member.offset = content.start;
    }
    if position != directory_start {
        return Err(ArchiveError::Unaccounted {
            start: position,
            end: directory_start,
            before: "the central directory".to_owned(),
        });
    }
    Ok(())
}

/// Compares a member's local header with the directory and returns where its content lies.
fn check_local_header(
    archive: &Archive<'_>,
    entry: &Entry,
    buffer: &mut [u8],
) -> Result<Range<u64>, ArchiveError> {
    let member = &entry.member;
    let unreadable = |error: rawzip::Error| ArchiveError::Content {
        member: member.name.clone(),
        problem: format!(
            "has no local header at byte {}: {error}",
            entry.header_offset
        ),
    };
    let local = archive.get_entry(entry.header).map_err(unreadable)?;
    let (start, end) = local.compressed_data_range();
    let header = local.local_header(buffer).map_err(unreadable)?;
    check_local_name(member, &header)?;
    check_local_numbers(entry, &header)?;
    let values = [
        header.uncompressed_size_hint(),
        header.compressed_size_hint(),
    ];
    let name = header.file_path();
    extra_fields::check(header.extra_fields(), name.as_ref(), &values).map_err(|problem| {
        ArchiveError::Content {
            member: member.name.clone(),
            problem: format!("its local header {problem}"),
        }
    })?;
    Ok(start..end)
}

fn check_local_numbers(entry: &Entry, header: &ZipLocalFileHeader<'_>) -> Result<(), ArchiveError> {
    let member = &entry.member;
    let [local_flags, flags] = [header.flags().bits(), entry.flags].map(u64::from);
    let [local_crc32, crc32] = [header.crc32(), member.crc32].map(u64::from);
    let local_method = u64::from(header.compression_method().as_u16());
    let local_size = header.uncompressed_size_hint();
    let local_compressed = header.compressed_size_hint();
    // Where a descriptor follows the content, the header may leave the last three to it.
    let descriptor = entry.flags & 1 << 3 != 0;
    for (field, local, central, may_be_open) in [
        ("flags", local_flags, flags, false),
        ("method", local_method, member.method.number(), false),
        ("checksum", local_crc32, crc32, true),
        ("size", local_size, member.size, true),
        (
            "compressed size",
            local_compressed,
            member.compressed_size,
            true,
        ),
    ] {
        let is_open = descriptor && may_be_open && local == 0;
        if local != central && !is_open {
            return Err(disagreement(member, field, local, central));
        }
    }
    Ok(())
}

fn check_local_name(member: &Member, header: &ZipLocalFileHeader<'_>) -> Result<(), ArchiveError> {
    let path = header.file_path();
    let local: &[u8] = path.as_ref();
    let same = match local.strip_suffix(b"/") {
        Some(local) => member.directory && local == member.name.as_bytes(),
        None => !member.directory && local == member.name.as_bytes(),
    };
    if same {
        return Ok(());
    }
    let local = String::from_utf8_lossy(local);
    Err(ArchiveError::LocalDisagrees {
        member: member.name.clone(),
        field: "name",
        local: Quoted(&local).to_string(),
        central: Quoted(&member.name).to_string(),
    })
}

/// Where the member ends, after the data descriptor that its flags announce.
///
/// Nothing in a descriptor tells which of its four forms it has. Here the room up to the next header tells.
fn after_descriptor(
    window: &Window<'_>,
    entry: &Entry,
    end: u64,
    next: u64,
) -> Result<u64, ArchiveError> {
    if entry.flags & 1 << 3 == 0 {
        return Ok(end);
    }
    let member = &entry.member;
    let mut bytes = [0; 24];
    let Some(descriptor) = bytes.get_mut(..(next - end).min(25) as usize) else {
        return Err(bad_descriptor(member, next - end));
    };
    window.read_exact_at(descriptor, end)?;
    let fields = match descriptor.len() {
        12 | 20 => &*descriptor,
        16 | 24 if descriptor.starts_with(b"PK\x07\x08") => &descriptor[4..],
        _ => return Err(bad_descriptor(member, next - end)),
    };
    let (compressed, size) = match fields.len() {
        12 => (number::<4>(fields, 4), number::<4>(fields, 8)),
        _ => (number::<8>(fields, 4), number::<8>(fields, 12)),
    };
    let pairs = [
        ("checksum", number::<4>(fields, 0), u64::from(member.crc32)),
        ("compressed size", compressed, member.compressed_size),
        ("size", size, member.size),
    ];
    for (field, local, central) in pairs {
        if local != central {
            return Err(disagreement(member, field, local, central));
        }
    }
    Ok(next)
}

fn bad_descriptor(member: &Member, bytes: u64) -> ArchiveError {
    ArchiveError::Content {
        member: member.name.clone(),
        problem: format!("is followed by {bytes} bytes, expected a data descriptor"),
    }
}

fn disagreement(member: &Member, field: &'static str, local: u64, central: u64) -> ArchiveError {
    ArchiveError::LocalDisagrees {
        member: member.name.clone(),
        field,
        local: local.to_string(),
        central: central.to_string(),
    }
}
