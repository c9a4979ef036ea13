-- Installation script of sage_intacct_fdw, written by `make extension-sql` from the sources: do not edit.
-- Complain if it is run by psql, rather than by CREATE EXTENSION.
\echo Use "CREATE EXTENSION sage_intacct_fdw" to load this file. \quit

-- bootstrap

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_depend d
                WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
                  AND d.refobjid OPERATOR(pg_catalog.=) 'sage_intacct'::pg_catalog.regnamespace
                  AND d.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass)
        OR EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) n.nspowner
                    WHERE n.nspname OPERATOR(pg_catalog.=) 'sage_intacct'
                      AND (NOT o.rolsuper
                           OR EXISTS (SELECT FROM pg_catalog.aclexplode(n.nspacl) a
                                       WHERE a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
                                         AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner))) THEN
        RAISE 'schema sage_intacct is not empty, or others may create objects in it'
            USING ERRCODE := 'object_not_in_prerequisite_state',
                HINT := 'DROP SCHEMA sage_intacct lets the extension make its own.';
    END IF;
END
$$;

CREATE FUNCTION "adopt_server"(
    "server" TEXT
) RETURNS bool
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'adopt_server_wrapper';

CREATE FUNCTION "apply_comments"(
    "schema" TEXT
) RETURNS bigint
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'apply_comments_wrapper';

CREATE FUNCTION "apply_table_comments"(
    "foreign_table" oid
) RETURNS bigint
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'apply_table_comments_wrapper';

CREATE FUNCTION "check"(
    "server" TEXT,
    "deep" bool DEFAULT false
) RETURNS TABLE (
    "step" TEXT,
    "ok" bool,
    "detail" TEXT,
    "hint" TEXT,
    "milliseconds" NUMERIC
)
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'check_wrapper';

CREATE FUNCTION "describe"(
    "server" TEXT,
    "object" TEXT
) RETURNS TABLE (
    "field" TEXT,
    "label" TEXT,
    "data_type" TEXT,
    "required" bool,
    "read_only" bool,
    "custom" bool,
    "valid_values" TEXT[],
    "relation" TEXT
)
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'describe_wrapper';

CREATE FUNCTION "disconnect"(
    "server" TEXT
) RETURNS INT
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'disconnect_wrapper';

CREATE FUNCTION "entities"(
    "server" TEXT
) RETURNS TABLE (
    "id" TEXT,
    "name" TEXT,
    "recordno" bigint,
    "currency" TEXT,
    "first_fiscal_month" TEXT,
    "first_tax_month" TEXT,
    "week_start" TEXT
)
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'entities_wrapper';

CREATE FUNCTION "mirror_clock_change"(
    "source" oid,
    "at" bigint
) RETURNS bigint
STABLE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_clock_change_wrapper';

CREATE PROCEDURE mirror_commit(OUT failed boolean, OUT state text, OUT message text, OUT details text, OUT advice text)
LANGUAGE c AS 'MODULE_PATHNAME', 'mirror_commit_wrapper';

CREATE FUNCTION "mirror_gateway_time"(
    "source" oid
) RETURNS timestamp with time zone
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_gateway_time_wrapper';

CREATE FUNCTION "mirror_lock_source"(
    "source" oid
) RETURNS TEXT
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_lock_source_wrapper';

CREATE FUNCTION "mirror_lock_target"(
    "target" oid
) RETURNS TABLE (
    "relation" oid
)
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_lock_target_wrapper';

CREATE FUNCTION "mirror_may_commit"() RETURNS bool
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_may_commit_wrapper';

CREATE FUNCTION "mirror_planned"(
    "query" TEXT
) RETURNS TABLE (
    "foreign_scan" bool,
    "sorts" bool
)
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_planned_wrapper';

CREATE FUNCTION "mirror_requests"(
    "source" oid
) RETURNS bigint
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_requests_wrapper';

CREATE FUNCTION "mirror_row_key"(
    "source" oid
) RETURNS TEXT
STRICT STABLE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_row_key_wrapper';

CREATE FUNCTION "mirror_session"(
    "source" oid
) RETURNS jsonb
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_session_wrapper';

CREATE FUNCTION "mirror_sums"(
    "source" oid,
    "counted" TEXT,
    "fields" TEXT[],
    "grouped" TEXT,
    "kind" TEXT
) RETURNS TABLE (
    "place" TEXT,
    "rows" bigint,
    "sums" TEXT[]
)
VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_sums_wrapper';

CREATE FUNCTION "mirror_totals"(
    "source" oid,
    "after" bigint,
    "upto" bigint
) RETURNS TABLE (
    "rows" bigint,
    "key_sum" NUMERIC
)
VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_totals_wrapper';

CREATE FUNCTION "mirror_try_lock"(
    "mirror" INT
) RETURNS bool
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_try_lock_wrapper';

CREATE FUNCTION "mirror_unlock"(
    "mirror" INT
) RETURNS void
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'mirror_unlock_wrapper';

CREATE FUNCTION "objects"(
    "server" TEXT,
    "probe" bool DEFAULT true
) RETURNS TABLE (
    "name" TEXT,
    "label" TEXT,
    "custom" bool,
    "readable" bool,
    "rows" bigint
)
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'objects_wrapper';

CREATE FUNCTION "options"() RETURNS TABLE (
    "level" TEXT,
    "name" TEXT,
    "default_value" TEXT,
    "allowed" TEXT,
    "meaning" TEXT
)
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', 'options_wrapper';

CREATE FUNCTION "query"(
    "server" TEXT,
    "statement" TEXT,
    "query_type" TEXT DEFAULT 'list'
) RETURNS SETOF jsonb
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'query_wrapper';

CREATE FUNCTION "read_report"(
    "server" TEXT,
    "report" TEXT,
    "arguments" jsonb DEFAULT '{}',
    "interactive" bool DEFAULT false,
    "missing_elements" TEXT DEFAULT 'error'
) RETURNS SETOF jsonb
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'read_report_wrapper';

CREATE FUNCTION "request_stats"() RETURNS TABLE (
    "server" TEXT,
    "scope" TEXT,
    "since" timestamp with time zone,
    "requests" bigint,
    "calls" bigint,
    "retries" bigint,
    "failures" bigint,
    "abandoned" bigint,
    "sign_ins" bigint,
    "errors" jsonb,
    "rows" bigint,
    "sent_bytes" bigint,
    "wire_bytes" bigint,
    "decoded_bytes" bigint,
    "gateway_ms" double precision,
    "queued_ms" double precision,
    "paused_ms" double precision,
    "calls_today" bigint,
    "max_calls_per_day" bigint
)
STRICT VOLATILE PARALLEL RESTRICTED
LANGUAGE c
AS 'MODULE_PATHNAME', 'request_stats_wrapper';

CREATE FUNCTION "request_totals"() RETURNS TABLE (
    "server" TEXT,
    "since" timestamp with time zone,
    "requests" bigint,
    "retries" bigint,
    "failures" bigint,
    "abandoned" bigint,
    "sign_ins" bigint,
    "errors" jsonb,
    "rows" bigint,
    "sent_bytes" bigint,
    "wire_bytes" bigint,
    "decoded_bytes" bigint,
    "gateway_seconds" double precision,
    "queued_seconds" double precision,
    "paused_seconds" double precision
)
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'request_totals_wrapper';

CREATE FUNCTION "resolve_writes"(
    "server" TEXT,
    "gateway_limit" double precision DEFAULT 900.0
) RETURNS TABLE (
    "control_id" TEXT,
    "object" TEXT,
    "function" TEXT,
    "key_field" TEXT,
    "keys" TEXT[],
    "outcome" TEXT,
    "reason" TEXT
)
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'resolve_writes_wrapper';

CREATE FUNCTION "running_scans"() RETURNS TABLE (
    "pid" INT,
    "server" TEXT,
    "object" TEXT,
    "relation" oid,
    "rows_done" bigint,
    "rows_total" bigint,
    "pages" bigint,
    "started" timestamp with time zone
)
STRICT VOLATILE PARALLEL RESTRICTED
LANGUAGE c
AS 'MODULE_PATHNAME', 'running_scans_wrapper';

CREATE FUNCTION sage_intacct_fdw_handler() RETURNS fdw_handler
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', 'sage_intacct_fdw_handler_wrapper';

CREATE FUNCTION "sage_intacct_fdw_validator"(
    "options" TEXT[],
    "catalog" oid
) RETURNS void
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'sage_intacct_fdw_validator_wrapper';

CREATE FOREIGN DATA WRAPPER sage_intacct_fdw
    HANDLER sage_intacct_fdw_handler
    VALIDATOR sage_intacct_fdw_validator;

-- Roles that may use a server may call its functions; each of them checks the right on the server.
GRANT USAGE ON SCHEMA @extschema@ TO PUBLIC;

-- What tools show of a column is its comment, and IMPORT FOREIGN SCHEMA cannot write any: an event trigger does, with the rights
-- of who imports. It looks at no other command, so that a restore does not meet it, and never makes an import fail.
CREATE FUNCTION sage_intacct.comment_imported()
RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sage_intacct.apply_table_comments(c.objid)
       FROM pg_event_trigger_ddl_commands() c
       JOIN pg_foreign_table t ON t.ftrelid = c.objid
       JOIN pg_foreign_server s ON s.oid = t.ftserver
       JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
       JOIN pg_proc h ON h.oid = w.fdwhandler AND h.proname = 'sage_intacct_fdw_handler'
      WHERE c.classid = 'pg_class'::regclass AND c.command_tag = 'CREATE FOREIGN TABLE';
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'labels did not become comments: %', SQLERRM USING ERRCODE = SQLSTATE,
        HINT = 'SELECT sage_intacct.apply_comments(''schema'') writes them.';
END
$$;

CREATE EVENT TRIGGER sage_intacct_fdw_comments ON ddl_command_end
    WHEN TAG IN ('IMPORT FOREIGN SCHEMA')
    EXECUTE FUNCTION sage_intacct.comment_imported();

-- The options of a mirror, once: create_mirror and alter_mirror check them against this list, the refresh reads them
-- through mirror_option, the reference is made from it.

CREATE FUNCTION sage_intacct.mirror_options()
RETURNS TABLE (name text, kind text, default_value text, meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
VALUES
    ('columns', 'columns', NULL, 'Columns to mirror, separated by commas. Default: all. Read when the mirror is created.'),
    ('key', 'columns', NULL, 'Columns of the row identifier, separated by commas. Default: that of the row key; empty for none.'),
    ('period', 'column', NULL, 'Where rows have no identifier: the column by whose periods rows are replaced. Default: the known one; empty for none.'),
    ('period_length', 'length', 'month', 'Length of a period, where that column is a date: day, week, month, quarter or year.'),
    ('load', 'boolean', 'on', 'Whether create_mirror loads the rows; otherwise the first refresh does.'),
    ('distribute_by', 'column', NULL, 'Makes the target a distributed table of Citus, by this column.'),
    ('colocate_with', 'text', NULL, 'With `distribute_by`: the table beside whose shards the target''s are put, or `none`. Default: a table with a column of that type.'),
    ('shard_count', 'count', NULL, 'With `distribute_by`: how many shards. Default: `citus.shard_count`.'),
    ('company', 'column', NULL, 'Column that a constant fills, one for each company: mirrors of several companies share the table, whose key it is part of.'),
    ('reference', 'boolean', NULL, 'Makes the target a reference table of Citus, whole on each machine.'),
    ('outbox', 'text', NULL, 'Table that gets a row for each change after the first load, in the transaction of the change; made if it is missing.'),
    ('on_change', 'text', NULL, 'Function (regclass, jsonb) that is called with the changes of each page after the first load, in their transaction.'),
    ('overlap', 'interval', '10 minutes', 'How far behind the watermark a refresh begins to read, for changes that became visible late.'),
    ('late_window', 'interval', '2 hours', 'As long after a change it is read a second time, for changes that became visible later still.'),
    ('modified', 'column', NULL, 'Column with the time of the last change. Default: that of WHENMODIFIED.'),
    ('created', 'column', NULL, 'Column with the time of creation. Default: that of WHENCREATED or AUWHENCREATED, whichever is a point in time.'),
    ('header', 'text', NULL, 'Object whose changed rows the lines follow (ARINVOICE). Default: the known one; empty for none.'),
    ('link', 'column', NULL, 'Column of a line with the key of its header.'),
    ('audit_key', 'column', NULL, 'Column that AUDITHISTORY names deleted rows by. Default: the known one; empty for none.'),
    ('check', 'boolean', 'on', 'Whether number of rows and sum of keys are compared after each refresh. Two requests.'),
    ('max_delete', 'share', '10%, 100', 'A refresh that would delete more than this share of the rows and more than this number of them stops: `5%, 1000`, `20%`, `50`, or `off`.'),
    ('sweep_interval', 'interval', NULL, 'How often all keys are read. Default: one day where neither AUDITHISTORY nor the check finds deleted rows, else never.'),
    ('rescan', 'rescan', NULL, 'Rows changed within this period are read again, or `all`: for objects whose totals change without a new WHENMODIFIED.'),
    ('rescan_columns', 'columns', NULL, 'With `rescan` `all`: only these columns are read again.'),
    ('rescan_interval', 'interval', '1 day', 'How often.'),
    ('on_drift', 'drift', 'warn', 'What happens when the object has gained or lost fields: `add`, `warn` or `error`.'),
    ('drift_interval', 'interval', '1 day', 'How often the fields of the object are checked. Two requests.'),
    ('concurrent', 'concurrent', 'wait', 'What a refresh does while another one runs: `wait` or `skip`.'),
    ('max_requests_per_run', 'count', NULL, 'A refresh stops after about this many requests; the next one goes on.'),
    ('page_rows', 'count', '2000', 'Rows of one transaction of a refresh.'),
    ('slice_rows', 'count', '250000', 'Rows of one transaction of the first load, about.'),
    ('history', 'interval', '30 days', 'How long finished refreshes are remembered.')
$$;

-- The value of an option, or its default.
CREATE FUNCTION sage_intacct.mirror_option(options jsonb, option text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(options ->> option, (SELECT default_value FROM sage_intacct.mirror_options() WHERE name = option))
$$;

-- Raises if a period is negative, or so long that it cannot be added to a time.
CREATE FUNCTION sage_intacct.mirror_check_interval(period interval)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF period < interval '0' OR period > interval '100 years' THEN
        RAISE invalid_text_representation;
    END IF;
END
$$;

-- Raises what is wrong with options.
CREATE FUNCTION sage_intacct.mirror_check_options(options jsonb)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
    allowed text;
BEGIN
    IF jsonb_typeof(options) <> 'object' THEN
        RAISE 'the options of a mirror are a JSON object' USING ERRCODE = 'fdw_invalid_attribute_value',
            HINT = 'For example: options => ''{"on_drift": "add"}''';
    END IF;
    FOR given IN
        SELECT e.key, e.value, o.kind FROM jsonb_each_text(options) e LEFT JOIN sage_intacct.mirror_options() o ON o.name = e.key
    LOOP
        allowed := NULL;
        BEGIN
            CASE coalesce(given.kind, 'unknown')
            WHEN 'unknown' THEN
                RAISE 'unknown option "%" of a mirror', given.key USING ERRCODE = 'fdw_invalid_option_name',
                    HINT = format('Options are: %s.', (SELECT string_agg(name, ', ') FROM sage_intacct.mirror_options()));
            WHEN 'interval' THEN
                allowed := 'an interval that is not negative, like 10 minutes';
                PERFORM sage_intacct.mirror_check_interval(given.value::interval);
            WHEN 'rescan' THEN
                allowed := 'an interval or all';
                IF given.value <> 'all' THEN
                    PERFORM sage_intacct.mirror_check_interval(given.value::interval);
                END IF;
            WHEN 'share' THEN
                allowed := 'a share, a number of rows, or both, like 10%, 100; or off';
                PERFORM sage_intacct.mirror_max_delete(options);
            WHEN 'boolean' THEN
                allowed := 'on or off';
                PERFORM given.value::boolean;
            WHEN 'count' THEN
                allowed := 'a number from 1 to 1000000';
                IF given.value::bigint NOT BETWEEN 1 AND 1000000 THEN
                    RAISE invalid_text_representation;
                END IF;
            WHEN 'drift' THEN
                allowed := 'add, warn or error';
                IF given.value NOT IN ('add', 'warn', 'error') THEN
                    RAISE invalid_text_representation;
                END IF;
            WHEN 'length' THEN
                allowed := 'day, week, month, quarter or year';
                IF given.value NOT IN ('day', 'week', 'month', 'quarter', 'year') THEN
                    RAISE invalid_text_representation;
                END IF;
            WHEN 'concurrent' THEN
                allowed := 'wait or skip';
                IF given.value NOT IN ('wait', 'skip') THEN
                    RAISE invalid_text_representation;
                END IF;
            ELSE
                NULL;
            END CASE;
        EXCEPTION
            WHEN data_exception THEN
                RAISE 'invalid value "%" of option "%"', given.value, given.key
                    USING ERRCODE = 'fdw_invalid_attribute_value', HINT = format('It takes %s.', allowed);
        END;
    END LOOP;
    IF sage_intacct.mirror_column_list(options ->> 'rescan_columns') @> ARRAY[(options ->> 'distribute_by')::name] THEN
        RAISE 'option "rescan_columns" names the column "%", by which the target is distributed', options ->> 'distribute_by'
            USING ERRCODE = 'fdw_invalid_attribute_value', HINT = 'A row with another value there is deleted and reinserted, which takes all its columns.';
    END IF;
    IF options ? 'distribute_by' AND (options ->> 'reference')::boolean THEN
        RAISE 'options "distribute_by" and "reference" exclude each other' USING ERRCODE = 'fdw_invalid_attribute_value';
    ELSIF options ?| ARRAY['colocate_with', 'shard_count'] AND NOT options ? 'distribute_by' THEN
        RAISE 'option "%" needs option "distribute_by"', CASE WHEN options ? 'colocate_with' THEN 'colocate_with' ELSE 'shard_count' END
            USING ERRCODE = 'fdw_invalid_attribute_value';
    END IF;
    IF options ? 'rescan_columns' AND coalesce(options ->> 'rescan', '') <> 'all' THEN
        RAISE 'option "rescan_columns" needs option "rescan" with value "all"' USING ERRCODE = 'fdw_invalid_attribute_value';
    END IF;
END
$$;

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

-- The shape of a mirror, from the catalogs: its columns, and which of them are row identifier, header and time of change.

-- What is known of objects beyond their fields: for lines, the field with the key of their header, the header's object and
-- the header's time of creation; for the others, the field that AUDITHISTORY names a deleted row by. Objects that are
-- missing here have no known rule: their deleted rows are found by the check and the sweep. For objects in which nothing is
-- unique, the field by whose periods rows are replaced.
CREATE FUNCTION sage_intacct.mirror_rules()
RETURNS TABLE (object text, link text, header text, header_created text, audit_key text, period text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
VALUES
    ('APBILL', NULL, NULL, NULL, 'RECORDNO', NULL),
    ('TASK', NULL, NULL, NULL, 'RECORDNO', NULL),
    ('CUSTOMER', NULL, NULL, NULL, 'CUSTOMERID', NULL),
    ('VENDOR', NULL, NULL, NULL, 'VENDORID', NULL),
    ('USERINFO', NULL, NULL, NULL, 'LOGINID', NULL),
    ('GLDETAIL', 'BATCHKEY', 'GLBATCH', 'WHENCREATED', NULL, 'ENTRY_DATE'),
    ('GLACCOUNTBALANCE', NULL, NULL, NULL, NULL, 'PERIOD'),
    ('ARINVOICEITEM', 'RECORDKEY', 'ARINVOICE', 'AUWHENCREATED', NULL, NULL),
    ('ARADJUSTMENTITEM', 'RECORDKEY', 'ARADJUSTMENT', 'AUWHENCREATED', NULL, NULL),
    ('APBILLITEM', 'RECORDKEY', 'APBILL', 'AUWHENCREATED', NULL, NULL),
    ('APADJUSTMENTITEM', 'RECORDKEY', 'APADJUSTMENT', 'AUWHENCREATED', NULL, NULL),
    ('EEXPENSESITEM', 'RECORDKEY', 'EEXPENSES', 'AUWHENCREATED', NULL, NULL),
    ('GLENTRY', 'BATCHNO', 'GLBATCH', 'WHENCREATED', NULL, NULL),
    ('SODOCUMENTENTRY', 'DOCHDRNO', 'SODOCUMENT', 'AUWHENCREATED', NULL, NULL),
    ('PODOCUMENTENTRY', 'DOCHDRNO', 'PODOCUMENT', 'AUWHENCREATED', NULL, NULL),
    ('INVDOCUMENTENTRY', 'DOCHDRNO', 'INVDOCUMENT', 'AUWHENCREATED', NULL, NULL)
$$;

-- Fields by which the audit trail may name a row of an object: its record number, and what people call it. A key of another row
-- that reads the same does no harm: a row is deleted only if the gateway does not show it any more.
CREATE FUNCTION sage_intacct.mirror_natural_keys(object text)
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY['RECORDNO', 'ID', 'RECORDID', 'NAME', upper(object) || 'ID', upper(object) || 'NAME']
    || CASE upper(object)
        WHEN 'GLACCOUNT' THEN ARRAY['ACCOUNTNO'] WHEN 'STATACCOUNT' THEN ARRAY['ACCOUNTNO'] WHEN 'GLJOURNAL' THEN ARRAY['SYMBOL']
        WHEN 'STATJOURNAL' THEN ARRAY['SYMBOL'] WHEN 'GLBATCH' THEN ARRAY['BATCHNO'] WHEN 'LOCATIONENTITY' THEN ARRAY['LOCATIONID']
        WHEN 'SODOCUMENT' THEN ARRAY['DOCID', 'DOCNO'] WHEN 'PODOCUMENT' THEN ARRAY['DOCID', 'DOCNO'] WHEN 'INVDOCUMENT' THEN ARRAY['DOCID', 'DOCNO']
        WHEN 'APPYMT' THEN ARRAY['DOCNUMBER'] WHEN 'ARPYMT' THEN ARRAY['DOCNUMBER'] WHEN 'CHECKINGACCOUNT' THEN ARRAY['BANKACCOUNTID']
        WHEN 'SAVINGSACCOUNT' THEN ARRAY['BANKACCOUNTID'] WHEN 'CREDITCARD' THEN ARRAY['CARDID'] WHEN 'USERINFO' THEN ARRAY['LOGINID']
        WHEN 'TRXCURRENCIES' THEN ARRAY['CODE'] WHEN 'WAREHOUSE' THEN ARRAY['LOCATIONID'] ELSE '{}' END
$$;

-- Columns that foreign table and target have in common, with their fields at the gateway (null: a constant).
CREATE FUNCTION sage_intacct.mirror_columns(source regclass, target regclass)
RETURNS TABLE (number smallint, name name, field text, type oid, same_type boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT a.attnum, a.attname,
       CASE WHEN o.constant THEN NULL ELSE coalesce(o.field, upper(a.attname)) END,
       a.atttypid, a.atttypid = t.atttypid AND a.atttypmod = t.atttypmod
  FROM pg_attribute a
  JOIN pg_attribute t ON t.attrelid = target AND t.attname = a.attname AND t.attnum > 0 AND NOT t.attisdropped
                     AND t.attgenerated = ''
 CROSS JOIN LATERAL (
        SELECT max(option_value) FILTER (WHERE option_name = 'field') AS field,
               bool_or(option_name = 'constant') AS constant
          FROM pg_options_to_table(a.attfdwoptions)) o
 WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
$$;

-- Where the rows come from and how they are identified. Raises what makes a mirror impossible.
CREATE FUNCTION sage_intacct.mirror_shape(
    source regclass, target regclass, options jsonb, gone name[],
    OUT server name, OUT object text, OUT docparid text, OUT show_private text,
    OUT columns name[], OUT keys name[], OUT key name, OUT modified name, OUT created name,
    OUT link name, OUT header text, OUT header_created text,
    OUT audit_object text, OUT audit_column name, OUT audit_columns name[], OUT period name, OUT period_type name)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    row_key text;
    rule record;
    given text;
    other record;
BEGIN
    SELECT s.srvname, coalesce(o.object, upper(c.relname)), o.docparid, o.show_private
      INTO server, object, docparid, show_private
      FROM pg_foreign_table t
      JOIN pg_class c ON c.oid = t.ftrelid
      JOIN pg_foreign_server s ON s.oid = t.ftserver
      JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
      JOIN pg_proc h ON h.oid = w.fdwhandler AND h.proname = 'sage_intacct_fdw_handler'
     CROSS JOIN LATERAL (
            SELECT max(option_value) FILTER (WHERE option_name = 'object') AS object,
                   max(option_value) FILTER (WHERE option_name = 'docparid') AS docparid,
                   max(option_value) FILTER (WHERE option_name = 'show_private') AS show_private
              FROM pg_options_to_table(t.ftoptions)) o
     WHERE t.ftrelid = source;
    IF NOT FOUND THEN
        RAISE '% is not a foreign table of sage_intacct_fdw', source USING ERRCODE = 'wrong_object_type';
    END IF;

    row_key := sage_intacct.mirror_row_key(source);
    -- A field named twice is taken once.
    SELECT array_agg(c.name ORDER BY c.number),
           coalesce(min(c.name) FILTER (WHERE upper(c.field) = upper(row_key) AND c.type = 'int8'::regtype),
                    min(c.name) FILTER (WHERE upper(c.field) = upper(row_key))),
           min(c.name) FILTER (WHERE c.type = 'timestamptz'::regtype AND upper(c.field) IN ('WHENMODIFIED', 'UPDATEDAT')),
           coalesce(min(c.name) FILTER (WHERE c.type = 'timestamptz'::regtype AND upper(c.field) IN ('WHENCREATED', 'CREATEDAT')),
                    min(c.name) FILTER (WHERE c.type = 'timestamptz'::regtype AND upper(c.field) = 'AUWHENCREATED'))
      INTO columns, key, modified, created
      FROM sage_intacct.mirror_columns(source, target) c
     WHERE c.name <> ALL (gone);
    IF options ? 'key' THEN
        keys := coalesce(sage_intacct.mirror_column_list(options ->> 'key'), '{}');
        PERFORM sage_intacct.mirror_column_option(columns, jsonb_build_object('key', k), 'key') FROM unnest(keys) k;
    ELSIF key IS NOT NULL THEN
        keys := ARRAY[key];
    ELSIF row_key = '' THEN
        keys := '{}';
    END IF;
    SELECT c.name, format_type(c.type, NULL) AS type INTO other FROM sage_intacct.mirror_columns(source, target) c
     WHERE c.name = ANY (keys) AND c.type <> ALL (sage_intacct.mirror_key_types());
    IF FOUND THEN
        RAISE '% cannot be mirrored: column "%" of its key has type %', source, other.name, other.type
            USING ERRCODE = 'feature_not_supported',
                HINT = format('Key columns have one of these types: %s. Option "key" names the columns of the row identifier.',
                              (SELECT string_agg(format_type(t, NULL), ', ') FROM unnest(sage_intacct.mirror_key_types()) t));
    ELSIF keys IS NULL THEN
        RAISE '% cannot be mirrored: it has no column with a unique row key', source
            USING ERRCODE = 'feature_not_supported', DETAIL = format('Row key: %s', row_key),
                HINT = 'Option "key" names the columns of the row identifier; where it is empty, rows are replaced by periods.';
    END IF;
    -- Numbers that the gateway sorts and adds up make pages, and a check that halves.
    IF cardinality(keys) <> 1 OR NOT EXISTS (
        SELECT FROM sage_intacct.mirror_columns(source, target) c
         WHERE c.name = keys[1] AND upper(c.field) = upper(row_key) AND c.type = 'int8'::regtype) THEN
        key := NULL;
    END IF;

    modified := coalesce(sage_intacct.mirror_column_option(columns, options, 'modified'), modified);
    created := coalesce(sage_intacct.mirror_column_option(columns, options, 'created'), created);

    SELECT * INTO rule FROM sage_intacct.mirror_rules() r WHERE r.object = upper(mirror_shape.object);
    IF keys = '{}' THEN
        period := CASE WHEN NOT options ? 'period' THEN
                (SELECT min(c.name) FROM sage_intacct.mirror_columns(source, target) c
                  WHERE upper(c.field) = rule.period AND c.name = ANY (columns))
            WHEN options ->> 'period' <> '' THEN sage_intacct.mirror_column_option(columns, options, 'period') END;
        SELECT t.typname INTO period_type FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = source AND a.attname = period AND NOT a.attisdropped;
        IF period IS NOT NULL AND period_type NOT IN ('date', 'text', 'int8') THEN
            RAISE 'column "%" cannot be the period: it has type %', period, period_type USING ERRCODE = 'fdw_invalid_attribute_value',
                HINT = 'A date is cut into periods; of a text or a bigint, each value is one.';
        END IF;
    END IF;
    header := nullif(coalesce(options ->> 'header', rule.header), '');
    IF header IS NOT NULL THEN
        link := coalesce(sage_intacct.mirror_column_option(columns, options, 'link'),
                         (SELECT min(c.name) FROM sage_intacct.mirror_columns(source, target) c
                           WHERE upper(c.field) = rule.link AND c.name = ANY (columns) AND c.type = 'int8'::regtype));
        IF link IS NULL AND options ? 'header' THEN
            RAISE 'option "header" needs option "link"' USING ERRCODE = 'fdw_invalid_attribute_value',
                HINT = 'It names the column, of type bigint, with the RECORDNO of a line''s header.';
        ELSIF link IS NULL THEN
            header := NULL;
        ELSE
            header_created := CASE WHEN header = rule.header THEN rule.header_created ELSE 'WHENCREATED' END;
            SELECT mirror_shape.link INTO audit_column
              FROM sage_intacct.mirror_rules() r WHERE r.object = upper(mirror_shape.header) AND r.audit_key = 'RECORDNO';
            audit_object := upper(header);
            audit_columns := ARRAY[link];
        END IF;
    ELSE
        given := coalesce(options ->> 'audit_key', '');
        audit_column := CASE WHEN NOT options ? 'audit_key' THEN
                (SELECT min(c.name) FROM sage_intacct.mirror_columns(source, target) c
                  WHERE upper(c.field) = rule.audit_key AND c.name = ANY (columns))
            WHEN given <> '' THEN sage_intacct.mirror_column_option(columns, options, 'audit_key') END;
        -- Which of its keys the trail names a row by is not known of most objects: both kinds are tried.
        audit_columns := CASE WHEN cardinality(keys) <> 1 OR given = '' AND options ? 'audit_key' THEN '{}' WHEN given <> '' THEN ARRAY[audit_column]
            ELSE ARRAY(SELECT c.name FROM sage_intacct.mirror_columns(source, target) c
                        WHERE c.name = ANY (columns) AND (c.name = ANY (keys) OR upper(c.field) = ANY (sage_intacct.mirror_natural_keys(object)))) END;
        audit_object := CASE WHEN audit_columns <> '{}' THEN upper(object) END;
    END IF;
END
$$;

-- Types that a key may have: those in which equal values are the same value, and print the same.
CREATE FUNCTION sage_intacct.mirror_key_types()
RETURNS oid[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY['int8', 'int4', 'text', 'varchar', 'date', 'timestamptz', 'bool']::regtype[]::oid[]
$$;

-- The name of a relation, whatever the search_path.
CREATE FUNCTION sage_intacct.mirror_qualified(relation regclass)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT relation::text
$$;

-- The column that an option names; null when it is not given.
CREATE FUNCTION sage_intacct.mirror_column_option(columns name[], options jsonb, option text)
RETURNS name
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given text := options ->> option;
BEGIN
    IF given IS NOT NULL AND given <> ALL (columns::text[]) THEN
        RAISE 'option "%" names the column "%", which the mirror does not have', option, given
            USING ERRCODE = 'undefined_column';
    END IF;
    RETURN given;
END
$$;

-- A condition on foreign table columns: created or changed at this point in time or later. Rows that were never changed may
-- have no time of change. Times are written with their offset from UTC, whatever the session's DateStyle.
CREATE FUNCTION sage_intacct.mirror_since(modified name, created name, since timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
SELECT CASE
    WHEN since = '-infinity' THEN 'true'
    WHEN created IS NULL THEN format('%I >= %L::timestamptz', modified, since)
    ELSE format('(%1$I >= %3$L::timestamptz OR %1$I IS NULL AND %2$I >= %3$L::timestamptz)', modified, created, since) END
$$;

-- How far behind the watermark to read. Around a change of the clock for daylight saving, a local time may be an hour
-- older than it looks: in the server's zone, or, where none is declared, in that of the clock that the gateway shows.
CREATE FUNCTION sage_intacct.mirror_overlap(m sage_intacct.mirror)
RETURNS interval
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN sage_intacct.mirror_option(m.options, 'overlap')::interval
           + coalesce(sage_intacct.mirror_clock_change(m.source, extract(epoch FROM m.watermark)::bigint), 0) * interval '1 second';
END
$$;

-- The name of a type that reads the same whatever the search_path, without its modifier.
CREATE FUNCTION sage_intacct.mirror_type(type oid)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('%I.%I', n.nspname, t.typname) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type
$$;

-- A condition that shows whether a row of the target (t) differs from one of the page (s) in these columns: in what they
-- print, or, of numbers, in value. It is the same whatever the search_path, and whatever operators a column's type has: two
-- texts that an operator calls equal (citext) may well be different texts.
CREATE FUNCTION sage_intacct.mirror_differs(source regclass, target regclass, columns name[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(%s)::pg_catalog.record',
              string_agg(format(c.value, 't.' || c.name), ', ' ORDER BY c.number),
              string_agg(format(c.value, 's.' || c.name || CASE WHEN c.same THEN '' ELSE '::' || c.type END), ', ' ORDER BY c.number))
  FROM (SELECT w.number, quote_ident(w.name) AS name, t.atttypid = s.atttypid AS same, sage_intacct.mirror_type(t.atttypid) AS type,
               CASE WHEN sage_intacct.mirror_base_type(t.atttypid) = 'numeric'::regtype THEN 'pg_catalog.trim_scale(%s)' ELSE '%s' END AS value
          FROM unnest(columns) WITH ORDINALITY AS w (name, number)
          JOIN pg_attribute t ON t.attrelid = target AND t.attname = w.name AND NOT t.attisdropped
          JOIN pg_attribute s ON s.attrelid = source AND s.attname = w.name AND NOT s.attisdropped) c
$$;

-- The type below a domain.
CREATE FUNCTION sage_intacct.mirror_base_type(type oid)
RETURNS oid
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE below (type, base) AS (
    SELECT t.oid, t.typbasetype FROM pg_type t WHERE t.oid = mirror_base_type.type
    UNION ALL
    SELECT t.oid, t.typbasetype FROM below b JOIN pg_type t ON t.oid = b.base)
SELECT b.type FROM below b WHERE b.base = 0
$$;

-- Several companies' mirrors in one table: option `company` names a column of the foreign tables that a constant fills, and the
-- table's key is that column and the row key. Each mirror reads and writes the rows of its own company, and no others.

-- The value of the company's column in the rows of a foreign table; empty without the option. Raises if there is none.
CREATE FUNCTION sage_intacct.mirror_company(source regclass, options jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    company text;
    type oid;
BEGIN
    IF NOT options ? 'company' THEN
        RETURN '';
    END IF;
    SELECT a.atttypid, (SELECT option_value FROM pg_options_to_table(a.attfdwoptions) WHERE option_name = 'constant') INTO type, company
      FROM pg_attribute a WHERE a.attrelid = source AND a.attname = options ->> 'company' AND a.attnum > 0 AND NOT a.attisdropped;
    IF coalesce(company, '') = '' THEN
        RAISE 'option "company" names the column "%", which no constant fills', options ->> 'company' USING ERRCODE = 'fdw_invalid_attribute_value',
            HINT = format('ALTER FOREIGN TABLE %s ADD COLUMN %I text OPTIONS (constant ''…'') NOT NULL makes one.', source, options ->> 'company');
    ELSIF type <> ALL (sage_intacct.mirror_key_types()) THEN
        RAISE 'option "company" names the column "%", which has type %', options ->> 'company', format_type(type, NULL)
            USING ERRCODE = 'fdw_invalid_attribute_value', HINT = 'It is part of the key: text, for example.';
    END IF;
    RETURN company;
END
$$;

-- Raises if a mirror's foreign table fills that column with something else than when the mirror was created.
CREATE FUNCTION sage_intacct.mirror_check_company(m sage_intacct.mirror)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF m.company <> sage_intacct.mirror_company(m.source, m.options) THEN
        RAISE 'the source of mirror % has changed', m.target USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = format('Column "%s" of %s is "%s" now: this is the mirror of "%s".', m.options ->> 'company', m.source,
                            sage_intacct.mirror_company(m.source, m.options), m.company),
            HINT = 'Put the constant back, or end the mirror and create another one.';
    END IF;
END
$$;

-- A condition that the rows of a mirror meet, and those of other companies do not.
CREATE FUNCTION sage_intacct.mirror_own_rows(m sage_intacct.mirror, alias text DEFAULT '')
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN m.options ? 'company' THEN format('%s%I OPERATOR(pg_catalog.=) %L', alias, m.options ->> 'company', m.company) ELSE 'true' END;
END
$$;

-- A relation to read the rows of a mirror from; an alias stands behind it.
CREATE FUNCTION sage_intacct.mirror_rows(m sage_intacct.mirror)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN m.options ? 'company' THEN format('(SELECT * FROM %s WHERE %s)', sage_intacct.mirror_qualified(m.target), sage_intacct.mirror_own_rows(m))
        ELSE sage_intacct.mirror_qualified(m.target) END;
END
$$;

-- Raises if a table cannot have this mirror beside those that it has.
CREATE FUNCTION sage_intacct.mirror_check_companies(target regclass, options jsonb, company text, keys name[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF options ? 'company' AND keys = '{}' THEN
        RAISE 'option "company" needs rows with an identifier' USING ERRCODE = 'feature_not_supported',
            HINT = 'Rows without one are replaced by periods: a table of each company''s own can be a partition of one table.';
    ELSIF EXISTS (SELECT FROM sage_intacct.mirror m WHERE m.target = mirror_check_companies.target
                     AND (m.company = mirror_check_companies.company OR m.options ->> 'company' IS DISTINCT FROM mirror_check_companies.options ->> 'company')) THEN
        RAISE '% is already a mirror', target USING ERRCODE = 'duplicate_object',
            HINT = 'CALL sage_intacct.drop_mirror(target) ends it.' || CASE WHEN options ? 'company'
                THEN ' Mirrors of several companies share a table where each has option "company" and a constant of its own.' ELSE '' END;
    END IF;
END
$$;

-- Takes the rows of one company out of a table that others' mirrors share. Returns whether it is shared.
CREATE FUNCTION sage_intacct.mirror_leave(m sage_intacct.mirror)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM sage_intacct.mirrors o WHERE o.target = m.target) THEN
        RETURN false;
    END IF;
    EXECUTE format('DELETE FROM %s WHERE %s', m.target, sage_intacct.mirror_own_rows(m));
    RETURN true;
END
$$;

-- Targets that Citus spreads over machines. What such a table refuses, and what it sends to every machine, decides how it is
-- refreshed: its rows that a page touches are pulled into a temporary table, compared here, and only those that differ are
-- written, by lists of values and by INSERT … ON CONFLICT. No statement reads the target and a temporary table together.
-- What a table is, the catalog of Citus says, not the option: a table that is adopted may be distributed already.
-- Workers are sent statements as text, and do not know the session's style of dates.

-- How a table is stored: `local`, `distributed` by a column, `reference`, or `other`, what Citus knows beside these.
CREATE FUNCTION sage_intacct.mirror_distribution(target regclass, OUT kind text, OUT distribution_column name)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT CASE WHEN p.partmethod = ''h'' THEN ''distributed'' WHEN p.partmethod = ''n'' AND p.repmodel = ''t'' THEN ''reference'' ELSE ''other'' END,
                        CASE WHEN p.partmethod <> ''n'' THEN pg_catalog.column_to_column_name(p.logicalrelid, p.partkey) END
                   FROM pg_catalog.pg_dist_partition p WHERE p.logicalrelid = $1'
           INTO kind, distribution_column USING target;
    END IF;
    kind := coalesce(kind, 'local');
END
$$;

-- Raises if a table is not distributed as the options say, or in a way that a mirror cannot be.
CREATE FUNCTION sage_intacct.mirror_check_distribution(target regclass, options jsonb, keys name[], columns name[])
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stored record;
    wanted text := CASE WHEN options ? 'distribute_by' THEN 'distributed' WHEN (options ->> 'reference')::boolean THEN 'reference' END;
BEGIN
    SELECT * INTO stored FROM sage_intacct.mirror_distribution(target) d;
    IF stored.kind = 'other' THEN
        RAISE 'table % is of a kind of Citus that cannot be a mirror', target USING ERRCODE = 'feature_not_supported',
            HINT = 'Tables that are distributed by the hash of a column, reference tables and local tables can.';
    ELSIF wanted <> stored.kind OR options ->> 'distribute_by' <> stored.distribution_column THEN
        RAISE 'table % is not what option "%" says', target, CASE wanted WHEN 'reference' THEN 'reference' ELSE 'distribute_by' END
            USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = CASE stored.kind WHEN 'distributed' THEN format('It is distributed by column "%s".', stored.distribution_column)
                                      WHEN 'reference' THEN 'It is a reference table.' ELSE 'It is a local table.' END,
            HINT = CASE WHEN stored.kind <> 'local' THEN 'Leave the option out: how the table is distributed is known.'
                        WHEN wanted = 'reference' THEN format('SELECT create_reference_table(%L), or leave the option out.', target)
                        ELSE format('SELECT create_distributed_table(%L, %L), or leave the option out.', target, options ->> 'distribute_by') END;
    ELSIF stored.kind <> 'local' AND keys = '{}' THEN
        RAISE '% cannot be distributed: nothing tells its rows apart', target USING ERRCODE = 'feature_not_supported';
    ELSIF stored.distribution_column <> ALL (columns) THEN
        RAISE 'the distribution column "%" of % is not mirrored', stored.distribution_column, target USING ERRCODE = 'feature_not_supported',
            HINT = 'Distribute it by a column that the foreign table fills.';
    END IF;
    IF stored.kind <> 'local' THEN
        PERFORM sage_intacct.mirror_conflict_columns(target, keys, columns);
    END IF;
END
$$;

-- The columns of the unique index by which a distributed target is written: the row key, and what Citus demands beside it.
CREATE FUNCTION sage_intacct.mirror_conflict_columns(target regclass, keys name[], columns name[])
RETURNS name[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_columns name[];
BEGIN
    SELECT u.names INTO found_columns
      FROM pg_index i
     CROSS JOIN LATERAL (SELECT array_agg(a.attname ORDER BY k.place) AS names
                           FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
                           LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
                          WHERE k.place <= i.indnkeyatts) u
     WHERE i.indrelid = target AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
       AND u.names @> keys AND u.names <@ columns
     ORDER BY cardinality(u.names), i.indexrelid LIMIT 1;
    IF NOT FOUND THEN
        RAISE '% has no unique index with column "%" by which it can be written', target, array_to_string(keys, '", "')
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A primary key of the row key and the distribution column, both of them mirrored, can be.';
    END IF;
    RETURN found_columns;
END
$$;

-- Makes a table that create_mirror has just made a distributed or a reference table.
CREATE FUNCTION sage_intacct.mirror_distribute(target regclass, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF options ? 'distribute_by' THEN
        EXECUTE format('SELECT pg_catalog.create_distributed_table($1, $2%s%s)',
                       ', colocate_with => ' || quote_literal(options ->> 'colocate_with'),
                       ', shard_count => ' || (options ->> 'shard_count')::integer)
          USING target, options ->> 'distribute_by';
    ELSIF (options ->> 'reference')::boolean THEN
        EXECUTE 'SELECT pg_catalog.create_reference_table($1)' USING target;
    END IF;
END
$$;

-- Raises if the distribution column may be empty: Citus refuses such a row (22004), and no refresh would ever get past it.
CREATE FUNCTION sage_intacct.mirror_check_distribution_column(source regclass, shape record, "column" name)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    filled name[] := ARRAY(
        SELECT a.attname FROM pg_attribute a
         WHERE a.attrelid = source AND a.attname = ANY (shape.columns) AND NOT a.attisdropped
           -- A line may have no header: its link is a column like others.
           AND (a.attnotnull OR a.attname = ANY (shape.keys)
                OR EXISTS (SELECT FROM pg_options_to_table(a.attfdwoptions) WHERE option_name = 'constant'))
         ORDER BY a.attnum);
BEGIN
    IF "column" <> ALL (shape.columns) THEN
        PERFORM sage_intacct.mirror_column_option(shape.columns, jsonb_build_object('distribute_by', "column"), 'distribute_by');
    ELSIF "column" <> ALL (filled) THEN
        RAISE 'column "%" of % may be null: it cannot distribute a mirror', "column", source USING ERRCODE = 'not_null_violation',
            DETAIL = format('Columns that would do: %s.', array_to_string(filled, ', ')),
            HINT = format('If it is never null at Sage Intacct, declare it: ALTER FOREIGN TABLE %s ALTER COLUMN %I SET NOT NULL.', source, "column");
    END IF;
END
$$;

-- A relation to read columns of the target from in one statement with temporary tables: the target itself, or, of a table that
-- Citus manages, a copy of the rows for which the condition (over `t`, without other tables) holds.
CREATE FUNCTION sage_intacct.mirror_near(m sage_intacct.mirror, columns name[], condition text DEFAULT 'true')
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
SET client_min_messages = warning
AS $$
BEGIN
    IF (SELECT kind FROM sage_intacct.mirror_distribution(m.target)) = 'local' THEN
        RETURN sage_intacct.mirror_rows(m);
    END IF;
    DROP TABLE IF EXISTS pg_temp.sage_intacct_near;
    EXECUTE format('CREATE TEMP TABLE sage_intacct_near AS SELECT %s FROM %s t WHERE %s AND %s', sage_intacct.mirror_names(columns, 't.'), m.target,
                   sage_intacct.mirror_own_rows(m, 't.'), condition);
    RETURN 'pg_temp.sage_intacct_near';
END
$$;

-- A condition that names the keys in a temporary table by their values; with `exactly`, rows whose keys an operator calls equal
-- although their bytes differ are none of them.
CREATE FUNCTION sage_intacct.mirror_listed(target regclass, relation text, keys name[], exactly boolean)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
DECLARE
    result text;
BEGIN
    SELECT string_agg(format('t.%I%s OPERATOR(pg_catalog.=) ANY (%s)', k.name,
               CASE WHEN exactly AND NOT c.collisdeterministic THEN ' COLLATE pg_catalog."C"' END,
               sage_intacct.mirror_key_list(relation, k.name)), ' AND ' ORDER BY k.number) INTO result
      FROM unnest(keys) WITH ORDINALITY AS k (name, number)
      JOIN pg_attribute a ON a.attrelid = target AND a.attname = k.name AND NOT a.attisdropped
      LEFT JOIN pg_collation c ON c.oid = a.attcollation;
    IF exactly AND cardinality(keys) > 1 THEN
        -- Each value may stand in the list with another row's: the whole key decides.
        EXECUTE format('SELECT %L || '' AND ('' || coalesce(string_agg(concat(''('', concat_ws('' AND '', %s), '')''), '' OR ''), ''false'') || '')'' FROM %s', result,
                       (SELECT string_agg(format('%L || quote_literal(%I) || %L', format('t.%I', k.name)
                                   || CASE WHEN c.collisdeterministic = false THEN ' COLLATE pg_catalog."C"' ELSE '' END || ' OPERATOR(pg_catalog.=) ', k.name,
                                   '::' || sage_intacct.mirror_type(a.atttypid)), ', ' ORDER BY k.number)
                          FROM unnest(keys) WITH ORDINALITY AS k (name, number)
                          JOIN pg_attribute a ON a.attrelid = target AND a.attname = k.name AND NOT a.attisdropped
                          LEFT JOIN pg_collation c ON c.oid = a.attcollation), relation) INTO result;
    END IF;
    RETURN result;
END
$$;

-- Pulls what a page touches, compares it, and returns the statements that write what differs, as mirror_statements does: null
-- where nothing does, so that nothing is sent. A row whose distribution column has another value is deleted and put anew,
-- since Citus does not let that column be assigned.
CREATE FUNCTION sage_intacct.mirror_stage(m sage_intacct.mirror, shape record, answer jsonb)
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
SET client_min_messages = warning
AS $$
DECLARE
    -- Longer lists of keys cost more than the rows that they leave out.
    longest constant bigint := 10000;
    stored record;
    conflict name[];
    -- Columns of that index beside the row key: they are never assigned.
    fixed name[];
    same text := sage_intacct.mirror_matches(m.target, shape.keys);
    whole boolean := jsonb_typeof(answer -> 'put') <> 'array';
    subset name[];
    changing name[];
    written name[];
    page bigint;
    touched boolean;
    routed text;
    gone text;
    moved text;
    changed text;
    gained text;
BEGIN
    SELECT * INTO stored FROM sage_intacct.mirror_distribution(m.target) d;
    conflict := sage_intacct.mirror_conflict_columns(m.target, array_remove(ARRAY[(m.options ->> 'company')::name], NULL) || shape.keys, shape.columns);
    fixed := ARRAY(SELECT c FROM unnest(conflict) c WHERE c <> ALL (shape.keys));
    IF answer #>> '{remove,by}' = 'gone' THEN
        gone := sage_intacct.mirror_listed(m.target, 'pg_temp.sage_intacct_gone', shape.keys, true);
        -- To the machines that have them, and to no other.
        IF stored.distribution_column <> ALL (shape.keys || coalesce((m.options ->> 'company')::name, '')) THEN
            routed := sage_intacct.mirror_near(m, ARRAY[stored.distribution_column], gone);
            gone := format('%s AND t.%I OPERATOR(pg_catalog.=) ANY (%s)', gone, stored.distribution_column, sage_intacct.mirror_key_list(routed, stored.distribution_column));
        END IF;
        gone := format('DELETE FROM %s t WHERE %s AND %s', m.target, sage_intacct.mirror_own_rows(m, 't.'), gone);
    END IF;
    SELECT count(*) INTO page FROM (SELECT 1 FROM pg_temp.sage_intacct_page LIMIT longest + 1) p;
    IF NOT answer ? 'put' OR page = 0 THEN
        RETURN ARRAY[gone, NULL, NULL, NULL];
    END IF;

    subset := CASE WHEN whole THEN shape.columns ELSE (SELECT array_agg(value::name) FROM jsonb_array_elements_text(answer -> 'put')) END;
    changing := ARRAY(SELECT c FROM unnest(subset) WITH ORDINALITY AS u (c, n) WHERE c <> ALL (conflict) ORDER BY n);
    PERFORM sage_intacct.mirror_near(m, ARRAY(SELECT c FROM unnest(shape.columns) c WHERE c = ANY (subset || conflict)),
        CASE WHEN page <= longest THEN sage_intacct.mirror_listed(m.target, 'pg_temp.sage_intacct_page', shape.keys, false) ELSE 'true' END);
    IF gone IS NOT NULL THEN
        EXECUTE format('DELETE FROM pg_temp.sage_intacct_near t USING pg_temp.sage_intacct_gone s WHERE %s', same);
    END IF;
    DROP TABLE IF EXISTS pg_temp.sage_intacct_moved, pg_temp.sage_intacct_put, pg_temp.sage_intacct_new;
    IF whole AND fixed <> '{}' THEN
        EXECUTE format('CREATE TEMP TABLE sage_intacct_moved AS SELECT %s FROM pg_temp.sage_intacct_near t JOIN pg_temp.sage_intacct_page s ON %s WHERE %s',
                       sage_intacct.mirror_names(conflict, 't.'), same, sage_intacct.mirror_differs(m.source, m.target, fixed));
        SELECT EXISTS (SELECT 1 FROM pg_temp.sage_intacct_moved) INTO touched;
        IF touched THEN
            moved := format('DELETE FROM %s t WHERE %s', m.target, sage_intacct.mirror_listed(m.target, 'pg_temp.sage_intacct_moved', conflict, true) || ' AND ' || sage_intacct.mirror_own_rows(m, 't.'));
            EXECUTE format('DELETE FROM pg_temp.sage_intacct_near t USING pg_temp.sage_intacct_moved s WHERE %s', same);
        END IF;
    END IF;
    IF changing <> '{}' THEN
        written := conflict || changing;
        EXECUTE format('CREATE TEMP TABLE sage_intacct_put AS SELECT %s, %s FROM pg_temp.sage_intacct_near t JOIN pg_temp.sage_intacct_page s ON %s WHERE %s',
                       sage_intacct.mirror_names(conflict, 't.'), sage_intacct.mirror_names(changing, 's.'), same,
                       sage_intacct.mirror_differs(m.source, m.target, changing));
        SELECT EXISTS (SELECT 1 FROM pg_temp.sage_intacct_put) INTO touched;
        IF touched THEN
            changed := format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM pg_temp.sage_intacct_put ON CONFLICT (%3$s) DO UPDATE SET (%4$s) = ROW(%5$s)',
                              m.target, sage_intacct.mirror_names(written), sage_intacct.mirror_names(conflict),
                              sage_intacct.mirror_names(changing), sage_intacct.mirror_names(changing, 'excluded.'));
        END IF;
    END IF;
    IF whole THEN
        EXECUTE format('CREATE TEMP TABLE sage_intacct_new AS SELECT %s FROM pg_temp.sage_intacct_page s
                         WHERE NOT EXISTS (SELECT 1 FROM pg_temp.sage_intacct_near t WHERE %s)', sage_intacct.mirror_names(shape.columns, 's.'), same);
        SELECT EXISTS (SELECT 1 FROM pg_temp.sage_intacct_new) INTO touched;
        IF touched THEN
            gained := format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM pg_temp.sage_intacct_new', m.target, sage_intacct.mirror_names(shape.columns));
        END IF;
    END IF;
    RETURN ARRAY[gone, moved, changed, gained];
END
$$;

-- Statistics after a first load: of the columns that refreshes look for alone. The others are left to autovacuum, which goes on
-- counting what has changed; it does not analyze a partitioned table. Of a table of Citus each shard is sampled as if it were a
-- table: of all columns, that would take longer than to write them.
CREATE FUNCTION sage_intacct.mirror_analyze(m sage_intacct.mirror)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    EXECUTE format('ANALYZE %s%s', m.target, (SELECT format(' (%s)', string_agg(DISTINCT quote_ident(name), ', ')) FROM unnest(
        shape.keys || ARRAY[shape.modified, shape.created, shape.link, shape.period, shape.columns[1]]) name
         WHERE name IS NOT NULL AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.target AND c.relkind = 'p')
        HAVING count(*) > 0));
END
$$;

-- Statistics of a table of Citus when its first load is complete: behind the commit, since Citus refuses ANALYZE in the transaction
-- that wrote (reference tables).
CREATE FUNCTION sage_intacct.mirror_analyze_behind(mirror integer)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
BEGIN
    SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id = mirror_analyze_behind.mirror;
    IF (SELECT kind FROM sage_intacct.mirror_distribution(m.target)) <> 'local' AND m.todo #>> '{0,do}' IS DISTINCT FROM 'load' THEN
        PERFORM sage_intacct.mirror_analyze(m);
    END IF;
END
$$;

-- Whether a mirror's rows still come from where they came from: company, entity, object, row key, the clock of the gateway's
-- times, and the columns that they fill. It is recorded when a mirror is first read, and compared at the beginning of each
-- refresh and before each page is applied: rows of two sources never meet in one table.

-- Where the rows of a mirror come from at this moment. Sends nothing in a session that has signed in and knows the user's
-- preferences.
CREATE FUNCTION sage_intacct.mirror_source(m sage_intacct.mirror)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
BEGIN
    PERFORM sage_intacct.mirror_check_company(m);
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    RETURN jsonb_strip_nulls(sage_intacct.mirror_session(m.source) || jsonb_build_object(
        'object', shape.object,
        'docparid', shape.docparid,
        'filter', (SELECT option_value FROM pg_foreign_table t, pg_options_to_table(t.ftoptions)
                    WHERE t.ftrelid = m.source AND option_name = 'filter'),
        'row_key', (SELECT string_agg(upper(c.field), ', ' ORDER BY upper(c.field) COLLATE "C")
                      FROM sage_intacct.mirror_columns(m.source, m.target) c
                     WHERE c.name = ANY (sage_intacct.mirror_keys(shape)))));
END
$$;

-- The columns that identify the rows of a mirror.
CREATE FUNCTION sage_intacct.mirror_keys(shape record)
RETURNS name[]
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN shape.keys;
END
$$;

-- In what two sources differ, with the values of both; null if in nothing. Where the clock is known from does not matter as
-- long as it is the same, and another clock is not another source: it is read again.
CREATE FUNCTION sage_intacct.mirror_source_differs(recorded jsonb, present jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT string_agg(format('%s: "%s" when the mirror was read, "%s" now', replace(name, '_', ' '), coalesce(recorded ->> name, ''),
                         coalesce(present ->> name, '')), '; ' ORDER BY number)
  FROM unnest(ARRAY['gateway', 'company', 'entity', 'object', 'docparid', 'row_key', 'filter', 'private'])
       WITH ORDINALITY AS part (name, number)
 -- A mirror of an older version learns where it comes from.
 WHERE recorded IS NOT NULL AND recorded ->> name IS DISTINCT FROM present ->> name
$$;

-- Raises if the rows of a mirror come from another source than those that it holds.
CREATE FUNCTION sage_intacct.mirror_refuse_source(m sage_intacct.mirror, present jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    differs text := sage_intacct.mirror_source_differs(m.identity, present);
BEGIN
    IF differs IS NOT NULL THEN
        RAISE 'the source of mirror % has changed', m.target USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = differs,
            HINT = 'Put the options of the server, its user mapping and the foreign table back; or CALL sage_intacct.refresh_mirror(target, full => true), which compares every row and takes out those that the new source does not have.';
    END IF;
END
$$;

-- The same within a refresh: the server or the foreign table may be altered while it runs.
CREATE FUNCTION sage_intacct.mirror_check_identity(m sage_intacct.mirror)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present jsonb := sage_intacct.mirror_source(m);
BEGIN
    PERFORM sage_intacct.mirror_refuse_source(m, present);
    IF m.identity ->> 'zone' IS DISTINCT FROM present ->> 'zone' THEN
        RAISE 'the time zone of the source of mirror % changed during the refresh', m.target
            USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = format('zone: "%s" when the refresh began, "%s" now', m.identity ->> 'zone', present ->> 'zone'),
            HINT = 'The next refresh reads the times again.';
    END IF;
END
$$;

-- The columns that a mirror shares with its foreign table, by name: their fields, and their numbers in the target.
CREATE FUNCTION sage_intacct.mirror_mapping(source regclass, target regclass)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(jsonb_object_agg(c.name, jsonb_build_object('field', sage_intacct.mirror_filled_by(c.name, c.field, source),
                                                            'number', a.attnum)), '{}')
  FROM sage_intacct.mirror_columns(source, target) c
  JOIN pg_attribute a ON a.attrelid = target AND a.attname = c.name
$$;

-- What a column of a foreign table is filled by: a field, or a constant.
CREATE FUNCTION sage_intacct.mirror_filled_by(name name, field text, source regclass)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(upper(field), (SELECT 'constant ' || option_value FROM pg_attribute a, pg_options_to_table(a.attfdwoptions)
                                WHERE a.attrelid = source AND a.attname = name AND option_name = 'constant'))
$$;

-- Compares the columns with those recorded. Raises if one has another name now; takes note of those that were dropped, of those
-- that another field fills now, and of columns that are the user's own although their names are those of fields.
CREATE FUNCTION sage_intacct.mirror_follow_columns(m sage_intacct.mirror)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
    other name;
    shared jsonb := sage_intacct.mirror_mapping(m.source, m.target);
    again name[];
BEGIN
    IF m.mapping IS NULL THEN
        m.mapping := shared;
        RETURN m;
    END IF;
    FOR known IN
        SELECT e.key::name AS name, e.value ->> 'field' AS field, t.attname AS target_name,
               EXISTS (SELECT FROM pg_attribute s WHERE s.attrelid = m.source AND s.attname = e.key AND s.attnum > 0 AND NOT s.attisdropped) AS is_there
          FROM jsonb_each(m.mapping) e
          LEFT JOIN pg_attribute t ON t.attrelid = m.target AND t.attnum = (e.value ->> 'number')::smallint AND NOT t.attisdropped
         ORDER BY (e.value ->> 'number')::smallint
    LOOP
        IF shared #>> ARRAY[known.name, 'field'] = known.field AND known.target_name = known.name THEN
            CONTINUE;
        END IF;
        -- A column of the same field, under another name.
        SELECT s.attname INTO other
          FROM pg_attribute s CROSS JOIN LATERAL (
                SELECT max(option_value) AS field FROM pg_options_to_table(s.attfdwoptions) WHERE option_name = 'field') o
         WHERE s.attrelid = m.source AND s.attnum > 0 AND NOT s.attisdropped AND s.attname <> known.name
           AND upper(coalesce(o.field, s.attname)) = known.field AND NOT m.mapping ? s.attname
         ORDER BY s.attname = known.target_name DESC NULLS LAST
         LIMIT 1;
        IF known.target_name <> known.name AND NOT known.is_there AND other = known.target_name THEN
            -- Both tables were changed in the same way.
            m.mapping := (m.mapping - known.name) || jsonb_build_object(other, m.mapping -> known.name);
        ELSIF known.target_name <> known.name THEN
            RAISE 'column "%" of mirror % is called "%" now', known.name, m.target, known.target_name
                USING ERRCODE = 'undefined_column', DETAIL = format('The foreign table fills it from field %s.', known.field),
                HINT = format('ALTER TABLE … RENAME COLUMN takes the name back; ALTER FOREIGN TABLE %s RENAME COLUMN %I TO %I lets the mirror go on with the new one.',
                              m.source, known.name, known.target_name);
        ELSIF NOT known.is_there AND other IS NOT NULL THEN
            RAISE 'column "%" of foreign table % is called "%" now', known.name, m.source, other
                USING ERRCODE = 'undefined_column', DETAIL = format('Mirror %s holds field %s under the old name.', m.target, known.field),
                HINT = format('ALTER FOREIGN TABLE … RENAME COLUMN takes the name back; ALTER TABLE %s RENAME COLUMN %I TO %I lets the mirror go on with the new one.',
                              m.target, known.name, other);
        ELSIF known.target_name IS NULL AND NOT shared ? known.name THEN
            RAISE WARNING 'column "%" of mirror % was dropped: it is not mirrored any more', known.name, m.target;
            m.mapping := m.mapping - known.name;
        ELSIF NOT known.is_there THEN
            IF known.name <> ALL (m.gone) THEN
                RAISE WARNING 'column "%" of foreign table % was dropped: what mirror % holds of it stays as it is', known.name, m.source, m.target;
                m.gone := m.gone || known.name;
            END IF;
        ELSIF shared ? known.name THEN
            -- Another field fills it, or it was recreated.
            m.mapping := m.mapping || jsonb_build_object(known.name, shared -> known.name);
            again := again || known.name;
        ELSE
            RAISE 'column "%" of mirror % cannot be filled any more', known.name, m.target USING ERRCODE = 'invalid_column_definition',
                HINT = 'It is computed in the table now. Drop the expression, or end the mirror and create it again.';
        END IF;
    END LOOP;
    -- What came to both tables later under one name is the user's own.
    m.gone := m.gone || ARRAY(SELECT key::name FROM jsonb_object_keys(shared) AS key WHERE NOT m.mapping ? key AND key::name <> ALL (m.gone));
    again := ARRAY(SELECT a FROM unnest(again) a WHERE a <> ALL (m.gone));
    IF again <> '{}' AND m.loaded_at IS NOT NULL THEN
        m.todo := m.todo || jsonb_build_object('do', 'all', 'columns', to_jsonb(again));
    END IF;
    RETURN m;
END
$$;

-- Compares source and columns with those recorded, at the beginning of a refresh. Another source stops it; `full` takes the
-- new one, compares every row, and may delete as many as it takes. After a change of the clock every row is read again.
CREATE FUNCTION sage_intacct.mirror_recognize(m sage_intacct.mirror, "full" boolean)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present jsonb;
    renewed boolean;
BEGIN
    m := sage_intacct.mirror_follow_columns(m);
    present := sage_intacct.mirror_source(m);
    IF NOT "full" THEN
        PERFORM sage_intacct.mirror_refuse_source(m, present);
    END IF;
    renewed := sage_intacct.mirror_source_differs(m.identity, present) IS NOT NULL;
    IF renewed OR m.identity ->> 'zone' IS DISTINCT FROM present ->> 'zone' AND m.identity IS NOT NULL THEN
        IF NOT renewed THEN
            RAISE WARNING 'the time zone of the source of mirror % has changed: every row is read again', m.target
                USING DETAIL = format('zone: "%s" when the mirror was read, "%s" now', m.identity ->> 'zone', present ->> 'zone');
        END IF;
        m.watermark := NULL;
        m.late_from := NULL;
        m.late_next := NULL;
        m.late_at := NULL;
        m.complete := NULL;
        m.todo := CASE WHEN m.loaded_at IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
            'do', 'all', 'accept', CASE WHEN renewed THEN true END))) END;
    END IF;
    -- A mirror of an older version may have taken a time that had not come yet for its watermark.
    IF m.identity IS NULL AND m.watermark > sage_intacct.mirror_gateway_time(m.source) THEN
        m.watermark := NULL;
    END IF;
    m.identity := present;
    RETURN m;
END
$$;

-- What a refresh has to do: tasks in their order. A task is a JSON object; `do` names it:
--
--   drift                         compares the fields of the object with those known
--   load {after, width, top}      first load, slice by slice of the key
--   deletes                       takes rows out that AUDITHISTORY lists as deleted
--   changes {from, after, …}      rows created or changed since `from`, page by page in the order of the key
--   lines {from, after, …}        lines of the headers changed since
--   changed {from}                where nothing is unique: the periods of rows created or changed since
--   period {scope}                the rows of a scope (see periods.sql), compared with the target's as a multiset
--   periods {differs}             which periods differ in number of rows or in sums
--   passed {seen}                 the changes have been read: moves the watermark
--   all {after, columns, …}       every row, compared with the target; with `columns`, these alone
--   keys {after, upto}            every key in a range, compared with the target
--   check {round}                 compares number of rows and sum of keys
--   halve {after, upto, …}        looks for a difference of both in a range
--
-- `after` is the last key that is done. A task that is not finished stands at the head of the list again, changed;
-- the list is committed with each page. `began` (local clock) and `seen` (gateway's clock) make the watermark;
-- `ahead` is how far the gateway's clock was ahead when `from` was computed.

-- `reading`: every row is being read already.
CREATE FUNCTION sage_intacct.mirror_plan(m sage_intacct.mirror, "full" boolean, reading boolean DEFAULT false)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
    todo jsonb := '[]';
    at timestamptz := clock_timestamp();
    stamped boolean;
    changes jsonb;
    rescan text := sage_intacct.mirror_option(m.options, 'rescan');
    rescans boolean := rescan IS NOT NULL
        AND coalesce(m.rescan_at, m.loaded_at) + sage_intacct.mirror_option(m.options, 'rescan_interval')::interval <= at;
    checks boolean := sage_intacct.mirror_option(m.options, 'check')::boolean;
    sweep_due timestamptz := sage_intacct.mirror_next_sweep(m.options, m.blind, coalesce(m.sweep_at, m.loaded_at));
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    stamped := shape.header IS NOT NULL OR shape.modified IS NOT NULL AND (shape.keys <> '{}' OR shape.period IS NOT NULL);
    IF m.drift_at IS NULL OR m.drift_at + sage_intacct.mirror_option(m.options, 'drift_interval')::interval <= at THEN
        todo := todo || jsonb_build_object('do', 'drift');
    END IF;

    changes := jsonb_build_object('do', CASE WHEN shape.header IS NOT NULL THEN 'lines' WHEN shape.keys = '{}' THEN 'changed' ELSE 'changes' END);
    IF m.loaded_at IS NULL THEN
        todo := todo || jsonb_build_object('do', 'load');
        IF stamped THEN
            todo := todo || changes;
        END IF;
    ELSIF "full" OR NOT stamped OR m.watermark IS NULL AND NOT reading THEN
        todo := todo || jsonb_build_object('do', 'all');
    ELSE
        IF shape.audit_object IS NOT NULL THEN
            todo := todo || jsonb_build_object('do', 'deletes');
        END IF;
        -- The second pass and the rescan of a period are the first pass from further back.
        IF m.late_at + sage_intacct.mirror_option(m.options, 'late_window')::interval <= at THEN
            changes := changes || '{"late": true}';
        END IF;
        IF rescans AND rescan <> 'all' THEN
            changes := changes || jsonb_build_object('rescan', rescan);
        END IF;
        todo := todo || changes;
        IF rescans AND rescan = 'all' THEN
            todo := todo || jsonb_strip_nulls(jsonb_build_object('do', 'all', 'rescan', 'all',
                'columns', to_jsonb(sage_intacct.mirror_column_list(m.options ->> 'rescan_columns'))));
        END IF;
    END IF;

    -- Reading all rows finds all keys too.
    IF sweep_due <= at AND NOT todo @> '[{"do": "all"}]' AND NOT todo @> '[{"do": "load"}]' THEN
        todo := todo || jsonb_build_object('do', 'keys');
    END IF;
    -- Rows that go from one value to another leave the sums of all rows as they are: a few values are compared each time.
    IF checks AND shape.period IS NOT NULL AND NOT sage_intacct.mirror_has_calendar(shape) AND m.loaded_at IS NOT NULL AND NOT todo @> '[{"do": "all"}]' THEN
        todo := todo || '{"do": "periods"}'::jsonb;
    END IF;
    IF checks THEN
        todo := todo || jsonb_build_object('do', 'check', 'round', 1);
    END IF;
    RETURN todo;
END
$$;

-- The tasks of a refresh that begins now: what an earlier one left, and what it would do by itself, each once. Pages that are
-- read stay read; what had not begun, and a search for a difference, which the check restarts, is not queued twice. Where
-- runs end after so many requests, a list is worked off before the next one is made, or no run would ever come to its end.
CREATE FUNCTION sage_intacct.mirror_agenda(m sage_intacct.mirror, "full" boolean)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept jsonb;
    plan jsonb;
BEGIN
    IF "full" THEN
        plan := sage_intacct.mirror_plan(m, true);
        -- What was accepted stays accepted.
        RETURN CASE WHEN m.todo @> '[{"accept": true}]'
            THEN (SELECT jsonb_agg(task || '{"accept": true}' ORDER BY number) FROM jsonb_array_elements(plan) WITH ORDINALITY AS p (task, number))
            ELSE plan END;
    ELSIF m.todo = '[]' THEN
        RETURN sage_intacct.mirror_plan(m, false);
    ELSIF m.loaded_at IS NULL AND m.todo @> '[{"do": "load"}]' OR sage_intacct.mirror_option(m.options, 'max_requests_per_run') IS NOT NULL THEN
        RETURN m.todo;
    END IF;
    SELECT coalesce(jsonb_agg(task ORDER BY number), '[]') INTO kept
      FROM (SELECT DISTINCT ON (task) task, number
              FROM jsonb_array_elements(m.todo) WITH ORDINALITY AS t (task, number)
             WHERE task ->> 'do' NOT IN ('drift', 'deletes', 'check', 'halve', 'periods', 'passed') AND NOT task ? 'part'
               -- Periods that changed or differ are found again; those of a pass over all of them go on.
               AND (task ->> 'do' <> 'period' OR task ? 'pass')
             ORDER BY task, number) t;
    plan := sage_intacct.mirror_plan(m, false, EXISTS (
        SELECT FROM jsonb_array_elements(kept) AS task WHERE task ->> 'do' = 'all' AND NOT task ? 'columns' OR task ->> 'do' = 'period'));
    SELECT coalesce(jsonb_agg(task ORDER BY number), '[]') INTO kept
      FROM jsonb_array_elements(kept) WITH ORDINALITY AS t (task, number)
     WHERE task ? 'began' AND (task ->> 'do' <> 'period' OR NOT plan @> '[{"do": "all"}]')
        OR NOT plan @> jsonb_build_array(jsonb_build_object('do', task -> 'do'))
        OR task ->> 'do' = 'all' AND NOT EXISTS (
               SELECT FROM jsonb_array_elements(plan) AS p WHERE p ->> 'do' = 'all' AND NOT p ? 'columns');
    RETURN kept || plan;
END
$$;

-- Names separated by commas.
CREATE FUNCTION sage_intacct.mirror_column_list(names text)
RETURNS name[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT array_agg(trim(BOTH FROM part)::name) FROM unnest(string_to_array(names, ',')) part
$$;

-- Where a task begins to read: behind the watermark by the overlap, and further for a second pass or a rescan.
CREATE FUNCTION sage_intacct.mirror_from(m sage_intacct.mirror, task jsonb)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT date_trunc('second', least(
    m.watermark - o.back,
    CASE WHEN task ? 'late' THEN m.late_from - o.back END,
    CASE WHEN task ? 'rescan' THEN m.watermark - (task ->> 'rescan')::interval END))
  FROM (SELECT sage_intacct.mirror_overlap(m) AS back) o
$$;

-- How many rows there are, and what their numbers add up to: at the gateway, and in the target.

-- The columns whose sums can be compared: numbers that the gateway adds up as PostgreSQL does.
CREATE FUNCTION sage_intacct.mirror_measures(source regclass, columns name[])
RETURNS name[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(array_agg(a.attname ORDER BY a.attnum), '{}')
  FROM pg_attribute a
 CROSS JOIN LATERAL (
        SELECT max(option_value) FILTER (WHERE option_name = 'field') AS field,
               max(option_value) FILTER (WHERE option_name = 'type') AS type,
               bool_or(option_name = 'constant') AS constant
          FROM pg_options_to_table(a.attfdwoptions)) o
 WHERE a.attrelid = source AND a.attname = ANY (columns) AND NOT a.attisdropped AND a.atttypmod = -1
   AND (a.atttypid = 'int8'::regtype AND o.type = 'INTEGER'
        OR a.atttypid = 'numeric'::regtype AND o.type IN ('DECIMAL', 'CURRENCY', 'PERCENT'))
   AND NOT coalesce(o.constant, false) AND coalesce(o.field, '') !~ '\.'
$$;

-- The column whose values are counted where rows are grouped: a key column, or RECORDNO, or another one; none of those that are
-- added up or grouped by. That every row has a value is not asked for: the target's values are counted too.
CREATE FUNCTION sage_intacct.mirror_counted(source regclass, target regclass, shape record, others name[])
RETURNS name
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT c.name FROM sage_intacct.mirror_columns(source, target) c
             WHERE c.name = ANY (shape.columns) AND c.name <> ALL (others) AND c.field !~ '\.'
             ORDER BY c.name = ANY (shape.keys) DESC, upper(c.field) = 'RECORDNO' DESC, c.type IN ('int8'::regtype, 'text'::regtype) DESC, c.number
             LIMIT 1);
END
$$;

-- An aggregate by the gateway: number of rows and sums, of all rows or of each value of a column. The statement is null
-- where the gateway cannot express it. `mirror_local` is the same of the target.
CREATE FUNCTION sage_intacct.mirror_aggregate(m sage_intacct.mirror, shape record, grouped name DEFAULT NULL, summed boolean DEFAULT true, OUT statement text, OUT counted name, OUT measures name[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    measures := CASE WHEN summed THEN array_remove(sage_intacct.mirror_measures(m.source, shape.columns), grouped) ELSE '{}' END;
    counted := coalesce(sage_intacct.mirror_counted(m.source, m.target, shape, array_remove(measures || grouped, NULL)),
                        sage_intacct.mirror_counted(m.source, m.target, shape, array_remove(ARRAY[grouped], NULL)));
    measures := array_remove(measures, counted);
    IF counted IS NOT NULL THEN
        statement := format('SELECT s.place%s AS place, s.rows, s.sums::numeric[] AS sums FROM sage_intacct.mirror_sums(%s, %L, %L, %L, %L) s',
            '::pg_catalog.' || quote_ident(CASE WHEN grouped IS NULL THEN 'text' ELSE shape.period_type END), m.source::oid,
            sage_intacct.mirror_fields(m.source, ARRAY[counted]) ->> 0, ARRAY(SELECT jsonb_array_elements_text(sage_intacct.mirror_fields(m.source, measures))),
            sage_intacct.mirror_fields(m.source, ARRAY[grouped]) ->> 0, CASE WHEN grouped IS NOT NULL THEN shape.period_type END);
    END IF;
END
$$;

-- The fields of columns, as an array.
CREATE FUNCTION sage_intacct.mirror_fields(source regclass, columns name[])
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(jsonb_agg(coalesce((SELECT max(option_value) FROM pg_options_to_table(a.attfdwoptions) WHERE option_name = 'field'), upper(a.attname)) ORDER BY c.number), '[]')
  FROM unnest(columns) WITH ORDINALITY AS c (name, number)
  JOIN pg_attribute a ON a.attrelid = source AND a.attname = c.name AND NOT a.attisdropped
$$;

CREATE FUNCTION sage_intacct.mirror_local(relation text, counted name, measures name[], grouped name DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('SELECT %1$s AS place, count(%5$s) AS rows, ARRAY[%2$s]::numeric[] AS sums FROM %3$s r%4$s', coalesce(quote_ident(grouped), 'NULL::text'),
              (SELECT string_agg(format('sum(%I)', name), ', ' ORDER BY number) FROM unnest(measures) WITH ORDINALITY AS c (name, number)),
              relation, ' GROUP BY ' || quote_ident(grouped), CASE WHEN grouped IS NULL THEN '*' ELSE quote_ident(counted) END)
$$;

-- Number of rows at the gateway, and what can be compared beside it: the sum of the keys, where they are numbers, else the sums of
-- all numbers. All are null where the gateway's function cannot count.
CREATE FUNCTION sage_intacct.mirror_counts(m sage_intacct.mirror, shape record, OUT rows bigint, OUT key_sum numeric, OUT measures name[], OUT sums numeric[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked record;
BEGIN
    IF shape.key IS NOT NULL THEN
        SELECT t.rows, t.key_sum INTO rows, key_sum FROM sage_intacct.mirror_totals(m.source, NULL, NULL) t;
        RETURN;
    END IF;
    SELECT * INTO asked FROM sage_intacct.mirror_aggregate(m, shape);
    IF asked.statement IS NOT NULL THEN
        EXECUTE format('SELECT a.rows, a.sums FROM (%s) a', asked.statement) INTO rows, sums;
        measures := CASE WHEN sums IS NOT NULL THEN asked.measures ELSE '{}' END;
    END IF;
END
$$;

-- The same in the target.
CREATE FUNCTION sage_intacct.mirror_local_counts(m sage_intacct.mirror, shape record, measures name[], OUT rows bigint, OUT key_sum numeric, OUT sums numeric[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF shape.key IS NOT NULL THEN
        SELECT t.rows, t.key_sum INTO rows, key_sum FROM sage_intacct.mirror_local_totals(sage_intacct.mirror_rows(m), shape.key, '{}') t;
    ELSE
        EXECUTE format('SELECT a.rows, a.sums FROM (%s) a', sage_intacct.mirror_local(sage_intacct.mirror_rows(m), NULL, measures)) INTO rows, sums;
    END IF;
END
$$;

-- Objects in which nothing is unique: their rows are replaced a period at a time, or with all rows of a header. A scope is a
-- condition that holds for rows at the gateway as for rows of the target; it is read whole, and compared as a multiset.
--
--   {}               every row
--   {from, to}       the column of the period is not before `from`, and before `to`
--   {values}         it has one of these values
--   {none}           it has no value
--   {except}         it has a value that is none of these
--   {lines}          the rows of the headers in the table of keys

CREATE FUNCTION sage_intacct.mirror_scope(shape record, scope jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    period text := quote_ident(shape.period);
    type text := '::pg_catalog.' || quote_ident(shape.period_type);
BEGIN
    RETURN CASE
        WHEN scope ? 'lines' THEN format(CASE WHEN scope ? 'without'
            THEN '(%1$I OPERATOR(pg_catalog.=) ANY (SELECT k FROM pg_temp.sage_intacct_keys) OR %1$I IS NULL)'
            ELSE '%1$I OPERATOR(pg_catalog.=) ANY (SELECT k FROM pg_temp.sage_intacct_keys)' END, shape.link)
        WHEN scope ? 'none' THEN period || ' IS NULL'
        WHEN scope ? 'values' THEN format('%s OPERATOR(pg_catalog.=) ANY (%L%s[])', period, ARRAY(SELECT jsonb_array_elements_text(scope -> 'values')), type)
        WHEN scope ? 'except' THEN format('%s OPERATOR(pg_catalog.<>) ALL (%L%s[])', period, ARRAY(SELECT jsonb_array_elements_text(scope -> 'except')), type)
        ELSE coalesce(nullif(concat_ws(' AND ',
            period || ' OPERATOR(pg_catalog.>=) ' || quote_literal(scope ->> 'from') || type,
            period || ' OPERATOR(pg_catalog.<) ' || quote_literal(scope ->> 'to') || type), ''), 'true') END;
END
$$;

-- Whether the column is cut into periods of the calendar; its values are periods themselves otherwise.
CREATE FUNCTION sage_intacct.mirror_has_calendar(shape record)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN shape.period_type = 'date';
END
$$;

-- The groups of a column's values in `there`, a temporary table (place, rows, …), as scopes of about `most` rows that together
-- hold every row there can be; or, with `gaps`, just the periods of those values.
CREATE FUNCTION sage_intacct.mirror_scopes(m sage_intacct.mirror, shape record, relation text, most bigint, gaps boolean)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
DECLARE
    length text := sage_intacct.mirror_option(m.options, 'period_length');
    span interval := CASE length WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || length)::interval END;
    part record;
    scopes jsonb := '[]';
    starts text;
    ends text;
    "values" jsonb := '[]';
    held bigint := 0;
    without boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE place IS NULL)', relation) INTO without;
    IF sage_intacct.mirror_has_calendar(shape) THEN
        FOR part IN EXECUTE format('SELECT date_trunc($1, place::timestamp) AS start, sum(rows)::bigint AS rows FROM %s WHERE place IS NOT NULL GROUP BY 1 ORDER BY 1', relation)
            USING length
        LOOP
            IF starts IS NULL OR held + part.rows > most OR gaps AND part.start::text <> ends THEN
                -- Between two scopes nothing is left out, unless it is known to be equal.
                IF starts IS NOT NULL THEN
                    scopes := scopes || jsonb_build_object('from', starts, 'to', CASE WHEN gaps THEN ends ELSE part.start::text END);
                END IF;
                starts := part.start::text;
                held := 0;
            END IF;
            held := held + part.rows;
            ends := (part.start + span)::text;
        END LOOP;
        IF starts IS NOT NULL THEN
            scopes := scopes || jsonb_build_object('from', starts, 'to', ends);
        END IF;
        IF NOT gaps AND scopes <> '[]' THEN
            scopes := jsonb_set(scopes, '{0}', (scopes -> 0) - 'from');
            scopes := jsonb_set(scopes, '{-1}', (scopes -> -1) - 'to');
        END IF;
    ELSE
        FOR part IN EXECUTE format('SELECT place::text AS place, rows FROM %s WHERE place IS NOT NULL ORDER BY place::text COLLATE "C"', relation) LOOP
            IF "values" <> '[]' AND held + part.rows > most THEN
                scopes := scopes || jsonb_build_object('values', "values");
                "values" := '[]';
                held := 0;
            END IF;
            held := held + part.rows;
            "values" := "values" || to_jsonb(part.place);
        END LOOP;
        IF "values" <> '[]' THEN
            scopes := scopes || jsonb_build_object('values', "values");
        END IF;
    END IF;
    IF without THEN
        scopes := scopes || '{"none": true}'::jsonb;
    END IF;
    RETURN scopes;
END
$$;

-- The gateway's groups by period go into a temporary table, with their sums if these are wanted. False where it does not return
-- them.
CREATE FUNCTION sage_intacct.mirror_read_groups(m sage_intacct.mirror, shape record, summed boolean, OUT answered boolean, OUT counted name, OUT measures name[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    asked record;
BEGIN
    answered := false;
    DROP TABLE IF EXISTS pg_temp.sage_intacct_groups;
    IF shape.period IS NULL THEN
        RETURN;
    END IF;
    SELECT * INTO asked FROM sage_intacct.mirror_aggregate(m, shape, shape.period, summed);
    IF asked.statement IS NOT NULL THEN
        EXECUTE 'CREATE TEMP TABLE sage_intacct_groups AS ' || asked.statement;
        counted := asked.counted;
        measures := asked.measures;
        -- A table without rows has no groups either, and is read in one go.
        answered := EXISTS (SELECT FROM pg_temp.sage_intacct_groups);
    END IF;
END
$$;

-- The rows of those groups.
CREATE FUNCTION sage_intacct.mirror_grouped_rows()
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT sum(rows) FROM pg_temp.sage_intacct_groups);
END
$$;

-- Which periods the gateway and the target do not have alike: they are read again.
CREATE FUNCTION sage_intacct.mirror_fetch_periods(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most bigint := sage_intacct.mirror_option(m.options, 'slice_rows')::bigint;
    there record;
    scopes jsonb;
BEGIN
    SELECT * INTO there FROM sage_intacct.mirror_read_groups(m, shape, true);
    IF NOT there.answered THEN
        RETURN CASE WHEN task ? 'differs' THEN jsonb_build_object('next', '[{"do": "all"}]'::jsonb) ELSE '{}' END;
    END IF;
    EXECUTE format('CREATE TEMP TABLE sage_intacct_differing ON COMMIT DROP AS
                    SELECT coalesce(g.place, h.place) AS place, greatest(g.rows, h.rows) AS rows
                      FROM pg_temp.sage_intacct_groups g FULL JOIN (%s) h ON h.place = g.place
                     WHERE coalesce(g.place, h.place) IS NOT NULL AND (g.rows, g.sums) IS DISTINCT FROM (h.rows, h.sums)
                    UNION ALL
                    SELECT NULL, 0 FROM (SELECT max(rows) AS rows, max(sums) AS sums FROM pg_temp.sage_intacct_groups WHERE place IS NULL) g
                     CROSS JOIN (SELECT max(rows) AS rows, max(sums) AS sums FROM (%1$s) l WHERE place IS NULL) h
                     WHERE (g.rows, g.sums) IS DISTINCT FROM (h.rows, h.sums)',
                   sage_intacct.mirror_local(sage_intacct.mirror_rows(m), there.counted, there.measures, shape.period));
    scopes := sage_intacct.mirror_scopes(m, shape, 'pg_temp.sage_intacct_differing', most, true);
    DROP TABLE pg_temp.sage_intacct_differing;
    -- There is a difference, and it shows in no group: some gateways make none of rows without a value.
    IF scopes = '[]' AND task ? 'differs' THEN
        RETURN jsonb_build_object('next', '[{"do": "all"}]'::jsonb);
    END IF;
    RETURN jsonb_build_object('next', (SELECT coalesce(jsonb_agg(jsonb_build_object('do', 'period', 'scope', s)), '[]')
                                         FROM jsonb_array_elements(scopes) s));
END
$$;

-- Every row, a scope at a time: of the whole object, where its periods are not known.
CREATE FUNCTION sage_intacct.mirror_fetch_every_period(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scopes jsonb := sage_intacct.mirror_every_scope(m, shape);
BEGIN
    task := jsonb_strip_nulls(jsonb_build_object('began', task -> 'began', 'rescan', task -> 'rescan', 'accept', task -> 'accept'));
    -- The last one ends the pass.
    RETURN jsonb_build_object('next', (
        SELECT jsonb_agg(jsonb_build_object('do', 'period', 'scope', s, 'pass', jsonb_array_length(scopes) - n) || task ORDER BY n)
          FROM jsonb_array_elements(scopes) WITH ORDINALITY AS e (s, n)));
END
$$;

-- Scopes that hold all rows together.
CREATE FUNCTION sage_intacct.mirror_every_scope(m sage_intacct.mirror, shape record)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most bigint := sage_intacct.mirror_option(m.options, 'slice_rows')::bigint;
    scopes jsonb;
    used boolean;
BEGIN
    -- Where everything is read, numbers of rows are enough to cut it.
    IF (SELECT answered FROM sage_intacct.mirror_read_groups(m, shape, false)) THEN
        scopes := sage_intacct.mirror_scopes(m, shape, 'pg_temp.sage_intacct_groups', most, false);
        -- Some gateways make no group of rows without a value.
        IF NOT scopes @> '[{"none": true}]' THEN
            scopes := scopes || '{"none": true}'::jsonb;
        END IF;
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s LIMIT 1)', m.target) INTO used;
        IF used AND NOT sage_intacct.mirror_has_calendar(shape) THEN
            scopes := scopes || jsonb_build_array(jsonb_build_object('except', (
                SELECT coalesce(jsonb_agg(place::text), '[]') FROM pg_temp.sage_intacct_groups WHERE place IS NOT NULL)));
        END IF;
    END IF;
    RETURN CASE WHEN coalesce(scopes, '[]') = '[]' THEN '[{}]' ELSE scopes END;
END
$$;

-- The rows of a scope. What the target has beyond them is gone.
CREATE FUNCTION sage_intacct.mirror_fetch_period(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scope jsonb := task -> 'scope';
    read bigint := 0;
    result jsonb;
BEGIN
    -- Values that the gateway has not returned: it was queried just now, and all others could only be requested one by one.
    IF NOT scope ? 'except' THEN
        EXECUTE format('INSERT INTO pg_temp.sage_intacct_page SELECT %s FROM %s WHERE %s',
                       sage_intacct.mirror_names(shape.columns), m.source, sage_intacct.mirror_scope(shape, scope));
        GET DIAGNOSTICS read = ROW_COUNT;
    END IF;
    result := jsonb_build_object('put', true, 'read', read, 'remove', jsonb_build_object('by', 'scope', 'scope', scope));
    IF NOT task ? 'pass' THEN
        RETURN result;
    END IF;
    task := task || jsonb_strip_nulls(jsonb_build_object('seen', greatest((m.todo #>> '{0,seen}')::timestamptz,
        sage_intacct.mirror_newest(m, 'pg_temp.sage_intacct_page', shape.modified, shape.created))));
    IF (task ->> 'pass')::integer > 0 THEN
        -- The next one goes on with the newest time of all of them.
        RETURN result || jsonb_build_object('carry', jsonb_strip_nulls(jsonb_build_object('seen', task -> 'seen')));
    END IF;
    RETURN result || jsonb_build_object('set', sage_intacct.mirror_passed(m, task)
        || jsonb_build_object('loaded_at', coalesce(m.loaded_at, clock_timestamp()), 'sweep_at', task -> 'began'));
END
$$;

-- The periods of rows created or changed since the watermark: they are read again, whole.
CREATE FUNCTION sage_intacct.mirror_fetch_changed_periods(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    most bigint := sage_intacct.mirror_option(m.options, 'slice_rows')::bigint;
    scopes jsonb;
    newest timestamptz;
    came bigint;
BEGIN
    EXECUTE format('CREATE TEMP TABLE sage_intacct_changed ON COMMIT DROP AS SELECT %s AS place, %s FROM %s WHERE %s',
                   quote_ident(shape.period), sage_intacct.mirror_names(array_remove(ARRAY[shape.modified, shape.created], NULL)), m.source,
                   sage_intacct.mirror_since(shape.modified, shape.created, (task ->> 'from')::timestamptz));
    newest := sage_intacct.mirror_newest(m, 'pg_temp.sage_intacct_changed', shape.modified, shape.created);
    EXECUTE format('CREATE TEMP TABLE sage_intacct_differing ON COMMIT DROP AS SELECT place, count(*) AS rows FROM (
                        SELECT place FROM pg_temp.sage_intacct_changed) c GROUP BY place');
    scopes := sage_intacct.mirror_scopes(m, shape, 'pg_temp.sage_intacct_differing', most, true);
    SELECT count(*) INTO came FROM pg_temp.sage_intacct_changed;
    DROP TABLE pg_temp.sage_intacct_changed, pg_temp.sage_intacct_differing;
    task := task || jsonb_strip_nulls(jsonb_build_object('seen', greatest((task ->> 'seen')::timestamptz, newest)));
    -- The watermark moves when the periods have been read.
    RETURN jsonb_build_object('came', came,
        'next', (SELECT coalesce(jsonb_agg(jsonb_build_object('do', 'period', 'scope', s)), '[]') FROM jsonb_array_elements(scopes) s)
        || jsonb_build_array(task || '{"do": "passed"}'));
END
$$;

-- The scope whose rows an answer holds.
CREATE FUNCTION sage_intacct.mirror_scope_of(answer jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE answer #>> '{remove,by}' WHEN 'scope' THEN answer #> '{remove,scope}' WHEN 'lines' THEN (answer -> 'remove') || '{"lines": true}' ELSE '{}' END
$$;

-- What rows print, numbers in their shortest form: rows are the same if this is. It is the same whatever the search_path.
CREATE FUNCTION sage_intacct.mirror_image(source regclass, target regclass, columns name[], alias text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('ROW(%s)::pg_catalog.text COLLATE pg_catalog."C"', string_agg(format(c.value, alias || '.' || c.name || CASE WHEN c.same OR alias = 't' THEN '' ELSE '::' || c.type END), ', ' ORDER BY c.number))
  FROM (SELECT w.number, quote_ident(w.name) AS name, t.atttypid = s.atttypid AS same, sage_intacct.mirror_type(t.atttypid) AS type,
               CASE WHEN sage_intacct.mirror_base_type(t.atttypid) = 'numeric'::regtype THEN 'pg_catalog.trim_scale(%s)' ELSE '%s' END AS value
          FROM unnest(columns) WITH ORDINALITY AS w (name, number)
          JOIN pg_attribute t ON t.attrelid = target AND t.attname = w.name AND NOT t.attisdropped
          JOIN pg_attribute s ON s.attrelid = source AND s.attname = w.name AND NOT s.attisdropped) c
$$;

-- The statements that make a scope of the target hold the page's rows, each as often as the page does. Rows that are the same
-- are numbered, here and there: those whose number the other side does not have are deleted, or inserted.
CREATE FUNCTION sage_intacct.mirror_replacement(m sage_intacct.mirror, shape record, scope jsonb, OUT gone text, OUT gained text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here text := format('SELECT t.ctid AS place, t.tableoid AS relation, i.image, pg_catalog.row_number() OVER (PARTITION BY i.image) AS number
                           FROM (SELECT t.*, t.ctid, t.tableoid FROM %2$s t WHERE %3$s) t CROSS JOIN LATERAL (SELECT %1$s) i (image)',
                        sage_intacct.mirror_image(m.source, m.target, shape.columns, 't'), m.target, sage_intacct.mirror_scope(shape, scope));
    there text := format('SELECT %2$s, i.image, pg_catalog.row_number() OVER (PARTITION BY i.image) AS number
                            FROM pg_temp.sage_intacct_page s CROSS JOIN LATERAL (SELECT %1$s) i (image)',
                         sage_intacct.mirror_image(m.source, m.target, shape.columns, 's'), sage_intacct.mirror_names(shape.columns, 's.'));
BEGIN
    gone := format('DELETE FROM %1$s t USING (%2$s) h
                     WHERE t.ctid OPERATOR(pg_catalog.=) h.place AND t.tableoid OPERATOR(pg_catalog.=) h.relation
                       AND NOT EXISTS (SELECT FROM (%3$s) s WHERE s.image OPERATOR(pg_catalog.=) h.image AND s.number OPERATOR(pg_catalog.=) h.number)',
                   m.target, here, there);
    gained := format('INSERT INTO %1$s (%4$s) SELECT %5$s FROM (%3$s) s
                       WHERE NOT EXISTS (SELECT FROM (%2$s) h WHERE s.image OPERATOR(pg_catalog.=) h.image AND s.number OPERATOR(pg_catalog.=) h.number)',
                     m.target, here, there, sage_intacct.mirror_names(shape.columns), sage_intacct.mirror_names(shape.columns, 's.'));
END
$$;

-- One step of a refresh, the gateway's half: reads what the task at the head of the list asks for into temporary tables, and
-- returns what is to be done with it. Nothing of the target is locked while the gateway is waited for. The procedure commits
-- and hands the answer to mirror_apply:
--
--   next       the tasks that take the place of this one
--   put        the page's rows are to be inserted, or updated where they differ; only these columns, if an array
--   remove     which rows of the target are to go: `range` (after, upto) those whose keys the page lacks, `keys` likewise
--              by the list of keys, `lines` those of the listed headers that the page lacks, `listed` those listed. Before the
--              commit, mirror_confirm (deletes.sql) makes `gone` of it: those in sage_intacct_gone
--   load       the slice to be read and inserted at once
--   set        columns of the registry to change
--   read, expected, say

-- The temporary tables: rows as the target holds them, and keys.
CREATE FUNCTION sage_intacct.mirror_prepare(m sage_intacct.mirror)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    shape record;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    DROP TABLE IF EXISTS pg_temp.sage_intacct_page, pg_temp.sage_intacct_keys;
    EXECUTE format('CREATE TEMP TABLE sage_intacct_page AS SELECT %s FROM %s WITH NO DATA',
                   sage_intacct.mirror_names(shape.columns), m.source);
    -- Keys of headers are numbers, and so are those of rows that are read page by page.
    EXECUTE format('CREATE TEMP TABLE sage_intacct_keys (k %s)', CASE WHEN shape.header IS NULL AND shape.key IS NULL AND cardinality(shape.keys) = 1
        THEN (SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = m.target AND a.attname = shape.keys[1])
        ELSE 'bigint' END);
END
$$;

-- Column names as they stand in a select list.
CREATE FUNCTION sage_intacct.mirror_names(columns name[], alias text DEFAULT '')
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT string_agg(alias || quote_ident(name), ', ' ORDER BY number) FROM unnest(columns) WITH ORDINALITY AS c (name, number)
$$;

-- A condition on the key, a bigint: behind `after`, up to `upto`, where the task has them; there is none for other keys.
-- Operators are qualified, since mirror_apply runs statements with the caller's search_path.
CREATE FUNCTION sage_intacct.mirror_range(key name, task jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(nullif(concat_ws(' AND ',
    quote_ident(key) || ' OPERATOR(pg_catalog.>) ' || (task ->> 'after')::bigint,
    quote_ident(key) || ' OPERATOR(pg_catalog.<=) ' || (task ->> 'upto')::bigint), ''), 'true')
$$;

-- Whether LIMIT without OFFSET over an order by key costs one page: the sort must be the gateway's.
CREATE FUNCTION sage_intacct.mirror_sorts_remotely(source regclass, key name)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The gateway's order of text is not known: rows with such keys are read in one go, and compared as a set.
    IF key IS NULL THEN
        RETURN false;
    END IF;
    RETURN (SELECT NOT p.sorts FROM sage_intacct.mirror_planned(
        format('SELECT %1$I FROM %2$s WHERE %1$I > 0 ORDER BY %1$I LIMIT 10', key, source)) p);
END
$$;

-- A foreign table for this session over another object of the same server: the headers of lines, the audit trail.
CREATE FUNCTION sage_intacct.mirror_hidden_table(name text, server name, columns text, object text, docparid text, show_private text, row_key text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
BEGIN
    EXECUTE format('DROP FOREIGN TABLE IF EXISTS pg_temp.%I', name);
    EXECUTE format('CREATE FOREIGN TABLE pg_temp.%I (%s) SERVER %I OPTIONS (object %L, row_key %L%s%s)', name, columns, server,
                   object, row_key, ', docparid ' || quote_literal(docparid), ', show_private ' || quote_literal(show_private));
END
$$;

-- The latest time that a row of a mirror's source can bear: that of the gateway's clock. What lies ahead of it is due to a clock
-- that was wrong. Where no answer shows the time, that of the local clock, and a day.
CREATE FUNCTION sage_intacct.mirror_latest(m sage_intacct.mirror)
RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN date_trunc('second', coalesce(sage_intacct.mirror_gateway_time(m.source), clock_timestamp() + interval '1 day'));
END
$$;

-- The largest time of change among the rows of a table that are not ahead of the gateway's clock; null if there is none.
CREATE FUNCTION sage_intacct.mirror_newest(m sage_intacct.mirror, relation text, modified name, created name)
RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Citus sends the parameter as text, and workers do not know the session's style.
SET datestyle = iso
AS $$
DECLARE
    newest timestamptz;
BEGIN
    IF modified IS NOT NULL THEN
        EXECUTE format('SELECT max(stamp) FROM (SELECT greatest(%s) AS stamp FROM %s r) s WHERE stamp <= $1',
                       concat_ws(', ', quote_ident(modified), quote_ident(created)), relation) INTO newest USING sage_intacct.mirror_latest(m);
    END IF;
    RETURN newest;
END
$$;

-- By how much the gateway's clock is ahead of the local one, by its last answer; null where no answer showed it.
CREATE FUNCTION sage_intacct.mirror_ahead(m sage_intacct.mirror)
RETURNS interval
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN make_interval(secs => extract(epoch FROM sage_intacct.mirror_gateway_time(m.source) - clock_timestamp())::double precision);
END
$$;

-- The mirror with its points in time on the gateway's clock as that is now. What is changed after the clock was set back bears
-- times that came before: they would lie behind the watermark, and so that goes back with the clock.
CREATE FUNCTION sage_intacct.mirror_follow_clock(m sage_intacct.mirror)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ahead interval := sage_intacct.mirror_ahead(m);
    back interval := m.ahead - ahead;
BEGIN
    IF back > interval '0' THEN
        m.watermark := m.watermark - back;
        m.late_from := m.late_from - back;
        m.late_next := m.late_next - back;
        m.ahead := ahead;
    END IF;
    RETURN m;
END
$$;

-- Whether an answer shows that the gateway's clock was set back since a task was begun, by more than the overlap hides. (How
-- far it is ahead is known to a second and the time that an answer takes.)
CREATE FUNCTION sage_intacct.mirror_is_set_back(m sage_intacct.mirror, task jsonb)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((task ->> 'ahead')::interval - sage_intacct.mirror_ahead(m)
                    > greatest(interval '2 seconds', least(interval '30 seconds', sage_intacct.mirror_option(m.options, 'overlap')::interval / 2)), false);
END
$$;

-- The registry's changes when a pass over the changes has come to its end. What was changed after the pass began bears a time
-- that is not older than the newest one seen, less the time that the pass took: from there the next pass begins. It does not
-- lie ahead of the gateway's own clock, whatever times rows bear. A pass that saw no time leaves the watermark where it is: that
-- the gateway's clock and the times of rows go alike is nothing that a refresh relies on.
CREATE FUNCTION sage_intacct.mirror_passed(m sage_intacct.mirror, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    began timestamptz := (task ->> 'began')::timestamptz;
    seen timestamptz := (task ->> 'seen')::timestamptz;
    watermark timestamptz;
    changed jsonb;
BEGIN
    m := sage_intacct.mirror_follow_clock(m);
    watermark := m.watermark;
    IF seen IS NOT NULL THEN
        watermark := greatest(watermark, date_trunc('second', least(seen, sage_intacct.mirror_gateway_time(m.source))
                                                              - greatest(clock_timestamp() - began, interval '0')));
    END IF;
    changed := jsonb_build_object('watermark', watermark, 'late_from', m.late_from, 'late_next', m.late_next,
                                  'ahead', coalesce(sage_intacct.mirror_ahead(m), m.ahead));
    -- Two second passes close to each other, since one was interrupted, are one: the later must not begin where the earlier ended.
    IF task ? 'late' AND m.late_at + sage_intacct.mirror_option(m.options, 'late_window')::interval <= began THEN
        changed := changed || jsonb_build_object('late_from', m.late_next, 'late_next', watermark, 'late_at', began);
    ELSIF m.late_at IS NULL THEN
        -- What became visible late may have been changed before the first pass.
        changed := changed || jsonb_build_object('late_from', watermark - sage_intacct.mirror_option(m.options, 'late_window')::interval,
                                                 'late_next', watermark, 'late_at', began);
    END IF;
    IF task ? 'rescan' THEN
        changed := changed || jsonb_build_object('rescan_at', began);
    END IF;
    RETURN changed;
END
$$;

CREATE FUNCTION sage_intacct.mirror_fetch(m sage_intacct.mirror)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    task jsonb := m.todo -> 0;
    answer jsonb;
BEGIN
    PERFORM sage_intacct.mirror_check_source(m.source);
    PERFORM sage_intacct.mirror_check_identity(m);
    TRUNCATE pg_temp.sage_intacct_page, pg_temp.sage_intacct_keys;
    m := sage_intacct.mirror_follow_clock(m);
    IF NOT task ? 'began' THEN
        task := task || jsonb_build_object('began', clock_timestamp());
    END IF;
    IF task ->> 'do' NOT IN ('deletes', 'changes', 'lines', 'changed') THEN
        RETURN sage_intacct.mirror_fetch_task(m, task);
    END IF;
    -- Without a watermark there was no row yet. `from` stays what it is while the pages of a pass are read.
    task := jsonb_build_object('ahead', sage_intacct.mirror_ahead(m)) || task;
    IF task ->> 'do' <> 'deletes' THEN
        task := jsonb_build_object('from', coalesce(sage_intacct.mirror_from(m, task), '-infinity')) || task;
    END IF;
    answer := sage_intacct.mirror_fetch_task(m, task);
    IF sage_intacct.mirror_is_set_back(m, task) THEN
        -- It begins too late: once more, from where the clock is now.
        TRUNCATE pg_temp.sage_intacct_page, pg_temp.sage_intacct_keys;
        RETURN jsonb_build_object('next', jsonb_build_array((m.todo -> 0) - '{from,after,seen,began,ahead}'::text[]));
    END IF;
    RETURN answer || jsonb_strip_nulls(jsonb_build_object('from', task -> 'from'));
END
$$;

CREATE FUNCTION sage_intacct.mirror_fetch_task(m sage_intacct.mirror, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    CASE task ->> 'do'
        WHEN 'drift' THEN RETURN sage_intacct.mirror_fetch_drift(m, shape);
        WHEN 'load' THEN RETURN sage_intacct.mirror_fetch_load(m, shape, task);
        WHEN 'deletes' THEN RETURN sage_intacct.mirror_fetch_deletes(m, shape);
        WHEN 'changes' THEN RETURN sage_intacct.mirror_fetch_changes(m, shape, task);
        WHEN 'lines' THEN RETURN sage_intacct.mirror_fetch_lines(m, shape, task);
        WHEN 'all' THEN RETURN sage_intacct.mirror_fetch_all(m, shape, task);
        WHEN 'keys' THEN RETURN sage_intacct.mirror_fetch_keys(m, shape, task);
        WHEN 'check' THEN RETURN sage_intacct.mirror_fetch_check(m, shape, task);
        WHEN 'halve' THEN RETURN sage_intacct.mirror_fetch_halve(m, shape, task);
        WHEN 'changed' THEN RETURN sage_intacct.mirror_fetch_changed_periods(m, shape, task);
        WHEN 'periods' THEN RETURN sage_intacct.mirror_fetch_periods(m, shape, task);
        WHEN 'period' THEN RETURN sage_intacct.mirror_fetch_period(m, shape, task);
        WHEN 'passed' THEN RETURN jsonb_build_object('set', sage_intacct.mirror_passed(m, task));
    END CASE;
END
$$;

-- The fields that the object has, beside those that are known.
CREATE FUNCTION sage_intacct.mirror_fetch_drift(m sage_intacct.mirror, shape record)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reaction text := sage_intacct.mirror_option(m.options, 'on_drift');
    now_there text[];
    new_fields jsonb;
    lost name[];
    back name[];
    message text;
BEGIN
    CREATE TEMP TABLE sage_intacct_fields ON COMMIT DROP AS
        SELECT field, data_type FROM sage_intacct.describe(shape.server, shape.object);
    SELECT array_agg(field) INTO now_there FROM pg_temp.sage_intacct_fields;
    SELECT jsonb_agg(jsonb_build_object('field', field, 'type', data_type) ORDER BY field COLLATE "C") INTO new_fields
      FROM pg_temp.sage_intacct_fields WHERE field <> ALL (m.fields) AND cardinality(m.fields) > 0;
    -- Fields of related objects are theirs, and some that queries know are not described.
    SELECT array_agg(c.name ORDER BY c.number) INTO lost FROM sage_intacct.mirror_columns(m.source, m.target) c
     WHERE c.field = ANY (m.fields) AND c.field <> ALL (now_there) AND c.name <> ALL (m.gone) AND c.name <> ALL (shape.keys);
    DROP TABLE pg_temp.sage_intacct_fields;
    SELECT array_agg(c.name ORDER BY c.number) INTO back FROM sage_intacct.mirror_columns(m.source, m.target) c
     WHERE c.name = ANY (m.gone) AND m.mapping ? c.name AND (c.field IS NULL OR c.field = ANY (now_there));

    message := concat_ws('; ', 'new: ' || (SELECT string_agg(value ->> 'field', ', ') FROM jsonb_array_elements(new_fields)),
                               'no longer there: ' || array_to_string(lost, ', '), 'there again: ' || array_to_string(back, ', '));
    IF message <> '' AND reaction = 'error' THEN
        RAISE 'the fields of % have changed: %', shape.object, message USING ERRCODE = 'fdw_schema_not_found',
            DETAIL = format('Mirror %s has option on_drift "error".', m.target),
            HINT = 'sage_intacct.alter_mirror(target, ''{"on_drift": "add"}'') or "warn" lets the refresh go on.';
    END IF;
    -- A field that is back is read again, in all rows.
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'set', jsonb_build_object('fields', to_jsonb(now_there), 'drift_at', clock_timestamp(),
            'gone', to_jsonb(ARRAY(SELECT g FROM unnest(m.gone || lost) g WHERE g <> ALL (coalesce(back, '{}'))))),
        'say', CASE WHEN message <> '' THEN format('the fields of %s have changed: %s', shape.object, message) END,
        'next', CASE WHEN m.loaded_at IS NOT NULL
            THEN (SELECT jsonb_build_array(jsonb_build_object('do', 'all', 'columns', to_jsonb(back))) WHERE back IS NOT NULL) END,
        'add', CASE WHEN reaction = 'add' THEN new_fields END));
END
$$;

-- A time near the newest one of the headers of lines, as a task keeps it. The gateway is not asked for a maximum, whose time may be
-- ambiguous, but for the headers of the last day, or of the last four, and so on until some come: of those the latest by their
-- numbers, a page. A watermark that is older than it could be hides nothing.
CREATE FUNCTION sage_intacct.mirror_header_seen(m sage_intacct.mirror, shape record)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
DECLARE
    latest timestamptz := sage_intacct.mirror_latest(m);
    newest timestamptz;
    since timestamptz;
BEGIN
    IF shape.header IS NULL THEN
        RETURN '{}';
    END IF;
    PERFORM sage_intacct.mirror_header_table(shape);
    FOREACH since IN ARRAY ARRAY(SELECT latest - interval '1 day' * power(4, n) FROM generate_series(0, 6) n ORDER BY n) || '-infinity'::timestamptz LOOP
        EXECUTE format('SELECT max(stamp) FROM (SELECT greatest(modified, created) AS stamp FROM pg_temp.sage_intacct_header
                                                WHERE greatest(modified, created) <= %L AND %s ORDER BY recordno DESC LIMIT 2000) h',
                       latest, sage_intacct.mirror_since('modified', 'created', since)) INTO newest;
        EXIT WHEN newest IS NOT NULL;
    END LOOP;
    RETURN jsonb_strip_nulls(jsonb_build_object('seen', newest));
END
$$;

-- First load: the width of the first slice of keys, or the next slice.
CREATE FUNCTION sage_intacct.mirror_fetch_load(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
DECLARE
    totals record;
    top bigint;
    used boolean;
BEGIN
    IF task ? 'width' OR task ? 'scopes' THEN
        RETURN jsonb_build_object('load', task);
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s r LIMIT 1)', sage_intacct.mirror_rows(m)) INTO used;
    -- What cannot be read slice by slice is read in one go.
    IF shape.keys = '{}' AND NOT used THEN
        task := task || jsonb_build_object('scopes', sage_intacct.mirror_every_scope(m, shape)) || sage_intacct.mirror_header_seen(m, shape);
        RETURN jsonb_build_object('set', '{"rows": 0}'::jsonb, 'next', jsonb_build_array(task),
            'expected', CASE WHEN to_regclass('pg_temp.sage_intacct_groups') IS NOT NULL THEN sage_intacct.mirror_grouped_rows() END);
    ELSIF shape.key IS NULL AND NOT used THEN
        RETURN jsonb_build_object('load', task || sage_intacct.mirror_header_seen(m, shape),
                                  'expected', (SELECT rows FROM sage_intacct.mirror_counts(m, shape)));
    END IF;
    SELECT * INTO totals FROM sage_intacct.mirror_counts(m, shape);
    IF used OR totals.rows IS NULL OR NOT sage_intacct.mirror_sorts_remotely(m.source, shape.key) THEN
        RETURN jsonb_build_object('next', jsonb_build_array(jsonb_build_object('do', 'all', 'loading', true)),
                                  'expected', totals.rows);
    END IF;
    EXECUTE format('SELECT %1$I FROM %2$s ORDER BY %1$I DESC LIMIT 1', shape.key, m.source) INTO top;
    task := task || sage_intacct.mirror_header_seen(m, shape);
    RETURN jsonb_build_object('expected', totals.rows, 'set', '{"rows": 0}'::jsonb, 'next', jsonb_build_array(task || jsonb_build_object(
        'top', coalesce(top, 0),
        'width', greatest(1, ceil(coalesce(top, 0)::numeric / greatest(totals.rows, 1)
                                  * sage_intacct.mirror_option(m.options, 'slice_rows')::bigint)))));
END
$$;

-- Rows deleted, from AUDITHISTORY. It is used only where the gateway no longer returns the row: a key may have
-- been given to another row since, and the trail may be ahead of the rows.
CREATE FUNCTION sage_intacct.mirror_fetch_deletes(m sage_intacct.mirror, shape record)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names text[];
    listed text[];
    lines boolean := shape.header IS NOT NULL;
    type text := CASE WHEN lines OR shape.key IS NOT NULL THEN 'bigint'
        ELSE (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = m.target AND a.attname = shape.keys[1]) END;
    -- Its times may be in another zone than those of the rows: a day more costs nothing, since most keys are not ours any more.
    since timestamptz := sage_intacct.mirror_from(m, '{"late": true}') - interval '1 day';
BEGIN
    PERFORM sage_intacct.mirror_hidden_table('sage_intacct_audit', shape.server,
        'objecttype text OPTIONS (type ''TEXT''), objectkey text OPTIONS (type ''TEXT''),
         accessmode text OPTIONS (type ''ENUM''), accesstime timestamptz OPTIONS (type ''TIMESTAMP'')',
        'AUDITHISTORY', NULL, NULL, '');
    BEGIN
        SELECT array_agg(DISTINCT key) INTO names FROM (
            SELECT objectkey AS key FROM pg_temp.sage_intacct_audit
             WHERE objecttype = lower(shape.audit_object) AND accessmode = 'D'
               AND accesstime >= since AND accesstime < '2200-01-01 00:00:00+00') a;
    EXCEPTION WHEN insufficient_privilege OR undefined_table OR undefined_column OR fdw_error THEN
        -- Where the trail's key is not known, nothing was expected of it.
        RETURN '{"set": {"blind": true}}'::jsonb || CASE WHEN shape.audit_column IS NULL THEN '{}' ELSE
            jsonb_build_object('say', format('deleted rows of %s are not read from AUDITHISTORY: %s', shape.object, SQLERRM)) END;
    END;
    -- Keys that are numbers may have a suffix.
    EXECUTE format('WITH names AS (SELECT name FROM unnest($1) AS name
                                   UNION SELECT split_part(name, ''--'', 1) FROM unnest($1) AS name WHERE name ~ ''^\d+--'')
                    SELECT array_agg(DISTINCT %I::text) FROM %s r WHERE %s',
                   CASE WHEN lines THEN shape.link ELSE shape.keys[1] END, sage_intacct.mirror_rows(m),
                   (SELECT string_agg(format('%I::text COLLATE "C" IN (SELECT name FROM names)', name), ' OR ') FROM unnest(shape.audit_columns) AS name))
       INTO listed USING names;
    IF listed IS NULL THEN
        RETURN '{}';
    END IF;
    IF lines THEN
        PERFORM sage_intacct.mirror_header_table(shape);
        INSERT INTO pg_temp.sage_intacct_keys
            SELECT unnest(listed::bigint[]) EXCEPT SELECT recordno FROM pg_temp.sage_intacct_header WHERE recordno = ANY (listed::bigint[]);
        -- Where lines have no identifier, what the gateway still shows of such a header is read, and stays.
        IF shape.keys = '{}' THEN
            EXECUTE format('INSERT INTO pg_temp.sage_intacct_page SELECT %s FROM %s WHERE %I = ANY (ARRAY(SELECT k FROM pg_temp.sage_intacct_keys))',
                           sage_intacct.mirror_names(shape.columns), m.source, shape.link);
            RETURN '{"put": true, "remove": {"by": "lines"}}';
        END IF;
        RETURN '{"remove": {"by": "lines"}}';
    END IF;
    -- Whether the gateway still shows them is what mirror_confirm asks.
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_keys SELECT unnest(%L::%s[])', listed, type);
    RETURN '{"remove": {"by": "listed"}}';
END
$$;

-- The largest key of the page, where it is a number.
CREATE FUNCTION sage_intacct.mirror_last(shape record)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last bigint;
BEGIN
    IF shape.key IS NOT NULL THEN
        EXECUTE format('SELECT max(%I) FROM pg_temp.sage_intacct_page', shape.key) INTO last;
    END IF;
    RETURN last;
END
$$;

CREATE FUNCTION sage_intacct.mirror_fetch_changes(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page bigint := sage_intacct.mirror_option(m.options, 'page_rows')::bigint;
    pages boolean := sage_intacct.mirror_sorts_remotely(m.source, shape.key);
    read bigint;
    last bigint;
BEGIN
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_page SELECT %1$s FROM %2$s WHERE %3$s AND %4$s%5$s',
                   sage_intacct.mirror_names(shape.columns), m.source,
                   sage_intacct.mirror_since(shape.modified, shape.created, (task ->> 'from')::timestamptz),
                   sage_intacct.mirror_range(shape.key, task),
                   CASE WHEN pages THEN format(' ORDER BY %I LIMIT %s', shape.key, page) END);
    GET DIAGNOSTICS read = ROW_COUNT;
    last := sage_intacct.mirror_last(shape);
    task := task || jsonb_strip_nulls(jsonb_build_object('after', last, 'seen', greatest((task ->> 'seen')::timestamptz,
        sage_intacct.mirror_newest(m, 'pg_temp.sage_intacct_page', shape.modified, shape.created))));
    IF pages AND read >= page THEN
        RETURN jsonb_build_object('put', true, 'read', read, 'next', jsonb_build_array(task));
    END IF;
    RETURN jsonb_build_object('put', true, 'read', read, 'set', sage_intacct.mirror_passed(m, task));
END
$$;

-- The headers of lines, with their times of change.
CREATE FUNCTION sage_intacct.mirror_header_table(shape record)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sage_intacct.mirror_hidden_table('sage_intacct_header', shape.server,
        format('recordno bigint OPTIONS (type ''INTEGER'') NOT NULL,
                modified timestamptz OPTIONS (field ''WHENMODIFIED'', type ''TIMESTAMP''),
                created timestamptz OPTIONS (field %L, type ''TIMESTAMP'')', shape.header_created),
        shape.header, shape.docparid, shape.show_private, 'RECORDNO');
END
$$;

-- Lines are those of their headers: a header that was changed brings all of its lines, and those that do not come are gone.
CREATE FUNCTION sage_intacct.mirror_fetch_lines(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What one list of values takes.
    page constant bigint := 1000;
    headers bigint[];
    newest timestamptz;
    wanted text[];
    read bigint := 0;
    remove jsonb := '{"by": "lines"}';
BEGIN
    PERFORM sage_intacct.mirror_header_table(shape);
    EXECUTE format('SELECT array_agg(recordno ORDER BY recordno), max(stamp) FILTER (WHERE stamp <= %L)
                      FROM (SELECT recordno, greatest(modified, created) AS stamp FROM pg_temp.sage_intacct_header
                             WHERE %s AND %s ORDER BY recordno LIMIT %s) h', sage_intacct.mirror_latest(m),
                   sage_intacct.mirror_since('modified', 'created', (task ->> 'from')::timestamptz),
                   sage_intacct.mirror_range('recordno', task), page)
       INTO headers, newest;
    IF headers IS NOT NULL THEN
        wanted := ARRAY[format('%I = ANY (%L::bigint[])', shape.link, headers)];
    END IF;
    -- A line may be changed without its header. Its own time of change is read once.
    IF shape.modified IS NOT NULL AND NOT task ? 'after' THEN
        wanted := wanted || sage_intacct.mirror_since(shape.modified, shape.created, (task ->> 'from')::timestamptz);
    END IF;
    IF wanted IS NOT NULL THEN
        EXECUTE format('INSERT INTO pg_temp.sage_intacct_page SELECT %s FROM %s WHERE %s',
                       sage_intacct.mirror_names(shape.columns), m.source, array_to_string(wanted, ' OR '));
        GET DIAGNOSTICS read = ROW_COUNT;
    END IF;
    INSERT INTO pg_temp.sage_intacct_keys SELECT unnest(headers);
    IF shape.keys = '{}' THEN
        read := read + sage_intacct.mirror_fetch_sisters(m, shape);
        IF EXISTS (SELECT 1 FROM pg_temp.sage_intacct_keys WHERE k IS NULL) THEN
            remove := remove || '{"without": true}';
        END IF;
    END IF;
    task := task || jsonb_strip_nulls(jsonb_build_object('after', headers[cardinality(headers)],
        'seen', greatest((task ->> 'seen')::timestamptz, newest,
            sage_intacct.mirror_newest(m, 'pg_temp.sage_intacct_page', shape.modified, shape.created))));
    IF cardinality(headers) >= page THEN
        RETURN jsonb_build_object('put', true, 'remove', remove, 'read', read, 'next', jsonb_build_array(task));
    END IF;
    RETURN jsonb_build_object('put', true, 'remove', remove, 'read', read,
                              'came', coalesce(cardinality(headers), 0), 'set', sage_intacct.mirror_passed(m, task));
END
$$;

-- Where lines have no identifier, a line that was changed without its header brings all lines of that header. Its key joins
-- those of the changed ones. Returns how many rows were read beside those of the page.
CREATE FUNCTION sage_intacct.mirror_fetch_sisters(m sage_intacct.mirror, shape record)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others bigint[];
    before bigint;
    read bigint;
    without boolean;
BEGIN
    EXECUTE format('SELECT count(*) > 0 FROM pg_temp.sage_intacct_page WHERE %I IS NULL', shape.link) INTO without;
    EXECUTE format('SELECT array_agg(DISTINCT %1$I) FROM pg_temp.sage_intacct_page
                     WHERE %1$I IS NOT NULL AND %1$I NOT IN (SELECT k FROM pg_temp.sage_intacct_keys)', shape.link) INTO others;
    -- A line of no header brings all lines of none: a key that is null is theirs.
    EXECUTE format('DELETE FROM pg_temp.sage_intacct_page WHERE %1$I IS NULL OR %1$I = ANY ($1)', shape.link) USING coalesce(others, '{}');
    GET DIAGNOSTICS before = ROW_COUNT;
    IF others IS NULL AND NOT without THEN
        RETURN 0;
    END IF;
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_page SELECT %s FROM %s WHERE %s', sage_intacct.mirror_names(shape.columns), m.source,
                   concat_ws(' OR ', format('%I = ANY (%L::bigint[])', shape.link, coalesce(others, '{}')),
                             CASE WHEN without THEN quote_ident(shape.link) || ' IS NULL' END));
    GET DIAGNOSTICS read = ROW_COUNT;
    INSERT INTO pg_temp.sage_intacct_keys SELECT unnest(others);
    IF without THEN
        INSERT INTO pg_temp.sage_intacct_keys VALUES (NULL);
    END IF;
    RETURN read - before;
END
$$;

-- Every row, a page at a time. What the target has between two keys and the page has not is gone.
CREATE FUNCTION sage_intacct.mirror_fetch_all(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page bigint := sage_intacct.mirror_option(m.options, 'page_rows')::bigint;
    pages boolean := sage_intacct.mirror_sorts_remotely(m.source, shape.key);
    subset name[] := (SELECT array_agg(value::name) FROM jsonb_array_elements_text(task -> 'columns'));
    read bigint;
    last bigint;
    result jsonb;
BEGIN
    IF shape.keys = '{}' THEN
        RETURN sage_intacct.mirror_fetch_every_period(m, shape, task);
    END IF;
    subset := ARRAY(SELECT unnest(subset) EXCEPT SELECT unnest(shape.keys)) || shape.keys;
    PERFORM sage_intacct.mirror_column_option(shape.columns, jsonb_build_object('rescan_columns', c), 'rescan_columns')
       FROM unnest(subset) c;
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_page (%1$s) SELECT %1$s FROM %2$s WHERE %3$s%4$s',
                   sage_intacct.mirror_names(CASE WHEN task ? 'columns' THEN subset ELSE shape.columns END), m.source,
                   sage_intacct.mirror_range(shape.key, task),
                   CASE WHEN pages THEN format(' ORDER BY %I LIMIT %s', shape.key, page) END);
    GET DIAGNOSTICS read = ROW_COUNT;
    last := sage_intacct.mirror_last(shape);
    result := jsonb_build_object('put', CASE WHEN task ? 'columns' THEN to_jsonb(subset) ELSE 'true' END, 'read', read);
    IF NOT task ? 'columns' THEN
        result := result || jsonb_build_object('remove', jsonb_strip_nulls(jsonb_build_object('by', 'range',
            'after', (task ->> 'after')::bigint, 'upto', CASE WHEN pages AND read >= page THEN last END)));
        task := task || jsonb_strip_nulls(jsonb_build_object('seen', greatest((task ->> 'seen')::timestamptz,
            sage_intacct.mirror_newest(m, 'pg_temp.sage_intacct_page', shape.modified, shape.created))));
    END IF;
    IF pages AND read >= page THEN
        RETURN result || jsonb_build_object('next', jsonb_build_array(task || jsonb_build_object('after', last)));
    END IF;
    RETURN result || jsonb_build_object('set', CASE
        WHEN task ? 'columns' AND task ? 'rescan' THEN jsonb_build_object('rescan_at', task -> 'began')
        WHEN task ? 'columns' THEN '{}'
        ELSE sage_intacct.mirror_passed(m, task) || jsonb_build_object('loaded_at', coalesce(m.loaded_at, clock_timestamp()),
                                                                     'sweep_at', task -> 'began') END);
END
$$;

-- Every key of a range, a page at a time. Rows that the target lacks are read whole; where keys are no numbers, all rows are.
CREATE FUNCTION sage_intacct.mirror_fetch_keys(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page bigint := sage_intacct.mirror_option(m.options, 'page_rows')::bigint;
    pages boolean := sage_intacct.mirror_sorts_remotely(m.source, shape.key);
    read bigint;
    last bigint;
    missing bigint[];
    finished boolean;
    result jsonb;
BEGIN
    IF shape.key IS NULL THEN
        RETURN sage_intacct.mirror_fetch_all(m, shape, task);
    END IF;
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_keys SELECT %1$I FROM %2$s WHERE %3$s%4$s', shape.key, m.source,
                   sage_intacct.mirror_range(shape.key, task),
                   CASE WHEN pages THEN format(' ORDER BY %I LIMIT %s', shape.key, page) END);
    GET DIAGNOSTICS read = ROW_COUNT;
    SELECT max(k) INTO last FROM pg_temp.sage_intacct_keys;
    EXECUTE format('SELECT array_agg(k) FROM pg_temp.sage_intacct_keys WHERE NOT EXISTS (SELECT FROM %s t WHERE t.%I = k)',
                   sage_intacct.mirror_near(m, ARRAY[shape.key], sage_intacct.mirror_range(shape.key, task || jsonb_strip_nulls(jsonb_build_object(
                       'upto', least(last, (task ->> 'upto')::bigint))))), shape.key) INTO missing;
    IF missing IS NOT NULL THEN
        EXECUTE format('INSERT INTO pg_temp.sage_intacct_page SELECT %s FROM %s WHERE %I = ANY (%L::bigint[])',
                       sage_intacct.mirror_names(shape.columns), m.source, shape.key, missing);
    END IF;
    finished := NOT (pages AND read >= page);
    result := jsonb_build_object('put', true, 'read', read, 'remove', jsonb_strip_nulls(jsonb_build_object('by', 'keys',
        'after', (task ->> 'after')::bigint, 'upto', CASE WHEN finished THEN (task ->> 'upto')::bigint ELSE last END)));
    IF NOT finished THEN
        RETURN result || jsonb_build_object('next', jsonb_build_array(task || jsonb_build_object('after', last)));
    END IF;
    -- A part of the keys is no sweep.
    RETURN result || CASE WHEN task ? 'part' THEN '{}' ELSE
        jsonb_build_object('set', jsonb_build_object('sweep_at', task -> 'began')) END;
END
$$;

-- Number of rows and sum of keys in the target.
CREATE FUNCTION sage_intacct.mirror_local_totals(relation text, key name, task jsonb, OUT rows bigint, OUT key_sum numeric)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('SELECT count(*), %1$s FROM %2$s r WHERE %3$s', coalesce('coalesce(sum(' || quote_ident(key) || '), 0)', 'NULL'), relation,
                   sage_intacct.mirror_range(key, task)) INTO rows, key_sum;
END
$$;

-- Are they all there? A difference is looked for, and the question asked again, three times at most: rows may come and go
-- while it is asked.
CREATE FUNCTION sage_intacct.mirror_fetch_check(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    there record;
    here record;
    round integer := (task ->> 'round')::integer;
BEGIN
    SELECT * INTO there FROM sage_intacct.mirror_counts(m, shape);
    SELECT * INTO here FROM sage_intacct.mirror_local_counts(m, shape, there.measures);
    IF there.rows IS NULL THEN
        RETURN jsonb_build_object('set', jsonb_build_object('complete', NULL, 'blind', m.blind OR shape.audit_column IS NULL));
    ELSIF there.rows = here.rows AND there.key_sum IS NOT DISTINCT FROM here.key_sum
          AND coalesce(there.sums, '{}') = coalesce(here.sums, '{}') THEN
        RETURN jsonb_build_object('set', jsonb_build_object('complete', true, 'blind', false, 'rows', here.rows));
    ELSIF round >= 4 THEN
        RETURN jsonb_build_object('set', jsonb_build_object('complete', false, 'rows', here.rows),
            'say', format('mirror %s has %s rows and the gateway shows %s: its rows come and go, or another session changes the mirror',
                          m.target, here.rows, there.rows));
    END IF;
    RETURN jsonb_build_object('next', jsonb_build_array(
        CASE WHEN shape.period IS NOT NULL THEN '{"do": "periods", "differs": true}' WHEN shape.key IS NULL THEN '{"do": "all"}' ELSE
            jsonb_build_object('do', 'halve', 'rows', there.rows, 'sum', there.key_sum) END,
        jsonb_build_object('do', 'check', 'round', round + 1)));
END
$$;

-- A range where the gateway has `rows` rows whose keys add up to `sum`: nothing is to be done, or all keys are read, or each half
-- is checked. Keys are never used again, so what differs shows in one of both numbers.
CREATE FUNCTION sage_intacct.mirror_fetch_halve(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page bigint := sage_intacct.mirror_option(m.options, 'page_rows')::bigint;
    after bigint := task ->> 'after';
    upto bigint := task ->> 'upto';
    rows bigint := task ->> 'rows';
    sum numeric := task ->> 'sum';
    here record;
    middle bigint;
    lower_half record;
    keys jsonb := jsonb_strip_nulls(jsonb_build_object('do', 'keys', 'part', true, 'after', after, 'upto', upto));
BEGIN
    SELECT * INTO here FROM sage_intacct.mirror_local_totals(sage_intacct.mirror_rows(m), shape.key, task);
    IF here.rows = rows AND here.key_sum = sum THEN
        RETURN '{}';
    END IF;
    -- Halving finds a few differences with two requests a step; many are found sooner by reading all keys.
    IF greatest(rows, here.rows) <= page OR abs(rows - here.rows) * 16 > greatest(rows, here.rows) / page THEN
        RETURN jsonb_build_object('next', jsonb_build_array(keys));
    END IF;
    EXECUTE format('SELECT %1$I FROM %2$s r WHERE %3$s ORDER BY %1$I OFFSET %4$s LIMIT 1', shape.key, sage_intacct.mirror_rows(m),
                   sage_intacct.mirror_range(shape.key, task), here.rows / 2)
       INTO middle;
    IF middle IS NULL OR middle = upto THEN
        RETURN jsonb_build_object('next', jsonb_build_array(keys));
    END IF;
    SELECT t.rows, t.key_sum INTO lower_half FROM sage_intacct.mirror_totals(m.source, after, middle) t;
    RETURN jsonb_build_object('next', jsonb_build_array(
        jsonb_strip_nulls(jsonb_build_object('do', 'halve', 'after', after, 'upto', middle,
            'rows', lower_half.rows, 'sum', lower_half.key_sum)),
        jsonb_strip_nulls(jsonb_build_object('do', 'halve', 'after', middle, 'upto', upto,
            'rows', rows - lower_half.rows, 'sum', sum - lower_half.key_sum))));
END
$$;

-- One step of a refresh, the target's half: what mirror_fetch has read goes into the target and the registry, in one transaction.
-- Plain SQL, so that the target may be partitioned or distributed.

-- Triggers of the target run in here and see the caller's search_path, as they would under any other INSERT: so this
-- function does not set one, and nothing in it, nor in the statements that it is given, may be looked up by a search_path.
CREATE FUNCTION sage_intacct.mirror_apply(m sage_intacct.mirror, run bigint, answer jsonb, used bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    statement pg_catalog.text;
    touched bigint;
    counts bigint[];
    events pg_catalog.text[];
    style pg_catalog.text := pg_catalog.current_setting('datestyle');
    local boolean := (SELECT kind FROM sage_intacct.mirror_distribution(m.target)) OPERATOR(pg_catalog.=) 'local';
BEGIN
    PERFORM sage_intacct.mirror_check_identity(m);
    PERFORM sage_intacct.mirror_check_target(m.target);
    events := sage_intacct.mirror_find_events(m, answer);
    IF NOT local THEN
        -- Workers do not know the session's style. No trigger of such a target sees it.
        PERFORM pg_catalog.set_config('datestyle', 'iso', true);
    END IF;
    FOREACH statement IN ARRAY sage_intacct.mirror_statements(m, answer) LOOP
        touched := 0;
        IF statement IS NOT NULL THEN
            EXECUTE statement;
            GET DIAGNOSTICS touched := ROW_COUNT;
        END IF;
        counts := pg_catalog.array_append(counts, touched);
    END LOOP;
    IF NOT local THEN
        PERFORM pg_catalog.set_config('datestyle', style, true);
    END IF;
    FOREACH statement IN ARRAY events LOOP
        EXECUTE statement;
    END LOOP;
    PERFORM sage_intacct.mirror_applied(m, run, answer, used, counts);
END
$$;

-- The statements that an answer of mirror_fetch asks for, null where there is none: rows that are gone are deleted, those that move
-- to another machine (mirror_stage alone) are deleted too, rows that differ are updated, new ones are inserted.
CREATE FUNCTION sage_intacct.mirror_statements(m sage_intacct.mirror, answer jsonb)
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
    whole boolean;
    subset name[];
    changing name[];
    same text;
    gone text;
    changed text;
    gained text;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    same := sage_intacct.mirror_matches(m.target, shape.keys) || CASE WHEN m.options ? 'company' THEN ' AND ' || sage_intacct.mirror_own_rows(m, 't.') ELSE '' END;
    IF shape.keys = '{}' AND answer ? 'remove' THEN
        SELECT r.gone, r.gained INTO gone, gained FROM sage_intacct.mirror_replacement(m, shape, sage_intacct.mirror_scope_of(answer)) r;
        RETURN ARRAY[gone, NULL, NULL, gained];
    END IF;
    IF answer ? 'load' THEN
        PERFORM sage_intacct.mirror_check_source(m.source);
        gained := format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %3$s WHERE %4$s', m.target,
                         sage_intacct.mirror_names(shape.columns), m.source,
                         CASE WHEN answer -> 'load' ? 'scopes' THEN sage_intacct.mirror_scope(shape, answer #> '{load,scopes,0}')
                              ELSE sage_intacct.mirror_range(shape.key, sage_intacct.mirror_slice(answer -> 'load')) END);
    END IF;

    IF NOT answer ? 'load' AND (SELECT kind FROM sage_intacct.mirror_distribution(m.target)) <> 'local' THEN
        RETURN sage_intacct.mirror_stage(m, shape, answer);
    END IF;

    -- A row that is gone may stand in the way of a new one with the same name.
    IF answer #>> '{remove,by}' = 'gone' THEN
        gone := format('DELETE FROM %1$s t WHERE EXISTS (SELECT FROM pg_temp.sage_intacct_gone s WHERE %2$s)', m.target, same);
    END IF;

    IF answer ? 'put' THEN
        whole := jsonb_typeof(answer -> 'put') <> 'array';
        subset := CASE WHEN whole THEN shape.columns
            ELSE (SELECT array_agg(value::name) FROM jsonb_array_elements_text(answer -> 'put')) END;
        changing := ARRAY(SELECT c FROM unnest(subset) WITH ORDINALITY AS u (c, n) WHERE c <> ALL (shape.keys) ORDER BY n);
        IF changing <> '{}' THEN
            changed := format('UPDATE %2$s t SET (%3$s) = ROW(%4$s) FROM pg_temp.sage_intacct_page s
                                WHERE %1$s AND %5$s',
                              same, m.target, sage_intacct.mirror_names(changing), sage_intacct.mirror_names(changing, 's.'),
                              sage_intacct.mirror_differs(m.source, m.target, changing));
        END IF;
        IF whole THEN
            gained := format('INSERT INTO %2$s (%3$s) SELECT %4$s FROM pg_temp.sage_intacct_page s
                               WHERE NOT EXISTS (SELECT FROM %2$s t WHERE %1$s)',
                             same, m.target, sage_intacct.mirror_names(shape.columns), sage_intacct.mirror_names(shape.columns, 's.'));
        END IF;
    END IF;
    RETURN ARRAY[gone, NULL, changed, gained];
END
$$;

-- What has been done goes into the registry, and the tasks that are left. `counts` are the rows of each of the statements.
CREATE FUNCTION sage_intacct.mirror_applied(m sage_intacct.mirror, run bigint, answer jsonb, used bigint, counts bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost bigint := counts[1];
    -- A row that is deleted and reinserted has changed.
    changed bigint := counts[2] + counts[3];
    gained bigint := counts[4] - counts[2];
BEGIN
    IF answer ? 'say' THEN
        RAISE WARNING '%', answer ->> 'say';
    END IF;
    IF answer ? 'load' THEN
        answer := sage_intacct.mirror_loaded(m, answer -> 'load', gained);
    END IF;
    m := jsonb_populate_record(m, coalesce(answer -> 'set', '{}'));
    m.todo := coalesce(answer -> 'next', '[]') || (m.todo - 0);
    IF answer ? 'carry' AND m.todo <> '[]' THEN
        m.todo := jsonb_set(m.todo, '{0}', (m.todo -> 0) || (answer -> 'carry'));
    END IF;
    m.rows := m.rows + CASE WHEN coalesce(answer -> 'set', '{}') ? 'rows' THEN 0 ELSE gained - lost END;
    IF answer -> 'set' ? 'drift_at' THEN
        IF answer ? 'add' THEN
            m := sage_intacct.mirror_add_columns(m, answer -> 'add');
        END IF;
        PERFORM sage_intacct.mirror_prepare(m);
    END IF;
    UPDATE sage_intacct.mirror r
       SET todo = m.todo,
           -- Where rows have no identifier, a changed one is deleted and reinserted.
           deleting = m.deleting + CASE WHEN answer #>> '{remove,by}' = 'gone' THEN lost ELSE greatest(lost - gained, 0) END,
            mapping = m.mapping, fields = m.fields, gone = m.gone, watermark = m.watermark, ahead = m.ahead, late_from = m.late_from,
           late_next = m.late_next, late_at = m.late_at, loaded_at = m.loaded_at, rescan_at = m.rescan_at,
           sweep_at = m.sweep_at, drift_at = m.drift_at, complete = m.complete, blind = m.blind, rows = m.rows
     WHERE r.id = m.id;
    UPDATE sage_intacct.mirror_run r
       SET inserted = r.inserted + gained, updated = r.updated + changed,
           deleted = r.deleted + lost, read = r.read + coalesce((answer ->> 'read')::bigint, 0),
           expected = coalesce((answer ->> 'expected')::bigint, r.expected), requests = used,
           task = coalesce(m.todo #>> '{0,do}', r.task), watermark = m.watermark
     WHERE r.id = run;
END
$$;

-- The keys of the next slice of a first load: the last one has no end.
CREATE FUNCTION sage_intacct.mirror_slice(task jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE WHEN s.upto < (task ->> 'top')::bigint THEN task || jsonb_build_object('upto', s.upto) ELSE task END
  FROM (SELECT coalesce((task ->> 'after')::bigint, 0) + (task ->> 'width')::bigint AS upto) s
$$;

-- A time of change near the newest one of the target, from what ANALYZE has just sampled; null if it saw none. A watermark that
-- is older than it could be hides nothing: a few rows are read once more.
CREATE FUNCTION sage_intacct.mirror_sampled(m sage_intacct.mirror, shape record)
RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
BEGIN
    RETURN (SELECT max(v) FROM pg_stats s
             CROSS JOIN LATERAL unnest(coalesce(s.most_common_vals::text::timestamptz[], '{}') || coalesce(s.histogram_bounds::text::timestamptz[], '{}')) v
             WHERE (s.schemaname, s.tablename) = (SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = m.target)
               AND s.attname IN (shape.modified, shape.created) AND v <= sage_intacct.mirror_latest(m));
END
$$;

-- A slice of the first load: its rows went from the gateway into the target as they came, from several pages at once. Returns
-- what mirror_fetch would.
CREATE FUNCTION sage_intacct.mirror_loaded(m sage_intacct.mirror, task jsonb, read bigint)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
    slice bigint := sage_intacct.mirror_option(m.options, 'slice_rows')::bigint;
    width bigint := task ->> 'width';
    upto bigint := sage_intacct.mirror_slice(task) ->> 'upto';
    local boolean := (SELECT kind FROM sage_intacct.mirror_distribution(m.target)) = 'local';
BEGIN
    IF jsonb_array_length(task -> 'scopes') > 1 THEN
        RETURN jsonb_build_object('read', read, 'next', jsonb_build_array(task || jsonb_build_object('scopes', (task -> 'scopes') - 0)));
    ELSIF upto IS NOT NULL THEN
        RETURN jsonb_build_object('read', read, 'next', jsonb_build_array(task || jsonb_build_object('after', upto,
            'width', greatest(1, width / 4, least(width * 4, width * slice / greatest(read, 1))))));
    END IF;
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    -- A table of Citus is analyzed behind the commit, since it refuses that in the transaction that wrote (reference tables).
    IF local THEN
        PERFORM sage_intacct.mirror_analyze(m);
    END IF;
    -- A sample of a table that companies share says nothing of one of them.
    task := task || jsonb_build_object('seen', greatest((task ->> 'seen')::timestamptz, coalesce(
        CASE WHEN local AND NOT m.options ? 'company' THEN sage_intacct.mirror_sampled(m, shape) END,
        sage_intacct.mirror_newest(m, sage_intacct.mirror_rows(m), shape.modified, shape.created))));
    RETURN jsonb_build_object('read', read, 'set', sage_intacct.mirror_passed(m, task)
        || jsonb_build_object('loaded_at', clock_timestamp(), 'sweep_at', task -> 'began')
        -- What was read in one go is all there is.
        || CASE WHEN task ? 'width' OR task ? 'scopes' THEN '{}' ELSE jsonb_build_object('rows', read) END);
END
$$;

-- New fields of the object become columns of the foreign table and of the target, and are filled. A column that the table has
-- already is the user's own.
CREATE FUNCTION sage_intacct.mirror_add_columns(m sage_intacct.mirror, fields jsonb)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    field record;
    known record;
    added name[];
    name name;
    type text;
    has_own boolean;
BEGIN
    FOR field IN SELECT value ->> 'field' AS field, value ->> 'type' AS type FROM jsonb_array_elements(fields) LOOP
        name := replace(lower(field.field), '.', '_');
        type := CASE field.type
            WHEN 'INTEGER' THEN 'bigint'
            WHEN 'DECIMAL' THEN 'numeric' WHEN 'CURRENCY' THEN 'numeric' WHEN 'PERCENT' THEN 'numeric'
            WHEN 'BOOLEAN' THEN 'boolean' WHEN 'DATE' THEN 'date' WHEN 'TIMESTAMP' THEN 'timestamptz'
            ELSE 'text' END;
        -- The foreign table may read the field already.
        SELECT a.attname AS name, sage_intacct.mirror_type(a.atttypid) AS type INTO known
          FROM pg_attribute a CROSS JOIN LATERAL (
                SELECT max(option_value) AS field FROM pg_options_to_table(a.attfdwoptions) WHERE option_name = 'field') o
         WHERE a.attrelid = m.source AND a.attnum > 0 AND NOT a.attisdropped AND upper(coalesce(o.field, a.attname)) = upper(field.field)
         LIMIT 1;
        IF FOUND THEN
            name := known.name;
            type := known.type;
        END IF;
        IF m.mapping ? name THEN
            CONTINUE;
        END IF;
        has_own := known.name IS NULL AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = m.source AND a.attname = name AND NOT a.attisdropped);
        -- Where companies share the table, another one's mirror may have made the column.
        IF has_own OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = m.target AND a.attname = name AND NOT a.attisdropped
                                 AND NOT (m.options ? 'company' AND a.atttypid = type::regtype)) THEN
            RAISE WARNING 'no column was made for field %: % has a column "%" of its own', field.field,
                CASE WHEN has_own THEN m.source ELSE m.target END, name;
            CONTINUE;
        END IF;
        BEGIN
            IF known.name IS NULL THEN
                EXECUTE format('ALTER FOREIGN TABLE %s ADD COLUMN %I %s OPTIONS (field %L, type %L)', m.source, name, type, field.field, field.type);
            END IF;
            -- Not every field that is described may be queried.
            EXECUTE format('SELECT %I FROM %s LIMIT 1', name, m.source);
            EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS %I %s', m.target, name, type);
            added := added || name;
        EXCEPTION WHEN undefined_column OR fdw_error THEN
            RAISE WARNING 'no column was made for field %: %', field.field, SQLERRM;
        END;
    END LOOP;
    m.mapping := m.mapping || coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(sage_intacct.mirror_mapping(m.source, m.target))
                                         WHERE key::name = ANY (added)), '{}');
    IF added IS NOT NULL AND m.loaded_at IS NOT NULL THEN
        m.todo := jsonb_build_array(jsonb_build_object('do', 'all', 'columns', to_jsonb(added))) || m.todo;
    END IF;
    RETURN m;
END
$$;

-- Which rows a refresh may delete. Every task that finds rows gone ends here: an answer in which a row is missing is a reason to
-- ask again, not to delete. Between mirror_fetch and the commit, mirror_confirm looks a second time at the rows that would go,
-- by their keys, together with some that are known to be there; what is shown in either answer, or was in another answer of the
-- same refresh, stays. And there is a brake for unexpectedly many deletes.

-- Keys that the gateway has shown during this refresh, and keys of the rows that are to go.
CREATE FUNCTION sage_intacct.mirror_prepare_deletes(m sage_intacct.mirror)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    shape record;
    keys name[];
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    keys := sage_intacct.mirror_keys(shape);
    DROP TABLE IF EXISTS pg_temp.sage_intacct_seen, pg_temp.sage_intacct_gone;
    IF keys <> '{}' THEN
        EXECUTE format('CREATE TEMP TABLE sage_intacct_seen AS SELECT %1$s FROM %2$s WITH NO DATA', sage_intacct.mirror_names(keys), m.target);
        EXECUTE format('CREATE TEMP TABLE sage_intacct_gone AS SELECT %1$s FROM %2$s WITH NO DATA', sage_intacct.mirror_names(keys), m.target);
    END IF;
END
$$;

-- The option max_delete: a share of the rows, in per cent, and a number of rows. More than both is too much; null is no bound.
CREATE FUNCTION sage_intacct.mirror_max_delete(options jsonb, OUT share numeric, OUT rows bigint)
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given text := sage_intacct.mirror_option(options, 'max_delete');
    parts text[] := regexp_match(given, '^\s*(?:(\d{1,3}(?:\.\d+)?)\s*%)?\s*,?\s*(\d{1,9})?\s*$');
BEGIN
    IF given = 'off' THEN
        RETURN;
    ELSIF parts IS NULL OR parts = '{NULL,NULL}' THEN
        RAISE invalid_text_representation;
    END IF;
    share := coalesce(parts[1]::numeric, 0);
    rows := coalesce(parts[2]::bigint, 0);
END
$$;

-- How many rows the target has, if so many more deleted ones are too many for one refresh; else null. `deleting` counts on until
-- a refresh comes to its end: one that restarts where another was stopped has no more to spend.
CREATE FUNCTION sage_intacct.mirror_too_many(m sage_intacct.mirror, gone bigint)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most record;
    here bigint;
BEGIN
    SELECT * INTO most FROM sage_intacct.mirror_max_delete(m.options);
    IF gone + m.deleting > most.rows THEN
        EXECUTE format('SELECT count(*) FROM %s r', sage_intacct.mirror_rows(m)) INTO here;
    END IF;
    RETURN CASE WHEN (gone + m.deleting) * 100 > most.share * (here + m.deleting) THEN here END;
END
$$;

-- Raises if so many more rows are too many, or all that there are: where no row is left, none distinguishes a gateway that shows nothing
-- from one that has nothing. Rows that the trail lists are known to be deleted.
CREATE FUNCTION sage_intacct.mirror_brake(m sage_intacct.mirror, gone bigint, accept boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here bigint;
BEGIN
    IF accept OR sage_intacct.mirror_option(m.options, 'max_delete') = 'off' THEN
        RETURN;
    END IF;
    here := sage_intacct.mirror_too_many(m, gone);
    IF here IS NULL AND m.todo #>> '{0,do}' <> 'deletes' THEN
        EXECUTE format('SELECT nullif(count(*) = $1, false)::integer * $1 FROM (SELECT 1 FROM %s r LIMIT $1 + 1) t', sage_intacct.mirror_rows(m)) INTO here USING gone;
    END IF;
    IF here IS NOT NULL THEN
        RAISE 'the refresh would delete % of % rows of mirror %', gone + m.deleting, here + m.deleting, m.target
            USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = format('The gateway no longer returns them. %s of them are deleted already. Option "max_delete" is "%s".',
                            m.deleting, sage_intacct.mirror_option(m.options, 'max_delete')),
            HINT = 'If they were deleted at Sage Intacct, CALL sage_intacct.refresh_mirror(target, accept_deletes => true). If not, look at the permissions of the user who reads.';
    END IF;
END
$$;

-- Keys as a list for ANY, of one column.
CREATE FUNCTION sage_intacct.mirror_key_list(relation text, key name, condition text DEFAULT '')
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    list text;
BEGIN
    -- The type by its full name: statements of the target's half run with the caller's search_path.
    EXECUTE format('SELECT format(''%%L::%%s[]'', array_agg(%1$I), sage_intacct.mirror_type((SELECT typelem FROM pg_type WHERE oid = pg_typeof(array_agg(%1$I)))))
                      FROM (SELECT DISTINCT %1$I FROM %2$s %3$s) k',
                   key, relation, condition) INTO list;
    RETURN list;
END
$$;

-- Asks the gateway for the rows in sage_intacct_gone and for some that should be there. Those that it shows are taken out of the
-- list. Returns how many those were; raises if it shows none of the others either.
CREATE FUNCTION sage_intacct.mirror_look_again(m sage_intacct.mirror, shape record, sample boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
SET client_min_messages = warning
AS $$
DECLARE
    -- What one list of values takes, with room for witnesses.
    batch constant integer := 990;
    keys name[] := sage_intacct.mirror_keys(shape);
    names text := sage_intacct.mirror_names(keys);
    same text := sage_intacct.mirror_matches(m.target, keys);
    shown bigint := 0;
    witnesses bigint;
    more bigint;
    present bigint;
    there bigint;
BEGIN
    DROP TABLE IF EXISTS pg_temp.sage_intacct_asked, pg_temp.sage_intacct_shown;
    EXECUTE format('CREATE TEMP TABLE sage_intacct_asked AS SELECT %1$s, true AS witness, 0 AS batch FROM %2$s WITH NO DATA', names, m.target);
    EXECUTE format('CREATE TEMP TABLE sage_intacct_shown AS SELECT %1$s FROM %2$s WITH NO DATA', names, m.target);
    -- Rows that the gateway has just shown, and the newest ones of those that stay.
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_asked SELECT DISTINCT %1$s, true, 0 FROM (
                        (SELECT %1$s FROM pg_temp.sage_intacct_seen s ORDER BY ctid DESC LIMIT 5)
                        UNION ALL
                        (SELECT %1$s FROM %2$s t WHERE NOT EXISTS (SELECT FROM pg_temp.sage_intacct_gone s WHERE %3$s) ORDER BY %1$s DESC LIMIT 5)) w',
                   names, sage_intacct.mirror_near(m, keys, format('true ORDER BY %s DESC LIMIT %s', names,
                       (SELECT 5 + count(*) FROM pg_temp.sage_intacct_gone))), same);
    GET DIAGNOSTICS witnesses = ROW_COUNT;
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_asked SELECT %1$s, false, 1 + ((row_number() OVER () - 1) / %2$s)::integer FROM pg_temp.sage_intacct_gone %3$s',
                   names, batch, CASE WHEN sample THEN 'LIMIT ' || batch END);
    FOR number IN 1 .. (SELECT max(a.batch) FROM pg_temp.sage_intacct_asked a) LOOP
        FOR try IN 1 .. 3 LOOP
            EXECUTE format('INSERT INTO pg_temp.sage_intacct_shown SELECT %1$s FROM %2$s WHERE %3$I = ANY (%4$s)', names, m.source, keys[1],
                           sage_intacct.mirror_key_list('pg_temp.sage_intacct_asked', keys[1], format('WHERE batch IN (0, %s)', number)));
            EXECUTE format('SELECT count(*) FILTER (WHERE t.witness), count(*) FROM pg_temp.sage_intacct_asked t
                             WHERE t.batch IN (0, %2$s) AND EXISTS (SELECT FROM pg_temp.sage_intacct_shown s WHERE %1$s)', same, number)
               INTO present, there;
            EXIT WHEN present > 0 OR there > 0;
            IF witnesses = 0 THEN
                -- No row is known to be there. Then there is none, or the answer is wrong.
                EXECUTE format('SELECT count(*) FROM %s', m.source) INTO more;
                EXIT WHEN more = 0;
            END IF;
            IF try = 3 THEN
                RAISE 'the gateway returned contradictory results for %', shape.object USING ERRCODE = 'fdw_error',
                    DETAIL = format('Rows of mirror %s are missing in one answer; in the next one, so are all others that it was asked for.', m.target),
                    HINT = 'No row was deleted. The next refresh asks again.';
            END IF;
        END LOOP;
    END LOOP;
    EXECUTE format('DELETE FROM pg_temp.sage_intacct_gone t WHERE EXISTS (SELECT FROM pg_temp.sage_intacct_shown s WHERE %1$s)', same);
    GET DIAGNOSTICS shown = ROW_COUNT;
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_seen SELECT %1$s FROM pg_temp.sage_intacct_shown', names);
    -- Those that the page should have shown stay in sage_intacct_shown.
    EXECUTE format('DELETE FROM pg_temp.sage_intacct_shown s WHERE EXISTS (SELECT FROM pg_temp.sage_intacct_asked t WHERE t.witness AND %1$s)', same);
    RETURN shown;
END
$$;

-- Which rows of the target a page should show: those that it lacks are gone, or the answer is short.
CREATE FUNCTION sage_intacct.mirror_expected(m sage_intacct.mirror, shape record, answer jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    task jsonb := m.todo -> 0;
    bounds jsonb := jsonb_strip_nulls(jsonb_build_object('after', task -> 'after', 'upto', answer #> '{next,0,after}'));
BEGIN
    RETURN CASE
        WHEN answer ? 'remove' THEN answer -> 'remove'
        WHEN task ->> 'do' = 'all' THEN bounds || '{"by": "range"}'
        WHEN task ->> 'do' = 'changes' AND answer ? 'from' AND shape.modified IS NOT NULL THEN bounds || jsonb_build_object('by', 'since',
            'since', answer -> 'from') END;
END
$$;

-- The answer of mirror_fetch, with what may be deleted of it in sage_intacct_gone. Where the second look shows rows that the page
-- should have shown, or the end of a pass is not what the gateway counts, the task is done again.
CREATE FUNCTION sage_intacct.mirror_confirm(m sage_intacct.mirror, answer jsonb, accept boolean)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    task jsonb := m.todo -> 0;
    shape record;
    keys name[];
    names text;
    same text;
    expected jsonb;
    near text;
    gone bigint := 0;
    shown bigint := 0;
    sample boolean := false;
    short boolean;
    left_out boolean;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    keys := sage_intacct.mirror_keys(shape);
    short := NOT sage_intacct.mirror_is_whole(m, shape, answer);
    accept := accept OR task ? 'accept';
    IF keys = '{}' THEN
        RETURN sage_intacct.mirror_confirm_scope(m, shape, answer, accept, short);
    ELSE
        names := sage_intacct.mirror_names(keys);
        same := sage_intacct.mirror_matches(m.target, keys);
        expected := sage_intacct.mirror_expected(m, shape, answer);
        TRUNCATE pg_temp.sage_intacct_gone;
        IF expected IS NOT NULL THEN
            near := sage_intacct.mirror_near(m, ARRAY(SELECT DISTINCT c FROM unnest(keys || shape.key || shape.link || shape.modified || shape.created) c WHERE c IS NOT NULL), CASE
                WHEN expected ->> 'by' = 'lines' THEN format('t.%I = ANY (%s)', shape.link, sage_intacct.mirror_key_list('pg_temp.sage_intacct_keys', 'k'))
                WHEN expected ->> 'by' = 'listed' THEN format('t.%I = ANY (%s)', keys[1], sage_intacct.mirror_key_list('pg_temp.sage_intacct_keys', 'k'))
                ELSE sage_intacct.mirror_range(shape.key, expected) || CASE WHEN expected ? 'since'
                    THEN ' AND ' || sage_intacct.mirror_since(shape.modified, shape.created, (expected ->> 'since')::timestamptz) ELSE '' END END);
            EXECUTE format('INSERT INTO pg_temp.sage_intacct_gone SELECT %1$s FROM %2$s t WHERE ', names, near) || format(CASE expected ->> 'by'
                WHEN 'range' THEN '%2$s AND NOT EXISTS (SELECT FROM pg_temp.sage_intacct_page s WHERE %1$s)'
                WHEN 'since' THEN '%2$s AND %5$s AND NOT EXISTS (SELECT FROM pg_temp.sage_intacct_page s WHERE %1$s)'
                WHEN 'keys' THEN '%2$s AND NOT EXISTS (SELECT FROM (SELECT k AS %4$I FROM pg_temp.sage_intacct_keys) s WHERE %1$s)'
                WHEN 'lines' THEN 't.%3$I = ANY (SELECT k FROM pg_temp.sage_intacct_keys) AND NOT EXISTS (SELECT FROM pg_temp.sage_intacct_page s WHERE %1$s)'
                WHEN 'listed' THEN 'EXISTS (SELECT FROM (SELECT k AS %4$I FROM pg_temp.sage_intacct_keys) s WHERE %1$s)' END,
                same, sage_intacct.mirror_range(shape.key, expected), coalesce(shape.link, keys[1]), keys[1],
                CASE WHEN expected ? 'since' THEN sage_intacct.mirror_since(shape.modified, shape.created, (expected ->> 'since')::timestamptz) END);
            GET DIAGNOSTICS gone = ROW_COUNT;
        END IF;
        IF expected ->> 'by' = 'keys' THEN
            -- Rows whose keys came, and that did not come themselves.
            EXECUTE format('SELECT EXISTS (SELECT FROM (SELECT k AS %2$I FROM pg_temp.sage_intacct_keys) s
                WHERE NOT EXISTS (SELECT FROM %3$s t WHERE %1$s) AND NOT EXISTS (SELECT FROM pg_temp.sage_intacct_page t WHERE %1$s))', same, keys[1],
                sage_intacct.mirror_near(m, keys, format('t.%I = ANY (%s)', keys[1], sage_intacct.mirror_key_list('pg_temp.sage_intacct_keys', 'k'))))
               INTO short;
            short := short AND coalesce((task ->> 'again')::integer, 0) < 2;
            EXECUTE 'INSERT INTO pg_temp.sage_intacct_seen SELECT k FROM pg_temp.sage_intacct_keys';
        END IF;
        EXECUTE format('INSERT INTO pg_temp.sage_intacct_seen SELECT %1$s FROM pg_temp.sage_intacct_page', names);
        IF gone > 0 THEN
            IF answer ? 'remove' THEN
                -- Whether what was shown before is gone by now is for the next refresh to find out.
                EXECUTE format('DELETE FROM pg_temp.sage_intacct_gone t WHERE EXISTS (SELECT FROM pg_temp.sage_intacct_seen s WHERE %1$s)', same);
                GET DIAGNOSTICS shown = ROW_COUNT;
                gone := gone - shown;
                shown := 0;
            END IF;
            IF gone > 0 THEN
                -- More than may be deleted are not asked for one by one.
                sample := gone > 5000 AND NOT accept AND sage_intacct.mirror_too_many(m, gone) IS NOT NULL;
                shown := sage_intacct.mirror_look_again(m, shape, sample);
                gone := gone - shown;
            END IF;
            IF shown > 0 AND expected ? 'since' THEN
                short := sage_intacct.mirror_left_out(m, shape, expected) OR short;
            ELSIF shown > 0 AND expected ->> 'by' IN ('range', 'keys') THEN
                -- Keys in the trail may be in use again.
                short := true;
            ELSIF shown > 0 AND task ->> 'do' = 'lines' THEN
                -- Lines may have moved to another header: those that have not were left out, and may have changed.
                EXECUTE format('WITH r AS MATERIALIZED (SELECT %1$s FROM %2$s WHERE %3$I = ANY (%4$s) AND %5$I = ANY (%6$s))
                                SELECT EXISTS (SELECT FROM r t JOIN pg_temp.sage_intacct_shown s ON %7$s)', names, m.source, keys[1],
                               sage_intacct.mirror_key_list('pg_temp.sage_intacct_shown', keys[1], 'LIMIT 1000'), shape.link,
                               sage_intacct.mirror_key_list('pg_temp.sage_intacct_keys', 'k'), same) INTO left_out;
                short := short OR left_out;
            END IF;
        END IF;
        IF answer ? 'remove' THEN
            answer := answer - 'remove';
            IF gone > 0 AND NOT (sample AND shown > 0) THEN
                PERFORM sage_intacct.mirror_brake(m, gone, accept);
                answer := answer || '{"remove": {"by": "gone"}}';
            END IF;
        END IF;
    END IF;
    IF short THEN
        answer := answer - 'set' || sage_intacct.mirror_ask_again(m, shape);
    ELSIF answer #>> '{next,0,do}' = task ->> 'do' THEN
        answer := jsonb_set(answer, '{next,0}', (answer #> '{next,0}') - 'again');
    END IF;
    RETURN answer;
END
$$;

-- The task at hand once more, since its answer contradicts another one; raises the fourth time.
CREATE FUNCTION sage_intacct.mirror_ask_again(m sage_intacct.mirror, shape record)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    task jsonb := m.todo -> 0;
    times integer := coalesce((task ->> 'again')::integer, 0);
BEGIN
    IF times >= 3 THEN
        RAISE 'the gateway returned contradictory results for %', shape.object USING ERRCODE = 'fdw_error',
            DETAIL = format('Rows of mirror %s that are in one answer are missing in the next one, again and again.', m.target),
            HINT = 'No row was deleted that any answer showed. The next refresh asks again; full => true compares every row.';
    END IF;
    RETURN jsonb_build_object('next', jsonb_build_array(task || jsonb_build_object('again', times + 1)));
END
$$;

-- The same where rows have no identifier: a scope that would lose rows is read a second time. As many must come as before, or
-- the task is done again.
CREATE FUNCTION sage_intacct.mirror_confirm_scope(m sage_intacct.mirror, shape record, answer jsonb, accept boolean, short boolean)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    task jsonb := m.todo -> 0;
    scope text;
    here bigint;
    there bigint;
    again bigint;
BEGIN
    IF answer ? 'remove' AND NOT short THEN
        scope := sage_intacct.mirror_scope(shape, sage_intacct.mirror_scope_of(answer));
        EXECUTE format('SELECT count(*) FROM %s WHERE %s', m.target, scope) INTO here;
        SELECT count(*) INTO there FROM pg_temp.sage_intacct_page;
        IF here > there THEN
            -- Values that were not returned are requested by their names: a scope of all others is not sent to the gateway.
            IF sage_intacct.mirror_scope_of(answer) ? 'except' THEN
                scope := format('%I = ANY (%s)', shape.period, sage_intacct.mirror_key_list(m.target::text, shape.period, 'WHERE ' || scope));
            END IF;
            EXECUTE format('SELECT count(*) FROM (SELECT %s FROM %s WHERE %s) s', sage_intacct.mirror_names(shape.columns), m.source, scope) INTO again;
            short := again <> there;
            IF NOT short THEN
                PERFORM sage_intacct.mirror_brake(m, here - there, accept);
            END IF;
        END IF;
    END IF;
    IF NOT short THEN
        RETURN CASE WHEN answer #>> '{next,0,do}' = task ->> 'do' THEN jsonb_set(answer, '{next,0}', (answer #> '{next,0}') - 'again') ELSE answer END;
    END IF;
    RETURN sage_intacct.mirror_ask_again(m, shape);
END
$$;

-- Whether a page of changes lacks rows that the second look shows, with a time that the page was asked for. Rows whose time has gone
-- back join the page: they have been changed.
CREATE FUNCTION sage_intacct.mirror_left_out(m sage_intacct.mirror, shape record, expected jsonb)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    keys name[] := sage_intacct.mirror_keys(shape);
    names text := sage_intacct.mirror_names(shape.columns);
    same text := sage_intacct.mirror_matches(m.target, keys);
    left_out boolean;
BEGIN
    EXECUTE format('CREATE TEMP TABLE sage_intacct_more ON COMMIT DROP AS SELECT %1$s FROM %2$s WHERE %3$I = ANY (%4$s)', names, m.source, keys[1],
                   sage_intacct.mirror_key_list('pg_temp.sage_intacct_shown', keys[1], 'LIMIT 1000'));
    EXECUTE format('DELETE FROM pg_temp.sage_intacct_more s WHERE EXISTS (SELECT FROM pg_temp.sage_intacct_page t WHERE %1$s)
                        OR NOT EXISTS (SELECT FROM pg_temp.sage_intacct_shown t WHERE %1$s)', same);
    EXECUTE format('SELECT EXISTS (SELECT FROM pg_temp.sage_intacct_more WHERE %s)',
                   sage_intacct.mirror_since(shape.modified, shape.created, (expected ->> 'since')::timestamptz)) INTO left_out;
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_page (%1$s) SELECT %1$s FROM pg_temp.sage_intacct_more', names);
    DROP TABLE pg_temp.sage_intacct_more;
    RETURN left_out;
END
$$;

-- Whether the last page of a pass over the changes is what the gateway counts behind the page before. It is asked where an end that
-- comes too early would hide something: behind another page, in a pass that is not repeated soon, and where nothing came although
-- the row that made the watermark should have.
CREATE FUNCTION sage_intacct.mirror_is_whole(m sage_intacct.mirror, shape record, answer jsonb)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    task jsonb := m.todo -> 0;
    lines boolean := task ->> 'do' = 'lines';
    relation text := CASE WHEN lines THEN 'pg_temp.sage_intacct_header' ELSE m.source::text END;
    since text;
    there bigint;
    here bigint;
BEGIN
    IF NOT answer ? 'from' OR answer ? 'next' AND task ->> 'do' <> 'changed' THEN
        RETURN true;
    END IF;
    -- Rows that were asked for because of what came do not count.
    here := coalesce((answer ->> 'came')::bigint, (SELECT count(*) FROM pg_temp.sage_intacct_page));
    IF here > 0 AND NOT task ?| ARRAY['after', 'late', 'rescan'] THEN
        RETURN true;
    END IF;
    since := concat_ws(' AND ',
        sage_intacct.mirror_since(CASE WHEN lines THEN 'modified' ELSE shape.modified END, CASE WHEN lines THEN 'created' ELSE shape.created END,
                                  (answer ->> 'from')::timestamptz),
        sage_intacct.mirror_range(CASE WHEN lines THEN 'recordno' ELSE shape.key END, task));
    IF here = 0 THEN
        RETURN sage_intacct.mirror_shows_no_change(m, shape, relation, since, answer ->> 'from' <> '-infinity', lines);
    END IF;
    EXECUTE format('SELECT count(*) FROM %s WHERE %s', relation, since) INTO there;
    -- Rows that came meanwhile are found by the next refresh. A count of none contradicts the rows that came.
    RETURN there BETWEEN 1 AND here;
END
$$;

-- Whether the gateway shows no row that was changed, in an answer that shows a row that is known to be there: that of a replica that
-- lags behind may be as empty as the one before. `relation`, `since`: where to look for changes; `known`: whether rows without one
-- are held; `lines`: the relation holds their headers.
CREATE FUNCTION sage_intacct.mirror_shows_no_change(m sage_intacct.mirror, shape record, relation text, since text, known boolean, lines boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
DECLARE
    keys name[] := CASE WHEN lines THEN ARRAY[shape.link] WHEN shape.keys <> '{}' THEN shape.keys ELSE array_remove(ARRAY[shape.period], NULL) END;
    names text := sage_intacct.mirror_names(keys);
    witness record;
    shown bigint;
    changed bigint;
BEGIN
    FOR try IN 1 .. CASE WHEN known AND keys <> '{}' THEN 3 ELSE 0 END LOOP
        -- The first row, the last or any: one of them may be gone. One that has changed since is not known to be there.
        EXECUTE format('SELECT %s AS condition, count(*) AS rows FROM %s t WHERE (%s) IS NOT NULL GROUP BY %s %s ORDER BY %s LIMIT 1',
                       (SELECT string_agg(format('format(''%%I = %%L::%%s'', %L, %I, %L)', CASE WHEN lines THEN 'recordno' ELSE k.name END, k.name,
                                                 format_type(a.atttypid, a.atttypmod)), ' || '' AND '' || ' ORDER BY k.number)
                          FROM unnest(keys) WITH ORDINALITY AS k (name, number)
                          JOIN pg_attribute a ON a.attrelid = m.target AND a.attname = k.name AND NOT a.attisdropped),
                       sage_intacct.mirror_rows(m), names, names, CASE WHEN lines THEN '' ELSE format('HAVING bool_and((%s) IS NOT TRUE)', since) END,
                       CASE try WHEN 1 THEN names WHEN 2 THEN (SELECT string_agg(quote_ident(k) || ' DESC', ', ') FROM unnest(keys) k) ELSE 'random()' END)
           INTO witness;
        EXIT WHEN witness.condition IS NULL;
        EXECUTE format('SELECT count(*), count(*) FILTER (WHERE changed) FROM (
                            SELECT (%2$s) AS changed FROM %1$s WHERE %2$s OR %3$s LIMIT %4$s) r', relation, since, witness.condition, witness.rows + 1)
           INTO shown, changed;
        IF shown > 0 THEN
            RETURN changed = 0;
        END IF;
    END LOOP;
    IF shown = 0 THEN
        RETURN false;
    END IF;
    -- No row is known to be there.
    EXECUTE format('SELECT count(*) FROM %s WHERE %s', relation, since) INTO changed;
    RETURN changed = 0;
END
$$;

-- A condition that shows whether a row of the target (t) and one of a temporary table (s) have the same key. Texts are the same if
-- their bytes are, whatever the collation of the target's column.
CREATE FUNCTION sage_intacct.mirror_matches(target regclass, keys name[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT string_agg(CASE WHEN c.oid IS NULL OR c.collisdeterministic
               THEN format('t.%1$I OPERATOR(pg_catalog.=) s.%1$I', k.name) || coalesce(' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname), '')
               ELSE format('t.%1$I COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) s.%1$I COLLATE pg_catalog."C"', k.name) END,
           ' AND ' ORDER BY k.number)
  FROM unnest(keys) WITH ORDINALITY AS k (name, number)
  JOIN pg_attribute a ON a.attrelid = target AND a.attname = k.name AND NOT a.attisdropped
  LEFT JOIN pg_collation c ON c.oid = a.attcollation
  LEFT JOIN pg_namespace n ON n.oid = c.collnamespace
$$;

-- Whose mirror it is, and whose code a refresh would run.

-- Whether a table that is there can be a mirror: a table of one's own, ordinary or partitioned, whose columns have the types of
-- those of the foreign table, and in which a key stands once.
CREATE FUNCTION sage_intacct.mirror_adopt(foreign_table regclass, target regclass, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
    other name;
    wanted name[];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = target AND relkind IN ('r', 'p')) THEN
        RAISE '% is not a table', target USING ERRCODE = 'wrong_object_type';
    END IF;
    PERFORM sage_intacct.mirror_check_target(target);
    SELECT c.name INTO other FROM sage_intacct.mirror_columns(foreign_table, target) c WHERE NOT c.same_type;
    IF FOUND THEN
        RAISE 'column "%" of % has another type than that of %', other, target, foreign_table USING ERRCODE = 'datatype_mismatch';
    END IF;
    SELECT * INTO shape FROM sage_intacct.mirror_shape(foreign_table, target, options, '{}');
    PERFORM sage_intacct.mirror_check_distribution(target, options, array_remove(ARRAY[(options ->> 'company')::name], NULL) || shape.keys, shape.columns);
    wanted := array_remove(ARRAY[(options ->> 'company')::name], NULL) || shape.keys;
    IF shape.keys <> '{}' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = target AND i.indisunique
                      AND i.indkey::smallint[] @> ARRAY(SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = target AND a.attname = ANY (wanted))) THEN
        RAISE '% has no unique index with column "%"', target, array_to_string(wanted, '", "') USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A primary key of it, and of the partition key of a partitioned table, makes refreshes fast.';
    END IF;
END
$$;

-- Raises if a refresh by the current user would run another role's code: the triggers, defaults, constraints and index
-- expressions of a table run with the rights of the role that writes to it. So the target, its partitions, and the tables to
-- which a foreign key carries its changes on, belong to the role that refreshes. Locks the target, so that it stays so until
-- the transaction ends.
CREATE FUNCTION sage_intacct.mirror_check_target(target regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other record;
BEGIN
    FOR other IN SELECT l.relation::regclass AS relation FROM sage_intacct.mirror_lock_target(target) l LOOP
        RAISE 'table % belongs to role %, not to the owner of the mirror', other.relation,
                (SELECT relowner::regrole FROM pg_class WHERE oid = other.relation) USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Its triggers would run with the rights of role %I, which refreshes the mirror.', current_user),
            HINT = 'Give the table to the owner of the mirror, or end the mirror with drop_mirror(target, keep => true) and create it, and run its jobs, as the owner of the table.';
    END LOOP;
    WITH RECURSIVE reached (relation) AS (
        SELECT target::oid
        UNION
        SELECT n.relation FROM reached r JOIN (
            SELECT inhparent AS parent, inhrelid AS relation FROM pg_inherits
            UNION ALL
            SELECT confrelid, conrelid FROM pg_constraint
             WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))) n ON n.parent = r.relation)
    SELECT c.oid::regclass AS relation, c.relowner::regrole AS owner INTO other
      FROM reached r JOIN pg_class c ON c.oid = r.relation
     WHERE c.relowner <> quote_ident(current_user)::regrole
       AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
     LIMIT 1;
    IF FOUND THEN
        RAISE 'a foreign key changes table %, which belongs to role %, with %', other.relation, other.owner, target
            USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Its triggers would run with the rights of role %I, which refreshes the mirror.', current_user),
            HINT = 'A foreign key without ON DELETE and ON UPDATE actions, or a table of the mirror''s owner, can be refreshed.';
    END IF;
END
$$;

-- Raises if reading a foreign table would run another role's code. Generated columns are computed with the rights of the role
-- that reads, calls in check constraints and statistics are evaluated when it plans, the constraints of a domain are checked
-- as rows are read; they can be added to a domain at any time, and no lock stands in their way. Superusers are trusted.
CREATE FUNCTION sage_intacct.mirror_check_source(source regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other record;
    code text := sage_intacct.mirror_lock_source(source);
BEGIN
    IF code IS NOT NULL THEN
        RAISE 'foreign table % has % and belongs to role %', source, code, (SELECT relowner::regrole FROM pg_class WHERE oid = source)
            USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Their expressions would run with the rights of role %I, which refreshes the mirror.', current_user),
            HINT = 'A foreign table without them, or one of the mirror''s owner, can be mirrored.';
    END IF;
    WITH RECURSIVE used (number, type) AS (
        SELECT attnum, atttypid FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped
        UNION
        SELECT u.number, n.type FROM used u JOIN pg_type t ON t.oid = u.type
         CROSS JOIN LATERAL (
                SELECT t.typbasetype UNION ALL SELECT t.typelem
                UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
                UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) n (type)
         WHERE n.type <> 0)
    SELECT a.attname AS column, t.oid::regtype AS type, t.typowner::regrole AS owner INTO other
      FROM used u JOIN pg_type t ON t.oid = u.type JOIN pg_roles o ON o.oid = t.typowner
      JOIN pg_attribute a ON a.attrelid = source AND a.attnum = u.number
     WHERE t.typtype = 'd' AND NOT o.rolsuper AND t.typowner <> quote_ident(current_user)::regrole
     LIMIT 1;
    IF FOUND THEN
        RAISE 'column "%" of % has the domain %, which belongs to role %', other.column, source, other.type, other.owner
            USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Its constraints would run with the rights of role %I, which refreshes the mirror.', current_user),
            HINT = 'The domain can be given to the owner of the mirror, or the column can have the type below it.';
    END IF;
END
$$;

-- The mirror with this target, as its owner sees it.
CREATE FUNCTION sage_intacct.mirror_of(target regclass, company text DEFAULT NULL)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror := sage_intacct.mirror_known(target, company);
BEGIN
    IF m.owner <> quote_ident(current_user)::regrole THEN
        RAISE 'mirror % belongs to role %', target, m.owner USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'It is refreshed with its owner''s user mapping, and its owner''s triggers run with the rights of the role that refreshes it.',
            HINT = format('Connect as role %s, or let the job run as it.', m.owner);
    END IF;
    RETURN m;
END
$$;

-- The mirror with this target, as its owner and the members of its owner see it.
CREATE FUNCTION sage_intacct.mirror_known(target regclass, company text DEFAULT NULL)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
BEGIN
    SELECT r.* INTO m FROM sage_intacct.mirror r WHERE r.target = mirror_known.target AND r.company = coalesce(mirror_known.company, r.company)
     ORDER BY r.company LIMIT 1;
    IF company IS NULL AND EXISTS (SELECT FROM sage_intacct.mirror r WHERE r.target = mirror_known.target AND r.id <> m.id) THEN
        RAISE '% is a mirror of several companies', target USING ERRCODE = 'ambiguous_parameter',
            HINT = format('Name one, like company => %L. refresh_mirrors(schema) refreshes all.', m.company);
    ELSIF company <> '' AND m.id IS NULL THEN
        RAISE '% is not a mirror of yours of company "%"', target, company USING ERRCODE = 'undefined_object',
            HINT = 'SELECT target, company, owner FROM sage_intacct.mirrors shows the mirrors that you may read.';
    ELSIF m.id IS NULL THEN
        RAISE '% is not a mirror of yours', target USING ERRCODE = 'undefined_object',
            HINT = 'SELECT target, owner FROM sage_intacct.mirrors shows the mirrors that you may read.';
    END IF;
    RETURN m;
END
$$;

-- What users call. Procedures that commit have neither a search_path of their own nor the rights of another role: they are
-- thin, qualify every name and operator, and leave the work to the functions.

-- Registers a mirror and makes its table, unless it is there. Returns the table. `creation` is the schema for a name that
-- has none: the caller's current schema.
CREATE FUNCTION sage_intacct.mirror_register(foreign_table regclass, target text, options jsonb, creation name)
RETURNS regclass
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts name[] := parse_ident(target);
    schema name := CASE WHEN cardinality(parts) > 1 THEN parts[cardinality(parts) - 1] ELSE creation END;
    qualified text := format('%I.%I', schema, parts[cardinality(parts)]);
    relation regclass := to_regclass(qualified);
    made boolean := relation IS NULL;
    -- The value of its company's column.
    named text;
    known sage_intacct.mirror;
BEGIN
    PERFORM sage_intacct.mirror_check_options(options);
    IF to_regnamespace(quote_ident(schema)) IS NULL THEN
        RAISE 'schema "%" does not exist', schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF (options ? 'distribute_by' OR (options ->> 'reference')::boolean) AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RAISE 'option "%" needs the extension citus', CASE WHEN options ? 'distribute_by' THEN 'distribute_by' ELSE 'reference' END USING ERRCODE = 'feature_not_supported',
            HINT = 'CREATE EXTENSION citus, where its library is preloaded; or leave the option out.';
    END IF;
    PERFORM sage_intacct.mirror_purge();
    named := sage_intacct.mirror_company(foreign_table, options);
    SELECT * INTO known FROM sage_intacct.mirror m WHERE m.target = relation AND m.company = named;
    IF known.loaded_at IS NULL AND known.source = foreign_table AND known.owner = quote_ident(current_user)::regrole THEN
        -- Its first load did not come to its end: this goes on with it.
        UPDATE sage_intacct.mirror m SET options = mirror_register.options - 'columns' WHERE m.id = known.id;
        RETURN relation;
    END IF;
    PERFORM sage_intacct.mirror_check_companies(relation, options, named,
        CASE WHEN options ? 'company' THEN (sage_intacct.mirror_shape(foreign_table, foreign_table, options, '{}')).keys END);
    IF made THEN
        PERFORM sage_intacct.mirror_make_table(foreign_table, qualified, options);
        relation := to_regclass(qualified);
    ELSE
        PERFORM sage_intacct.mirror_adopt(foreign_table, relation, options);
    END IF;
    PERFORM sage_intacct.mirror_check_source(foreign_table);
    -- Raises what is wrong with options that name columns.
    PERFORM sage_intacct.mirror_shape(foreign_table, relation, options, '{}');
    PERFORM sage_intacct.mirror_make_events(relation, (SELECT h FROM sage_intacct.mirror_shape(foreign_table, relation, options, '{}') h), options);
    -- A table that one of its mirrors has made goes with the last of them.
    made := made OR EXISTS (SELECT FROM sage_intacct.mirror m WHERE m.target = relation AND m.made);
    INSERT INTO sage_intacct.mirror_registration (target, company, source, source_name, made, options)
    VALUES (relation, named, foreign_table, sage_intacct.mirror_qualified(foreign_table), made, options - 'columns');
    RETURN relation;
END
$$;

-- A table with the columns of a foreign table, its key and its comments.
CREATE FUNCTION sage_intacct.mirror_make_table(foreign_table regclass, target text, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted name[] := sage_intacct.mirror_column_list(options ->> 'columns');
    shape record;
    missing name;
    commented record;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(foreign_table, foreign_table, options, '{}');
    SELECT w INTO missing FROM unnest(wanted) w WHERE w <> ALL (shape.columns);
    IF FOUND THEN
        RAISE 'option "columns" names the column "%", which % does not have', missing, foreign_table USING ERRCODE = 'undefined_column';
    END IF;
    IF shape.keys = '{}' AND (options ? 'distribute_by' OR (options ->> 'reference')::boolean) THEN
        RAISE '% cannot be distributed: it has no row identifier', foreign_table USING ERRCODE = 'feature_not_supported';
    END IF;
    IF options ? 'distribute_by' THEN
        PERFORM sage_intacct.mirror_check_distribution_column(foreign_table, shape, (options ->> 'distribute_by')::name);
    END IF;
    wanted := CASE WHEN wanted IS NULL THEN shape.columns
        ELSE ARRAY(SELECT unnest(array_remove(ARRAY[(options ->> 'distribute_by')::name, (options ->> 'company')::name], NULL) || wanted || shape.keys || CASE WHEN shape.keys = '{}' THEN array_remove(ARRAY[shape.link, shape.period], NULL) END)) END;
    EXECUTE format('CREATE TABLE %s (%s%s)', target, (
        SELECT string_agg(format('%I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                   CASE WHEN a.attcollation <> t.typcollation THEN format(' COLLATE %s', a.attcollation::regcollation) END,
                   CASE WHEN a.attname = ANY (shape.keys) OR a.attname IN (options ->> 'distribute_by', options ->> 'company') THEN ' NOT NULL' END), ', ' ORDER BY a.attnum)
          FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = foreign_table AND a.attname = ANY (wanted) AND a.attnum > 0),
        CASE WHEN shape.keys <> '{}' THEN format(', PRIMARY KEY (%s)', concat_ws(', ', quote_ident(CASE WHEN options ->> 'company' <> ALL (shape.keys::text[]) THEN options ->> 'company' END),
                  quote_ident(CASE WHEN options ->> 'distribute_by' <> ALL (shape.keys::text[] || coalesce(options ->> 'company', '')) THEN options ->> 'distribute_by' END),
                  sage_intacct.mirror_names(shape.keys))) END);
    IF shape.period IS NOT NULL THEN
        EXECUTE format('CREATE INDEX ON %s (%I)', target, shape.period);
    END IF;
    -- Lines are taken out by their header.
    IF shape.link = ANY (wanted) THEN
        EXECUTE format('CREATE INDEX ON %s (%I)', target, shape.link);
    END IF;
    FOR commented IN
        SELECT NULL::name AS column, coalesce(obj_description(t.ftrelid, 'pg_class'),
                   (SELECT option_value FROM pg_options_to_table(t.ftoptions) WHERE option_name = 'label')) AS text
          FROM pg_foreign_table t WHERE t.ftrelid = foreign_table
        UNION ALL
        SELECT a.attname, coalesce(col_description(a.attrelid, a.attnum),
                   (SELECT option_value FROM pg_options_to_table(a.attfdwoptions) WHERE option_name = 'label'))
          FROM pg_attribute a WHERE a.attrelid = foreign_table AND a.attname = ANY (wanted) AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON %s IS %L', coalesce('COLUMN ' || target || '.' || quote_ident(commented.column), 'TABLE ' || target), commented.text);
    END LOOP;
    PERFORM sage_intacct.mirror_distribute(target::regclass, options);
END
$$;

-- Raises on a standby, where nothing can be written.
CREATE FUNCTION sage_intacct.mirror_check_primary(procedure text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE '% cannot run on a standby', procedure USING ERRCODE = 'read_only_sql_transaction',
            DETAIL = 'Mirrors are kept on the primary, and come here as any table does.',
            HINT = format('CALL sage_intacct.%s(…) on the primary.', procedure);
    END IF;
END
$$;

CREATE FUNCTION sage_intacct.mirror_refuse(procedure text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE '% cannot run inside a transaction block or a function', procedure USING ERRCODE = 'active_sql_transaction',
        DETAIL = 'It commits page by page.', HINT = format('CALL sage_intacct.%s(…) as a statement of its own.', procedure);
END
$$;

-- Begins a refresh that holds its mirror's lock: looks whether its source is the one that it knows, and makes the list of tasks,
-- or finds the one that was not finished. Returns the number of the run.
CREATE FUNCTION sage_intacct.mirror_begin(mirror integer, "full" boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
    run bigint;
    base bigint;
BEGIN
    SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id = mirror;
    -- A foreign table that was imported again has another OID.
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.source) THEN
        m.source := coalesce(to_regclass(m.source_name), m.source);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.source) THEN
        RAISE 'the foreign table % of mirror % does not exist', m.source_name, m.target USING ERRCODE = 'undefined_table',
            HINT = 'IMPORT FOREIGN SCHEMA makes it again; CALL sage_intacct.drop_mirror(target) ends the mirror.';
    END IF;
    PERFORM sage_intacct.mirror_check_options(m.options);
    PERFORM sage_intacct.mirror_check_source(m.source);
    base := sage_intacct.mirror_requests(m.source);
    m := sage_intacct.mirror_recognize(m, "full");
    PERFORM sage_intacct.mirror_check_target(m.target);
    IF NOT sage_intacct.mirror_option(m.options, 'check')::boolean THEN
        m.complete := NULL;
    END IF;
    IF "full" OR m.todo = '[]' OR sage_intacct.mirror_option(m.options, 'max_requests_per_run') IS NULL THEN
        m.begun_at := clock_timestamp();
    END IF;
    m.todo := sage_intacct.mirror_agenda(m, "full");
    UPDATE sage_intacct.mirror r
       SET source = m.source, identity = m.identity, mapping = m.mapping, gone = m.gone, watermark = m.watermark,
           late_from = m.late_from, late_next = m.late_next, late_at = m.late_at, complete = m.complete, todo = m.todo,
           begun_at = m.begun_at
     WHERE r.id = mirror;
    INSERT INTO sage_intacct.mirror_run AS r (mirror, task) VALUES (mirror, m.todo #>> '{0,do}') RETURNING r.id INTO run;
    UPDATE sage_intacct.mirror_run r SET requests = sage_intacct.mirror_requests(m.source) - base WHERE r.id = run;
    PERFORM sage_intacct.mirror_prepare(m);
    PERFORM sage_intacct.mirror_prepare_deletes(m);
    RETURN run;
END
$$;

-- Runs of a mirror whose session ended under them. The caller holds the mirror's lock.
CREATE FUNCTION sage_intacct.mirror_lose_runs(mirror integer)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
UPDATE sage_intacct.mirror_run r SET outcome = 'lost', ended = clock_timestamp() WHERE r.mirror = mirror_lose_runs.mirror AND r.outcome = 'running'
$$;

-- Ends a refresh: its record, the notification, and the records that are too old.
CREATE FUNCTION sage_intacct.mirror_end(mirror integer, run bigint, outcome text, error text, used bigint)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
    r sage_intacct.mirror_run;
BEGIN
    -- What failed before it began is a run too: sage_intacct.mirrors shows why.
    IF run IS NULL THEN
        INSERT INTO sage_intacct.mirror_run AS t (mirror) VALUES (mirror_end.mirror) RETURNING t.id INTO run;
    END IF;
    UPDATE sage_intacct.mirror_run t
       SET ended = clock_timestamp(), outcome = mirror_end.outcome, error = nullif(rtrim(mirror_end.error, E'\n'), ''), requests = greatest(used, t.requests)
     WHERE t.id = run
    RETURNING * INTO r;
    SELECT * INTO m FROM sage_intacct.mirror t WHERE t.id = mirror;
    IF mirror_end.outcome = 'done' THEN
        UPDATE sage_intacct.mirror t SET refreshed_at = coalesce(t.begun_at, r.started), deleting = 0 WHERE t.id = mirror;
        -- Every role may listen: the name of a table is no secret, how many invoices were written today may be.
        PERFORM pg_notify('sage_intacct_mirror', jsonb_build_object('mirror', m.target::text)::text);
    END IF;
    PERFORM sage_intacct.mirror_purge(mirror);
END
$$;

-- A field may have gone: on_drift is checked first.
CREATE FUNCTION sage_intacct.mirror_look_for_drift(mirror integer)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
UPDATE sage_intacct.mirror r SET todo = '[{"do": "drift"}]' || r.todo WHERE r.id = mirror
$$;

-- Refreshes one mirror. An error does not leave the procedure, so that it can be recorded: `failure` describes it.
CREATE PROCEDURE sage_intacct.mirror_refresh(IN target regclass, IN "full" boolean, INOUT failure jsonb, IN accept boolean DEFAULT false, IN company text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    m sage_intacct.mirror;
    run bigint;
    answer pg_catalog.jsonb;
    most bigint;
    base bigint;
    used bigint := 0;
    going boolean := true;
    failed boolean := false;
    looked boolean := false;
    stepped boolean := false;
    state pg_catalog.text;
    message pg_catalog.text;
    details pg_catalog.text;
    advice pg_catalog.text;
BEGIN
    failure := NULL;
    m := sage_intacct.mirror_of(target, company);
    WHILE NOT sage_intacct.mirror_try_lock(m.id) LOOP
        IF sage_intacct.mirror_option(m.options, 'concurrent') OPERATOR(pg_catalog.=) 'skip' THEN
            RAISE NOTICE 'mirror % is being refreshed: skipped', target;
            RETURN;
        END IF;
        COMMIT;
        PERFORM pg_catalog.pg_sleep(0.2);
    END LOOP;

    PERFORM sage_intacct.mirror_lose_runs(m.id);
    COMMIT;
    BEGIN
        run := sage_intacct.mirror_begin(m.id, "full");
        SELECT r.requests INTO used FROM sage_intacct.mirror_run r WHERE r.id OPERATOR(pg_catalog.=) run;
        most := sage_intacct.mirror_option(m.options, 'max_requests_per_run');
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        GET STACKED DIAGNOSTICS state := RETURNED_SQLSTATE, message := MESSAGE_TEXT, details := PG_EXCEPTION_DETAIL, advice := PG_EXCEPTION_HINT;
        going := false;
        failed := true;
    END;
    IF NOT failed THEN
        CALL sage_intacct.mirror_commit(failed, state, message, details, advice);
        going := NOT failed;
    END IF;
    IF failed THEN
        -- Where Citus has lost a machine, nothing more can be committed in this transaction. Nothing of it is to stay.
        ROLLBACK;
        run := NULL;
    END IF;

    WHILE going LOOP
        SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id OPERATOR(pg_catalog.=) m.id;
        EXIT WHEN pg_catalog.jsonb_array_length(m.todo) OPERATOR(pg_catalog.=) 0;
        BEGIN
            -- What this session has sent so far is not this run's.
            base := coalesce(base, sage_intacct.mirror_requests(m.source) OPERATOR(pg_catalog.-) used);
            used := greatest(used, sage_intacct.mirror_requests(m.source) OPERATOR(pg_catalog.-) base);
            -- A run does one thing at least.
            IF used OPERATOR(pg_catalog.>=) most AND stepped THEN
                going := false;
            ELSE
                stepped := true;
                answer := sage_intacct.mirror_fetch(m);
                answer := sage_intacct.mirror_confirm(m, answer, accept);
                used := greatest(used, sage_intacct.mirror_requests(m.source) OPERATOR(pg_catalog.-) base);
            END IF;
        EXCEPTION WHEN OTHERS OR query_canceled THEN
            GET STACKED DIAGNOSTICS state := RETURNED_SQLSTATE, message := MESSAGE_TEXT, details := PG_EXCEPTION_DETAIL, advice := PG_EXCEPTION_HINT;
            failed := true;
        END;
        IF NOT failed THEN
            CALL sage_intacct.mirror_commit(failed, state, message, details, advice);
        END IF;
        IF failed THEN
            -- That releases the lock. If somebody else has it now, this refresh has come to its end.
            ROLLBACK;
            looked := looked OR NOT sage_intacct.mirror_try_lock(m.id);
        END IF;
        -- A field that is gone is refused by its name, or without one.
        IF failed AND state OPERATOR(pg_catalog.=) ANY ('{42703,HV000,HV00L}') AND NOT looked THEN
            looked := true;
            failed := false;
            message := NULL;
            PERFORM sage_intacct.mirror_look_for_drift(m.id);
            COMMIT;
        ELSIF going AND NOT failed THEN
            BEGIN
                PERFORM sage_intacct.mirror_apply(m, run, answer, used);
                used := greatest(used, sage_intacct.mirror_requests(m.source) OPERATOR(pg_catalog.-) base);
            EXCEPTION WHEN OTHERS OR query_canceled THEN
                GET STACKED DIAGNOSTICS state := RETURNED_SQLSTATE, message := MESSAGE_TEXT, details := PG_EXCEPTION_DETAIL, advice := PG_EXCEPTION_HINT;
                failed := true;
            END;
            IF NOT failed THEN
                -- Deferred constraints of the target raise here.
                CALL sage_intacct.mirror_commit(failed, state, message, details, advice);
            END IF;
            IF NOT failed AND pg_catalog.jsonb_extract_path(answer, 'load') IS NOT NULL THEN
                BEGIN
                    PERFORM sage_intacct.mirror_analyze_behind(m.id);
                EXCEPTION WHEN OTHERS OR query_canceled THEN
                    GET STACKED DIAGNOSTICS state := RETURNED_SQLSTATE, message := MESSAGE_TEXT, details := PG_EXCEPTION_DETAIL, advice := PG_EXCEPTION_HINT;
                    failed := true;
                END;
                IF NOT failed THEN
                    CALL sage_intacct.mirror_commit(failed, state, message, details, advice);
                END IF;
            END IF;
            IF failed THEN
                ROLLBACK;
            END IF;
        END IF;
        going := going AND NOT failed;
    END LOOP;

    PERFORM sage_intacct.mirror_end(m.id, run, CASE WHEN failed THEN 'failed' WHEN going THEN 'done' ELSE 'budget' END,
                                    pg_catalog.concat_ws(E'\n', message, details), used);
    PERFORM sage_intacct.mirror_unlock(m.id);
    COMMIT;
    IF failed THEN
        failure := pg_catalog.jsonb_build_object('mirror', sage_intacct.mirror_qualified(target), 'state', state, 'message', message,
                                                 'detail', details, 'hint', advice);
    ELSIF NOT going THEN
        RAISE WARNING 'mirror %: stopped after % requests (max_requests_per_run); the next refresh goes on', target, used;
    END IF;
END
$$;

-- Raises what mirror_refresh returns.
CREATE FUNCTION sage_intacct.mirror_raise(failure jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE '%', failure ->> 'message' USING ERRCODE = failure ->> 'state',
        DETAIL = coalesce(nullif(failure ->> 'detail', ''), format('While mirror %s was refreshed.', failure ->> 'mirror')),
        HINT = coalesce(nullif(failure ->> 'hint', ''), 'What was committed stays; the next refresh goes on from there.');
END
$$;

CREATE PROCEDURE sage_intacct.create_mirror(foreign_table regclass, target text, options jsonb DEFAULT '{}')
LANGUAGE plpgsql
AS $$
DECLARE
    relation pg_catalog.regclass;
    company pg_catalog.text;
    failure pg_catalog.jsonb;
    loads boolean;
BEGIN
    PERFORM sage_intacct.mirror_check_primary('create_mirror');
    IF NOT sage_intacct.mirror_may_commit() THEN
        PERFORM sage_intacct.mirror_refuse('create_mirror');
    END IF;
    relation := sage_intacct.mirror_register(foreign_table, target, options, pg_catalog.current_schema());
    COMMIT;
    loads := sage_intacct.mirror_option(options, 'load');
    IF loads THEN
        company := sage_intacct.mirror_company(foreign_table, options);
        CALL sage_intacct.mirror_refresh(relation, false, failure, false, company);
        IF failure IS NOT NULL THEN
            PERFORM sage_intacct.mirror_raise(failure);
        END IF;
    END IF;
END
$$;

CREATE PROCEDURE sage_intacct.refresh_mirror(target regclass, "full" boolean DEFAULT false, accept_deletes boolean DEFAULT false,
                                             company text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    failure pg_catalog.jsonb;
BEGIN
    PERFORM sage_intacct.mirror_check_primary('refresh_mirror');
    IF NOT sage_intacct.mirror_may_commit() THEN
        PERFORM sage_intacct.mirror_refuse('refresh_mirror');
    END IF;
    CALL sage_intacct.mirror_refresh(target, "full", failure, accept_deletes, company);
    IF failure IS NOT NULL THEN
        PERFORM sage_intacct.mirror_raise(failure);
    END IF;
END
$$;

CREATE PROCEDURE sage_intacct.refresh_mirrors(schema name)
LANGUAGE plpgsql
AS $$
DECLARE
    mirrors integer[];
    mirror integer;
    m sage_intacct.mirror;
    failure pg_catalog.jsonb;
    failures pg_catalog.text[];
BEGIN
    PERFORM sage_intacct.mirror_check_primary('refresh_mirrors');
    IF NOT sage_intacct.mirror_may_commit() THEN
        PERFORM sage_intacct.mirror_refuse('refresh_mirrors');
    END IF;
    mirrors := sage_intacct.mirror_targets(schema);
    FOREACH mirror IN ARRAY mirrors LOOP
        SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id OPERATOR(pg_catalog.=) mirror;
        CONTINUE WHEN NOT FOUND;
        CALL sage_intacct.mirror_refresh(m.target, false, failure, false, m.company);
        IF pg_catalog.jsonb_extract_path_text(failure, 'state') OPERATOR(pg_catalog.=) '57014' THEN
            PERFORM sage_intacct.mirror_raise(failure);
        ELSIF failure IS NOT NULL THEN
            failures := pg_catalog.array_append(failures,
                pg_catalog.format('%s: %s', pg_catalog.concat_ws(', ', m.target, CASE WHEN m.company OPERATOR(pg_catalog.<>) '' THEN m.company END), pg_catalog.jsonb_extract_path_text(failure, 'message')));
        END IF;
    END LOOP;
    IF failures IS NOT NULL THEN
        RAISE '% of % mirrors could not be refreshed', pg_catalog.cardinality(failures), pg_catalog.cardinality(mirrors)
            USING ERRCODE := 'fdw_error', DETAIL := pg_catalog.array_to_string(failures, E'\n'),
                HINT := 'SELECT * FROM sage_intacct.mirror_runs shows the reasons.';
    END IF;
END
$$;

-- One's own mirrors in a schema, in the order of their names, lines behind the rest.
CREATE FUNCTION sage_intacct.mirror_targets(schema name)
RETURNS integer[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regnamespace(quote_ident(schema)) IS NULL THEN
        RAISE 'schema "%" does not exist', schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    RETURN (SELECT coalesce(array_agg(m.id ORDER BY c.relname, m.company), '{}')
              FROM sage_intacct.mirror m JOIN pg_class c ON c.oid = m.target JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = schema AND m.owner = quote_ident(current_user)::regrole);
END
$$;

-- Ends a mirror of one's own, or of a role whose rights one has. Its table is dropped if create_mirror made it, unless it is to be kept.
CREATE PROCEDURE sage_intacct.drop_mirror(target regclass, keep boolean DEFAULT false, company text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror := sage_intacct.mirror_known(target, company);
BEGIN
    PERFORM sage_intacct.mirror_check_primary('drop_mirror');
    IF NOT sage_intacct.mirror_try_lock(m.id) THEN
        RAISE 'mirror % is being refreshed', target USING ERRCODE = 'object_in_use';
    END IF;
    UPDATE sage_intacct.mirror SET dropped = true WHERE id = m.id;
    PERFORM sage_intacct.mirror_purge();
    IF m.made AND NOT keep AND NOT sage_intacct.mirror_leave(m) THEN
        EXECUTE format('DROP TABLE %s', target);
    END IF;
    PERFORM sage_intacct.mirror_unlock(m.id);
END
$$;

-- Changes options of a mirror; a null takes an option back to its default.
CREATE PROCEDURE sage_intacct.alter_mirror(target regclass, options jsonb, company text DEFAULT NULL)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror := sage_intacct.mirror_of(target, company);
    changed jsonb := jsonb_strip_nulls(m.options || alter_mirror.options);
    fixed text := (SELECT min(key) FROM jsonb_object_keys(alter_mirror.options) AS key WHERE key IN ('columns', 'distribute_by', 'colocate_with', 'shard_count', 'reference', 'company', 'key', 'load'));
BEGIN
    PERFORM sage_intacct.mirror_check_primary('alter_mirror');
    IF fixed IS NOT NULL THEN
        RAISE 'option "%" is read when a mirror is created', fixed USING ERRCODE = 'fdw_invalid_option_name';
    END IF;
    PERFORM sage_intacct.mirror_check_options(changed);
    PERFORM sage_intacct.mirror_shape(m.source, m.target, changed, m.gone);
    PERFORM sage_intacct.mirror_make_events(m.target, (SELECT h FROM sage_intacct.mirror_shape(m.source, m.target, changed, m.gone) h), changed);
    UPDATE sage_intacct.mirror r SET options = changed WHERE r.id = m.id;
END
$$;

-- Many mirrors at once. Small ones are loaded side by side: one statement counts their rows, and one reads them, each below an
-- Append whose scans are under way at the same time. Large ones follow one by one, each with several pages under way.

-- Fields whose values are computed for the day on which they are read: create_mirrors leaves them out, unless option `columns` is
-- given. They would differ each day without a change.
CREATE FUNCTION sage_intacct.mirror_fields_of_today()
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY['DUE_IN_DAYS']
$$;

-- The options of one of many mirrors.
CREATE FUNCTION sage_intacct.mirror_many_options(foreign_table regclass, options jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept text;
    computed boolean;
BEGIN
    SELECT string_agg(c.name, ', ' ORDER BY c.number) FILTER (WHERE NOT c.today), bool_or(c.today) INTO kept, computed
      FROM (SELECT *, upper(field) = ANY (sage_intacct.mirror_fields_of_today()) AS today
              FROM sage_intacct.mirror_columns(foreign_table, foreign_table)) c;
    RETURN CASE WHEN computed AND NOT options ? 'columns' THEN options || jsonb_build_object('columns', kept) ELSE options END;
END
$$;

-- The foreign tables of a schema that one may read, in the order of their names; not those that have a mirror of one's own under
-- their name in the schema of the targets.
CREATE FUNCTION sage_intacct.mirror_candidates(schema name, "into" name, options jsonb)
RETURNS regclass[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing name;
BEGIN
    SELECT n INTO missing FROM unnest(ARRAY[schema, "into"]) n WHERE to_regnamespace(quote_ident(n)) IS NULL;
    IF FOUND THEN
        RAISE 'schema "%" does not exist', missing USING ERRCODE = 'invalid_schema_name';
    END IF;
    RETURN (
        SELECT coalesce(array_agg(c.oid::regclass ORDER BY c.relname), '{}')
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_foreign_table t ON t.ftrelid = c.oid
          JOIN pg_foreign_server s ON s.oid = t.ftserver
          JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
          JOIN pg_proc h ON h.oid = w.fdwhandler AND h.proname = 'sage_intacct_fdw_handler'
         WHERE n.nspname = schema AND has_table_privilege(c.oid, 'SELECT')
           AND NOT EXISTS (SELECT FROM sage_intacct.mirror m JOIN pg_class o ON o.oid = m.target
                            WHERE o.relname = c.relname AND o.relnamespace = quote_ident("into")::regnamespace
                              AND m.company = sage_intacct.mirror_company(c.oid, mirror_candidates.options)));
END
$$;

-- The statement that counts the rows of several foreign tables, where the gateway does it.
CREATE FUNCTION sage_intacct.mirror_count_all(mirrors integer[])
RETURNS TABLE (mirror integer, rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
    arms text[];
    arm text;
BEGIN
    FOR m IN SELECT r.* FROM sage_intacct.mirror r WHERE r.id = ANY (mirrors) ORDER BY r.id LOOP
        PERFORM sage_intacct.mirror_check_source(m.source);
        arm := format('SELECT %s AS mirror, count(*) AS rows FROM %s', m.id, m.source);
        IF (SELECT p.foreign_scan FROM sage_intacct.mirror_planned(arm) p) THEN
            arms := arms || arm;
        END IF;
    END LOOP;
    IF arms IS NOT NULL THEN
        RETURN QUERY EXECUTE array_to_string(arms, ' UNION ALL ');
    END IF;
END
$$;

-- Reads the rows of several small mirrors side by side into a temporary table, whose first column is the number of the row's mirror.
CREATE FUNCTION sage_intacct.mirror_read_all(members jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    mirrors integer[] := ARRAY(SELECT (value ->> 'id')::integer FROM jsonb_array_elements(members));
    arms text;
    known sage_intacct.mirror;
BEGIN
    FOR known IN SELECT r.* FROM sage_intacct.mirror r WHERE r.id = ANY (mirrors) LOOP
        PERFORM sage_intacct.mirror_check_source(known.source);
        known := sage_intacct.mirror_recognize(known, false);
        UPDATE sage_intacct.mirror r SET identity = known.identity, mapping = known.mapping, gone = known.gone WHERE r.id = known.id;
    END LOOP;
    WITH every AS (
        SELECT m.id, m.source, c.name, c.number, format_type(a.atttypid, a.atttypmod) AS type,
               row_number() OVER (ORDER BY m.id, c.number) AS place
          FROM sage_intacct.mirror m
         CROSS JOIN LATERAL sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone) s
         CROSS JOIN LATERAL unnest(s.columns) WITH ORDINALITY AS c (name, number)
          JOIN pg_attribute a ON a.attrelid = m.source AND a.attname = c.name AND NOT a.attisdropped
         WHERE m.id = ANY (mirrors))
    SELECT string_agg(arm, ' UNION ALL ') INTO arms FROM (
        SELECT format('SELECT %s AS mirror, %s FROM %s', o.id,
                      string_agg(CASE WHEN e.id = o.id THEN quote_ident(e.name) ELSE 'NULL::' || e.type END || format(' AS %I', e.id || '_' || e.number), ', ' ORDER BY e.place), o.source) AS arm
          FROM (SELECT DISTINCT id, source FROM every) o CROSS JOIN every e
         GROUP BY o.id, o.source) a;
    DROP TABLE IF EXISTS pg_temp.sage_intacct_many;
    EXECUTE 'CREATE TEMP TABLE sage_intacct_many AS ' || arms;
END
$$;

-- Groups of new mirrors whose rows are read side by side: those with no more rows than a page has, and an empty table. How many
-- are under way at once, the server's option max_concurrency limits; a group is as large as its columns fit into one table.
CREATE FUNCTION sage_intacct.mirror_groups(mirrors integer[])
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most constant integer := 1500;
    part record;
    width integer := 0;
    used boolean;
    groups jsonb := '[]';
    members jsonb := '[]';
BEGIN
    FOR part IN
        SELECT c.mirror, c.rows, sage_intacct.mirror_rows(m) AS relation,
               (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = m.source AND a.attnum > 0 AND NOT a.attisdropped)::integer AS columns
          FROM sage_intacct.mirror_count_all(mirrors) c JOIN sage_intacct.mirror m ON m.id = c.mirror
         WHERE c.rows <= sage_intacct.mirror_option(m.options, 'page_rows')::bigint ORDER BY c.mirror
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s r LIMIT 1)', part.relation) INTO used;
        CONTINUE WHEN used OR part.columns > most;
        IF width + part.columns > most THEN
            groups := groups || jsonb_build_array(members);
            members := '[]';
            width := 0;
        END IF;
        members := members || jsonb_build_object('id', part.mirror, 'rows', part.rows);
        width := width + part.columns;
    END LOOP;
    RETURN CASE WHEN members <> '[]' THEN groups || jsonb_build_array(members) ELSE groups END;
END
$$;

-- The statement that puts rows that were read side by side into their table.
CREATE FUNCTION sage_intacct.mirror_many_statement(m sage_intacct.mirror)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    PERFORM sage_intacct.mirror_check_identity(m);
    PERFORM sage_intacct.mirror_check_target(m.target);
    RETURN format('INSERT INTO %s (%s) SELECT %s FROM pg_temp.sage_intacct_many WHERE mirror OPERATOR(pg_catalog.=) %s', m.target,
                  sage_intacct.mirror_names(shape.columns),
                  (SELECT string_agg(format('%I', m.id || '_' || number), ', ' ORDER BY number) FROM unnest(shape.columns) WITH ORDINALITY AS c (name, number)),
                  m.id);
END
$$;

-- What a first load side by side has come to: a request that counted, and one that read. It is complete if as many rows came as had been counted; what changed meanwhile is
-- not older than the watermark, and read by the next refresh, which also makes the first record of the object's fields.
CREATE FUNCTION sage_intacct.mirror_many_loaded(m sage_intacct.mirror, began timestamptz, rows bigint, member jsonb, failure text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
    changed jsonb;
    run bigint;
BEGIN
    INSERT INTO sage_intacct.mirror_run AS r (mirror, task) VALUES (m.id, 'load') RETURNING r.id INTO run;
    IF failure IS NULL THEN
        SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
        IF (SELECT kind FROM sage_intacct.mirror_distribution(m.target)) = 'local' THEN
            EXECUTE format('ANALYZE %s', m.target);
        END IF;
        changed := sage_intacct.mirror_passed(m, jsonb_strip_nulls(jsonb_build_object('began', began, 'seen',
            sage_intacct.mirror_newest(m, sage_intacct.mirror_rows(m), shape.modified, shape.created))));
        m := jsonb_populate_record(m, changed);
        UPDATE sage_intacct.mirror r
           SET todo = '[]', watermark = m.watermark, ahead = m.ahead, late_from = m.late_from, late_next = m.late_next, late_at = m.late_at,
               loaded_at = clock_timestamp(), sweep_at = began, rows = mirror_many_loaded.rows,
               complete = mirror_many_loaded.rows = (member ->> 'rows')::bigint
         WHERE r.id = m.id;
        UPDATE sage_intacct.mirror_run r SET inserted = mirror_many_loaded.rows, read = mirror_many_loaded.rows, watermark = m.watermark
         WHERE r.id = run;
    END IF;
    PERFORM sage_intacct.mirror_end(m.id, run, CASE WHEN failure IS NULL THEN 'done' ELSE 'failed' END, failure, 2);
END
$$;

-- The elements of an array: procedures that commit use no operators of jsonb.
CREATE FUNCTION sage_intacct.mirror_elements("array" jsonb)
RETURNS jsonb[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY(SELECT value FROM jsonb_array_elements("array"))
$$;

-- The name of a foreign table's mirror in another schema.
CREATE FUNCTION sage_intacct.mirror_namesake(foreign_table regclass, "into" name)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('%I.%I', "into", relname) FROM pg_class WHERE oid = foreign_table
$$;

CREATE PROCEDURE sage_intacct.create_mirrors(schema name, "into" name, options jsonb DEFAULT '{}')
LANGUAGE plpgsql
AS $$
DECLARE
    foreign_table pg_catalog.regclass;
    relation pg_catalog.regclass;
    m sage_intacct.mirror;
    made integer[];
    groups pg_catalog.jsonb := '[]';
    batch pg_catalog.jsonb;
    member pg_catalog.jsonb;
    number integer;
    began timestamp with time zone;
    touched bigint;
    failure pg_catalog.jsonb;
    message pg_catalog.text;
    failed boolean;
    state pg_catalog.text;
    details pg_catalog.text;
    advice pg_catalog.text;
    failures pg_catalog.text[];
    loads boolean;
    finished integer := 0;
    wanted integer;
BEGIN
    PERFORM sage_intacct.mirror_check_primary('create_mirrors');
    IF NOT sage_intacct.mirror_may_commit() THEN
        PERFORM sage_intacct.mirror_refuse('create_mirrors');
    END IF;
    PERFORM sage_intacct.mirror_check_options(options);
    loads := sage_intacct.mirror_option(options, 'load');
    FOREACH foreign_table IN ARRAY sage_intacct.mirror_candidates(schema, "into", options) LOOP
        message := NULL;
        BEGIN
            relation := sage_intacct.mirror_register(foreign_table, sage_intacct.mirror_namesake(foreign_table, "into"),
                                                      sage_intacct.mirror_many_options(foreign_table, options), "into");
            made := pg_catalog.array_append(made, (sage_intacct.mirror_of(relation, sage_intacct.mirror_company(foreign_table, options))).id);
        EXCEPTION WHEN OTHERS THEN
            message := SQLERRM;
        END;
        IF message IS NULL THEN
            COMMIT;
        ELSE
            ROLLBACK;
            failures := pg_catalog.array_append(failures, pg_catalog.format('%s: %s', foreign_table, message));
        END IF;
    END LOOP;
    wanted := pg_catalog.cardinality(made);
    IF loads AND wanted OPERATOR(pg_catalog.>) 0 THEN
        -- Side by side. Where that fails, each is tried by itself below, and reports what is wrong.
        BEGIN
            groups := sage_intacct.mirror_groups(made);
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'the rows of the new mirrors are not counted together: %', SQLERRM;
        END;
        COMMIT;
        FOREACH batch IN ARRAY sage_intacct.mirror_elements(groups) LOOP
            message := NULL;
            BEGIN
                began := pg_catalog.clock_timestamp();
                PERFORM sage_intacct.mirror_read_all(batch);
            EXCEPTION WHEN OTHERS THEN
                message := SQLERRM;
                RAISE NOTICE 'new mirrors are read one by one: %', message;
            END;
            COMMIT;
            CONTINUE WHEN message IS NOT NULL;
            FOREACH member IN ARRAY sage_intacct.mirror_elements(batch) LOOP
                number := pg_catalog.jsonb_extract_path_text(member, 'id');
                SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id OPERATOR(pg_catalog.=) number;
                CONTINUE WHEN NOT FOUND OR m.loaded_at IS NOT NULL OR NOT sage_intacct.mirror_try_lock(m.id);
                failed := false;
                BEGIN
                    EXECUTE sage_intacct.mirror_many_statement(m);
                    GET DIAGNOSTICS touched := ROW_COUNT;
                    PERFORM sage_intacct.mirror_many_loaded(m, began, touched, member, NULL);
                EXCEPTION WHEN OTHERS THEN
                    failed := true;
                    message := SQLERRM;
                END;
                IF NOT failed THEN
                    CALL sage_intacct.mirror_commit(failed, state, message, details, advice);
                END IF;
                IF NOT failed THEN
                    finished := finished OPERATOR(pg_catalog.+) 1;
                    RAISE NOTICE 'mirror % of %: %, % rows', finished, wanted, m.target, touched;
                ELSE
                    -- Where a machine of Citus was lost, nothing more can be committed in this transaction.
                    ROLLBACK;
                    PERFORM sage_intacct.mirror_many_loaded(m, began, 0, member, message);
                END IF;
                PERFORM sage_intacct.mirror_unlock(m.id);
                COMMIT;
                PERFORM sage_intacct.mirror_analyze_behind(m.id);
                COMMIT;
            END LOOP;
        END LOOP;
        FOREACH number IN ARRAY made LOOP
            SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id OPERATOR(pg_catalog.=) number;
            CONTINUE WHEN NOT FOUND OR m.loaded_at IS NOT NULL;
            CALL sage_intacct.mirror_refresh(m.target, false, failure, false, m.company);
            finished := finished OPERATOR(pg_catalog.+) 1;
            IF pg_catalog.jsonb_extract_path_text(failure, 'state') OPERATOR(pg_catalog.=) '57014' THEN
                PERFORM sage_intacct.mirror_raise(failure);
            ELSIF failure IS NOT NULL THEN
                failures := pg_catalog.array_append(failures,
                    pg_catalog.format('%s: %s', m.target, pg_catalog.jsonb_extract_path_text(failure, 'message')));
            ELSE
                RAISE NOTICE 'mirror % of %: %', finished, wanted, m.target;
            END IF;
        END LOOP;
    END IF;
    IF failures IS NOT NULL THEN
        RAISE '% of the mirrors could not be created or loaded', pg_catalog.cardinality(failures)
            USING ERRCODE := 'fdw_error', DETAIL := pg_catalog.array_to_string(failures, E'\n'),
                HINT := 'The others exist. Call create_mirrors again to create the missing ones; refresh_mirrors loads the empty ones.';
    END IF;
END
$$;

-- Changes told to others: option `outbox`, a table that gets a row for each change, and option `on_change`, a function that is
-- called with the changes of each page. Both in the transaction that makes the changes, on every kind of target: a table of Citus
-- runs no triggers. What changes is found before it is written, from the rows of the target that the page concerns.

-- The statements that tell others of the changes that an answer makes. Rows of the target are read by a plain condition into a
-- temporary table: Citus correlates no table of its own with a temporary one.
CREATE FUNCTION sage_intacct.mirror_find_events(m sage_intacct.mirror, answer jsonb)
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
SET client_min_messages = warning
AS $$
DECLARE
    -- More keys than these cost more as a list than all rows do.
    most constant bigint := 20000;
    shape record;
    target text := sage_intacct.mirror_qualified(m.target);
    whole boolean := jsonb_typeof(answer -> 'put') <> 'array';
    removes boolean := coalesce(answer #>> '{remove,by}' = 'gone', false);
    subset name[];
    columns text;
    names text;
    same text;
    key text;
    differs text;
BEGIN
    IF NOT m.options ?| ARRAY['outbox', 'on_change'] OR answer ? 'load' OR NOT (answer ? 'put' OR removes) THEN
        RETURN '{}';
    END IF;
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    -- What was there when the mirror was created, or is read as its first load, is no change.
    IF m.loaded_at IS NULL OR shape.keys = '{}' THEN
        RETURN '{}';
    END IF;
    names := sage_intacct.mirror_names(shape.keys);
    columns := sage_intacct.mirror_names(shape.columns);
    same := sage_intacct.mirror_matches(m.target, shape.keys);
    subset := CASE WHEN whole THEN shape.columns
        ELSE (SELECT array_agg(value::name) FROM jsonb_array_elements_text(answer -> 'put')) END;
    DROP TABLE IF EXISTS pg_temp.sage_intacct_concerned, pg_temp.sage_intacct_before, pg_temp.sage_intacct_after, pg_temp.sage_intacct_events;
    EXECUTE format('CREATE TEMP TABLE sage_intacct_concerned AS SELECT %1$s FROM pg_temp.sage_intacct_page', names);
    EXECUTE format('CREATE TEMP TABLE sage_intacct_before AS SELECT %1$s FROM pg_temp.sage_intacct_page WITH NO DATA', columns);
    IF removes THEN
        EXECUTE format('INSERT INTO pg_temp.sage_intacct_concerned SELECT %1$s FROM pg_temp.sage_intacct_gone', names);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_temp.sage_intacct_concerned) THEN
        RETURN '{}';
    END IF;
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_before (%1$s) SELECT %1$s FROM %2$s t WHERE %3$s', columns, sage_intacct.mirror_rows(m),
        CASE WHEN (SELECT count(*) FROM pg_temp.sage_intacct_concerned) > most THEN 'true'
             ELSE format('%I = ANY (%s)', shape.keys[1], sage_intacct.mirror_key_list('pg_temp.sage_intacct_concerned', shape.keys[1])) END);
    CREATE TEMP TABLE sage_intacct_events (op text, key jsonb, old jsonb, new jsonb);
    key := format('jsonb_build_object(%s)', (SELECT string_agg(format('%L, s.%I', k, k), ', ') FROM unnest(shape.keys) k));
    IF removes THEN
        EXECUTE format('INSERT INTO pg_temp.sage_intacct_events SELECT ''delete'', %1$s, to_jsonb(t), NULL
                          FROM pg_temp.sage_intacct_before t JOIN pg_temp.sage_intacct_gone s ON %2$s', key, same);
        EXECUTE format('DELETE FROM pg_temp.sage_intacct_before t USING pg_temp.sage_intacct_gone s WHERE %s', same);
    END IF;
    IF answer ? 'put' THEN
        differs := sage_intacct.mirror_differs(m.source, m.target, ARRAY(SELECT c FROM unnest(subset) c WHERE c <> ALL (shape.keys)));
        IF differs IS NOT NULL THEN
            -- What was not read of a row stays as it is.
            EXECUTE format('INSERT INTO pg_temp.sage_intacct_events SELECT ''update'', %1$s, to_jsonb(t), to_jsonb(t) || jsonb_build_object(%2$s)
                              FROM pg_temp.sage_intacct_before t JOIN pg_temp.sage_intacct_page s ON %3$s WHERE %4$s', key,
                           -- A function takes 100 arguments.
                           (SELECT string_agg(part, ') || jsonb_build_object(' ORDER BY n) FROM (
                                SELECT (n - 1) / 50 AS n, string_agg(format('%L, s.%I', c, c), ', ') AS part
                                  FROM unnest(subset) WITH ORDINALITY AS u (c, n) GROUP BY 1) p), same, differs);
        END IF;
        IF whole THEN
            EXECUTE format('INSERT INTO pg_temp.sage_intacct_events SELECT ''insert'', %1$s, NULL, to_jsonb(s) FROM pg_temp.sage_intacct_page s
                             WHERE NOT EXISTS (SELECT FROM pg_temp.sage_intacct_before t WHERE %2$s)', key, same);
        END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_temp.sage_intacct_events) THEN
        RETURN '{}';
    END IF;
    PERFORM sage_intacct.mirror_check_events(m.target, m.options);
    RETURN array_remove(ARRAY[
        CASE WHEN m.options ? 'outbox' THEN
            format('INSERT INTO %s (mirror, op, key, old, new) SELECT %L, op, key, old, new FROM pg_temp.sage_intacct_events',
                   sage_intacct.mirror_outbox(m.target, m.options), target) END,
        CASE WHEN m.options ? 'on_change' THEN
            format('SELECT %s(%L::pg_catalog.regclass, (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(e)) FROM pg_temp.sage_intacct_events e))',
                   sage_intacct.mirror_on_change(m.target, m.options)::regproc, target) END], NULL);
END
$$;

-- A name of an option, in the target's schema where it has none.
CREATE FUNCTION sage_intacct.mirror_beside(target regclass, name text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts name[] := parse_ident(name);
BEGIN
    IF name IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN CASE WHEN cardinality(parts) > 1 THEN format('%I.%I', parts[cardinality(parts) - 1], parts[cardinality(parts)])
        ELSE format('%I.%I', (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target), parts[1]) END;
END
$$;

-- The table that option `outbox` names; null without the option.
CREATE FUNCTION sage_intacct.mirror_outbox(target regclass, options jsonb)
RETURNS regclass
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN to_regclass(sage_intacct.mirror_beside(target, options ->> 'outbox'));
END
$$;

-- The function that option `on_change` names; null without the option.
CREATE FUNCTION sage_intacct.mirror_on_change(target regclass, options jsonb)
RETURNS regprocedure
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN to_regprocedure(sage_intacct.mirror_beside(target, options ->> 'on_change') || '(regclass, jsonb)');
END
$$;

-- Raises if changes cannot be told as the options say: whoever refreshes runs the function and the outbox' triggers.
CREATE FUNCTION sage_intacct.mirror_check_events(target regclass, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outbox regclass := sage_intacct.mirror_outbox(target, options);
    called regprocedure := sage_intacct.mirror_on_change(target, options);
    missing text;
BEGIN
    IF options ? 'outbox' THEN
        IF outbox IS NULL THEN
            RAISE 'the outbox % does not exist', sage_intacct.mirror_beside(target, options ->> 'outbox') USING ERRCODE = 'undefined_table',
                HINT = 'A mirror that is created or altered with the option "outbox" makes it.';
        END IF;
        PERFORM sage_intacct.mirror_check_target(outbox);
        SELECT w INTO missing FROM unnest(ARRAY['mirror', 'op', 'key', 'old', 'new']) w
         WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = outbox AND a.attname = w AND a.attnum > 0 AND NOT a.attisdropped);
        IF FOUND THEN
            RAISE 'the outbox % has no column "%"', outbox, missing USING ERRCODE = 'undefined_column',
                HINT = 'It has columns mirror and op of type text, key, old and new of type jsonb, and others as you like.';
        END IF;
    END IF;
    IF options ? 'on_change' THEN
        IF called IS NULL THEN
            RAISE 'function %(regclass, jsonb) of option "on_change" does not exist', sage_intacct.mirror_beside(target, options ->> 'on_change')
                USING ERRCODE = 'undefined_function',
                    HINT = 'It is called with the mirror and an array of changes, objects with op, key, old and new.';
        ELSIF EXISTS (SELECT FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner
                       WHERE p.oid = called AND NOT o.rolsuper AND p.proowner <> quote_ident(current_user)::regrole) THEN
            RAISE 'function % of option "on_change" belongs to another role', called USING ERRCODE = 'insufficient_privilege',
                DETAIL = format('It would run with the rights of role %I, which refreshes the mirror.', current_user);
        END IF;
    END IF;
END
$$;

-- Makes the outbox, unless it is there, and checks what is to be told of changes.
CREATE FUNCTION sage_intacct.mirror_make_events(target regclass, shape record, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT options ?| ARRAY['outbox', 'on_change'] THEN
        RETURN;
    END IF;
    IF shape.keys = '{}' THEN
        RAISE 'changes of % cannot be told: its rows have no identifier', target USING ERRCODE = 'feature_not_supported',
            HINT = 'A trigger on the target sees the rows that are deleted and inserted.';
    END IF;
    IF options ? 'outbox' AND sage_intacct.mirror_outbox(target, options) IS NULL THEN
        EXECUTE format('CREATE TABLE %s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, happened timestamptz NOT NULL DEFAULT now(),
                                         mirror text NOT NULL, op text NOT NULL, key jsonb NOT NULL, old jsonb, new jsonb)',
                       sage_intacct.mirror_beside(target, options ->> 'outbox'));
    END IF;
    PERFORM sage_intacct.mirror_check_events(target, options);
END
$$;

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

-- The tables and columns that Fivetran delivers and that the public dbt package for Sage Intacct reads (fivetran/dbt_sage_intacct
-- 1.4.1, read on 2026-11-29): for each table the object it is made from, and its columns. Each is the field of the same name, dots
-- as underscores. The type is that of a column whose field the source does not have; text is also what other types are
-- turned into, so that keys meet keys.
CREATE FUNCTION sage_intacct.fivetran_tables()
RETURNS TABLE (name name, object text, columns text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
VALUES
    ('gl_account'::name, 'GLACCOUNT', 'bigint: recordno categorykey closetoacctkey createdby modifiedby;
     text: accountno title accounttype normalbalance category alternativeaccount closingtype closingaccountno closingaccounttitle status;
     boolean: taxable requireclass requirecustomer requiredept requireemployee requireitem requireloc requireproject requirevendor
       requirewarehouse _fivetran_deleted;
     timestamptz: whencreated whenmodified _fivetran_synced'),
    ('gl_batch', 'GLBATCH', 'text: recordno batch_title journal module referenceno state taximplications baselocation_no megaentityid megaentityname
       modifiedbyid userinfo_loginid;
     bigint: batchno baselocation megaentitykey createdby modifiedby prbatchkey reversedkey templatekey userkey;
     date: batch_date reversed reversedfrom;
     timestamptz: modified whencreated whenmodified _fivetran_synced;
     boolean: _fivetran_deleted'),
    ('gl_detail', 'GLDETAIL', 'text: recordno recordid recordtype batchkey batch_title bookid accountno accounttitle basecurr currency classid classname
       customerid customername departmentid departmenttitle locationid locationname vendorid vendorname description
       docnumber document entry_state entrydescription prdescription;
     bigint: batch_no line_no tr_type;
     numeric: amount creditamount debitamount totaldue totalentered totalpaid trx_amount trx_creditamount trx_debitamount;
     date: batch_date entry_date whencreated whendue whenpaid;
     timestamptz: modified whenmodified _fivetran_synced;
     boolean: _fivetran_deleted'),
    ('ap_bill', 'APBILL', 'text: recordno recordid recordtype state vendorid vendorname basecurr currency description docnumber billtopaytocontactname
       shiptoreturntocontactname;
     bigint: billtopaytokey shiptoreturntokey due_in_days;
     numeric: totaldue totalentered totalpaid;
     date: whencreated whendue whenpaid whenposted;
     timestamptz: auwhencreated whenmodified _fivetran_synced;
     boolean: _fivetran_deleted'),
    ('ap_bill_item', 'APBILLITEM', 'text: recordno recordkey recordtype state accountno accounttitle basecurr currency classid classname customerid customername
       departmentid departmentname entrydescription itemid itemname locationid locationname offsetglaccountno
       offsetglaccounttitle projectid projectname vendorid vendorname;
     bigint: accountkey baselocation createdby line_no;
     numeric: amount exchange_rate totalpaid totalselected;
     boolean: billable billed lineitem;
     date: entry_date;
     timestamptz: whencreated whenmodified _fivetran_synced'),
    ('ar_invoice', 'ARINVOICE', 'text: recordno recordid recordtype state customerid customername basecurr currency description docnumber
       billtopaytocontactname shiptoreturntocontactname megaentityid megaentityname;
     bigint: billtopaytokey shiptoreturntokey due_in_days createdby;
     numeric: totaldue totalentered totalpaid;
     date: whencreated whendiscount whendue whenpaid whenposted;
     timestamptz: auwhencreated whenmodified _fivetran_synced;
     boolean: _fivetran_deleted'),
    ('ar_invoice_item', 'ARINVOICEITEM', 'text: recordno recordkey recordtype state accountno accounttitle basecurr currency classid classname customerid customername
       departmentid departmentname entrydescription itemid itemname locationid locationname offsetglaccountno
       offsetglaccounttitle vendorid vendorname warehouseid warehousename;
     bigint: accountkey baselocation line_no;
     numeric: amount exchange_rate totalpaid totalselected;
     boolean: lineitem;
     date: entry_date;
     timestamptz: whencreated whenmodified _fivetran_synced')
$$;

-- The same, a row for each column.
CREATE FUNCTION sage_intacct.fivetran_columns()
RETURNS TABLE (view name, object text, number bigint, name name, type text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT t.name, t.object, row_number() OVER (PARTITION BY t.name ORDER BY n.column LIKE '\_%', n.column <> 'recordno', n.column),
       n.column::name, split_part(c.of_type, ':', 1)
  FROM sage_intacct.fivetran_tables() t
 CROSS JOIN LATERAL regexp_split_to_table(t.columns, ';\s*') AS c(of_type)
 CROSS JOIN LATERAL regexp_split_to_table(split_part(c.of_type, ': ', 2), '\s+') AS n("column")
$$;

-- Views for tools that list tables and views, but no foreign tables; and views in the shape that a known package reads.
-- They belong to their maker and read with the rights of who reads them (security_invoker).

-- When a mirror was last refreshed, as far as the current user may see it; where companies share it, that of the oldest refresh.
CREATE FUNCTION sage_intacct.mirror_refreshed(mirror regclass)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT min(m.last_refresh) FROM sage_intacct.mirrors m WHERE m.target = mirror
$$;

-- What views can be made over in a schema, and from which object it is: foreign tables, mirrors with the foreign tables that
-- they copy, and other relations, which are taken for what their name stands for.
CREATE FUNCTION sage_intacct.view_sources(schema name)
RETURNS TABLE (relation regclass, name name, kind text, described regclass, object text, server name)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT c.oid, c.relname, k.kind, k.described, coalesce(o.object, upper(coalesce(d.relname, c.relname))), s.srvname
  FROM pg_namespace n
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('f', 'r', 'p', 'm')
  LEFT JOIN (SELECT DISTINCT ON (target) target, source FROM sage_intacct.mirrors ORDER BY target, company) m ON m.target = c.oid
 CROSS JOIN LATERAL (
        SELECT CASE WHEN c.relkind = 'f' THEN 'foreign table' WHEN m.target IS NOT NULL THEN 'mirror' ELSE 'other' END AS kind,
               CASE WHEN c.relkind = 'f' THEN c.oid::regclass WHEN m.target IS NOT NULL THEN to_regclass(m.source) END AS described) k
  LEFT JOIN pg_class d ON d.oid = k.described
  LEFT JOIN pg_foreign_table t ON t.ftrelid = k.described
  LEFT JOIN pg_foreign_server s ON s.oid = t.ftserver
  LEFT JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  LEFT JOIN pg_proc h ON h.oid = w.fdwhandler
 CROSS JOIN LATERAL (SELECT max(option_value) AS object FROM pg_options_to_table(t.ftoptions) WHERE option_name = 'object') o
 WHERE n.nspname = schema AND (c.relkind <> 'f' OR h.proname = 'sage_intacct_fdw_handler')
$$;

-- The columns of such a relation, with their fields and labels; `described` is the foreign table that defines them.
CREATE FUNCTION sage_intacct.view_columns(relation regclass, described regclass)
RETURNS TABLE (number smallint, name name, type oid, field text, label text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT a.attnum, a.attname, a.atttypid, upper(coalesce(o.field, a.attname)), coalesce(col_description(a.attrelid, a.attnum), o.label)
  FROM pg_attribute a
  LEFT JOIN pg_attribute d ON d.attrelid = described AND d.attname = a.attname AND d.attnum > 0 AND NOT d.attisdropped
 CROSS JOIN LATERAL (
        SELECT max(option_value) FILTER (WHERE option_name = 'field') AS field,
               max(option_value) FILTER (WHERE option_name = 'label') AS label
          FROM pg_options_to_table(d.attfdwoptions)) o
 WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
$$;

-- Makes or replaces one view; what is there and was not made here is left alone.
CREATE FUNCTION sage_intacct.view_make(into_schema name, view name, definition text, comment text, comments jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made_here CONSTANT text := 'Made by sage_intacct.create_views.';
    qualified text := format('%I.%I', into_schema, view);
    found oid := to_regclass(format('%I.%I', into_schema, view));
    commented record;
BEGIN
    IF found IS NOT NULL AND NOT (SELECT c.relkind = 'v' AND coalesce(obj_description(c.oid, 'pg_class') LIKE '%' || made_here, false)
                                    FROM pg_class c WHERE c.oid = found) THEN
        RAISE 'relation % exists and was not made by sage_intacct.create_views', qualified USING ERRCODE = 'duplicate_table',
            HINT = 'Drop or rename it, or make the views in another schema.';
    END IF;
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS %s', qualified, definition);
    EXCEPTION WHEN invalid_table_definition THEN
        RAISE 'view % cannot be replaced: a column of it is gone or has another type now', qualified
            USING ERRCODE = 'invalid_table_definition', DETAIL = SQLERRM,
                HINT = format('DROP VIEW %s, and what depends on it, then call sage_intacct.create_views again.', qualified);
    END;
    EXECUTE format('COMMENT ON VIEW %s IS %L', qualified, concat_ws(' ', comment, made_here));
    FOR commented IN SELECT key AS name, value AS label FROM jsonb_each_text(comments) LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', qualified, commented.name, commented.label);
    END LOOP;
END
$$;

-- What to type so that a schema has the objects that are missing from it.
CREATE FUNCTION sage_intacct.view_hint(schema name, missing text[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
WITH known AS (SELECT * FROM sage_intacct.view_sources(schema) WHERE kind <> 'other'),
     tables AS (SELECT string_agg(lower(o), ', ' ORDER BY o) AS list FROM unnest(missing) o),
     -- Mirrors are copies of foreign tables in another schema.
     origin AS (SELECT n.nspname FROM known k JOIN pg_class c ON c.oid = k.described JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE k.kind = 'mirror' LIMIT 1)
SELECT CASE WHEN EXISTS (SELECT FROM origin) THEN
            (SELECT string_agg(format('CALL sage_intacct.create_mirror(%L, %L);', format('%I.%I', nspname, lower(o)),
                                      format('%I.%I', schema, lower(o))), ' ' ORDER BY o) FROM unnest(missing) o, origin)
       ELSE format('IMPORT FOREIGN SCHEMA intacct LIMIT TO (%s) FROM SERVER %s INTO %I;', (SELECT list FROM tables),
                coalesce((SELECT quote_ident(server) FROM known WHERE server IS NOT NULL LIMIT 1), '...'), schema)
       END
$$;

-- Makes views over the foreign tables and mirrors of a schema: `plain`, each table as it is, or `fivetran`, the tables and
-- columns of Fivetran's connector, which the dbt package reads. A table that the style needs and the schema does not have is an
-- error, or with `missing_ok` left out. Shows each view, what it reads, and which columns of it are always null, since the source has no such
-- field.
CREATE FUNCTION sage_intacct.create_views(from_schema name, into_schema name, style text DEFAULT 'plain', missing_ok boolean DEFAULT false)
RETURNS TABLE (view text, source text, missing name[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
    absent text[];
    list text;
    labels jsonb;
BEGIN
    IF style NOT IN ('plain', 'fivetran') THEN
        RAISE 'unknown style "%" of views', style USING ERRCODE = 'invalid_parameter_value', HINT = 'It is plain or fivetran.';
    END IF;
    FOR wanted IN SELECT s.name FROM unnest(ARRAY[from_schema, into_schema]) s(name)
                   WHERE NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = s.name) LOOP
        RAISE 'schema "%" does not exist', wanted.name USING ERRCODE = 'invalid_schema_name',
            HINT = format('CREATE SCHEMA %I makes it.', wanted.name);
    END LOOP;
    IF style = 'plain' THEN
        IF from_schema = into_schema THEN
            RAISE 'plain views are named as what they read, so they need another schema than "%"', from_schema
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        FOR wanted IN SELECT * FROM sage_intacct.view_sources(from_schema) s WHERE s.kind <> 'other' ORDER BY s.name LOOP
            SELECT string_agg(format('t.%I', c.name), ', ' ORDER BY c.number), jsonb_object_agg(c.name, c.label) FILTER (WHERE c.label IS NOT NULL)
              INTO list, labels
              FROM sage_intacct.view_columns(wanted.relation, wanted.described) c;
            view := format('%I.%I', into_schema, wanted.name);
            source := wanted.relation;
            missing := '{}';
            PERFORM sage_intacct.view_make(into_schema, wanted.name, format('SELECT %s FROM %s t', list, wanted.relation),
                format('%s of Sage Intacct, read from %s.', wanted.object, wanted.relation), coalesce(labels, '{}'));
            RETURN NEXT;
        END LOOP;
        IF view IS NULL THEN
            RAISE 'schema "%" has neither foreign tables of sage_intacct_fdw nor mirrors', from_schema USING ERRCODE = 'undefined_table',
                HINT = format('IMPORT FOREIGN SCHEMA intacct FROM SERVER ... INTO %I;', from_schema);
        END IF;
        RETURN;
    END IF;

    SELECT array_agg(t.object ORDER BY t.object) INTO absent
      FROM sage_intacct.fivetran_tables() t
     WHERE NOT EXISTS (SELECT FROM sage_intacct.view_sources(from_schema) s
                        WHERE upper(s.object) = t.object AND (s.kind <> 'other' OR s.name = lower(t.object)));
    IF absent IS NOT NULL THEN
        IF NOT missing_ok OR cardinality(absent) = (SELECT count(*) FROM sage_intacct.fivetran_tables()) THEN
            RAISE 'schema "%" has no table of %', from_schema, array_to_string(absent, ', ') USING ERRCODE = 'undefined_table',
                HINT = sage_intacct.view_hint(from_schema, absent) || ' Or leave them out: missing_ok => true.';
        END IF;
        RAISE NOTICE 'schema "%" has no table of %: no view is made of them', from_schema, array_to_string(absent, ', ')
            USING HINT = sage_intacct.view_hint(from_schema, absent);
    END IF;
    FOR wanted IN
        SELECT t.name, t.object, array_agg(s.relation ORDER BY s.relation) AS relations, (array_agg(s.kind))[1] AS kind,
               (array_agg(s.described))[1] AS described
          FROM sage_intacct.fivetran_tables() t
          JOIN (SELECT *, row_number() OVER (PARTITION BY upper(object) ORDER BY name <> lower(object)) AS place,
                       bool_or(name = lower(object)) OVER (PARTITION BY upper(object)) AS named
                  FROM sage_intacct.view_sources(from_schema)
                 WHERE kind <> 'other' OR name = lower(object)) s
            -- One that has the object's own name is meant; else there must be but one.
            ON upper(s.object) = t.object AND (s.place = 1 OR NOT s.named)
         GROUP BY t.name, t.object ORDER BY t.name
    LOOP
        IF cardinality(wanted.relations) > 1 THEN
            RAISE 'schema "%" has more than one table of %: %', from_schema, wanted.object, array_to_string(wanted.relations, ', ')
                USING ERRCODE = 'ambiguous_alias', HINT = format('Name the one that is meant %I.', lower(wanted.object));
        END IF;
        SELECT string_agg(
                   CASE WHEN f.name = '_fivetran_deleted' THEN 'false'
                        WHEN f.name = '_fivetran_synced' THEN CASE wanted.kind
                            WHEN 'foreign table' THEN 'now()'
                            WHEN 'mirror' THEN format('(SELECT sage_intacct.mirror_refreshed(%L::regclass))', wanted.relations[1])
                            ELSE 'NULL::timestamptz' END
                        WHEN c.name IS NULL THEN format('NULL::%s', f.type)
                        -- Only what cannot fail, and runs no code of the type's owner, is turned into another type.
                        WHEN f.type = 'text' AND c.type <> 'text'::regtype
                             AND (SELECT y.typnamespace = 'pg_catalog'::regnamespace FROM pg_type y WHERE y.oid = c.type) THEN format('t.%I::text', c.name)
                        ELSE format('t.%I', c.name) END || format(' AS %I', f.name), ', ' ORDER BY f.number),
               coalesce(jsonb_object_agg(f.name, c.label) FILTER (WHERE c.label IS NOT NULL), '{}'),
               coalesce(array_agg(f.name ORDER BY f.number) FILTER (WHERE c.name IS NULL AND f.name NOT LIKE '\_fivetran\_%'), '{}')
          INTO list, labels, missing
          FROM sage_intacct.fivetran_columns() f
          LEFT JOIN LATERAL (SELECT * FROM sage_intacct.view_columns(wanted.relations[1], wanted.described) v
                              WHERE replace(v.field, '.', '_') = upper(f.name) ORDER BY v.number LIMIT 1) c ON true
         WHERE f.view = wanted.name;
        view := format('%I.%I', into_schema, wanted.name);
        source := wanted.relations[1];
        PERFORM sage_intacct.view_make(into_schema, wanted.name, format('SELECT %s FROM %s t', list, wanted.relations[1]),
            format('%s of Sage Intacct in the shape of Fivetran, read from %s.', wanted.object, wanted.relations[1]), labels);
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE FUNCTION "schema_diff"(
    "schema" TEXT
) RETURNS TABLE (
    "foreign_table" TEXT,
    "change" TEXT,
    "field" TEXT,
    "statement" TEXT
)
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'schema_diff_wrapper';

CREATE FUNCTION "sessions"() RETURNS TABLE (
    "server" TEXT,
    "mapping" TEXT,
    "user_id" TEXT,
    "company_id" TEXT,
    "entity" TEXT,
    "endpoint_host" TEXT,
    "expires" timestamp with time zone
)
STRICT
LANGUAGE c
AS 'MODULE_PATHNAME', 'sessions_wrapper';

CREATE FUNCTION upsert("table" regclass, rows jsonb) RETURNS TABLE (created bigint, updated bigint)
    STRICT VOLATILE PARALLEL UNSAFE LANGUAGE c AS 'MODULE_PATHNAME', 'upsert_wrapper';

CREATE FUNCTION "version"() RETURNS TEXT
STRICT STABLE PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', 'version_wrapper';

CREATE FUNCTION "write_log_file"(
    "counts" bool
) RETURNS TABLE (
    "sent" timestamp with time zone,
    "role" TEXT,
    "server" TEXT,
    "company" TEXT,
    "object" TEXT,
    "function" TEXT,
    "rows" bigint,
    "key_field" TEXT,
    "keys" TEXT[],
    "control_id" TEXT,
    "body_hash" TEXT,
    "outcome" TEXT,
    "outcome_at" timestamp with time zone,
    "reason" TEXT,
    "cluster" TEXT
)
STRICT VOLATILE
LANGUAGE c
AS 'MODULE_PATHNAME', 'write_log_file_wrapper';

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

-- What a monitoring system asks for, in the shape that exporters want: a name by the conventions of Prometheus, labels, a
-- value, NaN where it is not known. Names ending in _total are counters: they never become less, see src/shmem/kept.rs. Labels are called so that none
-- meets one of an exporter's own (job, instance, server, datname, database, target). There is nothing in it that names a
-- record or a value of one.

-- The servers that the current user may use; members of pg_read_all_stats, such as pg_monitor, see all.
CREATE VIEW sage_intacct.metrics_servers WITH (security_barrier = true) AS
SELECT s.oid, s.srvname
  FROM pg_foreign_server s
  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  JOIN pg_proc h ON h.oid = w.fdwhandler AND h.proname = 'sage_intacct_fdw_handler'
 WHERE has_server_privilege(s.oid, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');

CREATE VIEW sage_intacct.metrics WITH (security_barrier = true) AS
SELECT v.name, jsonb_build_object('foreign_server', s.srvname) AS labels, v.value, v.help, t.since
  FROM sage_intacct.metrics_servers s
  LEFT JOIN sage_intacct.request_totals() t ON t.server = s.srvname
 CROSS JOIN LATERAL (VALUES
        ('sage_intacct_requests_total', t.requests::float8, 'HTTP requests, retries included'),
        ('sage_intacct_retries_total', t.retries, 'Retries of failed requests'),
        ('sage_intacct_failures_total', t.failures, 'Requests that failed and were not retried'),
        ('sage_intacct_abandoned_total', t.abandoned, 'Requests that were canceled, timed out, or whose response was no longer needed'),
        ('sage_intacct_throttled_total', (t.errors ->> '53400')::float8, 'Requests throttled by the gateway, retried ones included'),
        ('sage_intacct_sign_ins_total', t.sign_ins, 'Sessions opened'),
        ('sage_intacct_received_rows_total', t.rows, 'Rows received'),
        ('sage_intacct_sent_bytes_total', t.sent_bytes, 'Bytes of requests'),
        ('sage_intacct_received_bytes_total', t.wire_bytes, 'Bytes of responses as they travelled'),
        ('sage_intacct_decoded_bytes_total', t.decoded_bytes, 'Bytes of responses after decompression'),
        ('sage_intacct_gateway_seconds_total', t.gateway_seconds, 'Time from the first byte of each request to the last of its response'),
        ('sage_intacct_queued_seconds_total', t.queued_seconds, 'Time that requests waited in the queue'),
        ('sage_intacct_paused_seconds_total', t.paused_seconds, 'Time that failed requests waited before they were retried')
      ) AS c(name, counted, help)
 CROSS JOIN LATERAL (SELECT c.name, coalesce(c.counted, 0) AS value, c.help) v
UNION ALL
SELECT 'sage_intacct_errors_total', jsonb_build_object('foreign_server', t.server, 'sqlstate', e.key), e.value::float8,
       'Failed requests, retried ones included, by SQLSTATE', t.since
  FROM sage_intacct.request_totals() t CROSS JOIN LATERAL jsonb_each_text(t.errors) e
UNION ALL
SELECT v.name, jsonb_build_object('foreign_server', s.srvname), coalesce(v.value, 'NaN'), v.help, NULL
  FROM sage_intacct.metrics_servers s
  LEFT JOIN sage_intacct.request_stats() t ON t.server = s.srvname AND t.scope = 'all backends'
 CROSS JOIN LATERAL (VALUES
        ('sage_intacct_calls_today', t.calls_today::float8, 'Calls of this day (UTC), as contracts count them; NaN where backends share no memory'),
        ('sage_intacct_max_calls_per_day', t.max_calls_per_day::float8, 'The option max_calls_per_day; NaN without one')
      ) AS v(name, value, help)
UNION ALL
(WITH running AS MATERIALIZED (SELECT p.server, p.kind, count(*) AS number FROM sage_intacct.progress p GROUP BY p.server, p.kind)
SELECT 'sage_intacct_running', jsonb_build_object('foreign_server', s.srvname, 'kind', k.kind), coalesce(r.number, 0)::float8,
       'Scans and refreshes that run now', NULL
  FROM sage_intacct.metrics_servers s
 CROSS JOIN (VALUES ('scan'), ('refresh')) k(kind)
  LEFT JOIN running r ON r.server = s.srvname AND r.kind = k.kind)
UNION ALL
-- Servers that were dropped stay in the log.
(WITH counts AS MATERIALIZED (SELECT c.server, c.outcome, sum(c.functions) AS number FROM sage_intacct.write_counts() c GROUP BY c.server, c.outcome)
SELECT 'sage_intacct_writes', jsonb_build_object('foreign_server', s.name, 'outcome', o.outcome), coalesce(c.number, 0)::float8,
       'Functions in the write log, by outcome', NULL
  FROM (SELECT srvname AS name FROM sage_intacct.metrics_servers UNION SELECT server FROM counts) s
 CROSS JOIN (VALUES ('stored'), ('not stored'), ('in doubt'), ('under way')) o(outcome)
  LEFT JOIN counts c ON c.server = s.name AND c.outcome = o.outcome)
UNION ALL
SELECT 'sage_intacct_write_in_doubt_seconds', jsonb_build_object('foreign_server', f.server),
       extract(epoch FROM clock_timestamp() - min(f.sent))::float8,
       'Age of the oldest write in doubt', NULL
  FROM sage_intacct.write_log_file(true) f WHERE f.outcome = 'in doubt' GROUP BY f.server
UNION ALL
-- The server without a join: Citus cannot plan one that the planner removes.
SELECT v.name, jsonb_build_object('foreign_server', (SELECT s.srvname FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver
                                                      WHERE t.ftrelid = r.source), 'mirror', format('%I.%I', n.nspname, c.relname))
               || CASE WHEN m.company IS NULL THEN '{}' ELSE jsonb_build_object('company', m.company) END, coalesce(v.value, 'NaN'), v.help, NULL
  FROM sage_intacct.mirrors m
  JOIN sage_intacct.mirror_registry r ON r.target = m.target AND r.company = coalesce(m.company, '')
  JOIN pg_class c ON c.oid = m.target
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (VALUES
        ('sage_intacct_mirror_rows', m.rows::float8, 'Rows of the mirror'),
        ('sage_intacct_mirror_complete', m.complete::int::float8, 'Whether the last check found the gateway''s number of rows and sum of keys'),
        ('sage_intacct_mirror_lag_seconds', coalesce(extract(epoch FROM m.lag)::float8, 'Infinity'),
         'Time since the beginning of the last refresh that succeeded; +Inf: none has'),
        ('sage_intacct_mirror_failing', coalesce(m.last_outcome IN ('failed', 'lost'), false)::int::float8, 'Whether the last refresh failed or was lost with its session'),
        ('sage_intacct_mirror_unfinished', coalesce(m.last_outcome = 'budget', false)::int::float8, 'Whether the last refresh ended because of max_requests_per_run'),
        ('sage_intacct_mirror_gone_columns', cardinality(r.gone)::float8, 'Columns whose field the object has lost: they are not refreshed any more'),
        ('sage_intacct_mirror_run_seconds', extract(epoch FROM m.duration)::float8, 'How long the last refresh took'),
        ('sage_intacct_mirror_run_requests', m.requests::float8, 'Requests of the last refresh'),
        ('sage_intacct_mirror_run_changes', (m.inserted + m.updated + m.deleted)::float8, 'Rows that the last refresh inserted, updated or deleted')
      ) AS v(name, value, help);

COMMENT ON VIEW sage_intacct.metrics IS 'Metrics for monitoring systems: requests, mirrors, writes';
GRANT SELECT ON sage_intacct.metrics TO PUBLIC;
