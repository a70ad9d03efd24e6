mod checking;
mod failures;
mod flow;
mod golden;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cognix_derivations::{
    ContentAddress, Derivation, HashAlgorithm, NixHash, RealisationId, downstream_placeholder,
};

use super::plan::{Action, Plan};
use super::*;
use crate::Durability;
use crate::build::{BuildError, Scripted};
use crate::events::{Event, Recorder};
use crate::fetch::server::{Reply, Server};
use crate::path_infos::MemoryPathInfos;

const COPY: &str = "builtin:cognix-copy-1";

/// A store, a realiser with builders, and a graph.
struct Bench {
    _folder: tempfile::TempDir,
    realiser: Realiser,
    graph: DerivationGraph,
    recorder: Arc<Recorder>,
    copy: Scripted,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open_with(folder.path(), Durability::None).expect("a new store");
        let recorder = Arc::new(Recorder::default());
        let copy = copying();
        let mut realiser = Realiser::new(store);
        realiser.events = recorder.clone();
        realiser.builders = Builders::new().with(copy.clone());
        realiser.fetch.proxies = false;
        realiser.fetch.first_wait = Duration::from_millis(2);
        Self {
            _folder: folder,
            realiser,
            graph: DerivationGraph::new(),
            recorder,
            copy,
        }
    }

    fn add(&mut self, derivation: Derivation) -> StorePath {
        self.graph.insert(derivation).expect("inputs are in")
    }

    /// A derivation that copies the outputs of others, one after the other, after a text of its own.
    fn copy(&mut self, name: &str, text: &str, inputs: &[&StorePath]) -> StorePath {
        self.add(copy_of(name, text, inputs))
    }

    fn fetch(&mut self, name: &str, url: &str, content: &[u8]) -> StorePath {
        self.add(fetch_of(name, url, content))
    }

    async fn realise(&self, target: &StorePath) -> Result<Realised, RealiseError> {
        let targets = [(target.clone(), "out".to_owned())];
        self.realiser.realise(&self.graph, &targets).await
    }

    async fn text(&self, target: &StorePath) -> String {
        let realised = self.realise(target).await.expect("realise");
        let path = realised.outputs.into_values().next().expect("one output");
        std::fs::read_to_string(self.realiser.store.real_path(&path)).expect("read")
    }

    fn sound(&self) -> Vec<crate::Problem> {
        let store = &self.realiser.store;
        let report = store
            .verify(true, &CancellationToken::new())
            .expect("verify");
        assert_eq!(report.unregistered, [""; 0]);
        report.problems
    }
}

fn copying() -> Scripted {
    Scripted::new(COPY, |request| {
        let mut text = request.env("text")?.to_owned();
        for path in request.env("inputs")?.split_ascii_whitespace() {
            let path = request.input(&StorePath::parse(path).map_err(BuildError::failed)?)?;
            text += &std::fs::read_to_string(&path).map_err(BuildError::io(path))?;
        }
        let place = request.output("out")?;
        std::fs::write(place, text).map_err(BuildError::io(place))
    })
}

fn copy_of(name: &str, text: &str, inputs: &[&StorePath]) -> Derivation {
    let places: Vec<String> = inputs
        .iter()
        .map(|input| downstream_placeholder(input, "out"))
        .collect();
    let mut builder = Derivation::builder(name)
        .system("builtin")
        .builder(COPY)
        .env("text", text)
        .env("inputs", places.join(" "))
        .floating_output("out");
    for input in inputs {
        builder = builder.input_derivation(input, "out");
    }
    builder.build().expect("a derivation")
}

fn fetch_of(name: &str, url: &str, content: &[u8]) -> Derivation {
    let hash = NixHash::of(HashAlgorithm::Sha256, content);
    Derivation::builder(name)
        .system("builtin")
        .builder(plan::FETCHURL)
        .env("url", url)
        .fixed_output(ContentAddress::Flat(hash))
        .build()
        .expect("a derivation")
}

fn scripted(
    bench: &mut Bench,
    builder: &str,
    script: impl Fn(&crate::BuildRequest<'_>) -> Result<(), BuildError> + Send + Sync + 'static,
) {
    bench
        .realiser
        .builders
        .insert(Arc::new(Scripted::new(builder, script)));
}

fn simple(name: &str, builder: &str) -> Derivation {
    let derivation = Derivation::builder(name).system("builtin").builder(builder);
    derivation
        .floating_output("out")
        .build()
        .expect("a derivation")
}

fn steps(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.name.as_str()).collect()
}
