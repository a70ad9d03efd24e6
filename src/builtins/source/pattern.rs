//! One pattern of a `.dockerignore`.
//!
//! Docker turns a pattern into a regular expression, after a check by the rules of Go's `filepath.Match`:
//!
//! | In a pattern | Matches |
//! |---|---|
//! | `*`, `?` | any number of characters, one character, but no `/` |
//! | `**`, `**/` | any number of folders; at the end anything |
//! | `[a-z]`, `[^a-z]` | a character of a set, or one that is not |
//! | `\*` | the character itself |
//!
//! Plain patterns are compared without one. The translation into the expression knows nothing about sets, so that `[*]`
//! becomes `[[^/]*]`, and lets `{2}` and `|` through, which then repeat and separate. Nobody means that, but it is what
//! Docker matches with. [`expression`] therefore writes the expression that Docker writes, and [`translate`] gives it the
//! meaning that it has in Go. One difference stays: a pattern that is no valid expression is an error here even where
//! Docker would never have come to try it.

use regex::Regex;

/// A pattern, ready to match.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The pattern as a cleaned path, without `!`.
    text: String,
    exception: bool,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    /// The path itself.
    Exact,
    /// `dir/**`: everything that starts so.
    Prefix(String),
    /// `**/name`: everything that ends so.
    Suffix(String),
    Expression(Regex),
}

impl Pattern {
    /// Reads a line without blanks around it; the error says what is wrong.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let (exception, path) = match line.strip_prefix('!') {
            Some(path) => (true, path.trim()),
            None => (false, line),
        };
        if path.is_empty() {
            return Err("nothing follows the !".to_owned());
        }
        let path = clean(path);
        let path = match path.strip_prefix('/') {
            Some(rest) if !rest.is_empty() => rest.to_owned(),
            Some(_) if exception => return Err("nothing follows the !".to_owned()),
            _ => path,
        };
        check_syntax(&path)?;
        let matcher = matcher(&path)?;
        Ok(Self {
            text: path,
            exception,
            matcher,
        })
    }

    /// Whether the pattern takes back what others leave out.
    pub(super) fn is_exception(&self) -> bool {
        self.exception
    }

    /// Whether the whole path matches.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix(prefix) => path.starts_with(prefix),
            // `**/name` is also `name` itself.
            Matcher::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
            }
            Matcher::Expression(expression) => expression.is_match(path),
        }
    }

    /// Whether the pattern is a path, but for a `*` or `**` as its last part.
    pub(super) fn is_path(&self) -> bool {
        !self
            .without_last_star()
            .contains(['*', '[', ']', '?', '^', '\\'])
    }

    /// For a pattern that is a path: whether it lies below a folder.
    pub(super) fn can_be_below(&self, folder: &str) -> bool {
        format!("{}/", self.without_last_star()).starts_with(&format!("{folder}/"))
    }

    fn without_last_star(&self) -> &str {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        text.strip_suffix("/*").unwrap_or(text)
    }
}

/// A path without empty parts, `.`, and `..` that something precedes; `.` if nothing is left.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// The syntax of `filepath.Match`: sets are closed, not empty, and their ranges have two ends.
fn check_syntax(pattern: &str) -> Result<(), String> {
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.next().is_none() => return Err("it ends in a backslash".to_owned()),
            '[' => {
                rest.next_if_eq(&'^');
                let mut is_empty = true;
                while is_empty || rest.next_if_eq(&']').is_none() {
                    set_character(&mut rest)?;
                    if rest.next_if_eq(&'-').is_some() {
                        set_character(&mut rest)?;
                    }
                    is_empty = false;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// One character of a set; something must follow it, at least the set's end.
fn set_character(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<(), String> {
    let unclosed = || "a [ is not closed".to_owned();
    match rest.next().ok_or_else(unclosed)? {
        c @ ('-' | ']') => return Err(format!("a {c} in a set needs a backslash before it")),
        '\\' => {
            rest.next().ok_or_else(unclosed)?;
        }
        _ => {}
    }
    rest.peek().map(|_| ()).ok_or_else(unclosed)
}

/// The cheapest way to match a cleaned pattern.
fn matcher(pattern: &str) -> Result<Matcher, String> {
    let (expression, kind) = expression(pattern);
    match kind {
        Kind::Exact => Ok(Matcher::Exact),
        Kind::Prefix => Ok(Matcher::Prefix(
            pattern.strip_suffix("**").unwrap_or(pattern).to_owned(),
        )),
        Kind::Suffix => Ok(Matcher::Suffix(pattern.chars().skip(2).collect())),
        Kind::Expression => {
            let expression = translate(&expression)?;
            // The translation is valid by itself; what is left to fail is the size of the compiled form.
            Regex::new(&expression)
                .map(Matcher::Expression)
                .map_err(|_| "it is too long".to_owned())
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Expression,
}

/// The expression that Docker makes of a pattern, and whether it is needed.
fn expression(pattern: &str) -> (String, Kind) {
    let mut expression = "^".to_owned();
    let mut kind = Kind::Exact;
    let mut rest = pattern.chars().peekable();
    let mut is_first = true;
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                if rest.peek().is_some() {
                    expression += "(.*/)?";
                    kind = Kind::Expression;
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    expression += ".*";
                    kind = Kind::Expression;
                }
                if is_first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                expression += "[^/]*";
                kind = Kind::Expression;
            }
            '?' => {
                expression += "[^/]";
                kind = Kind::Expression;
            }
            // Docker means to escape `{`, `|` and `}` as well, but its table of characters ends before them.
            '.' | '+' | '(' | ')' | '$' => {
                expression.push('\\');
                expression.push(c);
            }
            '\\' => {
                expression.push('\\');
                if let Some(next) = rest.next() {
                    expression.push(next);
                    kind = Kind::Expression;
                }
            }
            '[' | ']' => {
                expression.push(c);
                kind = Kind::Expression;
            }
            _ => expression.push(c),
        }
        is_first = false;
    }
    expression.push('$');
    (expression, kind)
}

/// An expression of Go's dialect in this program's: the same but for sets, escapes and repetitions, which are written out.
fn translate(expression: &str) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = expression.chars().peekable();
    let mut last = Last::Nothing;
    while let Some(c) = rest.next() {
        let mut next = Last::Element;
        match c {
            '\\' => result += &escape(rest.next())?.outside_a_set(),
            '[' => result += &set(&mut rest)?,
            '{' => match repetition(&rest.clone().collect::<String>())? {
                Some(text) if last == Last::Element => {
                    for _ in 1..text.len() {
                        rest.next();
                    }
                    result += &text;
                    next = Last::Repetition;
                }
                Some(text) => {
                    return Err(format!(
                        "nothing stands before {text} that could be repeated"
                    ));
                }
                None => result += r"\{",
            },
            '*' | '?' => {
                result.push(c);
                next = Last::Repetition;
            }
            '|' => {
                result.push(c);
                next = Last::Nothing;
            }
            // Written by `expression` itself: those of the pattern are escaped, but for `^`.
            '^' | '$' | '(' | ')' | '.' => result.push(c),
            literal => result += &Escape::Character(literal).outside_a_set(),
        }
        last = next;
    }
    Ok(result)
}

/// What a repetition would repeat.
#[derive(PartialEq)]
enum Last {
    Nothing,
    Element,
    Repetition,
}

/// `{2}`, `{2,}` or `{2,3}` whose opening brace has been read; any other brace is a character.
fn repetition(rest: &str) -> Result<Option<String>, String> {
    let Some((inside, _)) = rest.split_once('}') else {
        return Ok(None);
    };
    let (least, most) = inside
        .split_once(',')
        .map_or((inside, None), |(least, most)| (least, Some(most)));
    let is_number = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    if !is_number(least) || most.is_some_and(|most| !most.is_empty() && !is_number(most)) {
        return Ok(None);
    }
    let text = format!("{{{inside}}}");
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= 1000);
    let valid = match (number(least), most) {
        (None, _) => false,
        (Some(_), None | Some("")) => true,
        (Some(least), Some(most)) => number(most).is_some_and(|most| least <= most),
    };
    if valid {
        Ok(Some(text))
    } else {
        Err(format!("the repetition {text} is out of range"))
    }
}

/// What a backslash makes of the character after it.
enum Escape {
    Character(char),
    /// A set without its brackets, and whether everything else is meant.
    Set(&'static str, bool),
    /// A place between characters.
    Place(&'static str),
}

impl Escape {
    fn outside_a_set(&self) -> String {
        match self {
            Self::Character(c) => format!(r"\u{{{:x}}}", u32::from(*c)),
            Self::Set(set, false) => format!("[{set}]"),
            Self::Set(set, true) => format!("[^{set}]"),
            Self::Place(place) => (*place).to_owned(),
        }
    }
}

fn escape(c: Option<char>) -> Result<Escape, String> {
    Ok(match c {
        Some(c) if c.is_ascii() && !c.is_ascii_alphanumeric() => Escape::Character(c),
        Some('a') => Escape::Character('\u{7}'),
        Some('f') => Escape::Character('\u{c}'),
        Some('n') => Escape::Character('\n'),
        Some('r') => Escape::Character('\r'),
        Some('t') => Escape::Character('\t'),
        Some('v') => Escape::Character('\u{b}'),
        Some('d') => Escape::Set("0-9", false),
        Some('D') => Escape::Set("0-9", true),
        Some('s') => Escape::Set(r"\t\n\x0C\r\x20", false),
        Some('S') => Escape::Set(r"\t\n\x0C\r\x20", true),
        Some('w') => Escape::Set("0-9A-Za-z_", false),
        Some('W') => Escape::Set("0-9A-Za-z_", true),
        Some('A') => Escape::Place(r"\A"),
        Some('b') => Escape::Place(r"(?-u:\b)"),
        Some('B') => Escape::Place(r"\B"),
        Some('z') => Escape::Place(r"\z"),
        Some(c) => return Err(format!("\\{c} has no meaning")),
        None => return Err("it ends in a backslash".to_owned()),
    })
}

/// A set after its opening bracket. Its first character may be a `]`, as Go has it.
fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    let unclosed = || "a [ is not closed".to_owned();
    let mut result = "[".to_owned();
    if rest.next_if_eq(&'^').is_some() {
        result.push('^');
    }
    let mut is_first = true;
    loop {
        let c = rest.next().ok_or_else(unclosed)?;
        if c == ']' && !is_first {
            return Ok(result + "]");
        }
        is_first = false;
        if c == '['
            && rest.peek() == Some(&':')
            && rest.clone().collect::<String>()[1..].contains(":]")
        {
            result += &named_set(rest)?;
            continue;
        }
        let low = match (
            c,
            if c == '\\' {
                Some(escape(rest.next())?)
            } else {
                None
            },
        ) {
            (_, Some(Escape::Character(low))) => low,
            (_, Some(set @ Escape::Set(..))) => {
                result += &set.outside_a_set();
                continue;
            }
            (_, Some(Escape::Place(_))) => return Err("a place cannot be in a set".to_owned()),
            (low, None) => low,
        };
        let high = range_end(rest)?.unwrap_or(low);
        if high < low {
            return Err(format!("the range {low}-{high} is empty"));
        }
        result += &format!(r"\u{{{:x}}}-\u{{{:x}}}", u32::from(low), u32::from(high));
    }
}

/// The second end of a range, if a `-` begins one; a `-` before the end of the set is one of its characters.
fn range_end(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<char>, String> {
    let mut ahead = rest.clone();
    if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']')) {
        return Ok(None);
    }
    rest.next();
    match rest.next() {
        Some('\\') => match escape(rest.next())? {
            Escape::Character(high) => Ok(Some(high)),
            _ => Err("a range has no single end".to_owned()),
        },
        high => Ok(high),
    }
}

/// `[:alpha:]` inside a set.
fn named_set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
        "space", "upper", "word", "xdigit",
    ];
    rest.next();
    let text: String = rest.clone().collect();
    let name = text.split(":]").next().unwrap_or_default();
    for _ in 0..name.chars().count() + 2 {
        rest.next();
    }
    if NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        Ok(format!("[:{name}:]"))
    } else {
        Err(format!("there is no set [:{name}:]"))
    }
}
