-- What is settled of the write log, and where each server is at home. The log itself is a file (src/write_log): see
-- docs/writes.md.

-- Functions that were sent, and of which it is known what became of them. Moved here from the log's file; the owner of
-- this table is the owner of the audit log.
CREATE TABLE sage_intacct.settled_write (
    control_id text PRIMARY KEY,
    sent timestamptz NOT NULL,
    role name NOT NULL,
    role_oid oid NOT NULL,
    server name NOT NULL,
    server_oid oid NOT NULL,
    company text NOT NULL,
    object text NOT NULL,
    function text NOT NULL,
    rows bigint NOT NULL,
    key_field text,
    keys text[] NOT NULL,
    body_hash text NOT NULL,
    outcome text NOT NULL CHECK (outcome OPERATOR(pg_catalog.=) ANY ('{stored,not stored}'::pg_catalog.text[])),
    outcome_at timestamptz NOT NULL,
    reason text NOT NULL
);

CREATE INDEX ON sage_intacct.settled_write (outcome_at);

-- How long they are kept: UPDATE by the table's owner.
CREATE TABLE sage_intacct.write_log_retention (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    keep interval NOT NULL DEFAULT '400 days'
);
INSERT INTO sage_intacct.write_log_retention DEFAULT VALUES;

-- The cluster and the database that a server was first written through, or was adopted by later: the last row counts.
-- Without a sequence: what a dump brings must not meet numbers that are assigned again.
CREATE TABLE sage_intacct.server_home (
    server name NOT NULL,
    server_oid oid NOT NULL,
    system_identifier text NOT NULL,
    timeline bigint NOT NULL,
    data_directory text NOT NULL,
    database_oid oid NOT NULL,
    since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    role name NOT NULL,
    adopted boolean NOT NULL
);

CREATE INDEX ON sage_intacct.server_home (server, since);

-- A dump takes them along: what is restored elsewhere is a copy, and must be adopted before it writes.
SELECT pg_catalog.pg_extension_config_dump('sage_intacct.settled_write', '');
SELECT pg_catalog.pg_extension_config_dump('sage_intacct.server_home', '');

REVOKE ALL ON sage_intacct.settled_write, sage_intacct.write_log_retention, sage_intacct.server_home FROM PUBLIC;

-- Whether the current user sees what a role wrote through a server: the writer, the server's owner, a superuser.
CREATE FUNCTION sage_intacct.sees_write(role_oid oid, server_oid oid)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles r
                WHERE r.rolname OPERATOR(pg_catalog.=) current_user AND r.rolsuper)
    OR EXISTS (SELECT FROM pg_catalog.pg_roles r
                WHERE r.oid OPERATOR(pg_catalog.=) $1 AND pg_catalog.pg_has_role(r.oid, 'USAGE'))
    OR EXISTS (SELECT FROM pg_catalog.pg_foreign_server s
                WHERE s.oid OPERATOR(pg_catalog.=) $2 AND pg_catalog.pg_has_role(s.srvowner, 'USAGE'))
$$;

-- The settled writes that the current user may see.
CREATE VIEW sage_intacct.settled_writes WITH (security_barrier = true) AS
SELECT w.sent, w.role, w.server, w.company, w.object, w.function, w.rows, w.key_field, w.keys, w.control_id,
       w.body_hash, w.outcome, w.outcome_at, w.reason
  FROM sage_intacct.settled_write w
 WHERE sage_intacct.sees_write(w.role_oid, w.server_oid);

-- How many there are, for those who see them or may see all statistics.
CREATE VIEW sage_intacct.settled_write_counts WITH (security_barrier = true) AS
SELECT w.server, w.outcome, pg_catalog.count(*) AS functions, pg_catalog.sum(w.rows) AS rows
  FROM sage_intacct.settled_write w
 WHERE pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') OR sage_intacct.sees_write(w.role_oid, w.server_oid)
 GROUP BY w.server, w.outcome;

GRANT SELECT ON sage_intacct.settled_writes, sage_intacct.settled_write_counts TO PUBLIC;

-- Every function that was sent to a gateway, or was about to be, with its outcome: "under way", "stored", "not stored"
-- or "in doubt". Of other roles only to the owner of the server.
CREATE FUNCTION sage_intacct.write_log()
RETURNS TABLE (sent timestamptz, role name, server name, company text, object text, function text, rows bigint,
               key_field text, keys text[], control_id text, body_hash text, outcome text, outcome_at timestamptz,
               reason text, cluster text)
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT f.sent, f.role, f.server, f.company, f.object, f.function, f.rows, f.key_field, f.keys, f.control_id, f.body_hash,
       f.outcome, f.outcome_at, f.reason, f.cluster
  FROM sage_intacct.write_log_file(false) f
UNION ALL
SELECT w.sent, w.role, w.server, w.company, w.object, w.function, w.rows, w.key_field, w.keys, w.control_id, w.body_hash,
       w.outcome, w.outcome_at, w.reason, 'this cluster'
  FROM sage_intacct.settled_writes w
 WHERE NOT EXISTS (SELECT FROM sage_intacct.write_log_file(false) g
                    WHERE g.control_id OPERATOR(pg_catalog.=) w.control_id AND g.cluster OPERATOR(pg_catalog.=) 'this cluster')
 ORDER BY 1
$$;

-- How many functions and rows there are with each outcome; also for members of pg_read_all_stats, who see no entry.
CREATE FUNCTION sage_intacct.write_counts()
RETURNS TABLE (server name, outcome text, functions bigint, rows bigint)
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT a.server, a.outcome, pg_catalog.sum(a.functions)::pg_catalog.int8, pg_catalog.sum(a.rows)::pg_catalog.int8
  FROM (SELECT f.server, f.outcome, 1 AS functions, f.rows FROM sage_intacct.write_log_file(true) f
        UNION ALL
        SELECT c.server, c.outcome, c.functions, c.rows::pg_catalog.int8 FROM sage_intacct.settled_write_counts c) a
 GROUP BY a.server, a.outcome
 ORDER BY 1, 2
$$;
