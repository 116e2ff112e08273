/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.types.Row;

/**
 * {@code PAYLOAD(reference)} or {@code PAYLOAD(uri, sha256, length)}: the bytes that an event names
 * beside Kafka, verified. Read only below the job's {@code diffusion.payload.store} and {@code
 * diffusion.payload.allowed-prefixes}.
 */
@Internal
public final class PayloadFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;

  private final PayloadSettings settings;
  private transient PayloadStore store;

  PayloadFunction(PayloadSettings settings, boolean failing) {
    super("PAYLOAD", failing);
    this.settings = settings;
  }

  @Override
  public void open(FunctionContext context) {
    store = new PayloadStore(settings);
  }

  /** A file can come and go, so the value is none of the arguments alone. */
  @Override
  public boolean isDeterministic() {
    return false;
  }

  /** As events have it in their tables: {@code image_reference}, {@code mask.reference}. */
  public byte[] eval(
      @DataTypeHint("ROW<uri STRING, sha256 STRING, `length` BIGINT>") Row reference) {
    return reference == null
        ? null
        : eval(
            (String) reference.getField(0),
            (String) reference.getField(1),
            (Long) reference.getField(2));
  }

  public byte[] eval(String uri, String sha256, Long length) {
    if (uri == null || sha256 == null || length == null) {
      return null;
    }
    return valueOrNull(
        () -> store.read(Payloads.stored(new PayloadReference(uri, sha256, length), "")));
  }
}
