//! Legacy functions in terms of the generic objects: `create_invoice` is an ARINVOICE with ARINVOICEITEM lines.

use crate::envelope::Node;

/// Elements and the fields that they fill.
type Names = &'static [(&'static str, &'static str)];

/// What a legacy function does.
pub enum Verb {
    /// Makes a record.
    Create,
    /// Changes one, named by the attribute `key`.
    Update,
    /// Removes one, named by the attribute `key`.
    Delete,
}

/// A legacy function.
pub struct Form {
    /// Its name.
    pub function: &'static str,
    /// What it does.
    pub verb: Verb,
    /// The object written.
    pub object: &'static str,
    /// The field that `key` holds, in requests and answers.
    pub key: &'static str,
    header: Names,
    /// Elements with a contact inside.
    contacts: Names,
    lines: Option<Lines>,
}

struct Lines {
    /// Element around the lines.
    container: &'static str,
    /// The object's name of the same.
    collection: &'static str,
    /// Object of the lines.
    object: &'static str,
    names: Names,
}

/// Headers of invoices and adjustments.
const RECEIVABLE: Names = &[
    ("customerid", "CUSTOMERID"),
    ("datecreated", "WHENCREATED"),
    ("dateposted", "WHENPOSTED"),
    ("datedue", "WHENDUE"),
    ("termname", "TERMNAME"),
    ("invoiceno", "RECORDID"),
    ("ponumber", "DOCNUMBER"),
    ("description", "DESCRIPTION"),
    ("basecurr", "BASECURR"),
    ("currency", "CURRENCY"),
    ("exchratedate", "EXCH_RATE_DATE"),
    ("exchratetype", "EXCH_RATE_TYPE_ID"),
    ("exchrate", "EXCHANGE_RATE"),
    ("taxsolutionid", "TAXSOLUTIONID"),
];

const ADJUSTMENT: Names = &[
    ("customerid", "CUSTOMERID"),
    ("datecreated", "WHENCREATED"),
    ("dateposted", "WHENPOSTED"),
    ("adjustmentno", "RECORDID"),
    ("invoiceno", "DOCNUMBER"),
    ("description", "DESCRIPTION"),
    ("basecurr", "BASECURR"),
    ("currency", "CURRENCY"),
];

const EXPENSES: Names = &[
    ("employeeid", "EMPLOYEEID"),
    ("datecreated", "WHENCREATED"),
    ("dateposted", "WHENPOSTED"),
    ("expensereportno", "RECORDID"),
    ("description", "DESCRIPTION"),
    ("memo", "MEMO"),
    ("basecurr", "BASECURR"),
    ("currency", "CURRENCY"),
];

const DOCUMENT: Names = &[
    ("transactiontype", "DOCPARID"),
    ("customerid", "CUSTVENDID"),
    ("vendorid", "CUSTVENDID"),
    ("datecreated", "WHENCREATED"),
    ("dateposted", "WHENPOSTED"),
    ("origdocdate", "ORIGDOCDATE"),
    ("datedue", "WHENDUE"),
    ("needbydate", "NEEDBYDATE"),
    ("referenceno", "PONUMBER"),
    ("vendordocno", "VENDORDOCNO"),
    ("termname", "TERM.NAME"),
    ("message", "MESSAGE"),
    ("shippingmethod", "SHIPVIA"),
    ("basecurr", "BASECURR"),
    ("currency", "CURRENCY"),
    ("projectid", "PROJECT"),
];

/// Lines of invoices and adjustments.
const LINE: Names = &[
    ("glaccountno", "ACCOUNTNO"),
    ("accountlabel", "ACCOUNTLABEL"),
    ("offsetglaccountno", "OFFSETGLACCOUNTNO"),
    ("amount", "AMOUNT"),
    ("memo", "ENTRYDESCRIPTION"),
    ("locationid", "LOCATIONID"),
    ("departmentid", "DEPARTMENTID"),
    ("projectid", "PROJECTID"),
    ("customerid", "CUSTOMERID"),
    ("vendorid", "VENDORID"),
    ("employeeid", "EMPLOYEEID"),
    ("itemid", "ITEMID"),
    ("classid", "CLASSID"),
    ("revrectemplate", "REVRECTEMPLATE"),
    ("revrecstartdate", "REVRECSTARTDATE"),
    ("revrecenddate", "REVRECENDDATE"),
];

const ENTRY: Names = &[
    ("itemid", "ITEMID"),
    ("itemdesc", "ITEMDESC"),
    ("warehouseid", "WAREHOUSEID"),
    ("quantity", "QUANTITY"),
    ("unit", "UNIT"),
    ("price", "PRICE"),
    ("discountpercent", "DISCOUNTPERCENT"),
    ("locationid", "LOCATIONID"),
    ("departmentid", "DEPARTMENTID"),
    ("memo", "MEMO"),
];

const TO: Names = &[
    ("billto", "BILLTOPAYTOCONTACTNAME"),
    ("payto", "BILLTOPAYTOCONTACTNAME"),
    ("shipto", "SHIPTORETURNTOCONTACTNAME"),
    ("returnto", "SHIPTORETURNTOCONTACTNAME"),
];

const SHIP_TO: Names = &[("shipto", "SHIPTO.CONTACTNAME"), ("billto", "BILLTO.CONTACTNAME")];

const fn form(
    function: &'static str,
    verb: Verb,
    object: &'static str,
    key: &'static str,
    header: Names,
) -> Form {
    Form {
        function,
        verb,
        object,
        key,
        header,
        contacts: &[],
        lines: None,
    }
}

static FORMS: &[Form] = &[
    Form {
        contacts: TO,
        lines: Some(Lines {
            container: "invoiceitems",
            collection: "ARINVOICEITEMS",
            object: "ARINVOICEITEM",
            names: LINE,
        }),
        ..form(
            "create_invoice",
            Verb::Create,
            "ARINVOICE",
            "RECORDNO",
            RECEIVABLE,
        )
    },
    Form {
        contacts: TO,
        ..form(
            "update_invoice",
            Verb::Update,
            "ARINVOICE",
            "RECORDNO",
            RECEIVABLE,
        )
    },
    Form {
        lines: Some(Lines {
            container: "aradjustmentitems",
            collection: "ARADJUSTMENTITEMS",
            object: "ARADJUSTMENTITEM",
            names: LINE,
        }),
        ..form(
            "create_aradjustment",
            Verb::Create,
            "ARADJUSTMENT",
            "RECORDNO",
            ADJUSTMENT,
        )
    },
    form(
        "update_aradjustment",
        Verb::Update,
        "ARADJUSTMENT",
        "RECORDNO",
        ADJUSTMENT,
    ),
    form(
        "create_expensereport",
        Verb::Create,
        "EEXPENSES",
        "RECORDNO",
        EXPENSES,
    ),
    form(
        "update_expensereport",
        Verb::Update,
        "EEXPENSES",
        "RECORDNO",
        EXPENSES,
    ),
    Form {
        contacts: SHIP_TO,
        lines: Some(Lines {
            container: "sotransitems",
            collection: "SODOCUMENTENTRIES",
            object: "SODOCUMENTENTRY",
            names: ENTRY,
        }),
        ..form(
            "create_sotransaction",
            Verb::Create,
            "SODOCUMENT",
            "DOCID",
            DOCUMENT,
        )
    },
    Form {
        contacts: SHIP_TO,
        ..form(
            "update_sotransaction",
            Verb::Update,
            "SODOCUMENT",
            "DOCID",
            DOCUMENT,
        )
    },
    form("delete_sotransaction", Verb::Delete, "SODOCUMENT", "DOCID", &[]),
    Form {
        lines: Some(Lines {
            container: "potransitems",
            collection: "PODOCUMENTENTRIES",
            object: "PODOCUMENTENTRY",
            names: ENTRY,
        }),
        ..form(
            "create_potransaction",
            Verb::Create,
            "PODOCUMENT",
            "DOCID",
            DOCUMENT,
        )
    },
    form(
        "update_potransaction",
        Verb::Update,
        "PODOCUMENT",
        "DOCID",
        DOCUMENT,
    ),
];

/// The function of this name, if the simulator serves it.
pub fn find(function: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.function == function)
}

impl Form {
    /// The record that the function's element means. An update empties fields only where it says `set_nulls`.
    pub fn record(&self, node: &Node) -> Node {
        let mut header = mapped(node, self.object, self.header);
        for (place, field) in self.contacts {
            if let Some(name) = node.child(place).and_then(|p| p.child_text("contactname")) {
                header.children.push(leaf(field, name));
            }
        }
        if matches!(self.verb, Verb::Update) && node.attribute("set_nulls") != Some("true") {
            header.children.retain(|child| !child.text.is_empty());
        }
        if let Some(lines) = &self.lines {
            let items = node.child(lines.container).into_iter().flat_map(|i| &i.children);
            header.children.push(Node {
                name: lines.collection.into(),
                children: items
                    .map(|item| mapped(item, lines.object, lines.names))
                    .collect(),
                ..Node::default()
            });
        }
        header
    }
}

/// The amounts of an expense report: its lines are no object of their own here.
pub fn expenses(node: &Node) -> Vec<&str> {
    let lines = node.child("expenses").into_iter().flat_map(|e| &e.children);
    lines.filter_map(|line| line.child_text("amount")).collect()
}

fn mapped(node: &Node, name: &str, names: Names) -> Node {
    let mut out = Node {
        name: name.into(),
        ..Node::default()
    };
    for child in &node.children {
        if let Some((_, field)) = names.iter().find(|(legacy, _)| *legacy == child.name) {
            out.children.push(leaf(field, &text(child)));
        }
        if child.name == "customfields" {
            for custom in &child.children {
                let part = |name| custom.child_text(name).unwrap_or_default();
                out.children
                    .push(leaf(part("customfieldname"), part("customfieldvalue")));
            }
        }
    }
    out
}

/// Plain text, or a nested date as `MM/DD/YYYY`.
fn text(node: &Node) -> String {
    match node.child_text("year") {
        Some(year) => {
            let part = |name| format!("{:0>2}", node.child_text(name).unwrap_or_default());
            format!("{}/{}/{year}", part("month"), part("day"))
        }
        None => node.text.clone(),
    }
}

fn leaf(name: &str, text: &str) -> Node {
    Node {
        name: name.into(),
        text: text.into(),
        ..Node::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_dates_and_custom_fields_become_fields() {
        let node = Node::parse(
            "<create_invoice><customerid>C</customerid><datecreated><year>2024</year><month>6</month><day>30</day></datecreated><customfields><customfield><customfieldname>Job_No</customfieldname><customfieldvalue>7</customfieldvalue></customfield></customfields><invoiceitems><lineitem><glaccountno>4000</glaccountno><amount>1</amount></lineitem></invoiceitems></create_invoice>",
        )
        .unwrap();
        let mut xml = String::new();
        find("create_invoice").unwrap().record(&node).write(&mut xml);
        assert_eq!(
            xml,
            "<ARINVOICE><CUSTOMERID>C</CUSTOMERID><WHENCREATED>06/30/2024</WHENCREATED><Job_No>7</Job_No><ARINVOICEITEMS><ARINVOICEITEM><ACCOUNTNO>4000</ACCOUNTNO><AMOUNT>1</AMOUNT></ARINVOICEITEM></ARINVOICEITEMS></ARINVOICE>"
        );
    }

    #[test]
    fn updates_empty_fields_only_when_they_say_so() {
        let record = |attributes: &str| {
            let text = format!(
                "<update_invoice key=\"1\" {attributes}><description/><ponumber>7</ponumber></update_invoice>"
            );
            find("update_invoice")
                .unwrap()
                .record(&Node::parse(&text).unwrap())
                .children
                .len()
        };
        assert_eq!((record(""), record("set_nulls=\"true\"")), (1, 2));
    }
}
