/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.LongConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The hub's protocol: JSON about repositories, and files with redirects and ranges. What may pass
 * (429, 5xx, a connection that ends) is tried again a few times, with a pause that doubles or that
 * the server asks for. The token goes to the endpoint alone, never where it redirects to.
 */
final class HubClient {
  private static final Logger LOG = LoggerFactory.getLogger(HubClient.class);
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final int MAX_JSON_BYTES = 64 << 20;
  private static final int MAX_PAGES = 200;
  private static final int MAX_REDIRECTS = 8;
  private static final int BLOCK = 1 << 17;

  /** A download that comes so much further has all its attempts again. */
  private static final long PROGRESS_BYTES = 8L << 20;

  private static final String LINKED_ETAG = "x-linked-etag";
  private static final Duration CONNECT = Duration.ofSeconds(15);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);

  /** A server that asks for more is not waited for. */
  private static final Duration LONGEST_RETRY_AFTER = Duration.ofMinutes(5);

  private static final Pattern NEXT = Pattern.compile("<([^<>]+)>\\s*;\\s*rel=\"?next\"?");
  private static final Pattern RANGE = Pattern.compile("bytes (\\d+)-(\\d+)/(\\d+)");

  private final HubSettings settings;
  private final HttpClient client =
      HttpClient.newBuilder()
          .connectTimeout(CONNECT)
          .followRedirects(HttpClient.Redirect.NEVER)
          .build();

  HubClient(HubSettings settings) {
    this.settings = settings;
  }

  /** Trouble that may be over at the next attempt. */
  private static final class PassingTrouble extends Exception {
    private static final long serialVersionUID = 1L;

    private final transient Optional<Duration> retryAfter;

    PassingTrouble(String message, Optional<Duration> retryAfter, Throwable cause) {
      super(message, cause);
      this.retryAfter = retryAfter;
    }
  }

  private interface Attempt<T> {
    T make() throws PassingTrouble, InterruptedException;
  }

  /** The commit that a branch, tag or commit stands for now. */
  String commit(HubName name) {
    URI uri = api(name, "revision", escaped(name.revision()), "");
    JsonNode answer = repeated(name.toString(), () -> json(name, uri).body);
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
      Page answer = repeated(name.toString(), () -> json(name, uri));
      try {
        answer.body.forEach(entry -> HubFile.ofListing(entry).ifPresent(files::add));
      } catch (IllegalArgumentException e) {
        throw HubException.lasting(
            "The list of files of %s at %s is invalid: %s"
                .formatted(name, settings.endpoint(), e.getMessage()));
      }
      page = next(uri, answer.headers);
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

  private record Page(JsonNode body, HttpHeaders headers) {}

  private Page json(HubName name, URI uri) throws PassingTrouble, InterruptedException {
    HttpResponse<InputStream> response = get(name, uri, 0, Optional.empty());
    try (InputStream body = response.body();
        StallWatch watch = StallWatch.over(body, settings.patience())) {
      refuse(name, response, 200);
      byte[] bytes = body.readNBytes(MAX_JSON_BYTES + 1);
      watch.progress();
      if (bytes.length > MAX_JSON_BYTES) {
        throw HubException.lasting("The answer of %s is longer than 64 MiB".formatted(uri));
      }
      return new Page(JSON.readTree(bytes), response.headers());
    } catch (JsonProcessingException e) {
      throw HubException.lasting(
          "The answer of %s is not JSON (%s). Check that HF_ENDPOINT is the address of a hub."
              .formatted(uri, e.getOriginalMessage()));
    } catch (IOException e) {
      throw trouble(uri, e);
    }
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
      } catch (PassingTrouble trouble) {
        made = size(partial) - before >= PROGRESS_BYTES ? 1 : made + 1;
        pause(trouble, made, named.toString());
      }
    }
  }

  /** One request; what comes of it stays, whatever ends it. */
  private void attempt(HubName named, URI uri, HubFile file, Path partial, LongConsumer progress)
      throws PassingTrouble, InterruptedException {
    long offset = size(partial);
    if (offset > file.size()) {
      offset = 0;
    }
    HttpResponse<InputStream> response = get(named, uri, offset, Optional.of(file));
    try (InputStream body = response.body();
        StallWatch watch = StallWatch.over(body, settings.patience())) {
      if (response.statusCode() == 416) {
        discard(named, partial, file);
        throw new PassingTrouble(
            "the server has no bytes behind %d (416)".formatted(offset), Optional.empty(), null);
      }
      refuse(named, response, 200, 206);
      if (response.statusCode() == 200) {
        offset = 0;
      } else {
        requireRange(named, file, offset, response.headers());
      }
      copy(named, file, partial, offset, body, watch, progress);
    } catch (IOException e) {
      throw trouble(uri, e);
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

  /** The digest that the hub says when it redirects must be that of its list. */
  private static void requireListed(
      HubName named, HubFile file, HttpResponse<InputStream> response) {
    Optional<String> digest =
        response
            .headers()
            .firstValue(LINKED_ETAG)
            .map(etag -> etag.replaceFirst("^W/", "").replace("\"", ""));
    if (digest.isPresent() && !digest.get().equals(file.blob())) {
      close(response);
      throw HubException.passing(
          "%s: the hub lists it with the digest %s and sends it with %s"
              .formatted(named, file.blob(), digest.get()),
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
      throws IOException, PassingTrouble, InterruptedException {
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
      throw new PassingTrouble(
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

  /** Follows redirects by hand, because Java sends the token to whatever host they lead to. */
  private HttpResponse<InputStream> get(HubName name, URI uri, long offset, Optional<HubFile> file)
      throws PassingTrouble, InterruptedException {
    URI at = uri;
    for (int redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      HttpRequest.Builder request =
          HttpRequest.newBuilder(at)
              .timeout(settings.patience())
              .header("User-Agent", "flink-diffusion");
      if (offset > 0) {
        request.header("Range", "bytes=" + offset + "-");
      }
      if (isEndpoint(at)) {
        settings.token().ifPresent(token -> request.header("Authorization", "Bearer " + token));
      }
      HttpResponse<InputStream> response = send(request.build());
      if (isEndpoint(at)) {
        file.ifPresent(listed -> requireListed(name, listed, response));
      }
      int status = response.statusCode();
      if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) {
        return response;
      }
      close(response);
      String location =
          response
              .headers()
              .firstValue("location")
              .orElseThrow(
                  () ->
                      HubException.lasting(
                          "%s redirects (%d) without saying where".formatted(uri, status)));
      URI next = at.resolve(location.replace(" ", "%20"));
      if (!"https".equals(next.getScheme())
          && !("http".equals(next.getScheme()) && "http".equals(at.getScheme()))) {
        throw HubException.lasting(
            "%s redirects to %s, which is less safe and is not followed".formatted(at, next));
      }
      at = next;
    }
    throw HubException.lasting(
        "%s: %s redirects more than %d times".formatted(name, uri, MAX_REDIRECTS));
  }

  private HttpResponse<InputStream> send(HttpRequest request)
      throws PassingTrouble, InterruptedException {
    try {
      return client.send(request, HttpResponse.BodyHandlers.ofInputStream());
    } catch (IOException e) {
      throw trouble(request.uri(), e);
    }
  }

  private static void close(HttpResponse<InputStream> response) {
    try {
      response.body().close();
    } catch (IOException e) {
      LOG.debug("Cannot close the body of {}", response.uri(), e);
    }
  }

  private boolean isEndpoint(URI uri) {
    URI endpoint = settings.endpoint();
    return endpoint.getScheme().equalsIgnoreCase(uri.getScheme())
        && endpoint.getHost().equalsIgnoreCase(uri.getHost())
        && port(endpoint) == port(uri);
  }

  private static int port(URI uri) {
    if (uri.getPort() >= 0) {
      return uri.getPort();
    }
    return "https".equals(uri.getScheme()) ? 443 : 80;
  }

  private <T> T repeated(String what, Attempt<T> attempt) {
    for (int made = 1; ; made++) {
      try {
        try {
          return attempt.make();
        } catch (PassingTrouble trouble) {
          pause(trouble, made, what);
        }
      } catch (InterruptedException e) {
        throw interrupted(what, e);
      }
    }
  }

  /**
   * Before the next attempt, if there is to be one.
   *
   * @param made attempts that have failed
   */
  private void pause(PassingTrouble trouble, int made, String what) throws InterruptedException {
    Duration doubled = settings.firstPause().multipliedBy(1L << Math.min(made - 1, 20));
    Duration wait = trouble.retryAfter.orElse(min(doubled, LONGEST_PAUSE));
    if (made >= settings.attempts() || wait.compareTo(LONGEST_RETRY_AFTER) > 0) {
      throw HubException.passing(
          "Cannot download %s: %s. Tried %d times%s. Check the network and HF_ENDPOINT (%s); what was downloaded is kept."
              .formatted(
                  what,
                  trouble.getMessage(),
                  made,
                  trouble
                      .retryAfter
                      .map(after -> "; the server asks to wait " + after.toSeconds() + " s")
                      .orElse(""),
                  settings.endpoint()),
          trouble);
    }
    LOG.warn("{}: {}; next attempt in {} ms", what, trouble.getMessage(), wait.toMillis());
    Thread.sleep(wait.toMillis());
  }

  static HubException interrupted(String what, InterruptedException e) {
    Thread.currentThread().interrupt();
    return HubException.passing("The download of %s was interrupted".formatted(what), e);
  }

  private static Duration min(Duration one, Duration other) {
    return one.compareTo(other) < 0 ? one : other;
  }

  /** Connections' exceptions often have no message at all. */
  private static PassingTrouble trouble(URI uri, IOException e) {
    String text =
        Stream.iterate((Throwable) e, t -> t != null, Throwable::getCause)
            .map(t -> t.getMessage() == null ? t.getClass().getSimpleName() : t.getMessage())
            .distinct()
            .collect(Collectors.joining(", "));
    return new PassingTrouble("%s (%s)".formatted(text, uri.getAuthority()), Optional.empty(), e);
  }

  private void refuse(HubName name, HttpResponse<?> response, int... good) throws PassingTrouble {
    int status = response.statusCode();
    for (int one : good) {
      if (status == one) {
        return;
      }
    }
    URI uri = response.uri();
    String where = "%s (HTTP %d from %s)".formatted(name, status, uri.getAuthority());
    String code = response.headers().firstValue("x-error-code").orElse("");
    if (status == 429 || status == 408 || status >= 500) {
      throw new PassingTrouble(
          "HTTP %d from %s".formatted(status, uri.getAuthority()),
          retryAfter(response.headers()),
          null);
    }
    if (code.equals("GatedRepo") || status == 403) {
      throw HubException.lasting(
          "No access to %s: its owner lets only accounts in that have accepted its terms, or that are invited. Accept them at %s/%s, and set HF_TOKEN to a token of that account."
              .formatted(where, settings.endpoint(), name.repository()));
    }
    if (status == 401) {
      throw HubException.lasting(
          settings.token().isPresent()
              ? "No access to %s: the token in HF_TOKEN is not valid, or its account cannot see this repository. Check the token, and the name."
                  .formatted(where)
              : "No access to %s: there is no such repository, or it is private. Check the name; if it is private, set HF_TOKEN to a token that may read it."
                  .formatted(where));
    }
    if (status == 404) {
      throw HubException.lasting(
          switch (code) {
            case "RevisionNotFound" ->
                "%s: the repository has no branch, tag or commit '%s'. Look at %s/%s/tree/main for those that there are."
                    .formatted(where, name.revision(), settings.endpoint(), name.repository());
            case "EntryNotFound" ->
                "%s: the repository has no file '%s' at '%s'"
                    .formatted(where, name.file().orElse(""), name.revision());
            default ->
                "%s: there is no such repository at %s. Check owner, name and revision; if it is private, set HF_TOKEN."
                    .formatted(where, settings.endpoint());
          });
    }
    throw HubException.lasting(
        "%s: unexpected answer. Check that HF_ENDPOINT (%s) is the address of a hub."
            .formatted(where, settings.endpoint()));
  }

  /** In seconds; dates are not worth their trouble, and are answered with our own pause. */
  private static Optional<Duration> retryAfter(HttpHeaders headers) {
    OptionalLong seconds;
    try {
      seconds = headers.firstValueAsLong("retry-after");
    } catch (NumberFormatException e) {
      return Optional.empty();
    }
    return seconds.isPresent() && seconds.getAsLong() >= 0
        ? Optional.of(Duration.ofSeconds(seconds.getAsLong()))
        : Optional.empty();
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
