-- Statements of the connector's own syntax.
\pset format unaligned
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO public;

-- The documented examples.
SELECT count(*), count(DISTINCT q ->> 'RECORDNO') FROM sage_intacct.query('acme', 'Select * from CUSTOMER') q;
SELECT q FROM sage_intacct.query('acme',
  'Select Customerid,Name, Parentid,Termname, Shippingmethod, Custtype,Taxid,Creditlimit from CUSTOMER limit 2') q;
SELECT count(*) = (SELECT count(*) FROM arinvoice WHERE whenmodified < '2022-01-01 00:00:00+00') AS same
  FROM sage_intacct.query('acme', E'Select * from ARINVOICE WHERE whenmodified < 01/01/2022 00:00:00\\') q;
SELECT q FROM sage_intacct.query('acme',
  'Select Recordno,Customerid, Name from CUSTOMER Where Customerid = C-00001 AND Recordno = 1') q;
SELECT q FROM sage_intacct.query('acme',
  'select recordno, totaldue from arinvoice
   where [totaldue > 15000] and [[state = Posted] or [state = Partially Paid]]
   order_by recordno asc limit 2') q;

-- Every field has the type that lookup tells.
SELECT q FROM sage_intacct.query('acme', 'select RECORDNO, CUSTOMERID, CREDITLIMIT, DISCOUNT, ONHOLD, Signed_On,
  WHENMODIFIED, STATUS, PARENTKEY from CUSTOMER where RECORDNO in (1, 2)') q;
SELECT key, jsonb_typeof(value) FROM sage_intacct.query('acme', 'select RECORDNO, TOTALDUE, ONHOLD, NAME, Signed_On from
  CUSTOMER where RECORDNO = 1') q, jsonb_each(q);

-- Fields that are listed and cannot be queried are left out of *, and are named.
SELECT jsonb_object_keys(q) AS key FROM sage_intacct.query('acme', 'select * from ARINVOICE limit 1') q LIMIT 3;

-- The same rows as SQL.
SELECT (SELECT jsonb_agg(q ORDER BY (q ->> 'RECORDNO')::bigint) FROM sage_intacct.query('acme',
          'select RECORDNO, NAME, CREDITLIMIT from CUSTOMER where CREDITLIMIT between 20000 and 50000 and NAME like ''%a_%''
             and TERMNAME is not null and STATUS not in (inactive)') q)
     = (SELECT jsonb_agg(jsonb_build_object('RECORDNO', recordno, 'NAME', name, 'CREDITLIMIT', creditlimit) ORDER BY recordno)
          FROM customer WHERE creditlimit BETWEEN 20000 AND 50000 AND name LIKE '%a_%' AND termname IS NOT NULL
           AND status <> 'inactive') AS same;

-- What the gateway cannot say is looked at here: fields compared with fields.
SELECT (SELECT count(*) FROM sage_intacct.query('acme', 'select RECORDNO from ARINVOICE where TOTALDUE < TOTALPAID and STATE = Posted') q)
     = (SELECT count(*) FROM arinvoice WHERE totaldue < totalpaid AND state = 'Posted') AS same;
SELECT (SELECT count(*) FROM sage_intacct.query('acme', 'select RECORDNO from ARINVOICE where WHENDUE > "WHENPAID" or TOTALDUE = 0') q)
     = (SELECT count(*) FROM arinvoice WHERE whendue > whenpaid OR totaldue = 0) AS same;

-- Order, limit and offset.
SELECT q ->> 'RECORDNO' AS recordno, q ->> 'WHENCREATED' AS whencreated FROM sage_intacct.query('acme',
  'select RECORDNO, WHENCREATED from ARINVOICE order by WHENCREATED desc limit 3 offset 1') q;
SELECT recordno, whencreated FROM arinvoice ORDER BY whencreated DESC NULLS LAST, recordno LIMIT 3 OFFSET 1;

-- Aggregates: with the gateway's groups, and with rows that are grouped here.
SELECT q FROM sage_intacct.query('acme', 'select STATE, count(RECORDNO), sum(TOTALDUE), max(WHENCREATED) from ARINVOICE order_by STATE') q;
SELECT state, count(recordno), sum(totaldue), max(whencreated) FROM arinvoice GROUP BY state ORDER BY state COLLATE "C";
SELECT q FROM sage_intacct.query('acme', 'select avg(TOTALDUE), count(WHENPAID), min(RECORDID), sum(TOTALDUE) from ARINVOICE where TOTALDUE < TOTALPAID') q;
SELECT avg(totaldue), count(whenpaid), min(recordid COLLATE "C"), sum(totaldue) FROM arinvoice WHERE totaldue < totalpaid;
SELECT q FROM sage_intacct.query('acme', 'select count(RECORDNO), sum(TOTALDUE), avg(TOTALDUE) from ARINVOICE where RECORDNO = -1') q;

-- Fields of related objects.
SELECT q FROM sage_intacct.query('acme', 'select recordno, customer.name, customer.creditlimit from arinvoice where customer.creditlimit > 80000 limit 1') q;

-- One record, with its lines.
SELECT q ->> 'RECORDKEY' AS invoice FROM sage_intacct.query('acme', 'select RECORDKEY from ARINVOICEITEM limit 1') q \gset
SELECT q ->> 'RECORDNO' = :'invoice' AS same, jsonb_typeof(q -> 'TOTALDUE') AS due, jsonb_typeof(q -> 'WHENMODIFIED') AS modified,
       jsonb_array_length(q -> 'ARINVOICEITEMS') > 0 AS has_lines, jsonb_typeof(q -> 'ARINVOICEITEMS' -> 0 -> 'AMOUNT') AS amount
  FROM sage_intacct.query('acme', format('select * from ARINVOICE where RECORDNO = %s', :'invoice'), 'single') q;
-- Without lines the list is empty.
SELECT q -> 'ARINVOICEITEMS' AS lines FROM sage_intacct.query('acme', 'select * from ARINVOICE where RECORDNO = 4', 'single') q;
SELECT q FROM sage_intacct.query('acme', 'select CUSTOMERID, NAME from CUSTOMER where CUSTOMERID = C-00002', 'single') q;
SELECT q FROM sage_intacct.query('acme', 'select * from CUSTOMER where STATUS = active', 'single') q;
SELECT count(*) FROM sage_intacct.query('acme', 'select * from CUSTOMER where CUSTOMERID = nobody', 'single') q;
SELECT q FROM sage_intacct.query('acme', 'select * from CUSTOMER', 'single') q;
SELECT q FROM sage_intacct.query('acme', 'select * from CUSTOMER', 'double') q;

-- Mistakes say where, and what was probably meant.
\set VERBOSITY verbose
SELECT q FROM sage_intacct.query('acme', E'select NAME\nfrom CUSTOMER wher NAME = x') q;
SELECT q FROM sage_intacct.query('acme', E'Select * from AIRINVOICE WHERE whenmodified < 10/22/2010 00:00:00\\') q;
SELECT q FROM sage_intacct.query('acme', 'select NAEM from CUSTOMER') q;
SELECT q FROM sage_intacct.query('acme', 'select NAME from CUSTOMER where CREDITLIMITS > 5') q;
SELECT q FROM sage_intacct.query('acme', 'select CUSTOMER.CREDITLIMT from ARINVOICE') q;
SELECT q FROM sage_intacct.query('acme', 'select NAME from CUSTOMER where RECORDNO = abc') q;
SELECT q FROM sage_intacct.query('acme', 'select NAME from CUSTOMER where Signed_On > yesterday') q;
SELECT q FROM sage_intacct.query('acme', 'select NAME from CUSTOMER where RECORDNO = $1') q;
SELECT q FROM sage_intacct.query('acme', 'select sum(NAME) from CUSTOMER') q;
SELECT q FROM sage_intacct.query('acme', 'select INVOICENO from ARINVOICE') q;
\set VERBOSITY default

-- The server's right and the caller's mapping.
CREATE ROLE stranger_to_acme;
SET ROLE stranger_to_acme;
SELECT q FROM sage_intacct.query('acme', 'select NAME from CUSTOMER') q;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER acme TO stranger_to_acme;
SET ROLE stranger_to_acme;
SELECT q FROM sage_intacct.query('acme', 'select NAME from CUSTOMER') q;
RESET ROLE;
DROP OWNED BY stranger_to_acme;
DROP ROLE stranger_to_acme;
