/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/** The work of {@link ImageScreening}. */
final class ScreeningFunction extends ProcessFunction<ImageEvent, ImageEvent> {
  private static final long serialVersionUID = 1L;

  static final OutputTag<ImageEvent> REVIEW =
      new OutputTag<>("review", new AvroTypeInfo<>(ImageEvent.class));

  static final String ATTRIBUTES = "screen.";
  private static final String NOTHING = "NONE";

  /** Pixels that are left of the longer side. */
  private static final int BLURRED_SIDE = 6;

  private static final int MOST_CHANNELS = 4;

  private final List<ScreenClassifier> classifiers;
  private final ScreenAction action;
  private final String tenantAttribute;
  private final TreeMap<String, ScreenAction> tenants;
  private final PayloadSettings payloads;
  private transient ScreenClassifiers networks;
  private transient PayloadStore store;
  private transient Counter screened;
  private transient Map<ScreenAction, Counter> found;

  /**
   * @param tenantAttribute null for no tenants
   */
  ScreeningFunction(
      List<ScreenClassifier> classifiers,
      ScreenAction action,
      String tenantAttribute,
      TreeMap<String, ScreenAction> tenants,
      PayloadSettings payloads) {
    this.classifiers = classifiers;
    this.action = action;
    this.tenantAttribute = tenantAttribute;
    this.tenants = tenants;
    this.payloads = payloads;
  }

  @Override
  public void open(OpenContext context) {
    networks = ScreenClassifiers.open(classifiers);
    store = new PayloadStore(payloads);
    MetricGroup metrics = getRuntimeContext().getMetricGroup();
    screened = metrics.counter("numScreenedImages");
    found = new EnumMap<>(ScreenAction.class);
    for (ScreenAction each : ScreenAction.values()) {
      found.put(each, metrics.addGroup("action", each.name()).counter("numFoundImages"));
    }
  }

  @Override
  public void close() {
    if (networks != null) {
      networks.close();
      networks = null;
    }
  }

  @Override
  public void processElement(ImageEvent image, Context context, Collector<ImageEvent> out) {
    screened.inc();
    Raster raster;
    ScreenClassifiers.Seen seen;
    try {
      raster =
          ProcessServices.OF_PROCESS
              .decoding()
              .readAtOnce(store.read(Payloads.image(image)), ReadOptions.DEFAULT);
      seen = networks.look(raster);
    } catch (ImageException | PayloadException e) {
      // It may show anything.
      context.output(
          DiffusionOperator.FAILURES,
          failure(
              image,
              Map.of(),
              e instanceof PayloadException ? FailureReason.PAYLOAD : FailureReason.INVALID_REQUEST,
              "The result was not screened, so it is blocked: " + e.getMessage()));
      return;
    }
    Map<String, String> said = new TreeMap<>();
    seen.scores().forEach((name, score) -> said.put(ATTRIBUTES + name, score));
    if (seen.found().isEmpty()) {
      said.put(ImageScreening.DECISION, NOTHING);
      out.collect(with(image, said));
      return;
    }
    ScreenAction what = action(image);
    found.get(what).inc();
    said.put(ImageScreening.DECISION, what.name());
    context.output(REVIEW, with(image, said));
    switch (what) {
      case PASS -> out.collect(with(image, said));
      case BLUR, BLACK -> {
        try {
          // What is no picture of colors cannot be blurred.
          boolean blurs = what == ScreenAction.BLUR && raster.channels() <= MOST_CHANNELS;
          out.collect(changed(image, said, blurs ? blurred(raster) : black(raster)));
        } catch (PayloadException e) {
          context.output(
              DiffusionOperator.FAILURES,
              failure(
                  image,
                  said,
                  FailureReason.PAYLOAD,
                  "The screened result cannot be stored: " + e.getMessage()));
        }
      }
      case BLOCK ->
          context.output(
              DiffusionOperator.FAILURES,
              failure(
                  image,
                  said,
                  FailureReason.INVALID_REQUEST,
                  "The result was blocked by a classifier: " + seen.found().get() + "."));
    }
  }

  private ScreenAction action(ImageEvent image) {
    String tenant = tenantAttribute == null ? null : image.getAttributes().get(tenantAttribute);
    return tenant == null ? action : tenants.getOrDefault(tenant, action);
  }

  /** What a request says of screening itself does not count. */
  private static Map<String, String> attributes(ImageEvent image, Map<String, String> said) {
    Map<String, String> all = new TreeMap<>(image.getAttributes());
    all.keySet().removeIf(name -> name.startsWith(ATTRIBUTES));
    all.putAll(said);
    return all;
  }

  private static ImageEvent with(ImageEvent image, Map<String, String> said) {
    return ImageEvent.newBuilder(image).setAttributes(attributes(image, said)).build();
  }

  /**
   * Mask and regions would still show where something was; the record says how to make it again.
   */
  private ImageEvent changed(ImageEvent image, Map<String, String> said, Raster other) {
    Payload payload = store.write(Images.write(other, "image/png"), "image/png");
    return Payloads.setPicture(ImageEvent.newBuilder(image), payload)
        .setAttributes(attributes(image, said))
        .setMask(null)
        .setUncertainty(null)
        .setRegions(null)
        .build();
  }

  private static Raster blurred(Raster image) {
    Raster plain = new Raster(image.channels(), image.height(), image.width(), image.data());
    double scale = (double) BLURRED_SIDE / Math.max(image.height(), image.width());
    Raster few =
        PilResize.resize(
            plain,
            Math.max(1, (int) Math.round(scale * image.height())),
            Math.max(1, (int) Math.round(scale * image.width())),
            PilResize.Filter.BOX);
    return PilResize.resize(few, image.height(), image.width(), PilResize.Filter.BILINEAR);
  }

  private static Raster black(Raster image) {
    return Raster.filled(3, image.height(), image.width(), 0);
  }

  private static FailureEvent failure(
      ImageEvent image, Map<String, String> said, FailureReason reason, String message) {
    FailureEvent.Builder failure =
        FailureEvent.newBuilder()
            .setId(image.getId())
            .setReason(reason)
            .setMessage(message)
            .setAttributes(attributes(image, said))
            .setContext(image.getContext());
    return Originals.set(failure, image.getOriginal()).build();
  }
}
