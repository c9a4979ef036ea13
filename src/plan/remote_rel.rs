//! Remote relation of a pushed aggregate or join: one object, and those that its many-to-one relations lead to.
//!
//! Everything in here must be exact: what is read through a path is not rechecked.

use super::nodes::unrelabelled;
use super::qual::{Params, TranslationCache, Translator};
use super::relation::{RelationState, state};
use crate::catalog::{Column, ForeignTable, ValueClass};
use crate::options::Entities;
use intacct::query::text;
use intacct::{Condition, Doubts, OwnedParent, OwnedRows};
use pgrx::{PgList, is_a, pg_sys};
use std::borrow::Cow;

/// One relation of the query within a source.
#[derive(Clone)]
pub struct RelMember<'a> {
    /// Its place in the query.
    pub relid: pg_sys::Index,
    /// Its table.
    pub table: &'a ForeignTable,
    /// What its conditions were translated to.
    known: &'a TranslationCache,
    /// The path that leads to it from the object that is asked; empty for that object itself.
    pub path: String,
    /// The statement's conditions on it alone.
    restrictions: *mut pg_sys::List,
    /// What makes sure that the path shows just the rows of the table, but for those that entities own.
    proofs: Vec<Condition>,
    /// What the path may show all the same.
    beyond: Beyond,
    /// A row of the object that is asked may have none of it.
    optional: bool,
}

/// A many-to-one relation between two members.
pub struct Relation {
    /// The member that has the reference.
    pub child: pg_sys::Index,
    /// The path to the parent, from the object that is asked.
    pub path: String,
    /// The parent's field that is referred to.
    pub key: String,
}

impl RelMember<'_> {
    /// Whether a row of the object that is asked may have none of it.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// A field of the member, as the object that is asked names it.
    pub fn field(&self, field: &str) -> String {
        if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.path)
        }
    }
}

/// A column as the object that is asked names it.
pub struct RemoteField<'a, 's> {
    /// Where it is.
    pub member: &'s RelMember<'a>,
    /// Its path from that object.
    pub field: String,
    /// The column.
    pub column: &'a Column,
    /// How its values compare.
    pub class: ValueClass,
}

impl RemoteField<'_, '_> {
    /// Whether it is of the object that is asked, and not of one that a path leads to.
    pub fn is_own(&self) -> bool {
        self.member.path.is_empty()
    }

    /// Whether it may be null: on a path no constraint is declared.
    pub fn is_nullable(&self) -> bool {
        !self.column.not_null || !self.is_own()
    }
}

/// The relations that one request can read together; the first is the object that is asked.
#[derive(Clone)]
pub struct RemoteRel<'a> {
    /// The relations.
    pub members: Vec<RelMember<'a>>,
    /// Whether conditions may be sent.
    pub push_where: bool,
}

impl<'a> RemoteRel<'a> {
    /// The source of a relation; none when it is not one table of ours, or not tables that one request can read. A partition,
    /// and a join of partitions, is read as any other.
    ///
    /// # Safety
    /// `rel` must be a relation of the current planning that belongs to this wrapper.
    pub unsafe fn of(root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo) -> Option<RemoteRel<'a>> {
        // SAFETY: same contract as this function.
        unsafe { RemoteRel::seen(root, rel) }.map(Cow::into_owned)
    }

    /// As [`of`](Self::of), to look at: joins are tried in every order.
    ///
    /// # Safety
    /// As [`of`](Self::of).
    pub unsafe fn seen(
        root: *mut pg_sys::PlannerInfo,
        rel: *mut pg_sys::RelOptInfo,
    ) -> Option<Cow<'a, RemoteRel<'a>>> {
        use pg_sys::RelOptKind::{
            RELOPT_BASEREL, RELOPT_JOINREL, RELOPT_OTHER_JOINREL, RELOPT_OTHER_MEMBER_REL,
        };
        // SAFETY: the caller guarantees valid planner or executor nodes. The state of a parent of other tables is not ours.
        unsafe {
            if (*rel).fdw_private.is_null() || !(*rel).lateral_relids.is_null() {
                return None;
            }
            match (*rel).reloptkind {
                RELOPT_JOINREL | RELOPT_OTHER_JOINREL => joined(rel).map(Cow::Borrowed),
                RELOPT_BASEREL | RELOPT_OTHER_MEMBER_REL => RemoteRel::table_of(root, rel).map(Cow::Owned),
                _ => None,
            }
        }
    }

    /// One table.
    unsafe fn table_of(
        root: *mut pg_sys::PlannerInfo,
        rel: *mut pg_sys::RelOptInfo,
    ) -> Option<RemoteRel<'a>> {
        // SAFETY: the caller guarantees a base relation, and nodes of the current planning.
        unsafe {
            if !(*rel).lateral_relids.is_null() {
                return None;
            }
            let entry = *(*root).simple_rte_array.add((*rel).relid as usize);
            if (*entry).inh {
                return None;
            }
            let RelationState {
                table, push, known, ..
            } = state(rel);
            Some(RemoteRel {
                members: vec![RelMember {
                    relid: (*rel).relid,
                    table,
                    known,
                    path: String::new(),
                    restrictions: (*rel).baserestrictinfo,
                    proofs: table.options.filter.clone().into_iter().collect(),
                    beyond: Beyond::Nothing,
                    optional: false,
                }],
                push_where: push.where_,
            })
        }
    }

    /// This source with `parent` reached over `hop`; none when the rows might not be those of a join.
    ///
    /// With `left`, rows without a parent stay: then no condition on the parent may be pushed down.
    pub fn with_parent(mut self, parent: RemoteRel<'a>, hop: Relation, left: bool) -> Option<RemoteRel<'a>> {
        let (table, base) = (self.table(), parent.table());
        let child = self.members.iter().find(|member| member.relid == hop.child)?;
        let capabilities = table.dialect().capabilities();
        let alike = table.server_oid == base.server_oid
            && table.dialect() == base.dialect()
            && table.show_private() == base.show_private()
            && base.options.docparid.is_none()
            && capabilities.dotted
            && capabilities.operators.is_null
            && capabilities.operators.is_not_null;
        // At an entity, what a path shows of other entities is not known (fact 41).
        let at_entity = table.server.location_id.is_some();
        // The gateway follows a hierarchy for one step.
        let own_kind =
            |a: &ForeignTable, b: &ForeignTable| a.options.object.eq_ignore_ascii_case(&b.options.object);
        let deep = !child.path.is_empty() && own_kind(child.table, base);
        // Pages of rows that have no key can only be distinguished by all that the object has, and a join reads less.
        let keyed = table.options.row_key.is_some();
        if !keyed || !alike || at_entity || deep || child.optional || !self.push_where {
            return None;
        }
        for member in parent.members {
            let is_base = member.path.is_empty();
            let beyond = match is_base {
                true => beyond(member.table)?,
                false => member.beyond,
            };
            if left {
                let bare = is_base && member.restrictions.is_null() && member.proofs.is_empty();
                if !bare || !table.server.push_left_joins {
                    return None;
                }
            }
            if own_kind(member.table, table) && !is_base {
                return None;
            }
            let mut proofs: Vec<_> = member
                .proofs
                .into_iter()
                .map(|proof| under(&hop.path, proof))
                .collect();
            if is_base && !left {
                proofs.push(Condition::IsNull {
                    field: format!("{}.{}", hop.path, hop.key),
                    negated: true,
                });
            }
            let path = if is_base {
                hop.path.clone()
            } else {
                format!("{}.{}", hop.path, member.path)
            };
            self.members.push(RelMember {
                path,
                proofs,
                beyond,
                optional: member.optional || left,
                ..member
            });
        }
        Some(self)
    }

    /// The condition that keeps exactly the rows of the source; the outer option: whether there is one that is
    /// sure to.
    ///
    /// # Safety
    /// `root` must be of the current planning.
    pub unsafe fn whole(
        &self,
        root: *mut pg_sys::PlannerInfo,
        params: &mut Params,
    ) -> Option<Option<Condition>> {
        let mut whole = None;
        for member in &self.members {
            for proof in &member.proofs {
                let mut representable = true;
                proof.visit(&mut |part| representable &= !matches!(part, Condition::CompareFields { .. }));
                if !representable {
                    return None;
                }
                whole = Some(Condition::and(whole, proof.clone()));
            }
            // SAFETY: restrictions of relations of this planning.
            whole = unsafe { self.exact(root, member, whole, params) }?;
        }
        Some(whole)
    }

    /// Any column of the members, whatever its type.
    ///
    /// # Safety
    /// `expression` must be a valid expression node of the current planning.
    pub unsafe fn any_column<'s>(
        &'s self,
        expression: *mut pg_sys::Node,
    ) -> Option<(&'s RelMember<'a>, &'a Column)> {
        // SAFETY: the node's type is checked before the cast.
        unsafe {
            if expression.is_null() || !is_a(expression, pg_sys::NodeTag::T_Var) {
                return None;
            }
            let var = expression.cast::<pg_sys::Var>();
            if (*var).varlevelsup != 0 {
                return None;
            }
            let relid = (*var).varno as u32;
            let member = self.members.iter().find(|member| member.relid == relid)?;
            Some((member, member.table.column((*var).varattno)?))
        }
    }

    /// The table of the object that is asked.
    pub fn table(&self) -> &'a ForeignTable {
        self.members[0].table
    }

    /// Which of the relations, counted from the lowest, is the object that is asked.
    pub fn relation(&self) -> u16 {
        let asked = self.members[0].relid;
        let below = self.members.iter().filter(|member| member.relid < asked);
        below.count() as u16
    }

    /// What execution must settle before rows under `condition` are those that SQL wants: which rows of parents that entities
    /// own are shown, and whether texts that are compared have blanks at their edges.
    pub fn doubts(&self, condition: Option<&Condition>) -> Doubts {
        let parents = self.members.iter().filter_map(|member| {
            let Beyond::Owned(form) = member.beyond else {
                return None;
            };
            Some(OwnedParent {
                path: member.path.clone(),
                object: member.table.options.object.clone(),
                row_key: member.table.options.row_key.clone()?,
                first: match member.optional {
                    true => OwnedRows::Shown,
                    false => form,
                },
                optional: member.optional,
            })
        });
        Doubts {
            row_key: self.row_key().unwrap_or_default().to_owned(),
            parents: parents.collect(),
            texts: condition
                .map(|condition| text::fields_in_doubt(condition, |field| self.is_free_text(field)))
                .unwrap_or_default(),
        }
    }

    /// How the values of a field compare, which the object that is asked names so.
    pub fn class_of(&self, field: &str) -> Option<ValueClass> {
        let own = |member: &RelMember<'a>| match member.path.is_empty() {
            true => member.table.column_of_field(field)?.class,
            false => {
                let own = field.strip_prefix(&member.path)?.strip_prefix('.')?;
                member.table.column_of_field(own)?.class
            }
        };
        self.members.iter().find_map(own)
    }

    /// Whether a field, as the object that is asked names it, is a column of text whose values the company does not list.
    fn is_free_text(&self, field: &str) -> bool {
        self.members.iter().any(|member| {
            let own = match member.path.is_empty() {
                true => Some(field),
                false => field
                    .strip_prefix(&member.path)
                    .and_then(|rest| rest.strip_prefix('.')),
            };
            own.is_some_and(|own| member.table.is_free_text(own))
        })
    }

    /// The field that counts the rows: unique and never null.
    pub fn row_key(&self) -> Option<&'a str> {
        self.table().options.row_key.as_deref()
    }

    /// The column that an expression names, a cast that does not change the value looked through.
    ///
    /// # Safety
    /// `expression` must be a valid expression node of the current planning.
    pub unsafe fn column<'s>(&'s self, expression: *mut pg_sys::Node) -> Option<RemoteField<'a, 's>> {
        // SAFETY: node types are checked before each cast.
        unsafe {
            let node = unrelabelled(expression);
            let (member, column) = self.any_column(node)?;
            Some(RemoteField {
                member,
                field: member.field(&column.field),
                column,
                class: column.class?,
            })
        }
    }

    /// `whole`, and the condition that keeps exactly the rows for which all restrictions of a member are true; `None` when
    /// there is none that is sure to.
    ///
    /// # Safety
    /// `root` must be of the current planning.
    unsafe fn exact(
        &self,
        root: *mut pg_sys::PlannerInfo,
        member: &RelMember,
        mut whole: Option<Condition>,
        params: &mut Params,
    ) -> Option<Option<Condition>> {
        // SAFETY: restrictions of a relation of this planning.
        for clause in unsafe { PgList::<pg_sys::RestrictInfo>::from_pg(member.restrictions) }.iter_ptr() {
            pgrx::check_for_interrupts!();
            // SAFETY: as above.
            unsafe {
                // A condition without columns is checked by a node that stands on the scan, and not on ours.
                if (*clause).pseudoconstant {
                    return None;
                }
                let condition = self.exact_of(root, member, (*clause).clause.cast(), params)?;
                whole = Some(Condition::and(whole, condition));
            }
        }
        Some(whole)
    }

    /// As [`exact`](Self::exact), for one bare expression.
    ///
    /// # Safety
    /// `expression` must be an expression of the current planning.
    pub unsafe fn exact_clause(
        &self,
        root: *mut pg_sys::PlannerInfo,
        expression: *mut pg_sys::Node,
        params: &mut Params,
    ) -> Option<Condition> {
        // SAFETY: same contract as this function; member sets of a valid expression.
        unsafe {
            let mentioned = pg_sys::pull_varnos(root, expression);
            let mut mine = self
                .members
                .iter()
                .filter(|member| pg_sys::bms_is_member(member.relid as i32, mentioned));
            let (member, None) = (mine.next()?, mine.next()) else {
                return None;
            };
            if pg_sys::bms_membership(mentioned) != pg_sys::BMS_Membership::BMS_SINGLETON {
                return None;
            }
            self.exact_of(root, member, expression, params)
        }
    }

    /// As [`exact_clause`](Self::exact_clause), for an expression over the columns of one member.
    unsafe fn exact_of(
        &self,
        root: *mut pg_sys::PlannerInfo,
        member: &RelMember,
        expression: *mut pg_sys::Node,
        params: &mut Params,
    ) -> Option<Condition> {
        if !self.push_where {
            return None;
        }
        let translator = Translator {
            table: member.table,
            known: member.known,
            relid: member.relid,
            root,
            params: Params::default(),
            may_disregard_case: false,
            depth: 0,
        };
        // SAFETY: same contract as this function.
        unsafe {
            let translated = translator.translated(expression);
            let pushed = translated.pushed.as_ref().filter(|pushed| pushed.exact)?;
            if !stays_exact(member.table, &pushed.condition) {
                return None;
            }
            let pushed = translated.among(params)?;
            Some(under(&member.path, pushed.condition))
        }
    }
}

/// What a path to a table may show beside the rows that a direct query shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// Nothing: no row belongs to an entity.
    Nothing,
    /// Rows that belong to entities; the form in which they are asked for first.
    Owned(OwnedRows),
}

/// What a path to the table may show beyond its rows; `None`: not known.
pub fn beyond(table: &ForeignTable) -> Option<Beyond> {
    let declared = table.options.entities;
    if declared == Some(Entities::Off) {
        return Some(Beyond::Nothing);
    }
    // Rows are counted by it.
    table.options.row_key.as_ref()?;
    let named = |column: &Column| column.is_field() && column.field.eq_ignore_ascii_case("MEGAENTITYID");
    Some(Beyond::Owned(match declared {
        _ if table.show_private() => OwnedRows::Shown,
        Some(Entities::Shown) => OwnedRows::Shown,
        Some(Entities::Hidden) => OwnedRows::Hidden,
        // An object without the field could not be asked for it.
        _ if table.columns.iter().any(named) => OwnedRows::Hidden,
        _ => return None,
    }))
}

/// What planning a join needs to remember between its callbacks.
pub struct JoinState {
    /// The relations that the request reads.
    pub source: RemoteRel<'static>,
    /// The columns of the join's rows. The planner puts expressions over them into the relation's target later.
    pub columns: *mut pg_sys::List,
    /// As [`RelationState::fits_first_page`].
    pub fits_first_page: bool,
}

/// The source that was found for a join relation.
///
/// # Safety
/// `rel` must be a join relation of the current planning whose private state is ours or absent.
pub unsafe fn joined<'a>(rel: *mut pg_sys::RelOptInfo) -> Option<&'a RemoteRel<'a>> {
    // SAFETY: same contract as this function.
    unsafe { join_state(rel) }.map(|state| &state.source)
}

/// The planner state of a join relation.
///
/// # Safety
/// As [`joined`].
pub unsafe fn join_state<'a>(rel: *mut pg_sys::RelOptInfo) -> Option<&'a JoinState> {
    // SAFETY: set by get_foreign_join_paths, and lives as long as the planner's memory context.
    unsafe { (*rel).fdw_private.cast::<JoinState>().as_ref() }
}

/// Whether the condition is as exact when it is sent as it is in the plan: points in time may have to be moved
/// outward on the way.
fn stays_exact(table: &ForeignTable, condition: &Condition) -> bool {
    let mut exact = true;
    condition.visit(&mut |part| {
        exact &= !matches!(part, Condition::CompareFields { .. });
    });
    exact
        && condition
            .values()
            .into_iter()
            .all(|value| table.may_express_exactly(value))
}

/// The condition, its fields reached through `path`.
pub fn under(path: &str, condition: Condition) -> Condition {
    if path.is_empty() {
        return condition;
    }
    let field = |field: String| format!("{path}.{field}");
    let all = |parts: Vec<Condition>| parts.into_iter().map(|part| under(path, part)).collect();
    match condition {
        Condition::And(parts) => Condition::And(all(parts)),
        Condition::Or(parts) => Condition::Or(all(parts)),
        Condition::Compare {
            field: name,
            op,
            value,
        } => Condition::Compare {
            field: field(name),
            op,
            value,
        },
        Condition::CompareFields { left, op, right } => Condition::CompareFields {
            left: field(left),
            op,
            right: field(right),
        },
        Condition::Between {
            field: name,
            low,
            high,
        } => Condition::Between {
            field: field(name),
            low,
            high,
        },
        Condition::In {
            field: name,
            values,
            negated,
        } => Condition::In {
            field: field(name),
            values,
            negated,
        },
        Condition::Like {
            field: name,
            pattern,
            negated,
        } => Condition::Like {
            field: field(name),
            pattern,
            negated,
        },
        Condition::IsNull { field: name, negated } => Condition::IsNull {
            field: field(name),
            negated,
        },
    }
}
