/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import java.io.IOException;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Experimental;
import org.jspecify.annotations.NullMarked;

/**
 * The files of a volume's slices, as an image task names them in place of its image: a JSON text of
 * references in the order of the slices, whose media type is {@link #MEDIA_TYPE}.
 *
 * <pre>{@code
 * {"slices": [
 *   {"uri": "s3://scans/17/001.dcm", "sha256": "9f86d0...", "length": 526336},
 *   {"uri": "s3://scans/17/002.dcm", "sha256": "60303a...", "length": 526336}]}
 * }</pre>
 */
@NullMarked
@Experimental
public final class SliceList {
  /** Of the payload that a list is. */
  public static final String MEDIA_TYPE = Payloads.SLICE_LIST;

  /** Of one reference, with some room. */
  private static final int MOST_BYTES_EACH = 4096;

  private static final ObjectMapper JSON =
      new ObjectMapper().setSerializationInclusion(JsonInclude.Include.NON_NULL);

  /** A {@link PayloadReference}. */
  record File(String uri, String sha256, long length) {
    File {
      Objects.requireNonNull(uri, "uri");
      Objects.requireNonNull(sha256, "sha256");
    }
  }

  private final List<File> slices;

  @JsonCreator
  private SliceList(@JsonProperty("slices") List<File> slices) {
    this.slices = List.copyOf(slices);
    if (slices.isEmpty()) {
      throw new IllegalArgumentException("A list of no slices");
    }
  }

  /**
   * The list of these files.
   *
   * @param files of the slices, in their order; at least one
   */
  public static SliceList of(List<PayloadReference> files) {
    return new SliceList(
        files.stream()
            .map(file -> new File(file.getUri(), file.getSha256(), file.getLength()))
            .toList());
  }

  /** The list as a task's image. */
  public Payload payload() {
    try {
      return Payloads.inline(JSON.writeValueAsBytes(this), MEDIA_TYPE);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Reads a task's image if it is a list.
   *
   * @param most slices that are accepted
   * @throws InvalidRequestException if it is one, but not readable or too long
   */
  static Optional<SliceList> of(Payload image, PayloadStore payloads, int most, String option) {
    if (!image.getMediaType().equals(MEDIA_TYPE)) {
      return Optional.empty();
    }
    long length = Payloads.reference(image).map(PayloadReference::getLength).orElse(0L);
    if (length > (long) most * MOST_BYTES_EACH) {
      throw new InvalidRequestException(
          "The request's list of slices has %d bytes; at most %d slices are accepted (%s)."
              .formatted(length, most, option));
    }
    SliceList list;
    try {
      list = JSON.readValue(payloads.read(image), SliceList.class);
    } catch (IOException e) {
      throw new InvalidRequestException(
          ("Cannot read the request's list of slices: %s. Expected a text such as {\"slices\":"
                  + " [{\"uri\": ..., \"sha256\": ..., \"length\": ...}]}.")
              .formatted(e instanceof JsonProcessingException j ? j.getOriginalMessage() : e));
    }
    if (list.slices.size() > most) {
      throw new InvalidRequestException(
          "The request's list has %d slices; at most %d are accepted (%s)."
              .formatted(list.slices.size(), most, option));
    }
    return Optional.of(list);
  }

  /** Where the file of each slice is. */
  @JsonProperty("slices")
  List<File> slices() {
    return slices;
  }

  /** A slice's file. */
  Payload file(int slice) {
    File file = slices.get(slice);
    return Payloads.stored(
        new PayloadReference(file.uri, file.sha256, file.length), "application/dicom");
  }
}
