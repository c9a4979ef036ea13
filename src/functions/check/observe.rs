//! What the vendor does not document, observed on the company's own rows: the order of text and of NULLs, the fate
//! of groups of NULL, and of rows without a parent. Runs on the I/O thread: nothing here may call PostgreSQL.

use super::outcome::{Step, StepOutcome, StepResult};
use crate::io::Emitter;
use intacct::{
    AggregateFunction, Client, Condition, DataType, DialectKind, DtdVersion, Error, ErrorKind,
    ObjectDefinition, OrderKey, Page, PageRequest, Query, SelectItem,
};
use std::time::Instant;

/// Text whose order is checked: names, as people type them in capitals and in small letters.
pub(super) const NAMES: [(&str, &str); 5] = [
    ("CUSTOMER", "NAME"),
    ("VENDOR", "NAME"),
    ("CONTACT", "CONTACTNAME"),
    ("ITEM", "NAME"),
    ("GLACCOUNT", "TITLE"),
];
/// Objects among whose fields some are set in some rows only.
const OBJECTS: [&str; 4] = ["CUSTOMER", "VENDOR", "ARINVOICE", "PROJECT"];
const SAMPLE_ROWS: u32 = 500;
const SAMPLE_FIELDS: usize = 40;

/// Makes the observations and sends each to the backend.
pub async fn run(client: &Client, server: &str, emitter: &Emitter<StepResult>) {
    if client.config().dtd_version == DtdVersion::V2_1 {
        let steps = [
            Step::TextOrder,
            Step::NullOrder,
            Step::NullGroups,
            Step::DottedPaths,
        ];
        for step in steps {
            let outcome = StepOutcome::open("not checked with dtd_version 2.1");
            emitter
                .send(StepResult {
                    step,
                    outcome,
                    elapsed: None,
                })
                .await;
        }
        return;
    }
    let started = Instant::now();
    let outcome = settle(text_order(client, server).await);
    emitter
        .send(StepResult::timed(Step::TextOrder, started, outcome))
        .await;

    let started = Instant::now();
    let sample = sample(client).await;
    let outcome = match &sample {
        Ok(Some(sample)) => settle(null_order(client, sample).await),
        Ok(None) => StepOutcome::open("no field was found that is set in some rows only"),
        Err(error) => StepOutcome::failed(error.into()),
    };
    emitter
        .send(StepResult::timed(Step::NullOrder, started, outcome))
        .await;
    let Ok(Some(sample)) = sample else { return };

    let started = Instant::now();
    let outcome = settle(null_groups(client, &sample).await);
    emitter
        .send(StepResult::timed(Step::NullGroups, started, outcome))
        .await;

    let started = Instant::now();
    let outcome = settle(dotted_paths(client, &sample, server).await);
    emitter
        .send(StepResult::timed(Step::DottedPaths, started, outcome))
        .await;
}

fn settle(outcome: Result<StepOutcome, Error>) -> StepOutcome {
    outcome.unwrap_or_else(|error| StepOutcome::failed(error.into()))
}

pub(super) async fn page(client: &Client, query: &Query, size: u32) -> Result<Page, Error> {
    let request = PageRequest { size, offset: 0 };
    client.page(query, DialectKind::Query, &request, false).await
}

pub(super) fn fields(object: &str, names: &[&str]) -> Query {
    let mut query = Query::new(object);
    query.missing_as_null = true;
    query.select = names
        .iter()
        .map(|&name| SelectItem::Field(name.to_owned()))
        .collect();
    query
}

/// How a sequence of texts is sorted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TextOrder {
    /// By bytes, and by no other rule.
    Binary,
    /// Not by bytes; the two texts that show it.
    Other(String, String),
    /// The texts would look the same under other rules.
    Open,
}

pub(super) fn judge_text(texts: &[String]) -> TextOrder {
    if let Some(pair) = texts
        .windows(2)
        .find(|pair| pair[0].as_bytes() > pair[1].as_bytes())
    {
        return TextOrder::Other(pair[0].clone(), pair[1].clone());
    }
    // A dictionary looks past capitals and punctuation.
    let key = |text: &String| -> String {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let by_dictionary = texts.windows(2).all(|pair| key(&pair[0]) <= key(&pair[1]));
    if by_dictionary {
        TextOrder::Open
    } else {
        TextOrder::Binary
    }
}

async fn text_order(client: &Client, server: &str) -> Result<StepOutcome, Error> {
    let mut looked_at = 0;
    for (object, field) in NAMES {
        let mut query = fields(object, &[field]);
        query.filter = Some(Condition::IsNull {
            field: field.to_owned(),
            negated: true,
        });
        query.order_by = vec![OrderKey {
            field: field.to_owned(),
            descending: false,
        }];
        let read = match page(client, &query, SAMPLE_ROWS).await {
            Ok(read) => read,
            Err(error) if is_refusal(&error) => continue,
            Err(error) => return Err(error),
        };
        let texts: Vec<String> = (0..read.rows())
            .filter_map(|row| read.cell(row, 0))
            .map(|cell| String::from_utf8_lossy(cell).into_owned())
            .collect();
        looked_at += texts.len();
        match judge_text(&texts) {
            TextOrder::Open => {}
            TextOrder::Binary => {
                let seen = format!("{object}.{field} is in C order ({} texts)", texts.len());
                return Ok(StepOutcome::fine(seen).hint(format!(
                    "If NULLs come last ascending and first descending too, and you assume this for all objects, \
                     ALTER SERVER {server} OPTIONS (ADD ordering 'binary') lets the gateway sort and compare text \
                     of columns with COLLATE \"C\"."
                )));
            }
            TextOrder::Other(first, second) => {
                let seen = format!("not C order: {object}.{field} has \"{first}\" before \"{second}\"");
                return Ok(StepOutcome::fine(seen).hint("Leave the server's option ordering at 'proven'."));
            }
        }
    }
    Ok(StepOutcome::open(format!(
        "undecided: the {looked_at} names read sort alike under either rule"
    )))
}

/// An object and fields of it that are set in some of its rows.
pub(super) struct Sample {
    pub(super) definition: ObjectDefinition,
    /// Fields with the number of different values seen.
    pub(super) partly_set: Vec<(String, usize)>,
}

pub(super) async fn sample(client: &Client) -> Result<Option<Sample>, Error> {
    for object in OBJECTS {
        let definition = match client.lookup(object, None).await {
            Ok(definition) => definition,
            Err(error) if is_refusal(&error) => continue,
            Err(error) => return Err(error),
        };
        let relations = definition
            .relationships
            .iter()
            .map(|relation| relation.related_by.as_str());
        let others = definition
            .fields
            .iter()
            .filter(|field| !field.required && !field.id.contains('.'))
            .filter(|field| !matches!(field.data_type, DataType::Boolean | DataType::Other(_)))
            .map(|field| field.id.as_str());
        let mut names: Vec<&str> = Vec::new();
        for name in relations.chain(others) {
            let known = definition.fields.iter().any(|field| field.id == name);
            if known && !names.contains(&name) && names.len() < SAMPLE_FIELDS {
                names.push(name);
            }
        }
        let partly_set = match partly_set(client, object, names).await {
            Ok(found) => found,
            Err(error) if is_refusal(&error) => continue,
            Err(error) => return Err(error),
        };
        if !partly_set.is_empty() {
            return Ok(Some(Sample {
                definition,
                partly_set,
            }));
        }
    }
    Ok(None)
}

/// The fields that are set in some rows and not in others, fields that the gateway refuses left out.
async fn partly_set(client: &Client, object: &str, names: Vec<&str>) -> Result<Vec<(String, usize)>, Error> {
    let mut names = names;
    let read = loop {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        match page(client, &fields(object, &names), SAMPLE_ROWS).await {
            Ok(read) => break read,
            Err(error) => {
                let before = names.len();
                if let ErrorKind::UnknownFields(refused) = error.kind() {
                    names.retain(|name| !refused.iter().any(|other| other.eq_ignore_ascii_case(name)));
                }
                if names.len() == before {
                    return Err(error);
                }
            }
        }
    };
    let mut found = Vec::new();
    for (column, name) in names.iter().enumerate() {
        let cells: Vec<Option<&[u8]>> = (0..read.rows()).map(|row| read.cell(row, column)).collect();
        if cells.iter().any(Option::is_none) && cells.iter().any(Option::is_some) {
            let distinct: std::collections::HashSet<&[u8]> = cells.into_iter().flatten().collect();
            found.push(((*name).to_owned(), distinct.len()));
        }
    }
    Ok(found)
}

async fn null_order(client: &Client, sample: &Sample) -> Result<StepOutcome, Error> {
    let object = &sample.definition.name;
    let Some((field, _)) = sample.partly_set.first() else {
        return Ok(StepOutcome::open(
            "no field was found that is set in some rows only",
        ));
    };
    let mut first = Vec::new();
    for descending in [false, true] {
        let mut query = fields(object, &[field]);
        query.order_by = vec![OrderKey {
            field: field.clone(),
            descending,
        }];
        let read = page(client, &query, 1).await?;
        first.push(read.rows() > 0 && read.cell(0, 0).is_none());
    }
    let place = |first: bool| if first { "first" } else { "last" };
    let seen = format!(
        "{object}.{field}: NULLs {} ascending, {} descending",
        place(first[0]),
        place(first[1])
    );
    let like_postgres = !first[0] && first[1];
    Ok(StepOutcome::fine(seen).hint(if like_postgres {
        "As in PostgreSQL."
    } else {
        "Not as in PostgreSQL: leave the server's option ordering at 'proven'."
    }))
}

async fn null_groups(client: &Client, sample: &Sample) -> Result<StepOutcome, Error> {
    let object = &sample.definition.name;
    let Some((field, _)) = sample.partly_set.iter().min_by_key(|(_, distinct)| *distinct) else {
        return Ok(StepOutcome::open(
            "no field was found that is set in some rows only",
        ));
    };
    let mut query = fields(object, &[field]);
    query.select.push(SelectItem::Aggregate {
        function: AggregateFunction::Count,
        field: "RECORDNO".to_owned(),
    });
    let read = page(client, &query, 2000).await?;
    let kept = (0..read.rows()).any(|row| read.cell(row, 0).is_none());
    if kept {
        return Ok(StepOutcome::fine(format!(
            "{object}.{field}: the group of NULL is kept"
        )));
    }
    if read.remaining.is_none_or(|remaining| remaining > 0) && read.rows() == 2000 {
        return Ok(StepOutcome::open(format!(
            "undecided: {object}.{field} has too many groups"
        )));
    }
    Ok(
        StepOutcome::fine(format!("{object}.{field}: the group of NULL is left out"))
            .hint("Keep the server's option verify_aggregates on: it detects this."),
    )
}

async fn dotted_paths(client: &Client, sample: &Sample, server: &str) -> Result<StepOutcome, Error> {
    let object = &sample.definition.name;
    let relation = sample.definition.relationships.iter().find(|relation| {
        let many_to_one = matches!(relation.kind.as_str(), "MANY2ONE" | "ONE2ONE");
        many_to_one
            && sample
                .partly_set
                .iter()
                .any(|(field, _)| *field == relation.related_by)
    });
    let Some(relation) = relation else {
        return Ok(StepOutcome::open(format!(
            "undecided: no relation of {object} is empty in some of its rows"
        )));
    };
    let path = format!("{}.RECORDNO", relation.path);
    let mut query = fields(object, &["RECORDNO", &path]);
    query.filter = Some(Condition::IsNull {
        field: relation.related_by.clone(),
        negated: false,
    });
    let read = match page(client, &query, 1).await {
        Ok(read) => read,
        Err(error) if is_refusal(&error) => {
            return Ok(StepOutcome::open(format!(
                "undecided: the gateway refuses {object}.{path}"
            )));
        }
        Err(error) => return Err(error),
    };
    Ok(if read.rows() > 0 {
        StepOutcome::fine(format!(
            "{object}.{path}: rows without a parent are kept (left join)"
        ))
        .hint(format!(
            "ALTER SERVER {server} OPTIONS (ADD push_left_joins 'on') lets LEFT joins be read in one request."
        ))
    } else {
        StepOutcome::fine(format!(
            "{object}.{path}: rows without a parent are left out (inner join)"
        ))
        .hint("Leave the server's option push_left_joins off.")
    })
}

/// Whether another object may still be asked.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Permission | ErrorKind::UnknownObject | ErrorKind::UnknownFields(_) | ErrorKind::Refused
    )
}

#[cfg(test)]
mod tests {
    use super::{TextOrder, judge_text};

    fn judge(texts: &[&str]) -> TextOrder {
        judge_text(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn capitals_before_small_letters_are_c_order() {
        assert_eq!(judge(&["Apple", "Zebra", "apple"]), TextOrder::Binary);
    }

    #[test]
    fn a_dictionary_is_not_c_order() {
        let expected = TextOrder::Other("apple".into(), "Banana".into());
        assert_eq!(judge(&["apple", "Banana", "cherry"]), expected);
    }

    #[test]
    fn what_sorts_alike_either_way_shows_nothing() {
        assert_eq!(judge(&["Apple", "Banana", "Cherry"]), TextOrder::Open);
        assert_eq!(judge(&[]), TextOrder::Open);
    }
}
