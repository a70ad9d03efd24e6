//! Python's bytecode: made beforehand by the image's own interpreter, in a sandbox.
//!
//! One derivation for each wheel, one for the model's files and one for what Debian or a standalone interpreter brings.
//! The files are of the kind that is never compared with its source (`unchecked-hash`, PEP 552), because the times in
//! an image say nothing. Where commands are run on the packages, which may edit a module, they are of the kind that is
//! compared with the source's hash. `compile.py` says how they are made, compiled twice and compared.
//!
//! The sandbox holds the interpreter and what it is linked with, not the whole image, and the wheel as a file: so a
//! package's bytecode is made anew only when it or the interpreter changes. The C library's loader starts the interpreter, for the
//! links that would lead there are part of the system's configuration, which changes with every package.

use cognix_derivations::{Derivation, StorePath};
use cognix_store::build::foreign::{ATTRIBUTE, Entry, Plan};
use serde::Serialize;

use super::interpreter::{self, InterpreterFetch};
use super::system_packages::{Deb, Tree, TreeLayer};
use super::{Instantiation, RecipeError, RunSteps, json};
use crate::lock::platform::PythonVersion;
use crate::lock::{Architecture, LockedInterpreter, LockedPlatform, LockedWheel};

/// What makes the files.
const SCRIPT: &str = include_str!("compile.py");
/// How the derivations are called, after the package.
const NAME: &str = "-bytecode";
/// The output that lists the modules without bytecode, a line each, with the reason.
pub const REPORT: &str = "report";
/// Debian packages that an interpreter is linked with or imports from, besides those named after its version.
const LINKED: [&str; 4] = ["libc6", "libexpat1", "libgcc-s1", "zlib1g"];
/// Where Debian's packages have their modules, and how the names of those begin that have any besides the interpreter's.
const DEBIAN_MODULES: (&str, &str) = ("usr/lib", "python3-");

/// What a derivation of bytecode compiles, from its name.
pub fn compiled_package(derivation: &str) -> Option<&str> {
    derivation.strip_suffix(NAME)
}

/// Compiles for one image.
pub(super) struct Compiler<'a> {
    lock: LockedPlatform<'a>,
    python: PythonVersion,
    /// What has the standard library: Debian packages or the standalone interpreter.
    library: Vec<StorePath>,
    /// Debian packages of modules.
    modules: Vec<StorePath>,
    /// What the sandbox is made of. The library's bytecode is there as soon as it is made.
    root: Vec<StorePath>,
    /// Whether modules may still change.
    checked: bool,
}

/// One place that modules come from, as `compile.py` reads it.
#[derive(Debug, Default, Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    below: &'a str,
    from: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    omit: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    prefix: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    to: &'a str,
}

impl<'a> Compiler<'a> {
    /// What compiling for an image needs of it.
    pub(super) fn new(
        lock: LockedPlatform<'a>,
        python: PythonVersion,
        debs: &[Deb<'_>],
        interpreter: Option<&InterpreterFetch>,
        steps: &RunSteps,
    ) -> Self {
        let own = [
            format!("python{python}"),
            format!("python{python}-minimal"),
            format!("libpython{python}-minimal"),
            format!("libpython{python}-stdlib"),
        ];
        let paths = |wanted: &dyn Fn(&str) -> bool| -> Vec<StorePath> {
            let debs = debs.iter();
            let wanted = debs.filter(|deb| wanted(&deb.locked.name));
            wanted.map(|deb| deb.unpacked.clone()).collect()
        };
        let library = match interpreter {
            Some(standalone) => vec![standalone.unpacked.clone()],
            None => paths(&|name| own.iter().any(|own| own == name)),
        };
        let mut root = paths(&|name| LINKED.contains(&name));
        root.extend(library.iter().cloned());
        Self {
            lock,
            python,
            library,
            // A standalone interpreter looks for none there.
            modules: match interpreter {
                Some(_) => Vec::new(),
                None => paths(&|name| name.starts_with(DEBIAN_MODULES.1)),
            },
            root,
            checked: !steps.commands.is_empty(),
        }
    }

    /// Adds the bytecode of what comes with the interpreter and with Debian's packages, as a layer. From then on the
    /// interpreter starts with it.
    pub(super) fn standard_library(
        &mut self,
        builder: &mut Instantiation,
    ) -> Result<(), RecipeError> {
        let library = self.trees(builder, "python", &self.library)?;
        self.root.push(library.clone());
        let mut derivations = vec![library];
        if !self.modules.is_empty() {
            derivations.push(self.trees(builder, "debian-modules", &self.modules)?);
        }
        let layer = TreeLayer {
            name: "python-bytecode",
            group: "python",
            prefix: "",
            trees: derivations.iter().map(Tree::of).collect(),
            fetches: Vec::new(),
            holds: Vec::new(),
        };
        layer.add(builder, self.lock)
    }

    /// Adds the bytecode of files that lie at the root.
    fn trees(
        &self,
        builder: &mut Instantiation,
        name: &str,
        trees: &[StorePath],
    ) -> Result<StorePath, RecipeError> {
        let below = match self.lock.interpreter {
            LockedInterpreter::Debian { .. } => DEBIAN_MODULES.0,
            LockedInterpreter::Standalone(_) => "",
        };
        let source = |tree: &StorePath| Source {
            below,
            from: builder.reference(tree, "out"),
            ..Source::default()
        };
        let sources: Vec<_> = trees.iter().map(source).collect();
        self.compile(builder, name, &sources, trees, None)
    }

    /// Adds the bytecode of one wheel, from its file.
    pub(super) fn wheel(
        &self,
        builder: &mut Instantiation,
        wheel: &LockedWheel,
        file: &StorePath,
    ) -> Result<StorePath, RecipeError> {
        let sources = [Source {
            from: builder.reference(file, "out"),
            omit: &wheel.omit,
            to: &format!("venv/lib/python{}/site-packages", self.python),
            ..Source::default()
        }];
        self.compile(
            builder,
            &wheel.name,
            &sources,
            std::slice::from_ref(file),
            None,
        )
    }

    /// Adds the bytecode of files that take a wheel's place.
    pub(super) fn replacement(
        &self,
        builder: &mut Instantiation,
        wheel: &LockedWheel,
        tree: &StorePath,
    ) -> Result<StorePath, RecipeError> {
        let sources = [Source {
            from: builder.reference(tree, "out"),
            omit: &wheel.omit,
            ..Source::default()
        }];
        self.compile(
            builder,
            &wheel.name,
            &sources,
            std::slice::from_ref(tree),
            None,
        )
    }

    /// Adds the bytecode of the model's own files.
    pub(super) fn model(
        &self,
        builder: &mut Instantiation,
        source: &StorePath,
        prefix: &str,
    ) -> Result<StorePath, RecipeError> {
        let sources = [Source {
            from: source.to_string(),
            prefix,
            ..Source::default()
        }];
        self.compile(builder, "source", &sources, &[], Some(source))
    }

    fn compile(
        &self,
        builder: &mut Instantiation,
        name: &str,
        sources: &[Source<'_>],
        inputs: &[StorePath],
        file: Option<&StorePath>,
    ) -> Result<StorePath, RecipeError> {
        let architecture = self.lock.architecture;
        let loader = match architecture {
            Architecture::Amd64 => "ld-linux-x86-64.so.2",
            Architecture::Arm64 => "ld-linux-aarch64.so.1",
        };
        let loader = format!("/usr/lib/{}/{loader}", architecture.triplet());
        let home = interpreter::home(self.lock.interpreter);
        let interpreter = format!("{home}/python{}", self.python);
        // Nothing of `site`, no bytecode of its own.
        let python = [&loader, &interpreter, "-S", "-s", "-B", "-W", "ignore"];
        let root = self.root.iter();
        let plan = Plan {
            root: root
                .map(|tree| Entry::tree(builder.reference(tree, "out")))
                .collect(),
            ..Plan::default()
        };
        let mut derivation = Derivation::builder(&format!("{name}{NAME}"))
            .floating_output("out")
            .floating_output(REPORT)
            .system(&format!("{}-linux", architecture.machine()))
            .builder(&loader)
            .env("PYTHONHASHSEED", "0")
            .env("PYTHONUTF8", "1")
            .env("python", json(&python))
            .env(ATTRIBUTE, plan.to_json())
            .env("sources", json(&sources));
        for argument in python[1..].iter().chain(&["-c", SCRIPT, SCRIPT]) {
            derivation = derivation.arg(*argument);
        }
        // The model's own files come after all commands.
        if self.checked && file.is_none() {
            derivation = derivation.env("checked", "1");
        }
        for input in self.root.iter().chain(inputs) {
            derivation = derivation.input_derivation(input, "out");
        }
        if let Some(file) = file {
            derivation = derivation.input_source(file);
        }
        builder.add(&format!("the bytecode of {name}"), derivation.build())
    }
}

#[cfg(all(test, feature = "sandbox-tests"))]
mod tests;
