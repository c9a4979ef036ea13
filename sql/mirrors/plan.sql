-- What a refresh has to do: tasks in their order. A task is a JSON object; `do` names it:
--
--   drift                         compares the fields of the object with those known
--   load {after, width, top}      first load, slice by slice of the key
--   deletes                       takes rows out that AUDITHISTORY lists as deleted
--   changes {from, after, …}      rows created or changed since `from`, page by page in the order of the key
--   lines {from, after, …}        lines of the headers changed since
--   changed {from}                where nothing is unique: the periods of rows created or changed since
--   period {scope}                the rows of a scope (see periods.sql), compared with the target's as a multiset
--   periods {differs}             which periods differ in number of rows or in sums
--   passed {seen}                 the changes have been read: moves the watermark
--   all {after, columns, …}       every row, compared with the target; with `columns`, these alone
--   keys {after, upto}            every key in a range, compared with the target
--   check {round}                 compares number of rows and sum of keys
--   halve {after, upto, …}        looks for a difference of both in a range
--
-- `after` is the last key that is done. A task that is not finished stands at the head of the list again, changed;
-- the list is committed with each page. `began` (local clock) and `seen` (gateway's clock) make the watermark;
-- `ahead` is how far the gateway's clock was ahead when `from` was computed.

-- `reading`: every row is being read already.
CREATE FUNCTION sage_intacct.mirror_plan(m sage_intacct.mirror, "full" boolean, reading boolean DEFAULT false)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
    todo jsonb := '[]';
    at timestamptz := clock_timestamp();
    stamped boolean;
    changes jsonb;
    rescan text := sage_intacct.mirror_option(m.options, 'rescan');
    rescans boolean := rescan IS NOT NULL
        AND coalesce(m.rescan_at, m.loaded_at) + sage_intacct.mirror_option(m.options, 'rescan_interval')::interval <= at;
    checks boolean := sage_intacct.mirror_option(m.options, 'check')::boolean;
    sweep_due timestamptz := sage_intacct.mirror_next_sweep(m.options, m.blind, coalesce(m.sweep_at, m.loaded_at));
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    stamped := shape.header IS NOT NULL OR shape.modified IS NOT NULL AND (shape.keys <> '{}' OR shape.period IS NOT NULL);
    IF m.drift_at IS NULL OR m.drift_at + sage_intacct.mirror_option(m.options, 'drift_interval')::interval <= at THEN
        todo := todo || jsonb_build_object('do', 'drift');
    END IF;

    changes := jsonb_build_object('do', CASE WHEN shape.header IS NOT NULL THEN 'lines' WHEN shape.keys = '{}' THEN 'changed' ELSE 'changes' END);
    IF m.loaded_at IS NULL THEN
        todo := todo || jsonb_build_object('do', 'load');
        IF stamped THEN
            todo := todo || changes;
        END IF;
    ELSIF "full" OR NOT stamped OR m.watermark IS NULL AND NOT reading THEN
        todo := todo || jsonb_build_object('do', 'all');
    ELSE
        IF shape.audit_object IS NOT NULL THEN
            todo := todo || jsonb_build_object('do', 'deletes');
        END IF;
        -- The second pass and the rescan of a period are the first pass from further back.
        IF m.late_at + sage_intacct.mirror_option(m.options, 'late_window')::interval <= at THEN
            changes := changes || '{"late": true}';
        END IF;
        IF rescans AND rescan <> 'all' THEN
            changes := changes || jsonb_build_object('rescan', rescan);
        END IF;
        todo := todo || changes;
        IF rescans AND rescan = 'all' THEN
            todo := todo || jsonb_strip_nulls(jsonb_build_object('do', 'all', 'rescan', 'all',
                'columns', to_jsonb(sage_intacct.mirror_column_list(m.options ->> 'rescan_columns'))));
        END IF;
    END IF;

    -- Reading all rows finds all keys too.
    IF sweep_due <= at AND NOT todo @> '[{"do": "all"}]' AND NOT todo @> '[{"do": "load"}]' THEN
        todo := todo || jsonb_build_object('do', 'keys');
    END IF;
    -- Rows that go from one value to another leave the sums of all rows as they are: a few values are compared each time.
    IF checks AND shape.period IS NOT NULL AND NOT sage_intacct.mirror_has_calendar(shape) AND m.loaded_at IS NOT NULL AND NOT todo @> '[{"do": "all"}]' THEN
        todo := todo || '{"do": "periods"}'::jsonb;
    END IF;
    IF checks THEN
        todo := todo || jsonb_build_object('do', 'check', 'round', 1);
    END IF;
    RETURN todo;
END
$$;

-- The tasks of a refresh that begins now: what an earlier one left, and what it would do by itself, each once. Pages that are
-- read stay read; what had not begun, and a search for a difference, which the check restarts, is not queued twice. Where
-- runs end after so many requests, a list is worked off before the next one is made, or no run would ever come to its end.
CREATE FUNCTION sage_intacct.mirror_agenda(m sage_intacct.mirror, "full" boolean)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept jsonb;
    plan jsonb;
BEGIN
    IF "full" THEN
        plan := sage_intacct.mirror_plan(m, true);
        -- What was accepted stays accepted.
        RETURN CASE WHEN m.todo @> '[{"accept": true}]'
            THEN (SELECT jsonb_agg(task || '{"accept": true}' ORDER BY number) FROM jsonb_array_elements(plan) WITH ORDINALITY AS p (task, number))
            ELSE plan END;
    ELSIF m.todo = '[]' THEN
        RETURN sage_intacct.mirror_plan(m, false);
    ELSIF m.loaded_at IS NULL AND m.todo @> '[{"do": "load"}]' OR sage_intacct.mirror_option(m.options, 'max_requests_per_run') IS NOT NULL THEN
        RETURN m.todo;
    END IF;
    SELECT coalesce(jsonb_agg(task ORDER BY number), '[]') INTO kept
      FROM (SELECT DISTINCT ON (task) task, number
              FROM jsonb_array_elements(m.todo) WITH ORDINALITY AS t (task, number)
             WHERE task ->> 'do' NOT IN ('drift', 'deletes', 'check', 'halve', 'periods', 'passed') AND NOT task ? 'part'
               -- Periods that changed or differ are found again; those of a pass over all of them go on.
               AND (task ->> 'do' <> 'period' OR task ? 'pass')
             ORDER BY task, number) t;
    plan := sage_intacct.mirror_plan(m, false, EXISTS (
        SELECT FROM jsonb_array_elements(kept) AS task WHERE task ->> 'do' = 'all' AND NOT task ? 'columns' OR task ->> 'do' = 'period'));
    SELECT coalesce(jsonb_agg(task ORDER BY number), '[]') INTO kept
      FROM jsonb_array_elements(kept) WITH ORDINALITY AS t (task, number)
     WHERE task ? 'began' AND (task ->> 'do' <> 'period' OR NOT plan @> '[{"do": "all"}]')
        OR NOT plan @> jsonb_build_array(jsonb_build_object('do', task -> 'do'))
        OR task ->> 'do' = 'all' AND NOT EXISTS (
               SELECT FROM jsonb_array_elements(plan) AS p WHERE p ->> 'do' = 'all' AND NOT p ? 'columns');
    RETURN kept || plan;
END
$$;

-- Names separated by commas.
CREATE FUNCTION sage_intacct.mirror_column_list(names text)
RETURNS name[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT array_agg(trim(BOTH FROM part)::name) FROM unnest(string_to_array(names, ',')) part
$$;

-- Where a task begins to read: behind the watermark by the overlap, and further for a second pass or a rescan.
CREATE FUNCTION sage_intacct.mirror_from(m sage_intacct.mirror, task jsonb)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT date_trunc('second', least(
    m.watermark - o.back,
    CASE WHEN task ? 'late' THEN m.late_from - o.back END,
    CASE WHEN task ? 'rescan' THEN m.watermark - (task ->> 'rescan')::interval END))
  FROM (SELECT sage_intacct.mirror_overlap(m) AS back) o
$$;
