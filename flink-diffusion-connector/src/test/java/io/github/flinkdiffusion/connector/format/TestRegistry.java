/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A small server of a registry's protocol, for tests: Confluent's API as far as the client uses it,
 * and that of Apicurio's core API, version 3. What a real registry answers was looked up with
 * Apicurio Registry 3.0.9, see registry_round_trip.py.
 */
public final class TestRegistry implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final HttpServer server;
  private final Map<Integer, JsonNode> schemas = new TreeMap<>();
  private final AtomicInteger failures = new AtomicInteger();

  /** Each request: method, path. */
  public final List<String> asked = new ArrayList<>();

  private volatile String authorization;
  private volatile int status;

  public TestRegistry() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::answer);
    server.start();
  }

  public String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  /** Knows these schemas by their ids. */
  TestRegistry with(Map<Integer, JsonNode> known) {
    schemas.putAll(known);
    return this;
  }

  /** The next so many requests are answered with status 503. */
  void failNext(int requests) {
    failures.set(requests);
  }

  /** All requests are answered with this status; 0 for none. */
  void answerAllWith(int always) {
    status = always;
  }

  void requireAuthorization(String header) {
    authorization = header;
  }

  private synchronized void answer(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    asked.add(exchange.getRequestMethod() + " " + path);
    JsonNode body = JSON.readTree(exchange.getRequestBody().readAllBytes());
    if (status != 0) {
      send(exchange, status, "{\"message\": \"as told\"}");
    } else if (failures.getAndUpdate(left -> Math.max(0, left - 1)) > 0) {
      send(exchange, 503, "");
    } else if (authorization != null
        && !authorization.equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
      send(exchange, 401, "{\"error_code\": 401, \"message\": \"Unauthorized\"}");
    } else if (path.startsWith("/schemas/ids/")) {
      JsonNode schema = schemas.get(Integer.valueOf(path.substring("/schemas/ids/".length())));
      send(
          exchange,
          schema == null ? 404 : 200,
          schema == null
              ? "{\"error_code\": 40403, \"message\": \"Schema not found\"}"
              : schema.toString());
    } else if (path.matches("/subjects/[^/]+/versions")) {
      send(exchange, 200, "{\"id\": " + idOf(body, true) + "}");
    } else if (path.startsWith("/subjects/")) {
      int id = idOf(body, false);
      send(
          exchange,
          id == 0 ? 404 : 200,
          id == 0
              ? "{\"error_code\": 40403, \"message\": \"Schema not found\"}"
              : "{\"id\": " + id + ", \"version\": 1}");
    } else if (path.startsWith("/apis/registry/v3/ids/globalIds/")) {
      JsonNode schema = schemas.get(Integer.valueOf(path.substring(path.lastIndexOf('/') + 1)));
      send(
          exchange,
          schema == null ? 404 : 200,
          schema == null
              ? "{\"status\": 404, \"name\": \"VersionNotFoundException\"}"
              : schema.get("schema").asText());
    } else if (path.equals("/apis/registry/v3/groups/default/artifacts")) {
      JsonNode schema =
          JSON.createObjectNode()
              .put("schemaType", body.get("artifactType").asText())
              .put("schema", body.at("/firstVersion/content/content").asText());
      send(exchange, 200, "{\"version\": {\"globalId\": " + idOf(schema, true) + "}}");
    } else {
      send(exchange, 404, "not here");
    }
  }

  private int idOf(JsonNode schema, boolean register) {
    for (Map.Entry<Integer, JsonNode> known : schemas.entrySet()) {
      if (known.getValue().get("schema").equals(schema.get("schema"))) {
        return known.getKey();
      }
    }
    if (!register) {
      return 0;
    }
    int id = 100 + schemas.size();
    schemas.put(id, schema);
    return id;
  }

  private static void send(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(UTF_8);
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
