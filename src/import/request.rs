//! Options and selection of IMPORT FOREIGN SCHEMA.

use super::naming::{Case, plain};
use crate::options::{OptionError, OptionValues};
use intacct::{ObjectName, nearest};

/// Which objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those of these names.
    LimitTo(Vec<String>),
    /// All but those of these names.
    Except(Vec<String>),
}

/// The statement's selection and options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct ImportRequest {
    /// Which objects.
    pub selection: Selection,
    /// Custom objects and fields too.
    pub custom: bool,
    /// Dotted columns of many-to-one relations too.
    pub related: bool,
    /// Tables ask for rows that are private to an entity.
    pub private: bool,
    /// Owned lines too.
    pub lines: bool,
    /// Ask for one row, to leave out what is refused.
    pub probe: bool,
    /// Text columns get COLLATE "C".
    pub collate_c: bool,
    /// Spelling of the names made.
    pub case: Case,
}

impl ImportRequest {
    /// Reads the statement's options.
    ///
    /// # Errors
    /// An option that does not exist, or a value that is not allowed.
    pub fn read(selection: Selection, options: &OptionValues) -> Result<Self, OptionError> {
        options.check()?;
        Ok(ImportRequest {
            selection,
            custom: options.boolean("import_custom")?,
            related: options.boolean("import_related")?,
            private: options.boolean("import_private")?,
            lines: options.boolean("import_lines")?,
            probe: options.boolean("probe")?,
            collate_c: options.word("text_collation")? == Some("C"),
            case: match options.word("case")? {
                Some("keep") => Case::Keep,
                _ => Case::Lower,
            },
        })
    }
}

/// An object that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedObject {
    /// The object as Intacct spells it.
    pub object: ObjectName,
    /// The table's name where the statement spelled one: PostgreSQL keeps only tables that LIMIT TO names exactly.
    pub table: Option<String>,
}

/// A name in LIMIT TO that no object has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// As typed.
    pub name: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

/// Picks the wanted ones among the company's objects, in the company's order; names are matched without case.
pub fn select(request: &ImportRequest, objects: Vec<ObjectName>) -> (Vec<WantedObject>, Vec<Stranger>) {
    let named = |name: &str, object: &ObjectName| {
        name.eq_ignore_ascii_case(&object.name) || name == plain(&object.name, request.case)
    };
    match &request.selection {
        Selection::All => (whole(objects), Vec::new()),
        Selection::Except(names) => {
            let mut objects = objects;
            objects.retain(|object| !names.iter().any(|name| named(name, object)));
            (whole(objects), Vec::new())
        }
        Selection::LimitTo(names) => {
            let mut wanted = Vec::new();
            let mut strangers = Vec::new();
            for name in names {
                // The exact spelling first: custom objects may differ from others in case alone.
                let exact = objects.iter().find(|object| object.name == *name);
                match exact.or_else(|| objects.iter().find(|object| named(name, object))) {
                    Some(object) => wanted.push(WantedObject {
                        object: object.clone(),
                        table: Some(name.clone()),
                    }),
                    None => strangers.push(Stranger {
                        name: name.clone(),
                        nearest: nearest(name, objects.iter().map(|object| object.name.as_str()))
                            .map(str::to_owned),
                    }),
                }
            }
            (wanted, strangers)
        }
    }
}

fn whole(objects: Vec<ObjectName>) -> Vec<WantedObject> {
    let wanted = |object| WantedObject { object, table: None };
    objects.into_iter().map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::spec::OptionLevel;

    fn objects() -> Vec<ObjectName> {
        let named = |&name: &&str| ObjectName {
            name: name.to_owned(),
            label: String::new(),
        };
        ["CUSTOMER", "ARINVOICE", "MCA_attendee"]
            .iter()
            .map(named)
            .collect()
    }

    fn request(selection: Selection) -> ImportRequest {
        let options = OptionValues::new(OptionLevel::Import, Vec::new());
        ImportRequest::read(selection, &options).expect("defaults")
    }

    fn names(wanted: &[WantedObject]) -> Vec<(&str, Option<&str>)> {
        wanted
            .iter()
            .map(|w| (w.object.name.as_str(), w.table.as_deref()))
            .collect()
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let request = request(Selection::All);
        assert!(request.custom && request.probe);
        assert!(!request.related && !request.private && !request.lines && !request.collate_c);
        assert_eq!(request.case, Case::Lower);
    }

    #[test]
    fn limit_to_finds_objects_in_any_case_and_keeps_the_typed_name() {
        let typed = vec!["customer".into(), "mca_ATTENDEE".into(), "airinvoice".into()];
        let (wanted, strangers) = select(&request(Selection::LimitTo(typed)), objects());
        assert_eq!(
            names(&wanted),
            [
                ("CUSTOMER", Some("customer")),
                ("MCA_attendee", Some("mca_ATTENDEE"))
            ]
        );
        assert_eq!(
            strangers,
            [Stranger {
                name: "airinvoice".into(),
                nearest: Some("ARINVOICE".into())
            }]
        );
    }

    #[test]
    fn except_leaves_out_in_any_case() {
        let (wanted, _) = select(&request(Selection::Except(vec!["Customer".into()])), objects());
        assert_eq!(names(&wanted), [("ARINVOICE", None), ("MCA_attendee", None)]);
    }
}
