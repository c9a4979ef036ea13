-- Several companies' mirrors in one table: option `company` names a column of the foreign tables that a constant fills, and the
-- table's key is that column and the row key. Each mirror reads and writes the rows of its own company, and no others.

-- The value of the company's column in the rows of a foreign table; empty without the option. Raises if there is none.
CREATE FUNCTION sage_intacct.mirror_company(source regclass, options jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    company text;
    type oid;
BEGIN
    IF NOT options ? 'company' THEN
        RETURN '';
    END IF;
    SELECT a.atttypid, (SELECT option_value FROM pg_options_to_table(a.attfdwoptions) WHERE option_name = 'constant') INTO type, company
      FROM pg_attribute a WHERE a.attrelid = source AND a.attname = options ->> 'company' AND a.attnum > 0 AND NOT a.attisdropped;
    IF coalesce(company, '') = '' THEN
        RAISE 'option "company" names the column "%", which no constant fills', options ->> 'company' USING ERRCODE = 'fdw_invalid_attribute_value',
            HINT = format('ALTER FOREIGN TABLE %s ADD COLUMN %I text OPTIONS (constant ''…'') NOT NULL makes one.', source, options ->> 'company');
    ELSIF type <> ALL (sage_intacct.mirror_key_types()) THEN
        RAISE 'option "company" names the column "%", which has type %', options ->> 'company', format_type(type, NULL)
            USING ERRCODE = 'fdw_invalid_attribute_value', HINT = 'It is part of the key: text, for example.';
    END IF;
    RETURN company;
END
$$;

-- Raises if a mirror's foreign table fills that column with something else than when the mirror was created.
CREATE FUNCTION sage_intacct.mirror_check_company(m sage_intacct.mirror)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF m.company <> sage_intacct.mirror_company(m.source, m.options) THEN
        RAISE 'the source of mirror % has changed', m.target USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = format('Column "%s" of %s is "%s" now: this is the mirror of "%s".', m.options ->> 'company', m.source,
                            sage_intacct.mirror_company(m.source, m.options), m.company),
            HINT = 'Put the constant back, or end the mirror and create another one.';
    END IF;
END
$$;

-- A condition that the rows of a mirror meet, and those of other companies do not.
CREATE FUNCTION sage_intacct.mirror_own_rows(m sage_intacct.mirror, alias text DEFAULT '')
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN m.options ? 'company' THEN format('%s%I OPERATOR(pg_catalog.=) %L', alias, m.options ->> 'company', m.company) ELSE 'true' END;
END
$$;

-- A relation to read the rows of a mirror from; an alias stands behind it.
CREATE FUNCTION sage_intacct.mirror_rows(m sage_intacct.mirror)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN m.options ? 'company' THEN format('(SELECT * FROM %s WHERE %s)', sage_intacct.mirror_qualified(m.target), sage_intacct.mirror_own_rows(m))
        ELSE sage_intacct.mirror_qualified(m.target) END;
END
$$;

-- Raises if a table cannot have this mirror beside those that it has.
CREATE FUNCTION sage_intacct.mirror_check_companies(target regclass, options jsonb, company text, keys name[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF options ? 'company' AND keys = '{}' THEN
        RAISE 'option "company" needs rows with an identifier' USING ERRCODE = 'feature_not_supported',
            HINT = 'Rows without one are replaced by periods: a table of each company''s own can be a partition of one table.';
    ELSIF EXISTS (SELECT FROM sage_intacct.mirror m WHERE m.target = mirror_check_companies.target
                     AND (m.company = mirror_check_companies.company OR m.options ->> 'company' IS DISTINCT FROM mirror_check_companies.options ->> 'company')) THEN
        RAISE '% is already a mirror', target USING ERRCODE = 'duplicate_object',
            HINT = 'CALL sage_intacct.drop_mirror(target) ends it.' || CASE WHEN options ? 'company'
                THEN ' Mirrors of several companies share a table where each has option "company" and a constant of its own.' ELSE '' END;
    END IF;
END
$$;

-- Takes the rows of one company out of a table that others' mirrors share. Returns whether it is shared.
CREATE FUNCTION sage_intacct.mirror_leave(m sage_intacct.mirror)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM sage_intacct.mirrors o WHERE o.target = m.target) THEN
        RETURN false;
    END IF;
    EXECUTE format('DELETE FROM %s WHERE %s', m.target, sage_intacct.mirror_own_rows(m));
    RETURN true;
END
$$;
