//! Values as the gateway writes and reads them: the user's preferences decide about dates and zones.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::settings::{ClockOrder, DateFormat, Numbers, Readings, RepeatedHour, ReportedOffset};
use crate::store::functions::push_decimal;

/// A user's formatting preferences, as `readUserFormatting` reports them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// `en_US.UTF-8` and the like.
    pub locale: String,
    /// Separator, then the order of `m`, `d`, and `y` (two digits) or `Y`.
    pub date_format: String,
    /// 12 or 24.
    pub clock: u8,
    /// Seconds east of Greenwich.
    pub offset: i32,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            locale: "en_US.UTF-8".into(),
            date_format: "/mdY".into(),
            clock: 24,
            offset: 0,
        }
    }
}

/// Writes and reads values for one user.
#[derive(Debug, Clone)]
pub struct Formatter {
    separator: char,
    order: [u8; 3],
    twelve: bool,
    iso: bool,
    zone: TimeZone,
    utc: bool,
    padded: bool,
    /// A reading that the clock shows twice is the second one.
    later: bool,
    /// The zone by whose readings timestamps are compared; none: they are compared as points in time.
    compared_in: Option<String>,
}

impl Formatter {
    /// `zone` is the setting `time_zone`; empty means the user's own offset.
    pub fn new(preferences: &Preferences, readings: &Readings, zone: &str) -> Self {
        let us = readings.date_format != DateFormat::User;
        let format = if us {
            b"/mdY"
        } else {
            preferences.date_format.as_bytes()
        };
        let [separator, a, b, c] = *format else {
            return Self::new(&Preferences::default(), readings, zone);
        };
        let compared_in =
            (readings.clock_order == ClockOrder::Readings && !zone.is_empty()).then(|| zone.into());
        let zone = zone_of(preferences, zone);
        Self {
            separator: separator.into(),
            order: [a, b, c],
            twelve: !us && preferences.clock == 12,
            iso: readings.date_format == DateFormat::Iso,
            utc: zone == TimeZone::UTC,
            zone,
            padded: readings.numbers == Numbers::Padded,
            later: readings.repeated_hour == RepeatedHour::Second,
            compared_in,
        }
    }

    /// The SQL by which a stored instant is compared and sorted.
    pub fn comparable(&self, sql: &str) -> String {
        match &self.compared_in {
            Some(zone) => format!("wall_clock({sql}, '{}')", zone.replace('\'', "''")),
            None => sql.to_owned(),
        }
    }

    /// A filter's instant as it is compared with [`comparable`](Self::comparable) ones.
    pub fn read_comparable(&self, text: &str) -> Option<String> {
        if self.compared_in.is_none() {
            return self.read_instant(text);
        }
        let (date, time) = self.read_reading(text)?;
        Some(format!("{date} {time}"))
    }

    /// Appends a stored date (`YYYY-MM-DD`).
    pub fn date(&self, out: &mut String, stored: &str) {
        let (Some(y), Some(m), Some(d)) = (stored.get(0..4), stored.get(5..7), stored.get(8..10)) else {
            out.push_str(stored);
            return;
        };
        if self.iso {
            out.push_str(stored);
            return;
        }
        for (i, part) in self.order.iter().enumerate() {
            if i > 0 {
                out.push(self.separator);
            }
            out.push_str(match part {
                b'm' => m,
                b'd' => d,
                b'y' => &y[2..],
                _ => y,
            });
        }
    }

    /// Appends a stored instant (`YYYY-MM-DD HH:MM:SS`, UTC).
    pub fn instant(&self, out: &mut String, stored: &str) {
        let local;
        let text = if self.utc {
            stored
        } else {
            local = self.to_local(stored).unwrap_or_else(|| stored.to_string());
            &local
        };
        let (Some(date), Some(time)) = (text.get(0..10), text.get(11..19)) else {
            out.push_str(text);
            return;
        };
        self.date(out, date);
        if self.iso {
            out.push('T');
            out.push_str(time);
        } else if self.twelve {
            let hour: u32 = time[0..2].parse().unwrap_or(0);
            let shown = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
            out.push_str(&format!(
                " {shown:02}{} {}",
                &time[2..],
                if hour < 12 { "AM" } else { "PM" }
            ));
        } else {
            out.push(' ');
            out.push_str(time);
        }
    }

    fn to_local(&self, stored: &str) -> Option<String> {
        let utc: DateTime = stored.parse().ok()?;
        let at = Offset::UTC.to_timestamp(utc).ok()?;
        let local = self.zone.to_datetime(at);
        Some(local.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// Appends a scaled decimal.
    pub fn decimal(&self, out: &mut String, scaled: i128, scale: u8) {
        push_decimal(out, scaled, scale, self.padded);
    }

    /// A filter's date as stored. The gateway reads `MM/DD/YYYY`, whatever the user prefers.
    pub fn read_date(&self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[2] != b'/' || bytes[5] != b'/' {
            return None;
        }
        let number = |r: std::ops::Range<usize>| {
            let part = &text[r];
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| part.parse::<i16>().ok())
                .flatten()
        };
        let (month, day, year) = (number(0..2)?, number(3..5)?, number(6..10)?);
        // The backend refuses a year without four digits of its own.
        if year < 1000 {
            return None;
        }
        jiff::civil::Date::new(year, month as i8, day as i8).ok()?;
        Some(format!("{year:04}-{month:02}-{day:02}"))
    }

    /// A filter's instant, `MM/DD/YYYY` or `MM/DD/YYYY HH:MM:SS` in the user's zone, as stored.
    pub fn read_instant(&self, text: &str) -> Option<String> {
        let (date, time) = self.read_reading(text)?;
        if self.utc {
            return Some(format!("{date} {time}"));
        }
        let local: DateTime = format!("{date}T{time}").parse().ok()?;
        let at = self.zone.to_ambiguous_timestamp(local);
        let at = match self.later {
            true => at.later().ok()?,
            false => at.compatible().ok()?,
        };
        Some(
            Offset::UTC
                .to_datetime(at)
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string(),
        )
    }

    /// Day and time of a filter's instant.
    fn read_reading(&self, text: &str) -> Option<(String, String)> {
        let (date, time) = match text.split_once(' ') {
            Some((date, time)) => (date, time),
            None => (text, "00:00:00"),
        };
        let date = self.read_date(date)?;
        let b = time.as_bytes();
        if b.len() != 8 || b[2] != b':' || b[5] != b':' {
            return None;
        }
        format!("{date}T{time}").parse::<DateTime>().ok()?;
        Some((date, time.to_owned()))
    }
}

/// What the clock of a zone shows at a stored instant.
pub fn wall_clock(stored: &str, zone: &str) -> Option<String> {
    let utc: DateTime = stored.parse().ok()?;
    let at = Offset::UTC.to_timestamp(utc).ok()?;
    let local = TimeZone::get(zone).ok()?.to_datetime(at);
    Some(local.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn zone_of(preferences: &Preferences, zone: &str) -> TimeZone {
    match zone {
        "" if preferences.offset == 0 => TimeZone::UTC,
        "" => Offset::from_seconds(preferences.offset).map_or(TimeZone::UTC, TimeZone::fixed),
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    }
}

/// `gmtoffset` as readUserFormatting shows it: one offset of the zone, whatever the season.
pub fn gmt_offset(preferences: &Preferences, readings: &Readings, zone: &str) -> String {
    let seconds = match zone {
        "" => preferences.offset,
        name => TimeZone::get(name).map_or(0, |zone| {
            let at = |month| {
                jiff::civil::date(2024, month, 1)
                    .to_zoned(zone.clone())
                    .map_or(0, |z| z.offset().seconds())
            };
            match readings.reported_offset {
                ReportedOffset::Standard => at(1).min(at(7)),
                ReportedOffset::Summer => at(1).max(at(7)),
            }
        }),
    };
    let minutes = seconds.abs() / 60;
    format!(
        "{}{:02}:{:02}",
        if seconds < 0 { '-' } else { '+' },
        minutes / 60,
        minutes % 60
    )
}

/// A number of a filter, scaled; the flag says that digits were cut off (the value is then rounded down).
pub fn read_number(text: &str, scale: u8) -> Option<(i64, bool)> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty())
        || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let kept = fraction.get(..usize::from(scale).min(fraction.len()))?;
    let cut = fraction[kept.len()..].bytes().any(|b| b != b'0');
    let mut value = 0i128;
    for digit in whole
        .bytes()
        .chain(kept.bytes())
        .chain(std::iter::repeat_n(b'0', usize::from(scale) - kept.len()))
    {
        value = value.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
    }
    if negative {
        value = -value - i128::from(cut);
    }
    let clamped = value.clamp(i64::MIN.into(), i64::MAX.into());
    Some((clamped as i64, cut || clamped != value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatter(format: &str, clock: u8, offset: i32, zone: &str) -> Formatter {
        let preferences = Preferences {
            date_format: format.into(),
            clock,
            offset,
            ..Preferences::default()
        };
        Formatter::new(&preferences, &Readings::default(), zone)
    }

    fn shown(f: &Formatter, stored: &str) -> String {
        let mut out = String::new();
        f.instant(&mut out, stored);
        out
    }

    #[test]
    fn dates_follow_preferences() {
        assert_eq!(
            shown(&formatter("/mdY", 24, 0, ""), "2024-03-05 17:06:07"),
            "03/05/2024 17:06:07"
        );
        assert_eq!(
            shown(&formatter("/mdY", 12, 0, ""), "2024-03-05 00:06:07"),
            "03/05/2024 12:06:07 AM"
        );
        assert_eq!(
            shown(&formatter(".dmY", 24, 0, ""), "2024-03-05 17:06:07"),
            "05.03.2024 17:06:07"
        );
        assert_eq!(
            shown(&formatter("-Ymd", 24, 19_800, ""), "2024-03-05 20:00:00"),
            "2024-03-06 01:30:00"
        );
    }

    #[test]
    fn zones_with_daylight_saving_shift() {
        let f = formatter("/mdY", 24, 0, "Europe/Berlin");
        assert_eq!(shown(&f, "2024-03-31 00:59:59"), "03/31/2024 01:59:59");
        assert_eq!(shown(&f, "2024-03-31 01:00:00"), "03/31/2024 03:00:00");
        assert_eq!(
            f.read_instant("07/01/2024 00:00:00").unwrap(),
            "2024-06-30 22:00:00"
        );
        let mut readings = Readings::default();
        let offset = |readings: &Readings| gmt_offset(&Preferences::default(), readings, "Europe/Berlin");
        assert_eq!(offset(&readings), "+01:00");
        readings.reported_offset = ReportedOffset::Summer;
        assert_eq!(offset(&readings), "+02:00");
    }

    #[test]
    fn a_reading_that_comes_twice_is_the_first_or_the_second() {
        let mut readings = Readings::default();
        let read = |readings: &Readings| {
            let f = Formatter::new(&Preferences::default(), readings, "Europe/Berlin");
            f.read_instant("10/27/2024 02:30:00").unwrap()
        };
        assert_eq!(read(&readings), "2024-10-27 00:30:00");
        readings.repeated_hour = RepeatedHour::Second;
        assert_eq!(read(&readings), "2024-10-27 01:30:00");
        readings.clock_order = ClockOrder::Readings;
        let f = Formatter::new(&Preferences::default(), &readings, "Europe/Berlin");
        assert_eq!(f.comparable("a0.X"), "wall_clock(a0.X, 'Europe/Berlin')");
        assert_eq!(
            f.read_comparable("10/27/2024 02:30:00").unwrap(),
            "2024-10-27 02:30:00"
        );
        for stored in ["2024-10-27 00:30:00", "2024-10-27 01:30:00"] {
            assert_eq!(
                wall_clock(stored, "Europe/Berlin").unwrap(),
                "2024-10-27 02:30:00"
            );
        }
    }

    #[test]
    fn filters_take_us_dates_only() {
        let f = formatter(".dmY", 24, 0, "");
        assert_eq!(f.read_date("02/29/2024").unwrap(), "2024-02-29");
        for bad in [
            "2024-02-29",
            "02/30/2024",
            "2/9/2024",
            "02/29/24",
            "29.02.2024",
            "01/01/0005",
            "12/31/0999",
        ] {
            assert_eq!(f.read_date(bad), None, "{bad}");
        }
        assert_eq!(f.read_instant("02/29/2024 25:00:00"), None);
        assert_eq!(f.read_instant("02/29/2024").unwrap(), "2024-02-29 00:00:00");
    }

    #[test]
    fn numbers_scale_and_round_down() {
        assert_eq!(read_number("12.5", 2), Some((1250, false)));
        assert_eq!(read_number("-1.005", 2), Some((-101, true)));
        assert_eq!(read_number("1.5", 0), Some((1, true)));
        assert_eq!(read_number("99999999999999999999", 2), Some((i64::MAX, true)));
        for bad in ["", "-", ".", "1e5", "1,5", "abc", " 1"] {
            assert_eq!(read_number(bad, 2), None, "{bad}");
        }
    }
}
