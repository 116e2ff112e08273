/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Original;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;
import org.junit.jupiter.api.Test;

/** Screening of results and consent to inputs, with a tiny classifier whose shares are known. */
class ImageScreeningTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final String VIT = FIXTURES.resolve("classifier/tiny-vit").toString();
  private static final PayloadSettings PAYLOADS = PayloadSettings.of(new Configuration());

  /** Half between the shares that transformers gives the surest and the least sure image. */
  private static final String LABEL = "landscape";

  private final double limit;
  private final int found;
  private final int harmless;

  ImageScreeningTest() throws Exception {
    JsonNode golden =
        new ObjectMapper().readTree(FIXTURES.resolve("classifier/classifiers.json").toFile());
    int label = 3;
    assertThat(golden.get("labels").get(label).textValue()).isEqualTo(LABEL);
    int most = 0;
    int least = 0;
    for (int i = 0; i < golden.get("vit").size(); i++) {
      double share = golden.get("vit").get(i).get(label).doubleValue();
      most = share > golden.get("vit").get(most).get(label).doubleValue() ? i : most;
      least = share < golden.get("vit").get(least).get(label).doubleValue() ? i : least;
    }
    found = most;
    harmless = least;
    limit =
        (golden.get("vit").get(most).get(label).doubleValue()
                + golden.get("vit").get(least).get(label).doubleValue())
            / 2;
  }

  private static byte[] png(int number) {
    try (TensorStore store = Safetensors.open(FIXTURES.resolve("text/images.safetensors"))) {
      long[] shape = store.info("" + number).shape();
      byte[] levels = new byte[(int) (shape[0] * shape[1] * shape[2])];
      store.data("" + number).get(0).get(levels);
      float[] values = new float[levels.length];
      for (int j = 0; j < levels.length; j++) {
        values[j] = Byte.toUnsignedInt(levels[j]) / 255f;
      }
      return PngCodec.encode(new Raster((int) shape[0], (int) shape[1], (int) shape[2], values));
    }
  }

  private static ImageEvent image(String id, String tenant, byte[] content) {
    return ImageEvent.newBuilder()
        .setId(id)
        .setImage(ByteBuffer.wrap(content))
        .setDigest(Payloads.sha256(content))
        .setWidth(12)
        .setHeight(12)
        .setAttributes(Map.of("tenant", tenant, "screen.decision", "NONE, says the request"))
        .setOriginal(
            new Original(
                ByteBuffer.wrap(new byte[] {1, 2}), null, null, new RecordPosition("p", 3, 17L)))
        .build();
  }

  private List<ScreenClassifier> classifiers() {
    return List.of(ScreenClassifier.of("places", VIT, List.of(), Map.of(LABEL, limit)));
  }

  private OneInputStreamOperatorTestHarness<ImageEvent, ImageEvent> screening() throws Exception {
    TreeMap<String, ScreenAction> tenants =
        new TreeMap<>(
            Map.of(
                "museum",
                ScreenAction.PASS,
                "school",
                ScreenAction.BLACK,
                "shop",
                ScreenAction.BLUR));
    var harness =
        new OneInputStreamOperatorTestHarness<>(
            new ProcessOperator<>(
                new ScreeningFunction(
                    classifiers(), ScreenAction.BLOCK, "tenant", tenants, PAYLOADS)));
    harness.open();
    return harness;
  }

  private static <T> List<T> side(
      OneInputStreamOperatorTestHarness<?, ?> harness, OutputTag<T> tag) {
    List<T> values = new ArrayList<>();
    var records = harness.getSideOutput(tag);
    if (records != null) {
      for (StreamRecord<T> record : records) {
        values.add(record.getValue());
      }
    }
    return values;
  }

  @Test
  void whatIsFoundIsBlockedBlurredOrBlackByTenantAndReviewed() throws Exception {
    byte[] bad = png(found);
    try (var harness = screening()) {
      for (String tenant : List.of("museum", "school", "shop", "anybody")) {
        harness.processElement(image(tenant, tenant, bad), 0);
      }

      List<ImageEvent> passed = harness.extractOutputValues();
      assertThat(passed).extracting(ImageEvent::getId).containsExactly("museum", "school", "shop");
      assertThat(passed)
          .extracting(image -> image.getAttributes().get("screen.decision"))
          .containsExactly("PASS", "BLACK", "BLUR");
      assertThat(Payloads.inlineBytes(Payloads.image(passed.get(0)))).contains(bad);
      assertThat(raster(passed.get(1)).data()).containsOnly(0f);
      Raster original = Images.read(bad, ReadOptions.DEFAULT);
      Raster blurred = raster(passed.get(2));
      assertThat(blurred.width()).isEqualTo(original.width());
      assertThat(detail(blurred)).isLessThan(0.6 * detail(original));
      assertThat(passed.get(2).getDigest()).isNotEqualTo(Payloads.sha256(bad));

      assertThat(side(harness, DiffusionOperator.FAILURES))
          .singleElement()
          .satisfies(
              failure -> {
                assertThat(failure.getId()).isEqualTo("anybody");
                assertThat(failure.getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
                assertThat(failure.getMessage())
                    .startsWith("The result was blocked by a classifier: places.landscape has 0.");
                assertThat(failure.getOriginal().remaining()).isEqualTo(2);
                assertThat(failure.getTopic()).isEqualTo("p");
                assertThat(failure.getOffset()).isEqualTo(17);
                assertThat(failure.getAttributes()).containsEntry("screen.decision", "BLOCK");
              });
      assertThat(side(harness, ScreeningFunction.REVIEW))
          .hasSize(4)
          .allSatisfy(
              image -> {
                assertThat(Payloads.inlineBytes(Payloads.image(image))).contains(bad);
                assertThat(image.getAttributes()).containsKey("screen.places.landscape");
              });
    }
  }

  @Test
  void aHarmlessImageGoesOnWithItsScoreAndWhatIsNoImageIsBlocked() throws Exception {
    try (var harness = screening()) {
      harness.processElement(image("good", "anybody", png(harmless)), 0);
      harness.processElement(image("broken", "museum", "no image".getBytes()), 0);

      assertThat(harness.extractOutputValues())
          .singleElement()
          .satisfies(
              image -> {
                assertThat(image.getId()).isEqualTo("good");
                assertThat(image.getAttributes())
                    .containsEntry("screen.decision", "NONE")
                    .containsEntry("tenant", "anybody");
                assertThat(Double.parseDouble(image.getAttributes().get("screen.places.landscape")))
                    .isLessThan(limit);
              });
      assertThat(side(harness, DiffusionOperator.FAILURES))
          .singleElement()
          .extracting(FailureEvent::getMessage)
          .asString()
          .startsWith("The result was not screened, so it is blocked: ");
      assertThat(side(harness, ScreeningFunction.REVIEW)).isEmpty();
    }
  }

  @Test
  void anInputWithAPersonNeedsAConsent() throws Exception {
    try (var harness =
        new OneInputStreamOperatorTestHarness<>(
            new ProcessOperator<>(
                new ConsentFunction<ImageTaskEvent>(classifiers(), "consent", PAYLOADS)))) {
      harness.open();
      harness.processElement(task("nobody", png(harmless), Map.of()), 0);
      harness.processElement(task("refused", png(found), Map.of("consent", " ")), 0);
      harness.processElement(task("allowed", png(found), Map.of("consent", "form 17")), 0);
      harness.processElement(task("broken", "no image".getBytes(), Map.of()), 0);
      harness.processElement(task("long", png(found), Map.of("consent", "x".repeat(600))), 0);

      assertThat(harness.extractOutputValues())
          .extracting(ImageTaskEvent::getId)
          .containsExactly("nobody", "allowed");
      List<FailureEvent> failures = side(harness, DiffusionOperator.FAILURES);
      assertThat(failures)
          .extracting(FailureEvent::getId)
          .containsExactly("refused", "broken", "long");
      assertThat(failures.get(0).getMessage())
          .contains("shows a person (places.landscape has 0.")
          .contains("names no consent. Send it with a reference in the attribute 'consent'.");
      byte[] original = new byte[failures.get(0).getOriginal().remaining()];
      failures.get(0).getOriginal().duplicate().get(original);
      assertThat(EventCodec.imageTasks().decode(original).getId()).isEqualTo("refused");
    }
  }

  @Test
  void eachImageOfARequestIsLookedAt() throws Exception {
    Payload nobody = Payloads.inline(png(harmless), "image/png");
    Payload somebody = Payloads.inline(png(found), "image/png");
    try (var harness =
        new OneInputStreamOperatorTestHarness<>(
            new ProcessOperator<>(
                new ConsentFunction<PromptEvent>(classifiers(), "consent", PAYLOADS)))) {
      harness.open();
      harness.processElement(prompt("none", Map.of()), 0);
      harness.processElement(prompt("nobody", Map.of("controlImage", nobody)), 0);
      harness.processElement(
          prompt("second", Map.of("controlImage", nobody, "ipAdapterImage", somebody)), 0);

      assertThat(harness.extractOutputValues())
          .extracting(PromptEvent::getId)
          .containsExactly("none", "nobody");
      FailureEvent failure = side(harness, DiffusionOperator.FAILURES).get(0);
      assertThat(failure.getMessage()).startsWith("The ipAdapterImage shows a person (places.");
      assertThat(EventCodec.prompts().decode(failure.getOriginal().array()).getId())
          .isEqualTo("second");
    }
    try (var harness =
        new OneInputStreamOperatorTestHarness<>(
            new ProcessOperator<>(
                new ConsentFunction<ImageTaskEvent>(classifiers(), "consent", PAYLOADS)))) {
      harness.open();
      ImageTaskEvent task = task("other", png(harmless), Map.of());
      task.setImages(Map.of("adapterImage", somebody));
      harness.processElement(task, 0);

      assertThat(harness.extractOutputValues()).isEmpty();
      assertThat(side(harness, DiffusionOperator.FAILURES))
          .singleElement()
          .extracting(FailureEvent::getMessage)
          .asString()
          .startsWith("The adapterImage shows a person (places.");
    }
  }

  private static PromptEvent prompt(String id, Map<String, Payload> images) {
    return PromptEvent.newBuilder().setId(id).setPrompt("a cat").setImages(images).build();
  }

  private static ImageTaskEvent task(String id, byte[] content, Map<String, String> attributes) {
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(Payloads.inline(content, "image/png"))
        .setAttributes(attributes)
        .build();
  }

  @Test
  void whatCannotBeIsRefusedByName() {
    assertThatThrownBy(() -> Diffusion.screening().addClassifier("a b", VIT, Map.of("x", 0.5)))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("'a b'");
    assertThatThrownBy(() -> Diffusion.screening().addClassifier("a", VIT, Map.of("x", 1.5)))
        .hasMessageContaining("1.5 for 'x'");
    assertThatThrownBy(
            () -> Diffusion.screening().addClip("a", VIT, List.of("y"), Map.of("x", 0.5)))
        .hasMessageContaining("a limit for 'x'; its texts are [y]");
    assertThatThrownBy(
            () ->
                ScreenClassifiers.open(
                    List.of(ScreenClassifier.of("a", VIT, List.of(), Map.of("x", 0.5)))))
        .hasMessageContaining("has limits for [x]; the classes of")
        .hasMessageContaining(LABEL);
  }

  private static Raster raster(ImageEvent image) {
    return Images.read(
        Payloads.inlineBytes(Payloads.image(image)).orElseThrow(), ReadOptions.DEFAULT);
  }

  /** Mean difference of neighbors. */
  private static double detail(Raster image) {
    double sum = 0;
    for (int y = 0; y < image.height(); y++) {
      for (int x = 1; x < image.width(); x++) {
        sum += Math.abs(image.at(0, y, x) - image.at(0, y, x - 1));
      }
    }
    return sum / (image.height() * (image.width() - 1));
  }
}
