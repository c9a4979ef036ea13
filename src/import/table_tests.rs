use super::*;
use crate::import::request::WantedObject;
use intacct::{ObjectName, Relationship};

fn field(id: &str, data_type: DataType) -> FieldDefinition {
    FieldDefinition {
        id: id.to_owned(),
        label: format!("{id}\n label"),
        description: String::new(),
        required: id == "CUSTOMERID",
        read_only: id == "RECORDNO",
        data_type,
        valid_values: Vec::new(),
        custom: false,
    }
}

fn relation(path: &str, object: &str, related_by: &str) -> Relationship {
    Relationship {
        path: path.to_owned(),
        object: object.to_owned(),
        label: String::new(),
        kind: "MANY2ONE".to_owned(),
        related_by: related_by.to_owned(),
    }
}

fn object(name: &str, fields: Vec<FieldDefinition>, relationships: Vec<Relationship>) -> Described {
    Described {
        wanted: WantedObject {
            object: ObjectName {
                name: name.to_owned(),
                label: "AR  Invoice".to_owned(),
            },
            table: None,
        },
        definition: ObjectDefinition {
            name: name.to_owned(),
            document_type: String::new(),
            fields,
            relationships,
        },
        related: Vec::new(),
        refused: Vec::new(),
        missing: Vec::new(),
        by_query_string: false,
        settled_key: None,
    }
}

fn made(object: &Described) -> (TableDefinition, Vec<Remark>) {
    table(object, "t".to_owned(), Case::Lower).expect("a table")
}

#[test]
fn types_follow_the_design() {
    let fields = vec![
        field("RECORDNO", DataType::Other("RECORDNO".into())),
        field("T", DataType::Text),
        field("E", DataType::Enum),
        field("S", DataType::Sequence),
        field("I", DataType::Integer),
        field("D", DataType::Decimal),
        field("C", DataType::Currency),
        field("P", DataType::Percent),
        field("B", DataType::Boolean),
        field("DAY", DataType::Date),
        field("AT", DataType::Timestamp),
        field("X", DataType::Other("NEW TYPE".into())),
    ];
    let (table, remarks) = made(&object("O", fields, vec![]));
    let types: Vec<&str> = table.columns.iter().map(|column| column.sql_type).collect();
    assert_eq!(
        types,
        [
            "bigint",
            "text",
            "text",
            "text",
            "bigint",
            "numeric",
            "numeric",
            "numeric",
            "boolean",
            "date",
            "timestamptz",
            "text"
        ]
    );
    // What the planner compares remotely must be spelled as the canonical type.
    assert_eq!(table.columns[0].data_type, "INTEGER");
    assert_eq!(table.columns[11].data_type, "NEW_TYPE");
    assert_eq!(
        remarks,
        [Remark::UnknownType {
            field: "X".into(),
            data_type: "NEW TYPE".into()
        }]
    );
}

#[test]
fn the_row_key_is_recordno_or_id_or_nothing() {
    let key = |name: &str, ids: &[&str]| {
        let fields = ids.iter().map(|id| field(id, DataType::Integer)).collect();
        made(&object(name, fields, vec![])).0.row_key
    };
    assert_eq!(key("CUSTOMER", &["id", "RECORDNO"]), Some("RECORDNO".into()));
    assert_eq!(key("MCA_attendee", &["id", "name"]), Some("id".into()));
    assert_eq!(key("COMPANYPREF", &["APPLICATION"]), None);
    assert_eq!(key("GLDETAIL", &["RECORDNO"]), None);
}

#[test]
fn collisions_and_repetitions() {
    let fields = vec![
        field("A.B", DataType::Text),
        field("A_B", DataType::Text),
        field("A.B", DataType::Text),
        field("XMIN", DataType::Text),
    ];
    let (table, remarks) = made(&object("O", fields, vec![]));
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["a_b", "a_b_2", "xmin_2"]);
    assert_eq!(remarks.len(), 2);
}

#[test]
fn refused_fields_are_left_out_and_nothing_left_is_no_table() {
    let mut refused = object(
        "O",
        vec![field("A", DataType::Text), field("B", DataType::Text)],
        vec![],
    );
    refused.refused = vec!["a".into()];
    assert_eq!(made(&refused).0.columns.len(), 1);
    refused.refused.push("B".into());
    assert!(table(&refused, "t".into(), Case::Lower).is_none());
}

#[test]
fn relations_become_references() {
    let fields = vec![
        field("CUSTOMERID", DataType::Text),
        field("BILLTOKEY", DataType::Integer),
        field("Rsession", DataType::Integer),
        field("TAXID", DataType::Text),
    ];
    let relations = vec![
        relation("CUSTOMER", "CUSTOMER", "CUSTOMERID"),
        relation("BILLTO", "CONTACT", "BILLTOKEY"),
        relation("R_session", "MCA_session", "Rsession"),
        relation("TAX", "UNHEARD", "TAXID"),
    ];
    let (table, _) = made(&object("O", fields, relations));
    let references: Vec<Option<String>> = table
        .columns
        .iter()
        .map(|column| column.references.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(
        references,
        [
            Some("CUSTOMER=CUSTOMER(CUSTOMERID)".to_owned()),
            Some("BILLTO=CONTACT(RECORDNO)".to_owned()),
            Some("R_session=MCA_session(id)".to_owned()),
            None
        ]
    );
}

#[test]
fn related_columns_are_read_only_and_follow_the_own_ones() {
    let mut child = object("ARINVOICE", vec![field("RECORDNO", DataType::Integer)], vec![]);
    child.related = vec![(
        relation("CUSTOMER", "CUSTOMER", "CUSTOMERID"),
        vec![field("CUSTOMERID", DataType::Text)],
    )];
    let (table, _) = made(&child);
    assert!(table.columns[0].key);
    let related = &table.columns[1];
    assert_eq!(
        (related.name.as_str(), related.field.as_str()),
        ("customer_customerid", "CUSTOMER.CUSTOMERID")
    );
    assert!(related.read_only && !related.required && !related.key);
}

#[test]
fn no_table_has_more_columns_than_postgres_takes() {
    let fields = (0..1700)
        .map(|i| field(&format!("F{i}"), DataType::Text))
        .collect();
    let (table, remarks) = made(&object("O", fields, vec![]));
    assert_eq!(table.columns.len(), 1600);
    assert_eq!(remarks, [Remark::TooMany(100)]);
}

#[test]
fn labels_are_one_line() {
    let (table, _) = made(&object("O", vec![field("A", DataType::Text)], vec![]));
    assert_eq!(table.columns[0].label, "A label");
    assert_eq!(table.label, "AR Invoice");
}
