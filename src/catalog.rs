//! Foreign tables as the catalogs describe them: object, columns, and what of them may be pushed down.

use crate::options::{self, Entities, OptionError, Reference, ServerOptions, TableOptions};
use intacct::query::MOST_LISTED;
use intacct::{Binding, Condition, DataType, DialectKind, GatewayZone, Query, SelectItem, Value};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::CStr;
use std::rc::Rc;

/// The kinds of value that the planner can compare remotely, one for each canonical type mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ValueClass {
    /// `TEXT`, `ENUM`, `SEQUENCE` as text or varchar.
    Text,
    /// `INTEGER` as bigint.
    Integer,
    /// `DECIMAL`, `CURRENCY`, `PERCENT` as numeric.
    Decimal,
    /// `BOOLEAN` as boolean.
    Boolean,
    /// `DATE` as date.
    Date,
    /// `TIMESTAMP` as timestamptz.
    Timestamp,
}

impl ValueClass {
    /// Whether a condition's value shows in itself which cells equal it: truth values and points in time are rendered as the
    /// gateway needs them.
    pub fn equals_as_rendered(self) -> bool {
        matches!(
            self,
            ValueClass::Text | ValueClass::Integer | ValueClass::Decimal | ValueClass::Date
        )
    }

    /// The class of a column, if its PostgreSQL type is the canonical mapping of Intacct's type; anything else could
    /// compare differently here and there, and stays local.
    fn canonical(data_type: &DataType, type_oid: pg_sys::Oid, typmod: i32) -> Option<ValueClass> {
        if typmod != -1 {
            return None;
        }
        match (data_type, type_oid) {
            (DataType::Text | DataType::Enum | DataType::Sequence, pg_sys::TEXTOID | pg_sys::VARCHAROID) => {
                Some(ValueClass::Text)
            }
            (DataType::Integer, pg_sys::INT8OID) => Some(ValueClass::Integer),
            (DataType::Decimal | DataType::Currency | DataType::Percent, pg_sys::NUMERICOID) => {
                Some(ValueClass::Decimal)
            }
            (DataType::Boolean, pg_sys::BOOLOID) => Some(ValueClass::Boolean),
            (DataType::Date, pg_sys::DATEOID) => Some(ValueClass::Date),
            (DataType::Timestamp, pg_sys::TIMESTAMPTZOID) => Some(ValueClass::Timestamp),
            _ => None,
        }
    }
}

/// One column of a foreign table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its number in the table, from 1.
    pub attnum: i16,
    /// Its name.
    pub name: String,
    /// Its path in Intacct.
    pub field: String,
    /// PostgreSQL type.
    pub type_oid: pg_sys::Oid,
    /// Its modifier.
    pub typmod: i32,
    /// Collation.
    pub collation: pg_sys::Oid,
    /// Declared NOT NULL.
    pub not_null: bool,
    /// Intacct's type; none when the column was not imported.
    pub data_type: Option<DataType>,
    /// How it may be compared remotely; none: only locally.
    pub class: Option<ValueClass>,
    /// The same value in every row, not in Intacct.
    pub constant: Option<String>,
    /// Many-to-one relation that it is the key of.
    pub references: Option<Reference>,
    /// It identifies the row for writes.
    pub key: bool,
    /// It is never written.
    pub read_only: bool,
    /// It is computed in PostgreSQL, by GENERATED ALWAYS AS.
    pub generated: Option<Generated>,
}

/// When a generated column is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generated {
    /// STORED: the scan computes it, for nothing is stored.
    Stored,
    /// VIRTUAL: the planner puts the expression in the column's place, so the column itself is not read.
    Virtual,
}

impl Column {
    /// Whether its values come from Intacct: neither constant nor generated.
    pub fn is_remote(&self) -> bool {
        self.constant.is_none() && self.generated.is_none()
    }

    /// Whether a query can ask for it: neither constant nor generated nor lines.
    pub fn is_field(&self) -> bool {
        self.is_remote() && !self.is_lines()
    }

    /// Whether the scan computes its values from those of other columns.
    pub fn is_stored(&self) -> bool {
        self.constant.is_none() && self.generated == Some(Generated::Stored)
    }

    /// Whether its values are the labels of an enumeration.
    pub fn is_enum(&self) -> bool {
        self.data_type == Some(DataType::Enum)
    }

    /// Whether it holds the lines that a record owns: their path as JSON.
    pub fn is_lines(&self) -> bool {
        self.is_remote()
            && self.field.contains('.')
            && matches!(self.type_oid, pg_sys::JSONBOID | pg_sys::JSONOID)
    }
}

/// A foreign table with everything that its options define.
#[derive(Debug, Clone)]
pub struct ForeignTable {
    /// Itself.
    pub oid: pg_sys::Oid,
    /// Its server.
    pub server_oid: pg_sys::Oid,
    /// The server's options.
    pub server: ServerOptions,
    /// The table's own options.
    pub options: TableOptions,
    /// Live columns, in order.
    pub columns: Vec<Column>,
    /// The clock that timestamps are readings of. Every rule that depends on it asks it: bounds and their exactness,
    /// order, extremes, groups, joins, pages. Its offset is known at execution, [`intacct::Client::zone`].
    pub clock: GatewayZone,
    /// How many rows there were when this backend last read it without a condition; none before.
    pub seen_rows: Cell<Option<u64>>,
}

impl ForeignTable {
    /// Notes how many rows the gateway has counted, if `filter` is no condition but the table's own.
    pub fn note_rows(&self, filter: Option<&Condition>, rows: Option<u64>) {
        if rows.is_some() && filter == self.options.filter.as_ref() {
            self.seen_rows.set(rows);
        }
    }

    /// Reads a foreign table that is not locked yet: for functions that are given one by its OID. The lock is kept
    /// until the transaction ends. Raises when the table is gone by then.
    ///
    /// # Errors
    /// As [`ForeignTable::load`].
    pub fn lock_and_load(relid: pg_sys::Oid) -> Result<Rc<ForeignTable>, OptionError> {
        // SAFETY: main thread inside a transaction.
        unsafe { pg_sys::LockRelationOid(relid, pg_sys::AccessShareLock as i32) };
        ForeignTable::load(relid)
    }

    /// The query for all rows of the table, with the field that is cheapest to show; none for a table whose columns
    /// are all constants.
    pub fn counting_query(&self) -> Option<Query> {
        let field = match &self.options.row_key {
            Some(key) => key.clone(),
            None => {
                let column = self.columns.iter().find(|column| column.is_field())?;
                column.field.clone()
            }
        };
        let mut query = Query::new(self.options.object.clone());
        query.docparid = self.options.docparid.clone();
        query.select = vec![SelectItem::Field(field)];
        query.filter = self.options.filter.clone();
        query.show_private = self.asks_private();
        query.missing_as_null = self.options.missing_as_null;
        Some(query)
    }

    /// Reads a table from the catalogs; [`load`](Self::load) keeps what was read.
    ///
    /// # Errors
    /// An option that cannot be understood; the validator refuses those, so only a hand-edited catalog has them.
    pub fn read(relid: pg_sys::Oid) -> Result<ForeignTable, OptionError> {
        // SAFETY: main thread inside a transaction; GetForeignTable raises when the table does not exist.
        let server_oid = unsafe { (*pg_sys::GetForeignTable(relid)).serverid };
        let options = options::table(relid)?;
        let columns = load_columns(relid)?;
        let server = options::server(server_oid)?;
        let mut table = ForeignTable {
            oid: relid,
            server_oid,
            clock: clock(&server),
            server,
            options,
            columns,
            seen_rows: Cell::default(),
        };
        table.settle()?;
        Ok(table)
    }

    /// What the gateway's function makes of the options.
    fn settle(&mut self) -> Result<(), OptionError> {
        let dialect = self.dialect();
        if self.server.hides_private && self.options.show_private == Some(true) {
            return Err(OptionError::private_rows_denied());
        }
        // A table without that column asks when it is read: only objects with the field have private rows.
        if self.asks_private()
            && !dialect.capabilities().show_private
            && self.column_of_field("MEGAENTITYID").is_some()
        {
            return Err(OptionError::shows_no_private_rows(dialect.function()));
        }
        if let Some(key) = dialect.settled_key(&self.options.object) {
            self.options.row_key = Some(key.to_owned());
        }
        for column in &mut self.columns {
            let compared = column
                .data_type
                .as_ref()
                .is_some_and(|data_type| dialect.compares(&self.options.object, &column.field, data_type));
            if !compared {
                column.class = None;
            }
        }
        Ok(())
    }

    /// Whether values of this class are equal and ordered at the gateway as they are when they have been read: only
    /// then may an order, an extremum, a group, a join or the start of a page be left to it. Text has its own rules.
    pub fn compares_as_read(&self, class: ValueClass) -> bool {
        class != ValueClass::Timestamp || self.clock.is_steady()
    }

    /// Whether the gateway orders the text of a column by its bytes, as this collation does: the user assumes it by
    /// `ordering 'binary'`, and pages in such an order are checked. Enumerations may be sorted by a code that rows do
    /// not show; and only in UTF-8 are the bytes here those that the gateway sends.
    pub fn orders_text(&self, column: &Column, collation: pg_sys::Oid) -> bool {
        // SAFETY: reads a variable.
        let utf8 = || unsafe { pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32 };
        self.server.ordering == options::Ordering::Binary
            && collation == pg_sys::C_COLLATION_OID
            && !column.is_enum()
            && utf8()
    }

    /// The column of this number; none for system columns and whole rows.
    pub fn column(&self, attnum: i16) -> Option<&Column> {
        self.columns.iter().find(|column| column.attnum == attnum)
    }

    /// The column that shows this field.
    pub fn column_of_field(&self, field: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.is_remote() && column.field.eq_ignore_ascii_case(field))
    }

    /// Whether a field is a column of text whose values the company does not list: two of them may differ by a blank.
    pub fn is_free_text(&self, field: &str) -> bool {
        self.column_of_field(field)
            .is_some_and(|column| column.class == Some(ValueClass::Text) && !column.is_enum())
    }

    /// How the object is read.
    pub fn dialect(&self) -> DialectKind {
        self.options
            .function
            .unwrap_or(DialectKind::for_version(self.server.dtd_version))
    }

    /// Rows of a page, clamped to what the dialect allows.
    pub fn page_size(&self) -> u32 {
        self.options
            .page_size
            .unwrap_or(self.server.page_size)
            .min(self.dialect().capabilities().max_page)
    }

    /// Whether rows private to an entity are asked for.
    pub fn show_private(&self) -> bool {
        self.options.show_private.unwrap_or(self.server.show_private)
    }

    /// Whether a request for the table's rows requests private ones. Where the gateway's function has no way
    /// to request them, they are only read if there can be none.
    pub fn asks_private(&self) -> bool {
        self.show_private()
            && (self.options.entities != Some(Entities::Off) || self.dialect().capabilities().show_private)
    }

    /// Whether it may be read at the same time as its siblings.
    pub fn async_capable(&self) -> bool {
        self.options.async_capable.unwrap_or(self.server.async_capable)
    }

    /// Whether `field` is the row key.
    pub fn is_row_key(&self, field: &str) -> bool {
        self.options
            .row_key
            .as_deref()
            .is_some_and(|key| key.eq_ignore_ascii_case(field))
    }

    /// Whether the row key orders as a number, so that pages can follow each other by it. RECORDNO always does.
    pub fn row_key_is_number(&self) -> bool {
        let Some(key) = self.options.row_key.as_deref() else {
            return false;
        };
        key.eq_ignore_ascii_case("RECORDNO")
            || self
                .column_of_field(key)
                .is_some_and(|column| column.class == Some(ValueClass::Integer))
    }

    /// Whether the gateway can express exactly what all parameters are bound to, and the constants of a condition as they stand.
    pub fn expresses_exactly_at_execution(&self, bindings: &[Binding], filter: Option<&Condition>) -> bool {
        self.expresses_all_exactly(bindings)
            && (self.clock.is_steady()
                || filter.is_none_or(|filter| {
                    filter
                        .values()
                        .into_iter()
                        .all(|value| self.expresses_exactly(value))
                }))
    }

    /// Whether the gateway can express exactly this value, unless its clock is changed near it: which it is, execution finds out
    /// ([`expresses_exactly_at_execution`](Self::expresses_exactly_at_execution)), since it depends on the changes of every clock.
    pub fn may_express_exactly(&self, value: &Value) -> bool {
        match value {
            Value::Instant(instant) => instant.subsec_nanosecond() == 0,
            _ => true,
        }
    }

    /// Whether the gateway can express exactly what all parameters are bound to.
    fn expresses_all_exactly(&self, bindings: &[Binding]) -> bool {
        bindings.iter().all(|binding| match binding {
            Binding::Null => true,
            Binding::NotRepresentable => false,
            Binding::Value(value) => self.expresses_exactly(value),
            Binding::List(values) => {
                values.len() <= MOST_LISTED
                    && values.iter().flatten().all(|value| self.expresses_exactly(value))
            }
        })
    }

    /// Whether the gateway can express exactly this value: a point in time depends on its clock.
    fn expresses_exactly(&self, value: &Value) -> bool {
        match value {
            Value::Instant(instant) => self.clock.represents_exactly(*instant),
            _ => true,
        }
    }
}

/// The clock that timestamps are readings of, as far as the options define it: a server that declares no zone shows a clock
/// that only has an offset.
fn clock(server: &ServerOptions) -> GatewayZone {
    let declared = server.time_zone.as_deref().and_then(options::kind::time_zone);
    GatewayZone::new(declared.as_ref(), None)
}

fn load_columns(relid: pg_sys::Oid) -> Result<Vec<Column>, OptionError> {
    let mut columns = Vec::new();
    // SAFETY: the caller holds a lock on the relation (planner and executor do); the tuple descriptor is read before
    // the relation is closed, and everything kept is copied out of it.
    unsafe {
        let relation = pg_sys::relation_open(relid, pg_sys::NoLock as i32);
        let descriptor = (*relation).rd_att;
        for index in 0..(*descriptor).natts as usize {
            pgrx::check_for_interrupts!();
            let attribute = crate::compat::attribute(descriptor, index);
            if attribute.attisdropped {
                continue;
            }
            let options = match options::column(relid, attribute.attnum) {
                Ok(options) => options,
                Err(error) => {
                    pg_sys::relation_close(relation, pg_sys::NoLock as i32);
                    return Err(error);
                }
            };
            let generated = match attribute.attgenerated {
                0 => None,
                kind if kind as u8 == pg_sys::ATTRIBUTE_GENERATED_STORED => Some(Generated::Stored),
                _ => Some(Generated::Virtual),
            };
            let class = options
                .data_type
                .as_ref()
                .filter(|_| options.constant.is_none() && generated.is_none())
                .and_then(|data_type| {
                    ValueClass::canonical(data_type, attribute.atttypid, attribute.atttypmod)
                });
            columns.push(Column {
                attnum: attribute.attnum,
                name: CStr::from_ptr(attribute.attname.data.as_ptr())
                    .to_string_lossy()
                    .into_owned(),
                field: options.field,
                data_type: options.data_type,
                type_oid: attribute.atttypid,
                typmod: attribute.atttypmod,
                collation: attribute.attcollation,
                not_null: attribute.attnotnull,
                class,
                constant: options.constant,
                references: options.references,
                key: options.key,
                read_only: options.read_only,
                generated,
            });
        }
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
    }
    Ok(columns)
}
