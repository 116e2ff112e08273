package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
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
   * @param asked the call's own arguments
   * @param pictures those of them that are PNG files
   */
  final void generate(
      CompletableFuture<byte[]> result,
      Map<String, String> config,
      Arguments asked,
      Map<Parameter<Raster>, byte[]> pictures) {
    Map<String, String> copied = Map.copyOf(config);
    CompletableFuture.supplyAsync(() -> Call.of(name, defaults, copied, asked, pictures), pool)
        .thenCompose(
            call ->
                service
                    .generate(call.spec())
                    .thenApplyAsync(image -> encode(image, call.inputDigests()), pool))
        .whenComplete(
            (png, thrown) -> {
              if (thrown == null) {
                result.complete(png);
              } else {
                failed(result, thrown);
              }
            });
  }

  /** A call taken apart; its pictures' files are not needed any more. */
  private record Call(GenerationSpec spec, Map<String, String> inputDigests) {
    static Call of(
        String function,
        Arguments defaults,
        Map<String, String> config,
        Arguments asked,
        Map<Parameter<Raster>, byte[]> pictures) {
      Arguments arguments = defaults.with(ArgumentValues.ofCall(function, config));
      Map<String, String> digests = new TreeMap<>();
      for (Map.Entry<Parameter<Raster>, byte[]> picture : pictures.entrySet()) {
        arguments = arguments.with(picture.getKey(), PngCodec.decode(picture.getValue()));
        digests.put(picture.getKey().name(), Audit.sha256(picture.getValue()));
      }
      arguments = arguments.with(asked);
      String id = function + " " + Integer.toHexString(arguments.hashCode());
      if (!arguments.has(Parameters.SEED)) {
        arguments = arguments.with(Parameters.SEED, Seeds.fromId(arguments.toString()));
      }
      return new Call(new GenerationSpec(id, arguments), digests);
    }
  }

  private byte[] encode(GeneratedImage image, Map<String, String> inputDigests) {
    Audit audit = Audit.of(service.model(), image.request(), inputDigests, Map.of());
    return service.encode(image, audit);
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
