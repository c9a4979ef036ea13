//! Rows of a response in one compact buffer.

use super::columns::Columns;
use super::parse_error::ParseError;
use super::scanner::BLOCK;

/// The rows of one response. Cells are bytes of one buffer, found by offset: a row costs no allocation.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Rows (or groups) that match in all, where the gateway reports it.
    pub total_count: Option<u64>,
    /// Rows skipped before this page.
    pub offset: u64,
    /// Rows in this page; equal to [`Page::rows`].
    pub count: u64,
    /// Rows after this page, where the gateway reports it.
    pub remaining: Option<u64>,
    /// The gateway reported the offset.
    pub(crate) offset_reported: bool,
    pub(crate) result_id: Option<String>,
    /// Of lists, the place in the whole.
    pub(crate) listing: Option<Listing>,
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// For each column, the first row that has no element for it; empty while there is none.
    pub(super) missing: Vec<Option<u32>>,
    /// Start and end of each cell in `bytes`, row by row; equal when there is no value.
    pub(super) cells: Vec<(u32, u32)>,
    pub(super) bytes: Vec<u8>,
    pub(super) bounds: Bounds,
    pub(crate) wire_bytes: u64,
    pub(crate) decoded_bytes: u64,
}

/// What a page may come to while it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Rows (of a list, elements) at most.
    pub rows: usize,
    /// Bytes of memory for cells and their text.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            rows: usize::MAX,
            bytes: usize::MAX,
        }
    }
}

impl Bounds {
    /// Bounds of an answer for which so many rows were asked: twice as many are read, so that the caller can report how many
    /// there are, and no more.
    pub(crate) fn of_rows(asked: usize) -> Bounds {
        Bounds {
            rows: asked.saturating_mul(2),
            ..Bounds::default()
        }
    }

    /// Another row is there.
    pub(crate) fn check_rows(&self, rows: usize) -> Result<(), ParseError> {
        match rows > self.rows {
            false => Ok(()),
            true => Err(ParseError::TooLarge(format!(
                "holds more than {} rows, which is far beyond what was asked for",
                self.rows
            ))),
        }
    }
}

impl Page {
    /// Rows held.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of a row: the items of the query's select list.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The cell as unescaped UTF-8; `None` when the element is empty or missing (NULL), or out of range.
    pub fn cell(&self, row: usize, column: usize) -> Option<&[u8]> {
        if column >= self.columns {
            return None;
        }
        let &(start, end) = self.cells.get(row * self.columns + column)?;
        let bytes = &self.bytes[start as usize..end as usize];
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Columns for which some row has no element, each with the first such row. Their cells read as NULL, but what
    /// the field holds is not known.
    pub fn missing(&self) -> impl Iterator<Item = (usize, usize)> {
        let first = self.missing.iter().enumerate();
        first.filter_map(|(column, row)| Some(((*row)? as usize, column)))
    }

    /// Bytes of the response as transferred.
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// Bytes of the response after decompression.
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes
    }

    /// Bytes of memory held by the rows.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.cells.capacity() * size_of::<(u32, u32)>()
    }

    /// Without the first rows, which another page showed already.
    pub(crate) fn drop_first_rows(&mut self, rows: usize) {
        let rows = rows.min(self.rows);
        self.cells.drain(..rows * self.columns);
        self.rows -= rows;
        self.offset = self.offset.saturating_add(rows as u64);
        self.count = self.rows as u64;
    }

    /// Without these rows, given in ascending order.
    pub(crate) fn drop_rows(&mut self, rows: &[usize]) {
        for row in rows.iter().rev() {
            let start = row * self.columns;
            self.cells.drain(start..start + self.columns);
        }
        self.rows -= rows.len();
        self.count = self.rows as u64;
    }

    /// Appends a row of cells that were read before, each as [`cell`](Self::cell) returned it. `false`: the page is full (4 GiB
    /// of text), and the row was not appended.
    ///
    /// ```
    /// let mut page = intacct::Page::default();
    /// assert!(page.push_cells([Some(b"1".as_slice()), None]));
    /// assert_eq!((page.rows(), page.columns()), (1, 2));
    /// assert_eq!((page.cell(0, 0), page.cell(0, 1)), (Some(b"1".as_slice()), None));
    /// ```
    pub fn push_cells<'a>(&mut self, cells: impl IntoIterator<Item = Option<&'a [u8]>>) -> bool {
        let (cells_before, bytes_before) = (self.cells.len(), self.bytes.len());
        for cell in cells {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(cell.unwrap_or_default());
            match (offset(start), offset(self.bytes.len())) {
                (Ok(start), Ok(end)) => self.cells.push((start, end)),
                _ => {
                    self.cells.truncate(cells_before);
                    self.bytes.truncate(bytes_before);
                    return false;
                }
            }
        }
        self.columns = self.cells.len() - cells_before;
        self.rows += 1;
        self.count = self.rows as u64;
        true
    }

    /// A page of these rows.
    #[cfg(test)]
    pub(crate) fn of_cells(rows: &[&[&str]]) -> Page {
        let mut page = Page {
            columns: rows.first().map_or(0, |row| row.len()),
            ..Page::default()
        };
        for row in rows {
            page.begin_row().expect("no bounds");
            for (column, cell) in row.iter().enumerate() {
                page.append(column, cell.as_bytes()).expect("a small page");
            }
        }
        page
    }

    /// The answer to a question that no row can match.
    pub(crate) fn without_rows(is_list: bool) -> Page {
        Page {
            total_count: Some(0),
            remaining: Some(0),
            listing: is_list.then(Listing::default),
            ..Page::default()
        }
    }

    /// A page of so many columns, without rows so far.
    pub(crate) fn of_columns(columns: usize) -> Page {
        Page {
            columns,
            ..Page::default()
        }
    }

    /// Adds a row of these cells, one for each column.
    pub(crate) fn push_row(&mut self, cells: impl Iterator<Item = Option<String>>) -> Result<(), ParseError> {
        self.begin_row()?;
        for (column, cell) in cells.enumerate() {
            self.append(column, cell.unwrap_or_default().as_bytes())?;
        }
        self.check_bytes()
    }

    /// What the page may take from now on.
    pub(crate) fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Bytes in use.
    pub(crate) fn held_bytes(&self) -> usize {
        self.cells.len() * size_of::<(u32, u32)>() + self.bytes.len()
    }

    pub(super) fn check_bytes(&self) -> Result<(), ParseError> {
        match self.held_bytes() > self.bounds.bytes {
            false => Ok(()),
            true => Err(ParseError::TooLarge(format!(
                "the rows take more than {} bytes of memory",
                self.bounds.bytes
            ))),
        }
    }

    /// Adds a row of nulls. Gives what takes it back with [`Page::undo_row`].
    pub(super) fn begin_row(&mut self) -> Result<usize, ParseError> {
        self.bounds.check_rows(self.rows + 1)?;
        self.check_bytes()?;
        self.rows += 1;
        self.cells.resize(self.rows * self.columns, (0, 0));
        Ok(self.bytes.len())
    }

    /// Takes the last row back.
    pub(super) fn undo_row(&mut self, mark: usize) {
        self.rows -= 1;
        self.cells.truncate(self.rows * self.columns);
        self.bytes.truncate(mark);
    }

    /// Sets a cell of the last row.
    #[inline]
    pub(super) fn append(&mut self, column: usize, text: &[u8]) -> Result<(), ParseError> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.set(column, (offset(start)?, offset(self.bytes.len())?));
        Ok(())
    }

    /// Fills the columns of the last row that repeat an earlier one.
    pub(super) fn repeat_cells(&mut self, columns: &Columns) {
        for &(column, earlier) in &columns.repeats {
            let cell = self.cells[(self.rows - 1) * self.columns + earlier];
            self.set(column, cell);
        }
    }

    /// The last row has no element for this column.
    pub(super) fn note_missing(&mut self, column: usize) {
        self.missing.resize(self.columns, None);
        let row = (self.rows - 1) as u32;
        self.missing[column].get_or_insert(row);
    }

    #[inline]
    pub(super) fn set(&mut self, column: usize, cell: (u32, u32)) {
        let index = (self.rows - 1) * self.columns + column;
        self.cells[index] = cell;
    }
}

pub(super) fn offset(at: usize) -> Result<u32, ParseError> {
    u32::try_from(at).map_err(|_| ParseError::TooLarge("the rows take more than 4 GiB".into()))
}

/// What a list shows of its place in the whole. Elements are counted, not the lines inside of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Elements that match in all.
    pub total: u64,
    /// Elements before these.
    pub start: u64,
    /// The key of each element.
    pub keys: Vec<String>,
    /// Rows that the first element made.
    pub first_rows: usize,
    /// Bytes of the keys.
    pub key_bytes: usize,
}

impl Listing {
    /// Bytes of memory in use.
    pub(crate) fn held_bytes(&self) -> usize {
        self.key_bytes + self.keys.len() * (size_of::<String>() + BLOCK)
    }
}
