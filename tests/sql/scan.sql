-- Reading: every type, NULLs, text in any script, conditions and orders.

CREATE SCHEMA acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, mca_attendee) FROM SERVER acme INTO acme;
SET search_path = acme;

-- Every type: text, bigint, numeric, boolean, date, timestamptz.
SELECT recordno, customerid, name, creditlimit, onhold, signed_on, whenmodified FROM customer ORDER BY recordno LIMIT 8;
SELECT pg_typeof(recordno), pg_typeof(name), pg_typeof(creditlimit), pg_typeof(onhold), pg_typeof(signed_on),
       pg_typeof(whenmodified) FROM customer LIMIT 1;

-- Text as it is.
SELECT region_code FROM customer GROUP BY region_code ORDER BY region_code COLLATE "C";
SELECT customerid, region_code FROM customer WHERE region_code = 'it''s' ORDER BY recordno LIMIT 2;
SELECT customerid, region_code FROM customer WHERE region_code = 'a & b' ORDER BY recordno LIMIT 2;
SELECT customerid, region_code FROM customer WHERE region_code = 'São Paulo' ORDER BY recordno LIMIT 2;
-- Case matters.
SELECT count(*) FROM customer WHERE region_code = 'SOUTH';

-- NULL and nothing else.
SELECT count(*) AS rows, count(region_code) AS set, count(*) FILTER (WHERE region_code = '') AS empty FROM customer;
SELECT count(*) FROM customer WHERE region_code IS NULL;
SELECT count(*) FROM customer WHERE region_code <> 'north';
SELECT count(*) FROM customer WHERE region_code IS DISTINCT FROM 'north';
SELECT count(*) FROM customer WHERE onhold;
SELECT count(*) FROM customer WHERE NOT onhold;
SELECT count(*) FROM customer WHERE onhold IS NOT TRUE;
SELECT count(*) FROM customer WHERE onhold IS NULL;

-- Numbers and dates.
SELECT count(*), min(totaldue), max(totaldue), sum(totaldue) FROM arinvoice WHERE totaldue > 100.50;
SELECT count(*) FROM arinvoice WHERE totaldue BETWEEN 100 AND 1000 AND whencreated < date '2022-01-01';
SELECT count(*) FROM arinvoice WHERE recordno = ANY (ARRAY[1, 2, 3, 5, 8, 13, 21]::bigint[]);
SELECT count(*) FROM arinvoice WHERE whenmodified >= timestamptz '2024-01-01 00:00:00+00';

-- NULLs where SQL wants them.
SELECT recordno, whenpaid FROM arinvoice WHERE recordno < 40 ORDER BY whenpaid, recordno;
SELECT recordno, whenpaid FROM arinvoice WHERE recordno < 40 ORDER BY whenpaid DESC NULLS LAST, recordno DESC LIMIT 5;
SELECT recordno, whenpaid FROM arinvoice ORDER BY whenpaid DESC, recordno LIMIT 3;
SELECT recordno, totaldue FROM arinvoice ORDER BY totaldue DESC, recordno LIMIT 3 OFFSET 2;

-- Nothing.
SELECT recordno FROM arinvoice WHERE false;
SELECT recordno FROM arinvoice WHERE recordno < 0;
SELECT recordno FROM arinvoice LIMIT 0;
SELECT count(*) FROM arinvoice;

-- A custom object, its key and its fields.
SELECT id, name, badge_no, ticket_price, checked_in, registered_on FROM mca_attendee ORDER BY id LIMIT 3;

-- Many pages are one answer.
ALTER SERVER acme OPTIONS (ADD page_size '7');
SELECT count(*), count(DISTINCT recordno), sum(recordno) FROM customer;
ALTER SERVER acme OPTIONS (DROP page_size);
SELECT count(*), count(DISTINCT recordno), sum(recordno) FROM customer;

-- Cursors read as far as they are asked to.
BEGIN;
DECLARE c CURSOR FOR SELECT recordno, customerid FROM customer ORDER BY recordno;
FETCH 2 FROM c;
MOVE 3 IN c;
FETCH 1 FROM c;
CLOSE c;
COMMIT;
