-- How many rows there are, and what their numbers add up to: at the gateway, and in the target.

-- The columns whose sums can be compared: numbers that the gateway adds up as PostgreSQL does.
CREATE FUNCTION sage_intacct.mirror_measures(source regclass, columns name[])
RETURNS name[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(array_agg(a.attname ORDER BY a.attnum), '{}')
  FROM pg_attribute a
 CROSS JOIN LATERAL (
        SELECT max(option_value) FILTER (WHERE option_name = 'field') AS field,
               max(option_value) FILTER (WHERE option_name = 'type') AS type,
               bool_or(option_name = 'constant') AS constant
          FROM pg_options_to_table(a.attfdwoptions)) o
 WHERE a.attrelid = source AND a.attname = ANY (columns) AND NOT a.attisdropped AND a.atttypmod = -1
   AND (a.atttypid = 'int8'::regtype AND o.type = 'INTEGER'
        OR a.atttypid = 'numeric'::regtype AND o.type IN ('DECIMAL', 'CURRENCY', 'PERCENT'))
   AND NOT coalesce(o.constant, false) AND coalesce(o.field, '') !~ '\.'
$$;

-- The column whose values are counted where rows are grouped: a key column, or RECORDNO, or another one; none of those that are
-- added up or grouped by. That every row has a value is not asked for: the target's values are counted too.
CREATE FUNCTION sage_intacct.mirror_counted(source regclass, target regclass, shape record, others name[])
RETURNS name
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT c.name FROM sage_intacct.mirror_columns(source, target) c
             WHERE c.name = ANY (shape.columns) AND c.name <> ALL (others) AND c.field !~ '\.'
             ORDER BY c.name = ANY (shape.keys) DESC, upper(c.field) = 'RECORDNO' DESC, c.type IN ('int8'::regtype, 'text'::regtype) DESC, c.number
             LIMIT 1);
END
$$;

-- An aggregate by the gateway: number of rows and sums, of all rows or of each value of a column. The statement is null
-- where the gateway cannot express it. `mirror_local` is the same of the target.
CREATE FUNCTION sage_intacct.mirror_aggregate(m sage_intacct.mirror, shape record, grouped name DEFAULT NULL, summed boolean DEFAULT true, OUT statement text, OUT counted name, OUT measures name[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    measures := CASE WHEN summed THEN array_remove(sage_intacct.mirror_measures(m.source, shape.columns), grouped) ELSE '{}' END;
    counted := coalesce(sage_intacct.mirror_counted(m.source, m.target, shape, array_remove(measures || grouped, NULL)),
                        sage_intacct.mirror_counted(m.source, m.target, shape, array_remove(ARRAY[grouped], NULL)));
    measures := array_remove(measures, counted);
    IF counted IS NOT NULL THEN
        statement := format('SELECT s.place%s AS place, s.rows, s.sums::numeric[] AS sums FROM sage_intacct.mirror_sums(%s, %L, %L, %L, %L) s',
            '::pg_catalog.' || quote_ident(CASE WHEN grouped IS NULL THEN 'text' ELSE shape.period_type END), m.source::oid,
            sage_intacct.mirror_fields(m.source, ARRAY[counted]) ->> 0, ARRAY(SELECT jsonb_array_elements_text(sage_intacct.mirror_fields(m.source, measures))),
            sage_intacct.mirror_fields(m.source, ARRAY[grouped]) ->> 0, CASE WHEN grouped IS NOT NULL THEN shape.period_type END);
    END IF;
END
$$;

-- The fields of columns, as an array.
CREATE FUNCTION sage_intacct.mirror_fields(source regclass, columns name[])
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT coalesce(jsonb_agg(coalesce((SELECT max(option_value) FROM pg_options_to_table(a.attfdwoptions) WHERE option_name = 'field'), upper(a.attname)) ORDER BY c.number), '[]')
  FROM unnest(columns) WITH ORDINALITY AS c (name, number)
  JOIN pg_attribute a ON a.attrelid = source AND a.attname = c.name AND NOT a.attisdropped
$$;

CREATE FUNCTION sage_intacct.mirror_local(relation text, counted name, measures name[], grouped name DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('SELECT %1$s AS place, count(%5$s) AS rows, ARRAY[%2$s]::numeric[] AS sums FROM %3$s r%4$s', coalesce(quote_ident(grouped), 'NULL::text'),
              (SELECT string_agg(format('sum(%I)', name), ', ' ORDER BY number) FROM unnest(measures) WITH ORDINALITY AS c (name, number)),
              relation, ' GROUP BY ' || quote_ident(grouped), CASE WHEN grouped IS NULL THEN '*' ELSE quote_ident(counted) END)
$$;

-- Number of rows at the gateway, and what can be compared beside it: the sum of the keys, where they are numbers, else the sums of
-- all numbers. All are null where the gateway's function cannot count.
CREATE FUNCTION sage_intacct.mirror_counts(m sage_intacct.mirror, shape record, OUT rows bigint, OUT key_sum numeric, OUT measures name[], OUT sums numeric[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked record;
BEGIN
    IF shape.key IS NOT NULL THEN
        SELECT t.rows, t.key_sum INTO rows, key_sum FROM sage_intacct.mirror_totals(m.source, NULL, NULL) t;
        RETURN;
    END IF;
    SELECT * INTO asked FROM sage_intacct.mirror_aggregate(m, shape);
    IF asked.statement IS NOT NULL THEN
        EXECUTE format('SELECT a.rows, a.sums FROM (%s) a', asked.statement) INTO rows, sums;
        measures := CASE WHEN sums IS NOT NULL THEN asked.measures ELSE '{}' END;
    END IF;
END
$$;

-- The same in the target.
CREATE FUNCTION sage_intacct.mirror_local_counts(m sage_intacct.mirror, shape record, measures name[], OUT rows bigint, OUT key_sum numeric, OUT sums numeric[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF shape.key IS NOT NULL THEN
        SELECT t.rows, t.key_sum INTO rows, key_sum FROM sage_intacct.mirror_local_totals(sage_intacct.mirror_rows(m), shape.key, '{}') t;
    ELSE
        EXECUTE format('SELECT a.rows, a.sums FROM (%s) a', sage_intacct.mirror_local(sage_intacct.mirror_rows(m), NULL, measures)) INTO rows, sums;
    END IF;
END
$$;
