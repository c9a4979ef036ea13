-- What every document takes for granted: the extension, two companies, a schema for each.
\set ON_ERROR_STOP off
SET client_min_messages = warning;
CREATE SERVER globex FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'globex', url :'gateway');
CREATE USER MAPPING FOR CURRENT_USER SERVER globex
  OPTIONS (user_id 'apiuser', password 'secret2', sender_id 'sender1', sender_password 'senderpw');
CREATE SCHEMA acme;
CREATE SCHEMA globex;
CREATE SCHEMA finance;
