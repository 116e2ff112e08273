/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.embedded;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Stream;

/**
 * A local hub: folders of this machine by the protocol of Hugging Face's hub, as far as downloads
 * need it (revisions, lists of files, files with redirects and ranges). It stands in for the real
 * one in tests, and where there is no network. Safetensors are "large" files: like the real hub, it
 * redirects for them to a second server, which wants no token.
 */
public final class LocalHub implements AutoCloseable {
  private static final int PAGE = 50;
  private static final int BLOCK = 1 << 16;

  /** One request, as a fault may look at it. */
  public record Request(
      String method, String path, Optional<String> range, Optional<String> token) {}

  /**
   * What goes wrong with a request.
   *
   * @param status of the answer; 200 answers as always
   * @param headers of the answer
   * @param mostBytes of the body before the connection is ended; negative for all
   */
  public record Fault(int status, Map<String, String> headers, long mostBytes) {}

  /** Decides which requests go wrong. */
  @FunctionalInterface
  public interface Faults {
    Optional<Fault> of(Request request);
  }

  private record Blob(Path file, long size, String gitId, Optional<String> sha256) {
    String etag() {
      return sha256.orElse(gitId);
    }
  }

  private record Repository(String commit, TreeMap<String, Blob> files) {}

  private final HttpServer hub;
  private final HttpServer files;
  private final ExecutorService threads;
  private final Map<String, Path> folders;
  private final Map<String, Repository> repositories = new ConcurrentHashMap<>();
  private final List<Request> requests = new CopyOnWriteArrayList<>();
  private volatile Faults faults = request -> Optional.empty();
  private volatile Optional<String> token = Optional.empty();

  private LocalHub(int port, Map<String, Path> folders) throws IOException {
    this.folders = Map.copyOf(folders);
    hub = server(port);
    files = server(0);
    threads =
        Executors.newCachedThreadPool(
            task -> {
              Thread thread = new Thread(task, "local-hub");
              thread.setDaemon(true);
              return thread;
            });
    hub.setExecutor(threads);
    files.setExecutor(threads);
    hub.createContext("/", exchange -> answer(exchange, this::onHub));
    files.createContext("/", exchange -> answer(exchange, this::onFiles));
    hub.start();
    files.start();
  }

  private static HttpServer server(int port) throws IOException {
    return HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
  }

  /**
   * Starts one.
   *
   * @param port of this machine; 0 takes a free one
   * @param folders by repository ({@code owner/name})
   */
  public static LocalHub start(int port, Map<String, Path> folders) {
    try {
      return new LocalHub(port, folders);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot start a local hub on port " + port, e);
    }
  }

  /** What HF_ENDPOINT is to be. */
  public URI endpoint() {
    return URI.create("http://127.0.0.1:" + hub.getAddress().getPort());
  }

  /** Lets requests go wrong from now on. */
  public void faults(Faults these) {
    faults = these;
  }

  /** Answers only requests with this token from now on. */
  public void requireToken(String required) {
    token = Optional.of(required);
  }

  /** All requests so far, to both servers. */
  public List<Request> requests() {
    return List.copyOf(requests);
  }

  /** The commit that {@code main} is at, which follows from the files as they are now. */
  public String commit(String repository) {
    return repository(repository).orElseThrow().commit;
  }

  @Override
  public void close() {
    hub.stop(0);
    files.stop(0);
    threads.shutdownNow();
  }

  private interface Handler {
    void handle(HttpExchange exchange, long mostBytes) throws IOException;
  }

  private void answer(HttpExchange exchange, Handler handler) {
    try (exchange) {
      Request request =
          new Request(
              exchange.getRequestMethod(),
              exchange.getRequestURI().toString(),
              Optional.ofNullable(exchange.getRequestHeaders().getFirst("Range")),
              Optional.ofNullable(exchange.getRequestHeaders().getFirst("Authorization")));
      requests.add(request);
      Optional<Fault> fault = faults.of(request);
      if (fault.isPresent()) {
        fault.get().headers.forEach(exchange.getResponseHeaders()::set);
        if (fault.get().status != 200) {
          send(exchange, fault.get().status, "{\"error\":\"as ordered\"}");
          return;
        }
      }
      handler.handle(exchange, fault.map(Fault::mostBytes).orElse(-1L));
    } catch (IOException e) {
      // The client has gone, or a fault has ended the connection.
    }
  }

  private void onHub(HttpExchange exchange, long mostBytes) throws IOException {
    String given = exchange.getRequestHeaders().getFirst("Authorization");
    if (token.isPresent() && !("Bearer " + token.get()).equals(given)) {
      refuse(exchange, 401, "RepoNotFound");
      return;
    }
    // Undecoded, since a revision may have a slash in it.
    String[] parts = exchange.getRequestURI().getRawPath().substring(1).split("/");
    boolean api = parts.length >= 4 && parts[0].equals("api") && parts[1].equals("models");
    int at = api ? 2 : 0;
    Optional<Repository> found =
        parts.length < at + 2 ? Optional.empty() : repository(parts[at] + "/" + parts[at + 1]);
    if (found.isEmpty()) {
      refuse(exchange, 404, "RepoNotFound");
      return;
    }
    Repository repository = found.get();
    String what = parts.length > at + 2 ? parts[at + 2] : "revision";
    String revision = parts.length > at + 3 ? decoded(parts[at + 3]) : "main";
    if (!List.of("main", "refs/pr/1", repository.commit).contains(revision)) {
      refuse(exchange, 404, "RevisionNotFound");
      return;
    }
    if (api && what.equals("revision")) {
      send(
          exchange,
          200,
          "{\"id\":%s,\"sha\":\"%s\",\"siblings\":[]}"
              .formatted(quoted(parts[at] + "/" + parts[at + 1]), repository.commit));
    } else if (api && what.equals("tree")) {
      list(exchange, repository);
    } else if (!api && what.equals("resolve")) {
      String path =
          decoded(String.join("/", List.of(parts).subList(at + 4, Math.max(at + 4, parts.length))));
      resolve(exchange, repository, path, mostBytes);
    } else {
      refuse(exchange, 404, "EntryNotFound");
    }
  }

  private void list(HttpExchange exchange, Repository repository) throws IOException {
    String query = Optional.ofNullable(exchange.getRequestURI().getQuery()).orElse("");
    int from =
        Stream.of(query.split("&"))
            .filter(part -> part.startsWith("cursor="))
            .map(part -> Integer.parseInt(part.substring("cursor=".length())))
            .findFirst()
            .orElse(0);
    StringBuilder json = new StringBuilder("[");
    repository.files.entrySet().stream()
        .skip(from)
        .limit(PAGE)
        .forEach(
            entry -> {
              Blob blob = entry.getValue();
              json.append(json.length() > 1 ? "," : "")
                  .append("{\"type\":\"file\",\"oid\":\"%s\",".formatted(blob.gitId))
                  .append("\"size\":%d,".formatted(blob.size));
              blob.sha256.ifPresent(
                  sha256 ->
                      json.append(
                          "\"lfs\":{\"oid\":\"%s\",\"size\":%d,\"pointerSize\":134},"
                              .formatted(sha256, blob.size)));
              json.append("\"path\":%s}".formatted(quoted(entry.getKey())));
            });
    if (from + PAGE < repository.files.size()) {
      exchange
          .getResponseHeaders()
          .set(
              "Link",
              "<%s%s?recursive=true&cursor=%d>; rel=\"next\""
                  .formatted(endpoint(), exchange.getRequestURI().getRawPath(), from + PAGE));
    }
    send(exchange, 200, json.append("]").toString());
  }

  private void resolve(HttpExchange exchange, Repository repository, String path, long mostBytes)
      throws IOException {
    Blob blob = repository.files.get(path);
    exchange.getResponseHeaders().set("X-Repo-Commit", repository.commit);
    if (blob == null) {
      refuse(exchange, 404, "EntryNotFound");
      return;
    }
    if (blob.sha256.isEmpty()) {
      send(exchange, blob, mostBytes);
      return;
    }
    exchange.getResponseHeaders().set("X-Linked-Size", Long.toString(blob.size));
    exchange.getResponseHeaders().putIfAbsent("X-Linked-ETag", List.of("\"" + blob.etag() + "\""));
    exchange
        .getResponseHeaders()
        .set(
            "Location",
            "http://127.0.0.1:%d/%s".formatted(files.getAddress().getPort(), blob.etag()));
    exchange.sendResponseHeaders(302, -1);
  }

  private void onFiles(HttpExchange exchange, long mostBytes) throws IOException {
    String etag = exchange.getRequestURI().getPath().substring(1);
    Optional<Blob> blob =
        repositories.values().stream()
            .flatMap(repository -> repository.files.values().stream())
            .filter(one -> one.etag().equals(etag))
            .findFirst();
    if (blob.isEmpty()) {
      refuse(exchange, 404, "EntryNotFound");
      return;
    }
    send(exchange, blob.get(), mostBytes);
  }

  private static void send(HttpExchange exchange, Blob blob, long mostBytes) throws IOException {
    exchange.getResponseHeaders().set("ETag", "\"" + blob.etag() + "\"");
    exchange.getResponseHeaders().set("Accept-Ranges", "bytes");
    String range = exchange.getRequestHeaders().getFirst("Range");
    long from = 0;
    if (range != null) {
      from = Long.parseLong(range.replaceFirst("bytes=(\\d+)-.*", "$1"));
      if (from >= blob.size) {
        refuse(exchange, 416, "");
        return;
      }
      exchange
          .getResponseHeaders()
          .set("Content-Range", "bytes %d-%d/%d".formatted(from, blob.size - 1, blob.size));
    }
    long length = blob.size - from;
    if (exchange.getRequestMethod().equals("HEAD")) {
      exchange.getResponseHeaders().set("Content-Length", Long.toString(length));
      exchange.sendResponseHeaders(range == null ? 200 : 206, -1);
      return;
    }
    exchange.sendResponseHeaders(range == null ? 200 : 206, length == 0 ? -1 : length);
    long left = mostBytes < 0 ? length : Math.min(length, mostBytes);
    try (InputStream in = Files.newInputStream(blob.file)) {
      in.skipNBytes(from);
      OutputStream out = exchange.getResponseBody();
      byte[] block = new byte[BLOCK];
      while (left > 0) {
        int read = in.readNBytes(block, 0, (int) Math.min(BLOCK, left));
        out.write(block, 0, read);
        left -= read;
      }
      out.flush();
    }
  }

  private static void refuse(HttpExchange exchange, int status, String code) throws IOException {
    if (!code.isEmpty()) {
      exchange.getResponseHeaders().set("X-Error-Code", code);
    }
    send(exchange, status, "{\"error\":\"%s\"}".formatted(code));
  }

  private static void send(HttpExchange exchange, int status, String json) throws IOException {
    byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    if (exchange.getRequestMethod().equals("HEAD")) {
      exchange.sendResponseHeaders(status, -1);
      return;
    }
    exchange.sendResponseHeaders(status, bytes.length);
    exchange.getResponseBody().write(bytes);
  }

  private static String quoted(String text) {
    return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
  }

  private static String decoded(String text) {
    return URI.create("http://host/" + text.replace("/", "%2F")).getPath().substring(1);
  }

  /** Read once: a large model's digests take their time. */
  private Optional<Repository> repository(String name) {
    Path folder = folders.get(name);
    return folder == null
        ? Optional.empty()
        : Optional.of(repositories.computeIfAbsent(name, key -> read(folder)));
  }

  private static Repository read(Path folder) {
    TreeMap<String, Blob> files = new TreeMap<>();
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path file : all.filter(Files::isRegularFile).toList()) {
        String path = folder.relativize(file).toString().replace('\\', '/');
        long size = Files.size(file);
        files.put(
            path,
            new Blob(
                file,
                size,
                digest("SHA-1", "blob " + size + "\0", file),
                path.endsWith(".safetensors")
                    ? Optional.of(digest("SHA-256", "", file))
                    : Optional.empty()));
      }
      MessageDigest commit = MessageDigest.getInstance("SHA-1");
      files.forEach(
          (path, blob) ->
              commit.update((path + " " + blob.etag() + "\n").getBytes(StandardCharsets.UTF_8)));
      return new Repository(HexFormat.of().formatHex(commit.digest()), files);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read " + folder, e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Java has no SHA-1.", e);
    }
  }

  private static String digest(String algorithm, String prefix, Path file)
      throws IOException, NoSuchAlgorithmException {
    MessageDigest digest = MessageDigest.getInstance(algorithm);
    digest.update(prefix.getBytes(StandardCharsets.US_ASCII));
    try (InputStream in = Files.newInputStream(file)) {
      byte[] block = new byte[BLOCK];
      for (int read = in.read(block); read >= 0; read = in.read(block)) {
        digest.update(block, 0, read);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
