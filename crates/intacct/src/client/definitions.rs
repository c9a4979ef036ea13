//! Definitions that a client remembers, so that a statement does not pay for a lookup each time.

use super::Client;
use crate::error::{Error, ErrorKind};
use crate::nearest::nearest;
use crate::schema::ObjectDefinition;
use std::sync::{Arc, PoisonError};

impl Client {
    /// The definition of an object whose name is matched without regard to case; remembered for five minutes.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownObject`], whose hint names the nearest object that there is; what the gateway refuses.
    pub async fn definition(
        &self,
        object: &str,
        docparid: Option<&str>,
    ) -> Result<Arc<ObjectDefinition>, Error> {
        let key = (object.to_owned(), docparid.unwrap_or_default().to_owned());
        if let Some(known) = self.known_objects().fresh(&key) {
            return Ok(known.definition);
        }
        // Standard objects are upper case; the list of all objects is only asked for where that finds nothing.
        let standard = object.to_uppercase();
        let definition = match self.lookup_named(&standard, docparid).await {
            Err(error) if matches!(error.kind(), ErrorKind::UnknownObject) => {
                let name = self.spelled(object).await?;
                self.lookup_named(&name, docparid).await?
            }
            ended => ended?,
        };
        let definition = Arc::new(definition);
        self.known_objects().remember(key, Arc::clone(&definition));
        Ok(definition)
    }

    /// As [`definition`](Self::definition), asked for now.
    ///
    /// # Errors
    /// As there.
    pub async fn definition_anew(
        &self,
        object: &str,
        docparid: Option<&str>,
    ) -> Result<Arc<ObjectDefinition>, Error> {
        let key = (object.to_owned(), docparid.unwrap_or_default().to_owned());
        self.known_objects().forget_one(&key);
        self.definition(object, docparid).await
    }

    /// A definition under the name that was asked for: some lookups answer in another case.
    async fn lookup_named(&self, name: &str, docparid: Option<&str>) -> Result<ObjectDefinition, Error> {
        let mut definition = self.lookup_shown(name, docparid).await?;
        name.clone_into(&mut definition.name);
        Ok(definition)
    }

    /// The company's spelling of an object's name.
    async fn spelled(&self, typed: &str) -> Result<String, Error> {
        let objects = self.inspect_all().await?;
        let exact = objects.iter().find(|object| object.name == typed);
        let alike = || {
            objects
                .iter()
                .find(|object| object.name.eq_ignore_ascii_case(typed))
        };
        if let Some(object) = exact.or_else(alike) {
            return Ok(object.name.clone());
        }
        let error = Error::new(
            ErrorKind::UnknownObject,
            format!("object \"{typed}\" does not exist in the company"),
        );
        let hint = match nearest(typed, objects.iter().map(|object| object.name.as_str())) {
            Some(name) => format!("Did you mean {name}?"),
            None => {
                "sage_intacct.objects('...', probe => false) lists the objects of the company.".to_owned()
            }
        };
        Err(error
            .with_hint(hint)
            .at(&self.config().company_id, Some(typed), "inspect", ""))
    }

    /// The fields of an object that can be read: those that the gateway refused before are left out.
    pub(crate) fn refused_fields(&self, object: &str, docparid: Option<&str>) -> Vec<String> {
        let key = (object.to_owned(), docparid.unwrap_or_default().to_owned());
        let known = self.known_objects().fresh(&key);
        known.map(|known| known.refused).unwrap_or_default()
    }

    /// Remembers that the gateway does not let these fields be queried.
    pub(crate) fn remember_refused(&self, object: &str, docparid: Option<&str>, fields: &[String]) {
        let key = (object.to_owned(), docparid.unwrap_or_default().to_owned());
        let known = &self.known_objects().definitions;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(&key) {
            known.refused.extend_from_slice(fields);
        }
    }
}
