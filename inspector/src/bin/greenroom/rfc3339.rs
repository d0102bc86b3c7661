//! Moments as RFC 3339 writes them.

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;
/// The first moment that has no RFC 3339 form: the year 10000.
const END_MS: u64 = 253_402_300_800_000;

/// Writes a moment, in milliseconds since 1970, in UTC. A moment beyond the year 9999 is written as
/// its number of milliseconds.
pub(crate) fn rfc3339(ms: u64) -> String {
    if ms >= END_MS {
        return format!("{ms}ms");
    }
    let (year, month, day) = date(ms / MS_PER_DAY);
    let of_day = ms % MS_PER_DAY;
    let (seconds, ms) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a day since 1970. Counts years from March, so that a leap day is the
/// last of its year, and eras of 400 years, after which the calendar repeats.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    // 1970-01-01 is so many days after 0000-03-01.
    let days = days_since_1970 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = match month_from_march {
        0..=9 => (month_from_march + 3, 0),
        _ => (month_from_march - 9, 1),
    };
    (era * 400 + year_of_era + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_234_567_890_123), "2009-02-13T23:31:30.123Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(rfc3339(END_MS - 1), "9999-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(END_MS), "253402300800000ms");
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615ms");
    }

    #[test]
    fn every_day_is_followed_by_the_next_of_the_calendar() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..END_MS / MS_PER_DAY {
            assert_eq!(date(days), (year, month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == length => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }
}
