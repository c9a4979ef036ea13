-- The first minute with a simulated company, as README types it. :gateway is where the simulator listens.
CREATE EXTENSION sage_intacct_fdw;
CREATE SERVER acme FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', url :'gateway');
CREATE USER MAPPING FOR CURRENT_USER SERVER acme
  OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
CREATE SCHEMA acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO acme;
SELECT recordid, customername, whendue, totaldue FROM acme.arinvoice
 WHERE totaldue > 5000 AND whendue >= '2024-01-01' ORDER BY whendue, recordno LIMIT 3;
