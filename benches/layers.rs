//! How many bytes ten changes of a large model move, by how its image is cut into layers.
//!
//! A model of some three hundred wheels is locked, changed and locked again, ten times, with the machine's own package
//! sources; nothing is fetched but indexes and the ends of wheels. Every lock is planned, and a layer that no earlier plan
//! had has to be moved: to a registry, and from there to every machine. The size of a layer is that of the files it is
//! made from, which is close to what it has when it is built.
//!
//! Beside cognix's layers: a layer for every single package, which no engine takes when there are more than 127; two
//! layers, Debian packages and wheels, as a Dockerfile with one `apt-get install` and one `pip install` has them; and one.

#[expect(dead_code, reason = "bytes are counted here, and no time is measured")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;
use support::{Problem, because, finish, succeed, table};

/// What the model asks for at first.
const REQUIREMENTS: &str = include_str!("support/requirements.txt");
/// Nothing newer is looked at, so that two runs tell the same story.
const CUTOFF: &str = "2026-02-01";
const LATER: &str = "2026-02-15";

/// What is done to the model.
enum Change {
    Replace(&'static str, &'static str),
    Add(&'static str),
    Remove(&'static str),
    Debian(&'static str),
    /// Newer versions of these packages, or of all.
    Update(&'static [&'static str]),
}

const CHANGES: [(&str, Change); 10] = [
    (
        "numpy 2.2.5 to 2.2.6",
        Change::Replace("numpy==2.2.5", "numpy==2.2.6"),
    ),
    ("add humanize, a small package", Change::Add("humanize")),
    ("remove seaborn", Change::Remove("seaborn")),
    ("add git with apt", Change::Debian("[git]")),
    ("add catboost, a large package", Change::Add("catboost")),
    ("update certifi", Change::Update(&["certifi"])),
    (
        "ruff 0.11.11 to 0.11.12",
        Change::Replace("ruff==0.11.11", "ruff==0.11.12"),
    ),
    ("remove wandb", Change::Remove("wandb")),
    ("add ffmpeg with apt", Change::Debian("[git, ffmpeg]")),
    ("update everything, two weeks later", Change::Update(&[])),
];

fn main() -> ExitCode {
    finish(simulate())
}

fn simulate() -> Result<String, Problem> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.map_err(because("cannot make a folder"))?;
    let model = Model::new(folder.path())?;
    model.lock(&["--exclude-newer", CUTOFF])?;
    let mut before = model.plan()?;
    let mut rows = vec![
        [
            "",
            "wheels",
            "layers",
            "new",
            "cognix",
            "one per package",
            "two layers",
            "one layer",
        ]
        .map(str::to_owned)
        .to_vec(),
        before.row("at first", before.layers.len(), before.everything()),
    ];
    let mut sums = Moved::default();
    for (name, change) in &CHANGES {
        model.apply(change)?;
        let after = model.plan()?;
        let moved = after.moved(&before);
        rows.push(after.row(name, after.new_layers(&before), moved));
        sums.add(moved);
        before = after;
    }
    rows.push(before.row("ten changes", 0, sums));
    Ok(format!(
        "\nbytes that ten changes move, in MB, by how the image is cut\n\n{}",
        table(&rows)
    ))
}

/// A model's folder and a store.
struct Model {
    folder: PathBuf,
    store: PathBuf,
}

impl Model {
    fn new(folder: &Path) -> Result<Self, Problem> {
        let model = Self {
            folder: folder.join("model"),
            store: folder.join("store"),
        };
        std::fs::create_dir(&model.folder).map_err(because("cannot make a folder"))?;
        model.write("requirements.txt", REQUIREMENTS)?;
        model.write("predict.py", "")?;
        model.write_configuration("[]")?;
        Ok(model)
    }

    fn write_configuration(&self, debian: &str) -> Result<(), Problem> {
        self.write(
            "cog.yaml",
            &format!(
                "build:\n  python_version: \"3.11\"\n  python_requirements: requirements.txt\n  system_packages: {debian}\n\
                 run: predict.py:Predictor\n"
            ),
        )
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Problem> {
        std::fs::write(self.folder.join(name), text).map_err(because(name))
    }

    fn apply(&self, change: &Change) -> Result<(), Problem> {
        let file = self.folder.join("requirements.txt");
        let text = std::fs::read_to_string(&file).map_err(because(file.display()))?;
        let named = |line: &&str, name: &str| *line == name;
        let lines = |keep: &dyn Fn(&&str) -> bool| -> String {
            let kept = text.lines().filter(|line| keep(line));
            kept.map(|line| format!("{line}\n")).collect()
        };
        match change {
            Change::Replace(from, to) => self.write("requirements.txt", &text.replace(from, to))?,
            Change::Add(name) => self.write("requirements.txt", &format!("{text}{name}\n"))?,
            Change::Remove(name) => {
                self.write("requirements.txt", &lines(&|line| !named(line, name)))?;
            }
            Change::Debian(names) => self.write_configuration(names)?,
            Change::Update(names) => {
                let mut arguments = vec!["--exclude-newer", LATER, "--update"];
                let Some((first, rest)) = names.split_first() else {
                    return self.lock(&arguments);
                };
                arguments.push(first);
                for name in rest {
                    arguments.extend(["--update", name]);
                }
                return self.lock(&arguments);
            }
        }
        self.lock(&["--exclude-newer", CUTOFF])
    }

    fn cognix(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cognix"));
        command.arg("--store").arg(&self.store);
        command
    }

    fn lock(&self, arguments: &[&str]) -> Result<(), Problem> {
        let mut command = self.cognix();
        // The folder first: `--update` takes what follows it.
        succeed(command.arg("lock").arg(&self.folder).args(arguments)).map(|_| ())
    }

    fn plan(&self) -> Result<Plan, Problem> {
        let mut command = self.cognix();
        command
            .args(["plan", "--locked", "--format", "json"])
            .arg(&self.folder);
        let output = succeed(&mut command)?;
        let value = serde_json::from_slice(&output.stdout).map_err(because("the plan"))?;
        Plan::read(&value).ok_or_else(|| "the plan lacks something".to_owned())
    }
}

/// An image before it is built.
struct Plan {
    /// By derivation: how many bytes the layer is made from.
    layers: BTreeMap<String, u64>,
    /// Every package by kind, name and version, with its size.
    packages: BTreeMap<(String, String, String), u64>,
}

impl Plan {
    fn read(value: &Value) -> Option<Self> {
        let (mut layers, mut packages) = (BTreeMap::new(), BTreeMap::new());
        for layer in value["layers"].as_array()? {
            let kind = layer["group"].as_str()?;
            layers.insert(
                layer["drvPath"].as_str()?.to_owned(),
                layer["fetchBytes"].as_u64()?,
            );
            for held in layer["holds"].as_array()? {
                let [name, version] = ["name", "version"].map(|key| held[key].as_str());
                let key = (kind.to_owned(), name?.to_owned(), version?.to_owned());
                packages.insert(key, held["size"].as_u64()?);
            }
        }
        Some(Self { layers, packages })
    }

    fn everything(&self) -> Moved {
        self.moved(&Self {
            layers: BTreeMap::new(),
            packages: BTreeMap::new(),
        })
    }

    fn moved(&self, before: &Self) -> Moved {
        let new = |key: &&(String, String, String)| !before.packages.contains_key(*key);
        let kinds: BTreeSet<&str> = self
            .packages
            .keys()
            .filter(new)
            .chain(
                before
                    .packages
                    .keys()
                    .filter(|key| !self.packages.contains_key(*key)),
            )
            .map(|(kind, _, _)| kind.as_str())
            .collect();
        let sum = |wanted: &dyn Fn(&(String, String, String)) -> bool| {
            let sizes = self.packages.iter().filter(|(key, _)| wanted(key));
            sizes.map(|(_, size)| size).sum()
        };
        Moved {
            cognix: self
                .layers
                .iter()
                .filter(|(layer, _)| !before.layers.contains_key(*layer))
                .map(|(_, size)| size)
                .sum(),
            each: sum(&|key| new(&key)),
            two: sum(&|(kind, _, _)| kinds.contains(kind.as_str())),
            one: sum(&|_| !kinds.is_empty()),
        }
    }

    fn new_layers(&self, before: &Self) -> usize {
        let layers = self.layers.keys();
        layers
            .filter(|layer| !before.layers.contains_key(*layer))
            .count()
    }

    fn row(&self, name: &str, new: usize, moved: Moved) -> Vec<String> {
        let wheels = self
            .packages
            .keys()
            .filter(|(kind, _, _)| kind == "wheel")
            .count();
        let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
        let counts = [wheels, self.layers.len(), new].map(|count| count.to_string());
        let sizes = [moved.cognix, moved.each, moved.two, moved.one].map(megabytes);
        [name.to_owned()]
            .into_iter()
            .chain(counts)
            .chain(sizes)
            .collect()
    }
}

/// Bytes that a change moves.
#[derive(Debug, Default, Clone, Copy)]
struct Moved {
    cognix: u64,
    each: u64,
    two: u64,
    one: u64,
}

impl Moved {
    fn add(&mut self, other: Self) {
        self.cognix += other.cognix;
        self.each += other.each;
        self.two += other.two;
        self.one += other.one;
    }
}
