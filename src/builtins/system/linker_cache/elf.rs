//! What the cache says about a library: its soname, the kind of machine, and the level of processors it needs.
//!
//! Read with the `object` crate through a cache of the pieces that are looked at, so a library of a gigabyte costs a few
//! kilobytes. A file that is no shared object, or a broken one, is no library: ldconfig passes over it, and so do we.

use object::{
    Endianness, ReadCache, ReadRef, StringTable,
    elf::{self, FileHeader32, FileHeader64},
    read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader},
};

use crate::builtins::system::root::ReadSeek;

/// Of unknown kind, and for the sixth version of the C library.
const PLAIN_ELF: u32 = 1;
const LIBC6: u32 = 3;
const X86_64: u32 = 0x0300;
const X32: u32 = 0x0800;
/// A dynamic section or a note of more bytes is no library's.
const SEGMENT_MAX: u64 = 1 << 20;

/// A library for this kind of machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedObject {
    pub(super) soname: Option<String>,
    /// As the cache holds it.
    pub(super) flags: u32,
    /// The highest level of processors that its notes ask for.
    pub(super) isa_level: u32,
}

/// Reads a library's headers; none when it is none.
pub(super) fn read(file: &mut dyn ReadSeek) -> Option<SharedObject> {
    let cache = ReadCache::new(file);
    let data = &cache;
    // The fifth byte tells the width, after four that tell that it is ELF.
    let identity: &[u8] = data.read_bytes_at(0, 5).ok()?;
    match identity {
        b"\x7fELF\x01" => inspect(FileHeader32::<Endianness>::parse(data).ok()?, data),
        b"\x7fELF\x02" => inspect(FileHeader64::<Endianness>::parse(data).ok()?, data),
        _ => None,
    }
}

fn inspect<'data, H, R>(header: &H, data: R) -> Option<SharedObject>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
    H::Dyn: 'data,
    H::ProgramHeader: 'data,
{
    let endian = header.endian().ok()?;
    if header.e_type(endian) != elf::ET_DYN {
        return None;
    }
    let known_flags = match (header.e_machine(endian), header.is_class_64()) {
        (elf::EM_X86_64, true) => Some(LIBC6 | X86_64),
        (elf::EM_X86_64, false) => Some(LIBC6 | X32),
        (elf::EM_386, false) => None,
        _ => return None,
    };
    let segments = header.program_headers(endian, data).ok()?;
    let small = |segment: &&H::ProgramHeader| segment.p_filesz(endian).into() <= SEGMENT_MAX;
    let is_dynamic = |segment: &&H::ProgramHeader| segment.p_type(endian) == elf::PT_DYNAMIC;
    let segment = segments.iter().find(is_dynamic).filter(small)?;
    let dynamic: &[H::Dyn] = segment.dynamic(endian, data).ok()??;
    let end = dynamic
        .iter()
        .position(|entry| entry.d_tag(endian) == elf::DT_NULL);
    let dynamic = &dynamic[..end.unwrap_or(dynamic.len())];

    let value = |entry: &H::Dyn| -> u64 { entry.d_val(endian).into() };
    let table = dynamic
        .iter()
        .find(|entry| entry.d_tag(endian) == elf::DT_STRTAB)?;
    let start = segments
        .iter()
        .find_map(|segment| file_offset(segment, endian, value(table)))?;
    let strings = StringTable::new(data, start, data.len().ok()?);
    let text = |entry: &H::Dyn| strings.get(u32::try_from(value(entry)).ok()?).ok();

    let soname = dynamic
        .iter()
        .find(|entry| entry.d_tag(endian) == elf::DT_SONAME);
    let soname = match soname {
        Some(entry) => Some(String::from_utf8(text(entry)?.to_vec()).ok()?),
        None => None,
    };
    let needed = dynamic
        .iter()
        .filter(|entry| entry.d_tag(endian) == elf::DT_NEEDED);
    let needs_libc = || {
        needed
            .filter_map(text)
            .any(|name| matches!(name, b"libc.so.6" | b"libm.so.6"))
    };
    let flags = known_flags.unwrap_or_else(|| if needs_libc() { LIBC6 } else { PLAIN_ELF });
    let properties = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_GNU_PROPERTY)
        .filter(small);
    let isa_level = properties
        .filter_map(|segment| isa_level(segment, endian, data))
        .last()
        .unwrap_or(0);
    Some(SharedObject {
        soname,
        flags,
        isa_level,
    })
}

/// Where an address lies in the file, if this segment loads it.
fn file_offset<P: ProgramHeader<Endian = Endianness>>(
    segment: &P,
    endian: Endianness,
    address: u64,
) -> Option<u64> {
    if segment.p_type(endian) != elf::PT_LOAD {
        return None;
    }
    let inside = address.checked_sub(segment.p_vaddr(endian).into())?;
    let offset: u64 = segment.p_offset(endian).into();
    offset
        .checked_add(inside)
        .filter(|_| inside < segment.p_filesz(endian).into())
}

/// The highest bit of the processor levels that the property note names as needed.
fn isa_level<'data, P, R>(segment: &P, endian: Endianness, data: R) -> Option<u32>
where
    P: ProgramHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let contents = segment.data(endian, data).ok()?;
    let mut notes = NoteIterator::<P::Elf>::new(endian, segment.p_align(endian), contents).ok()?;
    while let Some(note) = notes.next().ok()? {
        let Some(mut properties) = note.gnu_properties(endian) else {
            continue;
        };
        while let Some(property) = properties.next().ok()? {
            if property.pr_type() == elf::GNU_PROPERTY_X86_ISA_1_NEEDED {
                return property.data_u32(endian).ok()?.checked_ilog2();
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const LIBRARY: &[u8] = include_bytes!("../tests/golden/libraries/libalpha-v3.so");

    fn read_bytes(bytes: &[u8]) -> Option<SharedObject> {
        read(&mut Cursor::new(bytes))
    }

    #[test]
    fn reads_what_readelf_shows() {
        let object = read_bytes(LIBRARY).expect("a library made by gcc");
        assert_eq!(object.soname.as_deref(), Some("libalpha.so.1"));
        assert_eq!((object.flags, object.isa_level), (0x0303, 2));
        let plain =
            read_bytes(include_bytes!("../tests/golden/libraries/libplain.so")).expect("a library");
        assert_eq!((plain.soname, plain.isa_level), (None, 0));
        let narrow = read_bytes(include_bytes!("../tests/golden/libraries/libbeta32.so"))
            .expect("a library");
        assert_eq!(narrow.flags, PLAIN_ELF);
    }

    #[test]
    fn all_1_every_damage_is_an_answer() {
        for length in 0..LIBRARY.len() {
            read_bytes(&LIBRARY[..length]);
        }
        for at in 0..LIBRARY.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = LIBRARY.to_vec();
                changed[at] ^= change;
                read_bytes(&changed);
            }
        }
    }
}
