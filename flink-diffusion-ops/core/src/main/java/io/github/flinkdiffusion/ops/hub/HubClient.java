/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.LongConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The hub's protocol: what it says of repositories, and files, whose downloads go on where they
 * ended. {@link HubHttp} makes the requests.
 */
final class HubClient {
  private static final Logger LOG = LoggerFactory.getLogger(HubClient.class);
  private static final int MAX_PAGES = 200;
  private static final int BLOCK = 1 << 17;

  /** A download that comes so much further has all its attempts again. */
  private static final long PROGRESS_BYTES = 8L << 20;

  private static final Pattern NEXT = Pattern.compile("<([^<>]+)>\\s*;\\s*rel=\"?next\"?");
  private static final Pattern RANGE = Pattern.compile("bytes (\\d+)-(\\d+)/(\\d+)");

  private final HubSettings settings;
  private final HubHttp http;

  HubClient(HubSettings settings) {
    this.settings = settings;
    this.http = new HubHttp(settings);
  }

  /** The commit that a branch, tag or commit stands for now. */
  String commit(HubName name) {
    URI uri = api(name, "revision", escaped(name.revision()), "");
    JsonNode answer = http.repeated(name.toString(), () -> http.json(name, uri).body());
    String commit = answer.path("sha").asText();
    if (!HubName.isCommit(commit)) {
      throw HubException.lasting(
          "%s answered for %s without a commit ('sha' is '%s'). Check that HF_ENDPOINT is the address of a hub."
              .formatted(uri, name, commit));
    }
    return commit;
  }

  /** All files of a commit. */
  List<HubFile> tree(HubName name, String commit) {
    List<HubFile> files = new ArrayList<>();
    Optional<URI> page = Optional.of(api(name, "tree", commit, "?recursive=true"));
    for (int pages = 0; page.isPresent(); pages++) {
      URI uri = page.get();
      if (pages == MAX_PAGES) {
        throw HubException.lasting(
            "%s lists more files than are read (%d pages)".formatted(name, MAX_PAGES));
      }
      HubHttp.Page answer = http.repeated(name.toString(), () -> http.json(name, uri));
      try {
        answer.body().forEach(entry -> HubFile.ofListing(entry).ifPresent(files::add));
      } catch (IllegalArgumentException e) {
        throw HubException.lasting(
            "The list of files of %s at %s is invalid: %s"
                .formatted(name, settings.endpoint(), e.getMessage()));
      }
      page = next(uri, answer.headers());
    }
    return files;
  }

  private static Optional<URI> next(URI uri, HttpHeaders headers) {
    return headers.allValues("link").stream()
        .map(NEXT::matcher)
        .filter(Matcher::find)
        .map(link -> uri.resolve(link.group(1)))
        .findFirst();
  }

  private URI api(HubName name, String what, String revision, String query) {
    return URI.create(
        "%s/api/models/%s/%s/%s%s"
            .formatted(settings.endpoint(), name.repository(), what, revision, query));
  }

  private static String escaped(String revision) {
    return revision.replace("/", "%2F");
  }

  /**
   * Downloads a file, going on behind the bytes that are there. Its content is checked before it
   * gets its name.
   *
   * @param partial where it grows
   * @param complete its name at last
   * @param progress hears of bytes that are there
   */
  void download(
      HubName name, String commit, HubFile file, Path partial, Path complete, LongConsumer progress)
      throws IOException, InterruptedException {
    HubName named = new HubName(name.repository(), name.revision(), Optional.of(file.path()));
    URI uri =
        URI.create(
            "%s/%s/resolve/%s/%s"
                .formatted(
                    settings.endpoint(), name.repository(), commit, percentEncoded(file.path())));
    boolean resumed = size(partial) > 0;
    fetch(named, uri, file, partial, progress);
    String digest = digest(file, partial);
    if (!digest.equals(file.blob()) && resumed) {
      // What an earlier process left may have been damaged; what comes now is not.
      LOG.warn("{}: the partial download is corrupt; downloading the file again", named);
      Files.delete(partial);
      fetch(named, uri, file, partial, progress);
      digest = digest(file, partial);
    }
    if (!digest.equals(file.blob())) {
      Files.delete(partial);
      throw HubException.passing(
          "Digest mismatch: %s from %s has %s, but the hub lists %s. Nothing was kept. Try again; if it happens again, a proxy or mirror (HF_ENDPOINT) changes files."
              .formatted(named, settings.endpoint(), digest, file.blob()),
          null);
    }
    try {
      Files.move(
          partial, complete, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw written(named, partial, file, e);
    }
  }

  private void fetch(HubName named, URI uri, HubFile file, Path partial, LongConsumer progress)
      throws InterruptedException {
    int made = 0;
    while (size(partial) != file.size() || !Files.exists(partial)) {
      long before = size(partial);
      try {
        attempt(named, uri, file, partial, progress);
      } catch (HubHttp.PassingTrouble trouble) {
        made = size(partial) - before >= PROGRESS_BYTES ? 1 : made + 1;
        http.pause(trouble, made, named.toString());
      }
    }
  }

  /** One request; what comes of it stays, whatever ends it. */
  private void attempt(HubName named, URI uri, HubFile file, Path partial, LongConsumer progress)
      throws HubHttp.PassingTrouble, InterruptedException {
    long offset = size(partial);
    if (offset > file.size()) {
      offset = 0;
    }
    HttpResponse<InputStream> response = http.get(named, uri, offset, Optional.of(file));
    try (InputStream body = response.body();
        StallWatch watch = StallWatch.over(body, settings.patience())) {
      if (response.statusCode() == 416) {
        discard(named, partial, file);
        throw new HubHttp.PassingTrouble(
            "the server has no bytes behind %d (416)".formatted(offset), Optional.empty(), null);
      }
      http.refuse(named, response, 200, 206);
      if (response.statusCode() == 200) {
        offset = 0;
      } else {
        requireRange(named, file, offset, response.headers());
      }
      copy(named, file, partial, offset, body, watch, progress);
    } catch (IOException e) {
      throw HubHttp.trouble(uri, e);
    }
  }

  private static void discard(HubName named, Path partial, HubFile file) {
    try {
      Files.deleteIfExists(partial);
    } catch (IOException e) {
      throw written(named, partial, file, e);
    }
  }

  private static void requireRange(HubName named, HubFile file, long offset, HttpHeaders headers) {
    String range = headers.firstValue("content-range").orElse("");
    Matcher matcher = RANGE.matcher(range);
    if (!matcher.matches()
        || Long.parseLong(matcher.group(1)) != offset
        || Long.parseLong(matcher.group(3)) != file.size()) {
      throw HubException.passing(
          "%s: asked for the bytes from %d of %d, but the server sends Content-Range '%s'"
              .formatted(named, offset, file.size(), range),
          null);
    }
  }

  private void copy(
      HubName named,
      HubFile file,
      Path partial,
      long offset,
      InputStream body,
      StallWatch watch,
      LongConsumer progress)
      throws IOException, HubHttp.PassingTrouble, InterruptedException {
    FileChannel channel;
    try {
      channel = FileChannel.open(partial, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    } catch (IOException e) {
      throw written(named, partial, file, e);
    }
    long at = offset;
    try (channel) {
      channel.truncate(offset).position(offset);
      byte[] block = new byte[BLOCK];
      for (int read = body.read(block); read >= 0; read = body.read(block)) {
        watch.progress();
        if (Thread.interrupted()) {
          throw new InterruptedException();
        }
        if (at + read > file.size()) {
          channel.truncate(0);
          throw HubException.passing(
              "%s is longer than the %d bytes that the hub lists; nothing was kept"
                  .formatted(named, file.size()),
              null);
        }
        write(channel, ByteBuffer.wrap(block, 0, read), named, partial, file);
        at += read;
        progress.accept(at);
      }
      channel.force(true);
    }
    if (at < file.size()) {
      throw new HubHttp.PassingTrouble(
          "the connection ended after %d of %d bytes".formatted(at, file.size()),
          Optional.empty(),
          null);
    }
  }

  private static void write(
      FileChannel channel, ByteBuffer bytes, HubName named, Path partial, HubFile file) {
    try {
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
    } catch (IOException e) {
      throw written(named, partial, file, e);
    }
  }

  private static HubException written(HubName named, Path partial, HubFile file, IOException e) {
    return HubException.passing(
        ("Cannot write %s (%d bytes) to %s: %s. Free space there, or set HF_HOME to a folder on"
                + " another disk; what is there is kept, and the download continues from there.")
            .formatted(named, file.size(), partial.getParent(), e.getMessage()),
        e);
  }

  private static String digest(HubFile file, Path partial) throws IOException {
    ContentDigest digest = ContentDigest.of(file);
    ByteBuffer block = ByteBuffer.allocate(1 << 20);
    try (FileChannel channel = FileChannel.open(partial)) {
      while (channel.read(block) >= 0) {
        digest.add(block.flip());
        block.clear();
      }
    }
    return digest.hex();
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      return 0;
    }
  }

  static HubException interrupted(String what, InterruptedException e) {
    Thread.currentThread().interrupt();
    return HubException.passing("The download of %s was interrupted".formatted(what), e);
  }

  static String percentEncoded(String path) {
    StringBuilder text = new StringBuilder();
    for (byte b : path.getBytes(StandardCharsets.UTF_8)) {
      char c = (char) (b & 0xff);
      boolean plain =
          c >= 'a' && c <= 'z'
              || c >= 'A' && c <= 'Z'
              || c >= '0' && c <= '9'
              || "-._~/".indexOf(c) >= 0;
      if (plain) {
        text.append(c);
      } else {
        text.append("%%%02X".formatted((int) c));
      }
    }
    return text.toString();
  }
}
