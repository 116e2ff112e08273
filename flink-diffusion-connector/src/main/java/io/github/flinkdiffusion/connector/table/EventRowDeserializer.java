/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import java.io.IOException;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The bytes of an event as a row. A record without a value (a tombstone) is none. */
final class EventRowDeserializer implements DeserializationSchema<RowData> {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(EventRowDeserializer.class);

  private final EventKind kind;
  private final FormatSettings format;
  private final RowType columns;
  private final boolean ignoring;
  private final TypeInformation<RowData> produced;

  private transient EventReader<? extends SpecificRecord> events;
  private transient RowReader reader;
  private transient Counter ignored;

  /**
   * @param columns that {@link EventColumns#requireReadable} has passed
   * @param ignoring whether what is no event is left out
   */
  EventRowDeserializer(
      EventKind kind,
      FormatSettings format,
      RowType columns,
      boolean ignoring,
      TypeInformation<RowData> produced) {
    this.kind = kind;
    this.format = format;
    this.columns = columns;
    this.ignoring = ignoring;
    this.produced = produced;
  }

  @Override
  public void open(InitializationContext context) {
    events = format.readerWithoutHints(kind.eventClass());
    reader = RowReader.of(kind.schema(), columns);
    MetricGroup metrics = context.getMetricGroup();
    // The second name is the former one, deprecated.
    ignored = metrics.counter("ignoredRecords", metrics.counter("numIgnoredRecords"));
  }

  @Override
  public RowData deserialize(byte[] value) throws IOException {
    if (value == null) {
      return null;
    }
    try {
      // A table does not know a record's place, which names requests without an id elsewhere.
      return reader.row(events.read(value, null));
    } catch (UndecodableEventException e) {
      if (!ignoring) {
        throw new UnreadableRecordException(
            ("Cannot read a record as event '%s': %s To skip such records, set '%s.%s' ="
                    + " 'true'.")
                .formatted(
                    kind,
                    e.getMessage(),
                    EventFormatFactory.identifier(format.format()),
                    EventFormatOptions.IGNORE_PARSE_ERRORS.key()),
            e);
      }
      if (ignored.getCount() == 0) {
        LOG.warn("Skipping a record that is not an event '{}': {}", kind, e.getMessage());
      }
      ignored.inc();
      return null;
    }
  }

  @Override
  public boolean isEndOfStream(RowData row) {
    return false;
  }

  @Override
  public TypeInformation<RowData> getProducedType() {
    return produced;
  }
}
