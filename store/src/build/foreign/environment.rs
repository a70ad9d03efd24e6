//! What a program is told: its arguments and variables.
//!
//! Without an environment of its own in the plan, a derivation gets what Nix gives it: all attributes as variables or files, the folders of the
//! build, and `SOURCE_DATE_EPOCH`, which is the first moment that a zip archive can hold unless the derivation says
//! otherwise. Placeholders of its own outputs become the paths where they are to be written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use cognix_derivations::{Derivation, STORE_DIR, Sha256, nixbase32, placeholder};

use super::error::ForeignError;
use super::plan::{BUILD_DIRECTORY, Plan};
use super::structured_attributes;

/// 1980-01-01, as in the layers of images.
const SOURCE_DATE_EPOCH: &str = "315532800";

/// What a program is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) args: Vec<OsString>,
    pub(super) env: BTreeMap<OsString, OsString>,
    /// Files in the build folder: attributes that are too long for a variable.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// What the program of a derivation is told. `cores` is a hint.
pub(super) fn tell(
    derivation: &Derivation,
    plan: &Plan,
    cores: usize,
) -> Result<Told, ForeignError> {
    let paths = OwnPaths::of(derivation);
    let args = derivation.args().iter();
    let args = args.map(|arg| OsString::from_vec(paths.put_into(arg.as_bytes())));
    let mut files = BTreeMap::new();
    let env = match &plan.environment {
        Some(environment) => environment
            .iter()
            .map(|(name, value)| (name.clone(), paths.put_into(value.as_bytes())))
            .collect(),
        None => nix_environment(derivation, &paths, cores, &mut files)?,
    };
    let os = OsString::from_vec;
    Ok(Told {
        args: args.collect(),
        env: env
            .into_iter()
            .map(|(name, value)| (os(name.into_bytes()), os(value)))
            .collect(),
        files,
    })
}

fn nix_environment(
    derivation: &Derivation,
    paths: &OwnPaths,
    cores: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Vec<u8>>, ForeignError> {
    let cores = cores.to_string();
    let usual = [
        ("HOME", "/homeless-shelter"),
        ("NIX_BUILD_CORES", &cores),
        ("NIX_STORE", STORE_DIR),
        ("PATH", "/path-not-set"),
        ("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH),
    ];
    let mut env = texts(&usual);
    match structured_attributes::are_used(derivation) {
        true => env.extend(attribute_files(derivation, paths, files)?),
        false => env.extend(attribute_variables(derivation, paths, files)),
    }
    // As with Nix, these cannot be chosen.
    env.extend(texts(&[
        ("NIX_BUILD_TOP", BUILD_DIRECTORY),
        ("NIX_LOG_FD", "2"),
        ("PWD", BUILD_DIRECTORY),
        ("TEMP", BUILD_DIRECTORY),
        ("TEMPDIR", BUILD_DIRECTORY),
        ("TERM", "xterm-256color"),
        ("TMP", BUILD_DIRECTORY),
        ("TMPDIR", BUILD_DIRECTORY),
    ]));
    if derivation.fixed_output().is_some() {
        env.extend(texts(&[("NIX_OUTPUT_CHECKED", "1")]));
    }
    Ok(env)
}

/// A variable for each attribute; those that `passAsFile` names are files.
fn attribute_variables(
    derivation: &Derivation,
    paths: &OwnPaths,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> BTreeMap<String, Vec<u8>> {
    let mut env = BTreeMap::new();
    let as_files = derivation.env_str("passAsFile").unwrap_or_default();
    let as_files: Vec<&str> = as_files.split_ascii_whitespace().collect();
    for (name, value) in derivation.env() {
        let value = paths.put_into(value);
        if as_files.contains(&name.as_str()) {
            let digest = Sha256::of(name.as_bytes());
            let file = format!(".attr-{}", nixbase32::encode(digest.as_bytes()));
            let path = format!("{BUILD_DIRECTORY}/{file}");
            env.insert(format!("{name}Path"), path.into_bytes());
            files.insert(file, value);
        } else {
            env.insert(name.clone(), value);
        }
    }
    env
}

/// All attributes in two files.
fn attribute_files(
    derivation: &Derivation,
    paths: &OwnPaths,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Vec<u8>>, ForeignError> {
    let made = structured_attributes::files(derivation, placeholder)?;
    let mut env = BTreeMap::new();
    for (variable, file, text) in [
        ("NIX_ATTRS_JSON_FILE", ".attrs.json", made.json),
        ("NIX_ATTRS_SH_FILE", ".attrs.sh", made.shell),
    ] {
        let path = format!("{BUILD_DIRECTORY}/{file}");
        env.insert(variable.to_owned(), path.into_bytes());
        files.insert(file.to_owned(), paths.put_into(text.as_bytes()));
    }
    Ok(env)
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

/// Where a derivation's outputs are written, by the texts that stand for them.
struct OwnPaths(Vec<(String, String)>);

impl OwnPaths {
    fn of(derivation: &Derivation) -> Self {
        let outputs = derivation.outputs().keys();
        let paths = outputs.filter_map(|output| {
            let path = derivation.scratch_path(output)?;
            Some((placeholder(output), path.to_string()))
        });
        Self(paths.collect())
    }

    fn put_into(&self, value: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        for (placeholder, path) in &self.0 {
            let mut from = 0;
            while let Some(place) = memchr::memmem::find(&value[from..], placeholder.as_bytes()) {
                let place = from + place;
                value.splice(place..place + placeholder.len(), path.bytes());
                from = place + path.len();
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derivation() -> Derivation {
        Derivation::builder("x")
            .system("x86_64-linux")
            .builder("/bin/sh")
            .arg("-c")
            .arg(format!("echo > {}", placeholder("out")))
            .env("passAsFile", "long")
            .env("long", "text")
            .env("HOME", "/elsewhere")
            .env("TMPDIR", "/elsewhere")
            .floating_output("out")
            .build()
            .expect("a derivation")
    }

    #[test]
    fn box_3_the_environment_is_nix_s_own() {
        let derivation = derivation();
        let out = derivation
            .scratch_path("out")
            .expect("an output")
            .to_string();
        let told = tell(&derivation, &Plan::default(), 3).expect("an environment");
        let env: Vec<String> = told
            .env
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        // A builder of Nix 2.26 sees these in the same derivation, but for SOURCE_DATE_EPOCH and the path of the output.
        assert_eq!(
            env,
            [
                "HOME=/elsewhere".to_owned(),
                "NIX_BUILD_CORES=3".to_owned(),
                "NIX_BUILD_TOP=/build".to_owned(),
                "NIX_LOG_FD=2".to_owned(),
                "NIX_STORE=/nix/store".to_owned(),
                "PATH=/path-not-set".to_owned(),
                "PWD=/build".to_owned(),
                "SOURCE_DATE_EPOCH=315532800".to_owned(),
                "TEMP=/build".to_owned(),
                "TEMPDIR=/build".to_owned(),
                "TERM=xterm-256color".to_owned(),
                "TMP=/build".to_owned(),
                "TMPDIR=/build".to_owned(),
                "builder=/bin/sh".to_owned(),
                "longPath=/build/.attr-1abgkaicv97ky49cl5iad756fl9g9m6mlax1j0a4q1kxqqhz0rpw"
                    .to_owned(),
                "name=x".to_owned(),
                format!("out={out}"),
                "outputHashAlgo=sha256".to_owned(),
                "outputHashMode=recursive".to_owned(),
                "passAsFile=long".to_owned(),
                "system=x86_64-linux".to_owned(),
            ]
        );
        assert_eq!(
            told.files.values().next().map(Vec::as_slice),
            Some(&b"text"[..])
        );
        assert_eq!(
            told.args,
            ["-c".into(), OsString::from(format!("echo > {out}"))]
        );
    }

    #[test]
    fn box_3_an_environment_of_its_own_is_all_there_is() {
        let environment = BTreeMap::from([("A".to_owned(), placeholder("out"))]);
        let plan = Plan {
            environment: Some(environment),
            ..Plan::default()
        };
        let derivation = derivation();
        let told = tell(&derivation, &plan, 3).expect("an environment");
        let out = derivation
            .scratch_path("out")
            .expect("an output")
            .to_string();
        assert_eq!(told.env, BTreeMap::from([("A".into(), out.into())]));
        assert!(told.files.is_empty());
    }
}
