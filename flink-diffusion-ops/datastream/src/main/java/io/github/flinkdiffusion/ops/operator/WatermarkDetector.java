/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import java.nio.file.Path;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichFlatMapFunction;
import org.apache.flink.metrics.Counter;
import org.apache.flink.util.Collector;

/** The work of {@link WatermarkDetection}. */
final class WatermarkDetector extends RichFlatMapFunction<ImageEvent, WatermarkReading> {
  private static final long serialVersionUID = 1L;

  private final String keyFile;
  private final boolean allScales;
  private final PayloadSettings payloads;
  private transient SpreadWatermark watermark;
  private transient PayloadStore store;
  private transient Counter unreadable;

  WatermarkDetector(String keyFile, boolean allScales, PayloadSettings payloads) {
    this.keyFile = keyFile;
    this.allScales = allScales;
    this.payloads = payloads;
  }

  @Override
  public void open(OpenContext context) {
    watermark = new SpreadWatermark(WatermarkKey.read(Path.of(keyFile)));
    store = new PayloadStore(payloads);
    unreadable = getRuntimeContext().getMetricGroup().counter("numUnreadableImages");
  }

  @Override
  public void flatMap(ImageEvent image, Collector<WatermarkReading> out) {
    try {
      out.collect(
          watermark
              .read(
                  ProcessServices.OF_PROCESS
                      .decoding()
                      .readAtOnce(store.read(Payloads.image(image)), ReadOptions.DEFAULT),
                  allScales ? SpreadWatermark.Search.ALL : SpreadWatermark.Search.COMMON)
              .map(
                  found ->
                      new WatermarkReading(
                          image.getId(),
                          image.getDigest(),
                          true,
                          String.format("%012x", found.payload()),
                          found.score(),
                          found.scale()))
              .orElseGet(
                  () -> new WatermarkReading(image.getId(), image.getDigest(), false, "", 0, 0)));
    } catch (ImageException | PayloadException e) {
      unreadable.inc();
    }
  }
}
