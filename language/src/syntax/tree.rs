//! Expressions with their variables resolved: what is evaluated.

use crate::source::Pos;
use crate::value::{Symbol, Thunk};

/// An expression and where it starts.
pub(crate) struct Expr<'a> {
    pub(crate) pos: Pos,
    pub(crate) kind: Kind<'a>,
}

/// What an expression does.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// A value that is known: a literal, or a name of the language.
    Constant(&'a Thunk<'a>),
    /// A variable: so many levels up, and its place there.
    Local { level: u32, slot: u32 },
    /// A variable of some `with`: the levels of those around it, from the inside out.
    FromWith { name: Symbol, levels: &'a [u32] },
    /// `from.path or default`.
    Select {
        from: &'a Expr<'a>,
        path: &'a [Name<'a>],
        default: Option<&'a Expr<'a>>,
    },
    /// `from ? path`.
    Has {
        from: &'a Expr<'a>,
        path: &'a [Name<'a>],
    },
    /// `{ … }` and `rec { … }`.
    Set(&'a SetExpr<'a>),
    /// `[ … ]`.
    List(&'a [Expr<'a>]),
    /// A function.
    Lambda(&'a LambdaExpr<'a>),
    /// `function argument …`.
    Call {
        function: &'a Expr<'a>,
        arguments: &'a [Expr<'a>],
    },
    /// `let … in body`. The set's names are the variables of one level.
    Let {
        bindings: &'a SetExpr<'a>,
        body: &'a Expr<'a>,
    },
    /// `with set; body`.
    With {
        set: &'a Expr<'a>,
        body: &'a Expr<'a>,
    },
    /// `if condition then yes else no`.
    If {
        condition: &'a Expr<'a>,
        yes: &'a Expr<'a>,
        no: &'a Expr<'a>,
    },
    /// `assert condition; body`, and the condition as it was written.
    Assert {
        condition: &'a Expr<'a>,
        text: &'a str,
        body: &'a Expr<'a>,
    },
    /// `!operand`.
    Not(&'a Expr<'a>),
    /// `-operand`.
    Negate(&'a Expr<'a>),
    /// Two operands.
    Binary {
        operator: Operator,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
    },
    /// A string with expressions in it.
    Interpolation(&'a [Expr<'a>]),
    /// A path with expressions in it; the first part is a path.
    PathInterpolation(&'a [Expr<'a>]),
    /// `__curPos`.
    CurrentPosition,
}

/// Operators with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    And,
    Or,
    Implies,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Update,
    Concat,
}

impl Operator {
    /// As it is written.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::And => "&&",
            Self::Or => "||",
            Self::Implies => "->",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::More => ">",
            Self::MoreOrEqual => ">=",
            Self::Update => "//",
            Self::Concat => "++",
        }
    }
}

/// A part of an attribute path.
#[derive(Clone, Copy)]
pub(crate) enum Name<'a> {
    /// Known, and where it stands.
    Fixed(Symbol, Pos),
    /// To be computed; must give a string.
    Computed(&'a Expr<'a>),
}

impl Name<'_> {
    /// Where it stands.
    pub(crate) fn pos(&self) -> Pos {
        match self {
            Self::Fixed(_, pos) => *pos,
            Self::Computed(expr) => expr.pos,
        }
    }
}

/// An attribute set as it is written; also the bindings of `let`.
pub(crate) struct SetExpr<'a> {
    /// Whether its attributes see each other.
    pub(crate) recursive: bool,
    /// Expressions of `inherit (from)`, each evaluated once. They are variables of a level of their own.
    pub(crate) sources: &'a [Expr<'a>],
    /// The attributes whose names are known, ordered by symbol.
    pub(crate) attrs: &'a [AttrExpr<'a>],
    /// The others, as written.
    pub(crate) computed: &'a [ComputedAttr<'a>],
    /// Whether there is an attribute `__overrides`, which then replaces others in a recursive set.
    pub(crate) overrides: Option<u32>,
}

/// An attribute whose name is known.
pub(crate) struct AttrExpr<'a> {
    pub(crate) name: Symbol,
    pub(crate) pos: Pos,
    pub(crate) value: AttrValue<'a>,
}

/// Where an attribute's value comes from.
pub(crate) enum AttrValue<'a> {
    /// An expression that sees the set, if it is recursive.
    Inside(Expr<'a>),
    /// `inherit name;`: a variable from around the set.
    Outside(Expr<'a>),
    /// `inherit (from) name;`: the number of the source.
    Source(u32),
}

/// An attribute whose name is computed. `null` leaves it out.
pub(crate) struct ComputedAttr<'a> {
    pub(crate) name: Expr<'a>,
    pub(crate) value: Expr<'a>,
    pub(crate) pos: Pos,
}

/// A function as it is written.
pub(crate) struct LambdaExpr<'a> {
    pub(crate) pos: Pos,
    /// The name that it was bound to, if any.
    pub(crate) name: Option<Symbol>,
    pub(crate) parameter: Parameter<'a>,
    pub(crate) body: Expr<'a>,
}

/// What a function takes.
pub(crate) enum Parameter<'a> {
    /// `name:`; the argument is the only variable of its level.
    Name(Symbol),
    /// `{ a, b ? c, ... }@name:`; the formals are the variables of its level, in order, then the whole.
    Pattern {
        /// Ordered by symbol.
        formals: &'a [Formal<'a>],
        open: bool,
        whole: Option<Symbol>,
    },
}

/// One name of a pattern.
pub(crate) struct Formal<'a> {
    pub(crate) name: Symbol,
    pub(crate) pos: Pos,
    pub(crate) default: Option<Expr<'a>>,
}
