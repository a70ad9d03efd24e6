//! What skopeo and umoci say about our images.

use std::path::Path;
use std::process::Command;

use super::*;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("the program is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn digest_of(reference: &str) -> String {
    run("skopeo", &["inspect", "--format", "{{.Digest}}", reference])
        .trim()
        .to_owned()
}

#[test]
fn skopeo_reads_and_copies_what_we_write() {
    let world = World::new();
    let root = tempfile::tempdir().expect("a folder");
    let at = |name: &str| root.path().join(name).display().to_string();
    let image = world.image();
    let digest = format!("sha256:{}", image.manifest_digest());
    let policy = ["--insecure-policy", "copy", "--quiet"];
    for reference in [
        format!("oci:{}:v1", at("layout")),
        format!("oci:{}", at("untagged")),
        format!("oci-archive:{}:v1", at("oci.tar")),
        format!("oci-archive:{}", at("untagged.tar")),
    ] {
        world.put(&reference).expect("written");
        assert_eq!(digest_of(&reference), digest);
        // A copy with everything preserved keeps the digest, so nothing had to be converted.
        let copy = format!("oci:{}:copy", at("copy"));
        run(
            "skopeo",
            &[&policy[..], &["--preserve-digests", &reference, &copy]].concat(),
        );
        assert_eq!(digest_of(&copy), digest);
        std::fs::remove_dir_all(at("copy")).expect("removed");
    }
    let archive = format!("docker-archive:{}", at("docker.tar"));
    world
        .put(&format!("{archive}:me/model:v1"))
        .expect("written");
    let ours = image.config();
    for reference in [archive.clone(), format!("{archive}:me/model:v1")] {
        // Taken as it is, the configuration, and with it the engines' id of the image, is ours.
        let copy = at("copy");
        run(
            "skopeo",
            &[&policy[..], &[&reference, &format!("dir:{copy}")]].concat(),
        );
        let config = Path::new(&copy).join(image.config_digest().to_string());
        assert_eq!(std::fs::read(config).expect("the configuration"), ours);
        std::fs::remove_dir_all(&copy).expect("removed");
        // Converted to OCI's types, it still says the same.
        let copy = format!("oci:{copy}:copy");
        run("skopeo", &[&policy[..], &[&reference, &copy]].concat());
        let config = run("skopeo", &["inspect", "--raw", "--config", &copy]);
        let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).expect("JSON");
        assert_eq!(value(config.as_bytes()), value(ours));
        std::fs::remove_dir_all(at("copy")).expect("removed");
    }
}

#[test]
fn umoci_unpacks_what_we_write() {
    let world = World::new();
    let root = tempfile::tempdir().expect("a folder");
    let layout = root.path().join("layout").display().to_string();
    let bundle = root.path().join("bundle").display().to_string();
    world.put(&format!("oci:{layout}:v1")).expect("written");
    run(
        "umoci",
        &[
            "unpack",
            "--rootless",
            "--image",
            &format!("{layout}:v1"),
            &bundle,
        ],
    );
    let rootfs = Path::new(&bundle).join("rootfs");
    assert_eq!(
        std::fs::read(rootfs.join("etc/file")).expect("a file"),
        b"base\n"
    );
    assert_eq!(
        std::fs::metadata(rootfs.join("venv/file"))
            .expect("a file")
            .len(),
        1_000_000
    );
    let config = std::fs::read_to_string(Path::new(&bundle).join("config.json")).expect("a file");
    assert!(
        config.contains("cog.server.http") && config.contains(r#""cwd": "/src""#),
        "{config}"
    );
}
