//! Cells of a page as PostgreSQL values.

use super::datetime;
use super::memory::{Context, Memory};
use super::numeric::Decimal;
use super::outward::{EPOCH_DAYS, EPOCH_MICROS};
use intacct::{CellError, CellReader};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::CString;

/// How the cells of one column become datums, chosen once per scan.
pub enum Converter {
    /// `text` in a database of the gateway's encoding.
    Text,
    /// `text` in another database.
    ForeignText,
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
    /// `timestamp`: a reading of the gateway's clock.
    WallClock,
    /// `time`
    TimeOfDay,
    /// A date or time with a precision, or under a domain.
    Narrowed(Box<Narrowed>),
    /// A type whose input function would read dates or times by the session's settings.
    Refused,
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
            // SAFETY: reads a variable.
            pg_sys::TEXTOID | pg_sys::VARCHAROID if type_oid == pg_sys::TEXTOID || typmod == -1 => unsafe {
                match pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32 {
                    true => Converter::Text,
                    false => Converter::ForeignText,
                }
            },
            pg_sys::INT8OID => Converter::Integer,
            pg_sys::NUMERICOID if typmod == -1 => Converter::Numeric,
            pg_sys::BOOLOID => Converter::Boolean,
            pg_sys::DATEOID => Converter::Date,
            pg_sys::TIMESTAMPTZOID if typmod == -1 => Converter::Timestamp,
            // SAFETY: catalog look-ups; memory comes from the caller's context.
            _ if unsafe { datetime::is_inside(type_oid) } => unsafe {
                Narrowed::new(type_oid, typmod).map_or(Converter::Refused, |how| match how.is_plain() {
                    true => how.base,
                    false => Converter::Narrowed(Box::new(how)),
                })
            },
            // SAFETY: as above.
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

    /// Whether the conversion calls a function of the type, which raises its own errors.
    pub fn calls_type(&self) -> bool {
        matches!(self, Converter::Input { .. } | Converter::ForeignText)
    }

    /// One cell as a datum in the current memory context.
    ///
    /// # Errors
    /// The cell is not of the column's type. Input functions of other types raise on their own.
    ///
    /// # Safety
    /// Main thread, `cell` is valid UTF-8.
    pub unsafe fn datum(&self, cell: &[u8], reader: &CellReader) -> Result<pg_sys::Datum, CellError> {
        // SAFETY: same contract as this function.
        unsafe { self.datum_in(&mut Context, cell, reader) }
    }

    /// One cell as a datum in `memory`, or in the current memory context.
    ///
    /// # Errors
    /// As [`datum`](Self::datum).
    ///
    /// # Safety
    /// As [`datum`](Self::datum), and the datum is used no longer than `memory` promises.
    #[inline]
    pub unsafe fn datum_in(
        &self,
        memory: &mut impl Memory,
        cell: &[u8],
        reader: &CellReader,
    ) -> Result<pg_sys::Datum, CellError> {
        // SAFETY: the calls below copy what they are given.
        unsafe {
            Ok(match self {
                Converter::Text => text(memory, cell),
                Converter::ForeignText => converted_text(cell),
                Converter::Integer => pg_sys::Datum::from(reader.integer(cell)?),
                Converter::Boolean => pg_sys::Datum::from(reader.boolean(cell)?),
                Converter::Date => pg_sys::Datum::from((reader.days(cell)? - EPOCH_DAYS) as i32),
                Converter::Timestamp => pg_sys::Datum::from(reader.timestamp(cell)? - EPOCH_MICROS),
                Converter::WallClock => pg_sys::Datum::from(reader.reading(cell)? - EPOCH_MICROS),
                Converter::TimeOfDay => pg_sys::Datum::from(reader.time_of_day(cell)?),
                Converter::Narrowed(how) => how.narrow(how.base.datum_in(memory, cell, reader)?),
                Converter::Refused => {
                    return Err(CellError {
                        expected: "a supported type of column (times with a zone, and dates and times within arrays, ranges and \
                                   composite types, are not)",
                        found: String::from_utf8_lossy(cell).chars().take(80).collect(),
                    });
                }
                Converter::Numeric => match Decimal::read(cell) {
                    Some(decimal) => stored(memory, &decimal),
                    None => numeric(cell)?,
                },
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

/// Whether the input function of a type takes a text; raises what it raises.
///
/// # Safety
/// Main thread, inside a transaction.
pub unsafe fn try_input(text: &str, type_oid: pg_sys::Oid, typmod: i32) {
    // SAFETY: same contract as this function; what was made is dropped with a memory context of its own.
    unsafe {
        let mut scratch = pgrx::PgMemoryContexts::new("sage_intacct_fdw input");
        scratch.switch_to(|_| constant(text, type_oid, typmod));
    }
}

impl Converter {
    /// A cell without a value: raises where a domain wants one.
    ///
    /// # Safety
    /// Main thread.
    pub unsafe fn null(&self) {
        match self {
            Converter::Narrowed(how) => {
                if let Some(domain) = &how.domain {
                    // SAFETY: a null has no value that could be of the wrong type.
                    unsafe { domain.check(pg_sys::Datum::from(0), true) };
                }
            }
            Converter::Input {
                function,
                parameter,
                typmod,
            } => {
                // SAFETY: input functions that take no null are not called.
                unsafe { pg_sys::InputFunctionCall(*function, std::ptr::null_mut(), *parameter, *typmod) };
            }
            _ => {}
        }
    }
}

/// How a date or time becomes one of a type that holds less.
pub struct Narrowed {
    base: Converter,
    /// The function that rounds to the precision of a type modifier, and the modifier.
    precision: Option<(pg_sys::Oid, i32)>,
    domain: Option<Domain>,
}

/// A domain whose constraints values are checked against.
struct Domain {
    type_oid: pg_sys::Oid,
    /// What `domain_check` keeps between calls, and the memory that it lives in.
    kept: Cell<*mut std::ffi::c_void>,
    memory: pg_sys::MemoryContext,
}

impl Narrowed {
    /// `None`: the type cannot be read without the session's settings.
    ///
    /// # Safety
    /// As [`Converter::new`].
    unsafe fn new(type_oid: pg_sys::Oid, typmod: i32) -> Option<Narrowed> {
        // SAFETY: catalog look-ups by OID; the memory context is the caller's.
        unsafe {
            let mut typmod = typmod;
            let base_oid = pg_sys::getBaseTypeAndTypmod(type_oid, &mut typmod);
            let (base, rounding) = match base_oid {
                pg_sys::DATEOID => (Converter::Date, None),
                pg_sys::TIMESTAMPTZOID => {
                    (Converter::Timestamp, Some(pg_sys::F_TIMESTAMPTZ_TIMESTAMPTZ_INT4))
                }
                pg_sys::TIMESTAMPOID => (Converter::WallClock, Some(pg_sys::F_TIMESTAMP_TIMESTAMP_INT4)),
                pg_sys::TIMEOID => (Converter::TimeOfDay, Some(pg_sys::F_TIME_TIME_INT4)),
                _ => return None,
            };
            let precision = rounding
                .filter(|_| typmod != -1)
                .map(|function| (pg_sys::Oid::from(function), typmod));
            let domain = (base_oid != type_oid).then(|| Domain {
                type_oid,
                kept: Cell::new(std::ptr::null_mut()),
                memory: pg_sys::CurrentMemoryContext,
            });
            Some(Narrowed {
                base,
                precision,
                domain,
            })
        }
    }

    fn is_plain(&self) -> bool {
        self.precision.is_none() && self.domain.is_none()
    }

    /// Raises what the domain's constraints raise.
    ///
    /// # Safety
    /// `datum` must be of the base type.
    unsafe fn narrow(&self, datum: pg_sys::Datum) -> pg_sys::Datum {
        let datum = match self.precision {
            Some((function, typmod)) => {
                let typmod = pg_sys::Datum::from(typmod);
                // SAFETY: the function takes a value of the base type and a modifier of it.
                unsafe { pg_sys::OidFunctionCall2Coll(function, pg_sys::InvalidOid, datum, typmod) }
            }
            None => datum,
        };
        if let Some(domain) = &self.domain {
            // SAFETY: a value of the domain's base type, by value; what is kept lives as long as the scan.
            unsafe { domain.check(datum, false) };
        }
        datum
    }
}

impl Domain {
    unsafe fn check(&self, datum: pg_sys::Datum, null: bool) {
        let mut kept = self.kept.get();
        // SAFETY: the caller guarantees a valid datum; `kept` is null or what the function has put there.
        unsafe { pg_sys::domain_check(datum, null, self.type_oid, &mut kept, self.memory) };
        self.kept.set(kept);
    }
}

/// The datum of a constant column. Dates and times are read as the gateway's are, those without an offset at Greenwich;
/// only other spellings are left to the type's input function.
///
/// # Safety
/// Main thread; the current memory context must outlive the datum.
pub unsafe fn constant(text: &str, type_oid: pg_sys::Oid, typmod: i32) -> pg_sys::Datum {
    // SAFETY: catalog look-ups; the text is valid UTF-8.
    unsafe {
        if datetime::is_inside(type_oid) {
            let reader = CellReader::at_greenwich();
            if let Ok(datum) = Converter::new(type_oid, typmod).datum(text.as_bytes(), &reader) {
                return datum;
            }
        }
    }
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: as `Converter::Input`; the input function copies.
    unsafe {
        let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        pg_sys::getTypeInputInfo(type_oid, &mut input, &mut parameter);
        pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), parameter, typmod)
    }
}

/// Bytes of the length word before a value.
const LENGTH_WORD: usize = size_of::<u32>();

/// Room for a value of this many bytes behind its length word, which is written.
unsafe fn varlena(memory: &mut impl Memory, bytes: usize) -> (*mut pg_sys::varlena, *mut u8) {
    // SAFETY: the room is as long as is written to.
    unsafe {
        let room = memory.take(LENGTH_WORD + bytes);
        let value = room.cast::<pg_sys::varlena>();
        pgrx::set_varsize_4b(value, (LENGTH_WORD + bytes) as i32);
        (value, room.add(LENGTH_WORD))
    }
}

#[inline]
unsafe fn text(memory: &mut impl Memory, cell: &[u8]) -> pg_sys::Datum {
    // SAFETY: the room is as long as the cell.
    unsafe {
        let (value, room) = varlena(memory, cell.len());
        std::ptr::copy_nonoverlapping(cell.as_ptr(), room, cell.len());
        pg_sys::Datum::from(value)
    }
}

/// Text for a database that is not UTF-8.
unsafe fn converted_text(cell: &[u8]) -> pg_sys::Datum {
    let terminated = CString::new(cell).unwrap_or_default();
    // SAFETY: the length bounds the read; the conversion allocates in the current context.
    unsafe {
        let converted = pg_sys::pg_any_to_server(
            terminated.as_ptr().cast_mut(),
            cell.len() as i32,
            pg_sys::pg_enc::PG_UTF8 as i32,
        );
        pg_sys::cstring_to_text(converted).into()
    }
}

#[inline]
unsafe fn stored(memory: &mut impl Memory, decimal: &Decimal) -> pg_sys::Datum {
    let words = decimal.words();
    // SAFETY: the room holds the words; it is aligned by four bytes.
    unsafe {
        let (value, room) = varlena(memory, words.len() * size_of::<u16>());
        let mut room = room.cast::<u16>();
        for word in words {
            room.write(word);
            room = room.add(1);
        }
        pg_sys::Datum::from(value)
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

fn c_string(cell: &[u8]) -> Result<CString, CellError> {
    CString::new(cell).map_err(|_| CellError {
        expected: "text without NUL",
        found: String::new(),
    })
}
