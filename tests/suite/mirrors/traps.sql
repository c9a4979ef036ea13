-- Traps: what somebody who may create objects in a schema could leave there for SQL that looks names up. Whichever of them is
-- reached counts, beyond any rollback, and fails its statement.
CREATE SCHEMA trapper;
GRANT USAGE ON SCHEMA trapper TO PUBLIC;
CREATE SEQUENCE trapper.fired MINVALUE 0 START 0;
SELECT pg_catalog.nextval('trapper.fired');

CREATE FUNCTION trapper.fire(what text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM nextval('trapper.fired');
    RAISE 'a trap fired: %', what;
END $$;

-- Runs a statement if it can be run: combinations that PostgreSQL does not allow are none to be afraid of.
CREATE FUNCTION trapper.try(statement text) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE statement;
    RETURN 1;
EXCEPTION WHEN OTHERS THEN
    RETURN 0;
END $$;

-- Types whose values meet in the extension's SQL: exact matches are preferred to what pg_catalog has for coarser ones.
CREATE TABLE trapper.types (type regtype, pairs boolean);
INSERT INTO trapper.types
    SELECT t::regtype, true FROM unnest('{text,name,bigint,integer,oid,regclass,jsonb,timestamptz,interval,name[],anyelement,anyarray}'::text[]) t
    UNION ALL
    SELECT t::regtype, false FROM unnest('{regrole,boolean,numeric,text[],varchar,bpchar,smallint,"char",json,float8,date,regtype,regnamespace,oid[],bigint[],regclass[],record,record[],anynonarray,anycompatible,anycompatiblearray}'::text[]) t;

-- Names of functions and operators that pg_catalog has and `sources`, the extension's own text, mentions.
CREATE FUNCTION trapper.functions(sources text) RETURNS SETOF name LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT DISTINCT p.proname FROM pg_proc p
      JOIN (SELECT DISTINCT lower(m[1]) AS word FROM regexp_matches(sources, '([A-Za-z_][A-Za-z_0-9]*)\s*\(', 'g') m) w ON w.word = p.proname
     WHERE p.pronamespace = 'pg_catalog'::regnamespace
$$;
CREATE FUNCTION trapper.operators(sources text) RETURNS SETOF name LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT DISTINCT o.oprname FROM pg_operator o
      JOIN (SELECT m[1] AS word FROM regexp_matches(sources, '([-+*/<>=~!@#%^&|?]+)', 'g') m
            -- What constructs without a symbol of their own use.
            UNION VALUES ('='), ('<>'), ('<'), ('>'), ('<='), ('>='), ('~~'), ('!~~'), ('~~*'), ('||')) w ON w.word = o.oprname
     WHERE o.oprnamespace = 'pg_catalog'::regnamespace
$$;

-- Functions, in a schema; how many.
CREATE FUNCTION trapper.plant(schema text, sources text) RETURNS bigint LANGUAGE sql SET search_path = pg_catalog AS $$
    WITH names (name, most) AS (
        SELECT f, max(CASE WHEN p.provariadic <> 0 THEN 6 ELSE p.pronargs END)
          FROM trapper.functions(sources) f JOIN pg_proc p ON p.proname = f GROUP BY f
    ), signatures (name, arguments) AS (
        -- Those of pg_catalog itself, for a path in which another schema comes first.
        SELECT p.proname, array_to_string(p.proargtypes::regtype[], ', ') FROM pg_proc p JOIN names n ON n.name = p.proname
         WHERE p.pronamespace = 'pg_catalog'::regnamespace
        UNION
        SELECT n.name, array_to_string(array_fill(t.type::text, ARRAY[i]), ', ')
          FROM names n CROSS JOIN trapper.types t CROSS JOIN generate_series(1, 6) i WHERE i <= n.most AND (i <= 2 OR t.pairs)
        UNION
        SELECT n.name, format('%s, %s', a.type, b.type)
          FROM names n CROSS JOIN trapper.types a CROSS JOIN trapper.types b WHERE a.pairs AND b.pairs AND n.most >= 2
        UNION
        SELECT n.name, 'VARIADIC ' || t FROM names n CROSS JOIN (VALUES ('text[]'), ('anyarray')) v (t)
    )
    SELECT sum(trapper.try(format('CREATE FUNCTION %I.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', schema, name, arguments,
               format('BEGIN PERFORM trapper.fire(%L); END', format('%s(%s)', name, arguments))))) FROM signatures
$$;

-- Operators, with the results of those that they stand in for; how many.
CREATE FUNCTION trapper.operands(sources text, OUT operator name, OUT l text, OUT r text, OUT result text)
RETURNS SETOF record LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT o.oprname, o.oprleft::regtype::text, o.oprright::regtype::text, o.oprresult::regtype::text FROM pg_operator o
     WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprname IN (SELECT trapper.operators(sources))
    UNION
    SELECT o, a.type::text, b.type::text, coalesce(s.oprresult::regtype::text, 'boolean')
      FROM trapper.operators(sources) o CROSS JOIN trapper.types a CROSS JOIN trapper.types b
      LEFT JOIN LATERAL (SELECT * FROM pg_operator s WHERE s.oprnamespace = 'pg_catalog'::regnamespace AND s.oprname = o AND s.oprleft = a.type ORDER BY s.oprright <> b.type LIMIT 1) s ON true
     WHERE (a.type = b.type OR (a.pairs AND b.pairs))
       AND NOT EXISTS (SELECT FROM pg_operator e WHERE e.oprnamespace = 'pg_catalog'::regnamespace AND e.oprname = o AND e.oprleft = a.type AND e.oprright = b.type)
$$;
CREATE FUNCTION trapper.plant_operators(schema text, sources text) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM trapper.try(format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', schema, 'operand_' || result,
               concat_ws(', ', nullif(l, '-'), r), result, format('BEGIN PERFORM trapper.fire(%L); END', format('operator over %s and %s', l, r))))
       FROM (SELECT DISTINCT l, r, result FROM trapper.operands(sources)) pairs;
    RETURN (SELECT sum(trapper.try(format('CREATE OPERATOR %I.%s (%s RIGHTARG = %s, PROCEDURE = %1$I.%5$I)', schema, operator,
                       CASE WHEN l <> '-' THEN format('LEFTARG = %s,', l) END, r, 'operand_' || result)))
              FROM trapper.operands(sources));
END $$;

-- Types and relations, in a schema or in pg_temp; how many. A domain has the values of its type, and tells.
CREATE FUNCTION trapper.plant_names(schema text, sources text) RETURNS bigint LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT sum(trapper.try(statement)) FROM (
        SELECT format('CREATE DOMAIN %1$s.%2$I AS pg_catalog.%2$I CHECK (trapper.fire(%3$L))', schema, t.typname, 'type ' || t.typname)
          FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typcategory <> 'A'
        UNION ALL
        SELECT format('CREATE TYPE %s.record AS (trap text)', schema)
        UNION ALL
        SELECT format('CREATE VIEW %1$s.%2$I AS SELECT * FROM pg_catalog.%2$I WHERE trapper.fire(%3$L)', schema, c.relname, 'relation ' || c.relname)
          FROM pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v') AND sources ~ ('\m' || c.relname || '\M')
    ) traps (statement)
$$;
