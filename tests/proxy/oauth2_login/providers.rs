//! Two providers that we did not write, and a real browser.
