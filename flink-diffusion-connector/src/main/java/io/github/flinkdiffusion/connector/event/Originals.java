/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * The record that a {@link FailureEvent} is about, within a bound. A record that is truncated can
 * still be told from others, by its full length and its SHA-256, and be read again where the
 * failure says that it came from.
 */
@Internal
public final class Originals {
  private Originals() {}

  /**
   * Lets a failure have what its result had: the request as it arrived, and where.
   *
   * @param original null where the result had none
   */
  public static FailureEvent.Builder set(FailureEvent.Builder failure, Original original) {
    if (original == null) {
      return failure;
    }
    failure
        .setOriginal(original.getBytes())
        .setOriginalSize(original.getSize())
        .setOriginalSha256(original.getSha256());
    RecordPosition origin = original.getOrigin();
    return origin == null
        ? failure
        : failure
            .setTopic(origin.getTopic())
            .setPartition(origin.getPartition())
            .setOffset(origin.getOffset());
  }

  /**
   * Sets {@code original} to the record, or to its first bytes together with {@code originalSize}
   * and {@code originalSha256}.
   *
   * @param record a whole record is not copied, so it must stay as it is; of a truncated one, only
   *     the part that is kept stays on the heap
   * @param maxBytes most bytes to keep, from 0
   */
  public static FailureEvent.Builder set(
      FailureEvent.Builder failure, byte[] record, int maxBytes) {
    return record.length <= maxBytes
        ? failure.setOriginal(ByteBuffer.wrap(record)).setOriginalSize(null).setOriginalSha256(null)
        : failure
            .setOriginal(ByteBuffer.wrap(Arrays.copyOf(record, maxBytes)))
            .setOriginalSize((long) record.length)
            .setOriginalSha256(Payloads.sha256(record));
  }

  /**
   * A record for the failure that its result may become.
   *
   * @param record a whole record is not copied, so it must stay as it is
   * @param maxBytes most bytes to keep, from 0
   * @param origin where it was read from, or null
   */
  public static Original of(byte[] record, int maxBytes, RecordPosition origin) {
    return record.length <= maxBytes
        ? new Original(ByteBuffer.wrap(record), null, null, origin)
        : new Original(
            ByteBuffer.wrap(Arrays.copyOf(record, maxBytes)),
            (long) record.length,
            Payloads.sha256(record),
            origin);
  }

  /**
   * The failure with at most so many bytes of its original. Size and digest stay those of the
   * record, however often it is truncated.
   *
   * @param maxBytes from 0
   */
  public static FailureEvent truncated(FailureEvent failure, int maxBytes) {
    ByteBuffer original = failure.getOriginal();
    if (original.remaining() <= maxBytes) {
      return failure;
    }
    FailureEvent truncated = copy(failure);
    truncated.setOriginal(original.slice(original.position(), maxBytes));
    if (failure.getOriginalSize() == null) {
      truncated.setOriginalSize((long) original.remaining());
      truncated.setOriginalSha256(Payloads.sha256(original));
    }
    return truncated;
  }

  /** A failure to be changed, which shares its values with this one; a builder copies them. */
  public static FailureEvent copy(FailureEvent failure) {
    FailureEvent copy = new FailureEvent();
    for (int i = 0; i < failure.getSchema().getFields().size(); i++) {
      copy.put(i, failure.get(i));
    }
    return copy;
  }
}
