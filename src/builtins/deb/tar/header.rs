//! One header block: where its fields are and how its numbers are written.
//!
//! ```text
//! name:100 mode:8 owner:8 group:8 size:12 time:12 checksum:8 type:1 link:100 magic:8 … prefix:155
//! ```

use std::ops::Range;

/// Everything in a tar archive comes in blocks of this size.
pub(super) const BLOCK: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const OWNER: Range<usize> = 108..116;
const GROUP: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const CHECKSUM: Range<usize> = 148..156;
const KIND: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const PREFIX: Range<usize> = 345..500;

const USTAR: &[u8] = b"ustar\x0000";
const GNU: &[u8] = b"ustar  \0";
const V7: &[u8] = &[0; 8];

/// A block that is not all zeros.
pub(super) struct RawHeader([u8; BLOCK]);

impl RawHeader {
    pub(super) fn new(block: [u8; BLOCK]) -> Self {
        Self(block)
    }

    /// The first thing that makes this no header: field, what it holds, what it has to hold.
    pub(super) fn problem(&self) -> Option<(&'static str, Vec<u8>, &'static str)> {
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = self.0[CHECKSUM].iter().map(|byte| u64::from(*byte)).sum();
        let blanks = CHECKSUM.len() as u64 * u64::from(b' ');
        if octal(&self.0[CHECKSUM]) != Some(sum - own + blanks) {
            return Some((
                "header checksum",
                self.0[CHECKSUM].to_vec(),
                "the sum of the header's bytes",
            ));
        }
        let known = [USTAR, GNU, V7].contains(&&self.0[MAGIC]);
        (!known).then(|| {
            (
                "header magic",
                self.0[MAGIC].to_vec(),
                "that of v7, ustar or GNU tar",
            )
        })
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[KIND]
    }

    pub(super) fn is_v7(&self) -> bool {
        &self.0[MAGIC] == V7
    }

    /// The name, with the prefix that only ustar has at that place.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = until_nul(&self.0[NAME]);
        let prefix = until_nul(&self.0[PREFIX]);
        if &self.0[MAGIC] != USTAR || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(super) fn link_name(&self) -> Vec<u8> {
        until_nul(&self.0[LINK]).to_vec()
    }

    /// The field's bytes are the error when they are no number.
    pub(super) fn size(&self) -> Result<u64, Vec<u8>> {
        self.number(SIZE)
    }

    pub(super) fn mode(&self) -> Result<u64, Vec<u8>> {
        self.number(MODE)
    }

    pub(super) fn uid(&self) -> Result<u64, Vec<u8>> {
        self.number(OWNER)
    }

    pub(super) fn gid(&self) -> Result<u64, Vec<u8>> {
        self.number(GROUP)
    }

    fn number(&self, at: Range<usize>) -> Result<u64, Vec<u8>> {
        let field = &self.0[at];
        let value = if field[0] & 0x80 == 0 {
            octal(field)
        } else {
            binary(field)
        };
        value.ok_or_else(|| field.to_vec())
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Digits, with blanks before and blanks or NULs after them.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.trim_ascii_start();
    let length = digits
        .iter()
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .count();
    let (digits, rest) = digits.split_at(length);
    let ended = rest.iter().all(|byte| matches!(byte, b' ' | 0));
    // Eleven digits fill the longest field, so 36 bits are enough and nothing overflows.
    (!digits.is_empty() && ended).then(|| {
        digits
            .iter()
            .fold(0, |value, digit| value << 3 | u64::from(digit - b'0'))
    })
}

/// GNU's form for what octal digits cannot hold: the first bit set, then a number in two's complement.
fn binary(field: &[u8]) -> Option<u64> {
    let negative = field[0] & 0x40 != 0;
    let first = u64::from(field[0] & 0x3f);
    let value = field[1..].iter().try_fold(first, |value, byte| {
        value.checked_mul(256)?.checked_add(u64::from(*byte))
    });
    value.filter(|_| !negative)
}
