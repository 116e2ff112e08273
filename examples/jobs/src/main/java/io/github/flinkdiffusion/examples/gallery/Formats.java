/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.format.EventWriter;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import org.apache.avro.specific.SpecificRecord;

/**
 * How the topics' records are read and written.
 *
 * @param given null to read Avro's single-object encoding or JSON, whichever each record is, and to
 *     write the former
 */
record Formats(FormatSettings given) {

  <T extends SpecificRecord> EventReader<T> reader(Class<T> eventClass) {
    if (given != null) {
      EventReader<T> reader = given.reader(eventClass);
      return (value, id) -> reader.read(present(value), id);
    }
    EventReader<T> avro = FormatSettings.AVRO.reader(eventClass);
    EventReader<T> json = FormatSettings.JSON.reader(eventClass);
    return (value, id) ->
        (present(value).length > 0 && value[0] == '{' ? json : avro).read(value, id);
  }

  <T extends SpecificRecord> EventWriter<T> writer(Class<T> eventClass, String topic) {
    return (given == null ? FormatSettings.AVRO : given).writer(eventClass, topic);
  }

  private static byte[] present(byte[] value) throws UndecodableEventException {
    if (value == null) {
      throw new UndecodableEventException("The record has no value.");
    }
    return value;
  }
}
