/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import java.util.Objects;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;

/**
 * Builds the operator that looks for the watermark in images, such as those that come back from
 * elsewhere: which are ours, and of which request?
 *
 * <pre>{@code
 * DataStream<WatermarkReading> ours =
 *     Diffusion.watermarks("/secrets/mark.key").apply(images).filter(WatermarkReading::found);
 * }</pre>
 *
 * <p>It has no state. An image that cannot be read is counted in {@code numUnreadableImages} and
 * has no reading.
 */
@NullMarked
@Experimental
public final class WatermarkDetection {
  private final ImageWork work = new ImageWork("watermarks of images");
  private final String keyFile;
  private boolean allScales;

  WatermarkDetection(String keyFile) {
    this.keyFile = Objects.requireNonNull(keyFile);
  }

  /**
   * Looks at all scales from 0.4 to 2, which takes a minute for an image without a mark. Without
   * it: at the usual ones, such as 1/2 and 4/5.
   */
  public WatermarkDetection setAllScales(boolean all) {
    allScales = all;
    return this;
  }

  /**
   * Sets any of {@link PayloadOptions}, for images that are not in their events.
   *
   * @param <T> type of the value
   */
  public <T> WatermarkDetection setOption(ConfigOption<T> option, T value) {
    work.setOption(option, value);
    return this;
  }

  /** The operator's identity in savepoints; it has no state. */
  public WatermarkDetection uid(String operatorUid) {
    work.uid(operatorUid);
    return this;
  }

  /** Adds the operator to the job. */
  public SingleOutputStreamOperator<WatermarkReading> apply(DataStream<ImageEvent> images) {
    return work.named(
        images.flatMap(
            new WatermarkDetector(keyFile, allScales, work.payloads(images)),
            TypeInformation.of(WatermarkReading.class)));
  }
}
