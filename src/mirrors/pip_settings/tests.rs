use std::collections::BTreeMap;
use std::ffi::OsString;

use super::*;

const PUBLIC: &str = "https://index.test/simple";

struct Fixture {
    folder: tempfile::TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            variables: BTreeMap::from([("HOME", "/home/me".to_owned())]),
        }
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
        self
    }

    fn discover(&self, choice: &IndexChoice) -> Result<MachineIndexes, PipSettingsError> {
        let variable = |name: &str| self.variables.get(name).map(OsString::from);
        MachineIndexes::discover(choice, &Machine::new(&variable, self.folder.path()))
    }

    fn default(&self) -> String {
        self.discover(&IndexChoice::default())
            .expect("usable settings")
            .default()
            .url()
            .to_string()
    }
}

#[test]
fn the_strongest_setting_wins() {
    let all = || {
        Fixture::new()
            .file(
                "/etc/pip.conf",
                "[global]\nindex-url = https://etc.test/simple\n",
            )
            .file(
                "/home/me/.config/pip/pip.conf",
                "[global]\nindex_url: https://user.test/simple\n",
            )
    };
    assert_eq!(all().default(), "https://user.test/simple");
    assert_eq!(
        all()
            .variable("PIP_INDEX_URL", "https://pip.test/simple")
            .default(),
        "https://pip.test/simple"
    );
    let uv = all()
        .variable("PIP_INDEX_URL", PUBLIC)
        .variable("UV_INDEX_URL", "https://uv.test/simple");
    assert_eq!(uv.default(), "https://uv.test/simple");
    let uv = uv.variable("UV_DEFAULT_INDEX", "main=https://named.test/simple");
    assert_eq!(uv.default(), "https://named.test/simple");
    let choice = IndexChoice {
        input: Some("https://input.test/simple".to_owned()),
        ..IndexChoice::default()
    };
    assert_eq!(
        uv.discover(&choice).expect("usable").default().to_string(),
        "https://input.test/simple"
    );
    let choice = IndexChoice {
        command_line: Some(PUBLIC.to_owned()),
        ..choice
    };
    let found = uv.discover(&choice).expect("usable");
    assert_eq!(
        (found.default().to_string().as_str(), found.origin()),
        (PUBLIC, &Origin::CommandLine)
    );
}

#[test]
fn pip_conf_sections_and_files_merge_as_pip_merges_them() {
    let install_wins = Fixture::new()
        .file(
            "/etc/pip.conf",
            "[install]\nindex-url = https://install.test/simple\n",
        )
        .file(
            "/home/me/.pip/pip.conf",
            "[global]\nindex-url = https://user.test/simple\n",
        );
    assert_eq!(install_wins.default(), "https://install.test/simple");
    let named = Fixture::new()
        .file(
            "/home/me/.config/pip/pip.conf",
            "[install]\nindex-url = https://user.test/simple\n",
        )
        .file(
            "/named.conf",
            "[global]\n# a comment\nindex-url = https://named.test/simple\n",
        )
        .variable("PIP_CONFIG_FILE", "/named.conf");
    assert_eq!(named.default(), "https://named.test/simple");
    let none = Fixture::new()
        .file(
            "/etc/pip.conf",
            "[global]\nindex-url = https://etc.test/simple\n",
        )
        .variable("PIP_CONFIG_FILE", "/dev/null");
    assert_eq!(
        none.discover(&IndexChoice::default())
            .expect("usable")
            .origin(),
        &Origin::BuiltIn
    );
    let site = Fixture::new()
        .file(
            "/srv/venv/pip.conf",
            "[global]\nindex-url = https://site.test/simple\n",
        )
        .file(
            "/etc/xdg/pip/pip.conf",
            "[global]\nindex-url = https://xdg.test/simple\n",
        )
        .variable("VIRTUAL_ENV", "/srv/venv");
    assert_eq!(site.default(), "https://site.test/simple");
}

#[test]
fn extra_indexes_come_first_and_from_one_source() {
    let conf =
        "[global]\nextra-index-url =\n    https://one.test/simple\n    https://two.test/simple\n";
    let fixture = Fixture::new()
        .file("/etc/pip.conf", conf)
        .variable("PIP_INDEX_URL", PUBLIC);
    let order = |fixture: &Fixture| -> Vec<String> {
        let found = fixture.discover(&IndexChoice::default()).expect("usable");
        let extra = found.extra().iter().map(|index| &index.url);
        extra
            .chain([found.default()])
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        order(&fixture),
        ["https://one.test/simple", "https://two.test/simple", PUBLIC]
    );
    let fixture = fixture.variable(
        "UV_EXTRA_INDEX_URL",
        "https://three.test/simple https://three.test/simple",
    );
    assert_eq!(order(&fixture), ["https://three.test/simple", PUBLIC]);
}

#[test]
fn sec_2_credentials_are_never_printed() {
    let secret = "https://user:hunter2@index.test/simple?token=abc#f";
    let fixture = Fixture::new().variable("PIP_INDEX_URL", secret);
    let found = fixture.discover(&IndexChoice::default()).expect("usable");
    let printed = format!("{found:?} {} {:#?}", found.default(), found.default());
    for word in ["user", "hunter2", "token", "abc"] {
        assert!(!printed.contains(word), "{printed}");
    }
    let exposed = found.default().with_credentials().expect("credentials");
    assert_eq!(exposed.password(), Some("hunter2"));

    let wrong = Fixture::new().variable("PIP_INDEX_URL", "//user:hunter2@index.test");
    let error = wrong
        .discover(&IndexChoice::default())
        .expect_err("not an address");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("PIP_INDEX_URL") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn trust_3_credentials_stay_with_their_origin() {
    let index = PackageIndexUrl::parse(
        "https://user:pw@index.test:8443/simple",
        &Origin::CommandLine,
    )
    .expect("valid");
    let authorised = |text: &str| {
        let mut url = Url::parse(text).expect("valid");
        index.authorise(&mut url);
        url.password().is_some()
    };
    assert!(authorised("https://index.test:8443/files/a.whl"));
    for other in [
        "https://index.test/files/a.whl",
        "http://index.test:8443/a.whl",
        "https://other.test:8443/a.whl",
    ] {
        assert!(!authorised(other), "{other}");
    }
}

#[test]
fn addresses_that_are_no_index_are_refused() {
    for wrong in [
        "",
        "simple",
        "file:///srv/wheels",
        "ftp://index.test/simple",
        "name=",
    ] {
        let choice = IndexChoice {
            command_line: Some(wrong.to_owned()),
            ..IndexChoice::default()
        };
        match Fixture::new().discover(&choice) {
            Ok(found) => assert!(
                wrong.is_empty() && found.origin() == &Origin::BuiltIn,
                "{wrong}"
            ),
            Err(error) => assert!(error.to_string().starts_with("the command line"), "{error}"),
        }
    }
}
