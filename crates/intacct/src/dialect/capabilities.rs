//! What a dialect can express, and what it renders from.

use crate::error::Error;
use crate::formatting::GatewayZone;
use crate::query::{CompareOp, Query};

/// The operators of conditions that a dialect has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operators {
    /// Comparisons of a field with a value.
    pub compare: &'static [CompareOp],
    /// `in (…)`
    pub in_list: bool,
    /// `not in (…)`
    pub not_in_list: bool,
    /// `like`
    pub like: bool,
    /// `not like`
    pub not_like: bool,
    /// `between`
    pub between: bool,
    /// `is null`
    pub is_null: bool,
    /// `is not null`
    pub is_not_null: bool,
}

/// What a dialect can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Conditions.
    pub operators: Operators,
    /// An order that rests on nothing but the values.
    pub order: bool,
    /// Aggregates and grouping.
    pub aggregates: bool,
    /// Fields of related objects by path.
    pub dotted: bool,
    /// Text compared without regard to case, for the whole query.
    pub case_insensitive_option: bool,
    /// Rows private to an entity.
    pub show_private: bool,
    /// Skipping rows.
    pub offset: bool,
    /// Largest page, rows.
    pub max_page: u32,
    /// Values of one `in`; longer lists are split by the dialect.
    pub max_in: usize,
    /// Pages report how many rows match in all.
    pub total_count: bool,
    /// Enumerations are compared by the labels that rows show.
    pub enums: bool,
    /// Truth values can be compared.
    pub booleans: bool,
    /// Text with a backslash can be represented.
    pub backslash: bool,
}

/// What rendering depends on beside the query.
#[derive(Debug, Clone)]
pub struct RenderContext {
    /// Zone in which points in time are said.
    pub zone: GatewayZone,
}

/// Which part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows at most.
    pub size: u32,
    /// Rows skipped.
    pub offset: u64,
}

/// A form in which queries are rendered.
pub(super) trait Dialect {
    /// What the dialect can express.
    fn capabilities(&self) -> &'static Capabilities;

    /// The function element for one page of the answer.
    fn function(&self, query: &Query, page: &PageRequest, context: &RenderContext) -> Result<String, Error>;
}
