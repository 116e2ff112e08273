/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.batching.BatchPolicy;
import io.github.flinkdiffusion.ops.batching.BatchSession;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Ticker;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.fakes.ForwardingPipeline;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.Blip;
import io.github.flinkdiffusion.ops.network.BlipConfig;
import io.github.flinkdiffusion.ops.tokenizer.WordPieceTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** BLIP's captions and answers against transformers' {@code generate}, on tiny random models. */
class BlipTextsTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/text");
  private static final String CAPTIONS = "tiny-blip-caption";
  private static final String ANSWERS = "tiny-blip-vqa";

  private static JsonNode golden() throws IOException {
    return new ObjectMapper().readTree(FIXTURES.resolve("blip.json").toFile());
  }

  private static DiffusionPipeline open(String model) {
    return Pipelines.open(FIXTURES.resolve(model), PipelineSettings.on(DeviceSpec.CPU));
  }

  static List<Raster> images() {
    List<Raster> images = new ArrayList<>();
    try (TensorStore store = Safetensors.open(FIXTURES.resolve("images.safetensors"))) {
      for (int i = 0; i < store.names().size(); i++) {
        long[] shape = store.info("" + i).shape();
        byte[] levels = new byte[(int) (shape[0] * shape[1] * shape[2])];
        store.data("" + i).get(0).get(levels);
        float[] values = new float[levels.length];
        for (int j = 0; j < levels.length; j++) {
          values[j] = Byte.toUnsignedInt(levels[j]) / 255f;
        }
        images.add(new Raster((int) shape[0], (int) shape[1], (int) shape[2], values));
      }
    }
    return images;
  }

  private static GenerationSpec spec(JsonNode run, List<Raster> images) {
    int image = run.get("image").asInt();
    JsonNode arguments = run.get("arguments");
    GenerationSpec spec =
        GenerationSpec.of("run-" + image)
            .with(Parameters.IMAGE, images.get(image))
            .with(Parameters.MAX_NEW_TOKENS, 12L)
            .with(Parameters.NUM_BEAMS, arguments.path("num_beams").asLong(1))
            .with(Parameters.LENGTH_PENALTY, arguments.path("length_penalty").asDouble(1));
    return run.get("text").isNull()
        ? spec
        : spec.with(Parameters.PROMPT, run.get("text").textValue());
  }

  private static void runToTheEnd(DiffusionPipeline pipeline, List<Trajectory> texts) {
    List<Trajectory> left = new ArrayList<>(texts);
    left.removeIf(Trajectory::done);
    while (!left.isEmpty()) {
      pipeline.step(left);
      left.removeIf(Trajectory::done);
    }
  }

  private static List<String> texts(DiffusionPipeline pipeline, List<Trajectory> done) {
    return pipeline.finish(done).stream().map(text -> text.text().orElseThrow().text()).toList();
  }

  private static List<Integer> tokens(Trajectory done) {
    GenerationRequest request = done.request();
    TextDecoding decoding =
        new TextDecoding(
            request.get(Parameters.NUM_BEAMS).intValue(),
            request.get(Parameters.MAX_NEW_TOKENS).intValue(),
            3,
            request.get(Parameters.LENGTH_PENALTY),
            null);
    return Arrays.stream(decoding.result(decoding.restore(done.snapshot().sample())))
        .boxed()
        .toList();
  }

  /** All 50 inputs in mixed batches: other lengths, beams and prompts share each call. */
  @ParameterizedTest
  @ValueSource(strings = {CAPTIONS, ANSWERS})
  void writesTheTokensOfTransformersInMixedBatches(String model) throws IOException {
    List<Raster> images = images();
    JsonNode runs = golden().get(model);
    try (DiffusionPipeline pipeline = open(model)) {
      for (int first = 0; first < runs.size(); first += 25) {
        List<JsonNode> some = new ArrayList<>();
        for (int i = first; i < Math.min(first + 25, runs.size()); i++) {
          some.add(runs.get(i));
        }
        List<Trajectory> texts =
            pipeline.start(
                some.stream().map(run -> pipeline.model().prepare(spec(run, images))).toList());
        runToTheEnd(pipeline, texts);
        List<String> written = texts(pipeline, texts);
        for (int i = 0; i < some.size(); i++) {
          List<Integer> expected = new ArrayList<>();
          some.get(i).get("ids").forEach(id -> expected.add(id.asInt()));
          List<Integer> own = tokens(texts.get(i));
          assertThat(expected).as("%s", some.get(i)).endsWith(own.toArray(Integer[]::new));
          assertThat(expected.get(expected.size() - own.size() - 1))
              .as("the prompt's last token")
              .isNotEqualTo(3);
          assertThat(written.get(i)).isEqualTo(some.get(i).get("decoded").textValue());
        }
      }
    }
  }

  @Test
  void aTextAloneIsTheTextOfAMixedBatch() throws IOException {
    List<Raster> images = images();
    JsonNode runs = golden().get(ANSWERS);
    try (DiffusionPipeline pipeline = open(ANSWERS)) {
      for (int i = 0; i < 12; i++) {
        List<Trajectory> alone =
            pipeline.start(List.of(pipeline.model().prepare(spec(runs.get(i), images))));
        runToTheEnd(pipeline, alone);
        List<Integer> expected = new ArrayList<>();
        runs.get(i).get("ids").forEach(id -> expected.add(id.asInt()));
        assertThat(expected).endsWith(tokens(alone.get(0)).toArray(Integer[]::new));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"greedy", "beams", "sampled"})
  void aTextRestoredAtAnyTokenIsTheSame(String how) {
    List<Raster> images = images();
    Random random = new Random(4);
    try (DiffusionPipeline pipeline = open(CAPTIONS)) {
      for (int i = 0; i < 10; i++) {
        GenerationSpec spec =
            GenerationSpec.of("text-" + i)
                .with(Parameters.IMAGE, images.get(i))
                .with(Parameters.PROMPT, i % 2 == 0 ? null : "the red")
                .with(Parameters.MAX_NEW_TOKENS, 10L)
                .with(Parameters.NUM_BEAMS, how.equals("beams") ? 3L : 1L)
                .with(Parameters.DO_SAMPLE, how.equals("sampled") ? 1L : 0L);
        GenerationRequest request = pipeline.model().prepare(spec);
        List<Trajectory> whole = pipeline.start(List.of(request));
        runToTheEnd(pipeline, whole);

        Trajectory text = pipeline.start(List.of(request)).get(0);
        while (!text.done()) {
          if (random.nextInt(3) == 0) {
            text = pipeline.restore(List.of(text.snapshot())).get(0);
          }
          pipeline.step(List.of(text));
        }
        assertThat(texts(pipeline, List.of(text))).isEqualTo(texts(pipeline, whole));
        // The same tokens; a call of all tokens rounds scores otherwise than calls of one each.
        close(text.snapshot().sample(), whole.get(0).snapshot().sample());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {CAPTIONS, ANSWERS})
  void textsAreTheSameWhereWhatTheNetworkKeepsOfTokensFindsNoRoom(String model) {
    List<Raster> images = images();
    try (DiffusionPipeline pipeline = open(model)) {
      TextPipeline ample = (TextPipeline) pipeline;
      long room = ample.room();
      List<GenerationRequest> requests = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        requests.add(
            pipeline
                .model()
                .prepare(
                    GenerationSpec.of("text-" + i)
                        .with(Parameters.IMAGE, images.get(i))
                        .with(Parameters.PROMPT, i % 2 == 0 ? "the" : "the red dog")
                        .with(Parameters.NUM_BEAMS, 1L + i % 3)));
      }
      List<Trajectory> kept = pipeline.start(requests);
      pipeline.step(kept);
      assertThat(ample.room()).isLessThan(room);
      kept.get(0).close();
      runToTheEnd(pipeline, kept);
      assertThat(ample.room()).as("after the last token").isEqualTo(room);

      // Room for all, for some, for none.
      for (long bytes : new long[] {room, 20_000, 0}) {
        TextPipeline limited = ample.withRoom(bytes);
        List<Trajectory> texts = limited.start(requests);
        runToTheEnd(limited, texts);
        assertThat(texts(limited, texts)).isEqualTo(texts(pipeline, kept));
        assertThat(limited.room()).isEqualTo(bytes);
      }
    }
  }

  @Test
  void aSeedDecidesADrawnTextAndTopKOfOneIsGreedy() {
    List<Raster> images = images();
    try (DiffusionPipeline pipeline = open(CAPTIONS)) {
      GenerationSpec spec =
          GenerationSpec.of("drawn")
              .with(Parameters.IMAGE, images.get(3))
              .with(Parameters.DO_SAMPLE, 1L);
      List<Trajectory> drawn = new ArrayList<>();
      for (long seed : new long[] {1, 1, 2, 3, 4}) {
        drawn.addAll(
            pipeline.start(List.of(pipeline.model().prepare(spec.with(Parameters.SEED, seed)))));
      }
      runToTheEnd(pipeline, drawn);
      List<String> texts = texts(pipeline, drawn);
      assertThat(texts.get(0)).isEqualTo(texts.get(1));
      assertThat(texts.stream().distinct().count()).isGreaterThan(2);

      List<Trajectory> greedy =
          pipeline.start(
              List.of(
                  pipeline.model().prepare(spec.with(Parameters.DO_SAMPLE, 0L)),
                  pipeline.model().prepare(spec.with(Parameters.TOP_K, 1L)),
                  pipeline.model().prepare(spec.with(Parameters.TOP_P, 1e-6))));
      runToTheEnd(pipeline, greedy);
      assertThat(texts(pipeline, greedy).stream().distinct()).hasSize(1);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {CAPTIONS, ANSWERS})
  void statesAndScoresAreThoseOfTransformers(String model) {
    Path folder = FIXTURES.resolve(model);
    boolean answers = model.equals(ANSWERS);
    Blip blip = new Blip(BlipConfig.from(Config.read(folder.resolve("config.json"))));
    Graph graph = answers ? blip.answering() : blip.captioning();
    WordPieceTokenizer words = WordPieceTokenizer.load(folder);
    String[] questions = {
      "what color is the cube?", "how many dogs are in the picture?", "where is the boat"
    };
    try (TensorStore weights = Safetensors.open(folder.resolve("model.safetensors"));
        TensorStore golden = Safetensors.open(FIXTURES.resolve("blip-golden.safetensors"));
        Network network =
            new NetworkLoader(DeviceSpec.CPU, Precision.FLOAT32).load("blip", graph, weights)) {
      for (int i = 0; i < 3; i++) {
        String at = model + "/" + i + "/";
        float[] pixels = golden.floats(at + "pixels");
        HostTensor.Floats states =
            network.call(Blip.VISION, new HostTensor.Floats(pixels, 1, 3, 32, 32));
        close(states.data(), golden.floats(at + "image"));
        if (answers) {
          int[] ids = words.encode(questions[i]);
          states =
              network.call(
                  Blip.QUESTION,
                  longs(ids),
                  positions(ids.length),
                  new HostTensor.Floats(new float[] {ids.length}, 1),
                  states);
          close(states.data(), golden.floats(at + "question"));
        }
        int[] ids = {80, 5 + i, 23, 31 + i};
        HostTensor.Floats scores =
            network.call(
                Blip.READ,
                longs(ids),
                positions(4),
                new HostTensor.Longs(new long[] {3}, 1),
                states,
                new HostTensor.Floats(new float[] {states.shape()[1]}, 1));
        float[] expected = golden.floats(at + "scores");
        close(Arrays.copyOf(scores.data(), expected.length), expected);
      }
    }
  }

  private static HostTensor.Longs longs(int[] ids) {
    return new HostTensor.Longs(Arrays.stream(ids).asLongStream().toArray(), 1, ids.length);
  }

  private static HostTensor.Longs positions(int count) {
    return new HostTensor.Longs(java.util.stream.LongStream.range(0, count).toArray(), 1, count);
  }

  private static void close(float[] own, float[] expected) {
    assertThat(own).hasSameSizeAs(expected);
    for (int i = 0; i < own.length; i++) {
      assertThat(own[i]).isCloseTo(expected[i], org.assertj.core.data.Offset.offset(1e-4f));
    }
  }

  @Test
  void theTokenizerIsTransformers() throws IOException {
    WordPieceTokenizer words = WordPieceTokenizer.load(FIXTURES.resolve(CAPTIONS));
    for (JsonNode each : golden().get("texts")) {
      List<Integer> expected = new ArrayList<>();
      each.get("ids").forEach(id -> expected.add(id.asInt()));
      assertThat(Arrays.stream(words.encode(each.get("text").textValue())).boxed().toList())
          .as(each.toString())
          .isEqualTo(expected);
    }
    for (JsonNode each : golden().get("decoded")) {
      int[] ids = new int[each.get("ids").size()];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = each.get("ids").get(i).asInt();
      }
      assertThat(words.decode(ids)).as(each.toString()).isEqualTo(each.get("text").textValue());
    }
  }

  /** A text has no width and height that could be named. */
  @Test
  void aTextThatDoesNotFitIntoTheDeviceFailsAlone() {
    try (DiffusionPipeline pipeline = open(CAPTIONS)) {
      DiffusionPipeline full =
          new ForwardingPipeline(pipeline) {
            @Override
            public void step(List<Trajectory> batch) {
              throw new DeviceMemoryException("There is no room", null);
            }
          };
      StepBatcher batcher = new StepBatcher(full, BatchPolicy.ofRows(2), Ticker.SYSTEM);
      List<String> failures = new ArrayList<>();
      try (BatchSession session = batcher.join(cause -> failures.add("device"))) {
        session.submit(
            new Work.Fresh(
                pipeline
                    .model()
                    .prepare(GenerationSpec.of("text-1").with(Parameters.IMAGE, images().get(0)))),
            Submission.DEFAULT,
            new RequestListener() {
              @Override
              public void onFinished(GeneratedImage image) {
                failures.add("finished");
              }

              @Override
              public void onFailed(RequestFailure failure) {
                failures.add(failure.message());
              }
            });
        while (batcher.runOnce()) {
          // Until it has failed.
        }
      }
      assertThat(failures)
          .containsExactly(
              "Request text-1 does not fit into the device's memory, even alone: There is no room");
    }
  }

  @Test
  void refusesWhatCannotBeDone() {
    try (DiffusionPipeline pipeline = open(ANSWERS)) {
      GenerationSpec spec = GenerationSpec.of("bad").with(Parameters.IMAGE, images().get(0));
      assertThatThrownBy(() -> pipeline.model().prepare(spec))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("prompt");
      GenerationSpec asked = spec.with(Parameters.PROMPT, "where");
      assertThatThrownBy(() -> pipeline.model().prepare(asked.with(Parameters.MAX_NEW_TOKENS, 48L)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("at most 48");
      assertThatThrownBy(
              () ->
                  pipeline
                      .model()
                      .prepare(asked.with(Parameters.NUM_BEAMS, 2L).with(Parameters.DO_SAMPLE, 1L)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("doSample");
    }
  }
}
