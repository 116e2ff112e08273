/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.connector.event.EventCodec;
import java.io.IOException;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The gallery's server, asked as an attacker would. */
class GalleryDefenseITCase extends GalleryOnKafka {
  private static final String MARKUP = "<script>alert(1)</script>";

  @Test
  void aPromptIsDataForThePageAndNeverPartOfIt() throws Exception {
    send(topics.images(), EventCodec.images().encode(image("a", MARKUP, 0.2f)));
    JsonNode wall = wall(w -> w.at("/results/0/prompt").asText().equals(MARKUP));
    assertThat(wall.at("/results/0/id").asText()).isEqualTo("a");

    HttpResponse<String> page = get("/");
    assertThat(page.body()).doesNotContain("alert(1)");
    assertThat(page.headers().firstValue("Content-Security-Policy").orElseThrow())
        .contains("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'")
        .doesNotContain("unsafe");
    for (String address : List.of("/api/wall", "/api/results/0-0", "/api/results")) {
      HttpResponse<String> data = get(address);
      assertThat(data.statusCode()).isEqualTo(200);
      assertThat(data.headers().firstValue("Content-Type"))
          .hasValue("application/json; charset=utf-8");
      assertThat(data.headers().firstValue("X-Content-Type-Options")).hasValue("nosniff");
    }
  }

  @Test
  void theScriptsOfThePageMakeNoMarkupOfTexts() throws Exception {
    for (String script :
        List.of("app", "compare", "compose", "detail", "dom", "letters", "server", "wall")) {
      HttpResponse<String> source = get("/" + script + ".js");
      assertThat(source.headers().firstValue("Content-Type"))
          .hasValue("text/javascript; charset=utf-8");
      assertThat(source.body())
          .doesNotContain(
              "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(");
    }
  }

  @Test
  void aChangeNeedsTheTokenOfThePage() throws Exception {
    String prompt = "{\"prompt\": \"a heart\"}";
    assertThat(post("/api/prompts", prompt, Map.of()).statusCode()).isEqualTo(403);
    assertThat(post("/api/prompts", prompt, Map.of("X-CSRF-Token", "guess")).statusCode())
        .isEqualTo(403);
    assertThat(
            post(
                    "/api/prompts",
                    prompt,
                    Map.of("X-CSRF-Token", token, "Origin", "http://evil.example"))
                .statusCode())
        .isEqualTo(403);
    assertThat(
            post(
                    "/api/prompts",
                    prompt,
                    Map.of("X-CSRF-Token", token, "Sec-Fetch-Site", "cross-site"))
                .statusCode())
        .isEqualTo(403);
    assertThat(
            post(
                    "/api/prompts",
                    prompt,
                    Map.of("X-CSRF-Token", token, "Content-Type", "text/plain"))
                .statusCode())
        .isEqualTo(415);
    assertThat(kafka().readCommitted(topics.prompts())).isEmpty();

    assertThat(post("/api/prompts", prompt).statusCode()).isEqualTo(202);
    assertThat(kafka().readCommitted(topics.prompts())).hasSize(1);
  }

  @Test
  void aNameThatIsNotThisMachinesIsRefused() throws Exception {
    for (String host :
        List.of("evil.example", "localhost.evil.example:80", "127.0.0.1.nip.io", "")) {
      assertThat(raw("GET / HTTP/1.1\r\nHost: " + host + "\r\n"))
          .as(host)
          .doesNotContain(token)
          .startsWith("HTTP/1.1 4");
      assertThat(raw("GET /api/wall HTTP/1.1\r\nHost: " + host + "\r\n"))
          .as(host)
          .startsWith("HTTP/1.1 4");
    }
  }

  @Test
  void thisMachinesNamesAreTakenWithWhateverPort() throws Exception {
    for (String host : List.of("localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8080")) {
      assertThat(raw("GET /api/config HTTP/1.1\r\nHost: " + host + "\r\n"))
          .as(host)
          .startsWith("HTTP/1.1 200");
    }
  }

  @Test
  void noPathLeadsOutOfThePage() throws Exception {
    for (String path :
        List.of(
            "/../../../../../../etc/passwd",
            "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/page/index.html",
            "/..%2f..%2fetc%2fpasswd",
            "/style.css/../../Gallery.class",
            "/api/../index.html",
            "/api/results/..%2f..%2f/image",
            "/api/results/0-0/..%2fimage",
            "/api/ballots/../first",
            "//etc/passwd")) {
      assertThat(raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n"))
          .as(path)
          .containsPattern("^HTTP/1\\.1 40[04] ")
          .doesNotContain("root:", "<!doctype");
    }
  }

  @Test
  void whatIsTooLargeIsRefusedAndNotSent() throws Exception {
    HttpResponse<String> prompt =
        post("/api/prompts", "{\"prompt\": \"" + "x".repeat(2_001) + "\"}");
    assertThat(prompt.statusCode()).isEqualTo(413);
    assertThat(prompt.body()).contains("2001 characters; at most 2000");
    HttpResponse<String> body =
        post("/api/prompts", "{\"prompt\": \"" + "x".repeat(70_000) + "\"}");
    assertThat(body.statusCode()).isEqualTo(413);
    HttpResponse<String> image = postFile(new byte[(8 << 20) + 1]);
    assertThat(image.statusCode()).isEqualTo(413);
    assertThat(image.body()).contains("at most 8192 KiB");
    assertThat(postFile("no image".getBytes(UTF_8)).statusCode()).isEqualTo(415);
    assertThat(kafka().readCommitted(topics.prompts())).isEmpty();
    assertThat(kafka().readCommitted(topics.tasks().get(0).topic())).isEmpty();
  }

  @Test
  void aRequestThatMakesNoSenseIsRefused() throws Exception {
    for (String body :
        List.of(
            "[]",
            "{",
            "",
            "{}",
            "{\"prompt\": 7}",
            "{\"prompt\": \" \"}",
            "{\"prompt\": \"a\", \"steps\": 0}",
            "{\"prompt\": \"a\", \"steps\": 1.5}",
            "{\"prompt\": \"a\", \"count\": 17}",
            "{\"prompt\": \"a\", \"seed\": -1}",
            "{\"prompt\": \"a\", \"guidance\": \"high\"}")) {
      HttpResponse<String> answer = post("/api/prompts", body);
      assertThat(answer.statusCode()).as(body).isEqualTo(400);
      assertThat(JSON.readTree(answer.body()).path("error").asText()).endsWith(".");
    }
  }

  /** What Java's client would not send. */
  private String raw(String head) throws IOException {
    try (Socket socket = new Socket("localhost", gallery.address().getPort())) {
      socket.getOutputStream().write((head + "Connection: close\r\n\r\n").getBytes(UTF_8));
      return new String(socket.getInputStream().readAllBytes(), UTF_8);
    }
  }
}
