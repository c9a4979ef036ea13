-- Whose mirror it is, and whose code a refresh would run.

-- Whether a table that is there can be a mirror: a table of one's own, ordinary or partitioned, whose columns have the types of
-- those of the foreign table, and in which a key stands once.
CREATE FUNCTION sage_intacct.mirror_adopt(foreign_table regclass, target regclass, options jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shape record;
    other name;
    wanted name[];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = target AND relkind IN ('r', 'p')) THEN
        RAISE '% is not a table', target USING ERRCODE = 'wrong_object_type';
    END IF;
    PERFORM sage_intacct.mirror_check_target(target);
    SELECT c.name INTO other FROM sage_intacct.mirror_columns(foreign_table, target) c WHERE NOT c.same_type;
    IF FOUND THEN
        RAISE 'column "%" of % has another type than that of %', other, target, foreign_table USING ERRCODE = 'datatype_mismatch';
    END IF;
    SELECT * INTO shape FROM sage_intacct.mirror_shape(foreign_table, target, options, '{}');
    PERFORM sage_intacct.mirror_check_distribution(target, options, array_remove(ARRAY[(options ->> 'company')::name], NULL) || shape.keys, shape.columns);
    wanted := array_remove(ARRAY[(options ->> 'company')::name], NULL) || shape.keys;
    IF shape.keys <> '{}' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = target AND i.indisunique
                      AND i.indkey::smallint[] @> ARRAY(SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = target AND a.attname = ANY (wanted))) THEN
        RAISE '% has no unique index with column "%"', target, array_to_string(wanted, '", "') USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A primary key of it, and of the partition key of a partitioned table, makes refreshes fast.';
    END IF;
END
$$;

-- Raises if a refresh by the current user would run another role's code: the triggers, defaults, constraints and index
-- expressions of a table run with the rights of the role that writes to it. So the target, its partitions, and the tables to
-- which a foreign key carries its changes on, belong to the role that refreshes. Locks the target, so that it stays so until
-- the transaction ends.
CREATE FUNCTION sage_intacct.mirror_check_target(target regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other record;
BEGIN
    FOR other IN SELECT l.relation::regclass AS relation FROM sage_intacct.mirror_lock_target(target) l LOOP
        RAISE 'table % belongs to role %, not to the owner of the mirror', other.relation,
                (SELECT relowner::regrole FROM pg_class WHERE oid = other.relation) USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Its triggers would run with the rights of role %I, which refreshes the mirror.', current_user),
            HINT = 'Give the table to the owner of the mirror, or end the mirror with drop_mirror(target, keep => true) and create it, and run its jobs, as the owner of the table.';
    END LOOP;
    WITH RECURSIVE reached (relation) AS (
        SELECT target::oid
        UNION
        SELECT n.relation FROM reached r JOIN (
            SELECT inhparent AS parent, inhrelid AS relation FROM pg_inherits
            UNION ALL
            SELECT confrelid, conrelid FROM pg_constraint
             WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))) n ON n.parent = r.relation)
    SELECT c.oid::regclass AS relation, c.relowner::regrole AS owner INTO other
      FROM reached r JOIN pg_class c ON c.oid = r.relation
     WHERE c.relowner <> quote_ident(current_user)::regrole
       AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
     LIMIT 1;
    IF FOUND THEN
        RAISE 'a foreign key changes table %, which belongs to role %, with %', other.relation, other.owner, target
            USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Its triggers would run with the rights of role %I, which refreshes the mirror.', current_user),
            HINT = 'A foreign key without ON DELETE and ON UPDATE actions, or a table of the mirror''s owner, can be refreshed.';
    END IF;
END
$$;

-- Raises if reading a foreign table would run another role's code. Generated columns are computed with the rights of the role
-- that reads, calls in check constraints and statistics are evaluated when it plans, the constraints of a domain are checked
-- as rows are read; they can be added to a domain at any time, and no lock stands in their way. Superusers are trusted.
CREATE FUNCTION sage_intacct.mirror_check_source(source regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other record;
    code text := sage_intacct.mirror_lock_source(source);
BEGIN
    IF code IS NOT NULL THEN
        RAISE 'foreign table % has % and belongs to role %', source, code, (SELECT relowner::regrole FROM pg_class WHERE oid = source)
            USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Their expressions would run with the rights of role %I, which refreshes the mirror.', current_user),
            HINT = 'A foreign table without them, or one of the mirror''s owner, can be mirrored.';
    END IF;
    WITH RECURSIVE used (number, type) AS (
        SELECT attnum, atttypid FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped
        UNION
        SELECT u.number, n.type FROM used u JOIN pg_type t ON t.oid = u.type
         CROSS JOIN LATERAL (
                SELECT t.typbasetype UNION ALL SELECT t.typelem
                UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
                UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) n (type)
         WHERE n.type <> 0)
    SELECT a.attname AS column, t.oid::regtype AS type, t.typowner::regrole AS owner INTO other
      FROM used u JOIN pg_type t ON t.oid = u.type JOIN pg_roles o ON o.oid = t.typowner
      JOIN pg_attribute a ON a.attrelid = source AND a.attnum = u.number
     WHERE t.typtype = 'd' AND NOT o.rolsuper AND t.typowner <> quote_ident(current_user)::regrole
     LIMIT 1;
    IF FOUND THEN
        RAISE 'column "%" of % has the domain %, which belongs to role %', other.column, source, other.type, other.owner
            USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Its constraints would run with the rights of role %I, which refreshes the mirror.', current_user),
            HINT = 'The domain can be given to the owner of the mirror, or the column can have the type below it.';
    END IF;
END
$$;

-- The mirror with this target, as its owner sees it.
CREATE FUNCTION sage_intacct.mirror_of(target regclass, company text DEFAULT NULL)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror := sage_intacct.mirror_known(target, company);
BEGIN
    IF m.owner <> quote_ident(current_user)::regrole THEN
        RAISE 'mirror % belongs to role %', target, m.owner USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'It is refreshed with its owner''s user mapping, and its owner''s triggers run with the rights of the role that refreshes it.',
            HINT = format('Connect as role %s, or let the job run as it.', m.owner);
    END IF;
    RETURN m;
END
$$;

-- The mirror with this target, as its owner and the members of its owner see it.
CREATE FUNCTION sage_intacct.mirror_known(target regclass, company text DEFAULT NULL)
RETURNS sage_intacct.mirror
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m sage_intacct.mirror;
BEGIN
    SELECT r.* INTO m FROM sage_intacct.mirror r WHERE r.target = mirror_known.target AND r.company = coalesce(mirror_known.company, r.company)
     ORDER BY r.company LIMIT 1;
    IF company IS NULL AND EXISTS (SELECT FROM sage_intacct.mirror r WHERE r.target = mirror_known.target AND r.id <> m.id) THEN
        RAISE '% is a mirror of several companies', target USING ERRCODE = 'ambiguous_parameter',
            HINT = format('Name one, like company => %L. refresh_mirrors(schema) refreshes all.', m.company);
    ELSIF company <> '' AND m.id IS NULL THEN
        RAISE '% is not a mirror of yours of company "%"', target, company USING ERRCODE = 'undefined_object',
            HINT = 'SELECT target, company, owner FROM sage_intacct.mirrors shows the mirrors that you may read.';
    ELSIF m.id IS NULL THEN
        RAISE '% is not a mirror of yours', target USING ERRCODE = 'undefined_object',
            HINT = 'SELECT target, owner FROM sage_intacct.mirrors shows the mirrors that you may read.';
    END IF;
    RETURN m;
END
$$;
