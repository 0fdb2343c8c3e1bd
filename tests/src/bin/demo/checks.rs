//! What the demo shows of gRPC's health checks.

use serde_json::{Value, json};
use tests::client::{Request, Response};
use tests::grpc::framed;

use crate::steps::equal;
use crate::world::{Outcome, World};

/// What `health-shortcut` is told of them.
pub(crate) fn config() -> Value {
    let service = |name| json!({"name": name, "report": "readiness"});
    json!({"cluster": "grpc-health", "services": [service(""), service("prices.v1.Prices")]})
}

pub(crate) fn check(world: &World) -> Outcome {
    let (path, before) = ("/grpc.health.v1.Health/Check", world.service.count());
    let to = world.envoy.address();
    println!(
        "    $ printf '\\0\\0\\0\\0\\0' | curl -i --http2-prior-knowledge -H 'content-type: application/grpc' \
         -H 'te: trailers' --data-binary @- http://{to}{path}"
    );
    let ask = |message: &[u8]| -> Outcome<Response> {
        let request = Request::new("POST", path).header("content-type", "application/grpc");
        let answer =
            request.body(&framed(message)).try_send(to).map_err(|error| error.to_string())?;
        println!("      {}", answer.status);
        println!("      {}", answer.body.escape_ascii());
        Ok(answer)
    };
    let answer = ask(b"")?;
    equal("the message", &answer.body, &framed(b"\x08\x01"))?;
    let answer = ask(b"\x0a\x01x")?;
    equal("grpc-status", &answer.header("grpc-status").as_deref(), &Some("5"))?;
    equal("requests at the service", &world.service.count(), &before)?;
    world.says("SERVING, within the proxy and without credentials; NOT_FOUND for a service that nobody knows.");
    Ok(())
}
