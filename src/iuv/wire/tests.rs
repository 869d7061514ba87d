//! Whole requests against stores, judged without HTTP.
