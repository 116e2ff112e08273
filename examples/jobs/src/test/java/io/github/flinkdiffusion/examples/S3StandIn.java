/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * A stand-in for S3 on this machine: the part of its protocol that Flink's file system speaks, with
 * objects in memory and path-style addresses. It looks at no signature. {@link S3MockITCase} asks a
 * server that others wrote the same.
 */
final class S3StandIn implements S3Server {
  private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d*)");
  private static final Pattern KEY = Pattern.compile("<Key>([^<]*)</Key>");

  private record Stored(byte[] content, Instant modified) {
    String tag() {
      try {
        return HexFormat.of().formatHex(MessageDigest.getInstance("MD5").digest(content));
      } catch (NoSuchAlgorithmException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  private final NavigableMap<String, Stored> objects = new ConcurrentSkipListMap<>();
  private final Map<String, Map<Integer, byte[]>> uploads = new ConcurrentHashMap<>();
  private final Map<String, Integer> calls = new ConcurrentHashMap<>();
  private final AtomicInteger lastUpload = new AtomicInteger();
  private final HttpServer server;
  private final ExecutorService threads = Executors.newCachedThreadPool();

  S3StandIn() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(threads);
    server.createContext("/", this::handle);
    server.start();
  }

  @Override
  public String endpoint() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  @Override
  public List<String> names() {
    return List.copyOf(objects.keySet());
  }

  @Override
  public int calls(String method, String prefix) {
    return calls.entrySet().stream()
        .filter(call -> call.getKey().startsWith(method + " " + prefix))
        .mapToInt(Map.Entry::getValue)
        .sum();
  }

  @Override
  public void put(String name, byte[] content) {
    objects.put(name, new Stored(content, Instant.now()));
  }

  @Override
  public byte[] get(String name) {
    return objects.get(name).content();
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      URI uri = exchange.getRequestURI();
      String name = decoded(uri.getRawPath().substring(1));
      Map<String, String> query = query(uri.getRawQuery());
      byte[] body = body(exchange);
      calls.merge(exchange.getRequestMethod() + " " + name, 1, Integer::sum);
      switch (exchange.getRequestMethod()) {
        case "HEAD" -> get(exchange, name, true);
        case "GET" -> {
          if (name.indexOf('/') < 0 || name.endsWith("/") && query.containsKey("list-type")) {
            list(exchange, name.replaceAll("/$", ""), query);
          } else {
            get(exchange, name, false);
          }
        }
        case "PUT" -> put(exchange, name, query, body);
        case "POST" -> post(exchange, name, query, body);
        case "DELETE" -> {
          uploads.remove(query.getOrDefault("uploadId", ""));
          if (!query.containsKey("uploadId")) {
            objects.remove(name);
          }
          answer(exchange, 204, "");
        }
        default -> answer(exchange, 405, "");
      }
    } catch (RuntimeException e) {
      answer(exchange, 500, e.toString());
    }
  }

  private void get(HttpExchange exchange, String name, boolean head) throws IOException {
    Stored stored = objects.get(name);
    if (stored == null) {
      answer(
          exchange,
          404,
          head ? "" : "<Error><Code>NoSuchKey</Code><Message>No such key</Message></Error>");
      return;
    }
    byte[] content = stored.content();
    int status = 200;
    Matcher range = RANGE.matcher(String.valueOf(exchange.getRequestHeaders().getFirst("Range")));
    if (range.matches()) {
      int from = Integer.parseInt(range.group(1));
      if (from >= content.length) {
        answer(exchange, 416, "<Error><Code>InvalidRange</Code></Error>");
        return;
      }
      int to =
          range.group(2).isEmpty()
              ? content.length
              : Math.min(content.length, Integer.parseInt(range.group(2)) + 1);
      exchange
          .getResponseHeaders()
          .set("Content-Range", "bytes %d-%d/%d".formatted(from, to - 1, content.length));
      content = Arrays.copyOfRange(content, from, to);
      status = 206;
    }
    exchange.getResponseHeaders().set("ETag", "\"" + stored.tag() + "\"");
    exchange
        .getResponseHeaders()
        .set(
            "Last-Modified",
            DateTimeFormatter.RFC_1123_DATE_TIME.format(
                stored.modified().atOffset(ZoneOffset.UTC)));
    if (head) {
      exchange.getResponseHeaders().set("Content-Length", Integer.toString(content.length));
      exchange.sendResponseHeaders(status, -1);
    } else {
      exchange.sendResponseHeaders(status, content.length == 0 ? -1 : content.length);
      exchange.getResponseBody().write(content);
    }
  }

  private void list(HttpExchange exchange, String bucket, Map<String, String> query)
      throws IOException {
    String prefix = query.getOrDefault("prefix", "");
    String delimiter = query.getOrDefault("delimiter", "");
    StringBuilder contents = new StringBuilder();
    TreeSet<String> folders = new TreeSet<>();
    int count = 0;
    for (Map.Entry<String, Stored> object : objects.tailMap(bucket + "/" + prefix).entrySet()) {
      String key = object.getKey().substring(bucket.length() + 1);
      if (!object.getKey().startsWith(bucket + "/" + prefix)) {
        break;
      }
      int end = delimiter.isEmpty() ? -1 : key.indexOf(delimiter, prefix.length());
      if (end >= 0) {
        folders.add(key.substring(0, end + delimiter.length()));
        continue;
      }
      count++;
      contents.append(
          "<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>\"%s\"</ETag><Size>%d</Size></Contents>"
              .formatted(
                  key,
                  object.getValue().modified(),
                  object.getValue().tag(),
                  object.getValue().content().length));
    }
    answer(
        exchange,
        200,
        "<ListBucketResult><Name>%s</Name><Prefix>%s</Prefix><KeyCount>%d</KeyCount><MaxKeys>100000</MaxKeys><IsTruncated>false</IsTruncated>%s%s</ListBucketResult>"
            .formatted(
                bucket,
                prefix,
                count + folders.size(),
                contents,
                folders.stream()
                    .map(
                        folder ->
                            "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>"
                                .formatted(folder))
                    .collect(Collectors.joining())));
  }

  private void put(HttpExchange exchange, String name, Map<String, String> query, byte[] body)
      throws IOException {
    String source = exchange.getRequestHeaders().getFirst("x-amz-copy-source");
    byte[] content =
        source == null ? body : objects.get(decoded(source.replaceFirst("^/", ""))).content();
    if (query.containsKey("uploadId")) {
      uploads.get(query.get("uploadId")).put(Integer.parseInt(query.get("partNumber")), content);
    } else {
      put(name, content);
    }
    Stored stored = new Stored(content, Instant.now());
    exchange.getResponseHeaders().set("ETag", "\"" + stored.tag() + "\"");
    answer(
        exchange,
        200,
        source == null
            ? ""
            : "<CopyObjectResult><ETag>\"%s\"</ETag></CopyObjectResult>".formatted(stored.tag()));
  }

  private void post(HttpExchange exchange, String name, Map<String, String> query, byte[] body)
      throws IOException {
    if (query.containsKey("uploads")) {
      String id = "upload-" + lastUpload.incrementAndGet();
      uploads.put(id, new ConcurrentSkipListMap<>());
      answer(
          exchange,
          200,
          "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>"
              .formatted(id));
    } else if (query.containsKey("uploadId")) {
      ByteArrayOutputStream whole = new ByteArrayOutputStream();
      uploads.remove(query.get("uploadId")).values().forEach(whole::writeBytes);
      put(name, whole.toByteArray());
      answer(
          exchange,
          200,
          "<CompleteMultipartUploadResult><ETag>\"%s\"</ETag></CompleteMultipartUploadResult>"
              .formatted(objects.get(name).tag()));
    } else if (query.containsKey("delete")) {
      List<String> keys = new ArrayList<>();
      Matcher key = KEY.matcher(new String(body, StandardCharsets.UTF_8));
      while (key.find()) {
        keys.add(key.group(1));
        objects.remove(name.replaceAll("/$", "") + "/" + key.group(1));
      }
      answer(exchange, 200, "<DeleteResult></DeleteResult>");
    } else {
      answer(exchange, 400, "");
    }
  }

  /**
   * The body without the frames of {@code aws-chunked}, in which clients sign and sum as they go.
   */
  private static byte[] body(HttpExchange exchange) throws IOException {
    byte[] all;
    try (InputStream in = exchange.getRequestBody()) {
      all = in.readAllBytes();
    }
    if (exchange.getRequestHeaders().getFirst("x-amz-decoded-content-length") == null) {
      return all;
    }
    ByteArrayOutputStream body = new ByteArrayOutputStream();
    int at = 0;
    while (true) {
      int end = at;
      while (all[end] != '\r') {
        end++;
      }
      String size = new String(all, at, end - at, StandardCharsets.US_ASCII).split(";")[0];
      int length = Integer.parseInt(size, 16);
      if (length == 0) {
        return body.toByteArray();
      }
      body.write(all, end + 2, length);
      at = end + 2 + length + 2;
    }
  }

  private static Map<String, String> query(String raw) {
    Map<String, String> query = new LinkedHashMap<>();
    if (raw != null) {
      for (String each : raw.split("&")) {
        int at = each.indexOf('=');
        query.put(
            decoded(at < 0 ? each : each.substring(0, at)),
            at < 0 ? "" : decoded(each.substring(at + 1)));
      }
    }
    return new TreeMap<>(query);
  }

  private static String decoded(String text) {
    return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
  }

  private static void answer(HttpExchange exchange, int status, String xml) throws IOException {
    byte[] bytes = xml.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "application/xml");
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    if (bytes.length > 0) {
      exchange.getResponseBody().write(bytes);
    }
  }
}
