use super::*;
use jiff::civil::DateTime;
use proptest::prelude::*;

fn reader(offset: i32, zone: Option<&str>) -> CellReader {
    let formatting = UserFormatting {
        locale: "en_US.UTF-8".into(),
        date_format: "/mdY".into(),
        gmt_offset_seconds: offset,
        clock: 24,
    };
    let zone = zone.map(|name| TimeZone::get(name).expect("bundled zone"));
    CellReader::new(&formatting, zone.as_ref())
}

fn micros(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>()
        .expect("timestamp")
        .as_microsecond()
}

#[test]
fn dates_come_in_two_forms() {
    let reader = reader(0, None);
    let day = jiff::civil::date(2024, 2, 29);
    for cell in [
        "02/29/2024",
        "2024-02-29",
        "2024-02-29T00:00:00",
        "02/29/2024 00:00:00",
    ] {
        assert_eq!(reader.date(cell.as_bytes()), Ok(day), "{cell}");
    }
    for cell in [
        "",
        "2/29/2024",
        "29/02/2024",
        "02/30/2023",
        "2024/02/29",
        "02-29-2024",
        "02/29/24",
        "02/29/2024 ",
    ] {
        assert!(reader.date(cell.as_bytes()).is_err(), "{cell}");
    }
    assert!(reader.date(b"02/29/2024 12:00:00").is_err());
    assert!(reader.date("0é/29/2024".as_bytes()).is_err());
}

#[test]
fn timestamps_are_of_the_gateways_clock() {
    let west = reader(-8 * 3600, None);
    for (cell, instant) in [
        ("04/19/2021 12:00:01", "2021-04-19T20:00:01Z"),
        ("04/19/2021", "2021-04-19T08:00:00Z"),
        ("2021-04-19", "2021-04-19T08:00:00Z"),
        ("2021-04-19T12:00:01", "2021-04-19T20:00:01Z"),
        ("2021-04-19 12:00:01.25", "2021-04-19T20:00:01.25Z"),
        ("2021-04-19T12:00:01Z", "2021-04-19T12:00:01Z"),
        (
            "2021-04-19T12:00:01.123456789+02:30",
            "2021-04-19T09:30:01.123456Z",
        ),
        ("2021-04-19T12:00:01-0700", "2021-04-19T19:00:01Z"),
        ("12/31/1969 16:00:00", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(west.timestamp(cell.as_bytes()), Ok(micros(instant)), "{cell}");
    }
    for cell in [
        "04/19/2021 24:00:00",
        "04/19/2021 12:60:00",
        "04/19/2021 12:00",
        "04/19/2021 01:00:00 PM",
        "x",
    ] {
        assert!(west.timestamp(cell.as_bytes()).is_err(), "{cell}");
    }
}

#[test]
fn daylight_saving_follows_the_documented_rule() {
    let reader = reader(0, Some("America/New_York"));
    for (cell, instant) in [
        ("01/15/2024 12:00:00", "2024-01-15T17:00:00Z"),
        ("07/15/2024 12:00:00", "2024-07-15T16:00:00Z"),
        ("11/03/2024 01:30:00", "2024-11-03T05:30:00Z"),
        ("03/10/2024 02:30:00", "2024-03-10T07:30:00Z"),
        ("03/10/2024 03:30:00", "2024-03-10T07:30:00Z"),
        ("03/10/2024 01:59:59", "2024-03-10T06:59:59Z"),
    ] {
        assert_eq!(reader.timestamp(cell.as_bytes()), Ok(micros(instant)), "{cell}");
    }
}

#[test]
fn booleans_and_integers() {
    let reader = reader(0, None);
    for (cell, value) in [
        ("true", true),
        ("T", true),
        ("t", true),
        ("False", false),
        ("f", false),
        ("F", false),
    ] {
        assert_eq!(reader.boolean(cell.as_bytes()), Ok(value));
    }
    assert!(reader.boolean(b"yes").is_err());
    for (cell, value) in [
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("12.00", 12),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(reader.integer(cell.as_bytes()), Ok(value));
    }
    for cell in ["", "-", "1.5", "9223372036854775808", "1e3", " 1", "1,000"] {
        assert!(reader.integer(cell.as_bytes()).is_err(), "{cell}");
    }
}

#[test]
fn an_error_shows_the_cell() {
    let error = reader(0, None).integer(b"12 pieces").expect_err("not an integer");
    assert_eq!(error.to_string(), "not an integer: \"12 pieces\"");
}

fn moments() -> impl Strategy<Value = DateTime> {
    let date = (1900i16..2100, 1i8..=12, 1i8..=28);
    let time = (0i8..24, 0i8..60, 0i8..60);
    (date, time).prop_map(|((y, m, d), (h, min, s))| jiff::civil::date(y, m, d).at(h, min, s, 0))
}

proptest! {
    #[test]
    fn dates_agree_with_jiff(days in -700_000i32..2_900_000) {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).expect("in range");
        prop_assert_eq!(days_since_epoch(date), i64::from(days));
        let reader = reader(0, None);
        if date.year() > 0 {
            let us = date.strftime("%m/%d/%Y").to_string();
            prop_assert_eq!(reader.date(us.as_bytes()), Ok(date));
            prop_assert_eq!(reader.date(date.to_string().as_bytes()), Ok(date));
        }
    }

    #[test]
    fn timestamps_agree_with_jiff(moments in proptest::collection::vec(moments(), 1..20), offset in -50_000i32..50_000) {
        let named = reader(0, Some("America/New_York"));
        let fixed = reader(offset, None);
        let offset = jiff::tz::Offset::from_seconds(offset).expect("in range");
        let zone = TimeZone::get("America/New_York").expect("bundled zone");
        for moment in moments {
            let cell = moment.strftime("%m/%d/%Y %H:%M:%S").to_string();
            let expected = zone.to_ambiguous_timestamp(moment).compatible().expect("in range").as_microsecond();
            prop_assert_eq!(named.timestamp(cell.as_bytes()), Ok(expected), "{}", cell);
            let expected = offset.to_timestamp(moment).expect("in range").as_microsecond();
            prop_assert_eq!(fixed.timestamp(cell.as_bytes()), Ok(expected), "{}", cell);
        }
    }

    #[test]
    fn integers_agree_with_std(value in any::<i64>()) {
        prop_assert_eq!(reader(0, None).integer(value.to_string().as_bytes()), Ok(value));
    }

    #[test]
    fn random_cells_never_panic(cell in proptest::collection::vec(any::<u8>(), 0..40)) {
        let reader = reader(0, Some("America/New_York"));
        let _ = (reader.date(&cell), reader.timestamp(&cell), reader.boolean(&cell), reader.integer(&cell));
    }

    #[test]
    fn cells_that_are_nearly_right_never_panic(cell in "[0-9]{2}[/-][0-9]{2}[/-][0-9]{4}[ T][0-9:.+Z-]{0,16}") {
        let reader = reader(0, Some("America/New_York"));
        let _ = (reader.date(cell.as_bytes()), reader.timestamp(cell.as_bytes()));
    }
}

/// What was read before must not decide what a reading stands for.
#[test]
fn a_reading_at_the_very_change_of_the_clock_says_nothing_of_the_winter_before() {
    let berlin = reader(3600, Some("Europe/Berlin"));
    for (cell, instant) in [
        ("03/31/2024 03:00:00", "2024-03-31T01:00:00Z"),
        ("01/19/2024 03:56:16", "2024-01-19T02:56:16Z"),
        ("10/27/2024 02:00:00", "2024-10-27T00:00:00Z"),
        ("08/19/2024 03:56:16", "2024-08-19T01:56:16Z"),
    ] {
        assert_eq!(berlin.timestamp(cell.as_bytes()), Ok(micros(instant)), "{cell}");
    }
}

#[test]
fn a_reading_is_of_the_gateways_clock_whatever_offset_a_cell_carries() {
    let shown = |text: &str| text.parse::<DateTime>().expect("a time of the test");
    let micros = |text: &str| {
        let at = jiff::tz::Offset::UTC.to_timestamp(shown(text)).expect("in range");
        Ok(at.as_microsecond())
    };
    let east = reader(5 * 3600 + 1800, None);
    let york = reader(0, Some("America/New_York"));
    for (reader, cell, expected) in [
        (&east, "12/01/2024 23:30:00", "2024-12-01T23:30:00"),
        (&east, "2024-12-01T20:00:00Z", "2024-12-02T01:30:00"),
        (&east, "12/01/2024", "2024-12-01T00:00:00"),
        (&york, "11/03/2024 01:30:00", "2024-11-03T01:30:00"),
        (&york, "2024-07-04T00:30:00+02:00", "2024-07-03T18:30:00"),
        (&york, "2024-07-04 00:30:00.25", "2024-07-04T00:30:00.25"),
    ] {
        assert_eq!(reader.reading(cell.as_bytes()), micros(expected), "{cell}");
    }
    for cell in [
        "01.12.2024 10:00:00",
        "13/01/2024 10:00:00",
        "2024-12-01T10:00",
        "10:00:00",
    ] {
        assert!(east.reading(cell.as_bytes()).is_err(), "{cell}");
    }
}

#[test]
fn a_time_of_day_stands_alone_or_behind_a_date() {
    let east = reader(5 * 3600 + 1800, None);
    for (cell, seconds) in [
        ("08:30:05", 8.0 * 3600.0 + 1805.0),
        ("00:00:00.5", 0.5),
        ("12/01/2024 23:30:00", 23.5 * 3600.0),
        ("2024-12-01T20:00:00Z", 1.5 * 3600.0),
    ] {
        assert_eq!(
            east.time_of_day(cell.as_bytes()),
            Ok((seconds * 1e6) as i64),
            "{cell}"
        );
    }
    for cell in ["8:30", "08:30 PM", "24:00:00", "08:30:05Z", "noon"] {
        assert!(east.time_of_day(cell.as_bytes()).is_err(), "{cell}");
    }
}
