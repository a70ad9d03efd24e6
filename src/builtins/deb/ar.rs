//! Reads the outer archive of a package: `ar` as `dpkg-deb` writes it.
//!
//! ```text
//! "!<arch>\n"  ( name:16 time:12 owner:6 group:6 mode:8 size:10 "`\n"  contents  "\n" if the size is odd )*
//! ```
//!
//! Only what packages use is read: short names, decimal sizes, even padding. The long names of GNU and BSD are refused,
//! because a member's meaning is its name. Members are read in order and never skipped by seeking.

use std::io::{self, BufRead, Read, Take};

use super::error::{DebError, Quoted};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// The members of an archive, one after the other.
pub(super) struct ArReader<R> {
    input: Take<R>,
    /// Whether a newline has to follow the current member.
    padded: bool,
    offset: u64,
}

/// One member's header.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name without the padding.
    pub(super) name: Vec<u8>,
    /// How many bytes it has.
    pub(super) size: u64,
    /// Where its header starts.
    pub(super) at: u64,
}

impl<R: BufRead> ArReader<R> {
    /// Reads the magic bytes.
    pub(super) fn new(input: R) -> Result<Self, DebError> {
        let mut input = input.take(MAGIC.len() as u64);
        let mut magic = [0; MAGIC.len()];
        let read = read_up_to(&mut input, &mut magic).map_err(cut_off)?;
        if &magic != MAGIC {
            return Err(DebError::Ar {
                at: 0,
                field: "the first line",
                found: Quoted::new(&magic[..read]),
                expected: "\"!<arch>\"; this is not a Debian package".to_owned(),
            });
        }
        Ok(Self {
            input,
            padded: false,
            offset: MAGIC.len() as u64,
        })
    }

    /// The next member, whose contents [`Self::contents`] then gives; none at the archive's end.
    ///
    /// What was not read of the member before is read and dropped.
    pub(super) fn next(&mut self) -> Result<Option<Member>, DebError> {
        self.finish_member()?;
        let at = self.offset;
        let mut header = [0; HEADER];
        self.input.set_limit(HEADER as u64);
        match read_up_to(&mut self.input, &mut header).map_err(cut_off)? {
            0 => return Ok(None),
            HEADER => {}
            _ => return Err(cut_off(io::ErrorKind::UnexpectedEof.into())),
        }
        let member = parse_header(&header, at)?;
        self.offset += HEADER as u64 + member.size + member.size % 2;
        self.padded = member.size % 2 == 1;
        self.input.set_limit(member.size);
        Ok(Some(member))
    }

    /// The contents of the current member, which end where it ends.
    pub(super) fn contents(&mut self) -> &mut impl BufRead {
        &mut self.input
    }

    /// How many bytes of the current member are not read yet.
    pub(super) fn remaining(&self) -> u64 {
        self.input.limit()
    }

    fn finish_member(&mut self) -> Result<(), DebError> {
        io::copy(&mut self.input, &mut io::sink()).map_err(cut_off)?;
        if self.input.limit() > 0 {
            return Err(cut_off(io::ErrorKind::UnexpectedEof.into()));
        }
        if std::mem::take(&mut self.padded) {
            self.input.set_limit(1);
            let mut padding = [0];
            self.input.read_exact(&mut padding).map_err(cut_off)?;
            if padding != *b"\n" {
                return Err(DebError::Ar {
                    at: self.offset - 1,
                    field: "the padding before it",
                    found: Quoted::new(padding),
                    expected: "a line feed".to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn parse_header(header: &[u8; HEADER], at: u64) -> Result<Member, DebError> {
    let refuse = |field, found: &[u8], expected: &str| {
        Err(DebError::Ar {
            at,
            field,
            found: Quoted::new(found),
            expected: expected.to_owned(),
        })
    };
    if &header[58..] != b"`\n" {
        return refuse("the end of the header", &header[58..], "\"`\\n\"");
    }
    let name = header[..16].trim_ascii_end();
    // GNU ar ends short names with a slash; a slash alone or with digits is its table of long names.
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"/#".contains(byte);
    if name.is_empty() || !name.iter().all(plain) {
        return refuse("name", &header[..16], "a short name without slashes");
    }
    let size = header[48..58].trim_ascii_end();
    match decimal(size) {
        Some(size) => Ok(Member {
            name: name.to_vec(),
            size,
            at,
        }),
        None => refuse("size", &header[48..58], "decimal digits, then blanks"),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| {
        digits
            .iter()
            .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
    })
}

/// Fills the buffer as far as the input goes.
pub(super) fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn cut_off(source: io::Error) -> DebError {
    DebError::Read {
        part: "the archive".to_owned(),
        source,
    }
}
