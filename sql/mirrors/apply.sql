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
