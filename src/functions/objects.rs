//! What a company has: its objects and their fields.

use super::access::callers_client;
use crate::error::{Report, raise};
use crate::io;
use intacct::{Client, ObjectDefinition, ObjectName, nearest};
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

/// The objects of the company, standard and custom, whether or not the user may read them.
#[pg_extern]
fn objects(server: &str) -> TableIterator<'static, (name!(name, String), name!(label, String))> {
    let client = callers_client(server);
    let objects = io::run(move || async move { client.inspect_all().await });
    let objects: Vec<ObjectName> = objects.unwrap_or_else(|error| raise(error));
    TableIterator::new(objects.into_iter().map(|object| (object.name, object.label)))
}

/// The fields of an object, in the gateway's order. The object's name is matched without regard to case.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn describe(
    server: &str,
    object: &str,
) -> TableIterator<
    'static,
    (
        name!(field, String),
        name!(label, String),
        name!(data_type, String),
        name!(required, bool),
        name!(read_only, bool),
        name!(custom, bool),
        name!(valid_values, Option<Vec<String>>),
        name!(relation, Option<String>),
    ),
> {
    let client = callers_client(server);
    let wanted = object.to_owned();
    let found = io::run(move || describe_remotely(client, wanted)).unwrap_or_else(|error| raise(error));
    let definition = match found {
        Found::Definition(definition) => *definition,
        Found::Nothing { nearest } => raise(unknown(object, nearest)),
    };
    let rows: Vec<_> = definition
        .fields
        .iter()
        .map(|field| {
            let relation = definition
                .relationships
                .iter()
                .find(|relation| relation.related_by.eq_ignore_ascii_case(&field.id))
                .map(|relation| format!("{} -> {} ({})", relation.path, relation.object, relation.kind));
            (
                field.id.clone(),
                field.label.clone(),
                field.data_type.name().to_owned(),
                field.required,
                field.read_only,
                field.custom,
                (!field.valid_values.is_empty()).then(|| field.valid_values.clone()),
                relation,
            )
        })
        .collect();
    TableIterator::new(rows)
}

enum Found {
    Definition(Box<ObjectDefinition>),
    Nothing { nearest: Option<String> },
}

async fn describe_remotely(client: Client, wanted: String) -> Result<Found, intacct::Error> {
    let objects = client.inspect_all().await?;
    let exact = objects.iter().find(|object| object.name == wanted);
    let object = exact.or_else(|| {
        objects
            .iter()
            .find(|object| object.name.eq_ignore_ascii_case(&wanted))
    });
    match object {
        Some(object) => {
            let definition = client.lookup(&object.name, None).await?;
            Ok(Found::Definition(Box::new(definition)))
        }
        None => Ok(Found::Nothing {
            nearest: nearest(&wanted, objects.iter().map(|object| object.name.as_str())).map(str::to_owned),
        }),
    }
}

fn unknown(object: &str, nearest: Option<String>) -> Report {
    let report = Report::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        format!("object \"{object}\" does not exist in the company"),
    );
    match nearest {
        Some(name) => report.hint(format!("Did you mean {name}?")),
        None => report.hint("sage_intacct.objects('...') lists the objects of the company."),
    }
}
