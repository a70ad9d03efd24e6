//! What the cache says about a library: its soname, the kind of machine, and the level of processors it needs.
//!
//! Read with the `object` crate through a cache of the pieces that are looked at, so a library of a gigabyte costs a few
//! kilobytes. A file that is no shared object, or a broken one, is no library: ldconfig passes over it, and so do we.

use object::{
    Endianness, ReadCache, ReadRef, StringTable,
    elf::{self, FileHeader32, FileHeader64},
    read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader},
};

use crate::{builtins::system::root::ReadSeek, lock::Architecture};

/// Of unknown kind, and for the sixth version of the C library.
const PLAIN_ELF: u32 = 1;
const LIBC6: u32 = 3;
const X86_64: u32 = 0x0300;
const X32: u32 = 0x0800;
const ARM_HARD_FLOAT: u32 = 0x0900;
const AARCH64: u32 = 0x0a00;
const ARM_SOFT_FLOAT: u32 = 0x0b00;
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

/// Reads a library's headers as the ldconfig of an architecture does; none when it is none.
pub(super) fn read(file: &mut dyn ReadSeek, architecture: Architecture) -> Option<SharedObject> {
    let cache = ReadCache::new(file);
    let data = &cache;
    // The fifth byte tells the width, after four that tell that it is ELF.
    let identity: &[u8] = data.read_bytes_at(0, 5).ok()?;
    match identity {
        b"\x7fELF\x01" => inspect(
            FileHeader32::<Endianness>::parse(data).ok()?,
            data,
            architecture,
        ),
        b"\x7fELF\x02" => inspect(
            FileHeader64::<Endianness>::parse(data).ok()?,
            data,
            architecture,
        ),
        _ => None,
    }
}

/// What a library is by its header alone; none for a machine that the architecture's ldconfig passes over.
fn kind<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    architecture: Architecture,
) -> Option<Kind> {
    let (machine, wide) = (header.e_machine(endian), header.is_class_64());
    match architecture {
        Architecture::Amd64 => match (machine, wide) {
            (elf::EM_X86_64, true) => Some(Kind::Known(LIBC6 | X86_64)),
            (elf::EM_X86_64, false) => Some(Kind::Known(LIBC6 | X32)),
            (elf::EM_386, false) => Some(Kind::ByNeeds),
            _ => None,
        },
        // This one does not look at the machine, only at the width.
        Architecture::Arm64 if wide => Some(Kind::Known(LIBC6 | AARCH64)),
        Architecture::Arm64 => {
            let flags = header.e_flags(endian).0;
            Some(if flags & elf::EF_ARM_EABIMASK != elf::EF_ARM_EABI_VER5.0 {
                Kind::ByNeeds
            } else if flags & elf::EF_ARM_ABI_FLOAT_HARD != 0 {
                Kind::Known(LIBC6 | ARM_HARD_FLOAT)
            } else if flags & elf::EF_ARM_ABI_FLOAT_SOFT != 0 {
                Kind::Known(LIBC6 | ARM_SOFT_FLOAT)
            } else {
                Kind::Known(LIBC6)
            })
        }
    }
}

enum Kind {
    /// The flags that the cache holds.
    Known(u32),
    /// What it needs tells which C library it is for.
    ByNeeds,
}

fn inspect<'data, H, R>(header: &H, data: R, architecture: Architecture) -> Option<SharedObject>
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
    let kind = kind(header, endian, architecture)?;
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
    let flags = match kind {
        Kind::Known(flags) => flags,
        Kind::ByNeeds if needs_libc() => LIBC6,
        Kind::ByNeeds => PLAIN_ELF,
    };
    let properties = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_GNU_PROPERTY)
        .filter(small);
    let isa_level = properties
        .filter(|_| architecture == Architecture::Amd64)
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
        read(&mut Cursor::new(bytes), Architecture::Amd64)
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
    fn an_image_for_arm_has_other_flags() {
        let library = include_bytes!("../tests/golden/libraries/libgamma-aarch64.so.1.2");
        let flags = |architecture| {
            let object = read(&mut Cursor::new(library), architecture);
            object.map(|object| (object.soname, object.flags, object.isa_level))
        };
        let expected = (Some("libgamma.so.1".to_owned()), 0x0a03, 0);
        assert_eq!(flags(Architecture::Arm64), Some(expected));
        assert_eq!(flags(Architecture::Amd64), None);
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
