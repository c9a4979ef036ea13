-- The database of the text, for its settings.
DROP DATABASE IF EXISTS finance;
CREATE DATABASE finance;
