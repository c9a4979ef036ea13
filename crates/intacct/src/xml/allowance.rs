//! Memory that what is read from a response may take, counted as it comes.
//!
//! A few bytes on the wire can announce millions of elements: the cap on the body bounds the text, not what becomes of it.

use super::parse_error::ParseError;

/// What is left of the memory for one response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    left: usize,
    total: usize,
}

impl Allowance {
    pub(crate) fn new(bytes: usize) -> Allowance {
        Allowance {
            left: bytes,
            total: bytes,
        }
    }

    /// Takes memory that is about to be used.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), ParseError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.exceeded()),
        }
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    #[cold]
    fn exceeded(&self) -> ParseError {
        ParseError::TooLarge(format!(
            "what it holds takes more than {} bytes of memory",
            self.total
        ))
    }
}
