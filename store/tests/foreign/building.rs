//! What a build sees, what it leaves, and how it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use cognix_derivations::{
    ContentAddress, Derivation, HashAlgorithm, NixHash, StorePath, StorePathName, placeholder,
};
use cognix_store::build::foreign::{
    ChangesRecord, Identity, MachineNetwork, OutputKind, Plan, SecretUse, UNLESS_EMPTY, host_system,
};
use cognix_store::{CancellationToken, ErrorKind};

use crate::Test;
use crate::bench::Bench;

pub(crate) const TESTS: &[Test] = &[
    (
        "box_2_the_closure_of_the_inputs_is_visible_and_no_more",
        box_2_the_closure_of_the_inputs_is_visible_and_no_more,
    ),
    (
        "box_3_a_program_gets_the_declared_environment",
        box_3_a_program_gets_the_declared_environment,
    ),
    ("long_attributes_are_files", long_attributes_are_files),
    (
        "structured_attributes_are_files",
        structured_attributes_are_files,
    ),
    (
        "box_6_outputs_are_normal_and_refer_to_inputs",
        box_6_outputs_are_normal_and_refer_to_inputs,
    ),
    (
        "box_6_references_that_cannot_be_kept_are_refused",
        box_6_references_that_cannot_be_kept_are_refused,
    ),
    ("what_is_missing_is_named", what_is_missing_is_named),
    (
        "fixed_outputs_are_compared_with_their_hashes",
        fixed_outputs_are_compared_with_their_hashes,
    ),
    ("changes_lie_on_changes", changes_lie_on_changes),
    (
        "a_failure_shows_the_end_of_its_log",
        a_failure_shows_the_end_of_its_log,
    ),
    (
        "lim_3_a_build_ends_at_its_limit",
        lim_3_a_build_ends_at_its_limit,
    ),
    ("a_build_ends_soon_when_asked", a_build_ends_soon_when_asked),
    (
        "a_program_without_anything_to_do_is_not_run",
        a_program_without_anything_to_do_is_not_run,
    ),
    (
        "another_machine_s_programs_are_refused",
        another_machine_s_programs_are_refused,
    ),
    (
        "sec_1_secrets_reach_the_program_and_nothing_else",
        sec_1_secrets_reach_the_program_and_nothing_else,
    ),
    (
        "box_1_the_network_needs_permission",
        box_1_the_network_needs_permission,
    ),
];

fn box_2_the_closure_of_the_inputs_is_visible_and_no_more() {
    let mut bench = Bench::new();
    let other = bench.tree("file", "not an input");
    let name = StorePathName::parse("link").expect("a name");
    let link = bench.store.import(&name, &mut |target| {
        std::os::unix::fs::symlink("/elsewhere", target)
    });
    let link = link.expect("a link").path;
    let plan = bench.plan();
    let referring = bench.add("referring", &plan, &format!("echo {} > $out", bench.tools));
    let script = "cat $referring >&2; ls -l /nix/store/*-link >&2; names=$(ls /nix/store); echo \"$names\" > $out";
    let derivation = bench.script("x", &plan, script);
    let derivation = derivation
        .env(
            "referring",
            cognix_derivations::downstream_placeholder(&referring, "out"),
        )
        .input_derivation(&referring, "out")
        .input_source(&link)
        .floating_output("out");
    let target = bench.insert(derivation);
    let text = bench.text(&target);
    assert!(!text.contains(other.as_base_name()), "{text}");
    let mut names: Vec<&str> = text.lines().map(|name| &name[33..]).collect();
    names.sort_unstable();
    assert_eq!(names, ["link", "referring", "tools"]);
    assert!(
        bench.log(&target).contains("-> /elsewhere"),
        "{}",
        bench.log(&target)
    );
    assert_eq!(bench.left(), [""; 0]);
}

fn box_3_a_program_gets_the_declared_environment() {
    let mut bench = Bench::new();
    let plan = Plan {
        environment: Some(
            [("PATH", "/bin"), ("OUT", &placeholder("out"))]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        ),
        directory: "/tmp".to_owned(),
        ..bench.plan()
    };
    let target = bench.add(
        "x",
        &plan,
        "out=$OUT; unset OUT; env > $out; id >> $out; umask >> $out; pwd >> $out",
    );
    let text = bench.text(&target);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("_=") && !line.starts_with("PWD="))
        .collect();
    assert_eq!(lines[0], "PATH=/bin");
    assert!(
        lines[1].starts_with("uid=1000") && lines[1].contains("gid=100"),
        "{text}"
    );
    assert_eq!(lines[2..], ["0022", "/tmp"]);
}

fn long_attributes_are_files() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let derivation = bench
        .script(
            "x",
            &plan,
            "cat $longPath > $out; echo ${long-unset} >> $out; mkdir $TMPDIR/new",
        )
        .env("passAsFile", "long")
        .env("long", "text\n")
        .floating_output("out");
    let target = bench.insert(derivation);
    assert_eq!(bench.text(&target), "text\nunset\n");
}

fn structured_attributes_are_files() {
    let mut bench = Bench::new();
    let attributes = serde_json::json!({
        "outputs": ["out"],
        "sandbox": bench.plan().to_json(),
        "words": ["a b", 1],
    });
    // An output cannot hold its own path, which stands in one of the lines.
    let script = format!(
        "while read -r line; do case $line in *outputs=*/nix/store/*) echo outputs;; *) echo \"$line\";; esac; done \
         < $NIX_ATTRS_SH_FILE > {out}; echo ${{words-unset}} $NIX_ATTRS_JSON_FILE >> {out}",
        out = placeholder("out")
    );
    let derivation = Derivation::builder("x")
        .system(host_system())
        .builder("/bin/sh")
        .arg("-euc")
        .arg(script)
        .env("__json", attributes.to_string())
        .input_source(&bench.tools)
        .floating_output("out");
    let target = bench.insert(derivation);
    let text = bench.text(&target);
    assert!(text.starts_with("outputs\n"), "{text}");
    assert!(text.contains("declare -a words=('a b' 1 )\n"), "{text}");
    assert!(text.ends_with("unset /build/.attrs.json\n"), "{text}");
}

fn box_6_outputs_are_normal_and_refer_to_inputs() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let script = format!(
        "mkdir $out; echo {} > $out/file; echo x > $out/run; chmod 711 $out/run; chmod 000 $out/file; chmod 500 $out",
        bench.tools
    );
    let target = bench.add("x", &plan, &script);
    let path = bench.realise(&target).expect("an output");
    let info = bench.store.query(&path).expect("query").expect("valid");
    assert_eq!(info.references, [bench.tools.clone()].into());
    let mode = |name: &str| {
        let metadata = fs::metadata(bench.store.real_path(&path).join(name)).expect("a file");
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!((mode(""), mode("file"), mode("run")), (0o555, 0o444, 0o555));
    let report = bench.store.verify(true, &CancellationToken::new());
    assert_eq!(report.expect("verify").problems, []);
}

fn box_6_references_that_cannot_be_kept_are_refused() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let own = bench.add("own", &plan, "echo $out > $out");
    let (message, status) = bench.failure(&own);
    assert!(
        message.contains("the path of its own output \"out\""),
        "{message}"
    );
    assert_eq!(status, 100);
    let other = bench.script("two", &plan, "echo x > $out; echo $out > $dev");
    let other = bench.insert(other.floating_output("out").floating_output("dev"));
    let (message, _) = bench.failure(&other);
    assert!(
        message.contains("output \"dev\" holds the path of the same derivation's output \"out\""),
        "{message}"
    );
    let stray = "/nix/store/00000000000000000000000000000000-x";
    let undeclared = bench.add("undeclared", &plan, &format!("echo {stray} > $out"));
    let (message, _) = bench.failure(&undeclared);
    assert!(
        message.contains("/nix/store/00000000000000000000000000000000-"),
        "{message}"
    );
    assert!(message.contains("no input"), "{message}");
    assert_eq!(bench.left(), [""; 0]);
}

fn what_is_missing_is_named() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let nothing = bench.add("nothing", &plan, "true");
    assert!(
        bench
            .failure(&nothing)
            .0
            .contains("did not make output \"out\"")
    );
    let derivation = bench.script("x", &Plan::default(), "true");
    let empty = bench.insert(derivation.floating_output("out"));
    let (message, status) = bench.failure(&empty);
    assert!(message.contains("/bin/sh"), "{message}");
    assert_eq!(status, 100);
}

fn fixed_outputs_are_compared_with_their_hashes() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let hash = |text: &[u8]| ContentAddress::Flat(NixHash::of(HashAlgorithm::Sha256, text));
    let right = bench
        .script("right", &plan, "echo right > $out")
        .fixed_output(hash(b"right\n"));
    let right = bench.insert(right);
    assert_eq!(bench.text(&right), "right\n");
    let wrong = bench
        .script("wrong", &plan, "echo wrong > $out")
        .fixed_output(hash(b"right\n"));
    let wrong = bench.insert(wrong);
    assert_eq!(bench.failure(&wrong).1, ErrorKind::Hash.exit_code());
}

fn changes_lie_on_changes() {
    let mut bench = Bench::new();
    let plan = |bench: &Bench| Plan {
        identity: Identity::Root,
        output: OutputKind::Changes,
        directory: "/".to_owned(),
        ..bench.plan()
    };
    let first_plan = plan(&bench);
    let first = bench.add("first", &first_plan, "mkdir -m 750 /home /home/app; echo one > /home/app/file; chown 1000:1000 /home/app; chmod 4755 /bin/ls; rm /bin/sleep");
    let path = bench
        .realise(&first)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let real = bench.store.real_path(&path);
    let record = fs::read(real.join("changes.json")).expect("a record");
    let text = String::from_utf8_lossy(&record).into_owned();
    let record = ChangesRecord::parse(&record).expect("a record");
    assert_eq!(record.removed, ["bin/sleep"], "{text}");
    let modes: Vec<(&str, u32, u32)> = record
        .modes
        .iter()
        .map(|(path, owned)| (path.as_str(), owned.mode, owned.uid))
        .collect();
    assert_eq!(
        modes,
        [
            ("bin/ls", 0o4755, 0),
            ("home", 0o750, 0),
            ("home/app", 0o750, 1000)
        ],
        "{text}"
    );
    assert_eq!(
        fs::read_to_string(real.join("tree/home/app/file")).expect("a file"),
        "one\n"
    );
    let second_plan = plan(&bench);
    let second = bench.on_changes("second", &first, second_plan, "ls -l / /bin >&2; cat /home/app/file; test ! -e /bin/sleep; echo two >> /home/app/file; rm /bin/ls");
    let path = bench
        .realise(&second)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let real = bench.store.real_path(&path);
    assert_eq!(
        fs::read_to_string(real.join("tree/home/app/file")).expect("a file"),
        "one\ntwo\n"
    );
    let record = fs::read(real.join("changes.json")).expect("a record");
    let record = ChangesRecord::parse(&record).expect("a record");
    assert_eq!(record.removed, ["bin/ls"]);
    let names: Vec<&String> = record.modes.keys().collect();
    assert_eq!(names, ["home", "home/app"]);
    let third_plan = plan(&bench);
    let third = bench.on_changes(
        "third",
        &first,
        third_plan,
        "cat /home/app/file > /home/app/new; cat /home/app/new > /home/app/file; rm /home/app/new",
    );
    let path = bench
        .realise(&third)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let entries = fs::read_dir(bench.store.real_path(&path).join("tree")).expect("a tree");
    assert_eq!(entries.count(), 0, "what is as before is no change");
}

fn a_failure_shows_the_end_of_its_log() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let target = bench.add(
        "x",
        &plan,
        "for n in 1 2 3 4 5 6 7 8 9; do echo line $n; echo more $n >&2; done; exit 3",
    );
    let (message, status) = bench.failure(&target);
    assert_eq!(status, 100);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[0], "/bin/sh ended with status 3; the end of its log:");
    assert_eq!(lines.len(), 16);
    assert_eq!(lines[15], "    more 9");
    assert_eq!(bench.log(&target).lines().count(), 18);
    assert_eq!(bench.told().len(), 18);
    assert_eq!(bench.left(), [""; 0]);
}

fn lim_3_a_build_ends_at_its_limit() {
    let mut bench = Bench::new();
    bench.builder.limits.time = Duration::from_secs(1);
    let plan = bench.plan();
    let target = bench.add("x", &plan, "echo here; sleep 100");
    let started = Instant::now();
    let (message, status) = bench.failure(&target);
    assert!(
        started.elapsed() < Duration::from_secs(7),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(
        message,
        "the program ran longer than 1 seconds; it said:\n    here"
    );
    assert_eq!(status, 101);
    assert_eq!(bench.left(), [""; 0]);
}

fn a_build_ends_soon_when_asked() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let target = bench.add("x", &plan, "echo here; sleep 100");
    let realiser = bench.realiser();
    let cancel = realiser.cancel.clone();
    let asked = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1500));
        cancel.cancel();
        Instant::now()
    });
    let error = bench
        .realise_with(&realiser, &target)
        .expect_err("cancelled");
    let ended = Instant::now();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    let asked = asked.join().expect("the thread ends");
    assert!(
        ended - asked < Duration::from_secs(1),
        "{:?}",
        ended - asked
    );
    assert_eq!(bench.left(), [""; 0]);
}

fn a_program_without_anything_to_do_is_not_run() {
    let mut bench = Bench::new();
    let plan = Plan {
        identity: Identity::Root,
        output: OutputKind::Changes,
        ..bench.plan()
    };
    let mut failed_or = |text: &str, file: &str| {
        let input = bench.tree("commands", text);
        let derivation = bench
            .script("x", &plan, "echo > /made")
            .system("riscv64-linux")
            .env(UNLESS_EMPTY, format!("{input}{file}"))
            .input_source(&input);
        let target = bench.insert(derivation.floating_output("out"));
        match bench.realise(&target) {
            Ok(path) => Ok(
                fs::read_to_string(bench.store.real_path(&path).join("changes.json"))
                    .expect("a record"),
            ),
            Err(_) => Err(bench.failure(&target).0),
        }
    };
    // Of another machine's kind, so that it can only succeed where it is not run.
    let none = failed_or("", "/commands").expect("nothing to do");
    assert_eq!(none, "{\"modes\":{},\"removed\":[],\"version\":1}\n");
    for (text, file, message) in [
        ("something", "/commands", "riscv64-linux only"),
        ("", "", "unlessEmpty"),
        ("", "/missing", "missing"),
    ] {
        let error = failed_or(text, file).expect_err("a refusal");
        assert!(error.contains(message), "{error}");
    }
}

fn another_machine_s_programs_are_refused() {
    let mut bench = Bench::new();
    let plan = bench.plan();
    let derivation = bench
        .script("x", &plan, "echo > $out")
        .system("riscv64-linux");
    let target = bench.insert(derivation.floating_output("out"));
    let (message, status) = bench.failure(&target);
    assert!(message.contains("riscv64-linux only"), "{message}");
    assert_eq!(status, 78);
}

fn sec_1_secrets_reach_the_program_and_nothing_else() {
    let mut bench = Bench::new();
    let plan = |bench: &Bench, env: Option<&str>| Plan {
        secrets: vec![SecretUse {
            env: env.map(str::to_owned),
            id: "token".to_owned(),
            target: None,
        }],
        ..bench.plan()
    };
    let file = plan(&bench, None);
    let derivation = bench.add(
        "file",
        &file,
        "cat /run/secrets/token; ls -l /run/secrets/token > $out",
    );
    let (message, status) = bench.failure(&derivation);
    assert!(message.contains("the secret \"token\""), "{message}");
    assert_eq!(status, 78);
    bench.builder.secrets.insert("token", "hunter2-hunter2");
    assert!(
        bench.text(&derivation).starts_with("-r--------"),
        "{}",
        bench.text(&derivation)
    );
    assert_eq!(bench.log(&derivation), "***\n");
    let variable = plan(&bench, Some("TOKEN"));
    let leaking = bench.add(
        "leaking",
        &variable,
        "mkdir $out; echo a $TOKEN > $out/file",
    );
    let (message, _) = bench.failure(&leaking);
    assert_eq!(
        message,
        "the output holds the value of a secret, in \"file\""
    );
    let drv: StorePath = leaking;
    assert!(!bench.log(&drv).contains("hunter2"));
    assert_eq!(bench.left(), [""; 0]);
}

fn box_1_the_network_needs_permission() {
    let mut bench = Bench::new();
    let plan = Plan {
        network: true,
        ..bench.plan()
    };
    let target = bench.add("x", &plan, "echo > $out");
    let (message, status) = bench.failure(&target);
    assert!(message.contains("asks for the network"), "{message}");
    assert_eq!(status, 78);
    bench.builder.network = Some(MachineNetwork::default());
    assert_eq!(bench.text(&target), "\n");
}
