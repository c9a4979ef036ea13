-- What a company has.
\pset format unaligned

-- Objects: which can be read, and how many rows they have.
SELECT name, label, custom, readable, rows FROM sage_intacct.objects('acme')
 WHERE name IN ('CUSTOMER', 'ARINVOICE', 'CONTRACT', 'MCA_attendee', 'GLDETAIL', 'ACTIVITYLOG') ORDER BY name COLLATE "C";
SELECT count(*) = (SELECT count(*) FROM sage_intacct.objects('acme', probe => false)) AS all_of_them, bool_or(readable IS NULL) AS unknown
  FROM sage_intacct.objects('acme');
SELECT name, custom, readable, rows FROM sage_intacct.objects('acme', probe => false) WHERE name = 'MCA_attendee';

-- Fields of an object, whatever the case of its name.
SELECT field, label, data_type, required, read_only, custom, valid_values, relation FROM sage_intacct.describe('acme', 'customer')
 WHERE field IN ('RECORDNO', 'CUSTOMERID', 'TERMNAME', 'Customer_Tier', 'STATUS');
SELECT count(*) > 5 AS described FROM sage_intacct.describe('acme', 'mca_ATTENDEE');
SELECT field FROM sage_intacct.describe('acme', 'AIRINVOICE');

-- Entities that one can sign in at.
SELECT id, name, recordno IS NOT NULL AS numbered, currency FROM sage_intacct.entities('acme');

-- Custom reports are waited for and paged.
SELECT count(*), count(DISTINCT r ->> 'CUSTOMERID') FROM sage_intacct.read_report('acme', 'Customer balances') r;
SELECT r ->> 'CUSTOMERNAME' AS customer, count(*) > 1 AS several FROM sage_intacct.read_report('acme', 'Invoice register',
  '{"ARINVOICE.CUSTOMERID": "C-00002"}') r GROUP BY 1;
ALTER SERVER acme OPTIONS (ADD page_size '40');
SELECT count(*), count(DISTINCT r ->> 'RECORDID') > 250 AS distinct_rows FROM sage_intacct.read_report('acme', 'Invoice register') r;
ALTER SERVER acme OPTIONS (DROP page_size);
\set VERBOSITY verbose
SELECT r FROM sage_intacct.read_report('acme', 'No such report') r;
SELECT r FROM sage_intacct.read_report('acme', 'Broken report') r;
SELECT r FROM sage_intacct.read_report('acme', 'Customer balances', '{"NOT.THERE": 1}') r;
SELECT r FROM sage_intacct.read_report('acme', 'Customer balances', '[1]') r;
SELECT r FROM sage_intacct.read_report('acme', 'Customer balances', '{"a b": 1}') r;
\set VERBOSITY default

-- Tables that are as the company is need nothing.
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arterm, mca_attendee) FROM SERVER acme INTO imported;
SELECT * FROM sage_intacct.schema_diff('imported');
-- As after a change in the company: a field without a column, another type, another label, a field that is gone.
ALTER FOREIGN TABLE imported.arterm DROP COLUMN description;
ALTER FOREIGN TABLE imported.arterm ALTER COLUMN name TYPE bigint, ALTER COLUMN name OPTIONS (SET type 'INTEGER');
ALTER FOREIGN TABLE imported.arterm ALTER COLUMN status OPTIONS (SET label 'Old label');
ALTER FOREIGN TABLE imported.arterm ADD COLUMN lost text OPTIONS (field 'LOST', type 'TEXT');
SELECT * FROM sage_intacct.schema_diff('imported');
SELECT statement FROM sage_intacct.schema_diff('imported') \gexec
SELECT * FROM sage_intacct.schema_diff('imported');
SELECT count(description) > 0 AS readable_again FROM imported.arterm;
SELECT * FROM sage_intacct.schema_diff('nowhere');

-- The right to use the server.
CREATE ROLE stranger_to_discovery;
SET ROLE stranger_to_discovery;
SELECT count(*) FROM sage_intacct.objects('acme');
SELECT count(*) FROM sage_intacct.entities('acme');
SELECT count(*) FROM sage_intacct.read_report('acme', 'Customer balances');
SELECT count(*) FROM sage_intacct.schema_diff('imported');
RESET ROLE;
DROP ROLE stranger_to_discovery;
