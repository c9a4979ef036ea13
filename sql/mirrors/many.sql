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
