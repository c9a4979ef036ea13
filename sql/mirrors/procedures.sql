-- What users call. Procedures that commit have neither a search_path of their own nor the rights of another role: they are
-- thin, and leave the work to the functions.

-- Registers a mirror and makes its table, unless it is there. Returns the table.
CREATE FUNCTION sage_intacct.mirror_register(foreign_table regclass, target text, options jsonb)
RETURNS regclass
LANGUAGE plpgsql
AS $$
DECLARE
    parts name[] := pg_catalog.parse_ident(target);
    schema name := CASE WHEN cardinality(parts) > 1 THEN parts[cardinality(parts) - 1] ELSE pg_catalog.current_schema() END;
    qualified text := pg_catalog.format('%I.%I', schema, parts[cardinality(parts)]);
    relation regclass := pg_catalog.to_regclass(qualified);
    made boolean := relation IS NULL;
BEGIN
    PERFORM sage_intacct.mirror_check_options(options);
    IF pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema)) IS NULL THEN
        RAISE 'schema "%" does not exist', schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF options ? 'distribute_by' AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus') THEN
        RAISE 'option "distribute_by" needs the extension citus' USING ERRCODE = 'feature_not_supported',
            HINT = 'CREATE EXTENSION citus, where its library is preloaded; or leave the option out.';
    END IF;
    -- Registrations whose tables were dropped.
    DELETE FROM sage_intacct.mirror m WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = m.target);
    IF EXISTS (SELECT FROM sage_intacct.mirror m WHERE m.target = relation) THEN
        RAISE '% is a mirror already', relation USING ERRCODE = 'duplicate_object',
            HINT = 'CALL sage_intacct.drop_mirror(target) ends it.';
    END IF;
    IF made THEN
        PERFORM sage_intacct.mirror_make_table(foreign_table, qualified, options);
        relation := pg_catalog.to_regclass(qualified);
    ELSE
        PERFORM sage_intacct.mirror_adopt(foreign_table, relation);
    END IF;
    -- Raises what is wrong with options that name columns.
    PERFORM sage_intacct.mirror_shape(foreign_table, relation, options, '{}');
    INSERT INTO sage_intacct.mirror (target, source, source_name, made, options)
    VALUES (relation, foreign_table, sage_intacct.mirror_qualified(foreign_table), made, options - 'columns');
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
    SELECT * INTO shape FROM sage_intacct.mirror_shape(foreign_table, foreign_table, '{}', '{}');
    SELECT w INTO missing FROM unnest(wanted) w WHERE w <> ALL (shape.columns);
    IF FOUND THEN
        RAISE 'option "columns" names the column "%", which % does not have', missing, foreign_table USING ERRCODE = 'undefined_column';
    END IF;
    wanted := CASE WHEN wanted IS NULL THEN shape.columns ELSE array_remove(wanted, shape.key) || shape.key END;
    EXECUTE format('CREATE TABLE %s (%s, PRIMARY KEY (%s))', target, (
        SELECT string_agg(format('%I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                   CASE WHEN a.attcollation <> t.typcollation THEN format(' COLLATE %s', a.attcollation::regcollation) END,
                   CASE WHEN a.attname = shape.key OR a.attname = options ->> 'distribute_by' THEN ' NOT NULL' END), ', ' ORDER BY a.attnum)
          FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = foreign_table AND a.attname = ANY (wanted) AND a.attnum > 0),
        concat_ws(', ', quote_ident(nullif(options ->> 'distribute_by', shape.key)), quote_ident(shape.key)));
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
    IF options ? 'distribute_by' THEN
        EXECUTE 'SELECT create_distributed_table($1, $2)' USING target, options ->> 'distribute_by';
    END IF;
END
$$;

-- Whether a table that is there can be a mirror: a table of one's own, ordinary or partitioned, whose columns have the types of
-- those of the foreign table, and in which a row key stands once.
CREATE FUNCTION sage_intacct.mirror_adopt(foreign_table regclass, target regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
    other name;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = target AND relkind IN ('r', 'p')) THEN
        RAISE '% is not a table', target USING ERRCODE = 'wrong_object_type';
    ELSIF NOT EXISTS (SELECT FROM pg_class WHERE oid = target AND pg_has_role(relowner, 'USAGE')) THEN
        RAISE 'must be owner of table %', target USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT c.name INTO other FROM sage_intacct.mirror_columns(foreign_table, target) c WHERE NOT c.same_type;
    IF FOUND THEN
        RAISE 'column "%" of % has another type than that of %', other, target, foreign_table USING ERRCODE = 'datatype_mismatch';
    END IF;
    SELECT * INTO shape FROM sage_intacct.mirror_shape(foreign_table, target, '{}', '{}');
    IF NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = shape.key
                    WHERE i.indrelid = target AND i.indisunique AND a.attnum = ANY (i.indkey)) THEN
        RAISE '% has no unique index with column "%"', target, shape.key USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A primary key of it, and of the partition key of a partitioned table, makes refreshes fast.';
    END IF;
END
$$;

-- The mirror with this target, as its owner sees it.
CREATE FUNCTION sage_intacct.mirror_of(target regclass)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
BEGIN
    SELECT * INTO m FROM sage_intacct.mirror r WHERE r.target = mirror_of.target;
    IF NOT FOUND THEN
        RAISE '% is not a mirror of yours', target USING ERRCODE = 'undefined_object',
            HINT = 'SELECT target, owner FROM sage_intacct.mirrors shows the mirrors that you may read.';
    ELSIF m.owner <> current_user::regrole THEN
        RAISE 'mirror % belongs to role %', target, m.owner USING ERRCODE = 'insufficient_privilege',
            HINT = format('It is refreshed with its owner''s user mapping: SET ROLE %s.', m.owner);
    END IF;
    RETURN m;
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

-- Begins a refresh that holds its mirror's lock: makes the list of tasks, or finds the one that was not finished. Returns the
-- number of the run.
CREATE FUNCTION sage_intacct.mirror_begin(mirror integer, "full" boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
    run bigint;
BEGIN
    UPDATE sage_intacct.mirror_run r SET outcome = 'lost', ended = clock_timestamp()
     WHERE r.mirror = mirror_begin.mirror AND r.outcome = 'running';
    -- A foreign table that was imported anew has another OID.
    UPDATE sage_intacct.mirror r SET source = to_regclass(r.source_name)
     WHERE r.id = mirror AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.source) AND to_regclass(r.source_name) IS NOT NULL;
    SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id = mirror;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.source) THEN
        RAISE 'the foreign table % of mirror % does not exist', m.source_name, m.target USING ERRCODE = 'undefined_table',
            HINT = 'IMPORT FOREIGN SCHEMA makes it again; CALL sage_intacct.drop_mirror(target) ends the mirror.';
    END IF;
    -- What was not finished is finished first, and then what has changed since is read.
    m.todo := CASE WHEN "full" THEN '[]' ELSE m.todo END || CASE
        WHEN m.todo @> '[{"do": "load"}]' AND NOT "full" THEN '[]'
        ELSE sage_intacct.mirror_plan(m, "full") END;
    UPDATE sage_intacct.mirror r SET todo = m.todo WHERE r.id = mirror;
    INSERT INTO sage_intacct.mirror_run AS r (mirror, task) VALUES (mirror, m.todo #>> '{0,do}') RETURNING r.id INTO run;
    PERFORM sage_intacct.mirror_prepare(m);
    RETURN run;
END
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
    UPDATE sage_intacct.mirror_run t
       SET ended = clock_timestamp(), outcome = mirror_end.outcome, error = mirror_end.error, requests = greatest(used, t.requests)
     WHERE t.id = run
    RETURNING * INTO r;
    SELECT * INTO m FROM sage_intacct.mirror t WHERE t.id = mirror;
    IF mirror_end.outcome = 'done' THEN
        UPDATE sage_intacct.mirror t SET refreshed_at = r.started WHERE t.id = mirror;
        PERFORM pg_notify('sage_intacct_mirror', jsonb_build_object('mirror', m.target::text, 'inserted', r.inserted,
            'updated', r.updated, 'deleted', r.deleted, 'watermark', m.watermark)::text);
    END IF;
    DELETE FROM sage_intacct.mirror_run t
     WHERE t.mirror = mirror_end.mirror AND t.ended < clock_timestamp() - sage_intacct.mirror_option(m.options, 'history')::interval;
END
$$;

-- Refreshes one mirror. An error does not leave the procedure, so that it can be recorded: `failure` tells it.
CREATE PROCEDURE sage_intacct.mirror_refresh(IN target regclass, IN "full" boolean, INOUT failure jsonb)
LANGUAGE plpgsql
AS $$
DECLARE
    m sage_intacct.mirror;
    run bigint;
    answer jsonb;
    budget bigint;
    base bigint;
    used bigint := 0;
    outcome text := 'done';
    looked boolean := false;
    state text;
    message text;
    details text;
    advice text;
BEGIN
    failure := NULL;
    m := sage_intacct.mirror_of(target);
    WHILE NOT sage_intacct.mirror_try_lock(m.id) LOOP
        IF sage_intacct.mirror_option(m.options, 'concurrent') = 'skip' THEN
            RAISE NOTICE 'mirror % is being refreshed: skipped', target;
            RETURN;
        END IF;
        COMMIT;
        PERFORM pg_catalog.pg_sleep(0.2);
    END LOOP;
    budget := sage_intacct.mirror_option(m.options, 'max_requests_per_run');

    BEGIN
        run := sage_intacct.mirror_begin(m.id, "full");
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, details = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
        outcome := 'failed';
    END;
    COMMIT;

    WHILE outcome = 'done' LOOP
        SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id = m.id;
        EXIT WHEN m.todo = '[]';
        BEGIN
            -- What this session has sent so far is not this run's.
            base := coalesce(base, sage_intacct.mirror_requests(m.source));
            used := greatest(used, sage_intacct.mirror_requests(m.source) - base);
            IF used >= budget THEN
                outcome := 'budget';
            ELSE
                answer := sage_intacct.mirror_fetch(m);
                used := greatest(used, sage_intacct.mirror_requests(m.source) - base);
            END IF;
        EXCEPTION WHEN OTHERS OR query_canceled THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, details = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
            outcome := 'failed';
        END;
        COMMIT;
        IF outcome = 'failed' AND state = '42703' AND NOT looked THEN
            -- A field has gone: on_drift says what that means.
            looked := true;
            outcome := 'done';
            message := NULL;
            UPDATE sage_intacct.mirror r SET todo = '[{"do": "drift"}]' || r.todo WHERE r.id = m.id;
            COMMIT;
        ELSIF outcome = 'done' THEN
            BEGIN
                PERFORM sage_intacct.mirror_apply(m, run, answer, used);
                used := greatest(used, sage_intacct.mirror_requests(m.source) - base);
            EXCEPTION WHEN OTHERS OR query_canceled THEN
                GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, details = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
                outcome := 'failed';
            END;
            COMMIT;
        END IF;
    END LOOP;

    PERFORM sage_intacct.mirror_end(m.id, run, outcome, nullif(pg_catalog.concat_ws(E'\n', message, nullif(details, '')), ''), used);
    PERFORM sage_intacct.mirror_unlock(m.id);
    COMMIT;
    IF outcome = 'budget' THEN
        RAISE WARNING 'mirror %: stopped after % requests (max_requests_per_run); the next refresh goes on', target, used;
    ELSIF outcome = 'failed' THEN
        failure := pg_catalog.jsonb_build_object('mirror', target::text, 'state', state, 'message', message, 'detail', details, 'hint', advice);
    END IF;
END
$$;

-- Raises what mirror_refresh tells.
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
    relation regclass;
    failure jsonb;
BEGIN
    IF NOT sage_intacct.mirror_may_commit() THEN
        PERFORM sage_intacct.mirror_refuse('create_mirror');
    END IF;
    relation := sage_intacct.mirror_register(foreign_table, target, options);
    COMMIT;
    IF sage_intacct.mirror_option(options, 'load')::boolean THEN
        CALL sage_intacct.mirror_refresh(relation, false, failure);
        IF failure IS NOT NULL THEN
            PERFORM sage_intacct.mirror_raise(failure);
        END IF;
    END IF;
END
$$;

CREATE PROCEDURE sage_intacct.refresh_mirror(target regclass, "full" boolean DEFAULT false)
LANGUAGE plpgsql
AS $$
DECLARE
    failure jsonb;
BEGIN
    IF NOT sage_intacct.mirror_may_commit() THEN
        PERFORM sage_intacct.mirror_refuse('refresh_mirror');
    END IF;
    CALL sage_intacct.mirror_refresh(target, "full", failure);
    IF failure IS NOT NULL THEN
        PERFORM sage_intacct.mirror_raise(failure);
    END IF;
END
$$;

CREATE PROCEDURE sage_intacct.refresh_mirrors(schema name)
LANGUAGE plpgsql
AS $$
DECLARE
    targets regclass[];
    target regclass;
    failure jsonb;
    failures text[];
BEGIN
    IF NOT sage_intacct.mirror_may_commit() THEN
        PERFORM sage_intacct.mirror_refuse('refresh_mirrors');
    END IF;
    targets := sage_intacct.mirror_targets(schema);
    FOREACH target IN ARRAY targets LOOP
        CALL sage_intacct.mirror_refresh(target, false, failure);
        IF failure ->> 'state' = '57014' THEN
            PERFORM sage_intacct.mirror_raise(failure);
        ELSIF failure IS NOT NULL THEN
            failures := failures || pg_catalog.format('%s: %s', target, failure ->> 'message');
        END IF;
    END LOOP;
    IF failures IS NOT NULL THEN
        RAISE '% of % mirrors could not be refreshed', pg_catalog.cardinality(failures), pg_catalog.cardinality(targets)
            USING ERRCODE = 'fdw_error', DETAIL = pg_catalog.array_to_string(failures, E'\n'),
                HINT = 'SELECT * FROM sage_intacct.mirror_runs tells more.';
    END IF;
END
$$;

-- One's own mirrors in a schema, in the order of their names, lines behind the rest.
CREATE FUNCTION sage_intacct.mirror_targets(schema name)
RETURNS regclass[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regnamespace(quote_ident(schema)) IS NULL THEN
        RAISE 'schema "%" does not exist', schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    RETURN (SELECT coalesce(array_agg(m.target ORDER BY c.relname), '{}')
              FROM sage_intacct.mirror m JOIN pg_class c ON c.oid = m.target JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = schema AND m.owner = current_user::regrole);
END
$$;

-- Ends a mirror. Its table is dropped if create_mirror made it, unless it is to be kept.
CREATE PROCEDURE sage_intacct.drop_mirror(target regclass, keep boolean DEFAULT false)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror := sage_intacct.mirror_of(target);
BEGIN
    IF NOT sage_intacct.mirror_try_lock(m.id) THEN
        RAISE 'mirror % is being refreshed', target USING ERRCODE = 'object_in_use';
    END IF;
    DELETE FROM sage_intacct.mirror WHERE id = m.id;
    IF m.made AND NOT keep THEN
        EXECUTE format('DROP TABLE %s', target);
    END IF;
    PERFORM sage_intacct.mirror_unlock(m.id);
END
$$;

-- Changes options of a mirror; a null takes an option back to its default.
CREATE PROCEDURE sage_intacct.alter_mirror(target regclass, options jsonb)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror := sage_intacct.mirror_of(target);
    changed jsonb := jsonb_strip_nulls(m.options || alter_mirror.options);
    fixed text := (SELECT min(key) FROM jsonb_object_keys(alter_mirror.options) AS key WHERE key IN ('columns', 'distribute_by', 'load'));
BEGIN
    IF fixed IS NOT NULL THEN
        RAISE 'option "%" is read when a mirror is created', fixed USING ERRCODE = 'fdw_invalid_option_name';
    END IF;
    PERFORM sage_intacct.mirror_check_options(changed);
    PERFORM sage_intacct.mirror_shape(m.source, m.target, changed, m.gone);
    UPDATE sage_intacct.mirror r SET options = changed WHERE r.id = m.id;
END
$$;
