/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/**
 * The work of {@link ControlImages}.
 *
 * @param <E> kind of requests
 */
final class ControlImageFunction<E extends SpecificRecord> extends ProcessFunction<E, E> {
  private static final long serialVersionUID = 1L;

  private final List<ControlImageStep> steps;
  private final PayloadSettings payloads;
  private transient PayloadStore store;

  ControlImageFunction(List<ControlImageStep> steps, PayloadSettings payloads) {
    this.steps = steps;
    this.payloads = payloads;
  }

  @Override
  public void open(OpenContext context) {
    store = new PayloadStore(payloads);
  }

  @Override
  @SuppressWarnings("unchecked") // what is put out is of the kind of what came
  public void processElement(E event, Context context, Collector<E> out) {
    RequestEvent request = RequestEvent.of(event);
    try {
      out.collect(
          event instanceof PromptEvent prompt
              ? (E) PromptEvent.newBuilder(prompt).setImages(made(prompt.getImages(), null)).build()
              : (E) made((ImageTaskEvent) event));
    } catch (ImageException e) {
      fail(request, FailureReason.INVALID_REQUEST, e.getMessage(), context);
    } catch (PayloadException e) {
      if (e.mayPass()) {
        throw e; // Flink's restart strategy tries again
      }
      fail(request, FailureReason.PAYLOAD, e.getMessage(), context);
    }
  }

  private ImageTaskEvent made(ImageTaskEvent task) {
    return ImageTaskEvent.newBuilder(task)
        .setImages(made(task.getImages(), task.getImage()))
        .build();
  }

  /**
   * @param otherwise what an image is made of that is not there; may be null
   */
  private Map<String, Payload> made(Map<String, Payload> images, Payload otherwise) {
    Map<String, Raster> rasters = new LinkedHashMap<>();
    for (ControlImageStep step : steps) {
      Payload source = images.getOrDefault(step.name(), otherwise);
      if (source == null) {
        continue;
      }
      try {
        Raster image = rasters.get(step.name());
        rasters.put(
            step.name(),
            step.made(
                image == null
                    ? ProcessServices.OF_PROCESS
                        .decoding()
                        .readAtOnce(store.read(source), ReadOptions.DEFAULT)
                    : image));
      } catch (ImageException e) {
        throw new ImageException("The request's %s: %s".formatted(step.name(), e.getMessage()), e);
      }
    }
    Map<String, Payload> all = new LinkedHashMap<>(images);
    rasters.forEach(
        (name, raster) -> all.put(name, store.write(PngCodec.encode(raster), "image/png")));
    return all;
  }

  private void fail(RequestEvent request, FailureReason reason, String message, Context context) {
    context.output(DiffusionOperator.FAILURES, Events.failure(request, reason, message));
  }
}
