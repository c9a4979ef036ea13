-- ALTER EXTENSION sage_intacct_fdw UPDATE from 0.1.0.
\echo Type "ALTER EXTENSION sage_intacct_fdw UPDATE" to run this script. \quit
