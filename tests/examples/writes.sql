IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, item, arinvoice, appymt) FROM SERVER acme INTO acme;
CREATE SCHEMA crm;
-- Today twelve changed that Intacct has too, and three that it has not.
CREATE TABLE crm.customer (id text, name text, email text, changed timestamptz);
INSERT INTO crm.customer
SELECT 'CRM-' || n, 'Customer ' || n, 'crm@example.com', now() - interval '2 days' FROM generate_series(1, 4) n;
CREATE TABLE orders (id text, customerid text);
