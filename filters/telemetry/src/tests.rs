//! The rules of the filter, one test each.
