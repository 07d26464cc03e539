//! What callers see of an account whose older entries are archived.
