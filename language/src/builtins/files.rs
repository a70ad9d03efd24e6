//! Files of the project, and what becomes a store path of them.

use cognix_derivations::NixHash;

use super::{Builtin, strings};
use crate::error::{ErrorKind, Eval, Fault};
use crate::eval::{Coercion, Evaluator};
use crate::files::FileKind;
use crate::paths;
use crate::source::Pos;
use crate::text::hashes;
use crate::value::{Attr, Context, ContextElement, Thunk, Value};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "filterSource",
        parameters: &["filter", "path"],
        doc: "A folder as a store path, without the entries of which the filter, called with the path and the type of each (`regular`, `directory`, `symlink` or `unknown`), says no.",
        function: |evaluator, arguments, pos| {
            let path = evaluator.path_argument(arguments[1], pos)?;
            let filter = evaluator.function_argument(arguments[0], pos)?;
            let source = Source {
                name: paths::name(&path).to_owned(),
                path,
                filter: Some(filter),
                is_flat: false,
                expected: None,
            };
            source.import(evaluator, pos)
        },
    },
    Builtin {
        name: "hashFile",
        parameters: &["algorithm", "path"],
        doc: "The hash of a file's contents in hexadecimal digits. The algorithm is `md5`, `sha1`, `sha256` or `sha512`.",
        function: |evaluator, arguments, pos| {
            let algorithm = strings::algorithm(evaluator, arguments[0], pos)?;
            let path = evaluator.path_argument(arguments[1], pos)?;
            let contents = evaluator.read_file(&path, pos)?;
            Ok(evaluator.string(NixHash::of(algorithm, &contents).to_hex()))
        },
    },
    Builtin {
        name: "path",
        parameters: &["arguments"],
        doc: "A file or folder as a store path. `path` is where it is, `name` its name in the store, `filter` leaves out entries as that of `filterSource` does, `recursive = false` takes one file's bytes rather than an archive, `sha256` is the hash that it must have.",
        function: path,
    },
    Builtin {
        name: "pathExists",
        parameters: &["path"],
        doc: "Whether something is at a path of the project. A link counts as something, wherever it leads. A string that ends with a slash asks for a folder.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            let wants_folder = match value {
                Value::String(text) => text.bytes.ends_with(b"/") || text.bytes.ends_with(b"/."),
                _ => false,
            };
            let path = evaluator.path_argument(arguments[0], pos)?;
            let kind = kind(evaluator, &path, wants_folder, pos)?;
            Ok(Value::Bool(match kind {
                None => false,
                Some(kind) => !wants_folder || kind == FileKind::Directory,
            }))
        },
    },
    Builtin {
        name: "placeholder",
        parameters: &["output"],
        doc: "A string that stands for the path of an output of the derivation that it is used in, and becomes that path when the derivation is built.",
        function: |evaluator, arguments, pos| {
            let output = evaluator.plain_argument(arguments[0], pos)?;
            let output = evaluator.utf8(output, pos)?;
            Ok(evaluator.string(cognix_derivations::placeholder(&output)))
        },
    },
    Builtin {
        name: "readDir",
        parameters: &["path"],
        doc: "The entries of a folder: a set with the type of each, `regular`, `directory`, `symlink` or `unknown`.",
        function: read_dir,
    },
    Builtin {
        name: "readFile",
        parameters: &["path"],
        doc: "The contents of a file as a string.",
        function: read_file,
    },
    Builtin {
        name: "readFileType",
        parameters: &["path"],
        doc: "The type of what is at a path: `regular`, `directory`, `symlink` or `unknown`.",
        function: |evaluator, arguments, pos| {
            let path = evaluator.path_argument(arguments[0], pos)?;
            match kind(evaluator, &path, false, pos)? {
                Some(kind) => Ok(evaluator.string(kind.name())),
                // Says that it does not exist, and where.
                None => evaluator.existing(&path, pos).map(|_| Value::Null),
            }
        },
    },
    Builtin {
        name: "toFile",
        parameters: &["name", "text"],
        doc: "A text as a file in the store. It may refer to other such files and to sources, not to what derivations make.",
        function: |evaluator, arguments, pos| {
            let name = evaluator.plain_argument(arguments[0], pos)?;
            let name = evaluator.utf8(name, pos)?;
            let (text, context) = evaluator.string_argument(arguments[1], pos)?;
            evaluator.text_file(&name, text, context, pos)
        },
    },
    Builtin {
        name: "toPath",
        parameters: &["path"],
        doc: "A path as a string. It must be absolute; `.`, `..` and needless slashes are removed.",
        function: |evaluator, arguments, pos| {
            let value = evaluator.force(arguments[0])?;
            let (text, context) = evaluator.text(value, Coercion::PLAIN, pos)?;
            let text = evaluator.utf8(&text, pos)?;
            if !text.starts_with('/') {
                let message = format!("string '{text}' does not represent an absolute path");
                return Err(Fault::value(pos, message));
            }
            Ok(evaluator.string_with(paths::canonical(&text).as_bytes(), context))
        },
    },
];

/// What a call wants to have in the store.
struct Source<'a> {
    name: String,
    path: String,
    filter: Option<Value<'a>>,
    is_flat: bool,
    expected: Option<NixHash>,
}

impl<'a> Source<'a> {
    fn import(self, evaluator: &Evaluator<'a>, pos: Pos) -> Eval<Value<'a>> {
        let keeps = |path: &str, kind: FileKind| {
            let Some(filter) = self.filter else {
                return Ok(true);
            };
            let path = evaluator.known(evaluator.string(path));
            let kind = evaluator.known(evaluator.string(kind.name()));
            evaluator.holds(filter, &[path, kind], pos)
        };
        let request = crate::eval::SourceRequest {
            name: self.name,
            filter: match self.filter {
                Some(_) => Some(&keeps),
                None => None,
            },
            is_flat: self.is_flat,
            expected: self.expected,
        };
        // Unlike in a string, a link is what it leads to.
        let (resolved, _) = evaluator.existing(&self.path, pos)?;
        let path = paths::canonical(&format!("{}/{resolved}", evaluator.root));
        let store_path = evaluator.import_source(&path, &request, pos)?;
        let text: &'a str = evaluator.arena.alloc_str(&store_path.to_string());
        let context = evaluator.context(vec![ContextElement::Path(text)]);
        Ok(evaluator.kept_string(text.as_bytes(), context))
    }
}

fn path<'a>(evaluator: &Evaluator<'a>, arguments: &[&'a Thunk<'a>], pos: Pos) -> Eval<Value<'a>> {
    let names = &evaluator.names;
    let given = evaluator.set_argument(arguments[0], pos)?;
    let known = [
        names.path,
        names.name,
        names.filter,
        names.recursive,
        names.sha256,
    ];
    for attr in evaluator.by_name(given) {
        if !known.contains(&attr.name) {
            let name = evaluator.name_text(attr.name);
            let message = format!("unsupported argument '{name}' to 'builtins.path'");
            return Err(Fault::value(attr.pos, message));
        }
    }
    let path = evaluator.required(given, names.path, pos)?;
    let path = evaluator.path_argument(path.value, path.pos)?;
    let name = match given.get(names.name) {
        Some(attr) => evaluator.utf8(evaluator.plain_argument(attr.value, attr.pos)?, attr.pos)?,
        None => String::new(),
    };
    let name = match name.as_str() {
        "" => paths::name(&path).to_owned(),
        _ => name,
    };
    let filter = match given.get(names.filter) {
        Some(attr) => Some(evaluator.function_argument(attr.value, attr.pos)?),
        None => None,
    };
    let is_flat = match given.get(names.recursive) {
        Some(attr) => !flag(evaluator, attr)?,
        None => false,
    };
    let expected = match given.get(names.sha256) {
        Some(attr) => Some(expected_hash(evaluator, attr)?),
        None => None,
    };
    let source = Source {
        name,
        path,
        filter,
        is_flat,
        expected,
    };
    source.import(evaluator, pos)
}

fn flag<'a>(evaluator: &Evaluator<'a>, attr: &Attr<'a>) -> Eval<bool> {
    match evaluator.force(attr.value)? {
        Value::Bool(value) => Ok(value),
        other => Err(evaluator.expected("a Boolean", other, attr.pos)),
    }
}

fn expected_hash<'a>(evaluator: &Evaluator<'a>, attr: &Attr<'a>) -> Eval<NixHash> {
    let text = evaluator.plain_argument(attr.value, attr.pos)?;
    let algorithm = Some(cognix_derivations::HashAlgorithm::Sha256);
    hashes::parse(&String::from_utf8_lossy(text), algorithm)
        .map_err(|error| Fault::value(attr.pos, error.to_string()))
}

/// What is at a path, without following a link at its end unless asked to.
fn kind(evaluator: &Evaluator<'_>, path: &str, follow: bool, pos: Pos) -> Eval<Option<FileKind>> {
    let Some(resolved) = evaluator.resolve_path(path, follow, pos)? else {
        return Ok(None);
    };
    evaluator
        .files
        .kind(&resolved)
        .map_err(|error| Fault::new(ErrorKind::File, pos, format!("cannot read {error}")))
}

fn read_dir<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let path = evaluator.path_argument(arguments[0], pos)?;
    let (resolved, found) = evaluator.existing(&path, pos)?;
    if found != FileKind::Directory {
        let message = format!("'{}' is not a folder", evaluator.shown(&path));
        return Err(Fault::new(ErrorKind::File, pos, message));
    }
    let failure =
        |error: crate::FilesError| Fault::new(ErrorKind::File, pos, format!("cannot read {error}"));
    // A filter kept only some of what is in the folder.
    let source = evaluator.in_source(&path).map(|(source, _)| source);
    let mut entries = Vec::new();
    for name in evaluator.files.list(&resolved).map_err(failure)? {
        let below = match resolved.as_str() {
            "" => name.clone(),
            folder => format!("{folder}/{name}"),
        };
        if source.as_ref().is_some_and(|source| !source.holds(&below)) {
            continue;
        }
        let kind = evaluator.files.kind(&below).map_err(failure)?;
        let kind = kind.unwrap_or(FileKind::Other).name();
        entries.push(Attr {
            name: evaluator.symbol(name),
            pos: Pos::NONE,
            value: evaluator.known(evaluator.string(kind)),
        });
    }
    Ok(evaluator.attrs(entries))
}

fn read_file<'a>(
    evaluator: &Evaluator<'a>,
    arguments: &[&'a Thunk<'a>],
    pos: Pos,
) -> Eval<Value<'a>> {
    let path = evaluator.path_argument(arguments[0], pos)?;
    let contents = evaluator.read_file(&path, pos)?;
    if contents.contains(&0) {
        let message = format!(
            "'{}' holds a null byte, which no string can",
            evaluator.shown(&path)
        );
        return Err(Fault::new(ErrorKind::File, pos, message));
    }
    evaluator.room_for(contents.len(), pos)?;
    Ok(evaluator.string_with(&contents, Context::EMPTY))
}
