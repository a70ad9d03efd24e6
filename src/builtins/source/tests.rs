//! Patterns against what Docker's own matcher said, and trees against what the file system holds.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use proptest::prelude::*;
use tempfile::TempDir;

use super::ignore::Rules;
use super::*;

/// Made with `github.com/moby/patternmatcher` 0.5.0 and Go 1.19: the paths of a tree, and for each `.dockerignore` which of
/// them BuildKit's walk keeps (`1`), or `!` where the matcher refuses the file.
const GOLDEN: &str = include_str!("golden.txt");

/// A folder with these files, each holding its own path; those that end in a slash are folders.
fn tree(paths: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for path in paths {
        let full = folder.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(&full).expect("a folder");
        } else {
            fs::write(&full, path).expect("a file");
        }
    }
    folder
}

/// The paths of entries; folders end in a slash.
fn paths(entries: &[SourceEntry]) -> Vec<String> {
    let shown = |entry: &SourceEntry| match entry.kind {
        SourceKind::Directory => format!("{}/", entry.path),
        _ => entry.path.clone(),
    };
    entries.iter().map(shown).collect()
}

fn scanned(folder: &TempDir) -> SourceTree {
    SourceTree::scan(folder.path()).expect("a tree")
}

#[test]
fn every_golden_dockerignore_keeps_what_docker_keeps() {
    let (tree_paths, cases) = GOLDEN.split_once("---\n").expect("a tree and cases");
    let tree_paths: Vec<&str> = tree_paths.lines().collect();
    let folder = tree(&tree_paths);
    let mut count = 0;
    for case in cases.lines() {
        let (text, expected) = case.split_once('\t').expect("a text and what is kept");
        let text: String = serde_json::from_str(text).expect("a string");
        let found = Rules::parse(&text).map_or_else(
            |_| "!".to_owned(),
            |rules| {
                let kept: BTreeSet<String> =
                    paths(&scan::scan(folder.path(), &rules).expect("a tree"))
                        .into_iter()
                        .collect();
                tree_paths
                    .iter()
                    .map(|path| if kept.contains(*path) { '1' } else { '0' })
                    .collect()
            },
        );
        assert_eq!(found, expected, "{text:?}");
        count += 1;
    }
    assert_eq!(count, 206);
}

/// Whether one path is left out, its folders considered first.
fn left_out(patterns: &str, path: &str) -> bool {
    let rules = Rules::parse(patterns).expect(patterns);
    let mut above = None;
    let mut verdict = false;
    let ends = path
        .match_indices('/')
        .map(|(index, _)| index)
        .chain([path.len()]);
    for end in ends {
        let (is_left_out, matched) = rules.matches(&path[..end], above.as_ref());
        (verdict, above) = (is_left_out, Some(matched));
    }
    verdict
}

#[test]
fn patterns_match_as_mobys_own_tests_say() {
    let matching = [
        ("**", "file"),
        ("**/", "file"),
        ("**", "dir/file"),
        ("**/**", "dir/file"),
        ("dir/**", "dir/dir2/file"),
        ("**/dir", "dir"),
        ("**/dir", "dir/file"),
        ("**/dir2/*", "dir/dir2/file"),
        ("**/dir2/**", "dir/dir2/dir3/file"),
        ("**file", "dir/file"),
        ("**/file", "dir/dir/file"),
        ("**/file*txt", "dir/dir/file.txt"),
        ("**/file*.txt*", "dir/dir/file.txt"),
        ("**/**/*.txt", "file.txt"),
        ("a**/*.txt", "a/dir/dir/file.txt"),
        ("a/*.txt**", "a/file.txt"),
        ("a[b-d]e", "ace"),
        ("a[^b-d]e", "aze"),
        (".*", ".foo"),
        ("abc.def", "abc.def"),
        ("abc?def", "abcZdef"),
        ("**/foo/bar", "dir/dir2/foo/bar"),
        ("abc/**", "abc/def/ghi"),
        ("**/.foo", ".foo"),
        ("a(b)c/def", "a(b)c/def"),
        ("a.|)$(}+{bc", "a.|)$(}+{bc"),
        ("dist/*.whl", "dist/x-2.4.0rc3.dev36+g0-py3.whl"),
        ("a\\\\", "a\\"),
        ("a\\*b", "a*b"),
        ("a*", "ab/c"),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f"),
        ("a*b?c*x", "abxbbxdbxebxczzx"),
        ("a?b", "a☺b"),
        ("a[^a]b", "a☺b"),
        ("[a-ζ]*", "α"),
        ("[\\]a]", "]"),
        ("[x\\-]", "-"),
        ("!a.go\n*.go", "a.go"),
        ("**\n!util/web\nutil/web/foo", "util/web/foo"),
    ];
    for (patterns, path) in matching {
        assert!(left_out(patterns, path), "{patterns:?} {path}");
    }
    let others = [
        ("**/**/*.txt2", "dir/dir/file.txt"),
        ("a/*.txt", "a/dir/file.txt"),
        ("a[b-d]e", "ae"),
        ("a[b-d]e", "aae"),
        (".*", "foo"),
        ("abc.def", "abcZdef"),
        ("abc?def", "abcdef"),
        ("abc/**", "abc"),
        ("**/.foo", "bar.foo"),
        ("a(b)c/def", "a(b)c/xyz"),
        ("a*/b", "a/c/b"),
        ("ab[^c]", "abc"),
        ("a\\*b", "ab"),
        ("a???b", "a☺b"),
        ("*[a-ζ]", "A"),
        ("a?b", "a/b"),
        ("a*b", "a/b"),
        ("[x\\-]", "z"),
        ("docs\n!docs/README.md", "docs/README.md"),
        ("docs/*\n!docs/README.md", "docs/README.md"),
        ("*.go\n!a.go", "a.go"),
        ("**\n!util/web", "util/web/foo"),
        ("**\n!dist/*.whl", "dist/x+g0.whl"),
        ("", "any/path"),
    ];
    for (patterns, path) in others {
        assert!(!left_out(patterns, path), "{patterns:?} {path}");
    }
}

#[test]
fn all_4_a_wrong_pattern_is_told_with_its_line() {
    let cases = [
        (
            "a\n!\n",
            ".dockerignore:2: invalid pattern \"!\": nothing follows the !",
        ),
        (
            "# x\n\n[a\n",
            ".dockerignore:3: invalid pattern \"[a\": a [ is not closed",
        ),
        (
            "[]a]",
            ".dockerignore:1: invalid pattern \"[]a]\": a ] in a set needs a backslash before it",
        ),
        (
            "[a-]",
            ".dockerignore:1: invalid pattern \"[a-]\": a ] in a set needs a backslash before it",
        ),
        (
            "[z-a]",
            ".dockerignore:1: invalid pattern \"[z-a]\": the range z-a is empty",
        ),
        (
            "a\\",
            ".dockerignore:1: invalid pattern \"a\\\\\": it ends in a backslash",
        ),
        (
            "venv\\Lib",
            ".dockerignore:1: invalid pattern \"venv\\\\Lib\": \\L has no meaning",
        ),
        (
            "[a]{3,2}",
            ".dockerignore:1: invalid pattern \"[a]{3,2}\": the repetition {3,2} is out of range",
        ),
        (
            "[[:word:][:x:]]",
            ".dockerignore:1: invalid pattern \"[[:word:][:x:]]\": there is no set [:x:]",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Rules::parse(text).expect_err(text).to_string(), expected);
    }
    let folder = tree(&[]);
    fs::write(folder.path().join(".dockerignore"), b"a\n\xff\n").expect("a file");
    let error = SourceTree::scan(folder.path()).expect_err("no text");
    assert_eq!(error.to_string(), ".dockerignore:2: the text is not UTF-8");
}

#[test]
fn yaml_3_dockerignore_stays_in_the_project() {
    let folder = tree(&["project/", "project/a", "rules"]);
    fs::write(folder.path().join("rules"), "a").expect("rules beside the project");
    let project = folder.path().join("project");
    symlink("../rules", project.join(".dockerignore")).expect("a link");
    assert!(matches!(
        SourceTree::scan(&project),
        Err(SourceError::Ignore(IgnoreError::OutsideProject))
    ));
}

#[test]
fn a_tree_is_in_the_order_of_an_archive() {
    let folder = tree(&[
        "b",
        "a/",
        "a/z",
        "a-b",
        "a.c/",
        "a.c/x",
        ".cog/",
        ".cog/schema.json",
        "cognix.lock",
        "sub/",
        "sub/cognix.lock",
    ]);
    fs::write(
        folder.path().join(".dockerignore"),
        "a.c\n!.cog\n!cognix.lock\n",
    )
    .expect("rules");
    let tree = scanned(&folder);
    assert_eq!(
        paths(tree.entries()),
        [
            ".dockerignore",
            "a/",
            "a/z",
            "a-b",
            "b",
            "sub/",
            "sub/cognix.lock"
        ]
    );
    assert!(tree.has_file("a/z") && !tree.has_file("a") && !tree.has_file("cognix.lock"));
}

#[test]
fn the_archive_is_nixs() {
    let folder = tree(&["hello.py", "data/", "data/empty/", "run.sh"]);
    let root = folder.path();
    fs::write(root.join("hello.py"), "print('hello')\n").expect("a file");
    fs::write(root.join("data/empty.bin"), "").expect("a file");
    fs::write(root.join("data/blob.bin"), vec![7; 300_000]).expect("a file larger than a buffer");
    symlink("../hello.py", root.join("data/link")).expect("a link");
    symlink("/no/where", root.join("dangling")).expect("a link to nothing");
    let set_mode = |name: &str, mode| {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).expect("a mode")
    };
    set_mode("run.sh", 0o700);
    // Only the owner's bit counts.
    set_mode("hello.py", 0o655);
    let tree = scanned(&folder);
    let archive = tree.archive(Vec::new()).expect("an archive");
    let (digest, size) = tree.nar_hash().expect("a digest");
    assert_eq!((digest, size), (Sha256::of(&archive), archive.len() as u64));
    // From `nix-hash --type sha256` (Nix 2.26) of the same tree.
    assert_eq!(digest.to_string(), HELLO_TREE_DIGEST);
    let copy = root.join("copy");
    tree.write_to(&copy).expect("a copy");
    assert_eq!(
        SourceTree::scan(&copy)
            .expect("a tree")
            .nar_hash()
            .expect("a digest"),
        (digest, size)
    );
    assert_eq!(
        fs::read_link(copy.join("dangling")).expect("a link"),
        Path::new("/no/where")
    );
    assert!(tree.write_to(&copy).is_err(), "never over something");
}

const HELLO_TREE_DIGEST: &str = "50fdf93ccfc4e4cdc07f15060fd19b061fd4e3e3a0740aba1d154dcc262ef28f";

#[test]
fn all_8_other_kinds_are_refused_by_name_unless_left_out() {
    let folder = tree(&["run/"]);
    let _listener = UnixListener::bind(folder.path().join("run/app.sock")).expect("a socket");
    let error = SourceTree::scan(folder.path()).expect_err("a socket");
    assert_eq!(
        error.to_string(),
        "run/app.sock is a socket, expected a file, a folder or a link; remove it or name it in .dockerignore"
    );
    fs::write(folder.path().join(".dockerignore"), "run/*.sock").expect("rules");
    assert_eq!(paths(scanned(&folder).entries()), [".dockerignore", "run/"]);
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("a pipe");
    let error = SourceTree::scan(folder.path()).expect_err("a pipe");
    assert!(error.to_string().starts_with("pipe is a pipe, "), "{error}");
}

#[test]
fn all_5_names_are_utf8_unless_left_out() {
    let folder = tree(&[]);
    fs::write(folder.path().join(bytes_path(b"a\xff\x1b")), "").expect("a file");
    let error = SourceTree::scan(folder.path()).expect_err("no UTF-8");
    assert_eq!(
        error.to_string(),
        "the name of a\u{fffd}\\u{1b} is not UTF-8; rename it or name it in .dockerignore"
    );
    fs::write(folder.path().join(".dockerignore"), "a*").expect("rules");
    assert_eq!(paths(scanned(&folder).entries()), [".dockerignore"]);
}

#[test]
fn lim_1_depth_is_what_an_archive_takes() {
    let nested = |depth: usize| {
        tree(&[format!("{}file", "d/".repeat(depth))
            .rsplit_once("file")
            .map_or("", |(folders, _)| folders)])
    };
    let folder = nested(62);
    fs::write(folder.path().join("d/".repeat(62)).join("file"), "x").expect("the deepest file");
    scanned(&folder).nar_hash().expect("fits an archive");
    assert!(matches!(
        SourceTree::scan(nested(63).path()),
        Err(SourceError::TooDeep { limit: 62, .. })
    ));
}

#[test]
fn all_3_a_file_that_changes_is_noticed() {
    let folder = tree(&["a", "b"]);
    let file = folder.path().join("a");
    let changes: [(&str, &dyn Fn()); 5] = [
        ("longer", &|| fs::write(&file, "longer").expect("a write")),
        ("shorter", &|| fs::write(&file, "").expect("a write")),
        ("as long, later", &|| {
            let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
            File::options()
                .write(true)
                .open(&file)
                .and_then(|file| file.set_modified(later))
                .expect("a time");
        }),
        ("gone", &|| fs::remove_file(&file).expect("a removal")),
        ("a link", &|| {
            fs::remove_file(&file).expect("a removal");
            symlink("b", &file).expect("a link");
        }),
    ];
    for (what, change) in changes {
        let _gone = fs::remove_file(&file);
        fs::write(&file, "a").expect("a file");
        let tree = scanned(&folder);
        change();
        for error in [
            tree.nar_hash().map(|_| ()),
            tree.write_to(&folder.path().join(format!("copy {what}"))),
        ] {
            let error = error.expect_err(what);
            assert!(
                matches!(&error, SourceError::Changed { path } if path == Path::new("a")),
                "{what}: {error}"
            );
        }
        fs::remove_dir_all(folder.path().join(format!("copy {what}")))
            .expect("the copy is removed");
    }
}

#[test]
fn a_folder_that_may_not_be_read_is_told() {
    let folder = tree(&["a"]);
    let error = SourceTree::scan(&folder.path().join("none")).expect_err("nothing there");
    assert!(matches!(error, SourceError::Read { .. }), "{error}");
}

#[test]
fn a_small_tree_is_scanned_and_hashed_quickly() {
    let names: Vec<String> = (0..40).map(|number| format!("file{number}.py")).collect();
    let folder = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
    fs::write(
        folder.path().join(".dockerignore"),
        ".git\n**/__pycache__\n*.py[cod]\n.venv\n!keep.pyc\n",
    )
    .expect("rules");
    let fastest = (0..10).map(|_| {
        let start = Instant::now();
        scanned(&folder).nar_hash().expect("a digest");
        start.elapsed()
    });
    let fastest = fastest.min().expect("ten tries");
    // A release build needs 0.12 ms; a debug build on a busy machine must stay far from what a no-op build may take.
    assert!(fastest.as_millis() < 25, "{fastest:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// ALL-1: whatever stands in the file, there is an answer for every path.
    #[test]
    fn all_1_any_dockerignore_is_answered(text in any::<String>(), path in "[a-z/.]{1,20}") {
        if let Ok(rules) = Rules::parse(&text) {
            let _verdict = rules.matches(&path, None);
        }
    }

    /// ALL-1: the same for files made of what patterns are made of.
    #[test]
    fn all_1_any_pattern_is_answered(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "*", "**", "?", "[", "]", "^", "-", "a", "z", "\\", "/", ".", "..", "!", "#", " ", "\n", "{", "}", "1", ",",
                "|", "(", ")", "$", "+", "[:alpha:]", "ä", "\r", "\u{feff}", "\0",
            ]),
            0..24,
        ),
        path in "[a-z/.]{1,20}",
    ) {
        if let Ok(rules) = Rules::parse(&words.concat()) {
            let _verdict = rules.matches(&path, None);
        }
    }
}
