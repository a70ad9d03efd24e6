//! Zip archives and wheels for tests, made by a writer that lies wherever it is told to.
//!
//! Both headers of a member start out equal and true. A test changes a field of one of them, or of the end records, and
//! everything else stays as a good archive has it.

use std::{
    fs::File,
    io::{Cursor, Read, Seek, SeekFrom, Write},
};

use cognix_derivations::Sha256;

use super::{archive::ArchiveError, archive::WheelArchive, record};

/// One of the two headers of a member.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc32: u32,
    pub(crate) compressed_size: u32,
    pub(crate) size: u32,
    pub(crate) extra: Vec<u8>,
}

/// A member and what surrounds it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) local: Header,
    pub(crate) central: Header,
    pub(crate) data: Vec<u8>,
    pub(crate) descriptor: Vec<u8>,
    /// Bytes before the local header that belong to no member.
    pub(crate) gap: Vec<u8>,
    /// Zero bytes after the data that are skipped instead of written.
    pub(crate) hole: u64,
    pub(crate) mode: u32,
    pub(crate) disk: u16,
    /// Where the directory says the local header is; where it is, if none.
    pub(crate) offset: Option<u32>,
    pub(crate) listed: bool,
}

/// The fields of the end record, or of its 64-bit form.
#[derive(Clone)]
pub(crate) struct End {
    pub(crate) disk: u64,
    pub(crate) directory_disk: u64,
    pub(crate) entries_on_disk: u64,
    pub(crate) entries: u64,
    pub(crate) size: u64,
    pub(crate) offset: u64,
    pub(crate) comment: Vec<u8>,
}

type Lie = Box<dyn Fn(&mut End)>;

/// An archive.
#[derive(Default)]
pub(crate) struct Zip {
    pub(crate) entries: Vec<Entry>,
    pub(crate) before_directory: Vec<u8>,
    pub(crate) after_directory: Vec<u8>,
    pub(crate) after: Vec<u8>,
    /// Changes the end record before it is written.
    pub(crate) end: Option<Lie>,
    /// Writes the 64-bit records too, after changing them.
    pub(crate) zip64: Option<Lie>,
    /// Where the locator points; to the 64-bit record, if none.
    pub(crate) locator: Option<u64>,
}

impl Entry {
    pub(crate) fn stored(name: &str, content: &[u8]) -> Self {
        Self::new(name, content, 0, content.to_vec())
    }

    pub(crate) fn deflated(name: &str, content: &[u8]) -> Self {
        let level = flate2::Compression::default();
        let mut data = Vec::new();
        flate2::read::DeflateEncoder::new(content, level)
            .read_to_end(&mut data)
            .expect("memory");
        Self::new(name, content, 8, data)
    }

    pub(crate) fn zstd(name: &str, content: &[u8]) -> Self {
        Self::new(
            name,
            content,
            93,
            zstd::encode_all(content, 3).expect("memory"),
        )
    }

    pub(crate) fn directory(name: &str) -> Self {
        Self {
            mode: 0o040755,
            ..Self::stored(&format!("{name}/"), b"")
        }
    }

    fn new(name: &str, content: &[u8], method: u16, data: Vec<u8>) -> Self {
        let mut checksum = flate2::Crc::new();
        checksum.update(content);
        let header = Header {
            name: name.as_bytes().to_vec(),
            flags: if name.is_ascii() { 0 } else { 1 << 11 },
            method,
            crc32: checksum.sum(),
            compressed_size: data.len() as u32,
            size: content.len() as u32,
            extra: Vec::new(),
        };
        Self {
            local: header.clone(),
            central: header,
            data,
            descriptor: Vec::new(),
            gap: Vec::new(),
            hole: 0,
            mode: 0o100644,
            disk: 0,
            offset: None,
            listed: true,
        }
    }

    /// Changes both headers.
    pub(crate) fn both(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    /// Changes anything.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn executable(self) -> Self {
        self.with(|entry| entry.mode = 0o100755)
    }

    /// Moves checksum and sizes from the local header into a descriptor, with or without signature and long sizes.
    pub(crate) fn streamed(self, signature: bool, long: bool) -> Self {
        let mut entry = self.both(|header| header.flags |= 1 << 3);
        if signature {
            entry.descriptor.extend(b"PK\x07\x08");
        }
        entry.descriptor.extend(entry.central.crc32.to_le_bytes());
        for size in [entry.central.compressed_size, entry.central.size] {
            if long {
                entry.descriptor.extend(u64::from(size).to_le_bytes());
            } else {
                entry.descriptor.extend(size.to_le_bytes());
            }
        }
        let local = &mut entry.local;
        (local.crc32, local.compressed_size, local.size) = (0, 0, 0);
        entry
    }
}

/// An extra field.
pub(crate) fn extra(id: u16, data: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes(), &(data.len() as u16).to_le_bytes(), data].concat()
}

/// A zip64 extra field.
pub(crate) fn zip64(values: &[u64]) -> Vec<u8> {
    extra(
        1,
        &values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect::<Vec<u8>>(),
    )
}

impl Zip {
    pub(crate) fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self {
            entries: entries.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut output = Cursor::new(Vec::new());
        self.write(&mut output);
        output.into_inner()
    }

    pub(crate) fn file(&self) -> File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        self.write(&mut file);
        file
    }

    pub(crate) fn open(&self) -> Result<WheelArchive, ArchiveError> {
        WheelArchive::open(self.file())
    }

    fn write(&self, output: &mut (impl Write + Seek)) {
        let mut directory = Vec::new();
        let mut listed = 0;
        for entry in &self.entries {
            put(output, &entry.gap);
            let position = output.stream_position().expect("a position");
            put(output, b"PK\x03\x04\x14\0");
            put(output, &entry.local.fields());
            put(output, &entry.local.name);
            put(output, &entry.local.extra);
            put(output, &entry.data);
            if entry.hole > 0 {
                output
                    .seek(SeekFrom::Current(entry.hole as i64))
                    .expect("a position");
            }
            put(output, &entry.descriptor);
            if entry.listed {
                listed += 1;
                directory.extend(entry.listing(position));
            }
        }
        put(output, &self.before_directory);
        let offset = output.stream_position().expect("a position");
        put(output, &directory);
        put(output, &self.after_directory);
        let end = End {
            disk: 0,
            directory_disk: 0,
            entries_on_disk: listed,
            entries: listed,
            size: (directory.len() + self.after_directory.len()) as u64,
            offset,
            comment: Vec::new(),
        };
        self.write_end(output, end);
        put(output, &self.after);
    }

    fn write_end(&self, output: &mut (impl Write + Seek), end: End) {
        if let Some(lie) = &self.zip64 {
            let position = output.stream_position().expect("a position");
            let mut end = end.clone();
            lie(&mut end);
            put(output, b"PK\x06\x06");
            put(output, &44_u64.to_le_bytes());
            put(output, &[45, 0, 45, 0]);
            put(output, &(end.disk as u32).to_le_bytes());
            put(output, &(end.directory_disk as u32).to_le_bytes());
            for value in [end.entries_on_disk, end.entries, end.size, end.offset] {
                put(output, &value.to_le_bytes());
            }
            put(output, b"PK\x06\x07\0\0\0\0");
            put(output, &self.locator.unwrap_or(position).to_le_bytes());
            put(output, &1_u32.to_le_bytes());
        }
        let mut end = end;
        if let Some(lie) = &self.end {
            lie(&mut end);
        }
        put(output, b"PK\x05\x06");
        for value in [
            end.disk,
            end.directory_disk,
            end.entries_on_disk,
            end.entries,
        ] {
            put(output, &(value as u16).to_le_bytes());
        }
        for value in [end.size, end.offset] {
            put(output, &(value as u32).to_le_bytes());
        }
        put(output, &(end.comment.len() as u16).to_le_bytes());
        put(output, &end.comment);
    }
}

impl Header {
    /// The fields from the flags to the lengths, which both headers have in the same order.
    fn fields(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        // 1980-01-01, the first moment that zip can hold.
        bytes.extend([0, 0, 0x21, 0]);
        for value in [self.crc32, self.compressed_size, self.size] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes.extend((self.extra.len() as u16).to_le_bytes());
        bytes
    }
}

impl Entry {
    fn listing(&self, position: u64) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02\x14\x03\x14\0".to_vec();
        bytes.extend(self.central.fields());
        bytes.extend([0, 0]);
        bytes.extend(self.disk.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend((self.mode << 16).to_le_bytes());
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        bytes.extend(self.offset.unwrap_or(position).to_le_bytes());
        bytes.extend(&self.central.name);
        bytes.extend(&self.central.extra);
        bytes
    }
}

fn put(output: &mut impl Write, bytes: &[u8]) {
    output.write_all(bytes).expect("tests have room to write");
}

/// A wheel called `demo` 1.0, whose RECORD is right until a test changes it.
pub(crate) struct Wheel {
    /// Everything but RECORD.
    pub(crate) entries: Vec<(Entry, Vec<u8>)>,
    /// Changes the text of RECORD.
    pub(crate) record: Box<dyn Fn(String) -> String>,
}

/// The file name that fits [`Wheel::new`].
pub(crate) const DEMO_FILENAME: &str = "demo-1.0-py3-none-any.whl";
pub(crate) const DEMO_METADATA: &[u8] =
    b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n\nText\n";
pub(crate) const DEMO_WHEEL: &[u8] =
    b"Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

impl Wheel {
    /// A wheel with these files besides its descriptions.
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        Self {
            entries: Vec::new(),
            record: Box::new(|text| text),
        }
        .files(files)
        .file("demo-1.0.dist-info/METADATA", DEMO_METADATA)
        .file("demo-1.0.dist-info/WHEEL", DEMO_WHEEL)
    }

    pub(crate) fn files(self, files: &[(&str, &[u8])]) -> Self {
        files
            .iter()
            .fold(self, |wheel, (name, content)| wheel.file(name, content))
    }

    /// Adds a file, or replaces it.
    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.without(name)
            .entry(Entry::deflated(name, content), content)
    }

    pub(crate) fn entry(mut self, entry: Entry, content: &[u8]) -> Self {
        self.entries.push((entry, content.to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.entries
            .retain(|(entry, _)| entry.central.name != name.as_bytes());
        self
    }

    pub(crate) fn record(mut self, change: impl Fn(String) -> String + 'static) -> Self {
        self.record = Box::new(change);
        self
    }

    pub(crate) fn zip(&self) -> Zip {
        let mut text = String::new();
        for (entry, content) in &self.entries {
            let name = str::from_utf8(&entry.central.name).expect("a name in UTF-8");
            if !name.ends_with('/') {
                let digest = record::encode(&Sha256::of(content));
                let quote = if name.contains(',') { "\"" } else { "" };
                let size = content.len();
                text.push_str(&format!("{quote}{name}{quote},sha256={digest},{size}\n"));
            }
        }
        text.push_str("demo-1.0.dist-info/RECORD,,\n");
        let text = (self.record)(text);
        let record = Entry::deflated("demo-1.0.dist-info/RECORD", text.as_bytes());
        Zip::of(
            self.entries
                .iter()
                .map(|(entry, _)| entry.clone())
                .chain([record]),
        )
    }
}
