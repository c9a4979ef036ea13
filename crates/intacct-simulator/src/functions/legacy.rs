//! Legacy creates in terms of the generic objects: `create_invoice` is an ARINVOICE with ARINVOICEITEM lines.

use crate::envelope::Node;

/// Header elements and the fields they fill.
const HEADER: &[(&str, &str)] = &[
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

/// Line elements and the fields they fill.
const LINE: &[(&str, &str)] = &[
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

/// The ARINVOICE that a `create_invoice` means.
pub fn invoice(node: &Node) -> Node {
    let mut header = mapped(node, "ARINVOICE", HEADER);
    for (place, field) in [
        ("billto", "BILLTOPAYTOCONTACTNAME"),
        ("shipto", "SHIPTORETURNTOCONTACTNAME"),
    ] {
        if let Some(name) = node.child(place).and_then(|p| p.child_text("contactname")) {
            header.children.push(leaf(field, name));
        }
    }
    let mut lines = Node {
        name: "ARINVOICEITEMS".into(),
        ..Node::default()
    };
    let items = node.child("invoiceitems").into_iter().flat_map(|i| &i.children);
    lines
        .children
        .extend(items.map(|item| mapped(item, "ARINVOICEITEM", LINE)));
    header.children.push(lines);
    header
}

fn mapped(node: &Node, name: &str, names: &[(&str, &str)]) -> Node {
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
        invoice(&node).write(&mut xml);
        assert_eq!(
            xml,
            "<ARINVOICE><CUSTOMERID>C</CUSTOMERID><WHENCREATED>06/30/2024</WHENCREATED><Job_No>7</Job_No><ARINVOICEITEMS><ARINVOICEITEM><ACCOUNTNO>4000</ACCOUNTNO><AMOUNT>1</AMOUNT></ARINVOICEITEM></ARINVOICEITEMS></ARINVOICE>"
        );
    }
}
