-- Which mirrors there are, how far each has come, and what its refreshes did. Every refresh commits its state here page
-- by page: after a crash, the next one goes on.

CREATE SEQUENCE sage_intacct.mirror_id_seq AS integer;

CREATE TABLE sage_intacct.mirror (
    id integer PRIMARY KEY DEFAULT nextval('sage_intacct.mirror_id_seq'),
    -- The local table.
    target regclass NOT NULL UNIQUE,
    -- The foreign table; its name finds it again when it was dropped and imported anew.
    source regclass NOT NULL,
    source_name text NOT NULL,
    owner regrole NOT NULL DEFAULT current_user::regrole,
    -- Whether create_mirror made the target.
    made boolean NOT NULL,
    options jsonb NOT NULL,
    -- Fields that the object is known to have, and columns whose fields it has lost.
    fields text[] NOT NULL DEFAULT '{}',
    gone name[] NOT NULL DEFAULT '{}',
    -- What is left of the refresh that runs, or did not come to its end: tasks in their order (see plan.sql).
    todo jsonb NOT NULL DEFAULT '[]',
    -- Changes up to this point in time of the gateway's clock have been read. Never taken from the local clock.
    watermark timestamptz,
    -- The second pass: where it will begin, where the one after it will, when (local clock) the last one was.
    late_from timestamptz,
    late_next timestamptz,
    late_at timestamptz,
    -- When (local clock) each of these was last done.
    loaded_at timestamptz,
    rescan_at timestamptz,
    sweep_at timestamptz,
    drift_at timestamptz,
    refreshed_at timestamptz,
    -- Whether the last check found the gateway's number of rows and sum of keys; null when it could not be made.
    complete boolean,
    -- Whether nothing but a sweep tells of deleted rows.
    blind boolean NOT NULL DEFAULT false,
    rows bigint
);

CREATE TABLE sage_intacct.mirror_run (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    mirror integer NOT NULL REFERENCES sage_intacct.mirror ON DELETE CASCADE,
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended timestamptz,
    pid integer NOT NULL DEFAULT pg_backend_pid(),
    -- running, done, failed, lost (the session ended under it), budget (max_requests_per_run).
    outcome text NOT NULL DEFAULT 'running',
    -- The task at hand, or the last one.
    task text,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    deleted bigint NOT NULL DEFAULT 0,
    -- Rows read from the gateway, and how many are expected, where that is known.
    read bigint NOT NULL DEFAULT 0,
    expected bigint,
    requests bigint NOT NULL DEFAULT 0,
    watermark timestamptz,
    error text
);

CREATE INDEX ON sage_intacct.mirror_run (mirror, started);

-- A dump takes the registrations with it; their history stays behind.
SELECT pg_extension_config_dump('sage_intacct.mirror', '');
SELECT pg_extension_config_dump('sage_intacct.mirror_id_seq', '');

-- Procedures that commit run with the rights of their caller, so callers write here themselves: each the rows of the
-- mirrors that belong to a role of theirs, over tables that are theirs.
GRANT SELECT, INSERT, UPDATE, DELETE ON sage_intacct.mirror, sage_intacct.mirror_run TO PUBLIC;
GRANT USAGE ON SEQUENCE sage_intacct.mirror_id_seq TO PUBLIC;
ALTER TABLE sage_intacct.mirror ENABLE ROW LEVEL SECURITY;
ALTER TABLE sage_intacct.mirror_run ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON sage_intacct.mirror
    USING (pg_has_role(owner, 'USAGE'))
    WITH CHECK (owner = current_user::regrole
                AND (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = target));
CREATE POLICY owner ON sage_intacct.mirror_run
    USING (EXISTS (SELECT FROM sage_intacct.mirror m WHERE m.id = mirror));

-- When all keys are to be read again; null: never.
CREATE FUNCTION sage_intacct.mirror_next_sweep(m sage_intacct.mirror)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(m.sweep_at, m.loaded_at)
       + coalesce(sage_intacct.mirror_option(m.options, 'sweep_interval'), CASE WHEN m.blind THEN '1 day' END)::interval
$$;

-- Runs at this moment: those that hold their mirror's lock (its class is LOCK_CLASS in src/functions/mirrors/guard.rs).
CREATE VIEW sage_intacct.mirror_running AS
SELECT r.*
  FROM sage_intacct.mirror_run r
 WHERE r.outcome = 'running'
   AND EXISTS (SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND l.classid = 727021357 AND l.objid = r.mirror::oid AND l.objsubid = 2
                  AND l.pid = r.pid AND l.granted
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()));

-- State of the mirrors that one may read. Errors are for their owners.
CREATE VIEW sage_intacct.mirrors AS
SELECT m.target, coalesce(f.oid::regclass::text, m.source_name) AS source, m.owner, m.rows, m.complete, m.watermark,
       clock_timestamp() - m.refreshed_at AS lag,
       m.refreshed_at AS last_refresh,
       CASE WHEN EXISTS (SELECT FROM sage_intacct.mirror_running g WHERE g.id = r.id) THEN 'running'
            WHEN r.outcome = 'running' THEN 'lost'
            ELSE r.outcome END AS last_outcome,
       r.started AS last_run, r.ended - r.started AS duration, r.inserted, r.updated, r.deleted, r.requests,
       CASE WHEN pg_has_role(m.owner, 'USAGE') THEN r.error END AS last_error,
       sage_intacct.mirror_next_sweep(m) AS next_sweep,
       CASE WHEN sage_intacct.mirror_option(m.options, 'rescan') IS NOT NULL
            THEN coalesce(m.rescan_at, m.loaded_at) + sage_intacct.mirror_option(m.options, 'rescan_interval')::interval
            END AS next_rescan,
       m.options
  FROM sage_intacct.mirror m
  JOIN pg_class c ON c.oid = m.target
  LEFT JOIN pg_class f ON f.oid = m.source
  LEFT JOIN LATERAL (SELECT * FROM sage_intacct.mirror_run WHERE mirror = m.id ORDER BY id DESC LIMIT 1) r ON true
 WHERE has_table_privilege(m.target, 'SELECT') OR pg_has_role(m.owner, 'USAGE');

-- What the refreshes of one's own mirrors did.
CREATE VIEW sage_intacct.mirror_runs WITH (security_invoker = true) AS
SELECT m.target, r.started, r.ended, r.outcome, r.task, r.inserted, r.updated, r.deleted, r.read, r.requests, r.watermark,
       r.error
  FROM sage_intacct.mirror_run r JOIN sage_intacct.mirror m ON m.id = r.mirror;

GRANT SELECT ON sage_intacct.mirrors, sage_intacct.mirror_runs TO PUBLIC;
