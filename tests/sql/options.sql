-- Options: each belongs to one level, has a type and a range; a mistake is answered with what would be right.

-- Required options.
CREATE SERVER s1 FOREIGN DATA WRAPPER sage_intacct_fdw;
CREATE SERVER s1 FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id '');

-- An option that does not exist, or not here: the answer lists those that do.
CREATE SERVER s1 FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', company 'acme');
CREATE SERVER s1 FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', user_id 'me');
CREATE SERVER s1 FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', pagesize '10');
ALTER FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme');

-- Every server option with a value that is allowed.
CREATE SERVER s1 FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (
  company_id 'acme', url 'https://api.intacct.com/ia/xml/xmlgw.phtml', dtd_version '3.0',
  location_id 'E1', client_id 'C1', page_size '500', max_concurrency '4', request_timeout '60',
  connect_timeout '5', max_retries '0', time_zone 'America/Los_Angeles', ordering 'binary',
  push_where 'on', push_order 'off', push_limit 'true', push_aggregates 'false', push_joins 'yes',
  push_left_joins 'off', show_private 'on', verify_aggregates 'off', updatable 'off',
  write_mode 'on_commit', batch_size '50', async_capable 'off', use_remote_estimate 'on',
  fdw_startup_cost '200', fdw_tuple_cost '0.5');
SELECT unnest(srvoptions) AS option FROM pg_foreign_server WHERE srvname = 's1';

-- Wrong values.
ALTER SERVER s1 OPTIONS (SET dtd_version '4.0');
ALTER SERVER s1 OPTIONS (SET page_size '0');
ALTER SERVER s1 OPTIONS (SET page_size '2001');
ALTER SERVER s1 OPTIONS (SET page_size 'many');
ALTER SERVER s1 OPTIONS (SET page_size '');
ALTER SERVER s1 OPTIONS (SET max_concurrency '0');
ALTER SERVER s1 OPTIONS (SET request_timeout '-1');
ALTER SERVER s1 OPTIONS (SET max_retries '1.5');
ALTER SERVER s1 OPTIONS (SET time_zone 'Europe/Atlantis');
ALTER SERVER s1 OPTIONS (SET ordering 'linguistic');
ALTER SERVER s1 OPTIONS (SET push_where 'maybe');
ALTER SERVER s1 OPTIONS (SET write_mode 'later');
ALTER SERVER s1 OPTIONS (SET batch_size '101');
ALTER SERVER s1 OPTIONS (SET fdw_tuple_cost '-1');
ALTER SERVER s1 OPTIONS (SET fdw_tuple_cost 'NaN');
ALTER SERVER s1 OPTIONS (SET url 'ftp://api.intacct.com/');
ALTER SERVER s1 OPTIONS (SET url 'nonsense');
-- Credentials travel over TLS; plain HTTP is for this machine alone.
ALTER SERVER s1 OPTIONS (SET url 'http://api.intacct.com/ia/xml/xmlgw.phtml');
ALTER SERVER s1 OPTIONS (SET url 'http://localhost.example.com/');
ALTER SERVER s1 OPTIONS (SET url 'http://127.0.0.1@example.com/');
ALTER SERVER s1 OPTIONS (SET url 'http://127.0.0.1:8080/xmlgw');
ALTER SERVER s1 OPTIONS (SET url 'http://[::1]:8080/xmlgw');
ALTER SERVER s1 OPTIONS (SET url 'http://localhost:8080/xmlgw');
ALTER SERVER s1 OPTIONS (ADD ca_file '/nowhere/ca.pem');
ALTER SERVER s1 OPTIONS (DROP company_id);

-- User mapping options. The values of credentials never appear in a message.
CREATE USER MAPPING FOR CURRENT_USER SERVER s1 OPTIONS (user_id 'me', passwort 'hush-hush');
CREATE USER MAPPING FOR CURRENT_USER SERVER s1 OPTIONS (company_id 'acme');
CREATE USER MAPPING FOR CURRENT_USER SERVER s1
  OPTIONS (user_id 'me', password 'hush-hush', password_file '/tmp/x', sender_id 'us', sender_password 'hush-hush');
CREATE USER MAPPING FOR CURRENT_USER SERVER s1
  OPTIONS (user_id 'me', password 'hush-hush', sender_id 'us', sender_password 'hush-hush', location_id 'E2');

-- What is missing is said when it is needed: a mapping may be made in steps.
DROP USER MAPPING FOR CURRENT_USER SERVER s1;
CREATE USER MAPPING FOR CURRENT_USER SERVER s1 OPTIONS (user_id 'me');
SELECT step, ok, detail, hint FROM sage_intacct.check('s1') WHERE NOT ok;

-- Files of the server are for roles that may read them.
CREATE ROLE options_reader;
GRANT USAGE ON FOREIGN SERVER s1 TO options_reader;
SET ROLE options_reader;
CREATE USER MAPPING FOR CURRENT_USER SERVER s1
  OPTIONS (user_id 'me', password_file '/etc/passwd', sender_id 'us', sender_password 'hush-hush');
RESET ROLE;
GRANT pg_read_server_files TO options_reader;
SET ROLE options_reader;
CREATE USER MAPPING FOR CURRENT_USER SERVER s1
  OPTIONS (user_id 'me', password_file '/etc/passwd', sender_id 'us', sender_password 'hush-hush');
DROP USER MAPPING FOR CURRENT_USER SERVER s1;
RESET ROLE;

-- Foreign table and column options.
CREATE FOREIGN TABLE t1 (a text) SERVER s1 OPTIONS (objekt 'CUSTOMER');
CREATE FOREIGN TABLE t1 (a text) SERVER s1 OPTIONS (company_id 'acme');
CREATE FOREIGN TABLE t1 (a text) SERVER s1 OPTIONS (function 'read');
CREATE FOREIGN TABLE t1 (a text) SERVER s1 OPTIONS (filter 'customerid');
CREATE FOREIGN TABLE t1 (a text) SERVER s1 OPTIONS (page_size '5000');
CREATE FOREIGN TABLE t1 (a text OPTIONS (feld 'NAME')) SERVER s1;
CREATE FOREIGN TABLE t1 (a text OPTIONS (field '')) SERVER s1;
CREATE FOREIGN TABLE t1 (a text OPTIONS (key 'perhaps')) SERVER s1;
CREATE FOREIGN TABLE t1 (a text OPTIONS (type 'VARCHAR2')) SERVER s1;
CREATE FOREIGN TABLE t1 (a text OPTIONS ("references" 'CUSTOMER')) SERVER s1;
CREATE FOREIGN TABLE t1 (
  a bigint OPTIONS (field 'RECORDNO', type 'INTEGER', key 'true', label 'Record number', read_only 'true') NOT NULL,
  b text OPTIONS (field 'CUSTOMERID', type 'TEXT', required 'true', "references" 'CUSTOMER=CUSTOMER(CUSTOMERID)'),
  c text OPTIONS (constant 'acme'))
SERVER s1 OPTIONS (object 'ARINVOICE', filter 'TOTALDUE > 0', row_key 'RECORDNO', show_private 'on',
  page_size '100', updatable 'off', batch_size '10', async_capable 'on', use_remote_estimate 'off', function 'query');
SELECT unnest(ftoptions) AS option FROM pg_foreign_table WHERE ftrelid = 't1'::regclass;

DROP OWNED BY options_reader;
DROP ROLE options_reader;
