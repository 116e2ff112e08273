/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Events as no sender should send them, beside good ones. The event of a number is a function of
 * the seed and the number alone, so a run can be repeated, and one event of it be looked at.
 *
 * <p>Of 100 events about 40 are prompts, 40 image tasks and 20 cancellations. Of each kind, four in
 * ten are good. The others have flipped, missing or additional bytes, fields at extremes, another
 * schema or none, images that are damaged, or references that cannot be read.
 */
final class EventMutations {
  /** What a topic gets: whose events they should be, and the bytes; null for a tombstone. */
  record Mutated(Kind kind, byte[] value) {}

  enum Kind {
    PROMPT,
    IMAGE_TASK,
    CANCELLATION
  }

  private static final int SIDE = 16;

  /** Larger files would only make a run longer. */
  private static final long LARGEST_IMAGE = 64 << 10;

  private static final List<String> TEXTS =
      List.of(
          "",
          " ",
          "\u0000",
          "\uD800 alone",
          "a\u0301\u202Eright to left",
          "🦊".repeat(500),
          "x".repeat(100_000),
          "${jndi:ldap://localhost/a}",
          "%s%n%d",
          "../../etc/passwd",
          "NaN");

  private static final List<Integer> WHOLE =
      List.of(Integer.MIN_VALUE, -1, 0, 1, 3, 7, 65, 1_001, 65_536, Integer.MAX_VALUE);

  private static final List<Double> NUMBERS =
      List.of(
          Double.NaN,
          Double.POSITIVE_INFINITY,
          Double.NEGATIVE_INFINITY,
          -1.0,
          -0.0,
          Double.MIN_VALUE,
          1e30,
          Double.MAX_VALUE);

  private static final List<String> PARAMETERS =
      List.of("clipSkip", "timesteps", "sigmas", "eta", "originalSize", "image", "noSuchThing");

  private final long seed;
  private final List<byte[]> images;
  private final List<String> uris;

  /**
   * @param images of every kind of file that is read, to be damaged
   * @param folder below which a task may read; what it may not is beside it
   */
  EventMutations(long seed, List<byte[]> images, Path folder) {
    this.seed = seed;
    this.images = List.copyOf(images);
    String base = folder.toUri().toString().replaceAll("/$", "");
    this.uris =
        List.of(
            base + "/missing.png",
            base,
            base + "/",
            base + "/ok.png/x",
            base + "/" + "n".repeat(300),
            base + "/../secret.png",
            base + "/%2e%2e/secret.png",
            base + "/a//b",
            "file:///etc/passwd",
            "file:///dev/zero",
            "s3://bucket/key",
            "http://localhost:1/x",
            "no uri at all \u0000",
            "",
            base + "/ok.png");
  }

  /** The small images of these folders. */
  static List<byte[]> imagesOf(Path... folders) {
    List<byte[]> images = new ArrayList<>();
    for (Path folder : folders) {
      try (Stream<Path> files = Files.list(folder)) {
        for (Path file : files.sorted().toList()) {
          if (file.toString().matches(".*\\.(png|jpg|tif|dcm|nii|gz)")
              && Files.size(file) <= LARGEST_IMAGE) {
            images.add(Files.readAllBytes(file));
          }
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    return images;
  }

  static String id(int number) {
    return "m" + number;
  }

  Mutated event(int number) {
    Random random = new Random(seed * 1_000_003 + number);
    Kind kind =
        switch (random.nextInt(5)) {
          case 0, 1 -> Kind.PROMPT;
          case 2, 3 -> Kind.IMAGE_TASK;
          default -> Kind.CANCELLATION;
        };
    return new Mutated(
        kind,
        switch (random.nextInt(10)) {
          case 0, 1, 2, 3 -> good(kind, number, random);
          case 4, 5 -> damaged(good(kind, number, random), random);
          case 6, 7 -> extreme(kind, number, random);
          case 8 -> foreign(kind, number, random);
          default ->
              kind == Kind.IMAGE_TASK
                  ? badImage(number, random)
                  : damaged(extreme(kind, number, random), random);
        });
  }

  private static byte[] good(Kind kind, int number, Random random) {
    return switch (kind) {
      case PROMPT -> EventCodec.prompts().encode(prompt(number, random));
      case IMAGE_TASK -> EventCodec.imageTasks().encode(task(number, random));
      case CANCELLATION -> EventCodec.cancellations().encode(cancellation(number, random));
    };
  }

  private static PromptEvent prompt(int number, Random random) {
    return PromptEvent.newBuilder()
        .setId(id(number))
        .setPrompt("a red apple " + random.nextInt(100))
        .setSeed(random.nextLong() >>> 32)
        .setGuidanceScale(1.0 + random.nextInt(2))
        .setPriority(random.nextInt(3))
        .setAttributes(Map.of("tenant", "t" + random.nextInt(4)))
        .build();
  }

  private static ImageTaskEvent task(int number, Random random) {
    Raster image = Raster.filled(3, SIDE, SIDE, random.nextFloat());
    return ImageTaskEvent.newBuilder()
        .setId(id(number))
        .setImage(Payloads.inline(PngCodec.encode(image), "image/png"))
        .setSeed((long) number)
        .setAttributes(Map.of())
        .build();
  }

  /** Of a request nearby, which is in flight, done, still to come, or no request at all. */
  private static CancelEvent cancellation(int number, Random random) {
    return new CancelEvent(id(Math.max(0, number + random.nextInt(200) - 150)), "changed my mind");
  }

  private static byte[] damaged(byte[] bytes, Random random) {
    return switch (random.nextInt(4)) {
      case 0 -> Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
      case 1 -> {
        byte[] longer = Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(64));
        for (int i = bytes.length; i < longer.length; i++) {
          longer[i] = (byte) random.nextInt();
        }
        yield longer;
      }
      default -> {
        byte[] flipped = bytes.clone();
        for (int i = random.nextInt(8); i >= 0 && flipped.length > 0; i--) {
          flipped[random.nextInt(flipped.length)] ^= (byte) (1 << random.nextInt(8));
        }
        yield flipped;
      }
    };
  }

  private byte[] extreme(Kind kind, int number, Random random) {
    switch (kind) {
      case PROMPT -> {
        PromptEvent prompt = prompt(number, random);
        switch (random.nextInt(12)) {
          case 0 -> prompt.setPrompt(anyOf(TEXTS, random));
          case 1 -> prompt.setNegativePrompt(anyOf(TEXTS, random));
          case 2 -> prompt.setSteps(anyOf(WHOLE, random));
          case 3 -> prompt.setGuidanceScale(anyOf(NUMBERS, random));
          case 4 -> prompt.setScheduler(anyOf(TEXTS, random));
          case 5 -> prompt.setWidth(anyOf(WHOLE, random));
          case 6 -> prompt.setHeight(anyOf(WHOLE, random));
          case 7 -> prompt.setPriority(anyOf(WHOLE, random));
          case 8 -> prompt.setDeadline(anyOf(List.of(Long.MIN_VALUE, 0L, Long.MAX_VALUE), random));
          case 9 -> prompt.setParameters(parameters(random));
          case 10 -> prompt.setAttributes(attributes(random));
          default -> prompt.setId(anyOf(TEXTS, random));
        }
        prompt.setOrigin(new RecordPosition("elsewhere", -1, Long.MIN_VALUE));
        return EventCodec.prompts().encode(prompt);
      }
      case IMAGE_TASK -> {
        ImageTaskEvent task = task(number, random);
        switch (random.nextInt(12)) {
          case 0 -> task.setPrompt(anyOf(TEXTS, random));
          case 1 -> task.setStrength(anyOf(NUMBERS, random));
          case 2 -> task.setSteps(anyOf(WHOLE, random));
          case 3 -> task.setGuidanceScale(anyOf(NUMBERS, random));
          case 4 -> task.setNoiseLevel(anyOf(WHOLE, random));
          case 5 -> task.setWidth(anyOf(WHOLE, random));
          case 6 -> task.setHeight(anyOf(WHOLE, random));
          case 7 -> task.setEnsembleSize(anyOf(WHOLE, random));
          case 8 -> task.setMask(Payloads.inline(anyOf(images, random), "image/png"));
          case 9 -> task.setParameters(parameters(random));
          case 10 -> task.setAttributes(attributes(random));
          default -> task.setId(anyOf(TEXTS, random));
        }
        return EventCodec.imageTasks().encode(task);
      }
      default -> {
        return EventCodec.cancellations()
            .encode(new CancelEvent(anyOf(TEXTS, random), anyOf(TEXTS, random)));
      }
    }
  }

  private static Map<String, String> parameters(Random random) {
    return Map.of(anyOf(PARAMETERS, random), anyOf(TEXTS, random));
  }

  private static Map<String, String> attributes(Random random) {
    Map<String, String> attributes = new HashMap<>();
    int count = anyOf(List.of(1, 1_000), random);
    for (int i = 0; i < count; i++) {
      attributes.put("k" + i, "v");
    }
    attributes.put(anyOf(TEXTS, random), anyOf(TEXTS, random));
    return attributes;
  }

  private static byte[] foreign(Kind kind, int number, Random random) {
    return switch (random.nextInt(7)) {
      case 0 -> null;
      case 1 -> new byte[0];
      case 2 -> "{\"id\": \"%s\", \"prompt\": \"a cat\"}".formatted(id(number)).getBytes(UTF_8);
      // Where a schema registry's id stands.
      case 3 -> concat(new byte[] {0, 0, 0, 0, 7}, good(kind, number, random));
      // A schema that there is not.
      case 4 -> {
        byte[] bytes = good(kind, number, random);
        for (int i = 2; i < 10; i++) {
          bytes[i] = (byte) random.nextInt();
        }
        yield bytes;
      }
      // Another kind of event.
      case 5 -> good(anyOf(List.of(Kind.values()), random), number, random);
      default -> {
        byte[] noise = new byte[random.nextInt(2_000)];
        random.nextBytes(noise);
        yield noise;
      }
    };
  }

  private byte[] badImage(int number, Random random) {
    ImageTaskEvent task = task(number, random);
    Payload image =
        switch (random.nextInt(5)) {
          case 0 -> Payloads.inline(anyOf(images, random), "image/png");
          case 1, 2, 3 -> Payloads.inline(damaged(anyOf(images, random), random), "");
          default ->
              new Payload(
                  new PayloadReference(
                      anyOf(uris, random),
                      anyOf(List.of("", "0".repeat(64), "zz"), random),
                      anyOf(List.of(-1L, 0L, 10L, Long.MAX_VALUE), random)),
                  "image/png");
        };
    task.setImage(image);
    return EventCodec.imageTasks().encode(task);
  }

  private static byte[] concat(byte[] first, byte[] second) {
    byte[] both = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, both, first.length, second.length);
    return both;
  }

  private static <T> T anyOf(List<T> values, Random random) {
    return values.get(random.nextInt(values.size()));
  }
}
