//! Relations between packages: `Depends`, `Conflicts`, `Provides` and their like (Debian policy 7.1).
//!
//! A field is a list of groups separated by commas; a group is a list of alternatives separated by bars. Only the
//! grammar is known here; what satisfies a relation is decided in [`super::universe`].

/// How a version is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`, and the obsolete `<`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, and the obsolete `>`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<<" => Self::Earlier,
            "<=" | "<" => Self::EarlierOrEqual,
            "=" => Self::Equal,
            ">=" | ">" => Self::LaterOrEqual,
            ">>" => Self::Later,
            _ => return None,
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }
}

/// One alternative: a package name and perhaps a bound on its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relation<'a> {
    /// The name, with `:any` kept, since only packages that allow it satisfy such a relation. A qualifier that names
    /// the architecture itself is dropped; one that names another stays, and is then found nowhere.
    pub(super) name: &'a str,
    pub(super) bound: Option<(Operator, &'a str)>,
}

impl std::fmt::Display for Relation<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bound {
            None => formatter.write_str(self.name),
            Some((operator, version)) => {
                write!(formatter, "{} ({} {version})", self.name, operator.text())
            }
        }
    }
}

/// A group of alternatives in the form of the field.
pub(super) fn display_group(group: &[Relation<'_>]) -> String {
    group
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// Parses a whole field; `Err` holds the group that is not understood.
pub(super) fn parse_field<'a>(
    field: &'a str,
    architecture: &str,
) -> Result<Vec<Vec<Relation<'a>>>, &'a str> {
    let mut groups = Vec::new();
    for group in field
        .split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty())
    {
        let alternatives = group
            .split('|')
            .map(|relation| parse_relation(relation, architecture));
        groups.push(alternatives.collect::<Option<Vec<_>>>().ok_or(group)?);
    }
    Ok(groups)
}

fn parse_relation<'a>(text: &'a str, architecture: &str) -> Option<Relation<'a>> {
    let text = text.trim();
    let end = text
        .find(|character: char| character.is_ascii_whitespace() || character == '(')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let bound = if rest.is_empty() {
        None
    } else {
        let inner = rest.strip_prefix('(')?.strip_suffix(')')?.trim();
        let split = inner.find(|character| !matches!(character, '<' | '>' | '='))?;
        let (operator, version) = inner.split_at(split);
        let version = version.trim();
        if version.is_empty() || version.contains(|character: char| character.is_ascii_whitespace())
        {
            return None;
        }
        Some((Operator::parse(operator)?, version))
    };
    Some(Relation {
        name: unqualified(name, architecture),
        bound,
    })
}

fn unqualified<'a>(name: &'a str, architecture: &str) -> &'a str {
    match name.split_once(':') {
        Some((plain, qualifier)) if qualifier == architecture || qualifier == "native" => plain,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &str, expected: &[&str]) {
        let groups = parse_field(field, "amd64").expect("the field is well-formed");
        let found: Vec<_> = groups.iter().map(|group| display_group(group)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn groups_alternatives_and_bounds() {
        check("", &[]);
        check("libc6", &["libc6"]);
        check(
            "libc6 (>= 2.36), a|b(<<1)",
            &["libc6 (>= 2.36)", "a | b (<< 1)"],
        );
        check(
            "a (< 1), b (> 2), c (=3)",
            &["a (<= 1)", "b (>= 2)", "c (= 3)"],
        );
        check(
            "python3:any (>= 3), a:amd64, b:native, c:i386",
            &["python3:any (>= 3)", "a", "b", "c:i386"],
        );
        check("a,\n b ,", &["a", "b"]);
    }

    #[test]
    fn all_1_broken_fields_are_refused() {
        for field in [
            "a (>= )",
            "a (1)",
            "a (>= 1",
            "a | ",
            "a (=> 1)",
            "(>= 1)",
            "a [amd64]",
            "a (>= 1 2)",
        ] {
            assert!(parse_field(field, "amd64").is_err(), "{field}");
        }
    }
}
