//! Every key of a spec: what it takes, what it is without one, what it does.
//!
//! The table decides which keys there are (anything else is refused) and is the reference page. A `*` stands for a name
//! that the spec chooses.

/// One key.
pub struct SpecOption {
    /// The path to it.
    pub path: &'static str,
    /// What it takes.
    pub kind: &'static str,
    /// What holds where it is not set; empty where nothing does.
    pub default: &'static str,
    /// What it does. Markdown.
    pub doc: &'static str,
}

const fn option(
    path: &'static str,
    kind: &'static str,
    default: &'static str,
    doc: &'static str,
) -> SpecOption {
    SpecOption {
        path,
        kind,
        default,
        doc,
    }
}

/// The table, in the order of the reference page.
pub const OPTIONS: &[SpecOption] = &[
    option("description", "string", "", "A sentence for people."),
    option(
        "inputs.*.type",
        "`\"pypi\"`, `\"debian\"`, `\"index\"`, `\"url\"`, `\"path\"` or `\"oci\"`",
        "",
        "How a source is read: the machine's own Python index or a mirror of it, a Debian archive, a further Python index, \
         a file at an address (or a folder of files), files of the project, an image of a registry.",
    ),
    option(
        "inputs.*.url",
        "string",
        "the machine's own settings, for `pypi` and `debian`",
        "The address: `https`, `http` or `file`, without credentials.",
    ),
    option(
        "inputs.*.follows",
        "name of another input",
        "",
        "Makes this name another one of that input.",
    ),
    option(
        "inputs.*.packages",
        "list of strings",
        "every package",
        "For Python indexes: the packages that come from this index and from no other; nothing else comes from it.",
    ),
    option(
        "inputs.*.suites",
        "list of strings",
        "",
        "For Debian archives: the suites. An image uses those of its release and those whose names say no release.",
    ),
    option(
        "inputs.*.components",
        "list of strings",
        "",
        "For Debian archives: `main`, `contrib`, `non-free` and the like.",
    ),
    option(
        "inputs.*.keys",
        "list of paths",
        "Debian's own keys",
        "For Debian archives: files of the project with the keys that sign the archive. They, and no others, may then sign \
         for it.",
    ),
    option(
        "inputs.*.releases.*",
        "SHA-256",
        "",
        "For Debian archives of the past: the hash of a suite's `InRelease`, which then may have expired.",
    ),
    option(
        "inputs.*.sha256",
        "SHA-256",
        "recorded by `cognix lock`",
        "For `url`: the hash of the file. Without one, the file is fetched once when locking.",
    ),
    option(
        "inputs.*.path",
        "path",
        "",
        "For `path`: a file or folder of the project.",
    ),
    option(
        "inputs.*.reference",
        "string",
        "",
        "For `oci`: the image, as in `registry.example/name:tag`.",
    ),
    option(
        "inputs.*.digest",
        "SHA-256",
        "",
        "For `oci`: the digest of the image's manifest.",
    ),
    option(
        "inputs.*.archives.platform",
        "`\"linux/amd64\"` or `\"linux/arm64\"`",
        "",
        "In the list of `archives`, interpreters of one's own: what the interpreter runs on.",
    ),
    option(
        "inputs.*.archives.version",
        "string",
        "",
        "In the list of `archives`: the interpreter's whole version, as in `\"3.12.4\"`.",
    ),
    option(
        "inputs.*.archives.path",
        "string",
        "",
        "In the list of `archives`: where the archive is below the input's address.",
    ),
    option(
        "inputs.*.archives.sha256",
        "SHA-256",
        "",
        "In the list of `archives`: the hash of the archive.",
    ),
    option(
        "platforms",
        "list of `\"linux/amd64\"`, `\"linux/arm64\"`",
        "`[ \"linux/amd64\" ]`",
        "What images are built for.",
    ),
    option(
        "base.tier",
        "`\"minimal\"`, `\"shell\"` or `\"essential\"`",
        "`\"essential\"`",
        "How much of a Debian system lies below a model.",
    ),
    option(
        "base.packages",
        "list of strings",
        "certificates, time zones, `tini` and the libraries that wheels expect",
        "Debian packages below every model, apart from the interpreter.",
    ),
    option(
        "base.recommends",
        "Boolean",
        "`false`",
        "Whether packages that are only recommended come along.",
    ),
    option(
        "base.leaveOutScripts",
        "list of strings",
        "`[ ]`",
        "Debian packages whose maintainer scripts are not run, where one fails or makes something else every time. What rules \
         make instead of scripts is made all the same.",
    ),
    option(
        "layers.budget",
        "integer from 1 to 126",
        "`100`",
        "The largest number of layers.",
    ),
    option(
        "layers.grouping",
        "string",
        "`\"largest-alone-16-by-name-1\"`",
        "The rule by which packages share layers where there are more packages than layers.",
    ),
    option(
        "layers.conflicts.*",
        "name of a package",
        "",
        "Which package keeps an image path that several bring with different contents.",
    ),
    option(
        "layers.recipes.tree",
        "string",
        "`\"gzip-libdeflate-1.26-6-1m\"`",
        "How the bytes of layers made of files are made.",
    ),
    option(
        "layers.recipes.wheel",
        "string",
        "`\"gzip-wheel-splice-1\"`",
        "How the bytes of layers made of wheels are made.",
    ),
    option(
        "wheels.waivers",
        "list of SHA-256",
        "`[ ]`",
        "Hashes of wheels whose files may differ from what their `RECORD` says.",
    ),
    option(
        "wheels.noBinary",
        "list of strings",
        "`[ ]`",
        "Python packages that are built from source even where there are wheels, as with pip's `--no-binary`; `:all:` are \
         those of the model.",
    ),
    option(
        "wheels.buildPackages",
        "list of strings",
        "`[ ]`",
        "Debian packages that are there while Python packages are built from source, besides a compiler, `make`, `patch`, \
         `pkg-config`, Python's headers and the model's system packages. They are no part of an image.",
    ),
    option(
        "run.network",
        "Boolean",
        "`false`",
        "Whether `cognix lock` may run commands of `build.run` with the machine's network where they fail without one, and \
         record what they make; `--allow-network` says it for one run.",
    ),
    option(
        "bytecode",
        "Boolean",
        "`true`",
        "Whether the image holds Python's bytecode, so that nothing is compiled when a container starts. It is made by the \
         image's own Python, in a sandbox.",
    ),
    option(
        "outputs",
        "function",
        "`{ self, ... }: { }`",
        "What is made of the inputs: called with `self` (what it returns, with `inputs`), `cognix` (the library) and the inputs \
         by name.",
    ),
    option(
        "images.*.python",
        "string",
        "as in `cog.yaml`",
        "Python's version, as in `\"3.12\"`.",
    ),
    option(
        "images.*.packages",
        "list of strings",
        "`[ ]`",
        "Requirement lines. One about a package that the model's requirements name takes that line's place, others are added.",
    ),
    option(
        "images.*.systemPackages",
        "list of strings",
        "`[ ]`",
        "Debian packages, besides those of `cog.yaml`.",
    ),
    option(
        "images.*.gpu",
        "Boolean",
        "as in `cog.yaml`",
        "Whether the image is for a GPU.",
    ),
    option(
        "images.*.cuda",
        "string",
        "as in `cog.yaml`",
        "CUDA's version, as in `\"12.4\"`.",
    ),
    option(
        "images.*.cudnn",
        "string",
        "as in `cog.yaml`",
        "cuDNN's version, as in `\"9\"`.",
    ),
    option(
        "images.*.torch.mode",
        "`\"wheel\"` or `\"source\"`",
        "`\"wheel\"`",
        "Whether torch is a wheel that somebody built or is built from source.",
    ),
    option(
        "images.*.torch.version",
        "string",
        "as the requirements say",
        "The version of torch.",
    ),
    option(
        "images.*.torch.gpuArchs",
        "list of strings",
        "`[ ]`",
        "Compute capabilities that torch is built for, as in `[ \"5.2\" ]`.",
    ),
    option(
        "images.*.environment.*",
        "string",
        "",
        "Variables that the image runs with, over those of `cog.yaml`.",
    ),
    option(
        "images.*.platforms",
        "list of platforms",
        "the spec's `platforms`",
        "What the image is built for.",
    ),
    option(
        "images.*.bytecode",
        "Boolean",
        "the spec's",
        "See `bytecode`.",
    ),
    option(
        "images.*.base.tier",
        "as `base.tier`",
        "the spec's",
        "See `base.tier`.",
    ),
    option(
        "images.*.base.packages",
        "list of strings",
        "the spec's",
        "See `base.packages`.",
    ),
    option(
        "images.*.base.recommends",
        "Boolean",
        "the spec's",
        "See `base.recommends`.",
    ),
    option(
        "images.*.base.leaveOutScripts",
        "list of strings",
        "the spec's",
        "See `base.leaveOutScripts`.",
    ),
    option(
        "images.*.layers.budget",
        "integer from 1 to 126",
        "the spec's",
        "See `layers.budget`.",
    ),
    option(
        "images.*.layers.grouping",
        "string",
        "the spec's",
        "See `layers.grouping`.",
    ),
    option(
        "images.*.layers.conflicts.*",
        "name of a package",
        "the spec's",
        "See `layers.conflicts`.",
    ),
    option(
        "images.*.compression.tree",
        "string",
        "the spec's",
        "See `layers.recipes.tree`.",
    ),
    option(
        "images.*.compression.wheel",
        "string",
        "the spec's",
        "See `layers.recipes.wheel`.",
    ),
    option(
        "images.*.extraPackages",
        "list of derivations, or of sets with `package`, `destination` and `name`",
        "`[ ]`",
        "What comes into the image besides, each as a layer of its own. `destination` is a folder of the image.",
    ),
    option(
        "images.*.overrides",
        "function `final: prev: { … }`",
        "`final: prev: { }`",
        "Python packages of this image that are others than the requirements would give, over those of `overrides`.",
    ),
    option("packages.*", "derivation", "", "Derivations of one's own."),
    option(
        "overrides",
        "function `final: prev: { … }`",
        "`final: prev: { }`",
        "Python packages that are others than the requirements would give, in every image: \
         `prev.NAME.override { version = \"…\"; }` pins a version, `prev.NAME.overrideAttrs (old: { … })` changes the derivation, \
         and any derivation with a `version` takes the package's place.",
    ),
];

/// The keys that a set at a path of the table may have; any key where there is a `*`, which then is among them.
pub(super) fn keys_below(schema: &str) -> Vec<&'static str> {
    let mut keys: Vec<&'static str> = Vec::new();
    for option in OPTIONS {
        let rest = match schema {
            // Outputs are no keys of the file.
            "" if is_output(option.path) => None,
            "" => Some(option.path),
            "outputs" if is_output(option.path) => Some(option.path),
            "outputs" => None,
            schema => option
                .path
                .strip_prefix(schema)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        if let Some(key) = rest.and_then(|rest| rest.split('.').next())
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    // The list of archives is a key whose items have keys.
    keys.sort_unstable();
    keys
}

/// Whether a key stands in what `outputs` returns, not in the file's own set.
fn is_output(path: &str) -> bool {
    let first = path.split('.').next().unwrap_or_default();
    ["images", "packages", "overrides"].contains(&first)
}

/// The reference page of specs: every key of the table, and every function of the library with what its source says.
pub fn reference() -> String {
    let mut text = include_str!("reference.md").to_owned();
    let mut section = "";
    for option in OPTIONS {
        let first = option.path.split('.').next().unwrap_or_default();
        if first != section {
            section = first;
            let of = match is_output(section) {
                true => " of `outputs`",
                false => "",
            };
            text.push_str(&format!("\n## `{section}`{of}\n"));
        }
        let path = option.path.replace('*', "NAME");
        text.push_str(&format!("\n### `{path}`\n\n{}\n\n", option.doc));
        text.push_str(&format!("* Type: {}\n", option.kind));
        if !option.default.is_empty() {
            text.push_str(&format!("* Default: {}\n", option.default));
        }
    }
    text.push_str("\n## The library `cognix`\n");
    for (signature, doc) in library() {
        text.push_str(&format!("\n### `{signature}`\n\n{doc}\n"));
    }
    text
}

/// What the library's source says of each of its functions: the comment before it.
fn library() -> Vec<(String, String)> {
    let lines = super::evaluate::LIBRARY.lines();
    let inside = lines
        .skip_while(|line| *line != "  cognix = {")
        .skip(1)
        .take_while(|line| *line != "  };");
    let mut functions = Vec::new();
    let mut comment = String::new();
    for line in inside {
        let Some(entry) = line.strip_prefix("    ") else {
            comment.clear();
            continue;
        };
        if let Some(words) = entry.strip_prefix("# ") {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(words);
        } else if !comment.is_empty()
            && let Some((name, value)) = entry.split_once(" = ")
        {
            // `{ a, b ? c }:` or `{ … }@arguments:`, all in one line.
            let end = value.find("}@").or_else(|| value.find("}:"));
            let parameters = match end {
                Some(end) if value.starts_with("{ ") => format!(" {}", &value[..=end]),
                _ => String::new(),
            };
            functions.push((
                format!("cognix.{name}{parameters}"),
                std::mem::take(&mut comment),
            ));
        } else {
            comment.clear();
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page in `docs/` is the one that the table makes. `COGNIX_BLESS=1` writes it.
    #[test]
    fn the_reference_page_is_that_of_the_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/spec.md");
        let page = reference();
        if std::env::var_os("COGNIX_BLESS").is_some() {
            std::fs::write(&path, &page).expect("the page");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/spec.md is not what the table of options makes; write it with COGNIX_BLESS=1 cargo test --lib reference_page"
        );
    }

    #[test]
    fn every_function_of_the_library_is_described() {
        let names: Vec<String> = library()
            .into_iter()
            .map(|(signature, _)| signature.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "cognix.system",
                "cognix.fetchurl",
                "cognix.deb",
                "cognix.wheel",
                "cognix.root",
                "cognix.mkDerivation",
                "cognix.torch.fromSource",
            ]
        );
    }
}
