IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO acme;
