//! The project's files: reading them, importing expressions, and what becomes a store path of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use cognix_derivations::nar::{Encoder, NarError};
use cognix_derivations::{
    ContentAddress, HashingWriter, NixHash, Sha256, StorePath, StorePathName,
    content_addressed_path,
};

use super::Evaluator;
use crate::error::{ErrorKind, Eval, Fault};
use crate::files::{FileKind, FilesError};
use crate::paths;
use crate::source::{Origin, Pos};
use crate::value::{Context, ContextElement, State, Value};

/// How many links a path may go through.
const MAX_LINKS: usize = 40;

/// Files of the project that a derivation needs in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceImport {
    /// Where they are in every store.
    pub store_path: StorePath,
    /// Where they are below the project's folder; links on the way are resolved.
    pub path: String,
    /// The files below that path that belong to it, relative to it; all of them when there is no filter.
    pub kept: Option<BTreeSet<String>>,
    /// Whether the path is that of one file's bytes rather than that of an archive.
    pub is_flat: bool,
}

impl SourceImport {
    /// Whether what stands at a path of the project is in the source.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let below = match self.path.as_str() {
            "" => Some(path),
            start => paths::below(start, path),
        };
        match (below, &self.kept) {
            (Some(""), _) | (Some(_), None) => true,
            (Some(below), Some(kept)) => kept.contains(below),
            (None, _) => false,
        }
    }
}

/// Which entries of a folder belong to a source: called with the path as the language sees it.
pub(crate) type Filter<'f> = &'f dyn Fn(&str, FileKind) -> Eval<bool>;

/// How a source is named and hashed.
pub(crate) struct SourceRequest<'f> {
    /// The name in the store.
    pub(crate) name: String,
    /// Which entries belong to it; all without one.
    pub(crate) filter: Option<Filter<'f>>,
    /// One file's bytes rather than an archive.
    pub(crate) is_flat: bool,
    /// What its hash must be.
    pub(crate) expected: Option<NixHash>,
}

impl<'a> Evaluator<'a> {
    /// Where a path of the language is below the project's folder, links resolved. `follow_last` says whether a link at
    /// the end is one of them. `None` where a folder on the way does not exist.
    pub(crate) fn resolve_path(
        &self,
        path: &str,
        follow_last: bool,
        pos: Pos,
    ) -> Eval<Option<String>> {
        if let Some((source, below)) = self.in_source(path) {
            let inside = format!("{}/{}/{below}", self.root, source.path);
            let resolved = self.resolve_path(&paths::canonical(&inside), follow_last, pos)?;
            return Ok(resolved.filter(|resolved| source.holds(resolved)));
        }
        let mut waiting: Vec<String> = self.below_root(path, pos)?;
        waiting.reverse();
        let mut resolved: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = waiting.pop() {
            resolved.push(part);
            let here = resolved.join("/");
            let kind = self.files.kind(&here).map_err(|error| io(&error, pos))?;
            match kind {
                None => return Ok(waiting.is_empty().then_some(here)),
                Some(FileKind::Symlink) if follow_last || !waiting.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        let message = format!("'{path}' goes through too many symbolic links");
                        return Err(Fault::new(ErrorKind::File, pos, message));
                    }
                    let target = self.files.link(&here).map_err(|error| io(&error, pos))?;
                    resolved.pop();
                    self.step_through(path, &target, &mut resolved, &mut waiting, pos)?;
                }
                Some(FileKind::Directory) => {}
                Some(_) if waiting.is_empty() => {}
                Some(_) => return Ok(None),
            }
        }
        Ok(Some(resolved.join("/")))
    }

    /// Goes where a link says, if that is in the project.
    fn step_through(
        &self,
        path: &str,
        target: &str,
        resolved: &mut Vec<String>,
        waiting: &mut Vec<String>,
        pos: Pos,
    ) -> Eval<()> {
        let outside = || {
            let message = format!(
                "'{path}' is a symbolic link to '{target}', outside of the project: an evaluation sees files of the project only"
            );
            Err(Fault::forbidden(pos, message))
        };
        if target.starts_with('/') {
            return outside();
        }
        let mut parts = Vec::new();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => match (parts.pop(), resolved.pop()) {
                    (Some(_), back) => resolved.extend(back),
                    (None, Some(_)) => {}
                    (None, None) => return outside(),
                },
                part => parts.push(part.to_owned()),
            }
        }
        waiting.extend(parts.into_iter().rev());
        Ok(())
    }

    /// The source of this evaluation that a path in the store is in, and the rest of the path.
    pub(crate) fn in_source<'p>(&self, path: &'p str) -> Option<(SourceImport, &'p str)> {
        let rest = paths::below(cognix_derivations::STORE_DIR, path)?;
        let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
        let store_path = &path[..path.len() - rest.len() + name.len()];
        let store_path = StorePath::parse(store_path).ok()?;
        let source = self.drafts.borrow().sources.get(&store_path).cloned()?;
        Some((source, below))
    }

    fn below_root(&self, path: &str, pos: Pos) -> Eval<Vec<String>> {
        let Some(below) = paths::below(self.root, path) else {
            let message = format!(
                "access to '{path}' is forbidden: an evaluation sees files below the project's folder only"
            );
            let fault = Fault::forbidden(pos, message);
            return Err(match path.starts_with(cognix_derivations::STORE_DIR) {
                true => fault.hint("reading what a derivation makes would mean to build it first"),
                false => fault,
            });
        };
        let parts = below.split('/').filter(|part| !part.is_empty());
        Ok(parts.map(str::to_owned).collect())
    }

    /// A path of the language whose file must exist, below the project's folder with links resolved.
    pub(crate) fn existing(&self, path: &str, pos: Pos) -> Eval<(String, FileKind)> {
        let missing = || {
            let shown = paths::below(self.root, path).unwrap_or(path);
            let shown = if shown.is_empty() { "." } else { shown };
            let message = format!("path '{shown}' does not exist in the project");
            let fault = Fault::new(ErrorKind::File, pos, message);
            match self.nearest_file(path, pos) {
                Some(near) => fault.hint(format!("did you mean '{near}'?")),
                None => fault,
            }
        };
        let resolved = self.resolve_path(path, true, pos)?.ok_or_else(missing)?;
        let kind = self
            .files
            .kind(&resolved)
            .map_err(|error| io(&error, pos))?;
        Ok((resolved, kind.ok_or_else(missing)?))
    }

    /// The name in a path's folder that is nearest to the path's own.
    fn nearest_file(&self, path: &str, pos: Pos) -> Option<String> {
        let folder = self.resolve_path(paths::parent(path), true, pos).ok()??;
        let names = self.files.list(&folder).ok()?;
        let name = paths::name(path);
        let near = crate::text::suggest::nearest(name, names.iter().map(String::as_str));
        near.map(str::to_owned)
    }

    /// Whether something stands at a path.
    pub(crate) fn exists(&self, path: &str, pos: Pos) -> Eval<bool> {
        let Some(resolved) = self.resolve_path(path, false, pos)? else {
            return Ok(false);
        };
        let kind = self
            .files
            .kind(&resolved)
            .map_err(|error| io(&error, pos))?;
        Ok(kind.is_some())
    }

    /// The contents of a file.
    pub(crate) fn read_file(&self, path: &str, pos: Pos) -> Eval<Vec<u8>> {
        if let Some(bytes) = self.drafts.borrow().text(path) {
            return Ok(bytes.to_vec());
        }
        let (resolved, kind) = self.existing(path, pos)?;
        if !matches!(kind, FileKind::Regular { .. }) {
            let message = format!("'{resolved}' is not a file but a {}", kind.name());
            return Err(Fault::new(ErrorKind::File, pos, message));
        }
        let (reader, _) = self
            .files
            .open(&resolved)
            .map_err(|error| io(&error, pos))?;
        let limit = self.limits.file_size;
        let mut bytes = Vec::new();
        reader
            .take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| read_failure(&resolved, &error, pos))?;
        if bytes.len() > limit {
            let message = format!("'{resolved}' is larger than {} MiB", limit >> 20);
            return Err(Fault::new(ErrorKind::Limit, pos, message));
        }
        Ok(bytes)
    }

    /// The value of an expression in a file; a folder stands for its `default.nix`. Each file is evaluated once.
    pub(crate) fn import(&self, path: &str, pos: Pos) -> Eval<Value<'a>> {
        let file = self.import_path(path, pos)?;
        let known = self.imported.borrow().get(file.as_str()).copied();
        if let Some(thunk) = known {
            return self.force(thunk).map_err(|fault| fault.at(pos));
        }
        let key: &'a str = self.arena.alloc_str(&file);
        let thunk = self.thunk(State::Busy);
        self.imported.borrow_mut().insert(key, thunk);
        let value = self.deeper(pos, || self.import_text(key, None, pos));
        match value {
            Ok(value) => {
                thunk.state.set(State::Value(value));
                Ok(value)
            }
            Err(fault) => {
                self.imported.borrow_mut().remove(key);
                let shown = self.shown(key);
                Err(fault.within(pos, format!("while importing '{shown}'")))
            }
        }
    }

    /// Where the expression of an `import` stands.
    pub(crate) fn import_path(&self, path: &str, pos: Pos) -> Eval<String> {
        if self.drafts.borrow().text(path).is_some() {
            return Ok(path.to_owned());
        }
        let (resolved, kind) = self.existing(path, pos)?;
        // What is imported from the store does not see the project around it.
        let file = match self.in_source(path) {
            Some(_) => path.to_owned(),
            None => format!("{}/{resolved}", self.root.trim_end_matches('/')),
        };
        let file = file.trim_end_matches('/');
        Ok(match kind {
            FileKind::Directory => format!("{file}/default.nix"),
            _ => file.to_owned(),
        })
    }

    /// Reads and evaluates a file, perhaps with more variables.
    pub(crate) fn import_text(
        &self,
        file: &str,
        extra: Option<(&crate::syntax::Extra, &'a crate::value::Env<'a>)>,
        pos: Pos,
    ) -> Eval<Value<'a>> {
        let bytes = self.read_file(file, pos)?;
        let shown = self.shown(file).to_owned();
        let text = String::from_utf8(bytes).map_err(|_| {
            let message = format!("'{shown}' is not UTF-8");
            Fault::new(ErrorKind::Syntax, pos, message)
        })?;
        let origin = Origin::File(file.to_owned());
        self.run(&text, &shown, paths::parent(file), extra, origin)
    }

    /// Evaluates a file of the project; relative paths in it start from its folder.
    pub fn file(&self, path: &str) -> Eval<Value<'a>> {
        self.import(&paths::absolute(self.root, path), Pos::NONE)
    }

    /// A path as people know it: relative to the project.
    pub(crate) fn shown<'p>(&self, path: &'p str) -> &'p str {
        match paths::below(self.root, path) {
            Some("") | None => path,
            Some(below) => below,
        }
    }

    /// The store path of what a path holds, and the string's context that refers to it.
    pub(crate) fn copy_to_store(&self, path: &str, pos: Pos) -> Eval<(&'a str, Context<'a>)> {
        let name = paths::name(path).to_owned();
        let request = SourceRequest {
            name,
            filter: None,
            is_flat: false,
            expected: None,
        };
        let store_path = self.import_source(path, &request, pos).map_err(|fault| {
            let shown = self.shown(path);
            fault.within(pos, format!("while copying '{shown}' to the store"))
        })?;
        let text: &'a str = self.arena.alloc_str(&store_path.to_string());
        Ok((text, self.context(vec![ContextElement::Path(text)])))
    }

    /// Computes where files of the project are in every store, and remembers that they are needed there.
    pub(crate) fn import_source(
        &self,
        path: &str,
        request: &SourceRequest<'_>,
        pos: Pos,
    ) -> Eval<StorePath> {
        let is_plain = request.filter.is_none() && !request.is_flat;
        let (resolved, kind) = self.source_root(path, request.is_flat, pos)?;
        let key = (resolved.clone(), request.name.clone());
        if is_plain && let Some(known) = self.drafts.borrow().plain_sources.get(&key) {
            return Ok(known.clone());
        }
        let name = StorePathName::parse(&request.name)
            .map_err(|error| Fault::value(pos, error.to_string()))?;
        let mut walk = Walk {
            evaluator: self,
            filter: request.filter,
            start: &resolved,
            shown: path.to_owned(),
            kept: BTreeSet::new(),
            pos,
        };
        let address = match request.is_flat {
            true => ContentAddress::Flat(walk.flat(kind)?),
            false => ContentAddress::Recursive(walk.archive(kind)?.into()),
        };
        if let Some(expected) = &request.expected
            && *expected != address.hash()
        {
            let found = address.hash().to_sri();
            let message = format!(
                "hash mismatch of '{}': expected {}, found {found}",
                self.shown(path),
                expected.to_sri()
            );
            return Err(Fault::value(pos, message));
        }
        let kept = request.filter.is_some().then_some(walk.kept);
        let store_path = content_addressed_path(&name, &address, &BTreeSet::new(), false)
            .map_err(|error| Fault::value(pos, error.to_string()))?;
        let mut drafts = self.drafts.borrow_mut();
        if is_plain {
            drafts.plain_sources.insert(key, store_path.clone());
        }
        drafts.sources.insert(
            store_path.clone(),
            SourceImport {
                store_path: store_path.clone(),
                path: resolved,
                kept,
                is_flat: request.is_flat,
            },
        );
        Ok(store_path)
    }

    /// What a source is made of: a link at the end of its path is the source, not what it points to, unless bytes are wanted.
    fn source_root(&self, path: &str, follow: bool, pos: Pos) -> Eval<(String, FileKind)> {
        let resolved = self.resolve_path(path, follow, pos)?;
        let kind = match &resolved {
            Some(resolved) => self.files.kind(resolved).map_err(|error| io(&error, pos))?,
            None => None,
        };
        match (resolved, kind) {
            (Some(resolved), Some(kind)) => Ok((resolved, kind)),
            _ => self.existing(path, pos),
        }
    }
}

/// One walk through a source.
struct Walk<'w, 'a> {
    evaluator: &'w Evaluator<'a>,
    filter: Option<Filter<'w>>,
    start: &'w str,
    /// The path as the language sees it, which filters are called with.
    shown: String,
    kept: BTreeSet<String>,
    pos: Pos,
}

impl Walk<'_, '_> {
    fn flat(&self, kind: FileKind) -> Eval<NixHash> {
        if !matches!(kind, FileKind::Regular { .. }) {
            let message = format!("'{}' must be a file, not a {}", self.start, kind.name());
            return Err(Fault::new(ErrorKind::File, self.pos, message));
        }
        let mut writer = HashingWriter::new(std::io::sink());
        let files = self.evaluator.files;
        let (mut reader, _) = files
            .open(self.start)
            .map_err(|error| io(&error, self.pos))?;
        std::io::copy(&mut reader, &mut writer)
            .map_err(|error| read_failure(self.start, &error, self.pos))?;
        Ok(writer.finish().1.into())
    }

    fn archive(&mut self, kind: FileKind) -> Eval<Sha256> {
        let writer = std::io::BufWriter::new(HashingWriter::new(std::io::sink()));
        let pos = self.pos;
        let mut encoder = Encoder::new(writer).map_err(|error| nar(&error, pos))?;
        let start = self.start.to_owned();
        self.entry(&mut encoder, None, &start, "", kind)?;
        let writer = encoder.finish().map_err(|error| nar(&error, pos))?;
        let hasher = writer
            .into_inner()
            .map_err(|error| read_failure(self.start, error.error(), pos))?;
        Ok(hasher.finish().1)
    }

    fn entry<W: std::io::Write>(
        &mut self,
        encoder: &mut Encoder<W>,
        name: Option<&str>,
        path: &str,
        below: &str,
        kind: FileKind,
    ) -> Eval<()> {
        let pos = self.pos;
        self.evaluator.guard(pos)?;
        let files = self.evaluator.files;
        let name = name.map(str::as_bytes);
        match kind {
            FileKind::Regular { executable } => {
                let (mut reader, size) = files.open(path).map_err(|error| io(&error, pos))?;
                let mut file = encoder
                    .regular(name, executable, size)
                    .map_err(|error| nar(&error, pos))?;
                std::io::copy(&mut reader.by_ref().take(size), &mut file)
                    .map_err(|error| read_failure(path, &error, pos))?;
                file.finish().map_err(|error| nar(&error, pos))
            }
            FileKind::Symlink => {
                let target = files.link(path).map_err(|error| io(&error, pos))?;
                encoder
                    .symlink(name, target.as_bytes())
                    .map_err(|error| nar(&error, pos))
            }
            FileKind::Directory => {
                encoder
                    .start_directory(name)
                    .map_err(|error| nar(&error, pos))?;
                for (entry, kind) in self.entries(path)? {
                    let join = |folder: &str| match folder {
                        "" => entry.clone(),
                        folder => format!("{folder}/{entry}"),
                    };
                    let below = join(below);
                    if let Some(filter) = self.filter {
                        let shown = format!("{}/{below}", self.shown.trim_end_matches('/'));
                        if !filter(&shown, kind)? {
                            continue;
                        }
                        self.kept.insert(below.clone());
                    }
                    self.entry(encoder, Some(&entry), &join(path), &below, kind)?;
                }
                encoder.end_directory().map_err(|error| nar(&error, pos))
            }
            FileKind::Other => {
                let message = format!("'{path}' is neither a file, a folder nor a link");
                Err(Fault::new(ErrorKind::File, pos, message))
            }
        }
    }

    /// The entries of a folder in the order of an archive.
    fn entries(&self, path: &str) -> Eval<BTreeMap<String, FileKind>> {
        let files = self.evaluator.files;
        let names = files.list(path).map_err(|error| io(&error, self.pos))?;
        let kinds = names.into_iter().map(|name| {
            let entry = match path {
                "" => name.clone(),
                path => format!("{path}/{name}"),
            };
            let kind = files.kind(&entry).map_err(|error| io(&error, self.pos))?;
            Ok((name, kind.unwrap_or(FileKind::Other)))
        });
        kinds.collect()
    }
}

pub(crate) fn io(error: &FilesError, pos: Pos) -> Fault {
    Fault::new(ErrorKind::File, pos, format!("cannot read {error}"))
}

fn read_failure(path: &str, error: &std::io::Error, pos: Pos) -> Fault {
    Fault::new(ErrorKind::File, pos, format!("cannot read {path}: {error}"))
}

fn nar(error: &NarError, pos: Pos) -> Fault {
    Fault::new(
        ErrorKind::File,
        pos,
        format!("cannot be a store path: {error}"),
    )
}
