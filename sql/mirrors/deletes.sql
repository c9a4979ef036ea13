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
