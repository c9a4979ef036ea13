//! A strict stand-in for the Sage Intacct XML gateway.
#![forbid(unsafe_code)]
