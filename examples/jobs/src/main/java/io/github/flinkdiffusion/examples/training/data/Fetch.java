/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.apache.commons.compress.archivers.ArchiveEntry;
import org.apache.commons.compress.archivers.ArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.archivers.zip.ZipArchiveInputStream;

/**
 * A file that training data comes from: fetched once, checked, and unpacked if it is an archive.
 *
 * @param url http, https or file; or {@code debian:NAME=VERSION}, a Debian package, which {@code
 *     apt-get} downloads from wherever this machine's packages come and {@code dpkg-deb} unpacks
 * @param sha256 of the file, in hex; another file is refused
 * @param license of what is in it, for people and for the datasheet
 * @param folder where it goes; an archive (tar, tar.gz, tgz, zip) is unpacked there
 */
public record Fetch(String url, String sha256, String license, Path folder) {
  private static final int BUFFER = 1 << 16;
  private static final int TIMEOUT_MILLIS = 30_000;

  private static final Pattern DEBIAN =
      Pattern.compile("debian:([a-z0-9][a-z0-9.+-]+=[\\w.+:~-]+)");
  private static final long MOST_MINUTES = 30;

  /** An archive may unpack to so many bytes; more is a decompression bomb. */
  private static final long MOST_BYTES = 200L << 30;

  public Fetch {
    if (!sha256.matches("[0-9a-fA-F]{64}")) {
      throw new IllegalArgumentException(
          "The sha256 of %s is '%s'; expected 64 hexadecimal digits.".formatted(url, sha256));
    }
    if (license.isBlank()) {
      throw new IllegalArgumentException(
          "%s has no license; say under which license its data is, e.g. an SPDX name."
              .formatted(url));
    }
    sha256 = sha256.toLowerCase(Locale.ROOT);
  }

  /**
   * Fetches the file unless it was fetched before: a file {@code .fetched-<sha256>} in the folder
   * says so.
   *
   * @throws TrainingDataException if it cannot be fetched, or has another digest; nothing of it is
   *     then left in the folder
   */
  public void run() {
    Path done = folder.resolve(".fetched-" + sha256);
    if (Files.exists(done)) {
      return;
    }
    Path partial = folder.resolve(".partial-" + sha256);
    try {
      Files.createDirectories(folder);
      Matcher debian = DEBIAN.matcher(url);
      String found =
          debian.matches() ? downloadDebian(debian.group(1), partial) : download(partial);
      if (!found.equals(sha256)) {
        throw new TrainingDataException(
            "%s has digest %s; expected %s. It was changed, or another file is meant."
                .formatted(url, found, sha256));
      }
      if (debian.matches()) {
        run(folder, "dpkg-deb", "-x", partial.toAbsolutePath().toString(), ".");
      } else {
        place(partial);
      }
      Files.writeString(done, license + "\n");
    } catch (IOException | URISyntaxException e) {
      throw new TrainingDataException("%s cannot be fetched: %s".formatted(url, e), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new TrainingDataException("%s cannot be fetched: interrupted".formatted(url), e);
    } finally {
      delete(partial);
    }
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // It is written anew next time.
    }
  }

  private String download(Path to) throws IOException, URISyntaxException {
    URI from = new URI(url);
    String scheme = String.valueOf(from.getScheme()).toLowerCase(Locale.ROOT);
    if (!scheme.equals("https") && !scheme.equals("http") && !scheme.equals("file")) {
      throw new IOException(
          "expected a URL of https, http or file, or debian:NAME=VERSION of a package");
    }
    var connection = from.toURL().openConnection();
    connection.setConnectTimeout(TIMEOUT_MILLIS);
    connection.setReadTimeout(TIMEOUT_MILLIS);
    MessageDigest digest = digest();
    try (InputStream in = connection.getInputStream();
        OutputStream out = Files.newOutputStream(to)) {
      byte[] buffer = new byte[BUFFER];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        digest.update(buffer, 0, n);
        out.write(buffer, 0, n);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /** The client asks the sources that the machine is set up with, so no address is named here. */
  private String downloadDebian(String nameAndVersion, Path to)
      throws IOException, InterruptedException {
    Path folder = Files.createTempDirectory(this.folder, ".download-");
    try {
      run(folder, "apt-get", "download", nameAndVersion);
      try (Stream<Path> files = Files.list(folder)) {
        Path file =
            files
                .filter(each -> each.toString().endsWith(".deb"))
                .findFirst()
                .orElseThrow(() -> new IOException("apt-get left no .deb"));
        Files.move(file, to, StandardCopyOption.REPLACE_EXISTING);
      }
    } finally {
      try (Stream<Path> files = Files.list(folder)) {
        files.forEach(Fetch::delete);
      }
      delete(folder);
    }
    MessageDigest digest = digest();
    try (InputStream in = Files.newInputStream(to)) {
      in.transferTo(new DigestOutputStream(OutputStream.nullOutputStream(), digest));
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static void run(Path folder, String... command) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve(".log").toFile())
            .start();
    boolean ended = process.waitFor(MOST_MINUTES, TimeUnit.MINUTES);
    process.destroyForcibly();
    String said = Files.readString(folder.resolve(".log")).strip();
    delete(folder.resolve(".log"));
    if (!ended || process.exitValue() != 0) {
      throw new IOException(
          "%s %s: %s"
              .formatted(
                  command[0],
                  ended ? "failed" : "did not end within " + MOST_MINUTES + " minutes",
                  said));
    }
  }

  private static MessageDigest digest() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java has SHA-256.", e);
    }
  }

  private void place(Path file) throws IOException {
    String name = url.substring(url.lastIndexOf('/') + 1).replaceFirst("[?#].*", "");
    String lower = name.toLowerCase(Locale.ROOT);
    try (InputStream in = Files.newInputStream(file)) {
      if (lower.endsWith(".tar.gz") || lower.endsWith(".tgz")) {
        unpack(new TarArchiveInputStream(new GZIPInputStream(in, BUFFER)));
      } else if (lower.endsWith(".tar")) {
        unpack(new TarArchiveInputStream(in));
      } else if (lower.endsWith(".zip")) {
        unpack(new ZipArchiveInputStream(in));
      } else {
        Files.move(file, inside(name), StandardCopyOption.REPLACE_EXISTING);
      }
    }
  }

  private void unpack(ArchiveInputStream<? extends ArchiveEntry> archive) throws IOException {
    long rest = MOST_BYTES;
    byte[] buffer = new byte[BUFFER];
    for (ArchiveEntry entry = archive.getNextEntry();
        entry != null;
        entry = archive.getNextEntry()) {
      boolean link = entry instanceof TarArchiveEntry tar && !tar.isFile();
      if (entry.isDirectory() || link) {
        continue;
      }
      Path to = inside(entry.getName());
      Files.createDirectories(to.getParent());
      try (OutputStream out = Files.newOutputStream(to)) {
        for (int n = archive.read(buffer); n >= 0; n = archive.read(buffer)) {
          rest -= n;
          if (rest < 0) {
            throw new IOException("it unpacks to more than " + MOST_BYTES + " bytes");
          }
          out.write(buffer, 0, n);
        }
      }
    }
  }

  private Path inside(String name) throws IOException {
    Path path = folder.resolve(name).normalize();
    if (name.isEmpty() || !path.startsWith(folder.normalize()) || path.equals(folder.normalize())) {
      throw new IOException("it has a file '%s'; expected names inside the folder".formatted(name));
    }
    return path;
  }
}
