-- Scans that run again: with another parameter, or with the same.

CREATE SCHEMA acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO acme;
SET search_path = acme;
CREATE TEMP TABLE wanted (id text, n int);
INSERT INTO wanted VALUES ('C-00001', 2), ('C-00003', 1), (NULL, 5), ('C-00001', 1), ('none', 3);

-- A parameterised scan for each row outside.
SELECT w.id, w.n, i.recordno
  FROM wanted w CROSS JOIN LATERAL (
    SELECT recordno FROM arinvoice WHERE customerid = w.id ORDER BY recordno LIMIT w.n) i
 ORDER BY w.id, w.n, i.recordno;

-- The same with everything kept here.
SET sage_intacct.push_where = off;
SELECT w.id, w.n, i.recordno
  FROM wanted w CROSS JOIN LATERAL (
    SELECT recordno FROM arinvoice WHERE customerid = w.id ORDER BY recordno LIMIT w.n) i
 ORDER BY w.id, w.n, i.recordno;
RESET sage_intacct.push_where;

-- A nested loop whose inner side is the foreign table, with and without a parameter.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT w.id, count(i.recordno) FROM wanted w LEFT JOIN arinvoice i ON i.customerid = w.id GROUP BY w.id ORDER BY w.id;
SET enable_material = off;
SELECT w.n, count(*) FROM wanted w, customer c WHERE c.recordno < 30 GROUP BY w.n ORDER BY w.n;
RESET enable_material;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- Correlated sub-selects, in the list and in the condition.
SELECT c.customerid, (SELECT count(*) FROM arinvoice i WHERE i.customerid = c.customerid) AS invoices
  FROM customer c WHERE c.recordno < 12 ORDER BY c.recordno;
SELECT c.customerid FROM customer c
 WHERE c.recordno < 100 AND NOT EXISTS (SELECT FROM arinvoice i WHERE i.customerid = c.customerid AND i.totaldue > 1000)
 ORDER BY c.recordno;

-- A scroll cursor runs backward.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT recordno FROM customer WHERE recordno < 20 ORDER BY recordno;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH ABSOLUTE 1 FROM c;
FETCH LAST FROM c;
COMMIT;

-- A function called for each row starts scans within a scan.
CREATE FUNCTION invoices_of(id text) RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT count(*) FROM acme.arinvoice WHERE customerid = id';
SELECT customerid, invoices_of(customerid) FROM customer WHERE recordno < 12 ORDER BY recordno;

-- A scan that an error ends leaves nothing behind: the next one starts anew.
DO $$
DECLARE r record; n int := 0;
BEGIN
  FOR i IN 1..3 LOOP
    BEGIN
      FOR r IN SELECT recordno FROM acme.arinvoice LOOP
        n := n + 1;
        IF n % 5 = 0 THEN RAISE division_by_zero; END IF;
      END LOOP;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
  END LOOP;
  RAISE NOTICE 'rows seen: %', n;
END $$;
SELECT count(*) FROM customer WHERE recordno < 20;
