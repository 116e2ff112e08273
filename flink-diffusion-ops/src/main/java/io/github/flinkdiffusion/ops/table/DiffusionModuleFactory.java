package io.github.flinkdiffusion.ops.table;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.factories.ModuleFactory;
import org.apache.flink.table.functions.FunctionDefinition;
import org.apache.flink.table.module.Module;

/**
 * {@code LOAD MODULE diffusion WITH ('text-to-image.model.folder' = '/models/sd15', ...)}: models
 * as functions. Each function has options of its own, which are {@link DiffusionModelOptions} with
 * the function's name before them; functions without any are not there.
 */
public final class DiffusionModuleFactory implements ModuleFactory {

  private static final Map<String, Function<FunctionSettings, FunctionDefinition>> FUNCTIONS =
      new LinkedHashMap<>();

  static {
    FUNCTIONS.put("text_to_image", TextToImageFunction::new);
    FUNCTIONS.put("image_to_image", ImageToImageFunction::new);
    FUNCTIONS.put("upscale", UpscaleFunction::new);
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
    for (String key : options.keySet()) {
      if (FUNCTIONS.keySet().stream().noneMatch(name -> key.startsWith(prefix(name)))) {
        throw new ValidationException(
            "The module's option '%s' is not known; options begin with the name of a function, one of %s."
                .formatted(
                    key,
                    String.join(
                        ", ",
                        FUNCTIONS.keySet().stream().map(DiffusionModuleFactory::prefix).toList())));
      }
    }
    return new DiffusionModule(functions);
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
