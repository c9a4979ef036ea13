-- Targets that Citus spreads over machines. What such a table refuses, and what it sends to every machine, decides how it is
-- refreshed: its rows that a page touches are pulled into a temporary table, compared here, and only those that differ are
-- written, by lists of values and by INSERT … ON CONFLICT. No statement reads the target and a temporary table together.
-- What a table is, the catalog of Citus says, not the option: a table that is adopted may be distributed already.
-- Workers are sent statements as text, and do not know the session's style of dates.

-- How a table is stored: `local`, `distributed` by a column, `reference`, or `other`, what Citus knows beside these.
CREATE FUNCTION sage_intacct.mirror_distribution(target regclass, OUT kind text, OUT distribution_column name)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT CASE WHEN p.partmethod = ''h'' THEN ''distributed'' WHEN p.partmethod = ''n'' AND p.repmodel = ''t'' THEN ''reference'' ELSE ''other'' END,
                        CASE WHEN p.partmethod <> ''n'' THEN pg_catalog.column_to_column_name(p.logicalrelid, p.partkey) END
                   FROM pg_catalog.pg_dist_partition p WHERE p.logicalrelid = $1'
           INTO kind, distribution_column USING target;
    END IF;
    kind := coalesce(kind, 'local');
END
$$;

-- Raises if a table is not distributed as the options say, or in a way that a mirror cannot be.
CREATE FUNCTION sage_intacct.mirror_check_distribution(target regclass, options jsonb, keys name[], columns name[])
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stored record;
    wanted text := CASE WHEN options ? 'distribute_by' THEN 'distributed' WHEN (options ->> 'reference')::boolean THEN 'reference' END;
BEGIN
    SELECT * INTO stored FROM sage_intacct.mirror_distribution(target) d;
    IF stored.kind = 'other' THEN
        RAISE 'table % is of a kind of Citus that cannot be a mirror', target USING ERRCODE = 'feature_not_supported',
            HINT = 'Tables that are distributed by the hash of a column, reference tables and local tables can.';
    ELSIF wanted <> stored.kind OR options ->> 'distribute_by' <> stored.distribution_column THEN
        RAISE 'table % is not what option "%" says', target, CASE wanted WHEN 'reference' THEN 'reference' ELSE 'distribute_by' END
            USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = CASE stored.kind WHEN 'distributed' THEN format('It is distributed by column "%s".', stored.distribution_column)
                                      WHEN 'reference' THEN 'It is a reference table.' ELSE 'It is a local table.' END,
            HINT = CASE WHEN stored.kind <> 'local' THEN 'Leave the option out: how the table is distributed is known.'
                        WHEN wanted = 'reference' THEN format('SELECT create_reference_table(%L), or leave the option out.', target)
                        ELSE format('SELECT create_distributed_table(%L, %L), or leave the option out.', target, options ->> 'distribute_by') END;
    ELSIF stored.kind <> 'local' AND keys = '{}' THEN
        RAISE '% cannot be distributed: nothing tells its rows apart', target USING ERRCODE = 'feature_not_supported';
    ELSIF stored.distribution_column <> ALL (columns) THEN
        RAISE 'the distribution column "%" of % is not mirrored', stored.distribution_column, target USING ERRCODE = 'feature_not_supported',
            HINT = 'Distribute it by a column that the foreign table fills.';
    END IF;
    IF stored.kind <> 'local' THEN
        PERFORM sage_intacct.mirror_conflict_columns(target, keys, columns);
    END IF;
END
$$;

-- The columns of the unique index by which a distributed target is written: the row key, and what Citus demands beside it.
CREATE FUNCTION sage_intacct.mirror_conflict_columns(target regclass, keys name[], columns name[])
RETURNS name[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_columns name[];
BEGIN
    SELECT u.names INTO found_columns
      FROM pg_index i
     CROSS JOIN LATERAL (SELECT array_agg(a.attname ORDER BY k.place) AS names
                           FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
                           LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
                          WHERE k.place <= i.indnkeyatts) u
     WHERE i.indrelid = target AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
       AND u.names @> keys AND u.names <@ columns
     ORDER BY cardinality(u.names), i.indexrelid LIMIT 1;
    IF NOT FOUND THEN
        RAISE '% has no unique index with column "%" by which it can be written', target, array_to_string(keys, '", "')
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A primary key of the row key and the distribution column, both of them mirrored, can be.';
    END IF;
    RETURN found_columns;
END
$$;

-- Makes a table that create_mirror has just made a distributed or a reference table.
CREATE FUNCTION sage_intacct.mirror_distribute(target regclass, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF options ? 'distribute_by' THEN
        EXECUTE format('SELECT pg_catalog.create_distributed_table($1, $2%s%s)',
                       ', colocate_with => ' || quote_literal(options ->> 'colocate_with'),
                       ', shard_count => ' || (options ->> 'shard_count')::integer)
          USING target, options ->> 'distribute_by';
    ELSIF (options ->> 'reference')::boolean THEN
        EXECUTE 'SELECT pg_catalog.create_reference_table($1)' USING target;
    END IF;
END
$$;

-- Raises if the distribution column may be empty: Citus refuses such a row (22004), and no refresh would ever get past it.
CREATE FUNCTION sage_intacct.mirror_check_distribution_column(source regclass, shape record, "column" name)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    filled name[] := ARRAY(
        SELECT a.attname FROM pg_attribute a
         WHERE a.attrelid = source AND a.attname = ANY (shape.columns) AND NOT a.attisdropped
           -- A line may have no header: its link is a column like others.
           AND (a.attnotnull OR a.attname = ANY (shape.keys)
                OR EXISTS (SELECT FROM pg_options_to_table(a.attfdwoptions) WHERE option_name = 'constant'))
         ORDER BY a.attnum);
BEGIN
    IF "column" <> ALL (shape.columns) THEN
        PERFORM sage_intacct.mirror_column_option(shape.columns, jsonb_build_object('distribute_by', "column"), 'distribute_by');
    ELSIF "column" <> ALL (filled) THEN
        RAISE 'column "%" of % may be null: it cannot distribute a mirror', "column", source USING ERRCODE = 'not_null_violation',
            DETAIL = format('Columns that would do: %s.', array_to_string(filled, ', ')),
            HINT = format('If it is never null at Sage Intacct, declare it: ALTER FOREIGN TABLE %s ALTER COLUMN %I SET NOT NULL.', source, "column");
    END IF;
END
$$;

-- A relation to read columns of the target from in one statement with temporary tables: the target itself, or, of a table that
-- Citus manages, a copy of the rows for which the condition (over `t`, without other tables) holds.
CREATE FUNCTION sage_intacct.mirror_near(m sage_intacct.mirror, columns name[], condition text DEFAULT 'true')
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
SET client_min_messages = warning
AS $$
BEGIN
    IF (SELECT kind FROM sage_intacct.mirror_distribution(m.target)) = 'local' THEN
        RETURN sage_intacct.mirror_rows(m);
    END IF;
    DROP TABLE IF EXISTS pg_temp.sage_intacct_near;
    EXECUTE format('CREATE TEMP TABLE sage_intacct_near AS SELECT %s FROM %s t WHERE %s AND %s', sage_intacct.mirror_names(columns, 't.'), m.target,
                   sage_intacct.mirror_own_rows(m, 't.'), condition);
    RETURN 'pg_temp.sage_intacct_near';
END
$$;

-- A condition that names the keys in a temporary table by their values; with `exactly`, rows whose keys an operator calls equal
-- although their bytes differ are none of them.
CREATE FUNCTION sage_intacct.mirror_listed(target regclass, relation text, keys name[], exactly boolean)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
DECLARE
    result text;
BEGIN
    SELECT string_agg(format('t.%I%s OPERATOR(pg_catalog.=) ANY (%s)', k.name,
               CASE WHEN exactly AND NOT c.collisdeterministic THEN ' COLLATE pg_catalog."C"' END,
               sage_intacct.mirror_key_list(relation, k.name)), ' AND ' ORDER BY k.number) INTO result
      FROM unnest(keys) WITH ORDINALITY AS k (name, number)
      JOIN pg_attribute a ON a.attrelid = target AND a.attname = k.name AND NOT a.attisdropped
      LEFT JOIN pg_collation c ON c.oid = a.attcollation;
    IF exactly AND cardinality(keys) > 1 THEN
        -- Each value may stand in the list with another row's: the whole key decides.
        EXECUTE format('SELECT %L || '' AND ('' || coalesce(string_agg(concat(''('', concat_ws('' AND '', %s), '')''), '' OR ''), ''false'') || '')'' FROM %s', result,
                       (SELECT string_agg(format('%L || quote_literal(%I) || %L', format('t.%I', k.name)
                                   || CASE WHEN c.collisdeterministic = false THEN ' COLLATE pg_catalog."C"' ELSE '' END || ' OPERATOR(pg_catalog.=) ', k.name,
                                   '::' || sage_intacct.mirror_type(a.atttypid)), ', ' ORDER BY k.number)
                          FROM unnest(keys) WITH ORDINALITY AS k (name, number)
                          JOIN pg_attribute a ON a.attrelid = target AND a.attname = k.name AND NOT a.attisdropped
                          LEFT JOIN pg_collation c ON c.oid = a.attcollation), relation) INTO result;
    END IF;
    RETURN result;
END
$$;

-- Pulls what a page touches, compares it, and returns the statements that write what differs, as mirror_statements does: null
-- where nothing does, so that nothing is sent. A row whose distribution column has another value is deleted and put anew,
-- since Citus does not let that column be assigned.
CREATE FUNCTION sage_intacct.mirror_stage(m sage_intacct.mirror, shape record, answer jsonb)
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
SET client_min_messages = warning
AS $$
DECLARE
    -- Longer lists of keys cost more than the rows that they leave out.
    longest constant bigint := 10000;
    stored record;
    conflict name[];
    -- Columns of that index beside the row key: they are never assigned.
    fixed name[];
    same text := sage_intacct.mirror_matches(m.target, shape.keys);
    whole boolean := jsonb_typeof(answer -> 'put') <> 'array';
    subset name[];
    changing name[];
    written name[];
    page bigint;
    touched boolean;
    routed text;
    gone text;
    moved text;
    changed text;
    gained text;
BEGIN
    SELECT * INTO stored FROM sage_intacct.mirror_distribution(m.target) d;
    conflict := sage_intacct.mirror_conflict_columns(m.target, array_remove(ARRAY[(m.options ->> 'company')::name], NULL) || shape.keys, shape.columns);
    fixed := ARRAY(SELECT c FROM unnest(conflict) c WHERE c <> ALL (shape.keys));
    IF answer #>> '{remove,by}' = 'gone' THEN
        gone := sage_intacct.mirror_listed(m.target, 'pg_temp.sage_intacct_gone', shape.keys, true);
        -- To the machines that have them, and to no other.
        IF stored.distribution_column <> ALL (shape.keys || coalesce((m.options ->> 'company')::name, '')) THEN
            routed := sage_intacct.mirror_near(m, ARRAY[stored.distribution_column], gone);
            gone := format('%s AND t.%I OPERATOR(pg_catalog.=) ANY (%s)', gone, stored.distribution_column, sage_intacct.mirror_key_list(routed, stored.distribution_column));
        END IF;
        gone := format('DELETE FROM %s t WHERE %s AND %s', m.target, sage_intacct.mirror_own_rows(m, 't.'), gone);
    END IF;
    SELECT count(*) INTO page FROM (SELECT 1 FROM pg_temp.sage_intacct_page LIMIT longest + 1) p;
    IF NOT answer ? 'put' OR page = 0 THEN
        RETURN ARRAY[gone, NULL, NULL, NULL];
    END IF;

    subset := CASE WHEN whole THEN shape.columns ELSE (SELECT array_agg(value::name) FROM jsonb_array_elements_text(answer -> 'put')) END;
    changing := ARRAY(SELECT c FROM unnest(subset) WITH ORDINALITY AS u (c, n) WHERE c <> ALL (conflict) ORDER BY n);
    PERFORM sage_intacct.mirror_near(m, ARRAY(SELECT c FROM unnest(shape.columns) c WHERE c = ANY (subset || conflict)),
        CASE WHEN page <= longest THEN sage_intacct.mirror_listed(m.target, 'pg_temp.sage_intacct_page', shape.keys, false) ELSE 'true' END);
    IF gone IS NOT NULL THEN
        EXECUTE format('DELETE FROM pg_temp.sage_intacct_near t USING pg_temp.sage_intacct_gone s WHERE %s', same);
    END IF;
    DROP TABLE IF EXISTS pg_temp.sage_intacct_moved, pg_temp.sage_intacct_put, pg_temp.sage_intacct_new;
    IF whole AND fixed <> '{}' THEN
        EXECUTE format('CREATE TEMP TABLE sage_intacct_moved AS SELECT %s FROM pg_temp.sage_intacct_near t JOIN pg_temp.sage_intacct_page s ON %s WHERE %s',
                       sage_intacct.mirror_names(conflict, 't.'), same, sage_intacct.mirror_differs(m.source, m.target, fixed));
        SELECT EXISTS (SELECT 1 FROM pg_temp.sage_intacct_moved) INTO touched;
        IF touched THEN
            moved := format('DELETE FROM %s t WHERE %s', m.target, sage_intacct.mirror_listed(m.target, 'pg_temp.sage_intacct_moved', conflict, true) || ' AND ' || sage_intacct.mirror_own_rows(m, 't.'));
            EXECUTE format('DELETE FROM pg_temp.sage_intacct_near t USING pg_temp.sage_intacct_moved s WHERE %s', same);
        END IF;
    END IF;
    IF changing <> '{}' THEN
        written := conflict || changing;
        EXECUTE format('CREATE TEMP TABLE sage_intacct_put AS SELECT %s, %s FROM pg_temp.sage_intacct_near t JOIN pg_temp.sage_intacct_page s ON %s WHERE %s',
                       sage_intacct.mirror_names(conflict, 't.'), sage_intacct.mirror_names(changing, 's.'), same,
                       sage_intacct.mirror_differs(m.source, m.target, changing));
        SELECT EXISTS (SELECT 1 FROM pg_temp.sage_intacct_put) INTO touched;
        IF touched THEN
            changed := format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM pg_temp.sage_intacct_put ON CONFLICT (%3$s) DO UPDATE SET (%4$s) = ROW(%5$s)',
                              m.target, sage_intacct.mirror_names(written), sage_intacct.mirror_names(conflict),
                              sage_intacct.mirror_names(changing), sage_intacct.mirror_names(changing, 'excluded.'));
        END IF;
    END IF;
    IF whole THEN
        EXECUTE format('CREATE TEMP TABLE sage_intacct_new AS SELECT %s FROM pg_temp.sage_intacct_page s
                         WHERE NOT EXISTS (SELECT 1 FROM pg_temp.sage_intacct_near t WHERE %s)', sage_intacct.mirror_names(shape.columns, 's.'), same);
        SELECT EXISTS (SELECT 1 FROM pg_temp.sage_intacct_new) INTO touched;
        IF touched THEN
            gained := format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM pg_temp.sage_intacct_new', m.target, sage_intacct.mirror_names(shape.columns));
        END IF;
    END IF;
    RETURN ARRAY[gone, moved, changed, gained];
END
$$;

-- Statistics after a first load: of the columns that refreshes look for alone. The others are left to autovacuum, which goes on
-- counting what has changed; it does not analyze a partitioned table. Of a table of Citus each shard is sampled as if it were a
-- table: of all columns, that would take longer than to write them.
CREATE FUNCTION sage_intacct.mirror_analyze(m sage_intacct.mirror)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
BEGIN
    SELECT * INTO shape FROM sage_intacct.mirror_shape(m.source, m.target, m.options, m.gone);
    EXECUTE format('ANALYZE %s%s', m.target, (SELECT format(' (%s)', string_agg(DISTINCT quote_ident(name), ', ')) FROM unnest(
        shape.keys || ARRAY[shape.modified, shape.created, shape.link, shape.period, shape.columns[1]]) name
         WHERE name IS NOT NULL AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.target AND c.relkind = 'p')
        HAVING count(*) > 0));
END
$$;

-- Statistics of a table of Citus when its first load is complete: behind the commit, since Citus refuses ANALYZE in the transaction
-- that wrote (reference tables).
CREATE FUNCTION sage_intacct.mirror_analyze_behind(mirror integer)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
BEGIN
    SELECT * INTO m FROM sage_intacct.mirror r WHERE r.id = mirror_analyze_behind.mirror;
    IF (SELECT kind FROM sage_intacct.mirror_distribution(m.target)) <> 'local' AND m.todo #>> '{0,do}' IS DISTINCT FROM 'load' THEN
        PERFORM sage_intacct.mirror_analyze(m);
    END IF;
END
$$;
