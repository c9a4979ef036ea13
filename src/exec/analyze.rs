//! ANALYZE: the number of rows, and a sample of them.
//!
//! Small tables are read whole. Of a large one the range of the row key is divided into slices, and of each slice the
//! rows behind a random key are read, one page each: a bounded number of requests, whatever the table's size.

use super::cell_location::{CellLocation, naming};
use super::cells::cell_reader;
use super::generated::StoredColumns;
use crate::catalog::ForeignTable;
use crate::connection::count_rows;
use crate::convert::inward::{self, Converter};
use crate::error::{Report, raise};
use crate::io::{self, Emitter, Stream};
use intacct::{
    Client, CompareOp, Condition, Error, OrderKey, Page, PageRequest, Paging, Query, ReadPlan, SelectItem,
    Value,
};
use pgrx::{PgMemoryContexts, PgSqlErrorCode, pg_guard, pg_sys};
use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};

/// Pages of a sample.
const PAGES: u32 = 20;
/// What a row is thought to weigh here, for the number of pages that the catalogs show: its head, and each column.
const ROW_BYTES: u64 = 28;
const COLUMN_BYTES: u64 = 12;

thread_local! {
    /// How many rows a table has, from the question how large it is to its sample, which comes next.
    static COUNTED: Cell<Option<(pg_sys::Oid, u64)>> = const { Cell::new(None) };
}

/// Says that the table can be sampled, and how large it is.
#[pg_guard]
pub unsafe extern "C-unwind" fn analyze_foreign_table(
    relation: pg_sys::Relation,
    sampler: *mut pg_sys::AcquireSampleRowsFunc,
    pages: *mut pg_sys::BlockNumber,
) -> bool {
    // SAFETY: called by ANALYZE with an open relation of ours and valid places for the answers.
    unsafe {
        let table = ForeignTable::load((*relation).rd_id).unwrap_or_else(|error| raise(error));
        let rows = total(&table, &client(&table, relation));
        COUNTED.set(Some((table.oid, rows)));
        let bytes = rows * (ROW_BYTES + COLUMN_BYTES * table.columns.len() as u64);
        *pages = (bytes / u64::from(pg_sys::BLCKSZ) + 1).min(u64::from(u32::MAX - 1)) as pg_sys::BlockNumber;
        *sampler = Some(acquire_sample);
    }
    true
}

/// The client of the table's owner, whichever role runs ANALYZE: the statistics are the owner's view of the company.
///
/// # Safety
/// `relation` must be open.
unsafe fn client(table: &ForeignTable, relation: pg_sys::Relation) -> Client {
    // SAFETY: the caller guarantees a valid relation.
    let owner = unsafe { (*(*relation).rd_rel).relowner };
    crate::connection::client(table.server_oid, owner).unwrap_or_else(|error| raise(error))
}

fn total(table: &ForeignTable, client: &Client) -> u64 {
    let counted = table
        .counting_query()
        .and_then(|query| count_rows(client.clone(), table.dialect(), query));
    counted.unwrap_or_else(|| {
        raise(Report::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!(
                "cannot estimate the size of {}: the gateway returned no total count",
                table.options.object
            ),
        ))
    })
}

/// Fills `rows` with a sample.
#[pg_guard]
unsafe extern "C-unwind" fn acquire_sample(
    relation: pg_sys::Relation,
    _level: i32,
    rows: *mut pg_sys::HeapTuple,
    wanted: i32,
    live: *mut f64,
    dead: *mut f64,
) -> i32 {
    // SAFETY: called by ANALYZE with an open relation of ours, room for `wanted` tuples, and a memory context that
    // lives until the sample has been evaluated.
    unsafe {
        let table = ForeignTable::load((*relation).rd_id).unwrap_or_else(|error| raise(error));
        let client = client(&table, relation);
        let total = match COUNTED.take() {
            Some((counted, rows)) if counted == table.oid => rows,
            _ => total(&table, &client),
        };
        *live = total as f64;
        *dead = 0.0;
        let wanted = wanted.max(0) as usize;
        let former = Former::new(&table, relation);
        let mut sample = Sample::new(&table, &former, total, wanted).start(client.clone());
        let mut taken = 0;
        let mut reader = None;
        loop {
            let page = match sample.next() {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) => raise(error),
            };
            let reader = reader.get_or_insert_with(|| cell_reader(Some(&client)));
            for row in 0..page.rows() {
                if taken == wanted {
                    break;
                }
                *rows.add(taken) = former.tuple(&table, &page, row, reader);
                taken += 1;
            }
            if taken == wanted {
                break;
            }
        }
        taken as i32
    }
}

/// Makes tuples of rows.
struct Former {
    descriptor: pg_sys::TupleDesc,
    /// For the columns that are computed from the others.
    estate: *mut pg_sys::EState,
    slot: *mut pg_sys::TupleTableSlot,
    stored: StoredColumns,
    /// Position in the tuple, index in the page, and how the cell is read.
    cells: Vec<(usize, usize, Converter)>,
    constants: Vec<(usize, pg_sys::Datum)>,
    fields: Vec<String>,
    need_formatting: bool,
}

impl Former {
    unsafe fn new(table: &ForeignTable, relation: pg_sys::Relation) -> Former {
        // SAFETY: an open relation; the executor's state and the slot are freed with the value, or after an error with
        // the memory of ANALYZE.
        let (descriptor, estate, slot, stored) = unsafe {
            let descriptor = (*relation).rd_att;
            let estate = pg_sys::CreateExecutorState();
            let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsVirtual);
            let stored = StoredColumns::prepare(relation, table, |_| true, estate);
            (descriptor, estate, slot, stored)
        };
        let mut former = Former {
            descriptor,
            estate,
            slot,
            stored,
            cells: Vec::new(),
            constants: Vec::new(),
            fields: table.options.row_key.iter().cloned().collect(),
            need_formatting: false,
        };
        for column in &table.columns {
            let slot = column.attnum as usize - 1;
            // SAFETY: the descriptor is that of the table whose columns these are.
            unsafe {
                let attribute = crate::compat::attribute(descriptor, slot);
                if let Some(text) = &column.constant {
                    let datum = inward::constant(text, attribute.atttypid, attribute.atttypmod);
                    former.constants.push((slot, datum));
                    continue;
                }
                if !column.is_field() {
                    // Generated columns are not in Intacct. Statistics of lines are of no use, and would cost a request for
                    // every hundred rows.
                    continue;
                }
                let known = former
                    .fields
                    .iter()
                    .position(|field| field.eq_ignore_ascii_case(&column.field));
                let cell = known.unwrap_or_else(|| {
                    former.fields.push(column.field.clone());
                    former.fields.len() - 1
                });
                former.need_formatting |= Converter::needs_formatting(column.type_oid);
                let converter = Converter::new(attribute.atttypid, attribute.atttypmod);
                former.cells.push((slot, cell, converter));
            }
        }
        former
    }

    unsafe fn tuple(
        &self,
        table: &ForeignTable,
        page: &Page,
        row: usize,
        reader: &intacct::CellReader,
    ) -> pg_sys::HeapTuple {
        // SAFETY: the arrays are as long as the descriptor; heap_form_tuple copies into the current memory context,
        // and what was made on the way is dropped with a context of its own.
        unsafe {
            let count = (*self.descriptor).natts as usize;
            let mut values = vec![pg_sys::Datum::from(0); count];
            let mut nulls = vec![true; count];
            for (slot, value) in &self.constants {
                values[*slot] = *value;
                nulls[*slot] = false;
            }
            let mut scratch = PgMemoryContexts::new("sage_intacct_fdw sample row");
            scratch.switch_to(|_| {
                for (slot, cell, converter) in &self.cells {
                    let Some(bytes) = page.cell(row, *cell) else {
                        continue;
                    };
                    let place = || CellLocation {
                        company: table.server.company_id.clone(),
                        object: table.options.object.clone(),
                        field: self.fields[*cell].clone(),
                        // The row key is the first field, where there is one.
                        row: table.options.row_key.clone().and_then(|key| {
                            let value = String::from_utf8_lossy(page.cell(row, 0)?).into_owned();
                            Some((key, value))
                        }),
                    };
                    match naming(|| converter.datum(bytes, reader), place) {
                        Ok(datum) => {
                            values[*slot] = datum;
                            nulls[*slot] = false;
                        }
                        Err(error) => raise(place().report(&error)),
                    }
                }
                if !self.stored.is_empty() {
                    std::ptr::copy_nonoverlapping(values.as_ptr(), (*self.slot).tts_values, count);
                    std::ptr::copy_nonoverlapping(nulls.as_ptr(), (*self.slot).tts_isnull, count);
                    pg_sys::ExecStoreVirtualTuple(self.slot);
                    self.stored.fill(self.slot);
                    std::ptr::copy_nonoverlapping((*self.slot).tts_values, values.as_mut_ptr(), count);
                    std::ptr::copy_nonoverlapping((*self.slot).tts_isnull, nulls.as_mut_ptr(), count);
                    pg_sys::ExecClearTuple(self.slot);
                }
            });
            pg_sys::heap_form_tuple(self.descriptor, values.as_mut_ptr(), nulls.as_mut_ptr())
        }
    }
}

impl Drop for Former {
    fn drop(&mut self) {
        // SAFETY: made by `new`; nothing of a row outlives its tuple.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::FreeExecutorState(self.estate);
        }
    }
}

/// Which rows are read.
struct Sample {
    query: Query,
    dialect: intacct::DialectKind,
    page_size: u32,
    need_formatting: bool,
    /// The row key, where ranges of it can be asked for and the table is too large to be read whole.
    sliced: Option<String>,
    /// Rows of each slice.
    slice: u32,
    paging: Paging,
}

impl Sample {
    fn new(table: &ForeignTable, former: &Former, total: u64, wanted: usize) -> Sample {
        let mut query = table
            .counting_query()
            .unwrap_or_else(|| Query::new(table.options.object.clone()));
        query.select = former.fields.iter().cloned().map(SelectItem::Field).collect();
        let key = table
            .options
            .row_key
            .clone()
            .filter(|_| table.row_key_is_number());
        query.order_by = match (&key, table.dialect().capabilities().order) {
            (Some(key), true) => vec![OrderKey {
                field: key.clone(),
                descending: false,
            }],
            _ => Vec::new(),
        };
        let paging = match &key {
            Some(_) if !query.order_by.is_empty() => Paging::Keyset {
                keys: query.order_by.clone(),
                any_order: false,
            },
            _ => Paging::Offset,
        };
        let slice = (wanted as u32).div_ceil(PAGES).clamp(1, table.page_size());
        let whole = total <= u64::from(slice) * u64::from(PAGES);
        let sliced = key.filter(|_| !whole && matches!(paging, Paging::Keyset { .. }));
        Sample {
            query,
            dialect: table.dialect(),
            page_size: if whole { table.page_size() } else { slice },
            need_formatting: former.need_formatting,
            sliced,
            slice,
            paging,
        }
    }

    fn start(self, client: Client) -> Stream<Page> {
        let started = io::stream(1, move |emitter| async move {
            match self.sliced.clone() {
                Some(key) => self.read_slices(&client, &key, emitter).await,
                None => self.read_on(&client, emitter).await,
            }
        });
        started.unwrap_or_else(|error| raise(error))
    }

    /// The rows one after another: all of a small table, the first ones of an object without a key.
    async fn read_on(self, client: &Client, emitter: Emitter<Page>) -> Result<(), Error> {
        let plan = ReadPlan {
            assumed: Vec::new(),
            query: self.query.clone(),
            kind: self.dialect,
            page_size: self.page_size,
            first_page: self.page_size,
            grows: true,
            paging: self.paging.clone(),
            need_formatting: self.need_formatting,
            ahead: 0,
        };
        let mut pages = 0;
        intacct::read(client, &plan, async |page| {
            pages += 1;
            emitter.send(page).await && pages < PAGES
        })
        .await?;
        Ok(())
    }

    async fn read_slices(self, client: &Client, key: &str, emitter: Emitter<Page>) -> Result<(), Error> {
        let (Some(least), Some(most)) = (
            self.end(client, key, false).await?,
            self.end(client, key, true).await?,
        ) else {
            return Ok(());
        };
        let width = (most - least) / i64::from(PAGES) + 1;
        for number in 0..i64::from(PAGES) {
            let from = least + number * width;
            // Somewhere in the slice, but with room for its rows if keys follow each other closely.
            let room = (width - i64::from(self.slice)).max(1) as u64;
            let start = from + (random() % room) as i64;
            let bound = |op, number: i64| Condition::Compare {
                field: key.to_owned(),
                op,
                value: Value::Number(number.to_string()),
            };
            let slice = Condition::And(vec![
                bound(CompareOp::Ge, start),
                bound(CompareOp::Lt, from + width),
            ]);
            let mut query = self.query.clone();
            query.filter = Some(Condition::and(query.filter, slice));
            let page = PageRequest {
                size: self.slice,
                offset: 0,
            };
            let page = client
                .page(&query, self.dialect, &page, self.need_formatting)
                .await?;
            if !emitter.send(page).await {
                break;
            }
        }
        Ok(())
    }

    /// The smallest or largest key.
    async fn end(&self, client: &Client, key: &str, largest: bool) -> Result<Option<i64>, Error> {
        let mut query = self.query.clone();
        query.select = vec![SelectItem::Field(key.to_owned())];
        query.order_by = vec![OrderKey {
            field: key.to_owned(),
            descending: largest,
        }];
        let page = PageRequest { size: 1, offset: 0 };
        let page = client.page(&query, self.dialect, &page, false).await?;
        let text = page.cell(0, 0).and_then(|cell| std::str::from_utf8(cell).ok());
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }
}

/// Any number: hash maps are seeded at random.
fn random() -> u64 {
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
