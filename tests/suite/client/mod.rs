//! What only a client can see: cancellation, leaks, broken gateways, secrets, dumps, the number of requests.

mod aggregates;
mod budget;
mod budget_table;
mod cancel;
mod concurrent;
mod dump;
mod errors;
mod estimates;
mod generated;
mod growth;
mod hostile;
mod numbers;
mod only_2_1;
mod preloaded;
mod proofs;
mod query;
mod ranges;
mod refusals;
mod retries;
mod roles;
mod secrets;
mod sessions;
mod tls;
mod watching;
mod writes;
