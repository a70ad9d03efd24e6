use std::collections::BTreeMap;

use cognix_derivations::Sha256;

use super::variants::{
    adjustments, check_buildable, choose, locking_order, of, overrides, settings,
};
use super::{NoOutputs, Outputs, PipelineError};
use crate::lock::{LockedInputs, LockedPlatform};
use crate::spec::{Derivations, Pin, Spec, SpecError, Torch, TorchMode, Variant};

fn variants(names: &[&str]) -> Vec<Variant> {
    names.iter().map(|name| Variant::unchanged(name)).collect()
}

#[derive(Debug)]
struct Fixed(Vec<Variant>);

impl Outputs for Fixed {
    fn variants(&self) -> Result<Vec<Variant>, SpecError> {
        Ok(self.0.clone())
    }

    fn derivations(
        &self,
        _: &str,
        _: LockedPlatform<'_>,
        _: &LockedInputs,
    ) -> Result<Derivations, PipelineError> {
        Ok(Derivations::default())
    }
}

#[test]
fn a_model_without_variants_has_one_that_changes_nothing() {
    let variants = of(&NoOutputs).expect("nothing to refuse");
    assert_eq!(variants, [Variant::unchanged("default")]);
    let common = Spec::builtin()
        .and_then(Spec::settings)
        .expect("it is complete");
    assert_eq!(settings(&common, &variants[0]), common);
    let changes = adjustments(&variants[0]);
    assert_eq!(changes.place, "images.default");
    assert_eq!(changes.packages, [""; 0]);
}

#[test]
fn the_default_or_the_only_variant_needs_no_name() {
    let check = |names: &[&str], name: Option<&str>, expected: &str| {
        let variants = variants(names);
        let found = choose(&variants, name).map(|found| found.name.clone());
        assert_eq!(found.unwrap_or_else(|error| error.to_string()), expected);
    };
    check(&["cpu"], None, "cpu");
    check(&["cpu", "default"], None, "default");
    check(&["cpu", "cuda"], Some("cuda"), "cuda");
    check(
        &["cpu", "cuda"],
        None,
        "the model has the variants cpu, cuda, and none of them is called default; name one with --variant",
    );
    check(
        &["cpu", "cuda"],
        Some("cdua"),
        "there is no variant \"cdua\"; the model has cpu, cuda",
    );
}

#[test]
fn the_default_variant_is_locked_first() {
    let variants = variants(&["cpu", "cuda", "default"]);
    assert_eq!(locking_order(&variants), ["default", "cpu", "cuda"]);
}

#[test]
fn names_that_could_lead_elsewhere_are_refused() {
    for name in ["", "../x", ".x", "a/b", "a b", "ü", &"x".repeat(65)] {
        let error = of(&Fixed(variants(&[name]))).expect_err(name);
        assert!(error.to_string().contains("cannot be the name"), "{error}");
    }
    assert!(of(&Fixed(variants(&["gtx-970_2.0"]))).is_ok());
}

#[test]
fn pins_are_lines_of_the_request() {
    let sha256 = Sha256::of(b"wheel");
    let url = "https://host.test/foo-1.0-py3-none-any.whl".to_owned();
    let pins = [
        ("foo".to_owned(), Pin::Url { url, sha256 }),
        ("numpy".to_owned(), Pin::Version("1.26.4".to_owned())),
        ("torch".to_owned(), Pin::Version("2.5.1".to_owned())),
    ];
    let variant = Variant {
        pins: BTreeMap::from(pins),
        ..Variant::unchanged("cuda")
    };
    let mapped = |name: &str| (name == "torch").then(|| "torch==2.5.1+cu124".to_owned());
    assert_eq!(
        overrides(&variant, mapped),
        [
            format!("foo @ https://host.test/foo-1.0-py3-none-any.whl --hash=sha256:{sha256}"),
            "numpy==1.26.4".to_owned(),
            "torch==2.5.1+cu124".to_owned(),
        ]
    );
}

#[test]
fn torch_from_source_is_locked_and_not_built() {
    let variant = Variant {
        torch: Some(Torch {
            mode: TorchMode::Source,
            version: Some("2.5.1".to_owned()),
            gpu_archs: vec!["5.2".to_owned()],
        }),
        ..Variant::unchanged("gtx970")
    };
    assert_eq!(adjustments(&variant).torch.as_deref(), Some("2.5.1"));
    let error = check_buildable(&variant).expect_err("nobody can build it");
    assert!(
        error
            .to_string()
            .starts_with("images.gtx970.torch.mode is \"source\""),
        "{error}"
    );
}
