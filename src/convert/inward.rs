//! Cells of a page as PostgreSQL values.

use super::outward::EPOCH_MICROS;
use intacct::{CellError, CellReader};
use pgrx::pg_sys;
use std::ffi::{CString, c_char};

/// How the cells of one column become datums, chosen once per scan.
pub enum Converter {
    /// `text`
    Text,
    /// `bigint`
    Integer,
    /// `numeric`
    Numeric,
    /// `boolean`
    Boolean,
    /// `date`
    Date,
    /// `timestamptz`
    Timestamp,
    /// Anything else: the type's own input function, kept ready.
    Input {
        /// The function, in the scan's memory.
        function: *mut pg_sys::FmgrInfo,
        /// Its second argument.
        parameter: pg_sys::Oid,
        /// The column's type modifier.
        typmod: i32,
    },
}

impl Converter {
    /// The converter for a column type.
    ///
    /// # Safety
    /// Main thread; the current memory context must outlive the scan.
    pub unsafe fn new(type_oid: pg_sys::Oid, typmod: i32) -> Converter {
        match type_oid {
            pg_sys::TEXTOID => Converter::Text,
            pg_sys::VARCHAROID if typmod == -1 => Converter::Text,
            pg_sys::INT8OID => Converter::Integer,
            pg_sys::NUMERICOID if typmod == -1 => Converter::Numeric,
            pg_sys::BOOLOID => Converter::Boolean,
            pg_sys::DATEOID => Converter::Date,
            pg_sys::TIMESTAMPTZOID if typmod == -1 => Converter::Timestamp,
            // SAFETY: catalog look-ups; memory comes from the caller's context.
            _ => unsafe {
                let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(type_oid, &mut input, &mut parameter);
                let function = pg_sys::palloc0(size_of::<pg_sys::FmgrInfo>()).cast::<pg_sys::FmgrInfo>();
                pg_sys::fmgr_info(input, function);
                Converter::Input {
                    function,
                    parameter,
                    typmod,
                }
            },
        }
    }

    /// Whether reading the column depends on the user's formatting preferences.
    pub fn needs_formatting(type_oid: pg_sys::Oid) -> bool {
        !matches!(
            type_oid,
            pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::INT8OID | pg_sys::BOOLOID
        )
    }

    /// One cell as a datum in the current memory context.
    ///
    /// # Errors
    /// The cell is not of the column's type. Input functions of other types raise on their own.
    ///
    /// # Safety
    /// Main thread, `cell` is valid UTF-8.
    pub unsafe fn datum(&self, cell: &[u8], reader: &CellReader) -> Result<pg_sys::Datum, CellError> {
        // SAFETY: the calls below copy what they are given.
        unsafe {
            Ok(match self {
                Converter::Text => text(cell),
                Converter::Integer => pg_sys::Datum::from(reader.integer(cell)?),
                Converter::Boolean => pg_sys::Datum::from(reader.boolean(cell)?),
                Converter::Date => pg_sys::Datum::from(days(reader.date(cell)?)),
                Converter::Timestamp => pg_sys::Datum::from(reader.timestamp(cell)? - EPOCH_MICROS),
                Converter::Numeric => numeric(cell)?,
                Converter::Input {
                    function,
                    parameter,
                    typmod,
                } => {
                    let cell = c_string(cell)?;
                    pg_sys::InputFunctionCall(*function, cell.as_ptr().cast_mut(), *parameter, *typmod)
                }
            })
        }
    }
}

/// The datum of a constant column.
///
/// # Safety
/// Main thread; the current memory context must outlive the datum.
pub unsafe fn constant(text: &str, type_oid: pg_sys::Oid, typmod: i32) -> pg_sys::Datum {
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: as `Converter::Input`; the input function copies.
    unsafe {
        let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        pg_sys::getTypeInputInfo(type_oid, &mut input, &mut parameter);
        pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), parameter, typmod)
    }
}

unsafe fn text(cell: &[u8]) -> pg_sys::Datum {
    // SAFETY: the length bounds the read; conversion allocates in the current context when the database is not UTF-8.
    unsafe {
        if pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32 {
            return pg_sys::cstring_to_text_with_len(cell.as_ptr().cast::<c_char>(), cell.len() as i32)
                .into();
        }
        let terminated = CString::new(cell).unwrap_or_default();
        let converted = pg_sys::pg_any_to_server(
            terminated.as_ptr().cast_mut(),
            cell.len() as i32,
            pg_sys::pg_enc::PG_UTF8 as i32,
        );
        pg_sys::cstring_to_text(converted).into()
    }
}

/// A plain decimal number; the words that `numeric` also reads (NaN, Infinity) are none.
unsafe fn numeric(cell: &[u8]) -> Result<pg_sys::Datum, CellError> {
    let plain = cell
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
        && cell.iter().any(u8::is_ascii_digit);
    if !plain || cell.len() > 1100 || !is_decimal(cell) {
        return Err(CellError {
            expected: "a decimal number",
            found: String::from_utf8_lossy(cell).chars().take(80).collect(),
        });
    }
    let cell = c_string(cell)?;
    // SAFETY: numeric_in copies its argument.
    unsafe {
        Ok(pg_sys::OidInputFunctionCall(
            pg_sys::Oid::from(pg_sys::F_NUMERIC_IN),
            cell.as_ptr().cast_mut(),
            pg_sys::InvalidOid,
            -1,
        ))
    }
}

/// Sign, digits with at most one point, optional exponent of at most three digits.
fn is_decimal(cell: &[u8]) -> bool {
    let unsigned = cell
        .strip_prefix(b"-")
        .or_else(|| cell.strip_prefix(b"+"))
        .unwrap_or(cell);
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let mut halves = mantissa.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (halves.next().unwrap_or(b""), halves.next().unwrap_or(b""));
    let exponent_ok = exponent.is_none_or(|exponent| {
        let plain = exponent
            .strip_prefix(b"-")
            .or_else(|| exponent.strip_prefix(b"+"))
            .unwrap_or(exponent);
        !plain.is_empty() && plain.len() <= 3 && digits(plain)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_ok
}

fn days(date: jiff::civil::Date) -> i32 {
    let epoch = jiff::civil::date(2000, 1, 1);
    // Whole days between two calendar days fit; the unit of `since` is days.
    (date - epoch).get_days()
}

fn c_string(cell: &[u8]) -> Result<CString, CellError> {
    CString::new(cell).map_err(|_| CellError {
        expected: "text without NUL",
        found: String::new(),
    })
}
