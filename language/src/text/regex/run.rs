//! The walk: states over a text.
//!
//! Choices are tried in the order of the expression, repetitions first once more, then on. For a whole match the first way
//! through counts. For a search every alternative is tried and the longest way counts, the first among equals; a repetition
//! is content with the first way it finds. These are the original's rules, and so is that a repetition may pass twice
//! without progress before it has to go on.
//!
//! What is still to be tried is on a stack of our own, not on the thread's. A choice that failed at a byte is not
//! tried there again: whatever could differ is being tried by the choice that encloses it.

use super::program::{Program, State, StateId};
use super::{Found, Groups, RegexError};

/// How much may be pending, about 80 MB.
const MAX_PENDING: usize = 4 << 20;
/// How many choices times bytes are remembered, 128 MiB.
const MAX_CELLS: usize = 1 << 29;
/// How many states one call visits at most; some seconds.
const MAX_STEPS: u64 = 1 << 30;

/// The groups, when the whole text matches.
pub(super) fn match_whole(
    program: &Program,
    text: &[u8],
    steps: &mut u64,
) -> Result<Option<Groups>, RegexError> {
    let mut walk = Walk::new(program, text, true)?;
    let result = walk.try_at(0, false);
    *steps += walk.steps;
    result?;
    Ok(walk.best.take().map(|(_, slots)| groups(&slots)))
}

/// Every match from left to right. After an empty match, a longer one is tried at the same place before moving on.
pub(super) fn find_all(
    program: &Program,
    text: &[u8],
    steps: &mut u64,
) -> Result<Vec<Found>, RegexError> {
    let mut walk = Walk::new(program, text, false)?;
    let all = walk.find_all();
    *steps += walk.steps;
    all
}

fn groups(slots: &[Slot]) -> Groups {
    slots
        .iter()
        .map(|slot| {
            slot.closed
                .then_some(slot.start as usize..slot.end as usize)
        })
        .collect()
}

/// What a group holds on the current way.
#[derive(Clone, Copy, Default)]
struct Slot {
    start: u32,
    end: u32,
    closed: bool,
}

/// What is still to be done when the current way has ended.
#[derive(Clone, Copy)]
enum Pending {
    Group(u32, Slot),
    Guard(u32, Guard),
    /// The first branch of a choice has been tried.
    Second(StateId, u32),
    /// Both have; whether the first one got through.
    Done(StateId, u32, bool),
}

/// Where a repetition was entered last on the current way, and how often there.
#[derive(Clone, Copy, Default)]
struct Guard {
    at: u32,
    entered: u8,
}

struct Walk<'a> {
    program: &'a Program,
    text: &'a [u8],
    /// The whole text has to match.
    whole: bool,
    memory: Memory,
    pending: Vec<Pending>,
    slots: Vec<Slot>,
    guards: Vec<Guard>,
    best: Option<(u32, Vec<Slot>)>,
    steps: u64,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program, text: &'a [u8], whole: bool) -> Result<Self, RegexError> {
        let length = u32::try_from(text.len()).map_err(|_| RegexError::TooLarge)?;
        Ok(Self {
            program,
            text,
            whole,
            memory: Memory::new(program.choices, length)?,
            pending: Vec::new(),
            slots: vec![Slot::default(); program.groups],
            guards: vec![Guard::default(); program.guards as usize],
            best: None,
            steps: 0,
        })
    }

    fn find_all(&mut self) -> Result<Vec<Found>, RegexError> {
        let mut all = Vec::new();
        let mut next = self.search(0)?;
        while let Some(found) = next {
            let (start, end) = (found.span.start, found.span.end);
            all.push(found);
            next = if start < end {
                self.search(end)?
            } else if end == self.text.len() {
                None
            } else {
                match self.at(end, true)? {
                    Some(longer) => Some(longer),
                    None => self.search(end + 1)?,
                }
            };
        }
        Ok(all)
    }

    /// The first match that starts at or after a byte.
    fn search(&mut self, from: usize) -> Result<Option<Found>, RegexError> {
        for start in from..=self.text.len() {
            if let Some(first) = &self.program.first
                && !self
                    .text
                    .get(start)
                    .is_some_and(|byte| first.contains(*byte))
            {
                continue;
            }
            let found = self.at(start, false)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The match that starts at a byte.
    fn at(&mut self, start: usize, not_empty: bool) -> Result<Option<Found>, RegexError> {
        self.try_at(start, not_empty)?;
        self.memory.forget_successes();
        Ok(self.best.take().map(|(end, slots)| Found {
            span: start..end as usize,
            groups: groups(&slots),
        }))
    }

    fn try_at(&mut self, start: usize, not_empty: bool) -> Result<(), RegexError> {
        let start = u32::try_from(start).map_err(|_| RegexError::TooLarge)?;
        let forbidden = not_empty.then_some(start);
        let mut through = self.follow(self.program.start, start, forbidden)?;
        while let Some(pending) = self.pending.pop() {
            if through && self.whole {
                self.pending.clear();
                return Ok(());
            }
            match pending {
                Pending::Group(group, slot) => self.slots[group as usize] = slot,
                Pending::Guard(guard, before) => self.guards[guard as usize] = before,
                Pending::Done(state, at, earlier) => {
                    through |= earlier;
                    self.remember(state, at, through);
                }
                Pending::Second(state, at) => match self.program.states[state as usize] {
                    State::Either { second, .. } => {
                        self.push(Pending::Done(state, at, through))?;
                        through = self.follow(second, at, forbidden)?;
                    }
                    State::Repeat { next, .. } if !through => {
                        self.push(Pending::Done(state, at, false))?;
                        through = self.follow(next, at, forbidden)?;
                    }
                    _ => self.remember(state, at, through),
                },
            }
        }
        Ok(())
    }

    /// Goes on from a state, always by the first branch, until the way ends; whether it got through.
    fn follow(
        &mut self,
        mut state: StateId,
        mut at: u32,
        forbidden: Option<u32>,
    ) -> Result<bool, RegexError> {
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(RegexError::TooSlow);
            }
            let byte = self.text.get(at as usize).copied();
            state = match self.program.states[state as usize] {
                State::Byte(wanted, next) if byte == Some(wanted) => {
                    at += 1;
                    next
                }
                State::Set(set, next)
                    if byte.is_some_and(|byte| self.program.sets[set as usize].contains(byte)) =>
                {
                    at += 1;
                    next
                }
                State::Start(next) if at == 0 => next,
                State::End(next) if byte.is_none() => next,
                State::Byte(..) | State::Set(..) | State::Start(_) | State::End(_) => {
                    return Ok(false);
                }
                State::Open(group, next) => {
                    let slot = self.slots[group as usize];
                    self.push(Pending::Group(group, slot))?;
                    self.slots[group as usize].start = at;
                    next
                }
                State::Close(group, next) => {
                    let slot = self.slots[group as usize];
                    self.push(Pending::Group(group, slot))?;
                    self.slots[group as usize] = Slot {
                        end: at,
                        closed: true,
                        ..slot
                    };
                    next
                }
                State::Either { first, choice, .. } => {
                    if let Some(through) = self.memory.recall(choice, at) {
                        return Ok(through);
                    }
                    self.push(Pending::Second(state, at))?;
                    first
                }
                State::Repeat {
                    body,
                    next,
                    choice,
                    guard,
                } => {
                    if let Some(through) = self.memory.recall(choice, at) {
                        return Ok(through);
                    }
                    if self.enter(guard, state, at)? {
                        body
                    } else {
                        self.push(Pending::Done(state, at, false))?;
                        next
                    }
                }
                State::Accept => return Ok(self.accept(at, forbidden)),
            };
        }
    }

    /// Whether a repetition may go once more; if so, that is noted.
    fn enter(&mut self, guard: Option<u32>, state: StateId, at: u32) -> Result<bool, RegexError> {
        let Some(index) = guard else {
            self.push(Pending::Second(state, at))?;
            return Ok(true);
        };
        let before = self.guards[index as usize];
        let entered = match before {
            Guard { entered: 0, .. } => 1,
            Guard { at: last, .. } if last != at => 1,
            Guard { entered: 1, .. } => 2,
            _ => return Ok(false),
        };
        self.push(Pending::Second(state, at))?;
        self.push(Pending::Guard(index, before))?;
        self.guards[index as usize] = Guard { at, entered };
        Ok(true)
    }

    fn accept(&mut self, at: u32, forbidden: Option<u32>) -> bool {
        if self.whole && at as usize != self.text.len() || forbidden == Some(at) {
            return false;
        }
        if self.best.as_ref().is_none_or(|(end, _)| *end < at) {
            self.best = Some((at, self.slots.clone()));
        }
        true
    }

    fn push(&mut self, pending: Pending) -> Result<(), RegexError> {
        if self.pending.len() >= MAX_PENDING {
            return Err(RegexError::TooLarge);
        }
        self.pending.push(pending);
        Ok(())
    }

    fn remember(&mut self, state: StateId, at: u32, through: bool) {
        if let State::Either { choice, .. } | State::Repeat { choice, .. } =
            self.program.states[state as usize]
        {
            self.memory.remember(choice, at, through);
        }
    }
}

/// What choices came to, two bits for each and each byte, so that the choices of one byte lie together. Untouched parts
/// are never backed by memory.
struct Memory {
    bits: Vec<u8>,
    choices: usize,
    successes: Vec<usize>,
}

impl Memory {
    const FAILED: u8 = 1;
    const THROUGH: u8 = 2;

    fn new(choices: u32, length: u32) -> Result<Self, RegexError> {
        let choices = choices as usize;
        let cells = choices
            .checked_mul(length as usize + 1)
            .filter(|cells| *cells <= MAX_CELLS)
            .ok_or(RegexError::TooLarge)?;
        Ok(Self {
            bits: vec![0; cells / 4 + 1],
            choices,
            successes: Vec::new(),
        })
    }

    fn recall(&self, choice: u32, at: u32) -> Option<bool> {
        let cell = at as usize * self.choices + choice as usize;
        match self.bits[cell / 4] >> (cell % 4 * 2) & 3 {
            0 => None,
            bits => Some(bits & Self::THROUGH != 0),
        }
    }

    fn remember(&mut self, choice: u32, at: u32, through: bool) {
        let cell = at as usize * self.choices + choice as usize;
        let bits = if through {
            self.successes.push(cell);
            Self::THROUGH
        } else {
            Self::FAILED
        };
        self.bits[cell / 4] |= bits << (cell % 4 * 2);
    }

    /// A success belongs to the match that was found by it, a failure to the text.
    fn forget_successes(&mut self) {
        for cell in self.successes.drain(..) {
            self.bits[cell / 4] &= !(3 << (cell % 4 * 2));
        }
    }
}
