/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.options.OptionValues;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.time.Duration;
import java.util.Objects;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Builds the operator that finds a model whose seeds no longer matter (mode collapse). It cuts the
 * images of each model into windows of so many, and says of each how different they are. Images
 * whose model, prompt and seed are the same count once.
 *
 * <pre>{@code
 * DataStream<DiversityReading> alarms =
 *     Diffusion.diversity().setImages(50).uid("diversity").apply(results.images())
 *         .filter(DiversityReading::isCollapsed);
 * }</pre>
 *
 * <p>It looks at thumbnails of 16 x 16 pixels, so it needs no network: it finds that images are
 * alike, and cannot tell a good one from a bad one. It never fails a request: an image that cannot
 * be read is counted and left out. Its state is at most as many thumbnails of 768 bytes as a window
 * has images, for each model and, by {@link #byPrompt}, each prompt.
 */
@NullMarked
@Experimental
public final class DiversityWatch {
  private static final Logger LOG = LoggerFactory.getLogger(DiversityWatch.class);

  /** More would make a decomposition of seconds. */
  static final int MOST_IMAGES = 500;

  private final Configuration set = new Configuration();
  private int images = 50;
  private double limit = 1.2;
  private boolean byPrompt;
  private Duration idle = Duration.ofDays(1);
  private @Nullable String uid;

  DiversityWatch() {}

  /**
   * Images of a window, 2 to 500; 50 if not set.
   *
   * @throws DiffusionException for another number
   */
  public DiversityWatch setImages(int number) {
    if (number < 2 || number > MOST_IMAGES) {
      throw new DiffusionException(
          "A window of diversity has %d images; expected 2 to %d".formatted(number, MOST_IMAGES));
    }
    images = number;
    return this;
  }

  /**
   * The least Vendi score that is no alarm, from 1; 1.2 if not set. Take it from windows in which
   * the model was good.
   *
   * @throws DiffusionException for a number below 1, or none
   */
  public DiversityWatch setLimit(double vendi) {
    if (!(vendi >= 1) || Double.isInfinite(vendi)) {
      throw new DiffusionException(
          "The limit of diversity is %s; expected 1 or more, as the Vendi score of equal images is 1"
              .formatted(vendi));
    }
    limit = vendi;
    return this;
  }

  /**
   * Windows of one prompt each, so that only the seeds differ. Without it, a window holds images of
   * all prompts, and a model whose seeds do not matter, but whose prompts do, gives no alarm.
   *
   * @param forget a prompt's window is dropped when no image of it has come for that long
   */
  public DiversityWatch byPrompt(Duration forget) {
    if (forget.isNegative() || forget.isZero()) {
      throw new DiffusionException(
          "A prompt's window is dropped after %s; expected more than 0".formatted(forget));
    }
    byPrompt = true;
    idle = forget;
    return this;
  }

  /**
   * Sets any of {@link PayloadOptions}, for images that are not in their events.
   *
   * @param <T> type of the value
   */
  public <T> DiversityWatch setOption(ConfigOption<T> option, T value) {
    set.set(option, value);
    return this;
  }

  /** The operator's identity in savepoints. */
  public DiversityWatch uid(String operatorUid) {
    uid = Objects.requireNonNull(operatorUid);
    return this;
  }

  /**
   * Adds the operator to the job. Logs a warning if it has no {@link #uid}.
   *
   * @param results of an operator, or of a topic of images
   * @return one reading for each window that is full
   */
  public SingleOutputStreamOperator<DiversityReading> apply(DataStream<ImageEvent> results) {
    ReadableConfig job = results.getExecutionEnvironment().getConfiguration();
    Configuration config = new Configuration();
    PayloadOptions.ALL.forEach(option -> copy(option, set.contains(option) ? set : job, config));
    boolean prompts = byPrompt;
    SingleOutputStreamOperator<DiversityReading> readings =
        results
            .keyBy(
                image ->
                    prompts
                        ? image.getModelDigest() + " " + image.getPrompt()
                        : image.getModelDigest(),
                Types.STRING)
            .process(
                new DiversityWindows(images, limit, prompts, idle, PayloadSettings.of(config)),
                TypeInformation.of(DiversityReading.class))
            .name("diversity of images");
    if (uid != null) {
      readings.uid(uid);
    } else {
      LOG.warn(MissingUid.warning("diversity of images", "windows that are not full yet"));
    }
    return readings;
  }

  private static <T> void copy(ConfigOption<T> option, ReadableConfig from, Configuration to) {
    OptionValues.read(from, option, DiffusionException::new)
        .ifPresent(value -> to.set(option, value));
  }
}
