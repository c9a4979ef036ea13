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
