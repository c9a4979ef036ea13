-- Documents are read and written with the lines that they own.
\set QUIET off
CREATE SCHEMA acme;
\set VERBOSITY terse
IMPORT FOREIGN SCHEMA intacct LIMIT TO (apbill, arinvoice, glbatch, arpymt, appymt, glaccount, apbillitem, apterm) FROM SERVER acme INTO acme OPTIONS (import_lines 'on');
\set VERBOSITY default
SET search_path = acme;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attfdwoptions FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  WHERE c.relnamespace = 'acme'::regnamespace AND a.atttypid = 'jsonb'::regtype ORDER BY 1;

-- Lines are read when they are asked for, by record.
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordno, apbillitems_apbillitem FROM apbill;
SELECT count(*) > 0 AS some, bool_and(b.recordno = (line->>'RECORDKEY')::bigint AND (line->>'AMOUNT')::numeric = i.amount) AS same
  FROM apbill b CROSS JOIN jsonb_array_elements(b.apbillitems_apbillitem) line
  LEFT JOIN apbillitem i ON i.recordno = (line->>'RECORDNO')::bigint;
SELECT count(*) = (SELECT count(*) FROM apbillitem WHERE recordkey IN (SELECT recordno FROM apbill)) AS all_of_them
  FROM apbill, jsonb_array_elements(apbillitems_apbillitem);
SELECT count(*) FROM apbill WHERE apbillitems_apbillitem IS NULL AND recordno < 0;
ANALYZE apbill;

SELECT format('[{"ACCOUNTNO": "%s", "TRX_AMOUNT": 120.50, "AMOUNT": 120.50, "ENTRYDESCRIPTION": "One"}, {"ACCOUNTNO": "%1$s", "AMOUNT": 9.9, "TRX_AMOUNT": 9.9}]', accountno) AS items,
  format('[{"ACCOUNTNO": "%s", "TR_TYPE": 1, "AMOUNT": 5}, {"ACCOUNTNO": "%1$s", "TR_TYPE": -1, "AMOUNT": 6}]', accountno) AS unbalanced,
  format('[{"ACCOUNTNO": "%s", "TR_TYPE": 1, "AMOUNT": 5}, {"ACCOUNTNO": "%1$s", "TR_TYPE": -1, "AMOUNT": 5}]', accountno) AS balanced
  FROM glaccount ORDER BY recordno LIMIT 1 \gset
-- A bill with its lines.
INSERT INTO apbill (vendorid, whencreated, whendue, recordid, apbillitems_apbillitem)
  VALUES ('V-00001', '2024-06-01', '2024-07-01', 'B-1', :'items')
  RETURNING recordno > 0 AS numbered, recordid, vendorid, whendue;
SELECT recordid, jsonb_array_length(apbillitems_apbillitem) AS lines, apbillitems_apbillitem->0->>'ENTRYDESCRIPTION' AS first
  FROM apbill WHERE recordid = 'B-1';

-- A journal entry must balance.
INSERT INTO glbatch (journal, batch_date, batch_title, entries_glentry) VALUES
  ('GJ', '2024-06-30', 'unbalanced', :'unbalanced');
INSERT INTO glbatch (journal, batch_date, batch_title, entries_glentry) VALUES
  ('GJ', '2024-06-30', 'balanced', :'balanced');
SELECT batch_title, jsonb_array_length(entries_glentry) FROM glbatch WHERE batch_title LIKE '%balanced';

-- Lines are an array of objects.
INSERT INTO apbill (vendorid, recordid, apbillitems_apbillitem) VALUES ('V-00001', 'B-2', '5');
INSERT INTO apbill (vendorid, recordid) VALUES ('V-00001', 'B-2');

-- An invoice goes through an older function, header and lines together.
\set VERBOSITY terse
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoiceitem, checkingaccount) FROM SERVER acme INTO acme;
\set VERBOSITY default
EXPLAIN (COSTS OFF) INSERT INTO arinvoice (customerid, whencreated, recordid) VALUES ('L-9', '2026-01-31', 'INV-77');
INSERT INTO customer (customerid, name) VALUES ('L-9', 'Nine');
INSERT INTO arinvoice (customerid, whencreated, whendue, recordid, arinvoiceitems_arinvoiceitem)
SELECT 'L-9', '2026-01-31', '2026-03-02', 'INV-77', jsonb_build_array(
         jsonb_build_object('ACCOUNTNO', accountno, 'AMOUNT', 120.50, 'ENTRYDESCRIPTION', 'Consulting'),
         jsonb_build_object('ACCOUNTNO', accountno, 'AMOUNT', 9.90))
  FROM glaccount ORDER BY recordno LIMIT 1;
SELECT recordid, whencreated, whendue, totaldue, jsonb_array_length(arinvoiceitems_arinvoiceitem) AS lines
  FROM arinvoice WHERE customerid = 'L-9';
SELECT amount, entrydescription FROM arinvoiceitem
 WHERE recordkey = (SELECT recordno FROM arinvoice WHERE customerid = 'L-9') ORDER BY amount;

-- A payment lessens what is due of the bill that its detail names.
SELECT recordno AS bill, vendorid AS vendor, totaldue AS due FROM apbill
 WHERE totaldue > 200 ORDER BY recordno LIMIT 1 \gset
SELECT bankaccountid AS bank FROM checkingaccount ORDER BY recordno LIMIT 1 \gset
INSERT INTO appymt (financialentity, paymentmethod, vendorid, paymentdate, appymtdetails_appymtdetail)
VALUES (:'bank', 'Printed Check', :'vendor', '2026-02-01',
        jsonb_build_array(jsonb_build_object('RECORDKEY', :bill, 'TRX_PAYMENTAMOUNT', 99.95)));
SELECT :due - totaldue AS paid FROM apbill WHERE recordno = :bill;

-- Lines that were read can be written back; what the gateway makes of them is left out.
SELECT recordno AS bill FROM apbill WHERE recordid = 'B-1' \gset
SELECT md5(string_agg((line - 'RECORDNO' - 'WHENCREATED' - 'WHENMODIFIED')::text, ',' ORDER BY line->>'LINE_NO')) AS before
  FROM apbill, jsonb_array_elements(apbillitems_apbillitem) line WHERE recordno = :bill \gset
UPDATE apbill SET apbillitems_apbillitem = apbillitems_apbillitem WHERE recordno = :bill;
SELECT md5(string_agg((line - 'RECORDNO' - 'WHENCREATED' - 'WHENMODIFIED')::text, ',' ORDER BY line->>'LINE_NO')) = :'before' AS same, count(*)
  FROM apbill, jsonb_array_elements(apbillitems_apbillitem) line WHERE recordno = :bill;
INSERT INTO arinvoice (customerid, whencreated, whendue, recordid, arinvoiceitems_arinvoiceitem)
  SELECT customerid, whencreated, whendue, 'INV-78', arinvoiceitems_arinvoiceitem FROM arinvoice WHERE recordid = 'INV-77';
SELECT recordid, totaldue, jsonb_array_length(arinvoiceitems_arinvoiceitem) AS lines FROM arinvoice WHERE customerid = 'L-9' ORDER BY 1;
-- No empty line is sent, and every digit is.
UPDATE apbill SET apbillitems_apbillitem = '[{}]' WHERE recordno = :bill;
UPDATE apbill SET apbillitems_apbillitem = NULL, description = 'kept' WHERE recordno = :bill;
SELECT description, jsonb_array_length(apbillitems_apbillitem) AS lines FROM apbill WHERE recordno = :bill;
INSERT INTO glbatch (journal, batch_date, batch_title, entries_glentry)
SELECT 'GJ', '2024-06-30', 'large', jsonb_build_array(
         jsonb_build_object('ACCOUNTNO', accountno, 'TR_TYPE', 1, 'AMOUNT', 9999999999999.99),
         jsonb_build_object('ACCOUNTNO', accountno, 'TR_TYPE', -1, 'AMOUNT', 9999999999999.99))
  FROM glaccount ORDER BY recordno LIMIT 1;
SELECT line->>'AMOUNT' AS amount FROM glbatch, jsonb_array_elements(entries_glentry) line WHERE batch_title = 'large';
