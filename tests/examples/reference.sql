IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, activitylog) FROM SERVER acme INTO acme;
