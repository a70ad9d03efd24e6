//! The image's root as it will be: every package's tree in one, and what the rules add to it.
//!
//! Nothing is copied. A path leads to the package that brings it, links are followed inside this root and never on the
//! host, and what a rule adds is there for the rules after it. A path of a package is never written over.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek},
    ops::Bound,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    Package, SystemError,
    shell::{Found, World},
};
use crate::{
    builtins::deb::{follow_aliases, tree::TreeWriter},
    layers::{
        modes::{MODES_FILE, ModesRecord, Recorded, RecordedKind},
        path::ImagePath,
    },
};

/// As many links as Linux follows in one path.
const LINKS_MAX: usize = 40;
/// Nothing that is read whole is larger: lists of users, certificates, templates.
const TEXT_MAX: u64 = 16 << 20;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File { executable: bool },
    Link(String),
}

impl Node {
    fn found(&self) -> Found {
        match self {
            Self::Directory => Found::Directory,
            Self::File { executable } => Found::File {
                executable: *executable,
            },
            Self::Link(_) => Found::Link,
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// The package's number, or none for what a rule has added.
    package: Option<usize>,
    node: Node,
    /// What a rule has put into a file.
    contents: Vec<u8>,
}

/// Mode and owner of something that a rule adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) mode: u32,
    pub(super) gid: u32,
}

impl Owner {
    /// A directory or an executable of root.
    pub(super) const DIRECTORY: Self = Self {
        mode: 0o755,
        gid: 0,
    };
    /// A file of root.
    pub(super) const FILE: Self = Self {
        mode: 0o644,
        gid: 0,
    };
}

/// A reader for formats that are not read from front to back.
pub(super) trait ReadSeek: Read + Seek {}

impl<R: Read + Seek> ReadSeek for R {}

/// The image's root.
pub(super) struct Root<'a> {
    packages: &'a [Package],
    entries: BTreeMap<ImagePath, Entry>,
    modes: ModesRecord,
    /// Modes and owners that packages record, by path; the first package's where several do.
    recorded: BTreeMap<ImagePath, Recorded>,
    /// What a person should know about the configuration and no error says.
    notes: Vec<String>,
}

impl<'a> Root<'a> {
    /// Lists every package's tree. Packages come sorted by name; what two of them bring is the first one's, and whether
    /// that is a conflict is for the layers to say.
    pub(super) fn new(
        packages: &'a [Package],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, SystemError> {
        let mut root = Self {
            packages,
            entries: BTreeMap::new(),
            modes: ModesRecord::new(),
            recorded: BTreeMap::new(),
            notes: Vec::new(),
        };
        for (number, package) in packages.iter().enumerate() {
            if cancelled() {
                return Err(SystemError::Cancelled);
            }
            root.list(number, &package.out, None)?;
            if let Some(text) = root.control(package, MODES_FILE)? {
                for (path, recorded) in ModesRecord::parse(&text)?.iter() {
                    root.recorded.entry(path.clone()).or_insert(recorded);
                }
            }
        }
        Ok(root)
    }

    fn list(
        &mut self,
        number: usize,
        folder: &Path,
        below: Option<&ImagePath>,
    ) -> Result<(), SystemError> {
        let package = &self.packages[number];
        let failed = |source| SystemError::Io {
            action: "list",
            path: folder.to_owned(),
            source,
        };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let foreign = || SystemError::Foreign {
                package: package.name.clone(),
                path: entry.path(),
            };
            let name = entry.file_name().into_string().map_err(|_| foreign())?;
            let path = match below {
                None => ImagePath::parse(name),
                Some(below) => below.join(&name),
            };
            let path = path.map_err(|source| SystemError::Path {
                package: package.name.clone(),
                source,
            })?;
            let kind = entry.file_type().map_err(failed)?;
            let node = if kind.is_dir() {
                Node::Directory
            } else if kind.is_file() {
                Node::File {
                    executable: entry.metadata().map_err(failed)?.permissions().mode() & 0o100 != 0,
                }
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path()).map_err(failed)?;
                Node::Link(
                    target
                        .into_os_string()
                        .into_string()
                        .map_err(|_| foreign())?,
                )
            } else {
                return Err(foreign());
            };
            let is_directory = node == Node::Directory;
            let new = Entry {
                package: Some(number),
                node,
                contents: Vec::new(),
            };
            self.entries.entry(path.clone()).or_insert(new);
            if is_directory {
                self.list(number, &entry.path(), Some(&path))?;
            }
        }
        Ok(())
    }

    /// The package of this name.
    pub(super) fn package(&self, name: &str) -> Option<&'a Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// All packages, by name.
    pub(super) fn packages(&self) -> &'a [Package] {
        self.packages
    }

    /// A text of a package's control archive.
    pub(super) fn control(
        &self,
        package: &Package,
        name: &str,
    ) -> Result<Option<Vec<u8>>, SystemError> {
        let path = package.control.join(name);
        match File::open(&path).and_then(read_text) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SystemError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// Says something in the notes.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Where a path leads when every link on the way is followed, its last part only on request. Absolute or relative to
    /// the root; none when nothing is there.
    pub(super) fn canonical(&self, path: &str, follow_last: bool) -> Option<ImagePath> {
        self.canonical_among(path, follow_last, &|_| true)
    }

    /// As [`Self::canonical`], where only some of what is there counts.
    fn canonical_among(
        &self,
        path: &str,
        follow_last: bool,
        counts: &dyn Fn(&Entry) -> bool,
    ) -> Option<ImagePath> {
        let mut links = 0;
        let mut rest: Vec<String> = parts(path);
        let mut at: Vec<String> = Vec::new();
        while let Some(part) = rest.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(part);
            let here = at.join("/");
            let entry = self.entries.get(here.as_str());
            match &entry.filter(|entry| counts(entry))?.node {
                Node::Link(target) if follow_last || !rest.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return None;
                    }
                    at.pop();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    rest.extend(parts(target));
                }
                Node::File { .. } if !rest.is_empty() => return None,
                _ => {}
            }
        }
        ImagePath::parse(at.join("/")).ok()
    }

    /// What is at exactly this path.
    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.entries.get(path).map(|entry| &entry.node)
    }

    /// Whether something is at a path once every link is followed.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.canonical(path, true).is_some()
    }

    /// Whether a path leads to a directory.
    pub(super) fn is_directory(&self, path: &str) -> bool {
        let canonical = self.canonical(path, true);
        canonical.is_some_and(|path| self.node(path.as_str()) == Some(&Node::Directory))
    }

    /// Whether a path leads to a file.
    pub(super) fn is_file(&self, path: &str) -> bool {
        let canonical = self.canonical(path, true);
        canonical.is_some_and(|path| matches!(self.node(path.as_str()), Some(Node::File { .. })))
    }

    /// Whether a package ships what is at a path, a directory for what lies below it included.
    pub(super) fn is_shipped(&self, path: &str) -> bool {
        let entry = self
            .canonical(path, true)
            .and_then(|path| self.entries.get(&path));
        entry.is_some_and(|entry| entry.package.is_some())
    }

    /// Names and nodes directly below a directory, sorted.
    pub(super) fn children(&self, directory: &ImagePath) -> impl Iterator<Item = (&str, &Node)> {
        let prefix = format!("{}/", directory.as_str());
        let from: (Bound<&str>, Bound<&str>) = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let below: Vec<_> = self
            .entries
            .range::<str, _>(from)
            .map_while(|(path, entry)| Some((path.as_str().strip_prefix(&prefix)?, &entry.node)))
            .filter(|(name, _)| !name.contains('/'))
            .collect();
        below.into_iter()
    }

    /// Every path below a directory with its node, sorted.
    pub(super) fn below(&self, directory: &str) -> impl Iterator<Item = (&ImagePath, &Node)> {
        let prefix = format!("{directory}/");
        let from: (Bound<&str>, Bound<&str>) = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let range = self.entries.range::<str, _>(from);
        range.map_while(move |(path, entry)| {
            path.as_str()
                .starts_with(&prefix)
                .then_some((path, &entry.node))
        })
    }

    /// Opens a file that lies exactly at this path.
    pub(super) fn open(&self, path: &ImagePath) -> Result<Box<dyn ReadSeek + '_>, SystemError> {
        let entry = self
            .entries
            .get(path)
            .expect("paths to open come from this root");
        match entry.package {
            None => Ok(Box::new(io::Cursor::new(entry.contents.as_slice()))),
            Some(number) => {
                let place = self.place(number, path);
                let opened = File::open(&place);
                opened
                    .map(|file| Box::new(file) as _)
                    .map_err(|source| SystemError::Io {
                        action: "open",
                        path: place,
                        source,
                    })
            }
        }
    }

    /// Reads a file that a path leads to; none when there is no file.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SystemError> {
        let Some(path) = self
            .canonical(path, true)
            .filter(|path| matches!(self.node(path.as_str()), Some(Node::File { .. })))
        else {
            return Ok(None);
        };
        let mut file = self.open(&path)?;
        let failed = |source| SystemError::Io {
            action: "read",
            path: PathBuf::from(path.as_str()),
            source,
        };
        let size = file.seek(io::SeekFrom::End(0)).map_err(failed)?;
        if size > TEXT_MAX {
            return Err(SystemError::TooLarge {
                path: path.clone(),
                found: size,
                limit: TEXT_MAX,
            });
        }
        file.rewind().map_err(failed)?;
        read_text(file).map(Some).map_err(failed)
    }

    fn place(&self, number: usize, path: &ImagePath) -> PathBuf {
        self.packages[number].out.join(path.as_str())
    }

    /// Adds a file.
    pub(super) fn add_file(
        &mut self,
        rule: &'static str,
        path: &str,
        contents: Vec<u8>,
        owner: Owner,
    ) -> Result<(), SystemError> {
        let node = Node::File {
            executable: owner.mode & 0o100 != 0,
        };
        let path = self.claim(rule, path)?;
        self.modes
            .record(path.clone(), RecordedKind::File, owner.mode, 0, owner.gid)?;
        self.entries.insert(
            path,
            Entry {
                package: None,
                node,
                contents,
            },
        );
        Ok(())
    }

    /// Adds a link. Its place is where its parents lead, as it would be if it were made in the running image.
    pub(super) fn add_link(
        &mut self,
        rule: &'static str,
        path: &str,
        target: &str,
    ) -> Result<(), SystemError> {
        let path = self.claim(rule, path)?;
        let node = Node::Link(target.to_owned());
        self.entries.insert(
            path,
            Entry {
                package: None,
                node,
                contents: Vec::new(),
            },
        );
        Ok(())
    }

    /// Adds a directory. One that is there already stays as it is.
    pub(super) fn add_directory(
        &mut self,
        rule: &'static str,
        path: &str,
        owner: Owner,
    ) -> Result<(), SystemError> {
        if self.is_directory(path) {
            return Ok(());
        }
        let path = self.claim(rule, path)?;
        self.modes.record(
            path.clone(),
            RecordedKind::Directory,
            owner.mode,
            0,
            owner.gid,
        )?;
        self.entries.insert(
            path,
            Entry {
                package: None,
                node: Node::Directory,
                contents: Vec::new(),
            },
        );
        Ok(())
    }

    /// The free place that a path means, with directories above it.
    fn claim(&mut self, rule: &'static str, path: &str) -> Result<ImagePath, SystemError> {
        let path = self.free_place(path)?;
        if let Some(entry) = self.entries.get(&path) {
            return Err(match entry.package {
                Some(number) => SystemError::Owned {
                    rule,
                    path,
                    package: self.packages[number].name.clone(),
                },
                None => SystemError::Twice { rule, path },
            });
        }
        for above in path.ancestors() {
            let new = Entry {
                package: None,
                node: Node::Directory,
                contents: Vec::new(),
            };
            // Our layer repeats the directories above its entries, and they are the same in every layer.
            if let Some(known) = self.recorded.get(&above) {
                let (uid, gid) = (known.uid, known.gid);
                self.modes.record(
                    above.clone(),
                    RecordedKind::Directory,
                    known.mode.bits(),
                    uid,
                    gid,
                )?;
            }
            self.entries.entry(above).or_insert(new);
        }
        Ok(path)
    }

    /// Follows the links above a path, as far as there is something.
    fn free_place(&self, path: &str) -> Result<ImagePath, SystemError> {
        let path = ImagePath::parse(path.trim_start_matches('/'))?;
        let Some(parent) = path.parent() else {
            return Ok(path);
        };
        let parent = match self.canonical(parent.as_str(), true) {
            Some(parent) => parent,
            None => follow_aliases(&self.free_place(parent.as_str())?).0,
        };
        Ok(parent.join(path.name())?)
    }

    /// What the rules have added, as a tree.
    pub(super) fn write(&self, place: &Path) -> Result<(), SystemError> {
        let mut tree = TreeWriter::create(place)?;
        for (path, entry) in &self.entries {
            if entry.package.is_some() {
                continue;
            }
            match &entry.node {
                Node::Directory => tree.directory(path)?,
                Node::File { executable } => tree.file_with(path, *executable, &entry.contents)?,
                Node::Link(target) => tree.symlink(path, target)?,
            }
        }
        Ok(())
    }

    /// Modes and owners of what the rules have added.
    pub(super) fn modes(&self) -> &ModesRecord {
        &self.modes
    }

    /// What was noted, in order.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// What a script would find if not everything were there.
pub(super) struct Without<'r, 'a> {
    pub(super) root: &'r Root<'a>,
    /// What the rules have added.
    pub(super) rules: bool,
    /// The files of this package.
    pub(super) package: Option<&'r Package>,
}

impl World for Without<'_, '_> {
    fn find(&self, path: &str, follow: bool) -> Option<Found> {
        let counts = |entry: &Entry| match entry.package {
            None => !self.rules,
            Some(number) => self.package != Some(&self.root.packages[number]),
        };
        let path = self.root.canonical_among(path, follow, &counts)?;
        self.root.node(path.as_str()).map(Node::found)
    }
}

impl World for Root<'_> {
    fn find(&self, path: &str, follow: bool) -> Option<Found> {
        let path = self.canonical(path, follow)?;
        self.node(path.as_str()).map(Node::found)
    }
}

/// The parts of a path, the first one last, so that they can be taken one by one.
fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .rev()
        .map(str::to_owned)
        .collect()
}

fn read_text(mut file: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.by_ref().take(TEXT_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > TEXT_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "a text of more than 16 MiB",
        ));
    }
    Ok(text)
}
