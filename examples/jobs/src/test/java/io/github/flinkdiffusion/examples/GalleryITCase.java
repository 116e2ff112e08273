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
import io.github.flinkdiffusion.examples.gallery.Gallery;
import io.github.flinkdiffusion.examples.gallery.GalleryException;
import io.github.flinkdiffusion.examples.gallery.GalleryTopics;
import io.github.flinkdiffusion.ops.image.PngCodec;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.Test;

/** The gallery's server, asked as a browser would. */
class GalleryITCase extends GalleryOnKafka {
  @Test
  void aPromptBecomesRequestsWithSeedsThatFollowEachOther() throws Exception {
    HttpResponse<String> answer =
        post(
            "/api/prompts",
            "{\"prompt\": \" a cat \", \"count\": 3, \"seed\": 7, \"steps\": 9, \"guidance\":"
                + " 2.5}");
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
