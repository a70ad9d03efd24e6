//! Reads the central directory: which members there are, and whether each of them may be in a wheel.
//!
//! The directory is the truth about an archive. That the rest of the file tells the same story is checked by
//! [`super::local_headers`].

use std::fs::File;

use rawzip::{
    CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipFileHeaderRecord, ZipLocator,
};

use super::{
    ArchiveError, Limits, Member, Method, Quoted, end_record::End, extra_fields, local_headers,
    names, window::Window,
};

/// Room for the longest header that the format allows: the fixed part, name, extra fields and comment.
const HEADER_BYTES: usize = rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE;
/// Length of the fixed part of an entry of the directory.
const FIXED_BYTES: u64 = 46;
/// Where the fixed part names the volume on which the member begins.
const DISK_OFFSET: u64 = 34;
/// Flags that change nothing about the content: deflate's effort, data descriptor, names in UTF-8.
const KNOWN_FLAGS: u16 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 11;

pub(super) type Archive<'a> = ZipArchive<Window<'a>>;

/// A member whose local header has not been looked at yet.
pub(super) struct Entry {
    pub(super) member: Member,
    pub(super) flags: u16,
    pub(super) header: ZipArchiveEntryWayfinder,
    pub(super) header_offset: u64,
}

/// All members in the order of the directory, with the places of their contents.
pub(super) fn read(
    file: &File,
    length: u64,
    end: &End,
    limits: &Limits,
) -> Result<Vec<Member>, ArchiveError> {
    limits.check_entries(end.entries)?;
    let mut buffer = vec![0; HEADER_BYTES];
    let archive = open(file, end, &mut buffer)?;
    let mut entries = read_entries(&archive, end, &mut buffer, limits)?;
    let expanded = entries
        .iter()
        .fold(0_u64, |sum, entry| sum.saturating_add(entry.member.size));
    limits.check_expanded(expanded, length)?;
    local_headers::locate_contents(&archive, &mut entries, end.directory.start, &mut buffer)?;
    let members: Vec<Member> = entries.into_iter().map(|entry| entry.member).collect();
    check_paths(&members)?;
    Ok(members)
}

/// Opens the archive with the crate that parses headers, which must see the directory where we see it.
fn open<'a>(file: &'a File, end: &End, buffer: &mut [u8]) -> Result<Archive<'a>, ArchiveError> {
    let archive = ZipLocator::new()
        .locate_in_reader(Window::new(file), buffer, end.record + 4)
        .map_err(|(_, error)| ArchiveError::EndRecord {
            problem: error.to_string(),
        })?;
    let seen = (
        archive.directory_offset(),
        archive.entries_hint(),
        archive.eocd_offset(),
    );
    if seen != (end.directory.start, end.entries, end.record) {
        return Err(ArchiveError::EndRecord {
            problem: format!("no directory begins at byte {}", end.directory.start),
        });
    }
    Ok(archive)
}

fn read_entries(
    archive: &Archive<'_>,
    end: &End,
    buffer: &mut [u8],
    limits: &Limits,
) -> Result<Vec<Entry>, ArchiveError> {
    let mut entries = Vec::new();
    let mut position = end.directory.start;
    let mut records = archive.entries(buffer);
    loop {
        let number = entries.len() as u64 + 1;
        let wrong = |problem: String| ArchiveError::Directory {
            entry: number,
            problem,
        };
        let Some(record) = records
            .next_entry()
            .map_err(|error| wrong(error.to_string()))?
        else {
            break;
        };
        if number > end.entries {
            return Err(wrong(format!(
                "the end record counts only {} entries",
                end.entries
            )));
        }
        if archive.get_ref().u16_at(position + DISK_OFFSET)? != 0 {
            return Err(wrong("the member lies on another volume".to_owned()));
        }
        let entry = read_entry(&record, &wrong)?;
        limits.check_file(&entry.member.name, entry.member.size)?;
        position += FIXED_BYTES
            + record.file_path().as_ref().len() as u64
            + record.extra_fields().remaining_bytes().len() as u64
            + record.comment().as_bytes().len() as u64;
        entries.push(entry);
    }
    if position != end.directory.end || entries.len() as u64 != end.entries {
        return Err(ArchiveError::Directory {
            entry: entries.len() as u64 + 1,
            problem: format!(
                "found nothing at byte {position}, expected {} entries up to byte {}",
                end.entries, end.directory.end
            ),
        });
    }
    Ok(entries)
}

fn read_entry(
    record: &ZipFileHeaderRecord<'_>,
    wrong: &dyn Fn(String) -> ArchiveError,
) -> Result<Entry, ArchiveError> {
    let path = record.file_path();
    let bytes: &[u8] = path.as_ref();
    // The flag for UTF-8 is not asked for: names in wheels are UTF-8, and RECORD, which is UTF-8 too, has to agree.
    let Ok(name) = str::from_utf8(bytes) else {
        let name = String::from_utf8_lossy(bytes).into_owned();
        return Err(ArchiveError::Name {
            name,
            problem: "is not UTF-8",
        });
    };
    let directory = name.ends_with('/');
    let name = name.strip_suffix('/').unwrap_or(name);
    names::check(name)?;
    let sizes = [
        record.uncompressed_size_hint(),
        record.compressed_size_hint(),
    ];
    let values = [sizes[0], sizes[1], record.local_header_offset()];
    extra_fields::check(record.extra_fields(), bytes, &values)
        .map_err(|problem| wrong(format!("{problem} ({})", Quoted(name))))?;
    let method = method(name, record.flags().bits(), record.compression_method())?;
    let mode = record.external_attributes() >> 16;
    check_kind(name, directory, mode)?;
    let member = Member {
        name: name.to_owned(),
        directory,
        size: sizes[0],
        compressed_size: sizes[1],
        method,
        crc32: record.crc32(),
        executable: !directory && mode & 0o111 != 0,
        offset: 0,
    };
    if directory && (member.size != 0 || member.compressed_size > 2) {
        return Err(ArchiveError::Content {
            member: member.name,
            problem: format!(
                "is a directory with {} bytes of content, expected none",
                sizes[0]
            ),
        });
    }
    Ok(Entry {
        member,
        flags: record.flags().bits(),
        header: record.wayfinder(),
        header_offset: record.local_header_offset(),
    })
}

fn method(name: &str, flags: u16, method: CompressionMethod) -> Result<Method, ArchiveError> {
    let unsupported = |what| {
        Err(ArchiveError::Unsupported {
            member: name.to_owned(),
            what,
        })
    };
    if flags & (1 << 0 | 1 << 6 | 1 << 13) != 0 {
        return unsupported("is encrypted".to_owned());
    }
    if flags & !KNOWN_FLAGS != 0 {
        return unsupported(format!(
            "has flags {flags:#06x}, supported are {KNOWN_FLAGS:#06x}"
        ));
    }
    match method {
        CompressionMethod::STORE => Ok(Method::Stored),
        CompressionMethod::DEFLATE => Ok(Method::Deflate),
        CompressionMethod::ZSTD => Ok(Method::Zstd),
        other => unsupported(format!(
            "is compressed by method {other}, supported are stored, deflate and zstd"
        )),
    }
}

/// The upper half of the attributes is a Unix mode, or zero where the archiver knew none.
fn check_kind(name: &str, directory: bool, mode: u32) -> Result<(), ArchiveError> {
    let kind = match mode >> 12 {
        0 => return Ok(()),
        0o10 if !directory => return Ok(()),
        0o04 if directory => return Ok(()),
        0o10 => "a directory by its name and a regular file by its mode",
        0o04 => "a regular file by its name and a directory by its mode",
        0o12 => "a symbolic link",
        0o01 => "a named pipe",
        0o02 | 0o06 => "a device",
        0o14 => "a socket",
        _ => "of no known kind",
    };
    Err(ArchiveError::Kind {
        member: name.to_owned(),
        kind,
    })
}

/// No path twice, except directories; no path below a file.
fn check_paths(members: &[Member]) -> Result<(), ArchiveError> {
    let files = || {
        members
            .iter()
            .filter(|member| !member.directory)
            .map(Member::name)
    };
    let directories = members
        .iter()
        .filter(|member| member.directory)
        .map(Member::name);
    match names::conflict(files(), directories) {
        None => Ok(()),
        Some(names::Conflict::Twice(name)) => Err(ArchiveError::Duplicate {
            name: name.to_owned(),
        }),
        Some(names::Conflict::Below { file, name }) => Err(ArchiveError::BelowFile {
            name: name.to_owned(),
            file: file.to_owned(),
        }),
    }
}
