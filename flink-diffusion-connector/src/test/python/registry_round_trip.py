#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Exchanges events with Confluent's Python client through a schema registry.

write URL FOLDER  registers schemas and writes records with confluent_kafka's serializers; FOLDER gets the
                  records and schemas.json, what the registry says of their ids. The fixtures of
                  RegistryFormatTest (src/test/resources/registry) were made so.
read URL FOLDER   reads with its deserializers what RegistryFormatTest wrote with -Dregistry.out=FOLDER.

Needs: pip install 'confluent-kafka[avro,json,schemaregistry]'. A real registry without containers is Apicurio's:
mvn dependency:get -Dartifact=io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all, unpack it, java -jar its runner;
URL is then http://127.0.0.1:8080/apis/ccompat/v7. All three steps in a row:

  python registry_round_trip.py write URL /tmp/in
  mvn test -pl flink-diffusion-connector -am -Dtest=RegistryFormatTest -Dsurefire.failIfNoSpecifiedTests=false \
      -Dregistry.url=URL -Dregistry.in=/tmp/in -Dregistry.out=/tmp/out
  python registry_round_trip.py read URL /tmp/out
"""
import json
import pathlib
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[3]
VALUE = lambda topic: SerializationContext(topic, MessageField.VALUE)

# What somebody else's topic looks like: names of its own, and no id.
FOREIGN = {
    "type": "record", "name": "Order", "namespace": "com.example.shop",
    "fields": [
        {"name": "prompt", "type": "string"},
        {"name": "steps", "type": ["null", "int"], "default": None},
        {"name": "seed", "type": "int"},
        {"name": "deadline", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
CUSTOMER = dict(FOREIGN, name="CustomersOrder", fields=FOREIGN["fields"] + [{"name": "customer", "type": "string"}])


def json_schema(event):
    return (ROOT / "docs/schemas" / f"{event}.schema.json").read_text()


def write(url, folder):
    folder.mkdir(parents=True, exist_ok=True)
    registry = SchemaRegistryClient({"url": url})
    own = json.loads(newest("PromptEvent").read_text())
    order = {"prompt": "a red fox", "steps": 4, "seed": 7, "deadline": 1790000000000}
    records = {
        "avro-foreign": AvroSerializer(registry, json.dumps(FOREIGN))(order, VALUE("orders")),
        "avro-unknown-field": AvroSerializer(registry, json.dumps(CUSTOMER))(
            dict(order, customer="b"), VALUE("customers")),
        "avro-own": AvroSerializer(registry, json.dumps(own))(
            {"id": "python-1", "prompt": "a blue whale", "steps": None, "guidanceScale": 1.5, "attributes": {"tenant": "b"},
             "origin": {"topic": "another", "partition": 1, "offset": 2}}, VALUE("prompts")),
        "json": JSONSerializer(json_schema("PromptEvent"), registry)(
            {"prompt": "a green frog", "steps": 3, "parameters": {"eta": 0.5}}, VALUE("json-prompts")),
    }
    schemas = {}
    for name, record in records.items():
        (folder / f"{name}.bin").write_bytes(record)
        number = int.from_bytes(record[1:5], "big")
        schema = registry.get_schema(number)
        schemas[number] = {"schemaType": schema.schema_type, "schema": schema.schema_str}
    (folder / "schemas.json").write_text(json.dumps(schemas, indent=1) + "\n")
    print(f"{len(records)} records, {len(schemas)} schemas")


def newest(event):
    resources = ROOT / "flink-diffusion-connector/src/main/resources/io/github/flinkdiffusion/connector/event"
    return max(resources.glob(f"{event}.v*.avsc"), key=lambda path: int(path.stem.rsplit("v", 1)[1]))


def read(url, folder):
    registry = SchemaRegistryClient({"url": url})
    image = AvroDeserializer(registry)((folder / "image-avro.bin").read_bytes(), VALUE("images"))
    assert image["id"] == "a" and image["image"] == b"\x89PNG" and image["width"] == 64, image
    failure = AvroDeserializer(registry)((folder / "failure-avro.bin").read_bytes(), VALUE("failures"))
    assert failure["reason"] == "TIMEOUT" and failure["original"] == b"abc", failure
    # The client validates against the schema that the registry has.
    image = JSONDeserializer(json_schema("ImageEvent"), schema_registry_client=registry)(
        (folder / "image-json.bin").read_bytes(), VALUE("images"))
    assert image["id"] == "a" and image["image"] == "iVBORw==" and image["height"] == 64, image
    failure = JSONDeserializer(json_schema("FailureEvent"), schema_registry_client=registry)(
        (folder / "failure-json.bin").read_bytes(), VALUE("failures"))
    assert failure["original"] == "YWJj", failure
    print("4 records read as they were written")


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](sys.argv[2], pathlib.Path(sys.argv[3]))
