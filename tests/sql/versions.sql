-- dtd_version 2.1 (get_list) and readByQuery: what is asked, what stays here, and what cannot be had.

DO $$ BEGIN
  EXECUTE format('CREATE SERVER old FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id ''acme'', dtd_version ''2.1'', url %L)',
    (SELECT option_value FROM pg_foreign_server, pg_options_to_table(srvoptions) WHERE srvname = 'acme' AND option_name = 'url'));
END $$;
CREATE USER MAPPING FOR CURRENT_USER SERVER old
  OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
SELECT step, ok, CASE step WHEN 'concurrency' THEN '(measured)' ELSE detail END AS detail FROM sage_intacct.check('old');

CREATE SCHEMA old;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, arinvoiceitem, project, sodocument) FROM SERVER old INTO old;
-- What 2.1 does not have is said, as for any other name.
IMPORT FOREIGN SCHEMA intacct LIMIT TO (glbatch) FROM SERVER old INTO old;
\d old.arinvoice
SELECT attname, attfdwoptions FROM pg_attribute WHERE attrelid = 'old.customer'::regclass AND attname IN ('customerid', 'region_code');
SELECT relname, ftoptions FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid WHERE relnamespace = 'old'::regnamespace ORDER BY 1;

-- Names of 2.1 in the request; between and in are logicals.
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid, totaldue FROM old.arinvoice
  WHERE whencreated BETWEEN '2024-01-01' AND '2024-03-31' AND customerid IN ('C00001', 'C00002') LIMIT 5;
-- Here: enumerations, booleans, negatives, null tests, elements inside of others, ids that rows show as their key.
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordno FROM old.arinvoice WHERE state = 'Paid' AND customerid <> 'x' AND whenpaid IS NULL
  AND billtopaytocontactname = 'x' AND description NOT LIKE 'x%';
EXPLAIN (VERBOSE, COSTS OFF) SELECT name FROM old.project WHERE projectid = 'x' AND invoicewithparent;
EXPLAIN (VERBOSE, COSTS OFF) SELECT amount FROM old.arinvoiceitem WHERE amount > 5;
-- Order, aggregates and joins too.
EXPLAIN (COSTS OFF) SELECT customerid, count(*) FROM old.arinvoice GROUP BY customerid;
EXPLAIN (COSTS OFF) SELECT recordno FROM old.arinvoice ORDER BY recordno LIMIT 3;
EXPLAIN (COSTS OFF) SELECT c.name FROM old.arinvoice i JOIN old.customer c USING (customerid);

SELECT count(*), count(DISTINCT customerid) FROM old.customer;
SELECT count(*) > 0 AS lines, bool_and(recordkey IN (SELECT recordno FROM old.arinvoice)) AS owned FROM old.arinvoiceitem;
SELECT q->>'CUSTOMERID' AS customerid, q ? 'NAME' AS named
  FROM sage_intacct.query('old', 'select * from CUSTOMER where CUSTOMERID = C-00003', 'single') AS q;
SELECT jsonb_array_length(q->'ARINVOICEITEMS') > 0 AS lines
  FROM sage_intacct.query('old', 'select * from ARINVOICE where RECORDNO = ' || (SELECT min(recordkey) FROM old.arinvoiceitem),
                          'single') AS q;
SELECT readable, rows > 0 AS some FROM sage_intacct.objects('old') WHERE name = 'CUSTOMER';
SELECT sage_intacct.disconnect('old');

-- A table of 3.0 works for the columns that 2.1 has.
CREATE FOREIGN TABLE customer (recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text)
  SERVER old OPTIONS (object 'CUSTOMER');
SELECT count(*) FROM customer WHERE customerid LIKE 'C%';
SELECT recordno FROM customer;
CREATE FOREIGN TABLE glbatch (recordno bigint) SERVER old OPTIONS (object 'GLBATCH');
SELECT * FROM glbatch;

-- One table of a 3.0 server.
CREATE FOREIGN TABLE terms (name text OPTIONS (type 'TEXT'), duedate bigint OPTIONS (type 'INTEGER')) SERVER acme
  OPTIONS (object 'ARTERM', function 'get_list');
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM terms WHERE name = 'N30';
SELECT count(*) > 0 AS some FROM terms;

-- readByQuery: codes are not labels, and a backslash cannot be said.
IMPORT FOREIGN SCHEMA intacct LIMIT TO (activitylog) FROM SERVER acme INTO public;
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'activitylog'::regclass;
SELECT count(*) FROM activitylog;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (vendor) FROM SERVER acme INTO public;
ALTER FOREIGN TABLE vendor OPTIONS (ADD function 'readByQuery');
EXPLAIN (VERBOSE, COSTS OFF) SELECT vendorid FROM vendor
  WHERE status = 'active' AND name LIKE 'A%' AND name <> 'x' AND onhold AND creditlimit > 100 AND vendtype IS NULL;
EXPLAIN (VERBOSE, COSTS OFF) SELECT vendorid FROM vendor WHERE name = E'It''s' OR name = E'back\\slash';
PREPARE by_name (text) AS SELECT count(*) FROM vendor WHERE name = $1;
EXECUTE by_name (E'back\\slash');

-- It cannot show private rows, and says so rather than leave them out.
ALTER FOREIGN TABLE vendor OPTIONS (ADD show_private 'on');
ALTER SERVER acme OPTIONS (ADD show_private 'on');
SELECT count(*) FROM vendor;
ALTER FOREIGN TABLE vendor OPTIONS (ADD show_private 'off');
SELECT count(*) > 0 AS some FROM vendor;
