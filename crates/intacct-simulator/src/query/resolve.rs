//! Field paths: found in the catalogue, turned into columns and joins.

use super::Scope;
use crate::catalog::{DataType, Field, Object, Relation};
use crate::settings::{DottedPaths, HiddenParents, OwnedRows, TagCase, UserEntities};
use crate::store::quote;

/// A path that was found.
#[derive(Debug, Clone)]
pub struct Column {
    /// Number of the joined table (0: the object itself).
    pub table: usize,
    /// SQL expression.
    pub sql: String,
    /// Definition.
    pub field: &'static Field,
    /// Element name in rows.
    pub tag: String,
    /// Went through a relation.
    pub dotted: bool,
}

impl Column {
    /// Intacct's type.
    pub fn data_type(&self) -> DataType {
        self.field.data_type
    }
}

#[derive(Debug)]
struct Join {
    parent: usize,
    path: String,
    relation: &'static Relation,
    object: &'static Object,
}

/// Resolves the paths of one request.
#[derive(Debug)]
pub struct Resolver<'a> {
    scope: &'a Scope<'a>,
    object: &'static Object,
    joins: Vec<Join>,
    show_private: bool,
    /// Paths that cannot be queried, as written.
    pub refused: Vec<String>,
}

impl<'a> Resolver<'a> {
    /// For requests on `object`.
    pub fn new(scope: &'a Scope<'a>, object: &'static Object, show_private: bool) -> Self {
        Self {
            scope,
            object,
            joins: Vec::new(),
            show_private,
            refused: Vec::new(),
        }
    }

    /// Finds a path; one that cannot be queried is noted in `refused`.
    pub fn column(&mut self, path: &str) -> Option<Column> {
        let found = self.find(path);
        if found.is_none() && !self.refused.iter().any(|p| p == path) {
            self.refused.push(path.into());
        }
        found
    }

    fn find(&mut self, path: &str) -> Option<Column> {
        // The row id that the store adds is none of the object's fields.
        if let Some(field) = self.object.field(path) {
            return field
                .queryable
                .then(|| self.make(0, field, path, field.name.clone()));
        }
        // TIMESHEET: lookup says LINES#, query wants LINES (fact 64).
        if let Some(field) = self.object.field(&format!("{path}#")) {
            return Some(self.make(0, field, path, path.to_uppercase()));
        }
        let (mut object, mut table, mut rest, mut tag) = (self.object, 0, path, String::new());
        let mut stepped = false;
        while let Some((hop, tail)) = rest.split_once('.') {
            let relation = object.relation(hop)?;
            let target = self.scope.catalog.object(&relation.object)?;
            // One step along a self-hierarchy, and no custom relation between two standard objects (fact 38).
            let again = target.name == object.name && stepped;
            if again || (relation.custom && !object.custom && !target.custom) {
                return None;
            }
            stepped = target.name == object.name;
            tag.push_str(&relation.path);
            tag.push('.');
            table = self.join(table, &tag, relation, target);
            object = target;
            rest = tail;
            if let Some(field) = object.field(rest) {
                tag.push_str(&field.name);
                return field.queryable.then(|| self.make(table, field, path, tag));
            }
        }
        None
    }

    fn make(&self, table: usize, field: &'static Field, path: &str, tag: String) -> Column {
        let tag = match self.scope.readings.tag_case {
            TagCase::Requested => path.to_string(),
            TagCase::Upper => tag.to_uppercase(),
            _ => tag,
        };
        Column {
            table,
            sql: format!("a{table}.{}", quote(&field.name)),
            field,
            tag,
            dotted: table > 0,
        }
    }

    fn join(
        &mut self,
        parent: usize,
        path: &str,
        relation: &'static Relation,
        object: &'static Object,
    ) -> usize {
        if let Some(i) = self.joins.iter().position(|j| j.path.eq_ignore_ascii_case(path)) {
            return i + 1;
        }
        self.joins.push(Join {
            parent,
            path: path.into(),
            relation,
            object,
        });
        self.joins.len()
    }

    /// Names of all tables involved, for cache invalidation.
    pub fn objects(&self) -> Vec<usize> {
        let names = std::iter::once(self.object.name.as_str())
            .chain(self.joins.iter().map(|j| j.object.name.as_str()));
        names.filter_map(|n| self.scope.catalog.position(n)).collect()
    }

    /// The FROM clause: the object as `a0`, joined with what the paths need.
    pub fn from(&self) -> String {
        self.joins_after(&format!("{} AS a0", quote(&self.object.table())))
    }

    /// As [`Self::from`], after a given first item that provides `a0`.
    pub fn joins_after(&self, first: &str) -> String {
        let kind = match self.scope.readings.dotted_paths {
            DottedPaths::Inner => "JOIN",
            _ => "LEFT JOIN",
        };
        let mut sql = first.to_string();
        for (i, join) in self.joins.iter().enumerate() {
            let alias = format!("a{}", i + 1);
            sql.push_str(&format!(
                " {kind} {} AS {alias} ON {alias}.{} = a{}.{}",
                quote(&join.object.table()),
                quote(&join.relation.remote),
                join.parent,
                quote(&join.relation.local)
            ));
            if self.scope.readings.hidden_parents == HiddenParents::Hidden {
                let visible = self.visible(join.object, &alias);
                if !visible.is_empty() {
                    sql.push_str(&format!(" AND {visible}"));
                }
            }
        }
        sql
    }

    /// The condition under which rows are visible to the session; empty when all are.
    pub fn visibility(&self) -> String {
        self.visible(self.object, "a0")
    }

    fn visible(&self, object: &Object, alias: &str) -> String {
        if !object.has_entity() {
            return String::new();
        }
        let shared = format!("{alias}.\"MEGAENTITYID\" IS NULL");
        let entity = match self.scope.location {
            // Seen in the field: an entity session still gets other entities' warehouses (fact 41).
            Some(_) if object.name == "WAREHOUSE" => return String::new(),
            Some(entity) => format!("'{}'", entity.replace('\'', "''")),
            None => {
                let readings = self.scope.readings;
                let shown = match readings.owned_rows {
                    _ if self.show_private => true,
                    OwnedRows::ByObject => !object.master,
                    reading => reading == OwnedRows::Shown,
                };
                let restricted = match readings.user_entities {
                    UserEntities::OneUnlessPrivate => !self.show_private,
                    reading => reading == UserEntities::One,
                };
                match (shown, restricted) {
                    (false, _) => return shared,
                    (true, false) => return String::new(),
                    (true, true) => "(SELECT MIN(\"LOCATIONID\") FROM \"t_LOCATIONENTITY\")".to_owned(),
                }
            }
        };
        format!("({shared} OR {alias}.\"MEGAENTITYID\" = {entity})")
    }
}
