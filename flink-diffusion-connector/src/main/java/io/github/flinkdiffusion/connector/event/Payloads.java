/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/**
 * Makes {@link Payload}s and takes them apart, since Avro's generated class knows no more of a
 * union than that it is an object.
 *
 * <pre>{@code
 * ImageTaskEvent.newBuilder().setId("scene-17").setImage(Payloads.inline(png, "image/png")).build();
 * }</pre>
 */
@NullMarked
@PublicEvolving
public final class Payloads {
  /** Media type of a list of files, which stands in place of an image that has many slices. */
  public static final String SLICE_LIST = "application/vnd.flink-diffusion.slices+json";

  private static final HexFormat HEX = HexFormat.of();

  private Payloads() {}

  /**
   * Bytes that travel in the event.
   *
   * @param bytes not copied, so they must stay as they are
   * @param mediaType IANA media type, may be empty
   */
  public static Payload inline(byte[] bytes, String mediaType) {
    return new Payload(ByteBuffer.wrap(bytes), mediaType);
  }

  /** Bytes that are in a file. */
  public static Payload stored(PayloadReference reference, String mediaType) {
    return new Payload(reference, mediaType);
  }

  /** The bytes that travel in the event, as a copy; empty when they are in a file. */
  public static Optional<byte[]> inlineBytes(Payload payload) {
    return payload.getContent() instanceof ByteBuffer bytes
        ? Optional.of(copy(bytes))
        : Optional.empty();
  }

  /** Where the bytes are; empty when they travel in the event. */
  public static Optional<PayloadReference> reference(Payload payload) {
    return payload.getContent() instanceof PayloadReference reference
        ? Optional.of(reference)
        : Optional.empty();
  }

  /** The image of a result: in {@code image}, or in the file of {@code imageReference}. */
  public static Payload image(ImageEvent event) {
    PayloadReference reference = event.getImageReference();
    return new Payload(
        reference == null ? event.getImage().duplicate() : reference, event.getMediaType());
  }

  /**
   * @deprecated called {@link #image}
   */
  @Deprecated(since = "0.1.0")
  public static Payload picture(ImageEvent event) {
    return image(event);
  }

  /** Sets a result's image: {@code image}, {@code imageReference}, media type and digest. */
  @Internal
  public static ImageEvent.Builder setPicture(ImageEvent.Builder event, Payload picture) {
    PayloadReference reference = reference(picture).orElse(null);
    byte[] bytes = inlineBytes(picture).orElse(new byte[0]);
    return event
        .setImage(ByteBuffer.wrap(bytes))
        .setImageReference(reference)
        .setMediaType(picture.getMediaType())
        .setDigest(reference == null ? sha256(bytes) : reference.getSha256());
  }

  /**
   * Every file that an event names, at whatever depth; for a failure also those that the request
   * within it names, since that can be sent again. Those of a list of slices ({@link #SLICE_LIST})
   * are known only where the list is in the event.
   */
  @Internal
  public static List<PayloadReference> references(SpecificRecord event) {
    List<PayloadReference> found = new ArrayList<>();
    collect(event, found);
    return found;
  }

  /**
   * The same of an event as the value of a record: in Avro's single-object encoding or in JSON.
   *
   * @throws UndecodableEventException when it is in neither
   */
  @Internal
  public static List<PayloadReference> references(byte[] event) throws UndecodableEventException {
    try {
      return references(EventCodec.decodeAny(event));
    } catch (UndecodableEventException e) {
      try {
        return JsonReferences.in(event);
      } catch (UndecodableEventException notJson) {
        throw e;
      }
    }
  }

  private static void collect(Object value, List<PayloadReference> found) {
    if (value instanceof PayloadReference reference) {
      found.add(reference);
    } else if (value instanceof SpecificRecord record) {
      for (int i = 0; i < record.getSchema().getFields().size(); i++) {
        collect(record.get(i), found);
      }
      if (record instanceof FailureEvent failure) {
        collectOriginal(failure, found);
      }
      if (record instanceof Payload payload && payload.getMediaType().equals(SLICE_LIST)) {
        inlineBytes(payload).ifPresent(list -> found.addAll(SliceReferences.in(list)));
      }
    } else if (value instanceof Collection<?> items) {
      items.forEach(item -> collect(item, found));
    } else if (value instanceof Map<?, ?> entries) {
      entries.values().forEach(item -> collect(item, found));
    }
  }

  private static void collectOriginal(FailureEvent failure, List<PayloadReference> found) {
    byte[] bytes = copy(failure.getOriginal());
    try {
      SpecificRecord original = EventCodec.decodeAny(bytes);
      if (!(original instanceof FailureEvent)) { // which no job makes: it would nest without end
        collect(original, found);
      }
      return;
    } catch (UndecodableEventException e) {
      // Then it may be JSON.
    }
    try {
      found.addAll(JsonReferences.in(bytes));
    } catch (UndecodableEventException e) {
      // Bytes that are no event name nothing; a failure holds them because of that.
    }
  }

  /** SHA-256 in lower-case hex, as everywhere in the events. */
  public static String sha256(byte[] bytes) {
    return sha256(ByteBuffer.wrap(bytes));
  }

  /** The same of what remains in a buffer, which stays as it is. */
  static String sha256(ByteBuffer bytes) {
    MessageDigest digest = sha256();
    digest.update(bytes.duplicate());
    return HEX.formatHex(digest.digest());
  }

  /** A digest to be fed. */
  @Internal
  public static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java platform has SHA-256.", e);
    }
  }

  private static byte[] copy(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }
}
