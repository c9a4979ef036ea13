-- The options of a mirror, once: create_mirror and alter_mirror check them against this list, the refresh reads them
-- through mirror_option, the reference is made from it.

CREATE FUNCTION sage_intacct.mirror_options()
RETURNS TABLE (name text, kind text, default_value text, meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
VALUES
    ('columns', 'columns', NULL, 'Columns to mirror, separated by commas. Default: all. Read when the mirror is created.'),
    ('key', 'columns', NULL, 'Columns of the row identifier, separated by commas. Default: that of the row key; empty for none.'),
    ('period', 'column', NULL, 'Where rows have no identifier: the column by whose periods rows are replaced. Default: the known one; empty for none.'),
    ('period_length', 'length', 'month', 'Length of a period, where that column is a date: day, week, month, quarter or year.'),
    ('load', 'boolean', 'on', 'Whether create_mirror loads the rows; otherwise the first refresh does.'),
    ('distribute_by', 'column', NULL, 'Makes the target a distributed table of Citus, by this column.'),
    ('colocate_with', 'text', NULL, 'With `distribute_by`: the table beside whose shards the target''s are put, or `none`. Default: a table with a column of that type.'),
    ('shard_count', 'count', NULL, 'With `distribute_by`: how many shards. Default: `citus.shard_count`.'),
    ('company', 'column', NULL, 'Column that a constant fills, one for each company: mirrors of several companies share the table, whose key it is part of.'),
    ('reference', 'boolean', NULL, 'Makes the target a reference table of Citus, whole on each machine.'),
    ('outbox', 'text', NULL, 'Table that gets a row for each change after the first load, in the transaction of the change; made if it is missing.'),
    ('on_change', 'text', NULL, 'Function (regclass, jsonb) that is called with the changes of each page after the first load, in their transaction.'),
    ('overlap', 'interval', '10 minutes', 'How far behind the watermark a refresh begins to read, for changes that became visible late.'),
    ('late_window', 'interval', '2 hours', 'As long after a change it is read a second time, for changes that became visible later still.'),
    ('modified', 'column', NULL, 'Column with the time of the last change. Default: that of WHENMODIFIED.'),
    ('created', 'column', NULL, 'Column with the time of creation. Default: that of WHENCREATED or AUWHENCREATED, whichever is a point in time.'),
    ('header', 'text', NULL, 'Object whose changed rows the lines follow (ARINVOICE). Default: the known one; empty for none.'),
    ('link', 'column', NULL, 'Column of a line with the key of its header.'),
    ('audit_key', 'column', NULL, 'Column that AUDITHISTORY names deleted rows by. Default: the known one; empty for none.'),
    ('check', 'boolean', 'on', 'Whether number of rows and sum of keys are compared after each refresh. Two requests.'),
    ('max_delete', 'share', '10%, 100', 'A refresh that would delete more than this share of the rows and more than this number of them stops: `5%, 1000`, `20%`, `50`, or `off`.'),
    ('sweep_interval', 'interval', NULL, 'How often all keys are read. Default: one day where neither AUDITHISTORY nor the check finds deleted rows, else never.'),
    ('rescan', 'rescan', NULL, 'Rows changed within this period are read again, or `all`: for objects whose totals change without a new WHENMODIFIED.'),
    ('rescan_columns', 'columns', NULL, 'With `rescan` `all`: only these columns are read again.'),
    ('rescan_interval', 'interval', '1 day', 'How often.'),
    ('on_drift', 'drift', 'warn', 'What happens when the object has gained or lost fields: `add`, `warn` or `error`.'),
    ('drift_interval', 'interval', '1 day', 'How often the fields of the object are checked. Two requests.'),
    ('concurrent', 'concurrent', 'wait', 'What a refresh does while another one runs: `wait` or `skip`.'),
    ('max_requests_per_run', 'count', NULL, 'A refresh stops after about this many requests; the next one goes on.'),
    ('page_rows', 'count', '2000', 'Rows of one transaction of a refresh.'),
    ('slice_rows', 'count', '250000', 'Rows of one transaction of the first load, about.'),
    ('history', 'interval', '30 days', 'How long finished refreshes are remembered.')
$$;

-- The value of an option, or its default.
CREATE FUNCTION sage_intacct.mirror_option(options jsonb, option text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(options ->> option, (SELECT default_value FROM sage_intacct.mirror_options() WHERE name = option))
$$;

-- Raises if a period is negative, or so long that it cannot be added to a time.
CREATE FUNCTION sage_intacct.mirror_check_interval(period interval)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF period < interval '0' OR period > interval '100 years' THEN
        RAISE invalid_text_representation;
    END IF;
END
$$;

-- Raises what is wrong with options.
CREATE FUNCTION sage_intacct.mirror_check_options(options jsonb)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
    allowed text;
BEGIN
    IF jsonb_typeof(options) <> 'object' THEN
        RAISE 'the options of a mirror are a JSON object' USING ERRCODE = 'fdw_invalid_attribute_value',
            HINT = 'For example: options => ''{"on_drift": "add"}''';
    END IF;
    FOR given IN
        SELECT e.key, e.value, o.kind FROM jsonb_each_text(options) e LEFT JOIN sage_intacct.mirror_options() o ON o.name = e.key
    LOOP
        allowed := NULL;
        BEGIN
            CASE coalesce(given.kind, 'unknown')
            WHEN 'unknown' THEN
                RAISE 'unknown option "%" of a mirror', given.key USING ERRCODE = 'fdw_invalid_option_name',
                    HINT = format('Options are: %s.', (SELECT string_agg(name, ', ') FROM sage_intacct.mirror_options()));
            WHEN 'interval' THEN
                allowed := 'an interval that is not negative, like 10 minutes';
                PERFORM sage_intacct.mirror_check_interval(given.value::interval);
            WHEN 'rescan' THEN
                allowed := 'an interval or all';
                IF given.value <> 'all' THEN
                    PERFORM sage_intacct.mirror_check_interval(given.value::interval);
                END IF;
            WHEN 'share' THEN
                allowed := 'a share, a number of rows, or both, like 10%, 100; or off';
                PERFORM sage_intacct.mirror_max_delete(options);
            WHEN 'boolean' THEN
                allowed := 'on or off';
                PERFORM given.value::boolean;
            WHEN 'count' THEN
                allowed := 'a number from 1 to 1000000';
                IF given.value::bigint NOT BETWEEN 1 AND 1000000 THEN
                    RAISE invalid_text_representation;
                END IF;
            WHEN 'drift' THEN
                allowed := 'add, warn or error';
                IF given.value NOT IN ('add', 'warn', 'error') THEN
                    RAISE invalid_text_representation;
                END IF;
            WHEN 'length' THEN
                allowed := 'day, week, month, quarter or year';
                IF given.value NOT IN ('day', 'week', 'month', 'quarter', 'year') THEN
                    RAISE invalid_text_representation;
                END IF;
            WHEN 'concurrent' THEN
                allowed := 'wait or skip';
                IF given.value NOT IN ('wait', 'skip') THEN
                    RAISE invalid_text_representation;
                END IF;
            ELSE
                NULL;
            END CASE;
        EXCEPTION
            WHEN data_exception THEN
                RAISE 'invalid value "%" of option "%"', given.value, given.key
                    USING ERRCODE = 'fdw_invalid_attribute_value', HINT = format('It takes %s.', allowed);
        END;
    END LOOP;
    IF sage_intacct.mirror_column_list(options ->> 'rescan_columns') @> ARRAY[(options ->> 'distribute_by')::name] THEN
        RAISE 'option "rescan_columns" names the column "%", by which the target is distributed', options ->> 'distribute_by'
            USING ERRCODE = 'fdw_invalid_attribute_value', HINT = 'A row with another value there is deleted and reinserted, which takes all its columns.';
    END IF;
    IF options ? 'distribute_by' AND (options ->> 'reference')::boolean THEN
        RAISE 'options "distribute_by" and "reference" exclude each other' USING ERRCODE = 'fdw_invalid_attribute_value';
    ELSIF options ?| ARRAY['colocate_with', 'shard_count'] AND NOT options ? 'distribute_by' THEN
        RAISE 'option "%" needs option "distribute_by"', CASE WHEN options ? 'colocate_with' THEN 'colocate_with' ELSE 'shard_count' END
            USING ERRCODE = 'fdw_invalid_attribute_value';
    END IF;
    IF options ? 'rescan_columns' AND coalesce(options ->> 'rescan', '') <> 'all' THEN
        RAISE 'option "rescan_columns" needs option "rescan" with value "all"' USING ERRCODE = 'fdw_invalid_attribute_value';
    END IF;
END
$$;
