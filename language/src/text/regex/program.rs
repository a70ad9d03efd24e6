//! The layout: tree to states.
//!
//! A repetition with bounds is written out as copies of what it repeats, so the number of states is what an expression
//! costs; past the original's own limit it is refused. Only states with a choice are numbered for the walk's memory.

use super::RegexError;
use super::bracket::ByteSet;
use super::parse::{Node, Tree};

/// The original's own limit.
const MAX_STATES: usize = 100_000;
/// Bounds the work on copies that have no states, such as those of `a{0}`.
const MAX_VISITS: usize = 1_000_000;

/// Where a state is in [`Program::states`].
pub(super) type StateId = u32;

/// One state. A choice has a number; a repetition of something that may be empty has one more, which counts how often
/// it was entered without any progress.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    Byte(u8, StateId),
    Set(u32, StateId),
    Start(StateId),
    End(StateId),
    Open(u32, StateId),
    Close(u32, StateId),
    Either {
        first: StateId,
        second: StateId,
        choice: u32,
    },
    Repeat {
        body: StateId,
        next: StateId,
        choice: u32,
        guard: Option<u32>,
    },
    Accept,
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) states: Vec<State>,
    pub(super) sets: Vec<ByteSet>,
    pub(super) start: StateId,
    pub(super) groups: usize,
    pub(super) choices: u32,
    pub(super) guards: u32,
    /// The bytes a match can start with; every byte, and the end, when it can be empty.
    pub(super) first: Option<ByteSet>,
}

/// Lays out a tree.
pub(super) fn compile(tree: &Tree) -> Result<Program, RegexError> {
    let mut compiler = Compiler {
        program: Program {
            states: Vec::new(),
            sets: Vec::new(),
            start: 0,
            groups: tree.groups,
            choices: 0,
            guards: 0,
            first: None,
        },
        visits: 0,
    };
    let accept = compiler.push(State::Accept)?;
    compiler.program.start = compiler.node(&tree.root, accept)?;
    let mut program = compiler.program;
    program.first = first_bytes(&program);
    Ok(program)
}

struct Compiler {
    program: Program,
    visits: usize,
}

impl Compiler {
    fn push(&mut self, state: State) -> Result<StateId, RegexError> {
        let states = &mut self.program.states;
        if states.len() >= MAX_STATES {
            return Err(RegexError::TooLarge);
        }
        states.push(state);
        Ok(id(states.len() - 1))
    }

    fn choice(&mut self) -> u32 {
        self.program.choices += 1;
        self.program.choices - 1
    }

    /// The states of a node that go on with `next`; returns where they begin.
    fn node(&mut self, node: &Node, next: StateId) -> Result<StateId, RegexError> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(RegexError::TooLarge);
        }
        match node {
            Node::Byte(byte) => self.push(State::Byte(*byte, next)),
            Node::Set(set) => {
                let sets = &mut self.program.sets;
                let index = sets
                    .iter()
                    .position(|known| known == set.as_ref())
                    .unwrap_or_else(|| {
                        sets.push(set.as_ref().clone());
                        sets.len() - 1
                    });
                self.push(State::Set(id(index), next))
            }
            Node::Start => self.push(State::Start(next)),
            Node::End => self.push(State::End(next)),
            Node::Group(group, inner) => {
                let close = self.push(State::Close(id(*group), next))?;
                let inner = self.node(inner, close)?;
                self.push(State::Open(id(*group), inner))
            }
            Node::Sequence(nodes) => nodes
                .iter()
                .rev()
                .try_fold(next, |next, node| self.node(node, next)),
            Node::Alternatives(nodes) => {
                let mut later = None;
                for node in nodes.iter().rev() {
                    let first = self.node(node, next)?;
                    later = Some(match later {
                        None => first,
                        Some(second) => {
                            let choice = self.choice();
                            self.push(State::Either {
                                first,
                                second,
                                choice,
                            })?
                        }
                    });
                }
                Ok(later.unwrap_or(next))
            }
            Node::Repeat { node, min, max } => self.repeat(node, *min, *max, next),
        }
    }

    fn repeat(
        &mut self,
        node: &Node,
        min: u32,
        max: Option<u32>,
        next: StateId,
    ) -> Result<StateId, RegexError> {
        let (mut entry, copies) = match max {
            None => {
                let repeat = self.repetition(node, next)?;
                let body = self.node(node, repeat)?;
                self.set_body(repeat, body);
                if min == 0 {
                    (repeat, 0)
                } else {
                    (body, min - 1)
                }
            }
            Some(max) => {
                let mut entry = next;
                for _ in min..max {
                    let body = self.node(node, entry)?;
                    entry = self.repetition(node, next)?;
                    self.set_body(entry, body);
                }
                (entry, min)
            }
        };
        for _ in 0..copies {
            entry = self.node(node, entry)?;
        }
        Ok(entry)
    }

    /// A repetition of `node` whose body is not there yet.
    fn repetition(&mut self, node: &Node, next: StateId) -> Result<StateId, RegexError> {
        let guard = can_be_empty(node).then(|| {
            self.program.guards += 1;
            self.program.guards - 1
        });
        let choice = self.choice();
        self.push(State::Repeat {
            body: next,
            next,
            choice,
            guard,
        })
    }

    fn set_body(&mut self, repeat: StateId, start: StateId) {
        if let State::Repeat { body, .. } = &mut self.program.states[repeat as usize] {
            *body = start;
        }
    }
}

fn id(index: usize) -> u32 {
    u32::try_from(index)
        .expect("there are no more groups and sets than states, and those are limited")
}

fn can_be_empty(node: &Node) -> bool {
    match node {
        Node::Byte(_) | Node::Set(_) => false,
        Node::Start | Node::End => true,
        Node::Group(_, inner) => can_be_empty(inner),
        Node::Sequence(nodes) => nodes.iter().all(can_be_empty),
        Node::Alternatives(nodes) => nodes.iter().any(can_be_empty),
        Node::Repeat { node, min, .. } => *min == 0 || can_be_empty(node),
    }
}

/// What is reachable from the start without reading a byte; `None` when that is the end.
fn first_bytes(program: &Program) -> Option<ByteSet> {
    let mut first = ByteSet::empty();
    let mut seen = vec![false; program.states.len()];
    let mut pending = vec![program.start];
    while let Some(state) = pending.pop() {
        if std::mem::replace(&mut seen[state as usize], true) {
            continue;
        }
        match program.states[state as usize] {
            State::Byte(byte, _) => first.insert(byte),
            State::Set(set, _) => first.extend(&program.sets[set as usize]),
            State::Start(next) | State::Open(_, next) | State::Close(_, next) => pending.push(next),
            State::Either { first, second, .. } => pending.extend([first, second]),
            State::Repeat { body, next, .. } => pending.extend([body, next]),
            State::End(_) | State::Accept => return None,
        }
    }
    Some(first)
}
