IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, vendor, glbatch, activitylog) FROM SERVER acme INTO acme;
