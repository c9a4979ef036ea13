-- Every object of the extension with all that a later version could change, a line each; sorted, so that two databases can
-- be compared. The order of a table's columns counts: ALTER TABLE adds at the end.
WITH members AS (
    SELECT classid, objid, pg_describe_object(classid, objid, 0) AS name
      FROM pg_depend
     WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
       AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'sage_intacct_fdw')
), details AS (
    SELECT name, concat_ws(' | ', CASE WHEN prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(oid) END, proacl) AS detail
      FROM members JOIN pg_proc ON oid = objid WHERE classid = 'pg_proc'::regclass
    UNION ALL
    SELECT name, concat_ws(' | ', relkind, relpersistence, reloptions, relacl, relrowsecurity,
                           CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) END)
      FROM members JOIN pg_class ON oid = objid WHERE classid = 'pg_class'::regclass
    UNION ALL
    SELECT name, concat_ws(' | ', 'column', row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attname,
                           format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attacl,
                           pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
      FROM members JOIN pg_attribute ON attrelid = objid AND attnum > 0 AND NOT attisdropped
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE classid = 'pg_class'::regclass
    UNION ALL
    SELECT name, concat_ws(' | ', conname, pg_get_constraintdef(c.oid))
      FROM members JOIN pg_constraint c ON conrelid = objid OR contypid = objid
    UNION ALL
    SELECT name, pg_get_indexdef(indexrelid)
      FROM members JOIN pg_index ON indrelid = objid WHERE classid = 'pg_class'::regclass
    UNION ALL
    SELECT name, concat_ws(' | ', pg_get_triggerdef(t.oid), tgenabled)
      FROM members JOIN pg_trigger t ON tgrelid = objid AND NOT tgisinternal WHERE classid = 'pg_class'::regclass
    UNION ALL
    SELECT name, pg_get_ruledef(r.oid)
      FROM members JOIN pg_rewrite r ON ev_class = objid WHERE classid = 'pg_class'::regclass
    UNION ALL
    SELECT name, concat_ws(' | ', typtype, format_type(typbasetype, typtypmod), typdefault, typacl,
                           (SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
      FROM members JOIN pg_type t ON t.oid = objid WHERE classid = 'pg_type'::regclass
    UNION ALL
    SELECT name, concat_ws(' | ', evtevent, evtfoid::regproc, evtenabled, evttags)
      FROM members JOIN pg_event_trigger ON oid = objid WHERE classid = 'pg_event_trigger'::regclass
    UNION ALL
    SELECT name, concat_ws(' | ', fdwhandler::regproc, fdwvalidator::regproc, fdwoptions, fdwacl)
      FROM members JOIN pg_foreign_data_wrapper ON oid = objid WHERE classid = 'pg_foreign_data_wrapper'::regclass
    UNION ALL
    SELECT name, 'comment ' || obj_description(objid, classid::regclass::text::name)
      FROM members WHERE obj_description(objid, classid::regclass::text::name) IS NOT NULL
    UNION ALL
    SELECT name, '' FROM members
    UNION ALL
    SELECT 'configuration ' || configured::regclass, condition
      FROM pg_extension, unnest(extconfig, extcondition) AS u(configured, condition) WHERE extname = 'sage_intacct_fdw'
    UNION ALL
    SELECT 'schema', nspacl::text FROM pg_namespace WHERE nspname = 'sage_intacct'
)
SELECT concat(name, ': ', detail) FROM details ORDER BY 1
