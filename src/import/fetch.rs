//! Requests of IMPORT FOREIGN SCHEMA: the list of objects, their fields, and one row of each. Runs on the I/O thread:
//! nothing here may call PostgreSQL.

use super::request::{ImportRequest, Stranger, WantedObject, select};
use futures_util::{StreamExt, TryStreamExt, stream};
use intacct::{
    Client, DialectKind, DtdVersion, Error, ErrorKind, FieldDefinition, LegacyObject, ObjectDefinition,
    ObjectName, PageRequest, Query, Relationship, SelectItem, concerns_one_object,
};
use std::collections::{BTreeMap, HashSet};

/// Everything that the gateway returned.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Objects to make tables of.
    pub objects: Vec<Described>,
    /// Objects left out, with the reason.
    pub skipped: Vec<Skipped>,
    /// Names in LIMIT TO that no object has.
    pub strangers: Vec<Stranger>,
}

/// An object to make a table of.
#[derive(Debug, Clone)]
pub struct Described {
    /// The object, and the table's name if the statement spelled one.
    pub wanted: WantedObject,
    /// Its fields and relations.
    pub definition: ObjectDefinition,
    /// Fields of related objects, by relation.
    pub related: Vec<(Relationship, Vec<FieldDefinition>)>,
    /// Fields that `lookup` lists and `query` refuses.
    pub refused: Vec<String>,
    /// Fields whose element is missing in the row that was asked for.
    pub missing: Vec<String>,
    /// `query` refuses the object, and `readByQuery` answers.
    pub by_query_string: bool,
    /// The function that reads it identifies its rows by this field, whatever the definition holds.
    pub settled_key: Option<&'static str>,
}

/// An object left out.
#[derive(Debug)]
pub struct Skipped {
    /// Its name.
    pub object: String,
    /// Why.
    pub reason: Reason,
}

/// Why an object was left out.
#[derive(Debug)]
pub enum Reason {
    /// The gateway refuses it.
    Refused(Error),
    /// It is the company's own, and `import_custom` is off.
    Custom,
}

/// Asks for what the statement wants, with at most as many requests at once as the server allows.
pub async fn fetch(client: Client, request: ImportRequest) -> Result<Fetched, Error> {
    let (wanted, strangers) = select(&request, objects(&client).await?);
    let mut fetched = Fetched {
        strangers,
        ..Fetched::default()
    };
    let width = client.config().max_concurrency.max(1);

    let lookups = stream::iter(wanted).map(|wanted| describe(&client, &request, wanted));
    let described: Vec<Result<Described, Skipped>> = lookups.buffered(width).try_collect().await?;
    let mut objects = keep(described, &mut fetched.skipped);

    // The older version has no paths to related objects.
    if request.related && client.config().dtd_version == DtdVersion::V3_0 {
        let parents = parents(&client, &objects, width).await?;
        for object in &mut objects {
            add_related(object, &parents, request.custom);
        }
    }
    // What a 2.1 server shows is known.
    if request.probe && client.config().dtd_version == DtdVersion::V3_0 {
        let probes = stream::iter(objects).map(|object| probe(&client, &request, object));
        let probed: Vec<Result<Described, Skipped>> = probes.buffered(width).try_collect().await?;
        objects = keep(probed, &mut fetched.skipped);
    }
    fetched.objects = objects;
    Ok(fetched)
}

/// The objects of the company; of a 2.1 server those that 2.1 shows.
async fn objects(client: &Client) -> Result<Vec<ObjectName>, Error> {
    let legacy = client.config().dtd_version == DtdVersion::V2_1;
    match client.inspect_all().await {
        Ok(mut objects) => {
            objects.retain(|object| !legacy || LegacyObject::find(&object.name).is_some());
            Ok(objects)
        }
        Err(error) if client.lacks_metadata(&error) => {
            Ok(LegacyObject::all().iter().map(LegacyObject::listed).collect())
        }
        Err(error) => Err(error),
    }
}

fn keep(results: Vec<Result<Described, Skipped>>, skipped: &mut Vec<Skipped>) -> Vec<Described> {
    let mut kept = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(object) => kept.push(object),
            Err(left_out) => skipped.push(left_out),
        }
    }
    kept
}

/// The company's own objects have no RECORDNO, but an `id`; or a name with small letters in it.
fn is_custom(definition: &ObjectDefinition) -> bool {
    let has = |name: &str| definition.fields.iter().any(|field| field.id == name);
    definition.name.chars().any(char::is_lowercase) || (has("id") && !has("RECORDNO"))
}

async fn describe(
    client: &Client,
    request: &ImportRequest,
    wanted: WantedObject,
) -> Result<Result<Described, Skipped>, Error> {
    let object = wanted.object.name.clone();
    let mut definition = match client.lookup_shown(&object, None).await {
        Ok(definition) => definition,
        Err(error) if concerns_one_object(&error) => {
            let reason = Reason::Refused(error);
            return Ok(Err(Skipped { object, reason }));
        }
        Err(error) => return Err(error),
    };
    // The name as `inspect` spells it: some lookups answer in another case.
    definition.name.clone_from(&object);
    if !request.custom {
        if is_custom(&definition) {
            let reason = Reason::Custom;
            return Ok(Err(Skipped { object, reason }));
        }
        definition.fields.retain(|field| !field.custom);
    }
    let settled_key = DialectKind::for_version(client.config().dtd_version).settled_key(&object);
    Ok(Ok(Described {
        wanted,
        definition,
        related: Vec::new(),
        refused: Vec::new(),
        missing: Vec::new(),
        by_query_string: false,
        settled_key,
    }))
}

/// Whether a relation leads to one row, so that its fields can be columns.
pub fn leads_to_one(relation: &Relationship) -> bool {
    matches!(relation.kind.as_str(), "MANY2ONE" | "ONE2ONE")
}

/// Definitions of the objects that the relations lead to, each asked once.
async fn parents(
    client: &Client,
    objects: &[Described],
    width: usize,
) -> Result<BTreeMap<String, ObjectDefinition>, Error> {
    let mut known: BTreeMap<String, ObjectDefinition> = objects
        .iter()
        .map(|object| (object.definition.name.clone(), object.definition.clone()))
        .collect();
    let mut missing: Vec<String> = objects
        .iter()
        .flat_map(|object| &object.definition.relationships)
        .filter(|relation| leads_to_one(relation) && !known.contains_key(&relation.object))
        .map(|relation| relation.object.clone())
        .collect();
    missing.sort_unstable();
    missing.dedup();
    let lookups = stream::iter(missing).map(|object| async move {
        match client.lookup(&object, None).await {
            Ok(definition) => Ok(Some((object, definition))),
            // A relation to an object that cannot be described has no columns.
            Err(error) if concerns_one_object(&error) => Ok(None),
            Err(error) => Err(error),
        }
    });
    let found: Vec<Option<(String, ObjectDefinition)>> = lookups.buffered(width).try_collect().await?;
    known.extend(found.into_iter().flatten());
    Ok(known)
}

fn add_related(object: &mut Described, parents: &BTreeMap<String, ObjectDefinition>, custom: bool) {
    for relation in &object.definition.relationships {
        let Some(parent) = parents.get(&relation.object) else {
            continue;
        };
        if leads_to_one(relation) {
            let fields = parent.fields.iter().filter(|field| custom || !field.custom);
            object.related.push((relation.clone(), fields.cloned().collect()));
        }
    }
}

/// Asks for one row with every field, and again without those that the gateway refuses.
async fn probe(
    client: &Client,
    request: &ImportRequest,
    mut object: Described,
) -> Result<Result<Described, Skipped>, Error> {
    let mut fields: Vec<String> = paths(&object).map(|(path, ..)| path).collect();
    let page = PageRequest { size: 1, offset: 0 };
    loop {
        let mut query = Query::new(object.definition.name.clone());
        query.select = fields.iter().cloned().map(SelectItem::Field).collect();
        // Whether elements are missing is seen here, and no reason to do without the object.
        query.missing_as_null = true;
        let error = match client.page(&query, DialectKind::Query, &page, false).await {
            Ok(page) => {
                object.missing = page.missing().map(|(_, column)| fields[column].clone()).collect();
                return Ok(Ok(object));
            }
            Err(error) => error,
        };
        let before = fields.len();
        if let ErrorKind::UnknownFields(refused) = error.kind() {
            fields.retain(|field| {
                let out = refused.iter().any(|name| name.eq_ignore_ascii_case(field));
                if out {
                    object.refused.push(field.clone());
                }
                !out
            });
        }
        // A parent that the user may not read must not cost the object itself.
        if fields.len() == before && !object.related.is_empty() && concerns_one_object(&error) {
            let lost = std::mem::take(&mut object.related);
            object
                .refused
                .extend(lost.iter().map(|(relation, _)| format!("{}.*", relation.path)));
            let own = |field: &String| object.definition.fields.iter().any(|own| own.id == *field);
            fields.retain(own);
            continue;
        }
        // Each round drops fields, so the loop ends.
        if fields.is_empty() || fields.len() == before {
            if !concerns_one_object(&error) {
                return Err(error);
            }
            // `readByQuery` cannot request private rows.
            if !request.private && answers_to_query_string(client, &object).await? {
                object.related.clear();
                object.refused.clear();
                object.by_query_string = true;
                return Ok(Ok(object));
            }
            return Ok(Err(Skipped {
                object: object.definition.name,
                reason: Reason::Refused(error),
            }));
        }
    }
}

/// Whether `readByQuery` reads an object that `query` refuses.
async fn answers_to_query_string(client: &Client, object: &Described) -> Result<bool, Error> {
    let mut query = Query::new(object.definition.name.clone());
    let fields = object.definition.fields.iter().map(|field| field.id.clone());
    query.select = fields.map(SelectItem::Field).collect();
    query.missing_as_null = true;
    let page = PageRequest { size: 1, offset: 0 };
    match client.page(&query, DialectKind::ReadByQuery, &page, false).await {
        Ok(_) => Ok(true),
        Err(error) if concerns_one_object(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Every path with its field, and whether the field is the object's own; each path once, since some objects list fields of
/// their parents as their own.
pub fn paths(object: &Described) -> impl Iterator<Item = (String, &FieldDefinition, bool)> {
    let mut seen = HashSet::new();
    let own = object
        .definition
        .fields
        .iter()
        .map(|field| (field.id.clone(), field, true));
    let related = object.related.iter().flat_map(|(relation, fields)| {
        let path = move |field: &FieldDefinition| format!("{}.{}", relation.path, field.id);
        fields.iter().map(move |field| (path(field), field, false))
    });
    own.chain(related)
        .filter(move |(path, ..)| seen.insert(path.to_ascii_uppercase()))
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
