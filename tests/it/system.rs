//! An image with packages whose scripts matter, as Debian's own tools see it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::world::{COGNIX, json, succeed};

const COG_YAML: &str = "build:\n  python_version: \"3.11\"\n  \
    system_packages: [git, curl, ca-certificates, libopenblas0, fontconfig]\nrun: predict.py:Predictor\n";

struct Image {
    folder: PathBuf,
    plan: Value,
    build: Value,
    root: PathBuf,
}

impl Image {
    fn cognix(&self) -> Command {
        let mut command = Command::new(COGNIX);
        command.arg("--store").arg(self.folder.join("store"));
        command
    }

    fn project(&self) -> PathBuf {
        self.folder.join("project")
    }

    /// What a command of the image prints, with root at the image's.
    fn run(&self, script: &str) -> String {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(["/bin/sh", "-euc", script]);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = succeed(&mut command);
        String::from_utf8(output.stdout).expect("text")
    }
}

/// The image, built and unpacked once for all tests of this file.
fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let folder = folder.expect("a writable folder").keep();
        let project = folder.join("project");
        std::fs::create_dir(&project).expect("a new folder");
        std::fs::write(project.join("cog.yaml"), COG_YAML).expect("a new file");
        let model = "class Predictor:\n    def predict(self) -> str:\n        return ''\n";
        std::fs::write(project.join("predict.py"), model).expect("a new file");
        let layout = format!("{}:latest", folder.join("layout").display());
        let bundle = folder.join("bundle");
        let mut image = Image {
            root: bundle.join("rootfs"),
            folder,
            plan: Value::Null,
            build: Value::Null,
        };
        let mut build = image.cognix();
        build.args(["build", "--format", "json", "-o", &format!("oci:{layout}")]);
        image.build = json(build.arg(&project));
        image.plan = json(
            image
                .cognix()
                .args(["plan", "--format", "json"])
                .arg(&project),
        );
        let mut unpack = Command::new("umoci");
        succeed(unpack.args(["unpack", "--image", &layout]).arg(&bundle));
        image
    })
}

#[test]
fn dpkg_knows_every_package_and_finds_nothing_changed() {
    let image = image();
    let lock = std::fs::read_to_string(image.project().join("cognix.lock")).expect("a lock");
    let lock: Value = serde_json::from_str(&lock).expect("JSON");
    let locked = lock["debian"].as_array().map_or(0, Vec::len);
    let listed = image.run("dpkg -l | grep -c ^ii");
    assert!(locked > 100, "{locked} packages in the lock");
    assert_eq!(listed.trim(), locked.to_string());
    assert_eq!(image.run("dpkg --verify; dpkg --audit"), "");
    assert_eq!(image.run("dpkg -S /usr/bin/git"), "git: /usr/bin/git\n");
    assert!(
        image
            .run("dpkg -L fontconfig")
            .contains("/usr/bin/fc-cache\n")
    );
    assert_eq!(
        image.run("dpkg --configure -a; dpkg --triggers-only -a"),
        ""
    );
}

#[test]
fn libraries_alternatives_and_users_are_found() {
    let image = image();
    let libraries = image.run("ldconfig -p");
    for library in [
        "libopenblas.so.0",
        "libblas.so.3",
        "libcurl.so.4",
        "libfontconfig.so.1",
    ] {
        assert!(libraries.contains(library), "{library} is not in the cache");
    }
    let blas = image.run("update-alternatives --query libblas.so.3-x86_64-linux-gnu");
    assert!(blas.contains("Status: auto\n"), "{blas}");
    let value = "Value: /usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3\n";
    assert!(blas.contains(value), "{blas}");
    assert_eq!(
        image.run("readlink -f /usr/lib/x86_64-linux-gnu/libblas.so.3; readlink -f /usr/bin/awk"),
        "/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3\n/usr/bin/mawk\n"
    );
    assert_eq!(
        image.run("getent passwd www-data root; getent group mail; id -un"),
        "www-data:*:33:33:www-data:/var/www:/usr/sbin/nologin\nroot:*:0:0:root:/root:/bin/bash\nmail:*:8:\nroot\n"
    );
}

#[test]
fn the_cache_of_fonts_is_the_one_that_the_image_needs() {
    let image = image();
    assert!(image.run("fc-list").contains("DejaVu Sans"));
    let said = image.run("fc-cache -s -v");
    let fonts = "/usr/share/fonts/truetype/dejavu: skipping, existing cache is valid: 6 fonts";
    assert!(said.contains(fonts), "{said}");
    assert!(!said.contains("caching, new cache contents"), "{said}");
}

/// A server with a certificate of an own authority: refused, and accepted once the authority is one of the image's.
#[test]
fn tls_is_verified_with_the_certificates_of_the_image() {
    let image = image();
    let count = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))";
    let known: usize = image
        .run(&format!("python3.11 -c '{count}'"))
        .trim()
        .parse()
        .expect("a number");
    assert!(known > 100, "{known} certificates");
    let script = r#"
echo '127.0.0.1 localhost' > /etc/hosts
cd "$(mktemp -d)"
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout key -out csr -subj /CN=localhost 2>/dev/null
printf 'subjectAltName=DNS:localhost\n' > ext
openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out crt 2>/dev/null
echo content > file
openssl s_server -accept PORT -cert crt -key key -WWW -quiet > log 2>&1 & server=$!
sleep 1
if curl -s --max-time 20 https://localhost:PORT/file; then echo accepted; else echo "refused with $?"; fi
git ls-remote https://localhost:PORT/x 2>&1 | grep -o 'certificate verification failed' || true
cp ca.crt /usr/local/share/ca-certificates/authority.crt
update-ca-certificates > log 2>&1
curl -s --max-time 20 https://localhost:PORT/file
python3.11 -c "import urllib.request; print(urllib.request.urlopen('https://localhost:PORT/file').status)"
kill $server
"#;
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = free.local_addr().expect("an address").port().to_string();
    drop(free);
    assert_eq!(
        image.run(&script.replace("PORT", &port)),
        "refused with 60\ncertificate verification failed\ncontent\n200\n"
    );
}

/// What is run, and only that, is in a layer of its own; a rebuild of it is the same.
#[test]
fn scripts_that_no_rule_covers_are_run_in_one_layer() {
    let image = image();
    let packages = image.plan["scripts"]["packages"]
        .as_object()
        .expect("what becomes of scripts");
    let mut run = Vec::new();
    for (package, outcomes) in packages {
        for outcome in outcomes.as_array().expect("outcomes") {
            if outcome.get("run").is_some() {
                run.push(format!(
                    "{package} {}",
                    outcome["script"].as_str().expect("a name")
                ));
            }
        }
    }
    assert_eq!(run, ["fontconfig postinst"]);
    let layers = image.build["layers"].as_array().expect("layers");
    let layers = layers
        .iter()
        .filter(|layer| layer["name"] == "system-scripts");
    assert_eq!(layers.count(), 1);
    let mut check = image.cognix();
    check.args(["check", "--derivation", "system-scripts"]);
    succeed(check.arg(image.project()));
}
