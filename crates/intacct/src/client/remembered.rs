//! What a client remembers of its company: definitions, so that a statement does not pay for a lookup each time, and
//! which rows of entities a direct query shows.

use crate::schema::ObjectDefinition;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so long a definition is asked for anew: administrators add fields at any time.
const FRESH: Duration = Duration::from_secs(300);

/// An object as typed and the transaction definition.
pub(super) type Key = (String, String);

/// What is known of the objects of a company.
#[derive(Debug, Default)]
pub(crate) struct KnownObjects {
    pub(super) definitions: Mutex<HashMap<Key, KnownObject>>,
}

#[derive(Debug, Clone)]
pub(super) struct KnownObject {
    asked: Instant,
    pub(super) definition: Arc<ObjectDefinition>,
    /// Fields that `lookup` lists and `query` refuses.
    pub(super) refused: Vec<String>,
}

impl KnownObjects {
    pub(super) fn fresh(&self, key: &Key) -> Option<KnownObject> {
        let definitions = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = definitions.get(key);
        known.filter(|known| known.asked.elapsed() < FRESH).cloned()
    }

    pub(super) fn remember(&self, key: Key, definition: Arc<ObjectDefinition>) {
        let known = KnownObject {
            asked: Instant::now(),
            definition,
            refused: Vec::new(),
        };
        let mut definitions = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        definitions.insert(key, known);
    }

    pub(super) fn forget_one(&self, key: &Key) {
        let mut definitions = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        definitions.remove(key);
    }

    pub(crate) fn forget(&self) {
        let mut definitions = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        definitions.clear();
    }
}

/// After this time an object of which nothing could be proven is asked again.
const UNDECIDED_FOR: Duration = Duration::from_secs(300);

/// What becomes of rows whose parent belongs to an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum OwnedRows {
    /// A direct query does not show such parents, so the rows are left out.
    Hidden,
    /// A direct query shows all such parents, so the rows stay.
    Shown,
}

/// What is known of the rows of an object that entities own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownForm {
    Holds(OwnedRows),
    Undecided,
}

/// What a client has found out, by object and whether private rows were asked for. It says what is tried first, and
/// proves nothing.
#[derive(Debug, Default)]
pub(crate) struct KnownOwned {
    objects: Mutex<HashMap<(String, bool), (KnownForm, Instant)>>,
}

impl KnownOwned {
    pub(crate) fn of(&self, object: &str, show_private: bool) -> Option<KnownForm> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, at) = objects.get(&(object.to_ascii_uppercase(), show_private))?;
        (*known != KnownForm::Undecided || at.elapsed() < UNDECIDED_FOR).then_some(*known)
    }

    pub(crate) fn note(&self, object: &str, show_private: bool, known: KnownForm) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(
            (object.to_ascii_uppercase(), show_private),
            (known, Instant::now()),
        );
    }

    pub(crate) fn forget(&self) {
        self.objects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
