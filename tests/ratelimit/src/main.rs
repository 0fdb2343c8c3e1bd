//! Test only: a rate-limit service that speaks `envoy.service.ratelimit.v3`, counts in Redis, and
//! prints a line for every call.
//!
//!     ratelimit LISTEN REDIS [DOMAIN/NAME=MOST/SECONDS[:PART,PART]]…
//!
//! Each limit is one of `limitador`: it applies to descriptors whose entry `limit` is NAME, and counts
//! apart for each value of their entries PART. As with `envoyproxy/ratelimit`, each descriptor is
//! judged by itself and has a status; unlike there, a request that is over charges nothing.

mod counts;
mod limits;

use std::io::Write as _;
use std::net::SocketAddr;

use envoy_types::pb::envoy::service::ratelimit::v3 as rls;
use envoy_types::pb::google::protobuf::Duration as ProtoDuration;
use rls::rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit::Unit};
use rls::rate_limit_service_server::{RateLimitService, RateLimitServiceServer};
use rls::{RateLimitRequest, RateLimitResponse};
use tonic::{Request, Response, Status};

use counts::{Charge, Counts};
use limits::Limits;

struct Service {
    limits: Limits,
    counts: Counts,
}

#[tonic::async_trait]
impl RateLimitService for Service {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let timeout = request.metadata().get("grpc-timeout").cloned();
        let request = request.into_inner();
        if request.domain.is_empty() || request.descriptors.is_empty() {
            return Err(Status::invalid_argument("no domain, or no descriptor"));
        }
        let charges = self.limits.charges(&request);
        let flat: Vec<_> = charges.iter().flatten().cloned().collect();
        let left = self.counts.charge(&flat).map_err(|why| Status::unavailable(why.to_string()))?;
        let mut left = left.into_iter();
        let mut response = RateLimitResponse::default();
        for charges in &charges {
            let counted = charges.iter().zip(left.by_ref());
            let tightest = counted.min_by_key(|(_, left)| (!left.over, left.remaining));
            response.statuses.push(tightest.map_or_else(unlimited, |(charge, left)| {
                status(charge, left.over, left.remaining, left.reset)
            }));
        }
        let is_over = |status: &DescriptorStatus| status.code == Code::OverLimit as i32;
        let over = response.statuses.iter().any(is_over);
        response.set_overall_code(if over { Code::OverLimit } else { Code::Ok });
        said(&format!("{request:?} {timeout:?} over: {over}"));
        Ok(Response::new(response))
    }
}

/// Of a descriptor that no limit is for.
fn unlimited() -> DescriptorStatus {
    DescriptorStatus { code: Code::Ok as i32, limit_remaining: u32::MAX, ..Default::default() }
}

fn status(charge: &Charge, over: bool, remaining: u64, millis: i64) -> DescriptorStatus {
    let unit = match charge.window {
        1 => Unit::Second,
        60 => Unit::Minute,
        3_600 => Unit::Hour,
        86_400 => Unit::Day,
        _ => Unit::Unknown,
    };
    DescriptorStatus {
        code: if over { Code::OverLimit } else { Code::Ok } as i32,
        current_limit: Some(RateLimit {
            name: charge.name.clone(),
            requests_per_unit: u32::try_from(charge.most).unwrap_or(u32::MAX),
            unit: unit as i32,
        }),
        limit_remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        duration_until_reset: Some(ProtoDuration {
            seconds: millis / 1000,
            nanos: i32::try_from(millis % 1000).unwrap_or_default() * 1_000_000,
        }),
        quota: None,
    }
}

fn said(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("ratelimit LISTEN REDIS LIMIT…");
    let (listen, redis): (SocketAddr, SocketAddr) = (next()?.parse()?, next()?.parse()?);
    let limits = Limits::parse(arguments)?;
    let service = RateLimitServiceServer::new(Service { limits, counts: Counts::new(redis)? });
    said("ready");
    tonic::transport::Server::builder().add_service(service).serve(listen).await?;
    Ok(())
}
