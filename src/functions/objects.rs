//! `objects`, `fields`, `entities`: what a company has.

use super::access::{callers_client, usable_server};
use crate::error::raise;
use crate::{io, options};
use futures_util::StreamExt;
use intacct::{Client, Entity, Error, ObjectName, Readable};
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

/// Objects that may wait for the backend.
const QUEUED: usize = 64;

/// An object, and what was found out about it.
struct Found {
    object: ObjectName,
    readable: Option<Readable>,
}

/// The objects of the company, standard and custom.
///
/// With `probe`, each is asked for one row, to determine whether the user may read it and how many rows it has: one
/// request for each object. Without, one request lists them all, and those columns are NULL.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn objects(
    server: &str,
    probe: default!(bool, true),
) -> TableIterator<
    'static,
    (
        name!(name, String),
        name!(label, String),
        name!(custom, bool),
        name!(readable, Option<bool>),
        name!(rows, Option<i64>),
    ),
> {
    let show_private = options::server(usable_server(server))
        .unwrap_or_else(|error| raise(error))
        .show_private;
    let client = callers_client(server);
    let found = io::stream(QUEUED, move |emitter| async move {
        list(client, probe, show_private, async |found| {
            emitter.send(found).await
        })
        .await
    });
    let mut found = found.unwrap_or_else(|error| raise(error));
    let next = move || found.next().unwrap_or_else(|error| raise(error));
    TableIterator::new(std::iter::from_fn(next).map(|Found { object, readable }| {
        let has_small_letters = object.name.chars().any(char::is_lowercase);
        let (readable, rows, has_own_key) = match readable {
            None => (None, None, false),
            Some(Readable::No(_)) => (Some(false), None, false),
            Some(Readable::Yes { rows, is_custom }) => {
                let rows = rows.and_then(|rows| i64::try_from(rows).ok());
                (Some(true), rows, is_custom)
            }
        };
        let custom = has_small_letters || has_own_key;
        (object.name, object.label, custom, readable, rows)
    }))
}

/// Hands out the objects in the gateway's order, with at most as many requests at once as the server allows.
async fn list(
    client: Client,
    probe: bool,
    show_private: bool,
    emit: impl AsyncFn(Found) -> bool,
) -> Result<(), Error> {
    let objects = client.inspect_all().await?;
    let width = client.config().max_concurrency.max(1);
    let client = &client;
    let mut found = futures_util::stream::iter(objects)
        .map(|object| async move {
            let readable = match probe {
                true => Some(client.survey(&object.name, show_private).await?),
                false => None,
            };
            Ok::<Found, Error>(Found { object, readable })
        })
        .buffered(width);
    while let Some(found) = found.next().await {
        if !emit(found?).await {
            break;
        }
    }
    Ok(())
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
    let definition = io::run(move || async move { client.definition_anew(&wanted, None).await })
        .unwrap_or_else(|error| raise(error));
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

/// The entities of the company that the user may sign in at, by the option `location_id`.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn entities(
    server: &str,
) -> TableIterator<
    'static,
    (
        name!(id, String),
        name!(name, String),
        name!(recordno, Option<i64>),
        name!(currency, Option<String>),
        name!(first_fiscal_month, Option<String>),
        name!(first_tax_month, Option<String>),
        name!(week_start, Option<String>),
    ),
> {
    let client = callers_client(server);
    let entities = io::run(move || async move { client.entities().await });
    let entities: Vec<Entity> = entities.unwrap_or_else(|error| raise(error));
    let some = |text: String| (!text.is_empty()).then_some(text);
    TableIterator::new(entities.into_iter().map(move |entity| {
        (
            entity.id,
            entity.name,
            entity.record_no.parse().ok(),
            some(entity.currency),
            some(entity.first_fiscal_month),
            some(entity.first_tax_month),
            some(entity.week_start),
        )
    }))
}
