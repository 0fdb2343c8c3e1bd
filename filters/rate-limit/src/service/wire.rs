//! The messages of `envoy.service.ratelimit.v3`, those of their fields that are used, in the numbers
//! of Envoy's definitions (`rls.proto`, `ratelimit.proto`).
//!
//! Written by hand: the crates that generate them bring a gRPC stack and all of Envoy's messages.
//! What is not listed (`raw_body`, `dynamic_metadata`, `current_limit.name`) is skipped by the decoder.

use std::time::Duration;

use prost::Message;

use shared::time::Timestamp;

/// `RateLimitRequest`: what is asked.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RateLimitRequest {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) descriptors: Vec<RateLimitDescriptor>,
    /// For services that know no `hits_addend` of a descriptor's own.
    #[prost(uint32, tag = "3")]
    pub(super) hits_addend: u32,
}

/// One counter that is asked about.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub(super) struct RateLimitDescriptor {
    #[prost(message, repeated, tag = "1")]
    pub(super) entries: Vec<Entry>,
    #[prost(message, optional, tag = "2")]
    pub(super) limit: Option<RateLimitOverride>,
    #[prost(message, optional, tag = "3")]
    pub(super) hits_addend: Option<UInt64Value>,
}

/// The quota that the filter is configured with, for services that count by what they are told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub(super) struct RateLimitOverride {
    #[prost(uint32, tag = "1")]
    pub(super) requests_per_unit: u32,
    #[prost(int32, tag = "2")]
    pub(super) unit: i32,
}

impl RateLimitOverride {
    /// So many in one unit of time. Any other time has no form that every service understands.
    pub(super) fn new(requests_per_unit: u32, per: Duration) -> Option<Self> {
        let unit = match per.as_secs() {
            1 => 1,
            60 => 2,
            3_600 => 3,
            86_400 => 4,
            _ => return None,
        };
        (per.subsec_nanos() == 0).then_some(Self { requests_per_unit, unit })
    }
}

/// One part of its name.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// `google.protobuf.UInt64Value`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub(super) struct UInt64Value {
    #[prost(uint64, tag = "1")]
    pub(super) value: u64,
}

/// `RateLimitResponse`: what is answered.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RateLimitResponse {
    #[prost(int32, tag = "1")]
    pub(super) overall_code: i32,
    #[prost(message, repeated, tag = "2")]
    pub(super) statuses: Vec<DescriptorStatus>,
    #[prost(message, repeated, tag = "3")]
    pub(super) response_headers_to_add: Vec<HeaderValue>,
    #[prost(message, repeated, tag = "4")]
    pub(super) request_headers_to_add: Vec<HeaderValue>,
    #[prost(message, optional, tag = "7")]
    pub(super) quota: Option<Quota>,
}

/// What became of one descriptor.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct DescriptorStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) current_limit: Option<RateLimit>,
    #[prost(uint32, tag = "3")]
    pub(super) limit_remaining: u32,
    #[prost(message, optional, tag = "4")]
    pub(super) duration_until_reset: Option<Span>,
    #[prost(message, optional, tag = "5")]
    pub(super) quota: Option<Quota>,
}

/// The limit that the service has for it.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct RateLimit {
    #[prost(uint32, tag = "1")]
    pub(super) requests_per_unit: u32,
    #[prost(int32, tag = "2")]
    pub(super) unit: i32,
    /// How many of the unit; absent and zero stand for one.
    #[prost(uint32, tag = "4")]
    pub(super) unit_multiplier: u32,
}

impl RateLimit {
    /// How long its window is; `None` where the unit is none that we know. A month has 30 days and a
    /// year 365, as for Envoy's own filter.
    pub(super) fn window(self) -> Option<Duration> {
        let days = |days: u64| days.saturating_mul(86_400);
        let unit = match self.unit {
            1 => 1,
            2 => 60,
            3 => 3_600,
            4 => days(1),
            5 => days(30),
            6 => days(365),
            7 => days(7),
            _ => return None,
        };
        let times = u64::from(self.unit_multiplier.max(1));
        Some(Duration::from_secs(times.saturating_mul(unit)))
    }
}

/// So many requests that need not be asked about.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Quota {
    #[prost(uint32, tag = "1")]
    pub(super) requests: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) valid_until: Option<Span>,
    #[prost(string, tag = "3")]
    pub(super) id: String,
}

/// A header to add; the value is in one of the two fields.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct HeaderValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) raw_value: Vec<u8>,
}

/// `google.protobuf.Duration` and `google.protobuf.Timestamp`, which have the same fields.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Span {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl Span {
    /// As a time to come; zero where it is negative.
    pub(super) fn duration(self) -> Duration {
        let seconds = u64::try_from(self.seconds).unwrap_or_default();
        let nanos = u32::try_from(self.nanos).unwrap_or_default().min(999_999_999);
        Duration::new(seconds, if self.seconds < 0 { 0 } else { nanos })
    }

    /// As a moment; 1970 where it lies before.
    pub(super) fn moment(self) -> Timestamp {
        Timestamp::default().after(self.duration())
    }
}
