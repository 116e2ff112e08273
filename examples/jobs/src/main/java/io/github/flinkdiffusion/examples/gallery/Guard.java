/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import com.sun.net.httpserver.HttpExchange;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Who may ask: a page of this server, in a browser on this machine.
 *
 * <ul>
 *   <li>The host must be a name of the loopback interface, whatever port a tunnel gives it: a page
 *       whose own name is made to resolve to this machine (DNS rebinding) has another one.
 *   <li>Requests that browsers mark as another site's are refused.
 *   <li>What changes something needs the token that only a page of this server can read, and comes
 *       from such a page's origin.
 * </ul>
 */
final class Guard {
  static final String TOKEN = "X-CSRF-Token";

  private static final Pattern LOOPBACK =
      Pattern.compile(
          "(localhost|127\\.0\\.0\\.1|\\[::1\\])(:\\d{1,5})?", Pattern.CASE_INSENSITIVE);

  private final String token;

  Guard() {
    byte[] random = new byte[24];
    new SecureRandom().nextBytes(random);
    token = Base64.getUrlEncoder().withoutPadding().encodeToString(random);
  }

  String token() {
    return token;
  }

  void check(HttpExchange exchange) throws Refusal {
    String host = only(exchange, "Host");
    if (host == null || !LOOPBACK.matcher(host).matches()) {
      throw new Refusal(
          421, "This server answers to localhost, 127.0.0.1 and [::1] only; open one of them.");
    }
    String site = only(exchange, "Sec-Fetch-Site");
    boolean isPage = exchange.getRequestURI().getPath().equals("/");
    if (site != null && !site.equals("same-origin") && !site.equals("none") && !isPage) {
      throw new Refusal(403, "A page of another site asked for this.");
    }
    switch (exchange.getRequestMethod()) {
      case "GET", "HEAD" -> {}
      case "POST" -> checkChange(exchange, host);
      default ->
          throw new Refusal(405, exchange.getRequestMethod() + " is not known; GET and POST are.");
    }
  }

  private void checkChange(HttpExchange exchange, String host) throws Refusal {
    String origin = only(exchange, "Origin");
    if (origin != null && !origin.equalsIgnoreCase("http://" + host)) {
      throw new Refusal(403, "A page of another site asked for this.");
    }
    String given = only(exchange, TOKEN);
    if (given == null
        || !MessageDigest.isEqual(
            given.getBytes(StandardCharsets.UTF_8), token.getBytes(StandardCharsets.UTF_8))) {
      throw new Refusal(403, "The page is older than the server. Load it again.");
    }
  }

  /** A header that is there once; null when it is missing, or there twice. */
  private static String only(HttpExchange exchange, String name) {
    List<String> values = exchange.getRequestHeaders().get(name);
    return values == null || values.size() != 1 ? null : values.get(0);
  }
}
