//! What a failed resolution says, and to whom.

use super::*;

#[test]
fn contradictions_are_told_in_the_resolvers_words() {
    check_error(
        &app_and_lib(),
        &["app", "lib<1.5"],
        PythonErrorKind::Request,
        "the Python requirements cannot be met for Python 3.11.2 on x86_64 Linux with glibc 2.36\n\
         Because all versions of app depend on lib>=1,<2 and only the following versions of lib are available:\n    \
             lib<1\n    lib>=1.5\n\
         we can conclude that all versions of app depend on lib>=1.5,<2.\n\
         And because you require app and lib<1.5, we can conclude that your requirements are unsatisfiable.",
    );
    check_error(
        &app_and_lib(),
        &["lib==3"],
        PythonErrorKind::Request,
        "the Python requirements cannot be met for Python 3.11.2 on x86_64 Linux with glibc 2.36\n\
         Because there is no version of lib==3 and you require lib==3, we can conclude that your requirements are unsatisfiable.",
    );
}

#[test]
fn wheels_for_other_platforms_are_named() {
    let check = |release: Release, expected: &str| {
        let (message, kind) = Case::new(&[release], &["app"]).error();
        assert_eq!(kind, PythonErrorKind::Request);
        assert!(message.contains(expected), "{message}");
    };
    let app = || Release::new("app", "1.0");
    check(
        app().tag("cp39-cp39-manylinux_2_17_x86_64"),
        "we only found wheels for `app` (v1.0) with the following Python ABI tag: `cp39`",
    );
    check(
        app().tag("cp311-cp311-manylinux_2_38_x86_64"),
        "Wheels are available for `app` (v1.0) on the following platform: `manylinux_2_38_x86_64`",
    );
    check(
        app().requires_python(">=3.12"),
        "the current Python version (3.11.2) does not satisfy Python>=3.12",
    );
}

#[test]
fn unknown_packages_are_named() {
    check_error(
        &[],
        &["Nope[x]>=1"],
        PythonErrorKind::Request,
        "the package index does not know nope (asked: INDEX); check the spelling, or set UV_EXTRA_INDEX_URL to the index that has it",
    );
    let (message, kind) =
        Case::new(&[Release::new("app", "1.0").requires("nope")], &["app"]).error();
    assert_eq!(kind, PythonErrorKind::Request);
    assert!(
        message.contains("does not know nope")
            && message.contains("all versions of app depend on nope"),
        "{message}"
    );
}

#[test]
fn idx_1_what_is_no_project_page_is_named() {
    for (status, content_type, body, expected) in [
        (
            200,
            "text/html",
            "<html>please <a href='/login'>log in</a></html>",
            "lists no files",
        ),
        (
            200,
            "image/png",
            "x",
            "Unsupported `Content-Type` \"image/png\"",
        ),
        (
            200,
            "application/vnd.pypi.simple.v1+json",
            "<html>",
            "Received some unexpected JSON",
        ),
        (500, "text/plain", "out of order", "500"),
        (
            401,
            "text/plain",
            "who are you",
            "the package index pypi (INDEX) answered 401 Unauthorized; credentials for it can be set by UV_INDEX_PYPI_USERNAME",
        ),
        (403, "text/plain", "go away", "403 Forbidden"),
    ] {
        let case = Case::new(&app_and_lib(), &["lib"]);
        case.index
            .answer("/simple/lib/", status, content_type, body.as_bytes());
        let (message, kind) = case.error();
        assert_eq!(kind, PythonErrorKind::Unavailable, "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn idx_1_what_is_no_wheel_is_named() {
    for (status, content_type, expected) in [
        (
            200,
            "text/html; charset=utf-8",
            "a web page came instead of a wheel",
        ),
        (404, "text/html", "404"),
        (503, "text/plain", "503"),
    ] {
        let case = Case::new(&app_and_lib(), &["lib"]);
        case.index.answer(
            "/files/lib-2.0-py3-none-any.whl",
            status,
            content_type,
            b"<html>log in</html>",
        );
        let (message, kind) = case.error();
        assert_eq!(kind, PythonErrorKind::Unavailable, "{message}");
        assert!(message.contains(expected), "{message}");
    }
    let case = Case::new(&app_and_lib(), &["lib==2.0"]);
    case.index.answer(
        "/files/lib-2.0-py3-none-any.whl",
        200,
        "application/octet-stream",
        b"no archive",
    );
    let (message, _) = case.error();
    assert!(
        message.contains("The structure of `lib` (v2.0) was invalid"),
        "{message}"
    );
}

#[test]
fn lock_2_files_without_sha_256_are_refused() {
    let manners = Manners {
        digests: false,
        ..Manners::default()
    };
    let (message, kind) = Case::with(manners, &app_and_lib(), &["lib"]).error();
    assert_eq!(kind, PythonErrorKind::Unavailable);
    assert!(
        message.contains("no SHA-256 for lib-2.0-py3-none-any.whl"),
        "{message}"
    );
}

#[test]
fn lock_2_a_size_that_is_not_the_files_is_refused() {
    let manners = Manners {
        json: true,
        wrong_sizes: true,
        ..Manners::default()
    };
    let (message, _) = Case::with(manners, &app_and_lib(), &["lib"]).error();
    assert!(
        message.contains("the index says") && message.contains("the file has"),
        "{message}"
    );
}

#[test]
fn sec_2_an_unreachable_index_is_named_without_its_password() {
    let secret = PackageIndexUrl::parse(
        "http://user:hunter2@127.0.0.1:9/simple",
        &Origin::CommandLine,
    );
    let indexes = PackageIndexes::only(secret.expect("an address"), Origin::CommandLine);
    let case = Case::new(&[], &["app"]).change(|request| request.indexes = indexes);
    let error = case.try_resolve().expect_err("nobody listens there");
    let text = format!("{error} {error:?} {:?}", case.request);
    assert_eq!(error.kind(), PythonErrorKind::Unavailable, "{text}");
    assert!(
        text.contains("127.0.0.1:9") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn without_network_what_is_missing_is_named() {
    let case = Case::new(&app_and_lib(), &["app"]).change(|request| request.offline = true);
    let (message, kind) = case.error();
    assert_eq!(kind, PythonErrorKind::Unavailable);
    assert!(
        message.contains("the index page of app") && message.contains("--offline"),
        "{message}"
    );
    assert_eq!(case.index.requests(), [""; 0]);
}

#[test]
fn packages_that_ask_for_addresses_are_named() {
    let app =
        Release::new("app", "1.0").requires("lib @ http://other.test/lib-1.0-py3-none-any.whl");
    let (message, kind) = Case::new(&[app], &["app"]).error();
    assert_eq!(kind, PythonErrorKind::Request, "{message}");
    assert!(
        message.contains("app 1.0 asks for lib by address"),
        "{message}"
    );
}
