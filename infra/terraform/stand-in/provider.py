#!/usr/bin/env python3
"""A stand-in for Terraform's AWS provider, where the real one can't be fetched.

It tells Terraform the real provider's schema (schema.json beside this file), so that `validate`
finds misspelt, missing and superfluous arguments and wrong types, and `terraform test` can run
with mock_provider. It makes nothing, knows no rule about values, and asks nobody.

usage: provider.py ENVIRONMENT-FILE
Serves on a loopback port of the system's choice until it is ended. Writes TF_REATTACH_PROVIDERS,
by which Terraform finds it, into ENVIRONMENT-FILE once it answers.
Needs: pip install tf grpcio msgpack (see requirements.txt).
"""

import json
import os
import sys
from concurrent import futures
from pathlib import Path

import grpc
from tf.gen import tfplugin_pb2 as messages
from tf.gen import tfplugin_pb2_grpc as plugin

SOURCE = "registry.terraform.io/hashicorp/aws"
SCHEMA = Path(__file__).with_name("schema.json")
# A schema is one message; gRPC's own limit is 4 MiB.
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}


def attribute(name, what):
    return messages.Schema.Attribute(
        name=name,
        type=json.dumps(what["type"]).encode(),
        required=what.get("required", False),
        optional=what.get("optional", False),
        computed=what.get("computed", False),
        sensitive=what.get("sensitive", False),
    )


def nested(name, what):
    return messages.Schema.NestedBlock(
        type_name=name,
        block=block(what.get("block", {})),
        nesting=NESTING[what["nesting_mode"]],
        min_items=what.get("min_items", 0),
        max_items=what.get("max_items", 0),
    )


def block(what):
    return messages.Schema.Block(
        attributes=[attribute(*item) for item in what.get("attributes", {}).items()],
        block_types=[nested(*item) for item in what.get("block_types", {}).items()],
    )


def schema(what):
    return messages.Schema(version=what.get("version", 0), block=block(what.get("block", {})))


def schemas(what):
    return {name: schema(one) for name, one in what.items()}


class StandIn(plugin.ProviderServicer):
    """What `validate` and a mocked `test` ask of a provider; the rest answers "unimplemented"."""

    def __init__(self, told):
        self.resources = schemas(told["resource_schemas"])
        self.sources = schemas(told["data_source_schemas"])
        self.provider = schema(told["provider"])

    def GetMetadata(self, request, context):
        kinds = messages.GetMetadata
        return kinds.Response(
            resources=[kinds.ResourceMetadata(type_name=name) for name in self.resources],
            data_sources=[kinds.DataSourceMetadata(type_name=name) for name in self.sources],
        )

    def GetProviderSchema(self, request, context):
        return messages.GetProviderSchema.Response(
            provider=self.provider,
            resource_schemas=self.resources,
            data_source_schemas=self.sources,
            provider_meta=messages.Schema(block=messages.Schema.Block()),
        )

    def ValidateProviderConfig(self, request, context):
        return messages.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):
        return messages.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):
        return messages.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request, context):
        return messages.ConfigureProvider.Response()

    def UpgradeResourceState(self, request, context):
        state = messages.DynamicValue(json=request.raw_state.json)
        return messages.UpgradeResourceState.Response(upgraded_state=state)

    def GetFunctions(self, request, context):
        return messages.GetFunctions.Response()

    def StopProvider(self, request, context):
        return messages.StopProvider.Response()


def serve(environment):
    told = json.loads(SCHEMA.read_text())["provider_schemas"][SOURCE]
    options = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
    plugin.add_ProviderServicer_to_server(StandIn(told), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    reattach = {
        SOURCE: {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
        }
    }
    # Whole or not at all: a process that waits for the file reads it at once.
    draft = Path(f"{environment}.new")
    draft.write_text(f"export TF_REATTACH_PROVIDERS='{json.dumps(reattach)}'\n")
    draft.rename(environment)
    server.wait_for_termination()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    serve(sys.argv[1])
