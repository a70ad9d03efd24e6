use proptest::prelude::*;

use super::*;

/// What dpkg says; how the file was made stands in `testdata/README.md`.
const ORDERED_PAIRS: &str = include_str!("testdata/versions.txt");

#[test]
fn the_order_is_dpkgs() {
    for line in ORDERED_PAIRS.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [left, order, right] = words[..] else {
            panic!("not a pair: {line}");
        };
        let expected = match order {
            "<" => Ordering::Less,
            "=" => Ordering::Equal,
            _ => Ordering::Greater,
        };
        assert_eq!(compare(left, right), expected, "{line}");
        assert_eq!(compare(right, left), expected.reverse(), "{line}");
    }
}

#[test]
fn bounds() {
    for (version, operator, bound, expected) in [
        ("1.0-1", Operator::LaterOrEqual, "1.0", true),
        ("1.0-1", Operator::Later, "1.0-1", false),
        ("1.0-1", Operator::Equal, "1.0-1", true),
        ("1.0~rc1", Operator::Earlier, "1.0", true),
        ("1:0", Operator::EarlierOrEqual, "2", false),
    ] {
        assert_eq!(
            satisfies(version, operator, bound),
            expected,
            "{version} {bound}"
        );
    }
}

/// Versions made of the characters that the order treats differently.
fn version() -> impl Strategy<Value = String> {
    "([0-2]:)?[0-9a-bA+.~]{0,5}(-[0-9a+.~]{0,3})?"
}

proptest! {
    #[test]
    fn the_order_is_total(first in version(), second in version(), third in version()) {
        prop_assert_eq!(compare(&first, &first), Ordering::Equal);
        prop_assert_eq!(compare(&first, &second), compare(&second, &first).reverse());
        if compare(&first, &second).is_le() && compare(&second, &third).is_le() {
            prop_assert!(compare(&first, &third).is_le());
        }
    }

    #[test]
    fn a_tilde_sorts_before_the_end_and_the_end_before_all_else(base in "[0-9][0-9a-b.+]{0,5}", more in "[a-b.+]") {
        let (before, after) = (format!("{base}~"), format!("{base}{more}"));
        prop_assert!(compare(&before, &base).is_lt());
        prop_assert!(compare(&base, &after).is_lt());
    }

    #[test]
    fn numbers_of_any_length_are_numbers(number in 1_u64.., zeros in "0{0,30}") {
        let (plain, padded) = (number.to_string(), format!("{zeros}{number}"));
        prop_assert_eq!(compare(&plain, &padded), Ordering::Equal);
        let longer = format!("{number}0");
        prop_assert!(compare(&plain, &longer).is_lt());
    }

    #[test]
    fn all_1_any_text_compares(left in ".*", right in ".*") {
        prop_assert_eq!(compare(&left, &right), compare(&right, &left).reverse());
    }
}
