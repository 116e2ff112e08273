/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URLDecoder;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** One request of the browser and its answer. */
final class Call {
  /** Bytes of JSON. */
  static final int MOST_JSON = 64 << 10;

  /** What is read of a body that is too large, so that its sender gets to read the answer. */
  private static final long MOST_DRAINED = 64L << 20;

  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
          + " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  private final HttpExchange exchange;
  private final Map<String, String> query;

  Call(HttpExchange exchange) throws Refusal {
    this.exchange = exchange;
    this.query = query(exchange.getRequestURI().getRawQuery());
    Headers headers = exchange.getResponseHeaders();
    headers.set("Content-Security-Policy", POLICY);
    headers.set("X-Content-Type-Options", "nosniff");
    headers.set("Referrer-Policy", "no-referrer");
    headers.set("Cross-Origin-Resource-Policy", "same-origin");
    headers.set("Cross-Origin-Opener-Policy", "same-origin");
    headers.set("Cache-Control", "no-store");
  }

  private static Map<String, String> query(String raw) throws Refusal {
    Map<String, String> values = new HashMap<>();
    if (raw != null && !raw.isEmpty()) {
      try {
        for (String pair : raw.split("&")) {
          int equals = pair.indexOf('=');
          values.put(
              URLDecoder.decode(equals < 0 ? pair : pair.substring(0, equals), UTF_8),
              equals < 0 ? "" : URLDecoder.decode(pair.substring(equals + 1), UTF_8));
        }
      } catch (IllegalArgumentException e) {
        throw Refusal.badRequest("The address has a wrong percent sign.");
      }
    }
    return values;
  }

  HttpExchange exchange() {
    return exchange;
  }

  String method() {
    return exchange.getRequestMethod().equals("HEAD") ? "GET" : exchange.getRequestMethod();
  }

  String path() {
    return exchange.getRequestURI().getRawPath();
  }

  String query(String name, String otherwise) {
    return query.getOrDefault(name, otherwise);
  }

  /** The query as the object that a body would have been; digits are numbers, but in a name. */
  JsonNode queryAsObject() {
    ObjectNode object = Json.object();
    query.forEach(
        (name, value) -> {
          if (!name.equals(Events.NAME) && value.matches("\\d{1,15}")) {
            object.put(name, Long.parseLong(value));
          } else {
            object.put(name, value);
          }
        });
    return object;
  }

  JsonNode json() throws Refusal, IOException {
    String type = exchange.getRequestHeaders().getFirst("Content-Type");
    if (type == null || !type.toLowerCase(Locale.ROOT).startsWith("application/json")) {
      throw new Refusal(415, "The body must be application/json.");
    }
    return Json.read(body(MOST_JSON));
  }

  /**
   * The body.
   *
   * @throws Refusal 413 when it is larger
   */
  byte[] body(int most) throws Refusal, IOException {
    try (InputStream in = exchange.getRequestBody()) {
      byte[] bytes = in.readNBytes(most + 1);
      if (bytes.length <= most) {
        return bytes;
      }
      byte[] dropped = new byte[1 << 16];
      long left = MOST_DRAINED;
      for (int n = in.read(dropped); n >= 0 && left > 0; n = in.read(dropped)) {
        left -= n;
      }
      throw new Refusal(
          413, "The body is too large; at most %d KiB are accepted.".formatted(most >> 10));
    }
  }

  void answer(int status, String json) throws IOException {
    send(status, "application/json; charset=utf-8", json.getBytes(UTF_8));
  }

  /** An image that stays what it is under its address. */
  void answerLasting(String mediaType, byte[] bytes) throws IOException {
    exchange.getResponseHeaders().set("Cache-Control", "private, max-age=86400, immutable");
    send(200, mediaType, bytes);
  }

  void answerFile(String name, byte[] bytes) throws IOException {
    exchange
        .getResponseHeaders()
        .set("Content-Disposition", "attachment; filename=\"" + name + "\"");
    send(200, "application/octet-stream", bytes);
  }

  void refuse(Refusal refusal) throws IOException {
    answer(refusal.status(), Json.text(Json.object().put("error", refusal.getMessage())));
  }

  void send(int status, String mediaType, byte[] bytes) throws IOException {
    exchange.getResponseHeaders().set("Content-Type", mediaType);
    if (exchange.getRequestMethod().equals("HEAD") || bytes.length == 0) {
      exchange.sendResponseHeaders(status, -1);
      return;
    }
    exchange.sendResponseHeaders(status, bytes.length);
    try (OutputStream out = exchange.getResponseBody()) {
      out.write(bytes);
    }
  }
}
