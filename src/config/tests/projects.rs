//! Whole projects: what is found on disk, what it comes to, and what of it can be built.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::{ConfigErrors, LoadOptions, Loaded, Reason};
use super::shown;

fn load(start: &Path, file: Option<&str>) -> Result<Loaded, ConfigErrors> {
    let options = LoadOptions {
        file: file.map(str::to_owned),
        strict: false,
    };
    super::super::load(start, &options)
}

/// A folder `hello` with files in it.
fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("hello")).expect("the project's folder");
    for (name, text) in files {
        let path = folder.path().join("hello").join(name);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("the file's folder");
        fs::write(path, text).expect("a file of the project");
    }
    folder
}

fn loaded(files: &[(&str, &str)]) -> Loaded {
    load(&project(files).path().join("hello"), None).expect("a valid project")
}

fn errors(files: &[(&str, &str)]) -> Vec<String> {
    load(&project(files).path().join("hello"), None)
        .expect_err("refused")
        .errors
        .iter()
        .map(|error| error.to_string())
        .collect()
}

const BUILD: &str = "build:\n  python_version: '3.11'\n";

#[test]
fn the_file_is_searched_upwards() {
    let folder = project(&[
        ("cog.yaml", "image: found"),
        ("other.yaml", "image: other"),
        ("a/b/c/x.py", ""),
    ]);
    let root = fs::canonicalize(folder.path().join("hello")).expect("the project");
    let found = load(&root.join("a/b/c"), None).expect("found above");
    assert_eq!(
        (found.root.as_path(), found.file_name.as_str()),
        (root.as_path(), "cog.yaml")
    );
    assert_eq!(found.effective.image, "found");
    assert_eq!(
        load(&root.join("a"), Some("other.yaml"))
            .expect("found")
            .effective
            .image,
        "other"
    );
    let absolute = root.join("other.yaml").display().to_string();
    assert_eq!(
        load(&root.join("a"), Some(&absolute)).expect("found").root,
        root
    );
}

#[test]
fn a_missing_file_is_named_with_where_it_was_searched() {
    let folder = project(&[]);
    let start = folder.path().join("hello");
    let error = load(&start, Some("no-such-cog.yaml")).expect_err("missing");
    assert!(
        matches!(&error.errors[0].reason, Reason::NotFound { start: shown } if *shown == start.display().to_string())
    );
    assert!(
        error
            .to_string()
            .starts_with("no-such-cog.yaml: not found in ")
    );
    assert!(matches!(
        load(&start.join("nowhere"), None)
            .expect_err("missing")
            .errors[0]
            .reason,
        Reason::NotFound { .. }
    ));
    assert!(matches!(
        load(folder.path(), Some("hello"))
            .expect_err("a folder")
            .errors[0]
            .reason,
        Reason::NotAFile { .. }
    ));
}

#[test]
fn yaml_1_utf8() {
    let folder = project(&[]);
    let root = folder.path().join("hello");
    fs::write(root.join("cog.yaml"), b"image: a\nmodel: \xff\n").expect("a file");
    let error = &load(&root, None).expect_err("refused").errors[0];
    assert_eq!(
        shown("error", error),
        "error 2:8 failed to parse: the text is not UTF-8 from this place on"
    );
    fs::write(root.join("cog.yaml"), vec![b'#'; 1024 * 1024 + 1]).expect("a file");
    assert!(matches!(
        load(&root, None).expect_err("refused").errors[0].reason,
        Reason::TooLarge { .. }
    ));
}

#[test]
fn requirements_are_read_from_the_project() {
    let config = format!("{BUILD}  python_requirements: deps/requirements.txt\n");
    let found = loaded(&[
        ("cog.yaml", &config),
        (
            "deps/requirements.txt",
            "# tools\nnumpy==1.26.4\ncog\n pandas\n",
        ),
    ]);
    let lines = &found.effective.install.requirements;
    let lines: Vec<(&str, &str, u32, u32)> = lines
        .iter()
        .map(|line| {
            (
                line.text.as_str(),
                line.file.as_str(),
                line.line,
                line.column,
            )
        })
        .collect();
    let file = "deps/requirements.txt";
    assert_eq!(
        lines,
        [("numpy==1.26.4", file, 2, 1), ("pandas", file, 4, 2)]
    );
    let warnings: Vec<String> = found
        .warnings
        .iter()
        .map(|warning| warning.to_string())
        .collect();
    assert_eq!(
        warnings,
        [
            "deps/requirements.txt:3:1: requirement \"cog\" is ignored: the SDK is chosen by build.sdk_version"
        ]
    );
}

#[test]
fn packages_of_the_old_list_stand_in_the_configuration() {
    let config = format!(
        "{BUILD}  python_packages:\n    - numpy==1.26.4\n    - Coglet>=1\n    - 'pandas ; python_version > \"3\"'\n"
    );
    let lines = loaded(&[("cog.yaml", &config)])
        .effective
        .install
        .requirements;
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("{}:{} {}", line.file, line.position(), line.text))
        .collect();
    assert_eq!(
        lines,
        [
            "cog.yaml:4:7 numpy==1.26.4",
            "cog.yaml:6:7 pandas ; python_version > \"3\""
        ]
    );
}

#[test]
fn yaml_3_requirements_stay_in_the_project() {
    let config = |path: &str| format!("{BUILD}  python_requirements: {path}\n");
    let missing = "cog.yaml:3:24: build.python_requirements: file does not exist: \"none.txt\"";
    assert_eq!(errors(&[("cog.yaml", &config("none.txt"))]), [missing]);
    assert_eq!(
        errors(&[("cog.yaml", &config("deps")), ("deps/a.txt", "")]),
        ["cog.yaml:3:24: build.python_requirements: not a file: \"deps\""]
    );
    assert_eq!(
        errors(&[("cog.yaml", &config("../../../../../../../../etc/passwd"))]),
        [
            "cog.yaml:3:24: build.python_requirements: \"../../../../../../../../etc/passwd\" is outside of the project"
        ]
    );
    let folder = project(&[("cog.yaml", &config("link.txt")), ("inside.txt", "numpy")]);
    let root = folder.path().join("hello");
    fs::write(folder.path().join("outside.txt"), "numpy").expect("a file beside the project");
    symlink("../outside.txt", root.join("link.txt")).expect("a link");
    let error = load(&root, None).expect_err("refused");
    assert!(
        matches!(error.errors[0].reason, Reason::OutsideProject { .. }),
        "{error}"
    );
    fs::remove_file(root.join("link.txt")).expect("the link is gone");
    symlink("inside.txt", root.join("link.txt")).expect("a link");
    assert_eq!(
        load(&root, None).expect("inside").python_packages,
        ["numpy"]
    );
}

#[test]
fn the_report_holds_the_completed_values() {
    let config = "build:\n  python_version: 3.11\n  python_requirements: r.txt\n  system_packages: [ffmpeg, git, ffmpeg]\n\
                  predict: predict.py:Predictor\nenvironment: [B=2, A=1=1]\nconcurrency: {max: 4}\n";
    let requirements = "--extra-index-url https://host.example/simple\nTorch[x]==2.4\ncog==0.16\n";
    let found = loaded(&[("cog.yaml", config), ("r.txt", requirements)]);
    let mut report: Value = serde_json::to_value(found.report()).expect("JSON");
    let warnings = report["warnings"].take();
    let expected = json!({
        "version": 1, "python_version": "3.11", "gpu": false, "cuda": null, "cudnn": null, "cuda_image": null,
        "torch": "2.4.1", "tensorflow": null, "system_packages": ["ffmpeg", "git"],
        "python_packages": ["--extra-index-url https://host.example/simple", "Torch[x]==2.4", "cog==0.16"],
        "install": {
            "index": null, "extra_indexes": ["https://host.example/simple", "pytorch/cpu"], "find_links": [],
            "no_index": false, "prerelease": false, "requirements": ["Torch[x]==2.4.1"], "constraints": [],
        },
        "run": "predict.py:Predictor", "predict": "predict.py:Predictor", "train": null,
        "environment": {"A": "1=1", "B": "2"}, "image": "cog-hello", "concurrency": 4, "warnings": null, "unsupported": [],
    });
    assert_eq!(report, expected);
    assert_eq!(
        warnings[0],
        json!({"file": "cog.yaml", "line": 5, "column": 1, "key": "predict",
               "message": "deprecated: use run instead", "hint": null})
    );
    assert_eq!(warnings.as_array().map(Vec::len), Some(3));
}

#[test]
fn errors_are_json_too() {
    let folder = project(&[("cog.yaml", "environment: [A]\n")]);
    let error = load(&folder.path().join("hello"), None).expect_err("refused");
    let expected = json!({"version": 1, "warnings": [], "errors": [{
        "file": "cog.yaml", "line": 1, "column": 15, "key": "environment[0]",
        "message": "\"A\" must be in the form NAME=value",
        "hint": "write each entry as a text, such as - NAME=value",
    }]});
    assert_eq!(serde_json::to_value(&error).expect("JSON"), expected);
}

#[test]
fn the_label_is_cogs_own_shape() {
    let config = "build:\n  gpu: yes\n  python_version: 3.10\n  python_packages: [numpy]\n  cuda: 12.6\n  cudnn: 9\n  \
                  run:\n    - echo\n    - command: ls\n      mounts: [{type: secret, id: a, target: /b}]\n  \
                  system_packages: [git]\n  sdk_version: 0.18\nmodel: host.example/a/b\nrun: a.py:B\n\
                  concurrency: {max: 1}\nenvironment: [B=2, A=1]\n\
                  weights:\n  - name: w\n    target: /w\n    source: {uri: u, include: [x]}\n  - name: v\n    target: /v\n    source: [{uri: u}, {uri: t}]\n";
    let expected = concat!(
        r#"{"build":{"gpu":true,"python_version":"3.10","python_packages":["numpy"],"#,
        r#""run":[{"command":"echo"},{"command":"ls","mounts":[{"type":"secret","id":"a","target":"/b"}]}],"#,
        r#""system_packages":["git"],"cuda":"12.6","cudnn":"9","sdk_version":"0.18"},"model":"host.example/a/b","#,
        r#""predict":"a.py:B","concurrency":{"max":1},"environment":["B=2","A=1"],"#,
        r#""weights":[{"name":"w","target":"/w","source":{"uri":"u","include":["x"]}},"#,
        r#"{"name":"v","target":"/v","source":[{"uri":"u"},{"uri":"t"}]}]}"#,
    );
    assert_eq!(loaded(&[("cog.yaml", config)]).label(), expected);
    assert_eq!(
        loaded(&[("cog.yaml", "")]).label(),
        r#"{"build":{"python_version":"3.13"}}"#
    );
}

#[test]
fn the_label_holds_what_was_chosen_for_a_gpu() {
    let config = "build: {gpu: true, python_version: '3.11', python_packages: [torch==2.4]}\n";
    assert_eq!(
        loaded(&[("cog.yaml", config)]).label(),
        r#"{"build":{"gpu":true,"python_version":"3.11","python_packages":["torch==2.4"],"cuda":"12.4","cudnn":"9"}}"#
    );
}

#[test]
fn what_cannot_be_built_is_told_with_its_place() {
    let config = "build:\n  gpu: true\n  python_version: 3.15\n  python_requirements: r.txt\n  system_packages: [git, curl=1, 'a b']\n  \
                  run: [ls, '', \"a\\nb\"]\n  pre_install: [ls]\n  sdk_version: 0.15.0\nrun: 'a.py:'\nmodel: a/b\n\
                  weights: [{name: w, target: /w, source: {uri: u}}]\n";
    let requirements = "numpy\n--no-binary numpy\na @ hg+https://host.example/r\n";
    let found = loaded(&[("cog.yaml", config), ("r.txt", requirements)]);
    let told: Vec<String> = found.unsupported.iter().map(ToString::to_string).collect();
    let expected = [
        "cog.yaml:3:19: build.python_version: Python \"3.15\" cannot be provided yet, available: 3.10 to 3.14",
        "cog.yaml:5:34: build.system_packages[2]: a system package other than NAME, NAME=VERSION or NAME/SUITE cannot be built yet",
        "cog.yaml:6:17: build.run[2]: the command contains a new line",
        "cog.yaml:8:16: build.sdk_version: minimum supported SDK version is 0.16.0, found \"0.15.0\"",
        "cog.yaml:9:6: run: invalid reference \"a.py:\": file or name is missing",
        "cog.yaml:11:18: weights: a model with managed weights cannot be built yet",
        "r.txt:3:1: a repository is named by git+https://, git+http:// or git+ssh://, found \"hg+https://\"",
    ];
    assert_eq!(told, expected);
    assert!(
        loaded(&[("cog.yaml", "run: a.py:B")])
            .unsupported
            .is_empty()
    );
}

#[test]
fn every_python_of_cogs_images_can_be_built() {
    for version in ["3.10", "3.11", "3.12", "3.13", "3.14"] {
        let config = format!("build: {{python_version: '{version}'}}\nrun: a.py:B\n");
        let found = loaded(&[("cog.yaml", &config)]);
        assert!(found.unsupported.is_empty(), "{version}");
    }
}

#[test]
fn a_model_without_code_cannot_be_built() {
    let found = loaded(&[("cog.yaml", BUILD)]).unsupported;
    assert!(
        matches!(found.as_slice(), [finding] if matches!(finding.reason, Reason::NothingToRun))
    );
}
