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
