/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.Box;
import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.Original;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.event.Region;
import io.github.flinkdiffusion.connector.event.Regions;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.event.VoteChoice;
import io.github.flinkdiffusion.connector.event.VoteCriterion;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.event.VoteSubject;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EventJsonTest {
  private static final PayloadReference STORED =
      new PayloadReference("s3://scenes/1f", "0".repeat(64), 17L);

  private static PromptEvent prompt(String json) throws UndecodableEventException {
    return EventJson.of(PromptEvent.class).read(json.getBytes(UTF_8), "prompts-0-17");
  }

  private static <T extends SpecificRecord> void assertComesBack(Class<T> eventClass, T event)
      throws UndecodableEventException {
    byte[] json = EventJson.of(eventClass).write(event);
    assertThat(new String(json, UTF_8)).doesNotContain("\n").doesNotContain("avro");
    assertThat(EventJson.of(eventClass).read(json, null)).isEqualTo(event);
  }

  @Test
  void aPromptIsEnough() throws Exception {
    assertThat(prompt("{\"prompt\": \"a red fox\"}"))
        .isEqualTo(PromptEvent.newBuilder().setId("prompts-0-17").setPrompt("a red fox").build());
    assertThat(prompt("{\"id\": \"mine\", \"prompt\": \"\"}").getId()).isEqualTo("mine");
  }

  @Test
  void everyKindOfEventComesBackAsItWas() throws Exception {
    assertComesBack(
        PromptEvent.class,
        PromptEvent.newBuilder()
            .setId("a")
            .setPrompt("\"quotes\", \u00fc, \ud83e\udd8a and\nlines")
            .setSeed(Long.MIN_VALUE)
            .setSteps(20)
            .setGuidanceScale(7.25)
            .setDeadline(1_790_000_000_000L)
            .setPriority(-3)
            .setAttributes(Map.of("tenant", "b"))
            .setParameters(Map.of("eta", "0.5"))
            .setImages(
                Map.of(
                    "controlImage",
                    Payloads.inline(new byte[] {0, (byte) 0xFF, 1}, "image/png"),
                    "ipAdapterImage",
                    Payloads.stored(STORED, "")))
            .build());
    assertComesBack(
        ImageTaskEvent.class,
        ImageTaskEvent.newBuilder()
            .setId("a")
            .setImage(Payloads.inline(new byte[] {0, (byte) 0xFF, 1}, "image/png"))
            .setMask(Payloads.stored(STORED, ""))
            .setStrength(0.5)
            .build());
    assertComesBack(
        ImageEvent.class,
        Payloads.setPicture(
                ImageEvent.newBuilder(), Payloads.inline(new byte[] {1, 2}, "image/png"))
            .setId("a")
            .setWidth(1)
            .setHeight(2)
            .setMask(Payloads.stored(STORED, "image/tiff"))
            .setRegions(
                new Regions(
                    null,
                    List.of(
                        new Region("cat", 0.5, 3L, null, null, new Box(0.5, 1.0, 2.0, 3.0), null))))
            .build());
    assertComesBack(
        FailureEvent.class,
        FailureEvent.newBuilder()
            .setReason(FailureReason.TIMEOUT)
            .setMessage("late")
            .setOriginal(ByteBuffer.wrap(new byte[] {3, 4}))
            .setTopic("prompts")
            .setPartition(0)
            .setOffset(17L)
            .setContext(
                new RecordContext(
                    ByteBuffer.wrap(new byte[] {5}),
                    Map.of("traceparent", ByteBuffer.wrap(new byte[] {6}))))
            .build());
    assertComesBack(
        ProgressEvent.class, new ProgressEvent("a", 1, 2, ByteBuffer.wrap(new byte[9])));
    assertComesBack(
        TextEvent.class,
        TextEvent.newBuilder()
            .setId("a")
            .setText("a red heart")
            .setScores(Map.of("heart", 0.75, "square", 0.25))
            .build());
    assertComesBack(CancelEvent.class, new CancelEvent("a", "why"));
    assertComesBack(
        ModelEvent.class, new ModelEvent("a", "emoji", "v2", "/models/emoji-2", "0123"));
    assertComesBack(
        VoteEvent.class,
        VoteEvent.newBuilder()
            .setId("v")
            .setCriterion(VoteCriterion.PROMPT)
            .setChoice(VoteChoice.SECOND)
            .setFirst(new VoteSubject(false, "a", "d", "sd", "m", 0, 17L))
            .setSecond(new VoteSubject(true, "dog.jpg", "e", "", "", null, null))
            .setPrompt("a dog")
            .build());
  }

  @Test
  void whatOnlySourcesAndSinksNeedIsNeitherWrittenNorBelieved() throws Exception {
    RecordPosition origin = new RecordPosition("t", 0, 1L);
    byte[] json =
        EventJson.of(PromptEvent.class)
            .write(PromptEvent.newBuilder().setId("a").setPrompt("b").setOrigin(origin).build());
    assertThat(new String(json, UTF_8)).doesNotContain("origin");
    assertThat(prompt("{\"prompt\": \"b\", \"origin\": {\"topic\": [1]}}").getOrigin()).isNull();
    ImageEvent image =
        ImageEvent.newBuilder()
            .setId("a")
            .setImage(ByteBuffer.allocate(0))
            .setWidth(1)
            .setHeight(1)
            .setOriginal(new Original(ByteBuffer.allocate(3), null, null, null))
            .build();
    assertThat(new String(EventJson.of(ImageEvent.class).write(image), UTF_8))
        .doesNotContain("original");
  }

  @Test
  void aNumberAmongTheParametersIsTheTextItIsWrittenAs() throws Exception {
    assertThat(prompt("{\"prompt\":\"a\",\"parameters\":{\"eta\":0.50,\"clipSkip\":2,\"x\":true}}"))
        .extracting(PromptEvent::getParameters)
        .isEqualTo(Map.of("eta", "0.50", "clipSkip", "2", "x", "true"));
    assertThat(prompt("{\"prompt\": \"a\", \"steps\": 2.0e1}").getSteps()).isEqualTo(20);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"prompt\": \"a\", \"negative_prompt\": \"b\"} | PromptEvent has no field"
            + " 'negative_prompt' (did you mean 'negativePrompt'?); its fields are id, prompt,",
        "{\"seeds\": 1} | has no field 'seeds' (did you mean 'seed'?)",
        "{} | PromptEvent.prompt is missing.",
        "{\"prompt\": null} | PromptEvent.prompt is null; a text is expected.",
        "{\"prompt\": 7} | PromptEvent.prompt is 7; a text is expected.",
        "{\"prompt\": \"a\", \"prompt\": \"b\"} | PromptEvent.prompt stands twice.",
        "{\"prompt\": \"a\", \"steps\": 20.5} | PromptEvent.steps is 20.5; a whole number from"
            + " -2147483648 to 2147483647 is expected.",
        "{\"prompt\": \"a\", \"steps\": 2147483648} | PromptEvent.steps is 2147483648; a whole"
            + " number",
        "{\"prompt\": \"a\", \"steps\": \"20\"} | PromptEvent.steps is the text '20'; a whole"
            + " number",
        "{\"prompt\": \"a\", \"seed\": 1e999999999} | PromptEvent.seed is 1e999999999; a whole"
            + " number",
        "{\"prompt\": \"a\", \"guidanceScale\": 1e999} | PromptEvent.guidanceScale is 1e999; a"
            + " finite number is expected.",
        "{\"prompt\": \"a\", \"guidanceScale\": NaN} | The JSON is not well-formed at column 37",
        "{\"prompt\": \"a\", \"attributes\": {\"x\": 1, \"x\": 2}} | PromptEvent.attributes.x"
            + " stands twice.",
        "{\"prompt\": \"a\", \"attributes\": {\"x\": [1]}} | PromptEvent.attributes.x is an array;"
            + " a text is expected.",
        "{\"prompt\": \"\\ud83e\"} | PromptEvent.prompt has half of a surrogate pair.",
        "{\"prompt\": \"a\", \"images\": {\"controlImage\": {\"content\": \"?\"}}} |"
            + " PromptEvent.images.controlImage.content is not base64 text",
        "{\"prompt\": \"a\", \"images\": {\"controlImage\": \"iVBO\"}} |"
            + " PromptEvent.images.controlImage is the text 'iVBO'; an object is expected.",
        "{\"prompt\": \"a\"} {} | The JSON object is followed by more text",
        "{\"prompt\": \"a\" | The JSON is not well-formed at column 15: Unexpected end-of-input:"
            + " expected close marker for Object (start marker at line: 1, column: 1)",
        "[1] | Expected a JSON object such as {\"prompt\": \"a red fox\"}, found an array.",
        "a red fox | The JSON is not well-formed",
        "`` | Expected a JSON object",
      })
  void whatIsNotAsItShouldBeIsRefusedByName(String json, String message) {
    assertThatThrownBy(() -> prompt(json))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining(message);
  }

  @Test
  void bytesThatAreNoTextAreRefused() {
    EventJson<PromptEvent> prompts = EventJson.of(PromptEvent.class);
    byte[] json = "{\"prompt\": \"a?\"}".getBytes(UTF_8);
    json[json.length - 3] = (byte) 0xE4; // a letter of Latin-1
    assertThatThrownBy(() -> prompts.read(json, "a")).hasMessageContaining("not UTF-8");
    assertThatThrownBy(
            () ->
                EventJson.of(ImageTaskEvent.class)
                    .read("{\"image\": {\"content\": \"?!\"}}".getBytes(UTF_8), "a"))
        .hasMessage(
            "ImageTaskEvent.image.content is not base64 text (A-Z a-z 0-9 + / and = at the end).");
  }

  @Test
  void deepNestingIsRefusedBeforeItIsRead() {
    assertThatThrownBy(() -> prompt("{\"attributes\":" + "{\"a\":".repeat(100_000)))
        .isInstanceOf(UndecodableEventException.class);
    EventJson<PromptEvent> lenient = EventJson.of(PromptEvent.class, UnknownFields.ATTRIBUTES);
    assertThatThrownBy(() -> lenient.read(("{\"x\":" + "[".repeat(100_000)).getBytes(UTF_8), "a"))
        .isInstanceOf(UndecodableEventException.class)
        .hasMessageContaining("nesting depth");
  }

  @Test
  void unknownFieldsBecomeAttributesWhereThatIsWanted() throws Exception {
    EventJson<PromptEvent> json = EventJson.of(PromptEvent.class, UnknownFields.ATTRIBUTES);
    String text =
        """
        {"customer": "b", "prompt": "a", "order": {"number": 17, "rush": true}, "attributes": {"c": "d"}}
        """;
    assertThat(json.read(text.getBytes(UTF_8), "x").getAttributes())
        .isEqualTo(Map.of("c", "d", "customer", "b", "order", "{\"number\":17,\"rush\":true}"));
    assertThatThrownBy(
            () ->
                json.read(
                    "{\"prompt\": \"a\", \"c\": 1, \"attributes\": {\"c\": \"d\"}}".getBytes(UTF_8),
                    "x"))
        .hasMessageContaining("'c' cannot become an attribute");
    assertThatThrownBy(
            () ->
                EventJson.of(CancelEvent.class, UnknownFields.ATTRIBUTES)
                    .read("{\"id\": \"a\", \"c\": 1}".getBytes(UTF_8), "x"))
        .hasMessageContaining("CancelEvent has no field 'c'");
  }

  @Test
  void aCancellationNeedsTheIdOfItsRequest() {
    assertThatThrownBy(() -> EventJson.of(CancelEvent.class).read("{}".getBytes(UTF_8), "x"))
        .hasMessage("CancelEvent.id is missing.");
  }
}
