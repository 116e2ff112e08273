package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.operator.GenerationException;
import io.github.flinkdiffusion.ops.operator.GenerationService;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.function.Supplier;
import org.apache.flink.table.functions.AsyncScalarFunction;
import org.apache.flink.table.functions.FunctionContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A function whose value is a picture that a model makes, as PNG. Calls of one subtask, of others
 * and of operators in the process share network calls.
 *
 * <p>A request without a seed gets one from its arguments, so that equal calls give equal pictures.
 */
abstract class ImageFunction extends AsyncScalarFunction {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(ImageFunction.class);
  private static final String GPU_RESOURCE = "gpu";

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
   * Completes the future with the picture; with null where it can not be made, or exceptionally if
   * the function was set to fail.
   *
   * @param config other values than the module's, by the names of its options
   * @param asked the call's own arguments; may decode pictures
   */
  final void generate(
      CompletableFuture<byte[]> result, Map<String, String> config, Supplier<Arguments> asked) {
    Map<String, String> copied = Map.copyOf(config);
    CompletableFuture.supplyAsync(() -> spec(copied, asked.get()), pool)
        .thenCompose(service::generate)
        .thenApplyAsync(image -> PngCodec.encode(image.image()), pool)
        .whenComplete(
            (png, thrown) -> {
              if (thrown == null) {
                result.complete(png);
              } else {
                failed(result, thrown);
              }
            });
  }

  private GenerationSpec spec(Map<String, String> config, Arguments asked) {
    Arguments arguments = defaults.with(ArgumentValues.ofCall(name, config)).with(asked);
    String id = name + " " + Integer.toHexString(arguments.hashCode());
    if (!arguments.has(Parameters.SEED)) {
      arguments = arguments.with(Parameters.SEED, Seeds.fromId(arguments.toString()));
    }
    return new GenerationSpec(id, arguments);
  }

  private void failed(CompletableFuture<byte[]> result, Throwable thrown) {
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
