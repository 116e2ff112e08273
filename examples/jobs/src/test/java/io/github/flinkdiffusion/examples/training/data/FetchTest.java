/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FetchTest {
  @TempDir private Path folder;

  private static String sha256(byte[] bytes) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }

  private static byte[] archive(String name) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar =
        new TarArchiveOutputStream(new GZIPOutputStream(bytes), StandardCharsets.UTF_8.name())) {
      TarArchiveEntry entry = new TarArchiveEntry(name, true);
      entry.setSize(5);
      tar.putArchiveEntry(entry);
      tar.write("hello".getBytes(StandardCharsets.UTF_8));
      tar.closeArchiveEntry();
    }
    return bytes.toByteArray();
  }

  @Test
  void anArchiveIsFetchedOnceAndUnpacked() throws Exception {
    byte[] archive = archive("package/img/1.txt");
    AtomicInteger requests = new AtomicInteger();
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/data.tgz",
        exchange -> {
          requests.incrementAndGet();
          exchange.sendResponseHeaders(200, archive.length);
          exchange.getResponseBody().write(archive);
          exchange.close();
        });
    server.start();
    try {
      String url = "http://localhost:%d/data.tgz?v=1".formatted(server.getAddress().getPort());
      Path to = folder.resolve("data");
      Fetch fetch = new Fetch(url, sha256(archive), "MIT", to);
      fetch.run();
      fetch.run();
      assertThat(Files.readString(to.resolve("package/img/1.txt"))).isEqualTo("hello");
      assertThat(requests).hasValue(1);
    } finally {
      server.stop(0);
    }
  }

  @Test
  void anotherFileIsRefusedAndLeavesNothing() throws Exception {
    Path file = Files.writeString(folder.resolve("x.bin"), "changed");
    Path to = folder.resolve("data");
    Fetch fetch = new Fetch(file.toUri().toString(), sha256(new byte[] {1}), "MIT", to);
    assertThatThrownBy(fetch::run)
        .isInstanceOf(TrainingDataException.class)
        .hasMessageContaining("x.bin has digest " + sha256("changed".getBytes("UTF-8")))
        .hasMessageContaining("expected " + sha256(new byte[] {1}));
    try (Stream<Path> left = Files.list(to)) {
      assertThat(left).isEmpty();
    }
  }

  @Test
  void anArchiveThatLeavesItsFolderIsRefused() throws Exception {
    byte[] bytes = archive("../out.txt");
    Path file = Files.write(folder.resolve("bad.tgz"), bytes);
    Fetch fetch = new Fetch(file.toUri().toString(), sha256(bytes), "MIT", folder.resolve("data"));
    assertThatThrownBy(fetch::run).hasMessageContaining("'../out.txt'");
    assertThat(folder.resolve("out.txt")).doesNotExist();
  }

  @Test
  void aFetchNeedsADigestAndALicense() {
    assertThatThrownBy(() -> new Fetch("https://host/a", "12", "MIT", folder))
        .hasMessageContaining("expected 64 hexadecimal digits");
    assertThatThrownBy(() -> new Fetch("https://host/a", "0".repeat(64), " ", folder))
        .hasMessageContaining("has no license");
  }
}
