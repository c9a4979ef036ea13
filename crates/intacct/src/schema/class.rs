//! What values of a type are compared as.

use super::DataType;

/// What values are compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Text,
    Number,
    Boolean,
    Date,
    Moment,
}

impl Class {
    pub(crate) fn of(data_type: &DataType) -> Class {
        match data_type {
            DataType::Integer | DataType::Decimal | DataType::Currency | DataType::Percent => Class::Number,
            DataType::Boolean => Class::Boolean,
            DataType::Date => Class::Date,
            DataType::Timestamp => Class::Moment,
            other if other.is_integer() => Class::Number,
            _ => Class::Text,
        }
    }
}

impl DataType {
    /// Whether values are text to the gateway.
    pub fn is_text(&self) -> bool {
        match self {
            DataType::Text | DataType::Enum | DataType::Sequence => true,
            DataType::Other(_) => !self.is_record_number(),
            _ => false,
        }
    }

    /// Whether values are whole numbers.
    pub fn is_integer(&self) -> bool {
        matches!(self, DataType::Integer) || self.is_record_number()
    }

    fn is_record_number(&self) -> bool {
        matches!(self, DataType::Other(name) if name.eq_ignore_ascii_case("RECORDNO"))
    }
}
