//! What a user can see of a company: which objects, and which entities.

use super::Client;
use crate::dialect::{DialectKind, PageRequest};
use crate::error::{Error, ErrorKind};
use crate::query::{Query, SelectItem};
use crate::schema::Entity;

/// Whether an object can be read.
#[derive(Debug, Clone)]
pub enum Readable {
    /// Yes; so many rows, where the gateway reports it.
    Yes {
        /// Rows that the user sees.
        rows: Option<u64>,
        /// The key is `id`, as that of the company's own objects.
        is_custom: bool,
    },
    /// No, and what the gateway says.
    No(Error),
}

impl Client {
    /// Asks for one row of an object, to learn whether it can be read and how many rows it has: one request, two for
    /// the company's own objects.
    ///
    /// # Errors
    /// What keeps an answer from arriving; a refusal is an answer.
    pub async fn survey(&self, object: &str, show_private: bool) -> Result<Readable, Error> {
        let kind = DialectKind::for_version(self.config().dtd_version);
        let page = PageRequest { size: 1, offset: 0 };
        let mut refusal = None;
        let keys = match kind.settled_key(object) {
            Some(key) => vec![(key, false)],
            None => vec![("RECORDNO", false), ("id", true)],
        };
        for (field, is_custom) in keys {
            let mut query = Query::new(object);
            query.select = vec![SelectItem::Field(field.to_owned())];
            query.show_private = show_private && kind.capabilities().show_private;
            // Only how many there are is wanted.
            query.missing_as_null = true;
            match self.page(&query, kind, &page, false).await {
                Ok(page) => {
                    let rows = page.total_count;
                    return Ok(Readable::Yes { rows, is_custom });
                }
                Err(error) if matches!(error.kind(), ErrorKind::UnknownFields(_)) => {
                    refusal.get_or_insert(error);
                }
                Err(error) if concerns_one_object(&error) => {
                    return self.survey_by_query_string(&query, kind, error).await;
                }
                Err(error) => return Err(error),
            }
        }
        let error = refusal.unwrap_or_else(|| Error::new(ErrorKind::Internal, "no field was asked for"));
        self.survey_other(object, kind, show_private, error).await
    }

    /// As [`survey`](Self::survey), for objects that `query` refuses: some answer to `readByQuery`, which has no way
    /// to request private rows.
    async fn survey_by_query_string(
        &self,
        query: &Query,
        kind: DialectKind,
        refusal: Error,
    ) -> Result<Readable, Error> {
        if kind != DialectKind::Query || query.show_private {
            return Ok(Readable::No(refusal));
        }
        let page = PageRequest { size: 1, offset: 0 };
        match self.page(query, DialectKind::ReadByQuery, &page, false).await {
            Ok(page) => Ok(Readable::Yes {
                rows: page.total_count,
                is_custom: false,
            }),
            Err(error) if concerns_one_object(&error) => Ok(Readable::No(refusal)),
            Err(error) => Err(error),
        }
    }

    /// As [`survey`](Self::survey), for objects that have neither of the usual keys.
    async fn survey_other(
        &self,
        object: &str,
        kind: DialectKind,
        show_private: bool,
        refusal: Error,
    ) -> Result<Readable, Error> {
        let definition = match self.lookup(object, None).await {
            Ok(definition) => definition,
            Err(error) if concerns_one_object(&error) => return Ok(Readable::No(error)),
            Err(error) => return Err(error),
        };
        let Some(field) = definition.fields.first() else {
            return Ok(Readable::No(refusal));
        };
        let mut query = Query::new(object);
        query.select = vec![SelectItem::Field(field.id.clone())];
        query.show_private = show_private && kind.capabilities().show_private;
        query.missing_as_null = true;
        let page = PageRequest { size: 1, offset: 0 };
        match self.page(&query, kind, &page, false).await {
            Ok(page) => Ok(Readable::Yes {
                rows: page.total_count,
                is_custom: false,
            }),
            Err(error) if concerns_one_object(&error) => Ok(Readable::No(error)),
            Err(error) => Err(error),
        }
    }

    /// The entities that the user may sign in at.
    ///
    /// # Errors
    /// What the gateway refuses, and what keeps its answer from arriving: see [`ErrorKind`](crate::ErrorKind).
    pub async fn entities(&self) -> Result<Vec<Entity>, Error> {
        let data = self
            .data("readEntityDetails", None, "<readEntityDetails/>".into())
            .await?;
        Ok(data.children_named("entity").map(Entity::read).collect())
    }
}

/// Whether an error is about this object alone, so that the others can still be looked at.
pub fn concerns_one_object(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Permission
            | ErrorKind::UnknownObject
            | ErrorKind::UnknownFields(_)
            | ErrorKind::Refused
            | ErrorKind::Unsupported
    )
}
