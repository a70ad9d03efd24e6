//! The data archive becomes a tree, and a record of what the tree cannot hold.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
};

use super::{
    error::{DebError, Quoted},
    limits::Budget,
    place::{Alias, entry_path, follow_aliases, link_target},
    status::listed,
    tar::{Entry, Kind, TarReader},
    tree::{NodeKind, TreeError, TreeWriter},
};
use crate::layers::{
    modes::{ModesRecord, RecordedKind},
    path::ImagePath,
};

/// The name of a package's own files in messages.
pub(super) const MEMBER: &str = "data archive";
/// Files are copied in pieces of this size, and between two pieces one may ask to stop.
const PIECE: usize = 256 << 10;

/// A folder of an archive that is to lie elsewhere in the image; nothing may lie beside it.
#[derive(Debug, Clone, Copy)]
pub(in crate::builtins) struct Moved<'a> {
    /// The folder's one name in the archive.
    pub(in crate::builtins) from: &'static str,
    /// Its path in the image.
    pub(in crate::builtins) to: &'a ImagePath,
}

/// Unpacks one archive of files.
pub(in crate::builtins) struct Contents<'a, 'b> {
    /// The archive's name in messages.
    member: &'static str,
    moved: Option<Moved<'a>>,
    pub(super) tree: &'a mut TreeWriter,
    pub(super) budget: &'a mut Budget<'b>,
    pub(super) cancelled: &'a dyn Fn() -> bool,
    pub(in crate::builtins) modes: ModesRecord,
    /// The names of all entries, one a line, as dpkg lists a package's files.
    pub(super) list: Vec<u8>,
    seen: BTreeMap<ImagePath, Seen>,
}

/// What is needed about an earlier entry: for hard links to it, and to compare the two forms of one path.
struct Seen {
    /// Whether it was written below an alias.
    aliased: bool,
    owner: Owner,
    target: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Owner {
    mode: u32,
    uid: u32,
    gid: u32,
}

/// An entry at its place.
struct Placed {
    path: ImagePath,
    aliased: bool,
    entry: Entry,
}

impl<'a, 'b> Contents<'a, 'b> {
    /// Entries keep their places.
    pub(in crate::builtins) fn new(
        tree: &'a mut TreeWriter,
        budget: &'a mut Budget<'b>,
        cancelled: &'a dyn Fn() -> bool,
    ) -> Self {
        Self {
            member: MEMBER,
            moved: None,
            tree,
            budget,
            cancelled,
            modes: ModesRecord::new(),
            list: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The archive is no package's: it has this name in messages, and lies elsewhere.
    pub(in crate::builtins) fn moved(mut self, member: &'static str, moved: Moved<'a>) -> Self {
        self.member = member;
        self.moved = Some(moved);
        self
    }

    /// Writes every entry, to the end of the archive.
    pub(in crate::builtins) fn unpack(&mut self, input: &mut dyn Read) -> Result<(), DebError> {
        let mut tar = TarReader::new(input, self.member);
        while let Some(entry) = tar.next()? {
            self.check_cancelled()?;
            self.budget.count_entry()?;
            self.list.extend(listed(&entry.name));
            let Some(path) = self.image_path(&entry.name)? else {
                if entry.kind == Kind::Directory {
                    continue;
                }
                return Err(self.refuse(&entry, "the root", "a directory"));
            };
            let placed = self.place(path, entry)?;
            match placed.entry.kind {
                Kind::Directory => self.directory(&placed)?,
                Kind::File => self.file(&placed, &mut tar)?,
                Kind::Symlink => self.symlink(&placed)?,
                Kind::HardLink => self.hard_link(&placed)?,
            }
        }
        Ok(())
    }

    /// Where an entry of this name lies in the image; none for the root itself.
    fn image_path(&self, name: &[u8]) -> Result<Option<ImagePath>, DebError> {
        let limits = self.budget.limits();
        let (Some(path), Some(moved)) = (entry_path(self.member, name, limits)?, self.moved) else {
            return entry_path(self.member, name, limits);
        };
        let below = path.as_str().strip_prefix(moved.from);
        let Some(below) = below.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Err(DebError::Name {
                member: self.member,
                entry: Quoted::new(name),
                what: "path",
                problem: "is not below the archive's one folder",
            });
        };
        let path =
            ImagePath::parse(format!("{}{below}", moved.to)).map_err(|source| DebError::Path {
                member: self.member,
                entry: Quoted::new(name),
                source,
            })?;
        limits.check_depth(path.as_str())?;
        Ok(Some(path))
    }

    fn directory(&mut self, placed: &Placed) -> Result<(), DebError> {
        self.tree
            .directory(&placed.path)
            .map_err(|source| at(&placed.entry, source))?;
        self.record(
            &placed.path,
            RecordedKind::Directory,
            owner_of(&placed.entry),
        )
    }

    fn file(
        &mut self,
        placed: &Placed,
        tar: &mut TarReader<&mut dyn Read>,
    ) -> Result<(), DebError> {
        let Placed { path, entry, .. } = placed;
        self.budget.limits().check_file(entry.size)?;
        self.budget.count_bytes(entry.size)?;
        if self.is_other_form(placed, NodeKind::File) {
            return self.compare(placed, tar);
        }
        let executable = entry.mode & 0o100 != 0;
        let mut file = self
            .tree
            .file(path, executable)
            .map_err(|source| at(entry, source))?;
        self.pieces(tar, |piece| file.write_all(piece), "write", placed)?;
        self.remember(placed, owner_of(entry), String::new());
        self.record(path, RecordedKind::File, owner_of(entry))
    }

    fn symlink(&mut self, placed: &Placed) -> Result<(), DebError> {
        let Placed { path, entry, .. } = placed;
        let target = link_target(self.member, &entry.name, entry.target.clone())?;
        if self.is_other_form(placed, NodeKind::Symlink) {
            let same = self
                .seen
                .get(path)
                .is_some_and(|seen| seen.target == target);
            return if same {
                Ok(())
            } else {
                Err(self.differs(entry))
            };
        }
        self.tree
            .symlink(path, &target)
            .map_err(|source| at(entry, source))?;
        self.record(path, RecordedKind::Symlink, owner_of(entry))?;
        self.remember(placed, owner_of(entry), target);
        Ok(())
    }

    /// A copy of the file, with the mode and owner that the two names share.
    fn hard_link(&mut self, placed: &Placed) -> Result<(), DebError> {
        let Placed { path, entry, .. } = placed;
        let member = self.member;
        let unknown = || DebError::HardLink {
            member,
            entry: Quoted::new(&entry.name),
            target: Quoted::new(&entry.target),
        };
        let target = self.image_path(&entry.target);
        let (target, _) = follow_aliases(&target.ok().flatten().ok_or_else(unknown)?);
        if self.tree.kind(target.as_str()) != Some(NodeKind::File) {
            return Err(unknown());
        }
        let owner = self
            .seen
            .get(&target)
            .map(|seen| seen.owner)
            .ok_or_else(unknown)?;
        let mut from = self
            .tree
            .open(&target)
            .map_err(|source| at(entry, source))?;
        let size = from
            .metadata()
            .map_err(|error| at(entry, self.tree.io("read", &target, error)))?
            .len();
        self.budget.count_bytes(size)?;
        let mut to = self
            .tree
            .file(path, owner.mode & 0o100 != 0)
            .map_err(|source| at(entry, source))?;
        io::copy(&mut from, &mut to)
            .map_err(|error| at(entry, self.tree.io("write", path, error)))?;
        self.remember(placed, owner, String::new());
        self.record(path, RecordedKind::File, owner)
    }

    /// Whether the path was written before, once below an alias and once not. Any other repetition is refused.
    fn is_other_form(&self, placed: &Placed, kind: NodeKind) -> bool {
        let seen = self.seen.get(&placed.path);
        self.tree.kind(placed.path.as_str()) == Some(kind)
            && seen.is_some_and(|seen| seen.aliased != placed.aliased)
    }

    /// Reads the entry against the file that is there already.
    fn compare(
        &mut self,
        placed: &Placed,
        tar: &mut TarReader<&mut dyn Read>,
    ) -> Result<(), DebError> {
        let Placed { path, entry, .. } = placed;
        let same_owner = self
            .seen
            .get(path)
            .is_some_and(|seen| seen.owner == owner_of(entry));
        let mut existing = self.tree.open(path).map_err(|source| at(entry, source))?;
        let mut same = same_owner;
        let mut expected = vec![0; PIECE];
        let compare = |piece: &[u8]| {
            same &= existing.read_exact(&mut expected[..piece.len()]).is_ok()
                && expected[..piece.len()] == *piece;
            Ok(())
        };
        self.pieces(tar, compare, "read", placed)?;
        if same && is_at_end(&mut existing) {
            Ok(())
        } else {
            Err(self.differs(entry))
        }
    }

    fn pieces(
        &self,
        tar: &mut TarReader<&mut dyn Read>,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
        action: &'static str,
        placed: &Placed,
    ) -> Result<(), DebError> {
        let cut_off = |source| DebError::Read {
            part: format!("{}, entry {}", self.member, Quoted::new(&placed.entry.name)),
            source,
        };
        let mut buffer = vec![
            0;
            PIECE
                .min(usize::try_from(placed.entry.size).unwrap_or(PIECE))
                .max(1)
        ];
        while tar.remaining() > 0 {
            self.check_cancelled()?;
            let read = tar.contents().read(&mut buffer).map_err(cut_off)?;
            if read == 0 {
                return Err(cut_off(io::ErrorKind::UnexpectedEof.into()));
            }
            take(&buffer[..read])
                .map_err(|error| at(&placed.entry, self.tree.io(action, &placed.path, error)))?;
        }
        Ok(())
    }

    fn remember(&mut self, placed: &Placed, owner: Owner, target: String) {
        self.seen.insert(
            placed.path.clone(),
            Seen {
                aliased: placed.aliased,
                owner,
                target,
            },
        );
    }

    fn record(
        &mut self,
        path: &ImagePath,
        kind: RecordedKind,
        owner: Owner,
    ) -> Result<(), DebError> {
        let Owner { mode, uid, gid } = owner;
        Ok(self.modes.record(path.clone(), kind, mode, uid, gid)?)
    }

    fn check_cancelled(&self) -> Result<(), DebError> {
        if (self.cancelled)() {
            Err(DebError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Follows the aliases. A link that is an alias itself stays where it is, if it says what the alias says.
    fn place(&self, path: ImagePath, entry: Entry) -> Result<Placed, DebError> {
        match (Alias::at(path.as_str()), entry.kind) {
            (Some(alias), Kind::Symlink) => {
                let says_so =
                    std::str::from_utf8(&entry.target).is_ok_and(|target| alias.is_target(target));
                if says_so {
                    return Ok(Placed {
                        path,
                        aliased: false,
                        entry,
                    });
                }
                let expected = "a link into /usr or /run, as in every merged system";
                Err(self.refuse_with(&entry, "link target", &entry.target, expected))
            }
            (Some(_), Kind::File | Kind::HardLink) => {
                Err(self.refuse(&entry, "the path", "a directory or a link to one"))
            }
            _ => {
                let (path, aliased) = follow_aliases(&path);
                Ok(Placed {
                    path,
                    aliased,
                    entry,
                })
            }
        }
    }

    fn differs(&self, entry: &Entry) -> DebError {
        self.refuse_with(
            entry,
            "content",
            b"different",
            "that of the same path below /usr or /run, which the package ships too",
        )
    }

    fn refuse(&self, entry: &Entry, field: &'static str, expected: &'static str) -> DebError {
        let found: &[u8] = match entry.kind {
            Kind::File => b"a file",
            Kind::Directory => b"a directory",
            Kind::Symlink => b"a symbolic link",
            Kind::HardLink => b"a hard link",
        };
        self.refuse_with(entry, field, found, expected)
    }

    fn refuse_with(
        &self,
        entry: &Entry,
        field: &'static str,
        found: &[u8],
        expected: &'static str,
    ) -> DebError {
        DebError::Tar {
            member: self.member,
            entry: Quoted::new(&entry.name),
            field,
            found: Quoted::new(found),
            expected,
        }
    }
}

fn owner_of(entry: &Entry) -> Owner {
    Owner {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
    }
}

fn at(entry: &Entry, source: TreeError) -> DebError {
    DebError::Entry {
        entry: Quoted::new(&entry.name),
        source,
    }
}

fn is_at_end(file: &mut File) -> bool {
    file.read(&mut [0]).is_ok_and(|read| read == 0)
}
