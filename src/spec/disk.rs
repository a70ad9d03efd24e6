//! The files of a folder on disk, as far as evaluating an expression may see them.
//!
//! Everything is opened below one descriptor of the folder, part by part, and no link is ever followed: whoever swaps a
//! folder for a link while an evaluation runs makes it fail, and never makes it read elsewhere. Pipes and devices are
//! seen and not opened.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cognix_language::{FileKind, Files, FilesError};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat,
};
use rustix::io::Errno;

/// What a folder on the way is opened with.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// What a file is opened with. Nothing is waited for: between being looked at and being opened it may have become a pipe.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The files of a folder on disk.
#[derive(Debug)]
pub struct DiskFiles {
    folder: OwnedFd,
}

impl DiskFiles {
    /// The files of a folder, which may itself be reached through links.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags, Mode::empty())?;
        Ok(Self { folder })
    }

    /// The folder that holds an entry, and the entry's name in it; `.` for the folder of all. `None` where a folder on
    /// the way does not exist.
    fn parent<'p>(&self, path: &'p str) -> Result<Option<(Folder<'_>, &'p OsStr)>, FilesError> {
        let mut folder = Folder::Root(self.folder.as_fd());
        if path.is_empty() {
            return Ok(Some((folder, OsStr::new("."))));
        }
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if matches!(part, "" | "." | "..") || part.contains('\0') {
                return Err(failure(path, "it is no path below the project's folder"));
            }
            let part = OsStr::new(part);
            if parts.peek().is_none() {
                return Ok(Some((folder, part)));
            }
            let opened = openat(&folder, part, FOLDER, Mode::empty());
            folder = match opened {
                Ok(opened) => Folder::Below(opened),
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    let part = part.to_string_lossy();
                    return Err(failure(
                        path,
                        format!("'{part}' on the way is not a folder"),
                    ));
                }
                Err(error) => return Err(errno(path, error)),
            };
        }
        Ok(None)
    }

    /// The folder and name of something that must exist.
    fn existing<'p>(&self, path: &'p str) -> Result<(Folder<'_>, &'p OsStr), FilesError> {
        self.parent(path)?.ok_or_else(|| errno(path, Errno::NOENT))
    }
}

impl Files for DiskFiles {
    fn kind(&self, path: &str) -> Result<Option<FileKind>, FilesError> {
        let Some((folder, name)) = self.parent(path)? else {
            return Ok(None);
        };
        match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(kind_of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(errno(path, error)),
        }
    }

    fn open(&self, path: &str) -> Result<(Box<dyn Read + '_>, u64), FilesError> {
        let (folder, name) = self.existing(path)?;
        // A device may notice that it is opened, so it is looked at first. Afterwards once more: it may be another now.
        let is_file = |stat: &Stat| matches!(kind_of(stat), FileKind::Regular { .. });
        let seen = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
        if !is_file(&seen.map_err(|error| errno(path, error))?) {
            return Err(failure(path, "it is not a file"));
        }
        let file = openat(&folder, name, FILE, Mode::empty());
        let file = file.map_err(|error| errno(path, error))?;
        let stat = fstat(&file).map_err(|error| errno(path, error))?;
        if !is_file(&stat) {
            return Err(failure(path, "it is not a file"));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok((Box::new(File::from(file)), size))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FilesError> {
        let (folder, name) = self.existing(path)?;
        let folder = match openat(&folder, name, FOLDER, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(failure(path, "it is not a folder")),
            Err(error) => return Err(errno(path, error)),
        };
        let entries = Dir::new(folder).map_err(|error| errno(path, error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| errno(path, error))?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => match std::str::from_utf8(name) {
                    Ok(name) => names.push(name.to_owned()),
                    Err(_) => {
                        let name = String::from_utf8_lossy(name);
                        let reason = format!("it holds '{name}', whose name is not UTF-8");
                        return Err(failure(path, reason));
                    }
                },
            }
        }
        Ok(names)
    }

    fn link(&self, path: &str) -> Result<String, FilesError> {
        let (folder, name) = self.existing(path)?;
        let target = match readlinkat(&folder, name, Vec::new()) {
            Ok(target) => target,
            Err(Errno::INVAL) => return Err(failure(path, "it is not a link")),
            Err(error) => return Err(errno(path, error)),
        };
        target
            .into_string()
            .map_err(|_| failure(path, "it is a link to a name that is not UTF-8"))
    }
}

/// An open folder.
enum Folder<'f> {
    Root(BorrowedFd<'f>),
    Below(OwnedFd),
}

impl AsFd for Folder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(folder) => *folder,
            Self::Below(folder) => folder.as_fd(),
        }
    }
}

fn kind_of(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::Regular {
            executable: stat.st_mode & 0o100 != 0,
        },
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

fn errno(path: &str, error: Errno) -> FilesError {
    failure(path, io::Error::from(error).to_string())
}

fn failure(path: &str, reason: impl Into<String>) -> FilesError {
    let path = match path {
        "" => "the project's folder",
        path => path,
    };
    FilesError {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A project with one of each kind, beside a secret that must stay one.
    fn project() -> (tempfile::TempDir, DiskFiles) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        std::fs::create_dir_all(root.join("sub/deep")).unwrap();
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        std::fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        std::fs::write(root.join("a"), "text").unwrap();
        std::fs::write(root.join("sub/deep/b"), "more").unwrap();
        symlink("../outside", root.join("out")).unwrap();
        symlink("../outside/secret", root.join("secret")).unwrap();
        symlink("a", root.join("link")).unwrap();
        rustix::fs::mkfifoat(CWD, root.join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        let files = DiskFiles::open(&root).unwrap();
        (folder, files)
    }

    fn text(files: &DiskFiles, path: &str) -> Result<String, String> {
        let (mut reader, size) = files.open(path).map_err(|error| error.to_string())?;
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.len() as u64, size);
        Ok(text)
    }

    #[test]
    fn files_are_seen_and_read() {
        let (_folder, files) = project();
        let kind = |path| files.kind(path).unwrap();
        let file = FileKind::Regular { executable: false };
        assert_eq!(kind(""), Some(FileKind::Directory));
        assert_eq!(kind("a"), Some(file));
        assert_eq!(kind("sub/deep"), Some(FileKind::Directory));
        assert_eq!(kind("sub/deep/b"), Some(file));
        assert_eq!(kind("link"), Some(FileKind::Symlink));
        assert_eq!(kind("pipe"), Some(FileKind::Other));
        assert_eq!(kind("none"), None);
        assert_eq!(kind("none/below"), None);
        assert_eq!(text(&files, "a"), Ok("text".to_owned()));
        assert_eq!(text(&files, "sub/deep/b"), Ok("more".to_owned()));
        assert_eq!(files.link("secret").unwrap(), "../outside/secret");
        let mut names = files.list("").unwrap();
        names.sort();
        assert_eq!(names, ["a", "link", "out", "pipe", "secret", "sub"]);
        assert_eq!(files.list("sub/deep").unwrap(), ["b"]);
    }

    #[test]
    fn nothing_outside_is_reached() {
        let (folder, files) = project();
        let absolute = folder.path().join("outside/secret");
        for path in [
            "..",
            "../outside/secret",
            "sub/../../outside/secret",
            "./a",
            "sub//deep",
            "sub/",
            "/etc/passwd",
            absolute.to_str().unwrap(),
            "a\0b",
            "out/secret",
        ] {
            assert!(text(&files, path).is_err(), "{path}");
            assert!(files.kind(path).is_err(), "{path}");
            assert!(files.list(path).is_err(), "{path}");
            assert!(files.link(path).is_err(), "{path}");
        }
    }

    #[test]
    fn links_pipes_and_folders_are_no_files() {
        let (_folder, files) = project();
        for path in ["secret", "link", "out", "pipe", "sub", ""] {
            let said = text(&files, path).unwrap_err();
            assert!(said.ends_with("it is not a file"), "{path}: {said}");
        }
        for path in ["a", "link", "out", "pipe"] {
            let said = files.list(path).unwrap_err().to_string();
            assert_eq!(said, format!("{path}: it is not a folder"));
        }
        let said = text(&files, "a/below").unwrap_err();
        assert_eq!(said, "a/below: 'a' on the way is not a folder");
        assert_eq!(
            files.link("a").unwrap_err().to_string(),
            "a: it is not a link"
        );
        assert!(text(&files, "none").unwrap_err().starts_with("none: "));
    }

    #[test]
    fn a_folder_swapped_for_a_link_is_not_followed() {
        let (folder, files) = project();
        let root = folder.path().join("project");
        std::fs::write(folder.path().join("outside/deep"), "secret").unwrap();
        assert_eq!(files.kind("sub/deep").unwrap(), Some(FileKind::Directory));
        std::fs::remove_dir_all(root.join("sub")).unwrap();
        symlink("../outside", root.join("sub")).unwrap();
        assert!(files.kind("sub/deep").is_err());
        assert!(text(&files, "sub/deep").is_err());
        assert!(files.list("sub").is_err());
        // The folder of all may move: what was opened stays.
        std::fs::rename(&root, folder.path().join("moved")).unwrap();
        symlink("outside", &root).unwrap();
        assert_eq!(text(&files, "a"), Ok("text".to_owned()));
    }

    #[test]
    fn names_that_are_not_utf8_are_reported() {
        let (folder, files) = project();
        let odd = OsStr::from_bytes(b"odd-\xff");
        let deep = folder.path().join("project/sub/deep");
        symlink(odd, deep.join("link")).unwrap();
        assert!(files.link("sub/deep/link").is_err());
        std::fs::write(deep.join(odd), "").unwrap();
        let said = files.list("sub/deep").unwrap_err().to_string();
        assert!(said.contains("not UTF-8"), "{said}");
    }

    #[test]
    fn expressions_read_it() {
        let (folder, files) = project();
        let root = folder.path().join("project");
        std::fs::write(root.join("x.nix"), "{ y = import ./sub; }").unwrap();
        std::fs::write(root.join("sub/default.nix"), "1").unwrap();
        let value = |text: &str| {
            cognix_language::evaluate(&files, &Default::default(), |evaluator| {
                evaluator.print(evaluator.expression(text, "test")?)
            })
            .map_err(|error| error.message().to_owned())
        };
        assert_eq!(value("(import ./x.nix).y"), Ok("1".to_owned()));
        assert!(
            value("import ./out/x.nix")
                .unwrap_err()
                .contains("outside of the project")
        );
        assert!(
            value("import ./secret")
                .unwrap_err()
                .contains("outside of the project")
        );
    }
}
