//! The files of a commit as an archive, read from git's objects.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cognix_derivations::HashingWriter;
use cognix_derivations::nar::{self, Encoder, NarError, Visitor};

use super::{GitError, Tree, command};

/// How many files a commit may have.
const MAX_ENTRIES: usize = 1_000_000;

/// The largest pointer that Git LFS leaves.
const POINTER: usize = 1024;

/// What a path of a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File { executable: bool },
    Link,
    Submodule,
}

/// A path of a commit.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// The object that has its contents; of a submodule, the commit.
    pub(super) object: String,
    /// The repository of ours that has the object.
    pub(super) objects: PathBuf,
}

/// A commit with its submodules.
#[derive(Debug, Default)]
pub(super) struct Checkout {
    /// By path.
    pub(super) entries: BTreeMap<Vec<u8>, Entry>,
    /// Folders that are there even without files, with a slash behind.
    pub(super) folders: Vec<String>,
}

/// The paths of a commit.
pub(super) async fn list(
    objects: &Path,
    repository: &str,
    commit: &str,
) -> Result<Vec<(Vec<u8>, Entry)>, GitError> {
    let wrong = |reason: String| GitError::Tree {
        repository: repository.to_owned(),
        commit: commit.to_owned(),
        reason,
    };
    let arguments = ["ls-tree", "-r", "-z", "--full-tree", commit];
    let listed = command::output(Some(objects), repository, &arguments).await?;
    let listed = listed.map_err(wrong)?;
    let mut entries = Vec::new();
    for item in listed.split(|byte| *byte == 0) {
        if item.is_empty() {
            continue;
        }
        // MODE TYPE OBJECT, a tab, and the path.
        let tab = item.iter().position(|byte| *byte == b'\t');
        let (head, path) = item.split_at(tab.unwrap_or(item.len()));
        let head = String::from_utf8_lossy(head);
        let mut words = head.split(' ');
        let (mode, _, object) = (words.next(), words.next(), words.next());
        let kind = match mode {
            Some("100755") => Kind::File { executable: true },
            Some(mode) if mode.starts_with("100") => Kind::File { executable: false },
            Some("120000") => Kind::Link,
            Some("160000") => Kind::Submodule,
            _ => return Err(wrong(format!("git lists {head:?}"))),
        };
        let (Some(object), [_, path @ ..]) = (object, path) else {
            return Err(wrong(format!("git lists {head:?}")));
        };
        let entry = Entry {
            kind,
            object: object.to_owned(),
            objects: objects.to_owned(),
        };
        entries.push((path.to_vec(), entry));
        if entries.len() > MAX_ENTRIES {
            return Err(wrong(format!("it has more than {MAX_ENTRIES} files")));
        }
    }
    Ok(entries)
}

/// Writes the archive of a commit's files, whole or not at all. Dropping the future ends the work.
pub(super) async fn write(checkout: Checkout, archive: &Path) -> Result<Tree, GitError> {
    struct Stop(Arc<AtomicBool>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = Stop(Arc::default());
    let (stopped, archive) = (Arc::clone(&stop.0), archive.to_owned());
    let work = tokio::task::spawn_blocking(move || write_now(&checkout, &archive, &stopped));
    work.await.map_err(|error| GitError::Run(error.into()))?
}

fn write_now(checkout: &Checkout, archive: &Path, stop: &AtomicBool) -> Result<Tree, GitError> {
    let io = GitError::io(archive);
    let folder = archive.parent().unwrap_or(archive);
    let file = tempfile::NamedTempFile::new_in(folder).map_err(&io)?;
    let at = |source: NarError| GitError::Archive {
        path: archive.to_owned(),
        source,
    };
    let mut writer = Writer {
        encoder: Encoder::new(HashingWriter::new(BufWriter::new(file))).map_err(at)?,
        objects: BTreeMap::new(),
        pointer: None,
        stop,
    };
    let mut root = Folder::default();
    for path in &checkout.folders {
        root.folder(path.as_bytes());
    }
    for (path, entry) in &checkout.entries {
        root.add(path, entry);
    }
    writer.folder(None, &root, "").map_err(at)?;
    let Writer {
        encoder, pointer, ..
    } = writer;
    let (file, sha256, size) = encoder.finish().map_err(at)?.finish();
    let file = file.into_inner().map_err(|error| io(error.into_error()))?;
    file.as_file().sync_all().map_err(&io)?;
    file.persist(archive).map_err(|error| io(error.error))?;
    Ok(Tree {
        sha256,
        size,
        pointer,
    })
}

/// A folder of a tree, in the order of an archive.
#[derive(Default)]
struct Folder<'a> {
    nodes: BTreeMap<Vec<u8>, Node<'a>>,
}

enum Node<'a> {
    Folder(Folder<'a>),
    Entry(&'a Entry),
}

impl<'a> Folder<'a> {
    fn add(&mut self, path: &[u8], entry: &'a Entry) {
        let split = path.iter().rposition(|byte| *byte == b'/');
        let (folder, name) = match split {
            Some(at) => (self.folder(&path[..at]), &path[at + 1..]),
            None => (self, path),
        };
        folder.nodes.insert(name.to_vec(), Node::Entry(entry));
    }

    fn folder(&mut self, path: &[u8]) -> &mut Self {
        let mut folder = self;
        for name in path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
        {
            let node = folder
                .nodes
                .entry(name.to_vec())
                .and_modify(|node| {
                    // Git has no path below a file.
                    if let Node::Entry(_) = node {
                        *node = Node::Folder(Self::default());
                    }
                })
                .or_insert_with(|| Node::Folder(Self::default()));
            let Node::Folder(inner) = node else {
                unreachable!("it was made a folder");
            };
            folder = inner;
        }
        folder
    }
}

struct Writer<'a, W: io::Write> {
    encoder: Encoder<W>,
    /// A running `git cat-file` for each repository of ours.
    objects: BTreeMap<&'a Path, Objects>,
    pointer: Option<String>,
    stop: &'a AtomicBool,
}

impl<'a, W: io::Write> Writer<'a, W> {
    fn folder(
        &mut self,
        name: Option<&[u8]>,
        folder: &Folder<'a>,
        path: &str,
    ) -> Result<(), NarError> {
        self.encoder.start_directory(name)?;
        for (name, node) in &folder.nodes {
            let path = format!("{path}/{}", String::from_utf8_lossy(name));
            match node {
                Node::Folder(inner) => self.folder(Some(name), inner, &path)?,
                Node::Entry(entry) => self.entry(name, entry, &path)?,
            }
        }
        self.encoder.end_directory()
    }

    fn entry(&mut self, name: &[u8], entry: &'a Entry, path: &str) -> Result<(), NarError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(NarError::Io(io::ErrorKind::Interrupted.into()));
        }
        let objects = match self.objects.entry(&entry.objects) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(Objects::open(&entry.objects).map_err(NarError::Io)?)
            }
        };
        let size = objects.ask(&entry.object).map_err(NarError::Io)?;
        let executable = match entry.kind {
            Kind::File { executable } => executable,
            Kind::Link | Kind::Submodule => {
                let target = objects.whole(size).map_err(NarError::Io)?;
                return self.encoder.symlink(Some(name), &target);
            }
        };
        if size <= POINTER as u64 {
            let contents = objects.whole(size).map_err(NarError::Io)?;
            if self.pointer.is_none() && is_pointer(&contents) {
                self.pointer = Some(path.trim_start_matches('/').to_owned());
            }
            return self
                .encoder
                .regular_bytes(Some(name), executable, &contents);
        }
        let mut file = self.encoder.regular(Some(name), executable, size)?;
        let mut contents = (&mut objects.output).take(size);
        let copied = io::copy(&mut contents, &mut file).map_err(NarError::Io)?;
        if copied != size {
            return Err(NarError::Truncated);
        }
        file.finish()?;
        objects.end().map_err(NarError::Io)
    }
}

/// Whether a file is what Git LFS has in the place of one.
fn is_pointer(contents: &[u8]) -> bool {
    contents.starts_with(b"version https://git-lfs.")
        && memchr::memmem::find(contents, b"\noid sha256:").is_some()
}

/// A running `git cat-file --batch`.
struct Objects {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Objects {
    fn open(repository: &Path) -> io::Result<Self> {
        let mut command = command::git(Some(repository));
        command.args(["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("git has no pipes"))?;
        Ok(Self {
            child,
            input: Some(input),
            output: BufReader::with_capacity(1 << 16, output),
        })
    }

    /// Asks for an object, and tells its size.
    fn ask(&mut self, object: &str) -> io::Result<u64> {
        if let Some(input) = &mut self.input {
            input.write_all(format!("{object}\n").as_bytes())?;
        }
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        // OBJECT TYPE SIZE, or what is missing.
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, "blob", size] => size.parse().map_err(io::Error::other),
            _ => Err(io::Error::other(format!(
                "git has no file contents {object}: {}",
                line.trim()
            ))),
        }
    }

    fn whole(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut contents = Vec::new();
        (&mut self.output).take(size).read_to_end(&mut contents)?;
        self.end()?;
        Ok(contents)
    }

    /// The line end behind an object.
    fn end(&mut self) -> io::Result<()> {
        self.output.read_exact(&mut [0])
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself when its input does; if it was stopped in between, it may still want to write.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads files out of an archive.
pub(super) fn read_files(
    archive: &Path,
    wanted: &[String],
) -> Result<Vec<Option<Vec<u8>>>, GitError> {
    /// The largest that is read.
    const LIMIT: u64 = 16 << 20;

    struct Reading<'a> {
        at: Vec<String>,
        wanted: &'a [String],
        found: Vec<Option<Vec<u8>>>,
    }
    impl Visitor for Reading<'_> {
        fn start_directory(&mut self, name: Option<&[u8]>) -> io::Result<()> {
            self.at.push(name_of(name));
            Ok(())
        }

        fn end_directory(&mut self) -> io::Result<()> {
            self.at.pop();
            Ok(())
        }

        fn regular(
            &mut self,
            name: Option<&[u8]>,
            _: bool,
            size: u64,
            contents: &mut dyn Read,
        ) -> io::Result<()> {
            let mut path = self.at.iter().skip(1).cloned().collect::<Vec<_>>();
            path.push(name_of(name));
            let path = path.join("/");
            if let Some(index) = self.wanted.iter().position(|wanted| *wanted == path)
                && size <= LIMIT
            {
                let mut bytes = Vec::new();
                contents.read_to_end(&mut bytes)?;
                self.found[index] = Some(bytes);
            }
            Ok(())
        }

        fn symlink(&mut self, _: Option<&[u8]>, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
    }
    let file = File::open(archive).map_err(GitError::io(archive))?;
    let mut reading = Reading {
        at: Vec::new(),
        wanted,
        found: vec![None; wanted.len()],
    };
    nar::decode(&mut BufReader::with_capacity(1 << 16, file), &mut reading).map_err(|source| {
        GitError::Archive {
            path: archive.to_owned(),
            source,
        }
    })?;
    Ok(reading.found)
}

fn name_of(name: Option<&[u8]>) -> String {
    name.map(|name| String::from_utf8_lossy(name).into_owned())
        .unwrap_or_default()
}
