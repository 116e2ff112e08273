/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Whether a job would accept prompts, found before it runs: by the same checks, on models that are
 * described and not loaded. For programs that start a job and know its requests. Images in the
 * event are decoded; those of a payload store are not fetched. Prompts are not compared with
 * concepts, because that takes a loaded CLIP.
 *
 * <pre>{@code
 * PromptCheck check = PromptCheck.of(settings);
 * prompts.forEach(check::require);
 * }</pre>
 */
@Internal
public final class PromptCheck {
  private static final Path SCRATCH = Path.of(System.getProperty("java.io.tmpdir"));

  private final DiffusionSettings settings;
  private final ModelList models;
  private final PayloadStore payloads;
  private final Map<String, Optional<Model>> described = new HashMap<>();

  private PromptCheck(DiffusionSettings settings, ModelList models, PayloadStore payloads) {
    this.settings = settings;
    this.models = models;
    this.payloads = payloads;
  }

  /**
   * @param config of the job
   * @throws io.github.flinkdiffusion.ops.serving.DiffusionException naming the option that is
   *     unknown or whose value is not accepted
   * @throws io.github.flinkdiffusion.ops.serving.UnusableModelException if the default model cannot
   *     be used
   */
  public static PromptCheck of(ReadableConfig config) {
    KnownOptions.refuseUnreadable(config);
    PromptCheck check =
        new PromptCheck(
            DiffusionSettings.of(config),
            ModelList.of(config),
            new PayloadStore(PayloadSettings.of(config)));
    check.model(ModelList.DEFAULT);
    return check;
  }

  /**
   * @throws InvalidRequestException with what the job's failure event would say
   * @throws io.github.flinkdiffusion.ops.serving.UnusableModelException if the model that the
   *     prompt names cannot be used
   */
  public void require(PromptEvent prompt) {
    String name = prompt.getParameters().getOrDefault(ModelList.PARAMETER, ModelList.DEFAULT);
    model(name).ifPresent(model -> require(prompt, model));
  }

  private void require(PromptEvent prompt, Model model) {
    GenerationSpec spec = Events.spec(prompt, settings);
    Map<Parameter<Raster>, Raster> read = read(prompt, model);
    for (Parameter<Raster> image : NamedImages.parameters(prompt.getImages().keySet(), model)) {
      // What depends on an image that is elsewhere (its size, its bands) is found by the job.
      Raster standIn = ImageTaskCheck.standIn(model);
      spec = spec.with(image, read.getOrDefault(image, standIn));
    }
    Events.requireImage(model, settings.limits().prepare(model, spec).arguments());
  }

  /** The images in the event itself, decoded one request at a time. */
  private Map<Parameter<Raster>, Raster> read(PromptEvent prompt, Model model) {
    Map<String, Payload> here = new HashMap<>(prompt.getImages());
    here.values().removeIf(payload -> Payloads.inlineBytes(payload).isEmpty());
    ImageSettings how = settings.image();
    try (NamedImages images = NamedImages.fetch(here, how, model, payloads, SCRATCH)) {
      long most = DecodingMemory.ofHeap().capacity();
      TaskSources.requireFits(images.bytes(), images.extents(), how, most, "fewer of them");
      return images.read();
    } catch (ImageException e) {
      throw new InvalidRequestException(e.getMessage(), e);
    }
  }

  private Optional<Model> model(String name) {
    return described.computeIfAbsent(name, which -> models.get(which).described());
  }
}
