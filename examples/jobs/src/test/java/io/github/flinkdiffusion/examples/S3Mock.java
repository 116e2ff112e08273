/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Adobe's S3Mock in a process of its own: a server of S3's protocol that others wrote and use. It
 * checks what its requests say (checksums, parts, lengths), and looks at no signature.
 */
final class S3Mock implements S3Server {
  /** The build puts it there with the profile "nightly"; 31 MB. */
  private static final Path JAR = Path.of("target/s3mock/s3mock-exec.jar");

  private static final Duration PATIENCE = Duration.ofMinutes(2);
  private static final Pattern PORT =
      Pattern.compile("Tomcat started on ports.* (\\d+) \\(http\\)");
  private static final Pattern KEY = Pattern.compile("<Key>([^<]*)</Key>");

  private final HttpClient client = HttpClient.newHttpClient();
  private final Path log;
  private final Process process;
  private final int port;

  /**
   * @param folder for its objects and logs
   */
  S3Mock(Path folder) throws IOException {
    log = folder.resolve("s3mock.log");
    process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:TieredStopAtLevel=1",
                "-jar",
                JAR.toString(),
                "--server.address=127.0.0.1",
                "--server.port=0",
                "--http.port=0",
                "--com.adobe.testing.s3mock.http-port=0",
                "--com.adobe.testing.s3mock.store.root=" + folder.resolve("objects"),
                "--com.adobe.testing.s3mock.store.initial-buckets=bucket",
                "--server.tomcat.accesslog.enabled=true",
                "--server.tomcat.accesslog.buffered=false",
                "--server.tomcat.accesslog.directory=" + folder.resolve("calls"),
                "--server.tomcat.accesslog.pattern=%m %U")
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    port = port();
  }

  private int port() throws IOException {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (process.isAlive() && System.nanoTime() < end) {
      String said = Files.readString(log);
      Matcher port = PORT.matcher(said);
      if (said.contains("Started S3Mock") && port.find()) {
        return Integer.parseInt(port.group(1));
      }
      waitFor(Duration.ofMillis(200));
    }
    close();
    throw new IOException("S3Mock did not start:\n" + Files.readString(log));
  }

  @Override
  public String endpoint() {
    return "http://127.0.0.1:" + port;
  }

  @Override
  public List<String> names() {
    String list = new String(get("bucket?list-type=2"), StandardCharsets.UTF_8);
    if (list.contains("<IsTruncated>true")) {
      throw new AssertionError("more objects than one answer lists");
    }
    return KEY.matcher(list).results().map((MatchResult key) -> "bucket/" + key.group(1)).toList();
  }

  @Override
  public int calls(String method, String prefix) {
    try (Stream<Path> logs = Files.list(log.resolveSibling("calls"))) {
      int calls = 0;
      for (Path each : logs.toList()) {
        calls +=
            (int)
                Files.readAllLines(each).stream()
                    .filter(line -> line.startsWith(method + " /" + prefix))
                    .count();
      }
      return calls;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void put(String name, byte[] content) {
    send(request(name).PUT(HttpRequest.BodyPublishers.ofByteArray(content)));
  }

  @Override
  public byte[] get(String name) {
    return send(request(name).GET());
  }

  @Override
  public void close() {
    process.destroy();
    waitFor(Duration.ofSeconds(10));
    process.destroyForcibly();
  }

  private void waitFor(Duration time) {
    try {
      process.waitFor(time.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private HttpRequest.Builder request(String name) {
    return HttpRequest.newBuilder(URI.create(endpoint() + "/" + name));
  }

  private byte[] send(HttpRequest.Builder request) {
    try {
      HttpResponse<byte[]> answer =
          client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
      if (answer.statusCode() != 200) {
        throw new AssertionError(
            "%s: %d %s"
                .formatted(
                    answer.request(),
                    answer.statusCode(),
                    new String(answer.body(), StandardCharsets.UTF_8)));
      }
      return answer.body();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}
