//! How long to wait before a request is tried again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A wait that doubles with each failure, varied by half in both directions, so that many clients do not come back at once.
/// What the server asked for is the least, up to `longest`.
pub(super) fn wait(
    first: Duration,
    failures: u32,
    asked: Option<Duration>,
    longest: Duration,
) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(6));
    let varied = doubled.mul_f64(0.5 + fastrand::f64());
    varied.max(asked.unwrap_or_default()).min(longest)
}

/// The value of a `Retry-After` header: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = UNIX_EPOCH + Duration::from_secs(http_date(value)?);
    Some(then.duration_since(now).unwrap_or_default())
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of dates that servers may send.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let month_name = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(str::parse::<u64>);
    let mut next = || clock.next()?.ok().filter(|number| *number < 61);
    let seconds = (next()? * 60 + next()?) * 60 + next()?;
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || parts.next()? != "GMT" {
        return None;
    }
    // Days since 1970 in a calendar whose years begin in March, so that the leap day comes last.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = shifted_year * 365 + leap_days + day_of_year - 719_468;
    Some(days * 86_400 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lim_2_dates_and_seconds_are_understood() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 5);
        let check = |value, seconds: Option<u64>| {
            assert_eq!(
                retry_after(value, now),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        };
        check("7", Some(7));
        check(" 120 ", Some(120));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(5));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        check(
            "Thu, 29 Feb 1996 00:00:00 GMT",
            Some(825_552_000 - 784_111_772),
        );
        for broken in [
            "soon",
            "",
            "-1",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 99:99:99 GMT",
            "Sun, 6",
        ] {
            check(broken, None);
        }
    }

    #[test]
    fn lim_2_waits_grow_and_respect_the_server() {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(60));
        for _ in 0..100 {
            let short = wait(first, 1, None, longest);
            assert!((250..=750).contains(&short.as_millis()), "{short:?}");
            let long = wait(first, 3, None, longest);
            assert!((1000..=3000).contains(&long.as_millis()), "{long:?}");
        }
        assert_eq!(
            wait(first, 1, Some(Duration::from_secs(20)), longest).as_secs(),
            20
        );
        assert_eq!(
            wait(first, 1, Some(Duration::from_secs(9999)), longest),
            longest
        );
        assert_eq!(wait(first, u32::MAX, None, longest).as_secs().min(16), 16);
    }
}
