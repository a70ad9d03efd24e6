use super::*;

fn events(text: &[u8]) -> Result<Vec<Event<'_>>, JsonError> {
    let mut reader = Reader::new(text);
    let mut events = Vec::new();
    while let Some(event) = reader.next()? {
        events.push(event);
    }
    Ok(events)
}

#[track_caller]
fn check(text: &str, expected: &[Event<'_>]) {
    assert_eq!(events(text.as_bytes()).as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, expected: &str) {
    let error = events(text.as_ref()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

fn text(text: &str) -> Event<'_> {
    Event::Text(Cow::Borrowed(text.as_bytes()))
}

fn key(text: &str) -> Event<'_> {
    Event::Key(Cow::Borrowed(text.as_bytes()))
}

#[test]
fn documents() {
    check(" null ", &[Event::Null]);
    check("\u{feff}true", &[Event::Bool(true)]);
    check("[]", &[Event::ListStart, Event::ListEnd]);
    check("{}", &[Event::ObjectStart, Event::ObjectEnd]);
    check(
        r#"{"a": [1, {"": false}], "a": "b"}"#,
        &[
            Event::ObjectStart,
            key("a"),
            Event::ListStart,
            Event::Int(1),
            Event::ObjectStart,
            key(""),
            Event::Bool(false),
            Event::ObjectEnd,
            Event::ListEnd,
            key("a"),
            text("b"),
            Event::ObjectEnd,
        ],
    );
}

#[test]
fn numbers() {
    check("0", &[Event::Int(0)]);
    check("-0", &[Event::Int(0)]);
    check("-0.0", &[Event::Float(-0.0)]);
    check("9223372036854775807", &[Event::Int(i64::MAX)]);
    check("-9223372036854775808", &[Event::Int(i64::MIN)]);
    check(
        "-9223372036854775809",
        &[Event::Float(-9_223_372_036_854_775_809.0)],
    );
    check(
        "18446744073709551616",
        &[Event::Float(18_446_744_073_709_551_616.0)],
    );
    check("1.5e3", &[Event::Float(1500.0)]);
    check("1E+2", &[Event::Float(100.0)]);
    check("1e-400", &[Event::Float(0.0)]);
    refused(
        "9223372036854775808",
        "line 1, column 20: the number is larger than 2^63 - 1",
    );
    refused("1e400", "line 1, column 6: the number is too large");
    refused("01", "line 1, column 2: expected the end of the document");
    refused("1.", "line 1, column 3: expected a digit after '.'");
    refused("-", "line 1, column 2: expected a digit");
    refused(".5", "line 1, column 1: expected a value");
    refused("1e", "line 1, column 3: expected a digit in the exponent");
}

#[test]
fn strings() {
    check(
        r#""a\"\\\/\b\f\n\r\tz""#,
        &[text("a\"\\/\u{8}\u{c}\n\r\tz")],
    );
    check(r#""\u00e9\ud83d\ude00é""#, &[text("é😀é")]);
    check("\"\u{7f}\"", &[text("\u{7f}")]);
    refused(
        r#""\u0000""#,
        "line 1, column 8: a string of the language cannot hold a null byte",
    );
    refused(
        r#""\ud800""#,
        "line 1, column 8: the first half of a surrogate pair stands alone",
    );
    refused(
        r#""\udc00""#,
        "line 1, column 8: the second half of a surrogate pair stands alone",
    );
    refused(r#""\x""#, "line 1, column 3: unknown escape");
    refused(
        r#""\u12"#,
        "line 1, column 4: '\\u' must be followed by four hexadecimal digits",
    );
    refused(
        "\"a\tb\"",
        "line 1, column 3: a control character must be escaped",
    );
    refused(
        b"\"a\xff\"",
        "line 1, column 3: the string is not valid UTF-8",
    );
    refused("\"a", "line 1, column 3: the string does not end");
}

#[test]
fn what_is_no_document_is_refused() {
    refused(
        "",
        "line 1, column 1: the document ends where a value should be",
    );
    refused("[1,]", "line 1, column 4: expected a value");
    refused(
        "{\"a\":1,}",
        "line 1, column 8: expected a name in double quotes",
    );
    refused("{\"a\" 1}", "line 1, column 6: expected ':'");
    refused(
        "{a:1}",
        "line 1, column 2: expected a name in double quotes",
    );
    refused("[1 2]", "line 1, column 4: expected ',' or ']'");
    refused("1\n2", "line 2, column 1: expected the end of the document");
    refused("nul", "line 1, column 1: expected a value");
    refused("[1}", "line 1, column 3: expected ',' or ']'");
    refused("// c\n1", "line 1, column 1: expected a value");
}

#[test]
fn nesting_needs_no_stack() {
    let deep = [b'['].repeat(1_000_000);
    assert!(events(&deep).is_err());
}
