//! Parts of strings and replacements in them. Positions are bytes.

/// What stands before the last slash and all that touch it; `.` where there is none, a slash for what is in the root.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else {
        return b".";
    };
    match path[..slash].iter().rposition(|byte| *byte != b'/') {
        Some(end) => &path[..=end],
        None if slash + 1 == path.len() => path,
        None => b"/",
    }
}

/// The bytes from `start` on, `length` of them or as many as there are; a negative length means all.
pub(crate) fn substring(text: &[u8], start: usize, length: i64) -> &[u8] {
    let rest = text.get(start..).unwrap_or_default();
    let length = usize::try_from(length).unwrap_or(rest.len());
    &rest[..length.min(rest.len())]
}

/// Replaces every occurrence of a pattern, from left to right; at each place the first pattern that fits wins.
///
/// An empty pattern fits everywhere, also at the end: its replacement goes before the byte that is there. `replacement` is
/// asked for the text of a pattern each time that one is found, and may fail.
pub(crate) fn replace<'a, E>(
    text: &[u8],
    patterns: &[&[u8]],
    mut replacement: impl FnMut(usize) -> Result<&'a [u8], E>,
) -> Result<Vec<u8>, E> {
    let candidates = Candidates::new(patterns);
    let mut replaced = Vec::with_capacity(text.len());
    let mut at = 0;
    while at <= text.len() {
        let rest = &text[at..];
        let found = candidates
            .at(rest.first().copied())
            .iter()
            .find(|index| rest.starts_with(patterns[**index]));
        let step = match found {
            Some(index) => {
                replaced.extend_from_slice(replacement(*index)?);
                patterns[*index].len()
            }
            None => 0,
        };
        if step == 0 {
            replaced.extend(rest.first());
        }
        at += step.max(1);
    }
    Ok(replaced)
}

/// Which patterns can fit before a byte, in their order, so that a long list of them costs little.
struct Candidates {
    by_first: Vec<Vec<usize>>,
    empty: Vec<usize>,
}

impl Candidates {
    fn new(patterns: &[&[u8]]) -> Self {
        let mut by_first = vec![Vec::new(); 256];
        let mut empty = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            match pattern.first() {
                Some(first) => by_first[usize::from(*first)].push(index),
                None => {
                    // What comes after an empty pattern is never reached.
                    empty.push(index);
                    for indexes in &mut by_first {
                        indexes.push(index);
                    }
                    break;
                }
            }
        }
        Self { by_first, empty }
    }

    fn at(&self, first: Option<u8>) -> &[usize] {
        match first {
            Some(byte) => &self.by_first[usize::from(byte)],
            None => &self.empty,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn a_parent_loses_its_slashes() {
        let check = |path: &str, expected: &str| {
            assert_eq!(parent(path.as_bytes()), expected.as_bytes(), "{path}");
        };
        check("a/b", "a");
        check("a//b", "a");
        check("a", ".");
        check("", ".");
        check("/a", "/");
        check("//a", "/");
        check("///a/b", "///a");
        check("/", "/");
        check("//", "//");
        check("a/b//", "a/b");
        check("a/./b", "a/.");
    }

    #[test]
    fn substrings_end_with_the_text() {
        let check = |start, length, expected: &str| {
            assert_eq!(substring(b"hello", start, length), expected.as_bytes());
        };
        check(0, 2, "he");
        check(3, 100, "lo");
        check(3, -1, "lo");
        check(5, 1, "");
        check(9, -1, "");
        check(1, 0, "");
    }

    #[test]
    fn replacements_are_those_of_nix() {
        let check = |text: &str, pairs: &[(&str, &'static str)], expected: &str| {
            let patterns: Vec<&[u8]> = pairs.iter().map(|pair| pair.0.as_bytes()).collect();
            let found = replace(text.as_bytes(), &patterns, |index| {
                Ok::<_, Infallible>(pairs[index].1.as_bytes())
            });
            assert_eq!(found, Ok(expected.as_bytes().to_vec()));
        };
        check("foobar", &[("oo", "a"), ("a", "i")], "fabir");
        check("ab", &[("", "-")], "-a-b-");
        check("ab", &[("a", "1"), ("", "-")], "1-b-");
        check("ab", &[("", "-"), ("a", "1")], "-a-b-");
        check("aaa", &[("aa", "b"), ("a", "c")], "bc");
        check("", &[("", "x")], "x");
        check("abc", &[], "abc");
    }
}
