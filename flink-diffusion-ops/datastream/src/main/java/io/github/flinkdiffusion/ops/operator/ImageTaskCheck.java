/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Selection;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Whether a job would accept what image tasks ask for, found before it runs and without their
 * images: steps, scheduler, guidance, samples, parameters. As {@link PromptCheck}, by the job's own
 * checks, on models that are described and not loaded. What depends on an image (its size, its
 * bands) is found by the job.
 */
@Internal
public final class ImageTaskCheck {
  /** Sides of the black image that stands for the task's, in steps of the model's grid. */
  private static final int GRID_STEPS = 8;

  /** Its side where the model has no grid. */
  private static final int DEFAULT_SIDE = 64;

  private final DiffusionSettings settings;
  private final ModelList models;
  private final Map<String, Optional<Model>> described = new HashMap<>();

  private ImageTaskCheck(DiffusionSettings settings, ModelList models) {
    this.settings = settings;
    this.models = models;
  }

  /**
   * @param config of the job
   * @throws io.github.flinkdiffusion.ops.serving.DiffusionException naming the option that is
   *     unknown or whose value is not accepted
   * @throws io.github.flinkdiffusion.ops.serving.UnusableModelException if the default model cannot
   *     be used
   */
  public static ImageTaskCheck of(ReadableConfig config) {
    KnownOptions.refuseUnreadable(config);
    ImageTaskCheck check = new ImageTaskCheck(DiffusionSettings.of(config), ModelList.of(config));
    check.model(ModelList.DEFAULT);
    return check;
  }

  /**
   * @param task whose images are not looked at
   * @throws InvalidRequestException with what the job's failure event would say
   * @throws io.github.flinkdiffusion.ops.serving.UnusableModelException if the model that the task
   *     names cannot be used
   */
  public void require(ImageTaskEvent task) {
    Events.checkId(task.getId());
    settings.limits().check(task.getAttributes(), task.getParameters());
    OpenImageTask.samples(task, settings.image());
    try {
      Selection.of(task.getParameters());
    } catch (ImageException e) {
      throw new InvalidRequestException(e.getMessage());
    }
    Arguments asked = Events.asked(task);
    settings.limits().check(asked);
    String name = task.getParameters().getOrDefault(ModelList.PARAMETER, ModelList.DEFAULT);
    Model model = model(name).orElse(null);
    List<Parameter<Raster>> images =
        model == null ? List.of() : NamedImages.parameters(task.getImages().keySet(), model);
    // Without tiles, a model may accept some sizes only, and the task's is not known here.
    if (model != null && model.tiling().isPresent() && task.getMask() == null) {
      GenerationSpec spec = Events.spec(task.getId(), asked, settings, model.signature());
      spec = spec.with(Parameters.IMAGE, standIn(model));
      for (Parameter<Raster> image : images) {
        spec = spec.with(image, standIn(model));
      }
      settings.limits().prepare(model, spec);
    }
  }

  /** A black image that stands for one that is not there yet. */
  static Raster standIn(Model model) {
    int side =
        model
            .tiling()
            .map(tiling -> Math.min(tiling.tile(), GRID_STEPS * tiling.alignment()))
            .orElse(DEFAULT_SIDE);
    return Raster.filled(model.imageChannels(), side, side, 0);
  }

  private Optional<Model> model(String name) {
    return described.computeIfAbsent(name, which -> models.get(which).described());
  }
}
