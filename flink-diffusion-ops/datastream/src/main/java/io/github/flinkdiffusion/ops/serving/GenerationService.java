/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.credentials.Origin;
import io.github.flinkdiffusion.ops.credentials.PriorCredentials;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.ModelBands;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.io.Serializable;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.function.Function;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.externalresource.ExternalResourceInfo;
import org.apache.flink.configuration.ReadableConfig;

/**
 * A share of a loaded model for callers that are no operator, such as SQL functions: requests in,
 * futures of pictures out. They share the model and its network calls with the operators of the
 * same process. Nothing here is saved by a checkpoint; the caller keeps its inputs and asks again.
 *
 * <p>Any thread may call; the caller bounds how many requests it has in flight.
 */
@Internal
public final class GenerationService implements AutoCloseable {

  /** {@link DiffusionOptions} read and checked, as they travel to the task managers. */
  public static final class Settings implements Serializable {
    private static final long serialVersionUID = 1L;

    private final ModelList models;
    private final DiffusionSettings diffusion;

    /** Null without a limit. */
    private final Duration timeout;

    private Settings(ModelList models, DiffusionSettings diffusion, Duration timeout) {
      this.models = models;
      this.diffusion = diffusion;
      this.timeout = timeout;
    }

    /**
     * @throws DiffusionException naming the option, its value and what would be accepted
     */
    public static Settings of(ReadableConfig config) {
      DiffusionSettings diffusion = DiffusionSettings.of(config);
      return new Settings(ModelList.of(config), diffusion, diffusion.timeout().orElse(null));
    }

    /**
     * These, and no request is worked on for longer than that.
     *
     * @param limit zero or less is none
     */
    public Settings endingWithin(Duration limit) {
      boolean tighter =
          !limit.isNegative()
              && !limit.isZero()
              && (timeout == null || limit.compareTo(timeout) < 0);
      return tighter ? new Settings(models, diffusion, limit) : this;
    }
  }

  private final TaskModels models;
  private final PromptScreen.Use screen;
  private final Model model;
  private final int rowLimit;
  private final Submission how;
  private final DiffusionSettings diffusion;
  private final ExecutorService workers;
  private final Set<CompletableFuture<GeneratedImage>> pending = ConcurrentHashMap.newKeySet();

  private GenerationService(
      Settings settings, Collection<ExternalResourceInfo> gpus, int subtask, String user)
      throws InterruptedException {
    this.diffusion = settings.diffusion;
    this.how =
        Optional.ofNullable(settings.timeout)
            .map(Submission.DEFAULT::withTimeout)
            .orElse(Submission.DEFAULT)
            .withRetries(diffusion.requestRetries());
    diffusion.credentials().signer();
    diffusion.watermark().requireKey();
    this.models =
        new TaskModels(
            settings.models,
            diffusion,
            ProcessServices.OF_PROCESS.models(),
            gpus,
            subtask,
            this::failAll);
    try {
      this.screen = diffusion.limits().screen().open();
    } catch (RuntimeException | Error e) {
      models.close();
      throw e;
    }
    try (ModelPool.Use first = models.open()) {
      this.model = first.batcher().model();
      this.rowLimit = first.batcher().rowLimit();
    } catch (InterruptedException | RuntimeException | Error e) {
      screen.close();
      models.close();
      throw e;
    }
    this.workers = ProcessServices.OF_PROCESS.encoders().create(user, diffusion.encodingWorkers());
  }

  /**
   * Takes a share of the model; the first one in a process loads it.
   *
   * @param resources Flink's external resources of the task manager, by their names
   * @param subtask index of the subtask, which spreads them over the GPUs
   * @param user of the service, for its workers' names
   * @throws BatchingException when the model could not be loaded
   */
  public static GenerationService open(
      Settings settings,
      Function<String, Set<ExternalResourceInfo>> resources,
      int subtask,
      String user)
      throws InterruptedException {
    return new GenerationService(
        settings, resources.apply(DevicePlacement.GPU_RESOURCE), subtask, user);
  }

  /**
   * Reads an image file when the process has heap for what it holds, and waits for that.
   *
   * @throws ImageException if it cannot be read, or holds more than half of the heap
   */
  public static Raster read(byte[] file) {
    return ProcessServices.OF_PROCESS.decoding().read(file, ReadOptions.DEFAULT);
  }

  /** CPU threads for what is done with requests before the device and after it. */
  public Executor workers() {
    return workers;
  }

  /** What requests run on that name no model. */
  public Model model() {
    return model;
  }

  /**
   * Asks for the model of one request, which may have to be loaded first.
   *
   * @param name in {@link DiffusionOptions#MODELS}; null is the default model
   * @return completed exceptionally with {@link InvalidRequestException} if there is none of that
   *     name, or it cannot be loaded
   */
  public CompletableFuture<Served> use(String name) {
    String known = name == null ? ModelList.DEFAULT : name;
    try {
      return models
          .use(known)
          .handle(
              (use, failure) -> {
                if (failure == null) {
                  return new Served(use);
                }
                Optional<UnusableModelException> why = TaskModels.unusable(failure);
                if (why.isPresent()) {
                  throw new InvalidRequestException(
                      "Model '%s' cannot be loaded: %s".formatted(known, why.get().getMessage()));
                }
                throw new CompletionException(failure);
              });
    } catch (InvalidRequestException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  /** A loaded model for the samples of one request, which stays loaded until this is closed. */
  public final class Served implements AutoCloseable {
    private final ModelPool.Use use;

    private Served(ModelPool.Use use) {
      this.use = use;
    }

    public Model model() {
      return use.batcher().model();
    }

    /** As {@link GenerationService#workers}. */
    public Executor workers() {
      return workers;
    }

    /**
     * An image with the bands that the model sees, without data where the image has none.
     *
     * @throws ImageException when there is no rule for its bands
     */
    public Raster seen(Raster image) {
      ModelBands bands =
          ModelBands.fit(
              image.format().bands(), image.channels(), model().imageChannels(), List.of());
      Raster seen = bands.toModel(image);
      return image.noData().flatMap(bands::toModel).map(seen::masked).orElse(seen);
    }

    /**
     * Makes a picture.
     *
     * @return completed with the picture, or exceptionally: with {@link InvalidRequestException}
     *     when the request cannot be done, {@link GenerationException} when it failed, and {@link
     *     BatchingException} when the device did. Completed on the device's thread: what follows on
     *     it must hand over and return
     */
    public CompletableFuture<GeneratedImage> generate(GenerationSpec spec) {
      return GenerationService.this.generate(use, spec);
    }

    /** What a result depends on besides the request and the model, for its audit record. */
    public Map<String, String> furtherParameters() {
      return diffusion.credentials().parameters();
    }

    /** The record of a result, with the payload of its watermark if it gets one. */
    public Audit marked(Audit audit, Raster result, ResultMeaning meaning) {
      return diffusion.marked(audit, result, meaning);
    }

    /** The request is done. Idempotent. */
    @Override
    public void close() {
      use.close();
    }
  }

  /** The picture as a PNG file, with its record where the settings want it there. */
  public byte[] encode(Raster image, Audit audit) {
    return diffusion
        .credentials()
        .sign(PngCodec.encode(diffusion.withRecord(image, audit)), audit, () -> inputs(audit));
  }

  /**
   * Another picture of the same request than its answer, as {@link #encode(Raster, Audit)}.
   *
   * @param which as the file's text {@link Audit#RESULT} says
   */
  public byte[] encode(Raster image, Audit audit, String which) {
    Raster recorded = diffusion.recorded(image, audit);
    return diffusion
        .credentials()
        .sign(
            PngCodec.encode(
                recorded.withMetadata(recorded.metadata().withTexts(Map.of(Audit.RESULT, which)))),
            audit,
            () -> inputs(audit));
  }

  /** A row's images are no files any more. */
  private static List<Origin.Input> inputs(Audit audit) {
    return audit.inputDigests().keySet().stream()
        .map(
            name ->
                new Origin.Input(
                    name,
                    name.equals(Parameters.IMAGE.name()),
                    PriorCredentials.unread("SQL does not read those of a row's images")))
        .toList();
  }

  /** Most rows of one network call. */
  public int rowLimit() {
    return rowLimit;
  }

  private CompletableFuture<GeneratedImage> generate(ModelPool.Use use, GenerationSpec spec) {
    CompletableFuture<GeneratedImage> picture = new CompletableFuture<>();
    pending.add(picture);
    picture.whenComplete((done, failed) -> pending.remove(picture));
    try {
      use.session()
          .submit(
              new Work.Fresh(diffusion.limits().prepare(use.batcher(), spec)),
              how,
              new RequestListener() {
                @Override
                public void onFinished(GeneratedImage image) {
                  picture.complete(image);
                }

                @Override
                public void onFailed(RequestFailure failure) {
                  picture.completeExceptionally(new GenerationException(spec.id(), failure));
                }
              });
    } catch (InvalidRequestException | BatchingException e) {
      picture.completeExceptionally(e);
    }
    return picture;
  }

  private void failAll(BatchingException cause) {
    for (CompletableFuture<GeneratedImage> picture : pending) {
      picture.completeExceptionally(cause);
    }
  }

  /** Gives up what is pending and gives the share back. Idempotent. */
  @Override
  public void close() {
    models.close();
    failAll(
        new BatchingException(
            "The operator or function was closed while the request was in progress."));
    workers.shutdownNow();
    screen.close();
  }
}
