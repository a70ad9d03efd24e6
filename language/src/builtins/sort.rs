//! Sorting with a comparison that may fail, and that may contradict itself.
//!
//! `sort` calls a function of the user. Where that is no order, what comes out depends on which pairs are compared, so they
//! are those that the original compares: rows of seven are sorted by insertion and merged, the two halves apart, then
//! together.

/// Sorts so that equal items keep their order. `less` says whether its first argument belongs before its second one.
pub(super) fn sort<T: Copy, E>(
    items: &mut [T],
    less: &mut impl FnMut(T, T) -> Result<bool, E>,
) -> Result<(), E> {
    let middle = items.len().div_ceil(2);
    let (left, right) = items.split_at_mut(middle);
    sort_half(left, less)?;
    sort_half(right, less)?;
    let backwards = left.len() > right.len();
    let merged = match backwards {
        true => merge_backwards(left, right, less)?,
        false => merge(left, right, less)?,
    };
    items.copy_from_slice(&merged);
    Ok(())
}

/// How long the rows are that are sorted by insertion.
const ROW: usize = 7;

fn sort_half<T: Copy, E>(
    items: &mut [T],
    less: &mut impl FnMut(T, T) -> Result<bool, E>,
) -> Result<(), E> {
    for row in items.chunks_mut(ROW) {
        insert(row, less)?;
    }
    let mut step = ROW;
    while step < items.len() {
        // Twice in one round, as the original goes to its buffer and back: the second time perhaps without need.
        for step in [step, step * 2] {
            for pair in items.chunks_mut(step * 2) {
                let (left, right) = pair.split_at(step.min(pair.len()));
                let merged = merge(left, right, less)?;
                pair.copy_from_slice(&merged);
            }
        }
        step *= 4;
    }
    Ok(())
}

fn insert<T: Copy, E>(
    items: &mut [T],
    less: &mut impl FnMut(T, T) -> Result<bool, E>,
) -> Result<(), E> {
    for index in 1..items.len() {
        let item = items[index];
        let mut place = index;
        if less(item, items[0])? {
            place = 0;
        } else {
            while place > 0 && less(item, items[place - 1])? {
                place -= 1;
            }
        }
        items.copy_within(place..index, place + 1);
        items[place] = item;
    }
    Ok(())
}

fn merge<T: Copy, E>(
    left: &[T],
    right: &[T],
    less: &mut impl FnMut(T, T) -> Result<bool, E>,
) -> Result<Vec<T>, E> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if less(right[j], left[i])? {
            merged.push(right[j]);
            j += 1;
        } else {
            merged.push(left[i]);
            i += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    Ok(merged)
}

fn merge_backwards<T: Copy, E>(
    left: &[T],
    right: &[T],
    less: &mut impl FnMut(T, T) -> Result<bool, E>,
) -> Result<Vec<T>, E> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (left.len(), right.len());
    while i > 0 && j > 0 {
        if less(right[j - 1], left[i - 1])? {
            merged.push(left[i - 1]);
            i -= 1;
        } else {
            merged.push(right[j - 1]);
            j -= 1;
        }
    }
    merged.extend(left[..i].iter().rev());
    merged.extend(right[..j].iter().rev());
    merged.reverse();
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_stable_sort(items in proptest::collection::vec((0_u8..20, any::<u8>()), 0..200)) {
            let mut sorted = items.clone();
            let result: Result<(), Infallible> = sort(&mut sorted, &mut |left, right| Ok(left.0 < right.0));
            prop_assert!(result.is_ok());
            let mut expected = items;
            expected.sort_by_key(|item| item.0);
            prop_assert_eq!(sorted, expected);
        }

        #[test]
        fn no_comparison_is_too_wrong(
            items in proptest::collection::vec(any::<u8>(), 0..200),
            answers in proptest::collection::vec(any::<bool>(), 1..50),
        ) {
            let mut asked = 0;
            let mut sorted = items.clone();
            let result: Result<(), Infallible> = sort(&mut sorted, &mut |_, _| {
                asked += 1;
                Ok(answers[asked % answers.len()])
            });
            prop_assert!(result.is_ok());
            let mut expected = items;
            expected.sort_unstable();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, expected);
        }
    }

    #[test]
    fn a_failed_comparison_ends_it() {
        let mut items = [3, 2, 1];
        assert_eq!(sort(&mut items, &mut |_, _| Err("no")), Err("no"));
    }
}
