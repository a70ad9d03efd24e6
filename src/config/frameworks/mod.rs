//! CUDA, cuDNN, torch and TensorFlow: what a model leaves open about them is chosen by Cog's tables.
//!
//! Only exact pins of torch, torchvision and torchaudio are changed: they get the whole version and the index that has
//! their build. Everything else of a line stays (see `docs/cog.md` for what Cog does). Indexes are names
//! (`pytorch/cu124`), never addresses.

mod cuda;
mod mention;
mod reason;
mod tables;
mod tensorflow;
mod torch;
mod version;

pub use reason::FrameworkReason;

use super::cuda::CudaVersion;
use super::finding::Finding;
use super::position::{Position, Spanned};
use super::python::PythonVersion;
use super::requirements::{Install, RequirementKind, RequirementLine};
use mention::Mention;
use version::Version;

/// What the model says about CUDA and Python.
pub(super) struct Wish<'w> {
    /// The configuration's file.
    pub(super) file: &'w str,
    pub(super) python: &'w PythonVersion,
    /// The place of `gpu: true`.
    pub(super) gpu: Option<Position>,
    pub(super) cuda: Option<&'w Spanned<CudaVersion>>,
    pub(super) cudnn: Option<&'w Spanned<String>>,
}

/// What was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frameworks {
    /// The version of CUDA: as it is written, or chosen for a GPU.
    pub cuda: Option<String>,
    /// The major version of cuDNN, likewise.
    pub cudnn: Option<String>,
    /// The tag of NVIDIA's image that Cog would build on; absent without a GPU, or when there is none.
    pub cuda_image: Option<String>,
    /// torch, if a requirement names a version of it.
    pub torch: Option<Framework>,
    /// TensorFlow, if a requirement names a version of it.
    pub tensorflow: Option<Framework>,
}

/// A framework as a requirement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framework {
    /// The version, completed where the tables know the rest.
    pub version: String,
    /// The named index that has the build, such as `pytorch/cu124`; absent for the default index.
    pub index: Option<String>,
}

/// What was noticed beside the choice.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    pub(super) refusals: Vec<Finding>,
}

/// Chooses what is left open, and puts versions and indexes of builds into the requirements.
pub(super) fn choose(wish: &Wish<'_>, install: &mut Install, notes: &mut Notes) -> Frameworks {
    let find = |package| mention::find(&install.requirements, package, wish.python);
    let (torch, tensorflow) = (find("torch"), find("tensorflow"));
    let mut chosen = Frameworks {
        cuda: wish.cuda.map(|cuda| cuda.text.clone()),
        cudnn: wish.cudnn.map(|cudnn| cudnn.value.clone()),
        ..Frameworks::default()
    };
    let mut chooser = Chooser {
        wish,
        lines: &install.requirements,
        named_build: torch::named_build(&install.options),
        notes,
    };
    if let Some(gpu) = wish.gpu {
        let errors = chooser.notes.errors.len();
        chooser.check_pair();
        if chooser.notes.errors.len() == errors {
            chooser.gpu(gpu, torch.as_ref(), tensorflow.as_ref(), &mut chosen);
        }
    }
    chooser.check_pythons(torch.as_ref(), tensorflow.as_ref());
    let version_of = |mention: Option<Mention>| {
        mention
            .and_then(|mention| mention.text)
            .map(|version| Framework {
                version,
                index: None,
            })
    };
    chosen.torch = version_of(torch);
    chosen.tensorflow = version_of(tensorflow);
    map_family(wish, install, &mut chosen);
    chosen
}

/// Looks up which Pythons a version has wheels for.
type Pythons = fn(&Version) -> Option<&'static str>;

struct Chooser<'c> {
    wish: &'c Wish<'c>,
    lines: &'c [RequirementLine],
    /// The build of torch that the model's own index options name.
    named_build: Option<&'c str>,
    notes: &'c mut Notes,
}

impl Chooser<'_> {
    fn at_key(&self, key: &str, position: Position, reason: FrameworkReason) -> Finding {
        Finding {
            file: self.wish.file.to_owned(),
            position: Some(position),
            key: key.to_owned(),
            reason: reason.into(),
        }
    }

    fn at_line(&self, mention: &Mention, reason: FrameworkReason) -> Finding {
        let line = &self.lines[mention.index];
        Finding {
            file: line.file.clone(),
            position: Some(line.position()),
            key: String::new(),
            reason: reason.into(),
        }
    }

    /// A finding about a version of CUDA: where it is written, or else where it comes from.
    fn about_cuda(&self, mention: Option<&Mention>, reason: FrameworkReason) -> Finding {
        match (self.wish.cuda, mention, self.wish.gpu) {
            (Some(cuda), _, _) => self.at_key("build.cuda", cuda.position, reason),
            (None, Some(mention), _) => self.at_line(mention, reason),
            (None, None, gpu) => self.at_key("build.gpu", gpu.unwrap_or(Position::START), reason),
        }
    }

    /// Both written, and there is no such pair.
    fn check_pair(&mut self) {
        let (Some(cuda), Some(cudnn)) = (self.wish.cuda, self.wish.cudnn) else {
            return;
        };
        if cuda::image(&cuda.text, cudnn).is_none() {
            let reason = FrameworkReason::CudnnPair {
                cudnn: cudnn.value.clone(),
                cuda: cuda.text.clone(),
                compatible: cuda::cudnns(&cuda.text),
            };
            let finding = self.at_key("build.cudnn", cudnn.position, reason);
            self.notes.errors.push(finding);
        }
    }

    /// TensorFlow decides if it has a version, else torch, else nobody.
    fn gpu(
        &mut self,
        gpu: Position,
        torch: Option<&Mention>,
        tensorflow: Option<&Mention>,
        chosen: &mut Frameworks,
    ) {
        let image = self.at_key("build.gpu", gpu, FrameworkReason::GpuImage);
        self.notes.warnings.push(image);
        let decided = match (tensorflow, torch) {
            (Some(tensorflow), _) if tensorflow.text.is_some() => {
                self.for_tensorflow(tensorflow, chosen)
            }
            (_, Some(torch)) => self.for_torch(torch, chosen),
            _ => {
                chosen.cuda.get_or_insert_with(|| cuda::DEFAULT.to_owned());
                Ok(())
            }
        };
        if let Err(finding) = decided {
            return self.notes.errors.push(*finding);
        }
        let decider = tensorflow
            .filter(|mention| mention.text.is_some())
            .or(torch);
        self.complete_cudnn(decider, chosen);
        if let Some(mention) = tensorflow
            && !mention::has_extra(&self.lines[mention.index], "and-cuda")
        {
            let line = self.lines[mention.index].text.clone();
            let refusal = self.at_line(mention, FrameworkReason::TensorflowBare { line });
            self.notes.refusals.push(refusal);
        }
    }

    fn complete_cudnn(&mut self, decider: Option<&Mention>, chosen: &mut Frameworks) {
        let Some(cuda) = chosen.cuda.clone() else {
            return;
        };
        if chosen.cudnn.is_none() {
            match cuda::newest_cudnn(&cuda) {
                Some(cudnn) => chosen.cudnn = Some(cudnn.to_owned()),
                None => {
                    let known = cuda::all();
                    let reason = FrameworkReason::CudaUnsupported { cuda, known };
                    let finding = self.about_cuda(decider, reason);
                    return self.notes.errors.push(finding);
                }
            }
        }
        let cudnn = chosen.cudnn.clone().unwrap_or_default();
        chosen.cuda_image = cuda::image(&cuda, &cudnn).map(str::to_owned);
        if let (Some(written), None) = (self.wish.cudnn, &chosen.cuda_image) {
            // Cog loads such a model, and finds no base image for it when it builds.
            let compatible = cuda::cudnns(&cuda);
            let reason = FrameworkReason::CudnnPair {
                cudnn,
                cuda,
                compatible,
            };
            let refusal = self.at_key("build.cudnn", written.position, reason);
            self.notes.refusals.push(refusal);
        }
    }

    fn for_torch(&mut self, torch: &Mention, chosen: &mut Frameworks) -> Result<(), Box<Finding>> {
        let Some(text) = &torch.text else {
            let reason = FrameworkReason::TorchVersion;
            return Err(Box::new(self.at_line(torch, reason)));
        };
        let version = torch.version.as_ref();
        let tag = version.and_then(|version| version.tag.as_deref());
        let Some(written) = &chosen.cuda else {
            let wanted = tag.or(self.named_build);
            if let Some(cuda) = version.and_then(|version| torch::cuda_of(version, wanted)) {
                chosen.cuda = Some(cuda.to_string());
                self.check_tag(torch, tag, cuda);
                return Ok(());
            }
            let newest = version.and_then(torch::newest_before);
            let Some(cuda) = newest.and_then(|newest| torch::cuda_of(newest, tag)) else {
                return Err(Box::new(self.at_line(torch, torch::unknown(text))));
            };
            let reason = FrameworkReason::Newer {
                version: text.clone(),
                cuda: cuda.to_string(),
            };
            let warning = self.at_line(torch, reason);
            self.notes.warnings.push(warning);
            chosen.cuda = Some(cuda.to_string());
            return Ok(());
        };
        let Some(cuda) = Version::parse(written) else {
            return Ok(());
        };
        if !version.is_some_and(|version| torch::is_built_for(version, &cuda)) {
            let known = version.and_then(torch::known_cudas);
            let reason = FrameworkReason::Untested {
                package: "torch",
                version: text.clone(),
                cuda: written.clone(),
                known,
            };
            let warning = self.about_cuda(Some(torch), reason);
            self.notes.warnings.push(warning);
        }
        self.check_tag(torch, tag, &cuda);
        Ok(())
    }

    fn check_tag(&mut self, torch: &Mention, tag: Option<&str>, cuda: &Version) {
        if let Some(tag) = tag.filter(|tag| *tag != torch::tag_of(cuda)) {
            let reason = FrameworkReason::TagUnused {
                tag: tag.to_owned(),
                cuda: format!("{}.{}", cuda.major, cuda.minor),
            };
            let warning = self.at_line(torch, reason);
            self.notes.warnings.push(warning);
        }
    }

    fn for_tensorflow(
        &mut self,
        tensorflow: &Mention,
        chosen: &mut Frameworks,
    ) -> Result<(), Box<Finding>> {
        let text = tensorflow.text.clone().unwrap_or_default();
        let release = tensorflow.version.as_ref().and_then(tensorflow::release);
        match (&chosen.cuda, release) {
            (Some(written), release) => {
                let tested = release.map(|release| &release.cuda);
                self.check_tensorflow(tensorflow, &text, written, tested)?;
            }
            (None, Some(release)) => chosen.cuda = Some(release.cuda.to_string()),
            (None, None) => {
                let reason = tensorflow::unknown(&text);
                return Err(Box::new(self.at_line(tensorflow, reason)));
            }
        }
        let Some(release) = release else {
            return Ok(());
        };
        let needed = release.cudnn.major.to_string();
        match self.wish.cudnn {
            Some(cudnn) if cudnn.value != needed => {
                let reason = FrameworkReason::TensorflowCudnn {
                    tensorflow: text,
                    cudnn: cudnn.value.clone(),
                    needed,
                };
                Err(Box::new(self.at_key("build.cudnn", cudnn.position, reason)))
            }
            _ => {
                chosen.cudnn = Some(needed);
                Ok(())
            }
        }
    }

    /// A CUDA that is written: another major than the tested one is refused, another minor told.
    fn check_tensorflow(
        &mut self,
        tensorflow: &Mention,
        version: &str,
        written: &str,
        tested: Option<&Version>,
    ) -> Result<(), Box<Finding>> {
        let cuda = Version::parse(written);
        let minor = cuda.as_ref().map(Version::minor);
        if let (Some(cuda), Some(needed)) = (&cuda, tested)
            && cuda.major != needed.major
        {
            let reason = FrameworkReason::TensorflowCuda {
                tensorflow: version.to_owned(),
                cuda: written.to_owned(),
                needed: needed.to_string(),
            };
            return Err(Box::new(self.about_cuda(Some(tensorflow), reason)));
        }
        if minor != tested.map(Version::minor) {
            let reason = FrameworkReason::Untested {
                package: "tensorflow",
                version: version.to_owned(),
                cuda: written.to_owned(),
                known: tested.map(ToString::to_string),
            };
            let warning = self.about_cuda(Some(tensorflow), reason);
            self.notes.warnings.push(warning);
        }
        Ok(())
    }

    /// Says when the resolver will find no wheels, which it says at length.
    fn check_pythons(&mut self, torch: Option<&Mention>, tensorflow: Option<&Mention>) {
        let known = |package, mention: Option<&Mention>, pythons: Pythons| {
            let mention = mention.filter(|mention| mention.pin.is_some())?.clone();
            let known = pythons(mention.version.as_ref()?)?;
            Some((package, mention, known))
        };
        let torch = known("torch", torch, torch::pythons);
        let tensorflow = known("tensorflow", tensorflow, tensorflow::pythons);
        let python = self.wish.python.short();
        for (package, mention, known) in torch.into_iter().chain(tensorflow) {
            if known.split(',').any(|known| known == python) {
                continue;
            }
            let reason = FrameworkReason::NoWheels {
                package,
                version: mention.text.clone().unwrap_or_default(),
                python: python.clone(),
                known: known.replace(',', ", "),
            };
            let warning = self.at_line(&mention, reason);
            self.notes.warnings.push(warning);
        }
    }
}

/// Gives pins of torch and its family their builds.
///
/// A line with an index of its own, and a model whose options name a build of torch, have chosen already.
fn map_family(wish: &Wish<'_>, install: &mut Install, chosen: &mut Frameworks) {
    if torch::named_build(&install.options).is_some() || install.options.no_index {
        return;
    }
    // So has a lock of the project.
    if install
        .project
        .as_ref()
        .is_some_and(|project| project.lock.is_some())
    {
        return;
    }
    let gpu = wish.gpu.is_some();
    let cuda = chosen.cuda.as_deref().and_then(Version::parse);
    if gpu && cuda.is_none() {
        return;
    }
    for (package, column) in torch::FAMILY {
        let Some(mention) = mention::find(&install.requirements, package, wish.python) else {
            continue;
        };
        let line = &mut install.requirements[mention.index];
        if line.kind != RequirementKind::Package || line.own_index || mention.pin.is_none() {
            continue;
        }
        let cuda = cuda.as_ref().filter(|_| gpu);
        let mapped = mention.version.as_ref();
        let Some(mapped) = mapped.and_then(|version| torch::map(version, column, cuda)) else {
            continue;
        };
        let version = torch::rewrite(line, &mention, &mapped, gpu);
        if package == "torch" {
            chosen.torch = Some(Framework {
                version,
                index: mapped.index.clone(),
            });
        }
        if let Some(index) = mapped.index
            && !install.options.extra_indexes.contains(&index)
        {
            install.options.extra_indexes.push(index);
        }
    }
}
