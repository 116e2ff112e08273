/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.examples.Topics;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Sixteen live streams of 1 to 4 steps in one job, whose frames start from the previous result and
 * are answered with it where they hardly change. TaskManagers are killed with SIGKILL: each frame
 * is answered once, in its stream's order, and as in a job that nobody disturbed.
 */
@Tag("nightly")
@Timeout(1200) // a job that hangs must not hang the build
class LiveKillITCase {
  private static final int STREAMS = 16;
  private static final int FRAMES = Integer.getInteger("cluster.live.frames", 24);
  private static final int KILLS = Integer.getInteger("cluster.live.kills", 3);
  private static final long SEED = Long.getLong("cluster.live.seed", System.nanoTime());
  private static final int PARALLELISM = 2;
  private static final int SIDE = 16;

  /** Frames without an answer that the job is kept at. */
  private static final int LOAD = 48;

  private static final String PROGRAM = "io.github.flinkdiffusion.examples.ImageTaskJob";

  /** The record's text that says which frame's result was repeated. */
  private static final String REPEATS = "repeatsFrame";

  @Test
  void eachFrameIsAnsweredOnceInOrderAndAsUndisturbedThoughProcessesAreKilled() throws Exception {
    Measured.say("seed %d", SEED);
    Random random = new Random(SEED);
    LocalCluster cluster =
        new LocalCluster(Path.of("target/live-kill-test"), ProcessHandle.current().pid());
    cluster.run("clean");
    try (cluster) {
      cluster.run("start");
      String servers = cluster.bootstrapServers();
      FlinkRest rest = cluster.rest();
      Topics stormy = createTopics(servers, "stormy-");
      Topics calm = createTopics(servers, "calm-");
      int all = STREAMS * FRAMES;
      try (Answers answers = new Answers(servers, stormy, PARALLELISM);
          Answers undisturbed = new Answers(servers, calm, PARALLELISM);
          Frames frames = new Frames(servers)) {
        String job = submit(cluster, "stormy-");
        int killed = 0;
        for (int number = 0; number < all; number++) {
          int open = number;
          Measured.until("frames are answered", () -> open - answers.count() < LOAD);
          frames.send(stormy, number);
          if (killed < KILLS && number == (killed + 1) * all / (KILLS + 2)) {
            killed++;
            kill(cluster, rest, job, random, answers, killed);
          }
        }
        frames.flush();
        Measured.until("all frames are answered", () -> answers.count() >= all);
        cluster.run("flink", "cancel", job);
        answers.close();

        String second = submit(cluster, "calm-");
        for (int number = 0; number < all; number++) {
          frames.send(calm, number);
        }
        frames.flush();
        Measured.until("all frames are answered undisturbed", () -> undisturbed.count() >= all);
        cluster.run("flink", "cancel", second);
        undisturbed.close();

        assertThat(answers.failures()).isEmpty();
        assertThat(undisturbed.failures()).isEmpty();
        for (Answers each : List.of(answers, undisturbed)) {
          Map<String, List<Integer>> numbers = new TreeMap<>();
          for (ImageEvent image : each.images()) {
            String[] name = image.getId().split("/");
            numbers
                .computeIfAbsent(name[0], stream -> new ArrayList<>())
                .add(Integer.parseInt(name[1]));
          }
          assertThat(numbers).hasSize(STREAMS);
          assertThat(numbers.values())
              .as("each frame of a stream once, and in order")
              .allSatisfy(
                  ofStream ->
                      assertThat(ofStream).isEqualTo(IntStream.range(0, FRAMES).boxed().toList()));
        }
        assertSame(answers.images(), undisturbed.images());
      }
    }
    assertThat(cluster.processes()).isEmpty();
  }

  private static String submit(LocalCluster cluster, String prefix) throws Exception {
    return LocalCluster.jobId(
        cluster.run(
            "flink",
            "run",
            "--detached",
            "-t",
            "remote",
            "-p",
            Integer.toString(PARALLELISM),
            "-Ddiffusion.model.folder="
                + Measured.HOME.resolve("examples/models/mini-satellite-x4"),
            "-Ddiffusion.device=cpu",
            "-Ddiffusion.batch.rows=8",
            "-Ddiffusion.capacity=32",
            "-Ddiffusion.output-order=UNORDERED",
            "-Ddiffusion.live.enabled=true",
            "-Ddiffusion.live.blend=0.3",
            "-Ddiffusion.live.similarity=0.9",
            "-Ddiffusion.live.max-repeats=3",
            "-Ddiffusion.kafka.transactional-id-prefix=" + prefix.replaceAll("-$", ""),
            "-c",
            PROGRAM,
            Measured.jar().toString(),
            prefix));
  }

  private static void kill(
      LocalCluster cluster, FlinkRest rest, String job, Random random, Answers answers, int round)
      throws Exception {
    Measured.until("all tasks run", () -> rest.job(job).allTasksRun());
    long checkpoint = rest.checkpoints(job).lastCompleted();
    Measured.until(
        "a checkpoint completes", () -> rest.checkpoints(job).lastCompleted() > checkpoint);
    long before = rest.checkpoints(job).restores();
    // One that does work: after a restart, all of it may be on the other one.
    List<String> at = rest.taskManagersOf(job).stream().sorted().toList();
    String victim = at.get(random.nextInt(at.size()));
    Measured.say("kill %d: %s, %d frames are answered", round, victim, answers.count());
    cluster.run("kill", victim);
    cluster.run("start", victim);
    Measured.until("the job goes on", () -> rest.checkpoints(job).restores() > before);
  }

  /** Frames of all streams in turn, from one producer, with the stream as the record's key. */
  private static final class Frames implements AutoCloseable {
    private final KafkaProducer<byte[], byte[]> producer;

    Frames(String servers) {
      producer =
          new KafkaProducer<>(
              Map.of(
                  ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
                  servers,
                  ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG,
                  true),
              new ByteArraySerializer(),
              new ByteArraySerializer());
    }

    void send(Topics topics, int number) {
      ImageTaskEvent frame = frame(number % STREAMS, number / STREAMS);
      producer.send(
          new ProducerRecord<>(
              topics.requests(),
              frame.getParameters().get("stream").getBytes(StandardCharsets.UTF_8),
              EventCodec.imageTasks().encode(frame)));
    }

    void flush() {
      producer.flush();
    }

    @Override
    public void close() {
      producer.close();
    }
  }

  /** A camera that moves, stands still for some frames, and moves on. */
  private static ImageTaskEvent frame(int stream, int number) {
    String name = String.format(Locale.ROOT, "camera-%02d", stream);
    int moved = number / 8 * 4 + Math.min(number % 8, 4);
    float[] values = new float[3 * SIDE * SIDE];
    for (int i = 0; i < values.length; i++) {
      int x = i % SIDE + moved;
      int y = i / SIDE % SIDE + stream;
      values[i] =
          Math.round(127.5 + 127.5 * Math.sin(0.7 * x + i / (SIDE * SIDE)) * Math.cos(y)) / 255f;
    }
    return ImageTaskEvent.newBuilder()
        .setId(name + "/" + number)
        .setImage(Payloads.inline(PngCodec.encode(new Raster(3, SIDE, SIDE, values)), "image/png"))
        .setSteps(1 + stream % 4)
        .setParameters(Map.of("stream", name, "frame", Integer.toString(number)))
        .build();
  }

  private static Topics createTopics(String servers, String prefix) throws Exception {
    Topics topics = Topics.ofImageTasks(prefix);
    List<NewTopic> all = new ArrayList<>();
    for (String name :
        List.of(topics.requests(), topics.images(), topics.failures(), topics.progress())) {
      all.add(new NewTopic(name, Optional.of(PARALLELISM), Optional.of((short) 1)));
    }
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
      admin.createTopics(all).all().get();
    }
    return topics;
  }

  /**
   * The same frames were repeated, and images are equal but for the rounding of calls of other
   * sizes, which the next frame's start passes on.
   */
  private static void assertSame(List<ImageEvent> images, List<ImageEvent> expected) {
    Map<String, ImageEvent> byId = new HashMap<>();
    expected.forEach(image -> byId.put(image.getId(), image));
    Map<Integer, Integer> imagesByDifference = new TreeMap<>();
    int repeated = 0;
    for (ImageEvent image : images) {
      ImageEvent other = byId.get(image.getId());
      String repeats = image.getAudit().getParameters().get(REPEATS);
      assertThat(repeats)
          .as(image.getId())
          .isEqualTo(other.getAudit().getParameters().get(REPEATS));
      repeated += repeats == null ? 0 : 1;
      assertThat(image.getSteps()).isEqualTo(other.getSteps());
      assertThat(image.getSeed()).isEqualTo(other.getSeed());
      float[] values = raster(image).data();
      float[] undisturbed = raster(other).data();
      int largest = 0;
      for (int i = 0; i < values.length; i++) {
        largest = Math.max(largest, Math.round(Math.abs(values[i] - undisturbed[i]) * 255));
      }
      imagesByDifference.merge(largest, 1, Integer::sum);
    }
    Measured.say(
        "%d frames, each once and in order; %d were answered with the previous result; images by"
            + " their largest difference in levels: %s",
        images.size(), repeated, imagesByDifference);
    assertThat(repeated).isPositive();
    assertThat(imagesByDifference.keySet()).allSatisfy(level -> assertThat(level).isLessThan(3));
  }

  private static Raster raster(ImageEvent image) {
    byte[] png = new byte[image.getImage().remaining()];
    image.getImage().duplicate().get(png);
    return PngCodec.decode(png);
  }
}
