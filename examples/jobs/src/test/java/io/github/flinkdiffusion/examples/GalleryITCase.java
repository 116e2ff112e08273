/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.AuditRecord;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.VoteChoice;
import io.github.flinkdiffusion.connector.event.VoteCriterion;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.examples.gallery.Gallery;
import io.github.flinkdiffusion.examples.gallery.GalleryException;
import io.github.flinkdiffusion.examples.gallery.GalleryTopics;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.Socket;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.configuration.Configuration;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The gallery's server on a real broker, asked as a browser and as an attacker would. */
class GalleryITCase {
  private static final String MARKUP = "<script>alert(1)</script>";
  private static final AtomicInteger RUNS = new AtomicInteger();
  private static final ObjectMapper JSON = new ObjectMapper();

  @RegisterExtension static final JobOnKafka CLUSTER = new JobOnKafka();

  @TempDir private Path real;

  private final HttpClient http = HttpClient.newHttpClient();
  private final GalleryTopics topics =
      GalleryTopics.withPrefix("gallery" + RUNS.incrementAndGet() + "-");
  private Gallery gallery;
  private String token;

  @BeforeEach
  void start() throws Exception {
    kafka().createTopics(1, topics.ofTheJob().toArray(new String[0]));
    Files.write(real.resolve("photograph.png"), png(0.9f, Map.of()));
    Properties client = client();
    gallery =
        Gallery.start(
            new Gallery.Settings(
                client,
                topics,
                null,
                new PayloadStore(PayloadSettings.of(new Configuration())),
                real,
                Gallery.Hints.NONE,
                new GalleryResender(client, topics.failures(), null),
                (name, event, image) ->
                    new Gallery.Replayed("IDENTICAL", "made again from " + (image == null)),
                0));
    Matcher inPage = Pattern.compile("csrf-token\" content=\"([^\"]+)\"").matcher(get("/").body());
    assertThat(inPage.find()).isTrue();
    token = inPage.group(1);
  }

  @AfterEach
  void end() {
    gallery.close();
  }

  private static EmbeddedKafka kafka() {
    return CLUSTER.kafka();
  }

  private static Properties client() {
    Properties client = new Properties();
    client.setProperty("bootstrap.servers", kafka().bootstrapServers());
    return client;
  }

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
    String prompt = "{\"prompt\": \"a red heart\"}";
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

  @Test
  void aPromptBecomesRequestsWithSeedsThatFollowEachOther() throws Exception {
    HttpResponse<String> answer =
        post(
            "/api/prompts",
            "{\"prompt\": \" a cat \", \"count\": 3, \"seed\": 7, \"steps\": 9, \"guidance\": 2.5}");
    assertThat(answer.statusCode()).isEqualTo(202);
    List<PromptEvent> sent = read(topics.prompts(), EventCodec.prompts());
    assertThat(sent).extracting(PromptEvent::getSeed).containsExactly(7L, 8L, 9L);
    assertThat(sent).extracting(PromptEvent::getPrompt).containsOnly("a cat");
    assertThat(sent).extracting(PromptEvent::getSteps).containsOnly(9);
    assertThat(sent).extracting(PromptEvent::getGuidanceScale).containsOnly(2.5);
    JsonNode ids = JSON.readTree(answer.body()).path("ids");
    assertThat(sent)
        .extracting(PromptEvent::getId)
        .containsExactly(ids.get(0).asText(), ids.get(1).asText(), ids.get(2).asText());
    wall(w -> w.path("waiting").size() == 3);
  }

  @Test
  void changesComeInOneOrderAndGoOnAfterAGap() throws Exception {
    JsonNode before = wall(w -> true);
    try (Events events =
        new Events(before.path("run").asText() + "." + before.path("number"), false)) {
      for (int step = 1; step <= 20; step++) {
        if (step == 1) {
          send(topics.prompts(), EventCodec.prompts().encode(prompt("p")));
          assertThat(events.next().type).isEqualTo("waiting");
        }
        send(
            topics.progress(),
            EventCodec.progress().encode(new ProgressEvent("p", step, 20, null)));
        Event event = events.next();
        assertThat(event.type).isEqualTo("waiting");
        assertThat(JSON.readTree(event.data).path("step").asInt()).isEqualTo(step);
        assertThat(event.number()).isEqualTo(before.path("number").asLong() + step + 1);
      }
      send(topics.images(), EventCodec.images().encode(image("p", "a", 0.1f)));
      assertThat(events.next().type).isEqualTo("result");
    }
    // Late progress of a request that has its answer changes nothing.
    send(topics.progress(), EventCodec.progress().encode(new ProgressEvent("p", 5, 20, null)));
    send(topics.images(), EventCodec.images().encode(image("q", "b", 0.2f)));
    long tenth = before.path("number").asLong() + 10;
    try (Events again = new Events(before.path("run").asText() + "." + tenth, true)) {
      List<Long> numbers = new ArrayList<>();
      for (int i = 0; i < 13; i++) {
        numbers.add(again.next().number() - tenth);
      }
      assertThat(numbers).containsExactly(1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 10L, 11L, 12L, 13L);
    }
  }

  @Test
  void aNumberOfAnotherRunStartsThePageAnew() throws Exception {
    for (String number : List.of("anotherrun.3", "RUN.999999")) {
      String run = wall(w -> true).path("run").asText();
      try (Events events = new Events(number.replace("RUN", run), false)) {
        assertThat(events.next().type).isEqualTo("reset");
      }
    }
  }

  @Test
  void aPreviewIsAnImageOfItsRequest() throws Exception {
    send(topics.prompts(), EventCodec.prompts().encode(prompt("p&?")));
    byte[] preview = png(0.5f, Map.of());
    send(
        topics.progress(),
        EventCodec.progress().encode(new ProgressEvent("p&?", 1, 4, ByteBuffer.wrap(preview))));
    wall(w -> w.at("/waiting/0/preview").asInt() == 1);
    assertThat(bytes("/api/preview?id=" + URLEncoder.encode("p&?", UTF_8))).isEqualTo(preview);
    assertThat(get("/api/preview?id=other").statusCode()).isEqualTo(404);
  }

  @Test
  void aRequestThatWaitsIsTakenBack() throws Exception {
    assertThat(post("/api/cancellations", "{\"id\": \"p\"}").statusCode()).isEqualTo(409);
    send(topics.prompts(), EventCodec.prompts().encode(prompt("p")));
    wall(w -> w.path("waiting").size() == 1);
    assertThat(post("/api/cancellations", "{\"id\": \"p\"}").statusCode()).isEqualTo(202);
    assertThat(read(topics.cancellations(), EventCodec.cancellations()))
        .singleElement()
        .satisfies(cancel -> assertThat(cancel.getId()).isEqualTo("p"));
    wall(w -> w.at("/waiting/0/cancelling").asBoolean());
  }

  @Test
  void aDeadLetterIsSentAgainOnceWithItsBytes() throws Exception {
    byte[] original = EventCodec.prompts().encode(prompt("late"));
    send(
        topics.failures(),
        EventCodec.failures()
            .encode(
                FailureEvent.newBuilder()
                    .setId("late")
                    .setReason(FailureReason.TIMEOUT)
                    .setMessage("The request was not done in time.")
                    .setOriginal(ByteBuffer.wrap(original))
                    .setTopic(topics.prompts())
                    .setPartition(0)
                    .setOffset(0L)
                    .build()));
    wall(w -> w.at("/deadLetters/0/reason").asText().equals("TIMEOUT"));
    assertThat(post("/api/resends", "{\"place\": \"0-1\"}").statusCode()).isEqualTo(404);
    assertThat(post("/api/resends", "{\"place\": \"0-0\"}").statusCode()).isEqualTo(202);
    assertThat(post("/api/resends", "{\"place\": \"0-0\"}").statusCode()).isEqualTo(202);
    List<ConsumerRecord<byte[], byte[]>> sent = kafka().readCommitted(topics.prompts());
    assertThat(sent).hasSize(1);
    assertThat(sent.get(0).value()).isEqualTo(original);
    assertThat(sent.get(0).headers().lastHeader(EventHeaders.RESENT).value())
        .isEqualTo("1".getBytes(UTF_8));
    wall(w -> w.at("/deadLetters/0/resent").asBoolean() && w.path("waiting").size() == 1);
  }

  @Test
  void aDeadLetterWithoutARequestIsNotSentAgain() throws Exception {
    send(
        topics.failures(),
        EventCodec.failures()
            .encode(
                FailureEvent.newBuilder()
                    .setReason(FailureReason.UNDECODABLE)
                    .setMessage("These are no bytes of a request.")
                    .setTopic(topics.prompts())
                    .build()));
    wall(w -> w.path("deadLetters").size() == 1);
    HttpResponse<String> answer = post("/api/resends", "{\"place\": \"0-0\"}");
    assertThat(answer.statusCode()).isEqualTo(409);
    assertThat(answer.body()).contains("it holds no request");
  }

  @Test
  void aVoteIsBlindGoesToTheTopicAndCountsOnce() throws Exception {
    send(topics.images(), EventCodec.images().encode(image("one", "a cat", 0.1f)));
    send(topics.images(), EventCodec.images().encode(image("two", "a cat", 0.6f)));
    wall(w -> w.path("results").size() == 2);
    HttpResponse<String> drawn = post("/api/ballots", "{\"criterion\": \"PROMPT\"}");
    assertThat(drawn.statusCode()).isEqualTo(201);
    JsonNode ballot = JSON.readTree(drawn.body());
    assertThat(ballot.path("prompt").asText()).isEqualTo("a cat");
    assertThat(ballot).hasSize(3);
    String id = ballot.path("ballot").asText();
    for (String side : List.of("first", "second")) {
      byte[] shown = bytes("/api/ballots/" + id + "/" + side);
      assertThat(PngCodec.decode(shown).metadata().texts()).isEmpty();
      assertThat(new String(shown, ISO_8859_1)).doesNotContain("secret-model");
    }
    String vote = "{\"ballot\": \"%s\", \"choice\": \"SECOND\", \"voter\": \"me\"}".formatted(id);
    HttpResponse<String> revealed = post("/api/votes", vote);
    assertThat(revealed.statusCode()).isEqualTo(201);
    assertThat(post("/api/votes", vote).statusCode()).isEqualTo(409);

    List<VoteEvent> votes = read(topics.votes(), EventCodec.votes());
    assertThat(votes).hasSize(1);
    VoteEvent sent = votes.get(0);
    assertThat(sent.getId()).isEqualTo(id);
    assertThat(sent.getCriterion()).isEqualTo(VoteCriterion.PROMPT);
    assertThat(sent.getChoice()).isEqualTo(VoteChoice.SECOND);
    assertThat(sent.getVoter()).isEqualTo("me");
    assertThat(List.of(sent.getFirst().getId(), sent.getSecond().getId()))
        .containsExactlyInAnyOrder("one", "two");
    assertThat(sent.getFirst().getModel()).isEqualTo("secret-model");
    assertThat(JSON.readTree(revealed.body()).at("/first/id").asText())
        .isEqualTo(sent.getFirst().getId());
    wall(w -> w.at("/tally/0/criterion").asText().equals("PROMPT"));
  }

  @Test
  void generatedImagesAreComparedWithRealOnesInEitherOrder() throws Exception {
    send(topics.images(), EventCodec.images().encode(image("one", "", 0.1f)));
    wall(w -> w.path("results").size() == 1);
    boolean first = false;
    boolean second = false;
    // 200 ballots, of which half are against real images: that one side has none is 2^-100.
    for (int i = 0; i < 200 && !(first && second); i++) {
      HttpResponse<String> drawn = post("/api/ballots", "{\"criterion\": \"REALISM\"}");
      if (drawn.statusCode() == 409) {
        continue; // with one image, there is nothing else to draw
      }
      String id = JSON.readTree(drawn.body()).path("ballot").asText();
      JsonNode revealed =
          JSON.readTree(
              post("/api/votes", "{\"ballot\": \"%s\", \"choice\": \"TIE\"}".formatted(id)).body());
      first |= revealed.at("/first/real").asBoolean();
      second |= revealed.at("/second/real").asBoolean();
    }
    assertThat(first && second).isTrue();
    assertThat(read(topics.votes(), EventCodec.votes()))
        .allSatisfy(
            vote ->
                assertThat(vote.getFirst().getReal() ? vote.getFirst() : vote.getSecond())
                    .satisfies(subject -> assertThat(subject.getId()).isEqualTo("photograph.png")));
  }

  @Test
  void anImageTaskIsShownWithWhatItWasMadeFromAndReplayedWithIt() throws Exception {
    byte[] input = png(0.3f, Map.of());
    HttpResponse<String> answer = postFile(input);
    assertThat(answer.statusCode()).isEqualTo(202);
    String id = JSON.readTree(answer.body()).path("id").asText();
    List<ImageTaskEvent> tasks = read(topics.tasks().get(0).topic(), EventCodec.imageTasks());
    assertThat(tasks)
        .singleElement()
        .satisfies(
            task -> {
              assertThat(task.getId()).isEqualTo(id);
              assertThat(Payloads.inlineBytes(task.getImage())).hasValue(input);
              assertThat(task.getAttributes()).containsEntry("name", "0042");
            });
    ImageEvent result = image(id, "", 0.4f);
    result.setMask(Payloads.inline(png(1, Map.of()), "image/png"));
    result.getAudit().setInputDigests(Map.of("image", Payloads.sha256(input)));
    send(topics.images(), EventCodec.images().encode(result));
    wall(w -> w.path("results").size() == 1 && w.path("waiting").isEmpty());
    for (String part : List.of("image", "source", "mask")) {
      assertThat(PngCodec.decode(bytes("/api/results/0-0/" + part)).width()).isEqualTo(8);
    }
    assertThat(PngCodec.decode(bytes("/api/results/0-0/mask")).channels()).isEqualTo(4);
    assertThat(get("/api/results/0-0/uncertainty").statusCode()).isEqualTo(404);
    assertThat(get("/api/results/0-7/image").statusCode()).isEqualTo(404);

    assertThat(post("/api/replays", "{\"place\": \"0-0\"}").statusCode()).isEqualTo(202);
    await()
        .untilAsserted(
            () ->
                assertThat(
                        JSON.readTree(get("/api/results/0-0").body()).at("/replay/text").asText())
                    .isEqualTo("made again from false"));
  }

  @Test
  void aRecordThatIsNoEventIsSaidAndTheOthersAreShown() throws Exception {
    send(topics.images(), "no event".getBytes(UTF_8));
    send(topics.images(), EventCodec.images().encode(image("a", "a cat", 0.2f)));
    JsonNode wall = wall(w -> w.path("results").size() == 1);
    assertThat(wall.at("/unreadable/count").asInt()).isEqualTo(1);
    assertThat(wall.at("/unreadable/last").asText()).startsWith(topics.images() + "/0/0: ");
  }

  @Test
  void olderResultsComePageByPage() throws Exception {
    for (int i = 0; i < 7; i++) {
      send(topics.images(), EventCodec.images().encode(image("r" + i, "a", 0.1f)));
    }
    wall(w -> w.path("total").asInt() == 7);
    JsonNode newest = JSON.readTree(get("/api/results?most=3").body());
    assertThat(newest.findValuesAsText("id")).containsExactly("r6", "r5", "r4");
    long before = newest.get(2).path("number").asLong();
    assertThat(
            JSON.readTree(get("/api/results?most=3&before=" + before).body())
                .findValuesAsText("id"))
        .containsExactly("r3", "r2", "r1");
    assertThat(PngCodec.decode(bytes("/api/contact-sheet.png?places=0-0,0-3")).width())
        .isGreaterThan(100);
  }

  @Test
  void withoutATopicOfImagesThereIsNothingToShow() {
    assertThatThrownBy(
            () ->
                Gallery.start(
                    new Gallery.Settings(
                        client(),
                        GalleryTopics.withPrefix("other-"),
                        null,
                        new PayloadStore(PayloadSettings.of(new Configuration())),
                        null,
                        Gallery.Hints.NONE,
                        null,
                        null,
                        0)))
        .isInstanceOf(GalleryException.class)
        .hasMessageContaining("has no topic other-images")
        .hasMessageContaining("--topic-prefix");
  }

  private static PromptEvent prompt(String id) {
    return PromptEvent.newBuilder().setId(id).setPrompt("a red heart").build();
  }

  private static ImageEvent image(String id, String prompt, float level) {
    byte[] file = png(level, Map.of("model", "secret-model"));
    return ImageEvent.newBuilder()
        .setId(id)
        .setImage(ByteBuffer.wrap(file))
        .setDigest(Payloads.sha256(file))
        .setWidth(8)
        .setHeight(8)
        .setPrompt(prompt)
        .setModel("secret-model")
        .setAudit(
            AuditRecord.newBuilder()
                .setModel("secret-model")
                .setModelDigest("d")
                .setTask("text-to-image")
                .setScheduler("DDIMScheduler")
                .setSteps(4)
                .setSeed(1)
                .setSoftwareVersion("1")
                .build())
        .build();
  }

  private static byte[] png(float level, Map<String, String> texts) {
    return PngCodec.encode(
        Raster.filled(1, 8, 8, level).withMetadata(ImageMetadata.NONE.withTexts(texts)));
  }

  private static void send(String topic, byte[] value) {
    kafka().send(List.of(new ProducerRecord<>(topic, value)));
  }

  private static <T extends SpecificRecord> List<T> read(String topic, EventCodec<T> codec)
      throws Exception {
    List<T> events = new ArrayList<>();
    for (ConsumerRecord<byte[], byte[]> record : kafka().readCommitted(topic)) {
      events.add(codec.decode(record.value()));
    }
    return events;
  }

  private interface Expected {
    boolean holds(JsonNode wall);
  }

  /** The wall, once it is as expected. */
  private JsonNode wall(Expected expected) {
    return await()
        .until(() -> JSON.readTree(get("/api/wall").body()), wall -> expected.holds(wall));
  }

  private URI address(String path) {
    return URI.create("http://localhost:" + gallery.address().getPort() + path);
  }

  private HttpResponse<String> get(String path) throws IOException, InterruptedException {
    return http.send(HttpRequest.newBuilder(address(path)).build(), BodyHandlers.ofString());
  }

  private byte[] bytes(String path) throws IOException, InterruptedException {
    HttpResponse<byte[]> answer =
        http.send(HttpRequest.newBuilder(address(path)).build(), BodyHandlers.ofByteArray());
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(answer.headers().firstValue("Content-Type")).hasValue("image/png");
    return answer.body();
  }

  private HttpResponse<String> post(String path, String body) throws Exception {
    return post(path, body, Map.of("X-CSRF-Token", token));
  }

  private HttpResponse<String> post(String path, String body, Map<String, String> headers)
      throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(address(path))
            .setHeader("Content-Type", "application/json")
            .POST(BodyPublishers.ofString(body));
    headers.forEach(request::setHeader);
    return http.send(request.build(), BodyHandlers.ofString());
  }

  private HttpResponse<String> postFile(byte[] file) throws Exception {
    return http.send(
        HttpRequest.newBuilder(address("/api/images/image?name=0042"))
            .setHeader("X-CSRF-Token", token)
            .setHeader("Content-Type", "application/octet-stream")
            .POST(BodyPublishers.ofByteArray(file))
            .build(),
        BodyHandlers.ofString());
  }

  /** What Java's client would not send. */
  private String raw(String head) throws IOException {
    try (Socket socket = new Socket("localhost", gallery.address().getPort())) {
      socket.getOutputStream().write((head + "Connection: close\r\n\r\n").getBytes(UTF_8));
      return new String(socket.getInputStream().readAllBytes(), UTF_8);
    }
  }

  private record Event(String id, String type, String data) {
    long number() {
      return Long.parseLong(id.substring(id.indexOf('.') + 1));
    }
  }

  /** Server-sent events, as a browser reads them. */
  private final class Events implements AutoCloseable {
    private final InputStream in;
    private final BufferedReader lines;

    Events(String after, boolean again) throws Exception {
      HttpRequest.Builder request =
          HttpRequest.newBuilder(address(again ? "/api/events" : "/api/events?after=" + after));
      if (again) {
        request.setHeader("Last-Event-ID", after);
      }
      HttpResponse<InputStream> answer = http.send(request.build(), BodyHandlers.ofInputStream());
      assertThat(answer.statusCode()).isEqualTo(200);
      in = answer.body();
      lines = new BufferedReader(new InputStreamReader(in, UTF_8));
    }

    Event next() throws IOException {
      String id = "";
      String type = "";
      String data = "";
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.isEmpty() && !type.isEmpty()) {
          return new Event(id, type, data);
        } else if (line.startsWith("id: ")) {
          id = line.substring(4);
        } else if (line.startsWith("event: ")) {
          type = line.substring(7);
        } else if (line.startsWith("data: ")) {
          data = line.substring(6);
        }
      }
      throw new IOException("The stream ended.");
    }

    @Override
    public void close() throws IOException {
      in.close();
    }
  }
}
