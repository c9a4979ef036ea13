//! Transform of a parameter's value for the gateway. The planner chooses it, `convert::transform`
//! applies it when the value is known.

pub use intacct::query::text::Letters;
use serde::{Deserialize, Serialize};

/// What is made of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParamTransform {
    /// The value itself; of an array, its elements.
    Plain,
    /// The value itself, and nothing is known when it is NULL: for conditions that may hold then.
    Nullable,
    /// The coarsest pattern for the gateway that matches whatever this LIKE pattern matches.
    Pattern(Letters),
    /// A pattern for the text that starts with the value.
    Prefix,
    /// A pattern for the text that equals the value.
    Whole(Letters),
    /// A whole number in place of a numeric.
    Integer(Rounding),
    /// A bound on the calendar.
    CalendarBound(CalendarBound),
}

/// How a numeric becomes a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rounding {
    /// The largest that is not above it.
    Floor,
    /// The smallest that is not below it.
    Ceiling,
    /// Itself; a fraction equals no whole number.
    Exact,
}

/// A bound derived from a date, timestamp, timestamptz, or (for years) a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarBound {
    /// The grid on which bounds lie; none: the value itself.
    pub unit: Option<CalendarUnit>,
    /// Which point of the grid.
    pub edge: BoundEdge,
    /// Which way a bound is moved where the clock is changed nearby.
    pub side: BoundSide,
    /// What the column holds.
    pub target: BoundTarget,
    /// The session's time zone matters.
    pub zoned: bool,
}

/// What calendars and clocks count in, smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CalendarUnit {
    /// 60 to a minute.
    Second,
    /// 60 to an hour.
    Minute,
    /// 24 to a day.
    Hour,
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
    /// January, April, July, October.
    Quarter,
    /// From January.
    Year,
}

/// A point of the grid near a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoundEdge {
    /// The last that is not after it.
    Start,
    /// The first that is not before it.
    Ceiling,
    /// The first after it.
    Next,
}

/// Which rows a bound keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoundSide {
    /// Those from it on.
    Low,
    /// Those up to it.
    High,
}

/// What a bound is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoundTarget {
    /// A date.
    Day,
    /// A timestamptz.
    Instant,
}

impl CalendarUnit {
    /// The unit of this name, as `date_trunc` takes it.
    pub fn from_name(name: &str) -> Option<CalendarUnit> {
        Some(match name {
            "second" => CalendarUnit::Second,
            "minute" => CalendarUnit::Minute,
            "hour" => CalendarUnit::Hour,
            "day" => CalendarUnit::Day,
            "week" => CalendarUnit::Week,
            "month" => CalendarUnit::Month,
            "quarter" => CalendarUnit::Quarter,
            "year" => CalendarUnit::Year,
            _ => return None,
        })
    }

    /// The grid that is left when a value on this one is cut down to `outer`; none when the two do not nest.
    pub fn within(self, outer: CalendarUnit) -> Option<CalendarUnit> {
        match (self.min(outer), self.max(outer)) {
            (CalendarUnit::Week, CalendarUnit::Month | CalendarUnit::Quarter | CalendarUnit::Year) => None,
            (_, coarser) => Some(coarser),
        }
    }
}

impl ParamTransform {
    /// Whether the same value is always shaped the same, whatever the session's settings.
    pub fn is_immutable(&self) -> bool {
        !matches!(
            self,
            ParamTransform::CalendarBound(CalendarBound { zoned: true, .. })
        )
    }
}

impl std::fmt::Display for ParamTransform {
    /// What EXPLAIN adds to the expression.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ParamTransform::Plain | ParamTransform::Nullable => Ok(()),
            ParamTransform::Pattern(_) => f.write_str(" (as pattern)"),
            ParamTransform::Prefix => f.write_str(" (as prefix)"),
            ParamTransform::Whole(_) => f.write_str(" (whole text)"),
            ParamTransform::Integer(Rounding::Floor) => f.write_str(" (rounded down)"),
            ParamTransform::Integer(Rounding::Ceiling) => f.write_str(" (rounded up)"),
            ParamTransform::Integer(Rounding::Exact) => f.write_str(" (if whole)"),
            ParamTransform::CalendarBound(moment) => {
                let target = match moment.target {
                    BoundTarget::Day => "date",
                    BoundTarget::Instant => "point in time",
                };
                match (moment.unit, moment.edge) {
                    (None, _) => write!(f, " (as {target})"),
                    (Some(unit), BoundEdge::Start) => write!(f, " (start of its {})", unit.name()),
                    (Some(unit), BoundEdge::Ceiling) => write!(f, " (rounded up to the {})", unit.name()),
                    (Some(unit), BoundEdge::Next) => write!(f, " (start of the next {})", unit.name()),
                }
            }
        }
    }
}

impl CalendarUnit {
    fn name(self) -> &'static str {
        match self {
            CalendarUnit::Second => "second",
            CalendarUnit::Minute => "minute",
            CalendarUnit::Hour => "hour",
            CalendarUnit::Day => "day",
            CalendarUnit::Week => "week",
            CalendarUnit::Month => "month",
            CalendarUnit::Quarter => "quarter",
            CalendarUnit::Year => "year",
        }
    }
}
