//! The same paths, rows and realisations as Nix made from the same derivations.

use super::*;

/// What the shell scripts of the golden expression write.
fn golden_shell() -> Scripted {
    Scripted::new("/bin/sh", |request| {
        let derivation = request.derivation;
        let logical = |output: &str| match derivation.outputs()[output].path() {
            Some(path) => path.to_string(),
            None => String::new(),
        };
        let place = request.output("out")?;
        let write = || -> std::io::Result<()> {
            match derivation.name() {
                "ca-base" => std::fs::write(place, "base\n"),
                "fixed-1.0" => std::fs::write(place, "hello"),
                _ => {
                    let dev = &request.outputs["dev"];
                    std::fs::create_dir_all(place.join("lib"))?;
                    std::fs::create_dir_all(dev.join("include"))?;
                    std::fs::write(place.join("lib/libfoo.so"), "so\n")?;
                    std::os::unix::fs::symlink("libfoo.so", place.join("lib/libfoo.so.1"))?;
                    std::fs::write(dev.join("include/foo.h"), logical("out") + "\n")
                }
            }
        };
        write().map_err(BuildError::io(place))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_and_realisations_are_those_of_nix() {
    let infos: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(include_str!("../../../tests/vectors/path-info-2.34.8.json"))
            .expect("JSON");
    let files: [(&str, &[u8], &str, &str); 4] = [
        (
            "ca-base",
            include_bytes!(
                "../../../tests/vectors/drvs/xqx39xy1jdd2f4323lwy1bbbpyrlflwy-ca-base.drv"
            ),
            "92hkz7sk8njbixfndj5ikl0dwkwqs7d8-ca-base",
            "adda92d1af5925b1bd58054a2e3dce50f8bdc630fcfbc4bfb79f213172d44e74",
        ),
        (
            "ca-base",
            include_bytes!(
                "../../../tests/vectors/drvs/6l435pgfnl5xldhl60vnh9zq56q3x8k9-ca-base.drv"
            ),
            "92hkz7sk8njbixfndj5ikl0dwkwqs7d8-ca-base",
            "3c7b38a030d424ee633574ca2379e7b0a7db6ee0f3280c221704149a86e66ddc",
        ),
        (
            "fixed-1.0",
            include_bytes!(
                "../../../tests/vectors/drvs/b8pfwy5w9fkar2rv24kl81qahj0zw1p6-fixed-1.0.drv"
            ),
            "amwa5p8xvrm4n1xib8in1qxgr1z0cnzy-fixed-1.0",
            "3d44927cf3b28700fed38856e94ab2e2118e38b9fca9cba80fb2498eafe17609",
        ),
        (
            "libfoo-1.0",
            include_bytes!(
                "../../../tests/vectors/drvs/4f6nmw1afmwvasgc06v5di9m9w420fxr-libfoo-1.0.drv"
            ),
            "l3dxs2l5s0wf618rkcyxqncw6j8nw1m3-libfoo-1.0",
            "4d2e61fc943df65931ec7c8fa35464cee7f9f9086847b37925f96dc6e842044e",
        ),
    ];
    let mut bench = Bench::new();
    bench.realiser.builders.insert(Arc::new(golden_shell()));
    for (name, bytes, base_name, id) in files {
        let derivation = bench.add(Derivation::parse(name, bytes).expect("a derivation"));
        let realised = bench.realise(&derivation).await.expect("realise");
        let expected = StorePath::from_base_name(base_name).expect("valid");
        assert_eq!(
            realised.outputs.into_values().next(),
            Some(expected.clone())
        );
        let id: RealisationId = format!("sha256:{id}!out").parse().expect("an id");
        assert_eq!(
            bench.realiser.store.realisation(&id).expect("query"),
            Some(expected.clone())
        );
        let info = bench
            .realiser
            .store
            .query(&expected)
            .expect("query")
            .expect("valid");
        let nix = &infos[&expected.to_string()];
        assert_eq!(nix["narHash"], info.nar_hash.to_sri());
        assert_eq!(
            nix["ca"].as_str().map(str::to_owned),
            info.ca.map(|ca| ca.to_string())
        );
        assert_eq!(nix["ultimate"], info.ultimate);
    }
    let dev = StorePath::from_base_name("8yq3ps3cmd7pxjihxc3r0fs7a3km8gk4-libfoo-1.0-dev")
        .expect("valid");
    let info = bench
        .realiser
        .store
        .query(&dev)
        .expect("query")
        .expect("valid");
    assert_eq!(
        serde_json::json!(info.references),
        infos[&dev.to_string()]["references"]
    );
    assert_eq!(bench.sound(), []);
}
