//! Against the package index of this machine: the answer must be pip's.

use super::*;
use crate::mirrors::package_indexes::ModelIndexes;
use crate::mirrors::pip_settings::Machine;
use crate::mirrors::python_index::PythonIndex;

/// What `pip install --dry-run --only-binary :all: --report` chose for these requirements on 2026-11-21, with
/// CPython 3.11 on Debian 12: name, version, SHA-256.
const PIP_CHOSE: &[(&str, &str, &str)] = &[
    (
        "annotated-types",
        "0.8.0",
        "f072f4d804ea359e4eaf198b1af7a8b0943881a87f31bb764f8bf219bb9419e0",
    ),
    (
        "anyio",
        "4.16.0",
        "c66ae634e0b8228396b801741beb3294326d4b6102f7bba4041c0dfb58c29026",
    ),
    (
        "attrs",
        "23.2.0",
        "99b87a485a5820b23b879f04c2305b44b951b502fd64be915879d77a7e8fc6f1",
    ),
    (
        "certifi",
        "2026.10.18",
        "73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62",
    ),
    (
        "charset-normalizer",
        "3.5.2",
        "211d5a3eb6af8f513b8d4ca19a8c1b7accab1b5f0d3175f9826b03c1a920dc1f",
    ),
    (
        "click",
        "8.5.1",
        "8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37",
    ),
    (
        "cog",
        "0.16.8",
        "f6ebc125b334e35b9b29d6d15d85d09136138fb50e59e14322d729013ba3c7e2",
    ),
    (
        "fastapi",
        "0.118.3",
        "8b9673dc083b4b9d3d295d49ba1c0a2abbfb293d34ba210fd9b0a90d5f39981e",
    ),
    (
        "h11",
        "0.16.0",
        "63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86",
    ),
    (
        "httptools",
        "0.9.0",
        "b68fb053b37c258a473ab67f4965c3b439500dc160fe364667035a6833eaf50a",
    ),
    (
        "idna",
        "3.20",
        "ab7ae7122974553370f0bdb919e1a960b2cd1bc1ef0276416d896db81c14582c",
    ),
    (
        "numpy",
        "2.4.6",
        "89cd468399cfd2504718f0ba50e410dca55a170b61a02ad92bb18c8a65186e93",
    ),
    (
        "pydantic",
        "2.14.3",
        "3f7b347782ab7e4cf4c798496ae3a82787d9f21ec12676a9c564355eeef8daa8",
    ),
    (
        "pydantic-core",
        "2.50.4",
        "0574866e05f6adeecc520d87e87dd06210c0a51706341f6ef8421572f5a64444",
    ),
    (
        "python-dotenv",
        "1.2.4",
        "42269a8a5b3fd54ffa6f3d84b18abed50064717576b4ecf03dc4a55d8aa04fdc",
    ),
    (
        "pyyaml",
        "6.0.3",
        "b8bb0864c5a28024fac8a632c443c87c5aa6f215c0b126c449ae1a150412f31d",
    ),
    (
        "requests",
        "2.34.2",
        "2a0d60c172f83ac6ab31e4554906c0f3b3588d37b5cb939b1c061f4907e278e0",
    ),
    (
        "starlette",
        "0.48.0",
        "0764ca97b097582558ecb498132ed0c7d942f233f365b86ba37770e026510659",
    ),
    (
        "structlog",
        "24.4.0",
        "597f61e80a91cc0749a9fd2a098ed76715a1c8a01f73e336b746504d1aad7610",
    ),
    (
        "typing-extensions",
        "4.16.0",
        "481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8",
    ),
    (
        "typing-inspection",
        "0.4.5",
        "bc210535442b39e1bf2805e0c7a17dfd6a4ace760c84c7f7d16245d23a6b1c39",
    ),
    (
        "urllib3",
        "2.8.0",
        "0cf3cae568d36aa9576b28dfb35f11328f1cb974ca7647d9475ebb86c75ac6e3",
    ),
    (
        "uvicorn",
        "0.54.0",
        "505bdb0f318731d45f1f712071fc781a8981f6847a31c902c9f5e652d4f67faf",
    ),
    (
        "uvloop",
        "0.23.0",
        "ab17b3a8aa754be0de0e397f7b95f13b14e56f077a4c6ae295e3d4afd199b325",
    ),
    (
        "watchfiles",
        "1.3.0",
        "b5768b49e426fd5b550b012c866db347cdf15c398ef98dc557b6e6b72fa74cd1",
    ),
    (
        "websockets",
        "17.4",
        "cebad8f4796248b91fc2168515e507e5cb6b663a32befd09f3b1e7920acdcb1a",
    ),
];

fn request(cache_dir: PathBuf) -> PythonRequest {
    let model = ModelIndexes::default();
    let indexes = PackageIndexes::discover(&model, &BTreeMap::new(), &Machine::current());
    PythonRequest {
        requirements: ["cog==0.16.8", "numpy", "fastapi"]
            .map(str::to_owned)
            .to_vec(),
        sdk: Vec::new(),
        constraints: Vec::new(),
        overrides: Vec::new(),
        prerelease: false,
        no_binary: Vec::new(),
        project: PathBuf::from("/"),
        architecture: Architecture::Amd64,
        python: (3, 11, 7),
        glibc: (2, 36),
        indexes: indexes.expect("usable settings"),
        exclude_newer: Some("2026-11-20".parse().expect("a date")),
        cutoff_is_asked: true,
        preferences: Vec::new(),
        build_preferences: Vec::new(),
        commits: Vec::new(),
        cache_dir,
        offline: false,
        cancel: CancellationToken::new(),
    }
}

#[tokio::test]
async fn pip_chooses_the_same_wheels() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let lock = resolve(&request(cache.path().to_owned()), &tests::NoBackends)
        .await
        .expect("the index answers");
    let digests: Vec<String> = lock
        .wheels
        .iter()
        .map(|wheel| wheel.sha256.to_string())
        .collect();
    let chosen = lock.wheels.iter().zip(&digests);
    let chosen: Vec<_> = chosen
        .map(|(wheel, digest)| (wheel.name.as_str(), wheel.version.as_str(), digest.as_str()))
        .collect();
    assert_eq!(chosen, PIP_CHOSE);
    for wheel in &lock.wheels {
        assert!(
            wheel.size > 0 && lock.contents[&wheel.name].record.len() > 3,
            "{wheel:?}"
        );
    }
}

#[tokio::test]
async fn locked_wheels_are_found_again() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let request = request(cache.path().to_owned());
    let lock = resolve(&request, &tests::NoBackends)
        .await
        .expect("the index answers");
    let index = PythonIndex::new(request.indexes, request.cache_dir, false);
    for wheel in &lock.wheels {
        let found = index
            .locate(INDEX_NAME, &wheel.name, &wheel.filename)
            .await
            .expect("the index has it");
        assert!(!found.is_empty());
    }
}

/// Reads a requirement file as pip does, as far as those of the tests go: comments, continued lines, `-r`, `-c`, `--pre`.
fn read(file: &std::path::Path, request: &mut PythonRequest) {
    let text = std::fs::read_to_string(file).expect("a requirement file");
    let below = |name: &str| file.parent().expect("it is in a folder").join(name.trim());
    for line in text.replace("\\\n", " ").lines() {
        match line.split_once(' ') {
            Some(("-r", name)) => read(&below(name), request),
            Some(("-c", name)) => {
                let limits = std::fs::read_to_string(below(name)).expect("a file of constraints");
                request
                    .constraints
                    .extend(limits.lines().map(str::to_owned));
            }
            _ if line == "--pre" => request.prerelease = true,
            _ => request.requirements.push(line.to_owned()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uv_chooses_the_same_versions_for_thirty_requirement_files() {
    const AT_ONCE: usize = 6;
    let started = std::time::Instant::now();
    let cache = tempfile::tempdir().expect("a temporary folder");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requirements");
    let entries = std::fs::read_dir(folder).expect("a folder");
    let cases: BTreeSet<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(cases.len(), 30);
    let compare = async |case: PathBuf| {
        let mut request = request(cache.path().to_owned());
        (request.requirements, request.python) = (Vec::new(), (3, 11, 2));
        read(&case.join("requirements.txt"), &mut request);
        let expected = std::fs::read_to_string(case.join("resolved.txt")).expect("uv's answer");
        let found = choose_only(&request).await;
        let found: Vec<String> = match found {
            Ok(found) => found
                .into_iter()
                .map(|(name, version)| format!("{name}=={version}"))
                .collect(),
            Err(error) => vec![error.to_string()],
        };
        let expected: BTreeSet<&str> = expected.lines().collect();
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let differences = found.symmetric_difference(&expected).map(|line| {
            let whose = if expected.contains(line) {
                "uv"
            } else {
                "cognix"
            };
            format!("{}: {whose} alone has {line}", case.display())
        });
        differences.collect::<Vec<_>>()
    };
    let differences: Vec<Vec<String>> =
        futures::StreamExt::collect(futures::StreamExt::buffer_unordered(
            futures::stream::iter(cases.into_iter().map(compare)),
            AT_ONCE,
        ))
        .await;
    let differences = differences.concat();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // A figure for whoever looks (`cargo test -- --nocapture`), never a limit.
    let figure = format!(
        "30 requirement files resolved in {:.0?}\n",
        started.elapsed()
    );
    std::io::Write::write_all(&mut std::io::stderr(), figure.as_bytes()).expect("standard error");
}

/// Names and versions, without a look into the wheels.
async fn choose_only(request: &PythonRequest) -> Result<Vec<(String, String)>, PythonError> {
    let asked = requirements::parse(request)?;
    let target = Target::new(request.python, request.glibc, request.architecture)?;
    let request = request.clone();
    on_own_thread(CancellationToken::new(), async move || {
        let chosen = choose(&request, &asked, &target, &[]).await?;
        let Ok((_, chosen, _)) = chosen else {
            panic!("no source is needed where none is looked at");
        };
        let wheels = chosen.wheels.into_iter();
        Ok(wheels.map(|wheel| (wheel.name, wheel.version)).collect())
    })
    .await
}
