-- Changes told to others: option `outbox`, a table that gets a row for each change, and option `on_change`, a function that is
-- called with the changes of each page. Both in the transaction that makes the changes, on every kind of target: a table of Citus
-- runs no triggers. What changes is found before it is written, from the rows of the target that the page concerns.

-- The statements that tell others of the changes that an answer makes. Rows of the target are read by a plain condition into a
-- temporary table: Citus correlates no table of its own with a temporary one.
CREATE FUNCTION sage_intacct.mirror_find_events(m sage_intacct.mirror, answer jsonb)
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
SET client_min_messages = warning
AS $$
DECLARE
    -- More keys than these cost more as a list than all rows do.
    most constant bigint := 20000;
    shape record;
    target text := sage_intacct.mirror_qualified(m.target);
    whole boolean := jsonb_typeof(answer -> 'put') <> 'array';
    removes boolean := coalesce(answer #>> '{remove,by}' = 'gone', false);
    subset name[];
    columns text;
    names text;
    same text;
    key text;
    differs text;
BEGIN
    IF NOT m.options ?| ARRAY['outbox', 'on_change'] OR answer ? 'load' OR NOT (answer ? 'put' OR removes) THEN
        RETURN '{}';
    END IF;
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    -- What was there when the mirror was created, or is read as its first load, is no change.
    IF m.loaded_at IS NULL OR shape.keys = '{}' THEN
        RETURN '{}';
    END IF;
    names := sage_intacct.mirror_names(shape.keys);
    columns := sage_intacct.mirror_names(shape.columns);
    same := sage_intacct.mirror_matches(m.target, shape.keys);
    subset := CASE WHEN whole THEN shape.columns
        ELSE (SELECT array_agg(value::name) FROM jsonb_array_elements_text(answer -> 'put')) END;
    DROP TABLE IF EXISTS pg_temp.sage_intacct_concerned, pg_temp.sage_intacct_before, pg_temp.sage_intacct_after, pg_temp.sage_intacct_events;
    EXECUTE format('CREATE TEMP TABLE sage_intacct_concerned AS SELECT %1$s FROM pg_temp.sage_intacct_page', names);
    EXECUTE format('CREATE TEMP TABLE sage_intacct_before AS SELECT %1$s FROM pg_temp.sage_intacct_page WITH NO DATA', columns);
    IF removes THEN
        EXECUTE format('INSERT INTO pg_temp.sage_intacct_concerned SELECT %1$s FROM pg_temp.sage_intacct_gone', names);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_temp.sage_intacct_concerned) THEN
        RETURN '{}';
    END IF;
    EXECUTE format('INSERT INTO pg_temp.sage_intacct_before (%1$s) SELECT %1$s FROM %2$s t WHERE %3$s', columns, sage_intacct.mirror_rows(m),
        CASE WHEN (SELECT count(*) FROM pg_temp.sage_intacct_concerned) > most THEN 'true'
             ELSE format('%I = ANY (%s)', shape.keys[1], sage_intacct.mirror_key_list('pg_temp.sage_intacct_concerned', shape.keys[1])) END);
    CREATE TEMP TABLE sage_intacct_events (op text, key jsonb, old jsonb, new jsonb);
    key := format('jsonb_build_object(%s)', (SELECT string_agg(format('%L, s.%I', k, k), ', ') FROM unnest(shape.keys) k));
    IF removes THEN
        EXECUTE format('INSERT INTO pg_temp.sage_intacct_events SELECT ''delete'', %1$s, to_jsonb(t), NULL
                          FROM pg_temp.sage_intacct_before t JOIN pg_temp.sage_intacct_gone s ON %2$s', key, same);
        EXECUTE format('DELETE FROM pg_temp.sage_intacct_before t USING pg_temp.sage_intacct_gone s WHERE %s', same);
    END IF;
    IF answer ? 'put' THEN
        differs := sage_intacct.mirror_differs(m.source, m.target, ARRAY(SELECT c FROM unnest(subset) c WHERE c <> ALL (shape.keys)));
        IF differs IS NOT NULL THEN
            -- What was not read of a row stays as it is.
            EXECUTE format('INSERT INTO pg_temp.sage_intacct_events SELECT ''update'', %1$s, to_jsonb(t), to_jsonb(t) || jsonb_build_object(%2$s)
                              FROM pg_temp.sage_intacct_before t JOIN pg_temp.sage_intacct_page s ON %3$s WHERE %4$s', key,
                           -- A function takes 100 arguments.
                           (SELECT string_agg(part, ') || jsonb_build_object(' ORDER BY n) FROM (
                                SELECT (n - 1) / 50 AS n, string_agg(format('%L, s.%I', c, c), ', ') AS part
                                  FROM unnest(subset) WITH ORDINALITY AS u (c, n) GROUP BY 1) p), same, differs);
        END IF;
        IF whole THEN
            EXECUTE format('INSERT INTO pg_temp.sage_intacct_events SELECT ''insert'', %1$s, NULL, to_jsonb(s) FROM pg_temp.sage_intacct_page s
                             WHERE NOT EXISTS (SELECT FROM pg_temp.sage_intacct_before t WHERE %2$s)', key, same);
        END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_temp.sage_intacct_events) THEN
        RETURN '{}';
    END IF;
    PERFORM sage_intacct.mirror_check_events(m.target, m.options);
    RETURN array_remove(ARRAY[
        CASE WHEN m.options ? 'outbox' THEN
            format('INSERT INTO %s (mirror, op, key, old, new) SELECT %L, op, key, old, new FROM pg_temp.sage_intacct_events',
                   sage_intacct.mirror_outbox(m.target, m.options), target) END,
        CASE WHEN m.options ? 'on_change' THEN
            format('SELECT %s(%L::pg_catalog.regclass, (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(e)) FROM pg_temp.sage_intacct_events e))',
                   sage_intacct.mirror_on_change(m.target, m.options)::regproc, target) END], NULL);
END
$$;

-- A name of an option, in the target's schema where it has none.
CREATE FUNCTION sage_intacct.mirror_beside(target regclass, name text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts name[] := parse_ident(name);
BEGIN
    IF name IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN CASE WHEN cardinality(parts) > 1 THEN format('%I.%I', parts[cardinality(parts) - 1], parts[cardinality(parts)])
        ELSE format('%I.%I', (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target), parts[1]) END;
END
$$;

-- The table that option `outbox` names; null without the option.
CREATE FUNCTION sage_intacct.mirror_outbox(target regclass, options jsonb)
RETURNS regclass
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN to_regclass(sage_intacct.mirror_beside(target, options ->> 'outbox'));
END
$$;

-- The function that option `on_change` names; null without the option.
CREATE FUNCTION sage_intacct.mirror_on_change(target regclass, options jsonb)
RETURNS regprocedure
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN to_regprocedure(sage_intacct.mirror_beside(target, options ->> 'on_change') || '(regclass, jsonb)');
END
$$;

-- Raises if changes cannot be told as the options say: whoever refreshes runs the function and the outbox' triggers.
CREATE FUNCTION sage_intacct.mirror_check_events(target regclass, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outbox regclass := sage_intacct.mirror_outbox(target, options);
    called regprocedure := sage_intacct.mirror_on_change(target, options);
    missing text;
BEGIN
    IF options ? 'outbox' THEN
        IF outbox IS NULL THEN
            RAISE 'the outbox % does not exist', sage_intacct.mirror_beside(target, options ->> 'outbox') USING ERRCODE = 'undefined_table',
                HINT = 'A mirror that is created or altered with the option "outbox" makes it.';
        END IF;
        PERFORM sage_intacct.mirror_check_target(outbox);
        SELECT w INTO missing FROM unnest(ARRAY['mirror', 'op', 'key', 'old', 'new']) w
         WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = outbox AND a.attname = w AND a.attnum > 0 AND NOT a.attisdropped);
        IF FOUND THEN
            RAISE 'the outbox % has no column "%"', outbox, missing USING ERRCODE = 'undefined_column',
                HINT = 'It has columns mirror and op of type text, key, old and new of type jsonb, and others as you like.';
        END IF;
    END IF;
    IF options ? 'on_change' THEN
        IF called IS NULL THEN
            RAISE 'function %(regclass, jsonb) of option "on_change" does not exist', sage_intacct.mirror_beside(target, options ->> 'on_change')
                USING ERRCODE = 'undefined_function',
                    HINT = 'It is called with the mirror and an array of changes, objects with op, key, old and new.';
        ELSIF EXISTS (SELECT FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner
                       WHERE p.oid = called AND NOT o.rolsuper AND p.proowner <> quote_ident(current_user)::regrole) THEN
            RAISE 'function % of option "on_change" belongs to another role', called USING ERRCODE = 'insufficient_privilege',
                DETAIL = format('It would run with the rights of role %I, which refreshes the mirror.', current_user);
        END IF;
    END IF;
END
$$;

-- Makes the outbox, unless it is there, and checks what is to be told of changes.
CREATE FUNCTION sage_intacct.mirror_make_events(target regclass, shape record, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT options ?| ARRAY['outbox', 'on_change'] THEN
        RETURN;
    END IF;
    IF shape.keys = '{}' THEN
        RAISE 'changes of % cannot be told: its rows have no identifier', target USING ERRCODE = 'feature_not_supported',
            HINT = 'A trigger on the target sees the rows that are deleted and inserted.';
    END IF;
    IF options ? 'outbox' AND sage_intacct.mirror_outbox(target, options) IS NULL THEN
        EXECUTE format('CREATE TABLE %s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, happened timestamptz NOT NULL DEFAULT now(),
                                         mirror text NOT NULL, op text NOT NULL, key jsonb NOT NULL, old jsonb, new jsonb)',
                       sage_intacct.mirror_beside(target, options ->> 'outbox'));
    END IF;
    PERFORM sage_intacct.mirror_check_events(target, options);
END
$$;
