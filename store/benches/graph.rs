//! Ten thousand derivations, made and written to a store: what a large package set costs without its evaluation.
//!
//! The graph is that of `graph.nix` beside this file, so its paths are those that a real Nix gives it.

use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use cognix_derivations::{
    ContentAddress, DerivationBuilder, DerivationGraph, NixHash, Output, Sha256, StorePath,
    downstream_placeholder,
};
use cognix_store::Store;

const COUNT: u64 = 10_000;
const RUNS: usize = 7;

/// What a real Nix gives for `graph.nix`: a digest of all paths.
const EXPECTED: &str = "268c1fbbf19fb99fd5cd78a4e01fff3353e0af3baf571e96c8355edca8d9cedb";

fn main() -> Result<(), Box<dyn Error>> {
    let mut making = Vec::new();
    let mut graph = DerivationGraph::new();
    for _ in 0..RUNS {
        let (took, made) = timed(make)?;
        making.push(took);
        graph = made;
    }
    let mut writing = Vec::new();
    // Nothing is removed before the end: a file system may be slow where files have just been removed.
    let folder = tempfile::tempdir_in(".")?;
    for run in 0..RUNS {
        let store = Store::open(&folder.path().join(run.to_string()))?;
        writing.push(timed(|| Ok(store.add_derivations(&graph)?))?.0);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "make {COUNT} derivations: {}", describe(&mut making))?;
    writeln!(out, "add them to a store:     {}", describe(&mut writing))?;
    Ok(())
}

fn timed<T>(
    work: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<(Duration, T), Box<dyn Error>> {
    let start = Instant::now();
    let value = work()?;
    Ok((start.elapsed(), value))
}

fn describe(times: &mut [Duration]) -> String {
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    format!(
        "{:.1} ms at best, {:.1} ms in the middle of {} runs",
        milliseconds(times[0]),
        milliseconds(times[times.len() / 2]),
        times.len()
    )
}

fn make() -> Result<DerivationGraph, Box<dyn Error>> {
    let mut graph = DerivationGraph::new();
    let mut all: Vec<(StorePath, String)> = Vec::new();
    let mut paths = String::new();
    for index in 0..COUNT {
        let kind = pick(index, 5, 20);
        let builder = if kind < 2 {
            source(index)
        } else {
            package(index, kind, &all)
        };
        let derivation = graph.add(builder)?;
        let path = derivation.path();
        let out = match &derivation.outputs()["out"] {
            Output::InputAddressed(path) | Output::Fixed { path, .. } => path.to_string(),
            Output::Floating { .. } | Output::Deferred => downstream_placeholder(&path, "out"),
        };
        if index > 0 {
            paths.push(' ');
        }
        paths.push_str(&path.to_string());
        all.push((path, out));
    }
    assert_eq!(Sha256::of(paths.as_bytes()).to_string(), EXPECTED);
    Ok(graph)
}

fn source(index: u64) -> DerivationBuilder {
    let hash = Sha256::of(format!("source {index}").as_bytes());
    DerivationBuilder::new(&format!("source-{index}.tar.gz"))
        .system("builtin")
        .builder("builtin:fetchurl")
        .env("url", format!("https://example.org/source-{index}.tar.gz"))
        .env("outputHash", hash.to_string())
        .env("preferLocalBuild", "1")
        .fixed_output(ContentAddress::Flat(NixHash::from(hash)))
}

fn package(index: u64, kind: u64, all: &[(StorePath, String)]) -> DerivationBuilder {
    let version = format!("1.{}", pick(index, 9, 40));
    let mut builder = DerivationBuilder::new(&format!("package-{index}-{version}"))
        .env("version", version)
        .system("x86_64-linux")
        .builder("/bin/sh")
        .arg("-e")
        .arg("-c")
        .arg("./configure --prefix=$out && make && make install")
        .env(
            "configureFlags",
            format!("--disable-static --with-number={index}"),
        )
        .env("CFLAGS", "-O2 -g -fstack-protector-strong")
        .env("enableParallelBuilding", "1");
    let mut inputs = Vec::new();
    if index > 0 {
        for number in 0..1 + pick(index, 0, 4) {
            let back = pick(index, number + 1, index.min(200));
            let (path, out) = &all[usize::try_from(index - 1 - back).unwrap_or_default()];
            builder = builder.input_derivation(path, "out");
            inputs.push(out.as_str());
        }
    }
    builder = builder.env("buildInputs", inputs.join(" "));
    match kind {
        2..12 => builder.floating_output("out"),
        12..14 => builder
            .input_addressed_output("out")
            .input_addressed_output("dev"),
        _ => builder.input_addressed_output("out"),
    }
}

fn pick(index: u64, salt: u64, limit: u64) -> u64 {
    (((index * 40503) ^ (salt * 30011 + index / 7)) & 65535) % limit
}
