use cognix_derivations::{
    ContentAddress, Derivation, DerivationBuilder, DerivationGraph, StorePath,
    downstream_placeholder,
};

use super::derivations;

fn builtin(name: &str, number: &str) -> DerivationBuilder {
    Derivation::builder(name)
        .system("builtin")
        .builder(&format!("builtin:cognix-{number}"))
}

fn shell(name: &str) -> DerivationBuilder {
    Derivation::builder(name)
        .system("x86_64-linux")
        .builder("/bin/sh")
        .arg("-c")
        .arg(": > $out")
}

fn fetch() -> Derivation {
    let hash = "sha256-uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DUDj+rOLrAzL8="
        .parse()
        .expect("a digest");
    Derivation::builder("numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl")
        .system("builtin")
        .builder("builtin:fetchurl")
        .env(
            "url",
            "mirror://pypi/numpy/numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        )
        .fixed_output(ContentAddress::Flat(hash))
        .build()
        .expect("valid")
}

fn wheel(fetch: &Derivation) -> Derivation {
    builtin("numpy-2.1.0", "wheel-1")
        .env("wheel", fetch.fixed_output().expect("fixed").1.to_string())
        .env(
            "filename",
            "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        )
        .env("python", "3.11")
        .input_derivation(fetch.as_path(), "out")
        .floating_output("out")
        .build()
        .expect("valid")
}

fn deb() -> Derivation {
    builtin("libc6", "deb-1")
        .env("package", "libc6")
        .env("version", "2.36-9+deb12u13")
        .env("architecture", "amd64")
        .floating_output("out")
        .floating_output("control")
        .build()
        .expect("valid")
}

fn image(wheel: &Derivation, deb: &Derivation) -> Derivation {
    let layers = [(wheel, "out"), (deb, "out"), (deb, "control")]
        .map(|(input, output)| downstream_placeholder(input.as_path(), output));
    builtin("image", "image-1")
        .env("layers", format!("[\"{}\"]", layers.join("\",\"")))
        .env(
            "config",
            "{\"cmd\":[\"python\",\"-m\",\"cog.server.http\"],\"note\":\"tab\tquote\\\"\n\"}",
        )
        .arg("--one")
        .arg("two words")
        .input_derivation(wheel.as_path(), "out")
        .input_derivation(deb.as_path(), "out")
        .input_derivation(deb.as_path(), "control")
        .floating_output("out")
        .build()
        .expect("valid")
}

/// The `.drv` files that `nix-instantiate` makes of the same attributes.
#[test]
fn makes_what_nix_makes() {
    let nix = derivations("builder/drvs");
    let mut graph = DerivationGraph::new();
    let mut check = |derivation: Derivation| {
        let ours = String::from_utf8(derivation.to_aterm()).expect("UTF-8");
        let named = nix
            .values()
            .find(|other| other.name() == derivation.name())
            .expect("the same");
        let theirs = String::from_utf8(named.to_aterm()).expect("UTF-8");
        assert_eq!(ours, theirs);
        assert_eq!(derivation.path(), named.path());
        graph.insert(derivation.clone()).expect("inputs are in");
        derivation
    };
    let fetch = check(fetch());
    let wheel = check(wheel(&fetch));
    let deb = check(deb());
    check(image(&wheel, &deb));
    let predict = StorePath::from_base_name("5nplfvnr709dpl41rkbfpqq2499bnf8j-predict.py");
    let predict = predict.expect("a store path");
    check(
        builtin("source", "source-layer-1")
            .env("tree", predict.to_string())
            .input_source(&predict)
            .floating_output("out")
            .build()
            .expect("valid"),
    );
    let plain = check(
        shell("plain")
            .input_addressed_output("out")
            .build()
            .expect("valid"),
    );

    let mut inputs = DerivationGraph::new();
    for input in [&fetch, &plain, &wheel] {
        inputs.insert(input.clone()).expect("inputs first");
    }
    let on_plain = shell("on-plain")
        .env(
            "plain",
            plain.outputs()["out"].path().expect("known").to_string(),
        )
        .env("fetch", fetch.fixed_output().expect("fixed").1.to_string())
        .input_derivation(plain.as_path(), "out")
        .input_derivation(fetch.as_path(), "out")
        .input_addressed_output("out")
        .input_addressed_output("dev");
    assert!(on_plain.clone().build().is_err());
    check(on_plain.build_in(&inputs).expect("valid"));
    let on_floating = shell("on-floating")
        .env("wheel", downstream_placeholder(wheel.as_path(), "out"))
        .input_derivation(wheel.as_path(), "out")
        .input_addressed_output("out");
    check(on_floating.build_in(&inputs).expect("valid"));
    assert_eq!(graph.len(), nix.len());
}
