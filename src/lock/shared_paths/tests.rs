use super::*;

const PYTHON: PythonVersion = PythonVersion {
    major: 3,
    minor: 11,
};

fn wheel(name: &str, files: &[(&str, &str)]) -> (String, WheelContents) {
    with_commands(name, files, "")
}

/// The text of a command is its line here.
fn commands(entry_points: &str) -> BTreeMap<String, Sha256> {
    let lines = entry_points.lines();
    let names = lines.map(|line| (line.split('=').next().unwrap_or(line), line));
    names
        .map(|(name, line)| (name.to_owned(), Sha256::of(line.as_bytes())))
        .collect()
}

fn with_commands(
    name: &str,
    files: &[(&str, &str)],
    entry_points: &str,
) -> (String, WheelContents) {
    let entry = |(path, body): &(&str, &str)| RecordEntry {
        path: (*path).to_owned(),
        sha256: Some(Sha256::of(body.as_bytes())),
        size: Some(body.len() as u64),
    };
    let contents = WheelContents {
        name: String::new(),
        record: files.iter().map(entry).collect(),
        entry_points: entry_points.to_owned(),
    };
    (name.to_owned(), contents)
}

fn decide(
    contents: &BTreeMap<String, WheelContents>,
    rules: &[(&str, &str)],
    earlier: Option<&PlatformLock>,
) -> Result<Shared, PathConflicts> {
    decide_with(&BTreeSet::new(), contents, rules, earlier)
}

fn decide_with(
    built: &BTreeSet<&str>,
    contents: &BTreeMap<String, WheelContents>,
    rules: &[(&str, &str)],
    earlier: Option<&PlatformLock>,
) -> Result<Shared, PathConflicts> {
    let rules = rules
        .iter()
        .map(|(path, owner)| ((*path).to_owned(), (*owner).to_owned()));
    shared_paths(&Sharing {
        contents,
        built,
        python: PYTHON,
        commands: &commands,
        rules: &rules.collect(),
        earlier,
    })
}

/// Who leaves out what, with `SITE` for the directory of packages.
fn omitted(shared: &Shared) -> Vec<String> {
    let of_wheel = |(wheel, paths): (&String, &BTreeSet<String>)| {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.replace(&SITE[..SITE.len() - 1], "SITE"))
            .collect();
        format!("{wheel}: {}", paths.join(" "))
    };
    shared.omitted.iter().map(of_wheel).collect()
}

const SITE: &str = "venv/lib/python3.11/site-packages/";

#[test]
fn rules_settle_what_built_packages_share() {
    let contents = BTreeMap::from([
        wheel("one", &[("shared.py", "a"), ("own.py", "")]),
        wheel("two", &[("shared.py", "b")]),
    ]);
    let built = BTreeSet::from(["compiled-thing"]);
    let path = format!("{SITE}shared.py");
    let shared = decide_with(&built, &contents, &[(&path, "Compiled_Thing")], None);
    let shared = shared.expect("the rule settles it");
    assert_eq!(
        omitted(&shared),
        ["one: SITE/shared.py", "two: SITE/shared.py"]
    );
    // What only the build knows may be settled by a rule before.
    let own = format!("{SITE}own.py");
    let rules = [(own.as_str(), "one"), (path.as_str(), "two")];
    let shared = decide_with(&built, &contents, &rules, None).expect("settled");
    assert_eq!(omitted(&shared), ["one: SITE/shared.py"]);
    assert!(shared.contested.contains(&own));
}

#[test]
fn equal_contents_stay_with_the_first_owner() {
    let contents = BTreeMap::from([
        wheel(
            "cublas",
            &[("nvidia/__init__.py", ""), ("nvidia/cublas/lib.so", "a")],
        ),
        wheel(
            "cudnn",
            &[("nvidia/__init__.py", ""), ("nvidia/cudnn/lib.so", "b")],
        ),
    ]);
    let shared = decide(&contents, &[], None).expect("equal contents are no conflict");
    assert_eq!(omitted(&shared), ["cudnn: SITE/nvidia/__init__.py"]);
}

/// A new wheel that comes before the others by name takes nothing away from them.
#[test]
fn equal_contents_stay_where_they_were() {
    let lock = crate::lock::tests::example();
    let earlier = lock.platforms.values().next().expect("one platform");
    let shared_by = |names: &[&str]| -> BTreeMap<String, WheelContents> {
        let wheel = |name: &&str| wheel(name, &[("shared.py", "1")]);
        names.iter().map(wheel).collect()
    };
    // In the example beta leaves `shared.py` out, and alpha has it.
    let decide = |names: &[&str]| {
        let shared = decide(&shared_by(names), &[], Some(earlier));
        omitted(&shared.expect("equal contents"))
    };
    assert_eq!(
        decide(&["aaa", "alpha", "beta"]),
        ["aaa: SITE/shared.py", "beta: SITE/shared.py"]
    );
    assert_eq!(decide(&["aaa", "beta"]), ["beta: SITE/shared.py"]);
}

#[test]
fn rec_5_different_contents_name_both_owners_and_the_rule() {
    let contents = BTreeMap::from([
        wheel("a", &[("tests/__init__.py", "1"), ("tests/x.py", "1")]),
        wheel("b", &[("tests/__init__.py", "2"), ("tests/x.py", "2")]),
    ]);
    let conflicts = decide(&contents, &[], None).expect_err("different contents");
    assert_eq!(
        conflicts.to_string(),
        format!(
            "a and b both bring {SITE}tests/__init__.py, with different contents\n  \
                 a and b both bring {SITE}tests/x.py, with different contents"
        )
    );
    assert_eq!(
        conflicts.rule(),
        format!("layers.conflicts = {{ \"{SITE}tests/__init__.py\" = \"a\"; }};")
    );
    let (init, x) = (
        format!("{SITE}tests/__init__.py"),
        format!("{SITE}tests/x.py"),
    );
    let shared = decide(&contents, &[(&init, "B"), (&x, "a")], None).expect("settled");
    assert_eq!(
        omitted(&shared),
        ["a: SITE/tests/__init__.py", "b: SITE/tests/x.py"]
    );
    let message = decide(&contents, &[(&init, "c"), (&x, "a")], None).expect_err("c has none");
    assert_eq!(
        message.to_string(),
        format!("layers.conflicts in cognix.nix gives {init} to c, but a and b bring it")
    );
}

#[test]
fn rec_5_a_file_and_a_directory_of_one_name_are_settled_too() {
    let contents = BTreeMap::from([
        wheel("a", &[("thing", "1"), ("other.py", "1")]),
        wheel("b", &[("thing/__init__.py", "1"), ("thing/x.py", "1")]),
    ]);
    let conflicts = decide(&contents, &[], None).expect_err("two kinds");
    assert_eq!(
        conflicts.to_string(),
        format!("a brings {SITE}thing as a file, and b has files below it")
    );
    let thing = format!("{SITE}thing");
    let shared = decide(&contents, &[(&thing, "a")], None).expect("settled");
    assert_eq!(
        omitted(&shared),
        ["b: SITE/thing/__init__.py SITE/thing/x.py"]
    );
    let shared = decide(&contents, &[(&thing, "b")], None).expect("settled");
    assert_eq!(omitted(&shared), ["a: SITE/thing"]);
    assert!(decide(&contents, &[(&thing, "c")], None).is_err());
}

#[test]
fn rules_that_settle_nothing_are_refused() {
    let lock = crate::lock::tests::example();
    let contested = BTreeSet::from([format!("{SITE}shared.py")]);
    let message = |change: &dyn Fn(&mut LockRequest)| {
        let mut request = lock.request.clone();
        change(&mut request);
        let checked = check_rules(&request, &contested, &lock.platforms);
        checked.err().map(|idle| idle.to_string())
    };
    let rule = |path: String| {
        move |request: &mut LockRequest| {
            request.conflicts.insert(path.clone(), "alpha".to_owned());
        }
    };
    assert_eq!(message(&rule(format!("{SITE}shared.py"))), None);
    assert_eq!(message(&rule("usr/bin/tool".to_owned())), None);
    assert_eq!(
        message(&rule(format!("{SITE}share.py"))),
        Some(format!(
            "layers.conflicts in cognix.nix gives {SITE}share.py to alpha, but no two wheels bring that path \
                 (is it {SITE}shared.py?); correct or remove that line"
        ))
    );
    let waiver = |sha256| move |request: &mut LockRequest| request.waivers.push(sha256);
    assert_eq!(message(&waiver(Sha256::of(b"alpha"))), None);
    let said = message(&waiver(Sha256::of(b"gone"))).expect("no such wheel");
    assert!(
        said.starts_with("wheels.waivers in cognix.nix names sha256-"),
        "{said}"
    );
}

#[test]
fn data_schemes_meet_at_their_place_in_the_image() {
    let contents = BTreeMap::from([
        wheel(
            "a",
            &[
                ("a-1.data/purelib/shared.py", "x"),
                ("a-1.data/data/lib64/python3.11/site-packages/other.py", "x"),
                ("a-1.dist-info/RECORD", ""),
            ],
        ),
        wheel("b", &[("shared.py", "x"), ("other.py", "x")]),
    ]);
    let shared = decide(&contents, &[], None).expect("equal contents are no conflict");
    assert_eq!(omitted(&shared), ["b: SITE/other.py SITE/shared.py"]);
}

/// tensorflow and tensorboard both bring the command `tensorboard`.
#[test]
fn commands_are_paths_too() {
    let contents = BTreeMap::from([
        with_commands("tensorboard", &[], "tensorboard=tensorboard.main:run"),
        with_commands(
            "tensorflow",
            &[],
            "tensorboard=tensorboard.main:run\ntf=tf:main",
        ),
    ]);
    let shared = decide(&contents, &[], None).expect("the same command");
    assert_eq!(omitted(&shared), ["tensorflow: venv/bin/tensorboard"]);

    let contents = BTreeMap::from([
        with_commands("one", &[], "tool=one:main"),
        with_commands("two", &[], "tool=two:main"),
    ]);
    let conflicts = decide(&contents, &[], None).expect_err("two commands");
    assert_eq!(conflicts.conflicts[0].path, "venv/bin/tool");
}
