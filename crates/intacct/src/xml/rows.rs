//! Rows of a response in one compact buffer.

/// The rows of one response. Cells are bytes of one buffer, found by offset: a row costs no allocation.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Rows (or groups) that match in all, where the gateway tells.
    pub total_count: Option<u64>,
    /// Rows skipped before this page.
    pub offset: u64,
    /// Rows in this page; equal to [`Page::rows`].
    pub count: u64,
    /// Rows after this page, where the gateway tells.
    pub remaining: Option<u64>,
    columns: usize,
    rows: usize,
    cells: Vec<(u32, u32)>,
    bytes: Vec<u8>,
    wire_bytes: u64,
    decoded_bytes: u64,
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

    /// Bytes of the response as transferred.
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// Bytes of the response after decompression.
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes
    }
}
