//! What a client remembers of its company: definitions, so that a statement does not pay for a lookup each time, and
//! which rows of entities a direct query shows, and which texts groups had.

use crate::query::Query;
use crate::schema::ObjectDefinition;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// Fields of which texts are kept at most, under conditions.
const MOST_FIELDS: usize = 100;

/// Rows of a query as far as they have the same texts: object, its document type, private rows, condition; and the field.
type Texts = (String, Option<String>, bool, String, String);

/// The texts that the keys of groups had, in their order. They say what is tried first, and prove nothing.
#[derive(Debug, Default)]
pub(crate) struct KnownTexts {
    texts: Mutex<HashMap<Texts, Arc<Vec<String>>>>,
    suggested: Mutex<HashSet<Texts>>,
}

impl KnownTexts {
    /// Those of a field in these rows, or in all rows of the object.
    pub(crate) fn of(&self, rows: &Query, field: &str) -> Option<Arc<Vec<String>>> {
        let texts = self.lock();
        let known = texts.get(&place(rows, field, true));
        known.or_else(|| texts.get(&place(rows, field, false))).cloned()
    }

    /// Keeps what the keys of all groups of these rows were.
    pub(crate) fn note(&self, rows: &Query, field: &str, found: Vec<String>) {
        let mut texts = self.lock();
        if texts.len() >= MOST_FIELDS {
            texts.retain(|(.., condition, _), _| condition.is_empty());
        }
        texts.insert(place(rows, field, true), in_order(found));
    }

    /// Takes what the keys may be in all rows of the object, unless they are known; the first time only.
    pub(crate) fn suggest(&self, rows: &Query, field: &str, texts: impl FnOnce() -> Option<Vec<String>>) {
        let place = place(rows, field, false);
        let mut suggested = self.suggested.lock().unwrap_or_else(PoisonError::into_inner);
        if suggested.insert(place.clone())
            && self.of(rows, field).is_none()
            && let Some(texts) = texts()
        {
            self.lock().insert(place, in_order(texts));
        }
    }

    /// Lets go of texts that were not all.
    pub(crate) fn forget_of(&self, rows: &Query, field: &str) {
        let mut texts = self.lock();
        texts.remove(&place(rows, field, true));
        texts.remove(&place(rows, field, false));
    }

    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Texts, Arc<Vec<String>>>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_order(mut texts: Vec<String>) -> Arc<Vec<String>> {
    texts.sort_unstable();
    Arc::new(texts)
}

/// Where the texts of a field are kept: of rows under this condition, or of all.
fn place(rows: &Query, field: &str, conditioned: bool) -> Texts {
    let condition = rows.filter.as_ref().filter(|_| conditioned);
    (
        rows.object.to_ascii_uppercase(),
        rows.docparid.clone(),
        rows.show_private,
        condition.map(ToString::to_string).unwrap_or_default(),
        field.to_ascii_uppercase(),
    )
}
