//! What is wrong with a text that is no expression, in words for the one who wrote it.
//!
//! The syntax library says where it gave up. What a reader wants to know is often elsewhere: the string or bracket that
//! was never closed, the end of the line that lacks its semicolon. So the text's tokens are looked at once more, and the
//! mistake that comes first is told.

use rnix::{ParseError, SyntaxKind, SyntaxKind::*, TextRange};

/// A mistake: where it is, what it is, and what may help.
#[derive(Debug, PartialEq)]
pub(super) struct Mistake {
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// The first mistake in a text that the syntax library has complaints about.
pub(super) fn first(text: &str, complaints: &[ParseError]) -> Mistake {
    let tokens = tokens(text);
    let (brackets, _) = Brackets::read(&tokens, text.len());
    let complaint = complaints
        .iter()
        .min_by_key(|complaint| offset(complaint, text.len()));
    let complaint = match complaint {
        Some(complaint) => complaint,
        None => &ParseError::UnexpectedEOF,
    };
    match brackets {
        Some((found, mistake)) if found <= offset(complaint, text.len()) => mistake,
        _ => describe(complaint, &tokens, text.len()),
    }
}

struct Token<'t> {
    kind: SyntaxKind,
    start: usize,
    text: &'t str,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is_blank(&self) -> bool {
        matches!(self.kind, TOKEN_WHITESPACE | TOKEN_COMMENT)
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut start = 0;
    let token = |(kind, text): (SyntaxKind, &'_ str)| {
        let token = (kind, start, text.len());
        start += text.len();
        token
    };
    let places: Vec<_> = rnix::tokenize(text).map(token).collect();
    let token = |(kind, start, length): (SyntaxKind, usize, usize)| Token {
        kind,
        start,
        text: &text[start..start + length],
    };
    places.into_iter().map(token).collect()
}

/// What is open at a place of a text: brackets, strings, and `let` that waits for its `in`.
#[derive(Default)]
struct Brackets<'t> {
    open: Vec<Opener<'t>>,
}

struct Opener<'t> {
    kind: SyntaxKind,
    start: usize,
    text: &'t str,
    /// How many semicolons belong to a `with` or `assert` directly inside it.
    continuing: usize,
}

impl<'t> Brackets<'t> {
    /// The first thing that does not fit, with the offset at which that is known, and what is open at its end.
    fn read(tokens: &[Token<'t>], end: usize) -> (Option<(usize, Mistake)>, Self) {
        let mut brackets = Self::default();
        // The first string in simple quotes that goes over several lines.
        let mut long_string = None;
        for token in tokens.iter().take_while(|token| token.start < end) {
            if let Err(mut mistake) = brackets.token(token) {
                if mistake.message == OPEN_STRING {
                    mistake.hint = long_string_hint(long_string, mistake.offset, tokens);
                }
                return (Some((token.start, mistake)), brackets);
            }
            if token.kind == TOKEN_STRING_CONTENT
                && token.text.contains('\n')
                && let Some(opener) = brackets.open.last()
                && opener.text == "\""
            {
                long_string.get_or_insert(opener.start);
            }
        }
        let mut open = brackets.open.iter().rev();
        let innermost = open.find(|opener| opener.kind != TOKEN_LET);
        let mistake = innermost.map(|opener| {
            let message = match opener.kind {
                TOKEN_STRING_START => OPEN_STRING.to_owned(),
                _ => format!("this '{}' is never closed", opener.text),
            };
            let mistake = Mistake {
                offset: opener.start,
                message,
                hint: None,
            };
            (end, mistake)
        });
        (mistake, brackets)
    }

    fn token(&mut self, token: &Token<'t>) -> Result<(), Mistake> {
        match token.kind {
            TOKEN_STRING_START | TOKEN_INTERPOL_START | TOKEN_L_PAREN | TOKEN_L_BRACK
            | TOKEN_L_BRACE | TOKEN_LET => self.open.push(Opener {
                kind: token.kind,
                start: token.start,
                text: token.text,
                continuing: 0,
            }),
            TOKEN_IN if self.innermost() == Some(TOKEN_LET) => drop(self.open.pop()),
            TOKEN_STRING_END | TOKEN_INTERPOL_END | TOKEN_R_PAREN | TOKEN_R_BRACK
            | TOKEN_R_BRACE => return self.close(token),
            TOKEN_WITH | TOKEN_ASSERT => {
                if let Some(opener) = self.open.last_mut() {
                    opener.continuing += 1;
                }
            }
            TOKEN_SEMICOLON | TOKEN_COMMA => return self.separator(token),
            TOKEN_ERROR => return Err(self.no_token(token)),
            _ => {}
        }
        Ok(())
    }

    fn innermost(&self) -> Option<SyntaxKind> {
        self.open.last().map(|opener| opener.kind)
    }

    fn close(&mut self, token: &Token<'_>) -> Result<(), Mistake> {
        // The old `let { … }` has no `in`.
        while self.innermost() == Some(TOKEN_LET) {
            self.open.pop();
        }
        let wanted = match token.kind {
            TOKEN_STRING_END => TOKEN_STRING_START,
            TOKEN_INTERPOL_END => TOKEN_INTERPOL_START,
            TOKEN_R_PAREN => TOKEN_L_PAREN,
            TOKEN_R_BRACK => TOKEN_L_BRACK,
            _ => TOKEN_L_BRACE,
        };
        match self.open.pop() {
            Some(opener) if opener.kind == wanted => Ok(()),
            Some(opener) => Err(still_open(token, &opener)),
            None => Err(Mistake {
                offset: token.start,
                message: format!("unexpected '{}'", token.text),
                hint: Some("nothing is open here that it could close".to_owned()),
            }),
        }
    }

    /// Semicolons and commas do not stand directly in parentheses and lists.
    fn separator(&mut self, token: &Token<'_>) -> Result<(), Mistake> {
        let Some(opener) = self.open.last_mut() else {
            return Ok(());
        };
        let is_list = match opener.kind {
            TOKEN_L_BRACK => true,
            TOKEN_L_PAREN | TOKEN_INTERPOL_START => false,
            _ => return Ok(()),
        };
        if token.kind == TOKEN_SEMICOLON {
            if opener.continuing > 0 {
                opener.continuing -= 1;
                return Ok(());
            }
            return Err(still_open(token, opener));
        }
        let hint = match is_list {
            true => "the items of a list stand side by side: [ a b ]",
            false => "the arguments of a function stand side by side: f a b",
        };
        Err(Mistake {
            offset: token.start,
            message: "unexpected ','".to_owned(),
            hint: Some(hint.to_owned()),
        })
    }

    /// A text that is no token of the language: a string or comment without an end, or a letter that means nothing.
    fn no_token(&self, token: &Token<'_>) -> Mistake {
        if let Some(opener) = self
            .open
            .last()
            .filter(|opener| opener.kind == TOKEN_STRING_START)
        {
            return Mistake {
                offset: opener.start,
                message: OPEN_STRING.to_owned(),
                hint: None,
            };
        }
        let is_comment = token.text.starts_with("/*");
        let first = token.text.chars().next();
        let is_path = token.text.len() > 1 && token.text.ends_with('/');
        let message = match (is_comment, first) {
            (true, _) => "the comment that begins here is never closed".to_owned(),
            (false, _) if is_path => format!("the path '{}' ends with a slash", token.text),
            (false, Some('\'')) => "unexpected \"'\"".to_owned(),
            (false, Some(letter)) => format!("unexpected '{letter}'"),
            (false, None) => "unexpected text".to_owned(),
        };
        let hint = match first {
            Some('\'' | '`' | '\u{201c}' | '\u{201d}' | '\u{201e}') => {
                Some("strings stand in double quotes: \"text\"")
            }
            Some('&') => Some("the operator for 'and' is '&&'"),
            Some('|') => Some("the operator for 'or' is '||'"),
            Some('%') => {
                Some("there is no such operator; the rest of a division is a - (a / b) * b")
            }
            _ => None,
        };
        Mistake {
            offset: token.start,
            message,
            hint: hint.map(str::to_owned),
        }
    }
}

const OPEN_STRING: &str = "the string that begins here is never closed";

/// A string without its end goes on to where the next one begins, and that one is then never closed.
fn long_string_hint(
    long_string: Option<usize>,
    before: usize,
    tokens: &[Token<'_>],
) -> Option<String> {
    let start = long_string.filter(|start| *start < before)?;
    let tokens = tokens.iter().take_while(|token| token.start < start);
    let line = 1 + tokens
        .map(|token| token.text.matches('\n').count())
        .sum::<usize>();
    Some(format!(
        "the string that begins in line {line} goes over several lines: is its end missing?"
    ))
}

fn still_open(token: &Token<'_>, opener: &Opener<'_>) -> Mistake {
    let closing = match opener.kind {
        TOKEN_L_PAREN => ")",
        TOKEN_L_BRACK => "]",
        _ => "}",
    };
    Mistake {
        offset: token.start,
        message: format!("unexpected '{}', expected '{closing}'", token.text),
        hint: Some(format!("the '{}' before it is not closed", opener.text)),
    }
}

fn offset(complaint: &ParseError, end: usize) -> usize {
    let start = |range: &TextRange| usize::from(range.start());
    match complaint {
        ParseError::Unexpected(range)
        | ParseError::UnexpectedExtra(range)
        | ParseError::UnexpectedWanted(_, range, _)
        | ParseError::UnexpectedDoubleBind(range)
        | ParseError::DuplicatedArgs(range, _) => start(range),
        ParseError::UnexpectedEOF | ParseError::UnexpectedEOFWanted(_) => end,
        _ => 0,
    }
}

fn describe(complaint: &ParseError, tokens: &[Token<'_>], end: usize) -> Mistake {
    let at = offset(complaint, end);
    let index = tokens.iter().position(|token| token.start == at);
    let found = index.map(|index| &tokens[index]);
    let wanted: &[SyntaxKind] = match complaint {
        ParseError::UnexpectedWanted(_, _, wanted) | ParseError::UnexpectedEOFWanted(wanted) => {
            wanted
        }
        _ => &[],
    };
    if let (Some(index), [TOKEN_SEMICOLON]) = (index, wanted)
        && let Some(offset) = missing_semicolon(tokens, index)
    {
        return Mistake {
            offset,
            message: "a ';' is missing here".to_owned(),
            hint: None,
        };
    }
    let what = match found {
        _ if at >= end => "unexpected end of file".to_owned(),
        Some(token) => format!("unexpected '{}'", token.text),
        None => "unexpected text".to_owned(),
    };
    let message = match complaint {
        ParseError::UnexpectedDoubleBind(_) => "the argument is named twice".to_owned(),
        ParseError::DuplicatedArgs(_, name) => {
            format!("duplicate formal function argument '{name}'")
        }
        ParseError::RecursionLimitExceeded => "the text nests too deep".to_owned(),
        _ => match words(wanted) {
            wanted if wanted.is_empty() => what,
            wanted => format!("{what}, expected {wanted}"),
        },
    };
    Mistake {
        offset: at,
        message,
        hint: hint(found, wanted, tokens, at).map(str::to_owned),
    }
}

/// Where the semicolon belongs that an attribute lacks: behind its value.
fn missing_semicolon(tokens: &[Token<'_>], index: usize) -> Option<usize> {
    let before = |index: usize| tokens[..index].iter().rposition(|token| !token.is_blank());
    let previous = match tokens[index].kind {
        TOKEN_R_BRACE | TOKEN_IN | TOKEN_INHERIT => before(index)?,
        // What was read as the end of the value is the next attribute's name: names between dots.
        TOKEN_ASSIGN => {
            let mut name = before(index)?;
            loop {
                if tokens[name].kind == TOKEN_STRING_END {
                    name = tokens[..name]
                        .iter()
                        .rposition(|token| token.kind == TOKEN_STRING_START)?;
                } else if !matches!(tokens[name].kind, TOKEN_IDENT | TOKEN_OR) {
                    return None;
                }
                let previous = before(name)?;
                if tokens[previous].kind != TOKEN_DOT {
                    break previous;
                }
                name = before(previous)?;
            }
        }
        _ => return None,
    };
    Some(tokens[previous].end())
}

fn hint(
    found: Option<&Token<'_>>,
    wanted: &[SyntaxKind],
    tokens: &[Token<'_>],
    at: usize,
) -> Option<&'static str> {
    let (_, brackets) = Brackets::read(tokens, at);
    let is_let = brackets.innermost() == Some(TOKEN_LET);
    let count = |kind| tokens.iter().filter(|token| token.kind == kind).count();
    match found.map(|token| token.kind) {
        Some(TOKEN_COMMA) if wanted.contains(&TOKEN_SEMICOLON) => {
            Some("attributes end with ';': { a = 1; b = 2; }")
        }
        Some(TOKEN_COLON) if wanted.contains(&TOKEN_ASSIGN) => {
            Some("attributes are written with '=': { a = 1; }")
        }
        Some(TOKEN_ASSIGN) if brackets.open.is_empty() => {
            Some("attributes stand in braces: { a = 1; }")
        }
        Some(
            TOKEN_EQUAL | TOKEN_NOT_EQUAL | TOKEN_LESS | TOKEN_LESS_OR_EQ | TOKEN_MORE
            | TOKEN_MORE_OR_EQ,
        ) if wanted.is_empty() => {
            Some("comparisons do not follow each other: join them with '&&', or use parentheses")
        }
        Some(TOKEN_IF | TOKEN_LET | TOKEN_WITH | TOKEN_ASSERT) => {
            Some("here it stands in parentheses: (if … then … else …), (let … in …)")
        }
        Some(
            TOKEN_ADD | TOKEN_SUB | TOKEN_MUL | TOKEN_DIV | TOKEN_CONCAT | TOKEN_UPDATE
            | TOKEN_INVERT | TOKEN_QUESTION,
        ) if brackets.innermost() == Some(TOKEN_L_BRACK) => {
            Some("operators in a list stand in parentheses: [ (a + b) (-1) ]")
        }
        _ if is_let => Some("after its variables, 'let' has 'in' and an expression"),
        None if count(TOKEN_IF) > count(TOKEN_ELSE) => {
            Some("every 'if' has a 'then' and an 'else'")
        }
        _ => None,
    }
}

/// What would have been right, in a reader's words.
fn words(wanted: &[SyntaxKind]) -> String {
    let starts_expression = [TOKEN_L_PAREN, TOKEN_REC, TOKEN_L_BRACK];
    if starts_expression.iter().all(|kind| wanted.contains(kind)) {
        return "an expression".to_owned();
    }
    let mut words: Vec<&str> = Vec::new();
    for word in wanted.iter().filter_map(|kind| word(*kind)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" or ")
}

/// A token in a reader's words; nothing for those that are names only to the library.
fn word(kind: SyntaxKind) -> Option<&'static str> {
    Some(match kind {
        TOKEN_SEMICOLON => "';'",
        TOKEN_COMMA => "','",
        TOKEN_COLON => "':'",
        TOKEN_DOT => "'.'",
        TOKEN_ASSIGN => "'='",
        TOKEN_AT => "'@'",
        TOKEN_QUESTION => "'?'",
        TOKEN_ELLIPSIS => "'...'",
        TOKEN_L_BRACE => "'{'",
        TOKEN_R_BRACE | TOKEN_INTERPOL_END => "'}'",
        TOKEN_L_BRACK => "'['",
        TOKEN_R_BRACK => "']'",
        TOKEN_L_PAREN => "'('",
        TOKEN_R_PAREN => "')'",
        TOKEN_THEN => "'then'",
        TOKEN_ELSE => "'else'",
        TOKEN_IN => "'in'",
        TOKEN_IDENT => "a name",
        TOKEN_INTEGER | TOKEN_FLOAT => "a number",
        TOKEN_STRING_START | TOKEN_STRING_CONTENT | TOKEN_STRING_END => "a string",
        TOKEN_INTERPOL_START => "'${'",
        _ => return None,
    })
}
