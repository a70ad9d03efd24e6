//! Bracket expressions: `[abc]`, `[^a-z]`, `[[:alpha:]_]`, `[[.hyphen.]]`, `[[=a=]]`.
//!
//! A `]` that comes first is itself, as is a `-` that comes first or last; a backslash means nothing special. Everywhere
//! else a `-` stands between the two ends of a range. Bytes are compared as signed numbers, as the original's characters
//! are, and classes are those of the C locale.

use super::RegexError;

/// A set of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub(super) const fn empty() -> Self {
        Self([0; 4])
    }

    /// What `.` stands for: every byte except the null byte.
    pub(super) const fn any() -> Self {
        Self([!1, !0, !0, !0])
    }

    /// Whether a byte is in it.
    pub(super) const fn contains(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    /// Adds a byte.
    pub(super) const fn insert(&mut self, byte: u8) {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
    }

    /// Adds every byte of another set.
    pub(super) fn extend(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    fn insert_where(&mut self, holds: impl Fn(u8) -> bool) {
        for byte in (0..=u8::MAX).filter(|byte| holds(*byte)) {
            self.insert(byte);
        }
    }

    fn negate(&mut self) {
        for word in &mut self.0 {
            *word = !*word;
        }
    }
}

/// What stood before, as far as a following `-` has to know.
enum Last {
    Nothing,
    Byte(u8),
    Class,
}

enum Token {
    Byte(u8),
    Dash,
    End,
    Class(Vec<u8>),
    Collating(Vec<u8>),
    Equivalence(Vec<u8>),
}

/// Reads what follows the opening bracket at `at`; also returns where it ends.
pub(super) fn parse(pattern: &[u8], at: usize) -> Result<(ByteSet, usize), RegexError> {
    let negated = pattern.get(at) == Some(&b'^');
    let start = at + usize::from(negated);
    let mut scanner = Scanner {
        pattern,
        at: start,
        start,
    };
    let mut set = ByteSet::empty();
    scanner.items(&mut set)?;
    if negated {
        set.negate();
    }
    Ok((set, scanner.at))
}

struct Scanner<'a> {
    pattern: &'a [u8],
    at: usize,
    start: usize,
}

impl Scanner<'_> {
    fn invalid(&self, reason: &'static str) -> RegexError {
        RegexError::Invalid {
            reason,
            at: self.at,
        }
    }

    fn items(&mut self, set: &mut ByteSet) -> Result<(), RegexError> {
        let mut last = Last::Nothing;
        loop {
            let first = self.at == self.start;
            match self.token()? {
                Token::End => return Ok(()),
                Token::Byte(byte) => {
                    set.insert(byte);
                    last = Last::Byte(byte);
                }
                Token::Dash if first => {
                    set.insert(b'-');
                    last = Last::Byte(b'-');
                }
                Token::Dash => {
                    if self.range(&last, set)? {
                        return Ok(());
                    }
                    last = Last::Nothing;
                }
                Token::Class(name) => {
                    let holds = class(&name).ok_or_else(|| self.invalid("unknown class"))?;
                    set.insert_where(holds);
                    last = Last::Class;
                }
                Token::Collating(name) => {
                    let byte = collating_element(&name)
                        .ok_or_else(|| self.invalid("unknown collating element"))?;
                    set.insert(byte);
                    last = Last::Byte(byte);
                }
                Token::Equivalence(name) => {
                    let byte = collating_element(&name)
                        .ok_or_else(|| self.invalid("unknown collating element"))?;
                    set.insert_where(|other| other.eq_ignore_ascii_case(&byte));
                    last = Last::Class;
                }
            }
        }
    }

    /// What a `-` means here; true when the bracket ended with it.
    fn range(&mut self, last: &Last, set: &mut ByteSet) -> Result<bool, RegexError> {
        if self.pattern.get(self.at) == Some(&b']') {
            self.at += 1;
            set.insert(b'-');
            return Ok(true);
        }
        let from = match last {
            Last::Byte(byte) => *byte,
            Last::Class => return Err(self.invalid("a class cannot start a range")),
            Last::Nothing => return Err(self.invalid("'-' has no start of a range before it")),
        };
        let to = match self.token()? {
            Token::Byte(byte) => byte,
            Token::Dash => b'-',
            _ => return Err(self.invalid("'-' has no end of a range behind it")),
        };
        let (from, to) = (from.cast_signed(), to.cast_signed());
        if from > to {
            return Err(self.invalid("the ends of a range are in the wrong order"));
        }
        set.insert_where(|byte| (from..=to).contains(&byte.cast_signed()));
        Ok(false)
    }

    fn token(&mut self) -> Result<Token, RegexError> {
        let Some(byte) = self.pattern.get(self.at).copied() else {
            return Err(self.invalid("'[' without ']'"));
        };
        let first = self.at == self.start;
        self.at += 1;
        match byte {
            b'-' => Ok(Token::Dash),
            b']' if !first => Ok(Token::End),
            b'[' => match self.pattern.get(self.at) {
                None => Err(self.invalid("'[' without ']'")),
                Some(b'.') => self.name(b'.').map(Token::Collating),
                Some(b':') => self.name(b':').map(Token::Class),
                Some(b'=') => self.name(b'=').map(Token::Equivalence),
                Some(_) => Ok(Token::Byte(b'[')),
            },
            byte => Ok(Token::Byte(byte)),
        }
    }

    /// The name in `[:name:]` and the like; the position is at the first delimiter.
    fn name(&mut self, delimiter: u8) -> Result<Vec<u8>, RegexError> {
        let rest = &self.pattern[self.at + 1..];
        let end = rest.iter().position(|byte| *byte == delimiter);
        match end {
            Some(end) if rest.get(end + 1) == Some(&b']') => {
                self.at += end + 3;
                Ok(rest[..end].to_vec())
            }
            _ => Err(self.invalid("the name of a class does not end")),
        }
    }
}

/// The classes of the C locale, and the three short names that the original knows.
fn class(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name.to_ascii_lowercase().as_slice() {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"d" | b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"s" | b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"w" => |byte| byte.is_ascii_alphanumeric() || byte == b'_',
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

/// The byte of a collating element's name: those of the portable character set.
fn collating_element(name: &[u8]) -> Option<u8> {
    let index = ELEMENTS
        .iter()
        .position(|element| element.as_bytes() == name)?;
    u8::try_from(index).ok()
}

/// The names of the bytes below 128, where letters are their own.
const ELEMENTS: [&str; 128] = [
    "NUL",
    "SOH",
    "STX",
    "ETX",
    "EOT",
    "ENQ",
    "ACK",
    "alert",
    "backspace",
    "tab",
    "newline",
    "vertical-tab",
    "form-feed",
    "carriage-return",
    "SO",
    "SI",
    "DLE",
    "DC1",
    "DC2",
    "DC3",
    "DC4",
    "NAK",
    "SYN",
    "ETB",
    "CAN",
    "EM",
    "SUB",
    "ESC",
    "IS4",
    "IS3",
    "IS2",
    "IS1",
    "space",
    "exclamation-mark",
    "quotation-mark",
    "number-sign",
    "dollar-sign",
    "percent-sign",
    "ampersand",
    "apostrophe",
    "left-parenthesis",
    "right-parenthesis",
    "asterisk",
    "plus-sign",
    "comma",
    "hyphen",
    "period",
    "slash",
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "colon",
    "semicolon",
    "less-than-sign",
    "equals-sign",
    "greater-than-sign",
    "question-mark",
    "commercial-at",
    "A",
    "B",
    "C",
    "D",
    "E",
    "F",
    "G",
    "H",
    "I",
    "J",
    "K",
    "L",
    "M",
    "N",
    "O",
    "P",
    "Q",
    "R",
    "S",
    "T",
    "U",
    "V",
    "W",
    "X",
    "Y",
    "Z",
    "left-square-bracket",
    "backslash",
    "right-square-bracket",
    "circumflex",
    "underscore",
    "grave-accent",
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g",
    "h",
    "i",
    "j",
    "k",
    "l",
    "m",
    "n",
    "o",
    "p",
    "q",
    "r",
    "s",
    "t",
    "u",
    "v",
    "w",
    "x",
    "y",
    "z",
    "left-curly-bracket",
    "vertical-line",
    "right-curly-bracket",
    "tilde",
    "DEL",
];
