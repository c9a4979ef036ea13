-- What the extension consists of: every object that users and upgrades can see. A change here needs an upgrade script.

-- The first call loads the library.
SELECT sage_intacct.version() = extversion AS same_version FROM pg_extension WHERE extname = 'sage_intacct_fdw';
SELECT extversion, extrelocatable, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
 WHERE extname = 'sage_intacct_fdw';

-- The row types of tables and views are members of their own from PostgreSQL 17 on.
SELECT pg_describe_object(classid, objid, 0) COLLATE "C" AS object
  FROM pg_depend
 WHERE deptype = 'e' AND classid <> 'pg_type'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'sage_intacct_fdw')
 ORDER BY object;

-- Results, volatility, strictness, who may execute; without the inner works of mirrors. Unaligned: one more function is one more line.
\pset format unaligned
SELECT proname, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
       provolatile AS volatile, proisstrict AS strict, prosecdef AS definer, proparallel AS parallel, proacl AS privileges
  FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
 WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'sage_intacct_fdw')
   AND proname NOT LIKE 'mirror\_%'
 ORDER BY proname, arguments;
\pset format aligned

-- Any role may look at the schema; the functions themselves ask for USAGE on the server.
SELECT nspname, nspacl FROM pg_namespace WHERE nspname = 'sage_intacct';

-- The session's switches.
SELECT name, setting, vartype, context, short_desc FROM pg_settings WHERE name LIKE 'sage\_intacct.%' ORDER BY name;

-- There is nothing newer to update to, and from every released version there is a way here.
ALTER EXTENSION sage_intacct_fdw UPDATE;
SELECT source FROM pg_extension_update_paths('sage_intacct_fdw') WHERE path IS NULL AND target = sage_intacct.version();

-- It leaves nothing but its schema, empty, as extensions with a fixed schema do.
CREATE SERVER leftover FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme');
DROP EXTENSION sage_intacct_fdw;
DROP EXTENSION sage_intacct_fdw CASCADE;
SELECT count(*) FROM pg_foreign_server;
SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = 'sage_intacct'::regnamespace;
CREATE EXTENSION sage_intacct_fdw;
