/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import java.io.Serializable;
import java.util.Collections;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/** The models that requests of an operator may name, one of them for those that name none. */
@Internal
public final class ModelList implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Among a request's parameters; it chooses the model, so no model takes it. */
  public static final String PARAMETER = "model";

  /** Name of the model for requests that name none. */
  public static final String DEFAULT = "default";

  private final TreeMap<String, PipelineFactory> models;

  private ModelList(Map<String, PipelineFactory> models) {
    this.models = new TreeMap<>(models);
  }

  /** The model of {@code diffusion.model.folder}, and those of {@code diffusion.models}. */
  public static ModelList of(ReadableConfig config) {
    ModelSettings settings = ModelSettings.of(config);
    ModelList list = of(new ModelFolderPipelines(settings));
    new ModelSettingsReader(config)
        .others()
        .forEach((name, other) -> list.models.put(name, new ModelFolderPipelines(other)));
    return list;
  }

  /** One model alone. */
  public static ModelList of(PipelineFactory model) {
    return new ModelList(Map.of(DEFAULT, model));
  }

  /** These, and one more. */
  public ModelList with(String name, PipelineFactory model) {
    ModelList more = new ModelList(models);
    more.models.put(name, model);
    return more;
  }

  /** In order. */
  public SortedSet<String> names() {
    return Collections.unmodifiableSortedSet(new TreeSet<>(models.keySet()));
  }

  /**
   * The model of that name.
   *
   * @throws InvalidRequestException naming those that there are
   */
  public PipelineFactory get(String name) {
    PipelineFactory model = models.get(name);
    if (model == null) {
      throw new InvalidRequestException(
          "There is no model '%s'; a request's parameter '%s' is one of %s (%s)."
              .formatted(
                  name.length() > 64 ? name.substring(0, 64) + "..." : name,
                  PARAMETER,
                  String.join(", ", models.keySet()),
                  DiffusionOptions.MODELS.key()));
    }
    return model;
  }
}
