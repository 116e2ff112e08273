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
import java.net.UnknownHostException;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.channels.UnresolvedAddressException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Requests to the hub and to where it redirects. What may pass (429, 5xx, a connection that ends)
 * is tried again a few times, with a pause that doubles or that the server asks for. The token goes
 * to the endpoint alone, never where it redirects to.
 */
final class HubHttp {
  private static final Logger LOG = LoggerFactory.getLogger(HubHttp.class);
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final int MAX_JSON_BYTES = 64 << 20;
  private static final int MAX_REDIRECTS = 8;
  private static final String LINKED_ETAG = "x-linked-etag";
  private static final Duration CONNECT = Duration.ofSeconds(15);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);

  /** A server that asks for more is not waited for. */
  private static final Duration LONGEST_RETRY_AFTER = Duration.ofMinutes(5);

  private final HubSettings settings;
  private final HttpClient client =
      HttpClient.newBuilder()
          .connectTimeout(CONNECT)
          .followRedirects(HttpClient.Redirect.NEVER)
          .build();

  HubHttp(HubSettings settings) {
    this.settings = settings;
  }

  /** Trouble that may be over at the next attempt. */
  static final class PassingTrouble extends Exception {
    private static final long serialVersionUID = 1L;

    private final transient Optional<Duration> retryAfter;

    PassingTrouble(String message, Optional<Duration> retryAfter, Throwable cause) {
      super(message, cause);
      this.retryAfter = retryAfter;
    }
  }

  /** A request that may be made again. */
  interface Attempt<T> {
    T make() throws PassingTrouble, InterruptedException;
  }

  /** An answer in JSON. */
  record Page(JsonNode body, HttpHeaders headers) {}

  Page json(HubName name, URI uri) throws PassingTrouble, InterruptedException {
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

  /** Follows redirects by hand, because Java sends the token to whatever host they lead to. */
  HttpResponse<InputStream> get(HubName name, URI uri, long offset, Optional<HubFile> file)
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

  <T> T repeated(String what, Attempt<T> attempt) {
    for (int made = 1; ; made++) {
      try {
        try {
          return attempt.make();
        } catch (PassingTrouble trouble) {
          pause(trouble, made, what);
        }
      } catch (InterruptedException e) {
        throw HubClient.interrupted(what, e);
      }
    }
  }

  /**
   * Before the next attempt, if there is to be one.
   *
   * @param made attempts that have failed
   */
  void pause(PassingTrouble trouble, int made, String what) throws InterruptedException {
    Duration doubled = settings.firstPause().multipliedBy(1L << Math.min(made - 1, 20));
    Duration wait = trouble.retryAfter.orElse(min(doubled, LONGEST_PAUSE));
    if (made >= settings.attempts() || wait.compareTo(LONGEST_RETRY_AFTER) > 0) {
      throw HubException.passing(
          "Cannot download %s: %s. Tried %d times%s. Check the network, the proxy (Java's https.proxyHost and https.proxyPort) and HF_ENDPOINT (%s). Without a network, set HF_HUB_OFFLINE=1 or name a folder. Completed downloads are kept."
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

  private static Duration min(Duration one, Duration other) {
    return one.compareTo(other) < 0 ? one : other;
  }

  /** Connections' exceptions often have no message at all. */
  static PassingTrouble trouble(URI uri, IOException e) {
    List<Throwable> causes =
        Stream.iterate((Throwable) e, t -> t != null, Throwable::getCause).toList();
    if (causes.stream()
        .anyMatch(
            t -> t instanceof UnresolvedAddressException || t instanceof UnknownHostException)) {
      return new PassingTrouble(
          "there is no host '%s' (DNS)".formatted(uri.getHost()), Optional.empty(), e);
    }
    String text =
        causes.stream()
            .map(t -> t.getMessage() == null ? t.getClass().getSimpleName() : t.getMessage())
            .distinct()
            .collect(Collectors.joining(", "));
    return new PassingTrouble("%s (%s)".formatted(text, uri.getAuthority()), Optional.empty(), e);
  }

  /**
   * @param good the statuses that are not refused
   */
  void refuse(HubName name, HttpResponse<?> response, int... good) throws PassingTrouble {
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
}
