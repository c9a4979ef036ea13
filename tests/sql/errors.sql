-- What goes wrong says which thing, and what to do.
\set VERBOSITY verbose

CREATE FOREIGN TABLE customer (recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT')) SERVER acme;
SELECT count(*) FROM customer;

-- No user mapping.
CREATE ROLE nobody_in_particular;
GRANT SELECT ON customer TO nobody_in_particular;
SET ROLE nobody_in_particular;
SELECT count(*) FROM customer;
SELECT count(*) FROM sage_intacct.check('acme');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER acme TO nobody_in_particular;
SET ROLE nobody_in_particular;
SELECT step, ok, hint FROM sage_intacct.check('acme') WHERE NOT ok;
RESET ROLE;

-- A mapping that lacks a credential.
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (DROP sender_id);
SELECT count(*) FROM customer;
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (ADD sender_id 'sender1');

-- Unknown object, unknown field, a field that cannot be queried.
CREATE FOREIGN TABLE custmer (recordno bigint) SERVER acme;
SELECT count(*) FROM custmer;
CREATE FOREIGN TABLE fields (recordno bigint, surname text, invoiceno text) SERVER acme OPTIONS (object 'ARINVOICE');
SELECT surname FROM fields;
SELECT invoiceno FROM fields;
SELECT surname, invoiceno FROM fields;

-- A cell that does not parse names object, field and record.
CREATE FOREIGN TABLE typed (recordno bigint OPTIONS (type 'INTEGER'), name numeric) SERVER acme OPTIONS (object 'ARTERM');
SELECT * FROM typed ORDER BY recordno;

-- A table that says NOT NULL where Intacct has nothing.
CREATE FOREIGN TABLE keyed (recordno bigint OPTIONS (field 'PARENTKEY', key 'true') NOT NULL) SERVER acme OPTIONS (object 'CUSTOMER');
SELECT recordno FROM keyed LIMIT 3;

-- A server that is not of this wrapper, or does not exist.
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER other;
SELECT * FROM sage_intacct.check('elsewhere');
SELECT * FROM sage_intacct.check('nowhere');
SELECT sage_intacct.apply_comments('nowhere');

DROP OWNED BY nobody_in_particular;
DROP ROLE nobody_in_particular;
