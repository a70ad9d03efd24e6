//! The patterns of `case` and of parameter expansion: `*`, `?` and sets in brackets.

/// Whether the whole text fits the pattern.
pub(in super::super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    fits(&pattern, &text)
}

/// Tries a star with as few characters as possible and comes back to the last one only, which is enough.
fn fits(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star = None;
    while position < text.len() {
        match one(&pattern[at..], text[position]) {
            Some(_) if pattern[at] == '*' => {
                star = Some((at, position));
                at += 1;
            }
            Some(length) => {
                at += length;
                position += 1;
            }
            None => match star {
                None => return false,
                Some((before, begun)) => {
                    at = before + 1;
                    position = begun + 1;
                    star = Some((before, position));
                }
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// How many characters of the pattern take this one; a star is left to the caller.
fn one(pattern: &[char], next: char) -> Option<usize> {
    match pattern {
        [] => None,
        ['*' | '?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == next).then_some(2),
        ['[', rest @ ..] => match set(rest, next) {
            Some((true, length)) => Some(length + 1),
            Some((false, _)) => None,
            None => (next == '[').then_some(1),
        },
        [same, ..] => (*same == next).then_some(1),
    }
}

/// Whether a set holds the character, and how long it is with its closing bracket; none when it is not closed.
fn set(pattern: &[char], next: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let mut at = usize::from(negated);
    let first = at;
    let mut found = false;
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            return Some((found != negated, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some('-'), Some(high)) if *high != ']' => {
                found |= (low..=*high).contains(&next);
                at += 3;
            }
            _ => {
                found |= low == next;
                at += 1;
            }
        }
    }
}

/// The text without the part at its beginning or end that fits, the longest or the shortest one.
pub(super) fn remove<'a>(pattern: &str, text: &'a str, prefix: bool, longest: bool) -> &'a str {
    let mut cuts: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    if prefix == longest {
        cuts.reverse();
    }
    let fits = |cut: &usize| {
        let (head, tail) = text.split_at(*cut);
        matches(pattern, if prefix { head } else { tail })
    };
    match cuts.into_iter().find(fits) {
        Some(cut) if prefix => &text[cut..],
        Some(cut) => &text[..cut],
        None => text,
    }
}
