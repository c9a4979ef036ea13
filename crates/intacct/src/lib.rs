//! Client for the Sage Intacct XML gateway.
#![forbid(unsafe_code)]
