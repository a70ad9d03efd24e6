//! Takes user names, passwords and signed queries out of addresses.
//!
//! Done before a text becomes part of the model: what a [`super::Model`], a message, a label or a lock never held, none
//! of them can show. Whoever needs a password for an index keeps it in netrc or in the environment.

/// Parts of the names of query parameters that grant access.
const SECRET_PARAMETERS: [&str; 8] = [
    "auth",
    "credential",
    "key",
    "passw",
    "secret",
    "sig",
    "signature",
    "token",
];

/// The text without credentials; `None` when it has none.
pub(super) fn removed(text: &str) -> Option<String> {
    let mut clean = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_address) {
        match word.contains("://") {
            true => clean.push_str(&without_users(&without_query(word))),
            false => clean.push_str(word),
        }
    }
    (clean != text).then_some(clean)
}

/// The text as it may be shown.
pub(super) fn cleaned(text: &str) -> String {
    removed(text).unwrap_or_else(|| text.to_owned())
}

fn ends_address(character: char) -> bool {
    character.is_whitespace() || "\"'<>`".contains(character)
}

/// Takes the user out of every address in a word; one may stand inside another.
fn without_users(word: &str) -> String {
    let mut parts = word.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_shell = clean.ends_with("ssh");
        clean.push_str("://");
        clean.push_str(without_user(part, is_shell));
    }
    clean
}

/// The user of a secure shell is part of the address, its password is not.
fn without_user(address: &str, is_shell: bool) -> &str {
    let end = address.find(['/', '?', '#']).unwrap_or(address.len());
    match address[..end].rfind('@') {
        Some(at) if !is_shell || address[..at].contains(':') => &address[at + 1..],
        _ => address,
    }
}

/// The end of the word, which may be a blank or a quote, stays.
fn without_query(word: &str) -> String {
    let end = word
        .find('#')
        .unwrap_or(word.trim_end_matches(ends_address).len());
    let (address, fragment) = word.split_at(end);
    let Some((path, query)) = address.split_once('?') else {
        return format!("{address}{fragment}");
    };
    let is_secret = |parameter: &str| {
        let name = parameter
            .split('=')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        SECRET_PARAMETERS.iter().any(|part| name.contains(part))
    };
    match query.split('&').any(is_secret) {
        true => format!("{path}{fragment}"),
        false => format!("{path}?{query}{fragment}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_2_addresses_lose_users_passwords_and_signatures() {
        let cases = [
            ("https://host.example/simple", None),
            (
                "https://me:pw@host.example/simple",
                Some("https://host.example/simple"),
            ),
            (
                "https://token@host.example/simple",
                Some("https://host.example/simple"),
            ),
            (
                "https://me:p@w@host.example/a@b",
                Some("https://host.example/a@b"),
            ),
            (
                "https://${TOKEN}@host.example/simple",
                Some("https://host.example/simple"),
            ),
            (
                "a @ https://me:pw@host.example/a.whl#sha256=00 ; python_version < '4'",
                Some("a @ https://host.example/a.whl#sha256=00 ; python_version < '4'"),
            ),
            (
                "https://host.example/a.whl?X-Amz-Signature=00&b=1#f",
                Some("https://host.example/a.whl#f"),
            ),
            ("https://host.example/a.whl?version=1", None),
            ("git+ssh://git@host.example/r.git@main", None),
            (
                "git+ssh://me:pw@host.example/r.git",
                Some("git+ssh://host.example/r.git"),
            ),
            (
                "-i https://a:b@one.example --extra-index-url=https://c:d@two.example/x",
                Some("-i https://one.example --extra-index-url=https://two.example/x"),
            ),
            ("name[extra]==1 ; a == 'b@c'", None),
            (
                "'https://a:b@host.example?sig=1' x",
                Some("'https://host.example' x"),
            ),
            (
                "https://a:b@one.examplehttps://c:d@two.example",
                Some("https://one.examplehttps://two.example"),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(removed(text).as_deref(), expected, "{text}");
        }
    }
}
