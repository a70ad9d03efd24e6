//! Images, packages and overrides.

use std::collections::BTreeMap;

use cognix_derivations::{DerivationGraph, Sha256};
use cognix_language::MemoryFiles;

use super::super::evaluate::{Session, run};
use super::super::*;

/// Works with the spec of a project in memory.
fn with<R: Send>(
    spec: &str,
    known: &Known,
    work: impl for<'e, 'a> FnOnce(&Session<'e, 'a>) -> Result<R, SpecError> + Send,
) -> Result<R, SpecError> {
    let files = MemoryFiles::new()
        .with_file("cognix.nix", spec)
        .with_file("lib/data.txt", "data")
        .with_file("weights.bin", "weights");
    run(&files, known, work)
}

fn variants(spec: &str) -> Vec<Variant> {
    with(spec, &Known::default(), |session| session.variants())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The first line of what is wrong.
fn refused(spec: &str) -> String {
    let error = with(spec, &Known::default(), |session| session.variants()).expect_err(spec);
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn locked() -> Known {
    let package = |version: &str, filename: &str| LockedPackage {
        version: version.to_owned(),
        tree_name: filename.split('-').take(2).collect::<Vec<_>>().join("-"),
        fetch_name: filename.to_owned(),
        filename: filename.to_owned(),
        url: format!("mirror://pypi/{filename}"),
        sha256: Sha256::of(filename.as_bytes()),
        size: Some(7),
        waived: false,
        build: None,
    };
    let packages = [
        (
            "numpy",
            package(
                "1.26.4",
                "numpy-1.26.4-cp312-cp312-manylinux_2_17_x86_64.whl",
            ),
        ),
        ("six", package("1.16.0", "six-1.16.0-py2.py3-none-any.whl")),
    ];
    Known {
        locked: Some(LockedImage {
            platform: Architecture::Amd64,
            python: "3.12".to_owned(),
            packages: packages
                .map(|(name, package)| (name.to_owned(), package))
                .into(),
            builds: DerivationGraph::default(),
            root: LockedRoot::default(),
        }),
        ..Known::default()
    }
}

fn derivations(spec: &str, variant: &str) -> Derivations {
    with(spec, &locked(), |session| session.derivations(variant))
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_spec_without_images_makes_one_that_changes_nothing() {
    assert_eq!(variants("{ }"), [Variant::unchanged("default")]);
    assert_eq!(
        variants("{ outputs = { self }: { }; }"),
        [Variant::unchanged("default")]
    );
}

#[test]
fn images_extend_each_other() {
    let spec = r#"{
        outputs = { self, cognix, ... }: {
            images = rec {
                cpu = { python = "3.12"; environment.MODE = "plain"; };
                cuda = cpu // { gpu = true; cuda = "12.4"; packages = [ "xformers" ]; };
                gtx970 = self.images.cuda // {
                    torch = { mode = "source"; version = "2.5.1"; gpuArchs = [ "5.2" ]; };
                    layers.budget = 60;
                    compression.tree = "gzip-libdeflate-1.26-6-1m";
                    base.tier = "shell";
                    platforms = [ "linux/amd64" ];
                    systemPackages = [ "git" ];
                };
            };
        };
    }"#;
    let variants = variants(spec);
    let names: Vec<&str> = variants
        .iter()
        .map(|variant| variant.name.as_str())
        .collect();
    assert_eq!(names, ["cpu", "cuda", "gtx970"]);
    assert_eq!(variants[1].python.as_deref(), Some("3.12"));
    assert_eq!(variants[1].environment["MODE"], "plain");
    let gtx970 = &variants[2];
    assert_eq!(
        (gtx970.gpu, gtx970.cuda.as_deref()),
        (Some(true), Some("12.4"))
    );
    let torch = gtx970.torch.as_ref().expect("torch");
    assert_eq!(torch.mode, TorchMode::Source);
    assert_eq!(
        (torch.version.as_deref(), &torch.gpu_archs[..]),
        (Some("2.5.1"), &["5.2".to_owned()][..])
    );
    assert_eq!(gtx970.layers.budget, Some(60));
    assert_eq!(
        gtx970.layers.tree.as_deref(),
        Some("gzip-libdeflate-1.26-6-1m")
    );
    assert_eq!(gtx970.base.tier, Some(BaseTier::Shell));
    assert!(!gtx970.has_derivations);
}

#[test]
fn overrides_pin_versions() {
    let spec = r#"{
        outputs = { cognix, ... }: {
            overrides = final: prev: {
                numpy = prev.numpy.override { version = "1.26.4"; };
                torch = cognix.torch.fromSource { version = "2.5.1"; gpuArchs = [ "5.2" ]; };
            };
            images.default = { };
            images.other.overrides = final: prev: {
                numpy = prev.numpy.override (old: { version = old.version + ".post1"; });
                six = cognix.wheel { url = "https://files.example/six-1.16.0-py3-none-any.whl"; sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; };
            };
        };
    }"#;
    let variants = variants(spec);
    assert_eq!(variants[0].pins["numpy"], Pin::Version("1.26.4".to_owned()));
    assert_eq!(variants[0].pins.len(), 1);
    assert_eq!(
        variants[0].torch.as_ref().map(|torch| torch.mode),
        Some(TorchMode::Source)
    );
    assert_eq!(
        variants[1].pins["numpy"],
        Pin::Version("1.26.4.post1".to_owned())
    );
    assert_eq!(
        variants[1].pins["six"],
        Pin::Url {
            url: "https://files.example/six-1.16.0-py3-none-any.whl".to_owned(),
            sha256: Sha256::of(b""),
        }
    );
    assert!(!variants[0].has_derivations && !variants[1].has_derivations);
}

#[test]
fn derivations_have_places() {
    let spec = r#"{
        inputs.lib = { type = "path"; path = ./lib; };
        inputs.weights = { type = "url"; url = "https://files.example/weights.bin"; sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; };
        outputs = { self, cognix, lib, weights }: {
            packages.tool = cognix.mkDerivation { name = "tool"; src = "${lib}"; script = "cp -r $src $out"; note = builtins.toFile "note" "text"; };
            images.default.extraPackages = [
                self.packages.tool
                { package = weights; destination = "/weights"; name = "weights"; }
                (cognix.deb { name = "hello"; version = "2.10-3"; url = "https://files.example/hello.deb"; sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; })
            ];
        };
    }"#;
    assert!(variants(spec)[0].has_derivations);
    let made = derivations(spec, "default");
    let places: Vec<(&str, &str, &str)> = made
        .extra_packages
        .iter()
        .map(|package| {
            (
                package.name.as_str(),
                package.destination.as_str(),
                package.derivation.name(),
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            ("tool", "/opt/tool", "tool.drv"),
            ("weights", "/weights", "weights.bin.drv"),
            ("hello-2.10-3", "/", "hello-2.10-3.drv"),
        ]
    );
    let paths: Vec<&str> = made
        .sources
        .values()
        .map(|files| files.path.as_str())
        .collect();
    assert_eq!(paths, ["lib"]);
    assert_eq!(made.texts.len(), 1);
    assert_eq!(made.graph.len(), 4, "tool, weights, hello and its fetch");
    let tool = made
        .graph
        .get(&made.extra_packages[0].derivation)
        .expect("tool");
    assert_eq!(
        (tool.system(), tool.builder_name()),
        ("x86_64-linux", "/bin/sh")
    );
    assert_eq!(tool.args(), ["-euc", "cp -r $src $out"]);
    assert_eq!(tool.env_str("destination"), None);
}

#[test]
fn changed_packages_take_the_place_of_their_wheels() {
    let spec = r#"{
        outputs = { cognix, ... }: {
            overrides = final: prev: {
                six = prev.six.overrideAttrs (old: { wheel = cognix.fetchurl { url = "https://files.example/six.whl"; sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; }; });
            };
        };
    }"#;
    assert!(variants(spec)[0].has_derivations);
    let made = derivations(spec, "default");
    assert_eq!(made.replaced.keys().collect::<Vec<_>>(), ["six"]);
    let six = made.graph.get(&made.replaced["six"]).expect("six");
    assert_eq!(six.builder_name(), "builtin:cognix-wheel-1");
    assert_eq!(six.env_str("python"), Some("3.12"));
    assert_eq!(made.graph.len(), 2);
}

#[test]
fn mistakes_in_outputs() {
    let image = |text: &str| {
        format!("{{\n  outputs = {{ cognix, ... }}: {{ images.a = {{ {text} }}; }};\n}}")
    };
    for (text, expected) in [
        (
            "pyton = \"3.12\";",
            "cognix.nix:2:45: unknown key images.a.pyton (did you mean python?), expected one of: ",
        ),
        (
            "python = 3.12;",
            "cognix.nix:2:45: images.a.python must be a string, found a float",
        ),
        (
            "torch.mode = \"sources\";",
            "cognix.nix:2:45: images.a.torch.mode must be \"wheel\" or \"source\", found \"sources\"",
        ),
        (
            "torch.gpuArchs = [ \"sm_52\" ];",
            "cognix.nix:2:45: images.a.torch.gpuArchs must hold compute capabilities such as \"5.2\", found \"sm_52\"",
        ),
        (
            "environment.\"A B\" = \"\";",
            "cognix.nix:2:45: images.a.environment must hold names of environment variables, found \"A B\"",
        ),
        (
            "extraPackages = { };",
            "cognix.nix:2:45: images.a.extraPackages must be a list of derivations, found a set",
        ),
        (
            "overrides = { };",
            "cognix.nix:2:45: images.a.overrides must be a function `final: prev: { … }`, found a set",
        ),
        (
            "overrides = final: prev: { Numpy = prev.Numpy.override { version = \"1\"; }; };",
            "overrides.Numpy: write the package's name in lower-case letters and digits, with single dashes",
        ),
        (
            "overrides = final: prev: { numpy = 1; };",
            "overrides.numpy: expected a package, as in prev.numpy.override { version = \"…\"; }, or a derivation",
        ),
        (
            "overrides = final: prev: { numpy = prev.numpi.override { }; };",
            "cognix.nix:2:85: attribute 'numpi' missing",
        ),
        (
            "packages = [ missing ];",
            "cognix.nix:2:58: undefined variable 'missing'",
        ),
    ] {
        let message = refused(&image(text));
        assert!(
            message.starts_with(expected),
            "{text}\n  {message}\n  {expected}"
        );
    }
    let message = refused("{ outputs = { self, ... }: { image = { }; }; }");
    assert!(
        message.starts_with("cognix.nix:1:30: unknown key image (did you mean images?)"),
        "{message}"
    );
    let message = refused("{ outputs = { self, ... }: { images = self.images; }; }");
    assert!(message.contains("infinite recursion"), "{message}");
    let message = refused("{ outputs = { self, tool, other ? 1 }: { }; }");
    assert_eq!(
        message,
        "cognix.nix:1:21: outputs takes tool, which is no input: set inputs.tool, or take one of self, cognix, debian, \
         debian-security, pypi, python-build-standalone"
    );
}

#[test]
fn what_is_not_locked_says_so() {
    let spec = r#"{
        outputs = { cognix, ... }: {
            overrides = final: prev: { six = prev.six.overrideAttrs (old: { x = "1"; }); };
        };
    }"#;
    let error = with(spec, &Known::default(), |session| {
        session.derivations("default")
    });
    let message = error.expect_err("nothing is locked").to_string();
    assert!(
        message.contains("what six is made of is known once it is locked"),
        "{message}"
    );
}

#[test]
fn inputs_of_every_type() {
    let spec = r#"{
        inputs.tools = { type = "index"; url = "https://tools.example/simple"; };
        inputs.image = { type = "oci"; reference = "registry.example/base:1"; };
        inputs.files = { type = "url"; url = "https://files.example/a.tar"; };
        inputs.other.follows = "tools";
        outputs = { self, tools, other, image, files, ... }: {
            images = if tools == other && image.reference == "registry.example/base:1" then { same = { }; } else { };
        };
    }"#;
    assert_eq!(variants(spec)[0].name, "same");
    let settings = with(spec, &Known::default(), |session| {
        Ok(session.settings.clone())
    });
    let settings = settings.expect("settings");
    assert_eq!(
        settings.follows,
        BTreeMap::from([("other".to_owned(), "tools".to_owned())])
    );
    assert!(settings.indexes().iter().any(|input| input.name == "tools"));
    for (inputs, expected) in [
        (
            "inputs.a.follows = \"b\";",
            "cognix.nix:1:10: inputs.a.follows must name an input that follows no other, found \"b\"",
        ),
        (
            "inputs.a = { type = \"index\"; };",
            "cognix.nix:1:3: inputs.a.url is not set",
        ),
        (
            "inputs.a = { type = \"path\"; path = ./lib; url = \"https://x.example\"; };",
            "cognix.nix:1:3: inputs.a.url has no meaning for an input of type \"path\"",
        ),
        (
            "inputs.a = { type = \"path\"; path = ../lib; };",
            "cognix.nix:1:31: inputs.a.path must name files beside or below the spec, found /lib",
        ),
        (
            "inputs.a = { type = \"git\"; };",
            "cognix.nix:1:16: inputs.a.type must be \"pypi\", \"debian\", \"index\", \"url\", \"path\" or \"oci\", found \"git\"",
        ),
    ] {
        assert_eq!(refused(&format!("{{ {inputs} }}")), expected);
    }
}

#[test]
fn trees_are_drawn() {
    let branch = |name: &str, below| Branch {
        name: name.to_owned(),
        what: None,
        below,
    };
    let leaf = |name: &str| Branch {
        what: Some("image".to_owned()),
        ..branch(name, Vec::new())
    };
    let tree = branch(
        "spec",
        vec![branch("images", vec![leaf("cpu"), leaf("cuda")]), leaf("x")],
    );
    assert_eq!(
        tree.drawn(),
        "spec\n├───images\n│   ├───cpu: image\n│   └───cuda: image\n└───x: image"
    );
}

/// Every option of the table is one that is read, and every key that is read is in the table: [`super::super::keys::Keys`]
/// refuses others.
#[test]
fn every_key_of_the_table_is_accepted() {
    for option in options::OPTIONS {
        assert!(
            !option.doc.is_empty() && !option.kind.is_empty(),
            "{}",
            option.path
        );
    }
    let all = r#"{ outputs = { self, ... }: { images.a = {
        python = null; packages = null; systemPackages = null; gpu = null; cuda = null; cudnn = null;
        torch = null;
        environment = null; platforms = null; bytecode = null; base = { tier = null; packages = null; recommends = null; };
        layers = { budget = null; grouping = null; conflicts = null; };
        compression = { tree = null; wheel = null; }; extraPackages = null; overrides = null;
    }; }; }"#;
    assert_eq!(variants(all), [Variant::unchanged("a")]);
}
