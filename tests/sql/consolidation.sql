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
