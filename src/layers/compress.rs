//! Recipes: how the bytes of a layer become compressed bytes, each with an id that never changes its meaning.
//!
//! The id of a recipe stands in the lock and in every description of a layer, and the digest of a layer depends on it.
//! A recipe is therefore never changed: a newer library, another level or another block size is a new member of
//! [`Recipe`] with a new id, and the old one stays, so that old layers can be made again.
//!
//! Here is also the compressor for layers made of trees: gzip members of 1 MiB of the tar stream each, which can be
//! compressed at the same time and read by everyone. The bytes do not depend on how many threads there are.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Write},
    str::FromStr,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use libdeflater::{CompressionLvl, Compressor};

/// How much of the tar stream one gzip member holds.
pub(super) const BLOCK: usize = 1 << 20;
/// Part of what [`Recipe::GzipLibdeflate126Level6`] means; the library's version is pinned where it is required.
const LEVEL: i32 = 6;
/// More threads than this wait for the disk, and each holds some blocks in memory.
const MAX_THREADS: usize = 16;
/// Blocks under way for each thread: one that it works on and one that waits, so that it never does.
const PER_THREAD: usize = 2;

/// A way to make the compressed bytes of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipe {
    /// `gzip-wheel-splice-1`: for wheels. Each file whose content is deflated in the wheel is one gzip member around
    /// that very deflate stream. All other bytes of the tar stream between two of those (headers, padding, contents
    /// that the wheel stores uncompressed, generated files) are one gzip member of stored blocks of 65,535 bytes, the
    /// last one shorter. Contents that the wheel compresses with zstd, which gzip cannot hold, are compressed again as
    /// the next recipe does, each content on its own; so is bytecode, which no wheel holds. Empty contents have no member.
    GzipWheelSplice1,
    /// `gzip-libdeflate-1.26-6-1m`: for trees. Each MiB of the tar stream is one gzip member, compressed by libdeflate
    /// 1.26 at level 6, without name and time.
    GzipLibdeflate126Level6,
}

/// No recipe of this cognix: the lock or the layer was made by a newer one, or the text is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown layer recipe {found:?}, this cognix knows {}; a newer cognix may know it",
    known()
)]
pub struct UnknownRecipe {
    found: String,
}

fn known() -> String {
    Recipe::ALL.map(Recipe::id).join(", ")
}

impl Recipe {
    /// Every recipe there has ever been.
    pub const ALL: [Self; 2] = [Self::GzipWheelSplice1, Self::GzipLibdeflate126Level6];
    /// The one that new locks name for wheels.
    pub const FOR_WHEELS: Self = Self::GzipWheelSplice1;
    /// The one that new locks name for everything else.
    pub const FOR_TREES: Self = Self::GzipLibdeflate126Level6;

    /// The text in locks and descriptions.
    pub const fn id(self) -> &'static str {
        match self {
            Self::GzipWheelSplice1 => "gzip-wheel-splice-1",
            Self::GzipLibdeflate126Level6 => "gzip-libdeflate-1.26-6-1m",
        }
    }

    /// What OCI calls the bytes that it makes.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::GzipWheelSplice1 | Self::GzipLibdeflate126Level6 => {
                "application/vnd.oci.image.layer.v1.tar+gzip"
            }
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

impl FromStr for Recipe {
    type Err = UnknownRecipe;

    fn from_str(id: &str) -> Result<Self, UnknownRecipe> {
        let recipe = Self::ALL.into_iter().find(|recipe| recipe.id() == id);
        recipe.ok_or_else(|| UnknownRecipe {
            found: id.chars().take(80).collect(),
        })
    }
}

/// Compresses blocks one by one; kept, because making one costs more than a small block.
pub(super) struct BlockEncoder(Compressor);

impl BlockEncoder {
    pub(super) fn new() -> Self {
        Self(Compressor::new(
            CompressionLvl::new(LEVEL).expect("libdeflate has levels 0 to 12"),
        ))
    }

    /// One whole gzip member.
    pub(super) fn encode(&mut self, block: &[u8]) -> Vec<u8> {
        let mut member = vec![0; self.0.gzip_compress_bound(block.len())];
        let length = self
            .0
            .gzip_compress(block, &mut member)
            .expect("the bound leaves room for any content");
        member.truncate(length);
        member
    }
}

/// Takes a tar stream and writes it as gzip members, in order, whatever thread finishes first.
///
/// Memory: four blocks for each thread, and the one being filled.
pub(super) struct BlockCompressor<W> {
    out: W,
    block: Vec<u8>,
    workers: Vec<Worker>,
    /// The worker of each block under way, oldest first. Each worker answers in the order in which it was asked.
    under_way: VecDeque<usize>,
    sent: usize,
}

/// A thread that ends when its sender is dropped.
struct Worker {
    blocks: SyncSender<Vec<u8>>,
    members: Receiver<(Vec<u8>, Vec<u8>)>,
}

impl Worker {
    fn start() -> io::Result<Self> {
        let (blocks, to_encode) = sync_channel::<Vec<u8>>(PER_THREAD);
        let (encoded, members) = sync_channel(PER_THREAD);
        thread::Builder::new()
            .name("compress".to_owned())
            .spawn(move || {
                let mut encoder = BlockEncoder::new();
                while let Ok(block) = to_encode.recv() {
                    let member = encoder.encode(&block);
                    if encoded.send((block, member)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { blocks, members })
    }
}

impl<W: Write> BlockCompressor<W> {
    /// Compresses on as many threads as the machine has cores.
    pub(super) fn new(out: W) -> io::Result<Self> {
        Self::with_threads(out, thread::available_parallelism().map_or(1, usize::from))
    }

    pub(super) fn with_threads(out: W, threads: usize) -> io::Result<Self> {
        let workers = (0..threads.clamp(1, MAX_THREADS))
            .map(|_| Worker::start())
            .collect::<io::Result<_>>()?;
        Ok(Self {
            out,
            block: Vec::with_capacity(BLOCK),
            workers,
            under_way: VecDeque::new(),
            sent: 0,
        })
    }

    /// Writes what is left and gives the writer back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.send()?;
        }
        while !self.under_way.is_empty() {
            self.take()?;
        }
        Ok(self.out)
    }

    fn send(&mut self) -> io::Result<()> {
        let next = if self.under_way.len() < self.workers.len() * PER_THREAD {
            Vec::with_capacity(BLOCK)
        } else {
            self.take()?
        };
        let block = std::mem::replace(&mut self.block, next);
        let worker = self.sent % self.workers.len();
        self.workers[worker]
            .blocks
            .send(block)
            .map_err(|_| thread_ended())?;
        self.under_way.push_back(worker);
        self.sent += 1;
        Ok(())
    }

    /// Writes the oldest member under way; gives back the block's memory.
    fn take(&mut self) -> io::Result<Vec<u8>> {
        let worker = self.under_way.pop_front().ok_or_else(thread_ended)?;
        let (mut block, member) = self.workers[worker]
            .members
            .recv()
            .map_err(|_| thread_ended())?;
        self.out.write_all(&member)?;
        block.clear();
        Ok(block)
    }
}

fn thread_ended() -> io::Error {
    io::Error::other("a thread of the compressor ended early")
}

impl<W: Write> Write for BlockCompressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.send()?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Nothing: where a member ends depends on the bytes alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use cognix_derivations::Sha256;

    use super::*;

    /// Three blocks and a half of text-like bytes that no library made.
    fn sample() -> Vec<u8> {
        let words: [&[u8]; 8] = [
            b"layer ",
            b"digest ",
            b"wheel\n",
            b"\0\0\0\0",
            b"import numpy\n",
            b"0123",
            b"\xc3\xa9",
            b"of the ",
        ];
        let mut state = 1_u32;
        let mut bytes = Vec::new();
        while bytes.len() < 3 * BLOCK + BLOCK / 2 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.extend_from_slice(words[(state >> 29) as usize]);
        }
        bytes
    }

    fn compress(bytes: &[u8], threads: usize, piece: usize) -> Vec<u8> {
        let mut compressor = BlockCompressor::with_threads(Vec::new(), threads).expect("threads");
        for piece in bytes.chunks(piece) {
            compressor.write_all(piece).expect("a Vec takes everything");
            compressor.flush().expect("a Vec takes everything");
        }
        compressor.finish().expect("a Vec takes everything")
    }

    /// If this fails, a library, its build or this file changed what a recipe means: every layer made so far would get
    /// another digest. The change needs a recipe of its own.
    #[test]
    fn the_bytes_of_the_recipe_are_pinned() {
        let compressed = compress(&sample(), 2, 10_000);
        assert_eq!(compressed.len(), 466_861);
        assert_eq!(
            Sha256::of(&compressed).to_string(),
            "45a99ea65f01a6da4e6e86cde3e53414319f2200fead9bac6d02d5dfd127bec8"
        );
    }

    #[test]
    fn threads_and_pieces_leave_no_trace() {
        let sample = sample();
        let expected = compress(&sample, 1, sample.len());
        for (threads, piece) in [(2, 1 << 20), (3, 65_536), (16, 4_099)] {
            assert!(
                compress(&sample, threads, piece) == expected,
                "{threads} threads, pieces of {piece}"
            );
        }
    }

    #[test]
    fn each_member_is_a_mebibyte() {
        let sample = sample();
        for length in [1, BLOCK - 1, BLOCK, BLOCK + 1, sample.len()] {
            let compressed = compress(&sample[..length], 2, 5_000);
            let members: Vec<_> = compressed
                .windows(10)
                .filter(|at| at == b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
                .collect();
            assert_eq!(members.len(), length.div_ceil(BLOCK), "{length} bytes");
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(compressed.as_slice())
                .read_to_end(&mut plain)
                .expect("gzip");
            assert!(plain == sample[..length], "{length} bytes");
        }
    }

    #[test]
    fn ids_are_read_back_and_others_refused() {
        for recipe in Recipe::ALL {
            assert_eq!(recipe.id().parse(), Ok(recipe));
        }
        let error = "gzip-zopfli-1"
            .parse::<Recipe>()
            .expect_err("no such recipe")
            .to_string();
        assert!(
            error.contains("gzip-zopfli-1") && error.contains("gzip-wheel-splice-1"),
            "{error}"
        );
    }
}
