use super::*;

/// `None` when there is no match, else the groups as text.
fn whole(pattern: &str, text: &str) -> Result<Option<Vec<Option<String>>>, RegexError> {
    let groups = Regex::new(pattern.as_bytes())?.match_whole(text.as_bytes(), &mut 0)?;
    Ok(groups.map(|groups| strings(text, &groups)))
}

fn strings(text: &str, groups: &Groups) -> Vec<Option<String>> {
    groups
        .iter()
        .map(|group| group.clone().map(|group| text[group].to_owned()))
        .collect()
}

#[track_caller]
fn matches(pattern: &str, text: &str, expected: &[Option<&str>]) {
    let expected = expected
        .iter()
        .map(|group| group.map(str::to_owned))
        .collect();
    assert_eq!(
        whole(pattern, text),
        Ok(Some(expected)),
        "{pattern} on {text}"
    );
}

#[track_caller]
fn differs(pattern: &str, text: &str) {
    assert_eq!(whole(pattern, text), Ok(None), "{pattern} on {text}");
}

#[track_caller]
fn invalid(pattern: &str) {
    let error = Regex::new(pattern.as_bytes()).unwrap_err();
    assert!(
        matches!(error, RegexError::Invalid { .. }),
        "{pattern}: {error}"
    );
}

/// The text between matches and the groups of each, as `split` lists them.
#[track_caller]
fn splits(pattern: &str, text: &str, expected: &[(&str, &[Option<&str>])], rest: &str) {
    let found = Regex::new(pattern.as_bytes())
        .unwrap()
        .find_all(text.as_bytes(), &mut 0)
        .unwrap();
    let mut last = 0;
    let mut parts = Vec::new();
    for one in &found {
        parts.push((
            text[last..one.span.start].to_owned(),
            strings(text, &one.groups),
        ));
        last = one.span.end;
    }
    let expected: Vec<_> = expected
        .iter()
        .map(|(before, groups)| {
            let groups: Vec<_> = groups
                .iter()
                .map(|group| group.map(str::to_owned))
                .collect();
            ((*before).to_owned(), groups)
        })
        .collect();
    assert_eq!(parts, expected, "{pattern} on {text}");
    assert_eq!(&text[last..], rest, "{pattern} on {text}");
}

#[test]
fn a_match_is_of_the_whole_text() {
    matches("ab", "ab", &[]);
    differs("ab", "abc");
    differs("ab", "xab");
    matches("a(b)c", "abc", &[Some("b")]);
    matches(
        "[[:space:]]+([[:upper:]]+)[[:space:]]+",
        "  FOO   ",
        &[Some("FOO")],
    );
    matches("", "", &[]);
    matches("a||b", "", &[]);
    differs(".", "é");
    matches("..", "é", &[]);
    matches(".", "\n", &[]);
    matches("^(a)$", "a", &[Some("a")]);
    differs("$a^", "a");
}

#[test]
fn groups_hold_what_the_original_puts_there() {
    matches("(a)|(b)", "b", &[None, Some("b")]);
    matches("((a)|b)*", "ab", &[Some("b"), Some("a")]);
    matches("(a*)*", "aa", &[Some("")]);
    matches("(a*)*", "", &[Some("")]);
    matches("(|a)(b|)", "a", &[Some("a"), Some("")]);
    matches("(ab|a)(bc|c)?", "abc", &[Some("ab"), Some("c")]);
    matches(
        "(a|ab)(c|bcd)(d*)",
        "abcd",
        &[Some("a"), Some("bcd"), Some("")],
    );
    matches("(.*)(b?)", "ab", &[Some("ab"), Some("")]);
    matches("((.)\\.?)*", "a.b.", &[Some("b."), Some("b")]);
}

#[test]
fn quantifiers_and_escapes() {
    matches("a{2}", "aa", &[]);
    differs("a{2}", "a");
    matches("a{2,}b", "aaaab", &[]);
    matches("a{1,3}b{0,1}", "aaa", &[]);
    differs("a{1,3}", "aaaa");
    matches("a{0}", "", &[]);
    matches("a{1}{2}", "aa", &[]);
    matches("a**", "aa", &[]);
    matches("(ab){2}", "abab", &[Some("ab")]);
    matches("a}", "a}", &[]);
    matches("a]", "a]", &[]);
    matches(
        "\\.\\[\\\\\\(\\)\\*\\+\\?\\{\\|\\^\\$",
        ".[\\()*+?{|^$",
        &[],
    );
    matches("a\\{1", "a{1", &[]);
}

#[test]
fn brackets() {
    matches("[]abc]", "]", &[]);
    matches("[^]a]", "b", &[]);
    differs("[^]a]", "]");
    matches("[\\]", "\\", &[]);
    matches("[a-]", "-", &[]);
    matches("[-a]", "-", &[]);
    matches("[--9]", ".", &[]);
    matches("[%--]", "-", &[]);
    matches("[]-a]", "^", &[]);
    matches("[a-c-]", "-", &[]);
    matches("[[:alpha:]-]", "-", &[]);
    matches("[[a]", "[", &[]);
    matches("[[.hyphen.]]", "-", &[]);
    matches("[[.a.]-c]", "b", &[]);
    matches("[[=a=]]", "A", &[]);
    matches("[[:ALPHA:]]", "a", &[]);
    matches("[[:d:]]", "1", &[]);
    matches("[[:alnum:]_.-]+", "a_1.-", &[]);
    matches("[^a]", "\n", &[]);
    matches("[---]", "-", &[]);
    for pattern in [
        "[a",
        "[",
        "[]",
        "[^]",
        "[a[",
        "[z-a]",
        "[a-z-9]",
        "[a-b--]",
        "[[:foo:]]",
        "[[:alpha:",
        "[[:alpha:]-z]",
        "[a-[.c.]]",
        "[[.-.]]",
        "[[.0.]]",
        "[a-ü]",
    ] {
        invalid(pattern);
    }
}

#[test]
fn what_the_grammar_does_not_have_is_refused() {
    for pattern in [
        "*",
        "+a",
        "?",
        "{1}",
        "a|*",
        "(*a)",
        "^*",
        "$+",
        "(a",
        "a)",
        ")",
        "((a)",
        "a{",
        "a{1",
        "a{,2}",
        "a{2,1}",
        "a{x}",
        "a{1,x}",
        "a{9999999999}",
        "\\",
        "\\d",
        "\\]",
        "\\}",
        "\\-",
        "\\/",
        "\\n",
        "\\1",
        "(?:a)",
    ] {
        invalid(pattern);
    }
}

#[test]
fn a_search_takes_the_longest_alternative() {
    splits("a|ab", "xabx", &[("x", &[])], "x");
    splits(
        "(a|ab)(c|bcd)?",
        "xabcdx",
        &[("x", &[Some("a"), Some("bcd")])],
        "x",
    );
    splits("(a)b", "abc", &[("", &[Some("a")])], "c");
    splits(
        "([ac])",
        "abc",
        &[("", &[Some("a")]), ("b", &[Some("c")])],
        "",
    );
    splits(
        "(a)|(c)",
        "abc",
        &[("", &[Some("a"), None]), ("b", &[None, Some("c")])],
        "",
    );
    splits("([[:upper:]]+)", " FOO ", &[(" ", &[Some("FOO")])], " ");
    splits("^a", "aab", &[("", &[])], "ab");
    splits("b$", "bab", &[("ba", &[])], "");
}

#[test]
fn a_search_steps_over_empty_matches() {
    splits(
        "",
        "abc",
        &[("", &[]), ("a", &[]), ("b", &[]), ("c", &[])],
        "",
    );
    splits(
        "x*",
        "axbxx",
        &[("", &[]), ("a", &[]), ("", &[]), ("b", &[]), ("", &[])],
        "",
    );
    splits("|a", "ba", &[("", &[]), ("b", &[]), ("", &[])], "");
    splits("$", "ab", &[("ab", &[])], "");
    splits("^", "ab", &[("", &[])], "ab");
}

#[test]
fn hostile_expressions_end() {
    assert_eq!(Regex::new(b"a{100000}").unwrap_err(), RegexError::TooLarge);
    assert_eq!(
        Regex::new(b"((a{1000}){1000}){1000}").unwrap_err(),
        RegexError::TooLarge
    );
    assert_eq!(
        Regex::new(b"(a{0}){2000000000}").unwrap_err(),
        RegexError::TooLarge
    );
    assert_eq!(
        Regex::new(b"a{0}{2000000000}").unwrap_err(),
        RegexError::TooLarge
    );
    assert_eq!(
        Regex::new(&[b'('].repeat(1_000_000)).unwrap_err(),
        RegexError::TooLarge
    );
    let mut stars = b"a".to_vec();
    stars.extend([b'*'].repeat(100_000));
    assert_eq!(Regex::new(&stars).unwrap_err(), RegexError::TooLarge);

    let long = "a".repeat(200_000);
    differs("(a|a)*b", &long);
    differs("(a*)*b", &long);
    differs("((((((((a*)*)*)*)*)*)*)*)*b", &long[..20_000]);
    differs("(a|aa)*(a|aa)*(a|aa)*b", &long[..20_000]);
    splits("a|a[^x]*x", &long[..50], &[("", &[] as &[_]); 50], "");
    let found = Regex::new(b"[^x]*x")
        .unwrap()
        .find_all(long.as_bytes(), &mut 0)
        .unwrap();
    assert!(found.is_empty());
}
