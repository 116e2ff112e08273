/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.factories.ModuleFactory;
import org.apache.flink.table.functions.FunctionDefinition;
import org.apache.flink.table.module.Module;

/**
 * {@code LOAD MODULE diffusion WITH ('text-to-image.model.folder' = '/models/sd15', ...)}: models
 * as functions. Each function has options of its own, which are {@link DiffusionModelOptions} with
 * the function's name before them; functions that need a model and have none are not there. Those
 * that need none are always there.
 */
@Internal
public final class DiffusionModuleFactory implements ModuleFactory {

  private static final Map<String, Function<FunctionSettings, FunctionDefinition>> FUNCTIONS =
      new LinkedHashMap<>();

  /** Without a model; the argument says whether what cannot be done fails the job. */
  private static final Map<String, Function<Boolean, FunctionDefinition>> PLAIN =
      new LinkedHashMap<>();

  private static final String PAYLOAD = "payload";

  /** What functions without a model give for what cannot be done. */
  static final ConfigOption<OnError> ON_ERROR =
      ConfigOptions.key("on-error")
          .enumType(OnError.class)
          .defaultValue(OnError.DROP)
          .withDescription(
              "What functions without a model return for input that they cannot process, such as a"
                  + " corrupt image. DROP: NULL, and a line in the log. FAIL: the job fails."
                  + " Aggregate functions skip values that they cannot use.");

  static {
    FUNCTIONS.put("text_to_image", TextToImageFunction::new);
    FUNCTIONS.put("image_to_image", ImageToImageFunction::new);
    FUNCTIONS.put("upscale", UpscaleFunction::new);
    FUNCTIONS.put("segment", SegmentFunction::new);
    FUNCTIONS.put("caption", CaptionFunction::new);
    FUNCTIONS.put("answer", AnswerFunction::new);
    FUNCTIONS.put("label", LabelFunction::new);
    PLAIN.put("image_info", ImageInfoFunction::new);
    PLAIN.put("image_credentials", CredentialsFunction::new);
    PLAIN.put("image_watermark", WatermarkFunction::new);
    PLAIN.put("image_resize", ImageResizeFunction::new);
    PLAIN.put("image_convert", ImageConvertFunction::new);
    PLAIN.put("image_edges", ImageEdgesFunction::new);
    PLAIN.put("image_fit", ImageFitFunction::new);
    PLAIN.put("image_class_colors", ImageClassColorsFunction::new);
    PLAIN.put("psnr", QualityFunction::psnr);
    PLAIN.put("ssim", QualityFunction::ssim);
    PLAIN.put("dice", QualityFunction::dice);
    PLAIN.put("iou", QualityFunction::iou);
    PLAIN.put("lpips", LpipsFunction::new);
    PLAIN.put("inception", InceptionFunction::new);
    PLAIN.put("clip_features", ClipFunction::new);
    PLAIN.put("fid", FidFunction::new);
    PLAIN.put("kid", KidFunction::new);
    PLAIN.put("prdc", PrdcFunction::new);
    PLAIN.put("inception_score", InceptionScoreFunction::new);
    PLAIN.put("clip_score", ClipScoreFunction::new);
    PLAIN.put("r_precision", TextPrecisionFunction::new);
    PLAIN.put("vendi_score", VendiScoreFunction::new);
    PLAIN.put("class_entropy", ClassEntropyFunction::new);
    PLAIN.put("total_variation", ReferenceFunction::totalVariation);
    PLAIN.put("kl_divergence", ReferenceFunction::divergence);
    PLAIN.put("parity_gap", ParityGapFunction::new);
  }

  @Override
  public String factoryIdentifier() {
    return "diffusion";
  }

  @Override
  public Set<ConfigOption<?>> requiredOptions() {
    return Set.of();
  }

  /** Checked by {@link FunctionSettings}: keys have the name of a function before them. */
  @Override
  public Set<ConfigOption<?>> optionalOptions() {
    return Set.of();
  }

  @Override
  public Module createModule(Context context) {
    Map<String, String> options = context.getOptions();
    Map<String, FunctionDefinition> functions = new LinkedHashMap<>();
    for (Map.Entry<String, Function<FunctionSettings, FunctionDefinition>> function :
        FUNCTIONS.entrySet()) {
      String prefix = prefix(function.getKey());
      if (options.keySet().stream().anyMatch(key -> key.startsWith(prefix))) {
        FunctionSettings settings =
            FunctionSettings.of(prefix, options, context.getConfiguration());
        functions.put(function.getKey(), function.getValue().apply(settings));
      }
    }
    boolean failing = failing(options);
    PLAIN.forEach((name, function) -> functions.put(name, function.apply(failing)));
    functions.put("payload", new PayloadFunction(PayloadSettings.of(configured(context)), failing));
    for (String key : options.keySet()) {
      if (!key.equals(ON_ERROR.key())
          && FUNCTIONS.keySet().stream().noneMatch(name -> key.startsWith(prefix(name)))) {
        throw new ValidationException(
            ("Unknown option '%s' of the module; expected '%s', or an option that begins with the"
                    + " name of a function, one of %s.")
                .formatted(
                    key,
                    ON_ERROR.key(),
                    String.join(
                        ", ",
                        FUNCTIONS.keySet().stream().map(DiffusionModuleFactory::prefix).toList())));
      }
    }
    return new DiffusionModule(functions);
  }

  /** All functions that there are, by their names in SQL. */
  static Set<String> functions() {
    Set<String> names = new TreeSet<>(FUNCTIONS.keySet());
    names.addAll(PLAIN.keySet());
    names.add(PAYLOAD);
    return names;
  }

  private static boolean failing(Map<String, String> options) {
    OnError onError = DiffusionModelOptions.onError(options).orElse(ON_ERROR.defaultValue());
    if (onError == OnError.COLUMN) {
      throw new ValidationException(
          ("Invalid value COLUMN for option '%s': a function returns one value. Expected FAIL, or"
                  + " DROP for NULL.")
              .formatted(ON_ERROR.key()));
    }
    return onError == OnError.FAIL;
  }

  private static Configuration configured(Context context) {
    Configuration payload = new Configuration();
    PayloadOptions.ALL.forEach(
        option -> FunctionSettings.copy(option, context.getConfiguration(), payload));
    return payload;
  }

  private static String prefix(String function) {
    return function.replace('_', '-') + ".";
  }

  private record DiffusionModule(Map<String, FunctionDefinition> functions) implements Module {
    @Override
    public Set<String> listFunctions() {
      return functions.keySet();
    }

    @Override
    public Optional<FunctionDefinition> getFunctionDefinition(String name) {
      return Optional.ofNullable(functions.get(name.toLowerCase(Locale.ROOT)));
    }
  }
}
