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
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.quality.Diversity;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Windows of {@link DiversityWatch}, each of one key. */
final class DiversityWindows extends KeyedProcessFunction<String, ImageEvent, DiversityReading> {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(DiversityWindows.class);

  /** Both sides of a thumbnail, in pixels. */
  private static final int SIDE = 16;

  private static final int CHANNELS = 3;
  private static final int LEVELS = 255;

  private final int images;
  private final double limit;
  private final boolean byPrompt;
  private final Duration idle;
  private final PayloadSettings payloads;

  /** Thumbnails by what names an image: model, prompt and seed. */
  private transient MapState<String, byte[]> thumbnails;

  private transient ValueState<Integer> count;
  private transient ValueState<String> firstId;
  private transient PayloadStore store;
  private transient Counter windows;
  private transient Counter collapsed;
  private transient Counter unreadable;
  private transient volatile double latest;

  DiversityWindows(
      int images, double limit, boolean byPrompt, Duration idle, PayloadSettings payloads) {
    this.images = images;
    this.limit = limit;
    this.byPrompt = byPrompt;
    this.idle = idle;
    this.payloads = payloads;
  }

  @Override
  public void open(OpenContext context) {
    MapStateDescriptor<String, byte[]> ofImages =
        new MapStateDescriptor<>(
            "diffusion-thumbnails",
            Types.STRING,
            PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);
    ValueStateDescriptor<Integer> ofCount =
        new ValueStateDescriptor<>("diffusion-images", Types.INT);
    ValueStateDescriptor<String> ofFirst =
        new ValueStateDescriptor<>("diffusion-first", Types.STRING);
    if (byPrompt) {
      StateTtlConfig forgetting = StateTtlConfig.newBuilder(idle).build();
      ofImages.enableTimeToLive(forgetting);
      ofCount.enableTimeToLive(forgetting);
      ofFirst.enableTimeToLive(forgetting);
    }
    thumbnails = getRuntimeContext().getMapState(ofImages);
    count = getRuntimeContext().getState(ofCount);
    firstId = getRuntimeContext().getState(ofFirst);
    store = new PayloadStore(payloads);
    MetricGroup metrics = getRuntimeContext().getMetricGroup();
    windows = metrics.counter("numDiversityWindows");
    collapsed = metrics.counter("numCollapsedWindows");
    unreadable = metrics.counter("numUnreadableImages");
    latest = Double.NaN;
    metrics.gauge("vendiScore", () -> latest);
  }

  @Override
  public void processElement(ImageEvent image, Context context, Collector<DiversityReading> out)
      throws Exception {
    // A digest, so that a long prompt does not become a long key.
    String name =
        UUID.nameUUIDFromBytes(
                (image.getPrompt() + "\n" + image.getSeed()).getBytes(StandardCharsets.UTF_8))
            .toString();
    if (thumbnails.contains(name)) {
      return;
    }
    byte[] thumbnail;
    try {
      thumbnail =
          thumbnail(
              ProcessServices.OF_PROCESS
                  .decoding()
                  .readAtOnce(store.read(Payloads.image(image)), ReadOptions.DEFAULT));
    } catch (ImageException | PayloadException e) {
      unreadable.inc();
      LOG.warn(
          "Image '{}' is not counted in the diversity of its model: {}",
          image.getId(),
          e.getMessage());
      return;
    }
    int now = count.value() == null ? 1 : count.value() + 1;
    if (now == 1) {
      // What is left of a window that was forgotten in parts.
      thumbnails.clear();
    }
    thumbnails.put(name, thumbnail);
    count.update(now);
    firstId.update(firstId.value() == null ? image.getId() : firstId.value());
    if (now >= images) {
      emit(image, out);
    }
  }

  private void emit(ImageEvent last, Collector<DiversityReading> out) throws Exception {
    // By name: the state's order may be another one after a restart, and sums then round otherwise.
    Map<String, byte[]> all = new TreeMap<>();
    for (Map.Entry<String, byte[]> each : thumbnails.entries()) {
      all.put(each.getKey(), each.getValue());
    }
    float[][] features =
        all.values().stream().map(DiversityWindows::features).toArray(float[][]::new);
    DiversityReading reading =
        new DiversityReading(
            last.getModel(),
            last.getModelDigest(),
            byPrompt ? last.getPrompt() : "",
            features.length,
            Diversity.vendi(features),
            distance(features),
            limit,
            firstId.value(),
            last.getId());
    thumbnails.clear();
    count.clear();
    firstId.clear();
    windows.inc();
    latest = reading.vendi();
    if (reading.isCollapsed()) {
      collapsed.inc();
      LOG.warn(
          "The model {} may have collapsed: {} images of requests '{}' to '{}' have the Vendi score"
              + " {}, the limit is {}.",
          reading.model(),
          reading.images(),
          reading.firstId(),
          reading.lastId(),
          reading.vendi(),
          limit);
    }
    out.collect(reading);
  }

  /** Three colors of {@link #SIDE} squared pixels, a byte each. */
  private static byte[] thumbnail(Raster image) {
    Raster small = PilResize.resize(image, SIDE, SIDE, PilResize.Filter.BOX);
    int pixels = SIDE * SIDE;
    byte[] bytes = new byte[CHANNELS * pixels];
    for (int c = 0; c < CHANNELS; c++) {
      int from = small.channels() < CHANNELS ? 0 : c;
      for (int i = 0; i < pixels; i++) {
        bytes[c * pixels + i] = (byte) Math.round(LEVELS * small.data()[from * pixels + i]);
      }
    }
    return bytes;
  }

  /** From -1 to 1, so that opposite images have opposite directions; never all zero. */
  private static float[] features(byte[] thumbnail) {
    float[] features = new float[thumbnail.length];
    for (int i = 0; i < features.length; i++) {
      features[i] = 2 * (Byte.toUnsignedInt(thumbnail[i]) / (float) LEVELS) - 1;
    }
    return features;
  }

  private static double distance(float[][] features) {
    int count = features.length;
    double sum = 0;
    for (int i = 0; i < count; i++) {
      for (int j = i + 1; j < count; j++) {
        double squares = 0;
        for (int k = 0; k < features[i].length; k++) {
          double difference = (features[i][k] - features[j][k]) / 2.0;
          squares += difference * difference;
        }
        sum += Math.sqrt(squares / features[i].length);
      }
    }
    return sum / (count * (count - 1) / 2.0);
  }
}
