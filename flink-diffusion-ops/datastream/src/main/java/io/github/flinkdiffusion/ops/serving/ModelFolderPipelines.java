/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.UnusableEngineException;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.hub.HubException;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.scheduler.SchedulerException;
import io.github.flinkdiffusion.ops.tokenizer.TokenizerException;
import io.github.flinkdiffusion.ops.weights.AddedFileException;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.EOFException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Pipelines from a model folder that every task manager finds under the same path, or downloads by
 * its name on the hub: once for each task, so all that is asked of it is said of the same commit.
 */
@Internal
public final class ModelFolderPipelines implements PipelineFactory {
  private static final long serialVersionUID = 2L;
  private static final Logger LOG = LoggerFactory.getLogger(ModelFolderPipelines.class);

  private final ModelSettings settings;

  /** With paths on this machine; null until it is asked for. */
  private transient ModelSettings located;

  public ModelFolderPipelines(ModelSettings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * All but where archives are kept makes a difference: jobs in one process share what has the same
   * name.
   */
  @Override
  public String model() {
    StringBuilder name = new StringBuilder(settings.name());
    if (settings.pipeline() != null) {
      name.append(" as ").append(settings.pipeline());
    }
    if (!settings.engine().equals(DiffusionOptions.ENGINE.defaultValue())) {
      name.append(" by ").append(settings.engine());
    }
    if (settings.precision() != null) {
      name.append(" in ").append(settings.precision());
    }
    if (!settings.precisions().isEmpty()) {
      name.append(" with ").append(String.join(", ", settings.precisions()));
    }
    if (!settings.devices().isEmpty()) {
      name.append(" placed ").append(String.join(", ", settings.devices()));
    }
    if (settings.unloadsTextEncoders()) {
      name.append(", text encoders unloaded");
    }
    if (settings.configs() != null) {
      name.append(" configured by ").append(settings.configs());
    }
    if (settings.variant() != null) {
      name.append(" of variant ").append(settings.variant());
    }
    settings.loras().forEach(lora -> name.append(" + ").append(lora));
    settings.ipAdapters().forEach(file -> name.append(" + ").append(file));
    if (settings.imageEncoder() != null) {
      name.append(" seen by ").append(settings.imageEncoder());
    }
    if (!settings.allowedLoras().isEmpty()) {
      name.append(", ")
          .append(settings.allowedLoras().size())
          .append(settings.allowedLoras().size() == 1 ? " LoRA allowed (" : " LoRAs allowed (")
          .append(String.join(", ", settings.allowedLoras()))
          .append("; up to ")
          .append(settings.residentLoras())
          .append(" in memory)");
    }
    if (settings.caching() != null) {
      name.append(", reusing features: ").append(settings.caching());
    }
    if (settings.unetGuidance()) {
      name.append(", guided inside the UNet");
    }
    if (!settings.safetyChecker()) {
      name.append(", unchecked");
    }
    if (settings.watermark()) {
      name.append(", watermarked");
    }
    return name.toString();
  }

  @Override
  public PipelineFactory at(String folder) {
    return new ModelFolderPipelines(settings.at(folder));
  }

  @Override
  public Optional<String> pipelineClass() {
    ModelSettings local = existing();
    if (settings.pipeline() != null) {
      return Optional.of(settings.pipeline());
    }
    try {
      return Optional.of(Pipelines.classOf(local.path(), local.on(DeviceSpec.CPU)));
    } catch (WeightsException e) {
      throw told(e);
    }
  }

  @Override
  public String files() {
    return FilesIdentity.of(located().files());
  }

  @Override
  public String digest() {
    return Pipelines.digest(existing().path(), located().on(DeviceSpec.CPU));
  }

  /** Zero for a folder that cannot be read, which opening it will explain. */
  @Override
  public long bytes(String device) {
    ModelSettings local = located();
    try {
      return Pipelines.weightBytes(
          local.path(), local.on(Engines.standard().device(settings.engine(), device)));
    } catch (UnusableEngineException | WeightsException e) {
      return 0;
    }
  }

  @Override
  public String resolve(String device) {
    try {
      return Engines.standard().device(settings.engine(), device).toString();
    } catch (UnusableEngineException e) {
      throw unusable(e);
    }
  }

  @Override
  public DiffusionPipeline open(String device) {
    ModelSettings local = existing();
    try {
      PipelineSettings how = local.on(Engines.standard().device(settings.engine(), device));
      LOG.info(
          "Opening {} on {}: its weights take up to {} MiB there",
          model(),
          how.device(),
          bytes(device) >> 20);
      return settings.pipeline() == null
          ? Pipelines.open(local.path(), how, this::told)
          : Pipelines.openAs(settings.pipeline(), local.path(), how, this::told);
    } catch (UnusableEngineException e) {
      throw unusable(e);
    } catch (WeightsException | SchedulerException | TokenizerException | GraphException e) {
      throw told(e);
    }
  }

  @Override
  public Optional<Model> described() {
    ModelSettings local = existing();
    try {
      return Optional.of(
          Pipelines.describe(
              Optional.ofNullable(settings.pipeline()), local.path(), local.on(DeviceSpec.CPU)));
    } catch (WeightsException | SchedulerException | TokenizerException | GraphException e) {
      throw told(e);
    }
  }

  private ModelSettings existing() {
    ModelSettings local = located();
    if (!Files.exists(local.path())) {
      throw new UnusableModelException(
          "Model folder %s does not exist on this machine; every task manager must find it under this path."
              .formatted(local.path()));
    }
    return local;
  }

  private synchronized ModelSettings located() {
    if (located == null) {
      try {
        located = settings.onThisMachine();
      } catch (HubException e) {
        throw e.mayPass() ? e : unusable(e);
      } catch (WeightsException e) {
        throw told(e);
      }
    }
    return located;
  }

  /** What is wrong with the files stays wrong, whenever it is found. */
  private RuntimeException told(RuntimeException e) {
    return e instanceof WeightsException
                && !(e.getCause() instanceof InterruptedException)
                && !mayPass(e)
            || e instanceof SchedulerException
            || e instanceof TokenizerException
            || e instanceof GraphException
        ? unusable(e)
        : e;
  }

  /** Reading failed, other than by what is not there: the next attempt may read it. */
  private static boolean mayPass(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof IOException) {
        return !(cause instanceof NoSuchFileException
            || cause instanceof EOFException
            || cause instanceof JsonProcessingException);
      }
    }
    return false;
  }

  private UnusableModelException unusable(RuntimeException cause) {
    return new UnusableModelException(
        cause instanceof AddedFileException
            ? "%s. The job's options add it to the model in %s."
                .formatted(cause.getMessage(), settings.name())
            : "The model in %s cannot be used: %s".formatted(settings.name(), cause.getMessage()),
        cause);
  }
}
