/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The job on a real broker with a real, if tiny, model of random weights. */
class TextToImageJobITCase {
  private static final Path MODEL =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1");
  private static final Duration PATIENCE = Duration.ofSeconds(150);
  private static final int PARALLELISM = 2;
  private static final int PROMPTS = 200;
  private static final List<String> SCHEDULERS =
      List.of("PNDMScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler");

  @RegisterExtension private static final JobOnKafka JOB = new JobOnKafka();

  private void start(Topics topics, UnaryOperator<DataStream<ImageEvent>> beforeSink)
      throws Exception {
    Configuration configuration =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
            .set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay")
            .set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1)
            .set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(100))
            // Kryo would be a mistake: then building the job fails.
            .set(PipelineOptions.GENERIC_TYPES, false)
            .set(KafkaOptions.BOOTSTRAP_SERVERS, JOB.kafka().bootstrapServers())
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, topics.images())
            .set(DiffusionOptions.MODEL_FOLDER, MODEL.toAbsolutePath().toString())
            .set(DiffusionOptions.DEVICE, "cpu");
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, configuration);
    TextToImageJob.create().beforeSink(beforeSink).define(env, topics);
    JOB.runs(env.executeAsync("test"));
  }

  private static Topics create(String prefix) {
    Topics topics = Topics.withPrefix(prefix);
    JOB.kafka().createTopics(PARALLELISM, topics.all().toArray(String[]::new));
    return topics;
  }

  private static byte[] prompt(Consumer<PromptEvent.Builder> change) {
    PromptEvent.Builder builder =
        PromptEvent.newBuilder().setPrompt("a cat").setSteps(2).setGuidanceScale(1.0);
    change.accept(builder);
    return EventCodec.prompts().encode(builder.build());
  }

  private static void send(Topics topics, List<byte[]> values) {
    JOB.kafka()
        .send(
            values.stream()
                .map(value -> new ProducerRecord<byte[], byte[]>(topics.requests(), value))
                .toList());
  }

  /** Requests that differ in everything that a batch may mix. */
  private static List<byte[]> prompts(int from, int to) {
    return IntStream.range(from, to)
        .mapToObj(
            i ->
                prompt(
                    p ->
                        p.setId("p" + i)
                            .setPrompt("cat " + i % 7)
                            .setSteps(2 + i % 3)
                            .setGuidanceScale(i % 5 == 0 ? 3.0 : 1.0)
                            .setScheduler(SCHEDULERS.get(i % SCHEDULERS.size()))))
        .toList();
  }

  private static List<ImageEvent> images(Topics topics) throws Exception {
    List<ImageEvent> images = new ArrayList<>();
    for (var record : JOB.kafka().readCommitted(topics.images())) {
      images.add(EventCodec.images().decode(record.value()));
    }
    return images;
  }

  private static Raster picture(ImageEvent image) {
    byte[] png = new byte[image.getImage().remaining()];
    image.getImage().duplicate().get(png);
    return PngCodec.decode(png);
  }

  @Test
  void aFailureAfterACheckpointChangesNothingInWhatIsCommitted() throws Exception {
    Topics smooth = create("smooth-");
    send(smooth, prompts(0, PROMPTS));
    start(smooth, UnaryOperator.identity());
    JOB.kafka().readCommitted(smooth.images(), PROMPTS, PATIENCE);
    JOB.end();

    Topics broken = create("broken-");
    send(broken, prompts(0, PROMPTS / 2));
    FailsOnce.reset();
    start(broken, images -> images.map(new FailsOnce()).uid("fails"));
    assertThat(FailsOnce.checkpointCompleted.await(PATIENCE.toSeconds(), TimeUnit.SECONDS))
        .as("a checkpoint with pictures behind it completed")
        .isTrue();
    send(broken, prompts(PROMPTS / 2, PROMPTS));
    JOB.kafka().readCommitted(broken.images(), PROMPTS, PATIENCE);
    JOB.end();

    assertThat(FailsOnce.failed).isTrue();
    assertThat(JOB.kafka().readCommitted(broken.failures())).isEmpty();
    List<ImageEvent> images = images(broken);
    assertThat(images)
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, PROMPTS).mapToObj(i -> "p" + i).toList());
    Map<String, ImageEvent> expected =
        images(smooth).stream().collect(Collectors.toMap(ImageEvent::getId, Function.identity()));
    assertThat(expected).hasSize(PROMPTS);
    for (ImageEvent image : images) {
      assertSamePicture(image, expected.get(image.getId()));
    }
  }

  /**
   * Equal but for rounding: requests share network calls with others than before, and kernels round
   * differently for batches of another size, which a value between two of the 256 levels can show.
   */
  private static void assertSamePicture(ImageEvent image, ImageEvent expected) {
    float[] values = picture(image).data();
    float[] expectedValues = picture(expected).data();
    assertThat(values).hasSameSizeAs(expectedValues);
    for (int i = 0; i < values.length; i++) {
      assertThat(values[i])
          .as("value %d of %s", i, image.getId())
          .isCloseTo(expectedValues[i], within(1.01f / 255));
    }
    assertThat(image.getSeed()).isEqualTo(expected.getSeed());
    assertThat(image.getScheduler()).isEqualTo(expected.getScheduler());
  }

  @Test
  void badRequestsBecomeFailuresThatSayWhyAndTheJobGoesOn() throws Exception {
    Topics topics = create("bad-");
    byte[] json = "{\"prompt\": \"a cat\"}".getBytes(UTF_8);
    send(
        topics,
        List.of(
            prompt(p -> p.setId("good before")),
            json,
            prompt(p -> p.setId("empty prompt").setPrompt("")),
            prompt(p -> p.setId("long prompt").setPrompt("cat ".repeat(2_000))),
            prompt(p -> p.setId("width 7").setWidth(7)),
            prompt(p -> p.setId("steps 0").setSteps(0)),
            prompt(p -> p.setId("steps 10000").setSteps(10_000)),
            prompt(p -> p.setId("unknown scheduler").setScheduler("MagicScheduler")),
            prompt(p -> p.setId("guidance NaN").setGuidanceScale(Double.NaN)),
            prompt(p -> p.setId("good after"))));
    start(topics, UnaryOperator.identity());

    JOB.kafka().readCommitted(topics.images(), 4, PATIENCE);
    JOB.kafka().readCommitted(topics.failures(), 6, PATIENCE);
    JOB.end();

    assertThat(images(topics))
        .extracting(ImageEvent::getId, ImageEvent::getPromptTruncated)
        .containsExactlyInAnyOrder(
            tuple("good before", false),
            tuple("good after", false),
            tuple("empty prompt", false),
            tuple("long prompt", true));
    List<FailureEvent> failures = new ArrayList<>();
    for (var record : JOB.kafka().readCommitted(topics.failures())) {
      failures.add(EventCodec.failures().decode(record.value()));
    }
    assertThat(failures)
        .filteredOn(failure -> failure.getId() == null)
        .singleElement()
        .satisfies(
            failure -> {
              assertThat(failure.getReason()).isEqualTo(FailureReason.UNDECODABLE);
              assertThat(failure.getOriginal()).isEqualTo(ByteBuffer.wrap(json));
            });
    Map<String, FailureEvent> byId =
        failures.stream()
            .filter(failure -> failure.getId() != null)
            .collect(Collectors.toMap(FailureEvent::getId, Function.identity()));
    assertThat(byId.values())
        .extracting(FailureEvent::getReason)
        .containsOnly(FailureReason.INVALID_REQUEST);
    Map<String, String> messages =
        Map.of(
            "width 7", "7",
            "steps 0", "steps",
            "steps 10000", "10000",
            "unknown scheduler", "MagicScheduler",
            "guidance NaN", "NaN");
    assertThat(byId).containsOnlyKeys(messages.keySet());
    messages.forEach(
        (id, part) -> assertThat(byId.get(id).getMessage()).as(id).containsIgnoringCase(part));
    // What failed can be sent again.
    for (FailureEvent failure : byId.values()) {
      byte[] original = new byte[failure.getOriginal().remaining()];
      failure.getOriginal().duplicate().get(original);
      assertThat(EventCodec.prompts().decode(original).getId()).isEqualTo(failure.getId());
    }
  }

  /** Fails once, some pictures after a checkpoint has completed that had pictures before it. */
  private static final class FailsOnce
      implements MapFunction<ImageEvent, ImageEvent>, CheckpointListener {
    private static final long serialVersionUID = 1L;
    private static final int PICTURES_AFTER_CHECKPOINT = 10;

    static CountDownLatch checkpointCompleted;
    static AtomicInteger picturesSince;
    static AtomicBoolean failed;

    private transient long seen;

    static void reset() {
      checkpointCompleted = new CountDownLatch(1);
      picturesSince = new AtomicInteger();
      failed = new AtomicBoolean();
    }

    @Override
    public ImageEvent map(ImageEvent image) {
      seen++;
      if (checkpointCompleted.getCount() == 0
          && picturesSince.incrementAndGet() == PICTURES_AFTER_CHECKPOINT) {
        failed.set(true);
        throw new IllegalStateException("induced");
      }
      return image;
    }

    @Override
    public void notifyCheckpointComplete(long checkpointId) {
      if (seen > 0) {
        checkpointCompleted.countDown();
      }
    }
  }
}
