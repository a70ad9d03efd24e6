//! Decompresses one of the two inner archives and sees to it that nothing lies behind its stream.
//!
//! gzip and xz are read as one stream; zstd may come in several frames, as its own parallel writer makes them. In all
//! three the last byte of the stream has to be the last byte of its member. What a decoder may allocate is bounded here
//! and not by what a header asks for.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use liblzma::{bufread::XzDecoder, stream::Stream};

use super::{
    ar::{ArReader, Member},
    error::{DebError, Quoted},
};

/// The strongest preset of xz needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
/// Reading block by block from a decoder costs a call each; this many bytes are taken at once.
const BUFFER: usize = 128 << 10;

/// How an inner archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// Judges by the member's name: `control.tar.xz` for the stem `control.tar`. None when it is another member.
    pub(super) fn of(member: &Member, stem: &str) -> Option<Result<Self, DebError>> {
        let suffix = member.name.strip_prefix(stem.as_bytes())?;
        Some(match suffix {
            b"" => Ok(Self::None),
            b".gz" => Ok(Self::Gzip),
            b".xz" => Ok(Self::Xz),
            b".zst" => Ok(Self::Zstd),
            _ => Err(DebError::Compression {
                member: Quoted::new(&member.name),
            }),
        })
    }

    /// Hands the decompressed member to `read`, which reads it to its end, and checks that nothing follows.
    pub(super) fn read<R: BufRead, T>(
        self,
        archive: &mut ArReader<R>,
        member: &Member,
        read: impl FnOnce(&mut dyn Read) -> Result<T, DebError>,
    ) -> Result<T, DebError> {
        let result = {
            let decoder = self.decoder(archive.contents(), member)?;
            let mut buffered = BufReader::with_capacity(BUFFER, decoder);
            let result = read(&mut buffered)?;
            let mut rest = Vec::new();
            // The trailer with the checksum may come after the last byte that the reader wanted.
            buffered
                .take(1)
                .read_to_end(&mut rest)
                .map_err(|source| damaged(member, source))?;
            if !rest.is_empty() {
                return Err(DebError::TrailingBytes {
                    member: Quoted::new(&member.name),
                    found: 1,
                });
            }
            result
        };
        match archive.remaining() {
            0 => Ok(result),
            found => Err(DebError::TrailingBytes {
                member: Quoted::new(&member.name),
                found,
            }),
        }
    }

    fn decoder<'a>(
        self,
        input: &'a mut impl BufRead,
        member: &Member,
    ) -> Result<Box<dyn Read + 'a>, DebError> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(GzDecoder::new(input)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, 0)
                    .map_err(|error| damaged(member, error.into()))?;
                Box::new(XzDecoder::new_stream(input, stream))
            }
            Self::Zstd => {
                let decoder =
                    zstd::Decoder::with_buffer(input).map_err(|error| damaged(member, error))?;
                Box::new(decoder)
            }
        })
    }
}

fn damaged(member: &Member, source: std::io::Error) -> DebError {
    DebError::Read {
        part: format!("archive member {}", Quoted::new(&member.name)),
        source,
    }
}
