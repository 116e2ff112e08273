/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;

/**
 * The last frame of a stream that was generated, and its result.
 *
 * @param frame the frame's image, under the digest of all else that its request asks for
 * @param result without the request and what belongs to its record
 * @param number of the frame
 * @param repeated how many frames since then were answered with the result
 */
record PreviousFrame(ImageTaskEvent frame, ImageEvent result, long number, int repeated) {
  private static final int VERSION = 1;

  static PreviousFrame of(ImageTaskEvent task, ImageEvent result, long number) {
    return new PreviousFrame(
        ImageTaskEvent.newBuilder().setId(asked(task)).setImage(task.getImage()).build(),
        ImageEvent.newBuilder(result).setOriginal(null).setContext(null).build(),
        number,
        0);
  }

  /** For a stream whose frames need no more of it than its seed. */
  PreviousFrame withoutImages() {
    return new PreviousFrame(
        ImageTaskEvent.newBuilder(frame).setImage(Payloads.inline(new byte[0], "")).build(),
        ImageEvent.newBuilder(result)
            .setImage(ByteBuffer.wrap(new byte[0]))
            .setImageReference(null)
            .setMask(null)
            .setUncertainty(null)
            .setRegions(null)
            .build(),
        number,
        repeated);
  }

  /** False where the job did not look back when the frame was answered. */
  boolean hasImages() {
    return result.getImageReference() != null || result.getImage().hasRemaining();
  }

  /** A digest of what a frame's request asks for besides its image. */
  private static String asked(ImageTaskEvent task) {
    // Maps are encoded in no order.
    Map<String, String> parameters = new TreeMap<>(FrameId.withoutStream(task.getParameters()));
    byte[] others =
        EventCodec.imageTasks()
            .encode(
                ImageTaskEvent.newBuilder(task)
                    .setId("")
                    .setImage(Payloads.inline(new byte[0], ""))
                    .setOrigin(null)
                    .setDeadline(null)
                    .setPriority(0)
                    .setAttributes(Map.of())
                    .setParameters(Map.of())
                    .setImages(Map.of())
                    // Each record has its own key.
                    .setContext(null)
                    .build());
    String images =
        task.getImages().isEmpty() ? "" : NamedImages.digests(task.getImages()).toString();
    String all = Payloads.sha256(others) + parameters + images;
    return Payloads.sha256(all.getBytes(StandardCharsets.UTF_8));
  }

  /** Whether a frame asks for the same as this one, apart from its image. */
  boolean asksForTheSame(ImageTaskEvent task) {
    return frame.getId().equals(asked(task));
  }

  Payload image() {
    return frame.getImage();
  }

  PreviousFrame repeatedOnceMore() {
    return new PreviousFrame(frame, result, number, repeated + 1);
  }

  /** The result as the answer to another frame. */
  ImageEvent asAnswerTo(ImageTaskEvent task) {
    ImageEvent.Builder answer =
        ImageEvent.newBuilder(result)
            .setId(task.getId())
            .setAttributes(task.getAttributes())
            .setOriginal(Events.original(RequestEvent.of(task)))
            .setContext(task.getContext())
            .setDeviceSeconds(0.0);
    Map<String, String> parameters = new TreeMap<>(result.getAudit().getParameters());
    parameters.put(FrameWork.REPEATS, Long.toString(number));
    answer.getAudit().setParameters(parameters);
    return answer.build();
  }

  byte[] encoded() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      out.writeByte(VERSION);
      out.writeLong(number);
      out.writeInt(repeated);
      write(EventCodec.imageTasks().encode(frame), out);
      write(EventCodec.images().encode(result), out);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    return bytes.toByteArray();
  }

  private static void write(byte[] part, DataOutputStream out) throws IOException {
    out.writeInt(part.length);
    out.write(part);
  }

  static PreviousFrame decode(byte[] bytes) {
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      int version = in.readByte();
      if (version != VERSION) {
        throw new DiffusionException(
            "A frame of a stream in the restored state has version %d; this release reads %d. Restore it with the release that wrote it, or a later one."
                .formatted(version, VERSION));
      }
      long number = in.readLong();
      int repeated = in.readInt();
      ImageTaskEvent frame = EventCodec.imageTasks().decode(in.readNBytes(in.readInt()));
      ImageEvent result = EventCodec.images().decode(in.readNBytes(in.readInt()));
      return new PreviousFrame(frame, result, number, repeated);
    } catch (IOException | UndecodableEventException e) {
      throw new DiffusionException("A frame of a stream in the restored state is not readable.", e);
    }
  }
}
