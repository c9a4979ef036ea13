//! The `get_list` and `get` functions, which dtd version 2.1 has in the place of `query`.
//!
//! Facts: the vendor's `intacct_co_functions.v2.1.dtd` and its pages on legacy functions. A filter is expressions
//! joined by logicals of two parts or more; its operators are `=`, `!=`, `<`, `<=`, `>`, `>=` and `like`. The schema of
//! 3.0 knows `is null` as well, but asks for a value with it, and 2.1 does not list it: it is not used.

pub(crate) mod rows;

use super::capabilities::{Capabilities, Dialect, Operators, PageRequest, RenderContext};
use super::legacy::{ElementPath, LegacyObject};
use super::query::whole_seconds;
use crate::error::{Error, ErrorKind};
use crate::query::{CompareOp, Condition, Query, SelectItem, Value, write_us_date};
use crate::xml::escape::{IllegalCharacter, push_element, push_text};

pub(super) struct GetListDialect;

static CAPABILITIES: Capabilities = Capabilities {
    operators: Operators {
        // What `!=` does with rows that have no value is not known (fact 20), and no condition leaves them out.
        compare: &[
            CompareOp::Eq,
            CompareOp::Lt,
            CompareOp::Le,
            CompareOp::Gt,
            CompareOp::Ge,
        ],
        in_list: true,
        not_in_list: false,
        like: true,
        not_like: false,
        between: true,
        is_null: false,
        is_not_null: false,
    },
    // Rows are sorted by their key, for paging; other orders would rest on how the gateway sorts missing values.
    order: false,
    aggregates: false,
    dotted: false,
    case_insensitive_option: false,
    show_private: true,
    offset: false,
    max_page: 1000,
    max_in: 1000,
    total_count: true,
    enums: false,
    booleans: false,
    backslash: true,
};

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

/// The object, if 2.1 has it.
pub(crate) fn object(query: &Query) -> Result<&'static LegacyObject, Error> {
    LegacyObject::find(&query.object).ok_or_else(|| {
        let names: Vec<&str> = LegacyObject::all().iter().map(|object| object.name).collect();
        Error::new(
            ErrorKind::UnknownObject,
            format!("get_list has no object {} that this version reads", query.object),
        )
        .with_hint(format!(
            "Read it with dtd_version 3.0 (function 'query'). With get_list there are {}.",
            names.join(", ")
        ))
    })
}

/// Where a field of the query's object stands in a row.
pub(crate) fn paths(object: &LegacyObject, field: &str) -> Result<Vec<ElementPath>, Error> {
    object.paths(field).ok_or_else(|| {
        Error::new(
            ErrorKind::UnknownFields(vec![field.to_owned()]),
            format!("get_list shows no field {field} of {}", object.name),
        )
        .with_hint(
            "IMPORT FOREIGN SCHEMA from a server with dtd_version '2.1' makes columns for what it shows; fields that the \
             company has added are CUSTOMFIELDS.name there. Or read the table with dtd_version 3.0.",
        )
    })
}

/// The plain field behind an item of the select list.
pub(crate) fn selected(item: &SelectItem) -> Result<&str, Error> {
    match item {
        SelectItem::Field(field) => Ok(field),
        SelectItem::Aggregate { .. } => Err(unsupported("get_list cannot aggregate")),
    }
}

impl Dialect for GetListDialect {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn function(&self, query: &Query, page: &PageRequest, context: &RenderContext) -> Result<String, Error> {
        let object = object(query)?;
        if query.select.is_empty() {
            return Err(unsupported("every field must be named"));
        }
        if query.case_insensitive {
            return Err(unsupported("get_list cannot compare without regard to case"));
        }
        let mut out = format!(
            "<get_list object=\"{}\" start=\"{}\" maxitems=\"{}\"",
            object.element,
            page.offset,
            page.size.clamp(1, CAPABILITIES.max_page)
        );
        if query.show_private {
            out.push_str(" showprivate=\"true\"");
        }
        out.push('>');
        let mut writer = Writer { out, object, context };
        writer.filter(query)?;
        writer.sorts(query)?;
        writer.fields(query)?;
        writer.out.push_str("</get_list>");
        Ok(writer.out)
    }
}

/// Objects that the schema lets `get_list` read, and `get` not.
const LISTED_ONLY: [&str; 1] = ["arpayment"];

/// The function element for one row by its key.
///
/// Fails with [`ErrorKind::UnknownObject`] for an object that 2.1 does not read by key.
pub(crate) fn get(object: &LegacyObject, key: &str) -> Result<String, Error> {
    if !object.lines.is_empty() || LISTED_ONLY.contains(&object.element) {
        return Err(Error::new(
            ErrorKind::UnknownObject,
            format!("get has no object {}", object.name),
        ));
    }
    let mut escaped = String::new();
    push_text(&mut escaped, key).map_err(|IllegalCharacter(c)| illegal(c))?;
    Ok(format!(
        "<get object=\"{}\" key=\"{}\"/>",
        object.element,
        escaped.replace('"', "&quot;")
    ))
}

fn illegal(c: char) -> Error {
    unsupported(format!(
        "the character U+{:04X} cannot be sent to the gateway",
        u32::from(c)
    ))
}

struct Writer<'a> {
    out: String,
    object: &'static LegacyObject,
    context: &'a RenderContext,
}

impl Writer<'_> {
    fn filter(&mut self, query: &Query) -> Result<(), Error> {
        // The transaction definition is an attribute of the request in 3.0, and a field of the documents here.
        let definition = query.docparid.as_ref().map(|definition| Condition::Compare {
            field: "DOCPARID".to_owned(),
            op: CompareOp::Eq,
            value: Value::Text(definition.clone()),
        });
        let filter = match (definition, query.filter.clone()) {
            (Some(definition), filter) => Some(Condition::and(filter, definition)),
            (None, filter) => filter,
        };
        if let Some(filter) = filter {
            self.out.push_str("<filter>");
            self.condition(&filter)?;
            self.out.push_str("</filter>");
        }
        Ok(())
    }

    fn sorts(&mut self, query: &Query) -> Result<(), Error> {
        let key = self.object.row_key();
        self.out.push_str("<sorts>");
        let mut by_key = false;
        for order in &query.order_by {
            let own = order.field.eq_ignore_ascii_case(self.object.key) && self.object.lines.is_empty();
            let element = match self.object.filtered(&order.field) {
                Some(element) => element,
                None if own => key,
                None => {
                    return Err(unsupported(format!(
                        "get_list cannot sort by field {} of {}",
                        order.field, self.object.name
                    )));
                }
            };
            by_key |= own;
            self.sort(element, order.descending)?;
        }
        // Pages are stable only under a total order.
        if !by_key {
            self.sort(key, false)?;
        }
        self.out.push_str("</sorts>");
        Ok(())
    }

    fn sort(&mut self, element: &str, descending: bool) -> Result<(), Error> {
        self.out.push_str(if descending {
            "<sortfield order=\"desc\">"
        } else {
            "<sortfield order=\"asc\">"
        });
        self.text(element)?;
        self.out.push_str("</sortfield>");
        Ok(())
    }

    /// Names the elements to show, if all of them are plain: what the list makes of elements that hold others is not
    /// documented, and a row that lacks one would read as null.
    fn fields(&mut self, query: &Query) -> Result<(), Error> {
        let mut elements = vec![self.object.row_key().to_owned()];
        let mut plain = self.object.lines.is_empty();
        for item in &query.select {
            for path in paths(self.object, selected(item)?)? {
                plain &= path.path.len() == 1 && path.custom.is_none();
                let element = &path.path[0];
                if !elements.contains(element) {
                    elements.push(element.clone());
                }
            }
        }
        if plain {
            self.out.push_str("<fields>");
            for element in elements {
                self.element("field", &element)?;
            }
            self.out.push_str("</fields>");
        }
        Ok(())
    }

    fn condition(&mut self, condition: &Condition) -> Result<(), Error> {
        match condition {
            Condition::And(parts) => self.logical("and", parts),
            Condition::Or(parts) => self.logical("or", parts),
            Condition::Compare { field, op, value } if CAPABILITIES.operators.compare.contains(op) => {
                self.expression(field, op.symbol(), value)
            }
            Condition::Compare { field, op, .. } => Err(unsupported(format!(
                "get_list has no \"{}\" (field {field})",
                op.symbol()
            ))),
            Condition::CompareFields { left, right, .. } => Err(unsupported(format!(
                "the gateway cannot compare field {left} with field {right}"
            ))),
            Condition::Between { field, low, high } => {
                let bound = |op, value: &Value| Condition::Compare {
                    field: field.clone(),
                    op,
                    value: value.clone(),
                };
                self.logical("and", &[bound(CompareOp::Ge, low), bound(CompareOp::Le, high)])
            }
            Condition::In {
                field,
                values,
                negated: false,
            } => {
                let equal = |value: &Value| Condition::Compare {
                    field: field.clone(),
                    op: CompareOp::Eq,
                    value: value.clone(),
                };
                let parts: Vec<Condition> = values.iter().map(equal).collect();
                self.logical("or", &parts)
            }
            Condition::Like {
                field,
                pattern,
                negated: false,
            } => self.expression(field, "like", pattern),
            Condition::In { field, .. } | Condition::Like { field, .. } => {
                Err(unsupported(format!("get_list has no negation (field {field})")))
            }
            Condition::IsNull { field, .. } => Err(unsupported(format!(
                "get_list cannot ask whether field {field} has a value"
            ))),
        }
    }

    fn logical(&mut self, operator: &str, parts: &[Condition]) -> Result<(), Error> {
        match parts {
            [] => Err(Error::new(
                ErrorKind::Internal,
                format!("an {operator} without parts"),
            )),
            [single] => self.condition(single),
            parts => {
                self.out.push_str("<logical logical_operator=\"");
                self.out.push_str(operator);
                self.out.push_str("\">");
                for part in parts {
                    self.condition(part)?;
                }
                self.out.push_str("</logical>");
                Ok(())
            }
        }
    }

    fn expression(&mut self, field: &str, operator: &str, value: &Value) -> Result<(), Error> {
        // Says first whether there is such a field at all.
        paths(self.object, field)?;
        let element = self.object.filtered(field).ok_or_else(|| {
            unsupported(format!(
                "get_list takes no condition on field {field} of {}",
                self.object.name
            ))
        })?;
        let text = self.value(field, value)?;
        self.out.push_str("<expression>");
        self.element("field", element)?;
        self.element("operator", operator)?;
        self.element("value", &text)?;
        self.out.push_str("</expression>");
        Ok(())
    }

    fn value(&self, field: &str, value: &Value) -> Result<String, Error> {
        let mut text = String::new();
        match value {
            Value::Text(value) if value.is_empty() => {
                return Err(unsupported(format!(
                    "field {field} cannot be compared with empty text"
                )));
            }
            Value::Text(value) | Value::Number(value) => text.push_str(value),
            Value::Boolean(_) => {
                return Err(unsupported(format!(
                    "how get_list compares truth values is not documented (field {field})"
                )));
            }
            Value::Date(date) => {
                let _ = write_us_date(&mut text, *date);
            }
            Value::DateTime(moment) => text = whole_seconds(field, *moment)?,
            Value::Instant(instant) => text = whole_seconds(field, self.context.zone.render(*instant))?,
            Value::Param(number) => text = format!("${number}"),
        }
        Ok(text)
    }

    fn element(&mut self, name: &str, text: &str) -> Result<(), Error> {
        push_element(&mut self.out, name, text).map_err(|IllegalCharacter(c)| illegal(c))
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        push_text(&mut self.out, text).map_err(|IllegalCharacter(c)| illegal(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formatting::GatewayZone;

    fn render(query: &str) -> Result<String, String> {
        let query: Query = query.parse().expect("a query");
        let context = RenderContext {
            zone: GatewayZone::new(None, None),
        };
        let page = PageRequest {
            size: 5000,
            offset: 99,
        };
        GetListDialect
            .function(&query, &page, &context)
            .map_err(|error| error.to_string())
    }

    fn filter(text: &str) -> String {
        let document = render(&format!("select RECORDID from ARINVOICE where {text}"))
            .unwrap_or_else(|error| panic!("{error}"));
        let start = document.find("<filter>").expect("a filter") + "<filter>".len();
        document[start..document.find("</filter>").expect("a filter")].to_owned()
    }

    fn expression(field: &str, operator: &str, value: &str) -> String {
        format!(
            "<expression><field>{field}</field><operator>{operator}</operator><value>{value}</value></expression>"
        )
    }

    #[test]
    fn a_list_is_sorted_by_its_key_and_shows_it() {
        assert_eq!(
            render("select RECORDID, WHENDUE from ARINVOICE options (show_private)").as_deref(),
            Ok(
                "<get_list object=\"invoice\" start=\"99\" maxitems=\"1000\" showprivate=\"true\"><sorts>\
                <sortfield order=\"asc\">key</sortfield></sorts><fields><field>key</field><field>invoiceno</field>\
                <field>datedue</field></fields></get_list>"
            )
        );
        assert_eq!(
            render("select NAME from CUSTOMER order_by NAME desc").as_deref(),
            Ok(
                "<get_list object=\"customer\" start=\"99\" maxitems=\"1000\"><sorts><sortfield order=\"desc\">name\
                </sortfield><sortfield order=\"asc\">customerid</sortfield></sorts><fields><field>customerid</field>\
                <field>name</field></fields></get_list>"
            )
        );
    }

    #[test]
    fn rows_with_elements_inside_are_asked_for_whole() {
        for query in [
            "select RECORDID, BILLTOPAYTOCONTACTNAME from ARINVOICE",
            "select RECORDNO, AMOUNT from ARINVOICEITEM",
            "select CUSTOMERID, CUSTOMFIELDS.Region_Code from CUSTOMER",
        ] {
            let document = render(query).expect("a document");
            assert!(!document.contains("<fields>"), "{document}");
        }
    }

    #[test]
    fn conditions_are_expressions_and_logicals_of_two_parts() {
        assert_eq!(
            filter("RECORDID = 'A&B'"),
            expression("invoiceno", "=", "A&amp;B")
        );
        let (state, due) = (
            expression("customerid", "=", "C-1"),
            expression("datedue", "&lt;=", "01/31/2024"),
        );
        assert_eq!(
            filter("CUSTOMERID = 'C-1' and WHENDUE <= 01/31/2024"),
            format!("<logical logical_operator=\"and\">{state}{due}</logical>")
        );
        let low = expression("totaldue", "&gt;=", "1");
        let high = expression("totaldue", "&lt;=", "2");
        assert_eq!(
            filter("TOTALDUE between 1 and 2"),
            format!("<logical logical_operator=\"and\">{low}{high}</logical>")
        );
        let (one, other) = (
            expression("customerid", "=", "A"),
            expression("customerid", "=", "B"),
        );
        assert_eq!(
            filter("CUSTOMERID in ('A', 'B')"),
            format!("<logical logical_operator=\"or\">{one}{other}</logical>")
        );
        assert_eq!(filter("CUSTOMERID in ('A')"), one);
        assert_eq!(
            filter("CUSTOMERID like 'A%'"),
            expression("customerid", "like", "A%")
        );
    }

    #[test]
    fn a_transaction_definition_is_a_condition() {
        let document = render("select DOCID from SODOCUMENT docparid 'Sales Order'").expect("a document");
        assert!(
            document.contains(&expression("transactiontype", "=", "Sales Order")),
            "{document}"
        );
    }

    #[test]
    fn what_cannot_be_expressed_is_refused() {
        for query in [
            "select A from GLBATCH",
            "select ENTITY from CUSTOMER",
            "select * from CUSTOMER",
            "select count(CUSTOMERID) from CUSTOMER",
            "select CUSTOMERID from CUSTOMER options (case_insensitive)",
            "select CUSTOMERID from CUSTOMER where NAME <> 'x'",
            "select CUSTOMERID from CUSTOMER where NAME not like 'x'",
            "select CUSTOMERID from CUSTOMER where NAME not in ('x')",
            "select CUSTOMERID from CUSTOMER where NAME is null",
            "select CUSTOMERID from CUSTOMER where NAME = ''",
            "select CUSTOMERID from CUSTOMER where NAME = \"COMMENTS\"",
            "select CUSTOMERID from CUSTOMER where CUSTOMFIELDS.Region_Code = 'x'",
            "select CUSTOMERID from CUSTOMER where BILLTO.CONTACTNAME = 'x'",
            "select CUSTOMERID from CUSTOMER order_by BILLTO.CONTACTNAME",
            "select AMOUNT from ARINVOICEITEM where AMOUNT > 1",
            "select ITEMID from ITEM where TAXABLE = true",
            "select PROJECTID from PROJECT where PROJECTID = 'P'",
        ] {
            assert!(render(query).is_err(), "{query}");
        }
    }

    #[test]
    fn records_are_asked_for_by_key() {
        let get = |object, key| get(LegacyObject::find(object).expect("an object"), key);
        assert_eq!(
            get("CUSTOMER", "A \"B\" & <C>").expect("a document"),
            "<get object=\"customer\" key=\"A &quot;B&quot; &amp; &lt;C&gt;\"/>"
        );
        assert!(get("ARPYMT", "1").is_err());
        assert!(get("ARINVOICEITEM", "1").is_err());
    }
}
