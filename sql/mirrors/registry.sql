-- Which mirrors there are, how far each has come, and what its refreshes did. Every refresh commits its state here page
-- by page: after a crash, the next one goes on.
--
-- Only the extension's owner has rights on the tables, and they carry no row-level security, which would keep pg_dump
-- out. Procedures that commit run with the rights of their caller; they read and write through the views below, each of
-- which shows one's own rows. The views grant columns, not whole rows: a right to UPDATE or DELETE a relation is a right to
-- LOCK it, and who locks the registry stops every refresh.

-- Whether a time may be added to, and subtracted from, without leaving what timestamptz can hold. Views do.
CREATE FUNCTION sage_intacct.mirror_is_time(VARIADIC times timestamptz[])
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT bool_and(t IS NULL OR t BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00') FROM unnest(times) t
$$;

CREATE TABLE sage_intacct.mirror_registry (
    -- Given by the sequence alone: no number can be taken that another mirror will get.
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    -- The local table. Mirrors of several companies may share one: each has a constant of its own in a column of it.
    target regclass NOT NULL,
    company text NOT NULL DEFAULT '',
    -- The foreign table; its name finds it again when it was dropped and imported again.
    source regclass NOT NULL,
    source_name text NOT NULL,
    -- Quoted: the name of a role is read as an identifier, and "Ann" is not ann.
    owner regrole NOT NULL DEFAULT quote_ident(current_user)::regrole,
    -- Whether create_mirror made the target.
    made boolean NOT NULL,
    options jsonb NOT NULL,
    -- Where its rows come from, and the columns that they fill (see source.sql); null before it is first read.
    identity jsonb,
    mapping jsonb,
    -- Fields that the object is known to have, and columns that are not read: the object has lost their fields, or they are
    -- not among those of the mapping.
    fields text[] NOT NULL DEFAULT '{}',
    gone name[] NOT NULL DEFAULT '{}',
    -- What is left of the refresh that runs, or did not come to its end: tasks in their order (see plan.sql).
    todo jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(todo) = 'array'),
    -- When (local clock) that list was made.
    begun_at timestamptz,
    -- Rows deleted since the last refresh that came to its end.
    deleting bigint NOT NULL DEFAULT 0,
    -- Changes up to this point in time of the gateway's clock have been read. Never taken from the local clock.
    watermark timestamptz,
    -- By how much the gateway's clock was ahead of the local one when the watermark was set: whether it is set back shows by that.
    ahead interval,
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
    -- Whether only a sweep finds deleted rows.
    blind boolean NOT NULL DEFAULT false,
    rows bigint,
    -- Whether drop_mirror has ended it: mirror_purge takes it out.
    dropped boolean NOT NULL DEFAULT false,
    UNIQUE (target, company),
    CHECK (sage_intacct.mirror_is_time(watermark, late_from, late_next, late_at, loaded_at, rescan_at, sweep_at, drift_at, refreshed_at, begun_at))
);

CREATE TABLE sage_intacct.mirror_history (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    mirror integer NOT NULL REFERENCES sage_intacct.mirror_registry ON DELETE CASCADE,
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
    error text,
    CHECK (sage_intacct.mirror_is_time(started, ended, watermark))
);

CREATE INDEX ON sage_intacct.mirror_history (mirror, id);

-- A dump takes the registrations with it; their history stays behind.
SELECT pg_extension_config_dump('sage_intacct.mirror_registry', '');
SELECT pg_extension_config_dump('sage_intacct.mirror_registry_id_seq', '');

-- What comes in is checked, whatever its source. (What is in already is not: a row whose options are not valid any more can
-- still be shown, altered and dropped.)
CREATE FUNCTION sage_intacct.mirror_validate()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sage_intacct.mirror_check_options(NEW.options);
    RETURN NEW;
END
$$;

CREATE TRIGGER validate BEFORE INSERT OR UPDATE OF options ON sage_intacct.mirror_registry
    FOR EACH ROW EXECUTE FUNCTION sage_intacct.mirror_validate();

-- One's own mirrors, and those of roles whose rights one has.
CREATE VIEW sage_intacct.mirror WITH (security_barrier = true) AS
SELECT * FROM sage_intacct.mirror_registry WHERE pg_has_role(owner, 'USAGE') AND NOT dropped;

-- The way into the registry: one's own tables, in one's own name.
CREATE VIEW sage_intacct.mirror_registration WITH (security_barrier = true) AS
SELECT * FROM sage_intacct.mirror_registry
 WHERE owner = quote_ident(current_user)::regrole AND owner = (SELECT relowner FROM pg_class WHERE oid = target)
  WITH CHECK OPTION;

-- The runs of one's own mirrors.
CREATE VIEW sage_intacct.mirror_run WITH (security_barrier = true) AS
SELECT r.* FROM sage_intacct.mirror_history r WHERE EXISTS (SELECT FROM sage_intacct.mirror m WHERE m.id = r.mirror)
  WITH CHECK OPTION;

GRANT SELECT ON sage_intacct.mirror, sage_intacct.mirror_run TO PUBLIC;
GRANT INSERT (target, company, source, source_name, made, options) ON sage_intacct.mirror_registration TO PUBLIC;
GRANT UPDATE (source, options, identity, mapping, fields, gone, todo, begun_at, deleting, watermark, ahead, late_from, late_next, late_at, loaded_at, rescan_at, sweep_at,
              drift_at, refreshed_at, complete, blind, rows, dropped) ON sage_intacct.mirror TO PUBLIC;
GRANT INSERT (mirror, task) ON sage_intacct.mirror_run TO PUBLIC;
GRANT UPDATE (ended, outcome, task, inserted, updated, deleted, read, expected, requests, watermark, error)
   ON sage_intacct.mirror_run TO PUBLIC;

-- A point in time that lies `period` later; null if the period is not valid, so that a view shows the row all the same.
CREATE FUNCTION sage_intacct.mirror_later(since timestamptz, period text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN since + period::interval;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- When all keys are to be read again; null: never.
CREATE FUNCTION sage_intacct.mirror_next_sweep(options jsonb, blind boolean, done timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT sage_intacct.mirror_later(done, coalesce(sage_intacct.mirror_option(options, 'sweep_interval'), CASE WHEN blind THEN '1 day' END))
$$;

-- Takes out what drop_mirror has ended, and whose table is gone; of the mirror given, runs that its owner no longer wants
-- to remember. With the rights of the extension's owner, since no other role may delete: it takes no more than that, whichever role
-- calls it, and waits for no lock.
CREATE FUNCTION sage_intacct.mirror_purge(mirror integer DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM sage_intacct.mirror_registry r WHERE r.id IN (
        SELECT m.id FROM sage_intacct.mirror_registry m
         WHERE m.dropped OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.target)
           FOR UPDATE SKIP LOCKED);
    DELETE FROM sage_intacct.mirror_history h USING sage_intacct.mirror_registry m
     WHERE m.id = mirror_purge.mirror AND h.mirror = m.id
       AND sage_intacct.mirror_later(h.ended, sage_intacct.mirror_option(m.options, 'history')) < clock_timestamp();
END
$$;

-- Runs at this moment: those that hold their mirror's lock (its class is LOCK_CLASS in src/functions/mirrors/guard.rs, which
-- no advisory lock of a user's can have together with this objsubid).
CREATE VIEW sage_intacct.mirror_running AS
SELECT r.*
  FROM sage_intacct.mirror_history r
 WHERE r.outcome = 'running'
   AND EXISTS (SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND l.classid = 727021357 AND l.objid = r.mirror::oid AND l.objsubid = 3
                  AND l.pid = r.pid AND l.granted
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()));

-- State of the mirrors that one may read, of all for those who may see all statistics. Errors are for their owners.
CREATE VIEW sage_intacct.mirrors WITH (security_barrier = true) AS
SELECT m.target, -- No join: Citus cannot plan one that the planner removes.
       coalesce((SELECT f.oid::regclass::text FROM pg_class f WHERE f.oid = m.source), m.source_name) AS source, m.owner, m.rows,
       -- After a refresh that did not come to its end it is unknown.
       CASE WHEN r.outcome = 'done' OR EXISTS (SELECT FROM sage_intacct.mirror_running g WHERE g.id = r.id) THEN m.complete END AS complete,
       m.watermark,
       clock_timestamp() - m.refreshed_at AS lag,
       m.refreshed_at AS last_refresh,
       CASE WHEN EXISTS (SELECT FROM sage_intacct.mirror_running g WHERE g.id = r.id) THEN 'running'
            WHEN r.outcome = 'running' THEN 'lost'
            ELSE r.outcome END AS last_outcome,
       r.started AS last_run, r.ended - r.started AS duration, r.inserted, r.updated, r.deleted, r.requests,
       CASE WHEN pg_has_role(m.owner, 'USAGE') THEN r.error END AS last_error,
       sage_intacct.mirror_next_sweep(m.options, m.blind, coalesce(m.sweep_at, m.loaded_at)) AS next_sweep,
       CASE WHEN sage_intacct.mirror_option(m.options, 'rescan') IS NOT NULL
            THEN sage_intacct.mirror_later(coalesce(m.rescan_at, m.loaded_at),
                                           sage_intacct.mirror_option(m.options, 'rescan_interval'))
            END AS next_rescan,
       m.options,
       -- Columns that keep what they hold: their fields are gone.
       ARRAY(SELECT g FROM unnest(m.gone) g WHERE m.mapping ? g OR m.mapping IS NULL) AS gone,
       nullif(m.company, '') AS company
  FROM sage_intacct.mirror_registry m
  JOIN pg_class c ON c.oid = m.target
  LEFT JOIN LATERAL (SELECT * FROM sage_intacct.mirror_history WHERE mirror = m.id ORDER BY id DESC LIMIT 1) r ON true
 WHERE NOT m.dropped AND (has_table_privilege(m.target, 'SELECT') OR pg_has_role(m.owner, 'USAGE')
                          OR pg_has_role('pg_read_all_stats', 'USAGE'));

-- What the refreshes of one's own mirrors did, and, without errors, those of others for those who may see all statistics.
CREATE VIEW sage_intacct.mirror_runs WITH (security_barrier = true) AS
SELECT m.target, r.started, r.ended, r.outcome, r.task, r.inserted, r.updated, r.deleted, r.read, r.requests, r.watermark,
       CASE WHEN pg_has_role(m.owner, 'USAGE') THEN r.error END AS error, nullif(m.company, '') AS company
  FROM sage_intacct.mirror_history r JOIN sage_intacct.mirror_registry m ON m.id = r.mirror
 WHERE NOT m.dropped AND (pg_has_role(m.owner, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE'));

GRANT SELECT ON sage_intacct.mirrors, sage_intacct.mirror_runs TO PUBLIC;
