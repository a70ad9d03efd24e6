use std::ffi::OsString;

use super::*;
use crate::mirrors::pip_settings::built_in;

struct Fixture {
    project: tempfile::TempDir,
    model: ModelIndexes,
    mirrors: BTreeMap<String, String>,
    variables: BTreeMap<&'static str, String>,
}

impl Fixture {
    fn new(model: ModelIndexes) -> Self {
        let project = tempfile::tempdir().expect("a temporary folder");
        let root = project.path().to_owned();
        Self {
            project,
            model: ModelIndexes { root, ..model },
            mirrors: BTreeMap::new(),
            variables: BTreeMap::from([(
                "PIP_INDEX_URL",
                "https://machine.test/simple".to_owned(),
            )]),
        }
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    fn mirror(mut self, name: &str, url: &str) -> Self {
        self.mirrors.insert(name.to_owned(), url.to_owned());
        self
    }

    fn discover(&self) -> Result<PackageIndexes, PackageIndexesError> {
        let variable = |name: &str| self.variables.get(name).map(OsString::from);
        let machine = Machine::new(&variable, self.project.path());
        PackageIndexes::discover(&self.model, &self.mirrors, &machine)
    }

    /// `NAME ADDRESS` of every index, with what it is for unless that is everything.
    fn order(&self) -> Vec<String> {
        let found = self.discover().expect("addresses");
        let scope = |index: &PackageIndex| match index.scope {
            Scope::Any => "",
            Scope::Pinned(_) => " pinned",
            Scope::Torch => " torch",
            Scope::Sdk => " sdk",
        };
        found
            .iter()
            .map(|index| format!("{} {}{}", index.name, index.url, scope(index)))
            .collect()
    }

    fn error(&self) -> String {
        match self.discover() {
            Ok(_) => panic!("this must fail"),
            Err(error) => error.to_string(),
        }
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn input(name: &str, url: Option<&str>, packages: &[&str]) -> IndexInput {
    IndexInput {
        name: name.to_owned(),
        url: url.map(str::to_owned),
        packages: texts(packages),
    }
}

#[test]
fn idx_3_requirement_files_come_before_inputs_and_the_machine() {
    let fixture = Fixture::new(ModelIndexes {
        inputs: vec![
            input("zulu", Some("https://zulu.test/simple"), &[]),
            input("alpha", None, &["one", "two"]),
            input("pypi", None, &[]),
        ],
        extra_indexes: texts(&["https://extra.test/simple/", "https://zulu.test/simple/"]),
        ..ModelIndexes::default()
    });
    let fixture = fixture.variable(
        "UV_INDEX",
        "alpha=https://a.test/simple https://more.test/simple",
    );
    assert_eq!(
        fixture.order(),
        [
            "extra-test-simple https://extra.test/simple/",
            "zulu https://zulu.test/simple",
            "alpha https://a.test/simple pinned",
            "pypi https://more.test/simple",
            "pypi https://machine.test/simple",
        ]
    );
    let fixture = fixture.mirror("extra-test-simple", "https://mirror.test/extra");
    let fixture = fixture
        .mirror("zulu", "https://mirror.test/zulu")
        .mirror("pypi", "https://mirror.test/pypi");
    assert_eq!(
        fixture.order(),
        [
            "extra-test-simple https://mirror.test/extra",
            "zulu https://mirror.test/zulu",
            "alpha https://a.test/simple pinned",
            "pypi https://more.test/simple",
            "pypi https://mirror.test/pypi",
        ]
    );
}

#[test]
fn the_address_of_the_public_index_means_the_machines_own() {
    for (index, extra) in [
        (Some(built_in().as_str()), None),
        (None, Some(built_in().as_str())),
    ] {
        let fixture = Fixture::new(ModelIndexes {
            index: index.map(str::to_owned),
            extra_indexes: extra.iter().map(ToString::to_string).collect(),
            ..ModelIndexes::default()
        });
        assert_eq!(fixture.order(), ["pypi https://machine.test/simple"]);
    }
}

#[test]
fn an_index_in_place_of_the_machines_leaves_that_for_the_sdk() {
    let fixture = Fixture::new(ModelIndexes {
        index: Some("https://own.test/simple".to_owned()),
        ..ModelIndexes::default()
    });
    let sdk = "pypi https://machine.test/simple sdk";
    assert_eq!(
        fixture.order(),
        ["own-test-simple https://own.test/simple", sdk]
    );
    let fixture = Fixture::new(ModelIndexes {
        index: Some("https://own.test/simple".to_owned()),
        extra_indexes: texts(&["https://extra.test/simple"]),
        inputs: vec![input("alpha", Some("https://alpha.test"), &[])],
        no_index: true,
        ..ModelIndexes::default()
    });
    assert_eq!(fixture.order(), [sdk]);
    let found = fixture.discover().expect("addresses");
    assert_eq!(
        found.sdk_only().expect("there is one").to_string(),
        "https://machine.test/simple"
    );
    assert_eq!(found.to_string(), "none");
}

#[test]
fn torch_has_a_name_for_each_kind_of_processor() {
    let written = |extra: &[&str]| {
        Fixture::new(ModelIndexes {
            extra_indexes: texts(extra),
            ..ModelIndexes::default()
        })
    };
    let known = format!("{}/cu124", torch::base());
    let fixture = written(&[&known, "pytorch/cpu"]);
    assert_eq!(
        fixture.order(),
        [
            format!("pytorch/cu124 {}/cu124 torch", torch::base()),
            format!("pytorch/cpu {}/cpu torch", torch::base()),
            "pypi https://machine.test/simple".to_owned(),
        ]
    );
    let expected = [
        "pytorch/cu124 https://mirror.test/whl/cu124 torch",
        "pypi https://machine.test/simple",
    ];
    assert_eq!(
        written(&[&known])
            .mirror("pytorch", "https://mirror.test/whl")
            .order(),
        expected
    );
    let of_machine = written(&[&known]).variable("UV_INDEX", "pytorch=https://mirror.test/whl/");
    assert_eq!(of_machine.order(), expected);
    let found = of_machine.discover().expect("addresses");
    let route = |name: &str| found.route(&name.parse().expect("a name"));
    assert!(matches!(route("torch"), Route::First(first) if first.len() == 1));
    assert_eq!(route("numpy"), Route::First(Vec::new()));
}

#[test]
fn trust_3_credentials_belong_to_the_name_that_they_were_set_for() {
    let fixture = Fixture::new(ModelIndexes {
        inputs: vec![input("my-co", Some("https://co.test/simple"), &[])],
        extra_indexes: texts(&["https://extra.test/simple"]),
        ..ModelIndexes::default()
    });
    let fixture = fixture
        .variable("UV_INDEX_MY_CO_PASSWORD", "one")
        .variable("UV_INDEX_EXTRA_TEST_SIMPLE_USERNAME", "two")
        .variable("UV_INDEX_PYPI_PASSWORD", "three")
        .variable("UV_INDEX_NAMED_PASSWORD", "four")
        .variable(
            "UV_EXTRA_INDEX_URL",
            "named=https://named.test/simple https://other.test/simple",
        );
    let found = fixture.discover().expect("addresses");
    for (address, expected) in [
        ("https://co.test/a", "https://:one@co.test/a"),
        ("https://extra.test/a", "https://two@extra.test/a"),
        ("https://machine.test/a", "https://:three@machine.test/a"),
        ("https://named.test/a", "https://:four@named.test/a"),
        ("https://other.test/a", "https://other.test/a"),
        ("http://co.test/a", "http://co.test/a"),
        ("https://co.test:8443/a", "https://co.test:8443/a"),
        ("https://elsewhere.test/a", "https://elsewhere.test/a"),
    ] {
        let mut url = Url::parse(address).expect("an address");
        found.authorise(&mut url);
        assert_eq!(url.as_str(), expected);
    }
}

#[test]
fn trust_3_the_netrc_file_is_not_read_out_in_the_open() {
    let fixture = Fixture::new(ModelIndexes::default()).variable("NETRC", "/netrc");
    let netrc = "machine files.test login me password pw\nmachine 127.0.0.1 login me password pw\n";
    std::fs::write(fixture.project.path().join("netrc"), netrc).expect("a file");
    let found = fixture.discover().expect("addresses");
    for (address, expected) in [
        ("https://files.test/a", "https://me:pw@files.test/a"),
        ("http://files.test/a", "http://files.test/a"),
        ("http://127.0.0.1:99/a", "http://me:pw@127.0.0.1:99/a"),
        ("https://other.test/a", "https://other.test/a"),
    ] {
        let mut url = Url::parse(address).expect("an address");
        found.authorise(&mut url);
        assert_eq!(url.as_str(), expected);
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let with = |model: ModelIndexes| Fixture::new(model).error();
    let inputs = |inputs: Vec<IndexInput>| {
        with(ModelIndexes {
            inputs,
            ..ModelIndexes::default()
        })
    };
    let links = |text: &str| {
        with(ModelIndexes {
            find_links: texts(&[text]),
            ..ModelIndexes::default()
        })
    };
    let (one, two) = (Some("https://one.test"), Some("https://two.test"));
    for (message, expected) in [
        (
            inputs(vec![input("co", None, &[])]),
            "set inputs.co.url in cognix.nix, UV_INDEX=co=URL",
        ),
        (
            inputs(vec![input("co", one, &["a b"])]),
            "inputs.co.packages in cognix.nix names \"a b\"",
        ),
        (
            inputs(vec![input("co", one, &["lib"]), input("go", two, &["Lib"])]),
            "lib is pinned to two package indexes, co and go",
        ),
        (
            links("missing"),
            "\"missing\" of a requirement file cannot be used: No such file",
        ),
        (links(".."), "it is outside the project"),
        (links("file:///srv/wheels"), "only http and https"),
        (
            links("https://me:hunter2@:x/"),
            "\"https://:x/\" of a requirement file",
        ),
    ] {
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn names_are_known_before_addresses_are() {
    let model = ModelIndexes {
        inputs: vec![input("co", None, &[])],
        extra_indexes: texts(&["https://extra.test/simple", "pytorch/cpu"]),
        index: Some("https://own.test".to_owned()),
        find_links: texts(&["https://links.test/page.html", "folder"]),
        ..ModelIndexes::default()
    };
    let names: Vec<_> = model.names().into_iter().collect();
    let expected = [
        "co",
        "extra-test-simple",
        "links-test-page-html",
        "own-test",
        "pypi",
        "pytorch",
    ];
    assert_eq!(names, expected);
}
