/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadStore;

/** The events and image files behind what the wall shows. */
final class ResultFiles {
  private final GalleryTopics topics;
  private final Formats formats;
  private final PayloadStore payloads;
  private final Wall wall;
  private final Records records;

  /**
   * A request's image.
   *
   * @param page of the file
   */
  record SourceImage(byte[] file, int page) {}

  ResultFiles(
      GalleryTopics topics, Formats formats, PayloadStore payloads, Wall wall, Records records) {
    this.topics = topics;
    this.formats = formats;
    this.payloads = payloads;
    this.wall = wall;
    this.records = records;
  }

  ImageEvent event(Place place) throws Refusal {
    return decode(formats.reader(ImageEvent.class), records.read(topics.images(), place));
  }

  byte[] result(Result result) throws Refusal {
    return read(Payloads.image(event(Place.parse(result.place()))));
  }

  byte[] read(Payload payload) throws Refusal {
    if (payload == null) {
      throw Refusal.notFound("The result has no such part.");
    }
    try {
      return payloads.read(payload);
    } catch (PayloadException e) {
      throw new Refusal(502, "The image beside Kafka cannot be read: " + e.getMessage());
    }
  }

  boolean hasSource(ImageEvent event) {
    return wall.sourceOf(event.getId()).isPresent();
  }

  /** The image that a result was made from. */
  SourceImage source(ImageEvent event) throws Refusal {
    Wall.Source source =
        wall.sourceOf(event.getId())
            .orElseThrow(
                () ->
                    Refusal.notFound(
                        "The request of this result is not among those that were read."));
    ImageTaskEvent request =
        decode(
            formats.reader(ImageTaskEvent.class),
            records.read(source.task().topic(), source.place()));
    String page = request.getParameters().getOrDefault("page", "0");
    return new SourceImage(
        read(request.getImage()), page.matches("\\d{1,6}") ? Integer.parseInt(page) : 0);
  }

  private static <T> T decode(EventReader<T> reader, byte[] value) throws Refusal {
    try {
      return reader.read(value, "");
    } catch (UndecodableEventException e) {
      throw new Refusal(502, "The record cannot be read: " + e.getMessage());
    }
  }

  Replays.Inputs forReplays() {
    return new Replays.Inputs() {
      @Override
      public byte[] event(Place place) throws Refusal {
        // As Avro, whatever the topic's format: that is what a replay takes.
        return EventCodec.images().encode(ResultFiles.this.event(place));
      }

      @Override
      public byte[] image(Place place) throws Refusal {
        ImageEvent event = ResultFiles.this.event(place);
        boolean fromImage =
            event.getAudit() != null && event.getAudit().getInputDigests().containsKey("image");
        return fromImage ? source(event).file() : null;
      }
    };
  }
}
