-- Views for tools that list tables and views, but no foreign tables; and views in the shape that a known package reads.
-- They belong to their maker and read with the rights of who reads them (security_invoker).

-- When a mirror was last refreshed, as far as the current user may see it; where companies share it, that of the oldest refresh.
CREATE FUNCTION sage_intacct.mirror_refreshed(mirror regclass)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT min(m.last_refresh) FROM sage_intacct.mirrors m WHERE m.target = mirror
$$;

-- What views can be made over in a schema, and from which object it is: foreign tables, mirrors with the foreign tables that
-- they copy, and other relations, which are taken for what their name stands for.
CREATE FUNCTION sage_intacct.view_sources(schema name)
RETURNS TABLE (relation regclass, name name, kind text, described regclass, object text, server name)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT c.oid, c.relname, k.kind, k.described, coalesce(o.object, upper(coalesce(d.relname, c.relname))), s.srvname
  FROM pg_namespace n
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('f', 'r', 'p', 'm')
  LEFT JOIN (SELECT DISTINCT ON (target) target, source FROM sage_intacct.mirrors ORDER BY target, company) m ON m.target = c.oid
 CROSS JOIN LATERAL (
        SELECT CASE WHEN c.relkind = 'f' THEN 'foreign table' WHEN m.target IS NOT NULL THEN 'mirror' ELSE 'other' END AS kind,
               CASE WHEN c.relkind = 'f' THEN c.oid::regclass WHEN m.target IS NOT NULL THEN to_regclass(m.source) END AS described) k
  LEFT JOIN pg_class d ON d.oid = k.described
  LEFT JOIN pg_foreign_table t ON t.ftrelid = k.described
  LEFT JOIN pg_foreign_server s ON s.oid = t.ftserver
  LEFT JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  LEFT JOIN pg_proc h ON h.oid = w.fdwhandler
 CROSS JOIN LATERAL (SELECT max(option_value) AS object FROM pg_options_to_table(t.ftoptions) WHERE option_name = 'object') o
 WHERE n.nspname = schema AND (c.relkind <> 'f' OR h.proname = 'sage_intacct_fdw_handler')
$$;

-- The columns of such a relation, with their fields and labels; `described` is the foreign table that defines them.
CREATE FUNCTION sage_intacct.view_columns(relation regclass, described regclass)
RETURNS TABLE (number smallint, name name, type oid, field text, label text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT a.attnum, a.attname, a.atttypid, upper(coalesce(o.field, a.attname)), coalesce(col_description(a.attrelid, a.attnum), o.label)
  FROM pg_attribute a
  LEFT JOIN pg_attribute d ON d.attrelid = described AND d.attname = a.attname AND d.attnum > 0 AND NOT d.attisdropped
 CROSS JOIN LATERAL (
        SELECT max(option_value) FILTER (WHERE option_name = 'field') AS field,
               max(option_value) FILTER (WHERE option_name = 'label') AS label
          FROM pg_options_to_table(d.attfdwoptions)) o
 WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
$$;

-- Makes or replaces one view; what is there and was not made here is left alone.
CREATE FUNCTION sage_intacct.view_make(into_schema name, view name, definition text, comment text, comments jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made_here CONSTANT text := 'Made by sage_intacct.create_views.';
    qualified text := format('%I.%I', into_schema, view);
    found oid := to_regclass(format('%I.%I', into_schema, view));
    commented record;
BEGIN
    IF found IS NOT NULL AND NOT (SELECT c.relkind = 'v' AND coalesce(obj_description(c.oid, 'pg_class') LIKE '%' || made_here, false)
                                    FROM pg_class c WHERE c.oid = found) THEN
        RAISE 'relation % exists and was not made by sage_intacct.create_views', qualified USING ERRCODE = 'duplicate_table',
            HINT = 'Drop or rename it, or make the views in another schema.';
    END IF;
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS %s', qualified, definition);
    EXCEPTION WHEN invalid_table_definition THEN
        RAISE 'view % cannot be replaced: a column of it is gone or has another type now', qualified
            USING ERRCODE = 'invalid_table_definition', DETAIL = SQLERRM,
                HINT = format('DROP VIEW %s, and what depends on it, then call sage_intacct.create_views again.', qualified);
    END;
    EXECUTE format('COMMENT ON VIEW %s IS %L', qualified, concat_ws(' ', comment, made_here));
    FOR commented IN SELECT key AS name, value AS label FROM jsonb_each_text(comments) LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', qualified, commented.name, commented.label);
    END LOOP;
END
$$;

-- What to type so that a schema has the objects that are missing from it.
CREATE FUNCTION sage_intacct.view_hint(schema name, missing text[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
WITH known AS (SELECT * FROM sage_intacct.view_sources(schema) WHERE kind <> 'other'),
     tables AS (SELECT string_agg(lower(o), ', ' ORDER BY o) AS list FROM unnest(missing) o),
     -- Mirrors are copies of foreign tables in another schema.
     origin AS (SELECT n.nspname FROM known k JOIN pg_class c ON c.oid = k.described JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE k.kind = 'mirror' LIMIT 1)
SELECT CASE WHEN EXISTS (SELECT FROM origin) THEN
            (SELECT string_agg(format('CALL sage_intacct.create_mirror(%L, %L);', format('%I.%I', nspname, lower(o)),
                                      format('%I.%I', schema, lower(o))), ' ' ORDER BY o) FROM unnest(missing) o, origin)
       ELSE format('IMPORT FOREIGN SCHEMA intacct LIMIT TO (%s) FROM SERVER %s INTO %I;', (SELECT list FROM tables),
                coalesce((SELECT quote_ident(server) FROM known WHERE server IS NOT NULL LIMIT 1), '...'), schema)
       END
$$;

-- Makes views over the foreign tables and mirrors of a schema: `plain`, each table as it is, or `fivetran`, the tables and
-- columns of Fivetran's connector, which the dbt package reads. A table that the style needs and the schema does not have is an
-- error, or with `missing_ok` left out. Shows each view, what it reads, and which columns of it are always null, since the source has no such
-- field.
CREATE FUNCTION sage_intacct.create_views(from_schema name, into_schema name, style text DEFAULT 'plain', missing_ok boolean DEFAULT false)
RETURNS TABLE (view text, source text, missing name[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
    absent text[];
    list text;
    labels jsonb;
BEGIN
    IF style NOT IN ('plain', 'fivetran') THEN
        RAISE 'unknown style "%" of views', style USING ERRCODE = 'invalid_parameter_value', HINT = 'It is plain or fivetran.';
    END IF;
    FOR wanted IN SELECT s.name FROM unnest(ARRAY[from_schema, into_schema]) s(name)
                   WHERE NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = s.name) LOOP
        RAISE 'schema "%" does not exist', wanted.name USING ERRCODE = 'invalid_schema_name',
            HINT = format('CREATE SCHEMA %I makes it.', wanted.name);
    END LOOP;
    IF style = 'plain' THEN
        IF from_schema = into_schema THEN
            RAISE 'plain views are named as what they read, so they need another schema than "%"', from_schema
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        FOR wanted IN SELECT * FROM sage_intacct.view_sources(from_schema) s WHERE s.kind <> 'other' ORDER BY s.name LOOP
            SELECT string_agg(format('t.%I', c.name), ', ' ORDER BY c.number), jsonb_object_agg(c.name, c.label) FILTER (WHERE c.label IS NOT NULL)
              INTO list, labels
              FROM sage_intacct.view_columns(wanted.relation, wanted.described) c;
            view := format('%I.%I', into_schema, wanted.name);
            source := wanted.relation;
            missing := '{}';
            PERFORM sage_intacct.view_make(into_schema, wanted.name, format('SELECT %s FROM %s t', list, wanted.relation),
                format('%s of Sage Intacct, read from %s.', wanted.object, wanted.relation), coalesce(labels, '{}'));
            RETURN NEXT;
        END LOOP;
        IF view IS NULL THEN
            RAISE 'schema "%" has neither foreign tables of sage_intacct_fdw nor mirrors', from_schema USING ERRCODE = 'undefined_table',
                HINT = format('IMPORT FOREIGN SCHEMA intacct FROM SERVER ... INTO %I;', from_schema);
        END IF;
        RETURN;
    END IF;

    SELECT array_agg(t.object ORDER BY t.object) INTO absent
      FROM sage_intacct.fivetran_tables() t
     WHERE NOT EXISTS (SELECT FROM sage_intacct.view_sources(from_schema) s
                        WHERE upper(s.object) = t.object AND (s.kind <> 'other' OR s.name = lower(t.object)));
    IF absent IS NOT NULL THEN
        IF NOT missing_ok OR cardinality(absent) = (SELECT count(*) FROM sage_intacct.fivetran_tables()) THEN
            RAISE 'schema "%" has no table of %', from_schema, array_to_string(absent, ', ') USING ERRCODE = 'undefined_table',
                HINT = sage_intacct.view_hint(from_schema, absent) || ' Or leave them out: missing_ok => true.';
        END IF;
        RAISE NOTICE 'schema "%" has no table of %: no view is made of them', from_schema, array_to_string(absent, ', ')
            USING HINT = sage_intacct.view_hint(from_schema, absent);
    END IF;
    FOR wanted IN
        SELECT t.name, t.object, array_agg(s.relation ORDER BY s.relation) AS relations, (array_agg(s.kind))[1] AS kind,
               (array_agg(s.described))[1] AS described
          FROM sage_intacct.fivetran_tables() t
          JOIN (SELECT *, row_number() OVER (PARTITION BY upper(object) ORDER BY name <> lower(object)) AS place,
                       bool_or(name = lower(object)) OVER (PARTITION BY upper(object)) AS named
                  FROM sage_intacct.view_sources(from_schema)
                 WHERE kind <> 'other' OR name = lower(object)) s
            -- One that has the object's own name is meant; else there must be but one.
            ON upper(s.object) = t.object AND (s.place = 1 OR NOT s.named)
         GROUP BY t.name, t.object ORDER BY t.name
    LOOP
        IF cardinality(wanted.relations) > 1 THEN
            RAISE 'schema "%" has more than one table of %: %', from_schema, wanted.object, array_to_string(wanted.relations, ', ')
                USING ERRCODE = 'ambiguous_alias', HINT = format('Name the one that is meant %I.', lower(wanted.object));
        END IF;
        SELECT string_agg(
                   CASE WHEN f.name = '_fivetran_deleted' THEN 'false'
                        WHEN f.name = '_fivetran_synced' THEN CASE wanted.kind
                            WHEN 'foreign table' THEN 'now()'
                            WHEN 'mirror' THEN format('(SELECT sage_intacct.mirror_refreshed(%L::regclass))', wanted.relations[1])
                            ELSE 'NULL::timestamptz' END
                        WHEN c.name IS NULL THEN format('NULL::%s', f.type)
                        -- Only what cannot fail, and runs no code of the type's owner, is turned into another type.
                        WHEN f.type = 'text' AND c.type <> 'text'::regtype
                             AND (SELECT y.typnamespace = 'pg_catalog'::regnamespace FROM pg_type y WHERE y.oid = c.type) THEN format('t.%I::text', c.name)
                        ELSE format('t.%I', c.name) END || format(' AS %I', f.name), ', ' ORDER BY f.number),
               coalesce(jsonb_object_agg(f.name, c.label) FILTER (WHERE c.label IS NOT NULL), '{}'),
               coalesce(array_agg(f.name ORDER BY f.number) FILTER (WHERE c.name IS NULL AND f.name NOT LIKE '\_fivetran\_%'), '{}')
          INTO list, labels, missing
          FROM sage_intacct.fivetran_columns() f
          LEFT JOIN LATERAL (SELECT * FROM sage_intacct.view_columns(wanted.relations[1], wanted.described) v
                              WHERE replace(v.field, '.', '_') = upper(f.name) ORDER BY v.number LIMIT 1) c ON true
         WHERE f.view = wanted.name;
        view := format('%I.%I', into_schema, wanted.name);
        source := wanted.relations[1];
        PERFORM sage_intacct.view_make(into_schema, wanted.name, format('SELECT %s FROM %s t', list, wanted.relations[1]),
            format('%s of Sage Intacct in the shape of Fivetran, read from %s.', wanted.object, wanted.relations[1]), labels);
        RETURN NEXT;
    END LOOP;
END
$$;
