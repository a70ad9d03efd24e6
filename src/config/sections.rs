//! The sections of `cog.yaml`: which keys they have and what Cog demands of the values.

use super::cuda::CudaVersion;
use super::decode::{Decoder, Field, Fields};
use super::environment;
use super::keys;
use super::model::{Build, Model, RunCommand, SecretMount};
use super::position::Spanned;
use super::python::{CONCURRENCY_MINIMUM, PythonVersion};
use super::reason::Reason;
use super::reference::Reference;
use super::repository;
use super::sdk::SdkVersion;
use super::weights;
use super::yaml::{Content, Node};

/// Reads the whole file; the model counts only if the decoder has no errors afterwards.
pub(super) fn model(decoder: &mut Decoder<'_>, root: &Node) -> Model {
    let root = Field {
        node: root,
        path: String::new(),
        position: root.position,
        key_position: root.position,
    };
    let Some(fields) = decoder.mapping(&root, keys::TOP) else {
        return Model::default();
    };
    let build = fields.get("build").filter(|field| !field.node.is_null());
    let mut model = Model {
        build: build.and_then(|field| self::build(decoder, &field)),
        image: decoder.optional_text(fields.get("image")),
        model: repository::read(decoder, &fields),
        run: run(decoder, &fields),
        train: reference(decoder, fields.get("train"), "'train.py:Trainer'"),
        concurrency: concurrency(decoder, &fields),
        environment: environment::read(decoder, fields.get("environment")),
        weights: Vec::new(),
    };
    model.weights = weights::read(decoder, &fields, &model);
    check_concurrency(decoder, &model);
    model
}

/// `run` and its old name `predict` are one field.
fn run(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<Reference>> {
    let (run, predict) = (fields.get("run"), fields.get("predict"));
    if let (Some(run), Some(predict)) = (&run, &predict) {
        let second = if run.key_position > predict.key_position {
            run
        } else {
            predict
        };
        decoder.error(&second.path, second.key_position, Reason::RunAndPredict);
    }
    if let Some(predict) = &predict {
        let reason = Reason::Deprecated { replacement: "run" };
        decoder.warning(&predict.path, predict.key_position, reason);
    }
    let run = reference(decoder, run, "'run.py:Runner'");
    let predict = reference(decoder, predict, "'predict.py:Predictor'");
    run.or(predict)
}

fn reference(
    decoder: &mut Decoder<'_>,
    field: Option<Field<'_>>,
    example: &'static str,
) -> Option<Spanned<Reference>> {
    let path = field.as_ref()?.path.clone();
    let text = decoder.optional_text(field)?;
    decoder.parsed(&path, text, |text| Reference::parse(text, example))
}

fn concurrency(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<u32>> {
    let fields = decoder.mapping(&fields.get("concurrency")?, keys::CONCURRENCY)?;
    let Some(max) = fields.get("max").filter(|field| !field.node.is_null()) else {
        decoder.error(
            "concurrency.max",
            fields.position,
            Reason::Required { key: "max" },
        );
        return None;
    };
    let replacement = "the concurrent decorator of the SDK";
    decoder.warning(
        &max.path,
        max.key_position,
        Reason::Deprecated { replacement },
    );
    let number = decoder.integer(&max)?;
    let reason = match u32::try_from(number) {
        Ok(number) if number >= 1 => return Some(Spanned::new(number, max.position)),
        Err(_) if number > 0 => Reason::ConcurrencyTooHigh {
            limit: u32::MAX,
            found: number.to_string(),
        },
        _ => Reason::ConcurrencyTooLow {
            found: number.to_string(),
        },
    };
    decoder.error(&max.path, max.position, reason);
    None
}

fn check_concurrency(decoder: &mut Decoder<'_>, model: &Model) {
    let python = model
        .build
        .as_ref()
        .map(|build| &build.python_version.value);
    if let (Some(max), Some(python)) = (&model.concurrency, python)
        && max.value > 1
        && python.numbers() < CONCURRENCY_MINIMUM
    {
        let reason = Reason::ConcurrencyPython {
            python: python.text.clone(),
        };
        decoder.error("concurrency.max", max.position, reason);
    }
}

fn build(decoder: &mut Decoder<'_>, field: &Field<'_>) -> Option<Build> {
    let fields = decoder.mapping(field, keys::BUILD)?;
    let gpu = decoder.boolean(fields.get("gpu"));
    let python_version = decoder
        .required_text(&fields, "python_version")
        .and_then(|text| decoder.parsed("build.python_version", text, PythonVersion::parse));
    let cuda = decoder.optional_text(fields.get("cuda")).and_then(|text| {
        let gpu = gpu.as_ref().is_some_and(|gpu| gpu.value);
        decoder.parsed("build.cuda", text, |text| CudaVersion::parse(text, gpu))
    });
    let sdk_version = decoder
        .optional_text(fields.get("sdk_version"))
        .and_then(|text| decoder.parsed("build.sdk_version", text, SdkVersion::parse));
    let python_requirements = decoder.optional_text(fields.get("python_requirements"));
    decoder.python_requirements.clone_from(&python_requirements);
    let python_packages = decoder.addresses(fields.get("python_packages"));
    let system_packages = decoder.texts(fields.get("system_packages"));
    let run = decoder.list(fields.get("run"), run_command);
    let pre_install = decoder.texts(fields.get("pre_install"));
    let cudnn = decoder.optional_text(fields.get("cudnn"));

    let packages = fields
        .get("python_packages")
        .filter(|_| !python_packages.is_empty());
    if let (Some(packages), Some(_)) = (&packages, &python_requirements) {
        decoder.error(
            &packages.path,
            packages.key_position,
            Reason::PackagesAndRequirements,
        );
    }
    deprecated(decoder, packages, "build.python_requirements");
    deprecated(
        decoder,
        fields
            .get("pre_install")
            .filter(|_| !pre_install.is_empty()),
        "build.run",
    );
    Some(Build {
        gpu,
        python_version: python_version?,
        python_requirements,
        python_packages,
        system_packages,
        run,
        pre_install,
        cuda,
        cudnn,
        sdk_version,
    })
}

fn deprecated(decoder: &mut Decoder<'_>, field: Option<Field<'_>>, replacement: &'static str) {
    if let Some(field) = field {
        decoder.warning(
            &field.path,
            field.key_position,
            Reason::Deprecated { replacement },
        );
    }
}

/// A command is a text, nothing at all, or a mapping with the secrets that it sees.
fn run_command(decoder: &mut Decoder<'_>, field: &Field<'_>) -> Option<RunCommand> {
    let plain = |command: &str| {
        Some(RunCommand {
            command: command.to_owned(),
            mounts: Vec::new(),
        })
    };
    match &field.node.content {
        Content::Scalar(scalar) if scalar.is_null() => plain(""),
        Content::Scalar(scalar) if scalar.is_text() => plain(&scalar.text),
        Content::Mapping(_) => {
            let fields = decoder.mapping(field, keys::RUN_ITEM)?;
            let command = decoder.required_text(&fields, "command");
            let mounts = decoder.list(fields.get("mounts"), secret_mount);
            let mounts = mounts.into_iter().map(|mount| mount.value).collect();
            Some(RunCommand {
                command: command?.value,
                mounts,
            })
        }
        _ => {
            let reason = Reason::WrongType {
                expected: "a command",
                found: field.node.describe(),
            };
            decoder.error(&field.path, field.position, reason);
            None
        }
    }
}

fn secret_mount(decoder: &mut Decoder<'_>, field: &Field<'_>) -> Option<SecretMount> {
    let fields = decoder.mapping(field, keys::MOUNT)?;
    let kind = decoder.required_text(&fields, "type");
    let id = decoder.required_text(&fields, "id");
    let target = decoder.required_text(&fields, "target");
    if let Some(kind) = kind.filter(|kind| kind.value != "secret") {
        let reason = Reason::MountType { found: kind.value };
        decoder.error(&fields.path_of("type"), kind.position, reason);
        return None;
    }
    Some(SecretMount {
        id: id?,
        target: target?,
    })
}
