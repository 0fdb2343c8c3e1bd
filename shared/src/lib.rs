//! The core of Gatehouse: what more than one filter needs.
//!
//! A filter is written against [`filter`]: it is told what happens ([`view`]), and says what the
//! proxy does next ([`filter::Flow`]) and what else is to be done ([`effects`]). [`driver`] runs it
//! the same way under every host. What filters have in common is here too: [`config`] and where
//! settings apply, [`matching`], [`identity`], the one maker of refusals ([`reply`]), and what the
//! workers of a proxy share ([`store`], [`lease`], [`tally`]).
//!
//! A module has one filter, or several of which a plugin is one or runs a list of ([`runner`],
//! [`mod@bundle`], [`chain`]).
//!
//! One module knows the ABI of proxy-wasm, and is compiled for Wasm alone: `proxy`. A module is
//! made from a filter by [`plugin!`], or from several by [`bundle!`].

pub mod address;
pub mod bearer;
pub mod bundle;
mod bytes;
pub mod cache;
pub mod chain;
pub mod config;
pub mod driver;
pub mod effects;
pub mod evidence;
pub mod filter;
pub mod hash;
pub mod headers;
pub mod identity;
pub mod jose;
pub mod lease;
pub mod matching;
pub mod metric;
mod plugin;
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
pub mod proxy;
pub mod reply;
pub mod runner;
#[cfg(feature = "schema")]
pub mod schema;
pub mod sources;
pub mod store;
pub mod tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod trace;
pub mod view;
