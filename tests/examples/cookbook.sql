-- What a finance team would have besides Intacct: a CRM, an order table, a bank's statement, rates, a budget.
CREATE SERVER initech FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'initech', url :'gateway');
CREATE SERVER umbrella FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'umbrella', url :'gateway');
CREATE USER MAPPING FOR CURRENT_USER SERVER initech
  OPTIONS (user_id 'apiuser', password 'secret3', sender_id 'sender1', sender_password 'senderpw');
CREATE USER MAPPING FOR CURRENT_USER SERVER umbrella
  OPTIONS (user_id 'apiuser', password 'secret4', sender_id 'sender1', sender_password 'senderpw');
CREATE SCHEMA initech;
CREATE SCHEMA umbrella;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, vendor, arinvoice, arpymt, apbill, appymt, glaccount, glbatch, glentry,
  glbudgetitem, reportingperiod) FROM SERVER acme INTO acme OPTIONS (import_lines 'on');
IMPORT FOREIGN SCHEMA intacct LIMIT TO (glentry) FROM SERVER globex INTO globex;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (glentry) FROM SERVER initech INTO initech;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (glentry) FROM SERVER umbrella INTO umbrella;

CREATE SCHEMA crm;
CREATE TABLE crm.account (customerid text PRIMARY KEY, owner text NOT NULL);
INSERT INTO crm.account
SELECT customerid, (ARRAY['Ada', 'Edsger', 'Grace'])[1 + recordno % 3] FROM acme.customer WHERE recordno % 10 <> 0;

-- Two bills that were typed twice.
INSERT INTO acme.apbill (vendorid, docnumber, whencreated, whendue, recordid, currency, apbillitems_apbillitem) VALUES
  ('V-00012', 'ref 166', '2024-04-22', '2024-04-30', 'BILL-9001', 'USD', '[{"ACCOUNTNO": "0004", "TRX_AMOUNT": 5808.23}]'),
  ('V-00142', 'S-78', '2024-03-27', '2024-04-30', 'BILL-9002', 'USD', '[{"ACCOUNTNO": "0004", "TRX_AMOUNT": 19588}]');

-- A bank's statement that lacks some receipts and payments and has lines of its own.
CREATE SCHEMA bank;
CREATE TABLE bank.statement (booked date, amount numeric(14,2), reference text);
INSERT INTO bank.statement
SELECT receiptdate + 1, trx_totalentered, docnumber FROM acme.arpymt
 WHERE financialentity = 'BANK-01' AND receiptdate BETWEEN '2025-01-01' AND '2025-03-28' AND recordno % 4 <> 0
   AND state = 'Posted'
UNION ALL
SELECT paymentdate + 2, -trx_totalentered, docnumber FROM acme.appymt
 WHERE financialentity = 'BANK-01' AND paymentdate BETWEEN '2025-01-01' AND '2025-03-28' AND recordno % 4 <> 0
   AND state = 'Posted';
INSERT INTO bank.statement VALUES ('2025-01-31', -12.50, 'account fee'), ('2025-01-09', 1450, 'no reference');

CREATE SCHEMA shop;
CREATE TABLE shop.orders (id text PRIMARY KEY, customerid text, shipped date, invoiced date);
CREATE TABLE shop.order_line (id text REFERENCES shop.orders, accountno text, amount numeric, memo text);
INSERT INTO shop.orders VALUES ('O-1001', 'C-00012', '2025-06-27'), ('O-1002', 'C-00027', '2025-06-28'),
  ('O-1003', 'C-00027', NULL), ('O-1004', 'C-00031', '2025-06-28');
INSERT INTO shop.order_line VALUES ('O-1001', '0004', 120.50, 'Consulting'), ('O-1001', '0004', 9.90, 'Travel'),
  ('O-1002', '0007', 1800, 'Licence 2025'), ('O-1003', '0007', 5, 'Not shipped yet');

-- What happens in Intacct meanwhile.
CREATE PROCEDURE finance.customer_pays(invoice text) LANGUAGE sql AS $$
  INSERT INTO acme.arpymt (financialentity, paymentmethod, customerid, receiptdate, arpymtdetails_arpymtdetail)
  SELECT 'BANK-01', 'EFT', customerid, '2025-06-30',
         jsonb_build_array(jsonb_build_object('RECORDKEY', recordno, 'TRX_PAYMENTAMOUNT', totaldue))
    FROM acme.arinvoice WHERE recordid = invoice
$$;
