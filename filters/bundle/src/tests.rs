//! Chains of the real filters.
