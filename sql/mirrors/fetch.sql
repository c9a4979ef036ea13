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
