//! The module of `trace-context`.
shared::plugin!(trace_context::TraceContext, call, response, log);
