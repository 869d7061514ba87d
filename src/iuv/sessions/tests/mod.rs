//! Stories on the pure core of a session.
