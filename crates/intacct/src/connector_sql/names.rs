//! Names as typed become names as the gateway spells them, with their types.

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::nearest::nearest;
use crate::query::{Condition, Query, SelectItem};
use crate::schema::{DataType, FieldDefinition, ObjectDefinition};
use std::collections::HashMap;
use std::sync::Arc;

/// Relations that a path may go through, at most.
const MAX_STEPS: usize = 8;

/// The fields that a statement names.
#[derive(Clone)]
pub(super) struct Names {
    /// The object that is asked.
    pub object: Arc<ObjectDefinition>,
    /// Type of each path in the gateway's spelling.
    types: HashMap<String, DataType>,
}

impl Names {
    /// Puts the names of a query into the gateway's spelling. `*` stays: see [`Names::all_fields`].
    ///
    /// Fails with [`ErrorKind::UnknownFields`], whose hint names the nearest field that there is.
    pub(super) async fn resolve(
        client: &Client,
        object: Arc<ObjectDefinition>,
        query: &mut Query,
    ) -> Result<Names, Error> {
        let mut names = Names {
            object,
            types: HashMap::new(),
        };
        query.object.clone_from(&names.object.name);
        for item in &mut query.select {
            match item {
                SelectItem::Field(field) | SelectItem::Aggregate { field, .. } => {
                    names.resolve_field(client, field).await?;
                }
            }
        }
        let mut fields: Vec<&mut String> = Vec::new();
        if let Some(filter) = &mut query.filter {
            collect_fields(filter, &mut fields);
        }
        fields.extend(query.order_by.iter_mut().map(|key| &mut key.field));
        for field in fields {
            names.resolve_field(client, field).await?;
        }
        Ok(names)
    }

    /// The type of a path in the gateway's spelling.
    pub(super) fn type_of(&self, path: &str) -> DataType {
        let own = || self.object.fields.iter().find(|field| field.id == path);
        let known = self.types.get(path).cloned();
        known
            .or_else(|| own().map(|field| field.data_type.clone()))
            .unwrap_or_else(|| DataType::Other(String::new()))
    }

    /// What `*` stands for, without the fields that the gateway refused before.
    pub(super) fn all_fields(&self, refused: &[String]) -> Vec<SelectItem> {
        let mut all: Vec<SelectItem> = Vec::with_capacity(self.object.fields.len());
        for field in &self.object.fields {
            let is_refused = refused.iter().any(|name| name.eq_ignore_ascii_case(&field.id));
            if !is_refused && !all.iter().any(|item| item.field() == field.id) {
                all.push(SelectItem::Field(field.id.clone()));
            }
        }
        all
    }

    async fn resolve_field(&mut self, client: &Client, name: &mut String) -> Result<(), Error> {
        if self.types.contains_key(name.as_str()) {
            return Ok(());
        }
        let (path, data_type) = self.find(client, name).await?;
        self.types.insert(path.clone(), data_type);
        *name = path;
        Ok(())
    }

    /// Follows a path, relation by relation.
    async fn find(&self, client: &Client, name: &str) -> Result<(String, DataType), Error> {
        let mut object = Arc::clone(&self.object);
        let mut path = String::new();
        let mut rest = name;
        for _ in 0..MAX_STEPS {
            if let Some(field) = object.field(rest) {
                return Ok((format!("{path}{}", field.id), field.data_type.clone()));
            }
            let relation = rest.split_once('.').and_then(|(step, rest)| {
                let relations = &mut object.relationships.iter();
                let relation = relations.find(|relation| relation.path.eq_ignore_ascii_case(step))?;
                Some((relation, rest))
            });
            let Some((relation, further)) = relation else {
                return Err(self.unknown(client, name, rest, &object));
            };
            path.push_str(&relation.path);
            path.push('.');
            let related = client.definition(&relation.object, None).await?;
            (object, rest) = (related, further);
        }
        Err(self.unknown(client, name, rest, &object))
    }

    fn unknown(&self, client: &Client, name: &str, missing: &str, object: &ObjectDefinition) -> Error {
        let message = match missing == name {
            true => format!("object {} has no field \"{name}\"", self.object.name),
            false => format!(
                "object {} has no field \"{name}\": {} has no \"{missing}\"",
                self.object.name, object.name
            ),
        };
        let fields = object
            .fields
            .iter()
            .map(|field: &FieldDefinition| field.id.as_str());
        let hint = match nearest(missing, fields) {
            Some(near) => format!("Did you mean {}{near}?", &name[..name.len() - missing.len()]),
            None => format!(
                "sage_intacct.describe('...', '{}') lists the fields of the object.",
                object.name
            ),
        };
        Error::new(ErrorKind::UnknownFields(vec![name.to_owned()]), message)
            .with_hint(hint)
            .at(&client.config().company_id, Some(&self.object.name), "lookup", "")
    }
}

/// Every field of a condition, to be changed in place.
fn collect_fields<'a>(condition: &'a mut Condition, found: &mut Vec<&'a mut String>) {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for part in parts {
                collect_fields(part, found);
            }
        }
        Condition::CompareFields { left, right, .. } => found.extend([left, right]),
        Condition::Compare { field, .. }
        | Condition::Between { field, .. }
        | Condition::In { field, .. }
        | Condition::Like { field, .. }
        | Condition::IsNull { field, .. } => found.push(field),
    }
}
