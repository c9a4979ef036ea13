//! Values of cells and of conditions in a form that is equal where SQL takes them for equal.

use crate::catalog::ValueClass;
use intacct::{CellError, CellReader, Value};

/// A part of a key: equal, and of one hash, where SQL takes the values for equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// No value. Groups take it for equal to itself, comparisons do not.
    Null,
    /// Text, under a deterministic collation.
    Text(Box<[u8]>),
    /// A whole number, a truth value, or a point in time.
    Number(i64),
    /// A decimal number in canonical spelling.
    Decimal(Value),
    /// A calendar day.
    Day(jiff::civil::Date),
}

impl KeyPart {
    /// What a cell holds, for a column of this class.
    ///
    /// # Errors
    /// A cell that does not parse.
    pub fn of_cell(class: ValueClass, cell: &[u8], reader: &CellReader) -> Result<KeyPart, CellError> {
        Ok(match class {
            ValueClass::Text => KeyPart::Text(cell.into()),
            ValueClass::Integer => KeyPart::Number(reader.integer(cell)?),
            ValueClass::Boolean => KeyPart::Number(reader.boolean(cell)?.into()),
            ValueClass::Timestamp => KeyPart::Number(reader.timestamp(cell)?),
            ValueClass::Date => KeyPart::Day(reader.date(cell)?),
            ValueClass::Decimal => {
                let number = std::str::from_utf8(cell).ok().and_then(Value::number);
                KeyPart::Decimal(number.ok_or_else(|| CellError {
                    expected: "a decimal number",
                    found: String::from_utf8_lossy(cell).chars().take(80).collect(),
                })?)
            }
        })
    }

    /// What a condition compares a column of this class with; `None` where that is not known to be equal just where the cells
    /// are.
    pub fn of_value(class: ValueClass, value: &Value) -> Option<KeyPart> {
        Some(match (class, value) {
            (ValueClass::Text, Value::Text(text)) => KeyPart::Text(text.as_bytes().into()),
            (ValueClass::Integer, Value::Number(digits)) => KeyPart::Number(digits.parse().ok()?),
            (ValueClass::Decimal, Value::Number(digits)) => KeyPart::Decimal(Value::number(digits)?),
            (ValueClass::Date, Value::Date(day)) => KeyPart::Day(*day),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cell_reader;

    #[test]
    fn cells_equal_the_values_that_sql_takes_for_equal() {
        let reader = cell_reader(None);
        let equal = |class, cell: &str, value: Value| {
            let cell = KeyPart::of_cell(class, cell.as_bytes(), &reader).expect("a value");
            KeyPart::of_value(class, &value) == Some(cell)
        };
        let number = |text| Value::number(text).expect("a number");
        assert!(equal(ValueClass::Text, "a ", Value::Text("a ".into())));
        assert!(!equal(ValueClass::Text, "a", Value::Text("A".into())));
        assert!(equal(ValueClass::Integer, "007", number("7")));
        assert!(equal(ValueClass::Decimal, "1.50", number("1.5")));
        assert!(equal(ValueClass::Decimal, "0.00", number("0")));
        assert!(!equal(ValueClass::Decimal, "1.51", number("1.5")));
        let day = Value::Date(jiff::civil::date(2024, 2, 29));
        assert!(equal(ValueClass::Date, "02/29/2024", day.clone()));
        assert_eq!(KeyPart::of_value(ValueClass::Timestamp, &day), None);
        assert_eq!(KeyPart::of_value(ValueClass::Integer, &number("1.5")), None);
    }
}
