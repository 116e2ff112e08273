package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.operator.GenerationException;
import io.github.flinkdiffusion.ops.operator.GenerationService;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import org.apache.flink.table.functions.AsyncScalarFunction;
import org.apache.flink.table.functions.FunctionContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A function whose value is made of pictures that a model makes: one, or the samples of an
 * ensemble, whose seeds follow each other. Calls of one subtask, of others and of operators in the
 * process share network calls.
 *
 * <p>A request without a seed gets one from its arguments, so that equal calls give equal pictures.
 *
 * @param <T> the value
 */
abstract class ImageFunction<T> extends AsyncScalarFunction {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(ImageFunction.class);
  private static final String GPU_RESOURCE = "gpu";
  private static final int MOST_SAMPLES = 64;

  private final String name;
  private final GenerationService.Settings settings;
  private final Map<String, String> options;
  private final int encodingThreads;
  private final boolean failing;

  private transient Arguments defaults;
  private transient GenerationService service;
  private transient ExecutorService pool;

  /**
   * @param name as in SQL
   */
  ImageFunction(String name, FunctionSettings settings) {
    this.name = name;
    this.settings = settings.service();
    this.options = settings.options();
    this.encodingThreads = settings.encodingThreads();
    this.failing = settings.failing();
  }

  @Override
  public void open(FunctionContext context) throws Exception {
    defaults = ArgumentValues.of(options);
    int subtask = context.getTaskInfo().getIndexOfThisSubtask();
    service =
        GenerationService.open(settings, context.getExternalResourceInfos(GPU_RESOURCE), subtask);
    pool = EncodingPool.start(name.toLowerCase(Locale.ROOT) + "-" + subtask, encodingThreads);
  }

  /** Flink would call it while it plans, and takes NULL for what is not there at once. */
  @Override
  public boolean supportsConstantFolding() {
    return false;
  }

  /**
   * What the samples' pictures come to; called on the function's own threads.
   *
   * @param samples one, or an ensemble
   * @param audit the first one's record
   */
  abstract T value(GenerationService service, List<GeneratedImage> samples, Audit audit);

  /**
   * Completes the future with the value; with null where it can not be made, or exceptionally if
   * the function was set to fail.
   *
   * @param config other values than the module's, by the names of its options
   * @param asked the call's own arguments
   * @param pictures those of them that are image files
   */
  final void generate(
      CompletableFuture<T> result,
      Map<String, String> config,
      Arguments asked,
      Map<Parameter<Raster>, byte[]> pictures) {
    Map<String, String> copied = new HashMap<>(config);
    String samples = copied.remove(FunctionSettings.ENSEMBLE_SIZE);
    CompletableFuture.supplyAsync(
            () ->
                call(
                    copied,
                    asked,
                    pictures,
                    samples == null ? options.get(FunctionSettings.ENSEMBLE_SIZE) : samples),
            pool)
        .thenCompose(
            call -> {
              List<CompletableFuture<GeneratedImage>> made =
                  call.specs().stream().map(service::generate).toList();
              return CompletableFuture.allOf(made.toArray(CompletableFuture[]::new))
                  .thenApplyAsync(
                      all -> value(made.stream().map(CompletableFuture::join).toList(), call),
                      pool);
            })
        .whenComplete(
            (value, thrown) -> {
              if (thrown == null) {
                result.complete(value);
              } else {
                failed(result, thrown);
              }
            });
  }

  /** A call taken apart; its pictures' files are not needed any more. */
  private record Call(List<GenerationSpec> specs, Map<String, String> inputDigests) {}

  private Call call(
      Map<String, String> config,
      Arguments asked,
      Map<Parameter<Raster>, byte[]> pictures,
      String samples) {
    Arguments arguments = defaults.with(ArgumentValues.ofCall(name, config));
    Map<String, String> digests = new TreeMap<>();
    for (Map.Entry<Parameter<Raster>, byte[]> picture : pictures.entrySet()) {
      arguments =
          arguments.with(
              picture.getKey(), service.seen(Images.read(picture.getValue(), ReadOptions.DEFAULT)));
      digests.put(picture.getKey().name(), Audit.sha256(picture.getValue()));
    }
    arguments = arguments.with(asked);
    String id = name + " " + Integer.toHexString(arguments.hashCode());
    if (!arguments.has(Parameters.SEED)) {
      arguments = arguments.with(Parameters.SEED, Seeds.fromId(arguments.toString()));
    }
    List<GenerationSpec> specs = new ArrayList<>();
    for (int sample = 0; sample < count(samples); sample++) {
      specs.add(
          new GenerationSpec(
              id, arguments.with(Parameters.SEED, arguments.get(Parameters.SEED) + sample)));
    }
    return new Call(specs, digests);
  }

  private static int count(String samples) {
    try {
      int count = samples == null ? 1 : Integer.parseInt(samples.trim());
      if (count >= 1 && count <= MOST_SAMPLES) {
        return count;
      }
    } catch (NumberFormatException e) {
      // said below
    }
    throw new InvalidRequestException(
        "'%s' can not be '%s'; it must be a number from 1 to %d."
            .formatted(FunctionSettings.ENSEMBLE_SIZE, samples, MOST_SAMPLES));
  }

  private T value(List<GeneratedImage> samples, Call call) {
    Map<String, String> further =
        samples.size() == 1 ? Map.of() : Map.of("ensembleSize", Integer.toString(samples.size()));
    Audit audit = Audit.of(service.model(), samples.get(0).request(), call.inputDigests(), further);
    return value(service, samples, audit);
  }

  private void failed(CompletableFuture<T> result, Throwable thrown) {
    Throwable cause = thrown;
    while (cause instanceof CompletionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    boolean concernsThisCallAlone =
        cause instanceof InvalidRequestException
            || cause instanceof GenerationException
            || cause instanceof ImageException;
    if (failing || !concernsThisCallAlone) {
      result.completeExceptionally(cause);
    } else {
      LOG.warn("{} gives NULL: {}", name, cause.getMessage());
      result.complete(null);
    }
  }

  @Override
  public void close() {
    if (service != null) {
      service.close();
    }
    if (pool != null) {
      pool.shutdownNow();
    }
  }
}
