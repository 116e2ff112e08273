/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import javax.imageio.ImageIO;
import org.apache.avro.specific.SpecificRecord;

/**
 * What is sent in a chaos run: good requests made of a few dozen templates, so that each has an
 * undisturbed image to be compared with, and poison. The same seed makes the same ones.
 */
final class ChaosRequests {
  /** Bad requests, each of which has to be answered with one failure and to disturb nobody. */
  enum Poison {
    /** Bytes that are no event. */
    GARBAGE,
    /** An event of which some bits are turned. */
    MUTATED,
    /** An undecodable record of 15 MB. */
    LARGE_RECORD,
    /** A prompt with width = height = 2048. */
    LARGE_PROMPT,
    /** A reference to a file that is used as a folder. */
    FILE_AS_FOLDER,
    /** A reference with a name of 300 characters. */
    LONG_NAME,
    /** A 16-bit RGBA PNG of 4096 x 4096 pixels of one color, 130 KB. */
    LARGE_IMAGE,
    /** Bytes that are no image. */
    NO_IMAGE
  }

  /** Of each job. */
  static final int TEMPLATES = 24;

  private static final int IMAGE_SIDE = 40;
  private static final int FRAME_SIDE = 16;
  private static final int LARGE_RECORD_BYTES = 15 << 20;
  private static final int LARGE_SIDE = 4096;
  private static final int MOST_MUTATED_STEPS = 20;

  private final long seed;
  private final Path inputs;
  private final List<byte[]> images = new ArrayList<>();

  /**
   * @param inputs folder for the images that requests name, which the job may read
   */
  ChaosRequests(long seed, Path inputs) throws IOException {
    this.seed = seed;
    this.inputs = inputs;
    Files.createDirectories(inputs);
    for (int template = 0; template < TEMPLATES; template++) {
      byte[] bytes = image(template);
      images.add(bytes);
      if (template % 2 == 1) {
        Path file = input(template);
        if (!Files.exists(file)) {
          Files.write(file, bytes);
        }
      }
    }
  }

  private static boolean isTiff(int template) {
    return template % 4 == 3;
  }

  private Path input(int template) {
    return inputs.resolve("input-" + template);
  }

  private static String uri(Path file) {
    return "file://" + file.toAbsolutePath();
  }

  /** The request whose image the others of its template are compared with. */
  ChaosRequest reference(ChaosJob job, int template) {
    String id = "calm-" + job.letter() + template;
    return new ChaosRequest(
        job, id, ChaosRequest.REFERENCE + ":" + template, encode(job, event(job, id, template)));
  }

  /** A good one. */
  ChaosRequest good(ChaosJob job, int number) {
    if (job == ChaosJob.LIVE) {
      int frame = ChaosJob.frame(number);
      String id = job.letter() + frame + "-" + number;
      return new ChaosRequest(
          job,
          id,
          ChaosRequest.IMAGE + ":" + frame,
          encode(job, frame(id, ChaosJob.stream(number), frame)));
    }
    int template = random(job, number).nextInt(TEMPLATES);
    String id = job.letter() + template + "-" + number;
    return new ChaosRequest(
        job, id, ChaosRequest.IMAGE + ":" + template, encode(job, event(job, id, template)));
  }

  /** A bad one, or null where the job knows no such poison. */
  ChaosRequest poison(ChaosJob job, int number, Poison poison) {
    if (job == ChaosJob.LIVE) {
      return null; // its streams have no gaps, so that each can be compared with the undisturbed
      // one
    }
    Random random = random(job, number);
    String id = job.letter() + "-" + poison.name().toLowerCase(Locale.ROOT) + "-" + number;
    return switch (poison) {
      case GARBAGE -> garbage(job, random, 1 + random.nextInt(1000));
      case LARGE_RECORD ->
          job == ChaosJob.PROMPTS ? garbage(job, random, LARGE_RECORD_BYTES) : null;
      case MUTATED ->
          job == ChaosJob.PROMPTS || job == ChaosJob.IMAGES ? mutated(job, id, random) : null;
      case LARGE_PROMPT ->
          job == ChaosJob.PROMPTS
              ? failing(job, id, prompt(id, 0).setWidth(2048).setHeight(2048).build())
              : null;
      case FILE_AS_FOLDER -> named(job, id, uri(input(1)) + "/x");
      case LONG_NAME -> named(job, id, uri(inputs) + "/" + "x".repeat(300));
      case LARGE_IMAGE -> pictured(job, id, LargeImage.PNG);
      case NO_IMAGE -> pictured(job, id, "no image".getBytes(StandardCharsets.UTF_8));
    };
  }

  private Random random(ChaosJob job, int number) {
    return new Random((seed * 1_000_003 + number) * 31 + job.ordinal());
  }

  private static ChaosRequest failing(ChaosJob job, String id, SpecificRecord event) {
    return new ChaosRequest(job, id, ChaosRequest.FAILURE, encode(job, event));
  }

  private static ChaosRequest pictured(ChaosJob job, String id, byte[] image) {
    return !job.isOfPrompts()
        ? failing(
            job,
            id,
            ImageTaskEvent.newBuilder()
                .setId(id)
                .setImage(Payloads.inline(image, "image/png"))
                .build())
        : null;
  }

  private static ChaosRequest named(ChaosJob job, String id, String uri) {
    return !job.isOfPrompts()
        ? failing(
            job,
            id,
            ImageTaskEvent.newBuilder()
                .setId(id)
                .setImage(
                    Payloads.stored(new PayloadReference(uri, "0".repeat(64), 10L), "image/png"))
                .build())
        : null;
  }

  private static ChaosRequest garbage(ChaosJob job, Random random, int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    bytes[0] = 0; // no event of ours begins so
    return new ChaosRequest(job, null, ChaosRequest.FAILURE, bytes);
  }

  /** Turns bits until the bytes are no request, or one that costs little and has its own name. */
  private ChaosRequest mutated(ChaosJob job, String id, Random random) {
    while (true) {
      byte[] bytes = encode(job, event(job, id, random.nextInt(TEMPLATES)));
      int turns = 1 + random.nextInt(3);
      for (int i = 0; i < turns; i++) {
        bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
      }
      try {
        if (job == ChaosJob.PROMPTS) {
          PromptEvent event = EventCodec.prompts().decode(bytes);
          if (event.getId().startsWith(id)
              && cheap(event.getSteps(), event.getWidth(), event.getHeight())
              && event.getDeadline() == null) {
            return new ChaosRequest(job, event.getId(), ChaosRequest.ANY, bytes);
          }
        } else {
          ImageTaskEvent event = EventCodec.imageTasks().decode(bytes);
          if (event.getId().startsWith(id)
              && cheap(event.getSteps(), event.getWidth(), event.getHeight())
              && (event.getEnsembleSize() == null || event.getEnsembleSize() < 3)
              && event.getDeadline() == null) {
            return new ChaosRequest(job, event.getId(), ChaosRequest.ANY, bytes);
          }
        }
      } catch (UndecodableEventException e) {
        return new ChaosRequest(job, null, ChaosRequest.FAILURE, bytes);
      }
    }
  }

  private static boolean cheap(Integer steps, Integer width, Integer height) {
    return (steps == null || steps <= MOST_MUTATED_STEPS) && width == null && height == null;
  }

  private SpecificRecord event(ChaosJob job, String id, int template) {
    return switch (job) {
      case PROMPTS -> prompt(id, template).build();
      case ADAPTERS -> adapted(id, template);
      case TRANSFORMERS -> transformed(id, template);
      case IMAGES -> imageTask(id, template);
      case CAPTIONS -> captioned(id, template);
      case LIVE -> frame(id, 0, template);
    };
  }

  /** With one LoRA, another one, both, or none. */
  private PromptEvent adapted(String id, int template) {
    return prompt(id, template).setParameters(ChaosLoras.parameters(template)).build();
  }

  private PromptEvent transformed(String id, int template) {
    return PromptEvent.newBuilder()
        .setId(id)
        .setPrompt("a red apple on a wooden table, number " + template)
        .setSeed((long) template)
        .setSteps(2 + template % 7)
        .setGuidanceScale(1.5 + template % 3)
        .setWidth(48)
        .setHeight(template % 2 == 0 ? 32 : 48)
        .setParameters(Map.of("cacheInterval", Integer.toString(1 + template % 3)))
        .build();
  }

  private ImageTaskEvent captioned(String id, int template) {
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(
            Payloads.inline(images.get(template), isTiff(template) ? "image/tiff" : "image/png"))
        .setPrompt(template % 2 == 0 ? "" : "a photo of")
        .setParameters(
            Map.of(
                "maxNewTokens", Integer.toString(4 + template % 9),
                "numBeams", Integer.toString(1 + template % 3)))
        .build();
  }

  /** A camera that moves, stands still for some frames, and moves on. */
  private static ImageTaskEvent frame(String id, int stream, int frame) {
    int moved = frame / 8 * 4 + Math.min(frame % 8, 4);
    BufferedImage image = new BufferedImage(FRAME_SIDE, FRAME_SIDE, BufferedImage.TYPE_INT_RGB);
    for (int y = 0; y < FRAME_SIDE; y++) {
      for (int x = 0; x < FRAME_SIDE; x++) {
        int bright = (int) (127.5 + 127.5 * Math.sin(0.7 * (x + moved)) * Math.cos(y));
        image.setRGB(x, y, bright << 16 | (255 - bright) << 8 | 90);
      }
    }
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(Payloads.inline(file(image, "png"), "image/png"))
        .setSeed(1L)
        .setSteps(1 + frame % 3)
        .setParameters(Map.of("stream", "camera-" + stream, "frame", Integer.toString(frame)))
        .build();
  }

  private static byte[] file(BufferedImage image, String format) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      ImageIO.write(image, format, out);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return out.toByteArray();
  }

  private PromptEvent.Builder prompt(String id, int template) {
    return PromptEvent.newBuilder(Requests.request(seed, template)).setId(id);
  }

  /** Every other image is beside Kafka. */
  private ImageTaskEvent imageTask(String id, int template) {
    byte[] file = images.get(template);
    String type = isTiff(template) ? "image/tiff" : "image/png";
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(
            template % 2 == 0
                ? Payloads.inline(file, type)
                : Payloads.stored(
                    new PayloadReference(
                        (isTiff(template) ? SlowFileSystem.SCHEME : "file")
                            + "://"
                            + input(template).toAbsolutePath(),
                        Payloads.sha256(file),
                        (long) file.length),
                    type))
        .setSeed((long) template)
        .setSteps(2 + template % 3)
        .build();
  }

  private static byte[] encode(ChaosJob job, SpecificRecord event) {
    return job.isOfPrompts()
        ? EventCodec.prompts().encode((PromptEvent) event)
        : EventCodec.imageTasks().encode((ImageTaskEvent) event);
  }

  private byte[] image(int template) {
    Random random = new Random(seed + template);
    BufferedImage image = new BufferedImage(IMAGE_SIDE, IMAGE_SIDE, BufferedImage.TYPE_INT_RGB);
    for (int y = 0; y < IMAGE_SIDE; y++) {
      for (int x = 0; x < IMAGE_SIDE; x++) {
        int green = 80 + 2 * x + random.nextInt(20);
        image.setRGB(x, y, (60 + y) << 16 | green << 8 | 70 + random.nextInt(30));
      }
    }
    // TIFF files that are not local are read from a copy in the scratch folder.
    return file(image, isTiff(template) ? "tiff" : "png");
  }

  /** Written by hand, since as an image in memory it takes 128 MiB. */
  private static final class LargeImage {
    static final byte[] PNG = png();

    private static byte[] png() {
      ByteArrayOutputStream file = new ByteArrayOutputStream();
      file.writeBytes(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'});
      ByteArrayOutputStream header = new ByteArrayOutputStream();
      try (DataOutputStream out = new DataOutputStream(header)) {
        out.writeInt(LARGE_SIDE);
        out.writeInt(LARGE_SIDE);
        out.write(new byte[] {16, 6, 0, 0, 0});
        chunk(file, "IHDR", header.toByteArray());
        chunk(file, "IDAT", pixels());
        chunk(file, "IEND", new byte[0]);
      } catch (IOException e) {
        throw new AssertionError(e);
      }
      return file.toByteArray();
    }

    private static byte[] pixels() {
      Deflater deflater = new Deflater(Deflater.BEST_COMPRESSION);
      ByteArrayOutputStream packed = new ByteArrayOutputStream();
      byte[] row = new byte[1 + LARGE_SIDE * 8];
      byte[] buffer = new byte[1 << 16];
      for (int y = 0; y < LARGE_SIDE; y++) {
        deflater.setInput(row);
        while (!deflater.needsInput()) {
          packed.write(buffer, 0, deflater.deflate(buffer));
        }
      }
      deflater.finish();
      while (!deflater.finished()) {
        packed.write(buffer, 0, deflater.deflate(buffer));
      }
      deflater.end();
      return packed.toByteArray();
    }

    private static void chunk(ByteArrayOutputStream file, String type, byte[] content)
        throws IOException {
      DataOutputStream out = new DataOutputStream(file);
      byte[] name = type.getBytes(StandardCharsets.US_ASCII);
      CRC32 sum = new CRC32();
      sum.update(name);
      sum.update(content);
      out.writeInt(content.length);
      out.write(name);
      out.write(content);
      out.writeInt((int) sum.getValue());
    }
  }
}
