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
