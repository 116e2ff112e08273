package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.AuditException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import java.util.Arrays;
import java.util.Map;
import java.util.SortedMap;
import java.util.stream.Collectors;
import org.apache.flink.configuration.Configuration;

/**
 * From an audit record back to a request: what an operator is set to and sent so that it makes a
 * result again. The result's bytes are the same where model, software and kind of device are, but
 * for rounding where a request shared its network calls with others.
 *
 * <pre>{@code
 * Audit audit = Audit.of(Images.read(file, ReadOptions.DEFAULT).metadata()).orElseThrow();
 * Configuration settings = Replay.settings(audit).set(DiffusionOptions.MODEL_FOLDER, folder);
 * PromptEvent again = Replay.prompt(audit, "again");
 * }</pre>
 */
public final class Replay {
  private Replay() {}

  /**
   * How the model was loaded, but for its place, that of its LoRAs and the device.
   *
   * @throws AuditException when a value is none that its option can have
   */
  public static Configuration settings(Audit audit) {
    Configuration settings = new Configuration();
    SortedMap<String, String> loadedAs = audit.loadedAs();
    if (loadedAs.containsKey("pipeline")) {
      settings.set(DiffusionOptions.MODEL_PIPELINE, loadedAs.get("pipeline"));
    }
    if (loadedAs.containsKey("precision")) {
      settings.set(DiffusionOptions.MODEL_PRECISION, precision(loadedAs.get("precision")));
    }
    settings.set(
        DiffusionOptions.MODEL_SAFETY_CHECKER, !"false".equals(loadedAs.get("safetyChecker")));
    settings.set(DiffusionOptions.MODEL_WATERMARK, "true".equals(loadedAs.get("watermark")));
    return settings;
  }

  private static StorageType precision(String recorded) {
    return Arrays.stream(StorageType.values())
        .filter(type -> type.name().equals(recorded))
        .findFirst()
        .orElseThrow(
            () ->
                new AuditException(
                    "The audit record's precision is '%s'; this version knows %s"
                        .formatted(
                            recorded,
                            Arrays.stream(StorageType.values())
                                .map(StorageType::name)
                                .collect(Collectors.joining(", ")))));
  }

  /**
   * The request for a result that was made without images.
   *
   * @param audit with all its texts, see {@link Audit#withOmittedTexts}
   * @param id of the request, which does not change the result
   */
  public static PromptEvent prompt(Audit audit, String id) {
    Map<String, String> request = audit.request();
    String prompt = request.remove(Parameters.PROMPT.name());
    return PromptEvent.newBuilder()
        .setId(id)
        .setPrompt(prompt == null ? "" : prompt)
        .setParameters(request)
        .build();
  }
}
