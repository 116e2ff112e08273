/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * {@link InFlight} as bytes: the format of savepoints, kept readable for ever.
 *
 * <p>Version 5, all numbers big-endian, {@code bytes} and {@code text} (UTF-8) with an int length
 * in front:
 *
 * <pre>
 * byte version = 5
 * byte kind: 1 waiting, 2 running, 3 picture, 4 failure, 5 image task
 * bool timed, long timestamp (0 when not timed)
 * waiting:  long device time in ns; bytes prompt
 * running:  long device time in ns; bytes prompt; trajectory
 * task:     long device time in ns; bytes task; basis; text plan
 *           int n; n x (int part; trajectory)
 *           int n; n x (int part; raster)
 *           int n; n x (int tile; bool stored; stored ? text uri, sha256; long length : bytes)
 * picture:  bytes image
 * failure:  bytes failure
 *
 * trajectory:
 *           text id; int n; n x (text parameter, byte type, value)
 *           basis; int step; floats sample
 *           int n; n x (bool present; floats if present)
 *           bytes generator
 *
 * basis:    int n; n x text name, value
 *
 * values:   1 text; 2 long; 3 double; 4 raster; 5 int n, n x double
 *
 * raster:   int channels, height, width, bool eightBits,
 *           eightBits ? bytes, each 255 times a value : floats
 * </pre>
 *
 * <p>Until version 5 there were no texts. Until version 4 there was no device time. Until version 3
 * there was a text, the model's digest, in place of the basis. Version 2 had no image tasks.
 * Version 1 differs in the request of {@code running}: text id, prompt, negativePrompt; long seed;
 * text scheduler; int steps; double guidanceScale; int width, height.
 *
 * <p>Events are in Avro's single-object encoding ({@link EventCodec}), which carries its own
 * version; {@code floats} are an int count and their IEEE 754 bits.
 */
final class InFlightSerializer {
  private static final byte VERSION = 6;
  private static final int FLOATS_AT_ONCE = 4096;
  private static final byte WAITING = 1;
  private static final byte RUNNING = 2;
  private static final byte PICTURE = 3;
  private static final byte FAILURE = 4;
  private static final byte TASK = 5;
  private static final byte WRITTEN = 6;

  private static final byte TEXT = 1;
  private static final byte LONG = 2;
  private static final byte DOUBLE = 3;
  private static final byte RASTER = 4;
  private static final byte NUMBERS = 5;

  private InFlightSerializer() {}

  static byte[] serialize(InFlight item) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      write(item, out);
    } catch (IOException e) {
      throw new UncheckedIOException("Writing to memory does not fail.", e);
    }
    return bytes.toByteArray();
  }

  /** Writes what {@link #deserialize} reads; holds no copy of the item's numbers. */
  static void write(InFlight item, DataOutputStream out) throws IOException {
    out.writeByte(VERSION);
    if (item instanceof InFlight.Waiting waiting) {
      head(out, WAITING, waiting.timestamp());
      out.writeLong(waiting.deviceNanos());
      bytes(out, EventCodec.prompts().encode(waiting.prompt()));
    } else if (item instanceof InFlight.Running running) {
      head(out, RUNNING, running.timestamp());
      out.writeLong(running.deviceNanos());
      bytes(out, EventCodec.prompts().encode(running.prompt()));
      trajectory(out, running.trajectory());
    } else if (item instanceof InFlight.Task task) {
      head(out, TASK, task.timestamp());
      out.writeLong(task.deviceNanos());
      bytes(out, EventCodec.imageTasks().encode(task.task()));
      progress(out, task.progress());
    } else if (item instanceof InFlight.Finished finished) {
      if (finished.outcome() instanceof Outcome.Picture picture) {
        head(out, PICTURE, finished.timestamp());
        bytes(out, EventCodec.images().encode(picture.event()));
      } else if (finished.outcome() instanceof Outcome.Text text) {
        head(out, WRITTEN, finished.timestamp());
        bytes(out, EventCodec.texts().encode(text.event()));
      } else if (finished.outcome() instanceof Outcome.Failure failure) {
        head(out, FAILURE, finished.timestamp());
        bytes(out, EventCodec.failures().encode(failure.event()));
      }
    }
  }

  /**
   * @throws DiffusionException when the bytes were not written by this or an earlier version
   */
  static InFlight deserialize(byte[] bytes) {
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      byte version = in.readByte();
      if (version < 1 || version > VERSION) {
        throw new DiffusionException(
            "A request in the restored state has format version %d; this version of Flink Diffusion reads up to %d: restore with the version that wrote it, or a later one."
                .formatted(version, VERSION));
      }
      byte kind = in.readByte();
      boolean timed = in.readBoolean();
      long time = in.readLong();
      OptionalLong timestamp = timed ? OptionalLong.of(time) : OptionalLong.empty();
      boolean underWay = kind == WAITING || kind == RUNNING || kind == TASK;
      long deviceNanos = version > 4 && underWay ? in.readLong() : 0;
      InFlight item =
          switch (kind) {
            case WAITING ->
                new InFlight.Waiting(
                    timestamp, EventCodec.prompts().decode(bytes(in)), deviceNanos);
            case RUNNING ->
                new InFlight.Running(
                    timestamp,
                    EventCodec.prompts().decode(bytes(in)),
                    trajectory(in, version),
                    deviceNanos);
            case TASK ->
                new InFlight.Task(
                    timestamp,
                    EventCodec.imageTasks().decode(bytes(in)),
                    progress(in, version),
                    deviceNanos);
            case PICTURE ->
                new InFlight.Finished(
                    timestamp, new Outcome.Picture(EventCodec.images().decode(bytes(in))));
            case WRITTEN ->
                new InFlight.Finished(
                    timestamp, new Outcome.Text(EventCodec.texts().decode(bytes(in))));
            case FAILURE ->
                new InFlight.Finished(
                    timestamp, new Outcome.Failure(EventCodec.failures().decode(bytes(in))));
            default -> throw new IOException("kind " + kind + " is not known");
          };
      if (in.available() > 0) {
        throw new IOException(in.available() + " bytes are left over");
      }
      return item;
    } catch (IOException | UndecodableEventException e) {
      throw new DiffusionException(
          "A request in the restored state cannot be read, %d bytes: %s"
              .formatted(
                  bytes.length, e instanceof EOFException ? "it ends too early" : e.getMessage()),
          e);
    }
  }

  private static void head(DataOutputStream out, byte kind, OptionalLong timestamp)
      throws IOException {
    out.writeByte(kind);
    out.writeBoolean(timestamp.isPresent());
    out.writeLong(timestamp.orElse(0));
  }

  private static void trajectory(DataOutputStream out, TrajectorySnapshot trajectory)
      throws IOException {
    GenerationRequest request = trajectory.request();
    text(out, request.id());
    out.writeInt(request.arguments().parameters().size());
    for (Parameter<?> parameter : request.arguments().parameters()) {
      text(out, parameter.name());
      value(out, request.get(parameter));
    }
    basis(out, trajectory.basis());
    out.writeInt(trajectory.step());
    floats(out, trajectory.sample());
    out.writeInt(trajectory.history().length);
    for (float[] earlier : trajectory.history()) {
      out.writeBoolean(earlier != null);
      if (earlier != null) {
        floats(out, earlier);
      }
    }
    bytes(out, trajectory.generator());
  }

  private static void progress(DataOutputStream out, TaskProgress progress) throws IOException {
    basis(out, progress.basis());
    text(out, progress.plan());
    out.writeInt(progress.running().size());
    for (Map.Entry<Integer, TrajectorySnapshot> part : progress.running().entrySet()) {
      out.writeInt(part.getKey());
      trajectory(out, part.getValue());
    }
    out.writeInt(progress.samples().size());
    for (Map.Entry<Integer, Raster> part : progress.samples().entrySet()) {
      out.writeInt(part.getKey());
      raster(out, part.getValue());
    }
    out.writeInt(progress.tiles().size());
    for (Map.Entry<Integer, Payload> tile : progress.tiles().entrySet()) {
      out.writeInt(tile.getKey());
      Optional<PayloadReference> reference = Payloads.reference(tile.getValue());
      out.writeBoolean(reference.isPresent());
      if (reference.isPresent()) {
        text(out, reference.get().getUri());
        text(out, reference.get().getSha256());
        out.writeLong(reference.get().getLength());
      } else {
        bytes(out, Payloads.inlineBytes(tile.getValue()).orElseThrow());
      }
    }
  }

  private static TaskProgress progress(DataInputStream in, byte version) throws IOException {
    Basis basis = basis(in, version);
    String plan = text(in);
    Map<Integer, TrajectorySnapshot> running = new HashMap<>();
    for (int left = length(in, 1); left > 0; left--) {
      running.put(in.readInt(), trajectory(in, version));
    }
    Map<Integer, Raster> samples = new HashMap<>();
    for (int left = length(in, 1); left > 0; left--) {
      samples.put(in.readInt(), raster(in));
    }
    Map<Integer, Payload> tiles = new HashMap<>();
    for (int left = length(in, 1); left > 0; left--) {
      int tile = in.readInt();
      tiles.put(
          tile,
          in.readBoolean()
              ? Payloads.stored(
                  new PayloadReference(text(in), text(in), in.readLong()), TileResults.MEDIA_TYPE)
              : Payloads.inline(bytes(in), TileResults.MEDIA_TYPE));
    }
    return new TaskProgress(basis, plan, running, samples, tiles);
  }

  private static void basis(DataOutputStream out, Basis basis) throws IOException {
    out.writeInt(basis.values().size());
    for (Map.Entry<String, String> each : basis.values().entrySet()) {
      text(out, each.getKey());
      text(out, each.getValue());
    }
  }

  private static Basis basis(DataInputStream in, byte version) throws IOException {
    if (version < 4) {
      return Basis.ofDigest(text(in));
    }
    SortedMap<String, String> values = new TreeMap<>();
    for (int left = length(in, 1); left > 0; left--) {
      values.put(text(in), text(in));
    }
    try {
      return new Basis(values);
    } catch (IllegalArgumentException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  private static void value(DataOutputStream out, Object value) throws IOException {
    if (value instanceof String text) {
      out.writeByte(TEXT);
      text(out, text);
    } else if (value instanceof Long number) {
      out.writeByte(LONG);
      out.writeLong(number);
    } else if (value instanceof Double number) {
      out.writeByte(DOUBLE);
      out.writeDouble(number);
    } else if (value instanceof Numbers numbers) {
      out.writeByte(NUMBERS);
      out.writeInt(numbers.size());
      for (double number : numbers.values()) {
        out.writeDouble(number);
      }
    } else if (value instanceof Raster picture) {
      out.writeByte(RASTER);
      raster(out, picture);
    } else {
      throw new IllegalStateException("No parameter has values of " + value.getClass() + ".");
    }
  }

  /** Most pictures come from eight bits, and then a byte says all that a float does. */
  private static void raster(DataOutputStream out, Raster picture) throws IOException {
    out.writeInt(picture.channels());
    out.writeInt(picture.height());
    out.writeInt(picture.width());
    byte[] levels = new byte[picture.data().length];
    boolean eightBits = true;
    for (int i = 0; i < levels.length && eightBits; i++) {
      int level = Math.round(picture.data()[i] * 255);
      eightBits = level >= 0 && level <= 255 && level / 255f == picture.data()[i];
      levels[i] = (byte) level;
    }
    out.writeBoolean(eightBits);
    if (eightBits) {
      bytes(out, levels);
    } else {
      floats(out, picture.data());
    }
  }

  private static Raster raster(DataInputStream in) throws IOException {
    int channels = in.readInt();
    int height = in.readInt();
    int width = in.readInt();
    float[] data;
    if (in.readBoolean()) {
      byte[] levels = bytes(in);
      data = new float[levels.length];
      for (int i = 0; i < data.length; i++) {
        data[i] = Byte.toUnsignedInt(levels[i]) / 255f;
      }
    } else {
      data = floats(in);
    }
    try {
      return new Raster(channels, height, width, data);
    } catch (ImageException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  private static GenerationRequest request(DataInputStream in) throws IOException {
    String id = text(in);
    Arguments arguments = Arguments.NONE;
    int count = length(in, 1);
    for (int i = 0; i < count; i++) {
      String name = text(in);
      Parameter<?> parameter =
          Parameters.named(name)
              .orElseThrow(() -> new IOException("parameter " + name + " is not known"));
      arguments = with(arguments, parameter, value(in));
    }
    return new GenerationRequest(id, arguments);
  }

  private static Object value(DataInputStream in) throws IOException {
    byte type = in.readByte();
    return switch (type) {
      case TEXT -> text(in);
      case LONG -> in.readLong();
      case DOUBLE -> in.readDouble();
      case RASTER -> raster(in);
      case NUMBERS -> {
        double[] numbers = new double[length(in, Double.BYTES)];
        for (int i = 0; i < numbers.length; i++) {
          numbers[i] = in.readDouble();
        }
        yield new Numbers(numbers);
      }
      default -> throw new IOException("value type " + type + " is not known");
    };
  }

  private static <T> Arguments with(Arguments arguments, Parameter<T> parameter, Object value)
      throws IOException {
    if (!parameter.type().isInstance(value)) {
      throw new IOException("parameter " + parameter + " has another type");
    }
    return arguments.with(parameter, parameter.type().cast(value));
  }

  private static GenerationRequest requestOfVersion1(DataInputStream in) throws IOException {
    return new GenerationRequest(
        text(in),
        Arguments.NONE
            .with(Parameters.PROMPT, text(in))
            .with(Parameters.NEGATIVE_PROMPT, text(in))
            .with(Parameters.SEED, in.readLong())
            .with(Parameters.SCHEDULER, text(in))
            .with(Parameters.STEPS, (long) in.readInt())
            .with(Parameters.GUIDANCE_SCALE, in.readDouble())
            .with(Parameters.GUIDANCE_RESCALE, 0.0)
            .with(Parameters.ETA, 0.0)
            .with(Parameters.WIDTH, (long) in.readInt())
            .with(Parameters.HEIGHT, (long) in.readInt()));
  }

  private static TrajectorySnapshot trajectory(DataInputStream in, byte version)
      throws IOException {
    GenerationRequest request = version == 1 ? requestOfVersion1(in) : request(in);
    Basis basis = basis(in, version);
    int step = in.readInt();
    float[] sample = floats(in);
    float[][] history = new float[length(in, 1)][];
    for (int i = 0; i < history.length; i++) {
      history[i] = in.readBoolean() ? floats(in) : null;
    }
    return new TrajectorySnapshot(request, basis, step, sample, history, bytes(in));
  }

  private static void text(DataOutputStream out, String text) throws IOException {
    bytes(out, text.getBytes(StandardCharsets.UTF_8));
  }

  private static String text(DataInputStream in) throws IOException {
    return new String(bytes(in), StandardCharsets.UTF_8);
  }

  private static void bytes(DataOutputStream out, byte[] bytes) throws IOException {
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  private static byte[] bytes(DataInputStream in) throws IOException {
    byte[] bytes = new byte[length(in, 1)];
    in.readFully(bytes);
    return bytes;
  }

  private static void floats(DataOutputStream out, float[] values) throws IOException {
    out.writeInt(values.length);
    ByteBuffer buffer = ByteBuffer.allocate(Math.min(values.length, FLOATS_AT_ONCE) * Float.BYTES);
    for (int at = 0; at < values.length; at += FLOATS_AT_ONCE) {
      int count = Math.min(FLOATS_AT_ONCE, values.length - at);
      buffer.asFloatBuffer().put(values, at, count);
      out.write(buffer.array(), 0, count * Float.BYTES);
    }
  }

  private static float[] floats(DataInputStream in) throws IOException {
    float[] values = new float[length(in, Float.BYTES)];
    byte[] bytes = new byte[values.length * Float.BYTES];
    in.readFully(bytes);
    ByteBuffer.wrap(bytes).asFloatBuffer().get(values);
    return values;
  }

  /** A count that the rest of the bytes can hold, so that damaged ones do not allocate the heap. */
  private static int length(DataInputStream in, int bytesEach) throws IOException {
    int length = in.readInt();
    if (length < 0 || (long) length * bytesEach > in.available()) {
      throw new EOFException();
    }
    return length;
  }
}
