-- What tools show of a column is its comment, and IMPORT FOREIGN SCHEMA cannot write any: an event trigger does, with the rights
-- of who imports. It looks at no other command, so that a restore does not meet it, and never makes an import fail.
CREATE FUNCTION sage_intacct.comment_imported()
RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sage_intacct.apply_table_comments(c.objid)
       FROM pg_event_trigger_ddl_commands() c
       JOIN pg_foreign_table t ON t.ftrelid = c.objid
       JOIN pg_foreign_server s ON s.oid = t.ftserver
       JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
       JOIN pg_proc h ON h.oid = w.fdwhandler AND h.proname = 'sage_intacct_fdw_handler'
      WHERE c.classid = 'pg_class'::regclass AND c.command_tag = 'CREATE FOREIGN TABLE';
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'labels did not become comments: %', SQLERRM USING ERRCODE = SQLSTATE,
        HINT = 'SELECT sage_intacct.apply_comments(''schema'') writes them.';
END
$$;

CREATE EVENT TRIGGER sage_intacct_fdw_comments ON ddl_command_end
    WHEN TAG IN ('IMPORT FOREIGN SCHEMA')
    EXECUTE FUNCTION sage_intacct.comment_imported();
