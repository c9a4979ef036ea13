-- One table over several companies: a partition for each, with the company as a constant column.
CREATE SERVER globex FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'globex', url :'gateway');
CREATE USER MAPPING FOR CURRENT_USER SERVER globex
  OPTIONS (user_id 'apiuser', password 'secret2', sender_id 'sender1', sender_password 'senderpw');
CREATE SCHEMA acme;
CREATE SCHEMA globex;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER globex INTO globex;
ALTER FOREIGN TABLE acme.customer   ADD COLUMN company text OPTIONS (constant 'acme')   NOT NULL;
ALTER FOREIGN TABLE globex.customer ADD COLUMN company text OPTIONS (constant 'globex') NOT NULL;
CREATE TABLE customer_all (LIKE acme.customer) PARTITION BY LIST (company);
ALTER TABLE customer_all ATTACH PARTITION acme.customer   FOR VALUES IN ('acme');
ALTER TABLE customer_all ATTACH PARTITION globex.customer FOR VALUES IN ('globex');

-- All companies are asked at the same time.
EXPLAIN (COSTS OFF) SELECT company, customerid FROM customer_all WHERE creditlimit > 90000;
SELECT company, count(*) > 0 AS some, min(customerid), bool_and(creditlimit > 90000) AS all_above
  FROM customer_all WHERE creditlimit > 90000 GROUP BY company ORDER BY company;

-- One company: the other is not asked, and the condition on the company keeps nothing from the gateway.
EXPLAIN (COSTS OFF) SELECT customerid FROM customer_all WHERE company = 'acme' AND creditlimit > 90000;
EXPLAIN (COSTS OFF)
SELECT customerid FROM customer_all WHERE company = 'acme' AND creditlimit > 90000 ORDER BY recordno OFFSET 1 LIMIT 2;
EXPLAIN (COSTS OFF) SELECT customerid FROM customer_all WHERE company = 'initech';
SELECT company, recordno FROM customer_all WHERE company = 'globex' AND recordno IN (1, 2, 3) ORDER BY recordno LIMIT 1;

-- The same of one foreign table by itself.
EXPLAIN (COSTS OFF) SELECT count(*) FROM acme.customer WHERE company = 'acme' AND creditlimit > 90000;
EXPLAIN (COSTS OFF) SELECT recordno FROM acme.customer WHERE company IN ('acme', 'initech') AND company IS NOT NULL OFFSET 3;
EXPLAIN (COSTS OFF) SELECT recordno FROM acme.customer WHERE company <> 'acme';
EXPLAIN (COSTS OFF) SELECT recordno FROM acme.customer WHERE company IS NULL;
EXPLAIN (COSTS OFF) SELECT recordno FROM acme.customer WHERE company = 'initech' OR creditlimit > 90000;
EXPLAIN (COSTS OFF) SELECT recordno FROM acme.customer WHERE upper(company) = 'ACME';
SELECT (SELECT count(*) FROM acme.customer WHERE upper(company) = 'ACME')
     = (SELECT count(*) FROM acme.customer WHERE company = 'acme') AS same;

-- Joins within each company: its constant is a key of the join, and is filled in.
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER acme INTO acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER globex INTO globex;
ALTER FOREIGN TABLE acme.arinvoice   ADD COLUMN company text OPTIONS (constant 'acme')   NOT NULL;
ALTER FOREIGN TABLE globex.arinvoice ADD COLUMN company text OPTIONS (constant 'globex') NOT NULL;
CREATE TABLE arinvoice_all (LIKE acme.arinvoice) PARTITION BY LIST (company);
ALTER TABLE arinvoice_all ATTACH PARTITION acme.arinvoice   FOR VALUES IN ('acme');
ALTER TABLE arinvoice_all ATTACH PARTITION globex.arinvoice FOR VALUES IN ('globex');
SET enable_partitionwise_join = on;
EXPLAIN (COSTS OFF, VERBOSE)
SELECT i.company, i.recordid, c.name FROM arinvoice_all i JOIN customer_all c USING (company, customerid) WHERE c.creditlimit > 90000;
EXPLAIN (COSTS OFF)
SELECT i.recordno, c.name FROM arinvoice_all i JOIN customer_all c USING (company, customerid) ORDER BY i.recordno LIMIT 3;
EXPLAIN (COSTS OFF)
SELECT i.recordid FROM arinvoice_all i WHERE EXISTS (SELECT FROM customer_all c WHERE c.company = i.company AND c.customerid = i.customerid);
SELECT i.company, i.recordno, c.company = i.company AS own FROM arinvoice_all i JOIN customer_all c USING (company, customerid)
  ORDER BY i.recordno, i.company LIMIT 3;
SET enable_partitionwise_aggregate = on;
EXPLAIN (COSTS OFF)
SELECT c.company, c.status, count(*) FROM arinvoice_all i JOIN customer_all c USING (company, customerid) GROUP BY c.company, c.status;
RESET enable_partitionwise_join;
RESET enable_partitionwise_aggregate;
DROP TABLE arinvoice_all;

-- Constants of other types; a table of nothing else still has its rows.
CREATE FOREIGN TABLE typed (
  b boolean OPTIONS (constant 'yes'), n numeric(6, 2) OPTIONS (constant '12.5'), i integer OPTIONS (constant '7'),
  v varchar(10) OPTIONS (constant 'acme'), c char(6) OPTIONS (constant 'ab'), d date OPTIONS (constant '2024-02-29'))
  SERVER acme OPTIONS (object 'CUSTOMER');
SELECT DISTINCT * FROM typed;
SELECT count(*) = (SELECT count(*) FROM acme.customer) AS all_of_them FROM typed;
EXPLAIN (COSTS OFF) SELECT 1 FROM typed WHERE b AND n = 12.50 AND i < 8 AND v = 'acme' AND c = 'ab';
EXPLAIN (COSTS OFF) SELECT 1 FROM typed WHERE i > 7;
EXPLAIN (COSTS OFF) SELECT 1 FROM typed WHERE d = '2024-02-29';
SELECT count(*) FROM typed WHERE NOT b OR n > 13 OR v = 'globex' OR c <> 'ab';

-- A plan that is kept follows a change of the constant.
PREPARE of_company AS SELECT count(*) > 0 AS some FROM acme.customer WHERE company = 'acme';
EXECUTE of_company;
ALTER FOREIGN TABLE acme.customer ALTER COLUMN company OPTIONS (SET constant 'acme2');
EXECUTE of_company;
ALTER FOREIGN TABLE acme.customer ALTER COLUMN company OPTIONS (SET constant 'acme');

-- A value that its type does not take is an error.
ALTER FOREIGN TABLE typed ALTER COLUMN i OPTIONS (SET constant 'seven');
SELECT i FROM typed LIMIT 1;

-- Rows are written through the parent: the company says where, and is not sent.
INSERT INTO customer_all (company, customerid, name) VALUES ('acme', 'N-1', 'one'), ('globex', 'N-1', 'uno'), ('acme', 'N-2', 'two')
  RETURNING company, customerid, name;
INSERT INTO acme.customer (customerid, name) VALUES ('M-4', 'four') RETURNING company;
COPY customer_all (customerid, company, name) FROM stdin;
N-3	globex	tres
N-4	acme	four
\.
INSERT INTO acme.customer (customerid, company, name) SELECT 'N-' || i, 'acme', 'many' FROM generate_series(5, 7) i;
SELECT company, customerid, name FROM customer_all WHERE customerid LIKE 'N-%' ORDER BY 1, 2;
SELECT * FROM sage_intacct.upsert('acme.customer', '[{"customerid": "N-1", "company": "acme", "name": "first"}, {"customerid": "N-8", "company": "acme", "name": "eight"}]');
UPDATE customer_all SET company = 'acme', name = 'second' WHERE company = 'acme' AND customerid = 'N-2';
UPDATE customer_all SET company = lower('GLOBEX') WHERE company = 'globex' AND customerid = 'N-3' RETURNING company, customerid, name;
SELECT company, customerid, name FROM customer_all WHERE customerid IN ('N-1', 'N-2', 'N-3', 'N-8') ORDER BY 1, 2;

-- Another company is refused, before anything of the row is sent.
INSERT INTO acme.customer (customerid, company, name) VALUES ('N-9', 'globex', 'nine');
INSERT INTO customer_all (customerid, company, name) VALUES ('N-9', 'initech', 'nine');
SELECT * FROM sage_intacct.upsert('acme.customer', '{"customerid": "N-9", "company": "globex", "name": "nine"}');
COPY acme.customer (customerid, company, name) FROM stdin;
N-9	globex	nine
\.
SELECT company, customerid, name FROM customer_all WHERE customerid IN ('N-2', 'N-9') ORDER BY 1, 2;

-- Values are compared as their types compare them.
CREATE FOREIGN TABLE other (recordno bigint, customerid text, name text, b boolean OPTIONS (constant 'yes'), n numeric OPTIONS (constant '12.5'),
  c char(6) OPTIONS (constant 'ab'), d date OPTIONS (constant '2024-02-29'), j json OPTIONS (constant '{"a": 1}'))
  SERVER acme OPTIONS (object 'CUSTOMER');
INSERT INTO other (customerid, name, b, n, c, d, j) VALUES ('O-1', 'one', true, 12.500, 'ab', 'Feb 29 2024', '{"a": 1}');
INSERT INTO other (customerid, name, n) VALUES ('O-2', 'two', 12.51);
INSERT INTO other (customerid, name, b) VALUES ('O-2', 'two', false);
UPDATE other SET n = n, d = d, name = 'uno' WHERE customerid = 'O-1';
UPDATE other SET d = d + 1 WHERE customerid = 'O-1';
UPDATE other SET n = NULL WHERE customerid = 'O-1';
SELECT customerid, name FROM other WHERE customerid LIKE 'O-%' ORDER BY 1;
