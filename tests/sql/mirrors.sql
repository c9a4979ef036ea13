-- Mirrors: making, refreshing, changing, dropping them; what they say and what they refuse.

CREATE SCHEMA acme;
CREATE SCHEMA finance;
SET client_min_messages = warning;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, apbillitem, glaccountbalance) FROM SERVER acme INTO acme;
RESET client_min_messages;
\setenv GATEWAY :gateway

-- A table with the same columns, its key and its comments, loaded and watched.
CALL sage_intacct.create_mirror('acme.customer', 'finance.customer',
     '{"columns": "recordno, customerid, name, totaldue, whencreated, whenmodified", "max_requests_per_run": 50}');
\d finance.customer
SELECT obj_description('finance.customer'::regclass), col_description('finance.customer'::regclass, 2);
SELECT target, source, owner, rows, complete, watermark IS NOT NULL AS watermark, last_outcome, inserted, updated, deleted, requests, last_error,
       next_sweep, options
  FROM sage_intacct.mirrors;

-- What changes at the gateway arrives, and nothing else is written.
\! ../demo/change acme '[{"update": {"object": "CUSTOMER", "keys": [1], "values": {"NAME": "Renamed"}}}, {"delete": {"object": "CUSTOMER", "keys": [8]}}, {"insert": {"object": "CUSTOMER", "values": {"CUSTOMERID": "NEW", "NAME": "New"}}}]'
SELECT recordno, name, xmax FROM finance.customer WHERE recordno IN (1, 8) ORDER BY recordno;
CALL sage_intacct.refresh_mirror('finance.customer');
SELECT recordno, name FROM finance.customer WHERE recordno IN (1, 8) OR customerid = 'NEW' ORDER BY recordno;
CALL sage_intacct.refresh_mirror('finance.customer', full => true);
CALL sage_intacct.refresh_mirrors('finance');
SELECT target, outcome, inserted, updated, deleted, requests FROM sage_intacct.mirror_runs ORDER BY started;

-- Lines have an index by their header.
CALL sage_intacct.create_mirror('acme.apbillitem', 'finance.apbillitem', '{"load": false, "columns": "recordkey, line_no, amount"}');
\d finance.apbillitem
SELECT target, rows, last_outcome FROM sage_intacct.mirrors ORDER BY target::text;
CALL sage_intacct.refresh_mirror('finance.apbillitem');
SELECT target, rows, complete, last_outcome FROM sage_intacct.mirrors ORDER BY target::text;

-- It commits page by page: not in a transaction, not in a function; a DO block by itself is neither.
\set SHOW_CONTEXT never
BEGIN;
CALL sage_intacct.refresh_mirror('finance.customer');
ROLLBACK;
BEGIN;
CALL sage_intacct.create_mirror('acme.customer', 'finance.other');
ROLLBACK;
DO $$ BEGIN CALL sage_intacct.refresh_mirrors('finance'); END $$;
CREATE FUNCTION refresh() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL sage_intacct.refresh_mirror('finance.customer'); END $$;
SELECT refresh();

-- Mistakes.
CALL sage_intacct.create_mirror('acme.customer', 'finance.customer');
CALL sage_intacct.create_mirror('acme.customer', 'nowhere.customer');
CALL sage_intacct.create_mirror('finance.customer', 'finance.other');
CREATE FOREIGN TABLE acme.nameless (name text OPTIONS (type 'TEXT'), creditlimit numeric OPTIONS (type 'CURRENCY')) SERVER acme OPTIONS (object 'CUSTOMER');
CALL sage_intacct.create_mirror('acme.nameless', 'finance.other');
CALL sage_intacct.create_mirror('acme.nameless', 'finance.other', '{"key": "creditlimit"}');
CALL sage_intacct.create_mirror('acme.nameless', 'finance.other', '{"key": "nonsense"}');
CALL sage_intacct.create_mirror('acme.glaccountbalance', 'finance.other', '{"period": "endbal"}');
CALL sage_intacct.create_mirror('acme.glaccountbalance', 'finance.other', '{"period_length": "decade"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"overlapp": "1 hour"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"overlap": "soon"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"overlap": "-1 hour"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"on_drift": "panic"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"page_rows": 0}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"rescan": "30 days", "rescan_columns": "totaldue"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"columns": "recordno, nonsense"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"modified": "nonsense"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '{"distribute_by": "customerid"}');
CALL sage_intacct.create_mirror('acme.customer', 'finance.other', '["overlap"]');
SELECT to_regclass('finance.other'), count(*) FROM sage_intacct.mirror;
CREATE TABLE finance.plain (recordno bigint, name text);
CREATE TABLE finance.different (recordno bigint PRIMARY KEY, name varchar(10));
CALL sage_intacct.create_mirror('acme.customer', 'finance.plain');
CALL sage_intacct.create_mirror('acme.customer', 'finance.different');
CALL sage_intacct.refresh_mirror('finance.plain');
CALL sage_intacct.refresh_mirrors('nowhere');

-- Options.
CALL sage_intacct.alter_mirror('finance.customer', '{"overlap": "20 minutes", "max_requests_per_run": null}');
CALL sage_intacct.alter_mirror('finance.customer', '{"columns": "name"}');
CALL sage_intacct.alter_mirror('finance.customer', '{"overlap": "often"}');
SELECT options FROM sage_intacct.mirrors WHERE target = 'finance.customer'::regclass;

-- A failed refresh tells why, and the others go on.
ALTER FOREIGN TABLE acme.customer OPTIONS (SET object 'NOSUCHOBJECT');
CALL sage_intacct.refresh_mirrors('finance');
SELECT target, last_outcome, last_error FROM sage_intacct.mirrors ORDER BY target::text;
ALTER FOREIGN TABLE acme.customer OPTIONS (SET object 'CUSTOMER');
CALL sage_intacct.refresh_mirrors('finance');

-- A table that was there stays there; one that was made goes, unless it is to be kept.
TRUNCATE finance.different;
ALTER TABLE finance.different ALTER name TYPE text;
CALL sage_intacct.create_mirror('acme.customer', 'finance.different');
SELECT count(*) = (SELECT count(*) FROM acme.customer) AS same FROM finance.different;
CALL sage_intacct.drop_mirror('finance.different');
CALL sage_intacct.drop_mirror('finance.customer', keep => true);
CALL sage_intacct.drop_mirror('finance.apbillitem');
CALL sage_intacct.drop_mirror('finance.apbillitem');
SELECT relname FROM pg_class WHERE relnamespace = 'finance'::regnamespace AND relkind = 'r' ORDER BY relname;
SELECT count(*) FROM sage_intacct.mirror;

-- A table that has rows already is compared with the gateway.
UPDATE finance.customer SET name = 'wrong' WHERE recordno = 1;
DELETE FROM finance.customer WHERE recordno = 6;
INSERT INTO finance.customer (recordno) VALUES (-5), (7);
CALL sage_intacct.create_mirror('acme.customer', 'finance.customer');
SELECT last_outcome, inserted, updated, deleted FROM sage_intacct.mirrors;
SELECT name FROM finance.customer WHERE recordno = 1;

-- The options there are.
SELECT * FROM sage_intacct.mirror_options();
