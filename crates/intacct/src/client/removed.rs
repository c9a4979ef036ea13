//! Fields that a query names and the object does not have: what a refusal that names no field mostly comes from.

use super::Client;
use crate::dialect::DialectKind;
use crate::error::classify::DATABASE;
use crate::error::{Error, ErrorKind};
use crate::query::Query;
use crate::schema::ObjectDefinition;
use std::collections::HashMap;

/// Related objects that are looked up for one refusal, at most.
const MOST_LOOKUPS: usize = 8;

impl Client {
    /// A refusal that names no cause, with the fields that the object does not have, if it lacks some: asks for its
    /// definition. Any other error as it is.
    pub(crate) async fn explained(&self, query: &Query, kind: DialectKind, error: Error) -> Error {
        let is_vague = match error.kind() {
            ErrorKind::UnknownFields(fields) => fields.is_empty(),
            ErrorKind::Refused => error
                .gateway_errors()
                .iter()
                .any(|reported| reported.errorno.trim().eq_ignore_ascii_case(DATABASE)),
            _ => false,
        };
        if !is_vague || kind == DialectKind::GetList {
            return error;
        }
        let Ok(definition) = self.lookup(&query.object, query.docparid.as_deref()).await else {
            return error;
        };
        if definition.fields.is_empty() {
            return error;
        }
        let removed = self.removed_fields(query, &definition).await;
        let named: Vec<String> = removed.iter().map(|field| format!("\"{field}\"")).collect();
        let message = match &named[..] {
            [] => return error,
            [field] => format!("object {} has no field {field}", query.object),
            fields => format!("object {} has no fields {}", query.object, fields.join(", ")),
        };
        error
            .with_kind(ErrorKind::UnknownFields(removed))
            .with_message(message)
            .with_hint(
                "The gateway names no field in its refusal; these are not in the object's definition. \
                 sage_intacct.schema_diff() shows what has changed in Intacct since the import, with the statements that \
                 follow it.",
            )
    }

    async fn removed_fields(&self, query: &Query, definition: &ObjectDefinition) -> Vec<String> {
        let selected = query.select.iter().map(|item| item.field());
        let tested = query.filter.iter().flat_map(|filter| filter.fields());
        let ordered = query.order_by.iter().map(|key| key.field.as_str());
        let mut related: HashMap<String, Option<ObjectDefinition>> = HashMap::new();
        let mut removed: Vec<String> = Vec::new();
        for field in selected.chain(tested).chain(ordered) {
            let known = definition.field(field).is_some()
                || removed.iter().any(|gone| gone.eq_ignore_ascii_case(field))
                || self.leads_somewhere(definition, field, &mut related).await;
            if !known {
                removed.push(field.to_owned());
            }
        }
        removed
    }

    /// Whether a path through a relation ends at a field, as far as a look at the first related object shows.
    async fn leads_somewhere(
        &self,
        definition: &ObjectDefinition,
        path: &str,
        related: &mut HashMap<String, Option<ObjectDefinition>>,
    ) -> bool {
        let Some((step, rest)) = path.split_once('.') else {
            return false;
        };
        let relation = definition
            .relationships
            .iter()
            .find(|relation| relation.path.eq_ignore_ascii_case(step));
        let Some(relation) = relation else { return false };
        if !related.contains_key(&relation.object) {
            let parent = match related.len() < MOST_LOOKUPS {
                true => self.lookup(&relation.object, None).await.ok(),
                false => None,
            };
            related.insert(relation.object.clone(), parent);
        }
        match &related[&relation.object] {
            None => true,
            Some(parent) => {
                let goes_on = rest.split_once('.').is_some_and(|(next, _)| {
                    parent
                        .relationships
                        .iter()
                        .any(|relation| relation.path.eq_ignore_ascii_case(next))
                });
                goes_on || parent.field(rest).is_some()
            }
        }
    }
}
