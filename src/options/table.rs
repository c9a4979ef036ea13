//! Options of a foreign table and of its columns.

use super::error::OptionError;
use super::reference::Reference;
use super::values::OptionValues;
use crate::error::interruptible;
use intacct::{Condition, DataType, DialectKind, is_keyless};

/// Options of a foreign table; `None` is left to the server.
#[derive(Debug, Clone, PartialEq)]
pub struct TableOptions {
    /// Intacct object.
    pub object: String,
    /// Transaction definition.
    pub docparid: Option<String>,
    /// Gateway function; none takes that of the server's version.
    pub function: Option<DialectKind>,
    /// A condition that is always applied.
    pub filter: Option<Condition>,
    /// Field that is unique, never null, and ordered for paging; none for views without one.
    pub row_key: Option<String>,
    /// An element that is missing in a row is NULL, and not an error.
    pub missing_as_null: bool,
    /// Rows private to an entity too.
    pub show_private: Option<bool>,
    /// Rows of a page.
    pub page_size: Option<u32>,
    /// The table may be written.
    pub updatable: Option<bool>,
    /// Rows of one create, update or delete.
    pub batch_size: Option<u32>,
    /// Siblings are read at the same time.
    pub async_capable: Option<bool>,
    /// Ask for row counts while planning.
    pub use_remote_estimate: Option<bool>,
    /// What a direct query at top level shows of the rows that entities own; none leaves it to be found out.
    pub entities: Option<Entities>,
    /// Intacct's name for people.
    pub label: Option<String>,
}

/// What a direct query at top level shows of the rows that entities own. It is assumed first, and proven all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entities {
    /// There are none.
    Off,
    /// Nothing.
    Hidden,
    /// All.
    Shown,
}

impl TableOptions {
    /// Reads the options of the table of this name.
    ///
    /// # Errors
    /// A value that the validator would refuse.
    pub fn read(values: &OptionValues, table: &str) -> Result<TableOptions, OptionError> {
        let object = values.text("object").unwrap_or_else(|| table.to_uppercase());
        let row_key = match values.get("row_key") {
            Some("") => None,
            Some(field) => Some(field.to_owned()),
            None if is_keyless(&object) => None,
            None => Some(values.defaulted_text("row_key")?),
        };
        // The word's default does not count: without the option, the server's version decides.
        let function = match values.get("function").and(values.word("function")?) {
            Some("query") => Some(DialectKind::Query),
            Some("readByQuery") => Some(DialectKind::ReadByQuery),
            Some("get_list") => Some(DialectKind::GetList),
            _ => None,
        };
        let filter = match (
            values.get("filter"),
            values
                .text("filter")
                .map(|text| Condition::parse_watched(&text, &interruptible)),
        ) {
            (Some(_), Some(Ok(condition))) => Some(condition),
            (Some(text), Some(Err(error))) => return Err(bad_filter(text, &error)),
            _ => None,
        };
        Ok(TableOptions {
            object,
            docparid: values.text("docparid"),
            function,
            filter,
            row_key,
            missing_as_null: values.word("missing_elements")? == Some("null"),
            show_private: values.optional_boolean("show_private")?,
            page_size: values.optional_integer("page_size")?,
            updatable: values.optional_boolean("updatable")?,
            batch_size: values.optional_integer("batch_size")?,
            async_capable: values.optional_boolean("async_capable")?,
            use_remote_estimate: values.optional_boolean("use_remote_estimate")?,
            entities: match values.word("entities")? {
                Some("off") => Some(Entities::Off),
                Some("hidden") => Some(Entities::Hidden),
                Some("shown") => Some(Entities::Shown),
                _ => None,
            },
            label: values.text("label").filter(|label| !label.is_empty()),
        })
    }
}

fn bad_filter(text: &str, error: &intacct::SyntaxError) -> OptionError {
    match super::spec::OptionLevel::Table.spec("filter") {
        Some(spec) => OptionError::value(spec, text, Some(error.to_string())),
        None => OptionError::unknown(super::spec::OptionLevel::Table, "filter"),
    }
}

/// Options of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnOptions {
    /// Path in Intacct.
    pub field: String,
    /// Identifies the row for writes.
    pub key: bool,
    /// Intacct's type; none when the column was not imported.
    pub data_type: Option<DataType>,
    /// Needed on create.
    pub required: bool,
    /// Never written.
    pub read_only: bool,
    /// Intacct's name for people.
    pub label: Option<String>,
    /// Many-to-one relation.
    pub references: Option<Reference>,
    /// The same value in every row, not in Intacct.
    pub constant: Option<String>,
}

impl ColumnOptions {
    /// Reads the options of the column of this name.
    ///
    /// # Errors
    /// A value that the validator would refuse.
    pub fn read(values: &OptionValues, column: &str) -> Result<ColumnOptions, OptionError> {
        Ok(ColumnOptions {
            field: values.text("field").unwrap_or_else(|| column.to_uppercase()),
            key: values.boolean("key")?,
            data_type: values
                .get("type")
                .map(|name| DataType::from_name(&name.to_ascii_uppercase())),
            required: values.boolean("required")?,
            read_only: values.boolean("read_only")?,
            label: values.text("label").filter(|label| !label.is_empty()),
            references: values.get("references").and_then(Reference::parse),
            constant: values.text("constant"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::spec::OptionLevel;

    fn values(level: OptionLevel, pairs: &[(&str, &str)]) -> OptionValues {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        OptionValues::new(level, pairs.collect())
    }

    #[test]
    fn a_table_without_options_is_its_object() {
        let read = TableOptions::read(&values(OptionLevel::Table, &[]), "arinvoice").expect("defaults");
        assert_eq!(read.object, "ARINVOICE");
        assert_eq!(read.row_key.as_deref(), Some("RECORDNO"));
        assert_eq!(read.function, None);
        assert_eq!(read.page_size, None);
    }

    #[test]
    fn the_row_key_can_be_empty_and_is_for_known_views() {
        let named = values(OptionLevel::Table, &[("object", "MY_VIEW"), ("row_key", "")]);
        assert_eq!(TableOptions::read(&named, "x").expect("read").row_key, None);
        let detail = TableOptions::read(&values(OptionLevel::Table, &[]), "gldetail").expect("read");
        assert_eq!(detail.row_key, None);
        let given = values(OptionLevel::Table, &[("row_key", "id")]);
        assert_eq!(
            TableOptions::read(&given, "x").expect("read").row_key.as_deref(),
            Some("id")
        );
    }

    #[test]
    fn the_function_is_matched_without_case() {
        let given = values(OptionLevel::Table, &[("function", "READBYQUERY")]);
        let read = TableOptions::read(&given, "x").expect("read");
        assert_eq!(read.function, Some(DialectKind::ReadByQuery));
    }

    #[test]
    fn a_column_keeps_what_import_wrote() {
        let given = values(
            OptionLevel::Column,
            &[
                ("field", "DISPLAYCONTACT.EMAIL1"),
                ("type", "text"),
                ("required", "true"),
                ("references", "CUSTOMER=CUSTOMER(CUSTOMERID)"),
            ],
        );
        let read = ColumnOptions::read(&given, "email").expect("read");
        assert_eq!(read.field, "DISPLAYCONTACT.EMAIL1");
        assert_eq!(read.data_type, Some(DataType::Text));
        assert!(read.required && !read.read_only && !read.key);
        assert_eq!(read.references.map(|r| r.field), Some("CUSTOMERID".to_owned()));
        let bare = ColumnOptions::read(&values(OptionLevel::Column, &[]), "totaldue").expect("read");
        assert_eq!((bare.field.as_str(), bare.data_type), ("TOTALDUE", None));
    }
}
