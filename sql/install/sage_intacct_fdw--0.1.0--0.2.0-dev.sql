-- ALTER EXTENSION sage_intacct_fdw UPDATE from 0.1.0.
\echo Type "ALTER EXTENSION sage_intacct_fdw UPDATE" to run this script. \quit

-- A session, or a server that preloads it, may still have the library of before.
DO $$
BEGIN
    IF pg_catalog.string_to_array(pg_catalog.split_part(sage_intacct.version(), '-', 1), '.')::integer[] OPERATOR(pg_catalog.<) '{0,2,0}' THEN
        RAISE WARNING 'the loaded library of sage_intacct_fdw is of version %, older than this update', sage_intacct.version()
            USING HINT := 'Reconnect to load the library that is installed now; restart the server if shared_preload_libraries names it.';
    END IF;
END
$$;

CREATE PROCEDURE mirror_commit(OUT failed boolean, OUT state text, OUT message text, OUT details text, OUT advice text)
LANGUAGE c AS 'MODULE_PATHNAME', 'mirror_commit_wrapper';

DROP FUNCTION sage_intacct.mirror_analyze(regclass);

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

-- A slice of the first load: its rows went from the gateway into the target as they came, from several pages at once. Returns
-- what mirror_fetch would.
CREATE OR REPLACE FUNCTION sage_intacct.mirror_loaded(m sage_intacct.mirror, task jsonb, read bigint)
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

CREATE OR REPLACE PROCEDURE sage_intacct.mirror_refresh(IN target regclass, IN "full" boolean, INOUT failure jsonb, IN accept boolean DEFAULT false, IN company text DEFAULT NULL)
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

CREATE OR REPLACE PROCEDURE sage_intacct.create_mirrors(schema name, "into" name, options jsonb DEFAULT '{}')
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
