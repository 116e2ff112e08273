/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.imaging.Scene;
import io.github.flinkdiffusion.ops.operator.AuditRecords;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.flink.configuration.Configuration;

/**
 * A result with its audit record.
 *
 * @param name of the file, or the event's place in Kafka
 * @param picture a file with it
 * @param which of the request's pictures it is: empty for the answer, else as {@link Audit#RESULT}
 *     says
 * @param inPicture whether the picture's file holds the record; an event may alone
 */
record RecordedResult(
    String name, Path picture, Audit audit, Optional<String> which, boolean inPicture) {
  /** What an event begins with that is in Avro's single-object encoding. */
  private static final byte[] EVENT = {(byte) 0xC3, 0x01};

  /**
   * Reads an image file, or a file with an event.
   *
   * @param payloads folders below which an event's picture may lie
   * @param scratch where the picture of an event goes
   * @throws DemoException when it is none, or has no record
   */
  static RecordedResult read(Path file, List<String> payloads, Path scratch) {
    try {
      byte[] head;
      try (InputStream in = Files.newInputStream(file)) {
        head = in.readNBytes(EVENT.length);
      }
      if (Arrays.equals(head, EVENT)) {
        return of(file.toString(), Files.readAllBytes(file), payloads, scratch);
      }
    } catch (IOException e) {
      throw new DemoException("Cannot read %s: %s".formatted(file, e), e);
    }
    try (Scene scene = Scene.open(file, ReadOptions.DEFAULT, Long.MAX_VALUE)) {
      return new RecordedResult(
          file.toString(),
          file,
          Audit.of(scene.metadata())
              .orElseThrow(
                  () ->
                      new DemoException(
                          ("%s has no audit record: this project did not generate it, or another"
                                  + " program saved it without its texts.")
                              .formatted(file))),
          Optional.ofNullable(scene.metadata().texts().get(Audit.RESULT)),
          true);
    }
  }

  /**
   * The same of a request's pictures.
   *
   * @throws DemoException when there is none
   */
  Payload sameOf(ImageEvent again) {
    Payload same =
        switch (which.orElse("")) {
          case "" -> Payloads.image(again);
          case Composition.MASK -> again.getMask();
          case Composition.UNCERTAINTY -> again.getUncertainty();
          default ->
              throw new DemoException(
                  "%s is the '%s' of a result, which this version does not know."
                      .formatted(name, which.get()));
        };
    if (same == null) {
      throw new DemoException(
          "%s is the %s of a result; the result that was generated again has none."
              .formatted(name, which.get()));
    }
    return same;
  }

  /**
   * Takes an event in Avro's single-object encoding apart.
   *
   * @throws DemoException when it is none, or has no record
   */
  static RecordedResult of(String name, byte[] encoded, List<String> payloads, Path scratch) {
    return of(name, encoded, FormatSettings.AVRO, payloads, scratch);
  }

  /**
   * Takes an encoded event apart.
   *
   * @param format that it has
   * @throws DemoException when it is none, or has no record
   */
  static RecordedResult of(
      String name, byte[] encoded, FormatSettings format, List<String> payloads, Path scratch) {
    try {
      ImageEvent event = format.reader(ImageEvent.class).read(encoded, null);
      if (event.getAudit() == null) {
        throw new DemoException(
            "The event %s has no audit record: an early version wrote it.".formatted(name));
      }
      PayloadStore store =
          new PayloadStore(
              PayloadSettings.of(
                  new Configuration().set(PayloadOptions.ALLOWED_PREFIXES, payloads)));
      Path picture = scratch.resolve("result");
      Files.write(picture, store.read(Payloads.image(event)));
      try (Scene scene = Scene.open(picture, ReadOptions.DEFAULT, Long.MAX_VALUE)) {
        return new RecordedResult(
            name,
            picture,
            AuditRecords.audit(event.getAudit()),
            Optional.empty(),
            scene.metadata().texts().containsKey(Audit.KEYWORD));
      }
    } catch (UndecodableEventException e) {
      throw new DemoException("%s is not an image event: %s".formatted(name, e.getMessage()), e);
    } catch (IOException e) {
      throw new DemoException("Cannot write to %s: %s".formatted(scratch, e), e);
    }
  }
}
