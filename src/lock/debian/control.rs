//! Stanzas of `Name: value` lines, the syntax of `Packages` and `Release` files (Debian policy 5.1).
//!
//! The reader is lazy and keeps nothing: it walks over text that somebody else owns and hands out slices of it.
//! A main index is 45 MB, of which a lock needs some hundred stanzas.

/// The stanzas of a text, each without its closing empty line.
pub(super) fn stanzas(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches('\n');
        if rest.is_empty() {
            return None;
        }
        let (stanza, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
        rest = after;
        Some(stanza)
    })
}

/// The fields of a stanza in the order of the text: name, and value with its continuation lines.
///
/// Lines without a colon are skipped; they cannot be any field that is asked for.
pub(super) fn fields(stanza: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = stanza;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let line = take_field(&mut rest);
            if let Some((name, value)) = line.split_once(':') {
                return Some((name, value.trim_ascii()));
            }
        }
        None
    })
}

/// One field's value.
pub(super) fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    fields(stanza)
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Takes a line and the lines that continue it.
fn take_field<'a>(rest: &mut &'a str) -> &'a str {
    let bytes = rest.as_bytes();
    let mut end = 0;
    loop {
        end += bytes[end..]
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(bytes.len() - end);
        match bytes.get(end + 1) {
            Some(b' ' | b'\t') => end += 1,
            Some(_) => break,
            None => {
                let field = *rest;
                *rest = "";
                return field;
            }
        }
    }
    // Both cuts are beside a line feed, which is never inside a character.
    let field = &rest[..end];
    *rest = &rest[end + 1..];
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_and_continued_fields() {
        let text = "\nA: 1\nB:\n x\n y\nC:3\n\n\nA: 2\n\n";
        let found: Vec<Vec<_>> = stanzas(text)
            .map(|stanza| fields(stanza).collect())
            .collect();
        assert_eq!(
            found,
            [
                vec![("A", "1"), ("B", "x\n y"), ("C", "3")],
                vec![("A", "2")]
            ]
        );
    }

    #[test]
    fn all_2_text_that_stops_anywhere_is_read_to_its_end() {
        let text = "A: 1\n b\nC: 3";
        for end in 0..=text.len() {
            for stanza in stanzas(&text[..end]) {
                fields(stanza).count();
            }
        }
        assert_eq!(field(text, "c"), Some("3"));
        assert_eq!(field(text, "b"), None);
    }
}
