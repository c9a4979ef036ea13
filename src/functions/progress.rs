//! `progress`: running scans and refreshes.

use super::access::{exists, may_use, reads_all_stats};
use crate::options::server_name;
use crate::shmem;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

/// Scans that run in this database: those of all backends where they share memory, else those of this backend. Only of
/// servers that the current user may use, except for members of `pg_read_all_stats`.
#[pg_extern(volatile, parallel_restricted)]
#[allow(clippy::type_complexity)]
fn running_scans() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(server, String),
        name!(object, String),
        name!(relation, pg_sys::Oid),
        name!(rows_done, i64),
        name!(rows_total, Option<i64>),
        name!(pages, i64),
        name!(started, Option<TimestampWithTimeZone>),
    ),
> {
    shmem::attach();
    let sees_all = reads_all_stats();
    let scans = shmem::running().into_iter();
    let rows = scans
        .filter(|scan| exists(scan.server) && (sees_all || may_use(scan.server)))
        .map(|scan| {
            (
                scan.process as i32,
                server_name(scan.server),
                scan.object,
                scan.relation,
                scan.rows as i64,
                scan.total.map(|total| total as i64),
                scan.pages as i64,
                TimestampWithTimeZone::try_from(scan.started).ok(),
            )
        });
    TableIterator::new(rows.collect::<Vec<_>>())
}

extension_sql!(
    r"
CREATE VIEW @extschema@.progress WITH (security_barrier = true) AS
SELECT 'scan' AS kind, pid, server, object, relation::regclass AS relation, rows_done, rows_total, pages, started,
       -- A guess of thousands of years is none, and not every one has a date.
       CASE WHEN rows_done > 0 AND rows_total >= rows_done
             AND rows_total / rows_done::float8 * extract(epoch FROM clock_timestamp() - started)::float8 < 3e10
            THEN started + (clock_timestamp() - started) * (rows_total / rows_done::float8)
       END AS eta
  FROM @extschema@.running_scans()
UNION ALL
-- What a refresh has committed; its scans are rows of their own.
SELECT 'refresh', r.pid, s.srvname, coalesce(o.object, upper(f.relname)), m.target, r.read, r.expected, NULL, r.started,
       CASE WHEN r.read > 0 AND r.expected >= r.read
             AND r.expected / r.read::float8 * extract(epoch FROM clock_timestamp() - r.started)::float8 < 3e10
            THEN r.started + (clock_timestamp() - r.started) * (r.expected / r.read::float8)
       END
  FROM @extschema@.mirror_running r
  JOIN @extschema@.mirror_registry m ON m.id = r.mirror
  JOIN pg_class f ON f.oid = m.source
  JOIN pg_foreign_table t ON t.ftrelid = m.source
  JOIN pg_foreign_server s ON s.oid = t.ftserver
 CROSS JOIN LATERAL (
        SELECT max(option_value) AS object FROM pg_options_to_table(t.ftoptions) WHERE option_name = 'object') o
 WHERE has_table_privilege(m.target, 'SELECT') OR pg_has_role('pg_read_all_stats', 'USAGE');

COMMENT ON VIEW @extschema@.progress IS 'Running scans and refreshes, their progress and estimated end';
GRANT SELECT ON @extschema@.progress TO PUBLIC;
",
    name = "progress",
    requires = [running_scans, "mirror_registry"]
);
