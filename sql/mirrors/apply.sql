-- One step of a refresh, the target's half: what mirror_fetch has read goes into the target and the registry, in one transaction.
-- Plain SQL, so that the target may be partitioned or distributed.
--
-- Triggers of the target run in here and see the caller's search_path: these functions do not set one.

CREATE FUNCTION sage_intacct.mirror_apply(m sage_intacct.mirror, run bigint, answer jsonb, used bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    shape record;
    lost bigint := 0;
    changed bigint := 0;
    gained bigint := 0;
    moved bigint := 0;
    whole boolean;
    distributed name := m.options ->> 'distribute_by';
    subset name[];
    changing name[];
    key text;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    key := pg_catalog.quote_ident(shape.key);
    IF answer ? 'say' THEN
        RAISE WARNING '%', answer ->> 'say';
    END IF;
    IF answer ? 'load' THEN
        answer := sage_intacct.mirror_apply_load(m, shape, answer -> 'load');
        gained := answer ->> 'read';
    END IF;

    -- A row that is gone may stand in the way of a new one with the same name.
    IF answer ? 'remove' THEN
        EXECUTE CASE answer #>> '{remove,by}'
            WHEN 'range' THEN pg_catalog.format('DELETE FROM %2$s t WHERE %3$s AND NOT EXISTS (SELECT FROM pg_temp.sage_intacct_page s WHERE s.%1$s = t.%1$s)',
                key, m.target, sage_intacct.mirror_range(shape.key, answer -> 'remove'))
            WHEN 'keys' THEN pg_catalog.format('DELETE FROM %2$s t WHERE %3$s AND NOT EXISTS (SELECT FROM pg_temp.sage_intacct_keys s WHERE s.k = t.%1$s)',
                key, m.target, sage_intacct.mirror_range(shape.key, answer -> 'remove'))
            WHEN 'lines' THEN pg_catalog.format('DELETE FROM %2$s t WHERE t.%3$I IN (SELECT k FROM pg_temp.sage_intacct_keys)
                                        AND NOT EXISTS (SELECT FROM pg_temp.sage_intacct_page s WHERE s.%1$s = t.%1$s)',
                key, m.target, shape.link)
            WHEN 'listed' THEN pg_catalog.format('DELETE FROM %2$s t WHERE t.%1$s IN (SELECT k FROM pg_temp.sage_intacct_keys)', key, m.target)
        END;
        GET DIAGNOSTICS lost = ROW_COUNT;
    END IF;

    IF answer ? 'put' THEN
        whole := pg_catalog.jsonb_typeof(answer -> 'put') <> 'array';
        subset := CASE WHEN whole THEN shape.columns
            ELSE (SELECT pg_catalog.array_agg(value::pg_catalog.name) FROM pg_catalog.jsonb_array_elements_text(answer -> 'put')) END;
        -- Citus does not let the distribution column be assigned: a row that has another value there is put anew.
        IF whole AND distributed <> shape.key THEN
            EXECUTE pg_catalog.format('DELETE FROM %2$s t USING pg_temp.sage_intacct_page s
                             WHERE t.%1$s = s.%1$s AND t.%3$I IS DISTINCT FROM s.%3$I',
                           key, m.target, distributed);
            GET DIAGNOSTICS moved = ROW_COUNT;
        END IF;
        changing := pg_catalog.array_remove(pg_catalog.array_remove(subset, shape.key), distributed);
        IF changing <> '{}' THEN
            EXECUTE pg_catalog.format('UPDATE %2$s t SET (%3$s) = ROW(%4$s) FROM pg_temp.sage_intacct_page s
                             WHERE t.%1$s = s.%1$s AND ROW(%5$s) IS DISTINCT FROM ROW(%4$s)',
                           key, m.target, sage_intacct.mirror_names(changing), sage_intacct.mirror_names(changing, 's.'),
                           sage_intacct.mirror_names(changing, 't.'));
            GET DIAGNOSTICS changed = ROW_COUNT;
        END IF;
        IF whole THEN
            EXECUTE pg_catalog.format('INSERT INTO %2$s (%3$s) SELECT %4$s FROM pg_temp.sage_intacct_page s
                             WHERE NOT EXISTS (SELECT FROM %2$s t WHERE t.%1$s = s.%1$s)',
                           key, m.target, sage_intacct.mirror_names(shape.columns), sage_intacct.mirror_names(shape.columns, 's.'));
            GET DIAGNOSTICS gained = ROW_COUNT;
            gained := gained - moved;
            changed := changed + moved;
        END IF;
    END IF;

    m := pg_catalog.jsonb_populate_record(m, coalesce(answer -> 'set', '{}'));
    m.todo := coalesce(answer -> 'next', '[]') || (m.todo - 0);
    m.rows := m.rows + CASE WHEN coalesce(answer -> 'set', '{}') ? 'rows' THEN 0 ELSE gained - lost END;
    IF answer -> 'set' ? 'drift_at' THEN
        IF answer ? 'add' THEN
            m.todo := sage_intacct.mirror_add_columns(m, answer -> 'add') || m.todo;
        END IF;
        PERFORM sage_intacct.mirror_prepare(m);
    END IF;
    UPDATE sage_intacct.mirror r
       SET todo = m.todo, fields = m.fields, gone = m.gone, watermark = m.watermark, late_from = m.late_from,
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

-- A slice of the first load: the rows go from the gateway into the target as they come, from several pages at once. Returns what
-- mirror_fetch would.
CREATE FUNCTION sage_intacct.mirror_apply_load(m sage_intacct.mirror, shape record, task jsonb)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    slice bigint := sage_intacct.mirror_option(m.options, 'slice_rows')::bigint;
    width bigint := task ->> 'width';
    upto bigint := coalesce((task ->> 'after')::bigint, 0) + width;
    last boolean := upto >= (task ->> 'top')::bigint;
    read bigint;
BEGIN
    EXECUTE pg_catalog.format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %3$s WHERE %4$s', m.target,
                   sage_intacct.mirror_names(shape.columns), m.source,
                   sage_intacct.mirror_range(shape.key, task || CASE WHEN last THEN '{}' ELSE pg_catalog.jsonb_build_object('upto', upto) END));
    GET DIAGNOSTICS read = ROW_COUNT;
    IF NOT last THEN
        RETURN pg_catalog.jsonb_build_object('read', read, 'next', pg_catalog.jsonb_build_array(task || pg_catalog.jsonb_build_object('after', upto,
            'width', greatest(1, width / 4, least(width * 4, width * slice / greatest(read, 1))))));
    END IF;
    EXECUTE pg_catalog.format('ANALYZE %s', m.target);
    task := task || pg_catalog.jsonb_build_object('seen', greatest((task ->> 'seen')::timestamptz,
        sage_intacct.mirror_newest(sage_intacct.mirror_qualified(m.target), shape.modified, shape.created)));
    RETURN pg_catalog.jsonb_build_object('read', read, 'set', sage_intacct.mirror_passed(m, task)
        || pg_catalog.jsonb_build_object('loaded_at', pg_catalog.clock_timestamp(), 'sweep_at', task -> 'began'));
END
$$;

-- New fields of the object become columns of the foreign table and of the target. Returns the tasks that fill them.
CREATE FUNCTION sage_intacct.mirror_add_columns(m sage_intacct.mirror, fields jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    field record;
    added name[];
    name name;
    type text;
BEGIN
    FOR field IN SELECT value ->> 'field' AS field, value ->> 'type' AS type FROM jsonb_array_elements(fields) LOOP
        name := replace(lower(field.field), '.', '_');
        type := CASE field.type
            WHEN 'INTEGER' THEN 'bigint'
            WHEN 'DECIMAL' THEN 'numeric' WHEN 'CURRENCY' THEN 'numeric' WHEN 'PERCENT' THEN 'numeric'
            WHEN 'BOOLEAN' THEN 'boolean' WHEN 'DATE' THEN 'date' WHEN 'TIMESTAMP' THEN 'timestamptz'
            ELSE 'text' END;
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = m.source AND attname = name AND NOT attisdropped) THEN
                EXECUTE format('ALTER FOREIGN TABLE %s ADD COLUMN %I %s OPTIONS (field %L, type %L)', m.source, name, type, field.field, field.type);
            END IF;
            IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = m.target AND attname = name AND NOT attisdropped) THEN
                EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', m.target, name, type);
            END IF;
            -- Not every field that is described may be queried.
            EXECUTE format('SELECT %I FROM %s LIMIT 1', name, m.source);
            added := added || name;
        EXCEPTION WHEN undefined_column OR fdw_error THEN
            RAISE WARNING 'no column was made for field %: %', field.field, SQLERRM;
        END;
    END LOOP;
    RETURN CASE WHEN added IS NULL OR m.loaded_at IS NULL THEN '[]' ELSE
        jsonb_build_array(jsonb_build_object('do', 'all', 'columns', to_jsonb(added))) END;
END
$$;
