"""Asks for the health of services by gRPC, with the client of gRPC's own and its stubs for health.

    health.py ADDRESS check [SERVICE...]   JSON: for each service its status, "SERVING", or the code of the error, "NOT_FOUND"
    health.py ADDRESS watch [SERVICE...]   the same of the first message of a watch
    health.py ADDRESS list                 the same of the list of all services
"""

import json
import sys

sys.dont_write_bytecode = True

import grpc  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402

PATIENCE = 20


def asked(call):
    try:
        return health_pb2.HealthCheckResponse.ServingStatus.Name(call().status)
    except grpc.RpcError as error:
        return error.code().name


def main():
    address, method, *services = sys.argv[1:]
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest
        calls = {
            "check": lambda service: stub.Check(request(service=service), timeout=PATIENCE),
            "watch": lambda service: next(stub.Watch(request(service=service), timeout=PATIENCE)),
            "list": lambda _: stub.List(health_pb2.HealthListRequest(), timeout=PATIENCE),
        }
        print(json.dumps([asked(lambda: calls[method](service)) for service in services or [""]]))


main()
