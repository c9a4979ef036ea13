//! The user's formatting preferences, and the cells written under them.

mod cells;
mod changes;
pub(crate) mod reading;
mod same;
mod zone;

pub use cells::{CellError, CellReader};
pub(crate) use same::is_same;
pub use zone::GatewayZone;

use crate::error::{Error, ErrorKind};
use crate::xml::tree::Element;

/// How the gateway writes dates and times for the signed-in user (`readUserFormatting`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UserFormatting {
    /// `en_US.UTF-8` and the like.
    pub locale: String,
    /// Separator and the order of the parts: `/mdY`.
    pub date_format: String,
    /// East of Greenwich.
    pub gmt_offset_seconds: i32,
    /// 12 or 24 hours.
    pub clock: u8,
}

impl UserFormatting {
    /// Whether cells written like this can be read without a guess: English number marks, the 24-hour clock, and
    /// `MM/DD/YYYY` (`/mdY`) or `YYYY-MM-DD` (`-Ymd`).
    ///
    /// # Errors
    /// [`ErrorKind::Formatting`], whose hint names the preferences that can be read.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::new(ErrorKind::Formatting, what));
        if !self
            .locale
            .get(..2)
            .is_some_and(|language| language.eq_ignore_ascii_case("en"))
        {
            return refuse(format!(
                "the user's locale is \"{}\", which cannot be read: it must be English",
                self.locale
            ));
        }
        if !matches!(self.date_format.as_str(), "/mdY" | "-Ymd") {
            return refuse(format!(
                "the user's date format is \"{}\", which cannot be read: it must be \"/mdY\" (mm/dd/yyyy) or \"-Ymd\"",
                self.date_format
            ));
        }
        if self.clock != 24 {
            return refuse(format!(
                "the user's clock has {} hours: it must have 24",
                self.clock
            ));
        }
        Ok(())
    }

    /// Takes the preferences out of the answer to `readUserFormatting`.
    pub(crate) fn read(data: &Element) -> Result<Self, Error> {
        let missing = |what: &str| {
            Error::new(
                ErrorKind::Formatting,
                format!("the answer to readUserFormatting has no readable {what}"),
            )
        };
        let user = data.child("userformatting").unwrap_or(data);
        let clock = user.text_of("clock").parse().map_err(|_| missing("clock"))?;
        let gmt_offset_seconds = gmt_offset(user.text_of("gmtoffset")).ok_or_else(|| missing("gmtoffset"))?;
        let required = |name: &str| match user.text_of(name) {
            "" => Err(missing(name)),
            text => Ok(text.to_owned()),
        };
        Ok(UserFormatting {
            locale: required("locale")?,
            date_format: required("dateformat")?,
            gmt_offset_seconds,
            clock,
        })
    }
}

/// `+hh:mm` or `-hh:mm` in seconds.
fn gmt_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str| {
        (text.len() <= 2)
            .then(|| text.parse::<u8>().ok())
            .flatten()
            .map(i32::from)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read() {
        assert_eq!(gmt_offset("-08:00"), Some(-28_800));
        assert_eq!(gmt_offset("+05:30"), Some(19_800));
        assert_eq!(gmt_offset("00:00"), Some(0));
        for text in ["", "GMT", "+5", "+99:00", "+05:60", "+-5:00"] {
            assert_eq!(gmt_offset(text), None, "{text}");
        }
    }

    #[test]
    fn only_formats_that_leave_no_guess_are_accepted() {
        let good = UserFormatting {
            locale: "en_US.UTF-8".into(),
            date_format: "/mdY".into(),
            gmt_offset_seconds: 0,
            clock: 24,
        };
        assert!(good.check().is_ok());
        assert!(
            UserFormatting {
                date_format: "-Ymd".into(),
                ..good.clone()
            }
            .check()
            .is_ok()
        );
        for bad in [
            UserFormatting {
                date_format: "/dmY".into(),
                ..good.clone()
            },
            UserFormatting {
                date_format: "/mdy".into(),
                ..good.clone()
            },
            UserFormatting {
                clock: 12,
                ..good.clone()
            },
            UserFormatting {
                locale: "de_DE".into(),
                ..good.clone()
            },
        ] {
            let error = bad.check().expect_err("refused");
            assert_eq!(error.kind(), &ErrorKind::Formatting);
            assert!(!error.hint().is_empty());
        }
    }
}
