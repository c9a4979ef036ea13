-- The shape of a mirror, from the catalogs: its columns, and which of them are row identifier, header and time of change.

-- What is known of objects beyond their fields: for lines, the field with the key of their header, the header's object and
-- the header's time of creation; for the others, the field that AUDITHISTORY names a deleted row by. Objects that are
-- missing here have no known rule: their deleted rows are found by the check and the sweep. For objects in which nothing is
-- unique, the field by whose periods rows are replaced.
CREATE FUNCTION sage_intacct.mirror_rules()
RETURNS TABLE (object text, link text, header text, header_created text, audit_key text, period text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
VALUES
    ('APBILL', NULL, NULL, NULL, 'RECORDNO', NULL),
    ('TASK', NULL, NULL, NULL, 'RECORDNO', NULL),
    ('CUSTOMER', NULL, NULL, NULL, 'CUSTOMERID', NULL),
    ('VENDOR', NULL, NULL, NULL, 'VENDORID', NULL),
    ('USERINFO', NULL, NULL, NULL, 'LOGINID', NULL),
    ('GLDETAIL', 'BATCHKEY', 'GLBATCH', 'WHENCREATED', NULL, 'ENTRY_DATE'),
    ('GLACCOUNTBALANCE', NULL, NULL, NULL, NULL, 'PERIOD'),
    ('ARINVOICEITEM', 'RECORDKEY', 'ARINVOICE', 'AUWHENCREATED', NULL, NULL),
    ('ARADJUSTMENTITEM', 'RECORDKEY', 'ARADJUSTMENT', 'AUWHENCREATED', NULL, NULL),
    ('APBILLITEM', 'RECORDKEY', 'APBILL', 'AUWHENCREATED', NULL, NULL),
    ('APADJUSTMENTITEM', 'RECORDKEY', 'APADJUSTMENT', 'AUWHENCREATED', NULL, NULL),
    ('EEXPENSESITEM', 'RECORDKEY', 'EEXPENSES', 'AUWHENCREATED', NULL, NULL),
    ('GLENTRY', 'BATCHNO', 'GLBATCH', 'WHENCREATED', NULL, NULL),
    ('SODOCUMENTENTRY', 'DOCHDRNO', 'SODOCUMENT', 'AUWHENCREATED', NULL, NULL),
    ('PODOCUMENTENTRY', 'DOCHDRNO', 'PODOCUMENT', 'AUWHENCREATED', NULL, NULL),
    ('INVDOCUMENTENTRY', 'DOCHDRNO', 'INVDOCUMENT', 'AUWHENCREATED', NULL, NULL)
$$;

-- Fields by which the audit trail may name a row of an object: its record number, and what people call it. A key of another row
-- that reads the same does no harm: a row is deleted only if the gateway does not show it any more.
CREATE FUNCTION sage_intacct.mirror_natural_keys(object text)
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY['RECORDNO', 'ID', 'RECORDID', 'NAME', upper(object) || 'ID', upper(object) || 'NAME']
    || CASE upper(object)
        WHEN 'GLACCOUNT' THEN ARRAY['ACCOUNTNO'] WHEN 'STATACCOUNT' THEN ARRAY['ACCOUNTNO'] WHEN 'GLJOURNAL' THEN ARRAY['SYMBOL']
        WHEN 'STATJOURNAL' THEN ARRAY['SYMBOL'] WHEN 'GLBATCH' THEN ARRAY['BATCHNO'] WHEN 'LOCATIONENTITY' THEN ARRAY['LOCATIONID']
        WHEN 'SODOCUMENT' THEN ARRAY['DOCID', 'DOCNO'] WHEN 'PODOCUMENT' THEN ARRAY['DOCID', 'DOCNO'] WHEN 'INVDOCUMENT' THEN ARRAY['DOCID', 'DOCNO']
        WHEN 'APPYMT' THEN ARRAY['DOCNUMBER'] WHEN 'ARPYMT' THEN ARRAY['DOCNUMBER'] WHEN 'CHECKINGACCOUNT' THEN ARRAY['BANKACCOUNTID']
        WHEN 'SAVINGSACCOUNT' THEN ARRAY['BANKACCOUNTID'] WHEN 'CREDITCARD' THEN ARRAY['CARDID'] WHEN 'USERINFO' THEN ARRAY['LOGINID']
        WHEN 'TRXCURRENCIES' THEN ARRAY['CODE'] WHEN 'WAREHOUSE' THEN ARRAY['LOCATIONID'] ELSE '{}' END
$$;

-- Columns that foreign table and target have in common, with their fields at the gateway (null: a constant).
CREATE FUNCTION sage_intacct.mirror_columns(source regclass, target regclass)
RETURNS TABLE (number smallint, name name, field text, type oid, same_type boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT a.attnum, a.attname,
       CASE WHEN o.constant THEN NULL ELSE coalesce(o.field, upper(a.attname)) END,
       a.atttypid, a.atttypid = t.atttypid AND a.atttypmod = t.atttypmod
  FROM pg_attribute a
  JOIN pg_attribute t ON t.attrelid = target AND t.attname = a.attname AND t.attnum > 0 AND NOT t.attisdropped
                     AND t.attgenerated = ''
 CROSS JOIN LATERAL (
        SELECT max(option_value) FILTER (WHERE option_name = 'field') AS field,
               bool_or(option_name = 'constant') AS constant
          FROM pg_options_to_table(a.attfdwoptions)) o
 WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
$$;

-- Where the rows come from and how they are identified. Raises what makes a mirror impossible.
CREATE FUNCTION sage_intacct.mirror_shape(
    source regclass, target regclass, options jsonb, gone name[],
    OUT server name, OUT object text, OUT docparid text, OUT show_private text,
    OUT columns name[], OUT keys name[], OUT key name, OUT modified name, OUT created name,
    OUT link name, OUT header text, OUT header_created text,
    OUT audit_object text, OUT audit_column name, OUT audit_columns name[], OUT period name, OUT period_type name)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    row_key text;
    rule record;
    given text;
    other record;
BEGIN
    SELECT s.srvname, coalesce(o.object, upper(c.relname)), o.docparid, o.show_private
      INTO server, object, docparid, show_private
      FROM pg_foreign_table t
      JOIN pg_class c ON c.oid = t.ftrelid
      JOIN pg_foreign_server s ON s.oid = t.ftserver
      JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
      JOIN pg_proc h ON h.oid = w.fdwhandler AND h.proname = 'sage_intacct_fdw_handler'
     CROSS JOIN LATERAL (
            SELECT max(option_value) FILTER (WHERE option_name = 'object') AS object,
                   max(option_value) FILTER (WHERE option_name = 'docparid') AS docparid,
                   max(option_value) FILTER (WHERE option_name = 'show_private') AS show_private
              FROM pg_options_to_table(t.ftoptions)) o
     WHERE t.ftrelid = source;
    IF NOT FOUND THEN
        RAISE '% is not a foreign table of sage_intacct_fdw', source USING ERRCODE = 'wrong_object_type';
    END IF;

    row_key := sage_intacct.mirror_row_key(source);
    -- A field named twice is taken once.
    SELECT array_agg(c.name ORDER BY c.number),
           coalesce(min(c.name) FILTER (WHERE upper(c.field) = upper(row_key) AND c.type = 'int8'::regtype),
                    min(c.name) FILTER (WHERE upper(c.field) = upper(row_key))),
           min(c.name) FILTER (WHERE c.type = 'timestamptz'::regtype AND upper(c.field) IN ('WHENMODIFIED', 'UPDATEDAT')),
           coalesce(min(c.name) FILTER (WHERE c.type = 'timestamptz'::regtype AND upper(c.field) IN ('WHENCREATED', 'CREATEDAT')),
                    min(c.name) FILTER (WHERE c.type = 'timestamptz'::regtype AND upper(c.field) = 'AUWHENCREATED'))
      INTO columns, key, modified, created
      FROM sage_intacct.mirror_columns(source, target) c
     WHERE c.name <> ALL (gone);
    IF options ? 'key' THEN
        keys := coalesce(sage_intacct.mirror_column_list(options ->> 'key'), '{}');
        PERFORM sage_intacct.mirror_column_option(columns, jsonb_build_object('key', k), 'key') FROM unnest(keys) k;
    ELSIF key IS NOT NULL THEN
        keys := ARRAY[key];
    ELSIF row_key = '' THEN
        keys := '{}';
    END IF;
    SELECT c.name, format_type(c.type, NULL) AS type INTO other FROM sage_intacct.mirror_columns(source, target) c
     WHERE c.name = ANY (keys) AND c.type <> ALL (sage_intacct.mirror_key_types());
    IF FOUND THEN
        RAISE '% cannot be mirrored: column "%" of its key has type %', source, other.name, other.type
            USING ERRCODE = 'feature_not_supported',
                HINT = format('Key columns have one of these types: %s. Option "key" names the columns of the row identifier.',
                              (SELECT string_agg(format_type(t, NULL), ', ') FROM unnest(sage_intacct.mirror_key_types()) t));
    ELSIF keys IS NULL THEN
        RAISE '% cannot be mirrored: it has no column with a unique row key', source
            USING ERRCODE = 'feature_not_supported', DETAIL = format('Row key: %s', row_key),
                HINT = 'Option "key" names the columns of the row identifier; where it is empty, rows are replaced by periods.';
    END IF;
    -- Numbers that the gateway sorts and adds up make pages, and a check that halves.
    IF cardinality(keys) <> 1 OR NOT EXISTS (
        SELECT FROM sage_intacct.mirror_columns(source, target) c
         WHERE c.name = keys[1] AND upper(c.field) = upper(row_key) AND c.type = 'int8'::regtype) THEN
        key := NULL;
    END IF;

    modified := coalesce(sage_intacct.mirror_column_option(columns, options, 'modified'), modified);
    created := coalesce(sage_intacct.mirror_column_option(columns, options, 'created'), created);

    SELECT * INTO rule FROM sage_intacct.mirror_rules() r WHERE r.object = upper(mirror_shape.object);
    IF keys = '{}' THEN
        period := CASE WHEN NOT options ? 'period' THEN
                (SELECT min(c.name) FROM sage_intacct.mirror_columns(source, target) c
                  WHERE upper(c.field) = rule.period AND c.name = ANY (columns))
            WHEN options ->> 'period' <> '' THEN sage_intacct.mirror_column_option(columns, options, 'period') END;
        SELECT t.typname INTO period_type FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = source AND a.attname = period AND NOT a.attisdropped;
        IF period IS NOT NULL AND period_type NOT IN ('date', 'text', 'int8') THEN
            RAISE 'column "%" cannot be the period: it has type %', period, period_type USING ERRCODE = 'fdw_invalid_attribute_value',
                HINT = 'A date is cut into periods; of a text or a bigint, each value is one.';
        END IF;
    END IF;
    header := nullif(coalesce(options ->> 'header', rule.header), '');
    IF header IS NOT NULL THEN
        link := coalesce(sage_intacct.mirror_column_option(columns, options, 'link'),
                         (SELECT min(c.name) FROM sage_intacct.mirror_columns(source, target) c
                           WHERE upper(c.field) = rule.link AND c.name = ANY (columns) AND c.type = 'int8'::regtype));
        IF link IS NULL AND options ? 'header' THEN
            RAISE 'option "header" needs option "link"' USING ERRCODE = 'fdw_invalid_attribute_value',
                HINT = 'It names the column, of type bigint, with the RECORDNO of a line''s header.';
        ELSIF link IS NULL THEN
            header := NULL;
        ELSE
            header_created := CASE WHEN header = rule.header THEN rule.header_created ELSE 'WHENCREATED' END;
            SELECT mirror_shape.link INTO audit_column
              FROM sage_intacct.mirror_rules() r WHERE r.object = upper(mirror_shape.header) AND r.audit_key = 'RECORDNO';
            audit_object := upper(header);
            audit_columns := ARRAY[link];
        END IF;
    ELSE
        given := coalesce(options ->> 'audit_key', '');
        audit_column := CASE WHEN NOT options ? 'audit_key' THEN
                (SELECT min(c.name) FROM sage_intacct.mirror_columns(source, target) c
                  WHERE upper(c.field) = rule.audit_key AND c.name = ANY (columns))
            WHEN given <> '' THEN sage_intacct.mirror_column_option(columns, options, 'audit_key') END;
        -- Which of its keys the trail names a row by is not known of most objects: both kinds are tried.
        audit_columns := CASE WHEN cardinality(keys) <> 1 OR given = '' AND options ? 'audit_key' THEN '{}' WHEN given <> '' THEN ARRAY[audit_column]
            ELSE ARRAY(SELECT c.name FROM sage_intacct.mirror_columns(source, target) c
                        WHERE c.name = ANY (columns) AND (c.name = ANY (keys) OR upper(c.field) = ANY (sage_intacct.mirror_natural_keys(object)))) END;
        audit_object := CASE WHEN audit_columns <> '{}' THEN upper(object) END;
    END IF;
END
$$;

-- Types that a key may have: those in which equal values are the same value, and print the same.
CREATE FUNCTION sage_intacct.mirror_key_types()
RETURNS oid[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY['int8', 'int4', 'text', 'varchar', 'date', 'timestamptz', 'bool']::regtype[]::oid[]
$$;

-- The name of a relation, whatever the search_path.
CREATE FUNCTION sage_intacct.mirror_qualified(relation regclass)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT relation::text
$$;

-- The column that an option names; null when it is not given.
CREATE FUNCTION sage_intacct.mirror_column_option(columns name[], options jsonb, option text)
RETURNS name
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given text := options ->> option;
BEGIN
    IF given IS NOT NULL AND given <> ALL (columns::text[]) THEN
        RAISE 'option "%" names the column "%", which the mirror does not have', option, given
            USING ERRCODE = 'undefined_column';
    END IF;
    RETURN given;
END
$$;

-- A condition on foreign table columns: created or changed at this point in time or later. Rows that were never changed may
-- have no time of change. Times are written with their offset from UTC, whatever the session's DateStyle.
CREATE FUNCTION sage_intacct.mirror_since(modified name, created name, since timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = iso
AS $$
SELECT CASE
    WHEN since = '-infinity' THEN 'true'
    WHEN created IS NULL THEN format('%I >= %L::timestamptz', modified, since)
    ELSE format('(%1$I >= %3$L::timestamptz OR %1$I IS NULL AND %2$I >= %3$L::timestamptz)', modified, created, since) END
$$;

-- How far behind the watermark to read. Around a change of the clock for daylight saving, a local time may be an hour
-- older than it looks: in the server's zone, or, where none is declared, in that of the clock that the gateway shows.
CREATE FUNCTION sage_intacct.mirror_overlap(m sage_intacct.mirror)
RETURNS interval
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN sage_intacct.mirror_option(m.options, 'overlap')::interval
           + coalesce(sage_intacct.mirror_clock_change(m.source, extract(epoch FROM m.watermark)::bigint), 0) * interval '1 second';
END
$$;

-- The name of a type that reads the same whatever the search_path, without its modifier.
CREATE FUNCTION sage_intacct.mirror_type(type oid)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('%I.%I', n.nspname, t.typname) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type
$$;

-- A condition that shows whether a row of the target (t) differs from one of the page (s) in these columns: in what they
-- print, or, of numbers, in value. It is the same whatever the search_path, and whatever operators a column's type has: two
-- texts that an operator calls equal (citext) may well be different texts.
CREATE FUNCTION sage_intacct.mirror_differs(source regclass, target regclass, columns name[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(%s)::pg_catalog.record',
              string_agg(format(c.value, 't.' || c.name), ', ' ORDER BY c.number),
              string_agg(format(c.value, 's.' || c.name || CASE WHEN c.same THEN '' ELSE '::' || c.type END), ', ' ORDER BY c.number))
  FROM (SELECT w.number, quote_ident(w.name) AS name, t.atttypid = s.atttypid AS same, sage_intacct.mirror_type(t.atttypid) AS type,
               CASE WHEN sage_intacct.mirror_base_type(t.atttypid) = 'numeric'::regtype THEN 'pg_catalog.trim_scale(%s)' ELSE '%s' END AS value
          FROM unnest(columns) WITH ORDINALITY AS w (name, number)
          JOIN pg_attribute t ON t.attrelid = target AND t.attname = w.name AND NOT t.attisdropped
          JOIN pg_attribute s ON s.attrelid = source AND s.attname = w.name AND NOT s.attisdropped) c
$$;

-- The type below a domain.
CREATE FUNCTION sage_intacct.mirror_base_type(type oid)
RETURNS oid
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE below (type, base) AS (
    SELECT t.oid, t.typbasetype FROM pg_type t WHERE t.oid = mirror_base_type.type
    UNION ALL
    SELECT t.oid, t.typbasetype FROM below b JOIN pg_type t ON t.oid = b.base)
SELECT b.type FROM below b WHERE b.base = 0
$$;
