//! What leaves the server for people: mails. The engine keeps order, retries and deadlines; here is how it is done.

pub mod mail;
