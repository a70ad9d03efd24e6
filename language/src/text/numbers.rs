//! Numbers as texts: three for every float, because Nix has three.
//!
//! What is printed for people has six significant digits, what becomes part of a string six decimals, and what goes into
//! JSON enough digits to read the same float again.

use super::grisu;

/// A float as the evaluator prints it: six significant digits, trailing zeros dropped, so that a whole one looks like an
/// integer.
pub(crate) fn print_float(float: f64) -> String {
    if let Some(text) = not_finite(float) {
        return text;
    }
    let scientific = format!("{float:.5e}");
    let (digits, exponent) = split_exponent(&scientific);
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        return drop_zeros(&format!("{float:.decimals$}")).to_owned();
    }
    format!("{}{}", drop_zeros(digits), exponent_text(exponent))
}

/// A float as part of a string: six decimals.
pub(crate) fn float_in_string(float: f64) -> String {
    not_finite(float).unwrap_or_else(|| format!("{float:.6}"))
}

/// A float as JSON: digits that are read as the same float, with a point or an exponent. Infinities and what is not a
/// number are `null`.
pub(crate) fn float_in_json(float: f64) -> String {
    if !float.is_finite() {
        return "null".to_owned();
    }
    let sign = if float.is_sign_negative() { "-" } else { "" };
    if float == 0.0 {
        return format!("{sign}0.0");
    }
    let (digits, last) = grisu::digits(float.abs());
    let digits = String::from_utf8_lossy(&digits).into_owned();
    let exponent = last + i32::try_from(digits.len()).unwrap_or(0) - 1;
    // Where the point is, counted from before the first digit.
    let point = exponent + 1;
    let number = match usize::try_from(point) {
        Ok(0) => format!("0.{digits}"),
        Ok(point) if digits.len() <= point && point <= 15 => format!("{digits:0<point$}.0"),
        Ok(point) if point <= 15 => format!("{}.{}", &digits[..point], &digits[point..]),
        Err(_) if point > -4 => {
            let zeros = usize::try_from(-point).unwrap_or(0);
            format!("0.{:0>width$}", digits, width = digits.len() + zeros)
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{first}{dot}{rest}{}", exponent_text(exponent))
        }
    };
    format!("{sign}{number}")
}

/// The value of a float's literal; `None` when it is too large, or too close to zero to keep its digits.
pub(crate) fn parse_float(literal: &str) -> Option<f64> {
    let float: f64 = literal.parse().ok()?;
    let mantissa = literal.split(['e', 'E']).next().unwrap_or_default();
    let zero = !mantissa.contains(|digit: char| ('1'..='9').contains(&digit));
    (zero || float.is_normal()).then_some(float)
}

fn not_finite(float: f64) -> Option<String> {
    let name = if float.is_nan() {
        "nan"
    } else if float.is_infinite() {
        "inf"
    } else {
        return None;
    };
    let sign = if float.is_sign_negative() { "-" } else { "" };
    Some(format!("{sign}{name}"))
}

/// The digits and the exponent of what `{:e}` wrote.
fn split_exponent(scientific: &str) -> (&str, i32) {
    let (digits, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (digits, exponent.parse().unwrap_or(0))
}

/// A sign and at least two digits, as C writes it.
fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
}

fn drop_zeros(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_floats_have_six_digits() {
        let check = |float: f64, expected: &str| assert_eq!(print_float(float), expected);
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(-2.5, "-2.5");
        check(0.1 + 0.2, "0.3");
        check(100_000.0, "100000");
        check(999_999.0, "999999");
        check(999_999.5, "1e+06");
        check(1_000_000.0, "1e+06");
        check(1_234_567.0, "1.23457e+06");
        check(0.0001, "0.0001");
        check(0.000_099_999_99, "0.0001");
        check(0.00001, "1e-05");
        check(1e100, "1e+100");
        check(1.5e-300, "1.5e-300");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        check(3.0517578125e-05, "3.05176e-05");
    }

    #[test]
    fn floats_in_strings_have_six_decimals() {
        let check = |float: f64, expected: &str| assert_eq!(float_in_string(float), expected);
        check(1.0, "1.000000");
        check(0.1, "0.100000");
        check(-0.0, "-0.000000");
        check(1e-7, "0.000000");
        check(0.5e-6, "0.000000");
        check(1.5e-6, "0.000002");
        check(1e22, "10000000000000000000000.000000");
        check(f64::INFINITY, "inf");
    }

    #[test]
    fn floats_in_json_are_the_shortest() {
        let check = |float: f64, expected: &str| assert_eq!(float_in_json(float), expected);
        check(0.0, "0.0");
        check(-0.0, "-0.0");
        check(1.0, "1.0");
        check(0.1, "0.1");
        check(0.1 + 0.2, "0.30000000000000004");
        check(-123.456, "-123.456");
        check(1e14, "100000000000000.0");
        check(1e15, "1e+15");
        check(123_456_789_012_345.6, "123456789012345.6");
        check(1_234_567_890_123_456.0, "1.234567890123456e+15");
        check(0.001, "0.001");
        check(0.0001, "0.0001");
        check(0.00012, "0.00012");
        check(0.00001, "1e-05");
        check(1.5e-5, "1.5e-05");
        check(1e100, "1e+100");
        check(5e-324, "5e-324");
        check(f64::INFINITY, "null");
        check(f64::NAN, "null");
    }

    #[test]
    fn literals_that_lose_their_value_are_refused() {
        let check =
            |literal: &str, expected| assert_eq!(parse_float(literal), expected, "{literal}");
        check("1.5", Some(1.5));
        check("1.e5", Some(1e5));
        check(".5", Some(0.5));
        check("0.0e1", Some(0.0));
        check("0.0e-999", Some(0.0));
        check("1.0e400", None);
        check("4.9e-324", None);
        check("0.5e-400", None);
        check("2.2250738585072014e-308", Some(f64::MIN_POSITIVE));
    }
}
