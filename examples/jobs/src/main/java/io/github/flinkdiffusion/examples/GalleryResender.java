/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.examples.gallery.Gallery;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;

/** Sends the request of one failure again, as {@code examples/resend} does, with its ledger. */
final class GalleryResender implements Gallery.Resender {
  private static final int MOST_TIMES = 3;

  private final Properties client;
  private final String failures;
  private final FormatSettings format;

  /**
   * @param format of the failures; null for Avro or JSON, whichever each is
   */
  GalleryResender(Properties client, String failures, FormatSettings format) {
    this.client = client;
    this.failures = failures;
    this.format = format;
  }

  /** One at a time: two of one transactional id would fence each other. */
  @Override
  public synchronized Gallery.Resent resend(int partition, long offset) {
    Resending resending =
        new Resending(
            null, null, MOST_TIMES, (topic, part, at) -> ResendRun.readAt(client, topic, part, at));
    AtomicReference<String> line = new AtomicReference<>("It was sent again before.");
    try (ResendRun run = new ResendRun(client, failures, failures + "-resent", format)) {
      ResendRun.Result result = run.resend(partition, offset, resending, line::set);
      return new Gallery.Resent(result.impossible() == 0 && result.matching() > 0, line.get());
    }
  }
}
